/* test_drift_numbers.c - distributions, intervals, percentiles, and the geometry of layers, against
 * published values and against slow and plain formulas. */
#include "drift/clusters.h"
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>

#define OK(call) ck_assert_int_eq((call), TSR_OK)

/* Not within tolerance, NaN included. */
#define NEAR(x, want, tol) ck_assert_msg(fabs((x) - (want)) <= (tol), "%s is %.12g, not %.12g", #x, (double)(x), (double)(want))

START_TEST(quantiles_are_those_of_the_tables)
{
    NEAR(tsr_beta_quantile(0.5, 2, 3), 0.38572756813, 1e-10);
    NEAR(tsr_beta_cdf(0.3, 0.5, 0.5), 2 / M_PI * asin(sqrt(0.3)), 1e-12); /* the arcsine law */
    NEAR(tsr_beta_cdf(0.999999, 1, 1e7), 1, 1e-12);
    NEAR(tsr_t_quantile(0.975, 10), 2.2281388520, 1e-9);
    NEAR(tsr_t_quantile(0.995, 1), 63.656741162872, 1e-7);
    NEAR(tsr_t_quantile(0.005, 4), -4.6040948713, 1e-8);
    NEAR(tsr_t_quantile(0.975, 1e7), 1.959964, 1e-5);
    NEAR(tsr_binomial_cdf(3, 10, 0.5), 0.171875, 1e-12);
    NEAR(tsr_binomial_cdf(-1, 10, 0.5), 0, 0);
    NEAR(tsr_binomial_cdf(10, 10, 0.5), 1, 0);
    NEAR(tsr_binomial_cdf(0, 1e6, 1e-6), exp(1e6 * log1p(-1e-6)), 1e-9);
}
END_TEST

START_TEST(rates_have_clopper_and_pearsons_interval)
{
    static const double want[][4] = {{0, 20, 0, 0.16843347}, {1, 10, 0.00252858, 0.44501612}, {5, 10, 0.18708603, 0.81291397},
                                     {20, 20, 0.83156653, 1}};
    for (size_t i = 0; i < 4; i++) {
        double low, high;
        tsr_rate_interval(want[i][0], want[i][1], 0.05, &low, &high);
        NEAR(low, want[i][2], 1e-7);
        NEAR(high, want[i][3], 1e-7);
    }
    double low, high;
    tsr_rate_interval(0, 0, 0.05, &low, &high);
    ck_assert(low == 0 && high == 1);
}
END_TEST

/* Against sums over all samples, written down plainly. */
START_TEST(means_have_students_interval_where_nothing_is_skewed)
{
    struct tsr_ratio r = {0};
    double x[200], low, high, square = 0;
    for (int i = 0; i < 200; i++) {
        x[i] = 1e6 + (i % 2 ? 1 : -1) * (double)(1 + i / 2); /* symmetric, far from 0 */
        tsr_ratio_add(&r, x[i], 1);
        square += (x[i] - 1e6) * (x[i] - 1e6);
    }
    double se = sqrt(square / 199 / 200);
    NEAR(tsr_ratio_value(&r), 1e6, 1e-9);
    NEAR(tsr_ratio_error(&r), se, 1e-9);
    ck_assert(tsr_ratio_interval(&r, 0.05, &low, &high));
    /* the ends are a little further out: the extremes count twice more */
    double t = tsr_t_quantile(0.975, 199);
    ck_assert(high - 1e6 > t * se && high - 1e6 < 1.3 * t * se);
    NEAR(high - 1e6, 1e6 - low, 1e-6);
    /* four times the samples: about half the interval, and exactly half the error */
    struct tsr_ratio four = tsr_ratio_scaled(&r, 4);
    NEAR(tsr_ratio_error(&four), se / 2, 1e-3 * se);
    r = (struct tsr_ratio){0};
    for (int i = 0; i < TSR_RATIO_MIN - 1; i++) tsr_ratio_add(&r, x[i], 1);
    ck_assert(!tsr_ratio_interval(&r, 0.05, &low, &high));
    /* no spread at all */
    r = (struct tsr_ratio){0};
    for (int i = 0; i < 100; i++) tsr_ratio_add(&r, 0, 1);
    ck_assert(tsr_ratio_interval(&r, 0.01, &low, &high));
    ck_assert(low == 0 && high == 0);
}
END_TEST

