/* Samples: every format through one door. */
#include "iotest.h"

/* What makes no sense as samples although the file is good. */
static bool is_scalar(const char *path) { return strstr(path, "good-scalar") != NULL; }

static enum tsr_status in_pieces(struct tsr_samples *r, int64_t step, struct tsr_buf *to, struct tsr_error *err)
{
    int64_t got = step;
    while (got == step) {
        size_t bytes = (size_t)step * tsr_samples_row_bytes(r);
        TSR_TRY(tsr_buf_reserve(to, bytes, err));
        TSR_TRY(tsr_samples_read(r, step, to->data + to->len, &got, err));
        to->len += (size_t)got * tsr_samples_row_bytes(r);
    }
    return TSR_OK;
}

static void every_way(const char *path, const char *verdict)
{
    struct tsr_tensor t;
    struct tsr_samples *r = NULL;
    struct tsr_error e = {0};
    struct trickle trickle;
    const char *member = strstr(path, "good-two") != NULL ? "x" : NULL;
    if (is_scalar(path)) {
        FAILS(TSR_E_MISMATCH, "a single number", tsr_samples_load_file(path, NULL, TSR_NONE, &t, &err));
        return;
    }
    check_verdict(path, verdict, tsr_samples_load_file(path, member, TSR_NONE, &t, &e), &e, &t);
    for (int64_t step = 1; step < 5; step += 3) { /* as a pipe, in pieces */
        struct tsr_buf b = {0};
        struct tsr_tensor got = {0};
        enum tsr_status status = tsr_samples_from_source(trickle_open(&trickle, path), member, TSR_NONE, &r, &e);
        if (status == TSR_OK) status = in_pieces(r, step, &b, &e);
        check_verdict(path, verdict, status, &e, &got);
        if (status == TSR_OK) {
            ck_assert_int_eq(tsr_samples_dtype(r), t.dtype);
            ck_assert_uint_eq(b.len, tsr_tensor_bytes(&t));
            ck_assert(b.len == 0 || memcmp(b.data, t.data, b.len) == 0);
            ck_assert_int_eq(tsr_samples_shape(r)->rank, t.shape.rank - 1);
            int64_t count = tsr_samples_count(r);
            ck_assert(count == t.shape.dim[0] || (count == -1 && strcmp(tsr_samples_format(r), "csv") == 0));
            ck_assert_ptr_nonnull(strstr(path, tsr_samples_format(r)));
            ck_assert_ptr_nonnull(strstr(tsr_samples_name(r), path));
        }
        tsr_samples_close(r);
        tsr_buf_release(&b);
    }
    tsr_tensor_release(&t);
}

START_TEST(fixtures)
{
    each_fixture("npy", every_way);
    each_fixture("npz", every_way);
    each_fixture("idx", every_way);
    each_fixture("csv", every_way);
}
END_TEST

START_TEST(integers_where_they_are_wanted)
{
    struct tsr_tensor t;
    OK(tsr_samples_load_file("testdata/csv/good-plain.csv", NULL, TSR_I64, &t, &err));
    ck_assert_int_eq(t.dtype, TSR_I64);
    ck_assert_int_eq(((int64_t *)t.data)[5], 5);
    tsr_tensor_release(&t);
    OK(tsr_samples_load_file("testdata/csv/good-plain.csv", NULL, TSR_U8, &t, &err));
    ck_assert_int_eq(t.dtype, TSR_I64);
    tsr_tensor_release(&t);
    OK(tsr_samples_load_file("testdata/npy/good-f4.npy", NULL, TSR_I64, &t, &err));
    ck_assert_int_eq(t.dtype, TSR_F32);
    tsr_tensor_release(&t);
    FAILS(TSR_E_CORRUPT, "line 2, column 1: '0.0' is not an integer",
          tsr_samples_load_file("testdata/csv/good-semicolon.csv", NULL, TSR_I64, &t, &err));
}
END_TEST

