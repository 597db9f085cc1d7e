#include "merge/kernel.h"

#include "base/clones.h"

#include <string.h>

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t whole __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef int64_t wide __attribute__((vector_size(LANES * sizeof(int64_t))));

static double lane_sum(const float *lane)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++) sum += (double)lane[i];
    return sum;
}

TSR_CLONES void tsr_merge_measure(const float *x, const float *v, size_t m, double *norm2, double *dot)
{
    lanes n = {0}, d = {0};
    float nl[LANES], dl[LANES];
    size_t i = 0;
    if (v == NULL) {
        for (; i + LANES <= m; i += LANES) {
            lanes a;
            memcpy(&a, x + i, sizeof a);
            n += a * a;
        }
    } else {
        for (; i + LANES <= m; i += LANES) {
            lanes a, b;
            memcpy(&a, x + i, sizeof a);
            memcpy(&b, v + i, sizeof b);
            n += a * a;
            d += a * b;
        }
    }
    memcpy(nl, &n, sizeof nl);
    memcpy(dl, &d, sizeof dl);
    for (size_t l = 0; i < m; i++, l++) {
        nl[l] += x[i] * x[i];
        if (v != NULL) dl[l] += x[i] * v[i];
    }
    *norm2 = lane_sum(nl);
    *dot = lane_sum(dl);
}

TSR_CLONES void tsr_merge_add(int64_t *s, const float *x, float inverse, float factor, int64_t w, size_t m)
{
    size_t i = 0;
    for (; i + LANES <= m; i += LANES) {
        lanes a;
        wide sum;
        memcpy(&a, x + i, sizeof a);
        memcpy(&sum, s + i, sizeof sum);
        whole q = __builtin_convertvector(a * inverse * factor, whole);
        sum += __builtin_convertvector(q, wide) * w;
        memcpy(s + i, &sum, sizeof sum);
    }
    for (; i < m; i++) s[i] += (int64_t)(int32_t)(x[i] * inverse * factor) * w;
}

TSR_CLONES void tsr_merge_add_tile(int32_t *s, const float *x, float inverse, float factor, size_t m)
{
    size_t i = 0;
    for (; i + LANES <= m; i += LANES) {
        lanes a;
        whole sum;
        memcpy(&a, x + i, sizeof a);
        memcpy(&sum, s + i, sizeof sum);
        sum += __builtin_convertvector(a * inverse * factor, whole);
        memcpy(s + i, &sum, sizeof sum);
    }
    for (; i < m; i++) s[i] += (int32_t)(x[i] * inverse * factor);
}

TSR_CLONES void tsr_merge_flush_tile(int64_t *to, int32_t *from, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        to[i] += from[i];
        from[i] = 0;
    }
}
