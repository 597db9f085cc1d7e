/* roi.c - RoiAlign (He et al. 2017) and MaxRoiPool (Girshick 2015): features of regions of an image. */
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"

#include <math.h>
#include <string.h>

struct roi {
    int64_t R, C, H, W, ph, pw; /* regions; channels, size of the image; size of the output */
    int columns;                /* of a region: 4, or 5 with the sample first */
    double scale;
    bool max, half_pixel;
    int64_t samples; /* in each direction of a bin; 0: as many as pixels */
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct roi *r, bool align)
{
    const struct tsr_node *node = ctx->node;
    for (int i = 0; i < 2; i++) TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype) & TSR_MASK_REAL));
    const struct tsr_shape *x = &ctx->in[0]->shape, *s = &ctx->in[1]->shape;
    *r = (struct roi){.columns = align ? 4 : 5, .scale = (double)tsr_node_float(node, "spatial_scale", 1)};
    if (x->rank != 4 || s->rank != 2 || s->dim[1] != r->columns)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must have 4 dimensions, and a region %d numbers", r->columns);
    r->R = s->dim[0], r->C = x->dim[1], r->H = x->dim[2], r->W = x->dim[3];
    if (align) {
        const char *mode = tsr_node_string(node, "mode", "avg");
        r->max = strcmp(mode, "max") == 0;
        const char *how = tsr_node_string(node, "coordinate_transformation_mode",
                                          node->opset >= 16 ? "half_pixel" : "output_half_pixel");
        r->half_pixel = strcmp(how, "half_pixel") == 0;
        r->ph = tsr_node_int(node, "output_height", 1);
        r->pw = tsr_node_int(node, "output_width", 1);
        r->samples = tsr_node_int(node, "sampling_ratio", 0);
        TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(TSR_I64)));
        if (ctx->in[2]->shape.rank != 1 || ctx->in[2]->shape.dim[0] != r->R)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "batch_indices must name a sample for each region");
    } else {
        size_t n;
        const int64_t *size = tsr_node_ints(node, "pooled_shape", &n);
        if (!size || n != 2) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'pooled_shape' must have two numbers");
        r->ph = size[0], r->pw = size[1];
    }
    const struct tsr_shape y = {4, {r->R, r->C, r->ph, r->pw}};
    if (r->ph < 1 || r->pw < 1 || r->samples < 0 || r->samples > 1024 || tsr_shape_count(&y) < 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the output or the sampling ratio has an impossible size");
    if (r->H < 1 || r->W < 1) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the image has no pixels");
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx, bool align)
{
    struct roi r;
    TSR_TRY(describe(ctx, &r, align));
    const struct tsr_shape y = {4, {r.R, r.C, r.ph, r.pw}};
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &y);
    return TSR_OK;
}

static double number(const struct tsr_tensor *t, int64_t i) { return tsr_load_f64(t->dtype, t->data, i); }

static enum tsr_status sample_of(struct tsr_op_ctx *ctx, int64_t b, int64_t *out)
{
    if (b < 0 || b >= ctx->in[0]->shape.dim[0])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "a region lies in sample %lld of %lld", (long long)b,
                           (long long)ctx->in[0]->shape.dim[0]);
    *out = b;
    return TSR_OK;
}

/* ---- RoiAlign ---- */

/* The four pixels around a place, with weights that add up to one; none (all zero) outside. */
struct corners {
    int64_t at[4];
    double weight[4];
};

static struct corners around(const struct roi *r, double y, double x)
{
    struct corners c = {{0}, {0}};
    if (!(y >= -1 && y <= (double)r->H && x >= -1 && x <= (double)r->W)) return c;
    y = y < 0 ? 0 : y > (double)(r->H - 1) ? (double)(r->H - 1) : y;
    x = x < 0 ? 0 : x > (double)(r->W - 1) ? (double)(r->W - 1) : x;
    const int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + (y0 < r->H - 1), x1 = x0 + (x0 < r->W - 1);
    const double ly = y - (double)y0, lx = x - (double)x0;
    return (struct corners){{y0 * r->W + x0, y0 * r->W + x1, y1 * r->W + x0, y1 * r->W + x1},
                            {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx}};
}

