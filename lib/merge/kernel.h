/* kernel.h - the inner loops of merging. Floating-point sums have a written order (32 lanes, element i
 * in lane i mod 32, then lanes l and l + 16, then one after the other in double; what is left behind the last
 * 32 elements is added to 16 lanes), integers have none: the same bits on
 * every machine and for any order of the rows. Thread-safe. */
#ifndef TSR_MERGE_KERNEL_H
#define TSR_MERGE_KERNEL_H

#include "base/status.h"

/* What 1.0 is in integer sums: embedded rows are of length 1, and float32 has 24 bits. */
#define TSR_MERGE_ONE (INT64_C(1) << 24)

/* x[i] = low[i] + scale[i] * code[i * stride], product and sum in float32: an int8 row, up to its last bit as the
 * stream defines it (which rounds once, at five times the cost). */
void tsr_merge_decode(const uint8_t *code, size_t stride, const float *scale, const float *low, size_t m, float *x);
/* |x|^2 and <x, v> of m numbers; v NULL: x. */
void tsr_merge_measure(const float *x, const float *v, size_t m, double *norm2, double *dot);
/* s[i] += w trunc(x[i] inverse factor): x is brought to length 1 by `inverse` (rounded to float32) and
 * then scaled by `factor`, which is at most TSR_MERGE_ONE. Truncation keeps the sum's length below
 * w * factor. */
void tsr_merge_add(int64_t *s, const float *x, float inverse, float factor, int64_t w, size_t m);
/* The same for w = 1 into 32-bit sums, which hold TSR_MERGE_TILE_ROWS rows. */
#define TSR_MERGE_TILE_ROWS 127
void tsr_merge_add_tile(int32_t *s, const float *x, float inverse, float factor, size_t m);
/* to[i] += from[i]; from[i] = 0. */
void tsr_merge_flush_tile(int64_t *to, int32_t *from, size_t m);

#endif
