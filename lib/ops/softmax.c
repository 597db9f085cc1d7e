/* softmax.c - Softmax, LogSoftmax, Hardmax. Before opset 13 they see the tensor as a matrix, cut at
 * the axis; since then they go along the axis. Either way the kernels see contiguous rows: where the
 * axis is not the last one the tensor is transposed around them. */
#include "base/mem.h"
#include "ops/copy.h"
#include "ops/families.h"
#include "ops/par.h"
#include "tensor/isa.h"
#include "tensor/vmath.h"

#include <math.h>
#include <string.h>

/* [outer, n, inner], softmax over n. */
struct view {
    int64_t outer, n, inner;
};

static enum tsr_status get_view(struct tsr_op_ctx *ctx, struct view *v)
{
    const struct tsr_shape *s = &ctx->in[0]->shape;
    bool matrix = ctx->node->opset < 13;
    int axis = 0;
    int64_t a = tsr_node_int(ctx->node, "axis", matrix ? 1 : -1);
    if (!(matrix && a == s->rank) && s->rank > 0) TSR_TRY(tsr_op_axis(ctx, a, s->rank, &axis));
    else axis = s->rank; /* one element a row */
    v->outer = tsr_arg_span(s, 0, axis);
    if (matrix || axis == s->rank) {
        v->n = tsr_arg_span(s, axis, s->rank);
        v->inner = 1;
    } else {
        v->n = s->dim[axis];
        v->inner = tsr_arg_span(s, axis + 1, s->rank);
    }
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct view v;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL));
    return get_view(ctx, &v);
}

/* rows x n contiguous elements. a: the input (forward) or the output (backward); g: the gradient. */
typedef void rows_fn(int64_t rows, int64_t n, const void *a, const void *g, void *out);

struct job {
    rows_fn *fn;
    int64_t n;
    size_t size;
    const char *a, *g;
    char *out;
};

static void piece(void *arg, int64_t from, int64_t to)
{
    const struct job *j = arg;
    size_t off = (size_t)from * (size_t)j->n * j->size;
    j->fn(to - from, j->n, j->a + off, j->g ? j->g + off : NULL, j->out + off);
}

/* dst[outer, m, n] = src[outer, n, m] */
static void turn(struct tsr_op_ctx *ctx, enum tsr_dtype t, int64_t outer, int64_t n, int64_t m, const void *src, void *dst)
{
    struct tsr_copy c = {.dtype = t, .rank = 3, .dim = {outer, m, n}, .ds = {m * n, n, 1}, .ss = {m * n, 1, m}, .dst = dst, .src = src};
    tsr_copy_run(ctx->pool, &c);
}

static enum tsr_status run(struct tsr_op_ctx *ctx, rows_fn *f32, rows_fn *f64, const struct tsr_tensor *a,
                           const struct tsr_tensor *g, struct tsr_tensor *out)
{
    struct view v;
    TSR_TRY(get_view(ctx, &v));
    enum tsr_dtype t = a->dtype;
    struct job j = {t == TSR_F32 ? f32 : f64, v.n, tsr_dtype_bytes(t, 1), a->data, g ? g->data : NULL, out->data};
    if (tsr_tensor_count(a) == 0) return TSR_OK;
    if (v.inner == 1) {
        tsr_par(ctx->pool, v.outer, tsr_par_rows(v.n * 4), piece, &j);
        return TSR_OK;
    }
    size_t bytes = tsr_tensor_bytes(a);
    char *room = tsr_op_scratch(ctx, 3 * bytes);
    if (!room) return tsr_nomem(ctx->err, 3 * bytes);
    turn(ctx, t, v.outer, v.n, v.inner, a->data, room);
    if (g) turn(ctx, t, v.outer, v.n, v.inner, g->data, room + bytes);
    j.a = room;
    j.g = g ? room + bytes : NULL;
    j.out = room + 2 * bytes;
    tsr_par(ctx->pool, v.outer * v.inner, tsr_par_rows(v.n * 4), piece, &j);
    turn(ctx, t, v.outer, v.inner, v.n, j.out, out->data);
    tsr_op_scratch_free(ctx, room, 3 * bytes);
    return TSR_OK;
}

/* ---- float32 rows ---- */

enum { SHORT = 48 }; /* rows for which a call of a vector kernel does not pay */

TSR_CLONES static void shift(int64_t n, float s, const float *x, float *y)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] - s;
}
TSR_CLONES static void softmax_slope(int64_t n, float dot, const float *y, const float *g, float *gx)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) gx[i] = y[i] * (g[i] - dot);
}
TSR_CLONES static void log_softmax_slope(int64_t n, float sum, const float *g, float *gx)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) gx[i] = g[i] - gx[i] * sum;
}

static void softmax_f32(int64_t rows, int64_t n, const void *a, const void *g, void *out)
{
    (void)g;
    tsr_vsoftmax(rows, n, a, out);
}

static void log_softmax_f32(int64_t rows, int64_t n, const void *a, const void *g, void *out)
{
    const float *x = a;
    float *y = out;
    (void)g;
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        float m = tsr_vmax(n, x);
        shift(n, m + logf(tsr_vexp_sum(n, x, m, y)), x, y);
    }
}

