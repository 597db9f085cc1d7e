/* qtable.c - the table lies in registers: four of 64 bytes for VBMI, which picks from two at once; 16 of 16 for
 * AVX2, where an index beyond a register's part gives 0; four groups of 64 for NEON, likewise. */
#include "tensor/qtable.h"

#include <stdatomic.h>

static void look_plain(int64_t n, const uint8_t *table, const uint8_t *x, uint8_t *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = table[x[i]];
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi")))
#define TARGET_AVX2 __attribute__((target("avx2")))

TARGET_AVX512 static void look_avx512(int64_t n, const uint8_t *table, const uint8_t *x, uint8_t *y)
{
    const __m512i a = _mm512_loadu_si512(table), b = _mm512_loadu_si512(table + 64);
    const __m512i c = _mm512_loadu_si512(table + 128), d = _mm512_loadu_si512(table + 192);
    for (int64_t i = 0; i < n; i += 64) {
        const __mmask64 mask = n - i >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (n - i)) - 1;
        const __m512i v = _mm512_maskz_loadu_epi8(mask, x + i); /* the lower seven bits choose within a pair */
        const __m512i low = _mm512_permutex2var_epi8(a, v, b), high = _mm512_permutex2var_epi8(c, v, d);
        _mm512_mask_storeu_epi8(y + i, mask, _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high));
    }
}

TARGET_AVX2 static void look_avx2(int64_t n, const uint8_t *table, const uint8_t *x, uint8_t *y)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        __m256i sum = _mm256_setzero_si256();
        for (int k = 0; k < 16; k++) {
            const __m256i part = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(table + 16 * k)));
            /* below 16 where v is of this part; else the addition sets the bit that makes the shuffle give 0 */
            const __m256i at = _mm256_adds_epu8(_mm256_xor_si256(v, _mm256_set1_epi8((char)(16 * k))), _mm256_set1_epi8(0x70));
            sum = _mm256_or_si256(sum, _mm256_shuffle_epi8(part, at));
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + i), sum);
    }
    look_plain(n - i, table, x + i, y + i);
}

static int supported(void)
{
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi")) return 2;
    return __builtin_cpu_supports("avx2") != 0;
}

static void look(int level, int64_t n, const uint8_t *table, const uint8_t *x, uint8_t *y)
{
    (level == 2 ? look_avx512 : level == 1 ? look_avx2 : look_plain)(n, table, x, y);
}
#elif defined(__aarch64__)
#include <arm_neon.h>

static void look_neon(int64_t n, const uint8_t *table, const uint8_t *x, uint8_t *y)
{
    const uint8x16x4_t a = vld1q_u8_x4(table), b = vld1q_u8_x4(table + 64), c = vld1q_u8_x4(table + 128), d = vld1q_u8_x4(table + 192);
    const uint8x16_t part = vdupq_n_u8(64);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        uint8x16_t v = vld1q_u8(x + i), r = vqtbl4q_u8(a, v);
        v = vsubq_u8(v, part), r = vqtbx4q_u8(r, b, v);
        v = vsubq_u8(v, part), r = vqtbx4q_u8(r, c, v);
        v = vsubq_u8(v, part), r = vqtbx4q_u8(r, d, v);
        vst1q_u8(y + i, r);
    }
    look_plain(n - i, table, x + i, y + i);
}

static int supported(void) { return 1; }

static void look(int level, int64_t n, const uint8_t *table, const uint8_t *x, uint8_t *y)
{
    (level == 1 ? look_neon : look_plain)(n, table, x, y);
}
#else
static int supported(void) { return 0; }

static void look(int level, int64_t n, const uint8_t *table, const uint8_t *x, uint8_t *y)
{
    (void)level;
    look_plain(n, table, x, y);
}
#endif

static atomic_int chosen = -1; /* not asked yet */

int tsr_qtable_limit(int level)
{
    const int most = supported(), use = level < most ? level : most;
    atomic_store_explicit(&chosen, use, memory_order_relaxed);
    return use;
}

void tsr_qtable(int64_t n, const uint8_t table[256], const uint8_t *x, uint8_t *y)
{
    int level = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (level < 0) level = tsr_qtable_limit(2);
    look(level, n, table, x, y);
}
