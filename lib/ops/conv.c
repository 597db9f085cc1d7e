/* conv.c - Conv and ConvTranspose in one, two and three dimensions: attributes and shapes. The
 * kernels are in conv_gemm.c and, for groups of one channel, in conv_depthwise.c. */
#include "ops/families.h"
#include "ops/arg.h"
#include "ops/conv_impl.h"

#include <inttypes.h>
#include <string.h>

enum tsr_status tsr_conv_describe(struct tsr_op_ctx *ctx, struct tsr_conv *v, int64_t m)
{
    v->m = m;
    v->mg = m / v->groups;
    v->cg = v->w.c / v->groups;
    v->f32 = ctx->in[0]->dtype == TSR_F32;
    if (__builtin_mul_overflow(v->cg, v->w.kernel_size, &v->k) || v->k > INT64_C(1) << 40)
        return tsr_op_fail(ctx, TSR_E_LIMIT, "the kernel is too large");
    v->direct = v->w.kernel_size == 1;
    for (int d = 0; d < 3; d++)
        v->direct = v->direct && v->w.stride[d] == 1 && v->w.pad[d] == 0 && v->w.in[d] == v->w.out[d];
    v->weight = ctx->in[1]->data;
    return TSR_OK;
}

static enum tsr_status need_inputs(struct tsr_op_ctx *ctx)
{
    char tx[TSR_SHAPE_TEXT], tw[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(ctx->in[0]->dtype)));
    const struct tsr_shape *x = &ctx->in[0]->shape, *weight = &ctx->in[1]->shape;
    if (weight->rank != x->rank || x->rank < 3)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X %s and W %s must both be [n, channels, size...]",
                           tsr_shape_text(x, tx, sizeof tx), tsr_shape_text(weight, tw, sizeof tw));
    return TSR_OK;
}

static enum tsr_status need_bias(struct tsr_op_ctx *ctx, int64_t m)
{
    char text[TSR_SHAPE_TEXT];
    if (tsr_arg_in(ctx, 2) == NULL) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(ctx->in[0]->dtype)));
    const struct tsr_shape *b = &ctx->in[2]->shape;
    if (b->rank != 1 || b->dim[0] != m)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the bias has shape %s, not [%" PRId64 "]",
                           tsr_shape_text(b, text, sizeof text), m);
    return TSR_OK;
}

static enum tsr_status misfit(struct tsr_op_ctx *ctx, int64_t groups)
{
    char tx[TSR_SHAPE_TEXT], tw[TSR_SHAPE_TEXT];
    return tsr_op_fail(ctx, TSR_E_MISMATCH, "X %s and W %s do not fit together in %" PRId64 " groups",
                       tsr_shape_text(&ctx->in[0]->shape, tx, sizeof tx),
                       tsr_shape_text(&ctx->in[1]->shape, tw, sizeof tw), groups);
}

static const void *bias_of(const struct tsr_op_ctx *ctx)
{
    return tsr_arg_in(ctx, 2) != NULL ? ctx->in[2]->data : NULL;
}

static void zero(struct tsr_tensor *t)
{
    if (tsr_tensor_count(t) > 0) memset(t->data, 0, tsr_tensor_bytes(t));
}

/* True, and the wanted gradients are zero, where there is nothing to compute them from. */
static bool no_gradient(struct tsr_op_ctx *ctx)
{
    if (ctx->gout[0] != NULL && tsr_tensor_count(ctx->gout[0]) > 0 && tsr_tensor_count(ctx->in[0]) > 0) return false;
    for (int i = 0; i < ctx->node->n_in; i++)
        if (ctx->want_gin[i]) zero(&ctx->gin[i]);
    if (ctx->node->n_in > 2 && ctx->want_gin[2] && ctx->gout[0] != NULL && tsr_tensor_count(ctx->gout[0]) > 0)
        tsr_conv_bias_gradient(ctx, ctx->gout[0], &ctx->gin[2]);
    return true;
}

static bool depthwise(const struct tsr_conv *v) { return v->cg == 1 && v->groups > 1; }

