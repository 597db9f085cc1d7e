/* test_drift.c - streams compared: what must be 0, what must move, what must not, and what is refused. */
#include "driftstreams.h"

static void refused(const struct spec *ref, const struct spec *x, enum tsr_status status, const char *text)
{
    struct tsr_buf s[2] = {{0}};
    struct tsr_drift *d;
    struct tsr_error err;
    write_stream(ref, &s[0]);
    write_stream(x, &s[1]);
    ck_assert_int_eq(compare(s, 2, NULL, &d, &err), status);
    ck_assert_msg(strstr(err.message, text) != NULL, "'%s' is not in: %s", text, err.message);
    ck_assert_ptr_null(d);
    tsr_buf_release(&s[0]);
    tsr_buf_release(&s[1]);
}

static struct tsr_estimate get(const struct tsr_target *t, const char *name)
{
    return tsr_measure_estimate(t, tsr_measure_find(name, t->kind[0] == TSR_KIND_NONE), 0.01, 1);
}

static double value(const struct tsr_drift *d, const char *name)
{
    struct tsr_estimate e = get(d->candidate[0].outputs, name);
    ck_assert_msg(e.measured, "%s: %s", name, e.why);
    return e.value;
}

static const char *why(const struct tsr_drift *d, const char *name)
{
    struct tsr_estimate e = get(d->candidate[0].outputs, name);
    ck_assert_msg(!e.measured, "%s is measured", name);
    return e.why;
}

static void check_identity(const struct tsr_target *t)
{
    size_t n;
    const struct tsr_measure *m = tsr_measures(&n);
    for (size_t i = 0; i < n; i++) {
        bool layer = t->kind[0] == TSR_KIND_NONE;
        if ((layer && !m[i].layers) || tsr_measure_wants_labels(&m[i]) || strcmp(m[i].name, "cka.p") == 0) continue;
        struct tsr_estimate e = tsr_measure_estimate(t, &m[i], 0.01, 1);
        bool one = strcmp(m[i].name, "top1") == 0 || strcmp(m[i].name, "topk") == 0 || strcmp(m[i].name, "cosine") == 0 ||
                   strcmp(m[i].name, "cka") == 0 || strcmp(m[i].name, "knn") == 0;
        ck_assert_msg(e.measured, "%s: %s", m[i].name, e.why);
        if (strcmp(m[i].name, "sqnr") == 0) ck_assert(isinf(e.value) && e.value > 0);
        else ck_assert_msg(e.value == (one ? 1 : 0), "%s is %g", m[i].name, e.value);
    }
}

START_TEST(a_stream_does_not_drift_from_itself)
{
    struct spec a = plain(), b = plain();
    b.block = 50; /* cut otherwise */
    struct tsr_drift *d = drift(&a, &b, NULL);
    check_identity(d->candidate[0].outputs);
    ck_assert_uint_eq(d->n_layers, 1);
    check_identity(d->candidate[0].layers[0]);
    tsr_drift_free(d);
}
END_TEST

/* Whatever does not change what the network does, in the order and cut of the samples or the form of
 * its answers, changes nothing. */
START_TEST(what_is_no_change_is_no_drift)
{
    static float shifted[N][C], probabilities[N][C];
    struct spec a = plain(), b = plain();
    for (int i = 0; i < N; i++) {
        double top = -1e30, sum = 0;
        for (int c = 0; c < C; c++) {
            shifted[i][c] = logits[i][c] + 8; /* a constant that no softmax sees */
            if ((double)logits[i][c] > top) top = (double)logits[i][c];
        }
        for (int c = 0; c < C; c++) sum += exp((double)logits[i][c] - top);
        for (int c = 0; c < C; c++) probabilities[i][c] = (float)(exp((double)logits[i][c] - top) / sum);
    }
    b.out = &shifted[0][0];
    b.first = 3;
    b.step = 7; /* coprime to N: another order */
    b.block = 33;
    struct tsr_drift *d = drift(&a, &b, NULL);
    ck_assert_uint_eq(d->candidate[0].outputs->rows, N);
    ck_assert(value(d, "kl.max") < 1e-11 && value(d, "tv") < 1e-6 && value(d, "top1") == 1);
    ck_assert(value(d, "sqnr") > 120 && value(d, "frechet") < 1e-10);
    check_identity(d->candidate[0].layers[0]);
    tsr_drift_free(d);
    b.out = &probabilities[0][0];
    b.kind = TSR_KIND_PROBABILITIES;
    d = drift(&a, &b, NULL);
    ck_assert(value(d, "kl.max") < 1e-11 && value(d, "tv") < 1e-6 && value(d, "top1") == 1 && value(d, "sqnr") > 120);
    tsr_drift_free(d);
}
END_TEST

