/* fuse_integer.c - operators between DequantizeLinear and QuantizeLinear become operators on integers.
 *
 * A convolution, product, sum or mean whose inputs are dequantised and whose output is quantised, over a
 * Relu or Clip at most, is computed on the integers; a product whose output stays float as well, also that of
 * the inputs of a recurrent operator. Operators
 * that only move elements move the integers. Chains of element-wise operators are in fuse_table.c. */
#include <math.h>
#include <string.h>

#include "graph/fuse_integer.h"

bool tsr_fuse_named(const struct tsr_node *node, const char *op_type)
{
    bool known = node->domain[0] == '\0' || strcmp(node->domain, "com.microsoft") == 0;
    return known && strcmp(node->op_type, op_type) == 0;
}

static const struct tsr_tensor *constant(const struct tsr_fuse *f, const struct tsr_node *node, int k)
{
    return k < node->n_in ? tsr_fuse_constant(f, node->in[k]) : NULL;
}

static bool is_q8(const struct tsr_tensor *t) { return t->dtype == TSR_I8 || t->dtype == TSR_U8; }

static bool single(const struct tsr_tensor *scale, const struct tsr_tensor *zero)
{
    return scale != NULL && zero != NULL && scale->dtype == TSR_F32 && is_q8(zero) && tsr_tensor_count(scale) == 1 &&
           tsr_tensor_count(zero) == 1 && *(const float *)scale->data > 0;
}

/* Whole rows or tensors, to floats of the scale's type. */
static bool dequantises(const struct tsr_node *node)
{
    return tsr_fuse_named(node, "DequantizeLinear") && tsr_node_int(node, "block_size", 0) == 0 && tsr_node_int(node, "output_dtype", 0) == 0;
}

bool tsr_fuse_dequantised(const struct tsr_fuse *f, int32_t v, struct tsr_fuse_grid *d)
{
    const struct tsr_node *node = tsr_graph_producer(f->g, v);
    if (node == NULL || !dequantises(node)) return false;
    const struct tsr_tensor *scale = constant(f, node, 1), *zero = constant(f, node, 2);
    if (!single(scale, zero)) return false;
    *d = (struct tsr_fuse_grid){node->in[0], node->in[1], node->in[2], zero->dtype, *(const float *)scale->data,
                                (int32_t)tsr_load_i64(zero->dtype, zero->data, 0)};
    return true;
}

bool tsr_fuse_same_grid(const struct tsr_fuse_grid *a, const struct tsr_fuse_grid *b)
{
    return a->type == b->type && a->step == b->step && a->offset == b->offset;
}

/* Weights of 8 bits with a scale for all or one for each of `axis`. */
static bool dequantised_weights(const struct tsr_fuse *f, int32_t v, int axis, struct tsr_fuse_grid *d)
{
    const struct tsr_node *node = tsr_graph_producer(f->g, v);
    if (node == NULL || !dequantises(node)) return false;
    const struct tsr_tensor *q = constant(f, node, 0), *scale = constant(f, node, 1), *zero = constant(f, node, 2);
    if (q == NULL || scale == NULL || !is_q8(q) || scale->dtype != TSR_F32 || q->shape.rank <= axis) return false;
    const int64_t n = tsr_tensor_count(scale);
    int64_t at = tsr_node_int(node, "axis", 1);
    if (at < 0) at += q->shape.rank;
    if (n != 1 && (at != axis || n != q->shape.dim[axis] || scale->shape.rank != 1)) return false;
    if (node->n_in > 2 && node->in[2] >= 0 && (zero == NULL || tsr_tensor_count(zero) != n || zero->dtype != q->dtype)) return false;
    *d = (struct tsr_fuse_grid){node->in[0], node->in[1], zero != NULL ? node->in[2] : -1, q->dtype, 0, 0};
    return true;
}

