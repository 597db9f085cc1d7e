#include "merge/embed.h"

#include "merge/real.h"

#include <math.h>

struct tsr_embed tsr_embed_roots(size_t classes)
{
    return (struct tsr_embed){TSR_EMBED_ROOTS, classes, classes, 0};
}

struct tsr_embed tsr_embed_central(size_t cols, float scale)
{
    return (struct tsr_embed){TSR_EMBED_CENTRAL, cols, cols + 1, scale};
}

struct tsr_embed tsr_embed_direction(size_t cols)
{
    return (struct tsr_embed){TSR_EMBED_DIRECTION, cols, cols, 0};
}

struct tsr_embed tsr_embed_scores(size_t classes)
{
    return (struct tsr_embed){TSR_EMBED_SCORES, classes, 2 * classes, 0};
}

struct tsr_embed tsr_embed_gated(size_t classes)
{
    return (struct tsr_embed){TSR_EMBED_GATED, classes, classes + 1, 0};
}

bool tsr_embed_loose(const struct tsr_embed *e) { return e->kind >= TSR_EMBED_SCORES; }

enum tsr_embed_fault tsr_embed_logits(size_t classes, enum tsr_row_kind kind, const float *x, float *z)
{
    const float least = -15;
    if (kind == TSR_KIND_ARGMAX) {
        if (!(x[0] >= 0 && x[0] < (float)classes)) return TSR_EMBED_CLASS;
        for (size_t i = 0; i < classes; i++) z[i] = i == (size_t)x[0] ? 0 : least;
        return TSR_EMBED_FINE;
    }
    for (size_t i = 0; i < classes; i++) {
        if (!isfinite(x[i]) || (kind == TSR_KIND_PROBABILITIES && !(x[i] >= 0))) return TSR_EMBED_NAN;
        z[i] = kind == TSR_KIND_LOGITS ? x[i] : x[i] > 3e-7f ? (float)tsr_real_log((double)x[i]) : least;
    }
    return TSR_EMBED_FINE;
}

/* The softmax of the mean scores times TSR_SCORE_GAIN over the classes that anybody knows. */
static void scores_back(size_t n, const double *y, float *x)
{
    double top = -1e30, sum = 0;
    for (size_t i = 0; i < n; i++)
        if (y[n + i] > 0 && y[i] / y[n + i] > top) top = y[i] / y[n + i];
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            double p = y[n + i] > 0 ? tsr_real_exp((y[i] / y[n + i] - top) * (TSR_SCORE_MOST * TSR_SCORE_GAIN)) : 0;
            if (pass == 0) sum += p;
            else x[i] = (float)(sum > 0 ? p / sum : 1.0 / (double)n);
        }
}

/* The roots of a softmax: half of the logarithms, relative to the greatest. */
static enum tsr_embed_fault roots_of_logits(const float *x, size_t n, float *y)
{
    float top = x[0];
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return TSR_EMBED_NAN;
        if (x[i] > top) top = x[i];
    }
    for (size_t i = 0; i < n; i++) y[i] = (float)tsr_real_exp(0.5 * ((double)x[i] - (double)top));
    return TSR_EMBED_FINE;
}

static enum tsr_embed_fault roots_of_probabilities(const float *x, size_t n, float *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= 0 && isfinite(x[i]))) return TSR_EMBED_NAN;
        sum += (double)x[i];
    }
    if (!(sum > 0)) return TSR_EMBED_ZERO;
    for (size_t i = 0; i < n; i++) y[i] = (float)sqrt((double)x[i] / sum);
    return TSR_EMBED_FINE;
}

/* Directions of any finite length but 0: a power of two brings the greatest element near 1. */
static enum tsr_embed_fault direction(const float *x, size_t n, float *y)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return TSR_EMBED_NAN;
        float a = fabsf(x[i]);
        if (a > most) most = a;
    }
    if (most == 0) return TSR_EMBED_ZERO;
    int exponent;
    (void)frexpf(most, &exponent);
    for (size_t i = 0; i < n; i++) y[i] = ldexpf(x[i], -exponent);
    return TSR_EMBED_FINE;
}

static enum tsr_embed_fault central(const struct tsr_embed *e, const float *x, float *y)
{
    double sum = (double)e->scale * (double)e->scale;
    for (size_t i = 0; i < e->cols; i++) {
        if (!isfinite(x[i])) return TSR_EMBED_NAN;
        sum += (double)x[i] * (double)x[i];
    }
    double inverse = 1 / sqrt(sum);
    for (size_t i = 0; i < e->cols; i++) y[i] = (float)((double)x[i] * inverse);
    y[e->cols] = (float)((double)e->scale * inverse);
    return TSR_EMBED_FINE;
}

enum tsr_embed_fault tsr_embed_row(const struct tsr_embed *e, enum tsr_row_kind kind, const float *x, float *y)
{
    if (e->kind == TSR_EMBED_CENTRAL) return central(e, x, y);
    if (e->kind == TSR_EMBED_DIRECTION) return direction(x, e->cols, y);
    if (kind == TSR_KIND_LOGITS) return roots_of_logits(x, e->cols, y);
    if (kind == TSR_KIND_PROBABILITIES) return roots_of_probabilities(x, e->cols, y);
    if (!(x[0] >= 0 && x[0] < (float)e->cols)) return TSR_EMBED_CLASS;
    for (size_t i = 0; i < e->cols; i++) y[i] = 0;
    y[(size_t)x[0]] = 1;
    return TSR_EMBED_FINE;
}

void tsr_embed_back(const struct tsr_embed *e, const double *y, float *x)
{
    if (e->kind == TSR_EMBED_SCORES) {
        scores_back(e->cols, y, x);
        return;
    }
    if (e->kind == TSR_EMBED_GATED) {
        double sum = 0;
        for (size_t i = 0; i < e->cols; i++) sum += y[i];
        for (size_t i = 0; i < e->cols; i++) x[i] = (float)(sum > 0 ? y[i] / sum : 1.0 / (double)e->cols);
        return;
    }
    if (e->kind == TSR_EMBED_DIRECTION) {
        for (size_t i = 0; i < e->cols; i++) x[i] = (float)y[i];
        return;
    }
    if (e->kind == TSR_EMBED_CENTRAL) { /* beyond a thousand times the scale there is nothing to be trusted */
        double pole = y[e->cols] > 1e-3 ? y[e->cols] : 1e-3;
        for (size_t i = 0; i < e->cols; i++) x[i] = (float)((double)e->scale * y[i] / pole);
        return;
    }
    double sum = 0;
    for (size_t i = 0; i < e->cols; i++) sum += y[i] > 0 ? y[i] * y[i] : 0;
    for (size_t i = 0; i < e->cols; i++)
        x[i] = (float)(!(sum > 0) ? 1.0 / (double)e->cols : y[i] > 0 ? y[i] * y[i] / sum : 0);
}

void tsr_embed_neutral(const struct tsr_embed *e, float *y)
{
    for (size_t i = 0; i < e->width; i++) y[i] = 0;
    if (e->kind == TSR_EMBED_CENTRAL) y[e->cols] = 1;
    if (e->kind == TSR_EMBED_ROOTS)
        for (size_t i = 0; i < e->cols; i++) y[i] = (float)sqrt(1.0 / (double)e->cols);
}
