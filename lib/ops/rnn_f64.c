/* rnn_f64.c - the recurrence in double precision. */
#include "base/mem.h"
#include "tensor/blas.h"

#define REAL double
#define REAL_IS_FLOAT 0
#define GEMM tsr_blas_dgemm
#include "ops/rnn_loop.h"

enum tsr_status tsr_rnn_forward_f64(struct tsr_rnn_call *call) { return run_forward(call); }
enum tsr_status tsr_rnn_backward_f64(struct tsr_rnn_call *call) { return run_backward(call); }
