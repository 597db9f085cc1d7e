/* rounding.h - weights rounded so that the layer's outputs change least, not the weights themselves; and what
 * is left of the change in the mean goes into the bias. */
#ifndef TSR_QUANT_ROUNDING_H
#define TSR_QUANT_ROUNDING_H

#include "quant/measure.h"
#include "quant/plan.h"

/* The Gram matrix of what a layer's weights are multiplied with, on the grid where activations are. */
struct tsr_gram {
    int64_t groups, k, rows;
    float *h;            /* [groups, k, k]: sums of products; NULL: rounding is not learnt */
    float *l;            /* [groups, k, k]: their lower Cholesky factors; NULL: not made */
    double *mean, *mean_float; /* [groups, k]: sums, on the grid and before it */
};

/* Learns what the plan's layers may use and stores it there:
 *   round  integers of 4-bit weights (layer.rounded, layer.scale) with small || X (W - W_q)' ||^2, X from the
 *          samples: cyclic coordinate descent (QuantEase; Behdin et al., 2023) from the nearest ones, and from
 *          those that successive rounding with error feedback finds (Babai, 1986; GPTQ, Frantar et al., 2022)
 *   shift  the mean difference of each output channel (layer.bias_shift; bias correction, Nagel et al., 2019)
 * Samples [0, n) are run through the plan's graph once for every 96 MiB of Gram matrices. */
enum tsr_status tsr_quant_learn(struct tsr_quant_plan *plan, const struct tsr_quant_samples *samples, int64_t n, bool round,
                                bool shift, struct tsr_pool *pool, struct tsr_error *err) TSR_MUST_USE;
/* Forgets one or the other. */
void tsr_quant_forget(struct tsr_quant_plan *plan, bool round, bool shift);

/* One row: weights w[k] with scales s[k] (each its own), starting from q[k], limit +-most; h[k, k] is symmetric
 * with a positive diagonal, l its lower Cholesky factor (NULL: only the descent from q); scratch: 5 k bytes,
 * aligned for floats. Weights that are zero, as after pruning, stay so. q is never worse than before but for the last
 * bits. Exposed for tests. */
void tsr_round_row(int64_t k, const float *h, const float *l, const float *w, const float *s, int most, int8_t *q, void *scratch);

#endif
