/* pool_last.c - tessera.MaxPool, tessera.AveragePool and tessera.GlobalAveragePool, which graph/fuse.c puts
 * in place of the pooling operators of the same names over channels-last tensors X[n, in..., c] with one or
 * two spatial dimensions. Attributes as theirs; the maximum has no indices. The global mean gives
 * [n, c, 1...] or, with keepdims 0, [n, c]. */
#include "ops/families.h"
#include "ops/arg.h"
#include "ops/window.h"
#include "base/clones.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum pool_kind { POOL_MAX, POOL_MEAN, POOL_ALL };

struct pooling {
    struct tsr_window w;
    enum pool_kind kind;
    bool f32, pads_count;    /* pads_count: count_include_pad */
    int64_t rows, step;      /* of outputs: rows (images where global), and how many a task takes */
    const void *x, *y, *dy;
    void *out;               /* Y forward, dX backward */
    double *sums;            /* [c] of every worker, where global */
};

#define REAL float
#define R(name) name##_f32
#include "ops/pool_last_real.h"
#undef REAL
#undef R
#define REAL double
#define R(name) name##_f64
#include "ops/pool_last_real.h"
#undef REAL
#undef R

static enum tsr_status pool_init(struct tsr_op_ctx *ctx, struct pooling *p)
{
    char text[TSR_SHAPE_TEXT];
    const char *name = ctx->node->op_type;
    const struct tsr_shape *x = &ctx->in[0]->shape;
    *p = (struct pooling){.kind = name[0] == 'M' ? POOL_MAX : name[0] == 'A' ? POOL_MEAN : POOL_ALL,
                          .f32 = ctx->in[0]->dtype == TSR_F32, .x = ctx->in[0]->data,
                          .pads_count = tsr_node_int(ctx->node, "count_include_pad", 0) != 0};
    if (x->rank < 3 || x->rank > 4)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must have 3 or 4 dimensions, not %s", tsr_shape_text(x, text, sizeof text));
    const struct tsr_shape first = tsr_window_channels_first(x);
    if (p->kind != POOL_ALL) {
        TSR_TRY(tsr_window_init(ctx, &first, NULL, &p->w));
        p->rows = p->w.n * p->w.out[1];
    } else {
        p->w.n = p->rows = x->dim[0], p->w.c = first.dim[1], p->w.in_size = tsr_arg_span(x, 1, x->rank - 1);
        if (p->w.in_size == 0) return tsr_op_fail(ctx, TSR_E_MISMATCH, "X is empty");
    }
    int64_t cost = p->kind == POOL_ALL ? p->w.in_size * p->w.c : p->w.out[2] * p->w.c * p->w.kernel_size;
    p->step = cost < 32768 ? 32768 / (cost + 1) : 1;
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct pooling p;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    TSR_TRY(pool_init(ctx, &p));
    struct tsr_shape y = ctx->in[0]->shape;
    if (p.kind == POOL_ALL) {
        for (int i = 2; i < y.rank; i++) y.dim[i] = 1;
        y.dim[1] = p.w.c;
        if (tsr_node_int(ctx->node, "keepdims", 1) == 0) y.rank = 2;
    } else {
        for (int i = 1; i + 1 < y.rank; i++) y.dim[i] = p.w.out[3 - p.w.rank + i - 1];
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &y);
    return TSR_OK;
}

static void task(void *arg, int64_t i, int worker)
{
    const struct pooling *p = arg;
    const int64_t r0 = i * p->step, r1 = r0 + p->step < p->rows ? r0 + p->step : p->rows;
    double *sums = p->sums != NULL ? p->sums + worker * p->w.c : NULL;
    for (int64_t r = r0; r < r1; r++) {
        if (p->f32 && p->kind == POOL_ALL) all_f32(p, r, sums);
        else if (p->f32) forward_row_f32(p, r);
        else if (p->kind == POOL_ALL) all_f64(p, r, sums);
        else forward_row_f64(p, r);
    }
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct pooling p;
    TSR_TRY(pool_init(ctx, &p));
    p.out = ctx->out[0].data;
    if (tsr_tensor_count(&ctx->out[0]) == 0) return TSR_OK;
    const size_t bytes = p.kind == POOL_ALL ? (size_t)p.w.c * sizeof *p.sums * (size_t)tsr_pool_threads(ctx->pool) : 0;
    if (bytes > 0) {
        p.sums = tsr_op_scratch(ctx, bytes);
        if (p.sums == NULL) return tsr_nomem(ctx->err, bytes);
    }
    tsr_pool_run(ctx->pool, (p.rows + p.step - 1) / p.step, task, &p);
    tsr_op_scratch_free(ctx, p.sums, bytes);
    return TSR_OK;
}

static void backward_task(void *arg, int64_t n, int worker)
{
    const struct pooling *p = arg;
    (void)worker;
    if (p->f32) backward_image_f32(p, n);
    else backward_image_f64(p, n);
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct pooling p;
    TSR_TRY(pool_init(ctx, &p));
    if (!ctx->want_gin[0] || tsr_tensor_count(&ctx->gin[0]) == 0) return TSR_OK;
    if (ctx->gout[0] == NULL || tsr_tensor_count(ctx->gout[0]) == 0) {
        memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
        return TSR_OK;
    }
    p.y = ctx->out[0].data, p.dy = ctx->gout[0]->data, p.out = ctx->gin[0].data;
    tsr_pool_run(ctx->pool, p.w.n, backward_task, &p);
    return TSR_OK;
}

const struct tsr_op tsr_ops_pool_last[] = {
    {"AveragePool", "tessera", TSR_OP_WIDEN | TSR_OP_SAMPLES, 1, 1, 1, infer, forward, backward, 0},
    {"GlobalAveragePool", "tessera", TSR_OP_WIDEN | TSR_OP_SAMPLES, 1, 1, 1, infer, forward, backward, 0},
    {"MaxPool", "tessera", TSR_OP_WIDEN | TSR_OP_SAMPLES, 1, 1, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_pool_last = sizeof tsr_ops_pool_last / sizeof tsr_ops_pool_last[0];
