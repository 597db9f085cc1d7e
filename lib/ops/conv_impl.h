/* conv_impl.h - the description of a convolution that its kernels share. Private to ops/conv*.
 *
 * A transposed convolution is the gradient of a convolution with respect to its input. It is
 * described by that convolution: `w` then leads from its output to its input. */
#ifndef TSR_OPS_CONV_IMPL_H
#define TSR_OPS_CONV_IMPL_H

#include "ops/conv_walk.h"

struct tsr_conv {
    struct tsr_window w;
    int64_t groups, m, mg, cg; /* output channels; per group: output and input channels */
    int64_t k;                 /* cg * kernel size: the summed dimension */
    bool direct;               /* 1x1, stride 1: the input itself is the gathered matrix */
    bool shared;               /* depthwise only: one kernel W[kernel] for all channels */
    bool f32;
    /* X[n, w.c, w.in], W[m, cg, kernel], Y[n, m, w.out]; gradients alike. */
    const void *x, *weight, *bias, *dy;
    void *y, *dx, *dw, *db;
};

/* Completes a description of which w, groups and f32 are set, for the weights W[m, cg, ...].
 * TSR_E_LIMIT where the products do not fit. */
enum tsr_status tsr_conv_describe(struct tsr_op_ctx *ctx, struct tsr_conv *v, int64_t m) TSR_MUST_USE;

/* Y from X and W (and the bias, which may be NULL); dX from dY and W; dW from dY and X, and where db is not NULL
 * db[m], the sums of dY. The batch, the channels and the output are not empty. TSR_E_NOMEM. */
enum tsr_status tsr_conv_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;
enum tsr_status tsr_conv_input_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;
enum tsr_status tsr_conv_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;

/* The same for groups of one input channel each. (No gradient of shared weights.) */
enum tsr_status tsr_depthwise_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;
enum tsr_status tsr_depthwise_input_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;
enum tsr_status tsr_depthwise_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;

/* Three taps along one dimension, many channels: forward and dW (not db) with half the multiplications, where it
 * fits. TSR_E_NOMEM. */
bool tsr_winograd_fits(const struct tsr_conv *v);
enum tsr_status tsr_winograd_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;
enum tsr_status tsr_winograd_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *v) TSR_MUST_USE;

/* db[c] = the sum of dy[images, channels, size] over images and size. */
void tsr_conv_bias_gradient(struct tsr_op_ctx *ctx, const struct tsr_tensor *dy, struct tsr_tensor *db);

#endif
