/* headfit.h - the last linear layer in closed form: ridge regression from the features to the
 * centred log-probabilities of the targets. */
#ifndef TSR_TRANSFER_HEADFIT_H
#define TSR_TRANSFER_HEADFIT_H

#include "graph/head.h"
#include "train/fit.h"

/* Fits the head on the problem's training rows, target[rows + held, classes] being their
 * probabilities, and keeps it where that lowers the held-out loss *held (which is updated);
 * otherwise the head is left as it was. */
enum tsr_status tsr_headfit(struct tsr_graph *g, const struct tsr_head *head, struct tsr_session *s,
                            const struct tsr_fit_problem *problem, const float *target, double *held, bool *kept,
                            struct tsr_error *err) TSR_MUST_USE;

#endif
