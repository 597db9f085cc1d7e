/* rnn.h - what RNN, GRU and LSTM share. Private to ops/.
 *
 * The three operators are one recurrence over time with different cells:
 *
 *     rnn.c        attributes, shapes, memory, the operators' table
 *     rnn_loop.h   the loop over time and the gradients of the weights, for float or double
 *     lstm_cell.h, gru_cell.h, rnn_cell.h   what happens in one step (plain reference kernels)
 *     rnn_fast.c   vector kernels of the usual activations in float32
 *     rnn_f32.c, rnn_f64.c   the two instances
 *     rnn_grid.c   X and W of 8 bits: their product in integers
 *
 * Inside, everything lies in "blocks" of one time step: [T][B][...]. Block t is time t, but where
 * sequence_lens is given the blocks of a reverse direction are its steps (the reversal is that of
 * each sequence alone), so that every loop runs over whole blocks.
 */
#ifndef TSR_OPS_RNN_H
#define TSR_OPS_RNN_H

#include "ops/op.h"
#include "tensor/qgemm.h"

enum tsr_rnn_cell { TSR_CELL_RNN = 1, TSR_CELL_GRU = 3, TSR_CELL_LSTM = 4 }; /* = number of gates */

enum tsr_act_kind {
    TSR_ACT_SIGMOID,
    TSR_ACT_TANH,
    TSR_ACT_RELU,
    TSR_ACT_AFFINE,
    TSR_ACT_LEAKY_RELU,
    TSR_ACT_THRESHOLDED_RELU,
    TSR_ACT_SCALED_TANH,
    TSR_ACT_HARD_SIGMOID,
    TSR_ACT_ELU,
    TSR_ACT_SOFTSIGN,
    TSR_ACT_SOFTPLUS
};

struct tsr_act {
    enum tsr_act_kind kind;
    float alpha, beta;
};

/* X and W on a grid (tessera.LSTM, GRU and RNN, which graph/fuse_integer.c makes): what the integer product of a
 * direction needs. */
struct tsr_rnn_grid {
    const uint8_t *x;         /* [T,B,I] */
    struct tsr_qpack w[2];    /* of each direction: [I, G*H] */
    int32_t *base[2];         /* G*H: what the zero point of X takes off a sum */
    float *factor;            /* G*H: from sums to numbers */
};

struct tsr_rnn {
    enum tsr_rnn_cell cell;
    enum tsr_dtype type;      /* of everything but X and W on a grid */
    bool on_grid;
    int64_t T, B, I, H, G, D; /* time, batch, inputs, hidden units, gates, directions */
    bool batch_first;         /* layout 1 */
    bool reverse[2];
    bool linear_before_reset; /* GRU */
    bool coupled;             /* LSTM: input_forget */
    bool fast;                /* the usual activations and nothing special */
    float clip;               /* 0: none */
    struct tsr_act act[2][3];
};

enum { TSR_RNN_X, TSR_RNN_W, TSR_RNN_R, TSR_RNN_B, TSR_RNN_LENS, TSR_RNN_H0, TSR_RNN_C0, TSR_RNN_P,
       TSR_RNN_X_SCALE, TSR_RNN_X_ZERO, TSR_RNN_W_SCALE /* on a grid */ };

/* Where the blocks lie, for one direction; elements of the operator's type. */
enum { TSR_RNN_GATES, TSR_RNN_STATE, TSR_RNN_CELL, TSR_RNN_EXTRA, TSR_RNN_PRE, TSR_RNN_BUFFERS };

struct tsr_rnn_call {
    struct tsr_rnn rnn;
    struct tsr_op_ctx *ctx;
    const int32_t *lens;   /* NULL: all T */
    const struct tsr_rnn_grid *grid; /* NULL: X and W are floats */
    struct tsr_tensor *buf; /* TSR_RNN_BUFFERS: gates [D,T,B,G*H] after their activation;
                               states and cells [D,T+1,B,H]; extra [D,T,B,H]: h(C) of LSTM, r*H or
                               H*Rh'+Rbh of GRU; inputs of the activations (not when fast) */
};

/* The operators' table rows share these. */
enum tsr_status tsr_rnn_infer(struct tsr_op_ctx *ctx, enum tsr_rnn_cell cell) TSR_MUST_USE;
enum tsr_status tsr_rnn_forward(struct tsr_op_ctx *ctx, enum tsr_rnn_cell cell) TSR_MUST_USE;
/* Packs W and finds the rest, in memory that tsr_rnn_grid_release lets go of; *g is to be zero before. */
enum tsr_status tsr_rnn_grid_init(struct tsr_op_ctx *ctx, const struct tsr_rnn *k, struct tsr_rnn_grid *g) TSR_MUST_USE;
void tsr_rnn_grid_release(struct tsr_rnn_grid *g);

enum tsr_status tsr_rnn_forward_f32(struct tsr_rnn_call *call) TSR_MUST_USE;
enum tsr_status tsr_rnn_forward_f64(struct tsr_rnn_call *call) TSR_MUST_USE;
enum tsr_status tsr_rnn_backward_f32(struct tsr_rnn_call *call) TSR_MUST_USE;
enum tsr_status tsr_rnn_backward_f64(struct tsr_rnn_call *call) TSR_MUST_USE;

/* Kernels of one step over n rows of H units, float32, sigmoid gates and tanh (RNN: tanh or
 * Relu) without clipping; rows are contiguous. `a` holds the gates' sums without bias on entry
 * and their activations on return. */
struct tsr_rnn_fast {
    void (*lstm_forward)(int64_t n, int64_t H, float *a, const float *bias, const float *c_prev, float *c, float *tanh_c,
                         float *h);
    /* dc: gradient of c on entry, of c_prev on return; da: of the gates' sums. */
    void (*lstm_backward)(int64_t n, int64_t H, const float *a, const float *c_prev, const float *tanh_c,
                          const float *dh, float *dc, float *da);
    /* z and r; q = r * h_prev, or (linear_before_reset) q += bias_rh. */
    void (*gru_gates)(int64_t n, int64_t H, float *a, const float *bias, const float *bias_rh, const float *h_prev,
                      float *q, bool linear_before_reset);
    void (*gru_state)(int64_t n, int64_t H, float *a, const float *bias, const float *q, const float *h_prev, float *h,
                      bool linear_before_reset);
    /* dz and dh~ into da, dh_prev = dh * z; with linear_before_reset also dr and dq. */
    void (*gru_backward_state)(int64_t n, int64_t H, const float *a, const float *q, const float *h_prev,
                               const float *dh, float *dh_prev, float *da, float *dq, bool linear_before_reset);
    /* Without linear_before_reset: dr into da from dq, dh_prev += dq * r. */
    void (*gru_backward_gates)(int64_t n, int64_t H, const float *a, const float *h_prev, const float *dq,
                               float *dh_prev, float *da);
    void (*rnn_forward)(int64_t n, int64_t H, float *a, const float *bias, float *h, bool relu);
    void (*rnn_backward)(int64_t n, int64_t H, const float *a, const float *dh, float *da, bool relu);
};
/* The best table for this machine; `level` -1, or 0 (portable), 1 (AVX2), 2 (AVX-512) to ask for
 * one: NULL where the machine lacks it. All give the same bits. */
const struct tsr_rnn_fast *tsr_rnn_fast_kernels(int level);

#endif
