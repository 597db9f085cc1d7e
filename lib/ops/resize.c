/* resize.c - Resize and Upsample. Every mode is separable: along each axis an output place is a
 * weighted sum of input places, so the tensor goes through one small sparse matrix per axis, and its
 * gradient through the transposed ones. Formulas: the ONNX operator specification. */
#include "base/clones.h"
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"
#include "ops/par.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct axis {
    bool on;          /* resized at all */
    int64_t in, out;
    double scale;     /* out / in as the node says it */
    double from, to;  /* the region of interest, of tf_crop_and_resize */
};

struct setup {
    int rank;
    struct axis axis[TSR_MAX_RANK];
};

/* ---- what the node asks for ---- */

/* k floats of input i; *n = -1 where it is absent or empty. */
static enum tsr_status floats(struct tsr_op_ctx *ctx, int i, double *v, int max, int *n)
{
    const struct tsr_tensor *t = tsr_arg_in(ctx, i);
    *n = -1;
    if (!t || tsr_tensor_count(t) == 0) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_FLOAT));
    int64_t k = tsr_tensor_count(t);
    if (k > max) return tsr_op_fail(ctx, TSR_E_CORRUPT, "input %d has %" PRId64 " numbers, at most %d make sense", i, k, max);
    tsr_convert(TSR_F64, v, t->dtype, t->data, k);
    *n = (int)k;
    return TSR_OK;
}

/* Sizes from scales. */
static enum tsr_status by_scales(struct tsr_op_ctx *ctx, struct setup *s, const int *place, int k, const double *scale)
{
    for (int i = 0; i < k; i++) {
        struct axis *a = &s->axis[place[i]];
        double out = floor((double)((float)a->in * (float)scale[i])); /* as every runtime multiplies: 10 * 0.7 is 7 */
        if (!(scale[i] > 0) || !(out < 0x1p40)) return tsr_op_fail(ctx, TSR_E_CORRUPT, "a scale of %g is impossible", scale[i]);
        a->scale = scale[i];
        a->out = (int64_t)out;
        a->on = scale[i] != 1;
    }
    return TSR_OK;
}

/* Scales from sizes; the policies other than "stretch" keep one scale for all axes. */
static enum tsr_status by_sizes(struct tsr_op_ctx *ctx, struct setup *s, const int *place, int k, const int64_t *size)
{
    const char *policy = tsr_node_string(ctx->node, "keep_aspect_ratio_policy", "stretch");
    bool larger = strcmp(policy, "not_smaller") == 0, one = larger || strcmp(policy, "not_larger") == 0;
    double common = larger ? 0 : INFINITY;
    for (int i = 0; i < k; i++) {
        struct axis *a = &s->axis[place[i]];
        if (size[i] < 0 || (a->in == 0 && size[i] > 0)) return tsr_op_fail(ctx, TSR_E_CORRUPT, "a size of %" PRId64 " is impossible", size[i]);
        a->out = size[i];
        a->scale = a->in ? (double)size[i] / (double)a->in : 1;
        common = larger ? fmax(common, a->scale) : fmin(common, a->scale);
    }
    for (int i = 0; i < k; i++) {
        struct axis *a = &s->axis[place[i]];
        if (one) {
            a->scale = common;
            a->out = (int64_t)floor(common * (double)a->in + 0.5);
        }
        a->on = a->out != a->in;
    }
    return TSR_OK;
}

