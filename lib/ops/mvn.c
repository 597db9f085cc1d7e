/* mvn.c - MeanVarianceNormalization: Y = (X - mean) / (std + 1e-9), with the mean and the standard
 * deviation over the dimensions that `axes` names (0, 2 and 3 by default). Sums in double. */
#include "base/mem.h"
#include "ops/copy.h"
#include "ops/families.h"
#include "ops/par.h"

#include <math.h>
#include <string.h>

static const double margin = 1e-9; /* the standard's function body has it */

/* X as rows to normalise: the other dimensions first, then those of `axes`. */
struct rows {
    struct tsr_copy gather; /* from X's order to rows; dst and src unset */
    enum tsr_dtype dtype;
    int64_t rows, size;
    void *x;                /* rows */
    const void *gy;         /* rows; backward only */
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct rows *r)
{
    static const int64_t usual[] = {0, 2, 3};
    const struct tsr_shape *s = &ctx->in[0]->shape;
    int64_t stride[TSR_MAX_RANK], step = 1;
    bool on[TSR_MAX_RANK];
    int n;
    memset(r, 0, sizeof *r);
    TSR_TRY(tsr_arg_axes(ctx, "axes", -1, s->rank, on, &n));
    for (int i = 0; n < 0 && i < 3; i++) {
        if (usual[i] >= s->rank)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "X has %d dimensions; name the ones to normalise in 'axes'", s->rank);
        on[usual[i]] = true;
    }
    tsr_arg_strides(s, stride);
    r->dtype = ctx->in[0]->dtype;
    r->rows = r->size = 1;
    r->gather.dtype = r->dtype;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < s->rank; i++) {
            if (on[i] != (pass == 1)) continue;
            r->gather.dim[r->gather.rank] = s->dim[i];
            r->gather.ss[r->gather.rank++] = stride[i];
            if (on[i]) r->size *= s->dim[i];
            else r->rows *= s->dim[i];
        }
    for (int i = r->gather.rank - 1; i >= 0; i--) {
        r->gather.ds[i] = step;
        step *= r->gather.dim[i];
    }
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct rows r;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL));
    return describe(ctx, &r);
}

static void gather(struct tsr_op_ctx *ctx, const struct rows *r, const void *src, void *dst)
{
    struct tsr_copy c = r->gather;
    c.src = src;
    c.dst = dst;
    tsr_copy_run(ctx->pool, &c);
}

static void spread(struct tsr_op_ctx *ctx, const struct rows *r, const void *src, void *dst)
{
    struct tsr_copy c = r->gather;
    c.src = src;
    c.dst = dst;
    memcpy(c.ss, r->gather.ds, sizeof c.ss);
    memcpy(c.ds, r->gather.ss, sizeof c.ds);
    tsr_copy_run(ctx->pool, &c);
}

/* forward: rows in place. backward: x becomes dX = (g - mean g) / s - c mean(g c) / (std s^2) with
 * c = x - mean and s = std + margin. */
#define MVN(REAL)                                                                                    \
    static void statistics_##REAL(const REAL *x, int64_t n, double *mean, double *deviation)        \
    {                                                                                                \
        double sum = 0, square = 0;                                                                  \
        for (int64_t i = 0; i < n; i++) sum += (double)x[i];                                         \
        *mean = sum / (double)n;                                                                     \
        for (int64_t i = 0; i < n; i++) square += ((double)x[i] - *mean) * ((double)x[i] - *mean);   \
        *deviation = sqrt(square / (double)n);                                                       \
    }                                                                                                \
    static void forward_##REAL(void *arg, int64_t from, int64_t to)                                  \
    {                                                                                                \
        const struct rows *r = arg;                                                                  \
        for (int64_t k = from; k < to; k++) {                                                        \
            REAL *x = (REAL *)r->x + k * r->size;                                                    \
            double mean, deviation;                                                                  \
            statistics_##REAL(x, r->size, &mean, &deviation);                                        \
            for (int64_t i = 0; i < r->size; i++)                                                    \
                x[i] = (REAL)(((double)x[i] - mean) / (deviation + margin));                         \
        }                                                                                            \
    }                                                                                                \
    static void backward_##REAL(void *arg, int64_t from, int64_t to)                                 \
    {                                                                                                \
        const struct rows *r = arg;                                                                  \
        for (int64_t k = from; k < to; k++) {                                                        \
            REAL *x = (REAL *)r->x + k * r->size;                                                    \
            const REAL *g = (const REAL *)r->gy + k * r->size;                                       \
            double mean, deviation, gm = 0, gc = 0;                                                  \
            statistics_##REAL(x, r->size, &mean, &deviation);                                        \
            const double s = deviation + margin, n = (double)r->size;                                \
            for (int64_t i = 0; i < r->size; i++) gm += (double)g[i];                                \
            for (int64_t i = 0; i < r->size; i++) gc += (double)g[i] * ((double)x[i] - mean);        \
            const double slope = deviation > 0 ? gc / n / (deviation * s * s) : 0;                   \
            for (int64_t i = 0; i < r->size; i++)                                                    \
                x[i] = (REAL)(((double)g[i] - gm / n) / s - ((double)x[i] - mean) * slope);          \
        }                                                                                            \
    }
MVN(float)
MVN(double)

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct rows r;
    TSR_TRY(describe(ctx, &r));
    const size_t bytes = tsr_tensor_bytes(ctx->in[0]);
    if (r.rows == 0 || r.size == 0) return TSR_OK;
    r.x = tsr_op_scratch(ctx, bytes);
    if (!r.x) return tsr_nomem(ctx->err, bytes);
    gather(ctx, &r, ctx->in[0]->data, r.x);
    tsr_par(ctx->pool, r.rows, tsr_par_rows(r.size), r.dtype == TSR_F32 ? forward_float : forward_double, &r);
    spread(ctx, &r, r.x, ctx->out[0].data);
    tsr_op_scratch_free(ctx, r.x, bytes);
    return TSR_OK;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct rows r;
    TSR_TRY(describe(ctx, &r));
    const size_t bytes = tsr_tensor_bytes(ctx->in[0]);
    if (!ctx->want_gin[0] || bytes == 0) return TSR_OK;
    if (!ctx->gout[0]) {
        memset(ctx->gin[0].data, 0, bytes);
        return TSR_OK;
    }
    r.x = tsr_op_scratch(ctx, 2 * bytes);
    if (!r.x) return tsr_nomem(ctx->err, 2 * bytes);
    char *gy = (char *)r.x + bytes;
    gather(ctx, &r, ctx->in[0]->data, r.x);
    gather(ctx, &r, ctx->gout[0]->data, gy);
    r.gy = gy;
    tsr_par(ctx->pool, r.rows, tsr_par_rows(r.size), r.dtype == TSR_F32 ? backward_float : backward_double, &r);
    spread(ctx, &r, r.x, ctx->gin[0].data);
    tsr_op_scratch_free(ctx, r.x, 2 * bytes);
    return TSR_OK;
}

const struct tsr_op tsr_ops_mvn[] = {
    {"MeanVarianceNormalization", "", TSR_OP_WIDEN, 1, 1, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_mvn = sizeof tsr_ops_mvn / sizeof *tsr_ops_mvn;
