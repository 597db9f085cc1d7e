#include "hub/hub.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "tensor/blas.h"

#include <math.h>
#include <string.h>

/* Doubles of an n x m matrix; NULL where that does not fit. */
static double *matrix(int64_t n, int64_t m)
{
    size_t count;
    if (n < 0 || m < 0 || !tsr_mul_size((size_t)n, (size_t)m, &count)) return NULL;
    return tsr_calloc(count, sizeof(double));
}

static enum tsr_status no_room(int64_t n, int64_t m, struct tsr_error *err)
{
    return tsr_nomem(err, (size_t)n * (size_t)m * sizeof(double));
}

/* x[n,d] = a - mean of a's columns, which go to mean[d]. */
static enum tsr_status centre(const float *a, int64_t n, int64_t d, double *x, double *mean, struct tsr_error *err)
{
    for (int64_t j = 0; j < d; j++) mean[j] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++) {
            double v = (double)a[i * d + j];
            if (!isfinite(v))
                return tsr_fail(err, TSR_E_NUMERIC, "activation %lld of reference row %lld is not a finite number",
                                (long long)j, (long long)i);
            x[i * d + j] = v;
            mean[j] += v;
        }
    for (int64_t j = 0; j < d; j++) mean[j] /= (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++) x[i * d + j] -= mean[j];
    return TSR_OK;
}

/* The eigenvalues (ascending, w[k]) and eigenvectors (columns of g[k,k]) of the smaller of
 * X'X and XX', k = min(n, d): both have the squared singular values of X. */
static enum tsr_status small_gram(const double *x, int64_t n, int64_t d, double *g, double *w, struct tsr_error *err)
{
    if (d <= n) tsr_blas_dsyrk(n, d, x, d, g, d);
    else tsr_blas_dgemm(false, true, n, n, d, 1, x, d, x, d, 0, g, n);
    int64_t k = d <= n ? d : n;
    return tsr_lapack_eigh(k, g, k, w, err);
}

static double ridge_of(double s1, int64_t n)
{
    double share = 1.0 / (double)n;
    return s1 * (share < 1e-3 ? 1e-3 : share > 1e-2 ? 1e-2 : share);
}

/* Columns of U and V for the largest eigenvalues, each with the sign that makes the largest
 * element of its U column positive, so that the same data gives the same basis everywhere. */
static void fill_factors(struct tsr_hub_encoder *e, const double *x, const double *g, const double *w, int64_t k)
{
    int64_t n = e->anchors, d = e->d, r = e->rank;
    for (int64_t c = 0; c < r; c++) {
        double square = w[k - 1 - c], s = sqrt(square);
        double *v = e->map + c * d;
        e->spectrum[c] = s;
        double top = 0;
        for (int64_t i = 0; i < n; i++) {
            double u = 0;
            if (d <= n)
                for (int64_t j = 0; j < d; j++) u += x[i * d + j] * g[j * k + (k - 1 - c)] / s;
            else u = g[i * k + (k - 1 - c)];
            e->basis[i * r + c] = u;
            if (fabs(u) > fabs(top)) top = u;
        }
        double sign = top < 0 ? -1 : 1;
        for (int64_t i = 0; i < n; i++) e->basis[i * r + c] *= sign;
        for (int64_t j = 0; j < d; j++) {
            double sum = 0;
            if (d <= n) sum = sign * g[j * k + (k - 1 - c)];
            else
                for (int64_t i = 0; i < n; i++) sum += x[i * d + j] * e->basis[i * r + c] / s;
            v[j] = sum * s / (square + e->lambda);
        }
    }
}

enum tsr_status tsr_hub_calibrate(struct tsr_hub_encoder *e, const float *a, int64_t n, int64_t d, int64_t max_rank,
                                  struct tsr_error *err)
{
    *e = (struct tsr_hub_encoder){.anchors = n, .d = d};
    if (n < 2 || n > TSR_HUB_DIM || d < 1)
        return tsr_fail(err, TSR_E_MISMATCH, "a hub needs 2 to %d anchors, not %lld", TSR_HUB_DIM, (long long)n);
    int64_t k = d <= n ? d : n;
    double *x = matrix(n, d), *g = matrix(k, k), *w = matrix(k, 1);
    e->mean = matrix(d, 1);
    enum tsr_status status = TSR_OK;
    if (x == NULL || g == NULL || w == NULL || e->mean == NULL) {
        status = no_room(n, d, err);
        goto done;
    }
    TSR_GO(status, done, centre(a, n, d, x, e->mean, err));
    TSR_GO(status, done, small_gram(x, n, d, g, w, err));
    if (!(w[k - 1] > 1e-12)) {
        status = tsr_fail(err, TSR_E_NUMERIC, "the layer has the same activations for all %lld anchors", (long long)n);
        goto done;
    }
    e->lambda = ridge_of(w[k - 1], n);
    while (e->rank < k && e->rank < max_rank && w[k - 1 - e->rank] > 1e-10 * w[k - 1]) e->rank++;
    e->map = matrix(e->rank, d);
    e->basis = matrix(n, e->rank);
    e->spectrum = matrix(e->rank, 1);
    if (e->map == NULL || e->basis == NULL || e->spectrum == NULL) {
        status = no_room(n, e->rank, err);
        goto done;
    }
    fill_factors(e, x, g, w, k);
done:
    tsr_free(x);
    tsr_free(g);
    tsr_free(w);
    if (status != TSR_OK) tsr_hub_encoder_release(e);
    return status;
}

