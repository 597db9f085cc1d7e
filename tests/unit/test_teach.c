/* test_teach.c - teaching: tasks that can be learnt to the end are. */
#include "base/mem.h"
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REFS = 200, D = 6, C = 3, RANK = 2, VIEWS = 4, ROWS = REFS * (1 + VIEWS) };

static struct tsr_key key[REFS];
static struct tsr_token_block block = {0, REFS};
static float x[REFS * D], weight[C * D], out[ROWS * C], hub[REFS * RANK];
static struct tsr_tokens tokens;
static struct tsr_tensor refs;

static void linear(const float *in, const float *map, int rows, float *to)
{
    for (int i = 0; i < rows; i++) {
        to[i] = 0;
        for (int j = 0; j < D; j++) to[i] += map[i * D + j] * in[j];
    }
}

/* The transmitter is linear; its tokens are two linear functions of the input. */
static void setup(void)
{
    struct tsr_rng r;
    struct tsr_shape one = {.rank = 1, .dim = {D}};
    tsr_rng_init(&r, 11, 0);
    for (int i = 0; i < C * D; i++) weight[i] = 1.5f * tsr_rng_normal(&r);
    for (int i = 0; i < REFS * D; i++) x[i] = tsr_rng_normal(&r);
    for (int i = 0; i < REFS; i++) {
        memset(key[i].b, 0, TSR_KEY_LEN);
        key[i].b[0] = (uint8_t)(i + 1);
        linear(x + i * D, weight, RANK, hub + i * RANK);
    }
    tokens = (struct tsr_tokens){.refs = REFS, .key = key, .block = &block, .n_block = 1, .rows = ROWS,
                                 .views = {.kind = TSR_VIEW_VECTOR, .count = VIEWS, .seed = 4, .gain = 0.1f, .noise = 0.1f},
                                 .kind = TSR_KIND_LOGITS, .classes = C, .out = out, .rank = RANK, .hub = hub,
                                 .hub_rows = REFS, .anchors = REFS};
    for (size_t k = 0; k < ROWS; k++) {
        struct tsr_token_row row = tsr_tokens_row(&tokens, k);
        struct tsr_view_plan plan;
        float v[D];
        memcpy(v, x + row.ref * D, sizeof v);
        tsr_view_plan(&tokens.views, &key[row.ref], row.view, REFS, &plan);
        if (row.view > 0)
            tsr_view_make(&tokens.views, &plan, TSR_F32, &one, x + row.ref * D, x + plan.partner * D, v);
        linear(v, weight, C, out + k * C);
    }
    refs = (struct tsr_tensor){.dtype = TSR_F32, .shape = {.rank = 2, .dim = {REFS, D}}, .data = x};
}

static struct tsr_graph *receiver(const char *text)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    ck_assert_int_eq(tsr_zoo_parse(text, &spec, NULL), TSR_OK);
    ck_assert_int_eq(tsr_zoo_build(&spec, &g, NULL), TSR_OK);
    return g;
}

static struct tsr_teach_options options(void)
{
    struct tsr_teach_options o = tsr_teach_defaults(false);
    o.steps = 600;
    o.seed = 1;
    o.refit_head = false;
    return o;
}

static enum tsr_status teach(struct tsr_graph *g, const struct tsr_teach_options *o, struct tsr_teach_report *r)
{
    return tsr_teach(g, &tokens, &refs, key, o, r, NULL);
}

START_TEST(outputs_are_learnt)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=3 width=32 depth=1");
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    ck_assert(r.rows == ROWS && r.held == ROWS / 10 && r.refs_used == REFS && r.refs_missing == 0);
    ck_assert_msg(r.after < 0.01 && r.after < r.before / 30, "held-out loss %g, before %g", r.after, r.before);
    tsr_graph_free(g);
}
END_TEST

START_TEST(values_are_learnt)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=3 width=32 depth=1");
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    tokens.kind = TSR_KIND_REGRESSION;
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    ck_assert_msg(r.after < r.before / 30, "held-out loss %g, before %g", r.after, r.before);
    tsr_graph_free(g);
}
END_TEST