/* A bias in units of the product of both scales, of which there are n or one. */
static bool dequantised_bias(const struct tsr_fuse *f, int32_t v, const struct tsr_fuse_grid *x, const struct tsr_fuse_grid *w, int64_t n,
                             int32_t *q)
{
    const struct tsr_node *node = tsr_graph_producer(f->g, v);
    if (node == NULL || !tsr_fuse_named(node, "DequantizeLinear")) return false;
    const struct tsr_tensor *b = constant(f, node, 0), *scale = constant(f, node, 1), *zero = constant(f, node, 2);
    const struct tsr_tensor *sw = tsr_fuse_constant(f, w->scale);
    if (b == NULL || scale == NULL || b->dtype != TSR_I32 || b->shape.rank != 1 || b->shape.dim[0] != n || scale->dtype != TSR_F32)
        return false;
    const int64_t ns = tsr_tensor_count(scale), nw = tsr_tensor_count(sw);
    if (ns != 1 && ns != n) return false;
    for (int64_t i = 0; i < n; i++) {
        float want = x->step * ((const float *)sw->data)[nw > 1 ? i : 0], have = ((const float *)scale->data)[ns > 1 ? i : 0];
        if (!(fabsf(want - have) <= 1e-5f * fabsf(want))) return false;
    }
    for (int64_t i = 0; zero != NULL && i < tsr_tensor_count(zero); i++)
        if (tsr_load_i64(zero->dtype, zero->data, i) != 0) return false;
    *q = node->in[0];
    return true;
}

/* ---- what follows --------------------------------------------------------------------------- */

/* The integer that the grid has for x. */
static int32_t on_grid(const struct tsr_fuse_grid *g, double x)
{
    const float lo = g->type == TSR_I8 ? -128 : 0, hi = lo + 255, v = rintf((float)x / g->step) + (float)g->offset;
    return (int32_t)(v > lo ? v < hi ? v : hi : lo);
}

/* The only reader of the inner value v, or NULL. */
static const struct tsr_node *only_reader(const struct tsr_fuse *f, int32_t v)
{
    return tsr_fuse_inner(f, v) && f->reader[v] >= 0 ? &f->g->node[f->reader[v]] : NULL;
}

/* Of a Relu or a Clip with known bounds. */
static bool bounds_of(const struct tsr_fuse *f, const struct tsr_node *node, double *lo, double *hi)
{
    *lo = tsr_node_is(node, "Relu") ? 0 : -INFINITY;
    *hi = INFINITY;
    if (tsr_node_is(node, "Relu")) return true;
    if (node->opset < 11) {
        *lo = (double)tsr_node_float(node, "min", -INFINITY);
        *hi = (double)tsr_node_float(node, "max", INFINITY);
        return true;
    }
    bool has_lo = node->n_in > 1 && node->in[1] >= 0, has_hi = node->n_in > 2 && node->in[2] >= 0;
    return (!has_lo || tsr_fuse_scalar(f, node->in[1], lo)) && (!has_hi || tsr_fuse_scalar(f, node->in[2], hi)) && *lo <= *hi;
}

bool tsr_fuse_quantised(const struct tsr_fuse *f, int32_t v, bool activation, struct tsr_fuse_tail *t)
{
    double lo = -INFINITY, hi = INFINITY;
    const struct tsr_node *node = only_reader(f, v);
    if (node == NULL || node->in[0] != v) return false;
    if (activation && (tsr_node_is(node, "Relu") || tsr_node_is(node, "Clip"))) {
        if (!bounds_of(f, node, &lo, &hi)) return false;
        v = node->out[0];
        node = only_reader(f, v);
        if (node == NULL || node->in[0] != v) return false;
    }
    if (!tsr_fuse_named(node, "QuantizeLinear") || tsr_node_int(node, "block_size", 0) != 0 || tsr_node_int(node, "precision", 0) != 0) return false;
    const struct tsr_tensor *scale = constant(f, node, 1), *zero = constant(f, node, 2);
    if (!single(scale, zero)) return false;
    t->node = node;
    t->grid = (struct tsr_fuse_grid){node->out[0], node->in[1], node->in[2], zero->dtype, *(const float *)scale->data,
                                     (int32_t)tsr_load_i64(zero->dtype, zero->data, 0)};
    t->lo = zero->dtype == TSR_I8 ? -128 : 0;
    t->hi = t->lo + 255;
    t->narrowed = lo > -INFINITY || hi < INFINITY;
    /* rounding is monotone: what is clipped before it may as well be clipped behind it */
    if (lo > -INFINITY) t->lo = on_grid(&t->grid, lo);
    if (hi < INFINITY) t->hi = on_grid(&t->grid, hi);
    return true;
}

static enum tsr_status put_bounds(struct tsr_fuse *f, const struct tsr_fuse_tail *t)
{
    if (!t->narrowed) return TSR_OK;
    TSR_TRY(tsr_graph_attr_int(f->g, "lo", t->lo, f->err));
    return tsr_graph_attr_int(f->g, "hi", t->hi, f->err);
}

