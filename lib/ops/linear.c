/* linear.c - tessera.Linear, which graph/fuse.c puts in place of MatMul, Add and Relu:
 *     Y = act(X W + b)   X [..., K], W [K, N] ([N, K] where transB = 1), b [N], act Relu or none.
 * One pass over Y where the chain makes three, and no gradient of the sum to copy. */
#include <string.h>

#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"
#include "ops/packed.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"
#include "tensor/isa.h"

struct linear {
    int64_t M, N, K, ldw;
    bool trans, relu;
    struct tsr_shape y;
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct linear *l)
{
    for (int i = 0; i < 3; i++) {
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_REAL));
        if (ctx->in[i]->dtype != ctx->in[0]->dtype) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the inputs differ in type");
    }
    const struct tsr_shape *x = &ctx->in[0]->shape, *w = &ctx->in[1]->shape, *b = &ctx->in[2]->shape;
    l->trans = tsr_node_int(ctx->node, "transB", 0) != 0;
    l->relu = strcmp(tsr_node_string(ctx->node, "activation", ""), "Relu") == 0;
    if (w->rank != 2 || b->rank != 1 || x->rank < 1) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the shapes do not fit together");
    l->K = w->dim[l->trans ? 1 : 0];
    l->N = w->dim[l->trans ? 0 : 1];
    l->ldw = w->dim[1];
    if (x->dim[x->rank - 1] != l->K || b->dim[0] != l->N)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the inputs have %lld columns and %lld biases; the weights are for %lld and %lld",
                           (long long)x->dim[x->rank - 1], (long long)b->dim[0], (long long)l->K, (long long)l->N);
    l->M = tsr_arg_span(x, 0, x->rank - 1);
    l->y = *x;
    l->y.dim[x->rank - 1] = l->N;
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct linear l;
    TSR_TRY(describe(ctx, &l));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &l.y);
    return TSR_OK;
}

static void forward_f64(const struct linear *l, const double *x, const double *w, const double *b, double *y)
{
    for (int64_t i = 0; i < l->M; i++) memcpy(y + i * l->N, b, (size_t)l->N * sizeof *y);
    tsr_blas_dgemm(false, l->trans, l->M, l->N, l->K, 1, x, l->K, w, l->ldw, 1, y, l->N);
    for (int64_t i = 0; l->relu && i < l->M * l->N; i++) y[i] = y[i] < 0 ? 0 : y[i];
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct linear l;
    TSR_TRY(describe(ctx, &l));
    if (ctx->in[0]->dtype == TSR_F64) {
        forward_f64(&l, ctx->in[0]->data, ctx->in[1]->data, ctx->in[2]->data, ctx->out[0].data);
        return TSR_OK;
    }
    const struct tsr_packed p = {.input = 1, .tb = l.trans, .m = l.M, .n = l.N, .k = l.K, .a = ctx->in[0]->data, .b = ctx->in[1]->data,
                                 .c = ctx->out[0].data,
                                 .end = {.bias = ctx->in[2]->data, .kind = l.relu ? TSR_END_RELU : TSR_END_NONE}};
    if (tsr_packed_suits(ctx, &p)) return tsr_packed_run(ctx, &p);
    const struct tsr_gemm g = {.tb = l.trans, .relu = l.relu, .m = l.M, .n = l.N, .k = l.K, .alpha = 1, .a = ctx->in[0]->data,
                               .b = ctx->in[1]->data, .c = ctx->out[0].data, .lda = l.K, .ldb = l.ldw, .ldc = l.N,
                               .bias_n = ctx->in[2]->data};
    tsr_gemm_run(&g, ctx->pool);
    return TSR_OK;
}

TSR_CLONES static void relu_gradient(int64_t n, const float *y, const float *gy, float *g)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) g[i] = y[i] > 0.0f ? gy[i] : 0.0f;
}

TSR_CLONES static void add_row(int64_t n, const float *x, float *sum)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) sum[i] += x[i];
}

