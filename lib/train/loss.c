#include "train/loss.h"

#include <math.h>

int32_t tsr_argmax(const float *z, int64_t c)
{
    int64_t best = 0;
    for (int64_t j = 1; j < c; j++)
        if (z[j] > z[best]) best = j;
    return (int32_t)best;
}

int64_t tsr_count_correct(const float *z, const int32_t *label, int64_t n, int64_t c)
{
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++) right += tsr_argmax(z + i * c, c) == label[i];
    return right;
}

/* log of the sum of exp((z - top) / t), with the row's largest element in *top. */
static float row_lse(const float *z, int64_t c, float t, float *top)
{
    *top = z[tsr_argmax(z, c)];
    double sum = 0;
    for (int64_t j = 0; j < c; j++) sum += (double)expf((z[j] - *top) / t);
    return (float)log(sum);
}

void tsr_softmax_rows(const float *z, int64_t n, int64_t c, float t, float *p)
{
    for (int64_t i = 0; i < n; i++, z += c, p += c) {
        float top, lse = row_lse(z, c, t, &top);
        for (int64_t j = 0; j < c; j++) p[j] = expf((z[j] - top) / t - lse);
    }
}

double tsr_loss_cross_entropy(const float *z, const int32_t *label, int64_t n, int64_t c, float *grad)
{
    double loss = 0;
    float scale = 1.0f / (float)n;
    for (int64_t i = 0; i < n; i++, z += c) {
        float top, lse = row_lse(z, c, 1.0f, &top);
        loss += (double)lse - (double)(z[label[i]] - top);
        if (grad == NULL) continue;
        for (int64_t j = 0; j < c; j++) grad[i * c + j] = scale * expf(z[j] - top - lse);
        grad[i * c + label[i]] -= scale;
    }
    return loss / (double)n;
}

double tsr_loss_kl(const float *z, const float *p, int64_t n, int64_t c, float t, float *grad)
{
    double loss = 0;
    float scale = t / (float)n; /* t^2 of the loss times 1/t of the inner derivative */
    for (int64_t i = 0; i < n; i++, z += c, p += c) {
        float top, lse = row_lse(z, c, t, &top);
        for (int64_t j = 0; j < c; j++) {
            float lq = (z[j] - top) / t - lse;
            if (p[j] > 0) loss += (double)p[j] * ((double)logf(p[j]) - (double)lq);
            if (grad != NULL) grad[i * c + j] = scale * (expf(lq) - p[j]);
        }
    }
    return (double)t * (double)t * loss / (double)n;
}

double tsr_loss_mse(const float *z, const float *y, int64_t n, int64_t c, float *grad)
{
    double loss = 0, count = (double)n * (double)c;
    float scale = (float)(2.0 / count);
    for (int64_t i = 0; i < n * c; i++) {
        float d = z[i] - y[i];
        loss += (double)d * (double)d;
        if (grad != NULL) grad[i] = scale * d;
    }
    return loss / count;
}
