/* binary.c - arithmetic of two inputs with broadcasting: Add Sub Mul Div Pow Mod PRelu, bits.
 * Comparisons, logic and Where: compare.c. Max Min Sum Mean: variadic.c. */
#include "base/mem.h"
#include "ops/bcast.h"
#include "ops/families.h"
#include "tensor/isa.h"

#include <math.h>
#include <string.h>

/* o = f(a, b) over n elements; an input with step 0 is one value for all. */
typedef void kernel(int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, void *o);
/* o = gradient from a, b, the output y and its gradient g. */
typedef void grad_kernel(int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, const void *y, const void *g,
                         void *o);

#define KERNEL(name, T, CLONES, expr)                                                              \
    CLONES static void name(int64_t n, const void *a_, int64_t sa, const void *b_, int64_t sb, void *o_) \
    {                                                                                              \
        const T *pa = a_, *pb = b_;                                                                \
        T *o = o_;                                                                                 \
        if (sa && sb) {                                                                            \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) { T a = pa[i], b = pb[i]; o[i] = (T)(expr); } \
        } else if (sa) {                                                                           \
            T b = pb[0];                                                                           \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) { T a = pa[i]; o[i] = (T)(expr); }           \
        } else {                                                                                   \
            T a = pa[0];                                                                           \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) { T b = pb[i * sb]; o[i] = (T)(expr); }      \
        }                                                                                          \
    }
#define GRAD(name, T, CLONES, expr)                                                                \
    CLONES static void name(int64_t n, const void *a_, int64_t sa, const void *b_, int64_t sb, const void *y_, \
                            const void *g_, void *o_)                                              \
    {                                                                                              \
        const T *pa = a_, *pb = b_, *py = y_, *pg = g_;                                            \
        T *o = o_;                                                                                 \
        if (sa && sb) {                                                                            \
            TSR_IVDEP for (int64_t i = 0; i < n; i++)                                              \
            {                                                                                      \
                T a = pa[i], b = pb[i], y = py[i], g = pg[i];                                      \
                (void)a, (void)b, (void)y;                                                         \
                o[i] = (T)(expr);                                                                  \
            }                                                                                      \
        } else                                                                                     \
            TSR_IVDEP for (int64_t i = 0; i < n; i++)                                              \
            {                                                                                      \
                T a = pa[i * sa], b = pb[i * sb], y = py[i], g = pg[i];                            \
                (void)a, (void)b, (void)y;                                                         \
                o[i] = (T)(expr);                                                                  \
            }                                                                                      \
    }

