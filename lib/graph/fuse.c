/* fuse.c - copies a graph, lets the passes rewrite the copy and finishes it. */
#include "graph/fuse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "graph/copy.h"
#include "graph/fuse_impl.h"

/* ---- looking at it -------------------------------------------------------------------------- */

enum tsr_status tsr_fuse_refresh(struct tsr_fuse *f)
{
    struct tsr_graph *g = f->g;
    size_t had = f->cap_keep;
    TSR_TRY(tsr_grow(&f->keep, &f->cap_keep, g->n_value + 1, sizeof *f->keep, f->err));
    if (f->cap_keep > had) memset(f->keep + had, 0, (f->cap_keep - had) * sizeof *f->keep);
    TSR_TRY(tsr_grow(&f->uses, &f->cap_uses, g->n_value + 1, sizeof *f->uses, f->err));
    TSR_TRY(tsr_grow(&f->reader, &f->cap_reader, g->n_value + 1, sizeof *f->reader, f->err));
    TSR_TRY(tsr_grow(&f->live, &f->cap_live, g->n_node + 1, sizeof *f->live, f->err));
    memset(f->uses, 0, g->n_value * sizeof *f->uses);
    for (size_t v = 0; v < g->n_value; v++) f->reader[v] = -1, g->value[v].producer = -1;
    for (size_t i = g->n_node; i-- > 0;) { /* the nodes stay in order */
        const struct tsr_node *node = &g->node[i];
        f->live[i] = false;
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0 && (f->keep[node->out[k]] || f->uses[node->out[k]] > 0)) f->live[i] = true;
        if (!f->live[i]) continue;
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0) g->value[node->out[k]].producer = (int32_t)i;
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] < 0) continue;
            if (f->uses[node->in[k]]++ == 0) f->reader[node->in[k]] = (int32_t)i;
        }
    }
    return TSR_OK;
}

const struct tsr_node *tsr_fuse_producer(const struct tsr_fuse *f, int32_t v, const char *op_type)
{
    const struct tsr_node *node = tsr_graph_producer(f->g, v);
    return node != NULL && tsr_node_is(node, op_type) ? node : NULL;
}

bool tsr_fuse_hidden(const struct tsr_fuse *f, int32_t v) { return v >= 0 && !f->keep[v]; }

bool tsr_fuse_inner(const struct tsr_fuse *f, int32_t v) { return tsr_fuse_hidden(f, v) && f->uses[v] == 1; }

const struct tsr_node *tsr_fuse_reader(const struct tsr_fuse *f, int32_t v, const char *op_type)
{
    if (!tsr_fuse_inner(f, v)) return NULL;
    const struct tsr_node *node = &f->g->node[f->reader[v]];
    return tsr_node_is(node, op_type) ? node : NULL;
}

const struct tsr_tensor *tsr_fuse_constant(const struct tsr_fuse *f, int32_t v)
{
    if (v < 0) return NULL;
    const struct tsr_value *x = &f->g->value[v];
    return x->is_init && (x->is_input || (f->training && x->trainable)) ? NULL : tsr_graph_constant(f->g, v);
}

bool tsr_fuse_scalar(const struct tsr_fuse *f, int32_t v, double *x)
{
    const struct tsr_tensor *t = tsr_fuse_constant(f, v);
    if (!t || tsr_tensor_count(t) != 1 || !tsr_dtype_is_float(t->dtype)) return false;
    *x = tsr_load_f64(t->dtype, t->data, 0);
    return t->shape.rank <= 1; /* more dimensions might broadcast the other operand up */
}

bool tsr_fuse_is(const struct tsr_fuse *f, int32_t v, double x)
{
    double have;
    return tsr_fuse_scalar(f, v, &have) && fabs(have - x) <= 1e-5 * fabs(x);
}

const struct tsr_tensor *tsr_fuse_weight(const struct tsr_fuse *f, int32_t v)
{
    if (v < 0 || !f->g->value[v].is_init || f->g->value[v].is_input) return NULL;
    const struct tsr_tensor *t = &f->g->value[v].init;
    return t->dtype == TSR_F32 || t->dtype == TSR_F64 ? t : NULL;
}

int32_t tsr_fuse_other(const struct tsr_node *node, int32_t v)
{
    if (node->n_in != 2 || node->in[0] == node->in[1]) return -1;
    return node->in[0] == v ? node->in[1] : node->in[1] == v ? node->in[0] : -1;
}

bool tsr_fuse_ints(const struct tsr_fuse *f, const struct tsr_node *node, const char *name, int i, int64_t *buf, int max, int *n)
{
    size_t count;
    const int64_t *v = tsr_node_ints(node, name, &count);
    if (v) {
        if (count > (size_t)max) return false;
        memcpy(buf, v, count * sizeof *buf);
        *n = (int)count;
        return true;
    }
    const struct tsr_tensor *t = i >= 0 && i < node->n_in ? tsr_fuse_constant(f, node->in[i]) : NULL;
    if (!t || t->dtype != TSR_I64 || t->shape.rank > 1 || tsr_tensor_count(t) > max) return false;
    *n = (int)tsr_tensor_count(t);
    memcpy(buf, t->data, (size_t)*n * sizeof *buf);
    return true;
}

