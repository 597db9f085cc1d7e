#include "merge/factor.h"

#include "base/clones.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

enum { EXTRA = 8, ITERATIONS = 10 };

/* out[rows, k] = h[rows, n] v[n, k] */
TSR_CLONES static void times(const float *h, size_t rows, size_t n, const double *v, size_t k, double *out)
{
    memset(out, 0, rows * k * sizeof *out);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) {
            const double f = (double)h[i * n + j], *from = v + j * k;
            double *to = out + i * k;
            for (size_t c = 0; c < k; c++) to[c] += f * from[c];
        }
}

/* out[n, k] = h' v for v[rows, k] */
TSR_CLONES static void times_back(const float *h, size_t rows, size_t n, const double *v, size_t k, double *out)
{
    memset(out, 0, n * k * sizeof *out);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) {
            const double f = (double)h[i * n + j], *from = v + i * k;
            double *to = out + j * k;
            for (size_t c = 0; c < k; c++) to[c] += f * from[c];
        }
}

static double column_dot(const double *v, size_t n, size_t k, size_t a, size_t b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i * k + a] * v[i * k + b];
    return sum;
}

/* Gram-Schmidt, twice a column; what is left of a dependent column is made zero. */
static void orthonormalise(double *v, size_t n, size_t k)
{
    for (size_t a = 0; a < k; a++) {
        double before = column_dot(v, n, k, a, a);
        for (int twice = 0; twice < 2; twice++)
            for (size_t b = 0; b < a; b++) {
                double d = column_dot(v, n, k, a, b);
                for (size_t i = 0; i < n; i++) v[i * k + a] -= d * v[i * k + b];
            }
        double after = column_dot(v, n, k, a, a), f = after > before * 1e-24 && after > 0 ? 1 / sqrt(after) : 0;
        for (size_t i = 0; i < n; i++) v[i * k + a] *= f;
    }
}

/* Turns the columns so that the energies of h v are in falling order and apart: Jacobi rotations of the
 * k x k matrix g = (h v)' (h v). */
static void diagonalise(double *g, double *v, size_t n, size_t k)
{
    for (int sweep = 0; sweep < 30; sweep++) {
        double off = 0, all = 0;
        for (size_t a = 0; a < k; a++)
            for (size_t b = 0; b < k; b++) {
                all += g[a * k + b] * g[a * k + b];
                if (a != b) off += g[a * k + b] * g[a * k + b];
            }
        if (!(off > all * 1e-26)) return;
        for (size_t a = 0; a + 1 < k; a++)
            for (size_t b = a + 1; b < k; b++) {
                double x = g[a * k + b];
                if (!(fabs(x) > 0)) continue;
                double t = (g[b * k + b] - g[a * k + a]) / (2 * x);
                t = (t >= 0 ? 1 : -1) / (fabs(t) + sqrt(t * t + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (size_t i = 0; i < k; i++) {
                    double p = g[i * k + a], q = g[i * k + b];
                    g[i * k + a] = c * p - s * q;
                    g[i * k + b] = s * p + c * q;
                }
                for (size_t i = 0; i < k; i++) {
                    double p = g[a * k + i], q = g[b * k + i];
                    g[a * k + i] = c * p - s * q;
                    g[b * k + i] = s * p + c * q;
                }
                for (size_t i = 0; i < n; i++) {
                    double p = v[i * k + a], q = v[i * k + b];
                    v[i * k + a] = c * p - s * q;
                    v[i * k + b] = s * p + c * q;
                }
            }
    }
}

/* The columns of most energy, in falling order, as floats with a positive greatest element. */
static size_t choose(const double *g, const double *v, size_t n, size_t k, size_t most, float *basis)
{
    double all = 0;
    bool used[512] = {false};
    size_t column[512], rank = 0;
    for (size_t a = 0; a < k; a++) all += g[a * k + a];
    while (rank < most) {
        size_t best = k;
        for (size_t a = 0; a < k; a++)
            if (!used[a] && (best == k || g[a * k + a] > g[best * k + best])) best = a;
        if (best == k || !(g[best * k + best] > all * 1e-10)) break;
        used[best] = true;
        column[rank++] = best;
    }
    for (size_t r = 0; r < rank; r++) {
        size_t top = 0;
        for (size_t i = 1; i < n; i++)
            if (fabs(v[i * k + column[r]]) > fabs(v[top * k + column[r]])) top = i;
        double sign = v[top * k + column[r]] < 0 ? -1 : 1;
        for (size_t i = 0; i < n; i++) basis[i * rank + r] = (float)(sign * v[i * k + column[r]]);
    }
    return rank;
}

enum tsr_status tsr_factor(const float *h, size_t rows, size_t n, size_t most, float *basis, size_t *rank,
                           struct tsr_error *err)
{
    size_t k = most + EXTRA, shorter = rows < n ? rows : n;
    if (k > shorter) k = shorter;
    if (most > k) most = k;
    *rank = 0;
    if (most > 500) return tsr_fail(err, TSR_E_USAGE, "at most 500 directions can be kept, not %zu", most);
    double *v = tsr_malloc(n * k, sizeof *v), *u = tsr_malloc(rows * k, sizeof *u), *g = tsr_calloc(k * k, sizeof *g);
    if (v == NULL || u == NULL || g == NULL) {
        tsr_free(v);
        tsr_free(u);
        tsr_free(g);
        return tsr_nomem(err, (n + rows) * k * sizeof *v);
    }
    struct tsr_rng rng;
    tsr_rng_init(&rng, 0x66616374, 0);
    for (size_t i = 0; i < n * k; i++) v[i] = (double)tsr_rng_normal(&rng);
    orthonormalise(v, n, k);
    for (int it = 0; it < ITERATIONS; it++) {
        times(h, rows, n, v, k, u);
        orthonormalise(u, rows, k);
        times_back(h, rows, n, u, k, v);
        orthonormalise(v, n, k);
    }
    times(h, rows, n, v, k, u);
    for (size_t a = 0; a < k; a++)
        for (size_t b = 0; b < k; b++) g[a * k + b] = column_dot(u, rows, k, a, b);
    diagonalise(g, v, n, k);
    *rank = choose(g, v, n, k, most, basis);
    tsr_free(v);
    tsr_free(u);
    tsr_free(g);
    return *rank > 0 ? TSR_OK : tsr_fail(err, TSR_E_NUMERIC, "the merged hub tokens are all zero");
}

TSR_CLONES void tsr_factor_row(const float *h, size_t n, const float *basis, size_t rank, float *c)
{
    for (size_t r = 0; r < rank; r++) c[r] = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < rank; r++) c[r] += h[i] * basis[i * rank + r];
}
