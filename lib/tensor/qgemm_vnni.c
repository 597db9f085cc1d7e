/* qgemm_vnni.c - tiles of up to 12 x 32, 8 x 48 and 6 x 64 in the 32 registers of AVX-512, four products a lane. */
#include "tensor/qgemm_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define V __m512i
#define LANES 16
#define UNIT 4
#define ZERO() _mm512_setzero_si512()
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define DOT(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#define FINISH(mr, nv, n, sum, end) finish(mr, nv, n, (const __m512i *)(sum), end)
#define SPREAD(p) spread(p)

TARGET static inline __m512i spread(const uint8_t *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}

/* The integers for sums s, of 16 columns: rounded half to even by the conversion. */
TARGET static inline __m512i grid(__m512i s, __m512 factor, __m512 lo, __m512 hi, __m512i zero)
{
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(s), factor);
    v = _mm512_min_ps(_mm512_max_ps(v, lo), hi); /* max gives its second operand where one is NaN */
    return _mm512_add_epi32(_mm512_cvtps_epi32(v), zero);
}

static __mmask64 mask_of(int64_t n) { return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1; }

/* Bytes without sums of rows: a row's vectors are narrowed together, which saturates, and their quarters put in
 * order. Only what is too large for an int32 has to be kept away from the conversion: it turns that, too small ones
 * and NaN, into the smallest. */
TARGET static inline __attribute__((always_inline)) void finish_bytes(int mr, int nv, int64_t n, const __m512i *sum,
                                                                      const struct tsr_qend *end)
{
    const __m512i zero = _mm512_set1_epi16((short)end->zero), lo = _mm512_set1_epi16((short)end->lo), hi = _mm512_set1_epi16((short)end->hi);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512 top = _mm512_set1_ps(0x1p16f);
    const __mmask64 mask = mask_of(n < 16 * nv ? n : 16 * nv);
    __m512i base[TSR_QWIDE];
    __m512 factor[TSR_QWIDE];
    _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++)
    {
        const int64_t left = n - 16 * j;
        const __mmask16 m = left >= 16 ? 0xffff : left > 0 ? (__mmask16)((1U << left) - 1) : 0;
        base[j] = _mm512_maskz_loadu_epi32(m, end->base + 16 * j);
        factor[j] = _mm512_maskz_loadu_ps(m, end->factor + 16 * j);
    }
    _Pragma("GCC unroll 12") for (int i = 0; i < mr; i++)
    {
        __m512i v[4] = {zero, zero, zero, zero};
        _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++)
        {
            const __m512 x = _mm512_cvtepi32_ps(_mm512_add_epi32(sum[i * TSR_QWIDE + j], base[j]));
            v[j] = _mm512_cvtps_epi32(_mm512_min_ps(top, _mm512_mul_ps(x, factor[j])));
        }
        __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zero);
        a = _mm512_min_epi16(_mm512_max_epi16(a, lo), hi);
        __m512i b = a;
        if (nv > 2) {
            b = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zero);
            b = _mm512_min_epi16(_mm512_max_epi16(b, lo), hi);
        }
        const __m512i y = end->out == TSR_U8 ? _mm512_packus_epi16(a, b) : _mm512_packs_epi16(a, b);
        _mm512_mask_storeu_epi8((int8_t *)end->c + i * end->ldc, mask, _mm512_permutexvar_epi32(order, y));
    }
}

TARGET static inline __attribute__((always_inline)) void finish(int mr, int nv, int64_t n, const __m512i *sum,
                                                                const struct tsr_qend *end)
{
    if (nv > 1 && end->row == NULL && (end->out == TSR_U8 || end->out == TSR_I8)) {
        finish_bytes(mr, nv, n, sum, end);
        return;
    }
    const __m512i zero = _mm512_set1_epi32(end->zero);
    const __m512 lo = _mm512_set1_ps((float)(end->lo - end->zero)), hi = _mm512_set1_ps((float)(end->hi - end->zero));
    _Pragma("GCC unroll 4") for (int j = 0; j < nv; j++)
    {
        const int64_t left = n - 16 * j, at = 16 * j;
        if (left <= 0) break;
        const __mmask16 mask = left >= 16 ? 0xffff : (__mmask16)((1U << left) - 1);
        const __m512i base = _mm512_maskz_loadu_epi32(mask, end->base + at);
        const __m512 factor = end->out == TSR_I32 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, end->factor + at);
        const __m512 bias = end->bias != NULL ? _mm512_maskz_loadu_ps(mask, end->bias + at) : _mm512_setzero_ps();
        _Pragma("GCC unroll 12") for (int i = 0; i < mr; i++)
        {
            __m512i s = _mm512_add_epi32(sum[i * TSR_QWIDE + j], base);
            if (end->row != NULL) s = _mm512_add_epi32(s, _mm512_set1_epi32(end->row[i]));
            const int64_t to = i * end->ldc + at;
            if (end->out == TSR_F32) {
                __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(s), factor);
                if (end->bias != NULL) y = _mm512_add_ps(y, bias);
                _mm512_mask_storeu_ps((float *)end->c + to, mask, y);
            } else if (end->out == TSR_I32) {
                _mm512_mask_storeu_epi32((int32_t *)end->c + to, mask, s);
            } else {
                __m128i y = _mm512_cvtepi32_epi8(grid(s, factor, lo, hi, zero));
                _mm_mask_storeu_epi8((int8_t *)end->c + to, mask, y);
            }
        }
    }
}

