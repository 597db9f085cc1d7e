#include "merge/kernel.h"

#include "base/clones.h"

#include <string.h>

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t whole __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef int64_t wide __attribute__((vector_size(LANES * sizeof(int64_t))));

static double lane_sum(const float *lane, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)lane[i];
    return sum;
}

TSR_CLONES static void decode(const uint8_t *restrict code, const float *restrict scale, const float *restrict low, size_t m,
                              float *restrict x)
{
    for (size_t i = 0; i < m; i++) x[i] = low[i] + scale[i] * (float)code[i];
}

void tsr_merge_decode(const uint8_t *code, size_t stride, const float *scale, const float *low, size_t m, float *x)
{
    if (stride == 1) decode(code, scale, low, m, x);
    else
        for (size_t i = 0; i < m; i++) x[i] = low[i] + scale[i] * (float)code[i * stride];
}

TSR_CLONES void tsr_merge_measure(const float *x, const float *v, size_t m, double *norm2, double *dot)
{
    float nl[LANES] = {0}, dl[LANES] = {0};
    size_t i = 0;
    if (v == NULL) v = x;
    if (m >= 2 * LANES) { /* two sums at once hide the latency of an addition */
        lanes n0 = {0}, n1 = {0}, d0 = {0}, d1 = {0}, a, b;
        for (; i + 2 * LANES <= m; i += 2 * LANES) {
            memcpy(&a, x + i, sizeof a);
            memcpy(&b, v + i, sizeof b);
            n0 += a * a;
            d0 += a * b;
            memcpy(&a, x + i + LANES, sizeof a);
            memcpy(&b, v + i + LANES, sizeof b);
            n1 += a * a;
            d1 += a * b;
        }
        n0 += n1;
        d0 += d1;
        memcpy(nl, &n0, sizeof nl);
        memcpy(dl, &d0, sizeof dl);
    }
    for (size_t l = 0; i < m; i++, l = (l + 1) % LANES) {
        nl[l] += x[i] * x[i];
        dl[l] += x[i] * v[i];
    }
    size_t used = m < LANES ? m : LANES; /* the other lanes would add zeros */
    *norm2 = lane_sum(nl, used);
    *dot = lane_sum(dl, used);
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
