/* qlinear_conv.c - QLinearConv and ConvInteger in one, two and three dimensions. Sums are exact modulo 2^32.
 * The plain kernel here takes what qconv.h does not: three dimensions, weights with zero points. */
#include "ops/conv_walk.h"
#include "ops/families.h"
#include "ops/qconv.h"
#include "ops/qproduct.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

enum { COLUMNS = 256 }; /* output positions gathered at a time */

struct qconv {
    struct tsr_window w;
    int64_t groups, m, mg, cg, k; /* output channels; a group's output and input channels; summed dimension */
    bool x_last, y_last; /* channels last in X, in Y */
    enum tsr_dtype type_x, type_w, out; /* out TSR_I32: the sums */
    const void *x;
    void *y;
    int32_t zero_x, zero_y;
    int32_t lo, hi;       /* of 8-bit results */
    const int32_t *bias;  /* m of them, or NULL */
    const float *factor;  /* scale_x * scale_w / scale_y: m of them */
    const int16_t *wide_w;
    int64_t pieces; /* tasks an image and group */
    char *work;
    size_t each;
};

/* Input channel c of the group as the tap reads it at output positions [j0, j1); 0 in the padding. */
static void gather(const struct qconv *v, int64_t plane, const struct tsr_tap *tap, int64_t j0, int64_t j1, int16_t *to)
{
    struct tsr_row_run u;
    for (tsr_row_run_first(&v->w, j0, j1, &u); u.n > 0; to += u.n, tsr_row_run_next(&v->w, &u)) {
        int64_t a, b, at = tsr_tap_row(&v->w, tap, &u, &a, &b);
        if (a == b) {
            memset(to, 0, (size_t)u.n * sizeof *to);
            continue;
        }
        memset(to, 0, (size_t)a * sizeof *to);
        tsr_q_widen(v->type_x, v->x, plane * v->w.in_size + at + a * v->w.stride[2], v->w.stride[2], b - a, &v->zero_x, 0,
                    to + a);
        memset(to + b, 0, (size_t)(u.n - b) * sizeof *to);
    }
}

