/* iotest.h - what the tests of lib/io share: scratch files and must-fail checks. */
#ifndef TSR_TESTS_IOTEST_H
#define TSR_TESTS_IOTEST_H

#include "tessera.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void scratch_path(char *buf, size_t size, const char *name)
{
    const char *dir = getenv("TMPDIR");
    (void)snprintf(buf, size, "%s/tsr-test-%ld-%s", dir != NULL ? dir : "/tmp", (long)getpid(), name);
}

static inline void spill(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

static inline struct tsr_buf slurp(const char *path)
{
    struct tsr_buf b = {0};
    struct tsr_source *s = NULL;
    struct tsr_error e;
    ck_assert_msg(tsr_source_open(path, &s, &e) == TSR_OK && tsr_source_read_all(s, SIZE_MAX, &b, &e) == TSR_OK, "%s",
                  e.message);
    tsr_source_close(s);
    return b;
}

#define OK(expression)                                                                                                 \
    do {                                                                                                               \
        struct tsr_error err = {0};                                                                                    \
        enum tsr_status ok_ = (expression);                                                                            \
        ck_assert_msg(ok_ == TSR_OK, "%s: %s: %s", #expression, tsr_status_name(ok_), err.message);                    \
    } while (0)

/* The call fails with this status and a message that contains `text` and does not end in a stop. */
#define FAILS(want, text, expression)                                                                                \
    do {                                                                                                               \
        struct tsr_error err = {0};                                                                                    \
        enum tsr_status got_ = (expression);                                                                           \
        ck_assert_msg(got_ == (want), "%s: %s instead of %s: %s", #expression, tsr_status_name(got_),                \
                      tsr_status_name(want), err.message);                                                             \
        ck_assert_int_eq(err.status, got_);                                                                            \
        ck_assert_msg(strstr(err.message, text) != NULL, "'%s' is not in: %s", text, err.message);                     \
        ck_assert_int_ne(err.message[strlen(err.message) - 1], '.');                                                   \
    } while (0)

/* Makes allocation 1, 2, 3 ... fail until `body` (an expression giving a status) succeeds. */
#define TORTURE(body)                                                                                                  \
    do {                                                                                                               \
        enum tsr_status torture_ = TSR_E_NOMEM;                                                                        \
        for (long nth = 1; nth < 100000 && torture_ != TSR_OK; nth++) {                                                \
            struct tsr_error err = {0};                                                                                \
            tsr_mem_fail_after(nth);                                                                                   \
            torture_ = (body);                                                                                         \
            tsr_mem_fail_after(0);                                                                                     \
            ck_assert_msg(torture_ == TSR_OK || torture_ == TSR_E_NOMEM, "allocation %ld: %s: %s", nth,                \
                          tsr_status_name(torture_), err.message);                                                     \
        }                                                                                                              \
        ck_assert_int_eq(torture_, TSR_OK);                                                                            \
    } while (0)

static inline int run_tests(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    tcase_set_timeout(all, 60);
    for (size_t i = 0; i < n; i++) tcase_add_test(all, tests[i]);
    suite_add_tcase(suite, all);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

#endif
