/* vectors.h - two sets of vectors, one of the reference and one of the candidate for each sample:
 * a layer's activations, or outputs as vectors. What is measured unit by unit (SQNR, cosine, MSE,
 * Gaussians) means something where the candidate has the reference's units in the reference's
 * order, as its quantised twin has; alignment (alignment.h) is about any two networks. */
#ifndef TSR_DRIFT_VECTORS_H
#define TSR_DRIFT_VECTORS_H

#include "drift/alignment.h"
#include "drift/gaussian.h"
#include "drift/sketch.h"

struct tsr_vectors {
    size_t cols[2];     /* of the reference and the candidate */
    uint64_t rows;
    bool paired;        /* column i means the same on both sides: of the same width, at least */
    bool closed;        /* a row's elements sum to a constant */
    bool exact;         /* every element of every row was the same */
    struct tsr_sketch sketch;
    struct tsr_moments moments[2]; /* where paired */
    bool finished;
    struct tsr_alignment alignment; /* rows 0: not measured */
    struct tsr_gaussian gaussian;
};

/* What one pair of rows adds. */
struct tsr_vectors_row {
    double signal, noise, cosine; /* sum of x^2, sum of (x - y)^2, cosine of the angle: 1 for two
                                     zero vectors, 0 where one is zero; NaN where not paired */
};

/* `paired` is taken back where the widths differ. */
enum tsr_status tsr_vectors_init(struct tsr_vectors *s, size_t ref_cols, size_t cols, bool paired,
                               struct tsr_error *err) TSR_MUST_USE;
void tsr_vectors_release(struct tsr_vectors *s);
/* `kept`: a row of a sample itself, which alignment may use; views are not. */
enum tsr_status tsr_vectors_add(struct tsr_vectors *s, const struct tsr_key *key, bool kept, const float *ref,
                              const float *x, struct tsr_vectors_row *row, struct tsr_error *err) TSR_MUST_USE;
/* Computes alignment and gaussian; nothing may be added afterwards. */
enum tsr_status tsr_vectors_finish(struct tsr_vectors *s, struct tsr_error *err) TSR_MUST_USE;

#endif