static void conv_task(void *arg, int64_t i, int worker)
{
    const struct qconv *v = arg;
    int64_t piece = i % v->pieces, g = i / v->pieces % v->groups, n = i / v->pieces / v->groups;
    int64_t j0 = piece * COLUMNS, j1 = j0 + COLUMNS < v->w.out_size ? j0 + COLUMNS : v->w.out_size, width = j1 - j0;
    int32_t *sum = (int32_t *)(void *)(v->work + v->each * (size_t)worker);
    int16_t *column = (int16_t *)(void *)(sum + v->mg * COLUMNS);
    for (int64_t t = 0; t < v->w.kernel_size; t++) {
        struct tsr_tap tap;
        tsr_tap_init(&v->w, t, &tap);
        for (int64_t c = 0; c < v->cg; c++)
            gather(v, n * v->w.c + g * v->cg + c, &tap, j0, j1, column + (c * v->w.kernel_size + t) * width);
    }
    for (int64_t m = 0; m < v->mg; m++)
        for (int64_t j = 0; j < width; j++) sum[m * width + j] = v->bias != NULL ? v->bias[g * v->mg + m] : 0;
    tsr_q_product(v->mg, width, v->k, v->wide_w + g * v->mg * v->k, v->k, column, width, sum, width);
    for (int64_t m = 0; m < v->mg; m++) {
        int64_t channel = g * v->mg + m, at = (n * v->m + channel) * v->w.out_size + j0;
        if (v->out == TSR_I32) memcpy((int32_t *)v->y + at, sum + m * width, (size_t)width * sizeof *sum);
        else tsr_q_requantise(v->out, v->y, at, width, sum + m * width, v->factor + channel, 0, v->zero_y, v->lo, v->hi);
    }
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, int ix, int iw, struct qconv *v)
{
    char tx[TSR_SHAPE_TEXT], tw[TSR_SHAPE_TEXT];
    memset(v, 0, sizeof *v);
    TSR_TRY(tsr_op_need(ctx, ix, TSR_MASK_Q8));
    TSR_TRY(tsr_op_need(ctx, iw, TSR_MASK_Q8));
    struct tsr_shape turned = ctx->in[ix]->shape;
    const struct tsr_shape *x = &turned, *w = &ctx->in[iw]->shape;
    v->x_last = tsr_node_int(ctx->node, "channels_last", tsr_node_int(ctx->node, "x_last", 0)) != 0;
    v->y_last = tsr_node_int(ctx->node, "channels_last", tsr_node_int(ctx->node, "y_last", 0)) != 0;
    if (v->x_last && x->rank >= 3) {
        for (int d = turned.rank - 1; d > 1; d--) turned.dim[d] = ctx->in[ix]->shape.dim[d - 1];
        turned.dim[1] = ctx->in[ix]->shape.dim[turned.rank - 1];
    }
    v->groups = tsr_node_int(ctx->node, "group", 1);
    if (x->rank < 3 || w->rank != x->rank || v->groups < 1 || x->dim[1] % v->groups != 0 ||
        w->dim[0] % v->groups != 0 || w->dim[1] != x->dim[1] / v->groups)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X %s and W %s do not fit together in %" PRId64 " groups",
                           tsr_shape_text(x, tx, sizeof tx), tsr_shape_text(w, tw, sizeof tw), v->groups);
    TSR_TRY(tsr_window_init(ctx, x, &w->dim[2], &v->w));
    v->m = w->dim[0], v->mg = v->m / v->groups, v->cg = w->dim[1];
    if (__builtin_mul_overflow(v->cg, v->w.kernel_size, &v->k) || v->k > INT64_C(1) << 32)
        return tsr_op_fail(ctx, TSR_E_LIMIT, "the kernel is too large");
    v->type_x = ctx->in[ix]->dtype, v->type_w = ctx->in[iw]->dtype;
    v->x = ctx->in[ix]->data;
    if ((v->x_last || v->y_last) && v->w.rank > 2) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "channels_last in three dimensions");
    return TSR_OK;
}

static struct tsr_shape out_shape(const struct qconv *v)
{
    struct tsr_shape s = tsr_window_shape(&v->w, v->m);
    for (int d = 1; v->y_last && d < s.rank - 1; d++) s.dim[d] = s.dim[d + 1];
    if (v->y_last) s.dim[s.rank - 1] = v->m;
    return s;
}

/* Whether inputs [first, n_in) never change, so that what was made of them may be kept. */
static bool constant_from(const struct tsr_op_ctx *ctx, int first)
{
    for (int i = first; i < ctx->node->n_in; i++)
        if (ctx->constant == NULL || (ctx->in[i] != NULL && !ctx->constant[i])) return false;
    return true;
}

static struct tsr_qconv fast_of(const struct tsr_op_ctx *ctx, const struct qconv *v)
{
    struct tsr_qconv q = {.w = v->w, .groups = v->groups, .m = v->m, .mg = v->mg, .cg = v->cg, .x_last = v->x_last,
                          .y_last = v->y_last, .type_x = v->type_x, .out = ctx->out[0].dtype, .x = v->x, .y = ctx->out[0].data,
                          .zero_x = v->zero_x, .zero_y = v->zero_y};
    if (q.out != TSR_I32) tsr_q_bounds(ctx, q.out, &q.lo, &q.hi);
    return q;
}

/* Weights whose zero is that of signed bytes, or 128 in unsigned ones. */
static bool symmetric(const struct qconv *v, const int32_t *zero, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (zero[i] != (v->type_w == TSR_U8 ? 128 : 0)) return false;
    return true;
}

