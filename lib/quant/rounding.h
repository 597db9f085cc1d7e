/* rounding.h - weights rounded so that the layer's outputs change least, not the weights themselves; and what
 * is left of the change in the mean goes into the bias. */
#ifndef TSR_QUANT_ROUNDING_H
#define TSR_QUANT_ROUNDING_H

#include "quant/measure.h"
#include "quant/plan.h"

/* The Gram matrix of what a layer's weights are multiplied with, on the grid where activations are. */
struct tsr_gram {
    int64_t groups, k, rows;
    float *h;            /* [groups, k, k]: sums of products */
    double *mean, *mean_float; /* [groups, k]: sums, on the grid and before it */
};

/* Learns what the plan's layers may use and stores it there:
 *   round  integers of 4-bit weights (layer.rounded, layer.scale), by cyclic coordinate descent on
 *          || X (W - W_q)' ||^2 from the nearest ones (QuantEase; Behdin et al., 2023), with X from the samples
 *   shift  the mean difference of each output channel (layer.bias_shift; bias correction, Nagel et al., 2019)
 * Samples [0, n) are run through the plan's graph once for every 96 MiB of Gram matrices. */
enum tsr_status tsr_quant_learn(struct tsr_quant_plan *plan, const struct tsr_quant_samples *samples, int64_t n, bool round,
                                bool shift, struct tsr_pool *pool, struct tsr_error *err) TSR_MUST_USE;
/* Forgets one or the other. */
void tsr_quant_forget(struct tsr_quant_plan *plan, bool round, bool shift);

/* The descent for one row: weights w[k] with scales s[k] (each its own), starting from q[k], limit +-most;
 * h[k, k] is symmetric with a positive diagonal. Exposed for tests. Returns the steps that were changed. */
int64_t tsr_round_row(int64_t k, const float *h, const float *w, const float *s, int most, int8_t *q, float *scratch);

#endif
