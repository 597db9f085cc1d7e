# data.mk - included by the Makefile: the generator of our own tasks and what it made for testdata/.
DATA_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard scripts/data/*.c)))
MAKE_DATA := $(O)/tools/make-data

$(MAKE_DATA): $(O)/obj/scripts/make-data.o $(DATA_OBJ) $(SHARED) $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) $(SHARED) $(LIB) $(ALL_LIBS)

$(O)/tests/test_data: $(O)/obj/tests/unit/test_data.o $(DATA_OBJ) $(SHARED) $(LIB)
	@mkdir -p $(@D)
	$(call run,LINK) $(CC) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) $(SHARED) $(LIB) $(CHECK_LIBS) $(ALL_LIBS)

# Writes testdata/glyphs and testdata/sensors anew; test_data checks that they are what this makes.
.PHONY: testdata
testdata: $(MAKE_DATA)
	@for task in glyphs sensors; do \
	    mkdir -p testdata/$$task; \
	    for set in train:1200 ref:400 test:400; do \
	        split=$${set%%:*}; count=$${set#*:}; \
	        $(MAKE_DATA) $$task --split $$split --count $$count --seed 1 --type float16 \
	            -x testdata/$$task/$$split-x.npy -y testdata/$$task/$$split-y.npy || exit 1; \
	    done; \
	done
