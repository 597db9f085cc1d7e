/* alignment.h - how alike the geometry of two sets of representations is, whatever their bases and
 * widths: invariant under rotations, permutations and common scaling of the units. Thread-safe. */
#ifndef TSR_DRIFT_ALIGNMENT_H
#define TSR_DRIFT_ALIGNMENT_H

#include "base/status.h"

#define TSR_ALIGNMENT_MIN 20            /* rows */
#define TSR_ALIGNMENT_NEIGHBOURS 10     /* k of the mutual k nearest neighbours */
#define TSR_ALIGNMENT_PERMUTATIONS 999
#define TSR_ALIGNMENT_PERMUTED_ROWS 256 /* at most, in the permutation test */

struct tsr_alignment {
    int64_t rows;
    /* Linear centred kernel alignment (Kornblith and others, 2019) from the unbiased estimator of
     * HSIC (Song and others, 2012), which does not rise with width over rows as the plain one does;
     * NaN where one of the sides is constant. Its standard error is the jackknife's. */
    double cka, cka_error;
    /* Share of the permutations of the candidate's rows that align as well or better, the identity
     * counted along: the p-value of "the two have nothing to do with each other". */
    double p;
    /* Mutual k nearest neighbours (Huh and others, 2024): the share of a row's k nearest in one
     * space that are among its k nearest in the other; mean over rows, and its standard error. */
    double neighbours, neighbours_error;
};

/* Rows x[slot[i]] of nx columns and y[slot[i]] of ny columns, i < n, n >= TSR_ALIGNMENT_MIN. */
enum tsr_status tsr_alignment(const float *x, size_t nx, const float *y, size_t ny, const size_t *slot, size_t n,
                              struct tsr_alignment *out, struct tsr_error *err) TSR_MUST_USE;

#endif
