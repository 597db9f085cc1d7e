# conformance.mk - included by the Makefile: other people's opinion of our operators and models.
#   make check-onnx [ONNX_CASES=DIR] [PART=softmax]   the operator tests of the ONNX project
#   make check-ort [NODE_PATH=DIR]                    our models in ONNX Runtime (needs node)
ONNX_CASES ?= $(if $(TESSERA_SHARED),$(TESSERA_SHARED)/onnx-conformance)
PART       ?=

$(O)/tests/onnx_cases: $(O)/obj/tests/conformance/onnx_cases.o $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $< $(LIB) $(ALL_LIBS)

.PHONY: check-onnx check-ort
check-onnx: $(O)/tests/onnx_cases
	@if test -d "$(ONNX_CASES)"; then $(O)/tests/onnx_cases "$(ONNX_CASES)" $(PART); \
	 else echo "skipped: the operator tests of ONNX are not there (ONNX_CASES=DIR names their folder)"; fi

check-ort: $(O)/bin/tessera-model $(O)/tools/run-onnx $(O)/tools/make-ort-models
	@scripts/check-ort.sh $(O)
