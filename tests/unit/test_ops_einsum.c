/* Einsum. The reference is numpy's definition, run over all values of all letters. */
#include "optest.h"

static void einsum(struct optest *t, const char *equation, int n, const struct tsr_shape *shape, enum tsr_dtype dtype)
{
    ot_init(t, "Einsum", 12);
    ot_string(t, "equation", equation);
    for (int i = 0; i < n; i++) ot_in_random(t, dtype, shape[i], -3, 3);
}

/* Letters a to h only, no ellipsis, explicit output: sums over everything, letter by letter. */
static void naive(const struct optest *t, const char *equation, double *y)
{
    int64_t size[8] = {0}, at[8] = {0};
    const char *term = equation, *out = strchr(equation, '>') + 1;
    for (int i = 0; i < t->n_in; i++, term++)
        for (int k = 0; *term >= 'a'; term++, k++)
            if (size[*term - 'a'] < t->in[i].shape.dim[k]) size[*term - 'a'] = t->in[i].shape.dim[k];
    for (int64_t i = 0; i < tsr_tensor_count(&t->out[0]); i++) y[i] = 0;
    for (;;) {
        double product = 1;
        int64_t to = 0;
        term = equation;
        for (int i = 0; i < t->n_in; i++, term++) {
            int64_t from = 0;
            for (int k = 0; *term >= 'a'; term++, k++) {
                int64_t d = t->in[i].shape.dim[k];
                from = from * d + (d == 1 ? 0 : at[*term - 'a']);
            }
            product *= tsr_load_f64(t->in[i].dtype, t->in[i].data, from);
        }
        for (const char *p = out; *p; p++) to = to * size[*p - 'a'] + at[*p - 'a'];
        y[to] += product;
        int i = 7;
        for (; i >= 0 && ++at[i] >= size[i]; i--) at[i] = 0;
        if (i < 0) return;
    }
}

static const struct {
    const char *equation;
    int n;
    struct tsr_shape s[3];
} cases[] = {
    {"ab->ba", 1, {{2, {2, 3}}}},
    {"ab->", 1, {{2, {2, 3}}}},
    {"ab->a", 1, {{2, {2, 3}}}},
    {"aa->a", 1, {{2, {3, 3}}}},
    {"aab->b", 1, {{3, {3, 3, 2}}}},
    {"ab,bc->ac", 2, {{2, {2, 3}}, {2, {3, 4}}}},
    {"ba,cb->ca", 2, {{2, {3, 2}}, {2, {4, 3}}}},
    {"abc,adc->abd", 2, {{3, {2, 3, 4}}, {3, {2, 2, 4}}}},
    {"abcd,aecd->acbe", 2, {{4, {2, 3, 2, 4}}, {4, {2, 2, 2, 4}}}},
    {"ab,cd->acbd", 2, {{2, {2, 3}}, {2, {2, 2}}}},
    {"ab,cd->a", 2, {{2, {2, 3}}, {2, {2, 2}}}},
    {"a,a->", 2, {{1, {5}}, {1, {5}}}},
    {",a->a", 2, {{0, {0}}, {1, {3}}}},
    {"ab,ab->ab", 2, {{2, {2, 1}}, {2, {1, 3}}}},
    {"ab,bc,cd->ad", 3, {{2, {2, 3}}, {2, {3, 2}}, {2, {2, 4}}}},
    {"abc,bd,cd->ad", 3, {{3, {2, 3, 2}}, {2, {3, 4}}, {2, {2, 4}}}},
    {"aa,ab,bb->ab", 3, {{2, {2, 2}}, {2, {2, 3}}, {2, {3, 3}}}},
};

START_TEST(against_the_definition)
{
    struct optest t;
    double want[256];
    einsum(&t, cases[_i].equation, cases[_i].n, cases[_i].s, TSR_F32);
    ot_run(&t);
    naive(&t, cases[_i].equation, want);
    ot_expect(&t, 0, t.out[0].shape, want, 1e-5);
    ot_check_all(&t, 1e-5);
    ot_free(&t);
    einsum(&t, cases[_i].equation, cases[_i].n, cases[_i].s, TSR_I32);
    ot_run(&t);
    naive(&t, cases[_i].equation, want);
    ot_expect(&t, 0, t.out[0].shape, want, 0);
    ot_free(&t);
}
END_TEST