/* A negated head, swapped classes, one logit of a yes-or-no question: function moves, so must drift. */
START_TEST(what_changes_answers_is_drift)
{
    static float changed[N][C], yes[N], no[N];
    struct spec a = plain(), b = plain();
    b.out = &changed[0][0];
    for (int i = 0; i < N; i++)
        for (int c = 0; c < C; c++) changed[i][c] = -logits[i][c];
    struct tsr_drift *d = drift(&a, &b, NULL);
    ck_assert(value(d, "kl") > 1 && value(d, "top1") < 0.1 && value(d, "tv") > 0.5 && value(d, "sqnr") < 0);
    ck_assert(fabs(value(d, "cka") - 1) < 1e-6); /* the geometry is the same, and is said to be */
    tsr_drift_free(d);
    for (int i = 0; i < N; i++)
        for (int c = 0; c < C; c++) changed[i][c] = logits[i][(c + 1) % C];
    d = drift(&a, &b, NULL);
    ck_assert(value(d, "kl") > 1 && value(d, "top1") < 0.2);
    tsr_drift_free(d);
    for (int i = 0; i < N; i++) {
        yes[i] = logits[i][0];
        no[i] = -logits[i][0];
    }
    a.out = yes;
    b.out = no;
    a.cols = b.cols = 1;
    d = drift(&a, &b, NULL);
    ck_assert(d->candidate[0].outputs->classes == 2 && value(d, "top1") == 0 && value(d, "kl") > 0.5);
    tsr_drift_free(d);
}
END_TEST