/* Each output is the answer for a position, where the head gives one number. */
START_TEST(answers_of_many_positions_are_learnt)
{
    struct tsr_graph *g;
    struct tsr_tensor w;
    struct tsr_rng r;
    struct tsr_teach_options o = options();
    struct tsr_teach_report report;
    struct tsr_error err;
    const int64_t dim[2][2] = {{D, 4 * C}, {4, 1}}, shape[3] = {0, C, 4};
#define NODE(op, n, in, out) \
    ck_assert_int_eq(tsr_graph_add_node(g, op, "", NULL, n, (const char *const[]){in[0], in[1]}, 1, (const char *const[]){out}, NULL), TSR_OK)
    ck_assert_int_eq(tsr_graph_new(&g, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_opset(g, "", 13, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, D}, NULL, NULL), TSR_OK);
    tsr_rng_init(&r, 6, 0);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(tsr_tensor_zeros(&w, TSR_F32, 2, dim[k], NULL), TSR_OK);
        for (int64_t i = 0; i < tsr_tensor_count(&w); i++) ((float *)w.data)[i] = 0.5f * tsr_rng_normal(&r);
        ck_assert_int_eq(tsr_graph_add_init(g, k ? "head" : "body", &w, NULL), TSR_OK);
    }
    ck_assert_int_eq(tsr_tensor_zeros(&w, TSR_I64, 1, (const int64_t[]){3}, NULL), TSR_OK);
    memcpy(w.data, shape, sizeof shape);
    ck_assert_int_eq(tsr_graph_add_init(g, "shape", &w, NULL), TSR_OK);
    NODE("MatMul", 2, ((const char *[]){"x", "body"}), "a");
    NODE("Reshape", 2, ((const char *[]){"a", "shape"}), "b");
    NODE("MatMul", 2, ((const char *[]){"b", "head"}), "y");
#undef NODE
    ck_assert_int_eq(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, NULL), TSR_OK);
    ck_assert_int_eq(tsr_graph_finish(g, NULL), TSR_OK);
    o.refit_head = true;
    ck_assert_int_eq(tsr_teach(g, &tokens, &refs, key, &o, &report, &err), TSR_E_MISMATCH); /* of one class each */
    ck_assert(strstr(err.message, "3 outputs a sample, the receiver's head gives 1") != NULL);
    tokens.kind = TSR_KIND_REGRESSION;
    ck_assert_int_eq(teach(g, &o, &report), TSR_OK);
    ck_assert_msg(report.after < report.before / 30, "held-out loss %g, before %g", report.after, report.before);
    ck_assert(!report.head_refitted);
    tsr_graph_free(g);
}
END_TEST

START_TEST(hub_tokens_are_learnt)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=7 width=32 depth=1"); /* any number of classes */
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    o.outputs = false;
    o.hub = true;
    o.hub_weight = 1;
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    ck_assert(r.rows == REFS); /* the views carry no tokens */
    ck_assert_msg(r.after < r.before / 20, "held-out loss %g, before %g", r.after, r.before);
    tsr_graph_free(g);
}
END_TEST

START_TEST(the_closed_form_head_is_kept_where_it_helps)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=3 width=64 depth=1");
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    o.steps = 1;
    o.rate.n = 1;
    o.rate.list[0] = 1e-6f;
    o.refit_head = true;
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    ck_assert(r.head_refitted && r.after < r.before / 2);
    tsr_graph_free(g);
}
END_TEST

/* How many reference samples the receiver gives the class that it gives in `before` (which it sets where first). */
static int same_answers(struct tsr_graph *g, int32_t before[REFS], bool first)
{
    float z[REFS * 3];
    int same = 0;
    ck_assert_int_eq(tsr_predict(g, g->output[0], &refs, 3, NULL, z, NULL), TSR_OK);
    for (int i = 0; i < REFS; i++) {
        int32_t c = tsr_argmax(z + 3 * i, 3);
        if (first) before[i] = c;
        same += c == before[i];
    }
    return same;
}

