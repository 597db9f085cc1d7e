/* argmax.c - ArgMax, ArgMin and CumSum: along one axis, in place where it lies. */
#include "ops/arg.h"
#include "ops/families.h"
#include "ops/par.h"

#include <math.h>
#include <string.h>

/* [outer, n, inner] */
struct lines {
    enum tsr_dtype dtype;
    int64_t outer, n, inner;
    const void *x;
    void *y;
    bool min, last;          /* ArgMin; the last of equals */
    bool exclusive, reverse; /* CumSum */
};

static void cut(struct lines *l, const struct tsr_tensor *x, int axis)
{
    l->dtype = x->dtype;
    l->outer = tsr_arg_span(&x->shape, 0, axis);
    l->n = x->shape.rank ? x->shape.dim[axis] : 1;
    l->inner = x->shape.rank ? tsr_arg_span(&x->shape, axis + 1, x->shape.rank) : 1;
    l->x = x->data;
}

static enum tsr_status arg_infer(struct tsr_op_ctx *ctx)
{
    int axis;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL | TSR_MASK_INT));
    struct tsr_shape s = ctx->in[0]->shape;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), s.rank, &axis));
    if (s.dim[axis] == 0) return tsr_op_fail(ctx, TSR_E_MISMATCH, "dimension %d is empty", axis);
    s.dim[axis] = 1;
    if (!tsr_node_int(ctx->node, "keepdims", 1)) {
        for (int i = axis; i + 1 < s.rank; i++) s.dim[i] = s.dim[i + 1];
        s.rank--;
    }
    tsr_op_set(ctx, 0, TSR_I64, &s);
    return TSR_OK;
}

/* Whether v beats the best so far: larger (smaller), or as good and later; NaN beats all but NaN. */
static bool beats(const struct lines *l, int64_t v, int64_t best)
{
    const void *x = l->x;
    if (tsr_dtype_is_float(l->dtype)) {
        double a = l->dtype == TSR_F32 ? (double)((const float *)x)[v] : ((const double *)x)[v];
        double b = l->dtype == TSR_F32 ? (double)((const float *)x)[best] : ((const double *)x)[best];
        if (a != a || b != b) return a != a && (b == b || l->last);
        return l->min ? a < b || (l->last && a == b) : a > b || (l->last && a == b);
    }
    uint64_t flip = l->dtype == TSR_U64 ? (uint64_t)1 << 63 : 0;
    int64_t a = (int64_t)((uint64_t)tsr_load_i64(l->dtype, x, v) ^ flip), b = (int64_t)((uint64_t)tsr_load_i64(l->dtype, x, best) ^ flip);
    return l->min ? a < b || (l->last && a == b) : a > b || (l->last && a == b);
}

static void arg_lines(void *arg, int64_t from, int64_t to)
{
    const struct lines *l = arg;
    for (int64_t k = from; k < to; k++) {
        int64_t at = k / l->inner * l->n * l->inner + k % l->inner, best = at;
        for (int64_t i = 1; i < l->n; i++)
            if (beats(l, at + i * l->inner, best)) best = at + i * l->inner;
        ((int64_t *)l->y)[k] = (best - at) / l->inner;
    }
}

static enum tsr_status arg_forward(struct tsr_op_ctx *ctx, bool min)
{
    struct lines l = {.min = min, .last = tsr_node_int(ctx->node, "select_last_index", 0) != 0, .y = ctx->out[0].data};
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), ctx->in[0]->shape.rank, &axis));
    cut(&l, ctx->in[0], axis);
    tsr_par(ctx->pool, l.outer * l.inner, tsr_par_rows(l.n), arg_lines, &l);
    return TSR_OK;
}
static enum tsr_status argmax_forward(struct tsr_op_ctx *ctx) { return arg_forward(ctx, false); }
static enum tsr_status argmin_forward(struct tsr_op_ctx *ctx) { return arg_forward(ctx, true); }

/* ---- CumSum ---- */

static enum tsr_status cumsum_axis(struct tsr_op_ctx *ctx, int *axis)
{
    int64_t a;
    if (!tsr_arg_in(ctx, 1)) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the axis is missing");
    TSR_TRY(tsr_arg_int(ctx, 1, 0, &a));
    return tsr_op_axis(ctx, a, ctx->in[0]->shape.rank, axis);
}

static enum tsr_status cumsum_infer(struct tsr_op_ctx *ctx)
{
    int axis;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL | TSR_MASK_INT));
    return cumsum_axis(ctx, &axis);
}

#define CUMULATE(T, SUM_T)                                                                         \
    do {                                                                                           \
        SUM_T s = 0;                                                                               \
        for (int64_t i = 0; i < l->n; i++) {                                                       \
            int64_t p = at + (l->reverse ? l->n - 1 - i : i) * l->inner;                           \
            SUM_T v = (SUM_T)((const T *)l->x)[p];                                                 \
            if (l->exclusive) ((T *)l->y)[p] = (T)s, s += v;                                       \
            else s += v, ((T *)l->y)[p] = (T)s;                                                    \
        }                                                                                          \
    } while (0)

static void cumsum_lines(void *arg, int64_t from, int64_t to)
{
    const struct lines *l = arg;
    for (int64_t k = from; k < to; k++) {
        int64_t at = k / l->inner * l->n * l->inner + k % l->inner;
        switch (tsr_dtype_is_float(l->dtype) ? -(int)l->dtype : tsr_dtype_bits(l->dtype)) {
        case -TSR_F32: CUMULATE(float, double); break;
        case -TSR_F64: CUMULATE(double, double); break;
        case 8: CUMULATE(uint8_t, uint64_t); break;
        case 16: CUMULATE(uint16_t, uint64_t); break;
        case 32: CUMULATE(uint32_t, uint64_t); break;
        default: CUMULATE(uint64_t, uint64_t); break;
        }
    }
}

static enum tsr_status cumsum_run(struct tsr_op_ctx *ctx, const struct tsr_tensor *x, struct tsr_tensor *y, bool back)
{
    struct lines l = {.exclusive = tsr_node_int(ctx->node, "exclusive", 0) != 0, .y = y->data};
    int axis;
    l.reverse = (tsr_node_int(ctx->node, "reverse", 0) != 0) != back; /* the adjoint runs the other way */
    TSR_TRY(cumsum_axis(ctx, &axis));
    cut(&l, x, axis);
    tsr_par(ctx->pool, l.outer * l.inner, tsr_par_rows(l.n), cumsum_lines, &l);
    return TSR_OK;
}

static enum tsr_status cumsum_forward(struct tsr_op_ctx *ctx) { return cumsum_run(ctx, ctx->in[0], &ctx->out[0], false); }
static enum tsr_status cumsum_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    if (ctx->gout[0]) return cumsum_run(ctx, ctx->gout[0], &ctx->gin[0], true);
    memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
    return TSR_OK;
}

const struct tsr_op tsr_ops_argmax[] = {
    {"ArgMax", "", TSR_OP_WIDEN, 1, 1, 1, arg_infer, argmax_forward, NULL, 0},
    {"ArgMin", "", TSR_OP_WIDEN, 1, 1, 1, arg_infer, argmin_forward, NULL, 0},
    {"CumSum", "", TSR_OP_DATA_SHAPE | TSR_OP_WIDEN, 2, 2, 1, cumsum_infer, cumsum_forward, cumsum_backward, 0},
};
const size_t tsr_n_ops_argmax = sizeof tsr_ops_argmax / sizeof *tsr_ops_argmax;
