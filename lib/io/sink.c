#include "io/sink.h"

#include "base/mem.h"
#include "io/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TSR_SINK_BUFFER ((size_t)64 << 10)

struct tsr_sink {
    char *name;
    char *label; /* the name as it stands behind "cannot write " */
    int fd;      /* -1: memory */
    bool own_fd;
    bool failed;
    int slot;     /* in live[], or -1 */
    char *target; /* the file's own name, links followed; NULL: no rename */
    char *temp;
    int64_t base; /* descriptor's position at the start; -1: cannot be patched */
    struct tsr_buf *to;
    size_t to_start;
    uint64_t offset;
    uint8_t *buf;
    size_t len;
};

/* The temporary files that exist now, for tsr_sink_unlink_live. A slot is claimed (1), filled,
 * and only then shown (2), so that a handler never sees half a path. */
#define TSR_LIVE_SLOTS 32
static struct {
    atomic_int state;
    char path[PATH_MAX];
} live[TSR_LIVE_SLOTS];

static int live_add(const char *path)
{
    if (strlen(path) >= sizeof live[0].path) return -1;
    for (int i = 0; i < TSR_LIVE_SLOTS; i++) {
        int idle = 0;
        if (!atomic_compare_exchange_strong(&live[i].state, &idle, 1)) continue;
        memcpy(live[i].path, path, strlen(path) + 1);
        atomic_store(&live[i].state, 2);
        return i;
    }
    return -1;
}

static void live_remove(int slot)
{
    if (slot >= 0) atomic_store(&live[slot].state, 0);
}

void tsr_sink_unlink_live(void)
{
    for (int i = 0; i < TSR_LIVE_SLOTS; i++)
        if (atomic_load(&live[i].state) == 2) (void)unlink(live[i].path);
}

static enum tsr_status make(const char *name, bool quote, bool buffered, struct tsr_sink **out, struct tsr_error *err)
{
    *out = NULL;
    size_t n = strlen(name);
    struct tsr_sink *s = tsr_calloc(1, sizeof *s);
    if (s != NULL) {
        s->fd = s->slot = -1;
        s->base = -1;
        s->name = tsr_strdup(name);
        s->label = tsr_malloc(n + 3, 1);
        if (buffered) s->buf = tsr_malloc(TSR_SINK_BUFFER, 1);
    }
    if (s == NULL || s->name == NULL || s->label == NULL || (buffered && s->buf == NULL)) {
        tsr_sink_abandon(s);
        return tsr_nomem(err, sizeof *s + 2 * n + TSR_SINK_BUFFER);
    }
    (void)snprintf(s->label, n + 3, quote ? "'%s'" : "%s", name);
    *out = s;
    return TSR_OK;
}

static void attach(struct tsr_sink *s, int fd, bool own)
{
    struct stat st;
    s->fd = fd;
    s->own_fd = own;
    int flags = fcntl(fd, F_GETFL);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flags != -1 && !(flags & O_APPEND))
        s->base = (int64_t)lseek(fd, 0, SEEK_CUR);
}

static enum tsr_status sys_fail(const char *what, const struct tsr_sink *s, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_IO, "cannot %s %s: %s", what, s->label, strerror(errno));
}

/* The descriptor behind /dev/stdout, /dev/stderr, /dev/fd/N or /proc/self/fd/N, else -1. Opening
 * those anew would cut the file behind them, so the descriptor itself is used. */
