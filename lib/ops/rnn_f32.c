/* rnn_f32.c - the recurrence in single precision. */
#include "base/mem.h"
#include "tensor/gemm.h"
#include "tensor/panels.h"

#define REAL float
#define REAL_IS_FLOAT 1
#define GEMM tsr_sgemm
#include "ops/rnn_loop.h"

enum tsr_status tsr_rnn_forward_f32(struct tsr_rnn_call *call) { return run_forward(call); }
enum tsr_status tsr_rnn_backward_f32(struct tsr_rnn_call *call) { return run_backward(call); }
