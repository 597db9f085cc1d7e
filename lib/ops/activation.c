/* activation.c - activation functions, and Dropout.
 * Formulas: the ONNX operator specification; slopes by hand, checked by finite differences. */
#include "base/rng.h"
#include "ops/families.h"
#include "ops/map.h"
#include "ops/par.h"
#include "tensor/isa.h"
#include "tensor/vmath.h"

#include <math.h>
#include <string.h>

#define UNUSED_P (void)p
#define FLOAT_LOOP(expr)                                                                           \
    TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                      \
    {                                                                                              \
        float v = x[i];                                                                            \
        y[i] = expr;                                                                               \
    }
#define GRAD_LOOP(expr)                                                                            \
    TSR_IVDEP for (int64_t i = 0; i < n; i++)                                                      \
    {                                                                                              \
        float v = x[i], w = y[i];                                                                  \
        gx[i] = gy[i] * (expr);                                                                    \
        (void)v;                                                                                   \
        (void)w;                                                                                   \
    }
#define F32(name) TSR_CLONES static void name##_f32(int64_t n, const double *p, const float *x, float *y)
#define G32(name)                                                                                  \
    TSR_CLONES static void name##_g32(int64_t n, const double *p, const float *x, const float *y,  \
                                      const float *gy, float *gx)

static double sigmoid64(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* ---- piecewise linear ---- */

static double relu(double x, const double *p) { UNUSED_P; return x < 0 ? 0 : x; }
static double relu_slope(double x, double y, const double *p) { UNUSED_P, (void)x; return y > 0; }
static int64_t relu_i64(int64_t x, bool u) { return x < 0 && !u ? 0 : x; }
F32(relu) { UNUSED_P; FLOAT_LOOP(v < 0.0f ? 0.0f : v) }
G32(relu) { UNUSED_P; (void)x; TSR_IVDEP for (int64_t i = 0; i < n; i++) gx[i] = y[i] > 0.0f ? gy[i] : 0.0f; }
static const struct tsr_map map_relu = {NULL, relu, relu_slope, relu_f32, relu_g32, relu_i64};
TSR_MAP_OP(relu)

static void leaky_par(const struct tsr_node *node, double p[4]) { p[0] = (double)tsr_node_float(node, "alpha", 0.01f); }
static double leaky(double x, const double *p) { return x < 0 ? p[0] * x : x; }
static double leaky_slope(double x, double y, const double *p) { (void)y; return x < 0 ? p[0] : 1; }
F32(leaky) { float a = (float)p[0]; FLOAT_LOOP(v < 0.0f ? a * v : v) }
G32(leaky) { float a = (float)p[0]; GRAD_LOOP(v < 0.0f ? a : 1.0f) }
static const struct tsr_map map_leaky = {leaky_par, leaky, leaky_slope, leaky_f32, leaky_g32, NULL};
TSR_MAP_OP(leaky)

static void thresholded_par(const struct tsr_node *node, double p[4]) { p[0] = (double)tsr_node_float(node, "alpha", 1); }
static double thresholded(double x, const double *p) { return x > p[0] ? x : isnan(x) ? x : 0; }
static double thresholded_slope(double x, double y, const double *p) { (void)y; return x > p[0]; }
static const struct tsr_map map_thresholded = {thresholded_par, thresholded, thresholded_slope, NULL, NULL, NULL};
TSR_MAP_OP(thresholded)

static void hard_sigmoid_par(const struct tsr_node *node, double p[4])
{
    p[0] = (double)tsr_node_float(node, "alpha", 0.2f);
    p[1] = (double)tsr_node_float(node, "beta", 0.5f);
}
static double hard_sigmoid(double x, const double *p)
{
    double y = p[0] * x + p[1];
    return y < 0 ? 0 : y > 1 ? 1 : y;
}
static double hard_sigmoid_slope(double x, double y, const double *p) { (void)x; return y > 0 && y < 1 ? p[0] : 0; }
F32(hard_sigmoid)
{
    float a = (float)p[0], b = (float)p[1];
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        float v = a * x[i] + b;
        v = v < 0.0f ? 0.0f : v;
        y[i] = v > 1.0f ? 1.0f : v;
    }
}
G32(hard_sigmoid) { float a = (float)p[0]; GRAD_LOOP(((w > 0.0f) & (w < 1.0f)) ? a : 0.0f) }
static const struct tsr_map map_hard_sigmoid = {hard_sigmoid_par, hard_sigmoid, hard_sigmoid_slope,
                                                hard_sigmoid_f32, hard_sigmoid_g32, NULL};
