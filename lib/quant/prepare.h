/* prepare.h - a model as the quantiser likes it: same values, fewer and plainer nodes. */
#ifndef TSR_QUANT_PREPARE_H
#define TSR_QUANT_PREPARE_H

#include "graph/graph.h"

/* A copy of g in opset `opset` or later, in which initialisers are constants, also those that g lists among its
 * inputs, what does not depend on the inputs is an initialiser (Constant nodes, transposed weights), BatchNormalization has gone into the convolution before it, and
 * Identity and Dropout are gone. It computes the same; it shares the elements of weights that did not
 * change. TSR_E_UNSUPPORTED: see tsr_graph_upgrade, or the model is quantised already. */
enum tsr_status tsr_quant_prepare(const struct tsr_graph *g, int64_t opset, struct tsr_graph **out,
                                  struct tsr_error *err) TSR_MUST_USE;

#endif
