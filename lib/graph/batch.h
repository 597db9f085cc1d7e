/* batch.h - how many samples a model is given at once.
 *
 * Answers do not depend on how samples are grouped, memory does: the values of a forward pass grow
 * with the batch. The choice follows from the model and its input alone, never from the machine,
 * the threads or what else runs. */
#ifndef TSR_GRAPH_BATCH_H
#define TSR_GRAPH_BATCH_H

#include "graph/session.h"

#define TSR_BATCH_ROWS 256                 /* more samples at once gain nothing */
#define TSR_BATCH_BYTES ((size_t)64 << 20) /* what the values of a pass may take, unless one sample takes more */
/* Memory that was never touched costs a fault a page, and values that fit a cache are read from it: more than a few
 * samples are taken together only as far as this. */
#define TSR_BATCH_NEAR_BYTES ((size_t)4 << 20)
#define TSR_BATCH_FEW 16

/* The batch that the model's first input declares; 0: any. 1 where an input is a single number, of which samples may have
 * different ones. */
int64_t tsr_batch_fixed(const struct tsr_graph *g);

/* *rows: samples that a batch may have, at least 1. Runs the first sample of x[0 .. n_inputs) alone for
 * that; the wanted values of that run are readable afterwards. x[i] has at least one sample. */
enum tsr_status tsr_batch_choose(struct tsr_session *s, const struct tsr_graph *g, const struct tsr_tensor *x,
                                 size_t n_inputs, const int32_t *want, size_t n_want, int64_t *rows,
                                 struct tsr_error *err) TSR_MUST_USE;

/* Gives graph input `id` the samples [at, at + m) of x. Where the model's batch is fixed and larger, the
 * last sample fills it up. */
enum tsr_status tsr_batch_input(struct tsr_session *s, const struct tsr_graph *g, int32_t id,
                                const struct tsr_tensor *x, int64_t at, int64_t m, struct tsr_error *err) TSR_MUST_USE;

/* The value after a run on m samples, without what tsr_batch_input filled up; borrowed. TSR_E_MISMATCH where
 * that is not at its end. */
enum tsr_status tsr_batch_value(const struct tsr_session *s, const struct tsr_graph *g, int32_t id, int64_t m,
                                struct tsr_tensor *out, struct tsr_error *err) TSR_MUST_USE;

#endif
