/* ms_norm.c - normalisations of the domain com.microsoft: after a sum, after an embedding, with
 * channels last; and SimplifiedLayerNormalization, an older name of RMSNormalization that ONNX Runtime
 * puts into the standard domain as well. */
#include "ops/families.h"
#include "ops/tape.h"

#include <string.h>

static float epsilon(struct tsr_tape *t, float usual) { return tsr_node_float(tsr_tape_ctx(t)->node, "epsilon", usual); }

/* 1 / sqrt(mean(x^2) + epsilon) over the dimensions from `axis` on, which stay with size 1. */
static tsr_ref inverse_rms(struct tsr_tape *t, tsr_ref x, int64_t axis, float eps)
{
    int64_t axes[TSR_MAX_RANK];
    const int rank = tsr_tape_shape(t, x)->rank, first = (int)(axis < 0 ? axis + rank : axis);
    int n = 0;
    for (int i = first < 0 ? 0 : first; i < rank; i++) axes[n++] = i;
    tsr_ref over = tsr_tape_ints(t, n, axes);
    tsr_ref mean = tsr_tape_op(t, "ReduceMean", tsr_tape_op(t, "Mul", x, x), over);
    tsr_ref sum = tsr_tape_op(t, "Add", mean, tsr_tape_scalar(t, tsr_tape_value(t, x)->dtype, (double)eps));
    return tsr_tape_op(t, "Reciprocal", tsr_tape_op(t, "Sqrt", sum));
}

static enum tsr_status simplified_body(struct tsr_tape *t)
{
    const int64_t axis = tsr_node_int(tsr_tape_ctx(t)->node, "axis", -1);
    tsr_ref x = tsr_tape_in(t, 0);
    tsr_tape_int(t, "axis", axis);
    tsr_tape_float(t, "epsilon", epsilon(t, 1e-5F));
    tsr_tape_out(t, 0, tsr_tape_op(t, "RMSNormalization", x, tsr_tape_in(t, 1)));
    if (tsr_tape_wants(t, 1)) tsr_tape_out(t, 1, inverse_rms(t, x, axis, epsilon(t, 1e-5F)));
    return tsr_tape_status(t);
}

/* input + skip + bias, which is output 3 */
static tsr_ref skip_sum(struct tsr_tape *t, int bias)
{
    tsr_ref sum = tsr_tape_op(t, "Add", tsr_tape_in(t, 0), tsr_tape_in(t, 1));
    if (tsr_tape_in(t, bias) >= 0) sum = tsr_tape_op(t, "Add", sum, tsr_tape_in(t, bias));
    tsr_tape_out(t, 3, sum);
    return sum;
}

/* input, skip, gamma, beta, bias -> output, mean, inverse deviation, sum */
static enum tsr_status skip_layer_body(struct tsr_tape *t)
{
    tsr_ref sum = skip_sum(t, 4);
    tsr_tape_int(t, "axis", -1);
    tsr_tape_float(t, "epsilon", epsilon(t, 1e-12F));
    tsr_ref y = tsr_tape_run(t, "LayerNormalization", 3, 3, (const tsr_ref[]){sum, tsr_tape_in(t, 2), tsr_tape_in(t, 3)});
    for (int i = 0; i < 3; i++) tsr_tape_out(t, i, tsr_tape_further(t, y, i));
    return tsr_tape_status(t);
}

/* input, skip, gamma, bias */
static enum tsr_status skip_simplified_body(struct tsr_tape *t)
{
    tsr_ref sum = skip_sum(t, 3);
    tsr_tape_int(t, "axis", -1);
    tsr_tape_float(t, "epsilon", epsilon(t, 1e-12F));
    tsr_tape_out(t, 0, tsr_tape_op(t, "RMSNormalization", sum, tsr_tape_in(t, 2)));
    if (tsr_tape_wants(t, 2)) tsr_tape_out(t, 2, inverse_rms(t, sum, -1, epsilon(t, 1e-12F)));
    return tsr_tape_status(t);
}

/* ---- embedding ---- */

enum { IDS, SEGMENTS, WORD, POSITION, SEGMENT, GAMMA, BETA, MASK, POSITION_IDS };

/* The number of ones in each row of the mask; zeros without one. */
static tsr_ref count_words(struct tsr_tape *t, const struct tsr_shape *ids)
{
    const struct tsr_tensor *mask = tsr_tape_value(t, tsr_tape_in(t, MASK));
    const struct tsr_shape s = {1, {ids->dim[0]}};
    void *data;
    tsr_ref out = tsr_tape_new(t, TSR_I32, &s, &data);
    if (out < 0) return out;
    mask = tsr_tape_value(t, tsr_tape_in(t, MASK)); /* the tape may have moved */
    for (int64_t i = 0; i < s.dim[0]; i++) {
        int32_t n = 0;
        for (int64_t j = 0; mask->data && j < ids->dim[1]; j++) n += tsr_load_i64(mask->dtype, mask->data, i * ids->dim[1] + j) == 1;
        ((int32_t *)data)[i] = n;
    }
    return out;
}

