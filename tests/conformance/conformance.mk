# conformance.mk - included by the Makefile: the operator tests of the ONNX project, where they are.
#   make check-onnx [CASES=DIR] [PART=softmax]
CASES ?= $(if $(TESSERA_SHARED),$(TESSERA_SHARED)/onnx-conformance)
PART  ?=

$(O)/tests/onnx_cases: $(O)/obj/tests/conformance/onnx_cases.o $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $< $(LIB) $(ALL_LIBS)

.PHONY: check-onnx
check-onnx: $(O)/tests/onnx_cases
	@if test -d "$(CASES)"; then $(O)/tests/onnx_cases "$(CASES)" $(PART); \
	 else echo "skipped: the operator tests of ONNX are not there (CASES=DIR names their folder)"; fi
