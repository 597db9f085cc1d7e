/* conv_last.c - tessera.Conv: a convolution over channels-last tensors, with what follows it. */
#include "ops/conv_last.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"
#include "tensor/filter.h"
#include "tensor/vmath.h"

enum { IN_X, IN_W, IN_B, IN_R };

#define REAL float
#define R(name) name##_f32
#include "ops/conv_last_plain.h"
#undef REAL
#undef R
#define REAL double
#define R(name) name##_f64
#include "ops/conv_last_plain.h"
#undef REAL
#undef R

struct described {
    struct tsr_conv_last v;
    struct tsr_shape sums, y; /* without and with the margin */
};

static enum tsr_status read_activation(struct tsr_op_ctx *ctx, struct tsr_conv_last *v)
{
    static const struct {
        const char *name;
        enum tsr_end act;
    } known[] = {{"", TSR_END_NONE}, {"Relu", TSR_END_RELU}, {"Clip", TSR_END_CLAMP}, {"HardSwish", TSR_END_HARDSWISH},
                 {"Gelu", TSR_END_GELU}};
    const char *name = tsr_node_string(ctx->node, "activation", "");
    v->low = tsr_node_float(ctx->node, "low", -INFINITY);
    v->high = tsr_node_float(ctx->node, "high", INFINITY);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            v->act = known[i].act;
            return TSR_OK;
        }
    return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the activation '%.40s' is not known", name);
}

/* X as [n, c, in...], whatever its layout. */
static struct tsr_shape channels_first(const struct tsr_shape *x, bool first)
{
    return first ? *x : tsr_window_channels_first(x);
}

static enum tsr_status need_inputs(struct tsr_op_ctx *ctx)
{
    char tx[TSR_SHAPE_TEXT], tw[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, IN_X, TSR_MASK_REAL));
    for (int i = 1; i < ctx->node->n_in; i++)
        if (ctx->in[i] != NULL) TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
    if (ctx->node->n_in < 2 || ctx->in[IN_W] == NULL) return tsr_op_fail(ctx, TSR_E_CORRUPT, "input 1 is missing");
    const struct tsr_shape *x = &ctx->in[IN_X]->shape, *w = &ctx->in[IN_W]->shape;
    if (x->rank != w->rank || x->rank < 3 || x->rank > 4)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X %s and W %s must both have 3 or 4 dimensions", tsr_shape_text(x, tx, sizeof tx),
                           tsr_shape_text(w, tw, sizeof tw));
    return TSR_OK;
}

