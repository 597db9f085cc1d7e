/* compare.c - comparisons, logic, and Where. */
#include "base/mem.h"
#include "ops/bcast.h"
#include "ops/families.h"
#include "tensor/isa.h"

#include <string.h>

typedef void kernel(int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, uint8_t *o);

#define KERNEL(name, T, expr)                                                                      \
    static void name(int64_t n, const void *a_, int64_t sa, const void *b_, int64_t sb, uint8_t *o) \
    {                                                                                              \
        const T *pa = a_, *pb = b_;                                                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            T a = pa[i * sa], b = pb[i * sb];                                                      \
            o[i] = expr;                                                                           \
        }                                                                                          \
    }
#define KERNELS(name, expr)                                                                        \
    KERNEL(name##_i8, int8_t, expr)                                                                \
    KERNEL(name##_i16, int16_t, expr)                                                              \
    KERNEL(name##_i32, int32_t, expr)                                                              \
    KERNEL(name##_i64, int64_t, expr)                                                              \
    KERNEL(name##_u8, uint8_t, expr)                                                               \
    KERNEL(name##_u16, uint16_t, expr)                                                             \
    KERNEL(name##_u32, uint32_t, expr)                                                             \
    KERNEL(name##_u64, uint64_t, expr)                                                             \
    KERNEL(name##_f32, float, expr)                                                                \
    KERNEL(name##_f64, double, expr)                                                               \
    static kernel *const table_##name[] = {                                                        \
        [TSR_I8] = name##_i8, [TSR_I16] = name##_i16, [TSR_I32] = name##_i32, [TSR_I64] = name##_i64, \
        [TSR_U8] = name##_u8, [TSR_U16] = name##_u16, [TSR_U32] = name##_u32, [TSR_U64] = name##_u64, \
        [TSR_F32] = name##_f32, [TSR_F64] = name##_f64, [TSR_BOOL] = name##_u8,                     \
    };
KERNELS(eq, a == b)
KERNELS(lt, a < b)
KERNELS(le, a <= b)
KERNEL(and_bool, uint8_t, a & b)
KERNEL(or_bool, uint8_t, a | b)
KERNEL(xor_bool, uint8_t, a ^ b)

struct job {
    kernel *fn;
    size_t size;
    const char *a, *b;
    uint8_t *o;
};

static void compare_run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    const struct job *j = arg;
    j->fn(n, j->a + (size_t)at[0] * j->size, step[0], j->b + (size_t)at[1] * j->size, step[1], j->o + o);
}

static enum tsr_status infer(struct tsr_op_ctx *ctx, uint32_t types)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    struct tsr_shape s;
    TSR_TRY(tsr_op_need(ctx, 0, types));
    TSR_TRY(tsr_op_need(ctx, 1, types));
    if (ctx->in[0]->dtype != ctx->in[1]->dtype)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the inputs are of different types, %s and %s",
                           tsr_dtype_name(ctx->in[0]->dtype), tsr_dtype_name(ctx->in[1]->dtype));
    if (!tsr_shape_broadcast(&ctx->in[0]->shape, &ctx->in[1]->shape, &s))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "shapes %s and %s do not broadcast",
                           tsr_shape_text(&ctx->in[0]->shape, a, sizeof a), tsr_shape_text(&ctx->in[1]->shape, b, sizeof b));
    tsr_op_set(ctx, 0, TSR_BOOL, &s);
    return TSR_OK;
}

/* swap: the kernel sees the inputs the other way round (a > b is b < a). */
static enum tsr_status forward(struct tsr_op_ctx *ctx, kernel *fn, bool swap)
{
    const struct tsr_tensor *a = ctx->in[swap], *b = ctx->in[!swap];
    struct job j = {fn, tsr_dtype_bytes(a->dtype, 1), a->data, b->data, ctx->out[0].data};
    struct tsr_bcast bc;
    tsr_bcast_init(&bc, &ctx->out[0].shape, 2, (const struct tsr_shape *[]){&a->shape, &b->shape});
    tsr_bcast_run(ctx->pool, &bc, compare_run, &j);
    return TSR_OK;
}

static enum tsr_status order_infer(struct tsr_op_ctx *ctx) { return infer(ctx, TSR_MASK_REAL | TSR_MASK_INT); }
static enum tsr_status equal_infer(struct tsr_op_ctx *ctx)
{
    return infer(ctx, TSR_MASK_REAL | TSR_MASK_INT | TSR_MASK(TSR_BOOL));
}
static enum tsr_status logic_infer(struct tsr_op_ctx *ctx) { return infer(ctx, TSR_MASK(TSR_BOOL)); }

#define FORWARD(name, fn, swap) \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return forward(ctx, fn, swap); }
FORWARD(equal, table_eq[ctx->in[0]->dtype], false)
FORWARD(less, table_lt[ctx->in[0]->dtype], false)
FORWARD(less_or_equal, table_le[ctx->in[0]->dtype], false)
FORWARD(greater, table_lt[ctx->in[0]->dtype], true)
FORWARD(greater_or_equal, table_le[ctx->in[0]->dtype], true)
FORWARD(and, and_bool, false)
FORWARD(or, or_bool, false)
FORWARD(xor, xor_bool, false)

/* ---- Where ---- */

struct where {
    size_t size;
    const uint8_t *c;
    const char *a, *b;
    char *o;
};

static enum tsr_status where_infer(struct tsr_op_ctx *ctx)
{
    char t[3][TSR_SHAPE_TEXT];
    struct tsr_shape s;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK(TSR_BOOL)));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_BYTES));
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(ctx->in[1]->dtype)));
    if (!tsr_shape_broadcast(&ctx->in[0]->shape, &ctx->in[1]->shape, &s) || !tsr_shape_broadcast(&s, &ctx->in[2]->shape, &s))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "shapes %s, %s and %s do not broadcast",
                           tsr_shape_text(&ctx->in[0]->shape, t[0], sizeof t[0]),
                           tsr_shape_text(&ctx->in[1]->shape, t[1], sizeof t[1]),
                           tsr_shape_text(&ctx->in[2]->shape, t[2], sizeof t[2]));
    tsr_op_set(ctx, 0, ctx->in[1]->dtype, &s);
    return TSR_OK;
}

