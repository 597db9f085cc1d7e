#include "ops/qproduct.h"

#include "tensor/isa.h"

#include <string.h>

TSR_CLONES static void add_row(int64_t n, uint32_t x, const int16_t *b, uint32_t *c)
{
    TSR_IVDEP for (int64_t j = 0; j < n; j++)
    {
        uint32_t y = (uint32_t)b[j];
        c[j] += x * y;
    }
}

void tsr_q_product(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const int16_t *b, int64_t ldb,
                   int32_t *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++) add_row(n, (uint32_t)a[i * lda + p], b + p * ldb, (uint32_t *)(c + i * ldc));
}

#define WIDEN(T, name)                                                                                                  \
    TSR_CLONES static void name(int64_t n, const T *x, int64_t stride, const int32_t *zero, int step, int16_t *y)       \
    {                                                                                                                   \
        if (stride == 1 && step == 0) {                                                                                 \
            const int32_t z = *zero;                                                                                    \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (int16_t)(x[i] - z);                                       \
        } else {                                                                                                        \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (int16_t)(x[i * stride] - zero[i * step]);                 \
        }                                                                                                               \
    }
WIDEN(int8_t, widen_i8)
WIDEN(uint8_t, widen_u8)

void tsr_q_widen(enum tsr_dtype t, const void *x, int64_t at, int64_t stride, int64_t n, const int32_t *zero, int step,
                 int16_t *y)
{
    if (t == TSR_I8) widen_i8(n, (const int8_t *)x + at, stride, zero, step, y);
    else widen_u8(n, (const uint8_t *)x + at, stride, zero, step, y);
}

#define REQUANTISE(T, name)                                                                                             \
    TSR_CLONES static void name(int64_t n, const int32_t *sum, const float *factor, int step, int32_t zero, float lo,   \
                                float hi, T *y)                                                                         \
    {                                                                                                                   \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                                       \
        {                                                                                                               \
            float v = (float)sum[i] * factor[i * step];                                                                 \
            v = v > lo ? v : lo;                                                                                        \
            v = v < hi ? v : hi;                                                                                        \
            y[i] = (T)(tsr_q_nearest(v) + zero);                                                                        \
        }                                                                                                               \
    }
REQUANTISE(int8_t, requantise_i8)
REQUANTISE(uint8_t, requantise_u8)

void tsr_q_requantise(enum tsr_dtype t, void *y, int64_t at, int64_t n, const int32_t *sum, const float *factor, int step,
                      int32_t zero, int32_t lo, int32_t hi)
{
    const float least = (float)(lo - zero), most = (float)(hi - zero);
    if (t == TSR_I8) requantise_i8(n, sum, factor, step, zero, least, most, (int8_t *)y + at);
    else requantise_u8(n, sum, factor, step, zero, least, most, (uint8_t *)y + at);
}

void tsr_q_bounds(const struct tsr_op_ctx *ctx, enum tsr_dtype t, int32_t *lo, int32_t *hi)
{
    tsr_q_range(t, lo, hi);
    const int64_t a = tsr_node_int(ctx->node, "lo", *lo), b = tsr_node_int(ctx->node, "hi", *hi);
    if (a > *lo && a <= *hi) *lo = (int32_t)a;
    if (b < *hi && b >= *lo) *hi = (int32_t)b;
}
