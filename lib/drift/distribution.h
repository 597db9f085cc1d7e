/* distribution.h - the distribution functions behind intervals: beta, binomial, Student's t.
 * Accurate to about 1e-12 for parameters up to 1e7. Thread-safe. */
#ifndef TSR_DRIFT_DISTRIBUTION_H
#define TSR_DRIFT_DISTRIBUTION_H

#include "base/status.h"

/* The regularised incomplete beta function I_x(a, b), a, b > 0, x in [0, 1]: continued fraction by
 * Lentz's method (Abramowitz and Stegun 26.5.8). */
double tsr_beta_cdf(double x, double a, double b);
/* Its inverse in x: the p-quantile of the beta distribution. */
double tsr_beta_quantile(double p, double a, double b);

/* P(X <= k) for X binomial with n trials of probability p; 0 for k < 0. */
double tsr_binomial_cdf(double k, double n, double p);

/* The p-quantile of Student's t with `df` >= 1 degrees of freedom. */
double tsr_t_quantile(double p, double df);

/* The interval that holds a probability with confidence 1 - alpha, alpha / 2 a side, after k of n
 * trials came out (Clopper and Pearson, 1934): exact for whole k and n; others are taken as they
 * are, for effective sample sizes. n 0: [0, 1]. */
void tsr_rate_interval(double k, double n, double alpha, double *low, double *high);

#endif
