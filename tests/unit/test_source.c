/* Sources and sinks. */
#include "iotest.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char path[256];

START_TEST(memory_reads_peeks_and_skips)
{
    static const char text[] = "0123456789";
    struct tsr_source *s;
    const uint8_t *p;
    size_t avail;
    uint64_t skipped;
    char buf[16] = {0};
    OK(tsr_source_from_memory(text, 10, "digits", &s, &err));
    ck_assert_int_eq(tsr_source_size(s), 10);
    OK(tsr_source_peek(s, 4, &p, &avail, &err));
    ck_assert_uint_eq(avail, 10);
    ck_assert_int_eq(memcmp(p, "0123", 4), 0);
    OK(tsr_source_exact(s, buf, 3, "the head", &err));
    ck_assert_str_eq(buf, "012");
    OK(tsr_source_skip(s, 2, &skipped, &err));
    ck_assert_uint_eq(tsr_source_offset(s), 5);
    FAILS(TSR_E_TRUNCATED, "digits ends inside the tail: 5 of 9 bytes are there",
          tsr_source_exact(s, buf, 9, "the tail", &err));
    OK(tsr_source_skip(s, 2, &skipped, &err));
    ck_assert_uint_eq(skipped, 0);
    OK(tsr_source_peek(s, 1, &p, &avail, &err));
    ck_assert_uint_eq(avail, 0);
    tsr_source_close(s);
    OK(tsr_source_from_memory(NULL, 0, "nothing", &s, &err));
    OK(tsr_source_read(s, buf, 3, &avail, &err));
    ck_assert_uint_eq(avail, 0);
    tsr_source_close(s);
    tsr_source_close(NULL);
}
END_TEST

/* Gives a deterministic byte sequence in pieces of odd sizes. */
struct drip {
    uint64_t at, total;
    unsigned step;
    int finished;
};
static uint8_t drip_byte(uint64_t i) { return (uint8_t)(i * 131 + (i >> 8)); }
static enum tsr_status drip_read(void *arg, void *data, size_t n, size_t *got, struct tsr_error *err)
{
    struct drip *d = arg;
    (void)err;
    size_t part = d->step++ % 977 + 1;
    if (part > n) part = n;
    if (part > d->total - d->at) part = (size_t)(d->total - d->at);
    for (size_t i = 0; i < part; i++) ((uint8_t *)data)[i] = drip_byte(d->at++);
    *got = part;
    return TSR_OK;
}
static void drip_finish(void *arg) { ((struct drip *)arg)->finished++; }

START_TEST(every_mix_of_calls_sees_every_byte_once)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct drip d = {.total = 700000};
        struct tsr_source *s;
        struct tsr_rng rng;
        uint64_t at = 0;
        tsr_rng_init(&rng, seed, 0);
        OK(tsr_source_from_callback(drip_read, drip_finish, &d, -1, "drip", &s, &err));
        uint8_t *buf = tsr_malloc(300000, 1);
        while (at < d.total) {
            size_t want = (size_t)tsr_rng_below(&rng, tsr_rng_below(&rng, 4) == 0 ? 300000 : 3000), got = 0;
            if (want == 0) continue;
            uint64_t kind = tsr_rng_below(&rng, 3), skipped = 0;
            const uint8_t *p = buf;
            if (kind == 0) OK(tsr_source_read(s, buf, want, &got, &err));
            if (kind == 1) OK(tsr_source_peek(s, want, &p, &got, &err));
            if (kind == 2) OK(tsr_source_skip(s, want, &skipped, &err));
            ck_assert(kind == 2 || got >= want || at + got == d.total);
            for (size_t i = 0; i < got; i++) ck_assert_uint_eq(p[i], drip_byte(at + i));
            at += kind == 1 ? 0 : kind == 0 ? got : skipped;
            ck_assert_uint_eq(tsr_source_offset(s), at);
        }
        tsr_free(buf);
        tsr_source_close(s);
        ck_assert_int_eq(d.finished, 1);
    }
}
END_TEST

