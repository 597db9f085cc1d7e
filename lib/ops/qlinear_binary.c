/* qlinear_binary.c - QLinearAdd and QLinearMul of com.microsoft: C = Q(DQ(A) op DQ(B)), with
 * broadcasting, in the same float operations that the three operators apart would do. */
#include "ops/bcast.h"
#include "ops/families.h"
#include "ops/qparam.h"
#include "tensor/isa.h"

#include <string.h>

struct binary {
    enum tsr_dtype type; /* of A, B and C */
    bool mul;
    const void *a, *b;
    void *c;
    struct tsr_qscalar qa, qb, qc;
};

#define PIECES(T)                                                                                                      \
    TSR_CLONES static void add_##T(const struct binary *j, int64_t n, const T *a, int64_t sa, const T *b, int64_t sb,   \
                                   float *y)                                                                           \
    {                                                                                                                  \
        const float s = j->qa.scale, t = j->qb.scale;                                                                  \
        const int32_t za = j->qa.zero, zb = j->qb.zero;                                                                \
        TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (float)(a[i * sa] - za) * s + (float)(b[i * sb] - zb) * t;    \
    }                                                                                                                  \
    TSR_CLONES static void mul_##T(const struct binary *j, int64_t n, const T *a, int64_t sa, const T *b, int64_t sb,   \
                                   float *y)                                                                           \
    {                                                                                                                  \
        const float s = j->qa.scale, t = j->qb.scale;                                                                  \
        const int32_t za = j->qa.zero, zb = j->qb.zero;                                                                \
        TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (float)(a[i * sa] - za) * s * ((float)(b[i * sb] - zb) * t);  \
    }
PIECES(int8_t)
PIECES(uint8_t)

static void binary_run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    enum { PIECE = 1024 };
    const struct binary *j = arg;
    float y[PIECE];
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t k = n - i < PIECE ? n - i : PIECE, p = at[0] + i * step[0], q = at[1] + i * step[1];
        if (j->type == TSR_I8)
            (j->mul ? mul_int8_t : add_int8_t)(j, k, (const int8_t *)j->a + p, step[0], (const int8_t *)j->b + q, step[1], y);
        else
            (j->mul ? mul_uint8_t : add_uint8_t)(j, k, (const uint8_t *)j->a + p, step[0], (const uint8_t *)j->b + q,
                                                 step[1], y);
        tsr_q_quantise(j->type, j->c, o + i, k, y, &j->qc.scale, &j->qc.zero, 0, TSR_F32);
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
                       ctx->out[0].data, {0, 0}, {0, 0}, {0, 0}};
    struct tsr_bcast b;
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
