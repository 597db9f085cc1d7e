/* vmath.h - transcendental functions over float arrays, vectorised.
 *
 * Polynomial and rational minimax approximations, chosen at run time for AVX-512, AVX2 + FMA or
 * the baseline. An element's result depends on its value alone: not on its place in the array, on
 * n or on alignment. y may be x exactly, else the arrays must not overlap. NaN gives NaN.
 * Errors are bounds measured over the whole float range (tests/unit/test_vmath.c). Thread-safe.
 * Double arrays: use the C library. */
#ifndef TSR_TENSOR_VMATH_H
#define TSR_TENSOR_VMATH_H

#include "base/status.h"

/* y = f(x), n elements. */
void tsr_vexp(int64_t n, const float *x, float *y);     /* 2 ulp; subnormals right, overflow infinite */
void tsr_vlog(int64_t n, const float *x, float *y);     /* 3 ulp; log(0) = -inf, negative: NaN */
void tsr_vtanh(int64_t n, const float *x, float *y);    /* 6 ulp */
void tsr_vsigmoid(int64_t n, const float *x, float *y); /* 1 / (1 + e^-x), 3 ulp */
void tsr_verf(int64_t n, const float *x, float *y);     /* 4 ulp */
void tsr_vgelu(int64_t n, const float *x, float *y);    /* x Phi(x), exact form; 2.5e-6 relative for x > -5 */
void tsr_vgelu_tanh(int64_t n, const float *x, float *y); /* the tanh approximation of it */
void tsr_vsoftplus(int64_t n, const float *x, float *y); /* log(1 + e^x), 4 ulp */
void tsr_vmish(int64_t n, const float *x, float *y);    /* x tanh(softplus(x)) */
void tsr_vswish(int64_t n, float alpha, const float *x, float *y); /* x sigmoid(alpha x) */

/* gx = gy * f'(x). gx may be gy. */
void tsr_vgelu_grad(int64_t n, const float *x, const float *gy, float *gx);
void tsr_vgelu_tanh_grad(int64_t n, const float *x, const float *gy, float *gx);
void tsr_vsoftplus_grad(int64_t n, const float *x, const float *gy, float *gx);
void tsr_vmish_grad(int64_t n, const float *x, const float *gy, float *gx);
void tsr_vswish_grad(int64_t n, float alpha, const float *x, const float *gy, float *gx);
/* gx = gy * f'(x) from y = f(x). */
void tsr_vtanh_grad(int64_t n, const float *y, const float *gy, float *gx);
void tsr_vsigmoid_grad(int64_t n, const float *y, const float *gy, float *gx);

/* y = exp(x - m); returns the sum of the y. */
float tsr_vexp_sum(int64_t n, const float *x, float m, float *y);
/* Softmax of each of the contiguous rows of n >= 1. */
void tsr_vsoftmax(int64_t rows, int64_t n, const float *x, float *y);
/* The largest element (NaN ignored unless it is the first); -inf for n = 0. */
float tsr_vmax(int64_t n, const float *x);
/* log(sum of exp(x)), computed in double in order, with the C library's functions; n >= 1. */
double tsr_log_sum_exp(int64_t n, const float *x);
/* Sums in double over 16 interleaved lanes that are then added in order: the same for every
 * instruction set. */
double tsr_vsum(int64_t n, const float *x);
double tsr_vdot(int64_t n, const float *x, const float *y);

/* Rows brought to mean 0 (where centre) and variance 1, then scaled and shifted, as LayerNormalization and
 * RMSNormalization do: y = (x - mean) rstd scale + bias, rstd = 1 / sqrt(variance + epsilon). Sums in float over 16
 * interleaved lanes that are then added pairwise: the same for every instruction set. */
struct tsr_vnorm {
    const float *x, *scale, *bias; /* [rows, n]; n; n, or NULL for zeros */
    float *y, *mean, *rstd;        /* [rows, n], may be x; rows, or NULL where not wanted */
    float epsilon;
    bool centre;
};
void tsr_vnormalise(int64_t rows, int64_t n, const struct tsr_vnorm *v); /* n >= 1 */

/* For tests: the widest kernels that may be used: 0 baseline, 1 AVX2, 2 AVX-512 (the default).
 * Returns what the processor allows of it. Not to be called while others compute. */
int tsr_vmath_limit(int level);

#endif
