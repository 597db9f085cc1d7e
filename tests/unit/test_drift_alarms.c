/* test_drift_alarms.c - how often gates judge wrongly: 1000 resamples of populations whose truth is
 * known. A gate that the population just satisfies may fail (a false alarm) in at most 1 % of them at
 * the default confidence of 0.99, and one that it just violates may pass in at most 1 %. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OK(call) ck_assert_int_eq((call), TSR_OK)

enum { ROWS = 20000, CLASSES = 10, RESAMPLES = 1000 };

static float ref[ROWS][CLASSES], cand[ROWS][CLASSES];
static int64_t label[ROWS];

/* Logits and their noisy copies. The noise's size differs from sample to sample (log-normally with
 * `spread`), so that divergences have heavy tails; a share `lost` of the samples is answered anew. */
static void populate(double noise, double spread, double lost)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 11, 0);
    for (int i = 0; i < ROWS; i++) {
        double size = noise * exp(spread * (double)tsr_rng_normal(&r));
        bool anew = tsr_rng_double(&r) < lost;
        for (int j = 0; j < CLASSES; j++) {
            ref[i][j] = 2 * tsr_rng_normal(&r);
            cand[i][j] = anew ? 2 * tsr_rng_normal(&r) : ref[i][j] + (float)size * tsr_rng_normal(&r);
        }
        label[i] = tsr_rng_double(&r) < 0.9 ? tsr_argmax(ref[i], CLASSES) : (int64_t)tsr_rng_below(&r, CLASSES);
    }
}

static struct tsr_target *gather(const int *index, int n)
{
    struct tsr_target_shape shape = {.kind = {TSR_KIND_LOGITS, TSR_KIND_LOGITS}, .cols = {CLASSES, CLASSES}, .top_k = 5};
    struct tsr_target *t;
    OK(tsr_target_new(&shape, &t, NULL));
    for (int i = 0; i < n; i++) {
        int k = index != NULL ? index[i] : i;
        struct tsr_key key = {{(uint8_t)k, (uint8_t)(k >> 8), (uint8_t)(k >> 16)}};
        struct tsr_target_row row = {.key = &key, .label = label[k], .ref = ref[k], .x = cand[k]};
        OK(tsr_target_add(t, &row, NULL));
    }
    return t;
}

enum { GATES = 12 };
static const char *const statistic[GATES / 2] = {"kl", "top1", "sqnr", "accuracy.drop", "kl.p90", "dp.rms"};
static const bool up[GATES / 2] = {false, true, true, false, false, false};

/* For each statistic a gate that the population satisfies by a hair and one that it misses by one. */
static void write_gates(struct tsr_gate *gate)
{
    struct tsr_target *t = gather(NULL, ROWS);
    char text[80];
    for (int i = 0; i < GATES / 2; i++) {
        const struct tsr_measure *m = tsr_measure_find(statistic[i], false);
        struct tsr_estimate e = tsr_measure_estimate(t, m, 0.01, 1);
        double hair = 1e-6 * (fabs(e.value) + 1e-6);
        if (m->form == TSR_FORM_QUANTILE) hair = e.value * 0.004; /* a bin of the histogram */
        for (int k = 0; k < 2; k++) {
            snprintf(text, sizeof text, "%s%s%.9f", m->name, up[i] ? ">=" : "<=", e.value + (up[i] == (k == 0) ? -hair : hair));
            OK(tsr_gate_parse(text, &gate[2 * i + k], NULL));
        }
    }
    tsr_target_free(t);
}

