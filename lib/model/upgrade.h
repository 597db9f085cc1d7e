/* upgrade.h - brings a graph to a later opset of ONNX. */
#ifndef TSR_MODEL_UPGRADE_H
#define TSR_MODEL_UPGRADE_H

#include "graph/graph.h"

/* Rewrites the nodes of the default domain so that they mean the same in opset `version` (13 to
 * 21), and declares it; those of bodies, too, which are copied first. Nothing happens where the graph has it or a
 * later one. The graph is finished before and after. On failure it may only be freed.
 * TSR_E_UNSUPPORTED: a node cannot be expressed so; it is named. */
enum tsr_status tsr_graph_upgrade(struct tsr_graph *g, int64_t version, struct tsr_error *err) TSR_MUST_USE;

#endif
