/* constant.c - Constant, ConstantOfShape, Range, EyeLike: tensors out of attributes and sizes. */
#include "ops/arg.h"
#include "ops/copy.h"
#include "ops/families.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- Constant ---- */

/* The one attribute that gives the value. */
static const struct tsr_attr *constant_value(const struct tsr_node *node)
{
    static const char *const name[] = {"value", "value_float", "value_floats", "value_int", "value_ints"};
    static const enum tsr_attr_type type[] = {TSR_ATTR_TENSOR, TSR_ATTR_FLOAT, TSR_ATTR_FLOATS, TSR_ATTR_INT, TSR_ATTR_INTS};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        const struct tsr_attr *a = tsr_node_attr(node, name[i]);
        if (a && a->type == type[i]) return a;
    }
    return NULL;
}

static enum tsr_status constant_infer(struct tsr_op_ctx *ctx)
{
    const struct tsr_attr *a = constant_value(ctx->node);
    if (!a) {
        if (tsr_node_attr(ctx->node, "value_string") || tsr_node_attr(ctx->node, "value_strings"))
            return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "constants of strings are not supported");
        if (tsr_node_attr(ctx->node, "sparse_value"))
            return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "sparse constants are not supported");
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "it has no value");
    }
    struct tsr_shape list = {1, {(int64_t)a->n}}, scalar = {0};
    switch (a->type) {
    case TSR_ATTR_TENSOR: tsr_op_set(ctx, 0, a->t.dtype, &a->t.shape); break;
    case TSR_ATTR_FLOAT: tsr_op_set(ctx, 0, TSR_F32, &scalar); break;
    case TSR_ATTR_FLOATS: tsr_op_set(ctx, 0, TSR_F32, &list); break;
    case TSR_ATTR_INT: tsr_op_set(ctx, 0, TSR_I64, &scalar); break;
    case TSR_ATTR_INTS: tsr_op_set(ctx, 0, TSR_I64, &list); break;
    case TSR_ATTR_STRING:
    case TSR_ATTR_STRINGS:
    default: return tsr_op_fail(ctx, TSR_E_INTERNAL, "a constant of an impossible type");
    }
    return TSR_OK;
}

static enum tsr_status constant_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_attr *a = constant_value(ctx->node);
    size_t bytes = tsr_tensor_bytes(&ctx->out[0]);
    const void *src = a->type == TSR_ATTR_TENSOR ? a->t.data
                    : a->type == TSR_ATTR_FLOAT  ? (const void *)&a->f
                    : a->type == TSR_ATTR_FLOATS ? (const void *)a->floats
                    : a->type == TSR_ATTR_INT    ? (const void *)&a->i
                                                 : (const void *)a->ints;
    if (bytes && src) memcpy(ctx->out[0].data, src, bytes);
    return TSR_OK;
}

/* ---- ConstantOfShape ---- */

static enum tsr_status of_shape_infer(struct tsr_op_ctx *ctx)
{
    char text[TSR_SHAPE_TEXT];
    const struct tsr_attr *a = tsr_node_attr(ctx->node, "value");
    struct tsr_shape s;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK(TSR_I64)));
    TSR_TRY(tsr_arg_ints(ctx, NULL, 0, s.dim, TSR_MAX_RANK, &s.rank));
    for (int i = 0; i < s.rank; i++)
        if (s.dim[i] < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "%s is not a shape", tsr_shape_text(&s, text, sizeof text));
    if (a && (a->type != TSR_ATTR_TENSOR || tsr_tensor_count(&a->t) != 1))
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the value must be a tensor of one element");
    tsr_op_set(ctx, 0, a ? a->t.dtype : TSR_F32, &s);
    return TSR_OK;
}

static enum tsr_status of_shape_forward(struct tsr_op_ctx *ctx)
{
    static const double none;
    const struct tsr_attr *a = tsr_node_attr(ctx->node, "value");
    tsr_copy_fill(ctx->out[0].dtype, ctx->out[0].data, 0, tsr_tensor_count(&ctx->out[0]), a ? a->t.data : &none);
    return TSR_OK;
}