/* alarms: satisfied and failed; passes: violated and passed; decided: of a gate that is well met. */
static void measure(int n, int *wrong)
{
    struct tsr_gate gate[GATES];
    struct tsr_rng r;
    int index[400];
    write_gates(gate);
    tsr_rng_init(&r, 12, (uint64_t)n);
    for (int k = 0; k < GATES; k++) wrong[k] = 0;
    for (int s = 0; s < RESAMPLES; s++) {
        for (int i = 0; i < n; i++) index[i] = (int)tsr_rng_below(&r, ROWS);
        struct tsr_target *t = gather(index, n);
        for (int k = 0; k < GATES; k++) {
            struct tsr_estimate e;
            wrong[k] += tsr_gate_judge(&gate[k], t, 0.01, &e) == (k % 2 == 0 ? TSR_FAIL : TSR_PASS);
        }
        tsr_target_free(t);
    }
    for (int k = 0; k < GATES; k++) tsr_gate_release(&gate[k]);
}

static const struct {
    const char *name;
    double noise, spread, lost;
} population[] = {
    {"int8", 0.02, 0.5, 0},  /* hardly a class changes */
    {"int4", 0.3, 0.7, 0},   /* some do; a tail */
    {"lost", 0.05, 0.5, 0.1}, /* one sample in ten goes wrong altogether */
};

START_TEST(wrong_verdicts_are_rare)
{
    static const int size[] = {100, 400};
    populate(population[_i / 2].noise, population[_i / 2].spread, population[_i / 2].lost);
    int n = size[_i % 2], wrong[GATES];
    measure(n, wrong);
    for (int k = 0; k < GATES / 2; k++) {
        printf("%s, %d samples, %s: %.1f %% false alarms, %.1f %% false passes\n", population[_i / 2].name, n, statistic[k],
               100.0 * wrong[2 * k] / RESAMPLES, 100.0 * wrong[2 * k + 1] / RESAMPLES);
        ck_assert_msg(wrong[2 * k] <= RESAMPLES / 100, "%s: %d false alarms", statistic[k], wrong[2 * k]);
        ck_assert_msg(wrong[2 * k + 1] <= RESAMPLES / 100, "%s: %d false passes", statistic[k], wrong[2 * k + 1]);
    }
}
END_TEST

/* What is needed is about right: with that many samples the gate is decided mostly, with a quarter seldom. */
START_TEST(the_number_of_samples_needed_decides)
{
    struct tsr_gate gate;
    struct tsr_judgement j;
    struct tsr_rng r;
    static int index[ROWS];
    populate(0.3, 0.7, 0);
    struct tsr_target *all = gather(NULL, ROWS);
    double top1 = tsr_measure_estimate(all, tsr_measure_find("top1", false), 0.01, 1).value;
    tsr_target_free(all);
    char text[64];
    snprintf(text, sizeof text, "top1>=%.4f", top1 - 0.04);
    OK(tsr_gate_parse(text, &gate, NULL));
    tsr_rng_init(&r, 13, 0);
    int decided = 0, early = 0, asked = 0;
    for (int s = 0; s < 60; s++) {
        int n = 150;
        double needed = 0;
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < n; i++) index[i] = (int)tsr_rng_below(&r, ROWS);
            struct tsr_target *t = gather(index, n);
            struct tsr_drift_candidate c = {.outputs = t};
            struct tsr_drift d = {.candidate = &c, .n = 1};
            OK(tsr_gates_judge(&d, &gate, 1, 0.99, &j, NULL));
            tsr_target_free(t);
            if (round == 0) {
                early += j.verdict != TSR_INCONCLUSIVE;
                if (j.verdict != TSR_INCONCLUSIVE || !(j.needed > n) || j.needed > 4000) break;
                needed = j.needed;
                n = (int)(1.5 * needed);
                asked++;
            } else {
                decided += j.verdict != TSR_INCONCLUSIVE;
            }
        }
    }
    tsr_gate_release(&gate);
    ck_assert_msg(asked >= 20 && decided >= asked / 2, "%d of %d decided, %d at once", decided, asked, early);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("drift-alarms");
    TCase *t = tcase_create("alarms");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, wrong_verdicts_are_rare, 0, 6);
    tcase_add_test(t, the_number_of_samples_needed_decides);
    suite_add_tcase(s, t);
    return run_suite(s);
}
