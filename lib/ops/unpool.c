/* unpool.c - MaxUnpool and Col2Im: elements go back to where pooling or a sliding window took them from. */
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"

#include <string.h>

/* The attribute's numbers, n of them, or all `otherwise`. */
static enum tsr_status numbers(struct tsr_op_ctx *ctx, const char *name, int n, int64_t otherwise, int64_t least, int64_t *v)
{
    size_t count;
    const int64_t *a = tsr_node_ints(ctx->node, name, &count);
    if (a && count != (size_t)n) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute '%s' must have %d numbers", name, n);
    for (int i = 0; i < n; i++) {
        v[i] = a ? a[i] : otherwise;
        if (v[i] < least || v[i] > INT32_MAX)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute '%s' has the impossible number %lld", name, (long long)v[i]);
    }
    return TSR_OK;
}

/* ---- MaxUnpool ---- */

/* The output, and what the indices count in: the shape that pooling had, or the output itself. */
static enum tsr_status unpool_shapes(struct tsr_op_ctx *ctx, struct tsr_shape *y, struct tsr_shape *pooled)
{
    int64_t kernel[TSR_MAX_RANK], stride[TSR_MAX_RANK], pads[2 * TSR_MAX_RANK], said[TSR_MAX_RANK];
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(TSR_I64)));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    const int r = x->rank - 2;
    int n;
    if (r < 1 || !tsr_shape_equal(x, &ctx->in[1]->shape))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X and the indices must have the same shape, of at least 3 dimensions");
    if (!tsr_node_attr(ctx->node, "kernel_shape"))
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'kernel_shape' is missing");
    TSR_TRY(numbers(ctx, "kernel_shape", r, 1, 1, kernel));
    TSR_TRY(numbers(ctx, "strides", r, 1, 1, stride));
    TSR_TRY(numbers(ctx, "pads", 2 * r, 0, 0, pads));
    *pooled = *x;
    for (int i = 0; i < r; i++)
        if (__builtin_mul_overflow(x->dim[i + 2] - 1, stride[i], &pooled->dim[i + 2]) ||
            __builtin_add_overflow(pooled->dim[i + 2], kernel[i] - pads[i] - pads[r + i], &pooled->dim[i + 2]))
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "the output is too large");
    TSR_TRY(tsr_arg_ints(ctx, NULL, 2, said, TSR_MAX_RANK, &n));
    *y = *pooled;
    if (n >= 0 && n != x->rank) return tsr_op_fail(ctx, TSR_E_MISMATCH, "output_shape must have %d numbers", x->rank);
    for (int i = 0; i < n; i++) y->dim[i] = said[i];
    if (tsr_shape_count(y) < 0 || tsr_shape_count(pooled) < 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the output has an impossible shape");
    return TSR_OK;
}

static enum tsr_status unpool_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_shape y, pooled;
    TSR_TRY(unpool_shapes(ctx, &y, &pooled));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &y);
    return TSR_OK;
}

/* Where element i goes; -1: out of the output. An index counts in the shape that pooling had. */
static enum tsr_status target(struct tsr_op_ctx *ctx, const struct tsr_shape *y, const struct tsr_shape *pooled, int64_t i, int64_t *to)
{
    int64_t at = ((const int64_t *)ctx->in[1]->data)[i], stride = 1;
    if (at < 0 || at >= tsr_shape_count(pooled))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "index %lld lies outside the output", (long long)at);
    *to = 0;
    for (int d = y->rank - 1; d >= 0; d--) {
        const int64_t place = at % pooled->dim[d];
        at /= pooled->dim[d];
        if (place >= y->dim[d]) {
            *to = -1;
            return TSR_OK;
        }
        *to += place * stride;
        stride *= y->dim[d];
    }
    return TSR_OK;
}

