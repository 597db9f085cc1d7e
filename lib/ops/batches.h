/* batches.h - a matrix product of tensors as a batch of products of matrices. Private to ops/. */
#ifndef TSR_OPS_BATCHES_H
#define TSR_OPS_BATCHES_H

#include "ops/op.h"

/* Products [m, k] x [k, n] (a vector operand counts as a matrix), and where in A and B each product
 * of the batch lies. */
struct tsr_batches {
    int64_t m, n, k;
    int rank; /* batch dimensions */
    int64_t dim[TSR_MAX_RANK];
    int64_t step_a[TSR_MAX_RANK], step_b[TSR_MAX_RANK]; /* in matrices; 0 where broadcast */
    int64_t count, count_a, count_b; /* products; matrices in A and in B */
};

/* For the operands in inputs ia and ib, numpy's rules; *out is the shape of the product.
 * TSR_E_MISMATCH where they do not fit. */
enum tsr_status tsr_batches_init(struct tsr_op_ctx *ctx, int ia, int ib, struct tsr_batches *s,
                                 struct tsr_shape *out) TSR_MUST_USE;
/* Index of the matrix in A (step_a) or B (step_b) that product `at` of the batch uses. */
int64_t tsr_batches_place(const struct tsr_batches *s, const int64_t *step, int64_t at);
/* True where product x uses matrix x (stride 1) or always the same one (stride 0). */
bool tsr_batches_regular(const struct tsr_batches *s, const int64_t *step, int64_t *stride);

#endif