START_TEST(files_and_pipes)
{
    struct tsr_source *s;
    uint8_t buf[8];
    size_t got;
    scratch_path(path, sizeof path, "in");
    spill(path, "abcdef", 6);
    OK(tsr_source_open(path, &s, &err));
    ck_assert_int_eq(tsr_source_size(s), 6);
    ck_assert_str_eq(tsr_source_name(s), path);
    OK(tsr_source_read(s, buf, 8, &got, &err));
    ck_assert_uint_eq(got, 6);
    tsr_source_close(s);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(lseek(fd, 2, SEEK_SET), 2);
    OK(tsr_source_from_fd(fd, "rest", &s, &err));
    ck_assert_int_eq(tsr_source_size(s), 4);
    OK(tsr_source_read(s, buf, 8, &got, &err));
    ck_assert_int_eq(memcmp(buf, "cdef", 4), 0);
    tsr_source_close(s);
    ck_assert_int_eq(close(fd), 0);
    unlink(path);
    FAILS(TSR_E_IO, "No such file or directory", tsr_source_open(path, &s, &err));
    ck_assert_ptr_null(s);
    FAILS(TSR_E_IO, "it is a directory", tsr_source_open("/", &s, &err));
    FAILS(TSR_E_IO, "cannot read closed: Bad file descriptor", tsr_source_from_fd(-1, "closed", &s, &err));
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "xyz", 3), 3);
    close(ends[1]);
    OK(tsr_source_from_fd(ends[0], "pipe", &s, &err));
    ck_assert_int_eq(tsr_source_size(s), -1);
    OK(tsr_source_read(s, buf, 8, &got, &err));
    ck_assert_uint_eq(got, 3);
    tsr_source_close(s);
    close(ends[0]);
}
END_TEST

START_TEST(read_all_keeps_to_its_limit)
{
    struct drip d = {.total = 200000};
    struct tsr_source *s;
    struct tsr_buf b = {0};
    OK(tsr_source_from_callback(drip_read, NULL, &d, -1, "drip", &s, &err));
    OK(tsr_source_read_all(s, 200000, &b, &err));
    ck_assert_uint_eq(b.len, 200000);
    tsr_source_close(s);
    tsr_buf_release(&b);
    d.at = 0;
    OK(tsr_source_from_callback(drip_read, NULL, &d, -1, "drip", &s, &err));
    FAILS(TSR_E_LIMIT, "longer than the 199999 bytes", tsr_source_read_all(s, 199999, &b, &err));
    tsr_source_close(s);
    tsr_buf_release(&b);
}
END_TEST

static bool other_files_exist(const char *of)
{
    char command[400];
    (void)snprintf(command, sizeof command, "ls -a '%.*s' | grep -q '%s.*tmp'", (int)(strrchr(of, '/') - of), of,
                   strrchr(of, '/') + 1);
    return system(command) == 0;
}

START_TEST(a_file_appears_only_when_it_is_complete)
{
    struct tsr_sink *s;
    struct stat st;
    uint8_t *big = tsr_calloc(300000, 1);
    scratch_path(path, sizeof path, "out");
    OK(tsr_sink_open(path, &s, &err));
    OK(tsr_sink_write(s, "head", 4, &err));
    OK(tsr_sink_write(s, big, 300000, &err));
    OK(tsr_sink_write(s, "tail", 4, &err));
    ck_assert_uint_eq(tsr_sink_offset(s), 300008);
    ck_assert(tsr_sink_can_patch(s));
    OK(tsr_sink_patch(s, 300006, "xy", 2, &err));
    OK(tsr_sink_patch(s, 1, "E", 1, &err));
    FAILS(TSR_E_USAGE, "cannot go back", tsr_sink_patch(s, 300007, "xy", 2, &err));
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert(other_files_exist(path));
    OK(tsr_sink_close(s, &err));
    ck_assert(!other_files_exist(path));
    struct tsr_buf b = slurp(path);
    ck_assert_uint_eq(b.len, 300008);
    ck_assert_int_eq(memcmp(b.data, "hEad", 4), 0);
    ck_assert_int_eq(memcmp(b.data + 300004, "taxy", 4), 0);
    tsr_buf_release(&b);
    tsr_free(big);
    /* an abandoned one leaves the old file alone, and errno too */
    ck_assert_int_eq(chmod(path, 0640), 0);
    OK(tsr_sink_open(path, &s, &err));
    OK(tsr_sink_write(s, "new", 3, &err));
    errno = 77;
    tsr_sink_abandon(s);
    ck_assert_int_eq(errno, 77);
    ck_assert(!other_files_exist(path));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 300008);
    /* a completed one keeps the permissions, and a link stays a link */
    char link[300];
    (void)snprintf(link, sizeof link, "%s-link", path);
    ck_assert_int_eq(symlink(path, link), 0);
    OK(tsr_sink_open(link, &s, &err));
    OK(tsr_sink_write(s, "new", 3, &err));
    OK(tsr_sink_close(s, &err));
    ck_assert_int_eq(lstat(link, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 3);
    ck_assert_int_eq(st.st_mode & 0777, 0640);
    unlink(link);
    unlink(path);
    /* the emergency exit */
    OK(tsr_sink_open(path, &s, &err));
    tsr_sink_unlink_live();
    ck_assert(!other_files_exist(path));
    FAILS(TSR_E_IO, "No such file", tsr_sink_close(s, &err));
    ck_assert_int_ne(access(path, F_OK), 0);
    tsr_sink_abandon(NULL);
}
END_TEST

