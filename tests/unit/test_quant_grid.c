/* Histograms that merge, calibrators, steps and scales. */
#include "suite.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tessera.h"

static struct tsr_error err;
#define OK(e) ck_assert_msg((e) == TSR_OK, "%s", err.message)

static void normal(float *x, int64_t n, uint64_t seed, float scale)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed, 0);
    for (int64_t i = 0; i < n; i++) x[i] = scale * (float)tsr_rng_normal(&r);
}

static struct tsr_bins *made(const float *x, int64_t n)
{
    struct tsr_bins *h = malloc(sizeof *h);
    ck_assert(h != NULL);
    tsr_bins_init(h);
    tsr_bins_add(h, x, n);
    return h;
}

START_TEST(histograms_do_not_depend_on_order)
{
    enum { N = 3000 };
    float x[N], y[N];
    normal(x, N, 1, 1);
    x[7] = 1e-30f, x[8] = -3e4f, x[9] = 0, x[10] = 1e-3f, x[11] = 2048, x[12] = -0.0f;
    for (int i = 0; i < N; i++) y[i] = x[(i * 1001 + 13) % N]; /* another order */
    struct tsr_bins *a = made(x, N), *b = made(NULL, 0), *c = made(y, 17), *d = made(y + 17, N - 17);
    for (int i = 0; i < N; i += 100) tsr_bins_add(b, y + i, 100);
    tsr_bins_merge(c, d);
    ck_assert_int_eq(memcmp(a, b, sizeof *a), 0);
    ck_assert_int_eq(memcmp(a, c, sizeof *a), 0);
    struct tsr_bins *e = made(x, N), *f = made(NULL, 0);
    tsr_bins_merge(f, e); /* into an empty one */
    tsr_bins_merge(e, b);
    ck_assert_uint_eq(e->count, 2 * N);
    ck_assert_int_eq(memcmp(a, f, sizeof *a), 0);
    uint64_t sum = a->zeros;
    for (int i = 0; i < TSR_BINS; i++) sum += a->bin[i];
    ck_assert_uint_eq(sum, N);
    ck_assert_uint_eq(a->zeros, 2);
    ck_assert(a->min == -3e4f && a->max == 2048);
    free(a), free(b), free(c), free(d), free(e), free(f);
}
END_TEST

START_TEST(histograms_count_what_is_no_number)
{
    float x[] = {NAN, INFINITY, -INFINITY, 1, 0, 3.4e38f, 1e-45f};
    struct tsr_bins *h = made(x, 7);
    ck_assert_uint_eq(h->strange, 3);
    ck_assert_uint_eq(h->count, 4);
    ck_assert(h->max == 3.4e38f && h->min == 0);
    free(h);
    h = made(x, 3);
    ck_assert_uint_eq(h->count, 0);
    ck_assert(tsr_bins_quantile(h, 0.5) == 0);
    free(h);
}
END_TEST

START_TEST(quantiles)
{
    enum { N = 100000 };
    float *x = malloc(N * sizeof *x);
    normal(x, N, 2, 3);
    for (int i = 0; i < N; i += 2) x[i] = 0; /* half of them */
    struct tsr_bins *h = made(x, N);
    ck_assert_double_le(fabs(tsr_bins_quantile(h, 0.025) + 3 * 1.6449), 0.1); /* a tail of 5 % of the normal half */
    ck_assert_double_le(fabs(tsr_bins_quantile(h, 0.975) - 3 * 1.6449), 0.1);
    ck_assert(tsr_bins_quantile(h, 0.5) == 0);
    ck_assert(tsr_bins_quantile(h, 1) == (double)h->max);
    ck_assert_double_le(fabs(tsr_bins_quantile(h, 0) - (double)h->min), tsr_bins_width(h));
    free(h), free(x);
}
END_TEST

static double squared_error(const float *x, int64_t n, float lo, float hi, int bits)
{
    const struct tsr_step s = tsr_step_of(lo, hi, bits, false);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += pow((double)x[i] - (double)tsr_step_round(&s, x[i]), 2);
    return sum / (double)n;
}

