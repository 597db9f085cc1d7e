#include "tensor/gemm.h"
#include "tensor/blas.h"

void tsr_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    tsr_blas_sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void tsr_gemm_run(const struct tsr_gemm *g, struct tsr_pool *pool)
{
    (void)pool;
    int64_t batch = g->batch > 1 ? g->batch : 1;
    for (int64_t x = 0; x < batch; x++) {
        float *c = g->c + x * g->stride_c;
        tsr_blas_sgemm(g->ta, g->tb, g->m, g->n, g->k, g->alpha, g->a + x * g->stride_a, g->lda,
                       g->b + x * g->stride_b, g->ldb, g->beta, c, g->ldc);
        for (int64_t i = 0; i < g->m; i++)
            for (int64_t j = 0; j < g->n; j++) {
                float v = c[i * g->ldc + j] + (g->bias_n ? g->bias_n[j] : 0) + (g->bias_m ? g->bias_m[i] : 0);
                c[i * g->ldc + j] = g->relu && v < 0 ? 0 : v;
            }
    }
}
