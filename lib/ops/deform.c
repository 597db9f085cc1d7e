/* deform.c - DeformConv (Dai et al. 2017, Zhu et al. 2019) over images: a convolution whose taps are moved
 * by offsets and weighed by a mask; pixels between pixels are interpolated, outside they are zero. The
 * taps of a sample and group become columns, in double, which a matrix product takes. */
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"
#include "tensor/blas.h"

#include <math.h>
#include <string.h>

enum { X, W, OFFSET, BIAS, MASK };

struct deform {
    int64_t N, C, H, W, M, oh, ow, kh, kw, group, offset_group;
    int64_t stride[2], dilation[2], pads[4];
    int64_t rows, pixels; /* of the columns of a group: C / group * kh * kw, oh * ow */
};

static enum tsr_status numbers(struct tsr_op_ctx *ctx, const char *name, int n, int64_t otherwise, int64_t least, int64_t *v)
{
    size_t count;
    const int64_t *a = tsr_node_ints(ctx->node, name, &count);
    if (a && count != (size_t)n) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute '%s' must have %d numbers", name, n);
    for (int i = 0; i < n; i++) {
        v[i] = a ? a[i] : otherwise;
        if (v[i] < least || v[i] > 1 << 20)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute '%s' has an impossible number", name);
    }
    return TSR_OK;
}

static bool is_shape(const struct tsr_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const struct tsr_shape s = {4, {a, b, c, d}};
    return tsr_shape_equal(&t->shape, &s);
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct deform *f)
{
    for (int i = 0; i < ctx->node->n_in; i++)
        if (i < BIAS || ctx->in[i]) TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[X]->dtype) & TSR_MASK_REAL));
    const struct tsr_shape *x = &ctx->in[X]->shape, *w = &ctx->in[W]->shape;
    if (x->rank != 4 || w->rank != 4) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "only images, of 4 dimensions, are supported");
    *f = (struct deform){x->dim[0], x->dim[1], x->dim[2], x->dim[3], w->dim[0], .kh = w->dim[2], .kw = w->dim[3]};
    f->group = tsr_node_int(ctx->node, "group", 1);
    f->offset_group = tsr_node_int(ctx->node, "offset_group", 1);
    TSR_TRY(numbers(ctx, "strides", 2, 1, 1, f->stride));
    TSR_TRY(numbers(ctx, "dilations", 2, 1, 1, f->dilation));
    TSR_TRY(numbers(ctx, "pads", 4, 0, 0, f->pads));
    const int64_t reach_h = f->H + f->pads[0] + f->pads[2] - f->dilation[0] * (f->kh - 1) - 1;
    const int64_t reach_w = f->W + f->pads[1] + f->pads[3] - f->dilation[1] * (f->kw - 1) - 1;
    f->oh = reach_h < 0 ? 0 : reach_h / f->stride[0] + 1;
    f->ow = reach_w < 0 ? 0 : reach_w / f->stride[1] + 1;
    if (f->group < 1 || f->offset_group < 1 || f->kh < 1 || f->kw < 1 || f->C % f->group != 0 || f->M % f->group != 0 ||
        w->dim[1] != f->C / f->group || f->C % f->offset_group != 0)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the channels, the weights and the groups do not fit together");
    const int64_t taps = f->offset_group * f->kh * f->kw;
    if (!is_shape(ctx->in[OFFSET], f->N, 2 * taps, f->oh, f->ow))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the offsets do not fit the output");
    if (tsr_arg_in(ctx, MASK) && !is_shape(ctx->in[MASK], f->N, taps, f->oh, f->ow))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the mask does not fit the output");
    if (tsr_arg_in(ctx, BIAS) && tsr_tensor_count(ctx->in[BIAS]) != f->M)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "there must be a bias for each output channel");
    f->rows = f->C / f->group * f->kh * f->kw;
    f->pixels = f->oh * f->ow;
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct deform f;
    TSR_TRY(describe(ctx, &f));
    const struct tsr_shape y = {4, {f.N, f.M, f.oh, f.ow}};
    tsr_op_set(ctx, 0, ctx->in[X]->dtype, &y);
    return TSR_OK;
}