static enum tsr_status forward_any(struct tsr_op_ctx *ctx, const struct tsr_conv *v)
{
    return depthwise(v) ? tsr_depthwise_forward(ctx, v) : tsr_conv_forward(ctx, v);
}
static enum tsr_status input_gradient_any(struct tsr_op_ctx *ctx, const struct tsr_conv *v)
{
    return depthwise(v) ? tsr_depthwise_input_gradient(ctx, v) : tsr_conv_input_gradient(ctx, v);
}
static enum tsr_status weight_gradient_any(struct tsr_op_ctx *ctx, const struct tsr_conv *v)
{
    return depthwise(v) ? tsr_depthwise_weight_gradient(ctx, v) : tsr_conv_weight_gradient(ctx, v);
}

/* ---- Conv ----------------------------------------------------------------------------------- */

static enum tsr_status conv_init(struct tsr_op_ctx *ctx, struct tsr_conv *v)
{
    const struct tsr_shape *x = &ctx->in[0]->shape, *weight = &ctx->in[1]->shape;
    memset(v, 0, sizeof *v);
    v->groups = tsr_node_int(ctx->node, "group", 1);
    if (v->groups < 1 || x->dim[1] % v->groups != 0 || weight->dim[0] % v->groups != 0 ||
        weight->dim[1] != x->dim[1] / v->groups)
        return misfit(ctx, v->groups);
    TSR_TRY(tsr_window_init(ctx, x, &weight->dim[2], &v->w));
    return tsr_conv_describe(ctx, v, weight->dim[0]);
}

static enum tsr_status conv_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_conv v;
    TSR_TRY(need_inputs(ctx));
    TSR_TRY(conv_init(ctx, &v));
    TSR_TRY(need_bias(ctx, v.m));
    struct tsr_shape out = tsr_window_shape(&v.w, v.m);
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &out);
    return TSR_OK;
}

static enum tsr_status conv_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_conv v;
    TSR_TRY(conv_init(ctx, &v));
    if (tsr_tensor_count(&ctx->out[0]) == 0) return TSR_OK;
    v.x = ctx->in[0]->data;
    v.bias = bias_of(ctx);
    v.y = ctx->out[0].data;
    return forward_any(ctx, &v);
}

static enum tsr_status conv_backward(struct tsr_op_ctx *ctx)
{
    struct tsr_conv v;
    TSR_TRY(conv_init(ctx, &v));
    if (no_gradient(ctx)) return TSR_OK;
    v.x = ctx->in[0]->data;
    v.dy = ctx->gout[0]->data;
    v.dx = ctx->gin[0].data;
    v.dw = ctx->gin[1].data;
    const bool biased = ctx->node->n_in > 2 && ctx->want_gin[2];
    if (biased) v.db = ctx->gin[2].data;
    if (ctx->want_gin[0]) TSR_TRY(input_gradient_any(ctx, &v));
    if (ctx->want_gin[1]) return weight_gradient_any(ctx, &v);
    if (biased) tsr_conv_bias_gradient(ctx, ctx->gout[0], &ctx->gin[2]);
    return TSR_OK;
}

/* ---- ConvTranspose -------------------------------------------------------------------------- */

