/* conv.c - Conv in one, two and three dimensions: a gathered block of input times the weights. */
#include "ops/families.h"
#include "ops/arg.h"
#include "ops/conv_walk.h"
#include "base/mem.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"

#include <inttypes.h>
#include <string.h>

/* Everything about one convolution. Y[n, m, out] = W[m, k] * gathered X, by groups. */
struct conv {
    struct tsr_window w;
    int64_t groups, m, mg, cg; /* output channels; per group: output and input channels */
    int64_t k;                 /* cg * kernel size: the summed dimension */
    int64_t block, blocks;     /* output positions gathered at a time, and how many such blocks */
    int64_t parts;             /* partial sums of the weight gradient over the batch */
    bool direct;               /* 1x1, stride 1: the input itself is the gathered matrix */
    bool f32;
    const void *x, *weight, *bias, *dy;
    void *y, *dx, *dw, *db;
    void *part; /* partial sums of dW: part by part, group by group */
    char *scratch;
    size_t each; /* bytes of scratch a worker */
};

#define REAL float
#define R(name) name##_f32
#define GEMM tsr_sgemm
#include "ops/conv_real.h"
#undef REAL
#undef R
#undef GEMM
#define REAL double
#define R(name) name##_f64
#define GEMM tsr_blas_dgemm
#include "ops/conv_real.h"
#undef REAL
#undef R
#undef GEMM

static enum tsr_status conv_init(struct tsr_op_ctx *ctx, struct conv *v)
{
    char tx[TSR_SHAPE_TEXT], tw[TSR_SHAPE_TEXT];
    const struct tsr_shape *x = &ctx->in[0]->shape, *weight = &ctx->in[1]->shape;
    memset(v, 0, sizeof *v);
    v->groups = tsr_node_int(ctx->node, "group", 1);
    if (weight->rank != x->rank || x->rank < 3)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X %s and W %s must both be [n, channels, size...]",
                           tsr_shape_text(x, tx, sizeof tx), tsr_shape_text(weight, tw, sizeof tw));
    if (v->groups < 1 || x->dim[1] % v->groups != 0 || weight->dim[0] % v->groups != 0 ||
        weight->dim[1] != x->dim[1] / v->groups)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X %s and W %s do not fit together in %" PRId64 " groups",
                           tsr_shape_text(x, tx, sizeof tx), tsr_shape_text(weight, tw, sizeof tw), v->groups);
    TSR_TRY(tsr_window_init(ctx, x, &weight->dim[2], &v->w));
    v->m = weight->dim[0];
    v->mg = v->m / v->groups;
    v->cg = weight->dim[1];
    v->f32 = ctx->in[0]->dtype == TSR_F32;
    if (__builtin_mul_overflow(v->cg, v->w.kernel_size, &v->k) || v->k > INT64_C(1) << 40)
        return tsr_op_fail(ctx, TSR_E_LIMIT, "the kernel is too large");
    /* A block of the gathered matrix stays in the second-level cache. */
    int64_t block = v->k > 0 ? 65536 / v->k / 16 * 16 : 1024;
    v->block = block < 64 ? 64 : block > 1024 ? 1024 : block;
    if (v->block > v->w.out_size) v->block = v->w.out_size > 0 ? v->w.out_size : 1;
    v->blocks = (v->w.out_size + v->block - 1) / v->block;
    v->parts = v->w.n < 8 ? v->w.n : 8;
    v->direct = v->w.kernel_size == 1;
    for (int d = 0; d < 3; d++)
        v->direct = v->direct && v->w.stride[d] == 1 && v->w.pad[d] == 0 && v->w.pad_end[d] == 0;
    return TSR_OK;
}

static enum tsr_status conv_infer(struct tsr_op_ctx *ctx)
{
    struct conv v;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(ctx->in[0]->dtype)));
    TSR_TRY(conv_init(ctx, &v));
    if (tsr_arg_in(ctx, 2) != NULL) {
        char text[TSR_SHAPE_TEXT];
        TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(ctx->in[0]->dtype)));
        const struct tsr_shape *b = &ctx->in[2]->shape;
        if (b->rank != 1 || b->dim[0] != v.m)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "the bias has shape %s, not [%" PRId64 "]",
                               tsr_shape_text(b, text, sizeof text), v.m);
    }
    struct tsr_shape out = tsr_window_shape(&v.w, v.m);
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &out);
    return TSR_OK;
}

