/* grid.c - AffineGrid and GridSample (Jaderberg et al. 2015): where to look, and looking there, with
 * linear, cubic (Keys 1981, a = -0.75) or nearest interpolation. Any number of spatial dimensions up to
 * MOST_SPACE. The gradient with respect to the grid is zero where a place was moved to the border. */
#include "base/mem.h"
#include "ops/families.h"
#include "ops/par.h"
#include "ops/tape.h"

#include <math.h>
#include <string.h>

/* ---- AffineGrid ---- */

/* The places -1 .. 1 along one dimension of n: corners (align) or middles of pixels. */
static double place(int64_t i, int64_t n, bool align)
{
    if (align) return n > 1 ? 2 * (double)i / (double)(n - 1) - 1 : -1;
    return (2 * (double)i + 1) / (double)n - 1;
}

/* theta [N,r,r+1] times the homogeneous places (x, y, ..., 1) of all pixels. */
static enum tsr_status affine_body(struct tsr_tape *t)
{
    struct tsr_op_ctx *ctx = tsr_tape_ctx(t);
    const bool align = tsr_node_int(ctx->node, "align_corners", 0) != 0;
    const struct tsr_tensor theta = *tsr_tape_value(t, tsr_tape_in(t, 0));
    int64_t size[5], pixels = 1;
    int n;
    TSR_TRY(tsr_arg_ints(ctx, NULL, 1, size, 5, &n));
    const int r = n - 2;
    if (r < 2 || theta.shape.rank != 3 || theta.shape.dim[0] != size[0] || theta.shape.dim[1] != r || theta.shape.dim[2] != r + 1)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "theta and size do not fit together");
    struct tsr_shape out = {r + 2, {size[0]}};
    for (int i = 0; i < r; i++) out.dim[i + 1] = size[i + 2];
    out.dim[r + 1] = r;
    if (tsr_shape_count(&out) < 0) return tsr_tape_fail(t, TSR_E_CORRUPT, "the size makes no sense");
    for (int i = 0; i < r; i++) pixels *= size[i + 2];
    const struct tsr_shape s = {2, {pixels, r + 1}};
    void *data;
    tsr_ref base = tsr_tape_new(t, theta.dtype, &s, &data);
    for (int64_t p = 0; base >= 0 && p < pixels; p++) {
        int64_t rest = p;
        for (int i = 0; i < r; i++) { /* x varies fastest, and comes first */
            const int64_t d = size[r + 1 - i];
            tsr_store_f64(theta.dtype, data, p * (r + 1) + i, place(rest % d, d, align));
            rest /= d;
        }
        tsr_store_f64(theta.dtype, data, p * (r + 1) + r, 1);
    }
    tsr_ref turned = tsr_tape_transpose(t, tsr_tape_in(t, 0), 3, (const int64_t[]){0, 2, 1});
    tsr_tape_out(t, 0, tsr_tape_reshape(t, tsr_tape_op(t, "MatMul", base, turned), out.rank, out.dim));
    return tsr_tape_status(t);
}
static enum tsr_status affine_forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, affine_body); }

/* ---- GridSample ---- */

enum { MOST_SPACE = 5, MOST_TAPS = 4 };
enum mode { NEAREST, LINEAR, CUBIC };
enum padding { ZEROS, BORDER, REFLECTION };

struct sampler {
    enum mode mode;
    enum padding padding;
    bool align;
    int r;
    int64_t N, C, dim[MOST_SPACE], in, out; /* in, out: pixels of a channel of X and of Y */
    struct tsr_shape y;
    struct tsr_op_ctx *ctx;
};

/* What one place takes from one dimension: pixels (-1: a zero) with weights, and their slopes. */
struct taps {
    int n;
    int64_t at[MOST_TAPS];
    double weight[MOST_TAPS], slope[MOST_TAPS];
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct sampler *k)
{
    const char *mode = tsr_node_string(ctx->node, "mode", "linear"), *padding = tsr_node_string(ctx->node, "padding_mode", "zeros");
    for (int i = 0; i < 2; i++) TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_REAL));
    const struct tsr_shape *x = &ctx->in[0]->shape, *g = &ctx->in[1]->shape;
    *k = (struct sampler){.r = x->rank - 2, .in = 1, .out = 1, .ctx = ctx};
    k->align = tsr_node_int(ctx->node, "align_corners", 0) != 0;
    if (strcmp(mode, "nearest") == 0) k->mode = NEAREST;
    else if (strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0) k->mode = LINEAR;
    else if (strcmp(mode, "cubic") == 0 || strcmp(mode, "bicubic") == 0) k->mode = CUBIC;
    else return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the mode '%.40s' is unknown", mode);
    if (strcmp(padding, "border") == 0) k->padding = BORDER;
    else if (strcmp(padding, "reflection") == 0) k->padding = REFLECTION;
    else if (strcmp(padding, "zeros") != 0) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the padding '%.40s' is unknown", padding);
    if (k->r < 1 || k->r > MOST_SPACE || g->rank != x->rank || g->dim[0] != x->dim[0] || g->dim[g->rank - 1] != k->r)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X and the grid do not fit together");
    if (ctx->in[0]->dtype != ctx->in[1]->dtype) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "X and the grid differ in type");
    k->N = x->dim[0];
    k->C = x->dim[1];
    k->y = (struct tsr_shape){x->rank, {k->N, k->C}};
    for (int i = 0; i < k->r; i++) {
        k->dim[i] = x->dim[i + 2];
        k->in *= k->dim[i];
        k->y.dim[i + 2] = g->dim[i + 1];
        k->out *= g->dim[i + 1];
    }
    if (k->in == 0 && k->out > 0) return tsr_op_fail(ctx, TSR_E_MISMATCH, "X has no elements to sample");
    return TSR_OK;
}

