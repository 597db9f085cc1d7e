/* qlinear_binary.c - QLinearAdd and QLinearMul of com.microsoft: C = Q(DQ(A) op DQ(B)), with broadcasting. */
#include "ops/bcast.h"
#include "ops/families.h"
#include "ops/qproduct.h"
#include "tensor/isa.h"

#include <string.h>

struct binary {
    enum tsr_dtype type; /* of A, B and C */
    bool mul;
    const void *a, *b;
    void *c;
    struct tsr_qscalar qa, qb, qc;
    int32_t lo, hi;
};

/* The operations are those of ONNX Runtime, so that ties fall the same way:
 *     Add   a * (sa / sc) + (b * (sb / sc) + fixed), fused, with fixed = zc - (za * (sa / sc) + zb * (sb / sc))
 *     Mul   (a - za) (b - zb) * (sa sb / sc) + zc */
struct factors {
    float a, b, fixed;
};

#define PIECES(T)                                                                                                      \
    TSR_CLONES_FMA static void add_##T(const struct factors *k, int64_t n, const T *a, int64_t sa, const T *b, int64_t sb,  \
                                   float *y)                                                                           \
    {                                                                                                                  \
        const float ka = k->a, kb = k->b, fixed = k->fixed;                                                            \
        if (sa == 1 && sb == 1) {                                                                                      \
            TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                                  \
                y[i] = __builtin_fmaf((float)a[i], ka, __builtin_fmaf((float)b[i], kb, fixed));                        \
        } else {                                                                                                       \
            TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                                  \
                y[i] = __builtin_fmaf((float)a[i * sa], ka, __builtin_fmaf((float)b[i * sb], kb, fixed));              \
        }                                                                                                              \
    }                                                                                                                  \
    TSR_CLONES static void mul_##T(const struct binary *j, int64_t n, const T *a, int64_t sa, const T *b, int64_t sb,   \
                                   float *y)                                                                           \
    {                                                                                                                  \
        const float factor = j->qa.scale * j->qb.scale / j->qc.scale, zero = (float)j->qc.zero;                        \
        const int32_t za = j->qa.zero, zb = j->qb.zero;                                                                \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                                      \
            y[i] = (float)((a[i * sa] - za) * (b[i * sb] - zb)) * factor + zero;                                       \
    }                                                                                                                  \
    TSR_CLONES static void store_##T(int64_t n, const float *x, float lo, float hi, T *y)                              \
    {                                                                                                                  \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                                      \
        {                                                                                                              \
            float v = x[i] > lo ? x[i] : lo;                                                                           \
            v = v < hi ? v : hi;                                                                                       \
            y[i] = (T)tsr_q_nearest(v);                                                                                \
        }                                                                                                              \
    }
PIECES(int8_t)
PIECES(uint8_t)

static void binary_run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    enum { PIECE = 1024 };
    const struct binary *j = arg;
    const float ka = j->qa.scale / j->qc.scale, kb = j->qb.scale / j->qc.scale;
    const struct factors k = {ka, kb, (float)j->qc.zero - __builtin_fmaf((float)j->qa.zero, ka, (float)j->qb.zero * kb)};
    float y[PIECE];
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t count = n - i < PIECE ? n - i : PIECE, p = at[0] + i * step[0], q = at[1] + i * step[1];
        if (j->type == TSR_I8) {
            const int8_t *a = (const int8_t *)j->a + p, *b = (const int8_t *)j->b + q;
            if (j->mul) mul_int8_t(j, count, a, step[0], b, step[1], y);
            else add_int8_t(&k, count, a, step[0], b, step[1], y);
            store_int8_t(count, y, (float)j->lo, (float)j->hi, (int8_t *)j->c + o + i);
        } else {
            const uint8_t *a = (const uint8_t *)j->a + p, *b = (const uint8_t *)j->b + q;
            if (j->mul) mul_uint8_t(j, count, a, step[0], b, step[1], y);
            else add_uint8_t(&k, count, a, step[0], b, step[1], y);
            store_uint8_t(count, y, (float)j->lo, (float)j->hi, (uint8_t *)j->c + o + i);
        }
    }
}

static enum tsr_status binary_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_shape out;
    char ta[TSR_SHAPE_TEXT], tb[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_Q8));
    TSR_TRY(tsr_op_need(ctx, 3, TSR_MASK(ctx->in[0]->dtype)));
    const struct tsr_shape *a = &ctx->in[0]->shape, *b = &ctx->in[3]->shape;
    if (!tsr_shape_broadcast(a, b, &out))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%s and %s do not broadcast to one shape", tsr_shape_text(a, ta, sizeof ta),
                           tsr_shape_text(b, tb, sizeof tb));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &out);
    return TSR_OK;
}

static enum tsr_status binary_forward(struct tsr_op_ctx *ctx)
{
    struct binary j = {ctx->in[0]->dtype, strcmp(ctx->node->op_type, "QLinearMul") == 0, ctx->in[0]->data, ctx->in[3]->data,
                       ctx->out[0].data, {0, 0}, {0, 0}, {0, 0}, 0, 0};
    struct tsr_bcast b;
    tsr_q_bounds(ctx, j.type, &j.lo, &j.hi);
    TSR_TRY(tsr_qscalar_read(ctx, 1, 2, &j.qa));
    TSR_TRY(tsr_qscalar_read(ctx, 4, 5, &j.qb));
    TSR_TRY(tsr_qscalar_read(ctx, 6, 7, &j.qc));
    if (tsr_tensor_count(&ctx->out[0]) == 0) return TSR_OK;
    tsr_bcast_init(&b, &ctx->out[0].shape, 2, (const struct tsr_shape *[]){&ctx->in[0]->shape, &ctx->in[3]->shape});
    tsr_bcast_run(ctx->pool, &b, binary_run, &j);
    return TSR_OK;
}

const struct tsr_op tsr_ops_qlinear_binary[] = {
    {"QLinearAdd", "com.microsoft", 0, 7, 8, 1, binary_infer, binary_forward, NULL, 0},
    {"QLinearMul", "com.microsoft", 0, 7, 8, 1, binary_infer, binary_forward, NULL, 0},
};
const size_t tsr_n_ops_qlinear_binary = sizeof tsr_ops_qlinear_binary / sizeof *tsr_ops_qlinear_binary;