static int descriptor_of(const char *path)
{
    if (strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
    const char *digits = NULL;
    if (strncmp(path, "/dev/fd/", 8) == 0) digits = path + 8;
    if (strncmp(path, "/proc/self/fd/", 14) == 0) digits = path + 14;
    if (digits == NULL || *digits == '\0' || strlen(digits) > 6 || strspn(digits, "0123456789") != strlen(digits))
        return -1;
    return (int)strtol(digits, NULL, 10);
}

/* Creates the temporary file beside s->target with the usual permissions (umask applies). */
static enum tsr_status open_temp(struct tsr_sink *s, struct tsr_error *err)
{
    static atomic_uint counter;
    const char *slash = strrchr(s->target, '/');
    int dir = slash != NULL ? (int)(slash - s->target) + 1 : 0;
    size_t n = (size_t)dir + 256;
    s->temp = tsr_malloc(n, 1);
    if (s->temp == NULL) return tsr_nomem(err, n);
    for (int tries = 0; tries < 1000; tries++) {
        (void)snprintf(s->temp, n, "%.*s.%.180s.%ld-%u.tmp", dir, s->target, s->target + dir, (long)getpid(),
                       atomic_fetch_add(&counter, 1));
        s->slot = live_add(s->temp);
        int fd = open(s->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
        if (fd >= 0) {
            attach(s, fd, true);
            return TSR_OK;
        }
        live_remove(s->slot);
        s->slot = -1;
        if (errno != EEXIST && errno != EINTR) break;
    }
    tsr_free(s->temp); /* not ours: never unlink it */
    s->temp = NULL;
    return sys_fail("create a temporary file beside", s, err);
}

static enum tsr_status open_file(struct tsr_sink *s, const char *path, struct tsr_error *err)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return tsr_fail(err, TSR_E_IO, "cannot write %s: it is a directory", s->label);
    if (there && !S_ISREG(st.st_mode)) {
        int fd;
        do
            fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        while (fd < 0 && errno == EINTR);
        if (fd < 0) return sys_fail("open", s, err);
        attach(s, fd, true);
        return TSR_OK;
    }
    if (there && access(path, W_OK) != 0) return sys_fail("write", s, err);
    if (*path == '\0' || path[strlen(path) - 1] == '/')
        return tsr_fail(err, TSR_E_IO, "cannot write %s: it does not name a file", s->label);
    char *real = there ? realpath(path, NULL) : NULL;
    s->target = tsr_strdup(real != NULL ? real : path);
    free(real);
    if (s->target == NULL) return tsr_nomem(err, strlen(path));
    TSR_TRY(open_temp(s, err));
    if (there && fchmod(s->fd, st.st_mode & 0777) != 0) return sys_fail("keep the permissions of", s, err);
    return TSR_OK;
}

enum tsr_status tsr_sink_open(const char *path, struct tsr_sink **out, struct tsr_error *err)
{
    if (strcmp(path, "-") == 0) return tsr_sink_from_fd(STDOUT_FILENO, "standard output", out, err);
    int fd = descriptor_of(path);
    if (fd >= 0) return tsr_sink_from_fd(fd, path, out, err);
    TSR_TRY(make(path, true, true, out, err));
    enum tsr_status status = open_file(*out, path, err);
    if (status != TSR_OK) {
        tsr_sink_abandon(*out);
        *out = NULL;
    }
    return status;
}

enum tsr_status tsr_sink_from_fd(int fd, const char *name, struct tsr_sink **out, struct tsr_error *err)
{
    TSR_TRY(make(name, false, true, out, err));
    attach(*out, fd, false);
    return TSR_OK;
}

enum tsr_status tsr_sink_from_memory(struct tsr_buf *to, const char *name, struct tsr_sink **out,
                                     struct tsr_error *err)
{
    TSR_TRY(make(name, false, false, out, err));
    (*out)->to = to;
    (*out)->to_start = to->len;
    return TSR_OK;
}

static enum tsr_status remember(struct tsr_sink *s, enum tsr_status status)
{
    if (status != TSR_OK) s->failed = true;
    return status;
}

/* A write after a failed one would leave a hole that nobody notices. */
static enum tsr_status refuse_failed(const struct tsr_sink *s, struct tsr_error *err)
{
    if (!s->failed) return TSR_OK;
    return tsr_fail(err, TSR_E_IO, "cannot write %s: an earlier write failed", s->label);
}

enum tsr_status tsr_sink_flush(struct tsr_sink *s, struct tsr_error *err)
{
    TSR_TRY(refuse_failed(s, err));
    if (s->to != NULL || s->len == 0) return TSR_OK;
    size_t n = s->len;
    s->len = 0;
    return remember(s, tsr_fd_write(s->fd, s->label, s->buf, n, err));
}

enum tsr_status tsr_sink_write(struct tsr_sink *s, const void *data, size_t n, struct tsr_error *err)
{
    TSR_TRY(refuse_failed(s, err));
    if (s->to != NULL) {
        TSR_TRY(remember(s, tsr_buf_append(s->to, data, n, err)));
    } else {
        if (n > TSR_SINK_BUFFER - s->len) TSR_TRY(tsr_sink_flush(s, err));
        if (n >= TSR_SINK_BUFFER) {
            TSR_TRY(remember(s, tsr_fd_write(s->fd, s->label, data, n, err)));
        } else if (n != 0) {
            memcpy(s->buf + s->len, data, n);
            s->len += n;
        }
    }
    s->offset += n;
    return TSR_OK;
}

bool tsr_sink_can_patch(const struct tsr_sink *s) { return s->to != NULL || s->base >= 0; }

enum tsr_status tsr_sink_patch(struct tsr_sink *s, uint64_t offset, const void *data, size_t n, struct tsr_error *err)
{
    if (!tsr_sink_can_patch(s) || offset > s->offset || n > s->offset - offset)
        return tsr_fail(err, TSR_E_USAGE, "cannot go back in %s", s->label);
    TSR_TRY(tsr_sink_flush(s, err));
    if (s->to != NULL) {
        if (n != 0) memcpy(s->to->data + s->to_start + (size_t)offset, data, n);
        return TSR_OK;
    }
    return remember(s, tsr_fd_write_at(s->fd, s->label, data, n, s->base + (int64_t)offset, err));
}

uint64_t tsr_sink_offset(const struct tsr_sink *s) { return s->offset; }
const char *tsr_sink_name(const struct tsr_sink *s) { return s->name; }

enum tsr_status tsr_sink_close(struct tsr_sink *s, struct tsr_error *err)
{
    enum tsr_status status = tsr_sink_flush(s, err);
    if (s->own_fd) {
        int closed = close(s->fd);
        s->fd = -1;
        s->own_fd = false;
        if (closed != 0 && errno != EINTR && status == TSR_OK) status = sys_fail("finish", s, err);
    }
    if (status == TSR_OK && s->temp != NULL) {
        if (rename(s->temp, s->target) != 0) {
            status = sys_fail("give the temporary file the name", s, err);
        } else {
            live_remove(s->slot);
            s->slot = -1;
            tsr_free(s->temp);
            s->temp = NULL;
        }
    }
    tsr_sink_abandon(s); /* removes the temporary file where it still has that name */
    return status;
}

void tsr_sink_abandon(struct tsr_sink *s)
{
    if (s == NULL) return;
    int keep = errno;
    if (s->own_fd && s->fd >= 0) (void)close(s->fd);
    if (s->temp != NULL) (void)unlink(s->temp);
    live_remove(s->slot);
    tsr_free(s->temp);
    tsr_free(s->target);
    tsr_free(s->buf);
    tsr_free(s->name);
    tsr_free(s->label);
    tsr_free(s);
    errno = keep;
}
