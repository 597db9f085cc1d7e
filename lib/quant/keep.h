/* keep.h - a few samples of a stream of them, each with the same chance to stay (reservoir sampling;
 * Vitter, 1985), in bounded memory. */
#ifndef TSR_QUANT_KEEP_H
#define TSR_QUANT_KEEP_H

#include "base/rng.h"
#include "quant/measure.h"

#define TSR_QUANT_KEEP_ROWS 512
#define TSR_QUANT_KEEP_BYTES ((size_t)32 << 20)

struct tsr_quant_keep {
    struct tsr_quant_samples samples; /* what there is; in the order in which the places were filled */
    int64_t room;                     /* samples that fit; 0: not known yet */
    int64_t seen;
    struct tsr_rng rng;
};

void tsr_quant_keep_init(struct tsr_quant_keep *k, uint64_t seed);
void tsr_quant_keep_release(struct tsr_quant_keep *k);
/* x[i] is [m, ...] for input i; every call has the same inputs and shapes but for m. */
enum tsr_status tsr_quant_keep_add(struct tsr_quant_keep *k, const struct tsr_tensor *x, size_t n_inputs,
                                   struct tsr_error *err) TSR_MUST_USE;

#endif