static enum tsr_status unpool_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_shape y, pooled;
    int64_t to;
    const struct tsr_tensor *x = ctx->in[0];
    struct tsr_tensor *out = &ctx->out[0];
    TSR_TRY(unpool_shapes(ctx, &y, &pooled));
    if (tsr_tensor_count(out) > 0) memset(out->data, 0, tsr_tensor_bytes(out));
    for (int64_t i = 0; i < tsr_tensor_count(x); i++) {
        TSR_TRY(target(ctx, &y, &pooled, i, &to));
        if (to >= 0) tsr_store_f64(out->dtype, out->data, to, tsr_load_f64(x->dtype, x->data, i));
    }
    return TSR_OK;
}

/* Of several elements at one place the last stays. */
static enum tsr_status unpool_backward(struct tsr_op_ctx *ctx)
{
    struct tsr_shape y, pooled;
    int64_t to;
    const struct tsr_tensor *g = ctx->gout[0];
    struct tsr_tensor *gx = &ctx->gin[0];
    if (!ctx->want_gin[0] || tsr_tensor_count(gx) == 0) return TSR_OK;
    memset(gx->data, 0, tsr_tensor_bytes(gx));
    if (!g || tsr_tensor_count(g) == 0) return TSR_OK;
    TSR_TRY(unpool_shapes(ctx, &y, &pooled));
    const size_t bytes = (size_t)tsr_tensor_count(g);
    uint8_t *taken = tsr_op_scratch(ctx, bytes);
    if (!taken) return tsr_nomem(ctx->err, bytes);
    memset(taken, 0, bytes);
    enum tsr_status status = TSR_OK;
    for (int64_t i = tsr_tensor_count(gx); status == TSR_OK && i-- > 0;) {
        status = target(ctx, &y, &pooled, i, &to);
        if (status != TSR_OK || to < 0 || taken[to]) continue;
        taken[to] = 1;
        tsr_store_f64(gx->dtype, gx->data, i, tsr_load_f64(g->dtype, g->data, to));
    }
    tsr_op_scratch_free(ctx, taken, bytes);
    return status;
}

/* ---- Col2Im ---- */

enum { MOST_SPACE = TSR_MAX_RANK - 2 };

struct fold {
    int r;
    int64_t N, C, size, blocks; /* size: elements of a block; blocks: positions of the window */
    int64_t image[MOST_SPACE], block[MOST_SPACE], count[MOST_SPACE];
    int64_t dilation[MOST_SPACE], stride[MOST_SPACE], pads[2 * MOST_SPACE];
};

static enum tsr_status fold_init(struct tsr_op_ctx *ctx, struct fold *f)
{
    int n;
    memset(f, 0, sizeof *f);
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL | TSR_MASK_INT));
    TSR_TRY(tsr_arg_ints(ctx, NULL, 1, f->image, MOST_SPACE, &f->r));
    TSR_TRY(tsr_arg_ints(ctx, NULL, 2, f->block, MOST_SPACE, &n));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    if (f->r < 1 || n != f->r || x->rank != 3)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the input must have 3 dimensions, image and block as many as each other");
    TSR_TRY(numbers(ctx, "dilations", n, 1, 1, f->dilation));
    TSR_TRY(numbers(ctx, "strides", n, 1, 1, f->stride));
    TSR_TRY(numbers(ctx, "pads", 2 * n, 0, 0, f->pads));
    f->size = f->blocks = 1;
    for (int i = 0; i < n; i++) {
        if (f->image[i] < 1 || f->block[i] < 1 || f->image[i] > INT32_MAX || f->block[i] > INT32_MAX)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "image and block must have positive sizes");
        const int64_t reach = f->image[i] + f->pads[i] + f->pads[n + i] - f->dilation[i] * (f->block[i] - 1) - 1;
        f->count[i] = reach < 0 ? 0 : reach / f->stride[i] + 1;
        if (__builtin_mul_overflow(f->size, f->block[i], &f->size) || __builtin_mul_overflow(f->blocks, f->count[i], &f->blocks))
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "the blocks are too large");
    }
    f->N = x->dim[0];
    f->C = x->dim[1] / f->size;
    if (x->dim[1] % f->size != 0 || x->dim[2] != f->blocks)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the input has %lld columns of %lld elements, which is not what the image and the blocks give",
                           (long long)x->dim[2], (long long)x->dim[1]);
    return TSR_OK;
}