/* ---- Range ---- */

static enum tsr_status range_infer(struct tsr_op_ctx *ctx)
{
    const uint32_t types = TSR_MASK_REAL | TSR_MASK(TSR_I16) | TSR_MASK(TSR_I32) | TSR_MASK(TSR_I64);
    struct tsr_shape s = {1, {0}};
    for (int i = 0; i < 3; i++) {
        TSR_TRY(tsr_op_need(ctx, i, i ? TSR_MASK(ctx->in[0]->dtype) : types));
        if (tsr_tensor_count(ctx->in[i]) != 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "input %d must be one number", i);
    }
    enum tsr_dtype t = ctx->in[0]->dtype;
    double from = tsr_load_f64(t, ctx->in[0]->data, 0), to = tsr_load_f64(t, ctx->in[1]->data, 0), by = tsr_load_f64(t, ctx->in[2]->data, 0);
    if (by == 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the step is zero");
    double n = ceil((to - from) / by);
    if (!(n < 0x1p48)) return tsr_op_fail(ctx, TSR_E_LIMIT, "a range of %g elements is too long", n);
    s.dim[0] = n > 0 ? (int64_t)n : 0;
    tsr_op_set(ctx, 0, t, &s);
    return TSR_OK;
}

static enum tsr_status range_forward(struct tsr_op_ctx *ctx)
{
    enum tsr_dtype t = ctx->in[0]->dtype;
    int64_t n = ctx->out[0].shape.dim[0];
    if (tsr_dtype_is_float(t)) {
        double from = tsr_load_f64(t, ctx->in[0]->data, 0), by = tsr_load_f64(t, ctx->in[2]->data, 0);
        for (int64_t i = 0; i < n; i++) tsr_store_f64(t, ctx->out[0].data, i, from + (double)i * by);
    } else {
        uint64_t from = (uint64_t)tsr_load_i64(t, ctx->in[0]->data, 0), by = (uint64_t)tsr_load_i64(t, ctx->in[2]->data, 0);
        for (int64_t i = 0; i < n; i++) tsr_store_i64(t, ctx->out[0].data, i, (int64_t)(from + (uint64_t)i * by));
    }
    return TSR_OK;
}

/* ---- EyeLike ---- */

static enum tsr_status eye_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    int64_t t = tsr_node_int(ctx->node, "dtype", (int64_t)ctx->in[0]->dtype);
    if (ctx->in[0]->shape.rank != 2) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the input is not a matrix");
    if (t < 1 || t > 31 || tsr_dtype_bits((enum tsr_dtype)t) == 0)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "a matrix of type %" PRId64 " cannot be made", t);
    tsr_op_set(ctx, 0, (enum tsr_dtype)t, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status eye_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_tensor *y = &ctx->out[0];
    int64_t k = tsr_node_int(ctx->node, "k", 0), rows = y->shape.dim[0], cols = y->shape.dim[1];
    memset(y->data, 0, tsr_tensor_bytes(y));
    for (int64_t r = 0; r < rows; r++)
        if (k >= -r && k < cols - r) tsr_store_f64(y->dtype, y->data, r * cols + r + k, 1);
    return TSR_OK;
}

const struct tsr_op tsr_ops_constant[] = {
    {"Constant", "", 0, 0, 0, 1, constant_infer, constant_forward, NULL, 0},
    {"ConstantOfShape", "", TSR_OP_DATA_SHAPE, 1, 1, 1, of_shape_infer, of_shape_forward, NULL, 0},
    {"EyeLike", "", 0, 1, 1, 1, eye_infer, eye_forward, NULL, 0},
    {"Range", "", TSR_OP_DATA_SHAPE | TSR_OP_WIDEN, 3, 3, 1, range_infer, range_forward, NULL, 0},
};
const size_t tsr_n_ops_constant = sizeof tsr_ops_constant / sizeof *tsr_ops_constant;
