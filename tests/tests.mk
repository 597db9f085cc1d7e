# tests.mk - included by the Makefile.
#
#   make check        everything that is quick; ends with "N passed, N failed, N skipped"
#   make check-X      one suite of it: modules, unit, fuzz, cli, docs
#   make check ONLY=PATTERN     only tests whose name matches the extended regular expression
#   make check-long   what takes minutes: torture and sweeps (tests/long/*.sh), full fuzz replays
#   make check-aarch64, check-baseline    the unit tests on other processors: see cross.mk
#   make fuzz         libFuzzer (needs clang), FUZZ_SECONDS for each target
# All of them work with SANITIZE=address,undefined and SANITIZE=thread.
#
# A unit test is a program tests/unit/test_X.c; its Check summary line ("100%: Checks: 12, ...") is
# counted. A line that begins with "skipped" (what was skipped and why) counts as one skipped test.
# A CLI test is a script in tests/cli; see tests/cli/README.md. tests/run runs all of them.

TESSERA_SHARED ?= $(patsubst %/,%,$(dir $(wildcard $(CURDIR)/../shared/DESIGN.md)))
export TESSERA_SHARED
FUZZ_SECONDS ?= 60
ONLY         ?=
RUN_TESTS     = CC="$(CC)" TESSERA_SANITIZE=$(SANITIZE) BUILD=$(O) MAKE="$(MAKE)" MANDOC="$(MANDOC)" ONLY='$(ONLY)' tests/run

.PHONY: check-deps check-fuzz check-long fuzz
check-deps:
	@test $(DEPS) = no || scripts/install-deps check

# The second make sees what check-deps installed.
check: check-deps
	+@$(MAKE) --no-print-directory check-build
	@$(RUN_TESTS) modules unit fuzz cli docs

.PHONY: check-build
check-build: bin unit $(FUZZ_BIN) $(TOOL_BIN)

check-modules: lib
	@$(RUN_TESTS) modules
check-unit: unit
	@$(RUN_TESTS) unit
check-fuzz: $(FUZZ_BIN)
	@$(RUN_TESTS) fuzz
check-cli: bin $(TOOL_BIN)
	@$(RUN_TESTS) cli
check-docs: bin
	@$(RUN_TESTS) docs
check-long: check-deps
	+@$(MAKE) --no-print-directory check-build
	@$(RUN_TESTS) modules unit fuzz cli docs long

# A build of its own, with coverage feedback and the sanitizers.
fuzz:
	@command -v clang >/dev/null || { echo "make fuzz needs clang" >&2; exit 1; }
	+@$(MAKE) --no-print-directory CC=clang BUILD=build/fuzz SANITIZE=address,undefined OPT=-O1 \
	    CFLAGS="-g -fsanitize=fuzzer-no-link" FUZZ_LINK=-fsanitize=fuzzer fuzz-targets
	@tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS)

.PHONY: fuzz-targets
fuzz-targets: $(FUZZ_SRC:tests/fuzz/%.c=$(O)/fuzz/%)
$(O)/fuzz/fuzz_%: $(O)/obj/tests/fuzz/fuzz_%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(SAN) $(FUZZ_LINK) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(ALL_LIBS)