static enum tsr_status read_margin(struct tsr_op_ctx *ctx, struct described *d)
{
    size_t n;
    const int rank = d->v.w.rank;
    const int64_t *v = tsr_node_ints(ctx->node, "margin", &n);
    if (v == NULL) return TSR_OK;
    if (n != 2 * (size_t)rank) return tsr_op_fail(ctx, TSR_E_CORRUPT, "margin has %zu values for %d dimensions", n, rank);
    for (int k = 0; k < rank; k++)
        for (int end = 0; end < 2; end++) {
            const int64_t more = v[end * rank + k];
            if (more < 0 || more > INT32_MAX) return tsr_op_fail(ctx, TSR_E_CORRUPT, "margin holds %" PRId64, more);
            d->v.margin[2 - rank + k][end] = more;
            d->y.dim[1 + k] += more;
        }
    return TSR_OK;
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct described *d)
{
    char tx[TSR_SHAPE_TEXT], tw[TSR_SHAPE_TEXT];
    struct tsr_conv_last *v = &d->v;
    memset(d, 0, sizeof *d);
    TSR_TRY(need_inputs(ctx));
    TSR_TRY(read_activation(ctx, v));
    v->first = tsr_node_int(ctx->node, "first", 0) != 0;
    v->groups = tsr_node_int(ctx->node, "group", 1);
    const struct tsr_shape x = channels_first(&ctx->in[IN_X]->shape, v->first), *w = &ctx->in[IN_W]->shape;
    if (v->groups < 1 || x.dim[1] % v->groups != 0 || w->dim[0] % v->groups != 0 || w->dim[1] != x.dim[1] / v->groups)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X %s and W %s do not fit together in %" PRId64 " groups",
                           tsr_shape_text(&ctx->in[IN_X]->shape, tx, sizeof tx), tsr_shape_text(w, tw, sizeof tw), v->groups);
    TSR_TRY(tsr_window_init(ctx, &x, &w->dim[2], &v->w));
    v->m = w->dim[0], v->mg = v->m / v->groups, v->cg = w->dim[1];
    d->sums = (struct tsr_shape){.rank = x.rank, .dim = {v->w.n}};
    for (int i = 2; i < x.rank; i++) d->sums.dim[i - 1] = v->w.out[3 - v->w.rank + i - 2];
    d->sums.dim[x.rank - 1] = v->m;
    d->y = d->sums;
    TSR_TRY(read_margin(ctx, d));
    const struct tsr_tensor *b = tsr_arg_in(ctx, IN_B), *r = tsr_arg_in(ctx, IN_R);
    if (b != NULL && (b->shape.rank != 1 || b->shape.dim[0] != v->m))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the bias has shape %s, not [%" PRId64 "]", tsr_shape_text(&b->shape, tx, sizeof tx), v->m);
    if (r != NULL && (!tsr_shape_equal(&r->shape, &d->sums) || !tsr_shape_equal(&d->sums, &d->y)))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the residual has shape %s, not %s, or there is a margin",
                           tsr_shape_text(&r->shape, tx, sizeof tx), tsr_shape_text(&d->sums, tw, sizeof tw));
    v->x = ctx->in[IN_X]->data, v->weight = ctx->in[IN_W]->data;
    v->bias = b != NULL ? b->data : NULL, v->add = r != NULL ? r->data : NULL;
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct described d;
    TSR_TRY(describe(ctx, &d));
    tsr_op_set(ctx, 0, ctx->in[IN_X]->dtype, &d.y);
    return TSR_OK;
}

/* ---- packing -------------------------------------------------------------------------------- */

int64_t tsr_conv_last_pack_size(const struct tsr_conv_last *v)
{
    const int64_t taps = v->w.kernel_size;
    return tsr_conv_last_is_filter(v) ? tsr_filter_room(v->m) * taps : v->groups * tsr_panels_size(v->cg * taps, v->mg);
}

/* Filters: [tap][channel]; else the matrices [tap][channel] by [output] of the groups. */
void tsr_conv_last_pack(const struct tsr_conv_last *v, float *to, float *work)
{
    const float *weight = v->weight;
    const int64_t taps = v->w.kernel_size, room = tsr_filter_room(v->m);
    if (tsr_conv_last_is_filter(v)) {
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = 0; c < room; c++) to[t * room + c] = c < v->m ? weight[c * taps + t] : 0;
        return;
    }
    const int64_t k = v->cg * taps;
    for (int64_t g = 0; g < v->groups; g++) {
        struct tsr_panels p;
        const float *from = weight + g * v->mg * k;
        for (int64_t m = 0; taps > 1 && m < v->mg; m++)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t c = 0; c < v->cg; c++) work[m * k + t * v->cg + c] = from[m * k + c * taps + t];
        tsr_panels_pack(&p, true, k, v->mg, taps > 1 ? work : from, k, TSR_PANELS_MANY, to + g * tsr_panels_size(k, v->mg));
    }
}

/* ---- fast kernels over packed weights ------------------------------------------------------- */

struct packed {
    const char *kernel; /* the weights are packed for */
    _Alignas(64) float data[];
};

/* The packed weights: kept where the weights are the same in every run, else *own, to be freed by the
 * caller with its *bytes. NULL: short of memory. */
