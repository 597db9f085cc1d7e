/* reduce.c - ReduceSum, Mean, Max, Min, Prod, L1, L2, LogSum, LogSumExp, SumSquare.
 *
 * The kernels see contiguous rows, one output each; where the reduced axes are not the last ones the
 * tensor is transposed around them. Sums of float32 run in double; plain sums need no transposition.
 * Definitions: the ONNX operator specification. */
#include "base/mem.h"
#include "ops/bcast.h"
#include "ops/copy.h"
#include "ops/families.h"
#include "ops/par.h"
#include "tensor/isa.h"
#include "tensor/vmath.h"

#include <math.h>
#include <string.h>

enum kind { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE };

struct plan {
    bool over[TSR_MAX_RANK];
    bool noop;        /* no axes, and that means: nothing is done */
    int64_t kept, n;  /* outputs, and elements of each */
    bool last;        /* the reduced axes are the last ones: rows are contiguous */
};

static enum tsr_status get_plan(struct tsr_op_ctx *ctx, enum kind kind, struct plan *p)
{
    const struct tsr_shape *s = &ctx->in[0]->shape;
    bool attr = ctx->node->opset < (kind == SUM ? 13 : 18);
    int n;
    memset(p, 0, sizeof *p);
    TSR_TRY(tsr_arg_axes(ctx, attr ? "axes" : NULL, attr ? -1 : 1, s->rank, p->over, &n));
    if (n <= 0) {
        p->noop = !attr && tsr_node_int(ctx->node, "noop_with_empty_axes", 0) != 0;
        for (int i = 0; i < s->rank; i++) p->over[i] = !p->noop;
    }
    p->kept = p->n = 1;
    p->last = true;
    bool seen = false; /* a reduced axis of more than one element */
    for (int i = 0; i < s->rank; i++) {
        if (p->over[i]) {
            p->n *= s->dim[i];
            seen |= s->dim[i] != 1;
        } else {
            p->kept *= s->dim[i];
            if (seen && s->dim[i] != 1) p->last = false;
        }
    }
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx, enum kind kind)
{
    struct plan p;
    uint32_t types = TSR_MASK_REAL | TSR_MASK_INT;
    if (kind == MAX || kind == MIN) types |= TSR_MASK(TSR_BOOL);
    TSR_TRY(tsr_op_need(ctx, 0, types));
    TSR_TRY(get_plan(ctx, kind, &p));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    bool keep = tsr_node_int(ctx->node, "keepdims", 1) != 0;
    struct tsr_shape s = {0};
    for (int i = 0; i < x->rank; i++) {
        if (!p.over[i]) s.dim[s.rank++] = x->dim[i];
        else if (keep) s.dim[s.rank++] = 1;
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

/* ---- rows ---- */

/* A sum of f(x) over a row in four interleaved double lanes. */
#define LANES(T, expr)                                                                             \
    do {                                                                                           \
        double lane[4] = {0};                                                                      \
        int64_t i = 0;                                                                             \
        for (; i + 4 <= n; i += 4)                                                                 \
            for (int k = 0; k < 4; k++) {                                                          \
                double v = (double)((const T *)x)[i + k];                                          \
                lane[k] += expr;                                                                   \
            }                                                                                      \
        for (int k = 0; i < n; i++, k++) {                                                         \
            double v = (double)((const T *)x)[i];                                                  \
            lane[k] += expr;                                                                       \
        }                                                                                          \
        return (lane[0] + lane[1]) + (lane[2] + lane[3]);                                          \
    } while (0)
TSR_CLONES static double sum_f32(int64_t n, const void *x) { LANES(float, v); }
TSR_CLONES static double sum_f64(int64_t n, const void *x) { LANES(double, v); }
TSR_CLONES static double abs_f32(int64_t n, const void *x) { LANES(float, fabs(v)); }
TSR_CLONES static double abs_f64(int64_t n, const void *x) { LANES(double, fabs(v)); }
TSR_CLONES static double square_f32(int64_t n, const void *x) { LANES(float, v *v); }
TSR_CLONES static double square_f64(int64_t n, const void *x) { LANES(double, v *v); }

/* Whether one of them is NaN. */
TSR_CLONES static bool has_nan(int64_t n, const float *x)
{
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= x[i] != x[i];
    return bad != 0;
}
TSR_CLONES static float least(int64_t n, const float *x)
{
    float lane[8], m = INFINITY;
    for (int j = 0; j < 8; j++) lane[j] = m;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) lane[j] = x[i + j] < lane[j] ? x[i + j] : lane[j];
    for (; i < n; i++) m = x[i] < m ? x[i] : m;
    for (int j = 0; j < 8; j++) m = lane[j] < m ? lane[j] : m;
    return m;
}

/* The largest of sign * x times the sign; NaN where there is one. */
static double extreme(enum tsr_dtype t, int64_t n, const void *x, double sign)
{
    if (t == TSR_F32) return has_nan(n, x) ? NAN : (double)(sign > 0 ? tsr_vmax(n, x) : least(n, x));
    double m = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double v = sign * ((const double *)x)[i];
        if (!(v <= m)) m = v;
        if (v != v) return v;
    }
    return sign * m;
}

