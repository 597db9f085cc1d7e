/* rate.h - chooses a learning rate by the held-out loss after a short run. */
#ifndef TSR_TRAIN_RATE_H
#define TSR_TRAIN_RATE_H

#include "train/fit.h"

#define TSR_MAX_RATES 8

struct tsr_rate_choice {
    float list[TSR_MAX_RATES]; /* candidates, tried in this order; the list may grow */
    size_t n;
    int64_t steps;             /* of each trial */
    double loss[TSR_MAX_RATES]; /* out: held-out loss of each trial; infinity: diverged */
    float best;                /* out */
};

/* Trains a trial with each candidate from the same start, with `options` but its steps and
 * rate, and leaves the parameters (and the problem's extras) as they were. Where the last
 * candidate wins, a quarter of it is tried, too, and so on: give the list in falling order. With
 * one candidate, or without held-out rows, the first is taken untried. */
enum tsr_status tsr_fit_choose_rate(struct tsr_session *s, struct tsr_params *ps,
                                    const struct tsr_fit_problem *problem, const struct tsr_fit_options *options,
                                    struct tsr_rate_choice *choice, struct tsr_error *err) TSR_MUST_USE;

#endif
