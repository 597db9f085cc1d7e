/* quantize.c - QuantizeLinear, DequantizeLinear (opsets 10 to 25, and those of com.microsoft) and
 * DynamicQuantizeLinear. */
#include "ops/families.h"
#include "ops/par.h"
#include "ops/qparam.h"
#include "base/mem.h"
#include "tensor/minifloat.h"

#include <inttypes.h>
#include <string.h>

static const uint32_t grid_types = TSR_MASK_Q8 | TSR_MASK_Q16 | TSR_MASK_Q4 | TSR_MASK(TSR_U2) | TSR_MASK(TSR_I2) |
                                   TSR_MASK(TSR_F8E4M3FN) | TSR_MASK(TSR_F8E4M3FNUZ) | TSR_MASK(TSR_F8E5M2) |
                                   TSR_MASK(TSR_F8E5M2FNUZ) | TSR_MASK(TSR_F4E2M1);

static enum tsr_status params(struct tsr_op_ctx *ctx, struct tsr_qparam *q)
{
    return tsr_qparam_init(ctx, &ctx->in[0]->shape, 1, 2, tsr_node_int(ctx->node, "axis", 1),
                           tsr_node_int(ctx->node, "block_size", 0), q);
}

/* The type that attribute `name` asks for, which must be in the mask; `otherwise` where it is absent or 0. */
static enum tsr_status type_attribute(struct tsr_op_ctx *ctx, const char *name, uint32_t mask, enum tsr_dtype otherwise,
                                      enum tsr_dtype *t)
{
    int64_t v = tsr_node_int(ctx->node, name, 0);
    *t = v == 0 ? otherwise : (enum tsr_dtype)v;
    if (v < 0 || v > 31 || !(TSR_MASK(*t) & mask))
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "%s is %s (%" PRId64 ")", name,
                           v < 0 || v > 31 ? "unknown" : tsr_dtype_name(*t), v);
    return TSR_OK;
}

/* ---- QuantizeLinear ------------------------------------------------------------------------- */

static enum tsr_status quantize_infer(struct tsr_op_ctx *ctx)
{
    enum tsr_dtype type, asked;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_SCALE | TSR_MASK(TSR_I32)));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_SCALE));
    if (tsr_arg_in(ctx, 2) != NULL) TSR_TRY(tsr_op_need(ctx, 2, grid_types));
    type = tsr_arg_in(ctx, 2) != NULL ? ctx->in[2]->dtype : TSR_U8;
    TSR_TRY(type_attribute(ctx, "output_dtype", grid_types, type, &asked));
    if (tsr_arg_in(ctx, 2) != NULL && asked != type)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "output_dtype is %s and the zero point %s", tsr_dtype_name(asked),
                           tsr_dtype_name(type));
    tsr_op_set(ctx, 0, asked, &ctx->in[0]->shape);
    return TSR_OK;
}

struct quantise {
    const struct tsr_tensor *x;
    struct tsr_tensor *y;
    enum tsr_dtype precision;
    bool saturate; /* to floats of few bits */
};

/* Floats of few bits: the quotient, rounded to one of them; zero points are zero there. */
static void quantise_mini(const struct quantise *j, int64_t n, int64_t at, const float *scale, int step)
{
    const enum tsr_dtype t = j->y->dtype;
    for (int64_t i = 0; i < n; i++) {
        const float v = (float)tsr_load_f64(j->x->dtype, j->x->data, at + i) / scale[i * step];
        if (t == TSR_F4E2M1) tsr_store_f64(t, j->y->data, at + i, (double)v);
        else ((uint8_t *)j->y->data)[at + i] = tsr_mini_encode(t, (double)v, j->saturate, TSR_MINI_UP);
    }
}

static void quantise_run(void *arg, int64_t n, int64_t at, const float *scale, const int32_t *zero, int step)
{
    enum { PIECE = 1024 };
    const struct quantise *j = arg;
    float wide[PIECE];
    if (tsr_dtype_is_mini(j->y->dtype)) {
        quantise_mini(j, n, at, scale, step);
        return;
    }
    if (j->x->dtype == TSR_F32) {
        tsr_q_quantise(j->y->dtype, j->y->data, at, n, (const float *)j->x->data + at, scale, zero, step, j->precision);
        return;
    }
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t k = n - i < PIECE ? n - i : PIECE;
        tsr_convert(TSR_F32, wide, j->x->dtype, (const char *)j->x->data + tsr_dtype_bytes(j->x->dtype, at + i), k);
        tsr_q_quantise(j->y->dtype, j->y->data, at + i, k, wide, scale + i * step, zero + i * step, step, j->precision);
    }
}

static enum tsr_status quantize_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_qparam q;
    struct quantise j = {ctx->in[0], &ctx->out[0], TSR_F32, tsr_node_int(ctx->node, "saturate", 1) != 0};
    TSR_TRY(type_attribute(ctx, "precision", TSR_MASK_SCALE, ctx->in[1]->dtype, &j.precision));
    TSR_TRY(params(ctx, &q));
    bool packed = tsr_dtype_bits(j.y->dtype) < 8; /* threads must not share a byte */
    tsr_qparam_runs(packed ? NULL : ctx->pool, &q, quantise_run, &j);
    tsr_qparam_release(ctx, &q);
    return TSR_OK;
}

/* ---- DequantizeLinear ----------------------------------------------------------------------- */

static enum tsr_status dequantize_infer(struct tsr_op_ctx *ctx)
{
    enum tsr_dtype type;
    TSR_TRY(tsr_op_need(ctx, 0, grid_types | TSR_MASK(TSR_I32)));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_SCALE));
    if (tsr_arg_in(ctx, 2) != NULL) TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(ctx->in[0]->dtype)));
    TSR_TRY(type_attribute(ctx, "output_dtype", TSR_MASK_SCALE, ctx->in[1]->dtype, &type));
    tsr_op_set(ctx, 0, type, &ctx->in[0]->shape);
    return TSR_OK;
}

