#include "ops/qparam.h"

#include "base/mem.h"
#include "ops/par.h"
#include "tensor/isa.h"
#include "tensor/qround.h"

#include <inttypes.h>
#include <string.h>

void tsr_q_range(enum tsr_dtype t, int32_t *lo, int32_t *hi)
{
    int bits = tsr_dtype_bits(t);
    bool sign = tsr_dtype_is_signed(t);
    *lo = sign ? -(1 << (bits - 1)) : 0;
    *hi = sign ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
}

/* ---- reading ---- */

static enum tsr_status misfit(struct tsr_op_ctx *ctx, const struct tsr_shape *shape, const struct tsr_shape *scale)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    return tsr_op_fail(ctx, TSR_E_MISMATCH, "scales of shape %s do not fit a tensor of shape %s",
                       tsr_shape_text(scale, a, sizeof a), tsr_shape_text(shape, b, sizeof b));
}

/* Where the parameters lie: everything but the parameters themselves. */
static enum tsr_status lay_out(struct tsr_op_ctx *ctx, const struct tsr_shape *shape, const struct tsr_tensor *scale,
                               int64_t axis, int64_t block, struct tsr_qparam *q)
{
    int at;
    q->n = tsr_tensor_count(scale);
    if (block == 0 && q->n == 1 && scale->shape.rank <= 1) {
        q->outer = q->dim = 1;
        q->inner = tsr_shape_count(shape);
        return TSR_OK;
    }
    if (shape->rank == 0) return misfit(ctx, shape, &scale->shape);
    TSR_TRY(tsr_op_axis(ctx, axis, shape->rank, &at));
    q->outer = tsr_arg_span(shape, 0, at);
    q->dim = shape->dim[at];
    q->inner = tsr_arg_span(shape, at + 1, shape->rank);
    q->block = block;
    if (block == 0) {
        if (scale->shape.rank != 1 || scale->shape.dim[0] != q->dim) return misfit(ctx, shape, &scale->shape);
        return TSR_OK;
    }
    struct tsr_shape want = *shape;
    want.dim[at] = (q->dim + block - 1) / block;
    return tsr_shape_equal(&want, &scale->shape) ? TSR_OK : misfit(ctx, shape, &scale->shape);
}

enum tsr_status tsr_qparam_init(struct tsr_op_ctx *ctx, const struct tsr_shape *shape, int is, int iz, int64_t axis,
                                int64_t block, struct tsr_qparam *q)
{
    memset(q, 0, sizeof *q);
    TSR_TRY(tsr_op_need(ctx, is, TSR_MASK_SCALE));
    const struct tsr_tensor *scale = ctx->in[is], *zero = tsr_arg_in(ctx, iz);
    if (block < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "block_size is %" PRId64, block);
    TSR_TRY(lay_out(ctx, shape, scale, axis, block, q));
    if (zero != NULL && tsr_tensor_count(zero) != q->n)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%" PRId64 " zero points for %" PRId64 " scales", tsr_tensor_count(zero), q->n);
    size_t bytes = (size_t)q->n * sizeof(float) * 2;
    q->scale = tsr_op_scratch(ctx, bytes);
    if (q->scale == NULL) return tsr_nomem(ctx->err, bytes);
    q->zero = (int32_t *)(void *)(q->scale + q->n);
    tsr_convert(TSR_F32, q->scale, scale->dtype, scale->data, q->n);
    if (zero != NULL) tsr_convert(TSR_I32, q->zero, zero->dtype, zero->data, q->n);
    else
        for (int64_t i = 0; i < q->n; i++) q->zero[i] = 0;
    return TSR_OK;
}

void tsr_qparam_release(struct tsr_op_ctx *ctx, struct tsr_qparam *q)
{
    tsr_op_scratch_free(ctx, q->scale, (size_t)q->n * sizeof(float) * 2);
    q->scale = NULL;
}