TSR_MAP_OP(hard_sigmoid)

static double hard_swish(double x, const double *p)
{
    UNUSED_P;
    double g = x / 6 + 0.5;
    return x * (g < 0 ? 0 : g > 1 ? 1 : g);
}
static double hard_swish_slope(double x, double y, const double *p)
{
    UNUSED_P, (void)y;
    return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
}
F32(hard_swish)
{
    UNUSED_P;
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        float v = x[i], g = v * (1.0f / 6.0f) + 0.5f;
        g = g < 0.0f ? 0.0f : g;
        y[i] = v * (g > 1.0f ? 1.0f : g);
    }
}
G32(hard_swish)
{
    UNUSED_P;
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        float v = x[i], s = v * (1.0f / 3.0f) + 0.5f;
        s = v <= -3.0f ? 0.0f : s;
        gx[i] = gy[i] * (v >= 3.0f ? 1.0f : s);
    }
    (void)y;
}
static const struct tsr_map map_hard_swish = {NULL, hard_swish, hard_swish_slope, hard_swish_f32, hard_swish_g32, NULL};
TSR_MAP_OP(hard_swish)

static void shrink_par(const struct tsr_node *node, double p[4])
{
    p[0] = (double)tsr_node_float(node, "bias", 0);
    p[1] = (double)tsr_node_float(node, "lambd", 0.5f);
}
static double shrink(double x, const double *p)
{
    return x < -p[1] ? x + p[0] : x > p[1] ? x - p[0] : isnan(x) ? x : 0;
}
static double shrink_slope(double x, double y, const double *p) { (void)y; return x < -p[1] || x > p[1]; }
static const struct tsr_map map_shrink = {shrink_par, shrink, shrink_slope, NULL, NULL, NULL};

/* Also for integers, whose lambda and bias are small: exact in double. */
static enum tsr_status shrink_infer(struct tsr_op_ctx *ctx) { return tsr_arg_same(ctx, TSR_MASK_REAL | TSR_MASK_INT); }
static enum tsr_status shrink_forward(struct tsr_op_ctx *ctx)
{
    double p[4];
    if (tsr_dtype_is_float(ctx->in[0]->dtype)) return tsr_map_forward(ctx, &map_shrink);
    shrink_par(ctx->node, p);
    for (int64_t i = 0, n = tsr_tensor_count(ctx->in[0]); i < n; i++)
        tsr_store_f64(ctx->out[0].dtype, ctx->out[0].data, i,
                      shrink(tsr_load_f64(ctx->in[0]->dtype, ctx->in[0]->data, i), p));
    return TSR_OK;
}
static enum tsr_status shrink_backward(struct tsr_op_ctx *ctx) { return tsr_map_backward(ctx, &map_shrink); }

static double softsign(double x, const double *p) { UNUSED_P; return isinf(x) ? copysign(1, x) : x / (1 + fabs(x)); }
static double softsign_slope(double x, double y, const double *p)
{
    UNUSED_P, (void)y;
    double d = 1 + fabs(x);
    return 1 / (d * d);
}
static const struct tsr_map map_softsign = {NULL, softsign, softsign_slope, NULL, NULL, NULL};
TSR_MAP_OP(softsign)

/* ---- exponential linear units: p[0] (e^(x p[1]) - 1) below zero, p[2] x above ---- */

