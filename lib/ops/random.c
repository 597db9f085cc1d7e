/* random.c - RandomNormal, RandomUniform and their Like forms, Bernoulli, Multinomial. The numbers follow
 * from the attribute `seed` where the node has one, else from the session's seed; a node gives other
 * numbers in every run. They are drawn in order, so that they do not depend on threads. */
#include "base/rng.h"
#include "ops/arg.h"
#include "ops/families.h"

#include <math.h>
#include <string.h>

static void start(const struct tsr_op_ctx *ctx, struct tsr_rng *r)
{
    uint64_t own = 0;
    float seed = tsr_node_float(ctx->node, "seed", 0);
    if (tsr_node_attr(ctx->node, "seed")) {
        uint32_t bits;
        memcpy(&bits, &seed, sizeof bits);
        own = bits + 1;
    }
    tsr_rng_init(r, ctx->seed, own);
}

/* The attribute dtype, or `otherwise`, which must be one of the mask. */
static enum tsr_status output_type(struct tsr_op_ctx *ctx, enum tsr_dtype otherwise, uint32_t mask, enum tsr_dtype *out)
{
    int64_t type = tsr_node_int(ctx->node, "dtype", (int64_t)otherwise);
    if (type < 1 || type > 31 || !(mask >> type & 1))
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "outputs of type %s are not supported", tsr_dtype_name((enum tsr_dtype)type));
    *out = (enum tsr_dtype)type;
    return TSR_OK;
}

static enum tsr_status shaped_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_shape s = {0};
    enum tsr_dtype type = TSR_NONE;
    TSR_TRY(tsr_arg_ints(ctx, "shape", -1, s.dim, TSR_MAX_RANK, &s.rank));
    TSR_TRY(output_type(ctx, TSR_F32, TSR_MASK_FLOAT, &type));
    if (s.rank < 0 || tsr_shape_count(&s) < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'shape' is missing or impossible");
    tsr_op_set(ctx, 0, type, &s);
    return TSR_OK;
}

static enum tsr_status like_infer(struct tsr_op_ctx *ctx)
{
    enum tsr_dtype type = TSR_NONE;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(output_type(ctx, ctx->in[0]->dtype, TSR_MASK_FLOAT, &type));
    tsr_op_set(ctx, 0, type, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status normal_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_rng r;
    const double mean = (double)tsr_node_float(ctx->node, "mean", 0), scale = (double)tsr_node_float(ctx->node, "scale", 1);
    start(ctx, &r);
    for (int64_t i = 0; i < tsr_tensor_count(&ctx->out[0]); i++)
        tsr_store_f64(ctx->out[0].dtype, ctx->out[0].data, i, mean + scale * (double)tsr_rng_normal(&r));
    return TSR_OK;
}

static enum tsr_status uniform_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_rng r;
    const double low = (double)tsr_node_float(ctx->node, "low", 0), high = (double)tsr_node_float(ctx->node, "high", 1);
    start(ctx, &r);
    for (int64_t i = 0; i < tsr_tensor_count(&ctx->out[0]); i++)
        tsr_store_f64(ctx->out[0].dtype, ctx->out[0].data, i, low + (high - low) * tsr_rng_double(&r));
    return TSR_OK;
}

static enum tsr_status bernoulli_infer(struct tsr_op_ctx *ctx)
{
    enum tsr_dtype type = TSR_NONE;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_FLOAT));
    TSR_TRY(output_type(ctx, ctx->in[0]->dtype, TSR_MASK_BYTES, &type));
    tsr_op_set(ctx, 0, type, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status bernoulli_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_rng r;
    const struct tsr_tensor *p = ctx->in[0];
    start(ctx, &r);
    for (int64_t i = 0; i < tsr_tensor_count(p); i++)
        tsr_store_i64(ctx->out[0].dtype, ctx->out[0].data, i, tsr_rng_double(&r) < tsr_load_f64(p->dtype, p->data, i));
    return TSR_OK;
}

static enum tsr_status multinomial_infer(struct tsr_op_ctx *ctx)
{
    enum tsr_dtype type = TSR_NONE;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_FLOAT));
    TSR_TRY(output_type(ctx, TSR_I32, TSR_MASK(TSR_I32) | TSR_MASK(TSR_I64), &type));
    const struct tsr_shape *x = &ctx->in[0]->shape, y = {2, {x->dim[0], tsr_node_int(ctx->node, "sample_size", 1)}};
    if (x->rank != 2 || x->dim[1] < 1 || tsr_shape_count(&y) < 0)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the input must be [batch, classes], and the sample size a number");
    tsr_op_set(ctx, 0, type, &y);
    return TSR_OK;
}

/* A row holds logarithms of weights, the largest of them top: the class is where their running sum passes
 * a random share of the whole. */
static int64_t draw(struct tsr_rng *r, const struct tsr_tensor *x, int64_t row, double top)
{
    const int64_t n = x->shape.dim[1];
    double all = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) all += exp(tsr_load_f64(x->dtype, x->data, row * n + i) - top);
    const double share = tsr_rng_double(r) * all;
    for (int64_t i = 0; i < n; i++) {
        sum += exp(tsr_load_f64(x->dtype, x->data, row * n + i) - top);
        if (share < sum) return i;
    }
    return n - 1;
}

static enum tsr_status multinomial_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_rng r;
    const struct tsr_tensor *x = ctx->in[0];
    const int64_t rows = x->shape.dim[0], n = x->shape.dim[1], samples = ctx->out[0].shape.dim[1];
    start(ctx, &r);
    for (int64_t row = 0; row < rows; row++) {
        double top = tsr_load_f64(x->dtype, x->data, row * n);
        for (int64_t i = 1; i < n; i++) {
            const double v = tsr_load_f64(x->dtype, x->data, row * n + i);
            if (v > top) top = v;
        }
        for (int64_t k = 0; k < samples; k++)
            tsr_store_i64(ctx->out[0].dtype, ctx->out[0].data, row * samples + k, draw(&r, x, row, top));
    }
    return TSR_OK;
}

/* Of an input only the shape counts. */
static enum tsr_status like_backward(struct tsr_op_ctx *ctx)
{
    if (ctx->want_gin[0] && tsr_tensor_count(&ctx->gin[0]) > 0) memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
    return TSR_OK;
}

const struct tsr_op tsr_ops_random[] = {
    {"Bernoulli", "", TSR_OP_RANDOM, 1, 1, 1, bernoulli_infer, bernoulli_forward, NULL, 0},
    {"Multinomial", "", TSR_OP_RANDOM, 1, 1, 1, multinomial_infer, multinomial_forward, NULL, 0},
    {"RandomNormal", "", TSR_OP_RANDOM, 0, 0, 1, shaped_infer, normal_forward, NULL, 0},
    {"RandomNormalLike", "", TSR_OP_RANDOM, 1, 1, 1, like_infer, normal_forward, like_backward, 0},
    {"RandomUniform", "", TSR_OP_RANDOM, 0, 0, 1, shaped_infer, uniform_forward, NULL, 0},
    {"RandomUniformLike", "", TSR_OP_RANDOM, 1, 1, 1, like_infer, uniform_forward, like_backward, 0},
};
const size_t tsr_n_ops_random = sizeof tsr_ops_random / sizeof *tsr_ops_random;