#define ROWS1 12
#define ROWS2 12
#define ROWS3 8
#define ROWS4 6
#include "tensor/qgemm_tile.h"

static bool runs(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

/* ---- depthwise ------------------------------------------------------------------------------ */

/* Four taps of 64 channels become four registers in which each lane has one channel's four numbers: lane
 * 4 L + r of register i is channel 16 L + 4 i + r. */
TARGET static inline void mix(const __m512i x[4], __m512i y[4])
{
    const __m512i a = _mm512_unpacklo_epi8(x[0], x[1]), b = _mm512_unpackhi_epi8(x[0], x[1]);
    const __m512i c = _mm512_unpacklo_epi8(x[2], x[3]), d = _mm512_unpackhi_epi8(x[2], x[3]);
    y[0] = _mm512_unpacklo_epi16(a, c);
    y[1] = _mm512_unpackhi_epi16(a, c);
    y[2] = _mm512_unpacklo_epi16(b, d);
    y[3] = _mm512_unpackhi_epi16(b, d);
}

/* 64 numbers in the order of `mix`. */
TARGET static inline void load_mixed(const int32_t *p, int64_t n, __m512i y[4])
{
    int32_t all[64] = {0};
    memcpy(all, p, (size_t)(n < 64 ? n : 64) * sizeof *all);
    for (int i = 0; i < 4; i++) {
        __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(all + 4 * i)));
        v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(all + 16 + 4 * i)), 1);
        v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(all + 32 + 4 * i)), 2);
        y[i] = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(all + 48 + 4 * i)), 3);
    }
}

static size_t depth_bytes(int64_t taps, int64_t c) { return (size_t)((c + 63) / 64 * ((taps + 3) / 4) * 256); }

TARGET static void depth_pack(const struct tsr_qdepth *d)
{
    char *to = d->data;
    for (int64_t c = 0; c < d->c; c += 64)
        for (int64_t t = 0; t < d->taps; t += 4, to += 256) {
            __m512i x[4], y[4];
            for (int i = 0; i < 4; i++)
                x[i] = t + i < d->taps ? _mm512_maskz_loadu_epi8(mask_of(d->c - c), d->w + (t + i) * d->c + c) : _mm512_setzero_si512();
            mix(x, y);
            for (int i = 0; i < 4; i++) _mm512_storeu_si512(to + 64 * i, y[i]);
        }
}

/* 64 channels from c on of all pixels; groups: of four taps, a constant once inlined, or 0. */
TARGET static inline __attribute__((always_inline)) void depth_channels(const struct tsr_qdepth *d, int64_t pixels, int groups,
                                                                        const uint8_t *const *at, const int64_t *offset, int64_t c,
                                                                        const char *w, const struct tsr_qend *end)
{
    const __mmask64 mask = mask_of(d->c - c);
    const __m512i zero = _mm512_set1_epi32(end->zero);
    const __m512 lo = _mm512_set1_ps((float)(end->lo - end->zero)), hi = _mm512_set1_ps((float)(end->hi - end->zero));
    __m512i base[4], factor[4];
    load_mixed(end->base + c, d->c - c, base);
    load_mixed((const int32_t *)(const void *)(end->factor + c), d->c - c, factor);
    for (int64_t i = 0; i < pixels; i++) {
        __m512i sum[4] = {base[0], base[1], base[2], base[3]};
        _Pragma("GCC unroll 4") for (int g = 0; g < groups; g++)
        {
            __m512i x[4], y[4];
            for (int k = 0; k < 4; k++)
                x[k] = 4 * g + k < d->taps ? _mm512_maskz_loadu_epi8(mask, at[i] + offset[4 * g + k] + c) : _mm512_setzero_si512();
            mix(x, y);
            for (int k = 0; k < 4; k++) sum[k] = _mm512_dpbusd_epi32(sum[k], y[k], _mm512_loadu_si512(w + g * 256 + k * 64));
        }
        for (int k = 0; k < 4; k++) sum[k] = grid(sum[k], _mm512_castsi512_ps(factor[k]), lo, hi, zero);
        __m512i a = _mm512_packs_epi32(sum[0], sum[1]), b = _mm512_packs_epi32(sum[2], sum[3]);
        __m512i y = end->out == TSR_U8 ? _mm512_packus_epi16(a, b) : _mm512_packs_epi16(a, b);
        _mm512_mask_storeu_epi8((int8_t *)end->c + i * end->ldc + c, mask, y);
    }
}

TARGET static void depth(const struct tsr_qdepth *d, int64_t pixels, const uint8_t *const *at, const int64_t *offset,
                         const struct tsr_qend *end)
{
    const char *w = d->data;
    const int groups = (int)((d->taps + 3) / 4);
    for (int64_t c = 0; c < d->c; c += 64, w += 256 * groups) {
        if (d->taps == 9) depth_channels(d, pixels, 3, at, offset, c, w, end);
        else depth_channels(d, pixels, groups, at, offset, c, w, end);
    }
}

const struct tsr_qgemm_isa tsr_qgemm_vnni = {"avx512vnni", runs, UNIT, false, TILE_ROWS, TILE_LIST, depth, depth_bytes, depth_pack};
#endif
