/* bins.h - how the numbers of one tensor are distributed, in memory that does not grow.
 *
 * Bins are 2^exponent wide and aligned to multiples of that. A number beyond the last bin doubles
 * the width and pairs of bins merge, so the result depends on the numbers alone: not on their order,
 * nor on how they were dealt to histograms that were merged later. */
#ifndef TSR_QUANT_BINS_H
#define TSR_QUANT_BINS_H

#include "base/status.h"

#define TSR_BINS 4096 /* half of them for negative numbers */
#define TSR_BINS_EMPTY INT32_MIN

struct tsr_bins {
    int32_t exponent;  /* TSR_BINS_EMPTY: nothing but zeros so far */
    float min, max;    /* of the finite numbers; 0 where there are none */
    uint64_t count;    /* finite numbers, zeros included */
    uint64_t zeros;    /* not in the bins */
    uint64_t strange;  /* NaN and infinities */
    uint64_t bin[TSR_BINS]; /* bin i: [(i - BINS/2) 2^exponent, (i + 1 - BINS/2) 2^exponent) */
};

void tsr_bins_init(struct tsr_bins *h);
void tsr_bins_add(struct tsr_bins *h, const float *x, int64_t n);
/* h becomes what it would be had it seen the numbers of both. */
void tsr_bins_merge(struct tsr_bins *h, const struct tsr_bins *other);
/* The middle of bin i, and its width. */
double tsr_bins_middle(const struct tsr_bins *h, int i);
double tsr_bins_width(const struct tsr_bins *h);

/* The smallest v so that at least `fraction` of the numbers are <= v, interpolated within a bin and
 * kept within [min, max]. 0 for an empty histogram. */
double tsr_bins_quantile(const struct tsr_bins *h, double fraction);

#endif