/* Mirrors v between lo and hi; *sign: its slope. */
static double reflect(double v, double lo, double hi, double *sign)
{
    const double span = hi - lo;
    *sign = 1;
    if (!(span > 0)) return *sign = 0, lo;
    if (v >= lo && v <= hi) return v;
    double past = v < lo ? lo - v : v - hi;
    const double turns = floor(past / span);
    past -= turns * span;
    const bool even = fmod(turns, 2) == 0;
    *sign = even ? -1 : 1;
    return (v < lo) == even ? lo + past : hi - past;
}

static void cubic_weights(double x, double *w, double *s)
{
    const double a = -0.75, d[4] = {x + 1, x, 1 - x, 2 - x};
    for (int i = 0; i < 4; i++) {
        const bool near = i == 1 || i == 2;
        const double y = d[i], sign = i < 2 ? 1 : -1;
        w[i] = near ? ((a + 2) * y - (a + 3)) * y * y + 1 : ((a * y - 5 * a) * y + 8 * a) * y - 4 * a;
        s[i] = sign * (near ? (3 * (a + 2) * y - 2 * (a + 3)) * y : (3 * a * y - 10 * a) * y + 8 * a);
    }
}

/* The pixel that stands for pixel i of n; -1: none. */
static int64_t pixel(const struct sampler *k, int64_t i, int64_t n)
{
    double sign;
    if (i >= 0 && i < n) return i;
    if (k->padding == ZEROS) return -1;
    if (k->padding == BORDER) return i < 0 ? 0 : n - 1;
    const double v = reflect((double)i, k->align ? 0 : -0.5, (double)n - (k->align ? 1 : 0.5), &sign);
    return v < 0 ? 0 : v > (double)(n - 1) ? n - 1 : (int64_t)v;
}

/* The taps for a grid value g along a dimension of n pixels. */
static void find_taps(const struct sampler *k, double g, int64_t n, struct taps *t)
{
    const double lo = k->align ? 0 : -0.5, hi = (double)n - (k->align ? 1 : 0.5);
    double slope = k->align ? (double)(n - 1) / 2 : (double)n / 2, sign = 1;
    double v = k->align ? (g + 1) / 2 * (double)(n - 1) : ((g + 1) * (double)n - 1) / 2;
    if (k->mode == NEAREST) v = rint(v);
    if ((v < lo || v > hi) && k->mode != CUBIC) { /* whose pixels are moved one by one, below */
        if (k->padding == BORDER) v = v < 0 ? 0 : (double)(n - 1), slope = 0;
        if (k->padding == REFLECTION) v = reflect(v, lo, hi, &sign), slope *= sign;
    }
    t->n = k->mode == NEAREST ? 1 : k->mode == LINEAR ? 2 : 4;
    if (!(fabs(v) < 1e15)) { /* far away or no number at all: nothing is there */
        for (int i = 0; i < t->n; i++) t->at[i] = -1, t->weight[i] = t->slope[i] = 0;
        return;
    }
    const double base = floor(v);
    int64_t first = (int64_t)base - (k->mode == CUBIC);
    if (k->mode == NEAREST) {
        first = (int64_t)v;
        t->weight[0] = 1;
        t->slope[0] = 0;
    } else if (k->mode == LINEAR) {
        t->weight[0] = 1 - (v - base), t->weight[1] = v - base;
        t->slope[0] = -1, t->slope[1] = 1;
    } else {
        cubic_weights(v - base, t->weight, t->slope);
    }
    for (int i = 0; i < t->n; i++) {
        t->at[i] = pixel(k, first + i, n);
        t->slope[i] *= slope;
    }
}

/* Calls fn for every combination of taps that meets pixels: the pixel, its weight and, for each
 * dimension, the slope of the weight. */
struct visit {
    int64_t pixel;
    double weight, slope[MOST_SPACE];
};