static void elu_par(const struct tsr_node *node, double p[4])
{
    p[0] = (double)tsr_node_float(node, "alpha", 1);
    p[1] = p[2] = 1;
}
static void selu_par(const struct tsr_node *node, double p[4])
{
    p[2] = (double)tsr_node_float(node, "gamma", 1.05070102214813232421875f);
    p[0] = p[2] * (double)tsr_node_float(node, "alpha", 1.67326319217681884765625f);
    p[1] = 1;
}
static void celu_par(const struct tsr_node *node, double p[4])
{
    p[0] = (double)tsr_node_float(node, "alpha", 1);
    p[1] = 1 / p[0];
    p[2] = 1;
}
static double elu(double x, const double *p) { return x < 0 ? p[0] * expm1(x * p[1]) : p[2] * x; }
static double elu_slope(double x, double y, const double *p) { return x < 0 ? p[1] * (y + p[0]) : p[2]; }
/* e^v - 1 = 2 t / (1 - t), t = tanh(v / 2), keeps its precision near zero. */
TSR_CLONES static void elu_halve(int64_t n, float b, const float *x, float *t)
{
    for (int64_t i = 0; i < n; i++) t[i] = (x[i] < 0.0f ? x[i] : 0.0f) * b * 0.5f;
}
TSR_CLONES static void elu_join(int64_t n, float a, float c, const float *x, const float *t, float *y)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        float e = a * (2.0f * t[i] / (1.0f - t[i])), v = x[i];
        y[i] = v < 0.0f ? e : c * v;
    }
}
static void elu_f32(int64_t n, const double *p, const float *x, float *y)
{
    float t[512];
    for (int64_t at = 0; at < n; at += 512) {
        int64_t k = n - at < 512 ? n - at : 512;
        elu_halve(k, (float)p[1], x + at, t);
        tsr_vtanh(k, t, t);
        elu_join(k, (float)p[0], (float)p[2], x + at, t, y + at);
    }
}
G32(elu)
{
    float a = (float)p[0], b = (float)p[1], c = (float)p[2];
    TSR_IVDEP for (int64_t i = 0; i < n; i++)
    {
        float s = b * (y[i] + a);
        gx[i] = gy[i] * (x[i] < 0.0f ? s : c);
    }
}
static const struct tsr_map map_elu = {elu_par, elu, elu_slope, elu_f32, elu_g32, NULL};
static const struct tsr_map map_selu = {selu_par, elu, elu_slope, elu_f32, elu_g32, NULL};
static const struct tsr_map map_celu = {celu_par, elu, elu_slope, elu_f32, elu_g32, NULL};
TSR_MAP_OP(elu)
TSR_MAP_OP(selu)
TSR_MAP_OP(celu)

/* ---- smooth ---- */

static double sigmoid(double x, const double *p) { UNUSED_P; return sigmoid64(x); }
static double sigmoid_slope(double x, double y, const double *p) { UNUSED_P, (void)x; return y * (1 - y); }
static void sigmoid_f32(int64_t n, const double *p, const float *x, float *y) { UNUSED_P; tsr_vsigmoid(n, x, y); }
static void sigmoid_g32(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx)
{
    UNUSED_P, (void)x;
    tsr_vsigmoid_grad(n, y, gy, gx);
}
static const struct tsr_map map_sigmoid = {NULL, sigmoid, sigmoid_slope, sigmoid_f32, sigmoid_g32, NULL};
TSR_MAP_OP(sigmoid)

static double tanh_(double x, const double *p) { UNUSED_P; return tanh(x); }
static double tanh_slope(double x, double y, const double *p) { UNUSED_P, (void)x; return 1 - y * y; }
static void tanh_f32(int64_t n, const double *p, const float *x, float *y) { UNUSED_P; tsr_vtanh(n, x, y); }
static void tanh_g32(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx)
{
    UNUSED_P, (void)x;
    tsr_vtanh_grad(n, y, gy, gx);
}
static const struct tsr_map map_tanh = {NULL, tanh_, tanh_slope, tanh_f32, tanh_g32, NULL};
TSR_MAP_OP(tanh)

static double softplus(double x, const double *p) { UNUSED_P; return isnan(x) ? x : fmax(x, 0) + log1p(exp(-fabs(x))); }
static double softplus_slope(double x, double y, const double *p) { UNUSED_P, (void)y; return sigmoid64(x); }
static void softplus_f32(int64_t n, const double *p, const float *x, float *y) { UNUSED_P; tsr_vsoftplus(n, x, y); }
static void softplus_g32(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx)
{
    UNUSED_P, (void)y;
    tsr_vsoftplus_grad(n, x, gy, gx);
}
static const struct tsr_map map_softplus = {NULL, softplus, softplus_slope, softplus_f32, softplus_g32, NULL};
TSR_MAP_OP(softplus)

static double mish(double x, const double *p) { return x == -INFINITY ? 0 : x * tanh(softplus(x, p)); }
static double mish_slope(double x, double y, const double *p)
{
    double t = tanh(softplus(x, p));
    (void)y;
    return t + (isinf(x) ? 0 : x * (1 - t * t) * sigmoid64(x));
}
static void mish_f32(int64_t n, const double *p, const float *x, float *y) { UNUSED_P; tsr_vmish(n, x, y); }
static void mish_g32(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx)
{
    UNUSED_P, (void)y;
    tsr_vmish_grad(n, x, gy, gx);
}
static const struct tsr_map map_mish = {NULL, mish, mish_slope, mish_f32, mish_g32, NULL};
TSR_MAP_OP(mish)

