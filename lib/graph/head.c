#include "graph/head.h"

#include <string.h>

static bool is(const struct tsr_node *node, const char *op_type)
{
    return node != NULL && tsr_node_is(node, op_type);
}

static bool on_grid(const struct tsr_node *node)
{
    return node != NULL && (strcmp(node->op_type, "DequantizeLinear") == 0 || strcmp(node->op_type, "QuantizeLinear") == 0 ||
                            strcmp(node->op_type, "FakeQuantize") == 0);
}

/* The initialiser that v is, or that it is made from on a grid or in another type; -1 where it is none. */
static int32_t stored(const struct tsr_graph *g, int32_t v, bool *plain)
{
    if (v >= 0 && g->value[v].is_init) {
        *plain = *plain && g->value[v].init.dtype == TSR_F32;
        return v;
    }
    const struct tsr_node *node = tsr_graph_producer(g, v);
    if (!(on_grid(node) || is(node, "Cast")) || node->in[0] < 0 || !g->value[node->in[0]].is_init) return -1;
    *plain = false;
    return node->in[0];
}

static bool matrix(const struct tsr_graph *g, int32_t v, struct tsr_head *h)
{
    h->weight = stored(g, v, &h->plain);
    return h->weight >= 0 && g->value[h->weight].init.shape.rank == 2;
}

static bool from_gemm(const struct tsr_graph *g, const struct tsr_node *node, struct tsr_head *h)
{
    if (!is(node, "Gemm") || !matrix(g, node->in[1], h)) return false;
    if (tsr_node_int(node, "transA", 0) != 0 || tsr_node_float(node, "alpha", 1) != 1 ||
        tsr_node_float(node, "beta", 1) != 1)
        return false;
    if (node->n_in > 2 && node->in[2] >= 0) {
        h->bias = stored(g, node->in[2], &h->plain);
        if (h->bias < 0) return false;
    }
    h->features = node->in[0];
    h->trans_b = tsr_node_int(node, "transB", 0) != 0;
    return true;
}

static bool from_matmul(const struct tsr_graph *g, const struct tsr_node *node, struct tsr_head *h)
{
    h->bias = -1;
    if (is(node, "Add"))
        for (int k = 0; k < 2; k++) {
            const struct tsr_node *product = tsr_graph_producer(g, node->in[1 - k]);
            if (!is(product, "MatMul")) continue;
            h->bias = stored(g, node->in[k], &h->plain);
            if (h->bias < 0) continue;
            node = product;
            break;
        }
    if (!is(node, "MatMul") || !matrix(g, node->in[1], h)) return false;
    h->features = node->in[0];
    h->trans_b = false;
    return true;
}

/* Integers that are known before any run: those of the attribute, else of input 1; NULL where they are not. */
static const int64_t *known(const struct tsr_graph *g, const struct tsr_node *node, const char *name, size_t *n)
{
    const int64_t *list = tsr_node_ints(node, name, n);
    const struct tsr_tensor *t = list == NULL && node->n_in > 1 ? tsr_graph_constant(g, node->in[1]) : NULL;
    if (t == NULL || t->dtype != TSR_I64 || t->data == NULL) return list;
    *n = (size_t)tsr_tensor_count(t);
    return t->data;
}

/* Does a row go through the node as it is: the same numbers, in the same order, of the same sample? */
static bool passes(const struct tsr_graph *g, const struct tsr_node *node)
{
    if (is(node, "Identity") || is(node, "Dropout") || is(node, "Cast") || on_grid(node)) return true;
    if (is(node, "Flatten")) return tsr_node_int(node, "axis", 1) == 1;
    bool reshape = is(node, "Reshape");
    size_t n = 0;
    const int64_t *k = reshape || is(node, "Squeeze") ? known(g, node, reshape ? "shape" : "axes", &n) : NULL;
    if (k == NULL || n == 0) return false;
    if (reshape) return k[0] == 0 && tsr_node_int(node, "allowzero", 0) == 0;
    int rank = g->value[node->in[0]].shape.rank;
    for (size_t i = 0; i < n; i++)
        if (k[i] < 0 ? k[i] + rank < 1 : k[i] == 0) return false;
    return true;
}

/* The node that gives v, behind what passes rows on. */
static const struct tsr_node *giver(const struct tsr_graph *g, int32_t v)
{
    const struct tsr_node *node = tsr_graph_producer(g, v);
    while (node != NULL && passes(g, node)) node = tsr_graph_producer(g, node->in[0]);
    return node;
}

struct tsr_logits tsr_graph_logits(const struct tsr_graph *g)
{
    struct tsr_logits l = {.value = g->n_output > 0 ? g->output[0] : -1, .softmax = -1};
    const struct tsr_node *node = giver(g, l.value);
    l.scores = l.value;
    if (is(node, "ArgMax")) {
        l.value = l.scores = node->in[0];
        node = giver(g, l.value);
    }
    if (!is(node, "Softmax") && !is(node, "LogSoftmax")) return l;
    l.value = node->in[0];
    l.softmax = node->out[0];
    l.log = is(node, "LogSoftmax");
    l.axis = tsr_node_int(node, "axis", node->opset < 13 ? 1 : -1);
    return l;
}

enum tsr_status tsr_graph_head(const struct tsr_graph *g, struct tsr_head *head, struct tsr_error *err)
{
    *head = (struct tsr_head){.bias = -1, .plain = true};
    int32_t v = tsr_graph_logits(g).value;
    const struct tsr_node *node = tsr_graph_producer(g, v);
    while (is(node, "Identity") || is(node, "Dropout") || is(node, "Cast")) {
        v = node->in[0];
        node = tsr_graph_producer(g, v);
    }
    head->logits = v;
    while (on_grid(node)) node = tsr_graph_producer(g, node->in[0]); /* outputs that are quantised, too */
    if (node == NULL || !(from_gemm(g, node, head) || from_matmul(g, node, head)))
        return tsr_fail(err, TSR_E_NOT_FOUND, "the model does not end in a linear layer");
    const struct tsr_shape *w = &g->value[head->weight].init.shape;
    head->d = w->dim[head->trans_b ? 1 : 0];
    head->classes = w->dim[head->trans_b ? 0 : 1];
    return TSR_OK;
}
