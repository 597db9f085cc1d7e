/* slices.h - nodes that treat every sample by itself, run a few samples at a time. Private to graph/.
 *
 * Convolutions and the like give sample i of their output from sample i of their input. A row of such nodes
 * need not pass the whole batch from one to the next, through memory: some samples go through all of them,
 * while they are in the second-level cache, then the next samples ("loop tiling across layers", Alwani et al.
 * 2016, "Fused-layer CNN accelerators"). Slices are also what the threads share out among themselves. The
 * operators promise that an element's bits do not depend on the other samples, so neither the slices nor the
 * threads show in a result. */
#ifndef TSR_GRAPH_SLICES_H
#define TSR_GRAPH_SLICES_H

#include "graph/session_impl.h"

/* Tries it for the needed nodes from `node` on. *next: the first node that was not looked at or did not fit;
 * *done: those before it have run and their values are there, else they are to run one after the other. Only
 * in inference. TSR_E_NOMEM and what operators complain of. */
enum tsr_status tsr_session_run_slices(struct tsr_session *s, size_t node, size_t *next, bool *done, struct tsr_error *err) TSR_MUST_USE;
void tsr_slices_free(struct tsr_slices *sl);

#endif
