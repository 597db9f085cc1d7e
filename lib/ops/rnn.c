/* rnn.c - the recurrent operators RNN, GRU and LSTM: attributes, shapes and memory. What they
 * compute is in the files that rnn.h lists. ONNX operator specification, versions 7, 14, 22.
 *
 * Where the specification is silent we do as ONNX Runtime does: activation_alpha and _beta are
 * consumed by the activations that have such a parameter, clip bounds the gates' sums only, and
 * a sequence of length 0 leaves zeros in Y_h and Y_c.
 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "ops/families.h"
#include "ops/rnn.h"

struct act_name {
    const char *name;
    enum tsr_act_kind kind;
    bool has_alpha, has_beta;
    float alpha, beta; /* where the node gives none */
};

static const struct act_name act_names[] = {
    {"Sigmoid", TSR_ACT_SIGMOID, false, false, 0, 0},
    {"Tanh", TSR_ACT_TANH, false, false, 0, 0},
    {"Relu", TSR_ACT_RELU, false, false, 0, 0},
    {"Affine", TSR_ACT_AFFINE, true, true, 1, 0},
    {"LeakyRelu", TSR_ACT_LEAKY_RELU, true, false, 0.01f, 0},
    {"ThresholdedRelu", TSR_ACT_THRESHOLDED_RELU, true, false, 1, 0},
    {"ScaledTanh", TSR_ACT_SCALED_TANH, true, true, 1, 1},
    {"HardSigmoid", TSR_ACT_HARD_SIGMOID, true, true, 0.2f, 0.5f},
    {"Elu", TSR_ACT_ELU, true, false, 1, 0},
    {"Softsign", TSR_ACT_SOFTSIGN, false, false, 0, 0},
    {"Softplus", TSR_ACT_SOFTPLUS, false, false, 0, 0},
};

static const struct act_name *find_act(const char *name)
{
    for (size_t i = 0; i < sizeof act_names / sizeof *act_names; i++)
        if (strcasecmp(act_names[i].name, name) == 0) return &act_names[i];
    return NULL;
}

static void default_acts(struct tsr_rnn *k)
{
    const struct tsr_act sigmoid = {.kind = TSR_ACT_SIGMOID}, hyperbolic = {.kind = TSR_ACT_TANH};
    for (int d = 0; d < 2; d++) {
        k->act[d][0] = k->cell == TSR_CELL_RNN ? hyperbolic : sigmoid;
        k->act[d][1] = k->act[d][2] = hyperbolic;
    }
}

static enum tsr_status read_acts(struct tsr_op_ctx *ctx, struct tsr_rnn *k)
{
    default_acts(k);
    const struct tsr_attr *names = tsr_node_attr(ctx->node, "activations");
    if (!names || names->type != TSR_ATTR_STRINGS || names->n == 0) return TSR_OK;
    size_t each = k->cell == TSR_CELL_LSTM ? 3 : k->cell == TSR_CELL_GRU ? 2 : 1, n_alpha, n_beta;
    const float *alpha = tsr_node_floats(ctx->node, "activation_alpha", &n_alpha);
    const float *beta = tsr_node_floats(ctx->node, "activation_beta", &n_beta);
    if (names->n != each * (size_t)k->D)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'activations' holds %zu names where %zu are needed",
                           names->n, each * (size_t)k->D);
    for (size_t i = 0, ia = 0, ib = 0; i < names->n; i++) {
        const struct act_name *f = find_act(names->strings[i]);
        struct tsr_act *act = &k->act[i / each][i % each];
        if (!f) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the activation '%.40s' is not known", names->strings[i]);
        *act = (struct tsr_act){.kind = f->kind, .alpha = f->alpha, .beta = f->beta};
        if (f->has_alpha && ia < n_alpha) act->alpha = alpha[ia++];
        if (f->has_beta && ib < n_beta) act->beta = beta[ib++];
    }
    return TSR_OK;
}

