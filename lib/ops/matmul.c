/* matmul.c - Gemm and MatMul. */
#include "ops/families.h"
#include "ops/arg.h"
#include "ops/batches.h"
#include "ops/packed.h"
#include "base/mem.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"

#include <string.h>

/* One product of either type; float32 runs over the pool. */
struct product {
    bool ta, tb;
    int64_t m, n, k;
    double alpha, beta;
    int64_t batch, stride_a, stride_b, stride_c;
};

/* Contiguous operands: the row strides follow from the shapes. */
static void multiply(struct tsr_op_ctx *ctx, const struct product *p, enum tsr_dtype type, const void *a,
                     const void *b, void *c, const void *bias_n)
{
    int64_t lda = p->ta ? p->m : p->k, ldb = p->tb ? p->k : p->n;
    if (type == TSR_F32) {
        struct tsr_gemm g = {.ta = p->ta, .tb = p->tb, .m = p->m, .n = p->n, .k = p->k, .alpha = (float)p->alpha,
                             .beta = (float)p->beta, .a = a, .b = b, .c = c, .lda = lda, .ldb = ldb, .ldc = p->n,
                             .batch = p->batch, .stride_a = p->stride_a, .stride_b = p->stride_b,
                             .stride_c = p->stride_c, .bias_n = bias_n};
        tsr_gemm_run(&g, ctx->pool);
        return;
    }
    for (int64_t x = 0; x < (p->batch > 1 ? p->batch : 1); x++) {
        double *out = (double *)c + x * p->stride_c;
        tsr_blas_dgemm(p->ta, p->tb, p->m, p->n, p->k, p->alpha, (const double *)a + x * p->stride_a, lda,
                       (const double *)b + x * p->stride_b, ldb, p->beta, out, p->n);
        for (int64_t i = 0; bias_n && i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++) out[i * p->n + j] += ((const double *)bias_n)[j];
    }
}

static void zero(struct tsr_tensor *t)
{
    if (tsr_tensor_count(t) > 0) memset(t->data, 0, tsr_tensor_bytes(t));
}

/* ---- Gemm ----------------------------------------------------------------------------------- */

static void gemm_product(const struct tsr_op_ctx *ctx, struct product *p)
{
    const struct tsr_shape *a = &ctx->in[0]->shape, *b = &ctx->in[1]->shape;
    memset(p, 0, sizeof *p);
    p->ta = tsr_node_int(ctx->node, "transA", 0) != 0;
    p->tb = tsr_node_int(ctx->node, "transB", 0) != 0;
    p->alpha = tsr_node_float(ctx->node, "alpha", 1);
    p->m = a->dim[p->ta ? 1 : 0];
    p->k = a->dim[p->ta ? 0 : 1];
    p->n = b->dim[p->tb ? 0 : 1];
}

static enum tsr_status gemm_infer(struct tsr_op_ctx *ctx)
{
    char ta[TSR_SHAPE_TEXT], tb[TSR_SHAPE_TEXT];
    struct product p;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    enum tsr_dtype type = ctx->in[0]->dtype;
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(type)));
    const struct tsr_shape *a = &ctx->in[0]->shape, *b = &ctx->in[1]->shape;
    if (a->rank != 2 || b->rank != 2)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "A and B must be matrices, not %s and %s",
                           tsr_shape_text(a, ta, sizeof ta), tsr_shape_text(b, tb, sizeof tb));
    gemm_product(ctx, &p);
    if (b->dim[p.tb ? 1 : 0] != p.k)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "A %s%s and B %s%s do not fit together", tsr_shape_text(a, ta, sizeof ta),
                           p.ta ? " transposed" : "", tsr_shape_text(b, tb, sizeof tb), p.tb ? " transposed" : "");
    struct tsr_shape out = {.rank = 2, .dim = {p.m, p.n}}, both;
    if (tsr_arg_in(ctx, 2) != NULL) {
        TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(type)));
        const struct tsr_shape *c = &ctx->in[2]->shape;
        if (!tsr_shape_broadcast(c, &out, &both) || !tsr_shape_equal(&both, &out))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "C %s does not broadcast to %s", tsr_shape_text(c, ta, sizeof ta),
                               tsr_shape_text(&out, tb, sizeof tb));
    }
    tsr_op_set(ctx, 0, type, &out);
    return TSR_OK;
}