static enum tsr_status fold_infer(struct tsr_op_ctx *ctx)
{
    struct fold f;
    TSR_TRY(fold_init(ctx, &f));
    struct tsr_shape y = {f.r + 2, {f.N, f.C}};
    for (int i = 0; i < f.r; i++) y.dim[i + 2] = f.image[i];
    if (tsr_shape_count(&y) < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the image is too large");
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &y);
    return TSR_OK;
}

/* The pixel of element e of block b; -1: it lies in the padding. */
static int64_t fold_pixel(const struct fold *f, int64_t e, int64_t b)
{
    int64_t at = 0, stride = 1;
    for (int i = f->r - 1; i >= 0; i--) {
        const int64_t p = b % f->count[i] * f->stride[i] - f->pads[i] + e % f->block[i] * f->dilation[i];
        if (p < 0 || p >= f->image[i]) return -1;
        at += p * stride;
        stride *= f->image[i];
        b /= f->count[i];
        e /= f->block[i];
    }
    return at;
}

/* Sums columns into the image, or reads the gradient of the columns out of that of the image. */
static enum tsr_status fold_run(struct tsr_op_ctx *ctx, const struct tsr_tensor *from, struct tsr_tensor *to, bool back)
{
    struct fold f;
    TSR_TRY(fold_init(ctx, &f));
    const enum tsr_dtype type = from->dtype;
    int64_t pixels = 1;
    for (int i = 0; i < f.r; i++) pixels *= f.image[i];
    if (tsr_tensor_count(to) > 0) memset(to->data, 0, tsr_tensor_bytes(to));
    for (int64_t plane = 0; plane < f.N * f.C; plane++)
        for (int64_t e = 0; e < f.size; e++)
            for (int64_t b = 0; b < f.blocks; b++) {
                const int64_t p = fold_pixel(&f, e, b), image = plane * pixels + p, column = (plane * f.size + e) * f.blocks + b;
                if (p < 0) continue;
                if (back) tsr_store_f64(type, to->data, column, tsr_load_f64(type, from->data, image));
                else if (tsr_dtype_is_float(type))
                    tsr_store_f64(type, to->data, image, tsr_load_f64(type, to->data, image) + tsr_load_f64(type, from->data, column));
                else
                    tsr_store_i64(type, to->data, image, (int64_t)((uint64_t)tsr_load_i64(type, to->data, image) +
                                                                   (uint64_t)tsr_load_i64(type, from->data, column)));
            }
    return TSR_OK;
}

static enum tsr_status fold_forward(struct tsr_op_ctx *ctx) { return fold_run(ctx, ctx->in[0], &ctx->out[0], false); }

static enum tsr_status fold_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0] || tsr_tensor_count(&ctx->gin[0]) == 0) return TSR_OK;
    if (ctx->gout[0]) return fold_run(ctx, ctx->gout[0], &ctx->gin[0], true);
    memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
    return TSR_OK;
}

const struct tsr_op tsr_ops_unpool[] = {
    {"Col2Im", "", TSR_OP_WIDEN | TSR_OP_DATA_SHAPE, 3, 3, 1, fold_infer, fold_forward, fold_backward, 0},
    {"MaxUnpool", "", TSR_OP_WIDEN | TSR_OP_DATA_SHAPE, 2, 3, 1, unpool_infer, unpool_forward, unpool_backward, 0},
};
const size_t tsr_n_ops_unpool = sizeof tsr_ops_unpool / sizeof *tsr_ops_unpool;
