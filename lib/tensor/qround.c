/* qround.c - x / scale is x * (1 / scale) to within 2^-13 in the range that matters, so both round alike
 * unless the product is that near to a half. Those alone are divided. */
#include "tensor/qround.h"

#include <stdatomic.h>
#include <string.h>

#include "tensor/isa.h"

#define NEAR (0.5f - 0x1p-13f)

static inline float within(float v, float a, float b)
{
    v = v > a ? v : a; /* NaN fails */
    return v < b ? v : b;
}

/* v rounded half to even, for |v| < 2^22. */
static inline int32_t nearest(float v)
{
    int32_t bits;
    v += 0x1.8p23f;
    memcpy(&bits, &v, sizeof bits);
    return bits - 0x4b400000;
}

TSR_CLONES static bool round_block(int64_t n, const float *x, float inverse, float a, float b, int32_t zero, uint8_t *y)
{
    int32_t near = 0;
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        const float v = within(x[i] * inverse, a, b), r = (v + 0x1.8p23f) - 0x1.8p23f, d = r > v ? r - v : v - r;
        near |= d >= NEAR;
        y[i] = (uint8_t)((int32_t)r + zero);
    }
    return near != 0;
}

TSR_CLONES static void divide_block(int64_t n, const float *x, float scale, float a, float b, int32_t zero, uint8_t *y)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (uint8_t)(nearest(within(x[i] / scale, a, b)) + zero);
}

static void round_plain(int64_t n, const float *x, float scale, float a, float b, int32_t zero, uint8_t *y)
{
    enum { BLOCK = 32 };
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t k = n - i < BLOCK ? n - i : BLOCK;
        if (round_block(k, x + i, 1 / scale, a, b, zero, y + i)) divide_block(k, x + i, scale, a, b, zero, y + i);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))

/* max gives its second operand where one is NaN. */
#define WITHIN(v) _mm512_min_ps(_mm512_max_ps(v, lo), hi)

TARGET static void round_avx512(int64_t n, const float *x, float scale, float a, float b, int32_t zero, uint8_t *y)
{
    const __m512 inverse = _mm512_set1_ps(1 / scale), lo = _mm512_set1_ps(a), hi = _mm512_set1_ps(b);
    const __m512 near = _mm512_set1_ps(NEAR), whole = _mm512_set1_ps(scale);
    const __m512i z = _mm512_set1_epi32(zero), z16 = _mm512_set1_epi16((short)zero), low = _mm512_set1_epi16(0xff);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15); /* of what packing leaves */
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512 worst = _mm512_setzero_ps();
        __m512i q[4];
        _Pragma("GCC unroll 4") for (int k = 0; k < 4; k++)
        {
            const __m512 v = WITHIN(_mm512_mul_ps(_mm512_loadu_ps(x + i + 16 * k), inverse));
            q[k] = _mm512_cvtps_epi32(v);
            worst = _mm512_max_ps(worst, _mm512_abs_ps(_mm512_sub_ps(v, _mm512_cvtepi32_ps(q[k]))));
        }
        if (_mm512_cmp_ps_mask(worst, near, _CMP_GE_OQ) != 0)
            for (int k = 0; k < 4; k++) q[k] = _mm512_cvtps_epi32(WITHIN(_mm512_div_ps(_mm512_loadu_ps(x + i + 16 * k), whole)));
        const __m512i c = _mm512_add_epi16(_mm512_packs_epi32(q[0], q[1]), z16), d = _mm512_add_epi16(_mm512_packs_epi32(q[2], q[3]), z16);
        const __m512i bytes = _mm512_packus_epi16(_mm512_and_si512(c, low), _mm512_and_si512(d, low));
        _mm512_storeu_si512(y + i, _mm512_permutexvar_epi32(order, bytes));
    }
    for (; i < n; i += 16) {
        const __mmask16 mask = (__mmask16)(n - i >= 16 ? 0xffff : (1U << (n - i)) - 1);
        const __m512 u = _mm512_maskz_loadu_ps(mask, x + i), v = WITHIN(_mm512_mul_ps(u, inverse));
        __m512i q = _mm512_cvtps_epi32(v);
        const __m512 d = _mm512_abs_ps(_mm512_sub_ps(v, _mm512_cvtepi32_ps(q)));
        if (_mm512_cmp_ps_mask(d, near, _CMP_GE_OQ) != 0) q = _mm512_cvtps_epi32(WITHIN(_mm512_div_ps(u, whole)));
        _mm_mask_storeu_epi8(y + i, mask, _mm512_cvtepi32_epi8(_mm512_add_epi32(q, z)));
    }
}

static bool has_avx512(void)
{
    static atomic_int known; /* 0: not asked yet */
    int k = atomic_load_explicit(&known, memory_order_relaxed);
    if (k == 0) {
        k = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") ? 2 : 1;
        atomic_store_explicit(&known, k, memory_order_relaxed);
    }
    return k == 2;
}
#else
static bool has_avx512(void) { return false; }
#define round_avx512 round_plain
#endif

void tsr_qround(int64_t n, const float *x, float scale, int32_t zero, int32_t lo, int32_t hi, uint8_t *y)
{
    const float a = (float)(lo - zero), b = (float)(hi - zero);
    if (!(scale > 1e-30f && scale < 1e30f)) divide_block(n, x, scale, a, b, zero, y); /* 1 / scale is not precise */
    else if (has_avx512()) round_avx512(n, x, scale, a, b, zero, y);
    else round_plain(n, x, scale, a, b, zero, y);
}
