/* test_fit.c - the training loop, the choice of a rate, and training on labels. */
#include "base/mem.h"
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 120, HELD = 20, D = 4, C = 2 };

/* y = w x, exactly. */
static float x[N * D], y[N * C], w[C * D];

static void setup(void)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 5, 0);
    for (int i = 0; i < C * D; i++) w[i] = tsr_rng_normal(&r);
    for (int i = 0; i < N * D; i++) x[i] = tsr_rng_normal(&r);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < C; k++) {
            y[i * C + k] = 0;
            for (int j = 0; j < D; j++) y[i * C + k] += w[k * D + j] * x[i * D + j];
        }
}

static struct tsr_graph *linear_graph(void)
{
    struct tsr_graph *g;
    struct tsr_tensor weight, bias;
    static const char *const in[] = {"x", "weight", "bias"}, *const out[] = {"y"};
    ck_assert_int_eq(tsr_graph_new(&g, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_opset(g, "", 20, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_add_input(g, "x", TSR_F32, 2, (int64_t[]){-1, D}, NULL, NULL), TSR_OK);
    ck_assert_int_eq(tsr_tensor_zeros(&weight, TSR_F32, 2, (int64_t[]){D, C}, NULL), TSR_OK);
    ck_assert_int_eq(tsr_tensor_zeros(&bias, TSR_F32, 1, (int64_t[]){C}, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_add_init(g, "weight", &weight, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_add_init(g, "bias", &bias, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_add_node(g, "Gemm", "", NULL, 3, in, 1, out, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_add_output(g, "y", TSR_F32, 2, (int64_t[]){-1, C}, NULL, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_finish(g, NULL), TSR_OK);
    return g;
}

struct task {
    struct tsr_graph *g;
    struct tsr_params ps;
    struct tsr_session *s;
    struct tsr_fit_problem problem;
    struct tsr_tensor batch;
    int32_t want;
    int evaluations;
};

static enum tsr_status feed(void *arg, const uint32_t *row, int64_t n, struct tsr_session *s, struct tsr_error *err)
{
    struct task *t = arg;
    struct tsr_shape shape = {.rank = 2, .dim = {n, D}};
    tsr_tensor_release(&t->batch);
    TSR_TRY(tsr_tensor_new(&t->batch, TSR_F32, &shape, NULL, err));
    for (int64_t i = 0; i < n; i++) memcpy((float *)t->batch.data + i * D, x + row[i] * D, D * sizeof *x);
    return tsr_session_set_input(s, t->g->input[0], &t->batch, err);
}

static enum tsr_status loss(void *arg, const uint32_t *row, int64_t n, const struct tsr_tensor *const *value,
                            struct tsr_tensor *grad, double *out, struct tsr_error *err)
{
    struct task *t = arg;
    float want[256 * C];
    (void)err;
    t->evaluations += grad == NULL;
    for (int64_t i = 0; i < n; i++) memcpy(want + i * C, y + row[i] * C, C * sizeof *y);
    *out = tsr_loss_mse(value[0]->data, want, n, C, grad != NULL ? grad[0].data : NULL);
    return TSR_OK;
}

static void begin(struct task *t)
{
    *t = (struct task){.g = linear_graph()};
    t->want = t->g->output[0];
    ck_assert_int_eq(tsr_params_init(&t->ps, t->g, NULL), TSR_OK);
    ck_assert_int_eq(tsr_session_new(t->g, &(struct tsr_session_options){.training = true, .seed = 1}, &t->s, NULL), TSR_OK);
    t->problem = (struct tsr_fit_problem){.arg = t, .rows = N - HELD, .held = HELD, .want = &t->want, .n_want = 1,
                                          .input = feed, .loss = loss};
}

static void end(struct task *t)
{
    tsr_session_free(t->s);
    tsr_params_release(&t->ps);
    tsr_tensor_release(&t->batch);
    tsr_graph_free(t->g);
}

static struct tsr_fit_options quick(void)
{
    struct tsr_fit_options o = tsr_fit_defaults();
    o.batch = 16;
    o.lr = 0.05f;
    o.weight_decay = 0;
    o.seed = 3;
    return o;
}

START_TEST(a_linear_task_is_learnt_exactly)
{
    struct task t;
    struct tsr_fit_result r;
    struct tsr_fit_options o = quick();
    begin(&t);
    ck_assert_int_eq(tsr_fit(t.s, &t.ps, &t.problem, &o, &r, NULL), TSR_OK);
    ck_assert_msg(r.held_loss < 1e-6, "held-out loss %g", r.held_loss);
    ck_assert(r.steps == 600 && isnan(r.first_held));
    const float *got = t.g->value[tsr_graph_find(t.g, "weight")].init.data;
    for (int j = 0; j < D; j++)
        for (int k = 0; k < C; k++) ck_assert(fabsf(got[j * C + k] - w[k * D + j]) < 1e-3f);
    end(&t);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_bits)
{
    float first[D * C] = {0};
    for (int k = 0; k < 3; k++) {
        struct task t;
        struct tsr_fit_result r;
        struct tsr_fit_options o = quick();
        begin(&t);
        o.steps = 30;
        o.seed = k < 2 ? 3 : 4;
        ck_assert_int_eq(tsr_fit(t.s, &t.ps, &t.problem, &o, &r, NULL), TSR_OK);
        const float *got = t.g->value[tsr_graph_find(t.g, "weight")].init.data;
        if (k == 0) memcpy(first, got, sizeof first);
        ck_assert((memcmp(first, got, sizeof first) == 0) == (k < 2));
        end(&t);
    }
}
END_TEST

START_TEST(the_best_weights_are_kept)
{
    struct task t;
    struct tsr_fit_result r;
    struct tsr_fit_options o = quick();
    double after;
    begin(&t);
    o.steps = 100;
    o.eval_every = 10;
    o.patience = 2;
    ck_assert_int_eq(tsr_fit(t.s, &t.ps, &t.problem, &o, &r, NULL), TSR_OK);
    ck_assert(r.held_loss < r.first_held);
    ck_assert_int_eq(tsr_fit_evaluate(t.s, &t.problem, N - HELD, HELD, &after, NULL), TSR_OK);
    ck_assert(after == r.held_loss);
    /* at a rate that only does harm, what was there before stays, and patience ends it */
    o.lr = 5;
    o.warmup = 0;
    ck_assert_int_eq(tsr_fit(t.s, &t.ps, &t.problem, &o, &r, NULL), TSR_OK);
    ck_assert_msg(r.held_loss <= after && r.steps == 20, "%lld steps, %g", (long long)r.steps, r.held_loss);
    end(&t);
}
END_TEST

START_TEST(the_rate_with_the_lowest_loss_is_chosen)
{
    struct task t;
    struct tsr_fit_options o = quick();
    struct tsr_rate_choice choice = {.list = {100, 0.2f, 1e-6f}, .n = 3, .steps = 40};
    float before[D * C + C], after[D * C + C];
    begin(&t);
    tsr_params_save(&t.ps, before);
    ck_assert_int_eq(tsr_fit_choose_rate(t.s, &t.ps, &t.problem, &o, &choice, NULL), TSR_OK);
    tsr_params_save(&t.ps, after);
    ck_assert_mem_eq(before, after, sizeof before);
    ck_assert(choice.best == 0.2f && choice.n == 3 && choice.loss[1] < choice.loss[0] && choice.loss[1] < choice.loss[2]);
    /* where the smallest wins, smaller ones are tried */
    choice = (struct tsr_rate_choice){.list = {100, 1}, .n = 2, .steps = 40};
    ck_assert_int_eq(tsr_fit_choose_rate(t.s, &t.ps, &t.problem, &o, &choice, NULL), TSR_OK);
    ck_assert(choice.n > 2 && choice.list[2] == 0.25f && choice.best < 1);
    /* nothing to compare: the first, untried */
    t.problem.held = 0;
    choice = (struct tsr_rate_choice){.list = {10, 0.05f}, .n = 2, .steps = 40};
    t.evaluations = 0;
    ck_assert_int_eq(tsr_fit_choose_rate(t.s, &t.ps, &t.problem, &o, &choice, NULL), TSR_OK);
    ck_assert(choice.best == 10 && t.evaluations == 0);
    choice.n = 0;
    ck_assert_int_eq(tsr_fit_choose_rate(t.s, &t.ps, &t.problem, &o, &choice, NULL), TSR_E_USAGE);
    end(&t);
}
END_TEST

START_TEST(what_cannot_be_learnt_is_said)
{
    struct task t;
    struct tsr_fit_result r;
    struct tsr_fit_options o = quick();
    begin(&t);
    t.problem.rows = 0;
    ck_assert_int_eq(tsr_fit(t.s, &t.ps, &t.problem, &o, &r, NULL), TSR_E_MISMATCH);
    t.problem.rows = 1; /* fewer than a batch */
    t.problem.held = 0;
    o.steps = 3;
    ck_assert_int_eq(tsr_fit(t.s, &t.ps, &t.problem, &o, &r, NULL), TSR_OK);
    ck_assert(r.steps == 3 && isnan(r.held_loss));
    y[0] = INFINITY;
    ck_assert_int_eq(tsr_fit(t.s, &t.ps, &t.problem, &o, &r, NULL), TSR_E_NUMERIC);
    end(&t);
}
END_TEST

START_TEST(labels_and_values_train)
{
    struct tsr_graph *g = linear_graph();
    struct tsr_tensor tx = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {N, D}}, .data = x};
    struct tsr_tensor ty = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {N, C}}, .data = y};
    struct tsr_labelled d, val;
    struct tsr_train_options o = tsr_train_defaults();
    struct tsr_train_report r;
    float z[N * C];
    int32_t label[N];
    ck_assert_int_eq(tsr_labelled_init(&d, &tx, &ty, true, C, NULL), TSR_OK);
    o.fit.steps = 600;
    o.views = 1; /* a linear map answers mixtures of samples with mixtures of values */
    ck_assert_int_eq(tsr_train_labelled(g, &d, NULL, &o, &r, NULL), TSR_OK);
    ck_assert(r.held == N / 10 && r.rows == 2 * (N - N / 10));
    ck_assert_msg(r.fit.held_loss < 0.05, "held-out loss %g", r.fit.held_loss);
    tsr_labelled_release(&d);
    /* classes: which value is larger */
    for (int i = 0; i < N; i++) label[i] = tsr_argmax(y + i * C, C);
    ty = (struct tsr_tensor){.dtype = TSR_I32, .shape = {.rank = 1, .dim = {N}}, .data = label};
    ck_assert_int_eq(tsr_labelled_init(&d, &tx, &ty, false, C, NULL), TSR_OK);
    o.views = 0;
    ck_assert_int_eq(tsr_train_labelled(g, &d, NULL, &o, &r, NULL), TSR_OK);
    ck_assert_int_eq(tsr_predict(g, g->output[0], &d.x, C, NULL, z, NULL), TSR_OK);
    ck_assert(tsr_count_correct(z, label, N, C) > N * 9 / 10);
    /* validation samples of another width would be read past their end */
    tx.shape.dim[0] = N / 2;
    ty.shape.dim[0] = N / 2;
    tx.shape.dim[1] = D / 2;
    ck_assert_int_eq(tsr_labelled_init(&val, &tx, &ty, false, C, NULL), TSR_OK);
    ck_assert_int_eq(tsr_train_labelled(g, &d, &val, &o, &r, NULL), TSR_E_MISMATCH);
    tsr_labelled_release(&val);
    tsr_labelled_release(&d);
    tx.shape.dim[1] = D;
    label[7] = C;
    ck_assert_int_eq(tsr_labelled_init(&val, &tx, &ty, false, C, NULL), TSR_E_CORRUPT);
    label[7] = 0;
    x[5] = NAN;
    ck_assert_int_eq(tsr_labelled_init(&val, &tx, &ty, false, C, NULL), TSR_E_NUMERIC);
    tsr_graph_free(g);
}
END_TEST

START_TEST(no_allocation_failure_leaks)
{
    enum tsr_status status = TSR_E_NOMEM;
    for (long n = 1; n < 20000 && status != TSR_OK; n += 1 + n / 20) {
        struct tsr_graph *g = linear_graph();
        struct tsr_tensor tx = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {N, D}}, .data = x};
        struct tsr_tensor ty = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {N, C}}, .data = y};
        struct tsr_labelled d;
        struct tsr_train_options o = tsr_train_defaults();
        struct tsr_train_report r;
        o.fit.steps = 3;
        o.rate.steps = 2;
        tsr_mem_fail_after(n);
        status = tsr_labelled_init(&d, &tx, &ty, true, C, NULL);
        if (status == TSR_OK) {
            status = tsr_train_labelled(g, &d, NULL, &o, &r, NULL);
            tsr_labelled_release(&d);
        }
        tsr_mem_fail_after(0);
        ck_assert_msg(status == TSR_OK || status == TSR_E_NOMEM, "allocation %ld: %s", n, tsr_status_name(status));
        tsr_graph_free(g);
    }
    ck_assert_int_eq(status, TSR_OK);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fit");
    TCase *t = tcase_create("fit");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, a_linear_task_is_learnt_exactly);
    tcase_add_test(t, the_same_seed_gives_the_same_bits);
    tcase_add_test(t, the_best_weights_are_kept);
    tcase_add_test(t, the_rate_with_the_lowest_loss_is_chosen);
    tcase_add_test(t, what_cannot_be_learnt_is_said);
    tcase_add_test(t, labels_and_values_train);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
