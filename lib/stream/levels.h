/* levels.h - the table of levels that softmax-coded outputs are quantised to. Thread-safe. */
#ifndef TSR_STREAM_LEVELS_H
#define TSR_STREAM_LEVELS_H

#include "base/status.h"

/* Log-probabilities more than this below the row's maximum are stored as this. */
#define TSR_LEVELS_FLOOR (-15.0f)

/* A table of n levels (16 or 256), non-decreasing, level[n-1] == 0 for the row's maximum. */
struct tsr_levels {
    int n;
    float level[256];
};

/* The 256-level table of a floor < 0: level[k] = floor (1 - k/255)^2 in double, rounded once; finer
 * near 0. The same bits on every machine. */
void tsr_levels_square(float floor, struct tsr_levels *out);

/* The 16-level table for rows x cols differences d <= 0 to each row's maximum (one element of
 * each row, the maximum, is 0 and takes the last level): the levels that minimise the
 * Kullback-Leibler divergence of the decoded softmax to second order (and a tenth of that at
 * temperature 2, so that the tail keeps some shape), subject to an entropy of
 * at most `bits` a value; an entropy-constrained scalar quantiser (Chou, Lookabaugh and Gray,
 * 1989) found exactly by dynamic programming over a histogram. limit[k] is the largest
 * difference that takes level k, k < 15. */
enum tsr_status tsr_levels_fit(const float *d, size_t rows, size_t cols, double bits, struct tsr_levels *out,
                               float limit[15], struct tsr_error *err) TSR_MUST_USE;

#endif
