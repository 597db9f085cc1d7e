/* fuse.h - rewrites a network for speed before it runs.
 *
 * The result is a graph of its own that shares the elements of the parameters with the original:
 * training that adjusts them in place adjusts both. Values keep their ids, so callers go on using
 * the ids they have; values that a fused operator swallowed are given by nobody any more. What
 * changes is rounding: outputs and gradients agree to about 1e-6 of their magnitude.
 *
 *   both      LayerNormalization and Gelu spelt out; attention (scores, scale, mask, Softmax, with
 *             the transposes around it); MatMul + Add and Gemm with a following Relu;
 *             BatchNormalization with a following Relu or Gelu
 *             what follows from constants alone is computed, up to 64 MiB of it
 *   inference BatchNormalization after Conv goes into the weights; what stands between DequantizeLinear and
 *             QuantizeLinear becomes operators on integers, which keep their channels last among themselves
 *
 * A chain is only fused where none of its inner values is to be kept. */
#ifndef TSR_GRAPH_FUSE_H
#define TSR_GRAPH_FUSE_H

#include "graph/graph.h"

enum {
    TSR_FUSE_TRAINING = 1, /* gradients will be asked for, parameters may change */
    TSR_FUSE_EXPORT = 2    /* the result is to be written as ONNX: only constants and BatchNormalization after Conv */
};

/* g is finished. keep: ids that the caller will ask for (values or gradients) beside the graph's
 * outputs. *out is released with tsr_graph_free; g may be freed before or after it. */
enum tsr_status tsr_graph_fuse(const struct tsr_graph *g, const int32_t *keep, size_t n_keep, unsigned flags,
                               struct tsr_graph **out, struct tsr_error *err) TSR_MUST_USE;

#endif
