/* budget.h - mixed precision: as many layers as a drift budget allows stay on the grid that was asked for, the
 * most sensitive ones go to 8 bits, and to float where that is not enough. */
#ifndef TSR_QUANT_BUDGET_H
#define TSR_QUANT_BUDGET_H

#include "quant/observe.h"
#include "quant/refine.h"

/* Reads "kl<=0.01". TSR_E_USAGE. */
enum tsr_status tsr_quant_budget_parse(const char *text, struct tsr_quant_budget *b, struct tsr_error *err) TSR_MUST_USE;

/* Measures each layer's sensitivity: the divergence when it alone is on the grid, over the first `rows` of
 * the samples. */
enum tsr_status tsr_quant_sensitivity(const struct tsr_quant_judge *j, const struct tsr_observer *o, struct tsr_quant_plan *plan,
                                      const struct tsr_quantise_options *options, int64_t rows, struct tsr_error *err) TSR_MUST_USE;

/* Promotes as few layers of the plan as it takes, the most sensitive first. *kl: what is reached; above the
 * budget where even float weights of all do not meet it. */
enum tsr_status tsr_quant_fit_budget(const struct tsr_quant_judge *j, const struct tsr_observer *o, struct tsr_quant_plan *plan,
                                     const struct tsr_quantise_options *options, double *kl, struct tsr_error *err) TSR_MUST_USE;

#endif
