#include "drift/alignment.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/blas.h"

#include <math.h>
#include <string.h>

/* Inner products of the centred rows: g[n, n]. */
static enum tsr_status gram(const float *x, size_t d, const size_t *slot, size_t n, double *g, struct tsr_error *err)
{
    double *c = tsr_malloc(n, d * sizeof *c);
    if (c == NULL) return tsr_nomem(err, n * d * sizeof *c);
    for (size_t j = 0; j < d; j++) {
        double mean = 0;
        for (size_t i = 0; i < n; i++) mean += (double)x[slot[i] * d + j];
        mean /= (double)n;
        for (size_t i = 0; i < n; i++) c[i * d + j] = (double)x[slot[i] * d + j] - mean;
    }
    tsr_blas_dgemm(false, true, (int64_t)n, (int64_t)n, (int64_t)d, 1, c, (int64_t)d, c, (int64_t)d, 0, g, (int64_t)n);
    tsr_free(c);
    return TSR_OK;
}

/* What the estimator is made of, and each row's part in it, for the matrices k and l with zero
 * diagonals. */
struct hsic {
    double trace, rows, k_total, l_total; /* sum k_ij l_ij; sum of products of row sums; sums */
    double *part;                         /* [n]: sum_j k_ij l_ij */
    double *k_row, *l_row;                /* [n]: row sums */
    double *k_l, *l_k;                    /* [n]: sum_j k_ij l_row_j and the other way round */
};

static double estimate(double trace, double k, double l, double rows, double n)
{
    return (trace + k * l / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3));
}

static double whole(const struct hsic *h, size_t n)
{
    return estimate(h->trace, h->k_total, h->l_total, h->rows, (double)n);
}

/* The same without row i. */
static double without(const struct hsic *h, size_t n, size_t i)
{
    double rows = h->rows - h->k_row[i] * h->l_row[i] - h->k_l[i] - h->l_k[i] + h->part[i];
    return estimate(h->trace - 2 * h->part[i], h->k_total - 2 * h->k_row[i], h->l_total - 2 * h->l_row[i], rows,
                    (double)n - 1);
}

/* Fills h, whose arrays lie in room[5 n]. */
static void measure(const double *k, const double *l, size_t n, double *room, struct hsic *h)
{
    *h = (struct hsic){.part = room, .k_row = room + n, .l_row = room + 2 * n, .k_l = room + 3 * n, .l_k = room + 4 * n};
    memset(room, 0, 5 * n * sizeof *room);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (i == j) continue;
            h->part[i] += k[i * n + j] * l[i * n + j];
            h->k_row[i] += k[i * n + j];
            h->l_row[i] += l[i * n + j];
        }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            if (i == j) continue;
            h->k_l[i] += k[i * n + j] * h->l_row[j];
            h->l_k[i] += l[i * n + j] * h->k_row[j];
        }
        h->trace += h->part[i];
        h->rows += h->k_row[i] * h->l_row[i];
        h->k_total += h->k_row[i];
        h->l_total += h->l_row[i];
    }
}

static enum tsr_status cka(const double *k, const double *l, size_t n, struct tsr_alignment *out, struct tsr_error *err)
{
    struct hsic kl, kk, ll;
    double *room = tsr_malloc(n, 15 * sizeof *room);
    if (room == NULL) return tsr_nomem(err, 15 * n * sizeof *room);
    measure(k, l, n, room, &kl);
    measure(k, k, n, room + 5 * n, &kk);
    measure(l, l, n, room + 10 * n, &ll);
    double a = whole(&kk, n), b = whole(&ll, n);
    out->cka = out->cka_error = NAN;
    if (a > 0 && b > 0) {
        double mean = 0, square = 0;
        out->cka = whole(&kl, n) / sqrt(a * b);
        for (size_t i = 0; i < n; i++) {
            double v = without(&kl, n, i) / sqrt(without(&kk, n, i) * without(&ll, n, i));
            mean += v / (double)n;
            square += v * v;
        }
        double spread = square - (double)n * mean * mean;
        out->cka_error = sqrt((spread > 0 ? spread : 0) * ((double)n - 1) / (double)n);
    }
    tsr_free(room);
    return TSR_OK;
}

/* Only the numerator moves under a permutation of the rows, and of it two sums. */
static double permuted(const double *k, const double *l, const struct hsic *h, const uint32_t *to, size_t n, size_t m)
{
    double trace = 0, rows = 0;
    for (size_t i = 0; i < m; i++) {
        const double *ki = k + i * n, *li = l + (size_t)to[i] * n;
        double sum = 0;
        for (size_t j = 0; j < i; j++) sum += ki[j] * li[to[j]];
        trace += 2 * sum;
        rows += h->k_row[i] * h->l_row[to[i]];
    }
    return estimate(trace, h->k_total, h->l_total, rows, (double)m);
}

