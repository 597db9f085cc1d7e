/* rank.h - how many dimensions the values of a graph have, as far as the graph alone tells. */
#ifndef TSR_GRAPH_RANK_H
#define TSR_GRAPH_RANK_H

#include "graph/graph.h"

/* rank[v] for each of the g->n_value values of a finished graph: what is declared or stored, or follows from
 * the operators on the way; -1 where neither tells. Bodies are not looked into. */
void tsr_graph_ranks(const struct tsr_graph *g, int *rank);

#endif
