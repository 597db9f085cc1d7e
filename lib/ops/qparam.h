/* qparam.h - scales and zero points as the quantised operators take them. Private to ops/. */
#ifndef TSR_OPS_QPARAM_H
#define TSR_OPS_QPARAM_H

#include "ops/arg.h"

#include <string.h>

/* v rounded half to even, for |v| < 2^22: the low bits of v + 1.5 * 2^23. */
static inline int32_t tsr_q_nearest(float v)
{
    int32_t bits;
    v += 0x1.8p23f;
    memcpy(&bits, &v, sizeof bits);
    return bits - 0x4b400000;
}

/* The types that integers of a grid come in. */
#define TSR_MASK_Q8 (TSR_MASK(TSR_I8) | TSR_MASK(TSR_U8))
#define TSR_MASK_Q16 (TSR_MASK(TSR_I16) | TSR_MASK(TSR_U16))
#define TSR_MASK_Q4 (TSR_MASK(TSR_I4) | TSR_MASK(TSR_U4))
#define TSR_MASK_SCALE (TSR_MASK(TSR_F32) | TSR_MASK(TSR_F16) | TSR_MASK(TSR_BF16))

/* The least and the largest number of an integer type of at most 16 bits. */
void tsr_q_range(enum tsr_dtype t, int32_t *lo, int32_t *hi);

/* The parameters of a tensor seen as [outer, dim, inner]: one pair for all of it (n = 1), one for
 * each of dim (block = 0), or one for each block of `block` along dim, [outer, ceil(dim/block), inner]. */
struct tsr_qparam {
    int64_t outer, dim, inner, block;
    int64_t n;
    float *scale;  /* n of them */
    int32_t *zero; /* n of them; 0 where the node has none */
};

/* Reads the scale in input `is` and the zero point in input `iz` (may be absent) of a tensor of that
 * shape. `axis` counts where the scale has more than one element; block 0: none. The memory is
 * scratch: release it. TSR_E_MISMATCH where shapes do not fit. */
enum tsr_status tsr_qparam_init(struct tsr_op_ctx *ctx, const struct tsr_shape *shape, int is, int iz, int64_t axis,
                                int64_t block, struct tsr_qparam *q) TSR_MUST_USE;
void tsr_qparam_release(struct tsr_op_ctx *ctx, struct tsr_qparam *q);

/* Elements [at, at + n) use scale[i * step], zero[i * step]; step is 0 or 1. */
typedef void tsr_qparam_fn(void *arg, int64_t n, int64_t at, const float *scale, const int32_t *zero, int step);
/* Calls fn for all runs of the tensor, in any order and on several threads (NULL pool: in order). */
void tsr_qparam_runs(struct tsr_pool *pool, const struct tsr_qparam *q, tsr_qparam_fn *fn, void *arg);

/* The one scale in input `is` and zero point in input `iz` (0 where absent), for operators that
 * quantise whole tensors. TSR_E_MISMATCH where there are several. */
struct tsr_qscalar {
    float scale;
    int32_t zero;
};
enum tsr_status tsr_qscalar_read(struct tsr_op_ctx *ctx, int is, int iz, struct tsr_qscalar *q) TSR_MUST_USE;

/* n numbers to the integers of type t (8, 16 or 4 bits, from element `at` of y on):
 * saturate(round_half_even(x / scale) + zero), with quotients rounded to `precision` first (TSR_F32:
 * not at all). NaN becomes the least integer. */
void tsr_q_quantise(enum tsr_dtype t, void *y, int64_t at, int64_t n, const float *x, const float *scale,
                    const int32_t *zero, int step, enum tsr_dtype precision);
/* The scale and zero point by which DynamicQuantizeLinear brings n numbers to uint8: their range, with
 * 0 in it, over 255; 1 where all are 0. NaN is passed over. */
void tsr_q_dynamic(int64_t n, const float *x, struct tsr_qscalar *q);
/* y = (x - zero) * scale from n integers of type t (also 32 bits), from element `at` of x on. */
void tsr_q_dequantise(enum tsr_dtype t, const void *x, int64_t at, int64_t n, const float *scale, const int32_t *zero,
                      int step, float *y);

#endif
