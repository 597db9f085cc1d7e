/* control.h - operators that run graphs: If, Loop, Scan. They live above ops/, since they need sessions.
 * Private to graph/. */
#ifndef TSR_GRAPH_CONTROL_H
#define TSR_GRAPH_CONTROL_H

#include "ops/op.h"

/* The operator of the standard domain, or NULL. */
const struct tsr_op *tsr_control_find(const char *op_type);

#endif
