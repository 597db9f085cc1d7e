/* cast.c - Cast, CastLike and Identity. */
#include "ops/arg.h"
#include "ops/families.h"
#include "ops/par.h"
#include "tensor/minifloat.h"

#include <inttypes.h>
#include <string.h>

/* Types that can be converted and handed on, but not computed with. */
#define CASTABLE                                                                                                       \
    (TSR_MASK_ANY | TSR_MASK(TSR_U2) | TSR_MASK(TSR_I2) | TSR_MASK(TSR_F8E4M3FN) | TSR_MASK(TSR_F8E4M3FNUZ) |          \
     TSR_MASK(TSR_F8E5M2) | TSR_MASK(TSR_F8E5M2FNUZ) | TSR_MASK(TSR_F8E8M0) | TSR_MASK(TSR_F4E2M1))

static enum tsr_status cast_to(struct tsr_op_ctx *ctx, int64_t to)
{
    TSR_TRY(tsr_op_need(ctx, 0, CASTABLE));
    if (to < 0 || to > 31 || tsr_dtype_bits((enum tsr_dtype)to) == 0)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "elements cannot be converted to type %s (%" PRId64 ")",
                           to < 0 || to > 31 ? "unknown" : tsr_dtype_name((enum tsr_dtype)to), to);
    tsr_op_set(ctx, 0, (enum tsr_dtype)to, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status cast_infer(struct tsr_op_ctx *ctx)
{
    return cast_to(ctx, tsr_node_int(ctx->node, "to", 0));
}

static enum tsr_status cast_like_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 1, CASTABLE));
    return cast_to(ctx, ctx->in[1]->dtype);
}

struct cast {
    enum tsr_dtype to, from;
    void *dst;
    const void *src;
};

static void cast_piece(void *arg, int64_t from, int64_t to)
{
    const struct cast *c = arg; /* pieces are multiples of 4, so elements of few bits begin on a byte */
    size_t d = tsr_dtype_bytes(c->to, from), s = tsr_dtype_bytes(c->from, from);
    tsr_convert(c->to, (char *)c->dst + d, c->from, (const char *)c->src + s, to - from);
}

static void cast_run(struct tsr_op_ctx *ctx, struct tsr_tensor *to, const struct tsr_tensor *from)
{
    struct cast c = {to->dtype, from->dtype, to->data, from->data};
    if (to->data != from->data) tsr_par(ctx->pool, tsr_tensor_count(from), 32768, cast_piece, &c);
}

/* To 8-bit floats, which the attributes say more about. */
static bool cast_to_mini(const struct tsr_op_ctx *ctx)
{
    const char *mode = tsr_node_string(ctx->node, "round_mode", "up");
    const enum tsr_mini_round round = strcmp(mode, "down") == 0      ? TSR_MINI_DOWN
                                      : strcmp(mode, "nearest") == 0 ? TSR_MINI_NEAREST
                                                                     : TSR_MINI_UP;
    const bool saturate = tsr_node_int(ctx->node, "saturate", 1) != 0;
    const struct tsr_tensor *x = ctx->in[0], *y = &ctx->out[0];
    if (!tsr_dtype_is_mini(y->dtype) || tsr_dtype_bits(y->dtype) < 8 || x->dtype == y->dtype) return false;
    for (int64_t i = 0; i < tsr_tensor_count(x); i++)
        ((uint8_t *)y->data)[i] = tsr_mini_encode(y->dtype, tsr_load_f64(x->dtype, x->data, i), saturate, round);
    return true;
}

static enum tsr_status cast_forward(struct tsr_op_ctx *ctx)
{
    if (cast_to_mini(ctx)) return TSR_OK;
    cast_run(ctx, &ctx->out[0], ctx->in[0]);
    return TSR_OK;
}

static enum tsr_status cast_backward(struct tsr_op_ctx *ctx)
{
    for (int i = 0; i < ctx->node->n_in; i++)
        if (ctx->want_gin[i] && (i > 0 || !ctx->gout[0])) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (ctx->want_gin[0] && ctx->gout[0]) cast_run(ctx, &ctx->gin[0], ctx->gout[0]);
    return TSR_OK;
}

static enum tsr_status identity_infer(struct tsr_op_ctx *ctx)
{
    return tsr_arg_same(ctx, CASTABLE);
}

/* The same bits as another type of the same size; truth values stay 0 and 1. */
static enum tsr_status bit_cast_infer(struct tsr_op_ctx *ctx)
{
    const int64_t to = tsr_node_int(ctx->node, "to", 0);
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    if (to < 1 || to > 31 || !(TSR_MASK_ANY >> to & 1) || tsr_dtype_bits((enum tsr_dtype)to) != tsr_dtype_bits(ctx->in[0]->dtype))
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "elements of type %s cannot be read as %s", tsr_dtype_name(ctx->in[0]->dtype),
                           tsr_dtype_name((enum tsr_dtype)to));
    tsr_op_set(ctx, 0, (enum tsr_dtype)to, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status bit_cast_forward(struct tsr_op_ctx *ctx)
{
    uint8_t *y = ctx->out[0].data;
    TSR_TRY(tsr_arg_copy_forward(ctx));
    for (int64_t i = 0; ctx->out[0].dtype == TSR_BOOL && i < tsr_tensor_count(&ctx->out[0]); i++) y[i] = y[i] != 0;
    return TSR_OK;
}

const struct tsr_op tsr_ops_cast[] = {
    {"BitCast", "", 0, 1, 1, 1, bit_cast_infer, bit_cast_forward, NULL, 0},
    {"Cast", "", 0, 1, 1, 1, cast_infer, cast_forward, cast_backward, 0},
    {"CastLike", "", 0, 2, 2, 1, cast_like_infer, cast_forward, cast_backward, 0},
    {"Identity", "", TSR_OP_VIEW, 1, 1, 1, identity_infer, tsr_arg_copy_forward, tsr_arg_copy_backward, 0},
};
const size_t tsr_n_ops_cast = sizeof tsr_ops_cast / sizeof *tsr_ops_cast;