static int combine(const struct sampler *k, const struct taps *t, struct visit *list)
{
    int index[MOST_SPACE] = {0}, n = 0;
    for (;;) {
        struct visit v = {.weight = 1};
        bool there = true;
        for (int i = 0; i < k->r; i++) v.slope[i] = 1;
        for (int i = 0; i < k->r; i++) {
            const int a = index[i];
            there = there && t[i].at[a] >= 0;
            v.pixel = v.pixel * k->dim[i] + t[i].at[a];
            v.weight *= t[i].weight[a];
            for (int d = 0; d < k->r; d++) v.slope[d] *= d == i ? t[i].slope[a] : t[i].weight[a];
        }
        if (there) list[n++] = v;
        int i = k->r - 1;
        for (; i >= 0 && ++index[i] == t[i].n; i--) index[i] = 0;
        if (i < 0) return n;
    }
}

enum { MOST_VISITS = 1024 }; /* 4^5 */

/* The visits of place p of sample b. */
static int visits_of(const struct sampler *k, int64_t b, int64_t p, struct visit *list)
{
    const struct tsr_tensor *grid = k->ctx->in[1];
    struct taps t[MOST_SPACE];
    for (int i = 0; i < k->r; i++) /* the grid names x first, which is the last dimension */
        find_taps(k, tsr_load_f64(grid->dtype, grid->data, (b * k->out + p) * k->r + k->r - 1 - i), k->dim[i], &t[i]);
    return combine(k, t, list);
}

/* All channels of a place, float32: y steps from plane to plane. */
static void sample_single(const struct sampler *k, int64_t b, const struct visit *list, int n, const float *x, float *y)
{
    for (int64_t c = 0; c < k->C; c++) {
        const float *plane = x + (b * k->C + c) * k->in;
        double sum = 0;
        for (int i = 0; i < n; i++) sum += list[i].weight * (double)plane[list[i].pixel];
        y[c * k->out] = (float)sum;
    }
}

static void sample_rows(void *arg, int64_t from, int64_t to)
{
    const struct sampler *k = arg;
    const struct tsr_tensor *x = k->ctx->in[0];
    struct tsr_tensor *y = &k->ctx->out[0];
    struct visit list[MOST_VISITS];
    for (int64_t row = from; row < to; row++) {
        const int64_t b = row / k->out, p = row % k->out;
        const int n = visits_of(k, b, p, list);
        if (x->dtype == TSR_F32) {
            sample_single(k, b, list, n, x->data, (float *)y->data + b * k->C * k->out + p);
            continue;
        }
        for (int64_t c = 0; c < k->C; c++) {
            const int64_t plane = b * k->C + c;
            double sum = 0;
            for (int i = 0; i < n; i++) sum += list[i].weight * tsr_load_f64(x->dtype, x->data, plane * k->in + list[i].pixel);
            tsr_store_f64(y->dtype, y->data, plane * k->out + p, sum);
        }
    }
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct sampler k;
    TSR_TRY(describe(ctx, &k));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &k.y);
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct sampler k;
    TSR_TRY(describe(ctx, &k));
    tsr_par(ctx->pool, k.N * k.out, tsr_par_rows(k.C * 64), sample_rows, &k);
    return TSR_OK;
}

static void add(struct tsr_tensor *t, int64_t i, double v)
{
    tsr_store_f64(t->dtype, t->data, i, tsr_load_f64(t->dtype, t->data, i) + v);
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct sampler k;
    struct visit list[MOST_VISITS];
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    TSR_TRY(describe(ctx, &k));
    for (int i = 0; i < 2; i++)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    for (int64_t row = 0; g && row < k.N * k.out; row++) {
        const int64_t b = row / k.out, p = row % k.out;
        const int n = visits_of(&k, b, p, list);
        double slope[MOST_SPACE] = {0};
        for (int64_t c = 0; c < k.C; c++) {
            const int64_t plane = b * k.C + c;
            const double gy = tsr_load_f64(g->dtype, g->data, plane * k.out + p);
            for (int i = 0; i < n; i++) {
                const int64_t at = plane * k.in + list[i].pixel;
                const double v = gy * tsr_load_f64(x->dtype, x->data, at);
                if (ctx->want_gin[0]) add(&ctx->gin[0], at, gy * list[i].weight);
                for (int d = 0; d < k.r; d++) slope[d] += v * list[i].slope[d];
            }
        }
        for (int d = 0; ctx->want_gin[1] && d < k.r; d++) add(&ctx->gin[1], row * k.r + k.r - 1 - d, slope[d]);
    }
    return TSR_OK;
}

const struct tsr_op tsr_ops_grid[] = {
    {"AffineGrid", "", TSR_OP_DYNAMIC | TSR_OP_WIDEN, 2, 2, 1, NULL, affine_forward, tsr_tape_backward, 0},
    {"GridSample", "", TSR_OP_WIDEN, 2, 2, 1, infer, forward, backward, 0},
    {"GridSample", "com.microsoft", TSR_OP_WIDEN, 2, 2, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_grid = sizeof tsr_ops_grid / sizeof *tsr_ops_grid;
