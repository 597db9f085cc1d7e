# bench.mk - included by the Makefile. Settings (SEEDS, TASKS, JOBS, ...): see scripts/bench-transfer.sh.
.PHONY: bench-transfer
bench-transfer:
	@test $(DEPS) = no || scripts/install-deps
	+@$(MAKE) --no-print-directory bin tools
	@BUILD=$(O) scripts/bench-transfer.sh

#   make bench-gemm [KERNEL=avx2]   our matrix kernels against OpenBLAS, JSON lines
$(O)/tests/bench_%: $(O)/obj/tests/bench/bench_%.o $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $< $(LIB) $(ALL_LIBS)

.PHONY: bench-gemm
bench-gemm: $(O)/tests/bench_gemm
	@$(O)/tests/bench_gemm $(KERNEL)
