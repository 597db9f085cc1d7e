/* bcast.h - numpy broadcasting, and its adjoint: sums over the broadcast axes. Private to ops/. */
#ifndef TSR_OPS_BCAST_H
#define TSR_OPS_BCAST_H

#include "ops/arg.h"

#define TSR_BCAST_MAX 3

/* The iteration over an output and up to three inputs that broadcast to it, with neighbouring
 * dimensions merged where all of them allow it. Strides in elements; the innermost ones are 0 or 1. */
struct tsr_bcast {
    int rank, n_in; /* rank >= 1 */
    int64_t dim[TSR_MAX_RANK];
    int64_t stride[TSR_BCAST_MAX][TSR_MAX_RANK];
};

void tsr_bcast_init(struct tsr_bcast *b, const struct tsr_shape *out, int n_in, const struct tsr_shape *const *in);

/* One contiguous run of n outputs from element `o` on; input k begins at element at[k] and advances
 * by step[k] (0 or 1). */
typedef void tsr_bcast_fn(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step);
/* Calls fn for all runs, in any order and on several threads. */
void tsr_bcast_run(struct tsr_pool *pool, const struct tsr_bcast *b, tsr_bcast_fn *fn, void *arg);

/* dst = the sum of src over the dimensions i of `shape` with over[i]; float32 or float64; dst has the
 * remaining elements in order. Sums run in an order that depends on the shape alone, float32 ones in
 * double over short blocks. dst must not overlap src. TSR_E_NOMEM. */
enum tsr_status tsr_sum_axes(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, const struct tsr_shape *shape,
                             const bool *over, const void *src, void *dst) TSR_MUST_USE;
/* The same for the dimensions along which a tensor of shape `to` was broadcast to `shape`; a plain
 * copy where there are none (dst may be src then). */
enum tsr_status tsr_sum_to(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, const struct tsr_shape *shape, const void *src,
                           const struct tsr_shape *to, void *dst) TSR_MUST_USE;

#endif