/* The definitions, row by row in plain doubles, for a noisy copy. */
START_TEST(statistics_are_what_they_are_called)
{
    static float noisy[N][C];
    static double kl[N];
    struct spec a = plain(), b = plain();
    struct tsr_rng r;
    double mean = 0, tv = 0, same = 0, among = 0, noise = 0, signal = 0, right = 0, nll = 0, nll_ref = 0;
    struct tsr_buf labels = {0};
    struct tsr_sink *sink;
    int64_t y[N];
    tsr_rng_init(&r, 5, 0);
    for (int i = 0; i < N; i++) {
        double p[C], q[C], sp = 0, sq = 0, mx = 0, my = 0;
        int tp = 0, tq = 0, before = 0;
        y[i] = i % C;
        for (int c = 0; c < C; c++) {
            noisy[i][c] = logits[i][c] + 0.8f * tsr_rng_normal(&r);
            sp += p[c] = exp((double)logits[i][c]);
            sq += q[c] = exp((double)noisy[i][c]);
            mx += (double)logits[i][c] / C;
            my += (double)noisy[i][c] / C;
            if (logits[i][c] > logits[i][tp]) tp = c;
            if (noisy[i][c] > noisy[i][tq]) tq = c;
        }
        for (int c = 0; c < C; c++) {
            double x = (double)logits[i][c] - mx, z = (double)noisy[i][c] - my;
            kl[i] += p[c] / sp * log(p[c] / sp / (q[c] / sq));
            tv += fabs(p[c] / sp - q[c] / sq) / 2 / N;
            before += noisy[i][c] > noisy[i][tp];
            signal += x * x;
            noise += (x - z) * (x - z);
        }
        mean += kl[i] / N;
        same += tp == tq;
        among += before < 2;
        right += tq == y[i];
        nll -= log(q[y[i]] / sq) / N;
        nll_ref -= log(p[y[i]] / sp) / N;
    }
    b.out = &noisy[0][0];
    struct tsr_tensor t = {.dtype = TSR_I64, .shape = {.rank = 1, .dim = {N}}, .data = y};
    OK(tsr_sink_from_memory(&labels, "labels", &sink, NULL));
    OK(tsr_npy_save(sink, &t, NULL));
    OK(tsr_sink_close(sink, NULL));
    struct tsr_source *source;
    struct tsr_drift_options o = {.top_k = 2, .memory = 1 << 26};
    OK(tsr_source_from_memory(labels.data, labels.len, "labels", &source, NULL));
    OK(tsr_samples_from_source(source, NULL, TSR_I64, &o.labels, NULL));
    b.first = 5; /* labels are in the reference's order, whatever the candidate's */
    b.step = 11;
    struct tsr_drift *d = drift(&a, &b, &o);
    tsr_samples_close(o.labels);
    tsr_buf_release(&labels);
    ck_assert_double_eq_tol(value(d, "kl"), mean, 1e-9);
    ck_assert_double_eq_tol(value(d, "tv"), tv, 1e-9);
    ck_assert_double_eq_tol(value(d, "top1"), same / N, 1e-12);
    ck_assert_double_eq_tol(value(d, "topk"), among / N, 1e-12);
    ck_assert_double_eq_tol(value(d, "accuracy"), right / N, 1e-12);
    ck_assert_double_eq_tol(value(d, "sqnr"), 10 * log10(signal / noise), 1e-5);
    ck_assert_double_eq_tol(value(d, "mse"), noise / N / C, 1e-6);
    ck_assert_double_eq_tol(value(d, "ppl"), exp(nll), 1e-9);
    ck_assert_double_eq_tol(value(d, "ppl.ref"), exp(nll_ref), 1e-9);
    ck_assert_double_eq_tol(value(d, "ppl.ratio"), exp(nll - nll_ref), 1e-9);
    ck_assert_double_eq_tol(value(d, "ppl.diff"), exp(nll) - exp(nll_ref), 1e-9);
    double max = 0;
    for (int i = 0; i < N; i++) max = kl[i] > max ? kl[i] : max;
    ck_assert_double_eq_tol(value(d, "kl.max"), max, 1e-9);
    const struct tsr_target *out = d->candidate[0].outputs;
    uint64_t diagonal = 0;
    for (int c = 0; c < C; c++) diagonal += out->confusion[c * C + c];
    ck_assert_uint_eq(diagonal, (uint64_t)same);
    tsr_drift_free(d);
}
END_TEST

START_TEST(what_was_not_measured_says_why)
{
    static float class[N], wide[N][3];
    struct spec a = plain(), b = plain();
    for (int i = 0; i < N; i++) {
        class[i] = (float)tsr_argmax(logits[i], C);
        for (int j = 0; j < 3; j++) wide[i][j] = acts[i][j];
    }
    b.out = class;
    b.cols = 1;
    b.kind = TSR_KIND_ARGMAX;
    b.acts = &wide[0][0];
    b.width = 3;
    struct tsr_drift *d = drift(&a, &b, NULL);
    ck_assert(value(d, "top1") == 1);
    ck_assert_str_eq(why(d, "kl"), "the outputs are class numbers without probabilities");
    ck_assert_str_eq(why(d, "accuracy"), "no labels were given");
    ck_assert_str_eq(why(d, "sqnr"), "outputs of these kinds are no vectors to compare");
    const struct tsr_target *layer = d->candidate[0].layers[0];
    ck_assert_str_eq(get(layer, "sqnr").why, "the two have different units");
    ck_assert_str_eq(get(layer, "gauss").why, "the two have different units");
    ck_assert(get(layer, "cka").measured && get(layer, "cka").value > 0.2 && get(layer, "cka").value < 0.95);
    tsr_drift_free(d);
    a = b = plain();
    a.kind = b.kind = TSR_KIND_REGRESSION;
    d = drift(&a, &b, NULL);
    ck_assert(isinf(value(d, "sqnr")));
    ck_assert_str_eq(why(d, "kl"), "the outputs are values, not classes");
    tsr_drift_free(d);
    a = b = plain();
    a.count = b.count = 10;
    d = drift(&a, &b, NULL);
    ck_assert_str_eq(why(d, "cka"), "it needs 20 samples");
    ck_assert(!get(d->candidate[0].outputs, "kl").bounded); /* ten samples bound no mean */
    tsr_drift_free(d);
}
END_TEST

