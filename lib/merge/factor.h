/* factor.h - a matrix as coefficients of a few common directions, by sums in a fixed order (no BLAS).
 * Thread-safe. */
#ifndef TSR_MERGE_FACTOR_H
#define TSR_MERGE_FACTOR_H

#include "base/status.h"

/* The first *rank <= most right singular vectors of h[rows, n], as the orthonormal columns of
 * basis[n, *rank] (room for n * most): subspace iteration (Halko, Martinsson, Tropp 2011) from a fixed
 * start. Directions that hold less than 1e-10 of the squared sum are left out. TSR_E_NOMEM; TSR_E_NUMERIC
 * where h is zero. */
enum tsr_status tsr_factor(const float *h, size_t rows, size_t n, size_t most, float *basis, size_t *rank,
                           struct tsr_error *err) TSR_MUST_USE;
/* c[rank] = basis' h for one row h[n]. */
void tsr_factor_row(const float *h, size_t n, const float *basis, size_t rank, float *c);

#endif
