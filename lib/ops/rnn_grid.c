/* rnn_grid.c - tessera.RNN, GRU and LSTM: the operators of ops/rnn.c with inputs X and weights W of 8 bits, as
 * graph/fuse_integer.c makes them of DequantizeLinear before the operator. X W' is an integer product, exact but for the
 * rounding of the sum times both scales; everything else is float as it was.
 *
 * Inputs 0 to 7 are those of ai.onnx, in layout 0 and without sequence_lens; X uint8 with the scale and zero point in
 * 8 and 9, W int8 with one scale for all or for each of its rows in 10, and zero point 0. */
#include "base/mem.h"
#include "ops/families.h"
#include "ops/qparam.h"
#include "ops/rnn.h"

enum { MOST = 1 << 14 }; /* products whose sum fits 31 bits */

static enum tsr_status infer(struct tsr_op_ctx *ctx, enum tsr_rnn_cell cell)
{
    TSR_TRY(tsr_op_need(ctx, TSR_RNN_X_SCALE, TSR_MASK(TSR_F32)));
    TSR_TRY(tsr_op_need(ctx, TSR_RNN_X_ZERO, TSR_MASK(TSR_U8)));
    TSR_TRY(tsr_op_need(ctx, TSR_RNN_W_SCALE, TSR_MASK(TSR_F32)));
    TSR_TRY(tsr_rnn_infer(ctx, cell));
    const struct tsr_shape *w = &ctx->in[TSR_RNN_W]->shape;
    const int64_t n = tsr_tensor_count(ctx->in[TSR_RNN_W_SCALE]);
    if (tsr_node_int(ctx->node, "layout", 0) != 0 || tsr_arg_in(ctx, TSR_RNN_LENS) != NULL)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "integers come in layout 0 and without sequence_lens");
    if (w->dim[2] % 4 != 0 || w->dim[2] > MOST) /* kernels read four at a time */
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "%lld inputs are no multiple of 4 up to %d", (long long)w->dim[2], MOST);
    if (n != 1 && n != w->dim[1])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%lld scales for %lld rows of W", (long long)n, (long long)w->dim[1]);
    return TSR_OK;
}

enum tsr_status tsr_rnn_grid_init(struct tsr_op_ctx *ctx, const struct tsr_rnn *k, struct tsr_rnn_grid *g)
{
    const int64_t n = k->G * k->H, step = tsr_tensor_count(ctx->in[TSR_RNN_W_SCALE]) > 1;
    const float *scale = ctx->in[TSR_RNN_W_SCALE]->data;
    struct tsr_qscalar x;
    TSR_TRY(tsr_qscalar_read(ctx, TSR_RNN_X_SCALE, TSR_RNN_X_ZERO, &x));
    g->x = ctx->in[TSR_RNN_X]->data;
    g->factor = tsr_malloc((size_t)n, sizeof *g->factor);
    if (g->factor == NULL) return tsr_nomem(ctx->err, (size_t)n * sizeof *g->factor);
    for (int64_t j = 0; j < n; j++) g->factor[j] = x.scale * scale[j * step];
    for (int64_t d = 0; d < k->D; d++) {
        const int8_t *w = (const int8_t *)ctx->in[TSR_RNN_W]->data + d * n * k->I;
        TSR_TRY(tsr_qpack_init(&g->w[d], 1, k->I, n, w, false, 0, 1, k->I, ctx->err));
        g->base[d] = tsr_malloc((size_t)n, sizeof *g->base[d]);
        if (g->base[d] == NULL) return tsr_nomem(ctx->err, (size_t)n * sizeof *g->base[d]);
        for (int64_t j = 0; j < n; j++) g->base[d][j] = -x.zero * g->w[d].sum[j];
    }
    return TSR_OK;
}

void tsr_rnn_grid_release(struct tsr_rnn_grid *g)
{
    for (int d = 0; d < 2; d++) {
        tsr_qpack_release(&g->w[d]);
        tsr_free(g->base[d]);
    }
    tsr_free(g->factor);
}

static enum tsr_status rnn_infer(struct tsr_op_ctx *ctx) { return infer(ctx, TSR_CELL_RNN); }
static enum tsr_status gru_infer(struct tsr_op_ctx *ctx) { return infer(ctx, TSR_CELL_GRU); }
static enum tsr_status lstm_infer(struct tsr_op_ctx *ctx) { return infer(ctx, TSR_CELL_LSTM); }
static enum tsr_status rnn_forward(struct tsr_op_ctx *ctx) { return tsr_rnn_forward(ctx, TSR_CELL_RNN); }
static enum tsr_status gru_forward(struct tsr_op_ctx *ctx) { return tsr_rnn_forward(ctx, TSR_CELL_GRU); }
static enum tsr_status lstm_forward(struct tsr_op_ctx *ctx) { return tsr_rnn_forward(ctx, TSR_CELL_LSTM); }

const struct tsr_op tsr_ops_rnn_grid[] = {
    {"GRU", "tessera", 0, 11, 11, 2, gru_infer, gru_forward, NULL, 0},
    {"LSTM", "tessera", 0, 11, 11, 3, lstm_infer, lstm_forward, NULL, 0},
    {"RNN", "tessera", 0, 11, 11, 2, rnn_infer, rnn_forward, NULL, 0},
};
const size_t tsr_n_ops_rnn_grid = sizeof tsr_ops_rnn_grid / sizeof *tsr_ops_rnn_grid;