START_TEST(streams_that_do_not_belong_together_are_refused)
{
    struct spec a = plain(), b = plain();
    a.count = 60;
    b.first = b.count = 60;
    refused(&a, &b, TSR_E_MISMATCH, "another reference set");
    b.first = 30;
    refused(&a, &b, TSR_E_MISMATCH, "--common compares those that both have");
    struct tsr_drift_options o = {.top_k = 2, .memory = 1 << 26, .common = true};
    struct tsr_drift *d = drift(&a, &b, &o);
    ck_assert(d->candidate[0].outputs->rows == 30 && d->candidate[0].missing[0] == 30 && d->candidate[0].missing[1] == 30);
    tsr_drift_free(d);
    a = plain();
    b = plain();
    b.cols = C - 1;
    refused(&a, &b, TSR_E_MISMATCH, "it has 5 classes, the reference has 6");
    b = plain();
    b.kind = TSR_KIND_REGRESSION;
    refused(&a, &b, TSR_E_MISMATCH, "of kind 'regression'");
    b = plain();
    b.out = NULL;
    b.kind = TSR_KIND_NONE;
    b.layer = "other";
    refused(&a, &b, TSR_E_MISMATCH, "hold nothing that can be compared");
    o = (struct tsr_drift_options){.top_k = 2, .memory = 1 << 26, .pair = (const char *const[]){"fc.1=other"}, .n_pairs = 1};
    d = drift(&a, &b, &o);
    int met = 0;
    for (size_t i = 0; i < d->n_layers; i++) {
        if (d->candidate[0].layers[i] == NULL) continue;
        ck_assert_str_eq(d->layer[i], "fc.1");
        ck_assert(isinf(get(d->candidate[0].layers[i], "sqnr").value));
        met++;
    }
    ck_assert_int_eq(met, 1);
    tsr_drift_free(d);
}
END_TEST

/* A layer that only one side has costs no memory: its rows do not wait. */
START_TEST(rows_wait_no_longer_than_they_must)
{
    struct spec a = plain(), b = plain();
    struct tsr_buf s[2] = {{0}};
    struct tsr_drift *d;
    struct tsr_error err;
    struct tsr_drift_options o = {.top_k = 2, .memory = 4000};
    a.block = b.block = 10;
    b.acts = NULL;
    d = drift(&a, &b, &o);
    ck_assert_ptr_null(d->candidate[0].layers[0]);
    tsr_drift_free(d);
    b.first = N - 1;
    b.step = N - 1; /* backwards: half of all rows must wait */
    write_stream(&a, &s[0]);
    write_stream(&b, &s[1]);
    ck_assert_int_eq(compare(s, 2, &o, &d, &err), TSR_E_LIMIT);
    ck_assert(strstr(err.message, "different orders") != NULL);
    tsr_buf_release(&s[0]);
    tsr_buf_release(&s[1]);
}
END_TEST

