/* ms_linear.c - products and convolutions of the domain com.microsoft: with transposes, a factor or an
 * activation folded in, or with channels last. */
#include "ops/families.h"
#include "ops/tape.h"

#include <stdio.h>
#include <string.h>

/* ---- activations ---- */

/* The attributes of an activation in the order in which activation_params lists them, and as
 * activation_alpha, activation_beta or activation_gamma name them. */
static const struct activation {
    const char *name;
    const char *parameter[2];
} activations[] = {
    {"Celu", {"alpha"}},     {"Elu", {"alpha"}},       {"Gelu", {NULL}},     {"HardSigmoid", {"alpha", "beta"}},
    {"HardSwish", {NULL}},   {"LeakyRelu", {"alpha"}}, {"Mish", {NULL}},     {"Relu", {NULL}},
    {"Selu", {"alpha", "gamma"}}, {"Sigmoid", {NULL}}, {"Softplus", {NULL}}, {"Softsign", {NULL}},
    {"Tanh", {NULL}},        {"ThresholdedRelu", {"alpha"}},
};

/* The parameter: from the list, else from activation_NAME, else from leaky_relu_alpha. */
static const float *parameter(const struct tsr_node *node, int i, const char *name, float *room)
{
    size_t n;
    char full[32];
    const float *list = tsr_node_floats(node, "activation_params", &n);
    if (list && (size_t)i < n) return &list[i];
    (void)snprintf(full, sizeof full, "activation_%s", name);
    const struct tsr_attr *a = tsr_node_attr(node, full);
    if (!a && strcmp(name, "alpha") == 0) a = tsr_node_attr(node, "leaky_relu_alpha");
    if (!a || a->type != TSR_ATTR_FLOAT) return NULL;
    *room = a->f;
    return room;
}

static tsr_ref activate(struct tsr_tape *t, tsr_ref x)
{
    const struct tsr_node *node = tsr_tape_ctx(t)->node;
    const char *name = tsr_node_string(node, "activation", "");
    float room;
    if (!*name) return x;
    if (strcmp(name, "Clip") == 0) {
        size_t n;
        const float *list = tsr_node_floats(node, "activation_params", &n);
        if (!list || n != 2) {
            (void)tsr_tape_fail(t, TSR_E_CORRUPT, "the activation Clip needs two numbers in 'activation_params'");
            return -1;
        }
        enum tsr_dtype type = tsr_tape_value(t, x)->dtype;
        tsr_ref lo = tsr_tape_scalar(t, type, (double)list[0]), hi = tsr_tape_scalar(t, type, (double)list[1]);
        return tsr_tape_op(t, "Clip", x, lo, hi);
    }
    for (size_t k = 0; k < sizeof activations / sizeof *activations; k++) {
        if (strcmp(activations[k].name, name) != 0) continue;
        for (int i = 0; i < 2 && activations[k].parameter[i]; i++) {
            const float *v = parameter(node, i, activations[k].parameter[i], &room);
            if (v) tsr_tape_float(t, activations[k].parameter[i], *v);
        }
        return tsr_tape_op(t, name, x);
    }
    (void)tsr_tape_fail(t, TSR_E_UNSUPPORTED, "the activation '%.40s' is not supported", name);
    return -1;
}

/* ---- products ---- */

/* The operand with the transposes that the attributes ask for: transBatch moves the first dimension
 * behind all others but the last, trans swaps the last two. */
static tsr_ref turned(struct tsr_tape *t, int i, const char *trans, const char *trans_batch)
{
    const struct tsr_node *node = tsr_tape_ctx(t)->node;
    tsr_ref x = tsr_tape_in(t, i);
    int64_t perm[TSR_MAX_RANK];
    const int rank = tsr_tape_shape(t, x)->rank;
    bool turn = tsr_node_int(node, trans, 0) != 0, batch = tsr_node_int(node, trans_batch, 0) != 0;
    if (rank < 2 || !(turn || batch)) return x;
    for (int k = 0; k < rank; k++) perm[k] = k;
    if (batch) {
        for (int k = 0; k < rank - 2; k++) perm[k] = k + 1;
        perm[rank - 2] = 0;
    }
    if (turn) {
        int64_t swap = perm[rank - 1];
        perm[rank - 1] = perm[rank - 2];
        perm[rank - 2] = swap;
    }
    return tsr_tape_transpose(t, x, rank, perm);
}

static enum tsr_status fused_matmul_body(struct tsr_tape *t)
{
    float alpha = tsr_node_float(tsr_tape_ctx(t)->node, "alpha", 1);
    tsr_ref a = turned(t, 0, "transA", "transBatchA"), b = turned(t, 1, "transB", "transBatchB");
    tsr_ref y = tsr_tape_op(t, "MatMul", a, b);
    if (alpha != 1) y = tsr_tape_op(t, "Mul", y, tsr_tape_scalar(t, tsr_tape_value(t, y)->dtype, (double)alpha));
    tsr_tape_out(t, 0, activate(t, y));
    return tsr_tape_status(t);
}

