/* filter.h - depthwise convolutions over channels-last images: weighted sums over taps, single precision.
 * The bits of an element depend on its taps alone, and all kernels with FMA give the same. Thread-safe;
 * nothing is allocated. */
#ifndef TSR_TENSOR_FILTER_H
#define TSR_TENSOR_FILTER_H

#include "tensor/panels.h"

/* Channels, rounded up to whole vectors of the kernels in use: the row stride of the weights. */
int64_t tsr_filter_room(int64_t channels);

/* y[to[i] + c] = end(sum over t of w[t][c] * x[row[i] + at[t] + c]) for c < channels, i < n; w has rows of
 * tsr_filter_room(channels). */
struct tsr_filter {
    const float *x, *w;
    const int64_t *at, *row, *to;
    int64_t taps, channels;
    float *y;
};
void tsr_filter_run(const struct tsr_filter *f, int64_t n, const struct tsr_panel_end *end);

#endif
