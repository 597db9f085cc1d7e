#include "ops/map.h"
#include "ops/par.h"

#include <string.h>

enum { CHUNK = 32768 };

struct job {
    const struct tsr_map *m;
    double p[4];
    enum tsr_dtype dtype;
    const void *x, *y, *gy;
    void *out; /* y in forward, gx in backward */
};

static void job_init(struct job *j, struct tsr_op_ctx *ctx, const struct tsr_map *m)
{
    *j = (struct job){.m = m, .dtype = ctx->in[0]->dtype, .x = ctx->in[0]->data};
    if (m->par) m->par(ctx->node, j->p);
}

enum tsr_status tsr_map_infer(struct tsr_op_ctx *ctx, const struct tsr_map *m)
{
    return tsr_arg_same(ctx, m->i64 ? TSR_MASK_REAL | TSR_MASK_INT : TSR_MASK_REAL);
}

static void forward_int(const struct job *j, int64_t from, int64_t n)
{
    enum { BLOCK = 256 };
    int64_t v[BLOCK];
    size_t size = tsr_dtype_bytes(j->dtype, 1);
    bool u = !tsr_dtype_is_signed(j->dtype);
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t k = n - at < BLOCK ? n - at : BLOCK;
        size_t off = (size_t)(from + at) * size;
        tsr_convert(TSR_I64, v, j->dtype, (const char *)j->x + off, k);
        for (int64_t i = 0; i < k; i++) v[i] = j->m->i64(v[i], u);
        tsr_convert(j->dtype, (char *)j->out + off, TSR_I64, v, k);
    }
}

static void forward_piece(void *arg, int64_t from, int64_t to)
{
    const struct job *j = arg;
    if (j->dtype == TSR_F32) {
        const float *x = j->x;
        float *y = j->out;
        if (j->m->f32) j->m->f32(to - from, j->p, x + from, y + from);
        else
            for (int64_t i = from; i < to; i++) y[i] = (float)j->m->f((double)x[i], j->p);
    } else if (j->dtype == TSR_F64) {
        for (int64_t i = from; i < to; i++) ((double *)j->out)[i] = j->m->f(((const double *)j->x)[i], j->p);
    } else
        forward_int(j, from, to - from);
}

enum tsr_status tsr_map_forward(struct tsr_op_ctx *ctx, const struct tsr_map *m)
{
    struct job j;
    job_init(&j, ctx, m);
    j.out = ctx->out[0].data;
    tsr_par(ctx->pool, tsr_tensor_count(ctx->in[0]), CHUNK, forward_piece, &j);
    return TSR_OK;
}

static void backward_piece(void *arg, int64_t from, int64_t to)
{
    const struct job *j = arg;
    if (j->dtype == TSR_F32) {
        const float *x = j->x, *y = j->y, *gy = j->gy;
        float *gx = j->out;
        if (j->m->g32) j->m->g32(to - from, j->p, x + from, y + from, gy + from, gx + from);
        else
            for (int64_t i = from; i < to; i++)
                gx[i] = (float)((double)gy[i] * j->m->slope((double)x[i], (double)y[i], j->p));
    } else {
        const double *x = j->x, *y = j->y, *gy = j->gy;
        for (int64_t i = from; i < to; i++) ((double *)j->out)[i] = gy[i] * j->m->slope(x[i], y[i], j->p);
    }
}

enum tsr_status tsr_map_backward(struct tsr_op_ctx *ctx, const struct tsr_map *m)
{
    struct job j;
    if (!ctx->want_gin[0]) return TSR_OK;
    if (!ctx->gout[0] || (!m->slope && !m->g32)) {
        memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
        return TSR_OK;
    }
    job_init(&j, ctx, m);
    j.y = ctx->out[0].data;
    j.gy = ctx->gout[0]->data;
    j.out = ctx->gin[0].data;
    tsr_par(ctx->pool, tsr_tensor_count(ctx->in[0]), CHUNK, backward_piece, &j);
    return TSR_OK;
}
