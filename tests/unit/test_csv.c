/* CSV: the fixtures, the choice of separators, messages, long lines. */
#include "iotest.h"

#include <locale.h>

static void load_both_ways(const char *path, const char *verdict)
{
    struct tsr_source *s;
    struct tsr_tensor t;
    struct tsr_error e = {0};
    struct trickle trickle;
    if (strstr(path, "unsupported-gzip") != NULL) return; /* told from CSV by samples.h */
    OK(tsr_source_open(path, &s, &err));
    check_verdict(path, verdict, tsr_csv_load(s, false, &t, &e), &e, &t);
    tsr_tensor_release(&t);
    tsr_source_close(s);
    s = trickle_open(&trickle, path);
    check_verdict(path, verdict, tsr_csv_load(s, false, &t, &e), &e, &t);
    tsr_tensor_release(&t);
    tsr_source_close(s);
}

START_TEST(fixtures) { each_fixture("csv", load_both_ways); }
END_TEST

static enum tsr_status load(const char *text, bool integers, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_source *s = NULL;
    char *exact = tsr_memdup(text, strlen(text));
    *t = (struct tsr_tensor){0};
    enum tsr_status status =
        exact != NULL ? tsr_source_from_memory(exact, strlen(text), "x.csv", &s, err) : tsr_nomem(err, 1);
    if (status == TSR_OK) status = tsr_csv_load(s, integers, t, err);
    tsr_source_close(s);
    tsr_free(exact);
    return status;
}

START_TEST(shapes_and_types)
{
    static const struct {
        const char *text;
        int64_t rows, columns;
    } known[] = {
        {"1", 1, 1}, {"1\n2\n", 2, 1}, {"a\n1\n", 1, 1}, {" 1 , 2 \n3,4\n", 2, 2}, {"1 2 3\n4 5 6\n", 2, 3},
        {"  1  2\n", 1, 2}, {"1, 2, 3\n", 1, 3}, {"1\t2\n", 1, 2}, {"1;2\n", 1, 2}, {"\"x y\";\"z\"\n1;2\n", 1, 2},
        {"#c\n\"1\",\"2\"\n", 1, 2}, {"1e-50,2\n", 1, 2}, {"1,2,3\r\n\r\n", 1, 3},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct tsr_tensor t;
        OK(load(known[i].text, false, &t, &err));
        ck_assert_int_eq(t.dtype, TSR_F32);
        ck_assert_int_eq(t.shape.rank, 2);
        ck_assert_int_eq(t.shape.dim[0], known[i].rows);
        ck_assert_int_eq(t.shape.dim[1], known[i].columns);
        tsr_tensor_release(&t);
    }
    struct tsr_tensor t;
    OK(load("-3,9223372036854775807\n", true, &t, &err));
    ck_assert_int_eq(t.dtype, TSR_I64);
    ck_assert_int_eq(((int64_t *)t.data)[0], -3);
    ck_assert_int_eq(((int64_t *)t.data)[1], INT64_MAX);
    tsr_tensor_release(&t);
}
END_TEST

START_TEST(messages_name_line_and_column)
{
    static const struct {
        const char *text, *message;
        bool integers;
        enum tsr_status status;
    } bad[] = {
        {"a,b\n1,2\n3,x\n", "x.csv: line 3, column 2: 'x' is not a number", false, TSR_E_CORRUPT},
        {"1,2\n3,nan\n", "x.csv: line 2, column 2: 'nan' is not a finite number", false, TSR_E_NUMERIC},
        {"# c\n1,2\n-Infinity,1\n", "line 3, column 1: '-Infinity' is not a finite number", false, TSR_E_NUMERIC},
        {"1,2\n3\n", "line 2 has 1 fields where the first has 2", false, TSR_E_CORRUPT},
        {"1,2\n3,4,\n", "line 2 has 3 fields where the first has 2", false, TSR_E_CORRUPT},
        {"a,b\n1,2,3\n", "line 2 has 3 fields but its header has 2", false, TSR_E_CORRUPT},
        {"1,2\n3,1e40\n", "'1e40' is too large for float32", false, TSR_E_NUMERIC},
        {"1,2\n3,2.5\n", "'2.5' is not an integer", true, TSR_E_CORRUPT},
        {"1,2\n3,99999999999999999999\n", "is not an integer", true, TSR_E_CORRUPT},
        {"1,2\n3,x\n", "'x' is not a number", true, TSR_E_CORRUPT},
        {"1,2\n\n\n3,4\n", "line 2 is empty but more lines follow", false, TSR_E_CORRUPT},
        {"1,\"2\n3,4\n", "line 1, column 2: '2' lacks its closing quote", false, TSR_E_CORRUPT},
        {"1,2\n3,\"4\"5\n", "line 2, column 2: '4\"5' lacks its closing quote", false, TSR_E_CORRUPT},
        {"", "x.csv is empty", false, TSR_E_FORMAT},
        {"\n\n", "has no line of numbers", false, TSR_E_FORMAT},
        {"a\nb\nc\n", "line 2, column 1: 'b' has no number", false, TSR_E_FORMAT},
        {"\x01\x02", "is not text", false, TSR_E_FORMAT},
    };
    struct tsr_tensor t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(bad[i].status, bad[i].message, load(bad[i].text, bad[i].integers, &t, &err));
}
END_TEST

START_TEST(lines_longer_than_any_buffer)
{
    enum { COLUMNS = 60000, ROWS = 3 };
    struct tsr_buf b = {0};
    struct tsr_tensor t;
    char number[32];
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        int n = snprintf(number, sizeof number, "%d.25%c", i % 1000, i % COLUMNS == COLUMNS - 1 ? '\n' : ',');
        OK(tsr_buf_append(&b, number, (size_t)n, &err));
    }
    struct trickle trickle = {.b = b};
    struct tsr_source *s;
    OK(tsr_source_from_callback(trickle_read, trickle_finish, &trickle, -1, "long", &s, &err));
    OK(tsr_csv_load(s, false, &t, &err));
    ck_assert_int_eq(t.shape.dim[0], ROWS);
    ck_assert_int_eq(t.shape.dim[1], COLUMNS);
    for (int i = 0; i < ROWS * COLUMNS; i++) ck_assert(((float *)t.data)[i] == (float)(i % 1000) + 0.25f);
    tsr_tensor_release(&t);
    tsr_source_close(s);
}
END_TEST

START_TEST(the_locale_does_not_matter)
{
    struct tsr_tensor t;
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL && setlocale(LC_ALL, "fr_FR.UTF-8") == NULL)
        printf("skipped: no locale with decimal commas is installed\n");
    OK(load("0.5,1234567.890123456789012345\n", false, &t, &err));
    ck_assert_float_eq(((float *)t.data)[0], 0.5f);
    ck_assert_float_eq(((float *)t.data)[1], 1234567.875f);
    tsr_tensor_release(&t);
    setlocale(LC_ALL, "C");
}
END_TEST

static enum tsr_status load_and_release(struct tsr_error *err)
{
    struct tsr_tensor t;
    enum tsr_status status = load("a,b\n1,2\n3,4\n", false, &t, err);
    tsr_tensor_release(&t);
    return status;
}

START_TEST(failing_allocations) { TORTURE(load_and_release(&err)); }
END_TEST

int main(void)
{
    const TTest *tests[] = {fixtures,
                            shapes_and_types,
                            messages_name_line_and_column,
                            lines_longer_than_any_buffer,
                            the_locale_does_not_matter,
                            failing_allocations};
    return run_tests("csv", tests, sizeof tests / sizeof *tests);
}
