/* head.h - the last linear layer of a network. */
#ifndef TSR_GRAPH_HEAD_H
#define TSR_GRAPH_HEAD_H

#include "graph/graph.h"

struct tsr_head {
    int32_t features; /* its input, [n, d] */
    int32_t logits;   /* its output, [n, classes]: before a final softmax, where there is one */
    int32_t weight;   /* initialiser [d, classes], or [classes, d] where trans_b */
    int32_t bias;     /* initialiser [classes] or broadcast to it; -1: none */
    bool plain;       /* both are float32 and read as they are: not over DequantizeLinear or FakeQuantize */
    bool trans_b;
    bool softmax;     /* the model's output is softmax(logits) */
    int64_t d, classes;
};

/* Finds it by walking back from the first output over Softmax, LogSoftmax, Identity, Dropout and
 * casts to a Gemm, or to a MatMul with or without an added bias; quantised ones count.
 * TSR_E_NOT_FOUND where the model ends in something else. */
enum tsr_status tsr_graph_head(const struct tsr_graph *g, struct tsr_head *head, struct tsr_error *err) TSR_MUST_USE;

#endif
