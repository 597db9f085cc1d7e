/* packed.h - products with a matrix that is the same in every run: weights. They are packed once
 * (tensor/panels.h), where the session has room to keep them; else in every run. Private to ops/. */
#ifndef TSR_OPS_PACKED_H
#define TSR_OPS_PACKED_H

#include "ops/op.h"
#include "tensor/panels.h"

/* C[m,n] = end(A[m,k] op(B)[k,n]), row-major and contiguous; B is the node's input `input`, [n,k] where tb. */
struct tsr_packed {
    int input;
    bool tb;
    int64_t m, n, k;
    const float *a, *b;
    float *c;
    struct tsr_panel_end end;
};

/* Whether it is to be done this way: by the sizes, and by what the session says of the input. */
bool tsr_packed_suits(const struct tsr_op_ctx *ctx, const struct tsr_packed *p);
/* Uses the node's state. TSR_E_NOMEM. */
enum tsr_status tsr_packed_run(struct tsr_op_ctx *ctx, const struct tsr_packed *p) TSR_MUST_USE;

#endif
