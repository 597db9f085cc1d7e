/* conv_last.h - convolutions over channels-last tensors: what their files share. Private to ops/.
 *
 * tessera.Conv, which graph/fuse.c puts in place of Conv and of what follows it:
 *
 *     Y[n, out..., m] = activation(sum over taps and channels of X[n, in..., c] W[m, c, taps...] + B[m] + R)
 *
 * with one or two spatial dimensions, W as in Conv, an optional bias B and an optional residual R of
 * the shape of the sums. Attributes as Conv, and
 *     first       1: X is [n, c, in...], channels first
 *     activation  Relu, Clip (from `low` to `high`), HardSwish or Gelu
 *     margin      as `pads`: zeros around Y, so that the next convolution has its padding in place
 *
 *     conv_last.c         attributes, shapes, packed weights, gradients
 *     conv_last_plain.h   reference kernels over float or double, forward and backward
 *     conv_last_fast.c    fast float32: products with packed weights, or filters where groups have one channel */
#ifndef TSR_OPS_CONV_LAST_H
#define TSR_OPS_CONV_LAST_H

#include "ops/window.h"
#include "tensor/panels.h"

struct tsr_conv_last {
    struct tsr_window w;       /* of X: w.in and w.out lead with 1 where there is one dimension */
    int64_t groups, m, mg, cg; /* output channels; per group: output and input channels */
    bool first;                /* X is channels first */
    int64_t margin[2][2];      /* zeros around Y: of height and of width, in front and behind */
    enum tsr_end act;
    float low, high;
    const void *x, *weight, *bias, *add; /* add: laid out as Y, or NULL */
    void *y;
};

/* Elements of the packed weights, and the packing, for the kernels now in use. `work` has room for
 * m * cg * taps elements. */
int64_t tsr_conv_last_pack_size(const struct tsr_conv_last *v);
void tsr_conv_last_pack(const struct tsr_conv_last *v, float *to, float *work);
/* Y with weights packed for the kernels in use; X and Y are not empty. TSR_E_NOMEM. */
enum tsr_status tsr_conv_last_fast(struct tsr_op_ctx *ctx, const struct tsr_conv_last *v, const float *packed) TSR_MUST_USE;

/* Elements from one row and one image of Y to the next, and of Y in front of its first sum. */
static inline int64_t tsr_conv_last_row(const struct tsr_conv_last *v)
{
    return (v->margin[1][0] + v->w.out[2] + v->margin[1][1]) * v->m;
}
static inline int64_t tsr_conv_last_image(const struct tsr_conv_last *v)
{
    return (v->margin[0][0] + v->w.out[1] + v->margin[0][1]) * tsr_conv_last_row(v);
}
static inline int64_t tsr_conv_last_start(const struct tsr_conv_last *v)
{
    return v->margin[0][0] * tsr_conv_last_row(v) + v->margin[1][0] * v->m;
}

/* Groups of one channel each, one output each. */
static inline bool tsr_conv_last_is_filter(const struct tsr_conv_last *v) { return v->groups > 1 && v->cg == 1 && v->mg == 1; }

#endif
