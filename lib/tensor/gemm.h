/* gemm.h - single-precision matrix products for the sizes of small networks.
 *
 * Own kernels for AVX-512, AVX2 with FMA, NEON and plain C, chosen at run time. The order in
 * which the k products of one element are summed depends on k alone: blocks of TSR_GEMM_KC, each
 * summed from the first to the last (fused where the kernel has FMA), the blocks added in order.
 * So the bits of C[i,j] do not depend on m, n, on how a caller cuts them, on transposition, nor
 * on threads, and all kernels with FMA give the same bits. Thread-safe; nothing is allocated.
 */
#ifndef TSR_TENSOR_GEMM_H
#define TSR_TENSOR_GEMM_H

#include "base/pool.h"

#define TSR_GEMM_KC 256

/* C[m,n] = act(alpha * op(A)[m,k] * op(B)[k,n] + beta * C + bias), for `batch` matrices that lie
 * stride_* elements apart. Row-major; ld* are row strides in elements. beta == 0 never reads C.
 * C overlaps neither A nor B. Zero-initialise, then set what is needed: alpha 0 is alpha 0. */
struct tsr_gemm {
    bool ta, tb;
    bool relu, gelu;        /* at the end: max(., 0) where NaN stays; x Phi(x) as tsr_vgelu */
    int64_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    int64_t batch;          /* 0 and 1: a single product */
    int64_t stride_a, stride_b, stride_c; /* 0 for an A or B that all of the batch share */
    const float *bias_n;    /* added to every row: n of them; the whole batch shares them */
    const float *bias_m;    /* added to every column: m of them */
};

/* Runs it, cut into fixed chunks over the pool (NULL: here). */
void tsr_gemm_run(const struct tsr_gemm *g, struct tsr_pool *pool);

/* The plain product, on this thread; arguments as tsr_blas_sgemm. */
void tsr_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* to[p * ts + j] = from[j * fs + p] for j < n, p < k. Up to 15 elements behind each row of `to` are
 * written too (row strides must have room for n rounded up to 16). */
void tsr_gemm_transpose(int64_t k, int64_t n, const float *from, int64_t fs, float *to, int64_t ts);

/* For tests and reports: the kernels this build has ("avx512", "avx2", "neon", "portable"), NULL
 * beyond the last; whether this machine runs them; the one in use; and a switch (TSR_E_USAGE for
 * a name that is unknown or does not run here). Do not switch while products run. */
const char *tsr_gemm_kernel_name(int i);
bool tsr_gemm_kernel_runs(int i);
const char *tsr_gemm_kernel(void);
enum tsr_status tsr_gemm_use(const char *name, struct tsr_error *err) TSR_MUST_USE;

#endif
