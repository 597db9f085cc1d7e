/* qlinear_map.c - operators of com.microsoft that look 8-bit numbers up: QLinearSigmoid,
 * QLinearLeakyRelu, QLinearConcat (a table of 256 integers), QLinearSoftmax (256 exponentials), and our QTable. */
#include "ops/families.h"
#include "ops/par.h"
#include "ops/qparam.h"
#include "tensor/qtable.h"

#include <math.h>
#include <string.h>

/* What the byte with bits b stands for. */
static int32_t number(enum tsr_dtype t, int b) { return t == TSR_I8 ? (int8_t)b : b; }

/* table[b] = Q(f(DQ(b))) for all bytes. */
static void fill(enum tsr_dtype t, const struct tsr_qscalar *x, const struct tsr_qscalar *y, double (*f)(double v, double p),
                 double p, uint8_t table[256])
{
    for (int b = 0; b < 256; b++) {
        float v = (float)(number(t, b) - x->zero) * x->scale;
        if (f != NULL) v = (float)f((double)v, p);
        tsr_q_quantise(t, table, b, 1, &v, &y->scale, &y->zero, 0, TSR_F32);
    }
}

struct look {
    const uint8_t *table, *x;
    uint8_t *y;
};

static void look_up(void *arg, int64_t from, int64_t to)
{
    const struct look *j = arg;
    tsr_qtable(to - from, j->table, j->x + from, j->y + from);
}

/* ---- QLinearSigmoid, QLinearLeakyRelu ------------------------------------------------------- */

static enum tsr_status map_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_Q8));
    if (tsr_arg_in(ctx, 4) != NULL) TSR_TRY(tsr_op_need(ctx, 4, TSR_MASK(ctx->in[0]->dtype)));
    return tsr_arg_same(ctx, TSR_MASK_Q8);
}

static enum tsr_status map_forward(struct tsr_op_ctx *ctx, double (*f)(double v, double p), double p)
{
    uint8_t table[256];
    struct tsr_qscalar x, y;
    TSR_TRY(tsr_qscalar_read(ctx, 1, 2, &x));
    TSR_TRY(tsr_qscalar_read(ctx, 3, 4, &y));
    fill(ctx->in[0]->dtype, &x, &y, f, p, table);
    struct look j = {table, ctx->in[0]->data, ctx->out[0].data};
    tsr_par(ctx->pool, tsr_tensor_count(ctx->in[0]), 65536, look_up, &j);
    return TSR_OK;
}

static double sigmoid(double v, double p) { return (void)p, 1 / (1 + exp(-v)); }
static enum tsr_status sigmoid_forward(struct tsr_op_ctx *ctx) { return map_forward(ctx, sigmoid, 0); }

static double leaky(double v, double p) { return v >= 0 ? v : p * v; }
static enum tsr_status leaky_forward(struct tsr_op_ctx *ctx)
{
    return map_forward(ctx, leaky, (double)tsr_node_float(ctx->node, "alpha", 0.01f));
}

/* ---- tessera.QTable: any function of single integers, which graph/fuse_table.c has tabled ----- */

static enum tsr_status table_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_Q8));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_Q8));
    if (tsr_tensor_count(ctx->in[1]) != 256) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the table must have 256 entries");
    tsr_op_set(ctx, 0, ctx->in[1]->dtype, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status table_forward(struct tsr_op_ctx *ctx)
{
    struct look j = {ctx->in[1]->data, ctx->in[0]->data, ctx->out[0].data};
    tsr_par(ctx->pool, tsr_tensor_count(ctx->in[0]), 65536, look_up, &j);
    return TSR_OK;
}

/* ---- QLinearConcat: the scale and zero point of Y, then those of each input behind it ------- */

static enum tsr_status concat_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_Q8));
    enum tsr_dtype t = ctx->in[1]->dtype;
    if ((ctx->node->n_in - 2) % 3 != 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the %d inputs are not two and then threes", ctx->node->n_in);
    struct tsr_shape out = {0};
    int axis = 0;
    for (int i = 2; i < ctx->node->n_in; i += 3) {
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(t)));
        const struct tsr_shape *s = &ctx->in[i]->shape;
        if (i == 2) {
            out = *s;
            TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), out.rank, &axis));
            continue;
        }
        struct tsr_shape like = *s;
        if (s->rank == out.rank) like.dim[axis] = out.dim[axis];
        if (!tsr_shape_equal(&like, &out)) return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %d has another shape than input 2", i);
        if (__builtin_add_overflow(out.dim[axis], s->dim[axis], &out.dim[axis]))
            return tsr_op_fail(ctx, TSR_E_LIMIT, "the output is too large");
    }
    tsr_op_set(ctx, 0, t, &out);
    return TSR_OK;
}

