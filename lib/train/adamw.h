/* adamw.h - AdamW (Loshchilov and Hutter, 2019) with clipping of the global gradient norm. */
#ifndef TSR_TRAIN_ADAMW_H
#define TSR_TRAIN_ADAMW_H

#include "base/status.h"

struct tsr_adamw_slot {
    float *w;       /* n elements, adjusted in place */
    const float *g; /* gradient of this step; NULL: zero */
    const unsigned char *mask; /* NULL, or 0 where the element is pruned and stays 0 */
    int64_t n;
    bool decay;     /* weight decay applies */
    float *m, *v;   /* moments, owned by the optimiser */
};

struct tsr_adamw {
    float beta1, beta2, eps, weight_decay;
    float clip; /* largest global norm of the gradient; 0: no clipping */
    double correct1, correct2; /* beta1^t, beta2^t */
    struct tsr_adamw_slot *slot;
    size_t n_slot;
};

/* Defaults: beta .9 .999, eps 1e-8, weight decay .01, clip 1. Room for n slots, each to be set
 * by tsr_adamw_slot. */
enum tsr_status tsr_adamw_init(struct tsr_adamw *a, size_t n_slot, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_adamw_slot(struct tsr_adamw *a, size_t i, float *w, int64_t n, bool decay,
                               struct tsr_error *err) TSR_MUST_USE;
void tsr_adamw_release(struct tsr_adamw *a);
/* One step with the gradients in slot[].g at learning rate lr. Returns the gradient's norm
 * before clipping; where that is not finite, nothing is changed. */
double tsr_adamw_step(struct tsr_adamw *a, float lr);

#endif