void tsr_hub_encoder_release(struct tsr_hub_encoder *e)
{
    tsr_free(e->mean);
    tsr_free(e->map);
    tsr_free(e->basis);
    tsr_free(e->spectrum);
    *e = (struct tsr_hub_encoder){0};
}

/* y[rows,p] = (x[rows,q] - minus) map', plus; map is [p,q]. In slices, so that memory is small. */
static enum tsr_status apply(const double *map, const double *minus, const double *plus, const float *x, int64_t rows,
                             int64_t q, int64_t p, float *y, struct tsr_error *err)
{
    enum { SLICE = 256 };
    double *in = matrix(SLICE, q), *out = matrix(SLICE, p);
    if (in == NULL || out == NULL) {
        tsr_free(in);
        tsr_free(out);
        return no_room(SLICE, q + p, err);
    }
    for (int64_t at = 0; at < rows; at += SLICE) {
        int64_t m = rows - at < SLICE ? rows - at : SLICE;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < q; j++)
                in[i * q + j] = (double)x[(at + i) * q + j] - (minus != NULL ? minus[j] : 0);
        tsr_blas_dgemm(false, true, m, p, q, 1, in, q, map, q, 0, out, p);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < p; j++)
                y[(at + i) * p + j] = (float)(out[i * p + j] + (plus != NULL ? plus[j] : 0));
    }
    tsr_free(in);
    tsr_free(out);
    return TSR_OK;
}

enum tsr_status tsr_hub_encode(const struct tsr_hub_encoder *e, const float *a, int64_t rows, float *c,
                               struct tsr_error *err)
{
    return apply(e->map, e->mean, NULL, a, rows, e->d, e->rank, c, err);
}

enum tsr_status tsr_hub_decode(const struct tsr_hub_decoder *dec, const float *c, int64_t rows, float *a,
                               struct tsr_error *err)
{
    return apply(dec->map, NULL, dec->mean, c, rows, dec->rank, dec->d, a, err);
}

void tsr_hub_decoder_release(struct tsr_hub_decoder *dec)
{
    tsr_free(dec->map);
    tsr_free(dec->mean);
    *dec = (struct tsr_hub_decoder){0};
}

/* map[d,r] = X' B (solved with the ridge of B where `regress`), X the centred activations. */
static enum tsr_status fit_decoder(struct tsr_hub_decoder *dec, const float *a, int64_t n, int64_t d, const float *b,
                                   int64_t rank, bool regress, struct tsr_error *err)
{
    *dec = (struct tsr_hub_decoder){.d = d, .rank = rank};
    double *x = matrix(n, d), *y = matrix(n, rank), *g = matrix(rank, rank), *z = matrix(rank, d),
           *shift = matrix(rank, 1);
    dec->map = matrix(d, rank);
    dec->mean = matrix(d, 1);
    enum tsr_status status = TSR_OK;
    if (x == NULL || y == NULL || g == NULL || z == NULL || shift == NULL || dec->map == NULL || dec->mean == NULL) {
        status = no_room(n, d + rank, err);
        goto done;
    }
    TSR_GO(status, done, centre(a, n, d, x, dec->mean, err));
    if (regress) TSR_GO(status, done, centre(b, n, rank, y, shift, err));
    else
        for (int64_t i = 0; i < n * rank; i++) y[i] = (double)b[i];
    tsr_blas_dgemm(true, false, rank, d, n, 1, y, rank, x, d, 0, z, d);
    if (regress) {
        tsr_blas_dsyrk(n, rank, y, rank, g, rank);
        double most = 0;
        for (int64_t i = 0; i < rank; i++) most = g[i * rank + i] > most ? g[i * rank + i] : most;
        for (int64_t i = 0; i < rank; i++) g[i * rank + i] += 1e-3 * most + 1e-30;
        TSR_GO(status, done, tsr_lapack_cholesky(rank, g, rank, err));
        TSR_GO(status, done, tsr_lapack_cholesky_solve(rank, d, g, rank, z, d, err));
    }
    for (int64_t i = 0; i < rank; i++)
        for (int64_t j = 0; j < d; j++) {
            dec->map[j * rank + i] = z[i * d + j];
            dec->mean[j] -= z[i * d + j] * shift[i];
        }
done:
    tsr_free(x);
    tsr_free(y);
    tsr_free(g);
    tsr_free(z);
    tsr_free(shift);
    if (status != TSR_OK) tsr_hub_decoder_release(dec);
    return status;
}

enum tsr_status tsr_hub_decoder_init(struct tsr_hub_decoder *dec, const float *a, int64_t n, int64_t d,
                                     const float *basis, int64_t rank, struct tsr_error *err)
{
    return fit_decoder(dec, a, n, d, basis, rank, false, err);
}

enum tsr_status tsr_hub_decoder_regress(struct tsr_hub_decoder *dec, const float *a, int64_t n, int64_t d,
                                        const float *c, int64_t rank, struct tsr_error *err)
{
    return fit_decoder(dec, a, n, d, c, rank, true, err);
}

void tsr_hub_id(const struct tsr_key *key, int64_t n, uint8_t id[TSR_SHA256_LEN])
{
    struct tsr_sha256 h;
    uint8_t head[16];
    memcpy(head, "tsr-hub", 8);
    tsr_put_le32(head + 8, TSR_HUB_DIM);
    tsr_put_le32(head + 12, (uint32_t)n);
    tsr_sha256_init(&h);
    tsr_sha256_update(&h, head, sizeof head);
    tsr_sha256_update(&h, key, (size_t)n * sizeof *key);
    tsr_sha256_final(&h, id);
}
