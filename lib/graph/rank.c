#include "graph/rank.h"

#include <string.h>

struct ranks {
    const struct tsr_graph *g;
    const struct tsr_node *node;
    const int *of; /* per value */
};

static int in(const struct ranks *r, int k)
{
    return k < r->node->n_in && r->node->in[k] >= 0 ? r->of[r->node->in[k]] : -1;
}

static bool named(const char *const *list, size_t n, const char *op_type)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], op_type) == 0) return true;
    return false;
}
#define NAMED(list, node) named(list, sizeof(list) / sizeof *(list), (node)->op_type)

/* The length of a list: of the attribute, else of input k if that is stored; -1 where neither is there. */
static int64_t listed(const struct ranks *r, const char *attr, int k)
{
    size_t n;
    if (tsr_node_ints(r->node, attr, &n) != NULL) return n <= TSR_MAX_RANK ? (int64_t)n : -1;
    const struct tsr_tensor *t = k < r->node->n_in ? tsr_graph_constant(r->g, r->node->in[k]) : NULL;
    return t != NULL && tsr_tensor_count(t) <= TSR_MAX_RANK ? tsr_tensor_count(t) : -1;
}

/* A list of sizes that is computed: pieces joined by Concat, as exporters write them. */
static int64_t joined(const struct ranks *r, int k)
{
    const struct tsr_node *node = k < r->node->n_in ? tsr_graph_producer(r->g, r->node->in[k]) : NULL;
    int64_t n = 0;
    if (node == NULL) return -1;
    if (tsr_node_is(node, "Shape") && node->opset < 15) return node->in[0] >= 0 ? r->of[node->in[0]] : -1;
    if (!tsr_node_is(node, "Concat")) return -1;
    for (int i = 0; i < node->n_in; i++) {
        const struct tsr_tensor *t = tsr_graph_constant(r->g, node->in[i]);
        const struct tsr_node *piece = tsr_graph_producer(r->g, node->in[i]);
        if (t != NULL && tsr_tensor_count(t) <= TSR_MAX_RANK) n += tsr_tensor_count(t);
        else if (piece != NULL && tsr_node_is(piece, "Unsqueeze") && piece->in[0] >= 0 && r->of[piece->in[0]] == 0) n++;
        else return -1;
        if (n > TSR_MAX_RANK) return -1;
    }
    return n;
}

/* Of operators that stretch their inputs to each other. */
static int stretched(const struct ranks *r)
{
    int most = -1;
    for (int k = 0; k < r->node->n_in; k++) {
        if (in(r, k) < 0) return -1;
        if (in(r, k) > most) most = in(r, k);
    }
    return most;
}

static int plus(int rank, int64_t more) { return rank < 0 || more < 0 ? -1 : rank + (int)more; }

static int rank_of(const struct ranks *r)
{
    static const char *const stretch[] = {"Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean",
                                          "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor"};
    static const char *const keep[] = {
        "Abs", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Concat", "Conv", "ConvTranspose", "CumSum",
        "DequantizeLinear", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid",
        "HardSwish", "Hardmax", "Identity", "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax",
        "LpPool", "MaxPool", "Mish", "Neg", "Not", "PRelu", "Pad", "QuantizeLinear", "Reciprocal", "Relu", "Resize", "Round", "Selu",
        "Sigmoid", "Sign", "Slice", "Softmax", "Softplus", "Softsign", "Split", "Sqrt", "Tanh", "Tile", "TopK", "Upsample"};
    const struct tsr_node *node = r->node;
    if (node->domain[0] != '\0') return -1;
    if (NAMED(stretch, node)) return stretched(r);
    if (NAMED(keep, node)) return in(r, 0);
    if (strcmp(node->op_type, "Shape") == 0) return 1;
    if (strcmp(node->op_type, "Gemm") == 0 || strcmp(node->op_type, "Flatten") == 0) return 2;
    if (strcmp(node->op_type, "MatMul") == 0) {
        const int most = stretched(r);
        return most < 2 || in(r, 0) < 2 || in(r, 1) < 2 ? -1 : most;
    }
    if (strcmp(node->op_type, "Transpose") == 0) return in(r, 0) >= 0 ? in(r, 0) : (int)listed(r, "perm", node->n_in);
    if (strcmp(node->op_type, "Reshape") == 0) return (int)(listed(r, "shape", 1) >= 0 ? listed(r, "shape", 1) : joined(r, 1));
    if (strcmp(node->op_type, "Gather") == 0) return in(r, 0) < 1 ? -1 : plus(in(r, 0) - 1, in(r, 1));
    if (strcmp(node->op_type, "Unsqueeze") == 0) return plus(in(r, 0), listed(r, "axes", 1));
    if (strcmp(node->op_type, "Squeeze") == 0) {
        const int64_t less = listed(r, "axes", 1);
        return less < 0 || in(r, 0) < less ? -1 : in(r, 0) - (int)less;
    }
    if (strncmp(node->op_type, "Reduce", 6) == 0 && tsr_node_int(node, "keepdims", 1) != 0) return in(r, 0);
    return -1;
}

void tsr_graph_ranks(const struct tsr_graph *g, int *rank)
{
    for (size_t v = 0; v < g->n_value; v++) {
        const struct tsr_tensor *t = tsr_graph_constant(g, (int32_t)v);
        rank[v] = t != NULL ? t->shape.rank : g->value[v].shape.rank;
    }
    for (size_t i = 0; i < g->n_node; i++) {
        const struct ranks r = {g, &g->node[i], rank};
        const int found = rank_of(&r);
        for (int k = 0; k < g->node[i].n_out; k++) {
            const int32_t v = g->node[i].out[k];
            /* further outputs: pieces of Split, places of TopK; of others it is not said */
            const bool alike = k == 0 || tsr_node_is(&g->node[i], "Split") || tsr_node_is(&g->node[i], "TopK");
            if (v >= 0 && rank[v] < 0 && alike && found <= TSR_MAX_RANK) rank[v] = found;
        }
    }
}
