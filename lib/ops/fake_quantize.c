/* fake_quantize.c - tessera.FakeQuantize: floats brought to a grid and back in one step, with gradients, so
 * that a network can be taught on the grid that it will run on.
 *
 *     inputs      x, scale, zero (may be absent), gain (may be absent)
 *     attributes  lo, hi: the integers; axis, block_size: as QuantizeLinear has them
 *     s = scale * e^gain     y = (clip(round(x / s) + zero, lo, hi) - zero) * s
 *
 * The gradient of x is that of y where x is within the grid's range, else 0 (straight-through estimator;
 * Bengio et al., 2013). The gradient of a gain is that of the step size (LSQ; Esser et al., 2020) times s,
 * over sqrt(elements * hi): in logarithms a step stays positive and an optimiser's steps are relative. */
#include "ops/families.h"
#include "ops/par.h"
#include "ops/qparam.h"
#include "base/mem.h"
#include "tensor/isa.h"

#include <math.h>
#include <string.h>

struct fake {
    struct tsr_qparam q; /* scale holds s */
    int32_t lo, hi;
    const float *x, *gy;
    float *y, *gx;
    double *sum; /* per scale */
};

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(TSR_F32)));
    if (tsr_arg_in(ctx, 2) != NULL) TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(TSR_I32)));
    if (tsr_arg_in(ctx, 3) != NULL) {
        TSR_TRY(tsr_op_need(ctx, 3, TSR_MASK(TSR_F32)));
        if (tsr_tensor_count(ctx->in[3]) != tsr_tensor_count(ctx->in[1]))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "there is not one gain for each scale");
    }
    return tsr_arg_same(ctx, TSR_MASK(TSR_F32));
}

static enum tsr_status begin(struct tsr_op_ctx *ctx, struct fake *k)
{
    memset(k, 0, sizeof *k);
    k->lo = (int32_t)tsr_node_int(ctx->node, "lo", -128);
    k->hi = (int32_t)tsr_node_int(ctx->node, "hi", 127);
    if (k->lo >= k->hi || k->lo < -32768 || k->hi > 65535) return tsr_op_fail(ctx, TSR_E_CORRUPT, "lo and hi make no grid");
    TSR_TRY(tsr_qparam_init(ctx, &ctx->in[0]->shape, 1, 2, tsr_node_int(ctx->node, "axis", 1),
                            tsr_node_int(ctx->node, "block_size", 0), &k->q));
    const struct tsr_tensor *gain = tsr_arg_in(ctx, 3);
    for (int64_t i = 0; i < k->q.n; i++) {
        float s = k->q.scale[i] * (gain != NULL ? expf(((const float *)gain->data)[i]) : 1.0f);
        k->q.scale[i] = s > 1e-30f ? s : 1e-30f;
    }
    k->x = ctx->in[0]->data;
    return TSR_OK;
}

static inline float clipped(float t, float a, float b)
{
    t = t > a ? t : a;
    return t < b ? t : b;
}

TSR_CLONES static void round_run(int64_t n, const float *x, const float *scale, const int32_t *zero, int step, int32_t lo, int32_t hi,
                                 float *y)
{
    if (step == 0) {
        const float s = *scale, a = (float)(lo - *zero), b = (float)(hi - *zero);
        TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = ((clipped(x[i] / s, a, b) + 0x1.8p23f) - 0x1.8p23f) * s;
    } else {
        TSR_IVDEP for (int64_t i = 0; i < n; i++)
        {
            const float a = (float)(lo - zero[i]), b = (float)(hi - zero[i]);
            y[i] = ((clipped(x[i] / scale[i], a, b) + 0x1.8p23f) - 0x1.8p23f) * scale[i];
        }
    }
}

static void forward_run(void *arg, int64_t n, int64_t at, const float *scale, const int32_t *zero, int step)
{
    const struct fake *k = arg;
    round_run(n, k->x + at, scale, zero, step, k->lo, k->hi, k->y + at);
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct fake k;
    TSR_TRY(begin(ctx, &k));
    k.y = ctx->out[0].data;
    tsr_qparam_runs(ctx->pool, &k.q, forward_run, &k);
    tsr_qparam_release(ctx, &k.q);
    return TSR_OK;
}

