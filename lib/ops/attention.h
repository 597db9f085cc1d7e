/* attention.h - what the attention operators share. Private to ops/. */
#ifndef TSR_OPS_ATTENTION_H
#define TSR_OPS_ATTENTION_H

#include "ops/sdpa.h"

/* The gradient of a broadcast mask: a->dscore summed over what the mask's strides leave out. */
void tsr_attention_sum_mask(const struct tsr_sdpa *a, enum tsr_dtype dtype, struct tsr_tensor *gmask);

/* P is kept for backward up to this many elements; beyond that it is computed again. */
enum { TSR_ATTENTION_KEEP = 1 << 24 };

#endif