/* Unsigned arithmetic wraps in the width of the type it is stored to. */
#define U(x) ((uint64_t)(x))
#define INT_KERNELS(name, expr_s, expr_u)                                                          \
    KERNEL(name##_i8, int8_t, , expr_s)                                                            \
    KERNEL(name##_i16, int16_t, , expr_s)                                                          \
    KERNEL(name##_i32, int32_t, , expr_s)                                                          \
    KERNEL(name##_i64, int64_t, , expr_s)                                                          \
    KERNEL(name##_u8, uint8_t, , expr_u)                                                           \
    KERNEL(name##_u16, uint16_t, , expr_u)                                                         \
    KERNEL(name##_u32, uint32_t, , expr_u)                                                         \
    KERNEL(name##_u64, uint64_t, , expr_u)
#define INT_ROWS(name)                                                                             \
    [TSR_I8] = name##_i8, [TSR_I16] = name##_i16, [TSR_I32] = name##_i32, [TSR_I64] = name##_i64,  \
    [TSR_U8] = name##_u8, [TSR_U16] = name##_u16, [TSR_U32] = name##_u32, [TSR_U64] = name##_u64

/* Truncating division and remainders; by zero gives 0, and the smallest number by -1 itself. */
static int64_t div_s(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? (int64_t)(0 - U(a)) : a / b; }
static uint64_t div_u(uint64_t a, uint64_t b) { return b == 0 ? 0 : a / b; }
static int64_t rem_s(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
static uint64_t rem_u(uint64_t a, uint64_t b) { return b == 0 ? 0 : a % b; }
/* The remainder with the sign of the divisor. */
static int64_t mod_s(int64_t a, int64_t b)
{
    int64_t r = rem_s(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static uint64_t pow_u(uint64_t a, uint64_t b)
{
    uint64_t r = 1;
    for (; b; b >>= 1, a *= a)
        if (b & 1) r *= a;
    return r;
}
static int64_t pow_s(int64_t a, int64_t b)
{
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
    return (int64_t)pow_u(U(a), U(b));
}
static double mod_f(double a, double b)
{
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

INT_KERNELS(add, U(a) + U(b), U(a) + U(b))
KERNEL(add_f32, float, TSR_CLONES, a + b)
KERNEL(add_f64, double, TSR_CLONES, a + b)
INT_KERNELS(sub, U(a) - U(b), U(a) - U(b))
KERNEL(sub_f32, float, TSR_CLONES, a - b)
KERNEL(sub_f64, double, TSR_CLONES, a - b)
INT_KERNELS(mul, U(a) * U(b), U(a) * U(b))
KERNEL(mul_f32, float, TSR_CLONES, a *b)
KERNEL(mul_f64, double, TSR_CLONES, a *b)
INT_KERNELS(div, div_s((int64_t)a, (int64_t)b), div_u(U(a), U(b)))
KERNEL(div_f32, float, TSR_CLONES, a / b)
KERNEL(div_f64, double, TSR_CLONES, a / b)
INT_KERNELS(pow, pow_s((int64_t)a, (int64_t)b), pow_u(U(a), U(b)))
KERNEL(pow_f32, float, , powf(a, b))
KERNEL(pow_f64, double, , pow(a, b))
INT_KERNELS(mod, mod_s((int64_t)a, (int64_t)b), rem_u(U(a), U(b)))
KERNEL(mod_f32, float, , (float)mod_f((double)a, (double)b))
KERNEL(mod_f64, double, , mod_f(a, b))
INT_KERNELS(fmod, rem_s((int64_t)a, (int64_t)b), rem_u(U(a), U(b)))
KERNEL(fmod_f32, float, , fmodf(a, b))
KERNEL(fmod_f64, double, , fmod(a, b))
INT_KERNELS(prelu, a < 0 ? U(a) * U(b) : U(a), ((void)b, a))
KERNEL(prelu_f32, float, TSR_CLONES, a < 0.0f ? a * b : a)
KERNEL(prelu_f64, double, TSR_CLONES, a < 0.0 ? a * b : a)
INT_KERNELS(and, a &b, a &b)
INT_KERNELS(or, a | b, a | b)
INT_KERNELS(xor, a ^ b, a ^ b)
INT_KERNELS(shl, U(b) > 63 ? 0 : U(a) << U(b), U(b) > 63 ? 0 : U(a) << U(b))
INT_KERNELS(shr, U(b) > 63 ? 0 : U(a) >> U(b), U(b) > 63 ? 0 : U(a) >> U(b))

#define GRADS(name, expr32, expr64)                                                                \
    GRAD(name##_g32, float, TSR_CLONES, expr32)                                                    \
    GRAD(name##_g64, double, TSR_CLONES, expr64)
GRADS(same, g, g)
GRADS(minus, -g, -g)
GRADS(mul_a, g *b, g *b)
GRADS(mul_b, g *a, g *a)
GRADS(div_a, g / b, g / b)
GRADS(div_b, -g *y / b, -g *y / b)
GRADS(pow_a, b == 0.0f ? 0.0f : g * b * powf(a, b - 1.0f), b == 0.0 ? 0.0 : g * b * pow(a, b - 1.0))
GRADS(pow_b, y == 0.0f ? 0.0f : g * y * logf(a), y == 0.0 ? 0.0 : g * y * log(a))
GRADS(mod_b, -g *floorf(a / b), -g *floor(a / b))
GRADS(fmod_b, -g *truncf(a / b), -g *trunc(a / b))
GRADS(prelu_a, a < 0.0f ? g * b : g, a < 0.0 ? g * b : g)
GRADS(prelu_b, a < 0.0f ? g * a : 0.0f, a < 0.0 ? g * a : 0.0)
GRAD(square_g32, float, TSR_CLONES, 2.0f * g * a)
KERNEL(square_f32, float, TSR_CLONES, ((void)b, a *a))
KERNEL(root_f32, float, TSR_CLONES, ((void)b, sqrtf(a)))

struct family {
    kernel *of[TSR_F64 + 4]; /* by type; NULL: not supported */
    grad_kernel *grad[2][2]; /* of input 0, 1 in float32, float64; NULL: none */
};
#define FLOAT_ROWS(name) [TSR_F32] = name##_f32, [TSR_F64] = name##_f64
#define BOTH(name) {name##_g32, name##_g64}
static const struct family family_add = {{INT_ROWS(add), FLOAT_ROWS(add)}, {BOTH(same), BOTH(same)}};
static const struct family family_sub = {{INT_ROWS(sub), FLOAT_ROWS(sub)}, {BOTH(same), BOTH(minus)}};
static const struct family family_mul = {{INT_ROWS(mul), FLOAT_ROWS(mul)}, {BOTH(mul_a), BOTH(mul_b)}};
static const struct family family_div = {{INT_ROWS(div), FLOAT_ROWS(div)}, {BOTH(div_a), BOTH(div_b)}};
static const struct family family_pow = {{INT_ROWS(pow), FLOAT_ROWS(pow)}, {BOTH(pow_a), BOTH(pow_b)}};
static const struct family family_square = {{[TSR_F32] = square_f32}, {{square_g32, NULL}, {NULL, NULL}}};
static const struct family family_root = {{[TSR_F32] = root_f32}, {BOTH(pow_a), BOTH(pow_b)}};
static const struct family family_mod = {{INT_ROWS(mod), FLOAT_ROWS(mod)}, {BOTH(same), BOTH(mod_b)}};
static const struct family family_fmod = {{INT_ROWS(fmod), FLOAT_ROWS(fmod)}, {BOTH(same), BOTH(fmod_b)}};
static const struct family family_prelu = {{INT_ROWS(prelu), FLOAT_ROWS(prelu)}, {BOTH(prelu_a), BOTH(prelu_b)}};
static const struct family family_and = {{INT_ROWS(and)}, {{NULL}}};
static const struct family family_or = {{INT_ROWS(or)}, {{NULL}}};
static const struct family family_xor = {{INT_ROWS(xor)}, {{NULL}}};
static const struct family family_shl = {{INT_ROWS(shl)}, {{NULL}}};
static const struct family family_shr = {{INT_ROWS(shr)}, {{NULL}}};

/* ---- the three steps ---- */

static enum tsr_status infer_shape(struct tsr_op_ctx *ctx, uint32_t types)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    struct tsr_shape s;
    TSR_TRY(tsr_op_need(ctx, 0, types));
    TSR_TRY(tsr_op_need(ctx, 1, types));
    if (!tsr_shape_broadcast(&ctx->in[0]->shape, &ctx->in[1]->shape, &s))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "shapes %s and %s do not broadcast",
                           tsr_shape_text(&ctx->in[0]->shape, a, sizeof a), tsr_shape_text(&ctx->in[1]->shape, b, sizeof b));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status same_types(struct tsr_op_ctx *ctx, uint32_t types)
{
    TSR_TRY(infer_shape(ctx, types));
    if (ctx->in[0]->dtype != ctx->in[1]->dtype)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the inputs are of different types, %s and %s",
                           tsr_dtype_name(ctx->in[0]->dtype), tsr_dtype_name(ctx->in[1]->dtype));
    return TSR_OK;
}

struct job {
    kernel *fn;
    grad_kernel *grad;
    size_t size;
    const char *a, *b, *y, *g;
    char *o;
};

static void forward_run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    const struct job *j = arg;
    j->fn(n, j->a + (size_t)at[0] * j->size, step[0], j->b + (size_t)at[1] * j->size, step[1], j->o + (size_t)o * j->size);
}

static void backward_run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    const struct job *j = arg;
    size_t off = (size_t)o * j->size;
    j->grad(n, j->a + (size_t)at[0] * j->size, step[0], j->b + (size_t)at[1] * j->size, step[1], j->y + off, j->g + off, j->o + off);
}

static enum tsr_status forward(struct tsr_op_ctx *ctx, const struct family *f)
{
    const struct tsr_tensor *a = ctx->in[0], *b = ctx->in[1];
    struct job j = {.fn = f->of[a->dtype], .size = tsr_dtype_bytes(a->dtype, 1), .a = a->data, .b = b->data, .o = ctx->out[0].data};
    struct tsr_bcast bc;
    tsr_bcast_init(&bc, &ctx->out[0].shape, 2, (const struct tsr_shape *[]){&a->shape, &b->shape});
    tsr_bcast_run(ctx->pool, &bc, forward_run, &j);
    return TSR_OK;
}

/* The gradient of input i: elementwise over the output's shape, then summed to the input's. */
static enum tsr_status backward_one(struct tsr_op_ctx *ctx, const struct family *f, int i)
{
    const struct tsr_tensor *a = ctx->in[0], *b = ctx->in[1], *y = &ctx->out[0], *g = ctx->gout[0];
    struct tsr_tensor *gin = &ctx->gin[i];
    grad_kernel *fn = f->grad[i][a->dtype == TSR_F64];
    if (!g || !fn) {
        memset(gin->data, 0, tsr_tensor_bytes(gin));
        return TSR_OK;
    }
    if (fn == same_g32 || fn == same_g64) return tsr_sum_to(ctx, g->dtype, &g->shape, g->data, &gin->shape, gin->data);
    size_t bytes = tsr_tensor_bytes(g);
    bool direct = tsr_tensor_count(gin) == tsr_tensor_count(g);
    char *full = direct ? gin->data : tsr_op_scratch(ctx, bytes);
    if (!full) return tsr_nomem(ctx->err, bytes);
    struct job j = {.grad = fn, .size = tsr_dtype_bytes(a->dtype, 1), .a = a->data, .b = b->data, .y = y->data, .g = g->data, .o = full};
    struct tsr_bcast bc;
    tsr_bcast_init(&bc, &y->shape, 2, (const struct tsr_shape *[]){&a->shape, &b->shape});
    tsr_bcast_run(ctx->pool, &bc, backward_run, &j);
    if (direct) return TSR_OK;
    enum tsr_status status = tsr_sum_to(ctx, g->dtype, &y->shape, full, &gin->shape, gin->data);
    tsr_op_scratch_free(ctx, full, bytes);
    return status;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx, const struct family *f)
{
    for (int i = 0; i < 2; i++)
        if (ctx->want_gin[i]) TSR_TRY(backward_one(ctx, f, i));
    return TSR_OK;
}

#define OP(name, types)                                                                            \
    static enum tsr_status name##_infer(struct tsr_op_ctx *ctx) { return same_types(ctx, types); } \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return forward(ctx, &family_##name); } \
    static enum tsr_status name##_backward(struct tsr_op_ctx *ctx) { return backward(ctx, &family_##name); }
OP(add, TSR_MASK_REAL | TSR_MASK_INT)
OP(sub, TSR_MASK_REAL | TSR_MASK_INT)
OP(mul, TSR_MASK_REAL | TSR_MASK_INT)
OP(div, TSR_MASK_REAL | TSR_MASK_INT)

/* ---- Pow: the exponent may be of another type, and is often one small constant ---- */

static enum tsr_status pow_infer(struct tsr_op_ctx *ctx) { return infer_shape(ctx, TSR_MASK_REAL | TSR_MASK_INT); }

/* The exponent in the type of the base; *owned must be released. */
static enum tsr_status pow_exponent(struct tsr_op_ctx *ctx, struct tsr_tensor *owned)
{
    return tsr_tensor_cast(owned, ctx->in[0]->dtype, ctx->in[1], ctx->err);
}

static const struct family *pow_family(const struct tsr_tensor *a, const struct tsr_tensor *b)
{
    if (a->dtype != TSR_F32 || tsr_tensor_count(b) != 1) return &family_pow;
    float e = *(const float *)b->data;
    return e == 2.0f ? &family_square : e == 0.5f ? &family_root : &family_pow;
}

/* An integer to a power that is not one: in double, truncated. */
static void pow_mixed(struct tsr_op_ctx *ctx, const struct tsr_bcast *bc)
{
    const struct tsr_tensor *a = ctx->in[0], *b = ctx->in[1];
    int64_t rows = 1, inner = bc->dim[bc->rank - 1], o = 0;
    for (int i = 0; i < bc->rank - 1; i++) rows *= bc->dim[i];
    for (int64_t r = 0; r < rows; r++) {
        int64_t at[2] = {0}, rest = r;
        for (int i = bc->rank - 2; i >= 0; i--) {
            for (int k = 0; k < 2; k++) at[k] += rest % bc->dim[i] * bc->stride[k][i];
            rest /= bc->dim[i];
        }
        for (int64_t i = 0; i < inner; i++, o++) {
            double x = tsr_load_f64(a->dtype, a->data, at[0] + i * bc->stride[0][bc->rank - 1]);
            double e = tsr_load_f64(b->dtype, b->data, at[1] + i * bc->stride[1][bc->rank - 1]);
            tsr_store_f64(a->dtype, ctx->out[0].data, o, pow(x, e));
        }
    }
}

static enum tsr_status pow_run(struct tsr_op_ctx *ctx, bool back)
{
    const struct tsr_tensor *a = ctx->in[0], *b = ctx->in[1], *swapped[2] = {a, b}, **kept = ctx->in;
    struct tsr_tensor cast = {0};
    enum tsr_status status = TSR_OK;
    if (!back && tsr_dtype_is_int(a->dtype) && tsr_dtype_is_float(b->dtype)) {
        struct tsr_bcast bc;
        tsr_bcast_init(&bc, &ctx->out[0].shape, 2, (const struct tsr_shape *[]){&a->shape, &b->shape});
        pow_mixed(ctx, &bc);
        return TSR_OK;
    }
    if (a->dtype != b->dtype) {
        TSR_TRY(pow_exponent(ctx, &cast));
        swapped[1] = &cast;
        ctx->in = swapped;
    }
    const struct family *f = pow_family(ctx->in[0], ctx->in[1]);
    if (!back) status = forward(ctx, f);
    else {
        if (ctx->want_gin[0]) status = backward_one(ctx, f->grad[0][a->dtype == TSR_F64] ? f : &family_pow, 0);
        if (status == TSR_OK && ctx->want_gin[1]) {
            if (a->dtype == b->dtype) status = backward_one(ctx, &family_pow, 1);
            else memset(ctx->gin[1].data, 0, tsr_tensor_bytes(&ctx->gin[1]));
        }
    }
    ctx->in = kept;
    tsr_tensor_release(&cast);
    return status;
}
static enum tsr_status pow_forward(struct tsr_op_ctx *ctx) { return pow_run(ctx, false); }
static enum tsr_status pow_backward(struct tsr_op_ctx *ctx) { return pow_run(ctx, true); }

/* ---- Mod ---- */

static const struct family *mod_family(const struct tsr_op_ctx *ctx)
{
    return tsr_node_int(ctx->node, "fmod", 0) ? &family_fmod : &family_mod;
}
static enum tsr_status mod_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(same_types(ctx, TSR_MASK_REAL | TSR_MASK_INT));
    if (tsr_dtype_is_float(ctx->in[0]->dtype) && !tsr_node_int(ctx->node, "fmod", 0))
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "floating-point inputs need fmod = 1");
    return TSR_OK;
}
static enum tsr_status mod_forward(struct tsr_op_ctx *ctx) { return forward(ctx, mod_family(ctx)); }
static enum tsr_status mod_backward(struct tsr_op_ctx *ctx) { return backward(ctx, mod_family(ctx)); }

/* ---- PRelu: the slope broadcasts to the input, not the other way ---- */

/* Before opset 7 a list of slopes is one for each channel. */
static struct tsr_tensor prelu_slope(const struct tsr_op_ctx *ctx)
{
    struct tsr_tensor s = *ctx->in[1];
    int rank = ctx->in[0]->shape.rank;
    if (ctx->node->opset >= 7 || s.shape.rank != 1) return s;
    for (int i = 2; i < rank; i++) s.shape.dim[s.shape.rank++] = 1;
    return s;
}

static enum tsr_status prelu_run(struct tsr_op_ctx *ctx, enum tsr_status (*step)(struct tsr_op_ctx *))
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL | TSR_MASK_INT));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_REAL | TSR_MASK_INT));
    struct tsr_tensor slope = prelu_slope(ctx);
    const struct tsr_tensor *swapped[2] = {ctx->in[0], &slope}, **kept = ctx->in;
    ctx->in = swapped;
    enum tsr_status status = step(ctx);
    ctx->in = kept;
    return status;
}

static enum tsr_status prelu_shape(struct tsr_op_ctx *ctx)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    TSR_TRY(same_types(ctx, TSR_MASK_REAL | TSR_MASK_INT));
    if (ctx->node->n_out > 0 && !tsr_shape_equal(&ctx->out[0].shape, &ctx->in[0]->shape))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "slopes of shape %s do not fit an input of shape %s",
                           tsr_shape_text(&ctx->in[1]->shape, b, sizeof b), tsr_shape_text(&ctx->in[0]->shape, a, sizeof a));
    return TSR_OK;
}
static enum tsr_status prelu_compute(struct tsr_op_ctx *ctx) { return forward(ctx, &family_prelu); }
static enum tsr_status prelu_adjoint(struct tsr_op_ctx *ctx)
{
    struct tsr_shape kept = ctx->gin[1].shape; /* the sum is over the axes of the shape that is seen */
    ctx->gin[1].shape = ctx->in[1]->shape;
    enum tsr_status status = backward(ctx, &family_prelu);
    ctx->gin[1].shape = kept;
    return status;
}
static enum tsr_status prelu_infer(struct tsr_op_ctx *ctx) { return prelu_run(ctx, prelu_shape); }
static enum tsr_status prelu_forward(struct tsr_op_ctx *ctx) { return prelu_run(ctx, prelu_compute); }
static enum tsr_status prelu_backward(struct tsr_op_ctx *ctx) { return prelu_run(ctx, prelu_adjoint); }

/* ---- bits ---- */

#define BITS(name)                                                                                 \
    static enum tsr_status name##_infer(struct tsr_op_ctx *ctx) { return same_types(ctx, TSR_MASK_INT); } \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return forward(ctx, &family_##name); }
BITS(and)
BITS(or)
BITS(xor)

static enum tsr_status shift_infer(struct tsr_op_ctx *ctx)
{
    const char *d = tsr_node_string(ctx->node, "direction", "");
    TSR_TRY(same_types(ctx, TSR_MASK(TSR_U8) | TSR_MASK(TSR_U16) | TSR_MASK(TSR_U32) | TSR_MASK(TSR_U64)));
    if (strcmp(d, "LEFT") != 0 && strcmp(d, "RIGHT") != 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the direction '%.20s' is neither LEFT nor RIGHT", d);
    return TSR_OK;
}
static enum tsr_status shift_forward(struct tsr_op_ctx *ctx)
{
    return forward(ctx, strcmp(tsr_node_string(ctx->node, "direction", ""), "LEFT") == 0 ? &family_shl : &family_shr);
}

#define ARITH (TSR_OP_INPLACE | TSR_OP_WIDEN)
const struct tsr_op tsr_ops_binary[] = {
    {"Add", "", ARITH | TSR_OP_SAMPLES | TSR_OP_FORGETS | TSR_OP_GRADIENT_SHARED, 2, 2, 1, add_infer, add_forward, add_backward, 3},
    {"BitShift", "", TSR_OP_INPLACE, 2, 2, 1, shift_infer, shift_forward, NULL, 0},
    {"BitwiseAnd", "", TSR_OP_INPLACE, 2, 2, 1, and_infer, and_forward, NULL, 0},
    {"BitwiseOr", "", TSR_OP_INPLACE, 2, 2, 1, or_infer, or_forward, NULL, 0},
    {"BitwiseXor", "", TSR_OP_INPLACE, 2, 2, 1, xor_infer, xor_forward, NULL, 0},
    {"Div", "", ARITH, 2, 2, 1, div_infer, div_forward, div_backward, 0},
    {"Mod", "", ARITH, 2, 2, 1, mod_infer, mod_forward, mod_backward, 0},
    {"Mul", "", ARITH, 2, 2, 1, mul_infer, mul_forward, mul_backward, 3},
    {"PRelu", "", ARITH, 2, 2, 1, prelu_infer, prelu_forward, prelu_backward, 2},
    {"Pow", "", ARITH, 2, 2, 1, pow_infer, pow_forward, pow_backward, 0},
    {"Sub", "", ARITH, 2, 2, 1, sub_infer, sub_forward, sub_backward, 0},
};
const size_t tsr_n_ops_binary = sizeof tsr_ops_binary / sizeof *tsr_ops_binary;