START_TEST(ellipses_and_implicit_outputs)
{
    struct optest t;
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8}, v[] = {1, 10};
    ot_init(&t, "Einsum", 12); /* b a -> a b */
    ot_string(&t, "equation", " b a ");
    ot_in(&t, TSR_F32, OT_S(2, 2), x);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(1, 3, 2, 4), 0);
    ot_free(&t);
    ot_init(&t, "Einsum", 12); /* upper case sorts first; the repeated letter is summed */
    ot_string(&t, "equation", "aZb,b");
    ot_in(&t, TSR_F64, OT_S(2, 2, 2), x);
    ot_in(&t, TSR_F64, OT_S(2), v);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(21, 65, 43, 87), 0);
    ot_free(&t);
    ot_init(&t, "Einsum", 12); /* the ellipsis comes first in an implicit output, and broadcasts */
    ot_string(&t, "equation", "a...,...b");
    ot_in(&t, TSR_F32, OT_S(2, 2), x);
    ot_in(&t, TSR_F32, OT_S(1, 2), v);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2, 2), OT_V(1, 10, 3, 30, 2, 20, 4, 40), 0);
    ot_check_all(&t, 1e-6);
    ot_free(&t);
    ot_init(&t, "Einsum", 12); /* fewer dimensions in one of them: aligned at the end */
    ot_string(&t, "equation", "...a,...a->...");
    ot_in(&t, TSR_F32, OT_S(2, 2, 2), x);
    ot_in(&t, TSR_F32, OT_S(2, 2), x);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(5, 25, 17, 53), 0);
    ot_check_all(&t, 1e-6);
    ot_free(&t);
    ot_init(&t, "Einsum", 12); /* no elements */
    ot_string(&t, "equation", "ab,bc->ac");
    ot_in(&t, TSR_F32, OT_S(2, 0), x);
    ot_in(&t, TSR_F32, OT_S(0, 2), x);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(0, 0, 0, 0), 0);
    ot_free(&t);
}
END_TEST

START_TEST(bad)
{
    static const struct {
        const char *equation;
        enum tsr_status status;
        const char *part;
    } c[] = {
        {"ab", TSR_E_MISMATCH, "fewer terms"},      {"ab,bc,c->a", TSR_E_MISMATCH, "more terms"},
        {"ab,cb->ac", TSR_E_MISMATCH, "dimension"}, {"ab,bcd->a", TSR_E_MISMATCH, "3 dimensions"},
        {"ab,bc->ax", TSR_E_CORRUPT, "no input"},   {"ab,bc->aa", TSR_E_CORRUPT, "twice"},
        {"ab,b.->a", TSR_E_CORRUPT, "'.->a'"},      {"ab,bc-a", TSR_E_CORRUPT, "understood"},
        {"ab,bc->a,c", TSR_E_CORRUPT, "one output"}, {"aa,bc->ab", TSR_E_MISMATCH, "dimension 1 of input 0"},
        {"a1,bc->a", TSR_E_CORRUPT, "'1,bc->a'"},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct optest t;
        einsum(&t, c[i].equation, 2, (const struct tsr_shape[]){{2, {2, 3}}, {2, {3, 4}}}, TSR_F32);
        ot_fails(&t, c[i].status, c[i].part);
        ot_free(&t);
    }
    struct optest t;
    einsum(&t, "aa->a", 1, (const struct tsr_shape[]){{2, {1, 3}}}, TSR_F32);
    ot_fails(&t, TSR_E_MISMATCH, "diagonal");
    ot_free(&t);
}
END_TEST

START_TEST(memory)
{
    struct optest t;
    einsum(&t, "abc,bd,cd->ad", 3, cases[15].s, TSR_F32);
    ot_memory_torture(&t);
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/einsum");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, against_the_definition, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(c, ellipses_and_implicit_outputs);
    tcase_add_test(c, bad);
    tcase_add_test(c, memory);
    suite_add_tcase(s, c);
    return ot_main(s);
}
