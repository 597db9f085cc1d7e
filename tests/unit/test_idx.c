/* IDX: the fixtures, streaming. */
#include "iotest.h"

static void load_both_ways(const char *path, const char *verdict)
{
    struct tsr_source *s;
    struct tsr_tensor t;
    struct tsr_error e = {0};
    struct trickle trickle;
    OK(tsr_source_open(path, &s, &err));
    check_verdict(path, verdict, tsr_idx_load(s, &t, &e), &e, &t);
    tsr_tensor_release(&t);
    tsr_source_close(s);
    s = trickle_open(&trickle, path);
    check_verdict(path, verdict, tsr_idx_load(s, &t, &e), &e, &t);
    tsr_tensor_release(&t);
    tsr_source_close(s);
}

START_TEST(fixtures) { each_fixture("idx", load_both_ways); }
END_TEST

START_TEST(rows_one_by_one)
{
    struct tsr_source *s;
    struct tsr_idx r;
    int32_t row[6];
    int64_t got;
    OK(tsr_source_open("testdata/idx/good-i4.idx", &s, &err));
    OK(tsr_idx_open(&r, s, &err));
    ck_assert_int_eq(r.dtype, TSR_I32);
    ck_assert_int_eq(r.rows, 2);
    ck_assert_int_eq(r.row.rank, 2);
    ck_assert_int_eq(r.row.dim[1], 3);
    ck_assert_uint_eq(r.row_bytes, sizeof row);
    for (int i = 0; i < 3; i++) {
        OK(tsr_idx_read(&r, 1, row, &got, &err));
        ck_assert_int_eq(got, i < 2);
        if (i < 2) ck_assert_int_eq(row[5], 6 * i + 5);
    }
    tsr_source_close(s);
}
END_TEST

START_TEST(signs_and_fractions)
{
    static const uint8_t shorts[] = {0, 0, 0x0B, 1, 0, 0, 0, 2, 0xFF, 0xFE, 0x80, 0x00};
    static const uint8_t floats[] = {0, 0, 0x0D, 1, 0, 0, 0, 1, 0xC0, 0x20, 0, 0};
    struct tsr_source *s;
    struct tsr_tensor t;
    OK(tsr_source_from_memory(shorts, sizeof shorts, "shorts", &s, &err));
    OK(tsr_idx_load(s, &t, &err));
    ck_assert_int_eq(((int16_t *)t.data)[0], -2);
    ck_assert_int_eq(((int16_t *)t.data)[1], -32768);
    tsr_tensor_release(&t);
    tsr_source_close(s);
    OK(tsr_source_from_memory(floats, sizeof floats, "floats", &s, &err));
    OK(tsr_idx_load(s, &t, &err));
    ck_assert_float_eq(((float *)t.data)[0], -2.5f);
    tsr_tensor_release(&t);
    tsr_source_close(s);
}
END_TEST

static enum tsr_status load(struct tsr_error *err)
{
    struct tsr_source *s = NULL;
    struct tsr_tensor t = {0};
    TSR_TRY(tsr_source_open("testdata/idx/good-u1.idx", &s, err));
    enum tsr_status status = tsr_idx_load(s, &t, err);
    tsr_source_close(s);
    tsr_tensor_release(&t);
    return status;
}

START_TEST(failing_allocations) { TORTURE(load(&err)); }
END_TEST

int main(void)
{
    const TTest *tests[] = {fixtures, rows_one_by_one, signs_and_fractions, failing_allocations};
    return run_tests("idx", tests, sizeof tests / sizeof *tests);
}
