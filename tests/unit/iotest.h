/* iotest.h - what the tests of lib/io share: scratch files and must-fail checks. */
#ifndef TSR_TESTS_IOTEST_H
#define TSR_TESTS_IOTEST_H

#include "tessera.h"
#include "suite.h"

#include <dirent.h>
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

/* Calls fn(path, verdict) for every file of testdata/NAME; verdict is "good", "bad" or "unsupported".
 * Each must have its line in testdata/README.md. */
static inline void each_fixture(const char *name, void (*fn)(const char *path, const char *verdict))
{
    char dir[64];
    struct dirent **list;
    struct tsr_buf readme = slurp("testdata/README.md");
    OK(tsr_buf_append(&readme, "", 1, &err));
    (void)snprintf(dir, sizeof dir, "testdata/%s", name);
    int n = scandir(dir, &list, NULL, alphasort), seen[3] = {0};
    ck_assert_msg(n > 2, "%s is not there; run the tests from the project's root", dir);
    for (int i = 0; i < n; i++) {
        static const char *const verdicts[] = {"good", "bad", "unsupported"};
        char path[400];
        (void)snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
        for (int v = 0; list[i]->d_name[0] != '.' && v < 3; v++) {
            size_t len = strlen(verdicts[v]);
            if (strncmp(list[i]->d_name, verdicts[v], len) != 0 || list[i]->d_name[len] != '-') continue;
            fn(path, verdicts[v]);
            seen[v]++;
        }
        ck_assert_msg(list[i]->d_name[0] == '.' || strstr((char *)readme.data, path + sizeof "testdata/" - 1) != NULL,
                      "%s has no line in testdata/README.md", path);
        free(list[i]);
    }
    free(list);
    tsr_buf_release(&readme);
    ck_assert(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[0] + seen[1] + seen[2] == n - 2);
}

/* Whether a load of a fixture ended as the file's name says. */
static inline void check_verdict(const char *path, const char *verdict, enum tsr_status status,
                                 const struct tsr_error *err, const struct tsr_tensor *t)
{
    if (strcmp(verdict, "good") == 0) {
        ck_assert_msg(status == TSR_OK, "%s: %s", path, err->message);
        for (int64_t k = 0; k < tsr_tensor_count(t); k++)
            ck_assert_msg(tsr_load_f64(t->dtype, t->data, k) == (t->dtype == TSR_BOOL ? (double)(k & 1) : (double)k),
                          "%s: element %lld is %g", path, (long long)k, tsr_load_f64(t->dtype, t->data, k));
        return;
    }
    bool unsupported = strcmp(verdict, "unsupported") == 0;
    ck_assert_msg(unsupported ? status == TSR_E_UNSUPPORTED
                              : status == TSR_E_CORRUPT || status == TSR_E_TRUNCATED || status == TSR_E_FORMAT ||
                                    status == TSR_E_NUMERIC,
                  "%s: %s: %s", path, tsr_status_name(status), err->message);
    ck_assert_msg(strstr(err->message, path) != NULL, "the message does not name %s: %s", path, err->message);
    ck_assert_ptr_null(t->data);
    if (getenv("TSR_SHOW") != NULL) printf("%-12s %s\n", tsr_status_name(status), err->message);
}

/* Gives the bytes of a file in pieces of odd sizes and without a known size, as a pipe does. */
struct trickle {
    struct tsr_buf b;
    size_t at;
    unsigned step;
};
static inline enum tsr_status trickle_read(void *arg, void *data, size_t n, size_t *got, struct tsr_error *err)
{
    struct trickle *t = arg;
    (void)err;
    size_t part = t->step++ % 7 + 1, left = t->b.len - t->at;
    if (part > n) part = n;
    if (part > left) part = left;
    if (part != 0) memcpy(data, t->b.data + t->at, part);
    t->at += part;
    *got = part;
    return TSR_OK;
}
static inline void trickle_finish(void *arg) { tsr_buf_release(&((struct trickle *)arg)->b); }
static inline struct tsr_source *trickle_open(struct trickle *t, const char *path)
{
    struct tsr_source *s = NULL;
    *t = (struct trickle){.b = slurp(path)};
    OK(tsr_source_from_callback(trickle_read, trickle_finish, t, -1, path, &s, &err));
    return s;
}

#endif
