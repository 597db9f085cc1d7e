#include "drift/gaussian.h"

#include "base/mem.h"
#include "tensor/blas.h"

#include <math.h>
#include <string.h>

#define BATCH 64

void tsr_moments_release(struct tsr_moments *m)
{
    tsr_free(m->shift);
    tsr_free(m->sum);
    tsr_free(m->cross);
    tsr_free(m->batch);
    *m = (struct tsr_moments){0};
}

enum tsr_status tsr_moments_init(struct tsr_moments *m, int64_t d, struct tsr_error *err)
{
    size_t n = (size_t)d;
    *m = (struct tsr_moments){.d = d, .full = d <= TSR_GAUSSIAN_FEATURES};
    m->shift = tsr_calloc(n, sizeof(double));
    m->sum = tsr_calloc(n, sizeof(double));
    m->cross = tsr_calloc(n, (m->full ? n : 1) * sizeof(double));
    m->batch = tsr_calloc(n, (m->full ? BATCH : 1) * sizeof(double));
    if (m->shift != NULL && m->sum != NULL && m->cross != NULL && m->batch != NULL) return TSR_OK;
    tsr_moments_release(m);
    return tsr_nomem(err, n * n * sizeof(double));
}

static void flush(struct tsr_moments *m)
{
    if (m->full && m->held > 0)
        tsr_blas_dgemm(true, false, m->d, m->d, m->held, 1, m->batch, m->d, m->batch, m->d, 1, m->cross, m->d);
    m->held = 0;
}

void tsr_moments_add(struct tsr_moments *m, const float *row)
{
    double *x = m->batch + m->held * m->d;
    for (int64_t j = 0; j < m->d; j++) {
        if (m->rows == 0) m->shift[j] = (double)row[j];
        x[j] = (double)row[j] - m->shift[j];
        m->sum[j] += x[j];
        if (!m->full) m->cross[j] += x[j] * x[j];
    }
    m->rows++;
    if (m->full && ++m->held == BATCH) flush(m);
}

static double mean_of(const struct tsr_moments *m, int64_t i) { return m->shift[i] + m->sum[i] / (double)m->rows; }

static double covariance(const struct tsr_moments *m, int64_t i, int64_t j)
{
    double n = (double)m->rows, c = m->cross[m->full ? i * m->d + j : i] - m->sum[i] * m->sum[j] / n;
    return c / (n - 1);
}

/* A feature that is constant but for rounding has no variance. */
static double variance(const struct tsr_moments *m, int64_t i)
{
    double v = covariance(m, i, i), square = m->cross[m->full ? i * m->d + i : i] / (double)m->rows;
    return v > 1e-14 * square ? v : 0;
}

static double diagonal(const struct tsr_moments *p, const struct tsr_moments *q)
{
    double kl = 0;
    for (int64_t i = 0; i < p->d; i++) {
        double vp = variance(p, i), vq = variance(q, i), shift = mean_of(p, i) - mean_of(q, i);
        if (vp == 0 && vq == 0 && shift == 0) continue;
        if (vq == 0 || vp == 0) return INFINITY;
        kl += (log(vq / vp) + (vp + shift * shift) / vq - 1) / 2;
    }
    return kl > 0 ? kl : 0;
}

/* Features that are constant and alike on both sides say nothing and are left out: index[0 .. n).
 * So is one of those whose sum is constant. */
static int64_t varying(const struct tsr_moments *p, const struct tsr_moments *q, bool closed, int64_t *index)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->d - closed; i++)
        if (variance(p, i) > 0 || variance(q, i) > 0 || mean_of(p, i) != mean_of(q, i)) index[n++] = i;
    return n;
}

static double log_determinant(const double *chol, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += 2 * log(chol[i * n + i]);
    return sum;
}

/* In place. False where the matrix, of features in units of about 1, is singular but for rounding. */
static bool factor(double *a, int64_t n)
{
    if (tsr_lapack_cholesky(n, a, n, NULL) != TSR_OK) return false;
    for (int64_t i = 0; i < n; i++)
        if (!(a[i * n + i] > 1e-6)) return false;
    return true;
}

/* KL with full covariances over the features index[0 .. n), in units of q's standard deviations
 * (the divergence is the same in all units). room: 4 n x n. NaN where a covariance is singular. */
