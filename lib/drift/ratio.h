/* ratio.h - means and ratios of means, with intervals, in memory that no number of samples makes
 * grow.
 *
 * Every statistic that is a mean over rows, or a ratio of two (SQNR), is a ratio R = E[a] / E[b]:
 * b is 1 a row for a plain mean. What is independent are samples; where a sample has several rows
 * (its views), it brings the sums over them. R is in the interval unless the mean of a - R b is
 * significantly not 0 (Fieller, 1954), by Student's t and by Hall's transformation of it, which
 * removes the effect of skewness to second order (Hall, 1992, J. R. Statist. Soc. B 54:221), the
 * wider of both. The sums of products up to third order suffice for that. Divergences have heavy
 * tails, of which few samples show too little: an event that n samples have not shown may still
 * have a rate of 3 / n. So the upper end is taken as if the sample with the largest a / b had come
 * three times more, the lower end with the smallest. tests/unit/test_drift_alarms.c measures how
 * often verdicts that rest on these ends are wrong. */
#ifndef TSR_DRIFT_RATIO_H
#define TSR_DRIFT_RATIO_H

#include "base/status.h"

/* Fewer samples say nothing about a mean whose distribution is not known. */
#define TSR_RATIO_MIN 50

struct tsr_ratio {
    double n;             /* samples; a double so that "f times as many" can be asked for */
    double total_a, total_b; /* over rows, each counted once */
    double a0, b0;        /* the first sample: the sums below are of differences from it */
    double s[4][4];       /* s[i][j]: sum of (a - a0)^i (b - b0)^j, i + j <= 3 */
    double max_a, max_b, min_a, min_b; /* the samples with the largest and the smallest a / b */
};

/* One sample; zero-initialised is an empty accumulator. b >= 0; where both are 0 there are no such
 * rows and it is no sample. */
void tsr_ratio_add(struct tsr_ratio *r, double a, double b);
/* The same in two steps, where rows belong to several samples: each row's part of the point
 * estimate, and each sample's sums over all rows that it has a part in. */
void tsr_ratio_add_row(struct tsr_ratio *r, double a, double b);
void tsr_ratio_add_sample(struct tsr_ratio *r, double a, double b);

/* As if f times as many samples like these had come. */
struct tsr_ratio tsr_ratio_scaled(const struct tsr_ratio *r, double f);

/* R; NaN without rows. */
double tsr_ratio_value(const struct tsr_ratio *r);
/* Its standard error by linearisation; NaN below two samples. */
double tsr_ratio_error(const struct tsr_ratio *r);
/* Variance of a sample's a - R b; NaN below two samples. */
double tsr_ratio_variance(const struct tsr_ratio *r);
/* R's interval with confidence 1 - alpha, alpha / 2 a side; false below TSR_RATIO_MIN samples. */
bool tsr_ratio_interval(const struct tsr_ratio *r, double alpha, double *low, double *high);

/* For rates, where a counts the rows of b for which something holds: exact where each sample has
 * one row, else by the effective number of rows (Korn and Graubard, 1998): rows divided by the
 * ratio of the variance between samples to that of independent rows, never more than there are.
 * Where all rows agree there is no such variance, and the samples are counted instead. */
void tsr_ratio_rate_interval(const struct tsr_ratio *r, double alpha, double *low, double *high);

#endif
