/* sdpa_f32.c - scaled dot-product attention in single precision. */
#include "tensor/gemm.h"
#include "tensor/isa.h"
#include "tensor/vmath.h"

#define REAL float
#define GEMM tsr_sgemm

#define row_max tsr_vmax
#define row_exp_sum(n, x, top) tsr_vexp_sum(n, x, top, x)
#define rows_softmax(rows, n, x) tsr_vsoftmax(rows, n, x, x)
#define row_tanh(n, x) tsr_vtanh(n, x, x)
#define row_dot(n, x, y) ((float)tsr_vdot(n, x, y))

TSR_CLONES static void row_scale(int64_t n, float *x, float f)
{
    TSR_IVDEP for (int64_t j = 0; j < n; j++) x[j] *= f;
}

/* ds = p * (dp - delta), in place. */
TSR_CLONES static void row_slope(int64_t n, const float *p, float *ds, float delta)
{
    TSR_IVDEP for (int64_t j = 0; j < n; j++) ds[j] = p[j] * (ds[j] - delta);
}

#include "ops/sdpa_core.h"

enum tsr_status tsr_sdpa_forward_f32(const struct tsr_sdpa *a) { return run_forward(a); }
enum tsr_status tsr_sdpa_backward_f32(const struct tsr_sdpa *a) { return run_backward(a); }
