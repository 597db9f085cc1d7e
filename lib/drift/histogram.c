#include "drift/histogram.h"

#include "base/mem.h"
#include "drift/distribution.h"

#include <math.h>

enum { PER_OCTAVE = 256, LOWEST = -40, HALF = TSR_HISTOGRAM_BINS, ALL = 2 * HALF + 1 };

enum tsr_status tsr_histogram_init(struct tsr_histogram *h, struct tsr_error *err)
{
    *h = (struct tsr_histogram){.count = tsr_calloc(ALL, sizeof *h->count)};
    return h->count == NULL ? tsr_nomem(err, ALL * sizeof *h->count) : TSR_OK;
}

void tsr_histogram_release(struct tsr_histogram *h)
{
    tsr_free(h->count);
    *h = (struct tsr_histogram){0};
}

/* Bin of a magnitude: 0 for (almost) zero, else 1 .. HALF. */
static int bin_of(double x)
{
    int exponent;
    double f = frexp(x, &exponent); /* x = f 2^exponent, f in [1/2, 1) */
    int octave = exponent - 1 - LOWEST;
    if (x == 0 || octave < 0) return 0;
    int bin = 1 + octave * PER_OCTAVE + (int)((2 * f - 1) * PER_OCTAVE);
    return bin > HALF ? HALF : bin;
}

/* Lower edge of bin 1 .. HALF; of HALF + 1: the end of the last. */
static double edge(int bin)
{
    int octave = (bin - 1) / PER_OCTAVE, within = (bin - 1) % PER_OCTAVE;
    return ldexp(1 + (double)within / PER_OCTAVE, octave + LOWEST);
}

void tsr_histogram_add(struct tsr_histogram *h, double x)
{
    int bin = bin_of(fabs(x));
    h->count[x < 0 ? HALF - bin : HALF + bin]++;
    if (h->n == 0 || x < h->min) h->min = x;
    if (h->n == 0 || x > h->max) h->max = x;
    h->n++;
}

/* Where in the bin: 0 its lower end, 1 its upper end, 0.5 the middle. */
static double value_in(const struct tsr_histogram *h, int i, double where)
{
    int bin = i < HALF ? HALF - i : i - HALF;
    double x = 0;
    if (bin > 0 && i > HALF) x = edge(bin) + where * (edge(bin + 1) - edge(bin));
    if (bin > 0 && i < HALF) x = -(edge(bin) + (1 - where) * (edge(bin + 1) - edge(bin)));
    return x < h->min ? h->min : x > h->max ? h->max : x;
}

/* The value at rank 1 .. n. */
static double at_rank(const struct tsr_histogram *h, double rank, double where)
{
    uint64_t seen = 0;
    if (rank <= 1) return h->min;
    if (rank >= (double)h->n) return h->max;
    for (int i = 0; i < ALL; i++) {
        seen += h->count[i];
        if ((double)seen >= rank) return value_in(h, i, where);
    }
    return h->max;
}

double tsr_histogram_quantile(const struct tsr_histogram *h, double p)
{
    return h->n == 0 ? NAN : at_rank(h, ceil(p * (double)h->n - 1e-9), 0.5);
}

/* The smallest k with P(Binomial(n, p) <= k) > target. */
static double binomial_rank(double n, double p, double target)
{
    double lo = -1, hi = n;
    while (hi - lo > 1) {
        double mid = floor(lo + (hi - lo) / 2);
        if (tsr_binomial_cdf(mid, n, p) > target) hi = mid;
        else lo = mid;
    }
    return hi;
}

void tsr_histogram_interval(const struct tsr_histogram *h, double n, double p, double alpha, double *low, double *high)
{
    *low = -INFINITY;
    *high = INFINITY;
    if (h->n == 0 || !(n >= 1)) return;
    n = floor(n);
    /* The l-th smallest exceeds the quantile with probability P(B <= l - 1); l is the last for
     * which that is at most alpha / 2. The u-th falls below it with P(B >= u) = 1 - P(B <= u - 1). */
    double l = binomial_rank(n, p, alpha / 2), u = binomial_rank(n, p, 1 - alpha / 2) + 1;
    double scale = (double)h->n / n;
    if (l >= 1) *low = at_rank(h, ceil(l * scale - 1e-9), 0);
    if (u <= n) *high = at_rank(h, ceil(u * scale - 1e-9), 1);
}
