#include "hub/fingerprint.h"

#include "base/mem.h"
#include "tensor/blas.h"

#include <math.h>

static enum tsr_status spectrum(const double *x, int64_t n, int64_t d, struct tsr_fingerprint *f,
                                struct tsr_error *err)
{
    int64_t k = n < d ? n : d;
    double *g = tsr_calloc((size_t)k, (size_t)k * sizeof *g), *w = tsr_calloc((size_t)k, sizeof *w);
    enum tsr_status status = g == NULL || w == NULL ? tsr_nomem(err, (size_t)(k * k) * sizeof *g) : TSR_OK;
    if (status == TSR_OK) {
        if (d <= n) tsr_blas_dsyrk(n, d, x, d, g, d);
        else tsr_blas_dgemm(false, true, n, n, d, 1, x, d, x, d, 0, g, n);
        status = tsr_lapack_eigh(k, g, k, w, err);
    }
    double trace = 0, square = 0;
    for (int64_t i = 0; status == TSR_OK && i < k; i++) {
        trace += w[i];
        square += w[i] * w[i];
    }
    f->effective_rank = square > 0 ? trace * trace / square : 0;
    for (int64_t i = 0; trace > 0 && i < k && i < TSR_FINGERPRINT_SPECTRUM; i++)
        f->spectrum[f->spectrum_len++] = w[k - 1 - i] > 0 ? w[k - 1 - i] / trace : 0;
    tsr_free(g);
    tsr_free(w);
    return status;
}

enum tsr_status tsr_fingerprint(const float *a, int64_t n, int64_t d, struct tsr_fingerprint *f, float *moments,
                                struct tsr_error *err)
{
    *f = (struct tsr_fingerprint){.samples = n, .width = d};
    double *x = tsr_malloc((size_t)n, (size_t)d * sizeof *x);
    if (x == NULL) return tsr_nomem(err, (size_t)(n * d) * sizeof *x);
    int64_t zeros = 0;
    for (int64_t i = 0; i < n; i++) {
        double norm = 0;
        for (int64_t j = 0; j < d; j++) {
            double v = (double)a[i * d + j];
            if (!isfinite(v)) {
                tsr_free(x);
                return tsr_fail(err, TSR_E_NUMERIC, "activation %lld of sample %lld is not a finite number",
                                (long long)j, (long long)i);
            }
            x[i * d + j] = v;
            zeros += v == 0;
            norm += v * v;
        }
        f->norm += sqrt(norm) / (double)n;
    }
    f->sparsity = n * d > 0 ? (double)zeros / (double)(n * d) : 0;
    for (int64_t j = 0; j < d; j++) {
        double mean = 0, var = 0;
        for (int64_t i = 0; i < n; i++) mean += x[i * d + j] / (double)n;
        for (int64_t i = 0; i < n; i++) {
            x[i * d + j] -= mean;
            var += x[i * d + j] * x[i * d + j] / (double)n;
        }
        moments[j] = (float)mean;
        moments[d + j] = (float)sqrt(var);
    }
    enum tsr_status status = spectrum(x, n, d, f, err);
    tsr_free(x);
    return status;
}
