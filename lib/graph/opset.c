#include "graph/opset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Operators of the standard domain that came after version 7, and the version they came with
 * (docs/Changelog.md of the ONNX project). Sorted by name. */
static const struct since {
    const char *op;
    int version;
} since[] = {
    {"Acosh", 9}, {"AffineGrid", 20}, {"Asinh", 9}, {"Atanh", 9}, {"Attention", 23}, {"Bernoulli", 15}, {"BitCast", 26},
    {"BitShift", 11}, {"BitwiseAnd", 18}, {"BitwiseNot", 18}, {"BitwiseOr", 18}, {"BitwiseXor", 18}, {"BlackmanWindow", 17},
    {"CastLike", 15}, {"CausalConvWithState", 27}, {"Celu", 12}, {"CenterCropPad", 18}, {"Col2Im", 18}, {"Compress", 9},
    {"ConcatFromSequence", 11}, {"ConstantOfShape", 9}, {"ConvInteger", 10}, {"Cosh", 9}, {"CumProd", 26}, {"CumSum", 11},
    {"DFT", 17}, {"DeformConv", 19}, {"DequantizeLinear", 10}, {"Det", 11}, {"DynamicQuantizeLinear", 11}, {"Einsum", 12},
    {"Erf", 9}, {"Expand", 8}, {"EyeLike", 9}, {"GatherElements", 11}, {"GatherND", 11}, {"Gelu", 20},
    {"GreaterOrEqual", 12}, {"GridSample", 16}, {"GroupNormalization", 18}, {"HammingWindow", 17}, {"HannWindow", 17},
    {"HardSwish", 14}, {"ImageDecoder", 20}, {"IsInf", 10}, {"IsNaN", 9}, {"LayerNormalization", 17}, {"LessOrEqual", 12},
    {"LinearAttention", 27}, {"MatMulInteger", 10}, {"MaxUnpool", 9}, {"MeanVarianceNormalization", 9},
    {"MelWeightMatrix", 17}, {"Mish", 18}, {"Mod", 10}, {"NegativeLogLikelihoodLoss", 12}, {"NonMaxSuppression", 10},
    {"NonZero", 9}, {"OneHot", 9}, {"Optional", 15}, {"OptionalGetElement", 15}, {"OptionalHasElement", 15},
    {"QLinearConv", 10}, {"QLinearMatMul", 10}, {"QuantizeLinear", 10}, {"RMSNormalization", 23}, {"Range", 11},
    {"RegexFullMatch", 20}, {"Resize", 10}, {"ReverseSequence", 10}, {"RoiAlign", 10}, {"RotaryEmbedding", 23}, {"Round", 11},
    {"STFT", 17}, {"Scan", 8}, {"Scatter", 9}, {"ScatterElements", 11}, {"ScatterND", 11}, {"SequenceAt", 11},
    {"SequenceConstruct", 11}, {"SequenceEmpty", 11}, {"SequenceErase", 11}, {"SequenceInsert", 11}, {"SequenceLength", 11},
    {"SequenceMap", 17}, {"Shrink", 9}, {"Sign", 9}, {"Sinh", 9}, {"SoftmaxCrossEntropyLoss", 12}, {"SplitToSequence", 11},
    {"StringConcat", 20}, {"StringNormalizer", 10}, {"StringSplit", 20}, {"SwiGLU", 28}, {"Swish", 24}, {"TensorScatter", 24},
    {"TfIdfVectorizer", 9}, {"ThresholdedRelu", 10}, {"Trilu", 14}, {"Unique", 11}, {"Where", 9},
};

/* Arguments that were attributes before `version` and are inputs from it on, and attributes that came
 * with it: what tells an older or a newer form from the declared one. */
static const struct form {
    const char *op;
    int version;
    const char *old_attr; /* only before; NULL: none */
    int new_in;           /* as many inputs only from the version on; 0: says nothing */
    const char *new_attr; /* only from the version on; NULL: none */
} forms[] = {
    {"BatchNormalization", 14, NULL, 0, "training_mode"},
    {"Clip", 11, "min", 2, NULL},
    {"Clip", 11, "max", 2, NULL},
    {"Dropout", 12, "ratio", 2, NULL},
    {"GRU", 14, NULL, 0, "layout"},
    {"LSTM", 14, NULL, 0, "layout"},
    {"Pad", 11, "pads", 2, NULL},
    {"Pad", 18, NULL, 4, NULL},
    {"RNN", 14, NULL, 0, "layout"},
    {"ReduceL1", 18, "axes", 2, NULL},
    {"ReduceL2", 18, "axes", 2, NULL},
    {"ReduceLogSum", 18, "axes", 2, NULL},
    {"ReduceLogSumExp", 18, "axes", 2, NULL},
    {"ReduceMax", 18, "axes", 2, NULL},
    {"ReduceMean", 18, "axes", 2, NULL},
    {"ReduceMin", 18, "axes", 2, NULL},
    {"ReduceProd", 18, "axes", 2, NULL},
    {"ReduceSum", 13, "axes", 2, NULL},
    {"ReduceSumSquare", 18, "axes", 2, NULL},
    {"Reshape", 5, "shape", 2, NULL},
    {"Resize", 11, NULL, 3, "coordinate_transformation_mode"},
    {"Resize", 18, NULL, 0, "antialias"},
    {"Resize", 18, NULL, 0, "axes"},
    {"Shape", 15, NULL, 0, "start"},
    {"Shape", 15, NULL, 0, "end"},
    {"Slice", 10, "starts", 3, NULL},
    {"Split", 13, "split", 2, NULL},
    {"Split", 18, NULL, 0, "num_outputs"},
    {"Squeeze", 13, "axes", 2, NULL},
    {"TopK", 10, "k", 2, NULL},
    {"Unsqueeze", 13, "axes", 2, NULL},
    {"Upsample", 9, "scales", 2, NULL},
};