static double log_sum_exp(enum tsr_dtype t, int64_t n, const void *x)
{
    double m = extreme(t, n, x, 1), s = 0;
    if (isinf(m) || isnan(m)) return m;
    if (t == TSR_F64) {
        for (int64_t i = 0; i < n; i++) s += exp(((const double *)x)[i] - m);
        return m + log(s);
    }
    float room[512];
    for (int64_t at = 0; at < n; at += 512) s += (double)tsr_vexp_sum(n - at < 512 ? n - at : 512, (const float *)x + at, (float)m, room);
    return m + log(s);
}

static double reduce_real(enum kind kind, enum tsr_dtype t, int64_t n, const void *x)
{
    bool f = t == TSR_F32;
    double p = 1;
    switch (kind) {
    case SUM: return f ? sum_f32(n, x) : sum_f64(n, x);
    case MEAN: return (f ? sum_f32(n, x) : sum_f64(n, x)) / (double)n;
    case LOG_SUM: return log(f ? sum_f32(n, x) : sum_f64(n, x));
    case L1: return f ? abs_f32(n, x) : abs_f64(n, x);
    case L2: return sqrt(f ? square_f32(n, x) : square_f64(n, x));
    case SUM_SQUARE: return f ? square_f32(n, x) : square_f64(n, x);
    case LOG_SUM_EXP: return log_sum_exp(t, n, x);
    case MAX: return extreme(t, n, x, 1);
    case MIN: return extreme(t, n, x, -1);
    case PROD:
    default:
        for (int64_t i = 0; i < n; i++) p *= f ? (double)((const float *)x)[i] : ((const double *)x)[i];
        return p;
    }
}

/* Integers wrap; what leaves the integers goes through double and is truncated. */
static void reduce_int(enum kind kind, enum tsr_dtype t, int64_t n, const void *x, int64_t at, void *y, int64_t o)
{
    uint64_t s = kind == PROD, flip = t == TSR_U64 ? (uint64_t)1 << 63 : 0;
    double d = 0, m = -INFINITY;
    if (n > 0 && (kind == MAX || kind == MIN)) s = (uint64_t)tsr_load_i64(t, x, at);
    for (int64_t i = at; i < at + n; i++) {
        int64_t v = tsr_load_i64(t, x, i);
        uint64_t u = (uint64_t)v;
        switch (kind) {
        case SUM: s += u; break;
        case L1: s += v < 0 && !flip ? 0 - u : u; break;
        case SUM_SQUARE: s += u * u; break;
        case PROD: s *= u; break;
        case MAX: s = (int64_t)(u ^ flip) > (int64_t)(s ^ flip) ? u : s; break;
        case MIN: s = (int64_t)(u ^ flip) < (int64_t)(s ^ flip) ? u : s; break;
        case L2: d += tsr_load_f64(t, x, i) * tsr_load_f64(t, x, i); break;
        case LOG_SUM_EXP: m = fmax(m, tsr_load_f64(t, x, i)); break;
        case MEAN:
        case LOG_SUM:
        default: d += tsr_load_f64(t, x, i); break;
        }
    }
    for (int64_t i = at; kind == LOG_SUM_EXP && i < at + n; i++) d += exp(tsr_load_f64(t, x, i) - m);
    if (kind == MEAN) tsr_store_f64(t, y, o, d / (double)n);
    else if (kind == L2) tsr_store_f64(t, y, o, sqrt(d));
    else if (kind == LOG_SUM) tsr_store_f64(t, y, o, log(d));
    else if (kind == LOG_SUM_EXP) tsr_store_f64(t, y, o, m + log(d));
    else if (n == 0 && (kind == MAX || kind == MIN)) { /* the end of the type's range */
        int bits = tsr_dtype_bits(t) - (tsr_dtype_is_signed(t) ? 1 : 0);
        uint64_t top = t == TSR_BOOL ? 1 : bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
        uint64_t low = tsr_dtype_is_signed(t) ? ~top : 0;
        tsr_store_i64(t, y, o, (int64_t)(kind == MAX ? low : top));
    } else tsr_store_i64(t, y, o, (int64_t)s);
}

struct job {
    enum kind kind;
    enum tsr_dtype dtype;
    int64_t n;
    const void *x, *y, *g;
    void *out;
};