static enum tsr_status embed_body(struct tsr_tape *t)
{
    const struct tsr_shape ids = *tsr_tape_shape(t, tsr_tape_in(t, IDS));
    tsr_ref mask = tsr_tape_in(t, MASK), place = tsr_tape_in(t, POSITION_IDS);
    if (ids.rank != 2) return tsr_tape_fail(t, TSR_E_MISMATCH, "input_ids must be [batch, sequence]");
    if (mask >= 0 && !tsr_shape_equal(tsr_tape_shape(t, mask), &ids))
        return tsr_tape_fail(t, TSR_E_MISMATCH, "mask and input_ids differ in shape");
    if (place < 0) { /* 0, 1, 2, ... */
        const struct tsr_shape row = {2, {1, ids.dim[1]}};
        void *data;
        place = tsr_tape_new(t, TSR_I64, &row, &data);
        for (int64_t i = 0; place >= 0 && i < ids.dim[1]; i++) ((int64_t *)data)[i] = i;
    }
    tsr_ref sum = tsr_tape_op(t, "Gather", tsr_tape_in(t, WORD), tsr_tape_in(t, IDS));
    sum = tsr_tape_op(t, "Add", sum, tsr_tape_op(t, "Gather", tsr_tape_in(t, POSITION), place));
    if (tsr_tape_in(t, SEGMENTS) >= 0 && tsr_tape_in(t, SEGMENT) >= 0)
        sum = tsr_tape_op(t, "Add", sum, tsr_tape_op(t, "Gather", tsr_tape_in(t, SEGMENT), tsr_tape_in(t, SEGMENTS)));
    tsr_tape_int(t, "axis", -1);
    tsr_tape_float(t, "epsilon", epsilon(t, 1e-12F));
    tsr_tape_out(t, 0, tsr_tape_op(t, "LayerNormalization", sum, tsr_tape_in(t, GAMMA), tsr_tape_in(t, BETA)));
    if (tsr_tape_wants(t, 1)) tsr_tape_out(t, 1, count_words(t, &ids));
    tsr_tape_out(t, 2, sum);
    return tsr_tape_status(t);
}

/* ---- groups ---- */

/* X with its channels last (unless channels_last is 0), in groups, then SiLU where activation is 1.
 * SkipGroupNorm adds skip and bias first, and gives the sum. */
static enum tsr_status group_body(struct tsr_tape *t)
{
    const struct tsr_node *node = tsr_tape_ctx(t)->node;
    static const int64_t first[4] = {0, 3, 1, 2}, last[4] = {0, 2, 3, 1};
    bool turn = tsr_node_int(node, "channels_last", 1) != 0;
    int64_t activation = tsr_node_int(node, "activation", 0);
    tsr_ref x = tsr_tape_in(t, 0), skip = tsr_tape_in(t, 3), bias = tsr_tape_in(t, 4);
    if (tsr_tape_shape(t, x)->rank != 4) return tsr_tape_fail(t, TSR_E_MISMATCH, "X must have 4 dimensions");
    if (activation != 0 && activation != 1) return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "the activation %d is unknown", (int)activation);
    if (skip >= 0) {
        const struct tsr_shape s = *tsr_tape_shape(t, skip);
        if (s.rank == 2) skip = tsr_tape_reshape(t, skip, 4, (const int64_t[]){s.dim[0], 1, 1, s.dim[1]});
        x = tsr_tape_op(t, "Add", x, skip);
    }
    if (bias >= 0) x = tsr_tape_op(t, "Add", x, bias);
    tsr_tape_out(t, 1, x);
    tsr_ref y = turn ? tsr_tape_transpose(t, x, 4, first) : x;
    tsr_tape_int(t, "num_groups", tsr_node_int(node, "groups", 0));
    tsr_tape_float(t, "epsilon", epsilon(t, 1e-5F));
    y = tsr_tape_op(t, "GroupNormalization", y, tsr_tape_in(t, 1), tsr_tape_in(t, 2));
    if (turn) y = tsr_tape_transpose(t, y, 4, last);
    if (activation == 1) y = tsr_tape_op(t, "Swish", y);
    tsr_tape_out(t, 0, y);
    return tsr_tape_status(t);
}

#define FORWARD(name) \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, name##_body); }
FORWARD(simplified)
FORWARD(skip_layer)
FORWARD(skip_simplified)
FORWARD(embed)
FORWARD(group)

#define ROW(op_type, domain, min_in, max_in, max_out, name, params) \
    {op_type, domain, TSR_OP_DYNAMIC | TSR_OP_WIDEN, min_in, max_in, max_out, NULL, name##_forward, tsr_tape_backward, params}

const struct tsr_op tsr_ops_ms_norm[] = {
    ROW("EmbedLayerNormalization", "com.microsoft", 7, 9, 3, embed, 0x7C),
    ROW("GroupNorm", "com.microsoft", 3, 3, 1, group, 6),
    ROW("SimplifiedLayerNormalization", "", 2, 2, 2, simplified, 2),
    ROW("SimplifiedLayerNormalization", "com.microsoft", 2, 2, 2, simplified, 2),
    ROW("SkipGroupNorm", "com.microsoft", 4, 5, 2, group, 0x16),
    ROW("SkipLayerNormalization", "com.microsoft", 3, 5, 4, skip_layer, 0x1C),
    ROW("SkipSimplifiedLayerNormalization", "com.microsoft", 3, 4, 4, skip_simplified, 0xC),
};
const size_t tsr_n_ops_ms_norm = sizeof tsr_ops_ms_norm / sizeof *tsr_ops_ms_norm;
