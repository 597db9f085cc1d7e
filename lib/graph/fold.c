/* fold.c - computes what follows from constants once, before the passes look at the graph: they then
 * see initialisers where an exporter spelt out how a number comes about. */
#include "base/mem.h"
#include "graph/fuse_impl.h"
#include "graph/session_impl.h"

#include <string.h>

/* Weights stored in few bits stay so: the passes that bring integer kernels look for them. */
static bool may_fold(const struct tsr_fuse *f, const struct tsr_session *s, size_t i)
{
    const struct tsr_node *node = &f->g->node[i];
    if (!f->live[i] || (node->op->flags & (TSR_OP_RANDOM | TSR_OP_DYNAMIC))) return false;
    if (strcmp(node->op_type, "DequantizeLinear") == 0 || strcmp(node->op_type, "QuantizeLinear") == 0) return false;
    for (int k = 0; k < node->n_in; k++) {
        int32_t v = node->in[k];
        if (v >= 0 && (!s->constant[v] || s->value[v].dtype == TSR_NONE)) return false;
    }
    return true;
}

/* A Constant's tensor is there already. */
static bool share_constant(struct tsr_session *s, const struct tsr_node *node)
{
    const struct tsr_attr *a = strcmp(node->op_type, "Constant") == 0 ? tsr_node_attr(node, "value") : NULL;
    if (a == NULL || a->type != TSR_ATTR_TENSOR || a->t.data == NULL || node->n_out < 1 || node->out[0] < 0) return false;
    tsr_tensor_release(&s->value[node->out[0]]);
    s->value[node->out[0]] = tsr_tensor_share(&a->t);
    s->constant[node->out[0]] = true;
    return true;
}

/* Computes all that can be. A node that fails is left where it is, to fail when it is asked for. */
static void compute(const struct tsr_fuse *f, struct tsr_session *s, bool *done)
{
    struct tsr_graph *g = f->g;
    s->folding = true;
    tsr_session_set_training(s, false, false);
    for (size_t v = 0; v < g->n_value; v++) {
        s->uses[v] = 1; /* every output is wanted */
        if (g->value[v].is_input) s->constant[v] = false; /* a default that the caller may replace */
    }
    for (size_t i = 0; i < g->n_node; i++) {
        if (!may_fold(f, s, i)) continue;
        done[i] = share_constant(s, &g->node[i]);
        if (done[i]) continue;
        done[i] = tsr_session_run_node(s, i, NULL) == TSR_OK;
        for (int k = 0; k < g->node[i].n_out; k++) {
            int32_t v = g->node[i].out[k];
            if (v >= 0 && !s->constant[v]) done[i] = false; /* passed over, or not given */
        }
    }
}

/* Values that are kept or read by a node that stays become initialisers. */
static enum tsr_status take_values(struct tsr_fuse *f, const struct tsr_session *s, const bool *done)
{
    struct tsr_graph *g = f->g;
    bool *read = tsr_calloc(g->n_value, sizeof *read);
    if (read == NULL) return tsr_nomem(f->err, g->n_value);
    for (size_t i = 0; i < g->n_node; i++)
        for (int k = 0; !done[i] && k < g->node[i].n_in; k++)
            if (g->node[i].in[k] >= 0) read[g->node[i].in[k]] = true;
    for (size_t i = 0; i < g->n_node; i++)
        for (int k = 0; done[i] && k < g->node[i].n_out; k++) {
            int32_t v = g->node[i].out[k];
            if (v < 0 || !(f->keep[v] || read[v])) continue;
            g->value[v].is_init = true;
            g->value[v].init = tsr_tensor_share(&s->value[v]);
        }
    tsr_free(read);
    return TSR_OK;
}

static void drop_nodes(struct tsr_graph *g, const bool *done)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_node; i++) {
        if (done[i]) tsr_node_release(&g->node[i]);
        else g->node[n++] = g->node[i];
    }
    g->n_node = n;
}

enum tsr_status tsr_fuse_fold(struct tsr_fuse *f)
{
    /* Training: parameters are no constants then. The limit is on scratch memory. */
    struct tsr_session_options options = {.training = f->training, .max_bytes = (size_t)256 << 20};
    struct tsr_session *s = NULL;
    bool *done = tsr_calloc(f->g->n_node, sizeof *done);
    if (done == NULL) return tsr_nomem(f->err, f->g->n_node);
    enum tsr_status status = tsr_session_new(f->g, &options, &s, f->err);
    if (status == TSR_OK) {
        compute(f, s, done);
        status = take_values(f, s, done);
    }
    tsr_session_free(s);
    if (status == TSR_OK) drop_nodes(f->g, done);
    tsr_free(done);
    return status == TSR_OK ? tsr_fuse_refresh(f) : status;
}