static enum tsr_status fused_gemm_body(struct tsr_tape *t)
{
    tsr_tape_pass(t, "alpha");
    tsr_tape_pass(t, "beta");
    tsr_tape_pass(t, "transA");
    tsr_tape_pass(t, "transB");
    tsr_tape_out(t, 0, activate(t, tsr_tape_op(t, "Gemm", tsr_tape_in(t, 0), tsr_tape_in(t, 1), tsr_tape_in(t, 2))));
    return tsr_tape_status(t);
}

static enum tsr_status gemm_fast_gelu_body(struct tsr_tape *t)
{
    tsr_ref y = tsr_tape_op(t, "MatMul", tsr_tape_in(t, 0), tsr_tape_in(t, 1));
    if (tsr_tape_in(t, 2) >= 0) y = tsr_tape_op(t, "Add", y, tsr_tape_in(t, 2));
    tsr_tape_string(t, "approximate", "tanh");
    tsr_tape_out(t, 0, tsr_tape_op(t, "Gelu", y));
    return tsr_tape_status(t);
}

/* ---- convolutions ---- */

static tsr_ref convolve(struct tsr_tape *t, tsr_ref x, tsr_ref w)
{
    static const char *const attribute[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"};
    for (size_t i = 0; i < sizeof attribute / sizeof *attribute; i++) tsr_tape_pass(t, attribute[i]);
    return tsr_tape_op(t, "Conv", x, w, tsr_tape_in(t, 2));
}

/* act(conv(X, W) + B + Z) */
static enum tsr_status fused_conv_body(struct tsr_tape *t)
{
    tsr_ref y = convolve(t, tsr_tape_in(t, 0), tsr_tape_in(t, 1));
    if (tsr_tape_in(t, 3) >= 0) y = tsr_tape_op(t, "Add", y, tsr_tape_in(t, 3));
    tsr_tape_out(t, 0, activate(t, y));
    return tsr_tape_status(t);
}

/* Between [N, C, ...] and [N, ..., C]. */
static tsr_ref channels(struct tsr_tape *t, tsr_ref x, bool last)
{
    const int rank = tsr_tape_shape(t, x)->rank;
    int64_t perm[TSR_MAX_RANK] = {0};
    for (int i = 1; i < rank; i++) perm[i] = last ? i % (rank - 1) + 1 : (i + rank - 3) % (rank - 1) + 1;
    return tsr_tape_transpose(t, x, rank, perm);
}

/* X, Z and Y have their channels last; W is [M, C/group, ...] as for Conv. */
static enum tsr_status nhwc_conv_body(struct tsr_tape *t)
{
    tsr_ref x = tsr_tape_in(t, 0), z = tsr_tape_in(t, 3);
    if (tsr_tape_shape(t, x)->rank < 3) return tsr_tape_fail(t, TSR_E_MISMATCH, "X must be [batch, ..., channels]");
    tsr_ref y = channels(t, convolve(t, channels(t, x, false), tsr_tape_in(t, 1)), true);
    if (z >= 0) y = tsr_tape_op(t, "Add", y, z);
    tsr_tape_out(t, 0, activate(t, y));
    return tsr_tape_status(t);
}

#define FORWARD(name) \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, name##_body); }
FORWARD(fused_matmul)
FORWARD(fused_gemm)
FORWARD(gemm_fast_gelu)
FORWARD(fused_conv)
FORWARD(nhwc_conv)

#define ROW(op_type, max_in, name, params) \
    {op_type, "com.microsoft", TSR_OP_DYNAMIC | TSR_OP_WIDEN, 2, max_in, 1, NULL, name##_forward, tsr_tape_backward, params}

const struct tsr_op tsr_ops_ms_linear[] = {
    ROW("FusedConv", 4, fused_conv, 6),
    ROW("FusedGemm", 3, fused_gemm, 7),
    ROW("FusedMatMul", 2, fused_matmul, 3),
    ROW("FusedMatMulActivation", 2, fused_matmul, 3),
    ROW("GemmFastGelu", 3, gemm_fast_gelu, 6),
    ROW("NhwcConv", 3, nhwc_conv, 6),
    ROW("NhwcFusedConv", 4, nhwc_conv, 6),
    ROW("TransposeMatMul", 2, fused_matmul, 3),
};
const size_t tsr_n_ops_ms_linear = sizeof tsr_ops_ms_linear / sizeof *tsr_ops_ms_linear;
