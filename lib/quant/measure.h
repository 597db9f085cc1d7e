/* measure.h - how far the outputs of a rewritten model are from those of the model before. */
#ifndef TSR_QUANT_MEASURE_H
#define TSR_QUANT_MEASURE_H

#include "base/pool.h"
#include "graph/graph.h"

#define TSR_QUANT_INPUTS 16

/* Samples that were kept to run models on: x[i] is [rows, ...] for the graph's input i. */
struct tsr_quant_samples {
    int64_t rows;
    size_t n_inputs;
    struct tsr_tensor x[TSR_QUANT_INPUTS];
};

/* The first output as rows of `columns` numbers each: what stands before a last softmax counts as
 * logits, its output (see graph/head.h) as probabilities, of which z holds the logarithms then. Outputs whose last axis is
 * not that of classes (images, a softmax over another axis) are rows of one number each. */
struct tsr_quant_outputs {
    float *z; /* [rows, columns] */
    int64_t rows, columns;
};

/* Runs g on samples [first, first + n), in batches. Release with tsr_free(out->z). */
enum tsr_status tsr_quant_run(const struct tsr_graph *g, const struct tsr_quant_samples *s, int64_t first, int64_t n,
                              struct tsr_pool *pool, struct tsr_quant_outputs *out, struct tsr_error *err) TSR_MUST_USE;

/* The mean KL(softmax a || softmax b) over the rows; of outputs with one column the squared difference
 * over the variance of a, halved: what KL is for normal distributions. In double, in order. */
double tsr_quant_divergence(const struct tsr_quant_outputs *a, const struct tsr_quant_outputs *b);

/* Samples [first, first + n) of input k; borrowed. */
struct tsr_tensor tsr_quant_slice(const struct tsr_quant_samples *s, size_t k, int64_t first, int64_t n);

#endif