/* Runs fn for n tasks, with scratch for one gathered block a worker. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct conv *v, int64_t n, void (*fn)(void *, int64_t, int))
{
    size_t size = v->f32 ? sizeof(float) : sizeof(double);
    v->each = v->direct ? 0 : ((size_t)(v->k * v->block) * size + 63) & ~(size_t)63;
    size_t bytes = v->each * (size_t)tsr_pool_threads(ctx->pool);
    v->scratch = tsr_op_scratch(ctx, bytes);
    if (v->scratch == NULL) return tsr_nomem(ctx->err, bytes);
    tsr_pool_run(ctx->pool, n, fn, v);
    tsr_op_scratch_free(ctx, v->scratch, bytes);
    return TSR_OK;
}

static void forward_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    int64_t j0 = i % v->blocks * v->block, g = i / v->blocks % v->groups, n = i / v->blocks / v->groups;
    int64_t j1 = j0 + v->block < v->w.out_size ? j0 + v->block : v->w.out_size;
    void *col = v->scratch + v->each * (size_t)worker;
    if (v->f32) forward_block_f32(v, n, g, j0, j1, col);
    else forward_block_f64(v, n, g, j0, j1, col);
}

static enum tsr_status conv_forward(struct tsr_op_ctx *ctx)
{
    struct conv v;
    TSR_TRY(conv_init(ctx, &v));
    v.x = ctx->in[0]->data;
    v.weight = ctx->in[1]->data;
    v.bias = tsr_arg_in(ctx, 2) != NULL ? ctx->in[2]->data : NULL;
    v.y = ctx->out[0].data;
    if (tsr_tensor_count(&ctx->out[0]) == 0) return TSR_OK;
    return run(ctx, &v, v.w.n * v.groups * v.blocks, forward_task);
}

static void input_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    void *col = v->scratch + v->each * (size_t)worker;
    if (v->f32) input_gradient_f32(v, i / v->groups, i % v->groups, col);
    else input_gradient_f64(v, i / v->groups, i % v->groups, col);
}

static void weight_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    int64_t p = i / v->groups, g = i % v->groups, n0 = v->w.n * p / v->parts, n1 = v->w.n * (p + 1) / v->parts;
    int64_t at = (p * v->groups + g) * v->mg * v->k;
    void *col = v->scratch + v->each * (size_t)worker;
    if (v->f32) weight_gradient_f32(v, n0, n1, g, (float *)v->part + at, col);
    else weight_gradient_f64(v, n0, n1, g, (double *)v->part + at, col);
}

static void bias_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct conv *v = arg;
    if (v->f32) bias_gradient_f32(v, i);
    else bias_gradient_f64(v, i);
}

static enum tsr_status weight_gradient(struct tsr_op_ctx *ctx, struct conv *v)
{
    size_t bytes = (size_t)(v->parts * v->m * v->k) * (v->f32 ? sizeof(float) : sizeof(double));
    v->part = tsr_op_scratch(ctx, bytes);
    if (v->part == NULL) return tsr_nomem(ctx->err, bytes);
    enum tsr_status status = run(ctx, v, v->parts * v->groups, weight_task);
    if (status == TSR_OK && v->f32) sum_parts_f32(v->dw, v->part, v->parts, v->m * v->k);
    else if (status == TSR_OK) sum_parts_f64(v->dw, v->part, v->parts, v->m * v->k);
    tsr_op_scratch_free(ctx, v->part, bytes);
    return status;
}

static enum tsr_status conv_backward(struct tsr_op_ctx *ctx)
{
    struct conv v;
    TSR_TRY(conv_init(ctx, &v));
    bool none = ctx->gout[0] == NULL || tsr_tensor_count(ctx->gout[0]) == 0;
    for (int i = 0; none && i < ctx->node->n_in; i++)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0)
            memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (none) return TSR_OK;
    v.x = ctx->in[0]->data;
    v.weight = ctx->in[1]->data;
    v.dy = ctx->gout[0]->data;
    if (ctx->want_gin[0]) {
        v.dx = ctx->gin[0].data;
        TSR_TRY(run(ctx, &v, v.w.n * v.groups, input_task));
    }
    if (ctx->want_gin[1]) {
        v.dw = ctx->gin[1].data;
        TSR_TRY(weight_gradient(ctx, &v));
    }
    if (ctx->node->n_in > 2 && ctx->want_gin[2]) {
        v.db = ctx->gin[2].data;
        tsr_pool_run(ctx->pool, v.m, bias_task, &v);
    }
    return TSR_OK;
}

const struct tsr_op tsr_ops_conv[] = {
    {"Conv", "", TSR_OP_WIDEN, 2, 3, 1, conv_infer, conv_forward, conv_backward, 6},
};
const size_t tsr_n_ops_conv = sizeof tsr_ops_conv / sizeof tsr_ops_conv[0];
