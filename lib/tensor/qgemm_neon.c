/* qgemm_neon.c - tiles of up to 4 x 16 in the 32 registers of AArch64 without the dot product. */
#include "tensor/qgemm_isa.h"

#if defined(__aarch64__)
#define TARGET
#include "tensor/qgemm_arm.h"
#define DOT(sum, a, b) dot(sum, a, b)

/* Products of bytes fit 16 bits; pairs are added into 32, and pairs of those. */
static inline int32x4_t dot(int32x4_t sum, int32x4_t a, int32x4_t b)
{
    const int8x16_t x = vreinterpretq_s8_s32(a), y = vreinterpretq_s8_s32(b);
    const int32x4_t lo = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y)));
    const int32x4_t hi = vpaddlq_s16(vmull_s8(vget_high_s8(x), vget_high_s8(y)));
    return vaddq_s32(sum, vpaddq_s32(lo, hi));
}

#define ROWS1 4
#define ROWS2 2
#define ROWS3 1
#define ROWS4 1
#include "tensor/qgemm_tile.h"

static bool runs(void) { return true; }

const struct tsr_qgemm_isa tsr_qgemm_neon = {"neon", runs, UNIT, true, TILE_ROWS, TILE_LIST, NULL, NULL, NULL};
#endif
