/* patches.h - what the outputs of a layer are sums of: rows of its input that its weights are multiplied with. */
#ifndef TSR_QUANT_PATCHES_H
#define TSR_QUANT_PATCHES_H

#include "graph/graph.h"

/* A layer Conv, Gemm or MatMul with weights, seen as `groups` products [rows, k] x [k, n]. Weight (group g,
 * output j, place p) is element g * step_g + j * step_n + p * step_k of the file's tensor. */
struct tsr_patches {
    const struct tsr_node *node;
    int64_t groups, n, k;      /* n, k: of a group */
    int64_t step_g, step_n, step_k;
    /* convolutions */
    bool conv;
    int rank;                  /* spatial dimensions */
    int64_t kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
    char auto_pad;             /* N(one) U(pper) L(ower) */
};

/* TSR_E_UNSUPPORTED: a form that this does not know; nothing is to be released. */
enum tsr_status tsr_patches_init(struct tsr_patches *p, const struct tsr_graph *g, const struct tsr_node *node,
                                 struct tsr_error *err) TSR_MUST_USE;

/* Rows for group `group` from the layer's float32 input x: at most `most` of them, spread evenly, into
 * to[rows, k]; padding is 0. Returns how many. */
int64_t tsr_patches_rows(const struct tsr_patches *p, const struct tsr_tensor *x, int64_t group, int64_t most, float *to);

#endif
