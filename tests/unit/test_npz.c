/* .npz: members, from files and from memory. */
#include "iotest.h"

static enum tsr_status load(struct tsr_npz *z, const char *name, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_source *s = NULL;
    *t = (struct tsr_tensor){0};
    TSR_TRY(tsr_npz_member(z, name, &s, err));
    enum tsr_status status = tsr_npy_load(s, t, err);
    tsr_source_close(s);
    return status;
}

static void load_both_ways(const char *path, const char *verdict)
{
    struct tsr_npz *z;
    struct tsr_tensor t = {0};
    struct tsr_error e = {0};
    enum tsr_status status = tsr_npz_open(path, &z, &e);
    if (status == TSR_OK) status = load(z, tsr_npz_name(z, 0), &t, &e);
    check_verdict(path, verdict, status, &e, &t);
    tsr_tensor_release(&t);
    tsr_npz_close(z);
    struct trickle trickle;
    struct tsr_source *s = trickle_open(&trickle, path);
    status = tsr_npz_from_source(s, &z, &e);
    tsr_source_close(s);
    if (status == TSR_OK) status = load(z, tsr_npz_name(z, 0), &t, &e);
    check_verdict(path, verdict, status, &e, &t);
    tsr_tensor_release(&t);
    tsr_npz_close(z);
}

START_TEST(fixtures) { each_fixture("npz", load_both_ways); }
END_TEST

START_TEST(members_by_name)
{
    struct tsr_npz *z;
    struct tsr_tensor t;
    OK(tsr_npz_open("testdata/npz/good-two.npz", &z, &err));
    ck_assert_uint_eq(tsr_npz_count(z), 2);
    ck_assert_str_eq(tsr_npz_name(z, 1), "labels");
    FAILS(TSR_E_NOT_FOUND, "holds 2 arrays; choose one of 'x', 'labels', as in FILE.npz:NAME", load(z, NULL, &t, &err));
    FAILS(TSR_E_NOT_FOUND, "has no array 'y'; it has 'x', 'labels'", load(z, "y", &t, &err));
    OK(load(z, "labels", &t, &err));
    ck_assert_int_eq(t.dtype, TSR_I64);
    tsr_tensor_release(&t);
    OK(load(z, "labels.npy", &t, &err));
    tsr_tensor_release(&t);
    tsr_npz_close(z);
    OK(tsr_npz_open("testdata/npz/good-deflated.npz", &z, &err));
    OK(load(z, NULL, &t, &err));
    tsr_tensor_release(&t);
    tsr_npz_close(z);
    tsr_npz_close(NULL);
    FAILS(TSR_E_IO, "No such file", tsr_npz_open("testdata/npz/none.npz", &z, &err));
    ck_assert_ptr_null(z);
}
END_TEST

/* Every byte of an archive changed, once: no crash, and never a wrong array. */
START_TEST(no_damage_goes_unnoticed)
{
    struct tsr_buf b = slurp("testdata/npz/good-deflated.npz");
    for (size_t i = 0; i < b.len; i++) {
        struct tsr_source *s;
        struct tsr_npz *z;
        struct tsr_tensor t = {0};
        struct tsr_error e = {0};
        b.data[i] ^= 0x10;
        OK(tsr_source_from_memory(b.data, b.len, "damaged", &s, &err));
        if (tsr_npz_from_source(s, &z, &e) == TSR_OK && load(z, NULL, &t, &e) == TSR_OK)
            for (int64_t k = 0; k < tsr_tensor_count(&t); k++)
                ck_assert_double_eq(tsr_load_f64(t.dtype, t.data, k), (double)k);
        tsr_tensor_release(&t);
        tsr_npz_close(z);
        tsr_source_close(s);
        b.data[i] ^= 0x10;
    }
    tsr_buf_release(&b);
}
END_TEST

static enum tsr_status load_all(struct tsr_error *err)
{
    struct tsr_npz *z = NULL;
    struct tsr_tensor t = {0};
    struct tsr_source *s = NULL;
    enum tsr_status status;
    TSR_GO(status, out, tsr_npz_open("testdata/npz/good-two.npz", &z, err));
    TSR_GO(status, out, load(z, "x", &t, err));
    tsr_npz_close(z);
    z = NULL;
    TSR_GO(status, out, tsr_source_open("testdata/npz/good-deflated.npz", &s, err));
    TSR_GO(status, out, tsr_npz_from_source(s, &z, err));
out:
    tsr_source_close(s);
    tsr_npz_close(z);
    tsr_tensor_release(&t);
    return status;
}

START_TEST(failing_allocations) { TORTURE(load_all(&err)); }
END_TEST

int main(void)
{
    const TTest *tests[] = {fixtures, members_by_name, no_damage_goes_unnoticed, failing_allocations};
    return run_tests("npz", tests, sizeof tests / sizeof *tests);
}
