/* batchnorm.c - BatchNormalization, with given statistics or with those of the batch; and
 * tessera.BatchNormalization, which graph/fuse.c makes of it and the activation that follows
 * (attribute `activation`: Relu or Gelu) or of one over channels-last tensors (`last`: 1). There the gradient before the activation is computed
 * where dX will be, from X again: neither the value nor the gradient between the two is stored. */
#include "ops/families.h"
#include "ops/arg.h"
#include "base/clones.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tensor/vmath.h"

enum { CHANNELS = 64, SLICE = 256 }; /* a task takes at most so many; elements activated at once */
enum activation { PLAIN, RELU, GELU };

enum moment { MOMENT_SUM, MOMENT_SQUARE, MOMENT_PRODUCT };

struct bn {
    int64_t n, c, space; /* X[n, c, space] */
    int64_t step;        /* channels a task */
    double epsilon;
    bool batch;          /* statistics of the batch, not those given */
    bool f32;
    enum activation act;
    const void *x, *scale, *bias, *dy;
    void *mean, *var;    /* written where `batch` (forward) */
    void *g; /* the gradient before the activation: dx, or where that is not wanted scratch */
    void *y, *dx, *dscale, *dbias, *dmean, *dvar;
};

static void activate_f32(enum activation act, float *y, int64_t n)
{
    if (act == GELU) tsr_vgelu(n, y, y);
    else
        for (int64_t i = 0; i < n; i++) y[i] = y[i] < 0.0f ? 0.0f : y[i]; /* NaN stays */
}
TSR_CLONES static void relu_gradient(float *g, const float *z, const float *dy, int64_t n)
{
    for (int64_t i = 0; i < n; i++) g[i] = z[i] > 0.0f ? dy[i] : 0.0f;
}
static void activation_gradient_f32(enum activation act, float *g, const float *z, const float *dy, int64_t n)
{
    if (act == GELU) tsr_vgelu_grad(n, z, dy, g);
    else relu_gradient(g, z, dy, n);
}

static void activate_f64(enum activation act, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = act == GELU ? y[i] * 0.5 * (1 + erf(y[i] * sqrt(0.5))) : y[i] < 0 ? 0 : y[i];
}
static void activation_gradient_f64(enum activation act, double *g, const double *z, const double *dy, int64_t n)
{
    const double density = 0.39894228040143267794; /* 1 / sqrt(2 pi) */
    for (int64_t i = 0; i < n; i++) {
        double slope = z[i] > 0;
        if (act == GELU) slope = 0.5 * (1 + erf(z[i] * sqrt(0.5))) + z[i] * density * exp(-0.5 * z[i] * z[i]);
        g[i] = dy[i] * slope;
    }
}

#define REAL float
#define R(name) name##_f32
#define SQRT sqrtf
#include "ops/vec_real.h"
#include "ops/batchnorm_real.h"
#undef REAL
#undef V16
#undef AT16
#undef FROM16
#undef LANES16
#undef R
#undef SQRT
#define REAL double
#define R(name) name##_f64
#define SQRT sqrt
#include "ops/vec_real.h"
#include "ops/batchnorm_real.h"
#undef REAL
#undef V16
#undef AT16
#undef FROM16
#undef LANES16
#undef R
#undef SQRT

static enum activation activation_of(const struct tsr_node *node)
{
    const char *name = node->domain[0] ? tsr_node_string(node, "activation", "") : "";
    return strcmp(name, "Relu") == 0 ? RELU : strcmp(name, "Gelu") == 0 ? GELU : PLAIN;
}

static enum tsr_status bn_init(struct tsr_op_ctx *ctx, struct bn *v)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    memset(v, 0, sizeof *v);
    v->f32 = ctx->in[0]->dtype == TSR_F32;
    v->act = activation_of(ctx->node);
    v->epsilon = (double)tsr_node_float(ctx->node, "epsilon", 1e-5F);
    v->batch = ctx->train_stats || tsr_node_takes_batch(ctx->node);
    const bool last = ctx->node->domain[0] != '\0' && x->rank > 2 && tsr_node_int(ctx->node, "last", 0) != 0;
    v->n = last ? tsr_arg_span(x, 0, x->rank - 1) : x->rank > 0 ? x->dim[0] : 1;
    v->c = last ? x->dim[x->rank - 1] : x->rank > 1 ? x->dim[1] : 1;
    v->space = !last && x->rank > 2 ? tsr_arg_span(x, 2, x->rank) : 1;
    /* Whole cache lines where channels are neighbours, a few channels where they are planes. */
    v->step = v->space == 1 ? CHANNELS : v->n * v->space > 4096 ? 1 : 8;
    v->x = ctx->in[0]->data;
    v->scale = ctx->in[1]->data;
    v->bias = ctx->in[2]->data;
    return TSR_OK;
}

static enum tsr_status bn_infer(struct tsr_op_ctx *ctx)
{
    char text[TSR_SHAPE_TEXT];
    struct bn v;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    for (int i = 1; i < 5; i++) TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
    TSR_TRY(bn_init(ctx, &v));
    if (ctx->node->domain[0] == '\0' && ctx->node->opset < 9 && tsr_node_int(ctx->node, "spatial", 1) == 0)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "statistics for every position (spatial=0) are not supported");
    for (int i = 1; i < 5; i++) {
        const struct tsr_shape *p = &ctx->in[i]->shape;
        if (p->rank != 1 || p->dim[0] != v.c)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "parameter %d has shape %s, not [%" PRId64 "]", i,
                               tsr_shape_text(p, text, sizeof text), v.c);
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    for (int i = 1; i < 5; i++) tsr_op_set(ctx, i, ctx->in[0]->dtype, &ctx->in[i]->shape);
    return TSR_OK;
}

