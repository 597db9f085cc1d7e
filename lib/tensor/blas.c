#include "tensor/blas.h"

#include "base/mem.h"

#include <cblas.h>
#include <lapacke.h>

static void one_thread(void)
{
    static _Thread_local bool done;
    if (!done) {
        openblas_set_num_threads(1);
        done = true;
    }
}

static bool fits(int64_t v) { return v >= 0 && v <= INT32_MAX; }

static enum tsr_status too_big(int64_t n, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_LIMIT, "a matrix of order %lld is too large for LAPACK", (long long)n);
}

/* LAPACKE with a caller's row-major matrix copies and transposes; for symmetric matrices the
 * row-major lower triangle is the column-major upper one, so we pass the other triangle. */

void tsr_blas_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                    const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    one_thread();
    if (m <= 0 || n <= 0) return;
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)m,
                (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void tsr_blas_dgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a, int64_t lda,
                    const double *b, int64_t ldb, double beta, double *c, int64_t ldc)
{
    one_thread();
    if (m <= 0 || n <= 0) return;
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)m,
                (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void tsr_blas_dsyrk(int64_t m, int64_t n, const double *a, int64_t lda, double *c, int64_t ldc)
{
    one_thread();
    if (n <= 0) return;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (blasint)n, (blasint)m, 1.0, a, (blasint)lda, 0.0, c,
                (blasint)ldc);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) c[i * ldc + j] = c[j * ldc + i];
}

enum tsr_status tsr_lapack_cholesky(int64_t n, double *a, int64_t lda, struct tsr_error *err)
{
    one_thread();
    if (!fits(n) || !fits(lda)) return too_big(n, err);
    if (n == 0) return TSR_OK;
    lapack_int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, a, (lapack_int)lda);
    if (info != 0) return tsr_fail(err, TSR_E_NUMERIC, "the matrix is not positive definite (pivot %d)", (int)info);
    return TSR_OK;
}

enum tsr_status tsr_lapack_cholesky_solve(int64_t n, int64_t m, const double *l, int64_t lda, double *b,
                                          int64_t ldb, struct tsr_error *err)
{
    one_thread();
    if (!fits(n) || !fits(m) || !fits(lda)) return too_big(n, err);
    if (n == 0 || m == 0) return TSR_OK;
    /* Row-major B[n,m] with L L' X = B: two triangular solves from the left. */
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (blasint)n, (blasint)m, 1.0, l,
                (blasint)lda, b, (blasint)ldb);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (blasint)n, (blasint)m, 1.0, l,
                (blasint)lda, b, (blasint)ldb);
    return TSR_OK;
}

enum tsr_status tsr_lapack_eigh(int64_t n, double *a, int64_t lda, double *w, struct tsr_error *err)
{
    one_thread();
    if (!fits(n) || !fits(lda)) return too_big(n, err);
    if (n == 0) return TSR_OK;
    lapack_int info = LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'L', (lapack_int)n, a, (lapack_int)lda, w);
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return tsr_nomem(err, (size_t)n * (size_t)n * sizeof(double));
    if (info != 0) return tsr_fail(err, TSR_E_NUMERIC, "the eigenvalues of a matrix did not converge");
    return TSR_OK;
}

enum tsr_status tsr_lapack_svd(int64_t m, int64_t n, double *a, double *s, double *u, double *vt,
                               struct tsr_error *err)
{
    one_thread();
    if (!fits(n) || !fits(m)) return too_big(n > m ? n : m, err);
    if (n == 0 || m == 0) return TSR_OK;
    lapack_int k = (lapack_int)(m < n ? m : n);
    lapack_int info = LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', (lapack_int)m, (lapack_int)n, a, (lapack_int)n, s, u, k,
                                     vt, (lapack_int)n);
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return tsr_nomem(err, (size_t)m * (size_t)n * sizeof(double));
    if (info != 0) return tsr_fail(err, TSR_E_NUMERIC, "the singular values of a matrix did not converge");
    return TSR_OK;
}

const char *tsr_blas_kernel(void) { return openblas_get_corename(); }
const char *tsr_blas_version(void) { return openblas_get_config(); }
