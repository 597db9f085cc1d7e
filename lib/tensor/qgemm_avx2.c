/* qgemm_avx2.c - tiles of up to 3 x 32 in the 16 registers of AVX2, on numbers of 16 bits: products of
 * bytes would saturate. */
#include "tensor/qgemm_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define V __m256i
#define LANES 8
#define UNIT 2
#define ZERO() _mm256_setzero_si256()
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define DOT(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#define FINISH FINISH_BY_ROWS
#define SPREAD(p) spread(p)

TARGET static inline __m256i spread(const uint8_t *p) { return _mm256_set1_epi32(p[0] | p[1] << 16); }

#define ROWS1 4
#define ROWS2 2
#define ROWS3 1
#define ROWS4 1
#include "tensor/qgemm_tile.h"

static bool runs(void) { return __builtin_cpu_supports("avx2"); }

const struct tsr_qgemm_isa tsr_qgemm_avx2 = {"avx2", runs, UNIT, false, TILE_ROWS, TILE_LIST, NULL, NULL, NULL};
#endif