static void bn_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct bn *v = arg;
    int64_t c0 = i * v->step, c1 = c0 + v->step < v->c ? c0 + v->step : v->c;
    if (v->dy == NULL && v->f32) forward_f32(v, c0, c1);
    else if (v->dy == NULL) forward_f64(v, c0, c1);
    else if (v->f32) backward_f32(v, c0, c1);
    else backward_f64(v, c0, c1);
}

/* to = old * momentum + now * (1 - momentum); `to` may be `old`. */
static void blend(bool f32, void *to, const void *old, const void *now, double momentum, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        if (f32) ((float *)to)[c] = (float)(((const float *)old)[c] * momentum + ((const float *)now)[c] * (1 - momentum));
        else ((double *)to)[c] = ((const double *)old)[c] * momentum + ((const double *)now)[c] * (1 - momentum);
    }
}

static enum tsr_status bn_forward(struct tsr_op_ctx *ctx)
{
    struct bn v;
    TSR_TRY(bn_init(ctx, &v));
    v.y = ctx->out[0].data;
    v.mean = ctx->in[3]->data;
    v.var = ctx->in[4]->data;
    if (v.batch && v.n * v.space == 0) return tsr_op_fail(ctx, TSR_E_NUMERIC, "an empty batch has no statistics");
    if (v.batch) {
        TSR_TRY(tsr_op_save(ctx, 0, ctx->in[3]->dtype, &ctx->in[3]->shape));
        TSR_TRY(tsr_op_save(ctx, 1, ctx->in[4]->dtype, &ctx->in[4]->shape));
        v.mean = ctx->saved[0].data;
        v.var = ctx->saved[1].data;
    }
    if (v.c > 0) tsr_pool_run(ctx->pool, (v.c + v.step - 1) / v.step, bn_task, &v);
    double momentum = (double)tsr_node_float(ctx->node, "momentum", 0.9F);
    for (int i = 0; i < 2; i++) {
        void *now = i == 0 ? v.mean : v.var, *running = ctx->in[3 + i]->data;
        if (ctx->train_stats) blend(v.f32, running, running, now, momentum, v.c);
        /* Outputs 1 and 2 are the running statistics; 3 and 4 (before opset 14) those of the batch. */
        if (1 + i < ctx->node->n_out && ctx->want_out[1 + i]) {
            if (v.batch && !ctx->train_stats) blend(v.f32, ctx->out[1 + i].data, running, now, momentum, v.c);
            else memcpy(ctx->out[1 + i].data, running, tsr_tensor_bytes(&ctx->out[1 + i]));
        }
        if (3 + i < ctx->node->n_out && ctx->want_out[3 + i])
            memcpy(ctx->out[3 + i].data, now, tsr_tensor_bytes(&ctx->out[3 + i]));
    }
    if (v.batch && !ctx->training)
        for (int i = 0; i < 2; i++) tsr_tensor_release(&ctx->saved[i]);
    return TSR_OK;
}

static enum tsr_status bn_backward(struct tsr_op_ctx *ctx)
{
    struct bn v;
    TSR_TRY(bn_init(ctx, &v));
    bool none = ctx->gout[0] == NULL || tsr_tensor_count(ctx->gout[0]) == 0;
    for (int i = 0; none && i < ctx->node->n_in; i++)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0)
            memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (none) return TSR_OK;
    v.dy = ctx->gout[0]->data;
    v.batch = ctx->saved[0].data != NULL;
    v.mean = v.batch ? ctx->saved[0].data : ctx->in[3]->data;
    v.var = v.batch ? ctx->saved[1].data : ctx->in[4]->data;
    void **to[5] = {&v.dx, &v.dscale, &v.dbias, &v.dmean, &v.dvar};
    for (int i = 0; i < 5; i++) *to[i] = ctx->want_gin[i] ? ctx->gin[i].data : NULL;
    size_t bytes = tsr_tensor_bytes(ctx->gout[0]);
    void *own = NULL;
    v.g = v.dx;
    if (v.act != PLAIN && v.dx == NULL) {
        v.g = own = tsr_op_scratch(ctx, bytes);
        if (own == NULL) return tsr_nomem(ctx->err, bytes);
    }
    tsr_pool_run(ctx->pool, (v.c + v.step - 1) / v.step, bn_task, &v);
    if (own != NULL) tsr_op_scratch_free(ctx, own, bytes);
    return TSR_OK;
}

const struct tsr_op tsr_ops_batchnorm[] = {
    {"BatchNormalization", "", TSR_OP_WIDEN, 5, 5, 5, bn_infer, bn_forward, bn_backward, 6},
    {"BatchNormalization", "tessera", TSR_OP_WIDEN, 5, 5, 1, bn_infer, bn_forward, bn_backward, 6},
};
const size_t tsr_n_ops_batchnorm = sizeof tsr_ops_batchnorm / sizeof tsr_ops_batchnorm[0];