START_TEST(sinks_that_cannot_take_it)
{
    struct tsr_sink *s;
    char where[300];
    FAILS(TSR_E_IO, "it is a directory", tsr_sink_open("/tmp", &s, &err));
    ck_assert_ptr_null(s);
    FAILS(TSR_E_IO, "cannot create a temporary file beside", tsr_sink_open("/nowhere/at/all", &s, &err));
    FAILS(TSR_E_IO, "does not name a file", tsr_sink_open("", &s, &err));
    FAILS(TSR_E_IO, "does not name a file", tsr_sink_open("/tmp/nothing-here-at-all/", &s, &err));
    OK(tsr_sink_open("/dev/full", &s, &err));
    OK(tsr_sink_write(s, "x", 1, &err));
    FAILS(TSR_E_IO, "cannot write '/dev/full': No space left on device", tsr_sink_flush(s, &err));
    FAILS(TSR_E_IO, "an earlier write failed", tsr_sink_write(s, "x", 1, &err));
    FAILS(TSR_E_IO, "an earlier write failed", tsr_sink_close(s, &err));
    OK(tsr_sink_open("/dev/full", &s, &err));
    OK(tsr_sink_write(s, "x", 1, &err));
    FAILS(TSR_E_IO, "No space left on device", tsr_sink_close(s, &err));
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    (void)snprintf(where, sizeof where, "/dev/fd/%d", ends[1]);
    OK(tsr_sink_open(where, &s, &err));
    ck_assert(!tsr_sink_can_patch(s));
    OK(tsr_sink_write(s, "x", 1, &err));
    FAILS(TSR_E_USAGE, "cannot go back", tsr_sink_patch(s, 0, "y", 1, &err));
    FAILS(TSR_E_CLOSED, "went away", tsr_sink_close(s, &err));
    close(ends[1]);
}
END_TEST

static volatile sig_atomic_t stop;
static void on_alarm(int sig)
{
    (void)sig;
    stop = 1;
}

START_TEST(a_raised_flag_ends_a_blocked_read)
{
    int ends[2];
    struct tsr_source *s;
    uint8_t byte;
    size_t got;
    struct sigaction sa = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &sa, NULL);
    tsr_io_set_stop(&stop);
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    for (int blocking = 0; blocking < 2; blocking++) {
        if (blocking) ck_assert_int_eq(fcntl(ends[0], F_SETFL, 0), 0);
        OK(tsr_source_from_fd(ends[0], "pipe", &s, &err));
        stop = 0;
        alarm(1);
        FAILS(TSR_E_INTERRUPTED, "a read of pipe", tsr_source_read(s, &byte, 1, &got, &err));
        tsr_source_close(s);
    }
    tsr_io_set_stop(NULL);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static enum tsr_status copy_some(struct tsr_buf *to, struct tsr_error *err)
{
    struct drip d = {.total = 150000};
    struct tsr_source *source = NULL;
    struct tsr_sink *sink = NULL, *file = NULL;
    const uint8_t *p;
    size_t avail;
    enum tsr_status status;
    TSR_GO(status, out, tsr_source_from_callback(drip_read, drip_finish, &d, -1, "drip", &source, err));
    TSR_GO(status, out, tsr_sink_from_memory(to, "memory", &sink, err));
    TSR_GO(status, out, tsr_sink_open(path, &file, err));
    TSR_GO(status, out, tsr_source_peek(source, 100000, &p, &avail, err));
    TSR_GO(status, out, tsr_sink_write(sink, p, avail, err));
    TSR_GO(status, out, tsr_sink_write(file, p, avail, err));
    TSR_GO(status, out, tsr_sink_patch(sink, 5, "five", 4, err));
out:
    ck_assert_int_eq(d.finished, status != TSR_OK && source == NULL);
    tsr_source_close(source);
    tsr_sink_abandon(sink);
    tsr_sink_abandon(file);
    return status;
}

START_TEST(failing_allocations)
{
    struct tsr_buf b = {0};
    scratch_path(path, sizeof path, "torture");
    TORTURE((tsr_buf_release(&b), copy_some(&b, &err)));
    ck_assert_int_eq(memcmp(b.data + 5, "five", 4), 0);
    ck_assert(!other_files_exist(path));
    tsr_buf_release(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        memory_reads_peeks_and_skips, every_mix_of_calls_sees_every_byte_once, files_and_pipes,
        read_all_keeps_to_its_limit,  a_file_appears_only_when_it_is_complete, sinks_that_cannot_take_it,
        a_raised_flag_ends_a_blocked_read, failing_allocations,
    };
    return run_tests("source", tests, sizeof tests / sizeof *tests);
}
