/* shape.c - operators that read or change a shape and leave the elements where they are. */
#include "ops/arg.h"
#include "ops/families.h"

#include <inttypes.h>

static enum tsr_status shape_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    int64_t rank = ctx->in[0]->shape.rank;
    int64_t from = tsr_node_int(ctx->node, "start", 0), to = tsr_node_int(ctx->node, "end", rank);
    if (ctx->node->opset < 15) from = 0, to = rank;
    if (from < 0) from += rank;
    if (to < 0) to += rank;
    from = from < 0 ? 0 : from > rank ? rank : from;
    to = to < from ? from : to > rank ? rank : to;
    tsr_op_set(ctx, 0, TSR_I64, &(struct tsr_shape){1, {to - from}});
    return TSR_OK;
}

static enum tsr_status shape_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_shape *s = &ctx->in[0]->shape;
    int64_t from = ctx->node->opset < 15 ? 0 : tsr_node_int(ctx->node, "start", 0);
    if (from < 0) from += s->rank;
    if (from < 0) from = 0;
    for (int64_t i = 0; i < ctx->out[0].shape.dim[0]; i++) ((int64_t *)ctx->out[0].data)[i] = s->dim[from + i];
    return TSR_OK;
}

static enum tsr_status size_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    tsr_op_set(ctx, 0, TSR_I64, &(struct tsr_shape){0});
    return TSR_OK;
}

static enum tsr_status size_forward(struct tsr_op_ctx *ctx)
{
    *(int64_t *)ctx->out[0].data = tsr_tensor_count(ctx->in[0]);
    return TSR_OK;
}

static enum tsr_status reshape_infer(struct tsr_op_ctx *ctx)
{
    char text[TSR_SHAPE_TEXT], want[TSR_SHAPE_TEXT];
    struct tsr_shape s = {0};
    int n, hole = -1;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    bool allow_zero = tsr_node_int(ctx->node, "allowzero", 0) != 0;
    TSR_TRY(tsr_arg_ints(ctx, ctx->node->opset < 5 ? "shape" : NULL, 1, s.dim, TSR_MAX_RANK, &n));
    if (n < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the wanted shape is missing");
    s.rank = n;
    tsr_shape_text(&s, want, sizeof want);
    for (int i = 0; i < n; i++) {
        if (s.dim[i] == -1 && hole < 0) hole = i;
        else if (s.dim[i] < 0)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "%s is not a shape: at most one dimension may be -1, none less", want);
        else if (s.dim[i] == 0 && !allow_zero) {
            if (i >= x->rank)
                return tsr_op_fail(ctx, TSR_E_CORRUPT, "the wanted shape %s copies dimension %d, which %s does not have", want,
                                   i, tsr_shape_text(x, text, sizeof text));
            s.dim[i] = x->dim[i];
        }
    }
    int64_t count = tsr_shape_count(x);
    if (hole >= 0) {
        s.dim[hole] = 1;
        int64_t rest = tsr_shape_count(&s);
        s.dim[hole] = rest > 0 ? count / rest : 0;
    }
    if (tsr_shape_count(&s) != count)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "shape %s cannot be reshaped to %s", tsr_shape_text(x, text, sizeof text), want);
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status flatten_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    int64_t axis = tsr_node_int(ctx->node, "axis", 1);
    if (axis < -x->rank || axis > x->rank)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "axis %" PRId64 " is outside a tensor of %d dimensions", axis, x->rank);
    if (axis < 0) axis += x->rank;
    struct tsr_shape s = {2, {tsr_arg_span(x, 0, (int)axis), tsr_arg_span(x, (int)axis, x->rank)}};
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status squeeze_infer(struct tsr_op_ctx *ctx)
{
    bool on[TSR_MAX_RANK];
    int n;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    TSR_TRY(tsr_arg_axes(ctx, ctx->node->opset < 13 ? "axes" : NULL, 1, x->rank, on, &n));
    struct tsr_shape s = {0};
    for (int i = 0; i < x->rank; i++) {
        if (n < 0 ? x->dim[i] != 1 : !on[i]) s.dim[s.rank++] = x->dim[i];
        else if (x->dim[i] != 1)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "dimension %d is %" PRId64 ", so it cannot be squeezed away", i, x->dim[i]);
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status unsqueeze_infer(struct tsr_op_ctx *ctx)
{
    bool on[TSR_MAX_RANK];
    int64_t v[TSR_MAX_RANK];
    int n;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    const char *name = ctx->node->opset < 13 ? "axes" : NULL;
    TSR_TRY(tsr_arg_ints(ctx, name, 1, v, TSR_MAX_RANK, &n));
    if (n < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the axes to insert are missing");
    if (x->rank + n > TSR_MAX_RANK)
        return tsr_op_fail(ctx, TSR_E_LIMIT, "the result would have %d dimensions, the limit is %d", x->rank + n, TSR_MAX_RANK);
    struct tsr_shape s = {.rank = x->rank + n};
    TSR_TRY(tsr_arg_axes(ctx, name, 1, s.rank, on, &n));
    for (int i = 0, k = 0; i < s.rank; i++) s.dim[i] = on[i] ? 1 : x->dim[k++];
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

#define VIEW(name, min_in, max_in, infer)                                                           \
    {name, "", TSR_OP_VIEW | TSR_OP_DATA_SHAPE, min_in, max_in, 1, infer, tsr_arg_copy_forward, tsr_arg_copy_backward, 0}

const struct tsr_op tsr_ops_shape[] = {
    {"Flatten", "", TSR_OP_VIEW, 1, 1, 1, flatten_infer, tsr_arg_copy_forward, tsr_arg_copy_backward, 0},
    VIEW("Reshape", 1, 2, reshape_infer),
    {"Shape", "", 0, 1, 1, 1, shape_infer, shape_forward, NULL, 0},
    {"Size", "", 0, 1, 1, 1, size_infer, size_forward, NULL, 0},
    VIEW("Squeeze", 1, 2, squeeze_infer),
    VIEW("Unsqueeze", 1, 2, unsqueeze_infer),
};
const size_t tsr_n_ops_shape = sizeof tsr_ops_shape / sizeof *tsr_ops_shape;