static int greater(int a, int b) { return a < 0 || b < 0 ? -1 : a > b ? a : b; }

/* The length of the shape vector v. */
static int vector_length(const struct tsr_fuse *f, int32_t v)
{
    const struct tsr_tensor *t = tsr_fuse_constant(f, v);
    if (t) return t->shape.rank == 1 ? (int)t->shape.dim[0] : -1;
    const struct tsr_node *cat = tsr_fuse_producer(f, v, "Concat");
    int n = 0;
    for (int k = 0; cat && k < cat->n_in; k++) {
        const struct tsr_node *part = tsr_fuse_producer(f, cat->in[k], "Unsqueeze");
        int one = part && tsr_fuse_rank(f, cat->in[k]) == 1 ? 1 : vector_length(f, cat->in[k]);
        if (one < 0) return -1;
        n += one;
    }
    return cat ? n : -1;
}

static int rank_of_node(const struct tsr_fuse *f, const struct tsr_node *node, int depth);

static int rank_within(const struct tsr_fuse *f, int32_t v, int depth)
{
    if (v < 0 || depth > 24) return -1;
    const struct tsr_value *x = &f->g->value[v];
    if (x->is_init) return x->init.shape.rank;
    if (x->shape.rank >= 0) return x->shape.rank;
    return x->producer >= 0 ? rank_of_node(f, &f->g->node[x->producer], depth + 1) : -1;
}

static int rank_of_node(const struct tsr_fuse *f, const struct tsr_node *node, int depth)
{
    static const char *const alike[] = {"Relu", "Gelu", "Softmax", "Identity", "Cast", "LayerNormalization", "Split", "Dropout",
                                        "Tanh", "Sigmoid", "Erf", "Sqrt", "Neg", "Exp", "BatchNormalization", "Conv", "AveragePool", "MaxPool",
                                        "GlobalAveragePool", "QuantizeLinear", "DequantizeLinear", "QLinearConv"};
    static const char *const broadcast[] = {"Add", "Sub", "Mul", "Div", "Pow"};
    int64_t buf[TSR_MAX_RANK];
    int n, first = node->n_in > 0 ? rank_within(f, node->in[0], depth) : -1;
    if (tsr_node_is(node, "Transpose")) return tsr_fuse_ints(f, node, "perm", -1, buf, TSR_MAX_RANK, &n) ? n : first;
    if (tsr_node_is(node, "Reshape")) return node->n_in > 1 ? vector_length(f, node->in[1]) : -1;
    if (tsr_node_is(node, "Constant")) {
        const struct tsr_attr *a = tsr_node_attr(node, "value");
        return a && a->type == TSR_ATTR_TENSOR ? a->t.shape.rank : -1;
    }
    if (tsr_node_is(node, "Squeeze"))
        return first >= 0 && tsr_fuse_ints(f, node, "axes", 1, buf, TSR_MAX_RANK, &n) ? first - n : -1;
    if (tsr_node_is(node, "Unsqueeze"))
        return first >= 0 && tsr_fuse_ints(f, node, "axes", 1, buf, TSR_MAX_RANK, &n) ? first + n : -1;
    if (tsr_node_is(node, "Gather")) {
        int index = rank_within(f, node->in[1], depth);
        return first >= 0 && index >= 0 ? first + index - 1 : -1;
    }
    if (tsr_node_is(node, "MatMul")) return greater(first, rank_within(f, node->in[1], depth));
    if (tsr_node_is(node, "Gemm")) return 2;
    if (tsr_node_is(node, "ReduceMean") && tsr_node_int(node, "keepdims", 1) == 1) return first;
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
        if (tsr_node_is(node, alike[i])) return first;
    for (size_t i = 0; i < sizeof broadcast / sizeof *broadcast; i++)
        if (tsr_node_is(node, broadcast[i])) return greater(first, rank_within(f, node->in[1], depth));
    if (tsr_node_is_of(node, "tessera", "Linear")) return first;
    if (tsr_node_is_of(node, "tessera", "QTable") || tsr_node_is_of(node, "tessera", "QMaxPool")) return first;
    if (strcmp(node->op_type, "QLinearAdd") == 0 || strcmp(node->op_type, "QLinearMul") == 0)
        return greater(first, rank_within(f, node->in[3], depth));
    if (strcmp(node->op_type, "QLinearAveragePool") == 0) return first;
    if (strcmp(node->op_type, "QLinearGlobalAveragePool") == 0) return tsr_node_int(node, "keepdims", 1) ? first : 2;
    return -1;
}

int tsr_fuse_rank(const struct tsr_fuse *f, int32_t v) { return rank_within(f, v, 0); }

/* ---- changing it ---------------------------------------------------------------------------- */

