/* contract.h - sums of products of arrays whose axes carry labels, for einsum.c. Private to ops/. */
#ifndef TSR_OPS_CONTRACT_H
#define TSR_OPS_CONTRACT_H

#include "ops/copy.h"

#define TSR_LABELS 64

/* An array seen through its labels (below TSR_LABELS, each at most once). Strides in elements. */
struct tsr_term {
    int rank;
    uint8_t label[TSR_COPY_RANK];
    int64_t dim[TSR_COPY_RANK], stride[TSR_COPY_RANK];
    void *data;
};

/* The labels of a term as bits. */
uint64_t tsr_term_labels(const struct tsr_term *t);
/* Where it stands in the term, or -1. */
int tsr_term_find(const struct tsr_term *t, uint8_t label);

/* out = the product of the n >= 1 terms, summed over the labels that out does not have. Labels agree
 * in size wherever they occur; every label of out occurs in a term. Pairs are multiplied from left to
 * right, each as a batch of matrix products. float32, float64 and integers of whole bytes (which
 * wrap). TSR_E_NOMEM; TSR_E_UNSUPPORTED where a product has too many axes; TSR_E_LIMIT. */
enum tsr_status tsr_contract(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, int n, const struct tsr_term *in,
                             const struct tsr_term *out) TSR_MUST_USE;

#endif