START_TEST(foreign_input)
{
    struct tsr_tensor t;
    char path[256];
    FAILS(TSR_E_NOT_FOUND, "holds 2 arrays", tsr_samples_load_file("testdata/npz/good-two.npz", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_IO, "No such file", tsr_samples_load_file("testdata/none", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_IO, "No such file", tsr_samples_load_file("testdata/none:x", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_IO, "No such file", tsr_samples_load_file("testdata/npz/good-two.npz:", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_IO, "No such file", tsr_samples_load_file(":", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_IO, "is a directory", tsr_samples_load_file("testdata", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_FORMAT, "/dev/null is empty", tsr_samples_load_file("/dev/null", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_UNSUPPORTED, "unpack it first",
          tsr_samples_load_file("testdata/csv/unsupported-gzip.csv", NULL, TSR_NONE, &t, &err));
    scratch_path(path, sizeof path, "foreign");
    spill(path, "\x08\x07\x12\x07pytorch\0\0", 13);
    FAILS(TSR_E_FORMAT, "is none of .npy, .npz, IDX and CSV", tsr_samples_load_file(path, NULL, TSR_NONE, &t, &err));
    unlink(path);
}
END_TEST

/* FILE:NAME, where no file is called so. */
START_TEST(arrays_of_archives)
{
    struct tsr_tensor t;
    char archive[256], path[300];
    OK(tsr_samples_load_file("testdata/npz/good-two.npz:labels", NULL, TSR_NONE, &t, &err));
    ck_assert_int_eq(t.dtype, TSR_I64);
    tsr_tensor_release(&t);
    OK(tsr_samples_load_file("testdata/npz/good-two.npz:x.npy", NULL, TSR_NONE, &t, &err));
    ck_assert_int_eq(t.dtype, TSR_F32);
    tsr_tensor_release(&t);
    OK(tsr_samples_load_file("testdata/npz/good-stored.npz:x", NULL, TSR_NONE, &t, &err));
    tsr_tensor_release(&t);
    FAILS(TSR_E_NOT_FOUND, "as in FILE.npz:NAME", tsr_samples_load_file("testdata/npz/good-two.npz", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_NOT_FOUND, "has no array 'y'", tsr_samples_load_file("testdata/npz/good-two.npz:y", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_NOT_FOUND, "has no array 'a:b'", tsr_samples_load_file("testdata/npz/good-two.npz:a:b", NULL, TSR_NONE, &t, &err));
    FAILS(TSR_E_NOT_FOUND, "is no .npz archive", tsr_samples_load_file("testdata/npy/good-f4.npy:x", NULL, TSR_NONE, &t, &err));
    /* a file of that very name goes first */
    scratch_path(archive, sizeof archive, "file");
    (void)snprintf(path, sizeof path, "%s:x", archive);
    spill(archive, "1\n", 2);
    spill(path, "1,2\n3,4\n", 8);
    OK(tsr_samples_load_file(path, NULL, TSR_I64, &t, &err));
    ck_assert_int_eq(tsr_tensor_count(&t), 4);
    tsr_tensor_release(&t);
    unlink(path);
    FAILS(TSR_E_NOT_FOUND, "is no .npz archive", tsr_samples_load_file(path, NULL, TSR_I64, &t, &err));
    unlink(archive);
}
END_TEST

START_TEST(the_rest_after_some_rows)
{
    struct tsr_samples *r;
    struct tsr_tensor t;
    float row[3];
    int64_t got;
    OK(tsr_samples_open("testdata/npy/good-f4.npy", NULL, TSR_NONE, &r, &err));
    OK(tsr_samples_read(r, 1, row, &got, &err));
    OK(tsr_samples_load(r, &t, &err));
    ck_assert_int_eq(t.shape.dim[0], 1);
    ck_assert_float_eq(((float *)t.data)[0], 3);
    tsr_tensor_release(&t);
    tsr_samples_close(r);
    tsr_samples_close(NULL);
}
END_TEST

static enum tsr_status load(const char *path, struct tsr_error *err)
{
    struct tsr_tensor t;
    enum tsr_status status = tsr_samples_load_file(path, NULL, TSR_NONE, &t, err);
    tsr_tensor_release(&t);
    return status;
}

START_TEST(failing_allocations)
{
    TORTURE(load("testdata/npy/good-f4.npy", &err));
    TORTURE(load("testdata/npz/good-deflated.npz", &err));
    TORTURE(load("testdata/idx/good-u1.idx", &err));
    TORTURE(load("testdata/csv/good-header.csv", &err));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {fixtures, integers_where_they_are_wanted, foreign_input, arrays_of_archives, the_rest_after_some_rows,
                            failing_allocations};
    return run_tests("samples", tests, sizeof tests / sizeof *tests);
}