static double full_kl(const struct tsr_moments *p, const struct tsr_moments *q, const int64_t *index, int64_t n,
                      double *room)
{
    double *a = room, *la = a + n * n, *b = la + n * n, *v = b + n * n, *x = v + n;
    for (int64_t i = 0; i < n; i++) {
        double si = sqrt(variance(q, index[i]));
        for (int64_t j = 0; j < n; j++) {
            double unit = si * sqrt(variance(q, index[j]));
            a[i * n + j] = la[i * n + j] = covariance(p, index[i], index[j]) / unit;
            b[i * n + j] = covariance(q, index[i], index[j]) / unit;
        }
        v[i] = x[i] = (mean_of(p, index[i]) - mean_of(q, index[i])) / si;
    }
    if (!factor(b, n) || !factor(la, n) || tsr_lapack_cholesky_solve(n, n, b, n, a, n, NULL) != TSR_OK ||
        tsr_lapack_cholesky_solve(n, 1, b, n, x, 1, NULL) != TSR_OK)
        return NAN;
    double kl = log_determinant(b, n) - log_determinant(la, n) - (double)n;
    for (int64_t i = 0; i < n; i++) kl += a[i * n + i] + v[i] * x[i];
    return kl > 0 ? kl / 2 : 0;
}

/* s = c^(1/2) by eigenvectors; c is destroyed. t: room for n x n, w: n. */
static enum tsr_status square_root(double *c, int64_t n, double *s, double *t, double *w, struct tsr_error *err)
{
    TSR_TRY(tsr_lapack_eigh(n, c, n, w, err));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) t[i * n + j] = c[i * n + j] * sqrt(w[j] > 0 ? w[j] : 0);
    tsr_blas_dgemm(false, true, n, n, n, 1, t, n, c, n, 0, s, n);
    return TSR_OK;
}

static enum tsr_status root_of(const struct tsr_moments *m, double *s, double *c, double *t, double *w, struct tsr_error *err)
{
    for (int64_t i = 0; i < m->d; i++)
        for (int64_t j = 0; j < m->d; j++) c[i * m->d + j] = covariance(m, i, j);
    return square_root(c, m->d, s, t, w, err);
}

/* |mp - mq|^2 + |P^1/2 - Q^1/2 U|^2, U being the orthogonal factor of Q^1/2 P^1/2: the same number
 * as |mp - mq|^2 + tr(P + Q - 2 (P^1/2 Q P^1/2)^1/2) (Bhatia, Jain and Lim, 2019), without the
 * cancellation that hides small distances. room: 6 n x n and n. */
static enum tsr_status frechet(const struct tsr_moments *p, const struct tsr_moments *q, double *room, double *out,
                               struct tsr_error *err)
{
    int64_t n = p->d;
    double *rp = room, *rq = rp + n * n, *m = rq + n * n, *a = m + n * n, *b = a + n * n, *u = b + n * n, *w = u + n * n;
    double sum = 0;
    TSR_TRY(root_of(p, rp, m, a, w, err));
    TSR_TRY(root_of(q, rq, m, a, w, err));
    tsr_blas_dgemm(false, false, n, n, n, 1, rq, n, rp, n, 0, m, n);
    TSR_TRY(tsr_lapack_svd(n, n, m, w, a, b, err));
    tsr_blas_dgemm(false, false, n, n, n, 1, a, n, b, n, 0, u, n);
    tsr_blas_dgemm(false, false, n, n, n, 1, rq, n, u, n, 0, m, n);
    for (int64_t i = 0; i < n; i++) {
        double shift = mean_of(p, i) - mean_of(q, i);
        sum += shift * shift;
        for (int64_t j = 0; j < n; j++) sum += (rp[i * n + j] - m[i * n + j]) * (rp[i * n + j] - m[i * n + j]);
    }
    *out = sum;
    return TSR_OK;
}

static enum tsr_status compare_full(const struct tsr_moments *p, const struct tsr_moments *q, bool closed,
                                    struct tsr_gaussian *out, struct tsr_error *err)
{
    size_t d = (size_t)p->d;
    double *room = tsr_malloc(6 * d + 2, d * sizeof *room);
    int64_t *index = tsr_malloc(d, sizeof *index);
    enum tsr_status status = room == NULL || index == NULL ? tsr_nomem(err, 6 * d * d * sizeof *room) : TSR_OK;
    if (status == TSR_OK) {
        int64_t n = varying(p, q, closed, index);
        if (p->rows <= n + 1) out->full_why = "it needs more rows than features that vary";
        else if (isinf(out->diagonal)) out->full = INFINITY;
        else out->full = full_kl(p, q, index, n, room);
        if (isnan(out->full) && out->full_why == NULL) out->full_why = "a covariance is singular";
        status = frechet(p, q, room, &out->frechet, err);
    }
    tsr_free(room);
    tsr_free(index);
    return status;
}

enum tsr_status tsr_gaussian_compare(struct tsr_moments *p, struct tsr_moments *q, bool closed,
                                     struct tsr_gaussian *out, struct tsr_error *err)
{
    flush(p);
    flush(q);
    *out = (struct tsr_gaussian){.diagonal = diagonal(p, q), .full = NAN, .frechet = NAN};
    if (p->full) return compare_full(p, q, closed, out, err);
    out->full_why = out->frechet_why = "covariances of more than 1024 features are not gathered";
    return TSR_OK;
}
