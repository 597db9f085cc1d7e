/* opset.h - which version of its operator a node means. Files declare one version of each operator
 * set, and some are wrong about it: they use operators or forms of them that are newer than what they
 * declare, or older. Private to graph/. */
#ifndef TSR_GRAPH_OPSET_H
#define TSR_GRAPH_OPSET_H

#include "graph/graph.h"

/* The newest version of the standard operator set that we have read. */
#define TSR_OPSET_NEWEST 28
/* What a file without any is read as: forms that changed tell themselves (see opset.c). */
#define TSR_OPSET_ASSUMED 17

/* Sets node->opset of every node, where it is 0: the version that the graph declares for its domain,
 * or the one that the node's form belongs to, with a warning. */
enum tsr_status tsr_opset_settle(struct tsr_graph *g, struct tsr_error *err) TSR_MUST_USE;

#endif