static double load(const struct tsr_tensor *t, int64_t i) { return tsr_load_f64(t->dtype, t->data, i); }
static void add(struct tsr_tensor *t, int64_t i, double v) { tsr_store_f64(t->dtype, t->data, i, load(t, i) + v); }

/* One tap at one output pixel: where it looks, and where its offset and mask are. */
struct tap {
    int64_t plane, offset, mask; /* elements of X (first of the channel), of the offsets (y; x is `pixels` on), of the mask */
    double y, x;
};

static struct tap tap_of(struct tsr_op_ctx *ctx, const struct deform *f, int64_t n, int64_t group, int64_t row, int64_t p)
{
    const int64_t k = f->kh * f->kw, channel = group * (f->C / f->group) + row / k, e = row % k;
    const int64_t g = channel / (f->C / f->offset_group);
    struct tap t = {.plane = (n * f->C + channel) * f->H * f->W};
    t.offset = ((n * f->offset_group + g) * k + e) * 2 * f->pixels + p;
    t.mask = ((n * f->offset_group + g) * k + e) * f->pixels + p;
    t.y = (double)(p / f->ow * f->stride[0] - f->pads[0] + e / f->kw * f->dilation[0]) + load(ctx->in[OFFSET], t.offset);
    t.x = (double)(p % f->ow * f->stride[1] - f->pads[1] + e % f->kw * f->dilation[1]);
    t.x += load(ctx->in[OFFSET], t.offset + f->pixels);
    return t;
}

/* The interpolated value and its slopes; with gx, adds g times the weights to the pixels of X. */
static double look(const struct deform *f, const struct tsr_tensor *x, const struct tap *t, double slope[2],
                   struct tsr_tensor *gx, double g)
{
    double sum = 0;
    slope[0] = slope[1] = 0;
    if (!(t->y > -1 && t->y < (double)f->H && t->x > -1 && t->x < (double)f->W)) return 0;
    const double y0 = floor(t->y), x0 = floor(t->x), ly = t->y - y0, lx = t->x - x0;
    for (int k = 0; k < 4; k++) {
        const int64_t i = (int64_t)y0 + k / 2, j = (int64_t)x0 + k % 2;
        if (i < 0 || i >= f->H || j < 0 || j >= f->W) continue;
        const double wy = k / 2 ? ly : 1 - ly, wx = k % 2 ? lx : 1 - lx;
        const int64_t at = t->plane + i * f->W + j;
        const double v = load(x, at);
        sum += v * wy * wx;
        slope[0] += v * (k / 2 ? wx : -wx);
        slope[1] += v * (k % 2 ? wy : -wy);
        if (gx) add(gx, at, g * wy * wx);
    }
    return sum;
}

/* The columns [rows][pixels] of a sample and group. */
static void gather(struct tsr_op_ctx *ctx, const struct deform *f, int64_t n, int64_t group, double *columns)
{
    double slope[2];
    const struct tsr_tensor *mask = tsr_arg_in(ctx, MASK);
    for (int64_t row = 0; row < f->rows; row++)
        for (int64_t p = 0; p < f->pixels; p++) {
            const struct tap t = tap_of(ctx, f, n, group, row, p);
            columns[row * f->pixels + p] = look(f, ctx->in[X], &t, slope, NULL, 0) * (mask ? load(mask, t.mask) : 1);
        }
}

/* The gradient of the columns goes to X, the offsets and the mask. */
static void scatter(struct tsr_op_ctx *ctx, const struct deform *f, int64_t n, int64_t group, const double *columns)
{
    double slope[2];
    const struct tsr_tensor *mask = tsr_arg_in(ctx, MASK);
    for (int64_t row = 0; row < f->rows; row++)
        for (int64_t p = 0; p < f->pixels; p++) {
            const struct tap t = tap_of(ctx, f, n, group, row, p);
            const double g = columns[row * f->pixels + p], m = mask ? load(mask, t.mask) : 1;
            const double v = look(f, ctx->in[X], &t, slope, ctx->want_gin[X] ? &ctx->gin[X] : NULL, g * m);
            for (int i = 0; ctx->want_gin[OFFSET] && i < 2; i++) add(&ctx->gin[OFFSET], t.offset + i * f->pixels, g * m * slope[i]);
            if (mask && ctx->want_gin[MASK]) add(&ctx->gin[MASK], t.mask, g * v);
        }
}

