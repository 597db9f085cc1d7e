/* anybatch.h - a model whose batch is fixed, made to take any while it is trained.
 *
 * Exporters write the batch they were shown, which is 1 as a rule, into the shapes of inputs and outputs and into
 * those that Reshape is given. */
#ifndef TSR_GRAPH_ANYBATCH_H
#define TSR_GRAPH_ANYBATCH_H

#include "graph/graph.h"

/* Where g has one input and its first dimension is fixed: makes the first dimension of the input and of every output
 * symbolic, and lets the constant shapes of Reshape follow it. *fixed: what it was, for tsr_anybatch_end; 0: g is
 * as it was. That samples do not meet each other then is tried out, on numbers of a fixed seed.
 * TSR_E_UNSUPPORTED: something else in the model holds to its batch; g is as it was, and *fixed 0. No session runs g. */
enum tsr_status tsr_anybatch_begin(struct tsr_graph *g, int64_t *fixed, struct tsr_error *err) TSR_MUST_USE;

/* Declares the batch again; also for a graph that was made from that one, with the same inputs and outputs. What
 * Reshape was given stays as it is, which is right for any batch. */
void tsr_anybatch_end(struct tsr_graph *g, int64_t fixed);

#endif