enum tsr_status tsr_qscalar_read(struct tsr_op_ctx *ctx, int is, int iz, struct tsr_qscalar *q)
{
    TSR_TRY(tsr_op_need(ctx, is, TSR_MASK_SCALE));
    const struct tsr_tensor *scale = ctx->in[is], *zero = tsr_arg_in(ctx, iz);
    if (tsr_tensor_count(scale) != 1 || (zero != NULL && tsr_tensor_count(zero) != 1))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the scale and zero point in inputs %d and %d must be single numbers", is, iz);
    q->scale = (float)tsr_load_f64(scale->dtype, scale->data, 0);
    q->zero = zero != NULL ? (int32_t)tsr_load_i64(zero->dtype, zero->data, 0) : 0;
    return TSR_OK;
}

/* ---- walking ---- */

struct walk {
    const struct tsr_qparam *q;
    tsr_qparam_fn *fn;
    void *arg;
};

static void walk_flat(void *arg, int64_t from, int64_t to)
{
    const struct walk *w = arg;
    w->fn(w->arg, to - from, from, w->q->scale, w->q->zero, 0);
}

static void walk_rows(void *arg, int64_t from, int64_t to) /* runs of inner elements */
{
    const struct walk *w = arg;
    const struct tsr_qparam *q = w->q;
    int64_t blocks = q->block > 0 ? (q->dim + q->block - 1) / q->block : 0;
    for (int64_t r = from; r < to; r++) {
        int64_t d = r % q->dim, p = q->block > 0 ? (r / q->dim * blocks + d / q->block) * q->inner : d;
        w->fn(w->arg, q->inner, r * q->inner, q->scale + p, q->zero + p, q->block > 0);
    }
}

static void walk_lines(void *arg, int64_t from, int64_t to) /* the axis is the last: runs along it */
{
    const struct walk *w = arg;
    const struct tsr_qparam *q = w->q;
    if (q->block == 0) {
        for (int64_t r = from; r < to; r++) w->fn(w->arg, q->dim, r * q->dim, q->scale, q->zero, 1);
        return;
    }
    int64_t blocks = (q->dim + q->block - 1) / q->block;
    for (int64_t r = from; r < to; r++) {
        int64_t first = r % blocks * q->block, n = q->dim - first < q->block ? q->dim - first : q->block;
        w->fn(w->arg, n, r / blocks * q->dim + first, q->scale + r, q->zero + r, 0);
    }
}

void tsr_qparam_runs(struct tsr_pool *pool, const struct tsr_qparam *q, tsr_qparam_fn *fn, void *arg)
{
    struct walk w = {q, fn, arg};
    if (q->outer * q->dim * q->inner == 0) return;
    if (q->block == 0 && q->n == 1) tsr_par(pool, q->outer * q->dim * q->inner, 32768, walk_flat, &w);
    else if (q->inner > 1) tsr_par(pool, q->outer * q->dim, tsr_par_rows(q->inner), walk_rows, &w);
    else if (q->block == 0) tsr_par(pool, q->outer, tsr_par_rows(q->dim), walk_lines, &w);
    else tsr_par(pool, q->outer * ((q->dim + q->block - 1) / q->block), tsr_par_rows(q->block), walk_lines, &w);
}

/* ---- the two conversions ---- */

enum { PIECE = 512 };

/* Bounds are integers, so it is the same to clip before rounding as after. NaN fails v > lo. */
static inline int32_t on_grid(float v, int32_t zero, int32_t lo, int32_t hi)
{
    float a = (float)(lo - zero), b = (float)(hi - zero);
    v = v > a ? v : a;
    v = v < b ? v : b;
    return tsr_q_nearest(v) + zero;
}

#define QUANTISE(T, name, LO, HI)                                                                              \
    TSR_CLONES static void name(int64_t n, const float *x, const float *scale, const int32_t *zero, int step, T *y) \
    {                                                                                                          \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                              \
            y[i] = (T)on_grid(x[i] / scale[i * step], zero[i * step], LO, HI);                                 \
    }
QUANTISE(int8_t, quantise_i8, INT8_MIN, INT8_MAX)
QUANTISE(uint8_t, quantise_u8, 0, UINT8_MAX)
QUANTISE(int16_t, quantise_i16, INT16_MIN, INT16_MAX)
QUANTISE(uint16_t, quantise_u16, 0, UINT16_MAX)

static float rounded(float v, enum tsr_dtype precision)
{
    if (precision == TSR_F16) return tsr_f16_to_f32(tsr_f32_to_f16(v));
    if (precision == TSR_BF16) return tsr_bf16_to_f32(tsr_f32_to_bf16(v));
    return v;
}

