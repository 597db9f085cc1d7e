/* qgemm_dot.c - tiles of up to 6 x 16 in the registers of AArch64 with the dot product (FEAT_DotProd). */
#include "tensor/qgemm_isa.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#define TARGET __attribute__((target("+dotprod")))
#define V int32x4_t
#define LANES 4
#define UNIT 4
#define ZERO() vdupq_n_s32(0)
#define LOAD(p) vreinterpretq_s32_s8(vld1q_s8((const int8_t *)(p)))
#define STORE(p, v) vst1q_s32(p, v)
#define DOT(sum, a, b) vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#define FINISH FINISH_BY_ROWS
#define SPREAD(p) spread(p)

/* A - 128 is signed. */
TARGET static inline int32x4_t spread(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return vreinterpretq_s32_u32(vdupq_n_u32(x ^ 0x80808080u));
}

#define ROWS1 6
#define ROWS2 3
#define ROWS3 2
#define ROWS4 1
#include "tensor/qgemm_tile.h"

static bool runs(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & (1UL << 20)) != 0; /* HWCAP_ASIMDDP */
#else
    return false;
#endif
}

const struct tsr_qgemm_isa tsr_qgemm_dot = {"dot", runs, UNIT, true, TILE_ROWS, TILE_LIST, NULL, NULL, NULL};
#endif