struct dequantise {
    const struct tsr_tensor *x;
    struct tsr_tensor *y;
};

static void dequantise_run(void *arg, int64_t n, int64_t at, const float *scale, const int32_t *zero, int step)
{
    enum { PIECE = 1024 };
    const struct dequantise *j = arg;
    float wide[PIECE];
    if (tsr_dtype_is_mini(j->x->dtype)) {
        for (int64_t i = 0; i < n; i++) {
            const float x = (float)tsr_load_f64(j->x->dtype, j->x->data, at + i);
            tsr_store_f64(j->y->dtype, j->y->data, at + i, (double)((x - (float)zero[i * step]) * scale[i * step]));
        }
        return;
    }
    if (j->y->dtype == TSR_F32) {
        tsr_q_dequantise(j->x->dtype, j->x->data, at, n, scale, zero, step, (float *)j->y->data + at);
        return;
    }
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t k = n - i < PIECE ? n - i : PIECE;
        tsr_q_dequantise(j->x->dtype, j->x->data, at + i, k, scale + i * step, zero + i * step, step, wide);
        tsr_convert(j->y->dtype, (char *)j->y->data + tsr_dtype_bytes(j->y->dtype, at + i), TSR_F32, wide, k);
    }
}

static enum tsr_status dequantize_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_qparam q;
    struct dequantise j = {ctx->in[0], &ctx->out[0]};
    TSR_TRY(params(ctx, &q));
    tsr_qparam_runs(ctx->pool, &q, dequantise_run, &j);
    tsr_qparam_release(ctx, &q);
    return TSR_OK;
}

/* The gradient of a scale is the sum of dY (x - zero) over its elements; integers have none. */
struct slope {
    const struct tsr_tensor *x, *dy;
    const float *first; /* where the scales begin */
    double *sum;
};

static void slope_run(void *arg, int64_t n, int64_t at, const float *scale, const int32_t *zero, int step)
{
    const struct slope *j = arg;
    double *sum = j->sum + (scale - j->first);
    for (int64_t i = 0; i < n; i++) {
        double x = tsr_load_f64(j->x->dtype, j->x->data, at + i) - (double)zero[i * step];
        sum[i * step] += x * tsr_load_f64(j->dy->dtype, j->dy->data, at + i);
    }
}

static enum tsr_status dequantize_backward(struct tsr_op_ctx *ctx)
{
    struct tsr_qparam q;
    if (!ctx->want_gin[1]) return TSR_OK;
    TSR_TRY(params(ctx, &q));
    size_t bytes = (size_t)q.n * sizeof(double);
    double *sum = tsr_op_scratch(ctx, bytes);
    if (sum != NULL) {
        for (int64_t i = 0; i < q.n; i++) sum[i] = 0;
        struct slope j = {ctx->in[0], ctx->gout[0], q.scale, sum};
        if (ctx->gout[0] != NULL) tsr_qparam_runs(NULL, &q, slope_run, &j);
        tsr_convert(ctx->gin[1].dtype, ctx->gin[1].data, TSR_F64, sum, q.n);
    }
    tsr_op_scratch_free(ctx, sum, bytes);
    tsr_qparam_release(ctx, &q);
    return sum != NULL ? TSR_OK : tsr_nomem(ctx->err, bytes);
}

/* ---- DynamicQuantizeLinear ------------------------------------------------------------------ */

static enum tsr_status dynamic_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_shape one = {.rank = 0};
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK(TSR_F32)));
    tsr_op_set(ctx, 0, TSR_U8, &ctx->in[0]->shape);
    tsr_op_set(ctx, 1, TSR_F32, &one);
    tsr_op_set(ctx, 2, TSR_U8, &one);
    return TSR_OK;
}

static enum tsr_status dynamic_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_qscalar s;
    const struct tsr_tensor *x = ctx->in[0];
    int64_t n = tsr_tensor_count(x);
    tsr_q_dynamic(n, x->data, &s);
    struct quantise j = {x, &ctx->out[0], TSR_F32, true};
    struct tsr_qparam q = {.outer = 1, .dim = 1, .inner = n, .n = 1, .scale = &s.scale, .zero = &s.zero};
    if (ctx->want_out[0]) tsr_qparam_runs(ctx->pool, &q, quantise_run, &j);
    if (ctx->node->n_out > 1 && ctx->want_out[1]) *(float *)ctx->out[1].data = s.scale;
    if (ctx->node->n_out > 2 && ctx->want_out[2]) *(uint8_t *)ctx->out[2].data = (uint8_t)s.zero;
    return TSR_OK;
}

const struct tsr_op tsr_ops_quantize[] = {
    {"DequantizeLinear", "", 0, 2, 3, 1, dequantize_infer, dequantize_forward, dequantize_backward, 0},
    {"DequantizeLinear", "com.microsoft", 0, 2, 3, 1, dequantize_infer, dequantize_forward, dequantize_backward, 0},
    {"DynamicQuantizeLinear", "", 0, 1, 1, 3, dynamic_infer, dynamic_forward, NULL, 0},
    {"QuantizeLinear", "", 0, 2, 3, 1, quantize_infer, quantize_forward, NULL, 0},
    {"QuantizeLinear", "com.microsoft", 0, 2, 3, 1, quantize_infer, quantize_forward, NULL, 0},
};
const size_t tsr_n_ops_quantize = sizeof tsr_ops_quantize / sizeof *tsr_ops_quantize;