TSR_CLONES static void pass_run(int64_t n, const float *x, const float *gy, const float *scale, const int32_t *zero, int step,
                                int32_t lo, int32_t hi, float *gx)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        const float t = x[i] / scale[i * step], a = (float)(lo - zero[i * step]), b = (float)(hi - zero[i * step]);
        gx[i] = ((t >= a) & (t <= b)) ? gy[i] : 0.0f;
    }
}

static void input_run(void *arg, int64_t n, int64_t at, const float *scale, const int32_t *zero, int step)
{
    const struct fake *k = arg;
    pass_run(n, k->x + at, k->gy + at, scale, zero, step, k->lo, k->hi, k->gx + at);
}

/* What each element adds to the gradient of its step's logarithm: gy s (round(t) - t) inside, gy s q at the ends. */
TSR_CLONES static void part_run(int64_t n, const float *x, const float *gy, const float *scale, const int32_t *zero, int step,
                                int32_t lo, int32_t hi, float *part)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        const float s = scale[i * step], t = x[i] / s, a = (float)(lo - zero[i * step]), b = (float)(hi - zero[i * step]);
        const float c = clipped(t, a, b), r = (c + 0x1.8p23f) - 0x1.8p23f;
        part[i] = gy[i] * s * (((t >= a) & (t <= b)) ? r - t : c);
    }
}

static void gain_run(void *arg, int64_t n, int64_t at, const float *scale, const int32_t *zero, int step)
{
    enum { PIECE = 512 };
    const struct fake *k = arg;
    double *sum = k->sum + (scale - k->q.scale);
    float part[PIECE];
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t m = n - i < PIECE ? n - i : PIECE;
        part_run(m, k->x + at + i, k->gy + at + i, scale + i * step, zero + i * step, step, k->lo, k->hi, part);
        if (step == 1)
            for (int64_t j = 0; j < m; j++) sum[i + j] += (double)part[j];
        else
            for (int64_t j = 0; j < m; j++) sum[0] += (double)part[j];
    }
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct fake k;
    const bool gain = ctx->node->n_in > 3 && ctx->want_gin[3];
    for (int i = 0; i < ctx->node->n_in; i++)
        if (ctx->want_gin[i] && (i == 1 || ctx->gout[0] == NULL)) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (ctx->gout[0] == NULL) return TSR_OK;
    TSR_TRY(begin(ctx, &k));
    k.gy = ctx->gout[0]->data;
    enum tsr_status status = TSR_OK;
    if (ctx->want_gin[0]) {
        k.gx = ctx->gin[0].data;
        tsr_qparam_runs(ctx->pool, &k.q, input_run, &k);
    }
    const size_t bytes = (size_t)k.q.n * sizeof *k.sum;
    if (gain) k.sum = tsr_op_scratch(ctx, bytes);
    if (gain && k.sum == NULL) status = tsr_nomem(ctx->err, bytes);
    if (gain && status == TSR_OK) {
        for (int64_t i = 0; i < k.q.n; i++) k.sum[i] = 0;
        tsr_qparam_runs(NULL, &k.q, gain_run, &k); /* in order: the sums do not depend on threads */
        const double each = (double)tsr_tensor_count(ctx->in[0]) / (double)k.q.n, share = 1 / sqrt(each * k.hi);
        for (int64_t i = 0; i < k.q.n; i++) ((float *)ctx->gin[3].data)[i] = (float)(k.sum[i] * share);
        tsr_op_scratch_free(ctx, k.sum, bytes);
    }
    tsr_qparam_release(ctx, &k.q);
    return status;
}

const struct tsr_op tsr_ops_fake_quantize[] = {
    {"FakeQuantize", "tessera", 0, 2, 4, 1, infer, forward, backward, 1 | 8},
};
const size_t tsr_n_ops_fake_quantize = sizeof tsr_ops_fake_quantize / sizeof *tsr_ops_fake_quantize;