/* Over packed weights; kept: they stay for the next run. */
static enum tsr_status run_fast(struct tsr_op_ctx *ctx, const struct qconv *v, const void *weight, bool kept)
{
    struct tsr_qconv q = fast_of(ctx, v);
    struct tsr_qconv_pack *pack;
    TSR_TRY(tsr_qconv_pack_new(&q, weight, v->type_w == TSR_U8, v->bias, v->factor, &pack, ctx->err));
    if (kept) {
        *ctx->state = pack;
        *ctx->state_free = tsr_qconv_pack_free;
    }
    enum tsr_status status = tsr_tensor_count(&ctx->out[0]) > 0 ? tsr_qconv_run(ctx, &q, pack) : TSR_OK;
    if (!kept) tsr_qconv_pack_free(pack);
    return status;
}

/* The weights in 16 bits without their zero points `zero`, n of them: 1 or m. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct qconv *v, const void *weight, const int32_t *zero, int64_t n)
{
    if (tsr_tensor_count(&ctx->out[0]) == 0) return TSR_OK;
    if (v->x_last || v->y_last) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "channels_last with weights that have a zero point");
    v->y = ctx->out[0].data;
    v->out = ctx->out[0].dtype;
    if (v->out != TSR_I32) tsr_q_bounds(ctx, v->out, &v->lo, &v->hi);
    v->pieces = (v->w.out_size + COLUMNS - 1) / COLUMNS;
    size_t wide = (size_t)v->m * (size_t)v->k * sizeof(int16_t);
    v->each = ((size_t)(v->mg * COLUMNS) * sizeof(int32_t) + (size_t)(v->k * COLUMNS) * sizeof(int16_t) + 63) & ~(size_t)63;
    size_t work = v->each * (size_t)tsr_pool_threads(ctx->pool);
    v->work = tsr_op_scratch(ctx, work + wide);
    if (v->work == NULL) return tsr_nomem(ctx->err, work + wide);
    int16_t *w = (int16_t *)(void *)(v->work + work);
    for (int64_t m = 0; m < v->m; m++)
        tsr_q_widen(v->type_w, weight, m * v->k, 1, v->k, zero + (n > 1 ? m : 0), 0, w + m * v->k);
    v->wide_w = w;
    tsr_pool_run(ctx->pool, v->w.n * v->groups * v->pieces, conv_task, v);
    tsr_op_scratch_free(ctx, v->work, work + wide);
    return TSR_OK;
}

/* ---- QLinearConv ---------------------------------------------------------------------------- */

static enum tsr_status qlinear_infer(struct tsr_op_ctx *ctx)
{
    struct qconv v;
    TSR_TRY(describe(ctx, 0, 3, &v));
    TSR_TRY(tsr_op_need(ctx, 7, TSR_MASK_Q8));
    if (tsr_arg_in(ctx, 8) != NULL) {
        TSR_TRY(tsr_op_need(ctx, 8, TSR_MASK(TSR_I32)));
        if (tsr_tensor_count(ctx->in[8]) != v.m)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "%" PRId64 " biases for %" PRId64 " channels",
                               tsr_tensor_count(ctx->in[8]), v.m);
    }
    struct tsr_shape out = out_shape(&v);
    tsr_op_set(ctx, 0, ctx->in[7]->dtype, &out);
    return TSR_OK;
}