/* A list of operators for one sentence, each once; cut when full. */
struct names {
    char text[240];
    size_t n;
};

static void note(struct names *list, const char *op, int version)
{
    char entry[64];
    int k = snprintf(entry, sizeof entry, "%s%.40s (%d)", list->n ? ", " : "", op, version);
    if (k < 0 || strstr(list->text, list->n ? entry + 2 : entry) != NULL || list->n + (size_t)k >= sizeof list->text) return;
    memcpy(list->text + list->n, entry, (size_t)k + 1);
    list->n += (size_t)k;
}

static int by_op(const void *key, const void *row) { return strcmp(key, ((const struct since *)row)->op); }

static int came_with(const char *op)
{
    const struct since *hit = bsearch(op, since, sizeof since / sizeof *since, sizeof *since, by_op);
    return hit != NULL ? hit->version : 1;
}

/* The version whose form the node has, as near to `declared` as possible. */
static int version_of_form(const struct tsr_node *node, int declared)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct form *f = &forms[i];
        if (strcmp(f->op, node->op_type) != 0) continue;
        bool newer = (f->new_in > 0 && node->n_in >= f->new_in) || (f->new_attr != NULL && tsr_node_attr(node, f->new_attr) != NULL);
        bool older = !newer && f->old_attr != NULL && tsr_node_attr(node, f->old_attr) != NULL;
        if (newer && declared < f->version) declared = f->version;
        if (older && declared >= f->version) declared = f->version - 1;
    }
    return declared;
}

static int64_t declared_of(const struct tsr_graph *g, const char *domain)
{
    for (size_t i = 0; i < g->n_opset; i++)
        if (strcmp(g->opset[i].domain, domain) == 0) return g->opset[i].version;
    return 0;
}

static enum tsr_status check_standard(struct tsr_graph *g, int64_t declared, struct tsr_error *err)
{
    if (declared < 1) {
        TSR_TRY(tsr_graph_opset(g, "", TSR_OPSET_ASSUMED, err)); /* so that what is written says it */
        return tsr_graph_warn(g, err, "the model does not say which version of the operator set it uses; it is read as version %d",
                              TSR_OPSET_ASSUMED);
    }
    if (declared > TSR_OPSET_NEWEST)
        return tsr_graph_warn(g, err, "the model uses version %lld of the operator set, and this program knows them up to %d; "
                              "operators that changed since are read as they were", (long long)declared, TSR_OPSET_NEWEST);
    return TSR_OK;
}

enum tsr_status tsr_opset_settle(struct tsr_graph *g, struct tsr_error *err)
{
    struct names newer = {.n = 0}, older = {.n = 0};
    const int64_t standard = declared_of(g, "");
    bool uses_standard = false;
    int assumed = standard < 1 ? TSR_OPSET_ASSUMED : standard > 1000 ? 1000 : (int)standard;
    for (size_t i = 0; i < g->n_node; i++) {
        struct tsr_node *node = &g->node[i];
        if (node->opset != 0) continue; /* an earlier call has said so */
        if (node->domain[0] != '\0') {
            int64_t version = declared_of(g, node->domain);
            node->opset = version > 0 && version < 1000 ? (int)version : 1;
            continue;
        }
        uses_standard = true;
        int first = came_with(node->op_type), version = first > assumed ? first : assumed;
        node->opset = version_of_form(node, version);
        if (standard > 0 && node->opset > assumed) note(&newer, node->op_type, node->opset);
        if (standard > 0 && node->opset < assumed) note(&older, node->op_type, node->opset);
    }
    if (uses_standard) TSR_TRY(check_standard(g, standard, err));
    if (newer.n > 0)
        TSR_TRY(tsr_graph_warn(g, err, "the model declares version %d of the operator set but uses operators of newer ones, "
                               "which are run as those say: %s", assumed, newer.text));
    if (older.n > 0)
        TSR_TRY(tsr_graph_warn(g, err, "the model declares version %d of the operator set but uses operators as older ones have "
                               "them, which are run as those say: %s", assumed, older.text));
    return TSR_OK;
}
