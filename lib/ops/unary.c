/* unary.c - elementwise functions of one input that are not activations; Clip, IsNaN, IsInf, Not. */
#include "ops/families.h"
#include "ops/map.h"
#include "ops/par.h"
#include "tensor/isa.h"
#include "tensor/vmath.h"

#include <math.h>
#include <string.h>

/* f and its slope in double, a float32 loop that the compiler vectorises. */
#define F(name, expr) static double name##_f(double x, const double *p) { return (void)p, expr; }
#define SLOPE(name, expr)                                                                          \
    static double name##_d(double x, double y, const double *p) { return (void)p, (void)x, (void)y, expr; }
#define F32(name, expr)                                                                            \
    TSR_CLONES static void name##_f32(int64_t n, const double *p, const float *x, float *y)        \
    {                                                                                              \
        (void)p;                                                                                   \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                  \
        {                                                                                          \
            float v = x[i];                                                                        \
            y[i] = expr;                                                                           \
        }                                                                                          \
    }
#define G32(name, expr)                                                                            \
    TSR_CLONES static void name##_g32(int64_t n, const double *p, const float *x, const float *y,  \
                                      const float *gy, float *gx)                                  \
    {                                                                                              \
        (void)p;                                                                                   \
        TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                  \
        {                                                                                          \
            float v = x[i], w = y[i];                                                              \
            (void)v, (void)w;                                                                      \
            gx[i] = gy[i] * (expr);                                                                \
        }                                                                                          \
    }
#define VIA(name, fn) \
    static void name##_f32(int64_t n, const double *p, const float *x, float *y) { (void)p, fn(n, x, y); }
/* Rare functions: through the reference. */
#define PLAIN(name, expr, slope)                                                                   \
    F(name, expr)                                                                                  \
    SLOPE(name, slope)                                                                             \
    static const struct tsr_map map_##name = {NULL, name##_f, name##_d, NULL, NULL, NULL};         \
    TSR_MAP_OP(name)
/* Steps: the slope is zero everywhere. */
#define STEP(name, expr, expr32)                                                                   \
    F(name, expr)                                                                                  \
    F32(name, expr32)                                                                              \
    static const struct tsr_map map_##name = {NULL, name##_f, NULL, name##_f32, NULL, NULL};       \
    TSR_MAP_OP(name)

PLAIN(acos, acos(x), -1 / sqrt(1 - x * x))
PLAIN(acosh, acosh(x), 1 / (sqrt(x - 1) * sqrt(x + 1)))
PLAIN(asin, asin(x), 1 / sqrt(1 - x * x))
PLAIN(asinh, asinh(x), 1 / sqrt(x * x + 1))
PLAIN(atan, atan(x), 1 / (1 + x * x))
PLAIN(atanh, atanh(x), 1 / (1 - x * x))
PLAIN(cos, cos(x), -sin(x))
PLAIN(cosh, cosh(x), sinh(x))
PLAIN(sin, sin(x), cos(x))
PLAIN(sinh, sinh(x), cosh(x))
PLAIN(tan, tan(x), 1 + y * y)
STEP(ceil, ceil(x), ceilf(v))
STEP(floor, floor(x), floorf(v))
STEP(round, rint(x), rintf(v)) /* half to even, the default rounding of the machine */

F(abs, fabs(x))
SLOPE(abs, x > 0 ? 1 : x < 0 ? -1 : 0)
F32(abs, fabsf(v))
G32(abs, v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : 0.0f)
static int64_t abs_i64(int64_t x, bool u) { return x < 0 && !u ? (int64_t)(0 - (uint64_t)x) : x; }
static const struct tsr_map map_abs = {NULL, abs_f, abs_d, abs_f32, abs_g32, abs_i64};
TSR_MAP_OP(abs)

F(neg, -x)
SLOPE(neg, -1)
F32(neg, -v)
G32(neg, -1.0f)
static int64_t neg_i64(int64_t x, bool u) { return (void)u, (int64_t)(0 - (uint64_t)x); }
static const struct tsr_map map_neg = {NULL, neg_f, neg_d, neg_f32, neg_g32, neg_i64};
TSR_MAP_OP(neg)

F(sign, x > 0 ? 1 : x < 0 ? -1 : x) /* zero and NaN stay */
F32(sign, v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : v)
static int64_t sign_i64(int64_t x, bool u) { return x == 0 ? 0 : x < 0 && !u ? -1 : 1; }
static const struct tsr_map map_sign = {NULL, sign_f, NULL, sign_f32, NULL, sign_i64};
TSR_MAP_OP(sign)

F(exp, exp(x))
SLOPE(exp, y)
VIA(exp, tsr_vexp)
G32(exp, w)
static const struct tsr_map map_exp = {NULL, exp_f, exp_d, exp_f32, exp_g32, NULL};
TSR_MAP_OP(exp)

F(log, log(x))
SLOPE(log, 1 / x)
VIA(log, tsr_vlog)
G32(log, 1.0f / v)
static const struct tsr_map map_log = {NULL, log_f, log_d, log_f32, log_g32, NULL};
TSR_MAP_OP(log)