static enum tsr_status qlinear_forward(struct tsr_op_ctx *ctx)
{
    struct qconv v;
    struct tsr_qscalar x, y;
    struct tsr_qparam q;
    TSR_TRY(describe(ctx, 0, 3, &v));
    TSR_TRY(tsr_qscalar_read(ctx, 1, 2, &x));
    TSR_TRY(tsr_qscalar_read(ctx, 6, 7, &y));
    v.zero_x = x.zero, v.zero_y = y.zero;
    if (*ctx->state != NULL) {
        const struct tsr_qconv f = fast_of(ctx, &v);
        return tsr_tensor_count(&ctx->out[0]) > 0 ? tsr_qconv_run(ctx, &f, *ctx->state) : TSR_OK;
    }
    TSR_TRY(tsr_qparam_init(ctx, &ctx->in[3]->shape, 4, 5, 0, 0, &q));
    v.bias = tsr_arg_in(ctx, 8) != NULL ? ctx->in[8]->data : NULL;
    size_t bytes = (size_t)v.m * sizeof(float);
    float *factor = tsr_op_scratch(ctx, bytes);
    enum tsr_status status = TSR_OK;
    if (factor == NULL) {
        status = tsr_nomem(ctx->err, bytes);
    } else {
        for (int64_t m = 0; m < v.m; m++) factor[m] = x.scale * q.scale[q.n > 1 ? m : 0] / y.scale;
        v.factor = factor;
        const struct tsr_qconv f = fast_of(ctx, &v);
        if (tsr_qconv_fits(&f) && symmetric(&v, q.zero, q.n)) status = run_fast(ctx, &v, ctx->in[3]->data, constant_from(ctx, 1));
        else status = run(ctx, &v, ctx->in[3]->data, q.zero, q.n);
    }
    tsr_op_scratch_free(ctx, factor, bytes);
    tsr_qparam_release(ctx, &q);
    return status;
}

/* ---- ConvInteger ---------------------------------------------------------------------------- */

static enum tsr_status integer_infer(struct tsr_op_ctx *ctx)
{
    struct qconv v;
    TSR_TRY(describe(ctx, 0, 1, &v));
    const struct tsr_tensor *zx = tsr_arg_in(ctx, 2), *zw = tsr_arg_in(ctx, 3);
    if (zx != NULL) TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(v.type_x)));
    if (zw != NULL) TSR_TRY(tsr_op_need(ctx, 3, TSR_MASK(v.type_w)));
    if ((zx != NULL && tsr_tensor_count(zx) != 1) ||
        (zw != NULL && tsr_tensor_count(zw) != 1 && tsr_tensor_count(zw) != v.m))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the zero points do not fit X and W");
    struct tsr_shape out = out_shape(&v);
    tsr_op_set(ctx, 0, TSR_I32, &out);
    return TSR_OK;
}

static enum tsr_status integer_forward(struct tsr_op_ctx *ctx)
{
    struct qconv v;
    TSR_TRY(describe(ctx, 0, 1, &v));
    const struct tsr_tensor *zx = tsr_arg_in(ctx, 2), *zw = tsr_arg_in(ctx, 3);
    int64_t n = zw != NULL ? tsr_tensor_count(zw) : 1;
    int32_t *zero = tsr_op_scratch(ctx, (size_t)n * sizeof *zero);
    if (zero == NULL) return tsr_nomem(ctx->err, (size_t)n * sizeof *zero);
    zero[0] = 0;
    if (zw != NULL) tsr_convert(TSR_I32, zero, zw->dtype, zw->data, n);
    v.zero_x = zx != NULL ? (int32_t)tsr_load_i64(zx->dtype, zx->data, 0) : 0;
    const struct tsr_qconv f = fast_of(ctx, &v);
    enum tsr_status status = tsr_qconv_fits(&f) && symmetric(&v, zero, n) ? run_fast(ctx, &v, ctx->in[1]->data, false)
                                                                          : run(ctx, &v, ctx->in[1]->data, zero, n);
    tsr_op_scratch_free(ctx, zero, (size_t)n * sizeof *zero);
    return status;
}

const struct tsr_op tsr_ops_qlinear_conv[] = {
    {"ConvInteger", "", 0, 2, 4, 1, integer_infer, integer_forward, NULL, 0},
    {"QLinearConv", "", 0, 8, 9, 1, qlinear_infer, qlinear_forward, NULL, 0},
    {"QLinearConv", "com.microsoft", 0, 8, 9, 1, qlinear_infer, qlinear_forward, NULL, 0},
};
const size_t tsr_n_ops_qlinear_conv = sizeof tsr_ops_qlinear_conv / sizeof *tsr_ops_qlinear_conv;
