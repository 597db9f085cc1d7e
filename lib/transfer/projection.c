#include "transfer/projection.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/gemm.h"

#include <math.h>
#include <string.h>

/* Means and variances of the references' coefficients. */
static void moments(const struct tsr_tokens *k, double *mean, double *var)
{
    for (uint32_t i = 0; i < k->refs; i++)
        for (int64_t j = 0; j < k->rank; j++) mean[j] += (double)k->hub[i * k->rank + j] / k->refs;
    for (uint32_t i = 0; i < k->refs; i++)
        for (int64_t j = 0; j < k->rank; j++) {
            double e = (double)k->hub[i * k->rank + j] - mean[j];
            var[j] += e * e / k->refs;
        }
}

static void make_goals(struct tsr_projection *q, const struct tsr_lesson *l, const double *mean, const double *var)
{
    const struct tsr_tokens *k = l->tokens;
    double total = 0;
    for (int64_t j = 0; j < q->r; j++) total += sqrt(var[j]);
    double unit = total > 0 ? sqrt((double)q->r / total) : 1;
    for (uint32_t i = 0; i < l->n; i++)
        for (int64_t j = 0; j < q->r; j++) {
            size_t row = l->row[i];
            double v = NAN;
            if (row < k->hub_rows)
                v = var[j] > 0 ? ((double)k->hub[row * (size_t)q->r + (size_t)j] - mean[j]) / pow(var[j], 0.25) * unit : 0;
            q->goal[(int64_t)i * q->r + j] = (float)v;
        }
}

enum tsr_status tsr_projection_init(struct tsr_projection *q, const struct tsr_lesson *l, int64_t d, uint64_t seed,
                                    struct tsr_error *err)
{
    int64_t r = l->tokens->rank;
    *q = (struct tsr_projection){.r = r, .d = d};
    double *sum = tsr_calloc((size_t)r, 2 * sizeof *sum);
    q->goal = tsr_malloc((size_t)l->n * (size_t)r, sizeof *q->goal);
    q->p = tsr_calloc((size_t)(r * d), sizeof *q->p);
    q->gp = tsr_calloc((size_t)(r * d), sizeof *q->gp);
    if (sum == NULL || q->goal == NULL || q->p == NULL || q->gp == NULL) {
        tsr_free(sum);
        return tsr_nomem(err, (size_t)l->n * (size_t)r * sizeof *q->goal);
    }
    moments(l->tokens, sum, sum + r);
    make_goals(q, l, sum, sum + r);
    tsr_free(sum);
    struct tsr_rng rng;
    tsr_rng_init(&rng, seed, 0x70726f6a);
    float scale = 1 / sqrtf((float)d);
    for (int64_t i = 0; i < r * d; i++) q->p[i] = scale * tsr_rng_normal(&rng);
    q->extra = (struct tsr_fit_extra){.w = q->p, .g = q->gp, .n = r * d, .decay = true};
    return TSR_OK;
}

void tsr_projection_release(struct tsr_projection *q)
{
    tsr_free(q->goal);
    tsr_free(q->p);
    tsr_free(q->gp);
    tsr_free(q->residual);
    *q = (struct tsr_projection){.r = 0};
}

enum tsr_status tsr_projection_loss(struct tsr_projection *q, float weight, const uint32_t *row, int64_t n,
                                    const float *f, float *gf, struct tsr_pool *pool, double *loss,
                                    struct tsr_error *err)
{
    int64_t r = q->r, d = q->d;
    TSR_TRY(tsr_grow(&q->residual, &q->room, (size_t)(n * r), sizeof *q->residual, err));
    float *e = q->residual, scale = weight / (float)(n * r);
    tsr_gemm_run(&(struct tsr_gemm){.tb = true, .m = n, .n = r, .k = d, .alpha = 1, .a = f, .lda = d, .b = q->p,
                                    .ldb = d, .c = e, .ldc = r}, pool);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *c = q->goal + (int64_t)row[i] * r;
        bool none = isnan(c[0]);
        for (int64_t k = 0; k < r; k++) {
            float x = none ? 0 : e[i * r + k] - c[k];
            e[i * r + k] = x;
            sum += (double)x * (double)x;
        }
    }
    *loss = (double)scale * sum;
    if (gf == NULL) return TSR_OK;
    tsr_gemm_run(&(struct tsr_gemm){.m = n, .n = d, .k = r, .alpha = 2 * scale, .a = e, .lda = r, .b = q->p, .ldb = d,
                                    .c = gf, .ldc = d}, pool);
    tsr_gemm_run(&(struct tsr_gemm){.ta = true, .m = r, .n = d, .k = n, .alpha = 2 * scale, .a = e, .lda = r, .b = f,
                                    .ldb = d, .c = q->gp, .ldc = d}, pool);
    return TSR_OK;
}
