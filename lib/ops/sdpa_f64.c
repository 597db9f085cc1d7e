/* sdpa_f64.c - scaled dot-product attention in double precision. */
#include <math.h>

#include "tensor/blas.h"

#define REAL double
#define GEMM tsr_blas_dgemm

static double row_max(int64_t n, const double *x)
{
    double top = x[0];
    for (int64_t j = 1; j < n; j++) top = x[j] > top ? x[j] : top;
    return top;
}

static double row_exp_sum(int64_t n, double *x, double top)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += x[j] = exp(x[j] - top);
    return sum;
}

static void row_tanh(int64_t n, double *x)
{
    for (int64_t j = 0; j < n; j++) x[j] = tanh(x[j]);
}

static double row_dot(int64_t n, const double *x, const double *y)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += x[j] * y[j];
    return sum;
}

static void row_scale(int64_t n, double *x, double f)
{
    for (int64_t j = 0; j < n; j++) x[j] *= f;
}

static void rows_softmax(int64_t rows, int64_t n, double *x)
{
    for (int64_t r = 0; r < rows; r++, x += n) row_scale(n, x, 1 / row_exp_sum(n, x, row_max(n, x)));
}

static void row_slope(int64_t n, const double *p, double *ds, double delta)
{
    for (int64_t j = 0; j < n; j++) ds[j] = p[j] * (ds[j] - delta);
}

#include "ops/sdpa_core.h"

enum tsr_status tsr_sdpa_forward_f64(const struct tsr_sdpa *a) { return run_forward(a); }
enum tsr_status tsr_sdpa_backward_f64(const struct tsr_sdpa *a) { return run_backward(a); }