/* The attributes of node `from` go to the node added last. */
static void move_attributes(struct tsr_fuse *f, size_t from)
{
    struct tsr_node *to = &f->g->node[f->g->n_node - 1], *node = &f->g->node[from];
    to->attr = node->attr, to->n_attr = node->n_attr;
    node->attr = NULL, node->n_attr = 0;
}

/* A zero point for weights that have none. */
static enum tsr_status need_zero(struct tsr_fuse *f, struct tsr_fuse_grid *w)
{
    struct tsr_tensor t;
    if (w->zero >= 0) return TSR_OK;
    const struct tsr_tensor *scale = tsr_fuse_constant(f, w->scale);
    TSR_TRY(tsr_tensor_zeros(&t, w->type, scale->shape.rank, scale->shape.dim, f->err));
    return tsr_fuse_add(f, w->q, "zero", &t, &w->zero);
}

/* ---- convolutions and products -------------------------------------------------------------- */

static enum tsr_status fuse_conv(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_fuse_grid x, w;
    struct tsr_fuse_tail t;
    int32_t bias = -1;
    if (!tsr_fuse_dequantised(f, node->in[0], &x) || !dequantised_weights(f, node->in[1], 0, &w)) return TSR_OK;
    const struct tsr_tensor *q = tsr_fuse_constant(f, w.q);
    if (node->n_in > 2 && node->in[2] >= 0 && !dequantised_bias(f, node->in[2], &x, &w, q->shape.dim[0], &bias)) return TSR_OK;
    if (!tsr_fuse_quantised(f, node->out[0], true, &t)) return TSR_OK;
    const size_t at = (size_t)(node - f->g->node), tail = (size_t)(t.node - f->g->node);
    TSR_TRY(need_zero(f, &w));
    const int32_t in[9] = {x.q, x.scale, x.zero, w.q, w.scale, w.zero, t.grid.scale, t.grid.zero, bias};
    TSR_TRY(tsr_fuse_begin(f, "QLinearConv", "", bias >= 0 ? 9 : 8, in, t.grid.q));
    move_attributes(f, at);
    TSR_TRY(put_bounds(f, &t));
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[tail]);
}

static enum tsr_status fuse_gemm(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_fuse_grid x, w;
    struct tsr_fuse_tail t;
    int32_t bias = -1;
    const bool turned = tsr_node_int(node, "transB", 0) != 0;
    if (tsr_node_int(node, "transA", 0) != 0 || tsr_node_float(node, "alpha", 1) != 1.0f || tsr_node_float(node, "beta", 1) != 1.0f)
        return TSR_OK;
    if (!tsr_fuse_dequantised(f, node->in[0], &x) || !dequantised_weights(f, node->in[1], turned ? 0 : 1, &w)) return TSR_OK;
    const struct tsr_tensor *q = tsr_fuse_constant(f, w.q);
    if (q->shape.rank != 2) return TSR_OK;
    if (node->n_in > 2 && node->in[2] >= 0 && !dequantised_bias(f, node->in[2], &x, &w, q->shape.dim[turned ? 0 : 1], &bias)) return TSR_OK;
    const bool quantised = tsr_fuse_quantised(f, node->out[0], true, &t);
    const size_t last = (size_t)((quantised ? t.node : node) - f->g->node);
    const int32_t out = quantised ? t.grid.q : node->out[0];
    TSR_TRY(need_zero(f, &w));
    const int32_t in[9] = {x.q, x.scale, x.zero, w.q, w.scale, w.zero, bias, quantised ? t.grid.scale : -1, quantised ? t.grid.zero : -1};
    TSR_TRY(tsr_fuse_begin(f, "QGemm", "com.microsoft", quantised ? 9 : bias >= 0 ? 7 : 6, in, out));
    TSR_TRY(tsr_graph_attr_int(f->g, "transB", turned, f->err));
    if (quantised) TSR_TRY(put_bounds(f, &t));
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[last]);
}

