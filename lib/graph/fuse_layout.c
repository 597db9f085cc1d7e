/* fuse_layout.c - convolutions, and what stands between them, become channels-last.
 *
 * A region grows from every convolution along its outputs: each value of it gets a twin, channels last,
 * and each node is written anew over the twins. A convolution reads a value from outside as it is
 * (attribute `first`). Where a value of the region is asked for, or read from outside, a Transpose makes it
 * from its twin. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "graph/fuse_impl.h"

struct layout {
    struct tsr_fuse *f;
    int32_t *twin;       /* per value: its twin, or -1 */
    int *rank;           /* per value with a twin */
    bool *moved;         /* per node: written anew */
    size_t n_value, n_node; /* before any was added */
};

static bool is_one_of(const struct tsr_node *node, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tsr_node_is(node, names[i])) return true;
    return false;
}
#define ONE_OF(node, names) is_one_of(node, names, sizeof(names) / sizeof *(names))

static int32_t twin_of(const struct layout *l, int32_t v) { return v >= 0 && (size_t)v < l->n_value ? l->twin[v] : -1; }

/* The twin of v, made here. */
static enum tsr_status new_twin(struct layout *l, int32_t v, int rank, int32_t *id)
{
    char name[512];
    int n = 0;
    do (void)snprintf(name, sizeof name, "%.480s.last%d", l->f->g->value[v].name, n++);
    while (tsr_graph_find(l->f->g, name) >= 0);
    TSR_TRY(tsr_graph_value(l->f->g, name, id, l->f->err));
    l->twin[v] = *id;
    l->rank[v] = rank;
    return TSR_OK;
}

/* Node i as `op_type` over these inputs, giving `out`, with its own attributes. */
static enum tsr_status rewrite(struct layout *l, size_t i, const char *op_type, const char *domain, int n_in, const int32_t *in,
                               int32_t out)
{
    struct tsr_graph *g = l->f->g;
    TSR_TRY(tsr_fuse_begin(l->f, op_type, domain, n_in, in, out));
    struct tsr_node *made = &g->node[g->n_node - 1], *old = &g->node[i];
    made->opset = old->opset;
    made->attr = old->attr, made->n_attr = old->n_attr;
    old->attr = NULL, old->n_attr = 0;
    l->moved[i] = true;
    return TSR_OK;
}

/* The first n inputs of node i. */
static void copy_inputs(const struct layout *l, size_t i, int n, int32_t *in)
{
    for (int k = 0; k < n; k++) in[k] = l->f->g->node[i].in[k];
}

/* ---- the nodes that a region takes in; each says in *done whether it did --------------------- */

static enum tsr_status convolution(struct layout *l, size_t i, bool *done)
{
    const struct tsr_node *node = &l->f->g->node[i];
    int32_t in[3], out = node->out[0], id;
    if (!tsr_node_is(node, "Conv") || node->n_out != 1 || node->n_in > 3) return TSR_OK;
    const struct tsr_tensor *w = tsr_fuse_weight(l->f, node->in[1]);
    if (w == NULL || w->dtype != TSR_F32 || w->shape.rank < 3 || w->shape.rank > 4) return TSR_OK;
    const int n = node->n_in, rank = w->shape.rank;
    copy_inputs(l, i, n, in);
    const bool first = twin_of(l, in[0]) < 0;
    if (!first) in[0] = twin_of(l, in[0]);
    TSR_TRY(new_twin(l, out, rank, &id));
    TSR_TRY(rewrite(l, i, "Conv", "tessera", n, in, id));
    if (first) TSR_TRY(tsr_graph_attr_int(l->f->g, "first", 1, l->f->err));
    *done = true;
    return TSR_OK;
}

static enum tsr_status pooling(struct layout *l, size_t i, bool *done)
{
    static const char *const pools[] = {"MaxPool", "AveragePool"};
    const struct tsr_node *node = &l->f->g->node[i];
    int32_t in = twin_of(l, node->in[0]), out = node->out[0], id;
    if (!ONE_OF(node, pools) || in < 0 || (node->n_out > 1 && node->out[1] >= 0)) return TSR_OK;
    const char *name = pools[tsr_node_is(node, pools[1])];
    TSR_TRY(new_twin(l, out, l->rank[node->in[0]], &id));
    *done = true;
    return rewrite(l, i, name, "tessera", 1, &in, id);
}

/* ReduceMean over all spatial axes and no other. */
static bool means_over_space(const struct layout *l, const struct tsr_node *node, int rank)
{
    int64_t axis[TSR_MAX_RANK];
    int n;
    unsigned seen = 0;
    if (!tsr_fuse_ints(l->f, node, "axes", 1, axis, TSR_MAX_RANK, &n)) return false;
    for (int k = 0; k < n; k++) {
        int64_t a = axis[k] < 0 ? axis[k] + rank : axis[k];
        if (a < 2 || a >= rank) return false;
        seen |= 1u << a;
    }
    return seen == (1u << rank) - 4;
}

