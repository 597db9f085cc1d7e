/* test_lesson.c - joining a stream's rows with the references that a receiver holds. */
#include "base/mem.h"
#include "tessera.h"
#include "transfer/lesson.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

enum { REFS = 12, BLOCK = 6, VIEWS = 4, D = 5 };

static struct tsr_key key[REFS];
static struct tsr_token_block blocks[2] = {{0, BLOCK}, {BLOCK, BLOCK}};
static struct tsr_tokens tokens;
static float sample[REFS][D];
static float held_x[REFS][D];
static struct tsr_key held_key[REFS];
static struct tsr_tensor refs;

static void setup(void)
{
    for (int i = 0; i < REFS; i++) {
        memset(key[i].b, 17 * i + 1, TSR_KEY_LEN);
        for (int j = 0; j < D; j++) sample[i][j] = (float)(10 * i + j);
    }
    tokens = (struct tsr_tokens){.refs = REFS, .key = key, .block = blocks, .n_block = 2, .rows = REFS * (1 + VIEWS),
                                 .views = {.kind = TSR_VIEW_VECTOR, .count = VIEWS, .seed = 4, .gain = 0.1f, .noise = 1}};
    refs = (struct tsr_tensor){.dtype = TSR_F32, .shape = {.rank = 2, .dim = {0, D}}, .data = held_x};
}

/* The receiver holds these samples, in this order. */
static void hold(const int *which, int n)
{
    for (int i = 0; i < n; i++) {
        memcpy(held_x[i], sample[which[i]], sizeof sample[0]);
        held_key[i] = key[which[i]];
    }
    refs.shape.dim[0] = n;
}

static struct tsr_graph *receiver(const char *text)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    ck_assert_int_eq(tsr_zoo_parse(text, &spec, NULL), TSR_OK);
    ck_assert_int_eq(tsr_zoo_build(&spec, &g, NULL), TSR_OK);
    return g;
}

static void expected(uint32_t row, float *out)
{
    struct tsr_token_row r = tsr_tokens_row(&tokens, row);
    struct tsr_view_plan plan;
    struct tsr_shape one = {.rank = 1, .dim = {D}};
    if (r.view == 0) {
        memcpy(out, sample[r.ref], sizeof sample[0]);
        return;
    }
    tsr_view_plan(&tokens.views, &key[r.ref], r.view, BLOCK, &plan);
    tsr_view_make(&tokens.views, &plan, TSR_F32, &one, sample[r.ref], sample[r.block->first + plan.partner], out);
}