static enum tsr_status get_setup(struct tsr_op_ctx *ctx, struct setup *s)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    bool upsample = strcmp(ctx->node->op_type, "Upsample") == 0;
    int opset = ctx->node->opset, place[TSR_MAX_RANK], n_axes = -1, n_scale = -1, n_size = -1, n_roi = -1, k = x->rank;
    int at = upsample || opset < 11 ? 1 : 2; /* the input with the scales */
    double scale[TSR_MAX_RANK], roi[2 * TSR_MAX_RANK];
    int64_t size[TSR_MAX_RANK], axes[TSR_MAX_RANK];
    bool seen[TSR_MAX_RANK] = {false};
    *s = (struct setup){.rank = x->rank};
    for (int i = 0; i < x->rank; i++) {
        s->axis[i] = (struct axis){.in = x->dim[i], .out = x->dim[i], .scale = 1, .from = 0, .to = 1};
        place[i] = i;
    }
    if (!upsample && opset >= 18) TSR_TRY(tsr_arg_ints(ctx, "axes", -1, axes, TSR_MAX_RANK, &n_axes));
    for (int i = 0; i < n_axes; i++) {
        TSR_TRY(tsr_op_axis(ctx, axes[i], x->rank, &place[i]));
        if (seen[place[i]]) return tsr_op_fail(ctx, TSR_E_CORRUPT, "axis %d is named twice", place[i]);
        seen[place[i]] = true;
    }
    if (n_axes >= 0) k = n_axes;
    size_t n;
    const float *attr = upsample && opset < 9 ? tsr_node_floats(ctx->node, "scales", &n) : NULL;
    if (attr) {
        if (n > TSR_MAX_RANK) return tsr_op_fail(ctx, TSR_E_CORRUPT, "%zu scales are too many", n);
        n_scale = (int)n;
        for (int i = 0; i < n_scale; i++) scale[i] = (double)attr[i];
    } else TSR_TRY(floats(ctx, at, scale, TSR_MAX_RANK, &n_scale));
    if (at == 2) TSR_TRY(tsr_arg_ints(ctx, NULL, 3, size, TSR_MAX_RANK, &n_size));
    if (n_size == 0) n_size = -1;
    if ((n_scale >= 0) == (n_size >= 0)) return tsr_op_fail(ctx, TSR_E_CORRUPT, "either scales or sizes must be given");
    if ((n_scale >= 0 ? n_scale : n_size) != k)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%d scales or sizes for %d dimensions", n_scale >= 0 ? n_scale : n_size, k);
    if (strcmp(tsr_node_string(ctx->node, "coordinate_transformation_mode", ""), "tf_crop_and_resize") == 0 && at == 2) {
        TSR_TRY(floats(ctx, 1, roi, 2 * TSR_MAX_RANK, &n_roi));
        if (n_roi != 2 * k) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the region of interest needs %d numbers", 2 * k);
        for (int i = 0; i < k; i++) s->axis[place[i]].from = roi[i], s->axis[place[i]].to = roi[i + k];
    }
    TSR_TRY(n_scale >= 0 ? by_scales(ctx, s, place, k, scale) : by_sizes(ctx, s, place, k, size));
    for (int i = 0; n_roi >= 0 && i < k; i++) s->axis[place[i]].on = true;
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    static const char *const mode[] = {"nearest", "linear", "bilinear", "trilinear", "cubic"};
    const char *m = tsr_node_string(ctx->node, "mode", "nearest");
    struct setup s;
    bool known = false;
    for (size_t i = 0; i < sizeof mode / sizeof *mode; i++) known |= strcmp(m, mode[i]) == 0;
    if (!known) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the mode '%.20s' is unknown", m);
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL | TSR_MASK_INT | TSR_MASK(TSR_BOOL)));
    TSR_TRY(get_setup(ctx, &s));
    struct tsr_shape y = {.rank = s.rank};
    for (int i = 0; i < s.rank; i++) {
        y.dim[i] = s.axis[i].out;
        if (s.axis[i].out > 0 && s.axis[i].in == 0) return tsr_op_fail(ctx, TSR_E_MISMATCH, "dimension %d is empty", i);
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &y);
    return TSR_OK;
}

/* ---- the weights of one axis ---- */

struct table {
    int64_t taps;  /* of each output place */
    int64_t *at;   /* [out * taps] input places */
    double *w;     /* [out * taps] */
    float *single; /* the same in single precision */
    bool *outside; /* [out] the extrapolation value goes there */
};

/* The nearest place is found in single precision, as everywhere: 17 / 1.7 is 10. */
static double rounded(bool single, double x) { return single ? (double)(float)x : x; }

/* The place in the input that output place i looks at. */
static double original(const char *mode, const struct axis *a, int64_t i, bool single)
{
    const double x = (double)i, len = (double)a->in, scale = rounded(single, a->scale), out = rounded(single, scale * len);
    const double middle = rounded(single, rounded(single, (x + 0.5) / scale) - 0.5);
    if (strcmp(mode, "asymmetric") == 0) return rounded(single, x / scale);
    if (strcmp(mode, "tf_half_pixel_for_nn") == 0) return rounded(single, (x + 0.5) / scale);
    if (strcmp(mode, "align_corners") == 0) return out == 1 ? 0 : rounded(single, rounded(single, x * (len - 1)) / (out - 1));
    if (strcmp(mode, "pytorch_half_pixel") == 0) return out == 1 ? 0 : middle;
    if (strcmp(mode, "tf_crop_and_resize") == 0)
        return a->out > 1 ? a->from * (len - 1) + x * (a->to - a->from) * (len - 1) / (out - 1) : 0.5 * (a->from + a->to) * (len - 1);
    if (strcmp(mode, "half_pixel_symmetric") == 0) return rounded(single, len / 2 * (1 - (double)a->out / out) + middle);
    return middle;
}