static void forward_rows(void *arg, int64_t from, int64_t to)
{
    const struct job *j = arg;
    for (int64_t r = from; r < to; r++) {
        if (j->dtype == TSR_F32)
            ((float *)j->out)[r] = (float)reduce_real(j->kind, TSR_F32, j->n, (const float *)j->x + r * j->n);
        else if (j->dtype == TSR_F64)
            ((double *)j->out)[r] = reduce_real(j->kind, TSR_F64, j->n, (const double *)j->x + r * j->n);
        else reduce_int(j->kind, j->dtype, j->n, j->x, r * j->n, j->out, r);
    }
}

/* ---- transposition: kept axes first, in order, then the reduced ones ---- */

static void turn(struct tsr_op_ctx *ctx, const struct plan *p, enum tsr_dtype t, const void *src, void *dst, bool back)
{
    const struct tsr_shape *s = &ctx->in[0]->shape;
    struct tsr_copy c = {.dtype = t, .rank = s->rank, .dst = dst, .src = src};
    int64_t stride[TSR_MAX_RANK], k = 1;
    tsr_arg_strides(s, stride);
    for (int red = 1; red >= 0; red--) /* strides in the row order, from the innermost */
        for (int i = s->rank - 1; i >= 0; i--) {
            if (p->over[i] != (red == 1)) continue;
            c.dim[i] = s->dim[i];
            (back ? c.ss : c.ds)[i] = k;
            (back ? c.ds : c.ss)[i] = stride[i];
            k *= s->dim[i] > 0 ? s->dim[i] : 1;
        }
    tsr_copy_run(ctx->pool, &c);
}

static void divide(struct tsr_tensor *y, int64_t n)
{
    int64_t count = tsr_tensor_count(y);
    if (y->dtype == TSR_F32)
        for (int64_t i = 0; i < count; i++) ((float *)y->data)[i] = (float)((double)((float *)y->data)[i] / (double)n);
    else
        for (int64_t i = 0; i < count; i++) ((double *)y->data)[i] /= (double)n;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx, enum kind kind)
{
    const struct tsr_tensor *x = ctx->in[0];
    struct tsr_tensor *y = &ctx->out[0];
    struct plan p;
    TSR_TRY(get_plan(ctx, kind, &p));
    if (p.noop) return tsr_arg_copy_forward(ctx);
    if ((kind == SUM || kind == MEAN) && tsr_dtype_is_float(x->dtype) && p.n > 0) {
        TSR_TRY(tsr_sum_axes(ctx, x->dtype, &x->shape, p.over, x->data, y->data));
        if (kind == MEAN) divide(y, p.n);
        return TSR_OK;
    }
    struct job j = {.kind = kind, .dtype = x->dtype, .n = p.n, .x = x->data, .out = y->data};
    size_t bytes = p.last ? 0 : tsr_tensor_bytes(x);
    void *room = NULL;
    if (!p.last) {
        room = tsr_op_scratch(ctx, bytes);
        if (!room) return tsr_nomem(ctx->err, bytes);
        turn(ctx, &p, x->dtype, x->data, room, false);
        j.x = room;
    }
    tsr_par(ctx->pool, p.kept, tsr_par_rows(p.n * 4), forward_rows, &j);
    tsr_op_scratch_free(ctx, room, bytes);
    return TSR_OK;
}

/* ---- backward ---- */

/* gx[i] = g * d y / d x[i] over one row, in double. */
static double slope(enum kind kind, double x, double y, double g, double extra)
{
    switch (kind) {
    case L1: return x > 0 ? g : x < 0 ? -g : 0;
    case L2: return y == 0 ? 0 : g * x / y;
    case SUM_SQUARE: return 2 * g * x;
    case LOG_SUM: return g * exp(-y);
    case LOG_SUM_EXP: return g * exp(x - y);
    case MAX:
    case MIN: return x == y ? g / extra : 0; /* extra: how many share the extreme value */
    case SUM:
    case MEAN:
    case PROD:
    default: return g;
    }
}

/* The derivative of a product by one factor is the product of the others, zeros or not. */
#define BACKWARD_ROW(T)                                                                            \
    do {                                                                                           \
        const T *x = (const T *)j->x + r * n;                                                      \
        T *gx = (T *)j->out + r * n;                                                               \
        double y = (double)((const T *)j->y)[r], g = (double)((const T *)j->g)[r], extra = 0, p = 1; \
        if (j->kind == MAX || j->kind == MIN)                                                      \
            for (int64_t i = 0; i < n; i++) extra += (double)x[i] == y;                            \
        if (j->kind != PROD)                                                                       \
            for (int64_t i = 0; i < n; i++) gx[i] = (T)slope(j->kind, (double)x[i], y, g, extra);  \
        else {                                                                                     \
            for (int64_t i = 0; i < n; i++) gx[i] = (T)p, p *= (double)x[i]; /* of those before */ \
            p = g;                                                                                 \
            for (int64_t i = n - 1; i >= 0; i--) gx[i] = (T)((double)gx[i] * p), p *= (double)x[i]; \
        }                                                                                          \
    } while (0)

