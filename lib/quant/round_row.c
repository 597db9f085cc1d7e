/* round_row.c - one row of weights to the integers whose products change least. */
#include "quant/rounding.h"

#include "tensor/isa.h"

#include <math.h>
#include <string.h>

enum { SWEEPS = 8 };

TSR_CLONES static void subtract(int64_t n, float f, const float *h, float *g)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) g[i] -= f * h[i];
}

static float clamped(float v, int most) { return v > (float)most ? (float)most : v < (float)-most ? (float)-most : v; }

/* From the last weight to the first, each to nearest once the errors of those behind it are made up for: with
 * H = L L', row i of L'(w - s q) holds weights i and later only. a: scratch, k. */
static void in_turn(int64_t k, const float *l, const float *w, const float *s, int most, int8_t *q, float *a)
{
    memset(a, 0, (size_t)k * sizeof *a);
    for (int64_t j = k; j-- > 0;) {
        const float v = rintf((w[j] - a[j] / l[j * k + j]) / s[j]);
        q[j] = v == v && w[j] != 0 ? (int8_t)clamped(v, most) : 0;
        subtract(j, -(s[j] * (float)q[j] - w[j]), l + j * k, a);
    }
}

/* Cyclic coordinate descent; g: scratch, k, left as H (w - s q). Returns (w - s q)' H (w - s q). */
static double descend(int64_t k, const float *h, const float *w, const float *s, int most, int8_t *q, float *g)
{
    memset(g, 0, (size_t)k * sizeof *g);
    for (int64_t j = 0; j < k; j++) subtract(k, -(w[j] - s[j] * (float)q[j]), h + j * k, g);
    for (int sweep = 0, moves = 1; sweep < SWEEPS && moves > 0; sweep++) {
        moves = 0;
        for (int64_t j = 0; j < k; j++) {
            const float v = clamped(rintf((float)q[j] + g[j] / (h[j * k + j] * s[j])), most), step = (v - (float)q[j]) * s[j];
            if (step == 0 || v != v || w[j] == 0) continue;
            q[j] = (int8_t)v;
            subtract(k, step, h + j * k, g);
            moves++;
        }
    }
    double sum = 0;
    for (int64_t j = 0; j < k; j++) sum += (double)(w[j] - s[j] * (float)q[j]) * (double)g[j];
    return sum;
}

void tsr_round_row(int64_t k, const float *h, const float *l, const float *w, const float *s, int most, int8_t *q, void *scratch)
{
    float *g = scratch;
    int8_t *other = (int8_t *)(g + k);
    const double from_nearest = descend(k, h, w, s, most, q, g);
    if (l == NULL) return;
    in_turn(k, l, w, s, most, other, g);
    if (descend(k, h, w, s, most, other, g) < from_nearest) memcpy(q, other, (size_t)k);
}