static double round_place(const char *mode, double x)
{
    if (strcmp(mode, "floor") == 0) return floor(x);
    if (strcmp(mode, "ceil") == 0) return ceil(x);
    if (strcmp(mode, "round_prefer_ceil") == 0) return floor(x + 0.5);
    return ceil(x - 0.5);
}

static double kernel(bool cubic, double a, double x)
{
    x = fabs(x);
    if (!cubic) return x < 1 ? 1 - x : 0;
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

/* Fills one place of the table. */
static void taps(struct tsr_op_ctx *ctx, const struct axis *a, struct table *t, int64_t i, double x, double squeeze)
{
    const struct tsr_node *node = ctx->node;
    const char *mode = tsr_node_string(node, "mode", "nearest");
    int64_t *at = t->at + i * t->taps, last = a->in - 1;
    double *w = t->w + i * t->taps, sum = 0;
    if (mode[0] == 'n') {
        bool old = node->opset < 11;
        double r = round_place(old ? "floor" : tsr_node_string(node, "nearest_mode", "round_prefer_floor"), x);
        at[0] = r < 0 ? 0 : r > (double)last ? last : (int64_t)r;
        w[0] = 1;
        return;
    }
    bool cubic = mode[0] == 'c', drop = tsr_node_int(node, "exclude_outside", 0) != 0;
    double coeff = (double)tsr_node_float(node, "cubic_coeff_a", -0.75f), base = floor(x);
    int64_t first = 1 - t->taps / 2;
    for (int64_t k = 0; k < t->taps; k++) {
        double p = base + (double)(first + k);
        w[k] = kernel(cubic, coeff, (p - x) * squeeze);
        if (drop && (p < 0 || p > (double)last)) w[k] = 0;
        at[k] = p < 0 ? 0 : p > (double)last ? last : (int64_t)p;
        sum += w[k];
    }
    for (int64_t k = 0; k < t->taps && (drop || squeeze < 1) && sum != 0; k++) w[k] /= sum;
}

static void table_free(struct table *t)
{
    tsr_free(t->at);
    tsr_free(t->w);
    tsr_free(t->single);
    tsr_free(t->outside);
}

static enum tsr_status table_new(struct tsr_op_ctx *ctx, const struct axis *a, struct table *t)
{
    const char *mode = tsr_node_string(ctx->node, "mode", "nearest");
    const char *coord = tsr_node_string(ctx->node, "coordinate_transformation_mode", "half_pixel");
    if (ctx->node->opset < 11 || strcmp(ctx->node->op_type, "Upsample") == 0) coord = "asymmetric";
    bool crop = strcmp(coord, "tf_crop_and_resize") == 0;
    double squeeze = tsr_node_int(ctx->node, "antialias", 0) && a->scale < 1 ? a->scale : 1;
    size_t n;
    double reach = ceil((mode[0] == 'c' ? 2 : 1) / squeeze);
    *t = (struct table){.taps = mode[0] == 'n' ? 1 : 2 * (int64_t)fmin(reach, 1e6)};
    if (!tsr_mul_size((size_t)a->out, (size_t)t->taps, &n)) return tsr_nomem(ctx->err, SIZE_MAX);
    t->at = tsr_malloc(n, sizeof *t->at);
    t->w = tsr_malloc(n, sizeof *t->w);
    t->single = tsr_malloc(n, sizeof *t->single);
    t->outside = tsr_calloc((size_t)a->out, sizeof *t->outside);
    if (!t->at || !t->w || !t->single || !t->outside) {
        table_free(t);
        return tsr_nomem(ctx->err, n * sizeof *t->w);
    }
    for (int64_t i = 0; i < a->out; i++) {
        double x = original(coord, a, i, mode[0] == 'n');
        if (!(fabs(x) < 0x1p52)) x = 0;
        t->outside[i] = crop && (x < 0 || x > (double)(a->in - 1));
        taps(ctx, a, t, i, x, squeeze);
    }
    for (size_t i = 0; i < n; i++) t->single[i] = (float)t->w[i];
    return TSR_OK;
}

/* ---- passes in single precision ---- */

struct pass {
    const struct table *t;
    int64_t in, out, inner;
    const float *x;
    float *y;
};

TSR_CLONES static void weigh(int64_t n, float w, const float *x, float *y)
{
    for (int64_t j = 0; j < n; j++) y[j] = w * x[j];
}

TSR_CLONES static void weigh_two(int64_t n, float v, const float *a, float w, const float *b, float *y)
{
    for (int64_t j = 0; j < n; j++) y[j] = v * a[j] + w * b[j];
}

TSR_CLONES static void weigh_more(int64_t n, float w, const float *x, float *y)
{
    for (int64_t j = 0; j < n; j++) y[j] += w * x[j];
}

/* y[row] = sum of w x over the taps of the place that it is; a tap without weight is not looked at. */
static void resize_rows(void *arg, int64_t from, int64_t to)
{
    const struct pass *p = arg;
    for (int64_t row = from; row < to; row++) {
        const int64_t i = row % p->out, *at = p->t->at + i * p->t->taps, n = p->inner;
        const float *w = p->t->single + i * p->t->taps, *x = p->x + row / p->out * p->in * n;
        float *y = p->y + row * n;
        int64_t k = 0;
        while (k + 1 < p->t->taps && w[k] == 0) k++;
        if (w[k] == 1) memcpy(y, x + at[k] * n, (size_t)n * sizeof *y);
        else if (k + 1 < p->t->taps && w[k + 1] != 0) weigh_two(n, w[k], x + at[k] * n, w[k + 1], x + at[k + 1] * n, y), k++;
        else weigh(n, w[k], x + at[k] * n, y);
        for (k++; k < p->t->taps; k++)
            if (w[k] != 0) weigh_more(n, w[k], x + at[k] * n, y);
    }
}

/* The same where rows are single elements: a whole axis. */
static void resize_elements(void *arg, int64_t from, int64_t to)
{
    const struct pass *p = arg;
    const int64_t taps = p->t->taps;
    for (int64_t o = from; o < to; o++) {
        const float *x = p->x + o * p->in;
        float *y = p->y + o * p->out;
        if (taps == 1) {
            for (int64_t i = 0; i < p->out; i++) y[i] = x[p->t->at[i]];
            continue;
        }
        for (int64_t i = 0; i < p->out; i++) {
            const int64_t *at = p->t->at + i * taps;
            const float *w = p->t->single + i * taps;
            float sum = 0;
            for (int64_t k = 0; k < taps; k++) sum += w[k] == 0 ? 0 : w[k] * x[at[k]];
            y[i] = sum;
        }
    }
}

/* float32 without a region of interest; everything else goes through `run`, in double. */
static enum tsr_status forward_single(struct tsr_op_ctx *ctx, const struct setup *s, const struct table *tables)
{
    int64_t dim[TSR_MAX_RANK], most = 1, total = 1;
    int left = 0, turn = 0;
    for (int i = 0; i < s->rank; i++) left += s->axis[i].on, dim[i] = s->axis[i].in, total *= s->axis[i].out;
    if (total == 0) return TSR_OK;
    if (left == 0) memcpy(ctx->out[0].data, ctx->in[0]->data, tsr_tensor_bytes(&ctx->out[0]));
    for (int i = 0; i < s->rank; i++) most *= s->axis[i].in > s->axis[i].out ? s->axis[i].in : s->axis[i].out; /* run has checked it */
    const size_t bytes = left > 1 ? (size_t)most * sizeof(float) * (left > 2 ? 2 : 1) : 0;
    float *room = bytes > 0 ? tsr_op_scratch(ctx, bytes) : NULL;
    if (bytes > 0 && room == NULL) return tsr_nomem(ctx->err, bytes);
    struct pass p = {.x = ctx->in[0]->data};
    for (int i = 0; i < s->rank; i++) {
        int64_t outer = 1;
        if (!s->axis[i].on) continue;
        p.y = --left == 0 ? (float *)ctx->out[0].data : room + (turn++ % 2 ? most : 0);
        p.t = &tables[i], p.in = s->axis[i].in, p.out = s->axis[i].out, p.inner = 1;
        for (int d = 0; d < i; d++) outer *= dim[d];
        for (int d = i + 1; d < s->rank; d++) p.inner *= dim[d];
        if (p.inner == 1) tsr_par(ctx->pool, outer, tsr_par_rows(p.out * p.t->taps), resize_elements, &p);
        else tsr_par(ctx->pool, outer * p.out, tsr_par_rows(p.inner * p.t->taps), resize_rows, &p);
        dim[i] = p.out;
        p.x = p.y;
    }
    if (room != NULL) tsr_op_scratch_free(ctx, room, bytes);
    return TSR_OK;
}

/* ---- passes in double, and back ---- */

/* y[outer, out, inner] from x[outer, in, inner], or, transposed, x += from y. In double. */
static void pass(const struct table *t, int64_t outer, int64_t in, int64_t out, int64_t inner, double *x, double *y, bool back)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < out; i++) {
            double *row = y + (o * out + i) * inner;
            if (!back) memset(row, 0, (size_t)inner * sizeof *row);
            for (int64_t k = 0; k < t->taps; k++) {
                double *src = x + (o * in + t->at[i * t->taps + k]) * inner, w = t->w[i * t->taps + k];
                if (w == 0) continue;
                if (back)
                    for (int64_t j = 0; j < inner; j++) src[j] += w * row[j];
                else
                    for (int64_t j = 0; j < inner; j++) row[j] += w * src[j];
            }
        }
}