static enum tsr_status concat_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_qscalar y, x;
    uint8_t table[256];
    int axis;
    const struct tsr_shape *out = &ctx->out[0].shape;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), out->rank, &axis));
    TSR_TRY(tsr_qscalar_read(ctx, 0, 1, &y));
    int64_t outer = tsr_arg_span(out, 0, axis), row = tsr_arg_span(out, axis, out->rank), at = 0;
    for (int i = 2; i < ctx->node->n_in; i += 3) {
        int64_t n = tsr_arg_span(&ctx->in[i]->shape, axis, out->rank);
        TSR_TRY(tsr_qscalar_read(ctx, i + 1, i + 2, &x));
        fill(ctx->in[1]->dtype, &x, &y, NULL, 0, table);
        for (int64_t o = 0; o < outer; o++) {
            struct look j = {table, (const uint8_t *)ctx->in[i]->data + o * n, (uint8_t *)ctx->out[0].data + o * row + at};
            look_up(&j, 0, n);
        }
        at += n;
    }
    return TSR_OK;
}

/* ---- QLinearSoftmax ------------------------------------------------------------------------- */

struct softmax {
    enum tsr_dtype type;
    const uint8_t *x;
    uint8_t *y;
    int64_t n, inner; /* elements of a row, inner apart */
    float power[256]; /* exp(-d * scale) of a distance d from the largest */
    struct tsr_qscalar qy;
};

static void softmax_rows(void *arg, int64_t from, int64_t to)
{
    const struct softmax *j = arg;
    for (int64_t r = from; r < to; r++) {
        int64_t at = r / j->inner * j->n * j->inner + r % j->inner;
        int32_t most = number(j->type, j->x[at]);
        double sum = 0;
        for (int64_t i = 1; i < j->n; i++) {
            int32_t v = number(j->type, j->x[at + i * j->inner]);
            most = v > most ? v : most;
        }
        for (int64_t i = 0; i < j->n; i++) sum += (double)j->power[most - number(j->type, j->x[at + i * j->inner])];
        for (int64_t i = 0; i < j->n; i++) {
            float v = (float)((double)j->power[most - number(j->type, j->x[at + i * j->inner])] / sum);
            tsr_q_quantise(j->type, j->y, at + i * j->inner, 1, &v, &j->qy.scale, &j->qy.zero, 0, TSR_F32);
        }
    }
}

static enum tsr_status softmax_forward(struct tsr_op_ctx *ctx)
{
    struct softmax j = {.type = ctx->in[0]->dtype, .x = ctx->in[0]->data, .y = ctx->out[0].data};
    struct tsr_qscalar qx;
    const struct tsr_shape *s = &ctx->in[0]->shape;
    bool single = tsr_node_int(ctx->node, "opset", 13) >= 13; /* one axis; all from it on before */
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", single ? -1 : 1), s->rank, &axis));
    TSR_TRY(tsr_qscalar_read(ctx, 1, 2, &qx));
    TSR_TRY(tsr_qscalar_read(ctx, 3, 4, &j.qy));
    j.n = single ? s->dim[axis] : tsr_arg_span(s, axis, s->rank);
    j.inner = single ? tsr_arg_span(s, axis + 1, s->rank) : 1;
    if (tsr_tensor_count(ctx->in[0]) == 0) return TSR_OK;
    for (int d = 0; d < 256; d++) j.power[d] = (float)exp(-d * (double)qx.scale);
    tsr_par(ctx->pool, tsr_tensor_count(ctx->in[0]) / j.n, tsr_par_rows(j.n), softmax_rows, &j);
    return TSR_OK;
}

const struct tsr_op tsr_ops_qlinear_map[] = {
    {"QLinearConcat", "com.microsoft", 0, 5, -1, 1, concat_infer, concat_forward, NULL, 0},
    {"QLinearLeakyRelu", "com.microsoft", 0, 4, 5, 1, map_infer, leaky_forward, NULL, 0},
    {"QLinearSigmoid", "com.microsoft", 0, 4, 5, 1, map_infer, sigmoid_forward, NULL, 0},
    {"QLinearSoftmax", "com.microsoft", 0, 5, 5, 1, map_infer, softmax_forward, NULL, 0},
    {"QTable", "tessera", TSR_OP_INPLACE, 2, 2, 1, table_infer, table_forward, NULL, 0},
};
const size_t tsr_n_ops_qlinear_map = sizeof tsr_ops_qlinear_map / sizeof *tsr_ops_qlinear_map;