START_TEST(calibrators)
{
    enum { N = 50000 };
    float *x = malloc(N * sizeof *x), lo, hi, lo2, hi2;
    normal(x, N, 3, 1);
    for (int i = 0; i < N; i++) x[i] = x[i] > 0 ? x[i] : 0; /* behind a Relu */
    x[5] = 60;                                               /* one that sticks out */
    struct tsr_bins *h = made(x, N);
    tsr_calibrate(h, TSR_CALIBRATE_MINMAX, 0, 8, false, &lo, &hi);
    ck_assert(lo == 0 && hi == 60);
    double full = squared_error(x, N, lo, hi, 4);
    tsr_calibrate(h, TSR_CALIBRATE_PERCENTILE, 0.999, 8, false, &lo, &hi);
    ck_assert(lo == 0 && hi > 2.8f && hi < 3.8f);
    tsr_calibrate(h, TSR_CALIBRATE_MSE, 0, 4, false, &lo, &hi);
    ck_assert(lo == 0);
    double best = squared_error(x, N, lo, hi, 4);
    ck_assert_double_lt(best, full / 3);
    for (int c = 1; c <= 60; c++) /* no other end of the range is much better */
        ck_assert_double_le(best, squared_error(x, N, 0, (float)c, 4) * 1.05);
    tsr_calibrate(h, TSR_CALIBRATE_ENTROPY, 0, 8, false, &lo, &hi);
    ck_assert(lo == 0 && hi > 1 && hi < 60);
    for (int how = 0; how < 4; how++) {
        tsr_calibrate(h, (enum tsr_calibrator)how, 0.9999, 8, true, &lo, &hi);
        ck_assert(lo == -hi && hi > 0);
        tsr_calibrate(h, (enum tsr_calibrator)how, 0.9999, 8, true, &lo2, &hi2);
        ck_assert(lo == lo2 && hi == hi2);
    }
    free(h);
    float flat[4] = {-2, -2, -2, -2};
    h = made(flat, 4); /* a constant: it must still be there */
    for (int how = 0; how < 4; how++) {
        tsr_calibrate(h, (enum tsr_calibrator)how, 0.9999, 8, false, &lo, &hi);
        const struct tsr_step s = tsr_step_of(lo, hi, 8, false);
        ck_assert_msg(fabsf(tsr_step_round(&s, -2) + 2) < 0.05f, "%s: -2 becomes %g", tsr_calibrator_names[how],
                      (double)tsr_step_round(&s, -2));
    }
    free(h);
    h = made(NULL, 0);
    tsr_calibrate(h, TSR_CALIBRATE_MSE, 0, 8, false, &lo, &hi);
    ck_assert(lo == 0 && hi == 0);
    free(h), free(x);
}
END_TEST

START_TEST(steps)
{
    struct tsr_step s = tsr_step_of(0, 6, 8, false);
    float lo, hi;
    ck_assert(s.zero == -128 && s.scale == 6.0f / 255);
    tsr_step_range(&s, &lo, &hi);
    ck_assert(lo == 0 && fabsf(hi - 6) < 1e-6f);
    s = tsr_step_of(-1, 3, 8, true);
    ck_assert(s.zero == 0 && s.scale == 3.0f / 127);
    s = tsr_step_of(2, 3, 8, false); /* 0 is always there */
    ck_assert(s.zero == -128 && s.scale == 3.0f / 255);
    s = tsr_step_of(-4, 4, 4, false);
    ck_assert(s.zero >= -8 && s.zero <= 7);
    ck_assert(tsr_step_round(&s, 0) == 0);
    ck_assert(tsr_step_round(&s, NAN) == tsr_step_round(&s, -100));
    const float bad[][2] = {{0, 0}, {NAN, 1}, {0, INFINITY}, {0, 1e-42f}};
    for (int i = 0; i < 4; i++) {
        s = tsr_step_of(bad[i][0], bad[i][1], 8, false);
        ck_assert(s.scale == 1 && s.zero == 0);
    }
}
END_TEST

START_TEST(weights)
{
    const int64_t dim[] = {3, 4, 5};
    struct tsr_tensor w;
    struct tsr_rng r;
    OK(tsr_tensor_zeros(&w, TSR_F32, 3, dim, &err));
    tsr_rng_init(&r, 4, 0);
    for (int i = 0; i < 60; i++) ((float *)w.data)[i] = (float)tsr_rng_normal(&r);
    for (int i = 0; i < 20; i++) ((float *)w.data)[20 + i] = 0; /* a channel of zeros */
    for (int axis = 0; axis < 3; axis++)
        for (int block = 0; block <= 3; block++)
            for (int fit = 0; fit < 2; fit++) {
                struct tsr_weight_grid g = {.bits = 4, .axis = axis, .block = block};
                float scale[60];
                int8_t q[60];
                const struct tsr_shape s = tsr_weight_scale_shape(&w.shape, &g);
                OK(tsr_weight_scales(&w, &g, fit, scale, &err));
                tsr_weight_round(&w, &g, scale, q);
                int64_t n = tsr_shape_count(&s);
                bool used[60] = {false};
                double error = 0, size = 0;
                for (int64_t i = 0; i < 60; i++) {
                    int64_t k = tsr_weight_scale_index(&w.shape, &g, i);
                    ck_assert(k >= 0 && k < n);
                    used[k] = true;
                    ck_assert(q[i] >= -7 && q[i] <= 7);
                    double x = ((const float *)w.data)[i], e = x - q[i] * (double)scale[k];
                    if (!fit) ck_assert_double_le(fabs(e), (double)scale[k] / 2 + 1e-6);
                    error += e * e, size += x * x;
                }
                for (int64_t k = 0; k < n; k++) ck_assert(used[k] && scale[k] > 0);
                ck_assert_double_le(error, size / 50);
            }
    struct tsr_weight_grid g = {.bits = 8, .axis = 0};
    float scale[3];
    OK(tsr_weight_scales(&w, &g, false, scale, &err));
    ck_assert(scale[1] == 1);
    ((float *)w.data)[3] = NAN;
    ck_assert_int_eq(tsr_weight_scales(&w, &g, false, scale, &err), TSR_E_NUMERIC);
    tsr_tensor_release(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/grid");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, histograms_do_not_depend_on_order);
    tcase_add_test(c, histograms_count_what_is_no_number);
    tcase_add_test(c, quantiles);
    tcase_add_test(c, calibrators);
    tcase_add_test(c, steps);
    tcase_add_test(c, weights);
    suite_add_tcase(s, c);
    return run_suite(s);
}
