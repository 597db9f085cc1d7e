/* cumprod.c - CumProd: running products along an axis, forwards or backwards, with or without the element
 * itself. The gradient is computed without division, so that zeros do no harm. */
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"

#include <string.h>

struct lines {
    int64_t n, inner, count;
    bool exclusive, reverse;
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct lines *l)
{
    int axis;
    int64_t said;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL | TSR_MASK_INT));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    TSR_TRY(tsr_arg_int(ctx, 1, 0, &said));
    TSR_TRY(tsr_op_axis(ctx, said, x->rank, &axis));
    l->n = x->dim[axis];
    l->inner = tsr_arg_span(x, axis + 1, x->rank);
    l->count = tsr_arg_span(x, 0, axis) * l->inner;
    l->exclusive = tsr_node_int(ctx->node, "exclusive", 0) != 0;
    l->reverse = tsr_node_int(ctx->node, "reverse", 0) != 0;
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct lines l;
    return describe(ctx, &l);
}

/* Element k, counted in the direction of the products, of a line. */
static int64_t at(const struct lines *l, int64_t line, int64_t k)
{
    return (line / l->inner * l->n + (l->reverse ? l->n - 1 - k : k)) * l->inner + line % l->inner;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct lines l;
    const struct tsr_tensor *x = ctx->in[0];
    void *y = ctx->out[0].data;
    TSR_TRY(describe(ctx, &l));
    for (int64_t line = 0; line < l.count; line++) {
        double product = 1;
        uint64_t whole = 1; /* wraps */
        for (int64_t k = 0; k < l.n; k++) {
            const int64_t i = at(&l, line, k);
            const bool real = tsr_dtype_is_float(x->dtype);
            const double v = real ? tsr_load_f64(x->dtype, x->data, i) : 0;
            const uint64_t w = real ? 0 : (uint64_t)tsr_load_i64(x->dtype, x->data, i);
            if (!l.exclusive) product *= v, whole *= w;
            if (real) tsr_store_f64(x->dtype, y, i, product);
            else tsr_store_i64(x->dtype, y, i, (int64_t)whole);
            if (l.exclusive) product *= v, whole *= w;
        }
    }
    return TSR_OK;
}

/* dy_k/dx_j is the product of all others up to k. */
static double slope_sum(const struct lines *l, const struct tsr_tensor *x, const struct tsr_tensor *g, int64_t line, int64_t j)
{
    double product = 1, sum = 0;
    for (int64_t k = 0; k < j; k++) product *= tsr_load_f64(x->dtype, x->data, at(l, line, k));
    if (!l->exclusive) sum += product * tsr_load_f64(g->dtype, g->data, at(l, line, j));
    for (int64_t k = j + 1; k < l->n; k++) {
        if (l->exclusive) sum += product * tsr_load_f64(g->dtype, g->data, at(l, line, k));
        product *= tsr_load_f64(x->dtype, x->data, at(l, line, k));
        if (!l->exclusive) sum += product * tsr_load_f64(g->dtype, g->data, at(l, line, k));
    }
    return sum;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct lines l;
    struct tsr_tensor *gx = &ctx->gin[0];
    TSR_TRY(describe(ctx, &l));
    if (!ctx->want_gin[0] || tsr_tensor_count(gx) == 0) return TSR_OK;
    if (!ctx->gout[0]) {
        memset(gx->data, 0, tsr_tensor_bytes(gx));
        return TSR_OK;
    }
    for (int64_t line = 0; line < l.count; line++)
        for (int64_t j = 0; j < l.n; j++)
            tsr_store_f64(gx->dtype, gx->data, at(&l, line, j), slope_sum(&l, ctx->in[0], ctx->gout[0], line, j));
    return TSR_OK;
}

const struct tsr_op tsr_ops_cumprod[] = {
    {"CumProd", "", TSR_OP_WIDEN | TSR_OP_DATA_SHAPE, 2, 2, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_cumprod = sizeof tsr_ops_cumprod / sizeof *tsr_ops_cumprod;
