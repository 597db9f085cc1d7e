/* pool.c - MaxPool, AveragePool, LpPool and their global forms. */
#include "ops/families.h"
#include "ops/arg.h"
#include "ops/conv_plane.h"
#include "base/clones.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum pool_kind { POOL_MAX, POOL_MEAN, POOL_NORM };

struct pooling {
    struct tsr_window w;  /* global: in_size and out_size only */
    struct tsr_plane plane; /* global: zero */
    enum pool_kind kind;
    bool global;
    double p;             /* LpPool: the norm */
    enum tsr_dtype type;
    int64_t planes;       /* batch * channels */
    int64_t step;         /* planes a task */
    const void *x, *dy;
    void *y, *dx;
    int32_t *arg;         /* MaxPool: where in its plane each output was found, or NULL */
    int32_t *shift, *place; /* MaxPool: what a tap adds to the place in X of each Y', flat */
    void *count;          /* AveragePool: elements of each window, flat */
    int64_t margin, flat; /* elements in front of Y' and of Y' in a work area */
    char *work;
    size_t each;          /* bytes of work a worker: phases, margin, Y', then one more plane */
};

/* The first place of a window that lies inside the plane; -1 where there is none. */
static int32_t first_place(const struct tsr_window *w, int64_t d, int64_t h, int64_t i)
{
    int64_t at[3] = {d, h, i}, place[3];
    for (int k = 0; k < 3; k++) {
        int64_t first = at[k] * w->stride[k] - w->pad[k], up = w->dilation[k];
        place[k] = first < 0 ? first + (-first + up - 1) / up * up : first;
        if (place[k] >= w->in[k] || place[k] > first + (w->kernel[k] - 1) * up) return -1;
    }
    return (int32_t)((place[0] * w->in[1] + place[1]) * w->in[2] + place[2]);
}

#define REAL float
#define INT int32_t
#define R(name) name##_f32
#define LOWEST (-INFINITY)
#define IS_NAN(v) ((v) != (v))
#include "ops/vec_real.h"
#include "ops/conv_plane_real.h"
#include "ops/pool_max.h"
#include "ops/pool_real.h"
#undef REAL
#undef INT
#undef R
#undef LOWEST
#undef V16
#undef AT16
#undef FROM16
#undef LANES16
#define REAL double
#define INT int64_t
#define R(name) name##_f64
#define LOWEST ((double)-INFINITY)
#include "ops/vec_real.h"
#include "ops/conv_plane_real.h"
#include "ops/pool_max.h"
#include "ops/pool_real.h"
#undef REAL
#undef R
#undef LOWEST
#undef IS_NAN
#define IS_NAN(v) false
#define REAL uint8_t
#define R(name) name##_u8
#define LOWEST 0
#include "ops/pool_max.h"
#undef REAL
#undef R
#undef LOWEST
#define REAL int8_t
#define R(name) name##_i8
#define LOWEST INT8_MIN
#include "ops/pool_max.h"

static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), k = strlen(with);
    return n >= k && strcmp(s + n - k, with) == 0;
}

static enum tsr_status pool_init(struct tsr_op_ctx *ctx, struct pooling *v)
{
    char text[TSR_SHAPE_TEXT];
    const char *name = ctx->node->op_type;
    const struct tsr_shape *x = &ctx->in[0]->shape;
    memset(v, 0, sizeof *v);
    v->kind = ends(name, "MaxPool") ? POOL_MAX : ends(name, "AveragePool") ? POOL_MEAN : POOL_NORM;
    v->global = strncmp(name, "Global", 6) == 0;
    v->type = ctx->in[0]->dtype;
    v->p = (double)tsr_node_int(ctx->node, "p", 2);
    if (v->p < 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "p is %g; it must be at least 1", v->p);
    if (v->global) {
        if (x->rank < 2)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must be [batch, channels, size...], not %s",
                               tsr_shape_text(x, text, sizeof text));
        v->w.n = x->dim[0];
        v->w.c = x->dim[1];
        v->w.in_size = tsr_arg_span(x, 2, x->rank);
        v->w.out_size = 1;
        if (v->w.in_size == 0) return tsr_op_fail(ctx, TSR_E_MISMATCH, "X is empty");
    } else {
        TSR_TRY(tsr_window_init(ctx, x, NULL, &v->w));
    }
    if (v->w.in_size > INT32_MAX) return tsr_op_fail(ctx, TSR_E_LIMIT, "a plane of more than 2^31 elements");
    v->planes = v->w.n * v->w.c;
    v->step = 32768 / (v->w.in_size + 1);
    if (v->step < 1) v->step = 1;
    return TSR_OK;
}