static enum tsr_status read_attributes(struct tsr_op_ctx *ctx, struct tsr_rnn *k)
{
    const char *direction = tsr_node_string(ctx->node, "direction", "forward");
    k->D = 1;
    if (strcasecmp(direction, "reverse") == 0) {
        k->reverse[0] = true;
    } else if (strcasecmp(direction, "bidirectional") == 0) {
        k->reverse[1] = true;
        k->D = 2;
    } else if (strcasecmp(direction, "forward") != 0) {
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the direction '%.40s' is none of forward, reverse, bidirectional", direction);
    }
    int64_t first = ctx->node->opset >= 14 ? tsr_node_int(ctx->node, "layout", 0) : 0;
    if (first != 0 && first != 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'layout' is neither 0 nor 1");
    k->batch_first = first == 1;
    k->linear_before_reset = k->cell == TSR_CELL_GRU && tsr_node_int(ctx->node, "linear_before_reset", 0) != 0;
    k->coupled = k->cell == TSR_CELL_LSTM && tsr_node_int(ctx->node, "input_forget", 0) != 0;
    k->clip = tsr_node_float(ctx->node, "clip", 0);
    if (!(k->clip >= 0)) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'clip' is negative or not a number");
    return read_acts(ctx, k);
}

static bool has_in(const struct tsr_op_ctx *ctx, int i) { return i < ctx->node->n_in && ctx->in[i]; }

static bool usual(const struct tsr_op_ctx *ctx, const struct tsr_rnn *k)
{
    if (k->coupled || k->clip > 0 || has_in(ctx, TSR_RNN_P)) return false;
    for (int d = 0; d < k->D; d++) {
        const struct tsr_act *f = k->act[d];
        if (k->cell == TSR_CELL_RNN) {
            if (f[0].kind != TSR_ACT_TANH && f[0].kind != TSR_ACT_RELU) return false;
        } else if (f[0].kind != TSR_ACT_SIGMOID || f[1].kind != TSR_ACT_TANH ||
                   (k->cell == TSR_CELL_LSTM && f[2].kind != TSR_ACT_TANH)) {
            return false;
        }
    }
    return true;
}

/* ---- shapes --------------------------------------------------------------------------------- */

static const char *const input_name[] = {"X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"};

static enum tsr_status need_shape(struct tsr_op_ctx *ctx, int i, enum tsr_dtype type, int rank, int64_t d0, int64_t d1, int64_t d2)
{
    const struct tsr_shape want = {rank, {d0, d1, d2}};
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    if (!has_in(ctx, i)) return TSR_OK;
    if (i != TSR_RNN_LENS && ctx->in[i]->dtype != type)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %s is %s but X is %s", input_name[i],
                           tsr_dtype_name(ctx->in[i]->dtype), tsr_dtype_name(type));
    if (tsr_shape_equal(&ctx->in[i]->shape, &want)) return TSR_OK;
    return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %s has shape %s where %s is needed", input_name[i],
                       tsr_shape_text(&ctx->in[i]->shape, a, sizeof a), tsr_shape_text(&want, b, sizeof b));
}

static enum tsr_status need_state(struct tsr_op_ctx *ctx, const struct tsr_rnn *k, int i)
{
    if (k->batch_first) return need_shape(ctx, i, k->type, 3, k->B, k->D, k->H);
    return need_shape(ctx, i, k->type, 3, k->D, k->B, k->H);
}

