/* qround.h - floats to the 8-bit integers of one scale. */
#ifndef TSR_TENSOR_QROUND_H
#define TSR_TENSOR_QROUND_H

#include "base/status.h"

/* y[i] = round_half_even(x[i] / scale) + zero within [lo, hi], as a byte; NaN gives lo. scale > 0. The same
 * bytes on every machine. y must not overlap x. Thread-safe. */
void tsr_qround(int64_t n, const float *x, float scale, int32_t zero, int32_t lo, int32_t hi, uint8_t *y);

#endif