static void softmax_back_f32(int64_t rows, int64_t n, const void *a, const void *g_, void *out)
{
    const float *y = a, *g = g_;
    float *gx = out;
    for (int64_t r = 0; r < rows; r++, y += n, g += n, gx += n) {
        if (n > SHORT) {
            softmax_slope(n, (float)tsr_vdot(n, y, g), y, g, gx);
            continue;
        }
        double dot = 0;
        for (int64_t i = 0; i < n; i++) dot += (double)(y[i] * g[i]);
        float d = (float)dot;
        TSR_IVDEP for (int64_t i = 0; i < n; i++) gx[i] = y[i] * (g[i] - d);
    }
}

static void log_softmax_back_f32(int64_t rows, int64_t n, const void *a, const void *g_, void *out)
{
    const float *y = a, *g = g_;
    float *gx = out;
    for (int64_t r = 0; r < rows; r++, y += n, g += n, gx += n) {
        tsr_vexp(n, y, gx);
        log_softmax_slope(n, (float)tsr_vsum(n, g), g, gx);
    }
}

/* ---- float64 rows: the reference ---- */

static void softmax_f64(int64_t rows, int64_t n, const void *a, const void *g, void *out)
{
    const double *x = a;
    double *y = out;
    (void)g;
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        double m = x[0], s = 0;
        for (int64_t i = 1; i < n; i++) m = x[i] > m ? x[i] : m;
        for (int64_t i = 0; i < n; i++) s += y[i] = exp(x[i] - m);
        for (int64_t i = 0; i < n; i++) y[i] /= s;
    }
}

static void log_softmax_f64(int64_t rows, int64_t n, const void *a, const void *g, void *out)
{
    const double *x = a;
    double *y = out;
    (void)g;
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        double m = x[0], s = 0;
        for (int64_t i = 1; i < n; i++) m = x[i] > m ? x[i] : m;
        for (int64_t i = 0; i < n; i++) s += exp(x[i] - m);
        m += log(s);
        for (int64_t i = 0; i < n; i++) y[i] = x[i] - m;
    }
}

static void softmax_back_f64(int64_t rows, int64_t n, const void *a, const void *g_, void *out)
{
    const double *y = a, *g = g_;
    double *gx = out;
    for (int64_t r = 0; r < rows; r++, y += n, g += n, gx += n) {
        double dot = 0;
        for (int64_t i = 0; i < n; i++) dot += y[i] * g[i];
        for (int64_t i = 0; i < n; i++) gx[i] = y[i] * (g[i] - dot);
    }
}

static void log_softmax_back_f64(int64_t rows, int64_t n, const void *a, const void *g_, void *out)
{
    const double *y = a, *g = g_;
    double *gx = out;
    for (int64_t r = 0; r < rows; r++, y += n, g += n, gx += n) {
        double s = 0;
        for (int64_t i = 0; i < n; i++) s += g[i];
        for (int64_t i = 0; i < n; i++) gx[i] = g[i] - exp(y[i]) * s;
    }
}

#define HARDMAX(name, T)                                                                           \
    static void name(int64_t rows, int64_t n, const void *a, const void *g, void *out)             \
    {                                                                                              \
        const T *x = a;                                                                            \
        T *y = out;                                                                                \
        (void)g;                                                                                   \
        for (int64_t r = 0; r < rows; r++, x += n, y += n) {                                       \
            int64_t best = 0;                                                                      \
            for (int64_t i = 1; i < n; i++)                                                        \
                if (x[i] > x[best]) best = i;                                                      \
            for (int64_t i = 0; i < n; i++) y[i] = i == best;                                      \
        }                                                                                          \
    }
HARDMAX(hardmax_f32, float)
HARDMAX(hardmax_f64, double)

#define FORWARD(name)                                                                              \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx)                                  \
    {                                                                                              \
        return run(ctx, name##_f32, name##_f64, ctx->in[0], NULL, &ctx->out[0]);                   \
    }
#define BACKWARD(name)                                                                             \
    static enum tsr_status name##_backward(struct tsr_op_ctx *ctx)                                 \
    {                                                                                              \
        if (!ctx->want_gin[0]) return TSR_OK;                                                      \
        if (ctx->gout[0]) return run(ctx, name##_back_f32, name##_back_f64, &ctx->out[0], ctx->gout[0], &ctx->gin[0]); \
        memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));                               \
        return TSR_OK;                                                                             \
    }
FORWARD(softmax)
BACKWARD(softmax)
FORWARD(log_softmax)
BACKWARD(log_softmax)
FORWARD(hardmax)

const struct tsr_op tsr_ops_softmax[] = {
    {"Hardmax", "", TSR_OP_WIDEN, 1, 1, 1, infer, hardmax_forward, NULL, 0},
    {"LogSoftmax", "", TSR_OP_WIDEN, 1, 1, 1, infer, log_softmax_forward, log_softmax_backward, 0},
    {"Softmax", "", TSR_OP_INPLACE | TSR_OP_WIDEN, 1, 1, 1, infer, softmax_forward, softmax_backward, 0},
};
const size_t tsr_n_ops_softmax = sizeof tsr_ops_softmax / sizeof *tsr_ops_softmax;
