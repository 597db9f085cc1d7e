/* conv_depthwise.c - convolutions of groups of one input channel, as filters over flat planes.
 *
 * A plane of X is copied with its padding into `phases`: one plane for every remainder of a
 * coordinate modulo the stride, so that a tap reads consecutive elements for consecutive outputs,
 * whatever the stride. Output rows are given the length of the padded input rows; then a tap is
 * one offset for the whole plane, across rows (and depths): Y' [j] = sum of w[t] * X'[at[t] + j].
 * The few elements between the rows are computed in vain. */
#include "ops/conv_impl.h"
#include "base/clones.h"
#include "base/mem.h"

#include <string.h>

struct plane {
    const struct tsr_window *w;
    int64_t q[3];             /* extent of a phase */
    int64_t size, n_phase;    /* elements of a phase; number of phases */
    int64_t lo[3], hi[3];     /* the part of X that windows reach */
    bool covers;              /* ... is all of it */
    int64_t length;           /* of Y' */
    int64_t margin;           /* zeros in front of Y' for the gradient of the input */
    int64_t phase_size, flat_size, work; /* elements of the work area: phases, margin and Y', weights */
    int64_t *at;              /* [taps]: offset into the phases */
    int64_t *tap, *back;      /* [taps]: ordered by phase, and the offsets into Y' backwards */
    int64_t *phase_taps;      /* [n_phase] */
};

struct depthwise {
    struct tsr_window w;
    struct plane plane;
    int64_t groups, m, mg, taps;
    bool f32;
    const void *x, *weight, *bias, *dy;
    void *y, *dx, *dw;
    int64_t planes, step; /* planes of X, and how many a task takes */
    int64_t *table;
    char *work;
    size_t each, sum_bytes; /* work of a worker, of which the sums come last */
};

#define REAL float
#define R(name) name##_f32
#include "ops/conv_depthwise_real.h"
#undef REAL
#undef R
#define REAL double
#define R(name) name##_f64
#include "ops/conv_depthwise_real.h"
#undef REAL
#undef R

/* Fills the offsets; `table` has room for 3 * taps + n_phase numbers. */
static void offsets(struct plane *g, int64_t taps, int64_t *table)
{
    const struct tsr_window *w = g->w;
    g->at = table, g->tap = table + taps, g->back = table + 2 * taps, g->phase_taps = table + 3 * taps;
    g->margin = 0;
    int64_t n = 0;
    for (int64_t f = 0; f < g->n_phase; f++) {
        g->phase_taps[f] = 0;
        for (int64_t t = 0; t < taps; t++) {
            int64_t o2 = t % w->kernel[2] * w->dilation[2], o1 = t / w->kernel[2] % w->kernel[1] * w->dilation[1];
            int64_t o0 = t / w->kernel[2] / w->kernel[1] * w->dilation[0];
            int64_t shift = (o0 / w->stride[0] * g->q[1] + o1 / w->stride[1]) * g->q[2] + o2 / w->stride[2];
            if ((o0 % w->stride[0] * w->stride[1] + o1 % w->stride[1]) * w->stride[2] + o2 % w->stride[2] != f) continue;
            g->at[t] = f * g->size + shift;
            g->tap[n] = t;
            g->back[n++] = -shift;
            g->phase_taps[f]++;
            if (shift > g->margin) g->margin = shift;
        }
    }
}

static enum tsr_status prepare(struct tsr_op_ctx *ctx, const struct tsr_conv *from, struct depthwise *v, size_t *bytes)
{
    *v = (struct depthwise){.w = from->w, .groups = from->groups, .m = from->m, .mg = from->mg, .taps = from->k,
                            .f32 = from->f32, .x = from->x, .weight = from->weight, .bias = from->bias,
                            .dy = from->dy, .y = from->y, .dx = from->dx, .dw = from->dw};
    struct plane *g = &v->plane;
    const struct tsr_window *w = g->w = &v->w;
    double elements = 1;
    g->size = g->n_phase = 1;
    g->covers = true;
    for (int d = 0; d < 3; d++) {
        int64_t reach = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
        g->q[d] = (reach + w->stride[d] - 1) / w->stride[d];
        g->size *= g->q[d];
        g->n_phase *= w->stride[d];
        elements *= (double)g->q[d] * (double)w->stride[d];
        g->lo[d] = w->pad[d] < 0 ? -w->pad[d] : 0;
        g->hi[d] = reach - w->pad[d] < w->in[d] ? reach - w->pad[d] : w->in[d];
        g->covers = g->covers && g->lo[d] == 0 && g->hi[d] == w->in[d];
    }
    if (elements > 1e12 || (double)v->taps > 1e9) return tsr_op_fail(ctx, TSR_E_LIMIT, "the padded input is too large");
    g->length = ((w->out[0] - 1) * g->q[1] + w->out[1] - 1) * g->q[2] + w->out[2];
    *bytes = (size_t)(3 * v->taps + g->n_phase) * sizeof *v->table;
    v->table = tsr_op_scratch(ctx, *bytes);
    if (v->table == NULL) return tsr_nomem(ctx->err, *bytes);
    offsets(g, v->taps, v->table);
    v->planes = w->n * v->groups;
    v->step = 16384 / (g->n_phase * g->size + 1) + 1;
    return TSR_OK;
}

/* Runs fn for n tasks, each worker with a work area. `lead` elements lie in front of Y'; the
 * phases are read up to 15 elements beyond their end, Y' is as long as a phase. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct depthwise *v, int64_t n, void (*fn)(void *, int64_t, int))
{
    struct plane *g = &v->plane;
    size_t size = v->f32 ? sizeof(float) : sizeof(double), threads = (size_t)tsr_pool_threads(ctx->pool);
    g->phase_size = (g->n_phase * g->size + 16 + 15) / 16 * 16;
    g->flat_size = (g->size + 16 + 15) / 16 * 16;
    g->margin = (g->margin + 15) / 16 * 16;
    g->work = g->phase_size + g->margin + g->flat_size + v->taps;
    v->sum_bytes = (size_t)(v->mg * v->taps) * sizeof(double);
    v->each = (((size_t)g->work * size + 63) & ~(size_t)63) + ((v->sum_bytes + 63) & ~(size_t)63);
    v->work = tsr_op_scratch(ctx, v->each * threads);
    if (v->work == NULL) return tsr_nomem(ctx->err, v->each * threads);
    tsr_pool_run(ctx->pool, n, fn, v);
    tsr_op_scratch_free(ctx, v->work, v->each * threads);
    return TSR_OK;
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
    size_t bytes;
    TSR_TRY(prepare(ctx, from, &v, &bytes));
    enum tsr_status status = run(ctx, &v, (v.planes + v.step - 1) / v.step, plane_task);
    tsr_op_scratch_free(ctx, v.table, bytes);
    return status;
}

enum tsr_status tsr_depthwise_input_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct depthwise v;
    size_t bytes;
    TSR_TRY(prepare(ctx, from, &v, &bytes));
    v.y = NULL;
    enum tsr_status status = run(ctx, &v, (v.planes + v.step - 1) / v.step, plane_task);
    tsr_op_scratch_free(ctx, v.table, bytes);
    return status;
}

enum tsr_status tsr_depthwise_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct depthwise v;
    size_t bytes;
    TSR_TRY(prepare(ctx, from, &v, &bytes));
    enum tsr_status status = run(ctx, &v, v.groups, channel_task);
    tsr_op_scratch_free(ctx, v.table, bytes);
    return status;
}
