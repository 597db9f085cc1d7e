/* equalise.h - evens out the ranges of channels between layers (cross-layer equalisation; Nagel et al., 2019). */
#ifndef TSR_QUANT_EQUALISE_H
#define TSR_QUANT_EQUALISE_H

#include "graph/graph.h"

/* Between two convolutions or linear layers with nothing but Relu, LeakyRelu, MaxPool or average pools between
 * them, output channel i of the first is divided by s_i and what the second multiplies it with is multiplied:
 * s_i = sqrt(r1_i / r2_i) of the largest magnitudes on both sides, so that they become equal. The graph
 * computes the same. Weights and biases become copies of its own. *pairs: how many there were. */
enum tsr_status tsr_quant_equalise(struct tsr_graph *g, int *pairs, struct tsr_error *err) TSR_MUST_USE;

#endif