START_TEST(order_does_not_matter)
{
    static const int turned[REFS] = {7, 3, 11, 0, 5, 9, 1, 10, 2, 8, 4, 6};
    struct tsr_graph *g = receiver("mlp input=5 classes=2 width=4 depth=1");
    struct tsr_session *s;
    struct tsr_lesson l;
    uint32_t index[REFS * (1 + VIEWS)];
    float want[D];
    hold(turned, REFS);
    ck_assert_int_eq(tsr_session_new(g, &(struct tsr_session_options){.pool = NULL}, &s, NULL), TSR_OK);
    ck_assert_int_eq(tsr_lesson_init(&l, &tokens, &refs, held_key, 0.1, true, 1, NULL), TSR_OK);
    ck_assert(l.n == tokens.rows && l.held == l.n / 10 && l.refs_used == REFS);
    for (uint32_t i = 0; i < l.n; i++) index[i] = i;
    ck_assert_int_eq(tsr_lesson_input(&l, index, l.n, g, s, NULL), TSR_OK);
    for (uint32_t i = 0; i < l.n; i++) {
        expected(l.row[i], want);
        ck_assert_mem_eq((float *)l.batch.data + i * D, want, sizeof want);
    }
    tsr_lesson_release(&l);
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

START_TEST(what_is_missing_is_left_out)
{
    static const int some[] = {4, 2, 2, 8, 10};
    struct tsr_lesson l;
    hold(some, 5);
    ck_assert_int_eq(tsr_lesson_init(&l, &tokens, &refs, held_key, 0.1, true, 1, NULL), TSR_OK);
    ck_assert(l.refs_used == 4 && l.at[4] == 0 && l.at[2] == 1 && l.at[8] == 3 && l.at[0] == UINT32_MAX);
    for (uint32_t i = 0; i < l.n; i++) {
        struct tsr_token_row r = tsr_tokens_row(&tokens, l.row[i]);
        struct tsr_view_plan plan;
        tsr_view_plan(&tokens.views, &key[r.ref], r.view, BLOCK, &plan);
        ck_assert(l.at[r.ref] != UINT32_MAX);
        if (r.view > 0 && plan.mixed) ck_assert(l.at[r.block->first + plan.partner] != UINT32_MAX);
    }
    ck_assert(l.n >= 4 * 3 && l.n < 4 * 5); /* samples and odd views at least */
    tsr_lesson_release(&l);
    ck_assert_int_eq(tsr_lesson_init(&l, &tokens, &refs, held_key, 0.1, false, 1, NULL), TSR_OK);
    ck_assert(l.n == 4 && l.held == 0); /* too few to hold one out */
    tsr_lesson_release(&l);
}
END_TEST

START_TEST(strangers_are_refused)
{
    static const int one[] = {0};
    struct tsr_lesson l;
    hold(one, 1);
    memset(held_key[0].b, 0xee, TSR_KEY_LEN);
    ck_assert_int_eq(tsr_lesson_init(&l, &tokens, &refs, held_key, 0.1, true, 1, NULL), TSR_E_MISMATCH);
    /* a recipe that does not fit the type of the references would read past their end */
    hold(one, 1);
    refs.dtype = TSR_U8;
    ck_assert_int_eq(tsr_lesson_init(&l, &tokens, &refs, held_key, 0.1, true, 1, NULL), TSR_E_MISMATCH);
    ck_assert_int_eq(tsr_lesson_init(&l, &tokens, &refs, held_key, 0.1, false, 1, NULL), TSR_OK);
    tsr_lesson_release(&l);
}
END_TEST

START_TEST(inputs_are_adapted_to_the_receiver)
{
    struct tsr_value in = {.name = (char *)"in", .dtype = TSR_F32, .shape = {.rank = 3, .dim = {-1, 2, 3}}};
    struct tsr_tensor x;
    ck_assert_int_eq(tsr_tensor_zeros(&x, TSR_U8, 2, (int64_t[]){4, 6}, NULL), TSR_OK);
    ((uint8_t *)x.data)[23] = 200;
    ck_assert_int_eq(tsr_input_adapt(&x, &in, NULL), TSR_OK);
    ck_assert(x.dtype == TSR_F32 && x.shape.rank == 3 && x.shape.dim[0] == 4 && x.shape.dim[2] == 3);
    ck_assert(((float *)x.data)[23] == 200);
    in.shape.dim[2] = -1; /* an open dimension takes what comes */
    ck_assert_int_eq(tsr_input_adapt(&x, &in, NULL), TSR_OK);
    in.shape.dim[2] = 4;
    ck_assert_int_eq(tsr_input_adapt(&x, &in, NULL), TSR_E_MISMATCH);
    in.shape.dim[2] = 3;
    in.dtype = TSR_I64;
    ck_assert_int_eq(tsr_input_adapt(&x, &in, NULL), TSR_E_MISMATCH);
    tsr_tensor_release(&x);
}
END_TEST

START_TEST(no_allocation_failure_leaks)
{
    static const int all[REFS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    enum tsr_status status = TSR_E_NOMEM;
    struct tsr_lesson l;
    hold(all, REFS);
    for (long n = 1; n < 50 && status != TSR_OK; n++) {
        tsr_mem_fail_after(n);
        status = tsr_lesson_init(&l, &tokens, &refs, held_key, 0.1, true, 1, NULL);
        tsr_mem_fail_after(0);
        ck_assert(status == TSR_OK || status == TSR_E_NOMEM);
    }
    ck_assert_int_eq(status, TSR_OK);
    tsr_lesson_release(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lesson");
    TCase *t = tcase_create("lesson");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, order_does_not_matter);
    tcase_add_test(t, what_is_missing_is_left_out);
    tcase_add_test(t, strangers_are_refused);
    tcase_add_test(t, inputs_are_adapted_to_the_receiver);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
