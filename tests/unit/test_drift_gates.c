/* test_drift_gates.c - gates and reports of what streams compared to. */
#include "driftstreams.h"

START_TEST(gates_are_read_and_judged)
{
    static const char *const bad[] = {"", "kl", ">=1", "kl>=", "kl>=x", "kl>1", "kl==1", "nothing>=1", "layer:>=1", "layer:a>=1",
                                      "layer:a.kl<=1", "frechet<=1", "kl<=1e999", "kl<=nan", "cka.p<=0.05"};
    static const struct {
        const char *text;
        enum tsr_verdict verdict;
    } good[] = {{"kl<=0.001", TSR_PASS}, {"top1 >= 90%", TSR_PASS},       {"top1>=0.99", TSR_INCONCLUSIVE},
                {"kl.max<=0", TSR_PASS}, {"layer:fc.1.sqnr>=20", TSR_PASS}, {"layer:fc.1.sqnr<=20", TSR_FAIL},
                {"kl.p99<=0.1", TSR_INCONCLUSIVE}, {"tv>=0.1", TSR_FAIL}, {"cosine>=0.9", TSR_PASS}};
    struct spec a = plain();
    struct tsr_gate gate;
    struct tsr_error err;
    struct tsr_judgement j;
    struct tsr_drift *d = drift(&a, &a, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(tsr_gate_parse(bad[i], &gate, &err) == TSR_E_USAGE, "'%s' is taken for a gate", bad[i]);
        ck_assert_ptr_null(gate.text);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        OK(tsr_gate_parse(good[i].text, &gate, &err));
        ck_assert_msg(tsr_gates_judge(d, &gate, 1, 0.99, &j, &err) == TSR_OK, "%s", err.message);
        ck_assert_msg(j.verdict == good[i].verdict, "%s: %s", good[i].text, tsr_verdict_name(j.verdict));
        if (j.verdict == TSR_INCONCLUSIVE) ck_assert(j.needed > N && j.needed < 2000);
        tsr_gate_release(&gate);
    }
    OK(tsr_gate_parse("layer:conv3.sqnr>=20", &gate, &err));
    ck_assert_int_eq(tsr_gates_judge(d, &gate, 1, 0.99, &j, &err), TSR_E_NOT_FOUND);
    ck_assert(strstr(err.message, "there are 'fc.1'") != NULL);
    tsr_gate_release(&gate);
    OK(tsr_gate_parse("accuracy>=0.5", &gate, &err));
    ck_assert_int_eq(tsr_gates_judge(d, &gate, 1, 0.99, &j, &err), TSR_E_MISMATCH);
    tsr_gate_release(&gate);
    tsr_drift_free(d);
    a.count = 15; /* too few to measure is not the same as not measurable */
    d = drift(&a, &a, NULL);
    OK(tsr_gate_parse("cka>=0.9", &gate, &err));
    OK(tsr_gates_judge(d, &gate, 1, 0.99, &j, &err));
    ck_assert(j.verdict == TSR_INCONCLUSIVE && j.needed == TSR_RATIO_MIN);
    tsr_gate_release(&gate);
    OK(tsr_gate_parse("kl<=0.01", &gate, &err));
    OK(tsr_gates_judge(d, &gate, 1, 0.99, &j, &err));
    ck_assert(j.verdict == TSR_INCONCLUSIVE && j.needed == TSR_RATIO_MIN);
    tsr_gate_release(&gate);
    tsr_drift_free(d);
}
END_TEST

/* Many gates widen the intervals of each. */
START_TEST(gates_share_their_confidence)
{
    struct spec a = plain(), b = plain();
    b.dtype = TSR_I4;
    struct tsr_drift *d = drift(&a, &b, NULL);
    struct tsr_gate gate[40];
    struct tsr_judgement j[40];
    for (int i = 0; i < 40; i++) OK(tsr_gate_parse("kl<=1", &gate[i], NULL));
    OK(tsr_gates_judge(d, gate, 1, 0.99, j, NULL));
    double one = j[0].estimate.high;
    OK(tsr_gates_judge(d, gate, 40, 0.99, j, NULL));
    ck_assert(j[0].estimate.high > one);
    double lone = tsr_measure_estimate(d->candidate[0].outputs, gate[0].measure, 0.01 / 40, 1).high;
    ck_assert(j[7].estimate.high == lone);
    ck_assert_int_eq(tsr_gates_verdict(j, 40), TSR_PASS);
    j[3].verdict = TSR_INCONCLUSIVE;
    ck_assert_int_eq(tsr_gates_verdict(j, 40), TSR_INCONCLUSIVE);
    j[9].verdict = TSR_FAIL;
    ck_assert_int_eq(tsr_gates_verdict(j, 40), TSR_FAIL);
    for (int i = 0; i < 40; i++) tsr_gate_release(&gate[i]);
    tsr_drift_free(d);
}
END_TEST