static void swish_par(const struct tsr_node *node, double p[4]) { p[0] = (double)tsr_node_float(node, "alpha", 1); }
static double swish(double x, const double *p) { return x * p[0] == -INFINITY ? 0 : x * sigmoid64(p[0] * x); }
static double swish_slope(double x, double y, const double *p)
{
    double s = sigmoid64(p[0] * x);
    return s + p[0] * y * (1 - s);
}
static void swish_f32(int64_t n, const double *p, const float *x, float *y) { tsr_vswish(n, (float)p[0], x, y); }
static void swish_g32(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx)
{
    (void)y;
    tsr_vswish_grad(n, (float)p[0], x, gy, gx);
}
static const struct tsr_map map_swish = {swish_par, swish, swish_slope, swish_f32, swish_g32, NULL};
TSR_MAP_OP(swish)

/* p[0]: 1 for the tanh approximation. */
static void gelu_par(const struct tsr_node *node, double p[4])
{
    p[0] = strcmp(tsr_node_string(node, "approximate", "none"), "tanh") == 0;
}
static double gelu_inner(double x) { return 2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x); }
static double gelu(double x, const double *p)
{
    if (x == -INFINITY) return 0;
    return x * (p[0] != 0 ? sigmoid64(gelu_inner(x)) : 0.5 * erfc(-x * 0.70710678118654752440));
}
static double gelu_slope(double x, double y, const double *p)
{
    (void)y;
    if (p[0] == 0) return 0.5 * erfc(-x * 0.70710678118654752440) + (isinf(x) ? 0 : x * exp(-0.5 * x * x) * 0.39894228040143267794);
    double s = sigmoid64(gelu_inner(x));
    if (s == 0 || s == 1) return s;
    return s + x * s * (1 - s) * 2 * 0.79788456080286535588 * (1 + 3 * 0.044715 * x * x);
}
static void gelu_f32(int64_t n, const double *p, const float *x, float *y)
{
    (p[0] != 0 ? tsr_vgelu_tanh : tsr_vgelu)(n, x, y);
}
static void gelu_g32(int64_t n, const double *p, const float *x, const float *y, const float *gy, float *gx)
{
    (void)y;
    (p[0] != 0 ? tsr_vgelu_tanh_grad : tsr_vgelu_grad)(n, x, gy, gx);
}
static const struct tsr_map map_gelu = {gelu_par, gelu, gelu_slope, gelu_f32, gelu_g32, NULL};
static enum tsr_status gelu_infer(struct tsr_op_ctx *ctx)
{
    const char *a = tsr_node_string(ctx->node, "approximate", "none");
    if (strcmp(a, "none") != 0 && strcmp(a, "tanh") != 0)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the approximation '%.20s' is neither 'none' nor 'tanh'", a);
    return tsr_map_infer(ctx, &map_gelu);
}
static enum tsr_status gelu_forward(struct tsr_op_ctx *ctx) { return tsr_map_forward(ctx, &map_gelu); }
static enum tsr_status gelu_backward(struct tsr_op_ctx *ctx) { return tsr_map_backward(ctx, &map_gelu); }

/* ---- Dropout ---- */

/* The share of elements that are dropped in this run; 0: it is the identity. */
static enum tsr_status dropout_ratio(struct tsr_op_ctx *ctx, double *ratio)
{
    const struct tsr_tensor *r = tsr_arg_in(ctx, 1);
    int64_t on;
    *ratio = (double)tsr_node_float(ctx->node, "ratio", 0.5f);
    if (r) {
        TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_FLOAT));
        if (tsr_tensor_count(r) != 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the ratio must be one number");
        *ratio = tsr_load_f64(r->dtype, r->data, 0);
    }
    TSR_TRY(tsr_arg_int(ctx, 2, 0, &on));
    if (!(*ratio >= 0 && *ratio < 1)) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the ratio %g is not in [0,1)", *ratio);
    if (!on && !ctx->train_stats) *ratio = 0;
    return TSR_OK;
}

static enum tsr_status dropout_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_REAL));
    tsr_op_set(ctx, 1, ctx->node->opset < 10 ? ctx->in[0]->dtype : TSR_BOOL, &ctx->in[0]->shape);
    return TSR_OK;
}

struct dropout {
    uint64_t seed;
    uint32_t keep_below; /* of 2^32 */
    uint8_t *mask;
};