static enum tsr_status read_shapes(struct tsr_op_ctx *ctx, struct tsr_rnn *k)
{
    for (int i = 0; i < 3; i++) {
        TSR_TRY(tsr_op_need(ctx, i, !k->on_grid ? TSR_MASK_REAL : i == TSR_RNN_X ? TSR_MASK(TSR_U8) : i == TSR_RNN_W ? TSR_MASK(TSR_I8) : TSR_MASK(TSR_F32)));
        if (ctx->in[i]->shape.rank != 3)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %s has %d dimensions instead of 3", input_name[i],
                               ctx->in[i]->shape.rank);
    }
    const struct tsr_shape *x = &ctx->in[TSR_RNN_X]->shape;
    k->T = x->dim[k->batch_first ? 1 : 0];
    k->B = x->dim[k->batch_first ? 0 : 1];
    k->I = x->dim[2];
    k->H = ctx->in[TSR_RNN_R]->shape.dim[2];
    k->G = (int64_t)k->cell;
    int64_t declared = tsr_node_int(ctx->node, "hidden_size", k->H);
    if (declared != k->H || k->H < 1 || k->H > INT32_MAX || k->I > INT32_MAX)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "hidden_size is %lld but R has %lld columns", (long long)declared,
                           (long long)k->H);
    TSR_TRY(need_shape(ctx, TSR_RNN_W, k->on_grid ? TSR_I8 : k->type, 3, k->D, k->G * k->H, k->I));
    TSR_TRY(need_shape(ctx, TSR_RNN_R, k->type, 3, k->D, k->G * k->H, k->H));
    TSR_TRY(need_shape(ctx, TSR_RNN_B, k->type, 2, k->D, 2 * k->G * k->H, 0));
    if (has_in(ctx, TSR_RNN_LENS)) TSR_TRY(tsr_op_need(ctx, TSR_RNN_LENS, TSR_MASK(TSR_I32)));
    TSR_TRY(need_shape(ctx, TSR_RNN_LENS, k->type, 1, k->B, 0, 0));
    TSR_TRY(need_state(ctx, k, TSR_RNN_H0));
    TSR_TRY(need_state(ctx, k, TSR_RNN_C0));
    return need_shape(ctx, TSR_RNN_P, k->type, 2, k->D, 3 * k->H, 0);
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, enum tsr_rnn_cell cell, struct tsr_rnn *k)
{
    memset(k, 0, sizeof *k);
    k->cell = cell;
    k->on_grid = ctx->node->domain[0] != '\0';
    k->type = k->on_grid ? TSR_F32 : ctx->in[0] != NULL ? ctx->in[0]->dtype : TSR_NONE;
    TSR_TRY(read_attributes(ctx, k));
    TSR_TRY(read_shapes(ctx, k));
    k->fast = k->type == TSR_F32 && usual(ctx, k);
    return TSR_OK;
}

enum tsr_status tsr_rnn_infer(struct tsr_op_ctx *ctx, enum tsr_rnn_cell cell)
{
    struct tsr_rnn k;
    TSR_TRY(describe(ctx, cell, &k));
    struct tsr_shape y = {4, {k.T, k.D, k.B, k.H}}, state = {3, {k.D, k.B, k.H}};
    if (k.batch_first) {
        y = (struct tsr_shape){4, {k.B, k.T, k.D, k.H}};
        state = (struct tsr_shape){3, {k.B, k.D, k.H}};
    }
    for (int i = 0; i < ctx->node->n_out; i++)
        tsr_op_set(ctx, i, k.type, i == 0 ? &y : &state);
    return TSR_OK;
}

/* ---- running -------------------------------------------------------------------------------- */

static enum tsr_status read_lens(struct tsr_op_ctx *ctx, struct tsr_rnn_call *call)
{
    call->lens = NULL;
    if (!has_in(ctx, TSR_RNN_LENS)) return TSR_OK;
    const int32_t *lens = ctx->in[TSR_RNN_LENS]->data;
    bool full = true;
    for (int64_t b = 0; b < call->rnn.B; b++) {
        if (lens[b] < 0 || lens[b] > call->rnn.T)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "sequence_lens[%lld] is %d, outside 0 to %lld", (long long)b,
                               (int)lens[b], (long long)call->rnn.T);
        full = full && lens[b] == call->rnn.T;
    }
    if (!full) call->lens = lens;
    return TSR_OK;
}

/* Buffers that backward reads again, or that only this call needs. */
static enum tsr_status new_buffer(struct tsr_op_ctx *ctx, enum tsr_dtype type, struct tsr_tensor *buf, int i, const struct tsr_shape *shape)
{
    if (ctx->training) return tsr_op_save(ctx, i, type, shape);
    return tsr_tensor_new(&buf[i], type, shape, ctx->alloc, ctx->err);
}

static enum tsr_status new_buffers(struct tsr_op_ctx *ctx, const struct tsr_rnn *k, struct tsr_tensor *buf)
{
    const struct tsr_shape gates = {4, {k->D, k->T, k->B, k->G * k->H}}, units = {4, {k->D, k->T, k->B, k->H}};
    const struct tsr_shape states = {4, {k->D, k->T + 1, k->B, k->H}};
    TSR_TRY(new_buffer(ctx, k->type, buf, TSR_RNN_GATES, &gates));
    TSR_TRY(new_buffer(ctx, k->type, buf, TSR_RNN_STATE, &states));
    if (k->cell == TSR_CELL_LSTM) TSR_TRY(new_buffer(ctx, k->type, buf, TSR_RNN_CELL, &states));
    if (k->cell != TSR_CELL_RNN) TSR_TRY(new_buffer(ctx, k->type, buf, TSR_RNN_EXTRA, &units));
    if (!k->fast) TSR_TRY(new_buffer(ctx, k->type, buf, TSR_RNN_PRE, &gates));
    return TSR_OK;
}