/* A ratio whose denominator varies: the interval covers the truth about as often as it says. */
START_TEST(ratios_are_covered)
{
    struct tsr_rng rng;
    int missed = 0;
    tsr_rng_init(&rng, 3, 0);
    for (int k = 0; k < 1000; k++) {
        struct tsr_ratio r = {0};
        for (int i = 0; i < 200; i++) {
            double s = exp(0.5 * (double)tsr_rng_normal(&rng)), e = 0.01 * s * (0.5 + tsr_rng_double(&rng));
            tsr_ratio_add(&r, e, s);
        }
        double low, high;
        ck_assert(tsr_ratio_interval(&r, 0.05, &low, &high));
        ck_assert(low < tsr_ratio_value(&r) && tsr_ratio_value(&r) < high);
        missed += low > 0.01 || high < 0.01;
    }
    ck_assert_msg(missed <= 50, "%d of 1000 intervals of 95 %% missed", missed);
}
END_TEST

/* Ten equal rows a sample are no more than one. */
START_TEST(rows_of_one_sample_do_not_count_as_many)
{
    struct tsr_ratio one = {0}, ten = {0};
    for (int i = 0; i < 100; i++) {
        tsr_ratio_add(&one, i % 10 != 0, 1);
        tsr_ratio_add(&ten, 10 * (i % 10 != 0), 10);
    }
    double a[2], b[2];
    tsr_ratio_rate_interval(&one, 0.05, &a[0], &a[1]);
    tsr_ratio_rate_interval(&ten, 0.05, &b[0], &b[1]);
    NEAR(a[0], b[0], 2e-3); /* n against n - 1 in the variance */
    NEAR(a[1], b[1], 2e-3);
    NEAR(tsr_ratio_error(&one), tsr_ratio_error(&ten), 1e-12);
    /* where all agree, the samples are counted */
    ten = (struct tsr_ratio){0};
    for (int i = 0; i < 20; i++) tsr_ratio_add(&ten, 50, 50);
    tsr_ratio_rate_interval(&ten, 0.05, &b[0], &b[1]);
    NEAR(b[0], 0.83156653, 1e-7);
}
END_TEST

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

START_TEST(percentiles_are_those_of_the_sorted_values)
{
    enum { N = 5000 };
    static double x[N];
    struct tsr_histogram h;
    struct tsr_rng rng;
    tsr_rng_init(&rng, 4, 0);
    OK(tsr_histogram_init(&h, NULL));
    ck_assert(isnan(tsr_histogram_quantile(&h, 0.5)));
    for (int i = 0; i < N; i++) {
        double v = exp(4 * (double)tsr_rng_normal(&rng));
        x[i] = i % 3 == 0 ? -v : i % 50 == 1 ? 0 : v;
        tsr_histogram_add(&h, x[i]);
    }
    qsort(x, N, sizeof *x, by_value);
    ck_assert(h.min == x[0] && h.max == x[N - 1]);
    for (int k = 0; k <= 1000; k++) {
        double p = k / 1000.0, q = tsr_histogram_quantile(&h, p);
        int rank = (int)ceil(p * N - 1e-9);
        double want = x[rank > 0 ? rank - 1 : 0];
        NEAR(q, want, fabs(want) / 400);
    }
    tsr_histogram_release(&h);
}
END_TEST

START_TEST(percentiles_are_covered)
{
    struct tsr_rng rng;
    int missed = 0, known = 0;
    tsr_rng_init(&rng, 5, 0);
    for (int k = 0; k < 300; k++) {
        struct tsr_histogram h;
        double low, high;
        OK(tsr_histogram_init(&h, NULL));
        for (int i = 0; i < 150; i++) tsr_histogram_add(&h, tsr_rng_double(&rng));
        tsr_histogram_interval(&h, 150, 0.9, 0.05, &low, &high);
        missed += low > 0.9 || high < 0.9;
        tsr_histogram_interval(&h, 150, 0.999, 0.05, &low, &high);
        known += isfinite(high); /* 150 values cannot bound that one from above */
        tsr_histogram_release(&h);
    }
    ck_assert_msg(missed <= 20, "%d of 300 intervals of 95 %% missed", missed);
    ck_assert_int_eq(known, 0);
}
END_TEST