/* Sets (or clears, in backward) what lies outside the input along an axis. */
static void outside(const struct table *t, int64_t outer, int64_t out, int64_t inner, double *y, double value)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < out; i++)
            for (int64_t j = 0; t->outside[i] && j < inner; j++) y[(o * out + i) * inner + j] = value;
}

static enum tsr_status run(struct tsr_op_ctx *ctx, const struct tsr_tensor *from, struct tsr_tensor *to, bool back)
{
    struct setup s;
    TSR_TRY(get_setup(ctx, &s));
    struct table tables[TSR_MAX_RANK];
    enum tsr_status status = TSR_OK;
    int made = 0;
    for (; made < s.rank && status == TSR_OK; made++) {
        tables[made] = (struct table){0};
        if (s.axis[made].on) status = table_new(ctx, &s.axis[made], &tables[made]);
    }
    size_t most = 1, bytes = 0;
    for (int i = 0; i < s.rank && status == TSR_OK; i++) {
        int64_t d = s.axis[i].in > s.axis[i].out ? s.axis[i].in : s.axis[i].out;
        if (!tsr_mul_size(most, (size_t)d, &most) || !tsr_mul_size(most, 2 * sizeof(double), &bytes))
            status = tsr_op_fail(ctx, TSR_E_LIMIT, "the tensor is too large");
    }
    bool crop = false;
    for (int i = 0; i < made; i++)
        for (int64_t k = 0; status == TSR_OK && tables[i].outside && k < s.axis[i].out && !crop; k++) crop = tables[i].outside[k];
    const bool single = status == TSR_OK && !back && from->dtype == TSR_F32 && !crop;
    if (single) status = forward_single(ctx, &s, tables);
    double *room = status == TSR_OK && !single ? tsr_op_scratch(ctx, bytes) : NULL;
    if (status == TSR_OK && !single && !room) status = tsr_nomem(ctx->err, bytes);
    if (room) {
        double *now = room, *next = room + most;
        int64_t n = tsr_tensor_count(from), dim[TSR_MAX_RANK];
        tsr_convert(TSR_F64, now, from->dtype, from->data, n);
        for (int i = 0; i < s.rank; i++) dim[i] = back ? s.axis[i].out : s.axis[i].in;
        double value = (double)tsr_node_float(ctx->node, "extrapolation_value", 0);
        for (int turn = 0; turn < 2; turn++) /* marks come last in forward, first in backward */
            for (int i = 0; i < s.rank; i++) {
                int64_t outer = 1, inner = 1;
                if (!s.axis[i].on) continue;
                for (int d = 0; d < i; d++) outer *= dim[d];
                for (int d = i + 1; d < s.rank; d++) inner *= dim[d];
                if ((turn == 1) != back) outside(&tables[i], outer, s.axis[i].out, inner, now, back ? 0 : value);
                else {
                    if (back) memset(next, 0, (size_t)(outer * s.axis[i].in * inner) * sizeof *next);
                    pass(&tables[i], outer, s.axis[i].in, s.axis[i].out, inner, back ? next : now, back ? now : next, back);
                    dim[i] = back ? s.axis[i].in : s.axis[i].out;
                    double *t = now;
                    now = next;
                    next = t;
                }
            }
        tsr_convert(to->dtype, to->data, TSR_F64, now, tsr_tensor_count(to));
        tsr_op_scratch_free(ctx, room, bytes);
    }
    for (int i = 0; i < made; i++) table_free(&tables[i]);
    return status;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    return run(ctx, ctx->in[0], &ctx->out[0], false);
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    for (int i = 0; i < ctx->node->n_in; i++) /* regions and scales are not learnt */
        if (ctx->want_gin[i] && (i > 0 || !ctx->gout[0])) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    return ctx->want_gin[0] && ctx->gout[0] ? run(ctx, ctx->gout[0], &ctx->gin[0], true) : TSR_OK;
}

const struct tsr_op tsr_ops_resize[] = {
    {"Resize", "", TSR_OP_DATA_SHAPE | TSR_OP_WIDEN, 1, 4, 1, infer, forward, backward, 0},
    {"Upsample", "", TSR_OP_DATA_SHAPE | TSR_OP_WIDEN, 1, 2, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_resize = sizeof tsr_ops_resize / sizeof *tsr_ops_resize;
