/* fingerprint.h - what a layer's activations look like, in a few numbers. */
#ifndef TSR_HUB_FINGERPRINT_H
#define TSR_HUB_FINGERPRINT_H

#include "base/status.h"

#define TSR_FINGERPRINT_SPECTRUM 16

struct tsr_fingerprint {
    int64_t samples, width;
    double effective_rank; /* participation ratio of the covariance: (sum w)^2 / sum w^2 */
    double sparsity;       /* share of exact zeros */
    double norm;           /* mean Euclidean norm of a row */
    double spectrum[TSR_FINGERPRINT_SPECTRUM]; /* largest eigenvalues of the covariance, as shares of its trace */
    int spectrum_len;
};

/* Of a[n, d]; moments[2 * d] receives the means and the standard deviations of the columns.
 * TSR_E_NUMERIC names the row of a NaN or infinity. Thread-safe. */
enum tsr_status tsr_fingerprint(const float *a, int64_t n, int64_t d, struct tsr_fingerprint *f, float *moments,
                                struct tsr_error *err) TSR_MUST_USE;

#endif
