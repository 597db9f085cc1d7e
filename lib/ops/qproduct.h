/* qproduct.h - the plain integer product and what happens to its sums. Private to ops/. */
#ifndef TSR_OPS_QPRODUCT_H
#define TSR_OPS_QPRODUCT_H

#include "ops/qparam.h"

/* C[m,n] += A[m,k] B[k,n], wrapping in 32 bits; the zero points have been taken off A and B. ld* are
 * row strides in elements. */
void tsr_q_product(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const int16_t *b, int64_t ldb,
                   int32_t *c, int64_t ldc);

/* y[i] = x[i * stride] - zero[i * step] for n integers of 8 bits, from element `at` of x on. */
void tsr_q_widen(enum tsr_dtype t, const void *x, int64_t at, int64_t stride, int64_t n, const int32_t *zero, int step,
                 int16_t *y);

/* y[i] = round_half_even(fl32(sum[i]) * factor[i * step]) + zero within [lo, hi], 8 bits, from element `at` of
 * y on: the requantisation of ONNX Runtime and of XNNPACK's float path. */
void tsr_q_requantise(enum tsr_dtype t, void *y, int64_t at, int64_t n, const int32_t *sum, const float *factor, int step,
                      int32_t zero, int32_t lo, int32_t hi);

/* The range of an 8-bit result of type t: all of it, or what the attributes "lo" and "hi" leave, which
 * graph/fuse_integer.c writes for a Relu or Clip between the operator and QuantizeLinear. */
void tsr_q_bounds(const struct tsr_op_ctx *ctx, enum tsr_dtype t, int32_t *lo, int32_t *hi);

#endif
