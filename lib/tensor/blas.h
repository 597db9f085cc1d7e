/* blas.h - the one door to OpenBLAS (BLAS and LAPACK). Row-major throughout. OpenBLAS itself
 * runs on one thread; parallel work is cut by the callers. Thread-safe. */
#ifndef TSR_TENSOR_BLAS_H
#define TSR_TENSOR_BLAS_H

#include "base/status.h"

/* C[m,n] = alpha * op(A)[m,k] * op(B)[k,n] + beta * C; ld* are row strides in elements.
 * beta == 0 never reads C. Any of m, n, k may be 0. */
void tsr_blas_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                    const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
void tsr_blas_dgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a, int64_t lda,
                    const double *b, int64_t ldb, double beta, double *c, int64_t ldc);
/* C[n,n] = A'A of A[m,n]; both triangles are written. */
void tsr_blas_dsyrk(int64_t m, int64_t n, const double *a, int64_t lda, double *c, int64_t ldc);

/* In-place Cholesky of the symmetric positive definite a[n,n] (lower triangle used and
 * written). TSR_E_NUMERIC where it is not positive definite. LAPACK dpotrf. */
enum tsr_status tsr_lapack_cholesky(int64_t n, double *a, int64_t lda, struct tsr_error *err) TSR_MUST_USE;
/* Solves (L L') X = B for b[n,m] in place, L from tsr_lapack_cholesky. LAPACK dpotrs. */
enum tsr_status tsr_lapack_cholesky_solve(int64_t n, int64_t m, const double *l, int64_t lda, double *b,
                                          int64_t ldb, struct tsr_error *err) TSR_MUST_USE;
/* Eigenvalues (ascending, into w[n]) and orthonormal eigenvectors (columns of a) of the
 * symmetric a[n,n]. LAPACK dsyevd. */
enum tsr_status tsr_lapack_eigh(int64_t n, double *a, int64_t lda, double *w, struct tsr_error *err) TSR_MUST_USE;
/* Thin SVD a[m,n] = u[m,k] diag(s[k]) vt[k,n], k = min(m,n), s descending. a is destroyed.
 * LAPACK dgesdd. */
enum tsr_status tsr_lapack_svd(int64_t m, int64_t n, double *a, double *s, double *u, double *vt,
                               struct tsr_error *err) TSR_MUST_USE;

/* The OpenBLAS kernel in use ("SkylakeX", ...) and its configuration line. Static storage. */
const char *tsr_blas_kernel(void);
const char *tsr_blas_version(void);

#endif