#define PICK(T)                                                                                    \
    do {                                                                                           \
        const T *a = (const T *)(const void *)j->a + at[1], *b = (const T *)(const void *)j->b + at[2]; \
        T *y = (T *)(void *)j->o + o;                                                              \
        for (int64_t i = 0; i < n; i++) y[i] = c[i * step[0]] ? a[i * step[1]] : b[i * step[2]];   \
    } while (0)

static void where_run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    const struct where *j = arg;
    const uint8_t *c = j->c + at[0];
    switch (j->size) {
    case 1: PICK(uint8_t); break;
    case 2: PICK(uint16_t); break;
    case 4: PICK(uint32_t); break;
    default: PICK(uint64_t); break;
    }
}

static enum tsr_status where_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *c = ctx->in[0], *a = ctx->in[1], *b = ctx->in[2];
    struct where j = {tsr_dtype_bytes(a->dtype, 1), c->data, a->data, b->data, ctx->out[0].data};
    struct tsr_bcast bc;
    tsr_bcast_init(&bc, &ctx->out[0].shape, 3, (const struct tsr_shape *[]){&c->shape, &a->shape, &b->shape});
    tsr_bcast_run(ctx->pool, &bc, where_run, &j);
    return TSR_OK;
}

/* The gradient goes where the element was taken: Where(c, g, 0) or Where(c, 0, g), summed. */
static enum tsr_status where_backward_one(struct tsr_op_ctx *ctx, int i)
{
    static const double zero;
    const struct tsr_tensor *c = ctx->in[0], *g = ctx->gout[0];
    const struct tsr_shape scalar = {0};
    struct tsr_tensor *gin = &ctx->gin[i];
    if (!g) {
        memset(gin->data, 0, tsr_tensor_bytes(gin));
        return TSR_OK;
    }
    size_t bytes = tsr_tensor_bytes(g);
    bool direct = tsr_tensor_count(gin) == tsr_tensor_count(g);
    char *full = direct ? gin->data : tsr_op_scratch(ctx, bytes);
    if (!full) return tsr_nomem(ctx->err, bytes);
    struct where j = {tsr_dtype_bytes(g->dtype, 1), c->data, (const char *)&zero, (const char *)&zero, full};
    const struct tsr_shape *shape[3] = {&c->shape, &scalar, &scalar};
    shape[i] = &g->shape;
    if (i == 1) j.a = g->data;
    else j.b = g->data;
    struct tsr_bcast bc;
    tsr_bcast_init(&bc, &g->shape, 3, shape);
    tsr_bcast_run(ctx->pool, &bc, where_run, &j);
    if (direct) return TSR_OK;
    enum tsr_status status = tsr_sum_to(ctx, g->dtype, &g->shape, full, &gin->shape, gin->data);
    tsr_op_scratch_free(ctx, full, bytes);
    return status;
}

static enum tsr_status where_backward(struct tsr_op_ctx *ctx)
{
    for (int i = 1; i < 3; i++)
        if (ctx->want_gin[i]) TSR_TRY(where_backward_one(ctx, i));
    return TSR_OK;
}

#define COMPARE(op_type, name, kind) {op_type, "", TSR_OP_WIDEN, 2, 2, 1, kind##_infer, name##_forward, NULL, 0}
const struct tsr_op tsr_ops_compare[] = {
    COMPARE("And", and, logic),
    COMPARE("Equal", equal, equal),
    COMPARE("Greater", greater, order),
    COMPARE("GreaterOrEqual", greater_or_equal, order),
    COMPARE("Less", less, order),
    COMPARE("LessOrEqual", less_or_equal, order),
    COMPARE("Or", or, logic),
    COMPARE("Xor", xor, logic),
    {"Where", "", TSR_OP_WIDEN, 3, 3, 1, where_infer, where_forward, where_backward, 0},
};
const size_t tsr_n_ops_compare = sizeof tsr_ops_compare / sizeof *tsr_ops_compare;