static enum tsr_status pool_infer(struct tsr_op_ctx *ctx)
{
    struct pooling v;
    bool max = strcmp(ctx->node->op_type, "MaxPool") == 0;
    TSR_TRY(tsr_op_need(ctx, 0, max ? TSR_MASK_REAL | TSR_MASK(TSR_U8) | TSR_MASK(TSR_I8) : TSR_MASK_REAL));
    TSR_TRY(pool_init(ctx, &v));
    struct tsr_shape out = ctx->in[0]->shape;
    for (int d = 2; v.global && d < out.rank; d++) out.dim[d] = 1;
    if (!v.global) out = tsr_window_shape(&v.w, v.w.c);
    tsr_op_set(ctx, 0, v.type, &out);
    if (max) tsr_op_set(ctx, 1, TSR_I64, &out);
    return TSR_OK;
}

/* The elements of each window, flat: those inside the input or, with count_include_pad, inside its
 * padding too; 1 between the rows. */
static enum tsr_status count_elements(struct tsr_op_ctx *ctx, struct pooling *v)
{
    const struct tsr_window *w = &v->w;
    bool pad = tsr_node_int(ctx->node, "count_include_pad", 0) != 0, f32 = v->type == TSR_F32;
    int64_t total = w->out[0] + w->out[1] + w->out[2], q2 = v->plane.q[2], q1 = v->plane.q[1];
    int64_t *one = tsr_op_scratch(ctx, (size_t)total * sizeof *one), *count[3], *at = one;
    if (one == NULL) return tsr_nomem(ctx->err, (size_t)total * sizeof *one);
    for (int d = 0; d < 3; d++) {
        count[d] = at;
        for (int64_t o = 0; o < w->out[d]; o++) {
            int64_t first = o * w->stride[d] - w->pad[d], n = 0;
            for (int64_t k = 0; k < w->kernel[d]; k++) {
                int64_t i = first + k * w->dilation[d];
                n += pad ? i < w->in[d] + w->pad_end[d] : i >= 0 && i < w->in[d];
            }
            *at++ = n;
        }
    }
    for (int64_t j = 0; j < v->flat; j++) {
        int64_t i = j % q2, h = j / q2 % q1, d = j / q2 / q1, n = 1;
        if (i < w->out[2] && h < w->out[1] && d < w->out[0]) n = count[0][d] * count[1][h] * count[2][i];
        if (n == 0) n = 1; /* a window of padding alone: 0 / 1 */
        if (f32) ((float *)v->count)[j] = (float)n;
        else ((double *)v->count)[j] = (double)n;
    }
    tsr_op_scratch_free(ctx, one, (size_t)total * sizeof *one);
    return TSR_OK;
}