/* The convolution whose input gradient this is: it leads from Y to X. */
static enum tsr_status transpose_init(struct tsr_op_ctx *ctx, struct tsr_conv *v)
{
    const struct tsr_shape *x = &ctx->in[0]->shape, *weight = &ctx->in[1]->shape;
    size_t n_more, n_shape;
    char mode;
    memset(v, 0, sizeof *v);
    v->groups = tsr_node_int(ctx->node, "group", 1);
    if (v->groups < 1 || x->dim[1] % v->groups != 0 || weight->dim[0] != x->dim[1]) return misfit(ctx, v->groups);
    struct tsr_window *w = &v->w;
    TSR_TRY(tsr_window_attributes(ctx, x, &weight->dim[2], w, &mode));
    const int64_t *more = tsr_node_ints(ctx->node, "output_padding", &n_more);
    const int64_t *shape = tsr_node_ints(ctx->node, "output_shape", &n_shape);
    if ((n_more > 0 && n_more != (size_t)w->rank) || (n_shape > 0 && n_shape != (size_t)w->rank))
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "output_padding or output_shape does not have %d values", w->rank);
    int64_t out_size = 1;
    for (int d = 0; d < 3; d++) {
        int i = d - (3 - w->rank);
        int64_t extra = i >= 0 && n_more > 0 ? more[i] : 0, reach = (w->kernel[d] - 1) * w->dilation[d] + 1, size;
        if (extra < 0 || extra > INT32_MAX) return tsr_op_fail(ctx, TSR_E_CORRUPT, "output_padding holds %" PRId64, extra);
        int64_t full = w->stride[d] * (w->in[d] - 1) + extra + reach;
        if (i >= 0 && (n_shape > 0 || mode == 'U' || mode == 'L')) {
            size = n_shape > 0 ? shape[i] : w->in[d] * w->stride[d];
            int64_t total = full > size ? full - size : 0; /* a larger output is filled up at its end */
            w->pad[d] = mode == 'U' ? total / 2 : total - total / 2;
        } else {
            size = full - w->pad[d] - w->pad_end[d];
        }
        if (size < 0 || size > INT64_C(1) << 31 || __builtin_mul_overflow(out_size, size, &out_size))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "an output of size %" PRId64, size);
        w->out[d] = w->in[d]; /* of the convolution described */
        w->in[d] = size;
    }
    w->out_size = w->in_size;
    w->in_size = out_size;
    w->c = weight->dim[1] * v->groups;
    return tsr_conv_describe(ctx, v, weight->dim[0]);
}

static enum tsr_status transpose_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_conv v;
    TSR_TRY(need_inputs(ctx));
    TSR_TRY(transpose_init(ctx, &v));
    TSR_TRY(need_bias(ctx, v.w.c));
    struct tsr_shape out = {.rank = v.w.rank + 2, .dim = {v.w.n, v.w.c}};
    for (int d = 0; d < v.w.rank; d++) out.dim[2 + d] = v.w.in[3 - v.w.rank + d];
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &out);
    return TSR_OK;
}

static enum tsr_status transpose_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_conv v;
    TSR_TRY(transpose_init(ctx, &v));
    const void *bias = bias_of(ctx);
    void *y = ctx->out[0].data;
    int64_t planes = v.w.n * v.w.c, size = v.w.in_size;
    if (planes * size == 0) return TSR_OK;
    v.dy = ctx->in[0]->data;
    v.dx = y;
    if (tsr_tensor_count(ctx->in[0]) == 0) zero(&ctx->out[0]);
    else TSR_TRY(input_gradient_any(ctx, &v));
    for (int64_t p = 0; bias != NULL && p < planes; p++)
        for (int64_t i = 0; i < size; i++) {
            if (v.f32) ((float *)y)[p * size + i] += ((const float *)bias)[p % v.w.c];
            else ((double *)y)[p * size + i] += ((const double *)bias)[p % v.w.c];
        }
    return TSR_OK;
}

static enum tsr_status transpose_backward(struct tsr_op_ctx *ctx)
{
    struct tsr_conv v;
    TSR_TRY(transpose_init(ctx, &v));
    if (no_gradient(ctx)) return TSR_OK;
    v.x = ctx->gout[0]->data;
    v.dy = ctx->in[0]->data;
    v.y = ctx->gin[0].data;
    v.dw = ctx->gin[1].data;
    if (ctx->want_gin[0]) TSR_TRY(forward_any(ctx, &v));
    if (ctx->want_gin[1]) TSR_TRY(weight_gradient_any(ctx, &v));
    if (ctx->node->n_in > 2 && ctx->want_gin[2]) tsr_conv_bias_gradient(ctx, ctx->gout[0], &ctx->gin[2]);
    return TSR_OK;
}

const struct tsr_op tsr_ops_conv[] = {
    {"Conv", "", TSR_OP_WIDEN | TSR_OP_FORGETS, 2, 3, 1, conv_infer, conv_forward, conv_backward, 6},
    {"ConvTranspose", "", TSR_OP_WIDEN, 2, 3, 1, transpose_infer, transpose_forward, transpose_backward, 6},
};
const size_t tsr_n_ops_conv = sizeof tsr_ops_conv / sizeof tsr_ops_conv[0];
