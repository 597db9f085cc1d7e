# sweep.mk - brings a float model to fewer and fewer bits, measures how far each drifts from it, and
# fails where one drifts too far. Copy it into your project and change the settings, or set them on the
# command line:
#
#     make -f sweep.mk MODEL=student.onnx CALIBRATE=ref.npy TEST=test.npy
#
# What it makes, in $(OUT): the models NAME.GRID.onnx; their answers to the test samples as token
# streams; drift.html, all of them side by side, for people; GRID.xml, the gates as JUnit's XML, for
# continuous integration. A second run does only what has changed.

MODEL     ?= model.onnx
# Samples that ranges are learnt from, and others like them that drift is measured on. No labels are needed.
CALIBRATE ?= ref.npy
TEST      ?= test.npy
# True classes of the test samples, where there are some: adds accuracy to the reports.
LABELS    ?=
# Grids to try (tessera-quantize --to), and tensors to compare layer by layer (tessera-inspect -v names them).
GRIDS     ?= f16 int8 w4a8 int4
LAYERS    ?=
OUT       ?= sweep

# What each grid is held to: GATES_GRID, else GATES. See GATES in tessera-drift(1); a gate that cannot be
# decided on so few samples fails the build, too, and says how many would do. CONFIDENCE is that of all
# gates of one grid together.
GATES      ?= top1>=0.97 kl<=0.02
GATES_f16  ?= top1>=0.99 kl<=0.001
GATES_int4 ?= top1>=0.90 kl<=0.10
CONFIDENCE ?= 0.99

NAME    := $(basename $(notdir $(MODEL)))
MODELS  := $(GRIDS:%=$(OUT)/$(NAME).%.onnx)
STREAMS := $(GRIDS:%=$(OUT)/%.tsr)
EXTRACT  = tessera-extract --views 0 $(if $(LAYERS),$(addprefix --layer ,$(LAYERS)),--mode b)
DRIFT    = tessera-drift --confidence $(CONFIDENCE) $(if $(LABELS),--labels $(LABELS))
gates    = $(foreach g,$(or $(GATES_$1),$(GATES)),--gate '$(g)')

.PHONY: all models verdicts predict clean-sweep
.DELETE_ON_ERROR:

all: $(OUT)/drift.html verdicts

models: $(MODELS)

$(OUT):
	mkdir -p $@

$(OUT)/$(NAME).%.onnx: $(MODEL) $(CALIBRATE) | $(OUT)
	tessera-quantize -m $(MODEL) --to $* -r $(CALIBRATE) -o $@

$(OUT)/float.tsr: $(MODEL) $(TEST) | $(OUT)
	$(EXTRACT) -m $(MODEL) $(TEST) -o $@

$(OUT)/%.tsr: $(OUT)/$(NAME).%.onnx $(TEST)
	$(EXTRACT) -m $< $(TEST) -o $@

$(OUT)/drift.html: $(OUT)/float.tsr $(STREAMS) $(LABELS)
	$(DRIFT) --html -o $@ --also $(OUT)/drift.json $(OUT)/float.tsr $(foreach g,$(GRIDS),$g=$(OUT)/$g.tsr)

# One verdict a grid; all are made before make fails.
verdicts: $(OUT)/float.tsr $(STREAMS)
	@failed=; \
	$(foreach g,$(GRIDS),$(DRIFT) $(call gates,$g) --junit -o $(OUT)/$g.xml $(OUT)/float.tsr $g=$(OUT)/$g.tsr || failed="$$failed $g";) \
	if test -n "$$failed"; then echo "drifted too far, or not decided:$$failed; see $(OUT)/drift.html" >&2; exit 1; fi

# Before anything is made: what the grids will do, from a teacher's tokens (TOKENS) and a few samples.
predict: $(MODEL) $(CALIBRATE)
	tessera-drift --predict -m $(MODEL) -r $(CALIBRATE) $(addprefix --grid ,$(GRIDS)) $(TOKENS)

clean-sweep:
	rm -rf $(OUT)
