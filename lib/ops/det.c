/* det.c - Det: determinants by elimination with row exchanges. Its gradient is the determinant times the
 * transposed inverse, which is computed as the cofactors, so that it exists for all matrices. */
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"

#include <math.h>
#include <string.h>

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    char text[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    struct tsr_shape s = ctx->in[0]->shape;
    if (s.rank < 2 || s.dim[s.rank - 1] != s.dim[s.rank - 2])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%s is no square matrix", tsr_shape_text(&s, text, sizeof text));
    s.rank -= 2;
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

/* Destroys a[n][n], in double. */
static double determinant(double *a, int64_t n)
{
    double det = 1;
    for (int64_t c = 0; c < n; c++) {
        int64_t p = c;
        for (int64_t r = c + 1; r < n; r++)
            if (fabs(a[r * n + c]) > fabs(a[p * n + c])) p = r;
        if (a[p * n + c] == 0) return 0;
        if (p != c) {
            det = -det;
            for (int64_t j = 0; j < n; j++) {
                const double swap = a[c * n + j];
                a[c * n + j] = a[p * n + j];
                a[p * n + j] = swap;
            }
        }
        det *= a[c * n + c];
        for (int64_t r = c + 1; r < n; r++) {
            const double f = a[r * n + c] / a[c * n + c];
            for (int64_t j = c + 1; j < n; j++) a[r * n + j] -= f * a[c * n + j];
        }
    }
    return det;
}

static void load(const struct tsr_tensor *x, int64_t from, int64_t n, double *a)
{
    for (int64_t i = 0; i < n * n; i++) a[i] = tsr_load_f64(x->dtype, x->data, from + i);
}

/* The determinant without row r and column c, with its sign. */
static double cofactor(const double *a, int64_t n, int64_t r, int64_t c, double *room)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (i != r && j != c) room[k++] = a[i * n + j];
    const double d = determinant(room, n - 1);
    return (r + c) % 2 ? -d : d;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    const int64_t n = x->shape.dim[x->shape.rank - 1], count = tsr_tensor_count(&ctx->out[0]);
    const size_t bytes = (size_t)(n * n) * sizeof(double);
    double *a = tsr_op_scratch(ctx, bytes);
    if (!a) return tsr_nomem(ctx->err, bytes);
    for (int64_t b = 0; b < count; b++) {
        load(x, b * n * n, n, a);
        tsr_store_f64(x->dtype, ctx->out[0].data, b, determinant(a, n));
    }
    tsr_op_scratch_free(ctx, a, bytes);
    return TSR_OK;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    const int64_t n = x->shape.dim[x->shape.rank - 1], count = tsr_tensor_count(&ctx->out[0]);
    const size_t bytes = 2 * (size_t)(n * n) * sizeof(double);
    if (!ctx->want_gin[0] || tsr_tensor_count(x) == 0) return TSR_OK;
    if (!g) {
        memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
        return TSR_OK;
    }
    double *a = tsr_op_scratch(ctx, bytes);
    if (!a) return tsr_nomem(ctx->err, bytes);
    for (int64_t b = 0; b < count; b++) {
        load(x, b * n * n, n, a);
        for (int64_t i = 0; i < n * n; i++)
            tsr_store_f64(x->dtype, ctx->gin[0].data, b * n * n + i,
                          tsr_load_f64(g->dtype, g->data, b) * cofactor(a, n, i / n, i % n, a + n * n));
    }
    tsr_op_scratch_free(ctx, a, bytes);
    return TSR_OK;
}

const struct tsr_op tsr_ops_det[] = {
    {"Det", "", TSR_OP_WIDEN, 1, 1, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_det = sizeof tsr_ops_det / sizeof *tsr_ops_det;
