/* gemm_avx512.c - tiles of up to 14 x 32 in the 32 registers of AVX-512. */
#include "tensor/gemm_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma")))
#define V __m512
#define VL 16
#define ZERO() _mm512_setzero_ps()
#define SET(x) _mm512_set1_ps(x)
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define MASK(n) ((__mmask16)((1U << (n)) - 1))
#define LOAD_LAST(p, n) _mm512_maskz_loadu_ps(MASK(n), p)
#define STORE_LAST(p, v, n) _mm512_mask_storeu_ps(p, MASK(n), v)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define ADD(a, b) _mm512_add_ps(a, b)
#define RELU(v) _mm512_max_ps(_mm512_setzero_ps(), v) /* the second operand where one is NaN */
#define MAX(a, b) _mm512_max_ps(a, b) /* the second operand where one is NaN */
#define MIN(a, b) _mm512_min_ps(a, b)
#define B_LAST(p, n) LOAD_LAST(p, n)
#define ROWS1 14
#define ROWS2 14
#define ROWS4 6
#define ROWS8 3
#define PANEL1 12
#define PANEL2 12
#define PANEL3 8
#define PANEL4 6
#include "tensor/gemm_tile.h"
#include "tensor/panel_tile.h"

/* Four columns of 16 rows: every register takes four elements of rows i, i + 4, i + 8, i + 12;
 * then a 4 x 4 transpose within the lanes puts the 16 rows side by side. */
TARGET static inline void transpose_4x16(const float *const row[16], int64_t p, float *to, int64_t ts)
{
    __m512 r[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_castps128_ps512(_mm_loadu_ps(row[i] + p));
        r[i] = _mm512_mask_broadcast_f32x4(r[i], 0x00F0, _mm_loadu_ps(row[i + 4] + p));
        r[i] = _mm512_mask_broadcast_f32x4(r[i], 0x0F00, _mm_loadu_ps(row[i + 8] + p));
        r[i] = _mm512_mask_broadcast_f32x4(r[i], 0xF000, _mm_loadu_ps(row[i + 12] + p));
    }
    __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1])), b = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
    __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3])), d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
    _mm512_storeu_pd(to, _mm512_unpacklo_pd(a, c));
    _mm512_storeu_pd(to + ts, _mm512_unpackhi_pd(a, c));
    _mm512_storeu_pd(to + 2 * ts, _mm512_unpacklo_pd(b, d));
    _mm512_storeu_pd(to + 3 * ts, _mm512_unpackhi_pd(b, d));
}

TARGET static void transpose(int64_t k, int64_t n, const float *from, int64_t fs, float *to, int64_t ts)
{
    for (int64_t j = 0; j < n; j += 16, to += 16) {
        const float *row[16]; /* beyond the last: the last again */
        for (int64_t i = 0; i < 16; i++) row[i] = from + (j + i < n ? j + i : n - 1) * fs;
        int64_t p = 0;
        for (; p + 4 <= k; p += 4) transpose_4x16(row, p, to + p * ts, ts);
        for (; p < k; p++)
            for (int64_t i = 0; i < 16; i++) to[p * ts + i] = row[i][p];
    }
}

static bool runs(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
}

const struct tsr_gemm_isa tsr_gemm_avx512 = {"avx512",  runs,      16, 2, true, TILE_ROWS,
                                             {TILE_LIST(rows), TILE_LIST(columns)}, transpose, PANEL_TILES};
#endif