/* Steps through C for a step down and a step right in Y; 0 where C is broadcast. */
static void gemm_c_steps(const struct tsr_shape *c, int64_t *down, int64_t *right)
{
    int64_t cols = c->rank > 0 ? c->dim[c->rank - 1] : 1, rows = c->rank > 1 ? c->dim[c->rank - 2] : 1;
    *right = cols == 1 ? 0 : 1;
    *down = rows == 1 ? 0 : cols;
}

static enum tsr_status gemm_forward(struct tsr_op_ctx *ctx)
{
    struct product p;
    gemm_product(ctx, &p);
    const struct tsr_tensor *c = tsr_arg_in(ctx, 2);
    enum tsr_dtype type = ctx->in[0]->dtype;
    double beta = tsr_node_float(ctx->node, "beta", 1);
    void *y = ctx->out[0].data;
    const void *bias = NULL;
    int64_t down = 0, right = 0;
    if (c != NULL && beta != 0) {
        gemm_c_steps(&c->shape, &down, &right);
        if (down == 0 && right == 1 && beta == 1) {
            bias = c->data;
        } else {
            p.beta = 1;
            for (int64_t i = 0; i < p.m; i++)
                for (int64_t j = 0; j < p.n; j++) {
                    int64_t at = i * down + j * right;
                    if (type == TSR_F32) ((float *)y)[i * p.n + j] = (float)beta * ((const float *)c->data)[at];
                    else ((double *)y)[i * p.n + j] = beta * ((const double *)c->data)[at];
                }
        }
    }
    const struct tsr_packed q = {.input = 1, .tb = p.tb, .m = p.m, .n = p.n, .k = p.k, .a = ctx->in[0]->data, .b = ctx->in[1]->data,
                                 .c = y, .end = {.bias = bias}};
    if (type == TSR_F32 && !p.ta && p.alpha == 1 && p.beta == 0 && tsr_packed_suits(ctx, &q)) return tsr_packed_run(ctx, &q);
    multiply(ctx, &p, type, ctx->in[0]->data, ctx->in[1]->data, y, bias);
    return TSR_OK;
}

/* dC = beta * dY summed over the dimensions in which C was broadcast; sums in double. */
static enum tsr_status gemm_c_gradient(struct tsr_op_ctx *ctx, int64_t m, int64_t n)
{
    struct tsr_tensor *g = &ctx->gin[2];
    double beta = tsr_node_float(ctx->node, "beta", 1);
    int64_t down, right, count = tsr_tensor_count(g);
    gemm_c_steps(&g->shape, &down, &right);
    double *sum = tsr_op_scratch(ctx, (size_t)count * sizeof *sum);
    if (sum == NULL) return tsr_nomem(ctx->err, (size_t)count * sizeof *sum);
    for (int64_t i = 0; i < count; i++) sum[i] = 0;
    for (int64_t i = 0; i < m; i++) {
        const float *f = (const float *)ctx->gout[0]->data + i * n;
        const double *d = (const double *)ctx->gout[0]->data + i * n;
        double *to = sum + i * down;
        if (g->dtype == TSR_F32)
            for (int64_t j = 0; j < n; j++) to[j * right] += (double)f[j];
        else
            for (int64_t j = 0; j < n; j++) to[j * right] += d[j];
    }
    for (int64_t i = 0; i < count; i++) {
        if (g->dtype == TSR_F32) ((float *)g->data)[i] = (float)(beta * sum[i]);
        else ((double *)g->data)[i] = beta * sum[i];
    }
    tsr_op_scratch_free(ctx, sum, (size_t)count * sizeof *sum);
    return TSR_OK;
}

