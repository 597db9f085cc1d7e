/* prune.h - sets the smallest weights to zero. */
#ifndef TSR_QUANT_PRUNE_H
#define TSR_QUANT_PRUNE_H

#include "graph/graph.h"

struct tsr_prune {
    double fraction; /* of each matrix and kernel, by magnitude; in (0, 1). Used where m is 0 */
    int64_t n, m;    /* n:m: of every m weights in a row along what is summed, n stay; a last row of fewer than m
                        keeps n of them */
};

/* Reads "0.5" or "2:4". TSR_E_USAGE. */
enum tsr_status tsr_prune_parse(const char *text, struct tsr_prune *p, struct tsr_error *err) TSR_MUST_USE;

/* Prunes the weights of Conv, Gemm, MatMul and the recurrent operators in place; the graph gets copies
 * of its own of what changes. Among equals the first stay. *zeros and *weights (either may be NULL):
 * how many are zero now, of how many. */
enum tsr_status tsr_prune(struct tsr_graph *g, const struct tsr_prune *p, int64_t *zeros, int64_t *weights,
                          struct tsr_error *err) TSR_MUST_USE;

#endif
