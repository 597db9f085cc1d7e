/* projection.h - mode A's loss: a linear map P, learnt along, from the receiver's features to the
 * transmitter's hub coefficients,
 *
 *     w_h / (n r) sum_i || P f(x_i) - c(x_i) ||^2     over the rows that carry coefficients,
 *
 * with c half-whitened: column j is centred and divided by the square root of its deviation, all
 * of unit mean variance, so that the leading directions weigh more without drowning the rest. */
#ifndef TSR_TRANSFER_PROJECTION_H
#define TSR_TRANSFER_PROJECTION_H

#include "train/fit.h"
#include "transfer/lesson.h"

struct tsr_projection {
    int64_t r, d;
    float *goal;          /* [lesson->n, r] in lesson order; a row of NaN: none */
    float *p, *gp;        /* [r, d]: P and its gradient */
    float *residual;      /* [batch, r] */
    size_t room;
    struct tsr_fit_extra extra; /* P as the optimiser sees it */
};

/* The goals of the lesson's rows, and a P that is random and small: from zero, f would get no
 * gradient. d: width of the features. Release with tsr_projection_release whatever comes. */
enum tsr_status tsr_projection_init(struct tsr_projection *q, const struct tsr_lesson *l, int64_t d, uint64_t seed,
                                    struct tsr_error *err) TSR_MUST_USE;
void tsr_projection_release(struct tsr_projection *q);

/* The loss for features f[n, d] of lesson rows row[0..n), with its gradients in gf[n, d] and q->gp
 * where gf is not NULL. */
enum tsr_status tsr_projection_loss(struct tsr_projection *q, float weight, const uint32_t *row, int64_t n,
                                    const float *f, float *gf, struct tsr_pool *pool, double *loss,
                                    struct tsr_error *err) TSR_MUST_USE;

#endif
