/* gemm_neon.c - tiles of up to 6 x 16 in the 32 registers of AArch64. */
#include "tensor/gemm_isa.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET
#define V float32x4_t
#define VL 4
#define ZERO() vdupq_n_f32(0)
#define SET(x) vdupq_n_f32(x)
#define LOAD(p) vld1q_f32(p)
#define STORE(p, v) vst1q_f32(p, v)
#define LOAD_LAST(p, n) load_last(p, n)
#define STORE_LAST(p, v, n) store_last(p, v, n)
#define FMA(a, b, c) vfmaq_f32(c, a, b)
#define MUL(a, b) vmulq_f32(a, b)
#define ADD(a, b) vaddq_f32(a, b)
#define RELU(v) vmaxq_f32(v, vdupq_n_f32(0)) /* NaN stays */
#define MAX(a, b) vmaxq_f32(a, b) /* NaN stays */
#define MIN(a, b) vminq_f32(a, b)
#define B_LAST(p, n) LOAD(p)
#define ROWS1 14
#define ROWS2 12
#define ROWS4 6
#define ROWS8 2
#include "tensor/gemm_portable.h"
#define PANEL1 12
#define PANEL2 12
#define PANEL3 8
#define PANEL4 6
#include "tensor/gemm_tile.h"
#include "tensor/panel_tile.h"

static bool runs(void) { return true; }

const struct tsr_gemm_isa tsr_gemm_neon = {"neon", runs, 4, 4, false, TILE_ROWS,
                                           {TILE_LIST(rows), TILE_LIST(columns)}, transpose, PANEL_TILES};
#endif
