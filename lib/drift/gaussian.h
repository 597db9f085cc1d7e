/* gaussian.h - distance between two layers' distributions of features, each taken as Gaussian.
 * One pass; memory grows with the square of the features. */
#ifndef TSR_DRIFT_GAUSSIAN_H
#define TSR_DRIFT_GAUSSIAN_H

#include "base/status.h"

#define TSR_GAUSSIAN_FEATURES 1024 /* with more, covariances are not gathered */

/* First and second moments of rows of d features. */
struct tsr_moments {
    int64_t d, rows;
    bool full;     /* covariances too: d <= TSR_GAUSSIAN_FEATURES */
    double *shift; /* [d]: the first row, subtracted from all for precision */
    double *sum;   /* [d] */
    double *cross; /* [d, d] where full, else [d]: the diagonal */
    double *batch; /* rows on their way into cross */
    int64_t held;
};

enum tsr_status tsr_moments_init(struct tsr_moments *m, int64_t d, struct tsr_error *err) TSR_MUST_USE;
void tsr_moments_release(struct tsr_moments *m);
void tsr_moments_add(struct tsr_moments *m, const float *row);

/* Divergences of the reference p from the candidate q; NaN: see `why`, a clause. */
struct tsr_gaussian {
    /* KL(p || q) of the Gaussians with diagonal covariances: infinite where a feature varies in p
     * and not in q. */
    double diagonal;
    /* The same with full covariances: needs more rows than features. */
    double full;
    /* Squared Frechet distance (Dowson and Landau, 1982; "FID"), in squared units of the layer. */
    double frechet;
    const char *full_why, *frechet_why;
};

/* p and q have the same d and rows >= 2. `closed`: a row's features sum to a constant (probabilities,
 * centred logits), so that one of them says nothing new. May finish what tsr_moments_add left undone. */
enum tsr_status tsr_gaussian_compare(struct tsr_moments *p, struct tsr_moments *q, bool closed,
                                     struct tsr_gaussian *out, struct tsr_error *err) TSR_MUST_USE;

#endif
