/* conv_depthwise.c - convolutions of groups of one input channel, as filters over flat planes
 * (conv_plane.h). The few elements between the rows of Y' are computed in vain. */
#include "ops/conv_impl.h"
#include "ops/conv_plane.h"
#include "base/clones.h"
#include "base/mem.h"

#include <string.h>

struct depthwise {
    struct tsr_window w;
    struct tsr_plane plane;
    int64_t groups, m, mg, taps, weight_step;
    bool f32;
    const void *x, *weight, *bias, *dy;
    void *y, *dx, *dw, *db;
    int64_t planes, step; /* planes of X, and how many a task takes */
    int64_t margin, flat_size, elements; /* work area: phases, zeros in front of Y', Y', weights */
    char *work;
    size_t each, sum_bytes; /* work of a worker, of which the sums come last */
};

#define REAL float
#define R(name) name##_f32
#include "ops/vec_real.h"
#include "ops/conv_plane_real.h"
#include "ops/conv_depthwise_real.h"
#undef REAL
#undef R
#undef V16
#undef AT16
#undef FROM16
#undef LANES16
#define REAL double
#define R(name) name##_f64
#include "ops/vec_real.h"
#include "ops/conv_plane_real.h"
#include "ops/conv_depthwise_real.h"
#undef REAL
#undef R
#undef V16
#undef AT16
#undef FROM16
#undef LANES16

static enum tsr_status prepare(struct tsr_op_ctx *ctx, const struct tsr_conv *from, struct depthwise *v)
{
    *v = (struct depthwise){.w = from->w, .groups = from->groups, .m = from->m, .mg = from->mg, .taps = from->k,
                            .weight_step = from->shared ? 0 : from->k, .f32 = from->f32, .x = from->x,
                            .weight = from->weight, .bias = from->bias, .dy = from->dy, .y = from->y,
                            .dx = from->dx, .dw = from->dw, .db = from->db};
    TSR_TRY(tsr_plane_init(ctx, &v->w, &v->plane));
    v->planes = v->w.n * v->groups;
    v->step = 16384 / v->plane.all + 1;
    return TSR_OK;
}

/* Runs fn for n tasks, each worker with a work area, and releases the plane. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct depthwise *v, int64_t n, void (*fn)(void *, int64_t, int))
{
    struct tsr_plane *g = &v->plane;
    size_t size = v->f32 ? sizeof(float) : sizeof(double), threads = (size_t)tsr_pool_threads(ctx->pool);
    v->flat_size = (g->size + TSR_PLANE_SLACK + 15) / 16 * 16;
    v->margin = (g->margin + 15) / 16 * 16;
    v->elements = g->all + v->margin + v->flat_size + v->taps;
    v->sum_bytes = (size_t)(v->mg * (v->taps + 1)) * sizeof(double);
    v->each = (((size_t)v->elements * size + 63) & ~(size_t)63) + ((v->sum_bytes + 63) & ~(size_t)63);
    v->work = tsr_op_scratch(ctx, v->each * threads);
    if (v->work != NULL) tsr_pool_run(ctx->pool, n, fn, v);
    enum tsr_status status = v->work != NULL ? TSR_OK : tsr_nomem(ctx->err, v->each * threads);
    tsr_op_scratch_free(ctx, v->work, v->each * threads);
    tsr_plane_release(ctx, g);
    return status;
}

static void plane_task(void *arg, int64_t i, int worker)
{
    const struct depthwise *v = arg;
    int64_t p0 = i * v->step, p1 = p0 + v->step < v->planes ? p0 + v->step : v->planes;
    void *work = v->work + v->each * (size_t)worker;
    if (v->y != NULL && v->f32) forward_f32(v, p0, p1, work);
    else if (v->y != NULL) forward_f64(v, p0, p1, work);
    else if (v->f32) input_gradient_f32(v, p0, p1, work);
    else input_gradient_f64(v, p0, p1, work);
}

static void channel_task(void *arg, int64_t i, int worker)
{
    const struct depthwise *v = arg;
    char *work = v->work + v->each * (size_t)worker;
    void *sum = work + v->each - ((v->sum_bytes + 63) & ~(size_t)63);
    if (v->f32) weight_gradient_f32(v, i, (float *)(void *)work, sum);
    else weight_gradient_f64(v, i, (double *)(void *)work, sum);
}

enum tsr_status tsr_depthwise_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct depthwise v;
    TSR_TRY(prepare(ctx, from, &v));
    return run(ctx, &v, (v.planes + v.step - 1) / v.step, plane_task);
}

enum tsr_status tsr_depthwise_input_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct depthwise v;
    TSR_TRY(prepare(ctx, from, &v));
    v.y = NULL;
    return run(ctx, &v, (v.planes + v.step - 1) / v.step, plane_task);
}

enum tsr_status tsr_depthwise_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct depthwise v;
    TSR_TRY(prepare(ctx, from, &v));
    return run(ctx, &v, v.groups, channel_task);
}