F(erf, erf(x))
SLOPE(erf, 1.12837916709551257390 * exp(-x * x))
VIA(erf, tsr_verf)
static void erf_g32(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx)
{
    float t[256];
    (void)p, (void)y;
    for (int64_t at = 0; at < n; at += 256) {
        int64_t k = n - at < 256 ? n - at : 256;
        for (int64_t i = 0; i < k; i++) t[i] = -x[at + i] * x[at + i];
        tsr_vexp(k, t, t);
        for (int64_t i = 0; i < k; i++) gx[at + i] = gy[at + i] * 1.12837917f * t[i];
    }
}
static const struct tsr_map map_erf = {NULL, erf_f, erf_d, erf_f32, erf_g32, NULL};
TSR_MAP_OP(erf)

F(sqrt, sqrt(x))
SLOPE(sqrt, 0.5 / y)
F32(sqrt, sqrtf(v))
G32(sqrt, 0.5f / w)
static const struct tsr_map map_sqrt = {NULL, sqrt_f, sqrt_d, sqrt_f32, sqrt_g32, NULL};
TSR_MAP_OP(sqrt)

F(reciprocal, 1 / x)
SLOPE(reciprocal, -y * y)
F32(reciprocal, 1.0f / v)
G32(reciprocal, -w * w)
static const struct tsr_map map_reciprocal = {NULL, reciprocal_f, reciprocal_d, reciprocal_f32, reciprocal_g32, NULL};
TSR_MAP_OP(reciprocal)

/* ---- to bool ---- */

static enum tsr_status is_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_FLOAT));
    tsr_op_set(ctx, 0, TSR_BOOL, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status isnan_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    uint8_t *y = ctx->out[0].data;
    for (int64_t i = 0, n = tsr_tensor_count(x); i < n; i++) {
        double v = tsr_load_f64(x->dtype, x->data, i);
        y[i] = v != v;
    }
    return TSR_OK;
}

static enum tsr_status isinf_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    uint8_t *y = ctx->out[0].data;
    bool pos = tsr_node_int(ctx->node, "detect_positive", 1) != 0, neg = tsr_node_int(ctx->node, "detect_negative", 1) != 0;
    for (int64_t i = 0, n = tsr_tensor_count(x); i < n; i++) {
        double v = tsr_load_f64(x->dtype, x->data, i);
        y[i] = (pos && v == INFINITY) || (neg && v == -INFINITY);
    }
    return TSR_OK;
}

static enum tsr_status not_infer(struct tsr_op_ctx *ctx) { return tsr_arg_same(ctx, TSR_MASK(TSR_BOOL)); }
static enum tsr_status not_forward(struct tsr_op_ctx *ctx)
{
    const uint8_t *x = ctx->in[0]->data;
    uint8_t *y = ctx->out[0].data;
    TSR_IVDEP for (int64_t i = 0, n = tsr_tensor_count(ctx->in[0]); i < n; i++) y[i] = !x[i];
    return TSR_OK;
}

static enum tsr_status bitwise_not_infer(struct tsr_op_ctx *ctx) { return tsr_arg_same(ctx, TSR_MASK_INT); }
static enum tsr_status bitwise_not_forward(struct tsr_op_ctx *ctx)
{
    const uint8_t *x = ctx->in[0]->data;
    uint8_t *y = ctx->out[0].data;
    size_t n = tsr_tensor_bytes(ctx->in[0]);
    TSR_IVDEP for (size_t i = 0; i < n; i++) y[i] = (uint8_t)~x[i];
    return TSR_OK;
}

/* ---- Clip: bounds are attributes before opset 11 and inputs since ---- */

struct clip {
    bool has_lo, has_hi;
    double lo, hi;
    int64_t ilo, ihi; /* integer types */
};

static enum tsr_status clip_bound(struct tsr_op_ctx *ctx, int i, bool *has, double *v, int64_t *iv)
{
    const struct tsr_tensor *t = tsr_arg_in(ctx, i);
    *has = t != NULL;
    if (!t) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
    if (tsr_tensor_count(t) != 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the bound in input %d must be one number", i);
    *v = tsr_load_f64(t->dtype, t->data, 0);
    *iv = tsr_load_i64(t->dtype, t->data, 0);
    return TSR_OK;
}

static enum tsr_status clip_bounds(struct tsr_op_ctx *ctx, struct clip *c)
{
    *c = (struct clip){.lo = -INFINITY, .hi = INFINITY};
    if (ctx->node->opset >= 11) {
        TSR_TRY(clip_bound(ctx, 1, &c->has_lo, &c->lo, &c->ilo));
        return clip_bound(ctx, 2, &c->has_hi, &c->hi, &c->ihi);
    }
    c->lo = (double)tsr_node_float(ctx->node, "min", -INFINITY);
    c->hi = (double)tsr_node_float(ctx->node, "max", INFINITY);
    return TSR_OK;
}

static enum tsr_status clip_infer(struct tsr_op_ctx *ctx)
{
    struct clip c;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL | TSR_MASK_INT));
    if (ctx->node->opset < 11) TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    return clip_bounds(ctx, &c);
}