/* What is left of a mean over space has no layout: it is the old value that is made. */
static enum tsr_status global_mean(struct layout *l, size_t i, bool *done)
{
    const struct tsr_node *node = &l->f->g->node[i];
    const int32_t in = twin_of(l, node->in[0]), out = node->out[0];
    const bool pool = tsr_node_is(node, "GlobalAveragePool");
    if (in < 0 || (!pool && (!tsr_node_is(node, "ReduceMean") || !means_over_space(l, node, l->rank[node->in[0]])))) return TSR_OK;
    const int64_t keep = pool ? 1 : tsr_node_int(node, "keepdims", 1);
    TSR_TRY(tsr_fuse_begin(l->f, "GlobalAveragePool", "tessera", 1, &in, out));
    TSR_TRY(tsr_graph_attr_int(l->f->g, "keepdims", keep, l->f->err));
    l->moved[i] = *done = true;
    return TSR_OK;
}

static enum tsr_status normalisation(struct layout *l, size_t i, bool *done)
{
    const struct tsr_node *node = &l->f->g->node[i];
    int32_t in[5], out = node->out[0], id;
    if (!tsr_node_is(node, "BatchNormalization") && !tsr_node_is_of(node, "tessera", "BatchNormalization")) return TSR_OK;
    if (twin_of(l, node->in[0]) < 0 || node->n_out != 1 || node->n_in != 5 || tsr_node_int(node, "training_mode", 0) != 0 ||
        (node->domain[0] == '\0' && node->opset < 9 && tsr_node_int(node, "spatial", 1) == 0))
        return TSR_OK;
    copy_inputs(l, i, 5, in);
    TSR_TRY(new_twin(l, out, l->rank[in[0]], &id));
    in[0] = twin_of(l, in[0]);
    TSR_TRY(rewrite(l, i, "BatchNormalization", "tessera", 5, in, id));
    *done = true;
    return tsr_graph_attr_int(l->f->g, "last", 1, l->f->err);
}

/* Operators on every element alone: their other inputs are numbers. */
static enum tsr_status elementwise(struct layout *l, size_t i, bool *done)
{
    static const char *const names[] = {"Abs",     "Clip",     "Dropout", "Elu",     "Erf",      "Exp",      "Gelu",     "HardSigmoid",
                                        "HardSwish", "Identity", "LeakyRelu", "Mish", "Neg",     "Relu",     "Selu",     "Sigmoid",
                                        "Softplus", "Softsign", "Sqrt",    "Swish",   "Tanh",     "ThresholdedRelu"};
    const struct tsr_node *node = &l->f->g->node[i];
    int32_t in[3], out = node->out[0], id;
    if (!ONE_OF(node, names) || node->n_in > 3 || node->n_out != 1 || twin_of(l, node->in[0]) < 0) return TSR_OK;
    char *name = tsr_strdup(node->op_type); /* the nodes may move */
    if (name == NULL) return tsr_nomem(l->f->err, 1);
    const int n = node->n_in;
    copy_inputs(l, i, n, in);
    enum tsr_status status = new_twin(l, out, l->rank[in[0]], &id);
    in[0] = twin_of(l, in[0]);
    if (status == TSR_OK) status = rewrite(l, i, name, "", n, in, id);
    tsr_free(name);
    *done = true;
    return status;
}

/* An operand that is no twin: a single number, or a constant for each channel, which is then made a row.
 * *id: what to read instead, -1 where it does not fit. */
static enum tsr_status plain_operand(struct layout *l, int32_t v, int rank, int32_t *id)
{
    const struct tsr_tensor *t = tsr_fuse_constant(l->f, v);
    *id = -1;
    if (t == NULL || t->shape.rank > rank) return TSR_OK;
    if (tsr_tensor_count(t) == 1) {
        *id = t->shape.rank < rank ? v : -1;
        return TSR_OK;
    }
    const int channel = t->shape.rank - (rank - 1); /* where the channels are, from the right */
    if (channel < 0 || t->shape.dim[channel] != tsr_tensor_count(t)) return TSR_OK;
    struct tsr_tensor row = tsr_tensor_share(t);
    row.shape = (struct tsr_shape){.rank = 1, .dim = {tsr_tensor_count(t)}};
    return tsr_fuse_add(l->f, v, "row", &row, id);
}