enum tsr_status tsr_rnn_forward(struct tsr_op_ctx *ctx, enum tsr_rnn_cell cell)
{
    struct tsr_tensor own[TSR_RNN_BUFFERS] = {{0}};
    struct tsr_rnn_call call = {.ctx = ctx, .buf = ctx->training ? ctx->saved : own};
    struct tsr_rnn_grid grid = {0};
    TSR_TRY(describe(ctx, cell, &call.rnn));
    TSR_TRY(read_lens(ctx, &call));
    enum tsr_status status = new_buffers(ctx, &call.rnn, own);
    if (status == TSR_OK && call.rnn.on_grid) {
        status = tsr_rnn_grid_init(ctx, &call.rnn, &grid);
        call.grid = &grid;
    }
    if (status == TSR_OK)
        status = call.rnn.type == TSR_F32 ? tsr_rnn_forward_f32(&call) : tsr_rnn_forward_f64(&call);
    tsr_rnn_grid_release(&grid);
    for (int i = 0; i < TSR_RNN_BUFFERS; i++) tsr_tensor_release(&own[i]);
    return status;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx, enum tsr_rnn_cell cell)
{
    struct tsr_rnn_call call = {.ctx = ctx, .buf = ctx->saved};
    TSR_TRY(describe(ctx, cell, &call.rnn));
    TSR_TRY(read_lens(ctx, &call));
    return ctx->in[0]->dtype == TSR_F32 ? tsr_rnn_backward_f32(&call) : tsr_rnn_backward_f64(&call);
}

static enum tsr_status rnn_infer(struct tsr_op_ctx *ctx) { return tsr_rnn_infer(ctx, TSR_CELL_RNN); }
static enum tsr_status rnn_forward(struct tsr_op_ctx *ctx) { return tsr_rnn_forward(ctx, TSR_CELL_RNN); }
static enum tsr_status rnn_backward(struct tsr_op_ctx *ctx) { return backward(ctx, TSR_CELL_RNN); }
static enum tsr_status gru_infer(struct tsr_op_ctx *ctx) { return tsr_rnn_infer(ctx, TSR_CELL_GRU); }
static enum tsr_status gru_forward(struct tsr_op_ctx *ctx) { return tsr_rnn_forward(ctx, TSR_CELL_GRU); }
static enum tsr_status gru_backward(struct tsr_op_ctx *ctx) { return backward(ctx, TSR_CELL_GRU); }
static enum tsr_status lstm_infer(struct tsr_op_ctx *ctx) { return tsr_rnn_infer(ctx, TSR_CELL_LSTM); }
static enum tsr_status lstm_forward(struct tsr_op_ctx *ctx) { return tsr_rnn_forward(ctx, TSR_CELL_LSTM); }
static enum tsr_status lstm_backward(struct tsr_op_ctx *ctx) { return backward(ctx, TSR_CELL_LSTM); }

enum { WEIGHTS = 1 << TSR_RNN_W | 1 << TSR_RNN_R | 1 << TSR_RNN_B, PEEPHOLES = 1 << TSR_RNN_P };

const struct tsr_op tsr_ops_rnn[] = {
    {"RNN", "", TSR_OP_WIDEN, 3, 6, 2, rnn_infer, rnn_forward, rnn_backward, WEIGHTS},
    {"GRU", "", TSR_OP_WIDEN, 3, 6, 2, gru_infer, gru_forward, gru_backward, WEIGHTS},
    {"LSTM", "", TSR_OP_WIDEN, 3, 8, 3, lstm_infer, lstm_forward, lstm_backward, WEIGHTS | PEEPHOLES},
};
const size_t tsr_n_ops_rnn = sizeof tsr_ops_rnn / sizeof *tsr_ops_rnn;
