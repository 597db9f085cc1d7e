#include "train/reach.h"

#include "base/mem.h"

/* Half precision, or integers of 16 bits and fewer. */
static bool is_narrow(const struct tsr_value *v)
{
    return v->is_init && v->init.shape.rank >= 2 && v->init.dtype != TSR_BOOL && tsr_dtype_bytes(v->init.dtype, 2) <= 4;
}

static void follow(const struct tsr_graph *g, bool *reached)
{
    for (size_t i = g->n_node; i-- > 0;) { /* the nodes stand in an order in which they can run */
        const struct tsr_node *node = &g->node[i];
        bool any = false;
        for (int k = 0; k < node->n_out; k++) any = any || (node->out[k] >= 0 && reached[node->out[k]]);
        if (!any || (node->op->backward == NULL && !(node->op->flags & TSR_OP_VIEW))) continue;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0) reached[node->in[k]] = true;
    }
}

enum tsr_status tsr_train_reach(const struct tsr_graph *g, const int32_t *value, size_t n, struct tsr_reach *out,
                                struct tsr_error *err)
{
    *out = (struct tsr_reach){0};
    bool *reached = tsr_calloc(g->n_value, sizeof *reached);
    if (reached == NULL) return tsr_nomem(err, g->n_value * sizeof *reached);
    for (size_t i = 0; i < n; i++) reached[value[i]] = true;
    follow(g, reached);
    for (size_t v = 0; v < g->n_value; v++) {
        if (g->value[v].trainable && reached[v]) out->trained += tsr_tensor_count(&g->value[v].init);
        out->narrow = out->narrow || is_narrow(&g->value[v]);
    }
    tsr_free(reached);
    if (out->trained > 0 || !out->narrow) return TSR_OK;
    return tsr_fail(err, TSR_E_UNSUPPORTED, "the model is stored in 16 bits or fewer and nothing of it can learn; take the "
                    "float model and quantise it afterwards, with tessera-decode --grid or tessera-quantize");
}