void tsr_q_quantise(enum tsr_dtype t, void *y, int64_t at, int64_t n, const float *x, const float *scale,
                    const int32_t *zero, int step, enum tsr_dtype precision)
{
    int32_t lo, hi;
    bool plain = precision == TSR_F32;
    tsr_q_range(t, &lo, &hi);
    if (plain && step == 0 && (t == TSR_I8 || t == TSR_U8)) tsr_qround(n, x, *scale, *zero, lo, hi, (uint8_t *)y + at);
    else if (plain && t == TSR_I8) quantise_i8(n, x, scale, zero, step, (int8_t *)y + at);
    else if (plain && t == TSR_U8) quantise_u8(n, x, scale, zero, step, (uint8_t *)y + at);
    else if (plain && t == TSR_I16) quantise_i16(n, x, scale, zero, step, (int16_t *)y + at);
    else if (plain && t == TSR_U16) quantise_u16(n, x, scale, zero, step, (uint16_t *)y + at);
    else
        for (int64_t i = 0; i < n; i++) {
            float v = rounded(x[i] / scale[i * step], precision);
            tsr_store_i64(t, y, at + i, on_grid(v, zero[i * step], lo, hi));
        }
}

void tsr_q_dynamic(int64_t n, const float *x, struct tsr_qscalar *q)
{
    float lo = 0, hi = 0;
    for (int64_t i = 0; i < n; i++) { /* NaN compares false */
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    q->scale = hi > lo ? (hi - lo) / 255.0f : 1.0f;
    q->zero = on_grid(-lo / q->scale, 0, 0, 255);
}

#define DEQUANTISE(T, name)                                                                                    \
    TSR_CLONES static void name(int64_t n, const T *x, const float *scale, const int32_t *zero, int step, float *y) \
    {                                                                                                          \
        if (step == 0) {                                                                                       \
            const float s = *scale;                                                                            \
            const int32_t z = *zero;                                                                           \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (float)(x[i] - z) * s;                            \
            return;                                                                                            \
        }                                                                                                      \
        TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (float)(x[i] - zero[i]) * scale[i];                   \
    }
DEQUANTISE(int8_t, dequantise_i8)
DEQUANTISE(uint8_t, dequantise_u8)
DEQUANTISE(int16_t, dequantise_i16)
DEQUANTISE(uint16_t, dequantise_u16)

static void unpack(enum tsr_dtype t, const uint8_t *x, int64_t at, int64_t n, int8_t *y)
{
    if (tsr_dtype_bits(t) == 2) {
        for (int64_t i = 0; i < n; i++) y[i] = (int8_t)tsr_load_i64(t, x, at + i);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int v = x[(at + i) / 2] >> ((at + i) % 2 * 4) & 15;
        y[i] = (int8_t)(t == TSR_I4 ? (v ^ 8) - 8 : v);
    }
}

void tsr_q_dequantise(enum tsr_dtype t, const void *x, int64_t at, int64_t n, const float *scale, const int32_t *zero,
                      int step, float *y)
{
    int8_t nibble[PIECE];
    if (t == TSR_I8) dequantise_i8(n, (const int8_t *)x + at, scale, zero, step, y);
    else if (t == TSR_U8) dequantise_u8(n, (const uint8_t *)x + at, scale, zero, step, y);
    else if (t == TSR_I16) dequantise_i16(n, (const int16_t *)x + at, scale, zero, step, y);
    else if (t == TSR_U16) dequantise_u16(n, (const uint16_t *)x + at, scale, zero, step, y);
    else if (t == TSR_I32)
        for (int64_t i = 0; i < n; i++) /* no overflow in 64 bits */
            y[i] = (float)((int64_t)((const int32_t *)x)[at + i] - zero[i * step]) * scale[i * step];
    else
        for (int64_t i = 0; i < n; i += PIECE) {
            int64_t k = n - i < PIECE ? n - i : PIECE;
            unpack(t, x, at + i, k, nibble);
            dequantise_i8(k, nibble, scale + i * step, zero + i * step, step, y + i);
        }
}
