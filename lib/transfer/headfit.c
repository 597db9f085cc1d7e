#include "transfer/headfit.h"

#include "base/mem.h"
#include "tensor/blas.h"

#include <math.h>
#include <string.h>

#define BATCH 256

/* Normal equations over [f, 1]: g[(d+1),(d+1)] and h[(d+1),c]. */
struct normal {
    int64_t d, c;
    double *g, *h, *f, *y;
};

static void add_batch(struct normal *q, const float *f, const float *p, int64_t m)
{
    int64_t w = q->d + 1;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < q->d; j++) q->f[i * w + j] = (double)f[i * q->d + j];
        q->f[i * w + q->d] = 1;
        double mean = 0;
        for (int64_t j = 0; j < q->c; j++) {
            double v = (double)p[i * q->c + j];
            q->y[i * q->c + j] = log(v > 1e-5 ? v : 1e-5);
            mean += q->y[i * q->c + j] / (double)q->c;
        }
        for (int64_t j = 0; j < q->c; j++) q->y[i * q->c + j] -= mean;
    }
    tsr_blas_dgemm(true, false, w, w, m, 1, q->f, w, q->f, w, 1, q->g, w);
    tsr_blas_dgemm(true, false, w, q->c, m, 1, q->f, w, q->y, q->c, 1, q->h, q->c);
}

static enum tsr_status collect(struct normal *q, struct tsr_session *s, const struct tsr_fit_problem *problem,
                               const float *target, int32_t features, struct tsr_error *err)
{
    uint32_t row[BATCH];
    tsr_session_set_training(s, false, false);
    for (uint32_t at = 0; at < problem->rows;) {
        uint32_t m = problem->rows - at < BATCH ? problem->rows - at : BATCH;
        for (uint32_t i = 0; i < m; i++) row[i] = at + i;
        TSR_TRY(problem->input(problem->arg, row, m, s, err));
        TSR_TRY(tsr_session_run(s, &features, 1, err));
        const struct tsr_tensor *f = tsr_session_value(s, features);
        if (tsr_tensor_count(f) != (int64_t)m * q->d)
            return tsr_fail(err, TSR_E_UNSUPPORTED, "the last linear layer is applied more than once a sample");
        add_batch(q, f->data, target + (int64_t)at * q->c, m);
        at += m;
    }
    return TSR_OK;
}

static enum tsr_status solve(struct normal *q, struct tsr_error *err)
{
    int64_t w = q->d + 1;
    double trace = 0;
    for (int64_t j = 0; j < q->d; j++) trace += q->g[j * w + j];
    for (int64_t j = 0; j < q->d; j++) q->g[j * w + j] += 1e-3 * trace / (double)q->d + 1e-12;
    TSR_TRY(tsr_lapack_cholesky(w, q->g, w, err));
    return tsr_lapack_cholesky_solve(w, q->c, q->g, w, q->h, q->c, err);
}

static void install(const struct normal *q, const struct tsr_head *head, float *weight, float *bias)
{
    for (int64_t i = 0; i < q->d; i++)
        for (int64_t j = 0; j < q->c; j++)
            weight[head->trans_b ? j * q->d + i : i * q->c + j] = (float)q->h[i * q->c + j];
    for (int64_t j = 0; j < q->c; j++) bias[j] = (float)q->h[q->d * q->c + j];
}

enum tsr_status tsr_headfit(struct tsr_graph *g, const struct tsr_head *head, struct tsr_session *s,
                            const struct tsr_fit_problem *problem, const float *target, double *held, bool *kept,
                            struct tsr_error *err)
{
    *kept = false;
    int64_t d = head->d, c = head->classes, w = d + 1;
    if (!head->plain || head->bias < 0 || problem->held == 0 || tsr_tensor_count(&g->value[head->bias].init) != c) return TSR_OK;
    float *weight = g->value[head->weight].init.data, *bias = g->value[head->bias].init.data;
    size_t nw = (size_t)(d * c) * sizeof *weight, nb = (size_t)c * sizeof *bias;
    struct normal q = {.d = d, .c = c, .g = tsr_calloc((size_t)(w * w), sizeof *q.g),
                       .h = tsr_calloc((size_t)(w * c), sizeof *q.h), .f = tsr_calloc((size_t)(BATCH * w), sizeof *q.f),
                       .y = tsr_calloc((size_t)(BATCH * c), sizeof *q.y)};
    float *old_weight = tsr_memdup(weight, nw), *old_bias = tsr_memdup(bias, nb);
    enum tsr_status status = TSR_OK;
    if (q.g == NULL || q.h == NULL || q.f == NULL || q.y == NULL || old_weight == NULL || old_bias == NULL) {
        status = tsr_nomem(err, (size_t)(w * w) * sizeof *q.g);
        goto done;
    }
    TSR_GO(status, done, collect(&q, s, problem, target, head->features, err));
    if (solve(&q, err) != TSR_OK) goto done; /* singular: the head stays */
    install(&q, head, weight, bias);
    double loss;
    status = tsr_fit_evaluate(s, problem, problem->rows, problem->held, &loss, err);
    *kept = status == TSR_OK && loss < *held;
    if (*kept) {
        *held = loss;
    } else {
        memcpy(weight, old_weight, nw);
        memcpy(bias, old_bias, nb);
    }
done:
    tsr_free(q.g);
    tsr_free(q.h);
    tsr_free(q.f);
    tsr_free(q.y);
    tsr_free(old_weight);
    tsr_free(old_bias);
    return status;
}
