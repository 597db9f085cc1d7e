/* suite.h - a test program runs one suite of Check's; its exit status says whether all went well. */
#ifndef TSR_TESTS_SUITE_H
#define TSR_TESTS_SUITE_H

#include <check.h>

/* Runs the suite, as verbosely as CK_VERBOSITY says, and frees it. */
static inline int run_suite(Suite *suite)
{
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

/* Runs the tests as one case with a minute each. */
static inline int run_tests(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    tcase_set_timeout(all, 60);
    for (size_t i = 0; i < n; i++) tcase_add_test(all, tests[i]);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

#endif
