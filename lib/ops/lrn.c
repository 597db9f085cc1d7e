/* lrn.c - LRN (local response over neighbouring channels) and LpNormalization (unit vectors). */
#include "ops/families.h"
#include "ops/arg.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct lp {
    int64_t n, inner, rows, step, p;
    bool f32;
    const void *x, *dy;
    void *to;
};

struct lrn {
    int64_t n, c, space, size;
    double alpha, beta, bias;
    bool f32;
    const void *x, *dy;
    void *to;
    char *work;
    size_t each; /* bytes of work a worker */
};

#define REAL float
#define R(name) name##_f32
#include "ops/lrn_real.h"
#undef REAL
#undef R
#define REAL double
#define R(name) name##_f64
#include "ops/lrn_real.h"
#undef REAL
#undef R

static enum tsr_status lp_init(struct tsr_op_ctx *ctx, struct lp *v)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    int axis;
    memset(v, 0, sizeof *v);
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -1), x->rank, &axis));
    v->p = tsr_node_int(ctx->node, "p", 2);
    if (v->p != 1 && v->p != 2) return tsr_op_fail(ctx, TSR_E_CORRUPT, "p is %" PRId64 "; it must be 1 or 2", v->p);
    v->n = x->dim[axis];
    v->inner = tsr_arg_span(x, axis + 1, x->rank);
    v->rows = tsr_arg_span(x, 0, axis) * v->inner;
    v->step = 16384 / (v->n + 1) + 1;
    v->f32 = ctx->in[0]->dtype == TSR_F32;
    v->x = ctx->in[0]->data;
    return TSR_OK;
}

static enum tsr_status lp_infer(struct tsr_op_ctx *ctx)
{
    struct lp v;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL));
    return lp_init(ctx, &v);
}

static void lp_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct lp *v = arg;
    int64_t r0 = i * v->step, r1 = r0 + v->step < v->rows ? r0 + v->step : v->rows;
    if (v->f32) lp_rows_f32(v, r0, r1);
    else lp_rows_f64(v, r0, r1);
}

static enum tsr_status lp_forward(struct tsr_op_ctx *ctx)
{
    struct lp v;
    TSR_TRY(lp_init(ctx, &v));
    v.to = ctx->out[0].data;
    tsr_pool_run(ctx->pool, (v.rows + v.step - 1) / v.step, lp_task, &v);
    return TSR_OK;
}

static bool zero_gradient(struct tsr_op_ctx *ctx)
{
    struct tsr_tensor *dx = &ctx->gin[0];
    if (!ctx->want_gin[0] || tsr_tensor_count(dx) == 0) return true;
    if (ctx->gout[0] != NULL) return false;
    memset(dx->data, 0, tsr_tensor_bytes(dx));
    return true;
}

static enum tsr_status lp_backward(struct tsr_op_ctx *ctx)
{
    struct lp v;
    TSR_TRY(lp_init(ctx, &v));
    if (zero_gradient(ctx)) return TSR_OK;
    v.dy = ctx->gout[0]->data;
    v.to = ctx->gin[0].data;
    tsr_pool_run(ctx->pool, (v.rows + v.step - 1) / v.step, lp_task, &v);
    return TSR_OK;
}

static enum tsr_status lrn_init(struct tsr_op_ctx *ctx, struct lrn *v)
{
    char text[TSR_SHAPE_TEXT];
    const struct tsr_shape *x = &ctx->in[0]->shape;
    memset(v, 0, sizeof *v);
    if (x->rank < 2)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must be [batch, channels, ...], not %s", tsr_shape_text(x, text, sizeof text));
    v->size = tsr_node_int(ctx->node, "size", 0);
    if (v->size < 1 || v->size > INT32_MAX) return tsr_op_fail(ctx, TSR_E_CORRUPT, "size is %" PRId64, v->size);
    v->alpha = (double)tsr_node_float(ctx->node, "alpha", 1e-4F);
    v->beta = (double)tsr_node_float(ctx->node, "beta", 0.75F);
    v->bias = (double)tsr_node_float(ctx->node, "bias", 1);
    v->n = x->dim[0];
    v->c = x->dim[1];
    v->space = tsr_arg_span(x, 2, x->rank);
    v->f32 = ctx->in[0]->dtype == TSR_F32;
    v->x = ctx->in[0]->data;
    return TSR_OK;
}

static enum tsr_status lrn_infer(struct tsr_op_ctx *ctx)
{
    struct lrn v;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL));
    return lrn_init(ctx, &v);
}

static void lrn_task(void *arg, int64_t i, int worker)
{
    const struct lrn *v = arg;
    void *work = v->work + v->each * (size_t)worker;
    if (v->f32) lrn_image_f32(v, i, work);
    else lrn_image_f64(v, i, work);
}

static enum tsr_status lrn_run(struct tsr_op_ctx *ctx, struct lrn *v)
{
    v->each = ((size_t)(2 * v->c * v->space) * (v->f32 ? sizeof(float) : sizeof(double)) + 63) & ~(size_t)63;
    size_t bytes = v->each * (size_t)tsr_pool_threads(ctx->pool);
    v->work = tsr_op_scratch(ctx, bytes);
    if (v->work == NULL) return tsr_nomem(ctx->err, bytes);
    tsr_pool_run(ctx->pool, v->n, lrn_task, v);
    tsr_op_scratch_free(ctx, v->work, bytes);
    return TSR_OK;
}

static enum tsr_status lrn_forward(struct tsr_op_ctx *ctx)
{
    struct lrn v;
    TSR_TRY(lrn_init(ctx, &v));
    v.to = ctx->out[0].data;
    return lrn_run(ctx, &v);
}

static enum tsr_status lrn_backward(struct tsr_op_ctx *ctx)
{
    struct lrn v;
    TSR_TRY(lrn_init(ctx, &v));
    if (zero_gradient(ctx)) return TSR_OK;
    v.dy = ctx->gout[0]->data;
    v.to = ctx->gin[0].data;
    return lrn_run(ctx, &v);
}

const struct tsr_op tsr_ops_lrn[] = {
    {"LRN", "", TSR_OP_WIDEN, 1, 1, 1, lrn_infer, lrn_forward, lrn_backward, 0},
    {"LpNormalization", "", TSR_OP_WIDEN, 1, 1, 1, lp_infer, lp_forward, lp_backward, 0},
};
const size_t tsr_n_ops_lrn = sizeof tsr_ops_lrn / sizeof tsr_ops_lrn[0];
