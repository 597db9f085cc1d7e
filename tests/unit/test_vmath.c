/* The vector functions: errors over the whole range for every instruction set, special values,
 * and that a result does not depend on the element's place. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4096 };

static double d_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double d_phi(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
static double d_gelu(double x) { return x == -INFINITY ? 0 : x * d_phi(x); }
static double d_gelu_tanh(double x)
{
    return x == -INFINITY ? 0 : x * d_sigmoid(2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
}
static double d_softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double d_mish(double x) { return x == -INFINITY ? 0 : x * tanh(d_softplus(x)); }
static double d_swish(double x) { return x == -INFINITY ? 0 : x * d_sigmoid(1.5 * x); }
static double d_gelu_slope(double x) { return d_phi(x) + x * exp(-x * x / 2) / sqrt(2 * M_PI); }
static double d_gelu_tanh_slope(double x)
{
    double k = 2 * sqrt(2 / M_PI), s = d_sigmoid(k * (x + 0.044715 * x * x * x));
    return s + x * s * (1 - s) * k * (1 + 3 * 0.044715 * x * x);
}
static double d_mish_slope(double x)
{
    double t = tanh(d_softplus(x));
    return t + x * (1 - t * t) * d_sigmoid(x);
}
static double d_swish_slope(double x)
{
    double s = d_sigmoid(1.5 * x);
    return s + 1.5 * x * s * (1 - s);
}
static void swish(int64_t n, const float *x, float *y) { tsr_vswish(n, 1.5f, x, y); }
static void swish_grad(int64_t n, const float *x, const float *g, float *y) { tsr_vswish_grad(n, 1.5f, x, g, y); }

/* Distance in units of the last place of the exact value. */
static double ulps(float y, double exact)
{
    if (isnan(exact)) return isnan(y) ? 0 : INFINITY;
    if (isinf((float)exact) || isinf(y)) return y == (float)exact ? 0 : isinf(y) && fabs(exact) > 3.4028e38 ? 0 : INFINITY;
    int e;
    frexp(exact, &e);
    return fabs((double)y - exact) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

static const struct {
    const char *name;
    void (*f)(int64_t, const float *, float *);
    double (*exact)(double);
    double lo, hi, tol; /* ulp */
} map[] = {
    {"exp", tsr_vexp, exp, -110, 95, 2},
    {"log", tsr_vlog, log, 0, 4, 3},
    {"log", tsr_vlog, log, 0, 1e38, 3},
    {"tanh", tsr_vtanh, tanh, -12, 12, 6},
    {"tanh", tsr_vtanh, tanh, -1e-3, 1e-3, 4},
    {"sigmoid", tsr_vsigmoid, d_sigmoid, -86, 100, 3},
    {"erf", tsr_verf, erf, -5, 5, 4},
    {"erf", tsr_verf, erf, -1e-3, 1e-3, 4},
    {"gelu", tsr_vgelu, d_gelu, -5, 20, 40},
    {"gelu_tanh", tsr_vgelu_tanh, d_gelu_tanh, -4, 20, 40},
    {"softplus", tsr_vsoftplus, d_softplus, -80, 40, 4},
    {"mish", tsr_vmish, d_mish, -80, 40, 6},
    {"swish", swish, d_swish, -20, 40, 40},
};

START_TEST(map_errors)
{
    static float x[N], y[N];
    int level = tsr_vmath_limit(_i);
    for (size_t k = 0; k < sizeof map / sizeof *map; k++) {
        struct tsr_rng r;
        tsr_rng_init(&r, 7, k);
        double worst = 0;
        float at = 0;
        for (int turn = 0; turn < 60; turn++) {
            for (int i = 0; i < N; i++) x[i] = (float)(map[k].lo + (map[k].hi - map[k].lo) * tsr_rng_double(&r));
            map[k].f(N, x, y);
            for (int i = 0; i < N; i++) {
                double u = ulps(y[i], map[k].exact((double)x[i]));
                if (!(u <= worst)) worst = u, at = x[i];
            }
        }
        if (getenv("TSR_VERBOSE")) printf("level %d %-10s %.2f ulp at %.9g\n", level, map[k].name, worst, (double)at);
        ck_assert_msg(worst <= map[k].tol, "level %d: %s is off by %g ulp at %.9g", level, map[k].name, worst, (double)at);
    }
    tsr_vmath_limit(2);
}
END_TEST

static const struct {
    const char *name;
    void (*f)(int64_t, const float *, const float *, float *);
    double (*exact)(double);
} grad[] = {
    {"gelu", tsr_vgelu_grad, d_gelu_slope},         {"gelu_tanh", tsr_vgelu_tanh_grad, d_gelu_tanh_slope},
    {"softplus", tsr_vsoftplus_grad, d_sigmoid},    {"mish", tsr_vmish_grad, d_mish_slope},
    {"swish", swish_grad, d_swish_slope},
};

START_TEST(slopes)
{
    static float x[N], g[N], y[N];
    tsr_vmath_limit(_i);
    for (size_t k = 0; k < sizeof grad / sizeof *grad; k++) {
        for (int i = 0; i < N; i++) x[i] = (float)(-25 + 50.0 * i / N), g[i] = 2;
        grad[k].f(N, x, g, y);
        for (int i = 0; i < N; i++)
            ck_assert_msg(fabs((double)y[i] - 2 * grad[k].exact((double)x[i])) <= 5e-6, "slope of %s at %g: %g, not %g",
                          grad[k].name, (double)x[i], (double)y[i], 2 * grad[k].exact((double)x[i]));
        x[0] = INFINITY, x[1] = -INFINITY, x[2] = NAN, x[3] = 1e30f, x[4] = -1e30f;
        grad[k].f(5, x, g, y);
        ck_assert_msg(y[0] == 2 && y[3] == 2 && fabsf(y[1]) < 1e-30f && fabsf(y[4]) < 1e-30f && isnan(y[2]), "slope of %s far out: %g %g %g %g %g",
                      grad[k].name, (double)y[0], (double)y[1], (double)y[2], (double)y[3], (double)y[4]);
    }
    float t[] = {0.5f}, one[] = {3}, out[1];
    tsr_vtanh_grad(1, t, one, out);
    ck_assert(out[0] == 2.25f);
    tsr_vsigmoid_grad(1, t, one, out);
    ck_assert(out[0] == 0.75f);
    tsr_vmath_limit(2);
}
END_TEST

START_TEST(special_values)
{
    const float x[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e30f, -1e30f, 1e-40f, -1e-40f, 88.8f, -103.5f};
    enum { M = sizeof x / sizeof *x };
    float y[M];
    tsr_vmath_limit(_i);
    for (size_t k = 0; k < sizeof map / sizeof *map; k++) {
        map[k].f(M, x, y);
        for (int i = 0; i < M; i++) {
            double e = map[k].exact((double)x[i]);
            ck_assert_msg(isnan(e) ? isnan(y[i]) : ulps(y[i], e) <= 4 || fabs((double)y[i] - e) < 1e-37,
                          "%s(%g) is %g, not %g", map[k].name, (double)x[i], (double)y[i], e);
        }
        ck_assert(!isnan(y[0]));
    }
    tsr_vmath_limit(2);
}
END_TEST

START_TEST(place_does_not_matter)
{
    static float x[300], y[300], z[300];
    tsr_vmath_limit(_i);
    for (int i = 0; i < 300; i++) x[i] = -20 + 0.1337f * (float)i;
    for (size_t k = 0; k < sizeof map / sizeof *map; k++) {
        map[k].f(300, x, y);
        for (int n = 0; n < 70; n++)
            for (int from = 0; from < 3; from++) {
                map[k].f(n, x + from, z);
                ck_assert(memcmp(z, y + from, (size_t)n * sizeof *y) == 0);
            }
        memcpy(z, x, sizeof x);
        map[k].f(300, z, z);
        ck_assert(memcmp(z, y, sizeof y) == 0);
    }
    tsr_vmath_limit(2);
}
END_TEST

START_TEST(sums)
{
    static float x[1000], y[1000], z[1000];
    tsr_vmath_limit(_i);
    for (int i = 0; i < 1000; i++) x[i] = (float)((i * 37) % 101) - 40.5f, y[i] = (float)(i % 7);
    for (int n = 0; n < 100; n++) {
        double s = 0, d = 0, e = 0;
        float m = -INFINITY;
        for (int i = 0; i < n; i++) s += (double)x[i], d += (double)(x[i] * y[i]), m = fmaxf(m, x[i]);
        ck_assert(tsr_vsum(n, x) == s && tsr_vdot(n, x, y) == d && tsr_vmax(n, x) == m);
        float got = tsr_vexp_sum(n, x, 60, z);
        for (int i = 0; i < n; i++) {
            float one, shifted = x[i] - 60;
            tsr_vexp(1, &shifted, &one);
            ck_assert(one == z[i]);
            e += (double)one;
        }
        ck_assert(fabs((double)got - e) <= 1e-6 * e);
    }
    tsr_vmath_limit(2);
}
END_TEST

START_TEST(softmax_rows)
{
    static float x[3 * 700], y[3 * 700], z[3 * 700];
    tsr_vmath_limit(_i);
    for (int i = 0; i < 3 * 700; i++) x[i] = (float)((i * 37) % 101) * 0.1f - 4;
    for (int n = 1; n < 700; n += n < 80 ? 1 : 47) {
        tsr_vsoftmax(3, n, x, y);
        for (int r = 0; r < 3; r++) {
            double s = 0;
            for (int i = 0; i < n; i++) s += exp((double)x[r * n + i]);
            for (int i = 0; i < n; i++) ck_assert(fabs((double)y[r * n + i] - exp((double)x[r * n + i]) / s) <= 1e-6);
            if (n < 32) continue; /* those add up otherwise */
            const float whole = 1 / tsr_vexp_sum(n, x + r * n, tsr_vmax(n, x + r * n), z);
            for (int i = 0; i < n; i++) ck_assert(y[r * n + i] == z[i] * whole);
        }
        memcpy(z, x, sizeof z);
        tsr_vsoftmax(3, n, z, z);
        ck_assert_int_eq(memcmp(y, z, (size_t)(3 * n) * sizeof *y), 0);
    }
    x[5] = NAN;
    tsr_vsoftmax(1, 40, x, y);
    for (int i = 0; i < 40; i++) ck_assert(isnan(y[i]));
    tsr_vmath_limit(2);
}
END_TEST

/* Against doubles, and the same bits from all instruction sets. */
START_TEST(normalised_rows)
{
    enum { ROWS = 3, MOST = 150 };
    static float x[ROWS * MOST], y[3][ROWS * MOST], scale[MOST], bias[MOST], mean[3][ROWS], rstd[3][ROWS];
    for (int i = 0; i < ROWS * MOST; i++) x[i] = (float)((i * 37) % 101) * 0.1f - 3;
    for (int i = 0; i < MOST; i++) scale[i] = 0.5f + (float)(i % 5), bias[i] = (float)(i % 7) - 2;
    for (int n = 1; n <= MOST; n++)
        for (int form = 0; form < 4; form++) {
            int levels = 0;
            for (int level = 0; level < 3; level++) {
                if (tsr_vmath_limit(level) != level) continue;
                struct tsr_vnorm v = {.x = x, .scale = scale, .bias = form & 1 ? bias : NULL, .y = y[levels], .mean = mean[levels],
                                      .rstd = rstd[levels], .epsilon = 1e-5f, .centre = form & 2};
                tsr_vnormalise(ROWS, n, &v);
                ck_assert_int_eq(memcmp(y[0], y[levels], (size_t)(ROWS * n) * sizeof **y), 0);
                ck_assert_int_eq(memcmp(mean[0], mean[levels], sizeof *mean), 0);
                ck_assert_int_eq(memcmp(rstd[0], rstd[levels], sizeof *rstd), 0);
                levels++;
            }
            for (int r = 0; r < ROWS; r++) {
                double m = 0, s = 0;
                for (int i = 0; i < n && form & 2; i++) m += (double)x[r * n + i] / n;
                for (int i = 0; i < n; i++) s += ((double)x[r * n + i] - m) * ((double)x[r * n + i] - m) / n;
                const double inverse = 1 / sqrt(s + 1e-5);
                ck_assert(fabs((double)mean[0][r] - m) <= 1e-5 && fabs((double)rstd[0][r] - inverse) <= 1e-4 * inverse);
                for (int i = 0; i < n; i++) {
                    const double want = ((double)x[r * n + i] - m) * inverse * (double)scale[i] + (form & 1 ? (double)bias[i] : 0);
                    ck_assert_msg(fabs((double)y[0][r * n + i] - want) <= (n == 1 ? 1e-2 : 1e-4) * (1 + fabs(want)), "%g, not %g", (double)y[0][r * n + i], want);
                }
            }
        }
    tsr_vmath_limit(2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vmath");
    TCase *c = tcase_create("vmath");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, map_errors, 0, 3);
    tcase_add_loop_test(c, slopes, 0, 3);
    tcase_add_loop_test(c, special_values, 0, 3);
    tcase_add_loop_test(c, place_does_not_matter, 0, 3);
    tcase_add_loop_test(c, sums, 0, 3);
    tcase_add_loop_test(c, softmax_rows, 0, 3);
    tcase_add_test(c, normalised_rows);
    suite_add_tcase(s, c);
    return run_suite(s);
}
