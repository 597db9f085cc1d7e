#include "quant/bins.h"

#include <math.h>
#include <string.h>

enum { HALF = TSR_BINS / 2 };

void tsr_bins_init(struct tsr_bins *h)
{
    memset(h, 0, sizeof *h);
    h->exponent = TSR_BINS_EMPTY;
}

/* The smallest exponent whose bins reach x > 0 (and -x): 2^e * HALF > x. */
static int32_t exponent_for(float x)
{
    int e;
    (void)frexpf(x, &e); /* x < 2^e */
    return e - 11;
}

/* Pairs of bins merge until the width is 2^exponent. */
static void coarsen(struct tsr_bins *h, int32_t exponent)
{
    for (; h->exponent < exponent; h->exponent++) {
        for (int i = HALF; i < HALF + HALF / 2; i++) h->bin[i] = h->bin[2 * i - HALF] + h->bin[2 * i - HALF + 1];
        for (int i = HALF - 1; i >= HALF / 2; i--) h->bin[i] = h->bin[2 * i - HALF] + h->bin[2 * i - HALF + 1];
        memset(h->bin, 0, HALF / 2 * sizeof *h->bin);
        memset(h->bin + HALF + HALF / 2, 0, HALF / 2 * sizeof *h->bin);
    }
}

static void reach(struct tsr_bins *h, int32_t exponent)
{
    if (h->exponent == TSR_BINS_EMPTY) h->exponent = exponent;
    else if (h->exponent < exponent) coarsen(h, exponent);
}

static void see(struct tsr_bins *h, float v)
{
    if (h->count == 0 || v < h->min) h->min = v;
    if (h->count == 0 || v > h->max) h->max = v;
    h->count++;
}

void tsr_bins_add(struct tsr_bins *h, const float *x, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        if (a > most && a <= 3.4028234e38f) most = a;
    }
    if (most > 0) reach(h, exponent_for(most));
    const double scale = h->exponent == TSR_BINS_EMPTY ? 1 : ldexp(1, -h->exponent);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            h->strange++;
            continue;
        }
        see(h, x[i]);
        if (x[i] == 0) {
            h->zeros++;
            continue;
        }
        h->bin[(int)floor((double)x[i] * scale) + HALF]++;
    }
}

void tsr_bins_merge(struct tsr_bins *h, const struct tsr_bins *other)
{
    h->strange += other->strange;
    if (other->count == 0) return;
    if (h->count == 0 || other->min < h->min) h->min = other->min;
    if (h->count == 0 || other->max > h->max) h->max = other->max;
    h->count += other->count;
    h->zeros += other->zeros;
    if (other->exponent == TSR_BINS_EMPTY) return;
    reach(h, other->exponent);
    for (int i = 0; i < TSR_BINS; i++) {
        int shift = h->exponent - other->exponent, at = i - HALF; /* shift >= 0 */
        at = shift > 30 ? (at < 0 ? -1 : 0) : at >> shift; /* arithmetic: rounds down */
        h->bin[at + HALF] += other->bin[i];
    }
}

double tsr_bins_width(const struct tsr_bins *h)
{
    return h->exponent == TSR_BINS_EMPTY ? 0 : ldexp(1, h->exponent);
}

double tsr_bins_middle(const struct tsr_bins *h, int i)
{
    return (i - HALF + 0.5) * tsr_bins_width(h);
}

double tsr_bins_quantile(const struct tsr_bins *h, double fraction)
{
    double want = fraction * (double)h->count, seen = 0, width = tsr_bins_width(h), v = (double)h->max;
    if (h->count == 0) return 0;
    for (int i = 0; i < TSR_BINS; i++) {
        if (i == HALF) { /* the zeros lie between the two halves */
            seen += (double)h->zeros;
            if (h->zeros > 0 && seen >= want) return 0 > (double)h->max ? (double)h->max : 0 < (double)h->min ? (double)h->min : 0;
        }
        double n = (double)h->bin[i];
        if (n > 0 && seen + n >= want) {
            v = (i - HALF + (want - seen) / n) * width;
            break;
        }
        seen += n;
    }
    return v < (double)h->min ? (double)h->min : v > (double)h->max ? (double)h->max : v;
}
