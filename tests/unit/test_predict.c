/* test_predict.c - drift predicted from few samples: the intervals' laws, and predictions against what
 * is measured. */
#include "base/mem.h"
#include "drift/flips.h"
#include "quant/measure.h"
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OK(call) ck_assert_int_eq((call), TSR_OK)
#define NEAR(x, want, tol) ck_assert_msg(fabs((x) - (want)) <= (tol), "%s is %.12g, not %.12g", #x, (double)(x), (double)(want))

/* P(x of m) of the beta-binomial, by products alone. */
static double beta_binomial(int x, int m, double a, double b)
{
    double p = 1;
    for (int i = 0; i < x; i++) p *= (a + i) * (m - i) / (i + 1.0);
    for (int i = 0; i < m - x; i++) p *= b + i;
    for (int i = 0; i < m; i++) p /= a + b + i;
    return p;
}

START_TEST(shares_follow_the_beta_binomial_law)
{
    for (int k = 0; k <= 30; k += 6)
        for (int m = 1; m <= 20; m += 19) {
            double low, high, sum = 0, want_low = -1, want_high = 1;
            tsr_predict_share(k, 30, m, 0.1, &low, &high);
            for (int x = 0; x <= m; x++) {
                sum += beta_binomial(x, m, k + 0.5, 30.5 - k);
                if (want_low < 0 && sum > 0.05) want_low = (double)x / m;
                if (sum >= 0.95) {
                    want_high = (double)x / m;
                    break;
                }
            }
            NEAR(low, want_low, 1e-12);
            NEAR(high, want_high, 1e-12);
        }
    double low, high;
    tsr_predict_share(7, 20, 0, 0.05, &low, &high);
    NEAR(low, tsr_beta_quantile(0.025, 7.5, 13.5), 1e-12);
    NEAR(high, tsr_beta_quantile(0.975, 7.5, 13.5), 1e-12);
}
END_TEST

/* Logits with margins of every size and noise of one size: what 200 samples predict, 2000 others show. */
static void perturb(struct tsr_rng *r, float size, float *before, float *after, int classes)
{
    float scale = 0.5f + 2 * tsr_rng_float(r); /* sure and unsure samples */
    for (int c = 0; c < classes; c++) {
        before[c] = 2 * scale * tsr_rng_normal(r);
        after[c] = before[c] + size * scale * tsr_rng_normal(r);
    }
}

START_TEST(changes_of_class_are_foretold)
{
    static const float sizes[] = {0.001f, 0.03f, 0.3f};
    int inside = 0, all = 0, narrower = 0;
    for (int s = 0; s < 3; s++)
        for (int trial = 0; trial < 60; trial++, all++) {
            struct tsr_flips f;
            struct tsr_rng r;
            float x[6], y[6];
            double value, low, high, count_low, count_high, same = 0;
            tsr_rng_init(&r, (uint64_t)(100 * s + trial), 0);
            OK(tsr_flips_init(&f, 6, NULL));
            for (int i = 0; i < 200; i++) {
                perturb(&r, sizes[s], x, y, 6);
                OK(tsr_flips_add(&f, x, y, NULL));
            }
            tsr_predict_share(200 - f.counted, 200, 2000, 0.05, &count_low, &count_high);
            if (!tsr_flips_share(&f, 2000, 0.05, &value, &low, &high)) low = count_low, high = count_high, value = 1 - f.counted / 200;
            ck_assert(low <= value + 1.0 / 2000 && value <= high + 1.0 / 2000);
            narrower += s < 2 && high - low < count_high - count_low; /* where changes are rare */
            for (int i = 0; i < 2000; i++) {
                perturb(&r, sizes[s], x, y, 6);
                same += tsr_argmax(x, 6) == tsr_argmax(y, 6);
            }
            inside += same / 2000 >= low - 1e-9 && same / 2000 <= high + 1e-9;
            tsr_flips_release(&f);
        }
    ck_assert_msg(inside >= all * 93 / 100, "%d of %d", inside, all);
    ck_assert_msg(narrower >= 110, "%d of 120 are narrower than by counting", narrower);
}
END_TEST