START_TEST(views_count_as_parts_of_their_samples)
{
    static float noisy[V][N][C];
    struct spec a = plain(), b = plain();
    struct tsr_rng r;
    struct tsr_drift_options o = {.top_k = 2, .memory = 1 << 26, .views = true};
    tsr_rng_init(&r, 9, 0);
    for (int i = 0; i < V * N * C; i++) (&noisy[0][0][0])[i] = (&views[0][0][0])[i] + 0.3f * tsr_rng_normal(&r);
    a.views = &views[0][0][0];
    b.views = &noisy[0][0][0];
    a.block = b.block = 50;
    struct tsr_drift *d = drift(&a, &b, &o);
    const struct tsr_target *t = d->candidate[0].outputs;
    ck_assert_uint_eq(t->rows, N * (1 + V));
    ck_assert(t->channel[TSR_CH_KL].n == N && t->channel[TSR_CH_KL].total_b == N * (1 + V));
    ck_assert(value(d, "kl") > 0 && get(t, "kl").bounded && get(t, "kl").samples == N);
    ck_assert(get(t, "kl.median").value > 0); /* rows of views, three in four, are noisy */
    ck_assert_uint_eq(t->space.sketch.rows, N);
    tsr_drift_free(d);
    d = drift(&a, &b, NULL); /* not asked for: the references alone */
    ck_assert_uint_eq(d->candidate[0].outputs->rows, N);
    ck_assert(value(d, "kl.max") == 0);
    tsr_drift_free(d);
    b.seed = 1; /* other views */
    struct tsr_buf s[2] = {{0}};
    struct tsr_error err;
    write_stream(&a, &s[0]);
    write_stream(&b, &s[1]);
    ck_assert_int_eq(compare(s, 2, &o, &d, &err), TSR_E_MISMATCH);
    ck_assert(strstr(err.message, "another recipe or seed") != NULL);
    tsr_buf_release(&s[0]);
    tsr_buf_release(&s[1]);
}
END_TEST

/* Parts of a reference set one after the other are the set; another model's are not. */
START_TEST(segments_join)
{
    struct spec a = plain(), b = plain();
    struct tsr_buf s[2] = {{0}};
    struct tsr_drift *d;
    struct tsr_error err;
    write_stream(&a, &s[0]);
    b.count = 70;
    write_stream(&b, &s[1]);
    b.first = 70;
    b.count = N - 70;
    write_stream(&b, &s[1]);
    OK(compare(s, 2, NULL, &d, &err));
    check_identity(d->candidate[0].outputs);
    tsr_drift_free(d);
    b.kind = TSR_KIND_PROBABILITIES;
    for (int i = 0; i < N * C; i++) (&views[0][0][0])[i] = 1.0f / C;
    b.out = &views[0][0][0];
    write_stream(&b, &s[1]);
    ck_assert_int_eq(compare(s, 2, NULL, &d, &err), TSR_E_MISMATCH);
    ck_assert(strstr(err.message, "different models") != NULL);
    for (size_t cut = 0; cut < s[0].len; cut += 1 + s[0].len / 40) { /* cut off anywhere */
        struct tsr_buf part[2] = {{.data = s[0].data, .len = cut}, s[0]};
        ck_assert_int_eq(compare(part, 2, NULL, &d, &err), TSR_E_TRUNCATED);
    }
    tsr_buf_release(&s[0]);
    tsr_buf_release(&s[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("drift");
    TCase *t = tcase_create("drift");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, a_stream_does_not_drift_from_itself);
    tcase_add_test(t, what_is_no_change_is_no_drift);
    tcase_add_test(t, what_changes_answers_is_drift);
    tcase_add_test(t, statistics_are_what_they_are_called);
    tcase_add_test(t, what_was_not_measured_says_why);
    tcase_add_test(t, streams_that_do_not_belong_together_are_refused);
    tcase_add_test(t, rows_wait_no_longer_than_they_must);
    tcase_add_test(t, views_count_as_parts_of_their_samples);
    tcase_add_test(t, segments_join);
    suite_add_tcase(s, t);
    return run_suite(s);
}
