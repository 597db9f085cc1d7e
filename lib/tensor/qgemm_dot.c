/* qgemm_dot.c - tiles of up to 6 x 16 in the registers of AArch64 with the dot product (FEAT_DotProd). */
#include "tensor/qgemm_isa.h"

#if defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod"))) /* what arm_neon.h asks of callers */
#include "tensor/qgemm_arm.h"
#define DOT(sum, a, b) vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))

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
