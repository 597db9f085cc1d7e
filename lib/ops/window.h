/* window.h - the sliding windows of convolutions and pooling: attributes, padding, sizes.
 * Private to ops/. Thread-safe. */
#ifndef TSR_OPS_WINDOW_H
#define TSR_OPS_WINDOW_H

#include "ops/op.h"

/* Up to three spatial dimensions; fewer are led by dimensions of size 1, so that kernels always
 * loop over depth, height and width. */
struct tsr_window {
    int rank;                 /* spatial dimensions that the tensors have: 1 to 3 */
    int64_t n, c;             /* batch and channels of X */
    int64_t in[3], out[3];
    int64_t kernel[3], stride[3], dilation[3];
    int64_t pad[3], pad_end[3];
    int64_t in_size, out_size, kernel_size; /* products */
};

/* Reads strides, dilations, pads, auto_pad, kernel_shape and ceil_mode of the node for an input
 * X[N,C,...]. `kernel` holds the spatial sizes of the weights, NULL where the attribute
 * kernel_shape is all there is. Sets everything. `pads` with TSR_E_CORRUPT where attributes do not
 * fit the rank or a size is not positive; TSR_E_UNSUPPORTED for more than three dimensions;
 * TSR_E_MISMATCH where the window is larger than the padded input. */
enum tsr_status tsr_window_init(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const int64_t *kernel,
                                struct tsr_window *w) TSR_MUST_USE;
/* The attributes alone (no output size, no automatic padding): for transposed convolutions, which
 * compute `out` themselves. *auto_pad is 'N' (explicit), 'V', 'U' (same, upper) or 'L'. */
enum tsr_status tsr_window_attributes(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const int64_t *kernel,
                                      struct tsr_window *w, char *auto_pad) TSR_MUST_USE;
/* The shape of a channels-last tensor [n, in..., c], of rank 2 or more, as [n, c, in...]. */
struct tsr_shape tsr_window_channels_first(const struct tsr_shape *x);
/* [n, channels, out...] */
struct tsr_shape tsr_window_shape(const struct tsr_window *w, int64_t channels);

/* The range [*lo, *hi) of output positions along dimension d for which kernel tap t reads inside
 * the input. */
static inline void tsr_window_valid(const struct tsr_window *w, int d, int64_t t, int64_t *lo, int64_t *hi)
{
    int64_t shift = t * w->dilation[d] - w->pad[d]; /* input = output * stride + shift */
    int64_t s = w->stride[d], first = shift >= 0 ? 0 : (-shift + s - 1) / s;
    int64_t room = w->in[d] - shift; /* output * stride < room */
    int64_t last = room <= 0 ? 0 : (room + s - 1) / s;
    if (last > w->out[d]) last = w->out[d];
    *lo = first < last ? first : last;
    *hi = last;
}

#endif
