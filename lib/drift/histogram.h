/* histogram.h - percentiles of any number of values in fixed memory: counts over bins whose width
 * is 1/256 of an octave, so that a percentile is off by at most 0.2 %; maximum and minimum are
 * exact. Magnitudes below 2^-40 (9e-13) share the bin of zero, those from 2^24 on the last one. */
#ifndef TSR_DRIFT_HISTOGRAM_H
#define TSR_DRIFT_HISTOGRAM_H

#include "base/status.h"

#define TSR_HISTOGRAM_BINS (64 * 256)

struct tsr_histogram {
    uint64_t *count; /* negative values in falling order of magnitude, zero, positive ones */
    uint64_t n;
    double min, max;
};

enum tsr_status tsr_histogram_init(struct tsr_histogram *h, struct tsr_error *err) TSR_MUST_USE;
void tsr_histogram_release(struct tsr_histogram *h);
void tsr_histogram_add(struct tsr_histogram *h, double x); /* finite */

/* The p-quantile, p in [0, 1]: the value that ceil(p n) of the values do not exceed (the smallest
 * for p 0). NaN when empty. */
double tsr_histogram_quantile(const struct tsr_histogram *h, double p);
/* An interval for the quantile of the distribution that the values come from, by order statistics
 * (exact whatever the distribution, David and Nagaraja, 2003, 7.1), as if `n` independent values
 * had come with these frequencies. An end that n values cannot tell is infinite. */
void tsr_histogram_interval(const struct tsr_histogram *h, double n, double p, double alpha, double *low, double *high);

#endif
