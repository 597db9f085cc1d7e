/* pad.c - Pad: constant, reflect, edge, wrap; negative pads crop. Every dimension has a table that says
 * where each output place comes from. */
#include "base/mem.h"
#include "ops/copy.h"
#include "ops/families.h"

#include <inttypes.h>
#include <string.h>

struct pad {
    int64_t before[TSR_MAX_RANK], after[TSR_MAX_RANK];
};

static enum tsr_status pad_plan(struct tsr_op_ctx *ctx, struct pad *p)
{
    int rank = ctx->in[0]->shape.rank, n, n_axes;
    int64_t v[2 * TSR_MAX_RANK], axes[TSR_MAX_RANK];
    bool attr = ctx->node->opset < 11, seen[TSR_MAX_RANK] = {false};
    memset(p, 0, sizeof *p);
    TSR_TRY(tsr_arg_ints(ctx, attr ? "pads" : NULL, attr ? -1 : 1, v, 2 * TSR_MAX_RANK, &n));
    TSR_TRY(tsr_arg_ints(ctx, NULL, ctx->node->opset < 18 ? -1 : 3, axes, TSR_MAX_RANK, &n_axes));
    int k = n_axes < 0 ? rank : n_axes;
    if (n != 2 * k) return tsr_op_fail(ctx, TSR_E_CORRUPT, "%d pads for %d dimensions, two each are needed", n, k);
    for (int i = 0; i < k; i++) {
        int a;
        TSR_TRY(tsr_op_axis(ctx, n_axes < 0 ? i : axes[i], rank, &a));
        if (seen[a]) return tsr_op_fail(ctx, TSR_E_CORRUPT, "axis %d is named twice", a);
        seen[a] = true;
        p->before[a] = v[i];
        p->after[a] = v[i + k];
    }
    return TSR_OK;
}

static enum tsr_status pad_infer(struct tsr_op_ctx *ctx)
{
    struct pad p;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(pad_plan(ctx, &p));
    struct tsr_shape s = ctx->in[0]->shape;
    const char *mode = tsr_node_string(ctx->node, "mode", "constant");
    bool constant = strcmp(mode, "constant") == 0;
    if (!constant && strcmp(mode, "reflect") != 0 && strcmp(mode, "edge") != 0 && strcmp(mode, "wrap") != 0)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the mode '%.20s' is unknown", mode);
    for (int i = 0; i < s.rank; i++) {
        int64_t x = s.dim[i];
        if (p.before[i] < -x || p.after[i] < -x || __builtin_add_overflow(s.dim[i], p.before[i], &s.dim[i]) || __builtin_add_overflow(s.dim[i], p.after[i], &s.dim[i]) || s.dim[i] < 0)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "pads of %" PRId64 " and %" PRId64 " do not fit dimension %d of %" PRId64,
                               p.before[i], p.after[i], i, x);
        if (!constant && s.dim[i] > 0 && x == 0)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "dimension %d is empty, there is nothing to repeat", i);
    }
    const struct tsr_tensor *value = ctx->node->opset < 11 ? NULL : tsr_arg_in(ctx, 2);
    if (value && (value->dtype != ctx->in[0]->dtype || tsr_tensor_count(value) != 1))
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the padding value must be one element of type %s", tsr_dtype_name(ctx->in[0]->dtype));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

/* The place along a dimension of n that output place i shows; -1: the constant. */
static int64_t source(const char *mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n) return i;
    if (mode[0] == 'e') return i < 0 ? 0 : n - 1;
    if (mode[0] == 'w') return (i % n + n) % n;
    if (mode[0] == 'c') return -1;
    int64_t period = n > 1 ? 2 * (n - 1) : 1;
    i = (i % period + period) % period;
    return i < n ? i : period - i;
}

/* Tables of all dimensions one after the other: element offsets in the input; -1 for the constant. */
static int64_t *tables(struct tsr_op_ctx *ctx, const struct pad *p, size_t *bytes)
{
    const struct tsr_shape *x = &ctx->in[0]->shape, *y = &ctx->out[0].shape;
    const char *mode = tsr_node_string(ctx->node, "mode", "constant");
    int64_t stride[TSR_MAX_RANK], total = 0, at = 0;
    for (int d = 0; d < y->rank; d++) total += y->dim[d];
    *bytes = (size_t)total * sizeof(int64_t);
    int64_t *t = tsr_op_scratch(ctx, *bytes);
    if (!t) return NULL;
    tsr_arg_strides(x, stride);
    for (int d = 0; d < y->rank; d++)
        for (int64_t i = 0; i < y->dim[d]; i++) {
            int64_t s = source(mode, i - p->before[d], x->dim[d]);
            t[at++] = s < 0 ? -1 : s * stride[d];
        }
    return t;
}

/* Calls fn(arg, output element, input element or -1) for all outputs in order. */
static void walk(const struct tsr_shape *y, const int64_t *table, void (*fn)(void *, int64_t, int64_t), void *arg)
{
    int64_t index[TSR_MAX_RANK] = {0}, n = tsr_shape_count(y);
    for (int64_t o = 0; o < n; o++) {
        const int64_t *t = table;
        int64_t at = 0;
        for (int d = 0; d < y->rank && at >= 0; d++) {
            at = t[index[d]] < 0 ? -1 : at + t[index[d]];
            t += y->dim[d];
        }
        fn(arg, o, at);
        for (int d = y->rank - 1; d >= 0 && ++index[d] == y->dim[d]; d--) index[d] = 0;
    }
}

struct job {
    enum tsr_dtype dtype;
    size_t size; /* 0: 4-bit elements */
    char *dst;
    const char *src, *value;
};

