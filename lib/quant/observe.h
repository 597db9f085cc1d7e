/* observe.h - runs the model that is to be quantised and watches the tensors that will be. */
#ifndef TSR_QUANT_OBSERVE_H
#define TSR_QUANT_OBSERVE_H

#include "base/pool.h"
#include "quant/bins.h"
#include "quant/plan.h"

struct tsr_observer {
    const struct tsr_graph *g;   /* prepared; borrowed */
    int32_t *value;              /* the observed values */
    struct tsr_bins *seen;  /* one each */
    size_t n;
    struct tsr_session *session;
    struct tsr_pool *pool;
    int64_t batch;               /* samples run at once; 0: not known yet */
    int64_t rows;                /* samples seen */
};

/* Watches every point of the plan that has a distribution of its own. */
enum tsr_status tsr_observer_init(struct tsr_observer *o, const struct tsr_quant_plan *plan, struct tsr_pool *pool,
                                  struct tsr_error *err) TSR_MUST_USE;
void tsr_observer_release(struct tsr_observer *o);
/* It has seen all: keeps what it saw, and gives back the values of the last pass. */
void tsr_observer_close(struct tsr_observer *o);

/* x[k] is [m, ...] for the graph's input k. The model runs in batches that graph/batch.h chooses. */
enum tsr_status tsr_observer_block(struct tsr_observer *o, const struct tsr_tensor *x, size_t n_inputs,
                                   struct tsr_error *err) TSR_MUST_USE;

/* Sets the steps of all points of the plan that have none for their bits, from what was seen. TSR_E_MISMATCH: nothing was seen.
 * TSR_E_NUMERIC: a tensor held a NaN or an infinity; it is named. */
enum tsr_status tsr_observer_steps(const struct tsr_observer *o, struct tsr_quant_plan *plan, int calibrator,
                                   double percentile, struct tsr_error *err) TSR_MUST_USE;

#endif
