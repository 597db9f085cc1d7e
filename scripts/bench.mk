# bench.mk - included by the Makefile. Settings (SEEDS, TASKS, JOBS, ...): see scripts/bench-transfer.sh.
.PHONY: bench-transfer
bench-transfer:
	@test $(DEPS) = no || scripts/install-deps
	+@$(MAKE) --no-print-directory bin tools
	@BUILD=$(O) scripts/bench-transfer.sh

#   make bench-budget   what a transfer costs: calibration, the quick budget, the stream's bytes; JSON lines
.PHONY: bench-budget
bench-budget: bin tools $(O)/tests/bench_hub
	@BUILD=$(O) scripts/bench-budget.sh

#   make bench-retain   trained receivers taught by better and by worse teachers, with and without --retain; JSON lines
.PHONY: bench-retain
bench-retain: bin tools
	@BUILD=$(O) scripts/bench-retain.sh

#   make bench-gemm [KERNEL=avx2]   our matrix kernels against OpenBLAS, JSON lines
$(O)/tests/bench_%: $(O)/obj/tests/bench/bench_%.o $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $< $(LIB) $(ALL_LIBS) -ldl

.PHONY: bench-gemm
bench-gemm: $(O)/tests/bench_gemm
	@$(O)/tests/bench_gemm $(KERNEL)

#   make bench-ort ORT_DIR=DIR      forward passes and whole processes against ONNX Runtime: scripts/bench-ort.sh
#   make bench-torch                training steps against PyTorch (PYTHON): scripts/bench-torch.py
PYTHON ?= /usr/bin/python3
.PHONY: bench-ort bench-torch
bench-ort: bin tools $(O)/tests/bench_forward
	@BUILD=$(O) ORT_DIR="$(ORT_DIR)" scripts/bench-ort.sh

bench-torch: $(O)/tests/bench_step
	@command -v $(PYTHON) > /dev/null || { echo "skipped: PyTorch: there is no $(PYTHON)"; exit 0; }; \
	$(PYTHON) scripts/bench-torch.py $(O)/tests/bench_step $(or $(TESSERA_SHARED),../shared)/models

#   make bench-memory               peak memory on large models: scripts/bench-memory.sh
.PHONY: bench-memory
bench-memory: bin $(O)/tools/peak-memory
	@BUILD=$(O) scripts/bench-memory.sh

#   make bench-merge   rules against attackers, speed and memory of tessera-merge; settings: scripts/bench-merge.sh
.PHONY: bench-merge
bench-merge: $(O)/tests/bench_merge
	+@$(MAKE) --no-print-directory bin $(O)/tools/make-contributions
	@BUILD=$(O) scripts/bench-merge.sh

#   make bench-swarm   many devices, one model: devices alone, merged, attacked, centralised; see scripts/bench-swarm.sh
.PHONY: bench-swarm
bench-swarm:
	+@$(MAKE) --no-print-directory bin tools
	@BUILD=$(O) scripts/bench-swarm.sh
#   make bench-drift   what tessera-drift --predict says against what is measured, networks by grids: scripts/bench-drift.sh
.PHONY: bench-drift
bench-drift: bin tools
	@BUILD=$(O) scripts/bench-drift.sh

#   make bench-quant   grids after training, rounding, sensitivity, teaching on the grid: scripts/bench-quant.sh
.PHONY: bench-quant
bench-quant: bin tools
	@BUILD=$(O) scripts/bench-quant.sh
