/* gemm_avx2.c - tiles of up to 6 x 16 in the 16 registers of AVX2 with FMA. */
#include "tensor/gemm_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))

/* The first n of eight lanes. */
TARGET static inline __m256i lanes(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#define V __m256
#define VL 8
#define ZERO() _mm256_setzero_ps()
#define SET(x) _mm256_set1_ps(x)
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define LOAD_LAST(p, n) _mm256_maskload_ps(p, lanes(n))
#define STORE_LAST(p, v, n) _mm256_maskstore_ps(p, lanes(n), v)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define MUL(a, b) _mm256_mul_ps(a, b)
#define ADD(a, b) _mm256_add_ps(a, b)
#define RELU(v) _mm256_max_ps(_mm256_setzero_ps(), v) /* the second operand where one is NaN */
#define MAX(a, b) _mm256_max_ps(a, b) /* the second operand where one is NaN */
#define MIN(a, b) _mm256_min_ps(a, b)
#define B_LAST(p, n) LOAD(p)
#define ROWS1 12
#define ROWS2 6
#define ROWS4 2
#define ROWS8 1
#define PANEL1 8
#define PANEL2 6
#define PANEL3 4
#define PANEL4 3
#include "tensor/gemm_tile.h"
#include "tensor/panel_tile.h"

TARGET static inline void transpose_4x8(const float *const row[8], int64_t p, float *to, int64_t ts)
{
    __m256 r[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row[i] + p)), _mm_loadu_ps(row[i + 4] + p), 1);
    __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1])), b = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
    __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3])), d = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
    _mm256_storeu_ps(to, _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)));
    _mm256_storeu_ps(to + ts, _mm256_castpd_ps(_mm256_unpackhi_pd(a, c)));
    _mm256_storeu_ps(to + 2 * ts, _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)));
    _mm256_storeu_ps(to + 3 * ts, _mm256_castpd_ps(_mm256_unpackhi_pd(b, d)));
}

TARGET static void transpose(int64_t k, int64_t n, const float *from, int64_t fs, float *to, int64_t ts)
{
    for (int64_t j = 0; j < n; j += 8, to += 8) {
        const float *row[8]; /* beyond the last: the last again */
        for (int64_t i = 0; i < 8; i++) row[i] = from + (j + i < n ? j + i : n - 1) * fs;
        int64_t p = 0;
        for (; p + 4 <= k; p += 4) transpose_4x8(row, p, to + p * ts, ts);
        for (; p < k; p++)
            for (int64_t i = 0; i < 8; i++) to[p * ts + i] = row[i][p];
    }
}

static bool runs(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

const struct tsr_gemm_isa tsr_gemm_avx2 = {"avx2", runs, 8, 2, false, TILE_ROWS,
                                           {TILE_LIST(rows), TILE_LIST(columns)}, transpose, PANEL_TILES};
#endif