/* A region in pixels and how densely its bins are sampled. */
struct region {
    int64_t sample;
    double y, x, bin_h, bin_w;
    int64_t grid_h, grid_w;
};

static enum tsr_status read_region(struct tsr_op_ctx *ctx, const struct roi *r, int64_t k, struct region *g)
{
    const double offset = r->half_pixel ? 0.5 : 0, limit = 1e6;
    double v[4];
    for (int i = 0; i < 4; i++) {
        v[i] = number(ctx->in[1], 4 * k + i) * r->scale - offset;
        if (!(fabs(v[i]) <= limit)) return tsr_op_fail(ctx, TSR_E_NUMERIC, "region %lld has no reasonable place", (long long)k);
    }
    double w = v[2] - v[0], h = v[3] - v[1];
    if (!r->half_pixel) w = w > 1 ? w : 1, h = h > 1 ? h : 1;
    TSR_TRY(sample_of(ctx, tsr_load_i64(TSR_I64, ctx->in[2]->data, k), &g->sample));
    *g = (struct region){g->sample, v[1], v[0], h / (double)r->ph, w / (double)r->pw, r->samples, r->samples};
    if (r->samples == 0) g->grid_h = (int64_t)ceil(g->bin_h), g->grid_w = (int64_t)ceil(g->bin_w);
    if (g->grid_h < 0) g->grid_h = 0;
    if (g->grid_w < 0) g->grid_w = 0;
    return TSR_OK;
}

/* Of one bin and channel: the mean over the sampled places, or the largest product of a pixel and its
 * weight. With gx the gradient gy goes to the pixels instead. */
static double align_bin(const struct roi *r, const struct region *g, const struct tsr_tensor *x, int64_t plane, int64_t bin,
                        double gy, struct tsr_tensor *gx)
{
    const double y0 = g->y + (double)(bin / r->pw) * g->bin_h, x0 = g->x + (double)(bin % r->pw) * g->bin_w;
    const double count = g->grid_h * g->grid_w > 0 ? (double)(g->grid_h * g->grid_w) : 1;
    double sum = 0, top = 0, top_weight = 0;
    int64_t top_at = -1;
    for (int64_t i = 0; i < g->grid_h * g->grid_w; i++) {
        const double y = y0 + ((double)(i / g->grid_w) + 0.5) * g->bin_h / (double)g->grid_h;
        const struct corners c = around(r, y, x0 + ((double)(i % g->grid_w) + 0.5) * g->bin_w / (double)g->grid_w);
        for (int k = 0; k < 4; k++) {
            const int64_t at = plane * r->H * r->W + c.at[k];
            const double v = c.weight[k] * number(x, at);
            sum += v;
            if (top_at < 0 || v > top) top = v, top_at = at, top_weight = c.weight[k];
            if (gx && !r->max) tsr_store_f64(gx->dtype, gx->data, at, number(gx, at) + gy * c.weight[k] / count);
        }
    }
    if (gx && r->max && top_at >= 0) tsr_store_f64(gx->dtype, gx->data, top_at, number(gx, top_at) + gy * top_weight);
    return r->max ? top : sum / count;
}

static enum tsr_status align_run(struct tsr_op_ctx *ctx, struct tsr_tensor *y, const struct tsr_tensor *gy, struct tsr_tensor *gx)
{
    struct roi r;
    TSR_TRY(describe(ctx, &r, true));
    for (int64_t k = 0; k < r.R; k++) {
        struct region g;
        TSR_TRY(read_region(ctx, &r, k, &g));
        for (int64_t c = 0; c < r.C; c++)
            for (int64_t bin = 0; bin < r.ph * r.pw; bin++) {
                const int64_t at = (k * r.C + c) * r.ph * r.pw + bin;
                const double v = align_bin(&r, &g, ctx->in[0], g.sample * r.C + c, bin, gy ? number(gy, at) : 0, gx);
                if (y) tsr_store_f64(y->dtype, y->data, at, v);
            }
    }
    return TSR_OK;
}

/* ---- MaxRoiPool ---- */

static int64_t clip(double v, int64_t hi) { return v < 0 ? 0 : v > (double)hi ? hi : (int64_t)v; }