/* HSIC's unbiased estimator as a sum over quadruples of different rows (Song and others, equation 4). */
static double hsic(const double *k, const double *l, int n, int skip)
{
    double a = 0, b = 0, c = 0, m = n - (skip >= 0);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            for (int q = 0; q < n; q++)
                for (int r = 0; r < n; r++) {
                    if (i == skip || j == skip || q == skip || r == skip || i == j || q == r) continue;
                    if (q == i && r == j) a += k[i * n + j] * l[i * n + j];
                    if (q == i && r != j) b += k[i * n + j] * l[i * n + r];
                    if (q != i && q != j && r != i && r != j) c += k[i * n + j] * l[q * n + r];
                }
    return a / (m * (m - 1)) - 2 * b / (m * (m - 1) * (m - 2)) + c / (m * (m - 1) * (m - 2) * (m - 3));
}

static void products(const float *x, int n, int d, double *k)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            k[i * n + j] = 0;
            for (int c = 0; c < d; c++) k[i * n + j] += (double)x[i * d + c] * (double)x[j * d + c];
        }
}

START_TEST(alignment_is_what_its_definition_says)
{
    enum { N = 22, D = 3, E = 5 };
    static float x[N * D], y[N * E];
    static double k[N * N], l[N * N];
    size_t slot[N];
    struct tsr_rng rng;
    struct tsr_alignment a;
    tsr_rng_init(&rng, 6, 0);
    for (size_t i = 0; i < N; i++) {
        slot[i] = i;
        for (int c = 0; c < D; c++) x[i * D + (size_t)c] = 2 + tsr_rng_normal(&rng);
        for (int c = 0; c < E; c++) y[i * E + (size_t)c] = x[i * D + (size_t)(c % D)] + 0.7f * tsr_rng_normal(&rng);
    }
    OK(tsr_alignment(x, D, y, E, slot, N, &a, NULL));
    products(x, N, D, k);
    products(y, N, E, l);
    double want = hsic(k, l, N, -1) / sqrt(hsic(k, k, N, -1) * hsic(l, l, N, -1)), mean = 0, square = 0;
    NEAR(a.cka, want, 1e-9);
    for (int i = 0; i < N; i++) {
        double v = hsic(k, l, N, i) / sqrt(hsic(k, k, N, i) * hsic(l, l, N, i));
        mean += v / N;
        square += v * v;
    }
    NEAR(a.cka_error, sqrt((square - N * mean * mean) * (N - 1.0) / N), 1e-8);
    ck_assert(a.p <= 0.01);
    ck_assert(a.neighbours > 0.5 && a.neighbours <= 1);
}
END_TEST

/* Invariant under rotation, permutation and scaling of the units, and near 0 for noise even at more
 * features than rows, where plain CKA is near 1. */
START_TEST(alignment_sees_geometry_alone)
{
    enum { N = 60, D = 200 };
    static float x[N * D], y[N * D], z[N * D];
    size_t slot[N];
    struct tsr_rng rng;
    struct tsr_alignment a;
    tsr_rng_init(&rng, 7, 0);
    for (size_t i = 0; i < N; i++) slot[i] = i;
    for (size_t i = 0; i < N * D; i++) {
        x[i] = tsr_rng_normal(&rng);
        y[i] = tsr_rng_normal(&rng);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < D; j += 2) { /* units swapped and rotated by 30 degrees, times 3 */
            float u = x[i * D + D - 1 - j], v = x[i * D + D - 2 - j];
            z[i * D + j] = 3 * (0.8660254f * u - 0.5f * v);
            z[i * D + j + 1] = 3 * (0.5f * u + 0.8660254f * v);
        }
    OK(tsr_alignment(x, D, z, D, slot, N, &a, NULL));
    NEAR(a.cka, 1, 1e-5);
    NEAR(a.neighbours, 1, 0.01);
    OK(tsr_alignment(x, D, y, D, slot, N, &a, NULL));
    ck_assert_msg(fabs(a.cka) < 0.1, "noise aligns with noise: %g", a.cka);
    ck_assert(a.p > 0.01);
    for (size_t i = 0; i < N * D; i++) y[i] = 4; /* a constant side */
    OK(tsr_alignment(x, D, y, D, slot, N, &a, NULL));
    ck_assert(isnan(a.cka));
    ck_assert_int_eq(tsr_alignment(x, D, y, D, slot, TSR_ALIGNMENT_MIN - 1, &a, NULL), TSR_E_USAGE);
}
END_TEST

