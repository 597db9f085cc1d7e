/* test_loss.c - losses and their gradients. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>

enum { N = 5, C = 4 };

static float z[N * C], p[N * C];
static int32_t label[N];

static void fill(uint64_t seed)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed, 0);
    for (int i = 0; i < N * C; i++) {
        z[i] = 2 * tsr_rng_normal(&r);
        p[i] = 2 * tsr_rng_normal(&r);
    }
    for (int i = 0; i < N; i++) label[i] = (int32_t)tsr_rng_below(&r, C);
}

static double cross_entropy(float *g) { return tsr_loss_cross_entropy(z, label, N, C, g); }
static double kl_1(float *g) { return tsr_loss_kl(z, p, N, C, 1, g); }
static double kl_3(float *g) { return tsr_loss_kl(z, p, N, C, 3, g); }
static double mse(float *g) { return tsr_loss_mse(z, p, N, C, g); }

/* Central differences; the losses are float32 inside, hence the step and the tolerance. */
static void check_gradient(double (*loss)(float *))
{
    float g[N * C];
    const float h = 0.01f;
    double at = loss(g);
    ck_assert(at == loss(NULL));
    for (int i = 0; i < N * C; i++) {
        float was = z[i];
        z[i] = was + h;
        double up = loss(NULL);
        z[i] = was - h;
        double down = loss(NULL);
        z[i] = was;
        double slope = (up - down) / (2 * (double)h), wrong = fabs(slope - (double)g[i]);
        ck_assert_msg(wrong <= 5e-5 + 1e-3 * fabs(slope), "element %d: %g, by differences %g", i, (double)g[i], slope);
    }
}

START_TEST(gradients_are_those_of_the_losses)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        fill(seed);
        check_gradient(mse);
        check_gradient(cross_entropy);
        tsr_softmax_rows(p, N, C, 1, p);
        check_gradient(kl_1);
        check_gradient(kl_3);
    }
}
END_TEST

START_TEST(values_are_those_of_the_formulas)
{
    static const float two[2] = {0, 0}, half[2] = {0.5f, 0.5f}, sure[2] = {1, 0}, y[2] = {1, -3};
    static const int32_t first[1] = {0};
    ck_assert_double_eq_tol(tsr_loss_cross_entropy(two, first, 1, 2, NULL), log(2), 1e-6);
    ck_assert_double_eq_tol(tsr_loss_kl(two, half, 1, 2, 1, NULL), 0, 1e-7);
    ck_assert_double_eq_tol(tsr_loss_kl(two, sure, 1, 2, 1, NULL), log(2), 1e-6);
    ck_assert_double_eq_tol(tsr_loss_kl(two, sure, 1, 2, 2, NULL), 4 * log(2), 1e-5);
    ck_assert_double_eq_tol(tsr_loss_mse(two, y, 1, 2, NULL), 5, 1e-6);
    /* equal outputs, whatever their offset and the temperature: no divergence, no gradient */
    float q[C], g[C];
    for (float t = 0.5f; t < 5; t *= 2) {
        fill(9);
        tsr_softmax_rows(z, 1, C, t, q);
        for (int j = 0; j < C; j++) z[j] += 100;
        ck_assert_double_eq_tol(tsr_loss_kl(z, q, 1, C, t, g), 0, 1e-4);
        for (int j = 0; j < C; j++) ck_assert(fabsf(g[j]) < 1e-4f);
    }
}
END_TEST

START_TEST(large_outputs_stay_finite)
{
    float huge[4] = {1e30f, -1e30f, 88, 0}, g[4], q[4];
    static const int32_t last[1] = {1};
    tsr_softmax_rows(huge, 1, 4, 1, q);
    ck_assert(q[0] == 1 && q[1] == 0);
    ck_assert(isfinite(tsr_loss_cross_entropy(huge, last, 1, 4, g)));
    for (int j = 0; j < 4; j++) ck_assert(isfinite(g[j]));
    ck_assert(isfinite(tsr_loss_kl(huge, q, 1, 4, 1, g)));
}
END_TEST

START_TEST(ties_go_to_the_first)
{
    static const float tie[6] = {1, 3, 3, 7, 7, 7};
    static const int32_t want[2] = {1, 0};
    ck_assert_int_eq(tsr_argmax(tie, 3), 1);
    ck_assert_int_eq(tsr_argmax(tie, 1), 0);
    ck_assert_int_eq((int)tsr_count_correct(tie, want, 2, 3), 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loss");
    TCase *t = tcase_create("loss");
    tcase_add_test(t, gradients_are_those_of_the_losses);
    tcase_add_test(t, values_are_those_of_the_formulas);
    tcase_add_test(t, large_outputs_stay_finite);
    tcase_add_test(t, ties_go_to_the_first);
    suite_add_tcase(s, t);
    return run_suite(s);
}