/* Noise that strikes where the margins are least is not what pairs assume: then counting is left. */
START_TEST(a_count_that_contradicts_the_pairs_wins)
{
    struct tsr_flips f;
    double value, low, high;
    OK(tsr_flips_init(&f, 2, NULL));
    for (int i = 0; i < 100; i++) {
        float gap = i < 20 ? 0.01f : 10, x[2] = {gap, 0}, y[2] = {i < 20 ? -1.0f : 10, 0};
        OK(tsr_flips_add(&f, x, y, NULL));
    }
    ck_assert(f.counted == 20);
    ck_assert(!tsr_flips_share(&f, 100, 0.05, &value, &low, &high));
    tsr_flips_release(&f);
}
END_TEST

enum { N = 300, D = 12, C = 4 };

static float sample[2 * N * D];

static struct tsr_graph *model(void)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse("mlp input=12 classes=4 width=16 depth=2 seed=3", &spec, NULL));
    OK(tsr_zoo_build(&spec, &g, NULL));
    return g;
}

static struct tsr_tensor rows_of(int first, int n)
{
    return (struct tsr_tensor){.dtype = TSR_F32, .shape = {.rank = 2, .dim = {n, D}}, .data = sample + first * D};
}

static void setup(void)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 21, 0);
    for (int i = 0; i < 2 * N * D; i++) sample[i] = tsr_rng_normal(&r);
}

/* Mean divergence and agreement of the model on a grid, calibrated with the first N, on the last N. */
static void measure(const struct tsr_graph *g, enum tsr_grid grid, double *kl, double *same)
{
    struct tsr_quantise_options o = tsr_quantise_defaults(grid);
    struct tsr_quantise_report report;
    struct tsr_quantiser *q;
    struct tsr_graph *made;
    struct tsr_tensor x = rows_of(0, N);
    struct tsr_quant_samples s = {.rows = N, .n_inputs = 1, .x = {rows_of(N, N)}};
    struct tsr_quant_outputs a, b;
    OK(tsr_quantiser_new(g, &o, &q, NULL));
    if (tsr_quantiser_wants_samples(q)) OK(tsr_quantiser_block(q, &x, 1, NULL));
    OK(tsr_quantiser_finish(q, &made, &report, NULL));
    OK(tsr_quant_run(g, &s, 0, N, NULL, &a, NULL));
    OK(tsr_quant_run(made, &s, 0, N, NULL, &b, NULL));
    *kl = tsr_quant_divergence(&a, &b);
    *same = 0;
    for (int i = 0; i < N; i++) *same += tsr_argmax(a.z + i * C, C) == tsr_argmax(b.z + i * C, C);
    *same /= N;
    tsr_free(a.z);
    tsr_free(b.z);
    tsr_graph_free(made);
    tsr_quantiser_free(q);
}

