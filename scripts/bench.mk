# bench.mk - included by the Makefile. Settings (SEEDS, TASKS, JOBS, ...): see scripts/bench-transfer.sh.
.PHONY: bench-transfer
bench-transfer:
	@test $(DEPS) = no || scripts/install-deps
	+@$(MAKE) --no-print-directory bin tools
	@BUILD=$(O) scripts/bench-transfer.sh