/* On the first m rows. */
static enum tsr_status permutation_test(const double *k, const double *l, size_t n, struct tsr_alignment *out,
                                        struct tsr_error *err)
{
    size_t m = n < TSR_ALIGNMENT_PERMUTED_ROWS ? n : TSR_ALIGNMENT_PERMUTED_ROWS, better = 1;
    struct hsic h = {0};
    struct tsr_rng rng;
    double *room = tsr_calloc(m, 2 * sizeof *room);
    uint32_t *to = tsr_malloc(m, sizeof *to);
    enum tsr_status status = room == NULL || to == NULL ? tsr_nomem(err, m * sizeof *room) : TSR_OK;
    if (status == TSR_OK) {
        h.k_row = room;
        h.l_row = room + m;
        for (size_t i = 0; i < m; i++) {
            to[i] = (uint32_t)i;
            for (size_t j = 0; j < m; j++) {
                h.k_row[i] += i == j ? 0 : k[i * n + j];
                h.l_row[i] += i == j ? 0 : l[i * n + j];
            }
            h.k_total += h.k_row[i];
            h.l_total += h.l_row[i];
        }
        double seen = permuted(k, l, &h, to, n, m);
        tsr_rng_init(&rng, 1, 0);
        for (int p = 0; p < TSR_ALIGNMENT_PERMUTATIONS; p++) {
            tsr_rng_shuffle(&rng, to, m);
            better += permuted(k, l, &h, to, n, m) >= seen;
        }
        out->p = (double)better / (TSR_ALIGNMENT_PERMUTATIONS + 1);
    }
    tsr_free(room);
    tsr_free(to);
    return status;
}

/* The k rows nearest to row i, nearest first; ties by their number. */
static void nearest(const double *g, size_t n, size_t i, size_t k, size_t *out)
{
    double best[TSR_ALIGNMENT_NEIGHBOURS];
    size_t have = 0;
    for (size_t j = 0; j < n; j++) {
        if (j == i) continue;
        double distance = g[j * n + j] - 2 * g[i * n + j]; /* and the same |x_i|^2 for all */
        size_t at = have;
        while (at > 0 && distance < best[at - 1]) at--;
        if (at == k) continue;
        if (have < k) have++;
        memmove(best + at + 1, best + at, (have - 1 - at) * sizeof *best);
        memmove(out + at + 1, out + at, (have - 1 - at) * sizeof *out);
        best[at] = distance;
        out[at] = j;
    }
}

static void mutual(const double *k, const double *l, size_t n, struct tsr_alignment *out)
{
    size_t a[TSR_ALIGNMENT_NEIGHBOURS], b[TSR_ALIGNMENT_NEIGHBOURS], want = TSR_ALIGNMENT_NEIGHBOURS;
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        size_t both = 0;
        nearest(k, n, i, want, a);
        nearest(l, n, i, want, b);
        for (size_t u = 0; u < want; u++)
            for (size_t v = 0; v < want; v++) both += a[u] == b[v];
        double share = (double)both / (double)want;
        mean += share;
        square += share * share;
    }
    mean /= (double)n;
    double variance = square / (double)n - mean * mean;
    out->neighbours = mean;
    out->neighbours_error = sqrt((variance > 0 ? variance : 0) / ((double)n - 1));
}

enum tsr_status tsr_alignment(const float *x, size_t nx, const float *y, size_t ny, const size_t *slot, size_t n,
                              struct tsr_alignment *out, struct tsr_error *err)
{
    *out = (struct tsr_alignment){.rows = (int64_t)n};
    if (n < TSR_ALIGNMENT_MIN) return tsr_fail(err, TSR_E_USAGE, "an alignment needs %d rows", TSR_ALIGNMENT_MIN);
    double *k = tsr_malloc(n, n * sizeof *k), *l = tsr_malloc(n, n * sizeof *l);
    enum tsr_status status = k == NULL || l == NULL ? tsr_nomem(err, n * n * sizeof *k) : TSR_OK;
    if (status == TSR_OK) status = gram(x, nx, slot, n, k, err);
    if (status == TSR_OK) status = gram(y, ny, slot, n, l, err);
    if (status == TSR_OK) status = cka(k, l, n, out, err);
    if (status == TSR_OK) status = permutation_test(k, l, n, out, err);
    if (status == TSR_OK) mutual(k, l, n, out);
    tsr_free(k);
    tsr_free(l);
    return status;
}
