/* arg.h - arguments of operators that were attributes in old opsets and became inputs, and
 * helpers over shapes that several families use. Private to ops/. Thread-safe. */
#ifndef TSR_OPS_ARG_H
#define TSR_OPS_ARG_H

#include "ops/op.h"

/* Input i, or NULL where the node does not list it or leaves it out. */
static inline const struct tsr_tensor *tsr_arg_in(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_in ? ctx->in[i] : NULL;
}

/* The integers of attribute `name` (may be NULL: no such attribute) or, where it is absent, of
 * input i (i < 0: no such input), which must be int64 or int32 of rank 0 or 1. *n = -1 where both
 * are absent. TSR_E_CORRUPT where there are more than max. */
enum tsr_status tsr_arg_ints(struct tsr_op_ctx *ctx, const char *name, int i, int64_t *v, int max,
                             int *n) TSR_MUST_USE;
/* The only element of input i as an integer; `otherwise` where the input is absent. */
enum tsr_status tsr_arg_int(struct tsr_op_ctx *ctx, int i, int64_t otherwise, int64_t *v) TSR_MUST_USE;
/* The axes of attribute `name` or input i over `rank` dimensions as flags; *n as above, TSR_E_CORRUPT
 * for an axis that is outside or named twice. */
enum tsr_status tsr_arg_axes(struct tsr_op_ctx *ctx, const char *name, int i, int rank, bool on[TSR_MAX_RANK],
                             int *n) TSR_MUST_USE;

/* Element strides of a C-order tensor. */
static inline void tsr_arg_strides(const struct tsr_shape *s, int64_t stride[TSR_MAX_RANK])
{
    int64_t k = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = k;
        k *= s->dim[i] > 0 ? s->dim[i] : 1;
    }
}
/* The product of dimensions [from, to). */
static inline int64_t tsr_arg_span(const struct tsr_shape *s, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++) n *= s->dim[i];
    return n;
}

/* infer() of operators whose output 0 has the type and shape of input 0, for the types in the mask. */
enum tsr_status tsr_arg_same(struct tsr_op_ctx *ctx, uint32_t dtypes) TSR_MUST_USE;
/* forward() and backward() of operators that only change the shape. */
enum tsr_status tsr_arg_copy_forward(struct tsr_op_ctx *ctx);
enum tsr_status tsr_arg_copy_backward(struct tsr_op_ctx *ctx);

#define TSR_MASK_INT                                                                               \
    (TSR_MASK(TSR_U8) | TSR_MASK(TSR_I8) | TSR_MASK(TSR_U16) | TSR_MASK(TSR_I16) | TSR_MASK(TSR_U32) |  \
     TSR_MASK(TSR_I32) | TSR_MASK(TSR_U64) | TSR_MASK(TSR_I64))
#define TSR_MASK_BYTES (TSR_MASK_INT | TSR_MASK_FLOAT | TSR_MASK(TSR_BOOL)) /* whole bytes each */
#define TSR_MASK_ANY (TSR_MASK_BYTES | TSR_MASK(TSR_U4) | TSR_MASK(TSR_I4))

#endif
