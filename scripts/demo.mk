# demo.mk - included by the Makefile: the main job, shown on real input.
.PHONY: demo
demo:
	@test $(DEPS) = no || scripts/install-deps
	+@$(MAKE) --no-print-directory bin
	@scripts/demo.sh $(O)