/* The pixel of a plane that is largest in a bin; -1: the bin is empty. */
static int64_t pool_bin(const struct roi *r, const struct tsr_tensor *x, int64_t plane, const double *corner, int64_t bin)
{
    const double h = fmax(corner[3] - corner[1] + 1, 1) / (double)r->ph, w = fmax(corner[2] - corner[0] + 1, 1) / (double)r->pw;
    const double row = (double)(bin / r->pw), column = (double)(bin % r->pw);
    const int64_t y0 = clip(floor(row * h) + corner[1], r->H), y1 = clip(ceil((row + 1) * h) + corner[1], r->H);
    const int64_t x0 = clip(floor(column * w) + corner[0], r->W), x1 = clip(ceil((column + 1) * w) + corner[0], r->W);
    int64_t top = -1;
    for (int64_t y = y0; y < y1; y++)
        for (int64_t i = x0; i < x1; i++) {
            const int64_t at = (plane * r->H + y) * r->W + i;
            if (top < 0 || number(x, at) > number(x, top)) top = at;
        }
    return top;
}

static enum tsr_status pool_run(struct tsr_op_ctx *ctx, struct tsr_tensor *y, const struct tsr_tensor *gy, struct tsr_tensor *gx)
{
    struct roi r;
    TSR_TRY(describe(ctx, &r, false));
    for (int64_t k = 0; k < r.R; k++) {
        double corner[4];
        int64_t sample = 0;
        const double b = number(ctx->in[1], 5 * k);
        TSR_TRY(sample_of(ctx, b >= 0 && b < 1e9 ? (int64_t)b : -1, &sample));
        for (int i = 0; i < 4; i++) {
            corner[i] = round(number(ctx->in[1], 5 * k + 1 + i) * r.scale);
            if (!(fabs(corner[i]) <= 1e9))
                return tsr_op_fail(ctx, TSR_E_NUMERIC, "region %lld has no reasonable place", (long long)k);
        }
        for (int64_t c = 0; c < r.C; c++)
            for (int64_t bin = 0; bin < r.ph * r.pw; bin++) {
                const int64_t at = (k * r.C + c) * r.ph * r.pw + bin, top = pool_bin(&r, ctx->in[0], sample * r.C + c, corner, bin);
                if (y) tsr_store_f64(y->dtype, y->data, at, top < 0 ? 0 : number(ctx->in[0], top));
                if (gx && top >= 0) tsr_store_f64(gx->dtype, gx->data, top, number(gx, top) + number(gy, at));
            }
    }
    return TSR_OK;
}

/* ---- both ---- */

/* Regions are data: they get no gradient. */
static enum tsr_status back(struct tsr_op_ctx *ctx,
                            enum tsr_status (*run)(struct tsr_op_ctx *, struct tsr_tensor *, const struct tsr_tensor *,
                                                   struct tsr_tensor *))
{
    for (int i = 0; i < 2; i++)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    return ctx->gout[0] && ctx->want_gin[0] ? run(ctx, NULL, ctx->gout[0], &ctx->gin[0]) : TSR_OK;
}

static enum tsr_status align_infer(struct tsr_op_ctx *ctx) { return infer(ctx, true); }
static enum tsr_status align_forward(struct tsr_op_ctx *ctx) { return align_run(ctx, &ctx->out[0], NULL, NULL); }
static enum tsr_status align_backward(struct tsr_op_ctx *ctx) { return back(ctx, align_run); }
static enum tsr_status pool_infer(struct tsr_op_ctx *ctx) { return infer(ctx, false); }
static enum tsr_status pool_forward(struct tsr_op_ctx *ctx) { return pool_run(ctx, &ctx->out[0], NULL, NULL); }
static enum tsr_status pool_backward(struct tsr_op_ctx *ctx) { return back(ctx, pool_run); }

const struct tsr_op tsr_ops_roi[] = {
    {"MaxRoiPool", "", TSR_OP_WIDEN, 2, 2, 1, pool_infer, pool_forward, pool_backward, 0},
    {"RoiAlign", "", TSR_OP_WIDEN, 3, 3, 1, align_infer, align_forward, align_backward, 0},
};
const size_t tsr_n_ops_roi = sizeof tsr_ops_roi / sizeof *tsr_ops_roi;