static void dropout_draw(void *arg, int64_t from, int64_t to)
{
    const struct dropout *d = arg;
    struct tsr_rng r;
    tsr_rng_init(&r, d->seed, (uint64_t)from); /* a piece has a sequence of its own: any thread may draw it */
    for (int64_t i = from; i < to; i += 2) {
        uint64_t u = tsr_rng_u64(&r);
        d->mask[i] = (uint32_t)u < d->keep_below;
        if (i + 1 < to) d->mask[i + 1] = (uint32_t)(u >> 32) < d->keep_below;
    }
}

/* out = mask ? x * scale : 0 */
static void dropout_apply(enum tsr_dtype t, int64_t n, const uint8_t *mask, double scale, const void *x, void *out)
{
    if (t == TSR_F32) {
        float s = (float)scale;
        TSR_IVDEP for (int64_t i = 0; i < n; i++)((float *)out)[i] = ((const float *)x)[i] * (mask[i] ? s : 0.0f);
    } else
        for (int64_t i = 0; i < n; i++) ((double *)out)[i] = ((const double *)x)[i] * (mask[i] ? scale : 0.0);
}

static enum tsr_status dropout_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    int64_t n = tsr_tensor_count(x);
    bool want_mask = ctx->node->n_out > 1 && ctx->want_out[1];
    double ratio;
    TSR_TRY(dropout_ratio(ctx, &ratio));
    if (ratio == 0) {
        TSR_TRY(tsr_arg_copy_forward(ctx));
        for (int64_t i = 0; want_mask && i < n; i++) tsr_store_i64(ctx->out[1].dtype, ctx->out[1].data, i, 1);
        return TSR_OK;
    }
    TSR_TRY(tsr_op_save(ctx, 0, TSR_BOOL, &x->shape));
    struct dropout d = {ctx->seed, (uint32_t)((1 - ratio) * 0x1p32), ctx->saved[0].data};
    tsr_par(ctx->pool, n, 16384, dropout_draw, &d);
    dropout_apply(x->dtype, n, d.mask, 1 / (1 - ratio), x->data, ctx->out[0].data);
    if (want_mask) tsr_convert(ctx->out[1].dtype, ctx->out[1].data, TSR_BOOL, d.mask, n);
    return TSR_OK;
}

static enum tsr_status dropout_backward(struct tsr_op_ctx *ctx)
{
    double ratio;
    for (int i = 1; i < ctx->node->n_in; i++) /* the ratio itself is not learnt */
        if (ctx->want_gin[i]) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    TSR_TRY(dropout_ratio(ctx, &ratio));
    if (ratio == 0 || !ctx->gout[0] || !ctx->want_gin[0]) return tsr_arg_copy_backward(ctx);
    dropout_apply(ctx->in[0]->dtype, tsr_tensor_count(ctx->in[0]), ctx->saved[0].data, 1 / (1 - ratio),
                  ctx->gout[0]->data, ctx->gin[0].data);
    return TSR_OK;
}

const struct tsr_op tsr_ops_activation[] = {
    TSR_MAP_ROW("Celu", celu),
    {"Dropout", "", TSR_OP_INPLACE | TSR_OP_RANDOM | TSR_OP_WIDEN, 1, 3, 2, dropout_infer, dropout_forward, dropout_backward, 0},
    TSR_MAP_ROW("Elu", elu),
    TSR_MAP_ROW_AND("Gelu", gelu, TSR_OP_GRADIENT_INPLACE),
    TSR_MAP_ROW("HardSigmoid", hard_sigmoid),
    TSR_MAP_ROW("HardSwish", hard_swish),
    TSR_MAP_ROW("LeakyRelu", leaky),
    TSR_MAP_ROW("Mish", mish),
    TSR_MAP_ROW_AND("Relu", relu, TSR_OP_GRADIENT_INPLACE | TSR_OP_OVERWRITES),
    TSR_MAP_ROW("Selu", selu),
    TSR_MAP_ROW("Shrink", shrink),
    TSR_MAP_ROW("Sigmoid", sigmoid),
    TSR_MAP_ROW("Softplus", softplus),
    TSR_MAP_ROW("Softsign", softsign),
    TSR_MAP_ROW("Swish", swish),
    TSR_MAP_ROW("Tanh", tanh),
    TSR_MAP_ROW("ThresholdedRelu", thresholded),
};
const size_t tsr_n_ops_activation = sizeof tsr_ops_activation / sizeof *tsr_ops_activation;
