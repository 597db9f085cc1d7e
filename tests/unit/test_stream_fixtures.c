/* The streams of testdata/stream get the verdict that their names say. */
#include "stream/check.h"
#include "suite.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES "testdata/stream"

static struct tsr_error err;

static enum tsr_status verdict(const char *path)
{
    struct tsr_source *src = NULL;
    struct tsr_stream *s = NULL;
    struct tsr_stream_check *c = NULL;
    const struct tsr_record *rec = NULL;
    enum tsr_status status = tsr_source_open(path, &src, &err);
    if (status == TSR_OK) status = tsr_stream_open(src, NULL, &s, &err);
    if (status == TSR_OK) status = tsr_stream_check_new(&c, &err);
    while (status == TSR_OK) {
        status = tsr_stream_next(s, &rec, &err);
        if (status != TSR_OK || rec == NULL) break;
        status = tsr_stream_check_record(c, s, rec, &err);
    }
    tsr_stream_check_free(c);
    tsr_stream_close(s);
    tsr_source_close(src);
    return status;
}

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

static bool as_named(const char *name, enum tsr_status status)
{
    if (begins(name, "good-")) return status == TSR_OK;
    if (begins(name, "unsupported-")) return status == TSR_E_UNSUPPORTED;
    if (begins(name, "bad-cut-") || begins(name, "bad-no-end") || begins(name, "bad-empty")) return status == TSR_E_TRUNCATED;
    if (begins(name, "bad-claims-256")) return status == TSR_E_TRUNCATED;
    if (begins(name, "bad-foreign")) return status == TSR_E_FORMAT;
    return begins(name, "bad-") && (status == TSR_E_CORRUPT || status == TSR_E_LIMIT);
}

START_TEST(fixtures)
{
    int seen = 0;
    DIR *d = opendir(FIXTURES);
    ck_assert_msg(d != NULL, "%s is missing: run the tests from the top directory", FIXTURES);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[600];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", FIXTURES, e->d_name);
        enum tsr_status status = verdict(path);
        ck_assert_msg(as_named(e->d_name, status), "%s: %s: %s", e->d_name, tsr_status_name(status),
                      status == TSR_OK ? "accepted" : err.message);
        if (status != TSR_OK && getenv("VERBOSE")) printf("%-34s %s\n", e->d_name, err.message);
        seen++;
    }
    closedir(d);
    ck_assert_int_ge(seen, 50);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream_fixtures");
    TCase *t = tcase_create("fixtures");
    tcase_add_test(t, fixtures);
    suite_add_tcase(s, t);
    return run_suite(s);
}