START_TEST(what_the_receiver_knew_is_retained)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=3 width=32 depth=1");
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    int32_t before[REFS];
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    same_answers(g, before, true);
    for (size_t i = 0; i < ROWS; i++) { /* a teacher that knows nothing: every answer is another one */
        float first = tokens.out[3 * i];
        tokens.out[3 * i] = tokens.out[3 * i + 1];
        tokens.out[3 * i + 1] = tokens.out[3 * i + 2];
        tokens.out[3 * i + 2] = first;
    }
    o.retain = 1;
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    ck_assert_int_ge(same_answers(g, before, false), REFS * 9 / 10);
    o.retain = 0;
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    ck_assert_int_le(same_answers(g, before, false), REFS / 10);
    tsr_graph_free(g);
}
END_TEST

START_TEST(zeros_stay)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=3 width=16 depth=1");
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    int zeros = 0;
    for (size_t v = 0; v < g->n_value; v++)
        for (int64_t i = 0; g->value[v].trainable && g->value[v].init.shape.rank == 2 &&
                            i < tsr_tensor_count(&g->value[v].init); i += 3)
            ((float *)g->value[v].init.data)[i] = 0;
    o.steps = 50;
    o.keep_zeros = true;
    ck_assert_int_eq(teach(g, &o, &r), TSR_OK);
    for (size_t v = 0; v < g->n_value; v++)
        for (int64_t i = 0; g->value[v].trainable && g->value[v].init.shape.rank == 2 &&
                            i < tsr_tensor_count(&g->value[v].init); i += 3, zeros++)
            ck_assert(((float *)g->value[v].init.data)[i] == 0);
    ck_assert(zeros > 20 && r.after < r.before);
    tsr_graph_free(g);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=4 width=8 depth=1");
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    ck_assert_int_eq(teach(g, &o, &r), TSR_E_MISMATCH); /* classes */
    tsr_graph_free(g);
    g = receiver("mlp input=5 classes=3 width=8 depth=1");
    ck_assert_int_eq(teach(g, &o, &r), TSR_E_MISMATCH); /* inputs */
    tsr_graph_free(g);
    g = receiver("mlp input=6 classes=3 width=8 depth=1");
    tokens.out = NULL;
    ck_assert_int_eq(teach(g, &o, &r), TSR_E_MISMATCH);
    o.outputs = false;
    o.hub = true;
    tokens.rank = 0;
    ck_assert_int_eq(teach(g, &o, &r), TSR_E_MISMATCH);
    tsr_graph_free(g);
}
END_TEST

static bool at_once(void) { return true; }

START_TEST(it_can_be_stopped)
{
    struct tsr_graph *g = receiver("mlp input=6 classes=3 width=8 depth=1");
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    o.stop = at_once;
    ck_assert_int_eq(teach(g, &o, &r), TSR_E_INTERRUPTED);
    tsr_graph_free(g);
}
END_TEST

START_TEST(no_allocation_failure_leaks)
{
    struct tsr_teach_options o = options();
    struct tsr_teach_report r;
    enum tsr_status status = TSR_E_NOMEM;
    o.steps = 2;
    o.batch = 8;
    o.rate.n = 1;
    o.hub = true;
    o.hub_weight = 1;
    o.retain = 1;
    o.refit_head = true;
    for (long n = 1; n < 100000 && status != TSR_OK; n += 1 + n / 20) {
        struct tsr_graph *g = receiver("mlp input=6 classes=3 width=4 depth=1");
        tsr_mem_fail_after(n);
        status = teach(g, &o, &r);
        tsr_mem_fail_after(0);
        ck_assert_msg(status == TSR_OK || status == TSR_E_NOMEM, "allocation %ld: %s", n, tsr_status_name(status));
        tsr_graph_free(g);
    }
    ck_assert_int_eq(status, TSR_OK);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("teach");
    TCase *t = tcase_create("teach");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, outputs_are_learnt);
    tcase_add_test(t, values_are_learnt);
    tcase_add_test(t, answers_of_many_positions_are_learnt);
    tcase_add_test(t, hub_tokens_are_learnt);
    tcase_add_test(t, the_closed_form_head_is_kept_where_it_helps);
    tcase_add_test(t, what_the_receiver_knew_is_retained);
    tcase_add_test(t, zeros_stay);
    tcase_add_test(t, what_does_not_fit_is_refused);
    tcase_add_test(t, it_can_be_stopped);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
