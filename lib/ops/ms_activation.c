/* ms_activation.c - activations of the domain com.microsoft, as ONNX Runtime's optimiser leaves them in
 * files: GELU in its forms with the sums that precede it, and a softmax after a sum. */
#include "ops/families.h"
#include "ops/tape.h"

#include <string.h>

/* x + bias where there is one. */
static tsr_ref plus(struct tsr_tape *t, tsr_ref x, tsr_ref bias) { return bias < 0 ? x : tsr_tape_op(t, "Add", x, bias); }

static enum tsr_status gelu_body(struct tsr_tape *t)
{
    tsr_tape_out(t, 0, tsr_tape_op(t, "Gelu", plus(t, tsr_tape_in(t, 0), tsr_tape_in(t, 1))));
    return tsr_tape_status(t);
}

/* The tanh form of GELU. */
static enum tsr_status fast_gelu_body(struct tsr_tape *t)
{
    tsr_ref x = plus(t, tsr_tape_in(t, 0), tsr_tape_in(t, 1));
    tsr_tape_string(t, "approximate", "tanh");
    tsr_tape_out(t, 0, tsr_tape_op(t, "Gelu", x));
    return tsr_tape_status(t);
}

/* x sigmoid(alpha x) */
static enum tsr_status quick_gelu_body(struct tsr_tape *t)
{
    tsr_tape_float(t, "alpha", tsr_node_float(tsr_tape_ctx(t)->node, "alpha", 1.702F));
    tsr_tape_out(t, 0, tsr_tape_op(t, "Swish", tsr_tape_in(t, 0)));
    return tsr_tape_status(t);
}

/* The first half of x + bias along the last dimension, times the GELU of the second. */
static enum tsr_status bias_split_gelu_body(struct tsr_tape *t)
{
    tsr_ref x = plus(t, tsr_tape_in(t, 0), tsr_tape_in(t, 1));
    const struct tsr_shape *s = tsr_tape_shape(t, x);
    if (s->rank < 1 || s->dim[s->rank - 1] % 2 != 0)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "the last dimension cannot be halved");
    int64_t n = s->dim[s->rank - 1];
    tsr_ref a = tsr_tape_slice(t, x, -1, 0, n / 2), b = tsr_tape_slice(t, x, -1, n / 2, n);
    tsr_tape_out(t, 0, tsr_tape_op(t, "Mul", a, tsr_tape_op(t, "Gelu", b)));
    return tsr_tape_status(t);
}

static enum tsr_status bias_add_body(struct tsr_tape *t)
{
    tsr_tape_out(t, 0, plus(t, plus(t, tsr_tape_in(t, 0), tsr_tape_in(t, 1)), tsr_tape_in(t, 2)));
    return tsr_tape_status(t);
}

/* Softmax over all dimensions from `axis` on, of the sum. */
static enum tsr_status bias_softmax_body(struct tsr_tape *t)
{
    struct tsr_op_ctx *ctx = tsr_tape_ctx(t);
    tsr_ref x = plus(t, tsr_tape_in(t, 0), tsr_tape_in(t, 1));
    const struct tsr_shape s = *tsr_tape_shape(t, x);
    int axis;
    TSR_TRY(tsr_tape_status(t));
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 1), s.rank, &axis));
    const int64_t rows[2] = {tsr_arg_span(&s, 0, axis), tsr_arg_span(&s, axis, s.rank)};
    tsr_ref flat = tsr_tape_reshape(t, x, 2, rows);
    tsr_tape_int(t, "axis", 1);
    tsr_tape_out(t, 0, tsr_tape_reshape(t, tsr_tape_op(t, "Softmax", flat), s.rank, s.dim));
    return tsr_tape_status(t);
}

#define FORWARD(name) \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, name##_body); }
FORWARD(gelu)
FORWARD(fast_gelu)
FORWARD(quick_gelu)
FORWARD(bias_split_gelu)
FORWARD(bias_add)
FORWARD(bias_softmax)

#define ROW(op_type, min_in, max_in, name) \
    {op_type, "com.microsoft", TSR_OP_DYNAMIC | TSR_OP_WIDEN, min_in, max_in, 1, NULL, name##_forward, tsr_tape_backward, 2}

const struct tsr_op tsr_ops_ms_activation[] = {
    ROW("BiasAdd", 3, 3, bias_add),
    ROW("BiasGelu", 2, 2, gelu),
    ROW("BiasSoftmax", 2, 2, bias_softmax),
    ROW("BiasSplitGelu", 2, 2, bias_split_gelu),
    ROW("FastGelu", 1, 2, fast_gelu),
    ROW("Gelu", 1, 1, gelu),
    ROW("QuickGelu", 1, 1, quick_gelu),
};
const size_t tsr_n_ops_ms_activation = sizeof tsr_ops_ms_activation / sizeof *tsr_ops_ms_activation;