static void fill(struct tsr_moments *m, const float *x, int n, int d)
{
    OK(tsr_moments_init(m, d, NULL));
    for (int i = 0; i < n; i++) tsr_moments_add(m, x + i * d);
}

/* Scaled and shifted copies have closed forms: for q = s p + t, diagonal and full KL and Frechet. */
START_TEST(gaussians_are_compared_as_their_formulas_say)
{
    enum { N = 500, D = 3 };
    static float x[N * D], y[N * D];
    struct tsr_rng rng;
    struct tsr_moments p, q;
    struct tsr_gaussian g;
    tsr_rng_init(&rng, 8, 0);
    for (int i = 0; i < N; i++) {
        float common = tsr_rng_normal(&rng);
        for (int j = 0; j < D; j++) {
            x[i * D + j] = 100 + common + (float)(j + 1) * tsr_rng_normal(&rng);
            y[i * D + j] = 2 * x[i * D + j] - 97;
        }
    }
    fill(&p, x, N, D);
    fill(&q, y, N, D);
    OK(tsr_gaussian_compare(&p, &q, false, &g, NULL));
    double mean[D] = {0}, trace = 0, shift = 0, maha = 0, var[D] = {0}, cov[D * D] = {0}, diff[D], solved[D];
    for (int i = 0; i < N * D; i++) mean[i % D] += (double)x[i] / N;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D; j++)
            for (int k = 0; k < D; k++)
                cov[j * D + k] += ((double)x[i * D + j] - mean[j]) * ((double)x[i * D + k] - mean[k]) / (N - 1);
    for (int j = 0; j < D; j++) {
        var[j] = cov[j * D + j];
        diff[j] = solved[j] = mean[j] - (2 * mean[j] - 97);
        trace += var[j];
        shift += diff[j] * diff[j];
    }
    double diagonal = 0;
    for (int j = 0; j < D; j++) diagonal += (log(4) + 0.25 + diff[j] * diff[j] / (4 * var[j]) - 1) / 2;
    OK(tsr_lapack_cholesky(D, cov, D, NULL));
    OK(tsr_lapack_cholesky_solve(D, 1, cov, D, solved, 1, NULL));
    for (int j = 0; j < D; j++) maha += diff[j] * solved[j] / 4;
    NEAR(g.diagonal, diagonal, 1e-4);
    NEAR(g.full, (D * log(4) + D * 0.25 + maha - D) / 2, 1e-4);
    NEAR(g.frechet, shift + trace, 1e-3 * (shift + trace)); /* (2 - 1)^2 of every variance */
    tsr_moments_release(&q);
    /* of itself: 0 but for rounding; small noise is seen */
    fill(&q, x, N, D);
    OK(tsr_gaussian_compare(&p, &q, false, &g, NULL));
    NEAR(g.diagonal, 0, 1e-12);
    NEAR(g.full, 0, 1e-12);
    NEAR(g.frechet, 0, 1e-12);
    tsr_moments_release(&q);
    for (int i = 0; i < N * D; i++) y[i] = x[i] + (i % D == 1 ? 1e-3f * (x[i] - 100) : 0);
    fill(&q, y, N, D);
    OK(tsr_gaussian_compare(&p, &q, false, &g, NULL));
    ck_assert(g.full > 1e-7 && g.full < 1e-5 && g.frechet > 1e-6 && g.frechet < 1e-4);
    tsr_moments_release(&q);
    tsr_moments_release(&p);
}
END_TEST

