/* reach.h - what a loss can change of a network. Thread-safe on a graph that nobody changes. */
#ifndef TSR_TRAIN_REACH_H
#define TSR_TRAIN_REACH_H

#include "graph/graph.h"

struct tsr_reach {
    int64_t trained; /* elements of parameters that a gradient comes to */
    bool narrow;     /* some weights are stored in 16 bits or fewer, and stay as they are */
};

/* Follows gradients from the n values back: through operators that have one, hence not through
 * QuantizeLinear or integer products. TSR_E_UNSUPPORTED where they come to no parameter and the weights are
 * narrow; TSR_E_NOMEM. */
enum tsr_status tsr_train_reach(const struct tsr_graph *g, const int32_t *value, size_t n, struct tsr_reach *out,
                                struct tsr_error *err) TSR_MUST_USE;

#endif
