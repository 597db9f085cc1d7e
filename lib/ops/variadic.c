/* variadic.c - Max, Min, Sum and Mean of any number of inputs, with broadcasting. */
#include "base/mem.h"
#include "ops/bcast.h"
#include "ops/families.h"
#include "tensor/isa.h"

#include <string.h>

/* o = f(o, b); b with step 0 is one value for all. */
typedef void kernel(int64_t n, void *o, const void *b, int64_t sb);

#define KERNEL(name, T, CLONES, expr)                                                              \
    CLONES static void name(int64_t n, void *o_, const void *b_, int64_t sb)                       \
    {                                                                                              \
        T *o = o_;                                                                                 \
        const T *pb = b_;                                                                          \
        if (sb) {                                                                                  \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) { T a = o[i], b = pb[i]; o[i] = (T)(expr); } \
        } else {                                                                                   \
            T b = pb[0];                                                                           \
            TSR_IVDEP for (int64_t i = 0; i < n; i++) { T a = o[i]; o[i] = (T)(expr); }            \
        }                                                                                          \
    }
#define INTS(name, expr)                                                                           \
    KERNEL(name##_i8, int8_t, , expr)                                                              \
    KERNEL(name##_i16, int16_t, , expr)                                                            \
    KERNEL(name##_i32, int32_t, , expr)                                                            \
    KERNEL(name##_i64, int64_t, , expr)                                                            \
    KERNEL(name##_u8, uint8_t, , expr)                                                             \
    KERNEL(name##_u16, uint16_t, , expr)                                                           \
    KERNEL(name##_u32, uint32_t, , expr)                                                           \
    KERNEL(name##_u64, uint64_t, , expr)
#define TABLE(name)                                                                                \
    static kernel *const table_##name[] = {                                                        \
        [TSR_I8] = name##_i8, [TSR_I16] = name##_i16, [TSR_I32] = name##_i32, [TSR_I64] = name##_i64, \
        [TSR_U8] = name##_u8, [TSR_U16] = name##_u16, [TSR_U32] = name##_u32, [TSR_U64] = name##_u64, \
        [TSR_F32] = name##_f32, [TSR_F64] = name##_f64,                                            \
    };
INTS(max, a > b ? a : b)
KERNEL(max_f32, float, TSR_CLONES, ((a > b) | (a != a)) ? a : b)
KERNEL(max_f64, double, TSR_CLONES, ((a > b) | (a != a)) ? a : b)
TABLE(max)
INTS(min, a < b ? a : b)
KERNEL(min_f32, float, TSR_CLONES, ((a < b) | (a != a)) ? a : b)
KERNEL(min_f64, double, TSR_CLONES, ((a < b) | (a != a)) ? a : b)
TABLE(min)
INTS(sum, (uint64_t)a + (uint64_t)b)
KERNEL(sum_f32, float, TSR_CLONES, a + b)
KERNEL(sum_f64, double, TSR_CLONES, a + b)
TABLE(sum)
KERNEL(first_1, uint8_t, , ((void)a, b))
KERNEL(first_2, uint16_t, , ((void)a, b))
KERNEL(first_4, uint32_t, , ((void)a, b))
KERNEL(first_8, uint64_t, , ((void)a, b))

static enum tsr_status infer(struct tsr_op_ctx *ctx, uint32_t types)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, 0, types));
    struct tsr_shape s = ctx->in[0]->shape;
    for (int i = 1; i < ctx->node->n_in; i++) {
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
        struct tsr_shape before = s;
        if (!tsr_shape_broadcast(&before, &ctx->in[i]->shape, &s))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %d of shape %s does not broadcast with %s", i,
                               tsr_shape_text(&ctx->in[i]->shape, b, sizeof b), tsr_shape_text(&before, a, sizeof a));
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

struct job {
    kernel *fn;
    size_t size;
    const char *b;
    char *o;
};

static void run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    const struct job *j = arg;
    j->fn(n, j->o + (size_t)o * j->size, j->b + (size_t)at[0] * j->size, step[0]);
}

static void apply(struct tsr_op_ctx *ctx, kernel *fn, const struct tsr_tensor *x)
{
    struct job j = {fn, tsr_dtype_bytes(x->dtype, 1), x->data, ctx->out[0].data};
    struct tsr_bcast bc;
    tsr_bcast_init(&bc, &ctx->out[0].shape, 1, (const struct tsr_shape *[]){&x->shape});
    tsr_bcast_run(ctx->pool, &bc, run, &j);
}

static enum tsr_status forward(struct tsr_op_ctx *ctx, kernel *const *table)
{
    enum tsr_dtype t = ctx->in[0]->dtype;
    size_t size = tsr_dtype_bytes(t, 1);
    apply(ctx, size == 1 ? first_1 : size == 2 ? first_2 : size == 4 ? first_4 : first_8, ctx->in[0]);
    for (int i = 1; i < ctx->node->n_in; i++) apply(ctx, table[t], ctx->in[i]);
    return TSR_OK;
}

static void scale(enum tsr_dtype t, int64_t n, double s, void *p)
{
    if (t == TSR_F32)
        for (int64_t i = 0; i < n; i++) ((float *)p)[i] *= (float)s;
    else
        for (int64_t i = 0; i < n; i++) ((double *)p)[i] *= s;
}

static enum tsr_status order_infer(struct tsr_op_ctx *ctx) { return infer(ctx, TSR_MASK_REAL | TSR_MASK_INT); }
static enum tsr_status real_infer(struct tsr_op_ctx *ctx) { return infer(ctx, TSR_MASK_REAL); }
static enum tsr_status max_forward(struct tsr_op_ctx *ctx) { return forward(ctx, table_max); }
static enum tsr_status min_forward(struct tsr_op_ctx *ctx) { return forward(ctx, table_min); }
static enum tsr_status sum_forward(struct tsr_op_ctx *ctx) { return forward(ctx, table_sum); }
static enum tsr_status mean_forward(struct tsr_op_ctx *ctx)
{
    TSR_TRY(forward(ctx, table_sum));
    scale(ctx->out[0].dtype, tsr_tensor_count(&ctx->out[0]), 1.0 / ctx->node->n_in, ctx->out[0].data);
    return TSR_OK;
}

static enum tsr_status spread(struct tsr_op_ctx *ctx, double factor)
{
    const struct tsr_tensor *g = ctx->gout[0];
    for (int i = 0; i < ctx->node->n_in; i++) {
        struct tsr_tensor *gin = &ctx->gin[i];
        if (!ctx->want_gin[i]) continue;
        if (!g) memset(gin->data, 0, tsr_tensor_bytes(gin));
        else TSR_TRY(tsr_sum_to(ctx, g->dtype, &g->shape, g->data, &gin->shape, gin->data));
        if (factor != 1) scale(gin->dtype, tsr_tensor_count(gin), factor, gin->data);
    }
    return TSR_OK;
}
static enum tsr_status sum_backward(struct tsr_op_ctx *ctx) { return spread(ctx, 1); }
static enum tsr_status mean_backward(struct tsr_op_ctx *ctx) { return spread(ctx, 1.0 / ctx->node->n_in); }

/* ---- the gradient of Max and Min goes to the first input that has the extreme value ---- */

struct take {
    enum tsr_dtype dtype;
    const void *x, *y;
    void *left, *out; /* what earlier inputs left of the gradient; what this input takes */
};

static void take_run(void *arg, int64_t n, int64_t o, const int64_t *at, const int64_t *step)
{
    const struct take *j = arg;
#define TAKE(T)                                                                                    \
    do {                                                                                           \
        const T *x = (const T *)j->x + at[0], *y = (const T *)j->y + o;                            \
        T *left = (T *)j->left + o, *out = (T *)j->out + o;                                        \
        for (int64_t i = 0; i < n; i++) {                                                          \
            bool mine = x[i * step[0]] == y[i];                                                    \
            out[i] = mine ? left[i] : 0;                                                           \
            left[i] = mine ? 0 : left[i];                                                          \
        }                                                                                          \
    } while (0)
    if (j->dtype == TSR_F32) TAKE(float);
    else TAKE(double);
#undef TAKE
}

static enum tsr_status extreme_backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *g = ctx->gout[0], *y = &ctx->out[0];
    size_t bytes = tsr_tensor_bytes(y);
    enum tsr_status status = TSR_OK;
    if (!g) return spread(ctx, 1);
    char *left = tsr_op_scratch(ctx, 2 * bytes);
    if (!left) return tsr_nomem(ctx->err, 2 * bytes);
    if (bytes) memcpy(left, g->data, bytes);
    for (int i = 0; i < ctx->node->n_in && status == TSR_OK; i++) {
        const struct tsr_tensor *x = ctx->in[i];
        struct take j = {y->dtype, x->data, y->data, left, left + bytes};
        struct tsr_bcast bc;
        tsr_bcast_init(&bc, &y->shape, 1, (const struct tsr_shape *[]){&x->shape});
        tsr_bcast_run(ctx->pool, &bc, take_run, &j);
        if (ctx->want_gin[i]) status = tsr_sum_to(ctx, y->dtype, &y->shape, j.out, &x->shape, ctx->gin[i].data);
    }
    tsr_op_scratch_free(ctx, left, 2 * bytes);
    return status;
}

const struct tsr_op tsr_ops_variadic[] = {
    {"Max", "", TSR_OP_WIDEN, 1, -1, 1, order_infer, max_forward, extreme_backward, 0},
    {"Mean", "", TSR_OP_WIDEN, 1, -1, 1, real_infer, mean_forward, mean_backward, 0},
    {"Min", "", TSR_OP_WIDEN, 1, -1, 1, order_infer, min_forward, extreme_backward, 0},
    {"Sum", "", TSR_OP_WIDEN, 1, -1, 1, real_infer, sum_forward, sum_backward, 0},
};
const size_t tsr_n_ops_variadic = sizeof tsr_ops_variadic / sizeof *tsr_ops_variadic;