START_TEST(constant_features_are_no_accident)
{
    enum { N = 40, D = 4 };
    static float x[N * D], y[N * D];
    struct tsr_moments p, q;
    struct tsr_gaussian g;
    for (int i = 0; i < N; i++) {
        float row[D] = {(float)(i % 7), 0.1f, (float)(i % 5), (float)(i * i % 11)};
        for (int j = 0; j < D; j++) x[i * D + j] = y[i * D + j] = row[j];
        y[i * D] *= 1.5f;
    }
    fill(&p, x, N, D);
    fill(&q, y, N, D);
    OK(tsr_gaussian_compare(&p, &q, false, &g, NULL)); /* a dead unit in both says nothing */
    ck_assert(isfinite(g.diagonal) && g.diagonal > 0 && isfinite(g.full) && isfinite(g.frechet));
    tsr_moments_release(&q);
    for (int i = 0; i < N; i++) y[i * D + 2] = 1; /* one that died on the way */
    fill(&q, y, N, D);
    OK(tsr_gaussian_compare(&p, &q, false, &g, NULL));
    ck_assert(isinf(g.diagonal) && isinf(g.full) && isfinite(g.frechet));
    tsr_moments_release(&p);
    tsr_moments_release(&q);
    fill(&p, x, 4, D);
    fill(&q, x, 4, D);
    OK(tsr_gaussian_compare(&p, &q, false, &g, NULL));
    ck_assert(isnan(g.full) && g.full_why != NULL);
    tsr_moments_release(&p);
    tsr_moments_release(&q);
}
END_TEST

static void key_of(int i, struct tsr_key *k)
{
    struct tsr_keyhash h;
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, &i, sizeof i);
    tsr_keyhash_final(&h, k);
}

/* Which rows are kept depends on their keys alone. */
START_TEST(a_sketch_keeps_the_same_rows_in_any_order)
{
    struct tsr_sketch a, b;
    tsr_sketch_init(&a, 1, 1);
    tsr_sketch_init(&b, 1, 1);
    for (int i = 0; i < 3000; i++) {
        struct tsr_key k;
        int j = 2999 - i;
        float x = (float)i, y = (float)j;
        key_of(i, &k);
        OK(tsr_sketch_add(&a, &k, &x, &x, NULL));
        key_of(j, &k);
        OK(tsr_sketch_add(&b, &k, &y, &y, NULL));
    }
    tsr_sketch_sort(&a);
    tsr_sketch_sort(&b);
    ck_assert_uint_eq(a.rows, TSR_SKETCH_ROWS);
    ck_assert_uint_eq(b.rows, TSR_SKETCH_ROWS);
    double mean = 0;
    for (size_t i = 0; i < a.rows; i++) {
        ck_assert(a.x[0][a.heap[i].slot] == b.x[1][b.heap[i].slot]);
        mean += (double)a.x[0][i] / (double)a.rows;
    }
    NEAR(mean, 1500, 100); /* 27 is one standard error */
    tsr_sketch_release(&a);
    tsr_sketch_release(&b);
}
END_TEST

START_TEST(clusters_add_up)
{
    struct tsr_clusters *c;
    struct tsr_key k;
    OK(tsr_clusters_new(2, &c, NULL));
    for (int i = 0; i < 9000; i++) {
        double x[2] = {1, i};
        key_of(i % 3000, &k);
        OK(tsr_clusters_add(c, &k, x, NULL));
    }
    ck_assert_uint_eq(tsr_clusters_count(c), 3000);
    for (int i = 0; i < 3000; i++) {
        const double *s = tsr_clusters_sums(c, (size_t)i);
        ck_assert(s[0] == 3 && s[1] == 3.0 * i + 9000);
    }
    tsr_clusters_clear(c);
    ck_assert_uint_eq(tsr_clusters_count(c), 0);
    OK(tsr_clusters_add(c, &k, (double[]){5, 6}, NULL));
    ck_assert(tsr_clusters_sums(c, 0)[0] == 5);
    tsr_clusters_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("drift-numbers");
    TCase *t = tcase_create("numbers");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, quantiles_are_those_of_the_tables);
    tcase_add_test(t, rates_have_clopper_and_pearsons_interval);
    tcase_add_test(t, means_have_students_interval_where_nothing_is_skewed);
    tcase_add_test(t, ratios_are_covered);
    tcase_add_test(t, rows_of_one_sample_do_not_count_as_many);
    tcase_add_test(t, percentiles_are_those_of_the_sorted_values);
    tcase_add_test(t, percentiles_are_covered);
    tcase_add_test(t, alignment_is_what_its_definition_says);
    tcase_add_test(t, alignment_sees_geometry_alone);
    tcase_add_test(t, gaussians_are_compared_as_their_formulas_say);
    tcase_add_test(t, constant_features_are_no_accident);
    tcase_add_test(t, a_sketch_keeps_the_same_rows_in_any_order);
    tcase_add_test(t, clusters_add_up);
    suite_add_tcase(s, t);
    return run_suite(s);
}
