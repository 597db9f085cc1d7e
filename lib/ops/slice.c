/* slice.c - Slice: attributes before opset 10, inputs since, with steps of either sign. */
#include "ops/copy.h"
#include "ops/families.h"

#include <inttypes.h>
#include <string.h>

struct slice {
    int64_t start[TSR_MAX_RANK], step[TSR_MAX_RANK], count[TSR_MAX_RANK];
};

/* The place `v` along a dimension, negative from the end, kept within [lo, hi]. */
static int64_t place(int64_t v, int64_t dim, int64_t lo, int64_t hi)
{
    if (v < 0) v += dim; /* v >= INT64_MIN and dim >= 0: no overflow */
    return v < lo ? lo : v > hi ? hi : v;
}

static enum tsr_status slice_plan(struct tsr_op_ctx *ctx, struct slice *s)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    int64_t start[TSR_MAX_RANK], end[TSR_MAX_RANK], axis[TSR_MAX_RANK], step[TSR_MAX_RANK];
    int n, n_end, n_axis, n_step;
    bool attr = ctx->node->opset < 10, seen[TSR_MAX_RANK] = {false};
    TSR_TRY(tsr_arg_ints(ctx, attr ? "starts" : NULL, attr ? -1 : 1, start, TSR_MAX_RANK, &n));
    TSR_TRY(tsr_arg_ints(ctx, attr ? "ends" : NULL, attr ? -1 : 2, end, TSR_MAX_RANK, &n_end));
    TSR_TRY(tsr_arg_ints(ctx, attr ? "axes" : NULL, attr ? -1 : 3, axis, TSR_MAX_RANK, &n_axis));
    TSR_TRY(tsr_arg_ints(ctx, NULL, attr ? -1 : 4, step, TSR_MAX_RANK, &n_step));
    if (n < 0 || n_end < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "starts or ends are missing");
    if (n != n_end || (n_axis >= 0 && n_axis != n) || (n_step >= 0 && n_step != n) || n > x->rank)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "starts, ends, axes and steps have different or impossible lengths (%d, %d, %d, %d)",
                           n, n_end, n_axis, n_step);
    for (int i = 0; i < x->rank; i++) {
        s->start[i] = 0;
        s->step[i] = 1;
        s->count[i] = x->dim[i];
    }
    for (int i = 0; i < n; i++) {
        int a;
        int64_t st = n_step < 0 ? 1 : step[i];
        TSR_TRY(tsr_op_axis(ctx, n_axis < 0 ? i : axis[i], x->rank, &a));
        if (seen[a]) return tsr_op_fail(ctx, TSR_E_CORRUPT, "axis %d is named twice", a);
        if (st == 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the step along axis %d is zero", a);
        seen[a] = true;
        int64_t dim = x->dim[a], span;
        if (st < -INT32_MAX) st = -INT32_MAX;
        s->start[a] = st > 0 ? place(start[i], dim, 0, dim) : place(start[i], dim, 0, dim - 1);
        int64_t stop = st > 0 ? place(end[i], dim, 0, dim) : place(end[i], dim, -1, dim - 1);
        span = st > 0 ? stop - s->start[a] : s->start[a] - stop;
        int64_t stride = st > 0 ? st : -st;
        s->count[a] = span <= 0 || dim == 0 ? 0 : (span - 1) / stride + 1;
        s->step[a] = st;
        if (s->count[a] <= 1) s->step[a] = 1; /* huge steps that are never taken */
    }
    return TSR_OK;
}

static enum tsr_status slice_infer(struct tsr_op_ctx *ctx)
{
    struct slice s;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(slice_plan(ctx, &s));
    struct tsr_shape y = {.rank = ctx->in[0]->shape.rank};
    memcpy(y.dim, s.count, sizeof y.dim);
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &y);
    return TSR_OK;
}

static enum tsr_status slice_run(struct tsr_op_ctx *ctx, const struct tsr_tensor *from, struct tsr_tensor *to, bool back)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    struct tsr_copy c = {.dtype = from->dtype, .rank = x->rank, .dst = to->data, .src = from->data};
    struct slice s;
    int64_t sx[TSR_MAX_RANK] = {0}, sy[TSR_MAX_RANK] = {0}, at = 0;
    TSR_TRY(slice_plan(ctx, &s));
    tsr_arg_strides(x, sx);
    tsr_arg_strides(&ctx->out[0].shape, sy);
    for (int i = 0; i < x->rank; i++) {
        c.dim[i] = s.count[i];
        c.ss[i] = s.step[i] * sx[i];
        c.ds[i] = sy[i];
        at += s.start[i] * sx[i];
    }
    c.s0 = at;
    if (back) {
        memcpy(c.ds, c.ss, sizeof sx);
        memcpy(c.ss, sy, sizeof sy);
        c.d0 = at;
        c.s0 = 0;
    }
    tsr_copy_run(ctx->pool, &c);
    return TSR_OK;
}

static enum tsr_status slice_forward(struct tsr_op_ctx *ctx)
{
    return slice_run(ctx, ctx->in[0], &ctx->out[0], false);
}

static enum tsr_status slice_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    size_t bytes = tsr_tensor_bytes(&ctx->gin[0]);
    if (bytes) memset(ctx->gin[0].data, 0, bytes);
    return ctx->gout[0] ? slice_run(ctx, ctx->gout[0], &ctx->gin[0], true) : TSR_OK;
}

const struct tsr_op tsr_ops_slice[] = {
    {"Slice", "", TSR_OP_DATA_SHAPE, 1, 5, 1, slice_infer, slice_forward, slice_backward, 0},
};
const size_t tsr_n_ops_slice = sizeof tsr_ops_slice / sizeof *tsr_ops_slice;