/* The Add that gives every row of the product `node` with weights w a known bias, or NULL; *bias: the row. */
static const struct tsr_node *row_added(const struct tsr_fuse *f, const struct tsr_node *node, const struct tsr_tensor *w, int32_t *bias)
{
    const struct tsr_node *add = w != NULL ? tsr_fuse_reader(f, node->out[0], "Add") : NULL;
    if (add == NULL) return NULL;
    *bias = tsr_fuse_other(add, node->out[0]);
    const struct tsr_tensor *row = tsr_fuse_constant(f, *bias);
    return row != NULL && row->dtype == TSR_F32 && row->shape.rank == 1 && row->shape.dim[0] == w->shape.dim[1] ? add : NULL;
}

/* The bias in units of the product of both scales, rounded half to even: an initialiser *made, or -1 where it might
 * not fit beside the sums of k products. */
static enum tsr_status whole_bias(struct tsr_fuse *f, int32_t bias, const struct tsr_fuse_grid *a, const struct tsr_fuse_grid *b, int64_t k,
                                  int32_t *made)
{
    const struct tsr_tensor *row = tsr_fuse_constant(f, bias), *scale = tsr_fuse_constant(f, b->scale);
    const int64_t n = tsr_tensor_count(row), step = tsr_tensor_count(scale) > 1;
    struct tsr_tensor t;
    *made = -1;
    if (k > 1 << 14) return TSR_OK; /* 2^14 products of 8 bits and 2^30 fit 31 */
    TSR_TRY(tsr_tensor_zeros(&t, TSR_I32, 1, &n, f->err));
    for (int64_t j = 0; j < n; j++) {
        const double v = rint((double)((const float *)row->data)[j] / ((double)a->step * (double)((const float *)scale->data)[j * step]));
        if (!(fabs(v) <= 0x1p30)) {
            tsr_tensor_release(&t);
            return TSR_OK;
        }
        ((int32_t *)t.data)[j] = (int32_t)v;
    }
    return tsr_fuse_add(f, bias, "whole", &t, made);
}

/* MatMul of two dequantised operands whose last result, with or without a row added, is quantised at t. */
static enum tsr_status fuse_quantised_matmul(struct tsr_fuse *f, const struct tsr_fuse_grid *a, const struct tsr_fuse_grid *b, int32_t bias,
                                             const struct tsr_fuse_tail *t)
{
    const size_t tail = (size_t)(t->node - f->g->node);
    const int32_t in[9] = {a->q, a->scale, a->zero, b->q, b->scale, b->zero, t->grid.scale, t->grid.zero, bias};
    TSR_TRY(tsr_fuse_begin(f, "QLinearMatMul", bias >= 0 ? "tessera" : "", bias >= 0 ? 9 : 8, in, t->grid.q));
    TSR_TRY(put_bounds(f, t));
    return tsr_fuse_commit(f, &f->g->node[tail]);
}

/* MatMul of two dequantised operands; a bias that is added to floats comes along. */
static enum tsr_status fuse_matmul(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_fuse_grid a, b;
    struct tsr_fuse_tail t;
    if (!tsr_fuse_dequantised(f, node->in[0], &a)) return TSR_OK;
    const struct tsr_tensor *w = NULL;
    if (dequantised_weights(f, node->in[1], 1, &b)) {
        w = tsr_fuse_constant(f, b.q);
        if (w->shape.rank != 2) return TSR_OK;
    } else if (!tsr_fuse_dequantised(f, node->in[1], &b)) {
        return TSR_OK;
    }
    *done = true;
    int32_t bias = -1, whole = -1;
    const struct tsr_node *add = row_added(f, node, w, &bias);
    size_t last = (size_t)((add != NULL ? add : node) - f->g->node);
    if (add == NULL) bias = -1;
    const int64_t k = w != NULL ? w->shape.dim[0] : 0;
    if (w != NULL) TSR_TRY(need_zero(f, &b));
    const bool quantised = tsr_fuse_quantised(f, f->g->node[last].out[0], true, &t);
    if (quantised && bias >= 0) TSR_TRY(whole_bias(f, bias, &a, &b, k, &whole));
    if (quantised && (bias < 0 || whole >= 0)) return fuse_quantised_matmul(f, &a, &b, whole, &t);
    const int32_t in[7] = {a.q, b.q, a.scale, b.scale, a.zero, b.zero, bias}, out = f->g->node[last].out[0];
    TSR_TRY(tsr_fuse_begin(f, "MatMulIntegerToFloat", "com.microsoft", bias >= 0 ? 7 : 6, in, out));
    return tsr_fuse_commit(f, &f->g->node[last]);
}