TSR_CLONES static void clip_f32(int64_t n, float lo, float hi, const float *x, float *y)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        float v = x[i];
        v = v < lo ? lo : v;
        y[i] = v > hi ? hi : v;
    }
}

static enum tsr_status clip_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    void *y = ctx->out[0].data;
    int64_t n = tsr_tensor_count(x);
    struct clip c;
    TSR_TRY(clip_bounds(ctx, &c));
    if (x->dtype == TSR_F32) clip_f32(n, (float)c.lo, (float)c.hi, x->data, y);
    else if (x->dtype == TSR_F64) {
        for (int64_t i = 0; i < n; i++) {
            double v = ((const double *)x->data)[i];
            v = v < c.lo ? c.lo : v;
            ((double *)y)[i] = v > c.hi ? c.hi : v;
        }
    } else {
        bool u = x->dtype == TSR_U64; /* compared with the sign bit flipped */
        uint64_t flip = u ? (uint64_t)1 << 63 : 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t v = tsr_load_i64(x->dtype, x->data, i);
            if (c.has_lo && (int64_t)((uint64_t)v ^ flip) < (int64_t)((uint64_t)c.ilo ^ flip)) v = c.ilo;
            if (c.has_hi && (int64_t)((uint64_t)v ^ flip) > (int64_t)((uint64_t)c.ihi ^ flip)) v = c.ihi;
            tsr_store_i64(x->dtype, y, i, v);
        }
    }
    return TSR_OK;
}

TSR_CLONES static void clip_g32(int64_t n, float lo, float hi, const float *x, const float *gy, float *gx)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) gx[i] = ((x[i] >= lo) & (x[i] <= hi)) ? gy[i] : 0.0f;
}

static enum tsr_status clip_backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    int64_t n = tsr_tensor_count(x);
    struct clip c;
    TSR_TRY(clip_bounds(ctx, &c));
    for (int b = 1; b < ctx->node->n_in; b++) { /* a bound gets the gradient of what it cut off */
        if (!ctx->want_gin[b]) continue;
        double s = 0;
        for (int64_t i = 0; g && i < n; i++) {
            double v = tsr_load_f64(x->dtype, x->data, i);
            bool cut = b == 2 ? v > c.hi || c.lo > c.hi : v < c.lo && c.lo <= c.hi;
            if (cut) s += tsr_load_f64(g->dtype, g->data, i);
        }
        tsr_store_f64(ctx->gin[b].dtype, ctx->gin[b].data, 0, s);
    }
    if (!ctx->want_gin[0]) return TSR_OK;
    void *gx = ctx->gin[0].data;
    if (!g) memset(gx, 0, tsr_tensor_bytes(&ctx->gin[0]));
    else if (x->dtype == TSR_F32) clip_g32(n, (float)c.lo, (float)c.hi, x->data, g->data, gx);
    else
        for (int64_t i = 0; i < n; i++) {
            double v = ((const double *)x->data)[i];
            ((double *)gx)[i] = v >= c.lo && v <= c.hi ? ((const double *)g->data)[i] : 0;
        }
    return TSR_OK;
}

const struct tsr_op tsr_ops_unary[] = {
    TSR_MAP_ROW("Abs", abs),
    TSR_MAP_ROW("Acos", acos),
    TSR_MAP_ROW("Acosh", acosh),
    TSR_MAP_ROW("Asin", asin),
    TSR_MAP_ROW("Asinh", asinh),
    TSR_MAP_ROW("Atan", atan),
    TSR_MAP_ROW("Atanh", atanh),
    {"BitwiseNot", "", TSR_OP_INPLACE, 1, 1, 1, bitwise_not_infer, bitwise_not_forward, NULL, 0},
    TSR_MAP_ROW("Ceil", ceil),
    {"Clip", "", TSR_OP_DATA_SHAPE | TSR_OP_INPLACE | TSR_OP_WIDEN, 1, 3, 1, clip_infer, clip_forward, clip_backward, 0},
    TSR_MAP_ROW("Cos", cos),
    TSR_MAP_ROW("Cosh", cosh),
    TSR_MAP_ROW("Erf", erf),
    TSR_MAP_ROW("Exp", exp),
    TSR_MAP_ROW("Floor", floor),
    {"IsInf", "", 0, 1, 1, 1, is_infer, isinf_forward, NULL, 0},
    {"IsNaN", "", 0, 1, 1, 1, is_infer, isnan_forward, NULL, 0},
    TSR_MAP_ROW("Log", log),
    TSR_MAP_ROW("Neg", neg),
    {"Not", "", TSR_OP_INPLACE, 1, 1, 1, not_infer, not_forward, NULL, 0},
    TSR_MAP_ROW("Reciprocal", reciprocal),
    TSR_MAP_ROW("Round", round),
    TSR_MAP_ROW("Sign", sign),
    TSR_MAP_ROW("Sin", sin),
    TSR_MAP_ROW("Sinh", sinh),
    TSR_MAP_ROW("Sqrt", sqrt),
    TSR_MAP_ROW("Tan", tan),
};
const size_t tsr_n_ops_unary = sizeof tsr_ops_unary / sizeof *tsr_ops_unary;