static const float *packed_weights(struct tsr_op_ctx *ctx, const struct tsr_conv_last *v, void **own, size_t *bytes)
{
    struct packed *kept = *ctx->state;
    *own = NULL;
    if (kept != NULL && ctx->constant != NULL && ctx->constant[IN_W] && kept->kernel == tsr_gemm_kernel()) return kept->data;
    const size_t pack = (size_t)tsr_conv_last_pack_size(v) * sizeof(float), work = (size_t)(v->m * v->cg * v->w.kernel_size) * sizeof(float);
    float *turned = tsr_op_scratch(ctx, work), *to = NULL;
    if (turned == NULL) return NULL;
    kept = tsr_op_keep(ctx, IN_W, sizeof *kept + pack);
    if (kept != NULL) {
        kept->kernel = tsr_gemm_kernel();
        to = kept->data;
    } else {
        *bytes = pack;
        to = *own = tsr_op_scratch(ctx, pack);
    }
    if (to != NULL) tsr_conv_last_pack(v, to, turned);
    tsr_op_scratch_free(ctx, turned, work);
    return to;
}

static enum tsr_status fast_sums(struct tsr_op_ctx *ctx, const struct tsr_conv_last *v)
{
    void *own;
    size_t bytes = 0;
    const float *packed = packed_weights(ctx, v, &own, &bytes);
    if (packed == NULL) return tsr_nomem(ctx->err, (size_t)tsr_conv_last_pack_size(v) * sizeof(float));
    enum tsr_status status = tsr_conv_last_fast(ctx, v, packed);
    tsr_op_scratch_free(ctx, own, bytes);
    return status;
}

/* ---- what follows the sums, where no kernel has done it ------------------------------------- */

static double activated(const struct tsr_conv_last *v, double x)
{
    switch (v->act) {
    case TSR_END_RELU: return x < 0 ? 0 : x;
    case TSR_END_CLAMP: return x < (double)v->low ? (double)v->low : x > (double)v->high ? (double)v->high : x;
    case TSR_END_HARDSWISH: return x * fmax(0, fmin(1, x / 6 + 0.5));
    case TSR_END_GELU: return x * 0.5 * erfc(-x * 0.70710678118654752440);
    default: return x;
    }
}

static double slope(const struct tsr_conv_last *v, double x)
{
    switch (v->act) {
    case TSR_END_RELU: return x > 0;
    case TSR_END_CLAMP: return x > (double)v->low && x < (double)v->high;
    case TSR_END_HARDSWISH: return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    case TSR_END_GELU: return 0.5 * erfc(-x * 0.70710678118654752440) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
    default: return 1;
    }
}

/* Where the i-th sum is in Y. */
static int64_t place(const struct tsr_conv_last *v, int64_t i)
{
    const int64_t line = v->w.out[2] * v->m, row = i / line;
    return row / v->w.out[1] * tsr_conv_last_image(v) + tsr_conv_last_start(v) + row % v->w.out[1] * tsr_conv_last_row(v) + i % line;
}

/* Y, or where not `act` the sums with bias and residual, into `to`. */
static enum tsr_status outputs(struct tsr_op_ctx *ctx, const struct described *d, bool act, void *to)
{
    const enum tsr_dtype type = ctx->in[IN_X]->dtype;
    struct tsr_conv_last v = d->v;
    v.y = to;
    if (!act) v.act = TSR_END_NONE;
    if (type == TSR_F32 && tsr_tensor_count(ctx->in[IN_X]) > 0) return fast_sums(ctx, &v);
    const size_t bytes = tsr_dtype_bytes(type, tsr_shape_count(&d->sums));
    void *sums = tsr_op_scratch(ctx, bytes);
    if (sums == NULL) return tsr_nomem(ctx->err, bytes);
    if (type == TSR_F32) plain_sums_f32(&v, sums);
    else plain_sums_f64(&v, sums);
    memset(to, 0, tsr_dtype_bytes(type, tsr_shape_count(&d->y)));
    for (int64_t i = 0; i < tsr_shape_count(&d->sums); i++) {
        double x = tsr_load_f64(type, sums, i) + (v.add != NULL ? tsr_load_f64(type, v.add, i) : 0);
        tsr_store_f64(type, to, place(&v, i), activated(&v, x));
    }
    tsr_op_scratch_free(ctx, sums, bytes);
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct described d;
    TSR_TRY(describe(ctx, &d));
    if (tsr_shape_count(&d.sums) > 0) return outputs(ctx, &d, true, ctx->out[0].data);
    if (tsr_shape_count(&d.y) > 0) memset(ctx->out[0].data, 0, tsr_tensor_bytes(&ctx->out[0]));
    return TSR_OK;
}

