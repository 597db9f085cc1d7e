/* qconv.h - convolutions of 8-bit images in one and two dimensions over packed weights. Private to ops/.
 *
 * The work is done channels-last, a band of output rows at a time: the input rows of the band are copied
 * with their padding (and turned, where X is channels-first), then every tap of every output is a run of
 * bytes that tensor/qgemm.h reads in place. */
#ifndef TSR_OPS_QCONV_H
#define TSR_OPS_QCONV_H

#include "ops/window.h"
#include "tensor/qgemm.h"

struct tsr_qconv {
    struct tsr_window w;
    int64_t groups, m, mg, cg; /* output channels; a group's output and input channels */
    bool x_last, y_last;       /* channels last in X, in Y */
    enum tsr_dtype type_x, out; /* out: U8, I8, or I32 for the sums */
    const void *x;
    void *y;
    int32_t zero_x, zero_y;
    int32_t lo, hi;            /* of 8-bit results */
};

/* Weights for one convolution and what is added to and multiplied with their sums. */
struct tsr_qconv_pack {
    bool depthwise, merged;    /* merged: the taps of a kernel row are one run */
    struct tsr_qpack *group;   /* one a group, or NULL */
    struct tsr_qdepth depth;
    int64_t groups;
    int32_t *base;             /* m */
    float *factor;             /* m, or NULL */
};

/* At most two spatial dimensions: what the others need is in qlinear_conv.c. */
bool tsr_qconv_fits(const struct tsr_qconv *v);
/* weight[m, cg, kernel] of type I8, or U8 with 128 for 0; bias (or NULL) and factor (or NULL) have m
 * elements. Release with tsr_qconv_pack_free. */
enum tsr_status tsr_qconv_pack_new(const struct tsr_qconv *v, const void *weight, bool is_unsigned, const int32_t *bias,
                                   const float *factor, struct tsr_qconv_pack **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_qconv_pack_free(void *pack);
enum tsr_status tsr_qconv_run(struct tsr_op_ctx *ctx, const struct tsr_qconv *v, const struct tsr_qconv_pack *pack) TSR_MUST_USE;

/* to[c * ts + r] = from[r * fs + c] for r < rows, c < columns: bytes. */
void tsr_q_transpose(int64_t rows, int64_t columns, const uint8_t *from, int64_t fs, uint8_t *to, int64_t ts);

#endif
