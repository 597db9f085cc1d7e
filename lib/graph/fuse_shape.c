/* fuse_shape.c - shapes as far as they are known before any run, for passes that need to know that two values
 * are alike. The first dimension of an input, where it is open, counts as BATCH: what is said about two
 * shapes that depend on it must hold for any number. */
#include <string.h>

#include "base/mem.h"
#include "graph/fuse_impl.h"

enum { BATCH = 9973 }; /* unlike any dimension that files have */

/* Its shape tells its output's, given the elements of the inputs after the first. */
static bool reads_constants(const struct tsr_node *node)
{
    static const char *const known[] = {"Clip", "Reshape", "Squeeze", "Unsqueeze", "ReduceMean", "Flatten"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (tsr_node_is(node, known[i])) return true;
    return false;
}

/* What the value is before any run: dtype NONE where its shape is unknown; data where it is a constant. */
static struct tsr_tensor initial(const struct tsr_fuse *f, int32_t v)
{
    const struct tsr_value *x = &f->g->value[v];
    struct tsr_tensor t = {0};
    if (x->is_init) return x->init; /* borrowed */
    if (!x->is_input || x->dtype == TSR_NONE || x->shape.rank < 0) return t;
    t.shape = x->shape;
    for (int i = 0; i < t.shape.rank; i++) {
        if (t.shape.dim[i] >= 0) continue;
        if (i > 0) return t;
        t.shape.dim[i] = BATCH;
    }
    t.dtype = x->dtype;
    return t;
}

/* Asks the operator for the shapes of its outputs, where they follow from what is known. */
static void infer(const struct tsr_fuse *f, const struct tsr_node *node, struct tsr_tensor *known)
{
    enum { MOST = 8 };
    const struct tsr_tensor *in[MOST];
    struct tsr_tensor out[MOST] = {{0}};
    bool want[MOST], data = node->op != NULL && (node->op->flags & TSR_OP_DATA_SHAPE);
    struct tsr_error ignored;
    if (node->op == NULL || node->op->infer == NULL || node->n_in > MOST || node->n_out > MOST || (data && !reads_constants(node))) return;
    if (node->n_out > 0 && tsr_fuse_constant(f, node->out[0]) != NULL) return; /* known, elements and all */
    for (int k = 0; k < node->n_in; k++) {
        in[k] = node->in[k] >= 0 ? &known[node->in[k]] : NULL;
        if (in[k] == NULL) continue;
        if (in[k]->dtype == TSR_NONE || (data && k > 0 && tsr_fuse_constant(f, node->in[k]) == NULL)) return;
    }
    for (int k = 0; k < node->n_out; k++) want[k] = node->out[k] >= 0;
    struct tsr_op_ctx ctx = {.node = node, .in = in, .out = out, .want_out = want, .err = &ignored};
    if (node->op->infer(&ctx) != TSR_OK) return; /* the run will say why */
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0) known[node->out[k]] = (struct tsr_tensor){.dtype = out[k].dtype, .shape = out[k].shape};
}

enum tsr_status tsr_fuse_shapes(struct tsr_fuse *f)
{
    const struct tsr_graph *g = f->g;
    struct tsr_tensor *known = tsr_calloc(g->n_value + 1, sizeof *known);
    tsr_free(f->shape);
    f->shape = tsr_calloc(g->n_value + 1, sizeof *f->shape);
    f->n_shape = f->shape != NULL ? g->n_value : 0;
    if (known == NULL || f->shape == NULL) {
        tsr_free(known);
        return tsr_nomem(f->err, (g->n_value + 1) * sizeof *known);
    }
    for (size_t v = 0; v < g->n_value; v++) {
        known[v] = initial(f, (int32_t)v);
        const struct tsr_tensor *constant = tsr_fuse_constant(f, (int32_t)v);
        if (known[v].dtype == TSR_NONE && constant != NULL) known[v] = *constant;
    }
    for (size_t i = 0; i < g->n_node; i++)
        if (f->live[i]) infer(f, &g->node[i], known);
    for (size_t v = 0; v < g->n_value; v++) {
        f->shape[v] = known[v].shape;
        if (known[v].dtype == TSR_NONE) f->shape[v].rank = -1;
    }
    tsr_free(known);
    return TSR_OK;
}

bool tsr_fuse_alike(const struct tsr_fuse *f, int32_t a, int32_t b)
{
    if (a < 0 || b < 0 || (size_t)a >= f->n_shape || (size_t)b >= f->n_shape) return false;
    return f->shape[a].rank >= 0 && tsr_shape_equal(&f->shape[a], &f->shape[b]);
}