static enum tsr_status gemm_backward(struct tsr_op_ctx *ctx)
{
    struct product p, q;
    gemm_product(ctx, &p);
    enum tsr_dtype type = ctx->in[0]->dtype;
    if (ctx->gout[0] == NULL) {
        for (int i = 0; i < ctx->node->n_in; i++)
            if (ctx->want_gin[i]) zero(&ctx->gin[i]);
        return TSR_OK;
    }
    const void *a = ctx->in[0]->data, *b = ctx->in[1]->data, *dy = ctx->gout[0]->data;
    if (ctx->want_gin[0]) {
        if (p.ta) {
            q = (struct product){.ta = p.tb, .tb = true, .m = p.k, .n = p.m, .k = p.n, .alpha = p.alpha};
            multiply(ctx, &q, type, b, dy, ctx->gin[0].data, NULL);
        } else {
            q = (struct product){.tb = !p.tb, .m = p.m, .n = p.k, .k = p.n, .alpha = p.alpha};
            multiply(ctx, &q, type, dy, b, ctx->gin[0].data, NULL);
        }
    }
    if (ctx->want_gin[1]) {
        if (p.tb) {
            q = (struct product){.ta = true, .tb = p.ta, .m = p.n, .n = p.k, .k = p.m, .alpha = p.alpha};
            multiply(ctx, &q, type, dy, a, ctx->gin[1].data, NULL);
        } else {
            q = (struct product){.ta = !p.ta, .m = p.k, .n = p.n, .k = p.m, .alpha = p.alpha};
            multiply(ctx, &q, type, a, dy, ctx->gin[1].data, NULL);
        }
    }
    if (ctx->node->n_in > 2 && ctx->want_gin[2]) return gemm_c_gradient(ctx, p.m, p.n);
    return TSR_OK;
}

/* ---- MatMul --------------------------------------------------------------------------------- */

static const uint32_t matmul_types = TSR_MASK_REAL | TSR_MASK(TSR_I32) | TSR_MASK(TSR_U32) | TSR_MASK(TSR_I64) |
                                     TSR_MASK(TSR_U64);

static enum tsr_status matmul_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_batches s;
    struct tsr_shape out;
    TSR_TRY(tsr_op_need(ctx, 0, matmul_types));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(ctx->in[0]->dtype)));
    TSR_TRY(tsr_batches_init(ctx, 0, 1, &s, &out));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &out);
    return TSR_OK;
}

static struct product one_of(const struct tsr_batches *s)
{
    return (struct product){.m = s->m, .n = s->n, .k = s->k, .alpha = 1};
}

static void matmul_integers(const struct tsr_batches *s, enum tsr_dtype type, const void *a, const void *b, void *c)
{
    const struct product one = one_of(s), *p = &one;
    for (int64_t x = 0; x < s->count; x++) {
        int64_t pa = tsr_batches_place(s, s->step_a, x) * p->m * p->k, pb = tsr_batches_place(s, s->step_b, x) * p->k * p->n;
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++) {
                uint64_t sum = 0; /* wraps; the store takes the low bits */
                for (int64_t k = 0; k < p->k; k++)
                    sum += (uint64_t)tsr_load_i64(type, a, pa + i * p->k + k) *
                           (uint64_t)tsr_load_i64(type, b, pb + k * p->n + j);
                tsr_store_i64(type, c, (x * p->m + i) * p->n + j, (int64_t)sum);
            }
    }
}

static const char *element(const struct tsr_tensor *t, int64_t i)
{
    return (const char *)t->data + (size_t)i * tsr_dtype_bytes(t->dtype, 1);
}

static enum tsr_status matmul_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_batches s;
    struct tsr_shape out;
    TSR_TRY(tsr_batches_init(ctx, 0, 1, &s, &out));
    const struct tsr_tensor *a = ctx->in[0], *b = ctx->in[1];
    struct tsr_tensor *y = &ctx->out[0];
    if (tsr_tensor_count(y) == 0) return TSR_OK;
    if (!tsr_dtype_is_float(a->dtype)) {
        matmul_integers(&s, a->dtype, a->data, b->data, y->data);
        return TSR_OK;
    }
    struct product p = one_of(&s);
    int64_t ra, rb, size_a = p.m * p.k, size_b = p.k * p.n, size_y = p.m * p.n;
    if (tsr_batches_regular(&s, s.step_a, &ra) && tsr_batches_regular(&s, s.step_b, &rb)) {
        if (rb == 0 && (ra == 1 || s.count == 1)) {
            p.m *= s.count; /* one tall product: B is the same for all */
        } else {
            p.batch = s.count;
            p.stride_a = ra * size_a, p.stride_b = rb * size_b, p.stride_c = size_y;
        }
        const struct tsr_packed q = {.input = 1, .m = p.m, .n = p.n, .k = p.k, .a = a->data, .b = b->data, .c = y->data};
        if (a->dtype == TSR_F32 && p.batch <= 1 && tsr_packed_suits(ctx, &q)) return tsr_packed_run(ctx, &q);
        multiply(ctx, &p, a->dtype, a->data, b->data, y->data, NULL);
        return TSR_OK;
    }
    for (int64_t x = 0; x < s.count; x++)
        multiply(ctx, &p, a->dtype, element(a, tsr_batches_place(&s, s.step_a, x) * size_a),
                 element(b, tsr_batches_place(&s, s.step_b, x) * size_b), (void *)(uintptr_t)element(y, x * size_y), NULL);
    return TSR_OK;
}