static enum tsr_status binary(struct layout *l, size_t i, bool *done)
{
    static const char *const names[] = {"Add", "Sub", "Mul", "Div"};
    const struct tsr_node *node = &l->f->g->node[i];
    if (!ONE_OF(node, names) || node->n_in != 2) return TSR_OK;
    const char *name = names[0];
    for (size_t k = 1; k < 4; k++)
        if (tsr_node_is(node, names[k])) name = names[k];
    int32_t old[2] = {node->in[0], node->in[1]}, in[2] = {twin_of(l, old[0]), twin_of(l, old[1])}, out = node->out[0], id;
    if (in[0] < 0 && in[1] < 0) return TSR_OK;
    const int rank = l->rank[in[0] >= 0 ? old[0] : old[1]];
    if (in[0] >= 0 && in[1] >= 0 && l->rank[old[0]] != l->rank[old[1]]) return TSR_OK;
    for (int k = 0; k < 2; k++)
        if (in[k] < 0) TSR_TRY(plain_operand(l, old[k], rank, &in[k]));
    if (in[0] < 0 || in[1] < 0) return TSR_OK;
    TSR_TRY(new_twin(l, out, rank, &id));
    *done = true;
    return rewrite(l, i, name, "", 2, in, id);
}

static enum tsr_status concatenation(struct layout *l, size_t i, bool *done)
{
    enum { MOST = 8 };
    const struct tsr_node *node = &l->f->g->node[i];
    int32_t in[MOST], out = node->out[0], id;
    if (!tsr_node_is(node, "Concat") || node->n_in < 1 || node->n_in > MOST) return TSR_OK;
    const int n = node->n_in, rank = twin_of(l, node->in[0]) >= 0 ? l->rank[node->in[0]] : 0;
    const int64_t axis = tsr_node_int(node, "axis", 1);
    if (axis != 1 && axis != 1 - rank) return TSR_OK;
    for (int k = 0; k < n; k++) {
        in[k] = twin_of(l, node->in[k]);
        if (in[k] < 0 || l->rank[node->in[k]] != rank) return TSR_OK;
    }
    TSR_TRY(new_twin(l, out, rank, &id));
    TSR_TRY(tsr_fuse_begin(l->f, "Concat", "", n, in, id));
    l->moved[i] = *done = true;
    return tsr_graph_attr_int(l->f->g, "axis", -1, l->f->err);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* v from its twin. */
static enum tsr_status leave(struct layout *l, int32_t v)
{
    static const int64_t perm[2][4] = {{0, 2, 1}, {0, 3, 1, 2}};
    const int rank = l->rank[v];
    TSR_TRY(tsr_fuse_begin(l->f, "Transpose", "", 1, &l->twin[v], v));
    return tsr_graph_attr_ints(l->f->g, "perm", perm[rank - 3], (size_t)rank, l->f->err);
}

static enum tsr_status grow(struct layout *l)
{
    static enum tsr_status (*const kinds[])(struct layout *, size_t, bool *) = {convolution, pooling, global_mean, normalisation,
                                                                                elementwise, binary, concatenation};
    struct tsr_fuse *f = l->f;
    for (size_t i = 0; i < l->n_node; i++) {
        bool done = false;
        for (size_t k = 0; f->live[i] && !done && k < sizeof kinds / sizeof *kinds; k++)
            if (f->g->node[i].n_in > 0 && f->g->node[i].in[0] >= 0) TSR_TRY(kinds[k](l, i, &done));
    }
    for (size_t v = 0; v < l->n_value; v++) {
        if (l->twin[v] < 0) continue;
        bool read = f->keep[v];
        for (size_t i = 0; i < l->n_node && !read; i++) {
            const struct tsr_node *node = &f->g->node[i];
            for (int k = 0; f->live[i] && !l->moved[i] && k < node->n_in; k++) read = read || node->in[k] == (int32_t)v;
        }
        if (read) TSR_TRY(leave(l, (int32_t)v));
    }
    return TSR_OK;
}

enum tsr_status tsr_fuse_layout(struct tsr_fuse *f)
{
    struct layout l = {.f = f, .n_value = f->g->n_value, .n_node = f->g->n_node};
    l.twin = tsr_malloc(l.n_value + 1, sizeof *l.twin);
    l.rank = tsr_calloc(l.n_value + 1, sizeof *l.rank);
    l.moved = tsr_calloc(l.n_node + 1, sizeof *l.moved);
    enum tsr_status status = l.twin != NULL && l.rank != NULL && l.moved != NULL ? TSR_OK : tsr_nomem(f->err, l.n_value * sizeof *l.twin);
    for (size_t v = 0; status == TSR_OK && v < l.n_value; v++) l.twin[v] = -1;
    if (status == TSR_OK) status = grow(&l);
    size_t n = 0; /* without what was moved, or is dead */
    for (size_t i = 0; status == TSR_OK && i < f->g->n_node; i++) {
        if (i < l.n_node && (l.moved[i] || !f->live[i])) tsr_node_release(&f->g->node[i]);
        else f->g->node[n++] = f->g->node[i];
    }
    if (status == TSR_OK) {
        f->g->n_node = n;
        status = tsr_graph_finish(f->g, f->err); /* in an order in which they can run */
    }
    if (status == TSR_OK) status = tsr_fuse_refresh(f);
    tsr_free(l.twin);
    tsr_free(l.rank);
    tsr_free(l.moved);
    return status;
}