enum tsr_status tsr_fuse_begin(struct tsr_fuse *f, const char *op_type, const char *domain, int n_in, const int32_t *in, int32_t out)
{
    const char **names = tsr_calloc((size_t)n_in, sizeof *names);
    if (names == NULL) return tsr_nomem(f->err, (size_t)n_in * sizeof *names);
    for (int i = 0; i < n_in; i++) names[i] = in[i] < 0 ? "" : f->g->value[in[i]].name;
    const char *name = f->g->value[out].name;
    enum tsr_status status = tsr_graph_add_node(f->g, op_type, domain, name, n_in, names, 1, &name, f->err);
    tsr_free(names);
    return status;
}

enum tsr_status tsr_fuse_commit(struct tsr_fuse *f, const struct tsr_node *old)
{
    size_t slot = (size_t)(old - f->g->node);
    tsr_node_release(&f->g->node[slot]);
    f->g->node[slot] = f->g->node[--f->g->n_node];
    return tsr_fuse_refresh(f);
}

enum tsr_status tsr_fuse_add(struct tsr_fuse *f, int32_t like, const char *suffix, struct tsr_tensor *t, int32_t *id)
{
    char name[512];
    int n = 0;
    do (void)snprintf(name, sizeof name, "%.400s.%s%d", f->g->value[like].name, suffix, n++);
    while (tsr_graph_find(f->g, name) >= 0);
    TSR_TRY(tsr_graph_add_init(f->g, name, t, f->err));
    *id = tsr_graph_find(f->g, name);
    return TSR_OK;
}

static enum tsr_status run_pass(struct tsr_fuse *f, tsr_fuse_pass *pass)
{
    for (size_t i = 0; i < f->g->n_node; i++) {
        bool done = false;
        if (!f->live[i]) continue;
        TSR_TRY(pass(f, &f->g->node[i], &done));
    }
    return TSR_OK;
}

static void drop_dead(struct tsr_fuse *f)
{
    struct tsr_graph *g = f->g;
    size_t n = 0;
    for (size_t i = 0; i < g->n_node; i++) {
        if (f->live[i])
            g->node[n++] = g->node[i];
        else
            tsr_node_release(&g->node[i]);
    }
    g->n_node = n;
}

/* Convolutions of floats, channels-last, with what can be done at their ends. */
static enum tsr_status lay_out(struct tsr_fuse *f)
{
    TSR_TRY(tsr_fuse_layout(f));
    TSR_TRY(tsr_fuse_shapes(f));
    TSR_TRY(run_pass(f, tsr_fuse_residual));
    TSR_TRY(run_pass(f, tsr_fuse_conv_activation));
    return run_pass(f, tsr_fuse_margin);
}

static enum tsr_status run_passes(struct tsr_fuse *f, bool export)
{
    static tsr_fuse_pass *const passes[] = {tsr_fuse_integer,   tsr_fuse_table, tsr_fuse_layernorm, tsr_fuse_gelu,   tsr_fuse_attention,
                                            tsr_fuse_linear,    tsr_fuse_relu,   tsr_fuse_batchnorm, tsr_fuse_activation};
    if (export) return run_pass(f, tsr_fuse_batchnorm);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) TSR_TRY(run_pass(f, passes[i]));
    TSR_TRY(tsr_fuse_integer_layout(f));
    return f->training ? TSR_OK : lay_out(f);
}

static enum tsr_status rewrite(struct tsr_fuse *f, const struct tsr_graph *g, const int32_t *keep, size_t n_keep, bool export)
{
    TSR_TRY(tsr_grow(&f->keep, &f->cap_keep, g->n_value + 1, sizeof *f->keep, f->err));
    memset(f->keep, 0, f->cap_keep * sizeof *f->keep);
    for (size_t i = 0; i < g->n_output; i++) f->keep[g->output[i]] = true;
    for (size_t i = 0; i < n_keep; i++) {
        if (keep[i] < 0 || (size_t)keep[i] >= g->n_value)
            return tsr_fail(f->err, TSR_E_USAGE, "value %d is not in the graph", (int)keep[i]);
        f->keep[keep[i]] = true;
    }
    TSR_TRY(tsr_fuse_refresh(f));
    TSR_TRY(tsr_fuse_fold(f));
    TSR_TRY(run_passes(f, export));
    drop_dead(f);
    TSR_TRY(tsr_graph_finish(f->g, f->err));
    for (size_t v = 0; v < f->g->n_value; v++) f->g->value[v].trainable = v < g->n_value && g->value[v].trainable;
    return TSR_OK;
}

enum tsr_status tsr_graph_fuse(const struct tsr_graph *g, const int32_t *keep, size_t n_keep, unsigned flags,
                               struct tsr_graph **out, struct tsr_error *err)
{
    struct tsr_fuse f = {.training = (flags & TSR_FUSE_TRAINING) != 0, .err = err};
    *out = NULL;
    TSR_TRY(tsr_graph_copy(g, &f.g, err));
    enum tsr_status status = rewrite(&f, g, keep, n_keep, (flags & TSR_FUSE_EXPORT) != 0);
    tsr_free(f.keep);
    tsr_free(f.uses);
    tsr_free(f.reader);
    tsr_free(f.live);
    tsr_free(f.shape);
    if (status == TSR_OK)
        *out = f.g;
    else
        tsr_graph_free(f.g);
    return status;
}