/* ---- backward ------------------------------------------------------------------------------- */

/* The gradient of the sums, before the activation and without the margin, into g. Relu and Clip tell their
 * slope by Y; for the others the sums are computed again. */
static enum tsr_status before_activation(struct tsr_op_ctx *ctx, const struct described *d, void *g)
{
    const enum tsr_dtype type = ctx->in[IN_X]->dtype;
    const struct tsr_conv_last *v = &d->v;
    const void *dy = ctx->gout[0]->data, *z = ctx->out[0].data;
    const size_t bytes = tsr_dtype_bytes(type, tsr_shape_count(&d->y));
    void *again = NULL;
    if (v->act == TSR_END_HARDSWISH || v->act == TSR_END_GELU) {
        z = again = tsr_op_scratch(ctx, bytes);
        if (again == NULL) return tsr_nomem(ctx->err, bytes);
        enum tsr_status status = outputs(ctx, d, false, again);
        if (status != TSR_OK) {
            tsr_op_scratch_free(ctx, again, bytes);
            return status;
        }
    }
    for (int64_t i = 0; i < tsr_shape_count(&d->sums); i++) {
        const int64_t at = place(v, i);
        tsr_store_f64(type, g, i, slope(v, tsr_load_f64(type, z, at)) * tsr_load_f64(type, dy, at));
    }
    tsr_op_scratch_free(ctx, again, bytes);
    return TSR_OK;
}

static void *wanted(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_in && ctx->in[i] != NULL && ctx->want_gin[i] ? ctx->gin[i].data : NULL;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct described d;
    TSR_TRY(describe(ctx, &d));
    bool none = ctx->gout[0] == NULL || tsr_shape_count(&d.sums) == 0;
    for (int i = 0; none && i < ctx->node->n_in; i++)
        if (wanted(ctx, i) != NULL) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (none) return TSR_OK;
    const size_t bytes = tsr_dtype_bytes(ctx->in[IN_X]->dtype, tsr_shape_count(&d.sums));
    void *g = tsr_op_scratch(ctx, bytes);
    if (g == NULL) return tsr_nomem(ctx->err, bytes);
    enum tsr_status status = before_activation(ctx, &d, g);
    if (status == TSR_OK) {
        void *dx = wanted(ctx, IN_X), *dw = wanted(ctx, IN_W), *db = wanted(ctx, IN_B), *dr = wanted(ctx, IN_R);
        if (ctx->in[IN_X]->dtype == TSR_F32) plain_gradients_f32(&d.v, g, dx, dw, db);
        else plain_gradients_f64(&d.v, g, dx, dw, db);
        if (dr != NULL) memcpy(dr, g, tsr_tensor_bytes(&ctx->gin[IN_R]));
    }
    tsr_op_scratch_free(ctx, g, bytes);
    return status;
}

const struct tsr_op tsr_ops_conv_last[] = {
    {"Conv", "tessera", TSR_OP_WIDEN | TSR_OP_SAMPLES, 2, 4, 1, infer, forward, backward, 6},
};
const size_t tsr_n_ops_conv_last = sizeof tsr_ops_conv_last / sizeof tsr_ops_conv_last[0];
