#include "graph/head.h"

#include <string.h>

static const struct tsr_node *producer(const struct tsr_graph *g, int32_t v)
{
    return v >= 0 && g->value[v].producer >= 0 ? &g->node[g->value[v].producer] : NULL;
}

static bool is(const struct tsr_node *node, const char *op_type)
{
    return node != NULL && node->domain[0] == '\0' && strcmp(node->op_type, op_type) == 0;
}

static bool is_matrix(const struct tsr_graph *g, int32_t v)
{
    return v >= 0 && g->value[v].is_init && g->value[v].init.shape.rank == 2 && g->value[v].init.dtype == TSR_F32;
}

static bool from_gemm(const struct tsr_graph *g, const struct tsr_node *node, struct tsr_head *h)
{
    if (!is(node, "Gemm") || !is_matrix(g, node->in[1])) return false;
    if (tsr_node_int(node, "transA", 0) != 0 || tsr_node_float(node, "alpha", 1) != 1 ||
        tsr_node_float(node, "beta", 1) != 1)
        return false;
    int32_t bias = node->n_in > 2 ? node->in[2] : -1;
    if (bias >= 0 && !g->value[bias].is_init) return false;
    h->features = node->in[0];
    h->weight = node->in[1];
    h->bias = bias;
    h->trans_b = tsr_node_int(node, "transB", 0) != 0;
    return true;
}

static bool from_matmul(const struct tsr_graph *g, const struct tsr_node *node, struct tsr_head *h)
{
    h->bias = -1;
    if (is(node, "Add"))
        for (int k = 0; k < 2; k++) {
            const struct tsr_node *product = producer(g, node->in[1 - k]);
            if (node->in[k] >= 0 && g->value[node->in[k]].is_init && is(product, "MatMul")) {
                h->bias = node->in[k];
                node = product;
                break;
            }
        }
    if (!is(node, "MatMul") || !is_matrix(g, node->in[1])) return false;
    h->features = node->in[0];
    h->weight = node->in[1];
    h->trans_b = false;
    return true;
}

enum tsr_status tsr_graph_head(const struct tsr_graph *g, struct tsr_head *head, struct tsr_error *err)
{
    *head = (struct tsr_head){.bias = -1};
    int32_t v = g->n_output > 0 ? g->output[0] : -1;
    const struct tsr_node *node = producer(g, v);
    for (;;) {
        bool soft = is(node, "Softmax") || is(node, "LogSoftmax");
        if (!soft && !is(node, "Identity") && !is(node, "Dropout") && !is(node, "Cast")) break;
        head->softmax = head->softmax || soft;
        v = node->in[0];
        node = producer(g, v);
    }
    head->logits = v;
    if (node == NULL || !(from_gemm(g, node, head) || from_matmul(g, node, head)))
        return tsr_fail(err, TSR_E_NOT_FOUND,
                        "the model does not end in a linear layer; name the layer to use with --layer");
    const struct tsr_shape *w = &g->value[head->weight].init.shape;
    head->d = w->dim[head->trans_b ? 1 : 0];
    head->classes = w->dim[head->trans_b ? 0 : 1];
    return TSR_OK;
}