/* A recurrent operator whose X and W are dequantised multiplies those in integers; its states stay floats. */
static enum tsr_status fuse_recurrent(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    enum { LENS = 4, OPERATOR = 8, ALL = 11, OUTPUTS = 3, MOST = 1 << 14 };
    struct tsr_fuse_grid x, w;
    if (node->n_in > OPERATOR || node->n_out > OUTPUTS || tsr_node_int(node, "layout", 0) != 0) return TSR_OK;
    if (node->n_in > LENS && node->in[LENS] >= 0) return TSR_OK;
    if (!tsr_fuse_dequantised(f, node->in[0], &x) || !dequantised_weights(f, node->in[1], 1, &w)) return TSR_OK;
    const struct tsr_tensor *q = tsr_fuse_constant(f, w.q), *zero = w.zero >= 0 ? tsr_fuse_constant(f, w.zero) : NULL;
    if (x.type != TSR_U8 || w.type != TSR_I8 || q->shape.rank != 3 || q->shape.dim[2] % 4 != 0 || q->shape.dim[2] > MOST) return TSR_OK;
    for (int64_t i = 0; zero != NULL && i < tsr_tensor_count(zero); i++)
        if (((const int8_t *)zero->data)[i] != 0) return TSR_OK;
    const char *in[ALL], *out[OUTPUTS];
    for (int k = 0; k < OPERATOR; k++) in[k] = k < node->n_in && node->in[k] >= 0 ? f->g->value[node->in[k]].name : "";
    const int32_t own[5] = {x.q, w.q, x.scale, x.zero, w.scale};
    for (int k = 0; k < 5; k++) in[k < 2 ? k : OPERATOR + k - 2] = f->g->value[own[k]].name;
    for (int k = 0; k < node->n_out; k++) out[k] = node->out[k] >= 0 ? f->g->value[node->out[k]].name : "";
    const size_t at = (size_t)(node - f->g->node);
    TSR_TRY(tsr_graph_add_node(f->g, node->op_type, "tessera", node->name, ALL, in, node->n_out, out, f->err));
    move_attributes(f, at);
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[at]);
}

/* ---- sums and means ------------------------------------------------------------------------- */

static enum tsr_status fuse_binary(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_fuse_grid a, b;
    struct tsr_fuse_tail t;
    if (!tsr_fuse_dequantised(f, node->in[0], &a) || !tsr_fuse_dequantised(f, node->in[1], &b)) return TSR_OK;
    if (!tsr_fuse_quantised(f, node->out[0], true, &t) || a.type != b.type || a.type != t.grid.type) return TSR_OK;
    const char *op = tsr_node_is(node, "Add") ? "QLinearAdd" : "QLinearMul";
    const size_t tail = (size_t)(t.node - f->g->node);
    const int32_t in[8] = {a.q, a.scale, a.zero, b.q, b.scale, b.zero, t.grid.scale, t.grid.zero};
    TSR_TRY(tsr_fuse_begin(f, op, "com.microsoft", 8, in, t.grid.q));
    TSR_TRY(put_bounds(f, &t));
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[tail]);
}

static enum tsr_status fuse_pool(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_fuse_grid x;
    struct tsr_fuse_tail t;
    if (!tsr_fuse_dequantised(f, node->in[0], &x) || !tsr_fuse_quantised(f, node->out[0], false, &t) || x.type != t.grid.type) return TSR_OK;
    const size_t at = (size_t)(node - f->g->node), tail = (size_t)(t.node - f->g->node);
    const char *op = tsr_node_is(node, "GlobalAveragePool") ? "QLinearGlobalAveragePool" : "QLinearAveragePool";
    const int32_t in[5] = {x.q, x.scale, x.zero, t.grid.scale, t.grid.zero};
    TSR_TRY(tsr_fuse_begin(f, op, "com.microsoft", 5, in, t.grid.q));
    move_attributes(f, at);
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[tail]);
}

