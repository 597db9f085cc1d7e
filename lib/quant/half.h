/* half.h - models in 16-bit floating point. */
#ifndef TSR_QUANT_HALF_H
#define TSR_QUANT_HALF_H

#include "graph/graph.h"

/* F16: weights and everything computed between the inputs and the outputs, which stay float32, are
 * half precision, but for what computes the scales of a Resize. BF16: weights are stored as bfloat16 and cast to float32
 * where they are read. Bodies of If, Loop and Scan follow. Constants of 1e9 and more become the largest number of the
 * type. g is prepared. Release with tsr_graph_free.
 * TSR_E_NUMERIC: a smaller weight is beyond the largest number of the type; it is named. */
enum tsr_status tsr_quant_half(const struct tsr_graph *g, enum tsr_dtype type, struct tsr_graph **out,
                               struct tsr_error *err) TSR_MUST_USE;

#endif
