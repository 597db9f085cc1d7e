/* qgemm_arm.h - what the tiles of qgemm_tile.h have in common on AArch64: four lanes of four bytes. Before it
 * TARGET is defined, and after it DOT. Private to tensor/. */
#include <arm_neon.h>
#include <string.h>

#define V int32x4_t
#define LANES 4
#define UNIT 4
#define ZERO() vdupq_n_s32(0)
#define LOAD(p) vreinterpretq_s32_s8(vld1q_s8((const int8_t *)(p)))
#define STORE(p, v) vst1q_s32(p, v)
#define FINISH FINISH_BY_ROWS
#define SPREAD(p) spread(p)

/* A - 128 is signed. */
TARGET static inline int32x4_t spread(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return vreinterpretq_s32_u32(vdupq_n_u32(x ^ 0x80808080u));
}