/* A mean over all dimensions behind the second is a global average, with or without what is left of them. */
static enum tsr_status fuse_mean(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_fuse_grid x;
    struct tsr_fuse_tail t;
    int64_t axis[TSR_MAX_RANK];
    int n, rank;
    if (!tsr_fuse_dequantised(f, node->in[0], &x) || !tsr_fuse_quantised(f, node->out[0], false, &t) || x.type != t.grid.type) return TSR_OK;
    rank = tsr_fuse_rank(f, node->in[0]);
    if (!tsr_fuse_ints(f, node, "axes", 1, axis, TSR_MAX_RANK, &n) || rank < 3 || n != rank - 2) return TSR_OK;
    bool over[TSR_MAX_RANK] = {false};
    for (int i = 0; i < n; i++) {
        int64_t d = axis[i] < 0 ? axis[i] + rank : axis[i];
        if (d < 2 || d >= rank || over[d]) return TSR_OK;
        over[d] = true;
    }
    const bool keep = tsr_node_int(node, "keepdims", 1) != 0;
    const size_t tail = (size_t)(t.node - f->g->node);
    const int32_t in[5] = {x.q, x.scale, x.zero, t.grid.scale, t.grid.zero};
    TSR_TRY(tsr_fuse_begin(f, "QLinearGlobalAveragePool", "com.microsoft", 5, in, t.grid.q));
    TSR_TRY(tsr_graph_attr_int(f->g, "keepdims", keep, f->err));
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[tail]);
}

static enum tsr_status fuse_concat(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    enum { MOST = 30 };
    struct tsr_fuse_grid x;
    struct tsr_fuse_tail t;
    int32_t in[2 + 3 * MOST];
    if (node->n_in > MOST || !tsr_fuse_quantised(f, node->out[0], false, &t)) return TSR_OK;
    in[0] = t.grid.scale, in[1] = t.grid.zero;
    for (int k = 0; k < node->n_in; k++) {
        if (!tsr_fuse_dequantised(f, node->in[k], &x) || x.type != t.grid.type) return TSR_OK;
        in[2 + 3 * k] = x.q, in[3 + 3 * k] = x.scale, in[4 + 3 * k] = x.zero;
    }
    const size_t at = (size_t)(node - f->g->node), tail = (size_t)(t.node - f->g->node);
    TSR_TRY(tsr_fuse_begin(f, "QLinearConcat", "com.microsoft", 2 + 3 * node->n_in, in, t.grid.q));
    move_attributes(f, at);
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[tail]);
}

/* ---- what only moves elements --------------------------------------------------------------- */

static bool moves(const struct tsr_node *node)
{
    static const char *const ops[] = {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Slice",
                                      "DepthToSpace", "SpaceToDepth", "Expand", "Gather", "Identity"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (tsr_node_is(node, ops[i])) return node->n_out == 1;
    return false;
}

static enum tsr_status fuse_move(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_fuse_grid x;
    struct tsr_fuse_tail t;
    int32_t in[8];
    if (node->n_in > 8 || !tsr_fuse_dequantised(f, node->in[0], &x) || !tsr_fuse_quantised(f, node->out[0], false, &t) ||
        !tsr_fuse_same_grid(&x, &t.grid))
        return TSR_OK;
    const size_t at = (size_t)(node - f->g->node), tail = (size_t)(t.node - f->g->node);
    in[0] = x.q;
    for (int k = 1; k < node->n_in; k++) in[k] = node->in[k];
    const bool pool = tsr_node_is(node, "MaxPool"); /* may keep its channels last */
    TSR_TRY(tsr_fuse_begin(f, pool ? "QMaxPool" : node->op_type, pool ? "tessera" : "", node->n_in, in, t.grid.q));
    f->g->node[f->g->n_node - 1].opset = f->g->node[at].opset; /* it means what it meant */
    move_attributes(f, at);
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[tail]);
}

enum tsr_status tsr_fuse_integer(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    if (f->training) return TSR_OK;
    if (tsr_node_is(node, "Conv")) return fuse_conv(f, node, done);
    if (tsr_node_is(node, "Gemm")) return fuse_gemm(f, node, done);
    if (tsr_node_is(node, "MatMul")) return fuse_matmul(f, node, done);
    if (tsr_node_is(node, "Add") || tsr_node_is(node, "Mul")) return fuse_binary(f, node, done);
    if (tsr_node_is(node, "GlobalAveragePool") || tsr_node_is(node, "AveragePool")) return fuse_pool(f, node, done);
    if (tsr_node_is(node, "ReduceMean")) return fuse_mean(f, node, done);
    if (tsr_node_is(node, "LSTM") || tsr_node_is(node, "GRU") || tsr_node_is(node, "RNN")) return fuse_recurrent(f, node, done);
    if (tsr_node_is(node, "Concat")) return fuse_concat(f, node, done);
    if (moves(node)) return fuse_move(f, node, done);
    return TSR_OK;
}
