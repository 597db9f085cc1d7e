/* retain.h - what a trained receiver knew stays: its own first answers join the teacher's.
 *
 * Which of the two is to be believed is told without labels by how consistent each is: a network
 * that knows a task gives a sample and its shifted, noisy views the same class. With c the share
 * of such views that keep the class of their sample and o = c / (1 - c) its odds, the target is
 *
 *     p = (o_tx^2 p_tx + w o_rx^2 p_rx) / (o_tx^2 + w o_rx^2).
 *
 * A mixture of targets has the same gradient as a weighted sum of two divergences. */
#ifndef TSR_TRANSFER_RETAIN_H
#define TSR_TRANSFER_RETAIN_H

#include "transfer/lesson.h"

struct tsr_retain_report {
    double tx, rx;    /* consistencies; NaN without views of single samples: both count alike */
    double own_share; /* weight of the receiver's own answers in the targets */
};

/* target[l->n, classes]: the teacher's answers in lesson order, replaced by the mixture with
 * own[l->n, classes]. w > 0. */
enum tsr_status tsr_retain(const struct tsr_lesson *l, float *target, const float *own, int64_t classes, double w,
                           struct tsr_retain_report *report, struct tsr_error *err) TSR_MUST_USE;

#endif