static void backward_rows(void *arg, int64_t from, int64_t to)
{
    const struct job *j = arg;
    int64_t n = j->n;
    for (int64_t r = from; r < to; r++) {
        if (j->dtype == TSR_F32) BACKWARD_ROW(float);
        else BACKWARD_ROW(double);
    }
}

/* Sum and Mean: the gradient is spread as it is. */
static void spread(struct tsr_op_ctx *ctx, const struct plan *p, const void *g)
{
    const struct tsr_shape *s = &ctx->in[0]->shape;
    struct tsr_copy c = {.dtype = ctx->gin[0].dtype, .rank = s->rank, .dst = ctx->gin[0].data, .src = g};
    int64_t k = 1;
    tsr_arg_strides(s, c.ds);
    for (int i = s->rank - 1; i >= 0; i--) {
        c.dim[i] = s->dim[i];
        c.ss[i] = p->over[i] ? 0 : k;
        if (!p->over[i]) k *= s->dim[i] > 0 ? s->dim[i] : 1;
    }
    tsr_copy_run(ctx->pool, &c);
}

static enum tsr_status backward(struct tsr_op_ctx *ctx, enum kind kind)
{
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    struct tsr_tensor *gx = &ctx->gin[0];
    struct plan p;
    if (!ctx->want_gin[0]) return TSR_OK;
    TSR_TRY(get_plan(ctx, kind, &p));
    if (!g || p.noop) return tsr_arg_copy_backward(ctx);
    size_t small = tsr_tensor_bytes(g), big = tsr_tensor_bytes(x);
    if (kind == SUM) {
        spread(ctx, &p, g->data);
        return TSR_OK;
    }
    if (kind == MEAN) {
        struct tsr_tensor share = *g;
        share.data = tsr_op_scratch(ctx, small);
        if (!share.data) return tsr_nomem(ctx->err, small);
        memcpy(share.data, g->data, small);
        divide(&share, p.n);
        spread(ctx, &p, share.data);
        tsr_op_scratch_free(ctx, share.data, small);
        return TSR_OK;
    }
    struct job j = {kind, x->dtype, p.n, x->data, ctx->out[0].data, g->data, gx->data};
    char *room = NULL;
    if (!p.last) {
        room = tsr_op_scratch(ctx, 2 * big);
        if (!room) return tsr_nomem(ctx->err, 2 * big);
        turn(ctx, &p, x->dtype, x->data, room, false);
        j.x = room;
        j.out = room + big;
    }
    tsr_par(ctx->pool, p.kept, tsr_par_rows(p.n * 8), backward_rows, &j);
    if (room) turn(ctx, &p, x->dtype, j.out, gx->data, true);
    tsr_op_scratch_free(ctx, room, 2 * big);
    return TSR_OK;
}

#define REDUCE(name, kind)                                                                         \
    static enum tsr_status name##_infer(struct tsr_op_ctx *ctx) { return infer(ctx, kind); }       \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return forward(ctx, kind); }   \
    static enum tsr_status name##_backward(struct tsr_op_ctx *ctx) { return backward(ctx, kind); }
REDUCE(l1, L1)
REDUCE(l2, L2)
REDUCE(log_sum, LOG_SUM)
REDUCE(log_sum_exp, LOG_SUM_EXP)
REDUCE(max, MAX)
REDUCE(mean, MEAN)
REDUCE(min, MIN)
REDUCE(prod, PROD)
REDUCE(sum, SUM)
REDUCE(sum_square, SUM_SQUARE)

#define ROW(op_type, name) \
    {op_type, "", TSR_OP_DATA_SHAPE | TSR_OP_WIDEN, 1, 2, 1, name##_infer, name##_forward, name##_backward, 0}
const struct tsr_op tsr_ops_reduce[] = {
    ROW("ReduceL1", l1),     ROW("ReduceL2", l2),     ROW("ReduceLogSum", log_sum), ROW("ReduceLogSumExp", log_sum_exp),
    ROW("ReduceMax", max),   ROW("ReduceMean", mean), ROW("ReduceMin", min),        ROW("ReduceProd", prod),
    ROW("ReduceSum", sum),   ROW("ReduceSumSquare", sum_square),
};
const size_t tsr_n_ops_reduce = sizeof tsr_ops_reduce / sizeof *tsr_ops_reduce;