START_TEST(bits_are_read_from_names)
{
    static const struct {
        const char *name;
        int bits;
    } want[] = {{"int8", 8}, {"dir4/student.int4.tsr", 4}, {"fp16", 16}, {"m-bf16.tsr", 16}, {"f32", 32}, {"q4_k", 4},
                {"w4a8", 4}, {"i64x", 32}, {"print8.tsr", 32}, {"plain", 32}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct tsr_drift_stream s = {.name = (char *)(uintptr_t)want[i].name, .dtype = TSR_F32};
        ck_assert_msg(tsr_report_bits(&s) == want[i].bits, "%s: %d bits", want[i].name, tsr_report_bits(&s));
    }
}
END_TEST

START_TEST(markup_in_names_stays_text)
{
    struct tsr_buf b = {0};
    struct tsr_page p = {.to = &b};
    tsr_page_xml(&p, "<a href=\"x\">&\001\t\303\251\355\240\200\360\237\230\200\377\303");
    tsr_page_add(&p, "%c", '\0');
    OK(p.status);
    ck_assert_str_eq((char *)b.data, "&lt;a href=&quot;x&quot;&gt;&amp;?\t\303\251???\360\237\230\200??");
    tsr_buf_release(&b);
}
END_TEST

/* All of it once more with every allocation failing once: an error or the same report, and no leak. */
static enum tsr_status everything(struct tsr_buf *s, struct tsr_buf *to)
{
    struct tsr_drift_options o = {.top_k = 2, .memory = 1 << 26, .views = true};
    struct tsr_drift *d;
    struct tsr_gate gate = {0};
    struct tsr_judgement j[2];
    enum tsr_status status = compare(s, 3, &o, &d, NULL);
    if (status == TSR_OK) status = tsr_gate_parse("layer:fc.1.sqnr>=20", &gate, NULL);
    if (status == TSR_OK) status = tsr_gates_judge(d, &gate, 1, 0.99, j, NULL);
    if (status == TSR_OK) {
        struct tsr_report r = {.drift = d, .confidence = 0.99, .judgement = j, .judgements = 2};
        for (int f = TSR_REPORT_TEXT; f <= TSR_REPORT_HTML && status == TSR_OK; f++)
            status = tsr_report_write(&r, (enum tsr_report_format)f, to, NULL);
    }
    tsr_gate_release(&gate);
    tsr_drift_free(d);
    return status;
}

START_TEST(no_allocation_failure_leaks)
{
    struct spec a = plain();
    struct tsr_buf s[3] = {{0}}, whole = {0};
    a.count = 30;
    a.block = 20;
    a.views = &views[0][0][0];
    write_stream(&a, &s[0]);
    a.dtype = TSR_I8;
    write_stream(&a, &s[1]);
    a.first = 29;
    a.step = N - 1;
    a.views = NULL;
    a.dtype = TSR_F16;
    a.kind = TSR_KIND_LOGITS;
    write_stream(&a, &s[2]);
    /* the third lacks the views, in another order: its rows wait, and are refused */
    ck_assert_int_eq(everything(s, &whole), TSR_E_MISMATCH);
    tsr_buf_release(&s[2]);
    a.views = &views[0][0][0];
    a.first = 0;
    a.step = 1;
    write_stream(&a, &s[2]);
    OK(everything(s, &whole));
    ck_assert_uint_gt(whole.len, 10000);
    enum tsr_status status = TSR_E_NOMEM;
    long n = 0;
    while (status != TSR_OK) {
        struct tsr_buf again = {0};
        n += 1 + n / 64;
        tsr_mem_fail_after(n);
        status = everything(s, &again);
        tsr_mem_fail_after(0);
        ck_assert(status == TSR_E_NOMEM || (status == TSR_OK && again.len == whole.len));
        tsr_buf_release(&again);
    }
    for (int i = 0; i < 3; i++) tsr_buf_release(&s[i]);
    tsr_buf_release(&whole);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("drift-gates");
    TCase *t = tcase_create("drift");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, gates_are_read_and_judged);
    tcase_add_test(t, gates_share_their_confidence);
    tcase_add_test(t, bits_are_read_from_names);
    tcase_add_test(t, markup_in_names_stays_text);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
