/* grid.h - the grids that weights and activations are brought to, and the step of each.
 *
 * y = (q - zero) * scale with integers q in [lo, hi]. Conventions: ONNX QuantizeLinear; weights are
 * symmetric (zero 0, +-127 or +-7), so that XNNPACK, TensorFlow Lite and ncnn take them too. */
#ifndef TSR_QUANT_GRID_H
#define TSR_QUANT_GRID_H

#include "tensor/tensor.h"

/* What the numbers of a model become. */
enum tsr_grid {
    TSR_GRID_F32,  /* nothing; for pruning alone */
    TSR_GRID_F16,  /* weights and activations in half precision */
    TSR_GRID_BF16, /* weights in bfloat16, computed in float32 */
    TSR_GRID_INT8, /* weights and activations of 8 bits */
    TSR_GRID_INT4, /* weights of 4 bits in blocks, float activations */
    TSR_GRID_W4A8, /* weights of 4 bits in blocks, activations of 8 */
    TSR_GRID_W4A4  /* weights of 4 bits in blocks, activations of 4 */
};

/* "int8" ...; NULL-terminated, in the order of the enumeration. */
extern const char *const tsr_grid_names[];
/* Bits of weights and of activations; 32: left as they are. */
int tsr_grid_weight_bits(enum tsr_grid grid);
int tsr_grid_activation_bits(enum tsr_grid grid);
/* f16 or bf16: floats, no integers. */
bool tsr_grid_is_half(enum tsr_grid grid);

/* How one tensor is quantised as a whole. */
struct tsr_step {
    int bits;      /* 4 or 8, signed */
    float scale;   /* > 0, finite and normal */
    int32_t zero;  /* in [-2^(bits-1), 2^(bits-1) - 1] */
};

/* The step that covers [lo, hi] (0 is put into it first). symmetric: zero 0 and the same reach both
 * ways, the lowest integer unused. A range that is empty or not finite gives scale 1, zero 0. */
struct tsr_step tsr_step_of(float lo, float hi, int bits, bool symmetric);
/* The interval that the step's integers cover. */
void tsr_step_range(const struct tsr_step *s, float *lo, float *hi);
/* y = the number of the grid next to x, as QuantizeLinear and DequantizeLinear give it. */
float tsr_step_round(const struct tsr_step *s, float x);

/* Weights as [outer, dim, inner] of which each slice of `dim` (per channel: block 0), or each run of
 * `block` along dim for every outer and inner (block-wise), has its own symmetric scale. */
struct tsr_weight_grid {
    int bits;              /* 4 or 8 */
    int axis;              /* channel axis, or the axis that blocks run along */
    int64_t block;         /* 0: per channel */
};

/* Shape of the scales: [dim] per channel, the weights' shape with ceil(dim/block) block-wise. */
struct tsr_shape tsr_weight_scale_shape(const struct tsr_shape *w, const struct tsr_weight_grid *grid);
/* Which scale element i of the weights has. */
int64_t tsr_weight_scale_index(const struct tsr_shape *w, const struct tsr_weight_grid *grid, int64_t i);

/* Scales for float32 weights w: scale[k] covers the largest magnitude of its slice; where `fit`, the
 * clipping that least squares of the rounding errors prefer (a grid search down to .6 of it). Slices
 * of zeros get 1. TSR_E_NUMERIC where a weight is not finite. */
enum tsr_status tsr_weight_scales(const struct tsr_tensor *w, const struct tsr_weight_grid *grid, bool fit, float *scale,
                                  struct tsr_error *err) TSR_MUST_USE;
/* q[i] = round_half_even(w[i] / scale) within +-(2^(bits-1) - 1). */
void tsr_weight_round(const struct tsr_tensor *w, const struct tsr_weight_grid *grid, const float *scale, int8_t *q);

#endif
