# Tessera - see README.md.   make            programs in build/bin
#                            make demo       the main job on real input
#                            make check      every test
#                            make install    PREFIX=/usr/local DESTDIR=
# Variants: SANITIZE=address,undefined | thread   DEBUG=1   BUILD=dir   CC=clang
VERSION  := 0.1.0
DATE     := 2026-11-23
PREFIX   ?= /usr/local
DESTDIR  ?=
SANITIZE ?=
DEBUG    ?=
# DEPS=no: never look for missing packages (packagers, builds without network).
DEPS     ?= yes
empty    :=
comma    := ,
VARIANT  := $(if $(SANITIZE),san-$(subst $(comma),-,$(SANITIZE)),$(if $(DEBUG),debug,release))
BUILD    ?= $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))
O        := $(BUILD)

CC         ?= cc
AR         ?= ar
PKG_CONFIG ?= pkg-config
PROTOC_C   ?= protoc-c
INSTALL    ?= install

PACKAGES   := openblas lapacke libzstd libcjson libprotobuf-c libsodium nettle libzip
PKG_CFLAGS  = $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS    = $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)
CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check 2>/dev/null)
CHECK_LIBS  = $(shell $(PKG_CONFIG) --libs check 2>/dev/null)

WARN   := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
# V=1 shows the commands, not only what is made.
QUIET  := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
run     = $(if $(V),,@$(if $(QUIET),,printf '  %-5s %s\n' $(1) $(or $(2),$@);))
OPT    := $(if $(DEBUG),-O0 -DTSR_DEBUG,-O3)
SAN    := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS ?= -g
# -ffp-contract=off: the compiler never fuses a multiply and an add on its own, so fixed-order
# arithmetic gives the same bits on every machine. Kernels that want FMA say so.
# -fno-trapping-math gives up exception flags, not values: selects become vector code.
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) $(CFLAGS) -ffp-contract=off -fno-math-errno -fno-trapping-math $(WARN) $(SAN) -Ilib -Icmd -I$(O)/gen \
             -DTSR_VERSION='"$(VERSION)"' $(PKG_CFLAGS) -MMD -MP
ALL_LIBS   = $(PKG_LIBS) -lpthread -lm

LIB_SRC    := $(sort $(wildcard lib/*/*.c))
LIB_OBJ    := $(LIB_SRC:%.c=$(O)/obj/%.o) $(if $(wildcard lib/model/onnx.proto),$(O)/obj/gen/onnx.pb-c.o)
LIB        := $(O)/libtessera.a
CMD_SRC    := $(sort $(wildcard cmd/tessera-*.c))
SHARED_SRC := $(sort $(wildcard cmd/shared/*.c))
SHARED_OBJ := $(SHARED_SRC:%.c=$(O)/obj/%.o)
SHARED     := $(O)/libshared.a
BIN        := $(CMD_SRC:cmd/%.c=$(O)/bin/%)
UNIT_SRC   := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN   := $(UNIT_SRC:tests/unit/%.c=$(O)/tests/%)
FUZZ_SRC   := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN   := $(FUZZ_SRC:tests/fuzz/%.c=$(O)/tests/%)
TOOL_SRC   := $(sort $(wildcard scripts/*.c))
TOOL_BIN   := $(TOOL_SRC:scripts/%.c=$(O)/tools/%)

.PHONY: all lib bin tools unit completion install uninstall clean check check-unit check-cli check-modules check-docs deps
.DELETE_ON_ERROR:

# One job per processor unless the caller said otherwise.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
.SECONDARY:

all: bin
lib: $(LIB)
bin: $(BIN)
tools: $(TOOL_BIN)
unit: $(UNIT_BIN)

# Installs what is missing and nothing else; silent where everything is there.
deps:
	@test $(DEPS) = no || PKG_CONFIG="$(PKG_CONFIG)" PROTOC_C="$(PROTOC_C)" CC="$(CC)" scripts/install-deps

$(O)/gen/onnx.pb-c.c $(O)/gen/onnx.pb-c.h &: lib/model/onnx.proto | deps
	@mkdir -p $(O)/gen
	$(call run,PROTO) $(PROTOC_C) --c_out=$(O)/gen --proto_path=lib/model onnx.proto

$(O)/obj/gen/onnx.pb-c.o: $(O)/gen/onnx.pb-c.c
	@mkdir -p $(@D)
	$(call run,CC,$<) $(CC) $(filter-out $(WARN),$(ALL_CFLAGS)) -c -o $@ $<

$(O)/obj/%.o: %.c | deps $(if $(wildcard lib/model/onnx.proto),$(O)/gen/onnx.pb-c.h)
	@mkdir -p $(@D)
	$(call run,CC,$<) $(CC) $(ALL_CFLAGS) -c -o $@ $<

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(call run,AR) $(AR) rcs $@ $^

$(SHARED): $(SHARED_OBJ)
	@rm -f $@
	$(call run,AR) $(AR) rcs $@ $^

$(O)/bin/%: $(O)/obj/cmd/%.o $(SHARED) $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $< $(SHARED) $(LIB) $(ALL_LIBS)

$(O)/tools/%: $(O)/obj/scripts/%.o $(SHARED) $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $< $(SHARED) $(LIB) $(ALL_LIBS)

$(O)/tests/test_%: $(O)/obj/tests/unit/test_%.o $(SHARED) $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $< $(SHARED) $(LIB) $(CHECK_LIBS) $(ALL_LIBS)

$(O)/tests/fuzz_%: $(O)/obj/tests/fuzz/fuzz_%.o $(O)/obj/tests/fuzz/replay.o $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(ALL_LIBS)

include tests/tests.mk
include tests/cross.mk
include tests/conformance/conformance.mk
include scripts/data.mk
include scripts/demo.mk
include scripts/bench.mk
include scripts/install.mk

clean:
	rm -rf build build-*

-include $(wildcard $(O)/obj/*/*.d $(O)/obj/*/*/*.d $(O)/obj/*/*/*/*.d)