/* Places wrap (padding lies outside the plane); what they are added up to does not. */
static void find_places(const struct pooling *v)
{
    const struct tsr_window *w = &v->w;
    for (int64_t t = 0; t < w->kernel_size; t++) {
        int64_t k2 = t % w->kernel[2], k1 = t / w->kernel[2] % w->kernel[1], k0 = t / w->kernel[2] / w->kernel[1];
        int64_t o0 = k0 * w->dilation[0] - w->pad[0], o1 = k1 * w->dilation[1] - w->pad[1];
        v->shift[t] = (int32_t)((o0 * w->in[1] + o1) * w->in[2] + k2 * w->dilation[2] - w->pad[2]);
    }
    for (int64_t j = 0; j < v->plane.length; j++) {
        int64_t i = j % v->plane.q[2], h = j / v->plane.q[2] % v->plane.q[1], d = j / v->plane.q[2] / v->plane.q[1];
        v->place[j] = (int32_t)((d * w->stride[0] * w->in[1] + h * w->stride[1]) * w->in[2] + i * w->stride[2]);
    }
}

static void pool_task(void *arg, int64_t i, int worker)
{
    const struct pooling *v = arg;
    int64_t p0 = i * v->step, p1 = p0 + v->step < v->planes ? p0 + v->step : v->planes;
    void *work = v->work + v->each * (size_t)worker;
    bool f32 = v->type == TSR_F32;
    if (v->dy != NULL) {
        if (f32) backward_planes_f32(v, p0, p1, work);
        else backward_planes_f64(v, p0, p1, work);
    } else if (v->kind != POOL_MAX) {
        if (f32) mean_planes_f32(v, p0, p1, work);
        else mean_planes_f64(v, p0, p1, work);
    } else if (v->type == TSR_U8) max_plain_u8(v, p0, p1);
    else if (v->type == TSR_I8) max_plain_i8(v, p0, p1);
    else if (v->global && f32) max_plain_f32(v, p0, p1);
    else if (v->global) max_plain_f64(v, p0, p1);
    else if (f32) max_planes_f32(v, p0, p1, work);
    else max_planes_f64(v, p0, p1, work);
}

/* Memory for all: counts or shifts, then the work areas. Runs the tasks. */
static enum tsr_status pool_run(struct tsr_op_ctx *ctx, struct pooling *v)
{
    bool bytes_only = v->type == TSR_U8 || v->type == TSR_I8;
    size_t size = tsr_dtype_bytes(v->type, 1);
    if (!v->global && !bytes_only) {
        TSR_TRY(tsr_plane_init(ctx, &v->w, &v->plane));
        v->margin = (v->plane.margin + 15) / 16 * 16;
        v->flat = (v->plane.size + TSR_PLANE_SLACK + 15) / 16 * 16;
    }
    int64_t more = v->kind == POOL_NORM ? (v->w.in_size > v->w.out_size ? v->w.in_size : v->w.out_size) : v->flat;
    v->each = bytes_only ? 0 : ((size_t)(v->plane.all + v->margin + v->flat + more) * size + 63) & ~(size_t)63;
    size_t counts = ((size_t)v->flat * size + 63) & ~(size_t)63;
    size_t shifts = (size_t)(v->w.kernel_size + v->flat) * sizeof(int32_t);
    size_t work = v->each * (size_t)tsr_pool_threads(ctx->pool), bytes = work + counts + shifts;
    enum tsr_status status = TSR_OK;
    v->work = tsr_op_scratch(ctx, bytes);
    if (v->work == NULL) status = tsr_nomem(ctx->err, bytes);
    if (status == TSR_OK && !v->global && !bytes_only) {
        v->count = v->work + work;
        v->shift = (int32_t *)(void *)(v->work + work + counts);
        v->place = v->shift + v->w.kernel_size;
        if (v->kind == POOL_MEAN) status = count_elements(ctx, v);
        else if (v->kind == POOL_MAX) find_places(v);
    }
    if (status == TSR_OK) tsr_pool_run(ctx->pool, (v->planes + v->step - 1) / v->step, pool_task, v);
    tsr_op_scratch_free(ctx, v->work, bytes);
    if (v->plane.table != NULL) tsr_plane_release(ctx, &v->plane);
    return status;
}

