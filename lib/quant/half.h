/* half.h - models in 16-bit floating point. */
#ifndef TSR_QUANT_HALF_H
#define TSR_QUANT_HALF_H

#include "graph/graph.h"

/* F16: weights and everything computed between the inputs and the outputs, which stay float32, are
 * half precision. BF16: weights are stored as bfloat16 and cast to float32 where they are read. g is
 * prepared. Release with tsr_graph_free.
 * TSR_E_NUMERIC: a weight is beyond the largest number of the type, or no number; it is named. */
enum tsr_status tsr_quant_half(const struct tsr_graph *g, enum tsr_dtype type, struct tsr_graph **out,
                               struct tsr_error *err) TSR_MUST_USE;

#endif
