/* refine.h - what may make a quantised model better is tried on the samples kept, and stays where it does. */
#ifndef TSR_QUANT_REFINE_H
#define TSR_QUANT_REFINE_H

#include "quant/measure.h"
#include "quant/quantise.h"

/* Where trials are judged: the last quarter of the samples kept (all of them where they are few), the first
 * three quarters being learnt from. */
struct tsr_quant_judge {
    const struct tsr_quant_samples *samples;
    int64_t learn, first, n;        /* samples [0, learn) and [first, first + n) */
    struct tsr_quant_outputs wanted; /* of the float model on the latter */
    struct tsr_pool *pool;
};
enum tsr_status tsr_quant_judge_init(struct tsr_quant_judge *j, const struct tsr_graph *model, const struct tsr_quant_samples *samples,
                                     struct tsr_pool *pool, struct tsr_error *err) TSR_MUST_USE;
void tsr_quant_judge_release(struct tsr_quant_judge *j);
/* The divergence of a graph's outputs from the float model's; NaN without samples. */
enum tsr_status tsr_quant_judged(const struct tsr_quant_judge *j, const struct tsr_graph *g, double *kl, struct tsr_error *err) TSR_MUST_USE;
/* The plan as a model (released by the caller where `made` is not NULL), and its divergence. */
enum tsr_status tsr_quant_try(const struct tsr_quant_judge *j, struct tsr_quant_plan *plan, struct tsr_graph **made, double *kl,
                              struct tsr_error *err) TSR_MUST_USE;

/* The plan over another graph, another plan's bits and exclusions taken over: steps from samples [0, learn). */
enum tsr_status tsr_quant_replan(const struct tsr_quant_judge *j, const struct tsr_quant_plan *like, const struct tsr_graph *g,
                                 const struct tsr_quantise_options *o, struct tsr_quant_plan *plan, struct tsr_error *err) TSR_MUST_USE;

#endif
