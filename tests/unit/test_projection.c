/* test_projection.c - mode A's loss against the written-out sum, its gradients against differences. */
#include "tessera.h"
#include "transfer/projection.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>

enum { REFS = 10, R = 3, D = 5, N = 4 };

static struct tsr_key key[REFS];
static struct tsr_token_block block = {0, REFS};
static float hub[REFS * R], x[REFS * 2], f[N * D], gf[N * D];
static struct tsr_tokens tokens;
static struct tsr_tensor refs = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {REFS, 2}}, .data = x};
static struct tsr_lesson lesson;
static struct tsr_projection q;
static const uint32_t row[N] = {7, 0, 3, 7};

static void setup(void)
{
    struct tsr_rng rng;
    tsr_rng_init(&rng, 5, 0);
    for (int i = 0; i < REFS; i++) key[i].b[0] = (uint8_t)(i + 1);
    for (int i = 0; i < REFS * R; i++) hub[i] = (float)(1 + i % R) * tsr_rng_normal(&rng);
    for (int i = 0; i < N * D; i++) f[i] = tsr_rng_normal(&rng);
    tokens = (struct tsr_tokens){.refs = REFS, .key = key, .block = &block, .n_block = 1, .rows = REFS, .rank = R,
                                 .hub = hub, .hub_rows = REFS};
    ck_assert_int_eq(tsr_lesson_init(&lesson, &tokens, &refs, key, 0.1, false, 1, NULL), TSR_OK);
    ck_assert_int_eq(tsr_projection_init(&q, &lesson, D, 1, NULL), TSR_OK);
}

static void teardown(void)
{
    tsr_projection_release(&q);
    tsr_lesson_release(&lesson);
}

static double loss(float *grad)
{
    double l;
    ck_assert_int_eq(tsr_projection_loss(&q, 0.7f, row, N, f, grad, NULL, &l, NULL), TSR_OK);
    return l;
}

/* In double, element by element; a row of NaN counts nothing. */
static double written_out(void)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < R; k++) {
            double e = -(double)q.goal[row[i] * (uint32_t)R + (uint32_t)k];
            for (int j = 0; j < D; j++) e += (double)q.p[k * D + j] * (double)f[i * D + j];
            if (!isnan(e)) sum += e * e;
        }
    return 0.7 * sum / (N * R);
}

START_TEST(goals_are_half_whitened)
{
    double total = 0;
    for (int k = 0; k < R; k++) {
        double mean = 0, var = 0;
        for (int i = 0; i < REFS; i++) mean += (double)q.goal[i * R + k] / REFS;
        for (int i = 0; i < REFS; i++) var += pow((double)q.goal[i * R + k] - mean, 2) / REFS;
        ck_assert_double_lt(fabs(mean), 1e-6);
        total += var;
    }
    ck_assert_double_lt(fabs(total / R - 1), 1e-5);
}
END_TEST

START_TEST(loss_is_the_sum_written_out)
{
    ck_assert_double_lt(fabs(loss(gf) - written_out()), 1e-6);
    ck_assert_double_lt(fabs(loss(NULL) - written_out()), 1e-6);
}
END_TEST

START_TEST(rows_without_coefficients_teach_nothing)
{
    double all = loss(NULL);
    for (int k = 0; k < R; k++) q.goal[7 * R + k] = NAN;
    double rest = loss(gf);
    ck_assert(rest < all && fabs(rest - written_out()) < 1e-6);
    for (int j = 0; j < D; j++) ck_assert(gf[j] == 0 && gf[3 * D + j] == 0 && gf[D + j] != 0);
}
END_TEST

/* The loss is a quadratic form of one element at a time, so central differences of any size are exact. */
static void check_gradient(float *v, const float *gradient, int n)
{
    for (int i = 0; i < n; i++) {
        float old = v[i];
        double up, down;
        v[i] = old + 0.5f;
        up = written_out();
        v[i] = old - 0.5f;
        down = written_out();
        v[i] = old;
        double want = up - down;
        ck_assert_msg(fabs((double)gradient[i] - want) <= 1e-6 * (1 + fabs(want)), "element %d: %g, not %g", i,
                      (double)gradient[i], want);
    }
}

START_TEST(gradients_agree_with_differences)
{
    loss(gf);
    check_gradient(f, gf, N * D);
    check_gradient(q.p, q.gp, R * D);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("projection");
    TCase *t = tcase_create("projection");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, goals_are_half_whitened);
    tcase_add_test(t, loss_is_the_sum_written_out);
    tcase_add_test(t, rows_without_coefficients_teach_nothing);
    tcase_add_test(t, gradients_agree_with_differences);
    suite_add_tcase(s, t);
    return run_suite(s);
}