static void backward_f32(struct tsr_op_ctx *ctx, const struct linear *l, const float *g)
{
    const float *x = ctx->in[0]->data, *w = ctx->in[1]->data;
    struct tsr_gemm k = {.alpha = 1, .a = g, .lda = l->N};
    if (ctx->want_gin[0]) { /* gX = g W' */
        k.tb = !l->trans, k.m = l->M, k.n = l->K, k.k = l->N, k.b = w, k.ldb = l->ldw, k.c = ctx->gin[0].data, k.ldc = l->K;
        tsr_gemm_run(&k, ctx->pool);
    }
    if (ctx->want_gin[1]) { /* gW = X' g, or its transpose */
        k = (struct tsr_gemm){.ta = true, .alpha = 1, .k = l->M, .c = ctx->gin[1].data, .ldc = l->ldw};
        k.m = l->trans ? l->N : l->K, k.n = l->ldw;
        k.a = l->trans ? g : x, k.lda = k.m, k.b = l->trans ? x : g, k.ldb = k.n;
        tsr_gemm_run(&k, ctx->pool);
    }
    if (ctx->want_gin[2]) {
        float *sum = ctx->gin[2].data;
        memset(sum, 0, (size_t)l->N * sizeof *sum);
        for (int64_t i = 0; i < l->M; i++) add_row(l->N, g + i * l->N, sum);
    }
}

static void backward_f64(struct tsr_op_ctx *ctx, const struct linear *l, const double *g)
{
    const double *x = ctx->in[0]->data, *w = ctx->in[1]->data;
    if (ctx->want_gin[0])
        tsr_blas_dgemm(false, !l->trans, l->M, l->K, l->N, 1, g, l->N, w, l->ldw, 0, ctx->gin[0].data, l->K);
    if (ctx->want_gin[1] && l->trans)
        tsr_blas_dgemm(true, false, l->N, l->K, l->M, 1, g, l->N, x, l->K, 0, ctx->gin[1].data, l->K);
    if (ctx->want_gin[1] && !l->trans)
        tsr_blas_dgemm(true, false, l->K, l->N, l->M, 1, x, l->K, g, l->N, 0, ctx->gin[1].data, l->N);
    if (ctx->want_gin[2]) {
        double *sum = ctx->gin[2].data;
        memset(sum, 0, (size_t)l->N * sizeof *sum);
        for (int64_t i = 0; i < l->M; i++)
            for (int64_t j = 0; j < l->N; j++) sum[j] += g[i * l->N + j];
    }
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct linear l;
    TSR_TRY(describe(ctx, &l));
    const bool wide = ctx->in[0]->dtype == TSR_F64;
    if (!ctx->gout[0]) {
        for (int i = 0; i < 3; i++)
            if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0)
                memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
        return TSR_OK;
    }
    const void *g = ctx->gout[0]->data;
    void *own = NULL;
    const size_t bytes = tsr_tensor_bytes(&ctx->out[0]);
    if (l.relu) {
        own = tsr_op_scratch(ctx, bytes);
        if (!own) return tsr_nomem(ctx->err, bytes);
        const double *y = ctx->out[0].data, *gy = ctx->gout[0]->data;
        if (!wide)
            relu_gradient(l.M * l.N, ctx->out[0].data, ctx->gout[0]->data, own);
        else
            for (int64_t i = 0; i < l.M * l.N; i++) ((double *)own)[i] = y[i] > 0 ? gy[i] : 0;
        g = own;
    }
    if (wide) backward_f64(ctx, &l, g);
    else backward_f32(ctx, &l, g);
    if (own) tsr_op_scratch_free(ctx, own, bytes);
    return TSR_OK;
}

const struct tsr_op tsr_ops_linear[] = {
    {"Linear", "tessera", TSR_OP_WIDEN | TSR_OP_SAMPLES, 3, 3, 1, infer, forward, backward, 6},
};
const size_t tsr_n_ops_linear = sizeof tsr_ops_linear / sizeof *tsr_ops_linear;