static void copy_one(void *arg, int64_t o, int64_t at)
{
    const struct job *j = arg;
    const char *s = at < 0 ? j->value : j->src;
    int64_t k = at < 0 ? 0 : at;
    switch (j->size) {
    case 0: tsr_store_i64(j->dtype, j->dst, o, tsr_load_i64(j->dtype, s, k)); break;
    case 1: j->dst[o] = s[k]; break;
    case 2: memcpy(j->dst + 2 * o, s + 2 * k, 2); break;
    case 4: memcpy(j->dst + 4 * o, s + 4 * k, 4); break;
    default: memcpy(j->dst + 8 * o, s + 8 * k, 8); break;
    }
}

static void add_one(void *arg, int64_t o, int64_t at)
{
    const struct job *j = arg;
    if (at < 0) return;
    if (j->dtype == TSR_F32) ((float *)(void *)j->dst)[at] += ((const float *)(const void *)j->src)[o];
    else ((double *)(void *)j->dst)[at] += ((const double *)(const void *)j->src)[o];
}

/* The common case: the input as one block in a constant frame. `back`: the block of a gradient. */
static void block_copy(struct tsr_op_ctx *ctx, const struct pad *p, const struct tsr_tensor *from, struct tsr_tensor *to, bool back)
{
    const struct tsr_shape *x = &ctx->in[0]->shape, *y = &ctx->out[0].shape;
    struct tsr_copy c = {.dtype = from->dtype, .rank = x->rank, .dst = to->data, .src = from->data};
    int64_t sx[TSR_MAX_RANK] = {0}, sy[TSR_MAX_RANK] = {0}, ax = 0, ay = 0;
    tsr_arg_strides(x, sx);
    tsr_arg_strides(y, sy);
    for (int d = 0; d < x->rank; d++) {
        int64_t lo = p->before[d] < 0 ? -p->before[d] : 0, hi = x->dim[d] + (p->after[d] < 0 ? p->after[d] : 0);
        c.dim[d] = hi - lo;
        ax += lo * sx[d];
        ay += (lo + p->before[d]) * sy[d];
    }
    memcpy(back ? c.ss : c.ds, sy, sizeof sy);
    memcpy(back ? c.ds : c.ss, sx, sizeof sx);
    c.d0 = back ? ax : ay;
    c.s0 = back ? ay : ax;
    tsr_copy_run(ctx->pool, &c);
}

static enum tsr_status pad_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0], *v = ctx->node->opset < 11 ? NULL : tsr_arg_in(ctx, 2);
    struct tsr_tensor *y = &ctx->out[0];
    double value = 0;
    struct pad p;
    TSR_TRY(pad_plan(ctx, &p));
    if (ctx->node->opset < 11 && tsr_dtype_is_float(x->dtype))
        tsr_store_f64(x->dtype, &value, 0, (double)tsr_node_float(ctx->node, "value", 0));
    const void *fill = v ? v->data : &value;
    if (tsr_node_string(ctx->node, "mode", "constant")[0] == 'c') {
        tsr_copy_fill(x->dtype, y->data, 0, tsr_tensor_count(y), fill);
        block_copy(ctx, &p, x, y, false);
        return TSR_OK;
    }
    size_t bytes;
    int64_t *t = tables(ctx, &p, &bytes);
    if (!t) return tsr_nomem(ctx->err, bytes);
    struct job j = {x->dtype, tsr_dtype_bits(x->dtype) == 4 ? 0 : tsr_dtype_bytes(x->dtype, 1), y->data, x->data, fill};
    walk(&y->shape, t, copy_one, &j);
    tsr_op_scratch_free(ctx, t, bytes);
    return TSR_OK;
}

static enum tsr_status pad_backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *g = ctx->gout[0];
    struct tsr_tensor *gx = &ctx->gin[0];
    struct pad p;
    bool constant = tsr_node_string(ctx->node, "mode", "constant")[0] == 'c';
    TSR_TRY(pad_plan(ctx, &p));
    if (!constant) TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    if (ctx->want_gin[0]) memset(gx->data, 0, tsr_tensor_bytes(gx));
    if (ctx->want_gin[0] && g && constant) block_copy(ctx, &p, g, gx, true);
    else if (ctx->want_gin[0] && g) {
        size_t bytes;
        int64_t *t = tables(ctx, &p, &bytes);
        if (!t) return tsr_nomem(ctx->err, bytes);
        struct job j = {g->dtype, 0, gx->data, g->data, NULL};
        walk(&g->shape, t, add_one, &j);
        tsr_op_scratch_free(ctx, t, bytes);
    }
    if (ctx->node->n_in < 3 || !ctx->want_gin[2]) return TSR_OK;
    double sum = 0; /* the padding value shows wherever the input does not */
    if (g && constant) {
        const struct tsr_shape *x = &ctx->in[0]->shape;
        int64_t index[TSR_MAX_RANK] = {0};
        for (int64_t o = 0, n = tsr_tensor_count(g); o < n; o++) {
            bool inside = true;
            for (int d = 0; d < x->rank; d++) inside &= index[d] >= p.before[d] && index[d] < p.before[d] + x->dim[d];
            if (!inside) sum += tsr_load_f64(g->dtype, g->data, o);
            for (int d = x->rank - 1; d >= 0 && ++index[d] == g->shape.dim[d]; d--) index[d] = 0;
        }
    }
    tsr_store_f64(ctx->gin[2].dtype, ctx->gin[2].data, 0, sum);
    return TSR_OK;
}

const struct tsr_op tsr_ops_pad[] = {
    {"Pad", "", TSR_OP_DATA_SHAPE, 1, 4, 1, pad_infer, pad_forward, pad_backward, 0},
};
const size_t tsr_n_ops_pad = sizeof tsr_ops_pad / sizeof *tsr_ops_pad;
