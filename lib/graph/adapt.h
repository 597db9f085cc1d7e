/* adapt.h - samples as an input of a model wants them. */
#ifndef TSR_GRAPH_ADAPT_H
#define TSR_GRAPH_ADAPT_H

#include "graph/graph.h"

/* The samples x[n, ...] become what this input of a model wants: another shape of as many elements, where the
 * model says its own; another type, but no integers from floats. x is replaced, and stays as it was where they do not
 * fit (TSR_E_MISMATCH). */
enum tsr_status tsr_input_adapt(struct tsr_tensor *x, const struct tsr_value *input, struct tsr_error *err) TSR_MUST_USE;

#endif