static void widen(const struct tsr_tensor *t, int64_t from, int64_t n, double *to)
{
    for (int64_t i = 0; i < n; i++) to[i] = load(t, from + i);
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct deform f;
    TSR_TRY(describe(ctx, &f));
    const int64_t m = f.M / f.group;
    const size_t bytes = (size_t)(f.rows * f.pixels + m * (f.rows + f.pixels)) * sizeof(double);
    double *columns = tsr_op_scratch(ctx, bytes), *w = columns + f.rows * f.pixels, *y = w + m * f.rows;
    if (!columns) return tsr_nomem(ctx->err, bytes);
    for (int64_t k = 0; k < f.N * f.group; k++) {
        const int64_t n = k / f.group, group = k % f.group;
        gather(ctx, &f, n, group, columns);
        widen(ctx->in[W], group * m * f.rows, m * f.rows, w);
        tsr_blas_dgemm(false, false, m, f.pixels, f.rows, 1, w, f.rows, columns, f.pixels, 0, y, f.pixels);
        for (int64_t i = 0; i < m * f.pixels; i++) {
            const int64_t channel = group * m + i / f.pixels;
            const double bias = tsr_arg_in(ctx, BIAS) ? load(ctx->in[BIAS], channel) : 0;
            tsr_store_f64(ctx->out[0].dtype, ctx->out[0].data, (n * f.M + channel) * f.pixels + i % f.pixels, y[i] + bias);
        }
    }
    tsr_op_scratch_free(ctx, columns, bytes);
    return TSR_OK;
}

static void weights_back(struct tsr_op_ctx *ctx, const struct deform *f, int64_t group, const double *gy,
                         const double *columns, double *gw)
{
    const int64_t m = f->M / f->group;
    tsr_blas_dgemm(false, true, m, f->rows, f->pixels, 1, gy, f->pixels, columns, f->pixels, 0, gw, f->rows);
    for (int64_t i = 0; i < m * f->rows; i++) add(&ctx->gin[W], group * m * f->rows + i, gw[i]);
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct deform f;
    TSR_TRY(describe(ctx, &f));
    for (int i = 0; i < ctx->node->n_in; i++)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (!ctx->gout[0]) return TSR_OK;
    const int64_t m = f.M / f.group;
    const size_t bytes = (size_t)(f.rows * f.pixels + m * (f.rows + f.pixels)) * sizeof(double);
    double *columns = tsr_op_scratch(ctx, bytes), *w = columns + f.rows * f.pixels, *gy = w + m * f.rows;
    if (!columns) return tsr_nomem(ctx->err, bytes);
    for (int64_t k = 0; k < f.N * f.group; k++) {
        const int64_t n = k / f.group, group = k % f.group;
        widen(ctx->gout[0], (n * f.M + group * m) * f.pixels, m * f.pixels, gy);
        if (ctx->want_gin[W]) {
            gather(ctx, &f, n, group, columns);
            weights_back(ctx, &f, group, gy, columns, w);
        }
        for (int64_t i = 0; tsr_arg_in(ctx, BIAS) && ctx->want_gin[BIAS] && i < m * f.pixels; i++)
            add(&ctx->gin[BIAS], group * m + i / f.pixels, gy[i]);
        widen(ctx->in[W], group * m * f.rows, m * f.rows, w);
        tsr_blas_dgemm(true, false, f.rows, f.pixels, m, 1, w, f.rows, gy, f.pixels, 0, columns, f.pixels);
        scatter(ctx, &f, n, group, columns);
    }
    tsr_op_scratch_free(ctx, columns, bytes);
    return TSR_OK;
}

const struct tsr_op tsr_ops_deform[] = {
    {"DeformConv", "", TSR_OP_WIDEN, 3, 5, 1, infer, forward, backward, 10},
};
const size_t tsr_n_ops_deform = sizeof tsr_ops_deform / sizeof *tsr_ops_deform;