/* The gradient of operand `which`: one product for each of the batch, added up in order where
 * the operand was broadcast. */
static void matmul_gradient(struct tsr_op_ctx *ctx, const struct tsr_batches *s, int which)
{
    const struct product one = one_of(s), *f = &one;
    const struct tsr_tensor *dy = ctx->gout[0], *other = ctx->in[1 - which];
    struct tsr_tensor *g = &ctx->gin[which];
    const int64_t *step = which == 0 ? s->step_a : s->step_b, *step_other = which == 0 ? s->step_b : s->step_a;
    int64_t stride, stride_other, size = which == 0 ? f->m * f->k : f->k * f->n,
                                  size_other = which == 0 ? f->k * f->n : f->m * f->k, size_y = f->m * f->n;
    struct product p = which == 0 ? (struct product){.tb = true, .m = f->m, .n = f->k, .k = f->n, .alpha = 1}
                                  : (struct product){.ta = true, .m = f->k, .n = f->n, .k = f->m, .alpha = 1};
    bool regular = tsr_batches_regular(s, step, &stride) && tsr_batches_regular(s, step_other, &stride_other);
    if (regular && which == 0 && stride_other == 0 && (stride == 1 || s->count == 1)) {
        p.m *= s->count;
        multiply(ctx, &p, g->dtype, dy->data, other->data, g->data, NULL);
    } else if (regular && which == 1 && stride == 0 && (stride_other == 1 || s->count == 1)) {
        p.k *= s->count;
        multiply(ctx, &p, g->dtype, other->data, dy->data, g->data, NULL);
    } else if (regular && stride == 1) {
        p.batch = s->count;
        p.stride_a = which == 0 ? size_y : stride_other * size_other;
        p.stride_b = which == 0 ? stride_other * size_other : size_y;
        p.stride_c = size;
        multiply(ctx, &p, g->dtype, which == 0 ? dy->data : other->data, which == 0 ? other->data : dy->data, g->data,
                 NULL);
    } else {
        p.beta = 1;
        zero(g);
        for (int64_t x = 0; x < s->count; x++) {
            const char *d = element(dy, x * size_y), *o = element(other, tsr_batches_place(s, step_other, x) * size_other);
            void *to = (void *)(uintptr_t)element(g, tsr_batches_place(s, step, x) * size);
            multiply(ctx, &p, g->dtype, which == 0 ? d : o, which == 0 ? o : d, to, NULL);
        }
    }
}

static enum tsr_status matmul_backward(struct tsr_op_ctx *ctx)
{
    struct tsr_batches s;
    struct tsr_shape out;
    TSR_TRY(tsr_batches_init(ctx, 0, 1, &s, &out));
    if (ctx->in[0]->dtype != TSR_F32 && ctx->in[0]->dtype != TSR_F64)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "integers have no gradient");
    for (int i = 0; i < 2; i++) {
        if (!ctx->want_gin[i]) continue;
        if (ctx->gout[0] == NULL || tsr_tensor_count(ctx->gout[0]) == 0) zero(&ctx->gin[i]);
        else matmul_gradient(ctx, &s, i);
    }
    return TSR_OK;
}

const struct tsr_op tsr_ops_matmul[] = {
    {"Gemm", "", TSR_OP_WIDEN, 2, 3, 1, gemm_infer, gemm_forward, gemm_backward, 7},
    {"MatMul", "", TSR_OP_WIDEN, 2, 2, 1, matmul_infer, matmul_forward, matmul_backward, 3},
};
const size_t tsr_n_ops_matmul = sizeof tsr_ops_matmul / sizeof tsr_ops_matmul[0];
