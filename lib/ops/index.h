/* index.h - places named by tensors of indices, for gather.c and scatter.c. Private to ops/. */
#ifndef TSR_OPS_INDEX_H
#define TSR_OPS_INDEX_H

#include "ops/arg.h"

#define TSR_MASK_INDEX (TSR_MASK(TSR_I64) | TSR_MASK(TSR_I32))

/* Element i of the int32 or int64 tensor t as a place along a dimension of `dim`; negative ones count
 * from the end. TSR_E_CORRUPT where it is outside. */
enum tsr_status tsr_index_read(struct tsr_op_ctx *ctx, const struct tsr_tensor *t, int64_t i, int64_t dim,
                               int64_t *out) TSR_MUST_USE;
/* Whether indices of shape k may be used with data of shape x as GatherElements does. */
enum tsr_status tsr_index_fits(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const struct tsr_shape *k,
                               int axis) TSR_MUST_USE;
/* Calls fn(arg, element of the data, element of the indices) in order; stops when it fails. */
enum tsr_status tsr_index_elements(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const struct tsr_tensor *k, int axis,
                                   enum tsr_status (*fn)(void *arg, int64_t data, int64_t i), void *arg) TSR_MUST_USE;
/* As GatherND: calls fn(arg, first element of the data, number of the slice, its elements). */
enum tsr_status tsr_index_nd(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const struct tsr_tensor *k, int batch,
                             enum tsr_status (*fn)(void *arg, int64_t data, int64_t slice, int64_t inner),
                             void *arg) TSR_MUST_USE;

#endif
