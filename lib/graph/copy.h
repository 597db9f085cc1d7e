/* copy.h - copies of graphs and of parts of them. */
#ifndef TSR_GRAPH_COPY_H
#define TSR_GRAPH_COPY_H

#include "graph/graph.h"

/* A graph of its own with the same values (and their ids) and nodes; the elements of initialisers and
 * of attributes are shared. g is finished; so is the copy. Release with tsr_graph_free, before or after g. */
enum tsr_status tsr_graph_copy(const struct tsr_graph *g, struct tsr_graph **out, struct tsr_error *err) TSR_MUST_USE;

/* Gives the node added last to `to`, which has no attributes yet, those of `from`. */
enum tsr_status tsr_graph_copy_attrs(struct tsr_graph *to, const struct tsr_node *from,
                                     struct tsr_error *err) TSR_MUST_USE;

#endif