/* ONNX's indices: into the whole tensor; column-major within a plane for storage_order 1. */
static void write_indices(const struct tsr_op_ctx *ctx, const struct pooling *v, int64_t *to)
{
    bool columns = tsr_node_int(ctx->node, "storage_order", 0) != 0;
    const int64_t *in = v->w.in;
    for (int64_t p = 0; p < v->planes; p++)
        for (int64_t j = 0; j < v->w.out_size; j++) {
            int64_t at = v->arg[p * v->w.out_size + j];
            if (columns && at >= 0) {
                int64_t w = at % in[2], h = at / in[2] % in[1], d = at / in[2] / in[1];
                at = d + in[0] * (h + in[1] * w);
            }
            to[p * v->w.out_size + j] = at < 0 ? at : at + p * v->w.in_size;
        }
}

static enum tsr_status pool_forward(struct tsr_op_ctx *ctx)
{
    struct pooling v;
    TSR_TRY(pool_init(ctx, &v));
    v.x = ctx->in[0]->data;
    v.y = ctx->out[0].data;
    int64_t outputs = v.planes * v.w.out_size;
    if (outputs == 0) return TSR_OK;
    bool indices = ctx->node->n_out > 1 && ctx->want_out[1], keep = ctx->training && v.kind == POOL_MAX;
    size_t bytes = (size_t)outputs * sizeof *v.arg;
    if (keep) {
        struct tsr_shape s = {.rank = 1, .dim = {outputs}};
        TSR_TRY(tsr_op_save(ctx, 0, TSR_I32, &s));
        v.arg = ctx->saved[0].data;
    } else if (indices) {
        v.arg = tsr_op_scratch(ctx, bytes);
        if (v.arg == NULL) return tsr_nomem(ctx->err, bytes);
    }
    enum tsr_status status = pool_run(ctx, &v);
    if (status == TSR_OK && indices) write_indices(ctx, &v, ctx->out[1].data);
    if (!keep) tsr_op_scratch_free(ctx, v.arg, bytes);
    return status;
}

static enum tsr_status pool_backward(struct tsr_op_ctx *ctx)
{
    struct pooling v;
    TSR_TRY(pool_init(ctx, &v));
    struct tsr_tensor *dx = &ctx->gin[0];
    if (!ctx->want_gin[0] || tsr_tensor_count(dx) == 0) return TSR_OK;
    if (v.type != TSR_F32 && v.type != TSR_F64) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "integers have no gradient");
    if (ctx->gout[0] == NULL || v.w.out_size == 0) {
        memset(dx->data, 0, tsr_tensor_bytes(dx));
        return TSR_OK;
    }
    v.x = ctx->in[0]->data;
    v.y = ctx->out[0].data;
    v.dy = ctx->gout[0]->data;
    v.dx = dx->data;
    if (v.kind == POOL_MAX) v.arg = ctx->saved[0].data;
    return pool_run(ctx, &v);
}

const struct tsr_op tsr_ops_pool[] = {
    {"AveragePool", "", TSR_OP_WIDEN, 1, 1, 1, pool_infer, pool_forward, pool_backward, 0},
    {"GlobalAveragePool", "", TSR_OP_WIDEN, 1, 1, 1, pool_infer, pool_forward, pool_backward, 0},
    {"GlobalLpPool", "", TSR_OP_WIDEN, 1, 1, 1, pool_infer, pool_forward, pool_backward, 0},
    {"GlobalMaxPool", "", TSR_OP_WIDEN, 1, 1, 1, pool_infer, pool_forward, pool_backward, 0},
    {"LpPool", "", TSR_OP_WIDEN, 1, 1, 1, pool_infer, pool_forward, pool_backward, 0},
    {"MaxPool", "", TSR_OP_WIDEN, 1, 1, 2, pool_infer, pool_forward, pool_backward, 0},
};
const size_t tsr_n_ops_pool = sizeof tsr_ops_pool / sizeof tsr_ops_pool[0];
