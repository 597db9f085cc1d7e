/* test_adamw.c - AdamW against steps computed by hand. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(steps_are_those_of_the_paper)
{
    /* 1st: m = .05, v = .00025, both corrected .5 and .25: 1 (1 - .001) - .1 * .5 / .5 = .899
     * 2nd: m = -.055 / .19, v = .00124975 / .001999: .899 * .999 + .1 * .2894737 / .7906879 = .9347113 */
    float w[1] = {1}, g[1] = {0.5f};
    struct tsr_adamw a;
    ck_assert_int_eq(tsr_adamw_init(&a, 1, NULL), TSR_OK);
    ck_assert_int_eq(tsr_adamw_slot(&a, 0, w, 1, true, NULL), TSR_OK);
    a.slot[0].g = g;
    ck_assert_double_eq_tol(tsr_adamw_step(&a, 0.1f), 0.5, 1e-7);
    ck_assert_double_eq_tol((double)w[0], 0.899, 1e-6);
    g[0] = -1;
    ck_assert_double_eq_tol(tsr_adamw_step(&a, 0.1f), 1, 1e-7);
    ck_assert_double_eq_tol((double)w[0], 0.9347113, 1e-6);
    tsr_adamw_release(&a);
}
END_TEST

enum { N = 37 };

START_TEST(many_steps_agree_with_double_precision)
{
    float w[N], g[N];
    double x[N], m[N] = {0}, v[N] = {0};
    struct tsr_rng r;
    struct tsr_adamw a;
    tsr_rng_init(&r, 3, 0);
    for (int i = 0; i < N; i++) x[i] = (double)(w[i] = tsr_rng_normal(&r));
    ck_assert_int_eq(tsr_adamw_init(&a, 1, NULL), TSR_OK);
    ck_assert_int_eq(tsr_adamw_slot(&a, 0, w, N, false, NULL), TSR_OK);
    a.slot[0].g = g;
    for (int t = 1; t <= 50; t++) {
        double norm = 0;
        for (int i = 0; i < N; i++) {
            g[i] = tsr_rng_normal(&r);
            norm += (double)g[i] * (double)g[i];
        }
        norm = sqrt(norm);
        ck_assert_double_eq_tol(tsr_adamw_step(&a, 0.01f), norm, 1e-4);
        for (int i = 0; i < N; i++) {
            double c = (double)g[i] / (norm > 1 ? norm : 1);
            m[i] = 0.9 * m[i] + 0.1 * c;
            v[i] = 0.999 * v[i] + 0.001 * c * c;
            x[i] -= 0.01 * (m[i] / (1 - pow(0.9, t))) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
            ck_assert_msg(fabs(x[i] - (double)w[i]) <= 2e-5, "step %d, element %d", t, i);
        }
    }
    tsr_adamw_release(&a);
}
END_TEST

START_TEST(what_must_not_move_does_not)
{
    float w[3] = {0, 1, 2}, still[2] = {5, 6}, g[3] = {1, 1, 1}, bad[3] = {1, NAN, 1}, before[3];
    static const unsigned char mask[3] = {0, 1, 1};
    struct tsr_adamw a;
    ck_assert_int_eq(tsr_adamw_init(&a, 2, NULL), TSR_OK);
    ck_assert_int_eq(tsr_adamw_slot(&a, 0, w, 3, true, NULL), TSR_OK);
    ck_assert_int_eq(tsr_adamw_slot(&a, 1, still, 2, true, NULL), TSR_OK);
    a.slot[0].g = g;
    a.slot[0].mask = mask;
    tsr_adamw_step(&a, 0.1f);
    ck_assert(w[0] == 0 && w[1] < 1 && w[2] < 2); /* pruned; stepped */
    ck_assert(still[0] == 5 && still[1] == 6);    /* no gradient */
    memcpy(before, w, sizeof w);
    a.slot[0].g = bad;
    ck_assert(!isfinite(tsr_adamw_step(&a, 0.1f)));
    ck_assert_mem_eq(before, w, sizeof w);
    tsr_adamw_release(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("adamw");
    TCase *t = tcase_create("adamw");
    tcase_add_test(t, steps_are_those_of_the_paper);
    tcase_add_test(t, many_steps_agree_with_double_precision);
    tcase_add_test(t, what_must_not_move_does_not);
    suite_add_tcase(s, t);
    return run_suite(s);
}
