# cross.mk - included by the Makefile: the unit tests as other processors run them, under qemu-user.
#
#   make check-aarch64    cross-built; NEON and portable kernels; needs Debian and, once, its packages
#   make check-baseline   this build on an x86-64 without SSE4 and AVX, so that every choice of kernels
#                         at run time falls back to what each x86-64 has; CPU=Haswell: to AVX2
# Both take ONLY=PATTERN as make check does.

SYSROOT := build/sysroot-arm64
CROSS    = BUILD=build/aarch64 DEPS=no AR=aarch64-linux-gnu-ar \
           CC="aarch64-linux-gnu-gcc --sysroot=$(CURDIR)/$(SYSROOT)" \
           PKG_CONFIG="env PKG_CONFIG_SYSROOT_DIR=$(CURDIR)/$(SYSROOT) PKG_CONFIG_LIBDIR=$(CURDIR)/$(SYSROOT)/usr/lib/aarch64-linux-gnu/pkgconfig pkg-config"

.PHONY: check-aarch64 check-baseline
check-aarch64:
	@test $(DEPS) = no || scripts/install-deps aarch64
	@scripts/sysroot arm64 $(SYSROOT)
	+@$(MAKE) --no-print-directory $(CROSS) unit
	@BUILD=build/aarch64 EMULATOR="qemu-aarch64 -L $(CURDIR)/$(SYSROOT)" ONLY='$(ONLY)' tests/run unit

# A processor that was really built: for qemu64, OpenBLAS takes kernels that it cannot run.
CPU ?= Conroe
check-baseline:
	@test $(DEPS) = no || scripts/install-deps emulate
	+@$(MAKE) --no-print-directory unit
	@scripts/check-baseline-code $(LIB)
	@BUILD=$(O) EMULATOR="qemu-x86_64 -cpu $(CPU)" ONLY='$(ONLY)' tests/run unit
