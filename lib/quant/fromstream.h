/* fromstream.h - calibration with what a token stream carries. */
#ifndef TSR_QUANT_FROMSTREAM_H
#define TSR_QUANT_FROMSTREAM_H

#include "io/source.h"
#include "quant/quantise.h"

/* Gives the quantiser of model g the reference inputs (INPT records) of the stream, block by block, in
 * memory for one block. TSR_E_NOT_FOUND: the stream holds none; TSR_E_MISMATCH: not those of the model. */
enum tsr_status tsr_quantise_stream(struct tsr_quantiser *q, const struct tsr_graph *g, struct tsr_source *src,
                                    void (*progress)(void *arg, int64_t rows), void *arg, struct tsr_error *err) TSR_MUST_USE;

#endif