START_TEST(predictions_hold_what_is_measured)
{
    static const enum tsr_grid grids[] = {TSR_GRID_F16, TSR_GRID_INT8, TSR_GRID_INT4};
    struct tsr_graph *g = model();
    struct tsr_prediction p[3], again[3];
    struct tsr_predict_options o = {.confidence = 0.95, .on = N};
    struct tsr_predict_rows in = {.x = rows_of(0, N)};
    int64_t label[N];
    float teacher[N * C];
    int inside = 0;
    for (int i = 0; i < N; i++) {
        label[i] = i % C;
        for (int c = 0; c < C; c++) teacher[i * C + c] = (float)(c == i % C);
    }
    in.label = label;
    OK(tsr_drift_predict(g, &in, grids, 3, &o, p, NULL));
    for (int i = 0; i < 3; i++) {
        double kl, same;
        measure(g, grids[i], &kl, &same);
        ck_assert_int_eq(p[i].grid, grids[i]);
        inside += kl >= p[i].of[TSR_PREDICT_KL].low && kl <= p[i].of[TSR_PREDICT_KL].high;
        inside += same >= p[i].of[TSR_PREDICT_TOP1].low && same <= p[i].of[TSR_PREDICT_TOP1].high;
        NEAR(p[i].of[TSR_PREDICT_KL].value, kl, kl / 2);
        ck_assert(p[i].of[TSR_PREDICT_ACCURACY].measured && !p[i].of[TSR_PREDICT_TEACHER_KL].measured);
    }
    ck_assert(p[0].of[TSR_PREDICT_KL].value < p[1].of[TSR_PREDICT_KL].value && p[1].of[TSR_PREDICT_KL].value < p[2].of[TSR_PREDICT_KL].value);
    ck_assert_msg(inside >= 5, "%d of 6 lie in their intervals of 95 %%", inside);
    /* with threads, and with a teacher, the same and more */
    struct tsr_pool *pool;
    OK(tsr_pool_new(3, &pool, NULL));
    o.pool = pool;
    in.teacher = teacher;
    in.kind = TSR_KIND_PROBABILITIES;
    in.classes = C;
    OK(tsr_drift_predict(g, &in, grids, 3, &o, again, NULL));
    for (int i = 0; i < 3; i++) {
        ck_assert(memcmp(&again[i].of[TSR_PREDICT_KL], &p[i].of[TSR_PREDICT_KL], sizeof p[i].of[0]) == 0);
        ck_assert(again[i].of[TSR_PREDICT_TEACHER_KL].measured);
        ck_assert(again[i].of[TSR_PREDICT_TEACHER_TOP1].value == again[i].of[TSR_PREDICT_ACCURACY].value);
    }
    tsr_pool_free(pool);
    tsr_graph_free(g);
}
END_TEST

START_TEST(what_cannot_be_predicted_is_refused)
{
    const enum tsr_grid grid = TSR_GRID_INT8;
    struct tsr_graph *g = model();
    struct tsr_prediction p;
    struct tsr_predict_options o = {.confidence = 0.95};
    struct tsr_error err;
    float teacher[N * C] = {0};
    struct tsr_predict_rows in = {.x = rows_of(0, TSR_PREDICT_MIN - 1)};
    ck_assert_int_eq(tsr_drift_predict(g, &in, &grid, 1, &o, &p, &err), TSR_E_MISMATCH);
    in = (struct tsr_predict_rows){.x = rows_of(0, 50), .teacher = teacher, .kind = TSR_KIND_LOGITS, .classes = 3};
    ck_assert_int_eq(tsr_drift_predict(g, &in, &grid, 1, &o, &p, &err), TSR_E_MISMATCH);
    ck_assert(strstr(err.message, "4 classes, the teacher has 3") != NULL);
    struct tsr_tokens t = {.kind = TSR_KIND_REGRESSION, .out = teacher, .classes = C};
    struct tsr_tensor refs = rows_of(0, 50);
    ck_assert_int_eq(tsr_predict_join(&t, &refs, NULL, NULL, &g->value[g->input[0]], &in, &err), TSR_E_MISMATCH);
    t.out = NULL;
    ck_assert_int_eq(tsr_predict_join(&t, &refs, NULL, NULL, &g->value[g->input[0]], &in, &err), TSR_E_MISMATCH);
    tsr_graph_free(g);
}
END_TEST

START_TEST(no_allocation_failure_leaks)
{
    const enum tsr_grid grid = TSR_GRID_INT8;
    struct tsr_graph *g = model();
    struct tsr_prediction p;
    struct tsr_predict_options o = {.confidence = 0.95};
    struct tsr_predict_rows in = {.x = rows_of(0, TSR_PREDICT_MIN)};
    enum tsr_status status = TSR_E_NOMEM;
    for (long n = 1; status != TSR_OK; n += 1 + n / 48) {
        tsr_mem_fail_after(n);
        status = tsr_drift_predict(g, &in, &grid, 1, &o, &p, NULL);
        tsr_mem_fail_after(0);
        ck_assert(status == TSR_E_NOMEM || status == TSR_OK);
    }
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("predict");
    TCase *t = tcase_create("predict");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, shares_follow_the_beta_binomial_law);
    tcase_add_test(t, changes_of_class_are_foretold);
    tcase_add_test(t, a_count_that_contradicts_the_pairs_wins);
    tcase_add_test(t, predictions_hold_what_is_measured);
    tcase_add_test(t, what_cannot_be_predicted_is_refused);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
