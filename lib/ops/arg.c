#include "ops/arg.h"

#include <inttypes.h>
#include <string.h>

enum tsr_status tsr_arg_ints(struct tsr_op_ctx *ctx, const char *name, int i, int64_t *v, int max, int *n)
{
    size_t count = 0;
    const int64_t *a = name ? tsr_node_ints(ctx->node, name, &count) : NULL;
    const struct tsr_tensor *t = i >= 0 ? tsr_arg_in(ctx, i) : NULL;
    *n = -1;
    if (a) {
        if (count > (size_t)max)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "attribute '%s' has %zu elements, at most %d make sense", name, count, max);
        memcpy(v, a, count * sizeof *v);
        *n = (int)count;
        return TSR_OK;
    }
    if (!t) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(TSR_I64) | TSR_MASK(TSR_I32)));
    int64_t k = tsr_tensor_count(t);
    if (t->shape.rank > 1 || k > max || k < 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "input %d must be a list of at most %d integers", i, max);
    tsr_convert(TSR_I64, v, t->dtype, t->data, k);
    *n = (int)k;
    return TSR_OK;
}

enum tsr_status tsr_arg_int(struct tsr_op_ctx *ctx, int i, int64_t otherwise, int64_t *v)
{
    const struct tsr_tensor *t = tsr_arg_in(ctx, i);
    *v = otherwise;
    if (!t) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_INT | TSR_MASK(TSR_BOOL)));
    if (tsr_tensor_count(t) != 1)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "input %d must have one element, not %" PRId64, i, tsr_tensor_count(t));
    *v = tsr_load_i64(t->dtype, t->data, 0);
    return TSR_OK;
}

enum tsr_status tsr_arg_axes(struct tsr_op_ctx *ctx, const char *name, int i, int rank, bool on[TSR_MAX_RANK], int *n)
{
    int64_t v[TSR_MAX_RANK];
    memset(on, 0, TSR_MAX_RANK * sizeof *on);
    TSR_TRY(tsr_arg_ints(ctx, name, i, v, TSR_MAX_RANK, n));
    for (int k = 0; k < *n; k++) {
        int axis;
        TSR_TRY(tsr_op_axis(ctx, v[k], rank, &axis));
        if (on[axis]) return tsr_op_fail(ctx, TSR_E_CORRUPT, "axis %d is named twice", axis);
        on[axis] = true;
    }
    return TSR_OK;
}

enum tsr_status tsr_arg_same(struct tsr_op_ctx *ctx, uint32_t dtypes)
{
    TSR_TRY(tsr_op_need(ctx, 0, dtypes));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return TSR_OK;
}

enum tsr_status tsr_arg_copy_forward(struct tsr_op_ctx *ctx)
{
    size_t bytes = tsr_tensor_bytes(&ctx->out[0]);
    if (ctx->out[0].data != ctx->in[0]->data && bytes) memcpy(ctx->out[0].data, ctx->in[0]->data, bytes);
    return TSR_OK;
}

enum tsr_status tsr_arg_copy_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    size_t bytes = tsr_tensor_bytes(&ctx->gin[0]);
    if (!ctx->gout[0]) memset(ctx->gin[0].data, 0, bytes);
    else if (ctx->gin[0].data != ctx->gout[0]->data && bytes) memcpy(ctx->gin[0].data, ctx->gout[0]->data, bytes);
    return TSR_OK;
}
