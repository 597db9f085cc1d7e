#include "quant/calibrate.h"

#include <math.h>
#include <string.h>

const char *const tsr_calibrator_names[] = {"minmax", "percentile", "mse", "entropy", NULL};

struct range {
    double lo, hi;
};

/* ---- least squares ---- */

/* The expected squared error: rounding (step^2 / 12) inside, the distance to the edge outside. Zeros
 * are exact, as 0 is on every grid. */
static double expected_error(const struct tsr_bins *h, struct range r, int levels)
{
    double step = (r.hi - r.lo) / (levels - 1), inside = step * step / 12, sum = 0;
    for (int i = 0; i < TSR_BINS; i++) {
        if (h->bin[i] == 0) continue;
        double v = tsr_bins_middle(h, i), out = v > r.hi ? v - r.hi : v < r.lo ? r.lo - v : 0;
        sum += (double)h->bin[i] * (inside + out * out);
    }
    return sum;
}

/* Shrinks one end, then the other, each to the best of 100 fractions of what was seen. */
static struct range least_squares(const struct tsr_bins *h, struct range all, int levels, bool symmetric)
{
    struct range best = all;
    double least = expected_error(h, best, levels);
    for (int turn = 0; turn < 4; turn++) {
        struct range from = best;
        for (int c = 1; c <= 100; c++) {
            struct range r = from;
            if (symmetric) r.hi = all.hi * c / 100, r.lo = -r.hi;
            else if (turn % 2 == 0) r.hi = all.hi * c / 100;
            else r.lo = all.lo * c / 100;
            if (!(r.hi > r.lo)) continue;
            double e = expected_error(h, r, levels);
            if (e < least) least = e, best = r;
        }
    }
    return best;
}

/* ---- entropy ---- */

/* KL(P || Q): P the distribution with its tails gathered in the outermost bins of the range, Q the
 * same brought to `levels` levels and spread again over the bins that P fills. */
static double divergence(const struct tsr_bins *h, int first, int last, int levels)
{
    double total = 0, kl = 0, below = 0, above = 0;
    for (int i = 0; i < TSR_BINS; i++) {
        total += (double)h->bin[i];
        if (i < first) below += (double)h->bin[i];
        if (i > last) above += (double)h->bin[i];
    }
    int n = last - first + 1;
    for (int l = 0; l < levels; l++) {
        int a = first + (int)((int64_t)n * l / levels), b = first + (int)((int64_t)n * (l + 1) / levels);
        double sum = 0;
        int filled = 0;
        for (int i = a; i < b; i++) sum += (double)h->bin[i], filled += h->bin[i] != 0;
        for (int i = a; i < b; i++) {
            double p = (double)h->bin[i] + (i == first ? below : 0) + (i == last ? above : 0);
            if (p == 0) continue;
            double q = filled > 0 ? sum / filled : 0;
            kl += p * log(p / (q > 0 ? q : 1e-3)); /* a tail on an empty bin: nothing stands for it */
        }
    }
    return total > 0 ? kl / total : 0;
}

static struct range entropy(const struct tsr_bins *h, struct range all, int levels, bool symmetric)
{
    const int half = TSR_BINS / 2;
    double width = tsr_bins_width(h), least = INFINITY;
    int a = (int)floor(all.lo / width), b = (int)ceil(all.hi / width); /* bins below and above 0 */
    struct range best = all;
    for (int c = 128; c >= 16; c--) {
        int lo = (int)((int64_t)a * c / 128), hi = (int)((int64_t)b * c / 128);
        if (symmetric) hi = hi > -lo ? hi : -lo, lo = -hi;
        if (hi - lo < levels / 2 || hi - lo < 2) break;
        if (lo < -half || hi > half) continue;
        double kl = divergence(h, half + lo, half + hi - 1, levels);
        if (kl < least) least = kl, best = (struct range){lo * width, hi * width};
    }
    return (struct range){fmax(best.lo, all.lo), fmin(best.hi, all.hi)};
}

void tsr_calibrate(const struct tsr_bins *h, enum tsr_calibrator how, double percentile, int bits, bool symmetric,
                   float *lo, float *hi)
{
    const int levels = symmetric ? (1 << bits) - 1 : 1 << bits;
    struct range r = {fmin((double)h->min, 0), fmax((double)h->max, 0)};
    if (symmetric) r.hi = fmax(r.hi, -r.lo), r.lo = -r.hi;
    if (h->exponent != TSR_BINS_EMPTY && how != TSR_CALIBRATE_MINMAX) {
        if (how == TSR_CALIBRATE_MSE) r = least_squares(h, r, levels, symmetric);
        else if (how == TSR_CALIBRATE_ENTROPY) r = entropy(h, r, levels, symmetric);
        else {
            double tail = (1 - percentile) / 2;
            r.lo = fmin(tsr_bins_quantile(h, tail), 0);
            r.hi = fmax(tsr_bins_quantile(h, 1 - tail), 0);
            if (symmetric) r.hi = fmax(r.hi, -r.lo), r.lo = -r.hi;
        }
    }
    *lo = (float)r.lo;
    *hi = (float)r.hi;
}
