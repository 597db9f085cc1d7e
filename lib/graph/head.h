/* head.h - the end of a network: its logits, and the last linear layer. */
#ifndef TSR_GRAPH_HEAD_H
#define TSR_GRAPH_HEAD_H

#include "graph/graph.h"

/* What the first output says of classes. */
struct tsr_logits {
    int32_t value;   /* what stands before a final softmax; the scores where there is none */
    int32_t scores;  /* the first output, or what a final ArgMax reads; -1 without outputs */
    int32_t softmax; /* what that Softmax or LogSoftmax gives; -1: the output is no softmax */
    bool log;        /* it is a LogSoftmax */
    int64_t axis;    /* over which it goes, as the node says it */
};

/* Walks back from the first output, over a final ArgMax, to a Softmax or LogSoftmax, over what passes rows on as they are:
 * Identity, Dropout, Cast, a grid, and Flatten, Reshape and Squeeze that leave the samples' axis alone. Any
 * layer may stand before the softmax. */
struct tsr_logits tsr_graph_logits(const struct tsr_graph *g);

struct tsr_head {
    int32_t features; /* its input, [n, d] */
    int32_t logits;   /* its output, [n, classes]: the logits, less what only passes them on */
    int32_t weight;   /* initialiser [d, classes], or [classes, d] where trans_b */
    int32_t bias;     /* initialiser [classes] or broadcast to it; -1: none */
    bool plain;       /* both are float32 and read as they are: not over DequantizeLinear, FakeQuantize or Cast */
    bool trans_b;
    int64_t d, classes;
};

/* Finds it by walking back from the logits over Identity, Dropout and casts to a Gemm, or to a MatMul
 * with or without an added bias; quantised ones count.
 * TSR_E_NOT_FOUND where they come from something else. */
enum tsr_status tsr_graph_head(const struct tsr_graph *g, struct tsr_head *head, struct tsr_error *err) TSR_MUST_USE;

#endif
