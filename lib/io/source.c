#include "io/source.h"

#include "base/mem.h"
#include "io/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TSR_SOURCE_BUFFER ((size_t)64 << 10)

struct tsr_source {
    tsr_source_fn *read;
    void (*finish)(void *arg);
    void *arg;
    char *name;
    char *label; /* the name as it stands behind "cannot read " */
    int fd;      /* where read is read_fd */
    bool own_fd;
    int64_t size;
    uint64_t offset;     /* of data[pos] */
    const uint8_t *data; /* buf, or the caller's memory */
    uint8_t *buf;
    size_t cap, pos, len; /* data[pos, len) is not consumed yet */
    bool end;             /* nothing comes after data[len) */
};

static enum tsr_status read_fd(void *arg, void *data, size_t n, size_t *got, struct tsr_error *err)
{
    struct tsr_source *s = arg;
    return tsr_fd_read(s->fd, s->label, data, n, got, err);
}

static enum tsr_status make(const char *name, bool quote, struct tsr_source **out, struct tsr_error *err)
{
    *out = NULL;
    size_t n = strlen(name);
    struct tsr_source *s = tsr_calloc(1, sizeof *s);
    if (s != NULL) {
        s->fd = -1;
        s->size = -1;
        s->name = tsr_strdup(name);
        s->label = tsr_malloc(n + 3, 1);
    }
    if (s == NULL || s->name == NULL || s->label == NULL) {
        tsr_source_close(s);
        return tsr_nomem(err, sizeof *s + 2 * n);
    }
    (void)snprintf(s->label, n + 3, quote ? "'%s'" : "%s", name);
    *out = s;
    return TSR_OK;
}

/* Takes the descriptor's kind and size; refuses directories. */
static enum tsr_status attach(struct tsr_source *s, int fd, struct tsr_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return tsr_fail(err, TSR_E_IO, "cannot read %s: %s", s->label, strerror(errno));
    if (S_ISDIR(st.st_mode)) return tsr_fail(err, TSR_E_IO, "cannot read %s: it is a directory", s->label);
    if (S_ISREG(st.st_mode)) {
        off_t at = lseek(fd, 0, SEEK_CUR);
        if (at >= 0) s->size = st.st_size > at ? (int64_t)(st.st_size - at) : 0;
    }
    s->fd = fd;
    s->read = read_fd;
    s->arg = s;
    return TSR_OK;
}

enum tsr_status tsr_source_from_fd(int fd, const char *name, struct tsr_source **out, struct tsr_error *err)
{
    TSR_TRY(make(name, false, out, err));
    enum tsr_status status = attach(*out, fd, err);
    if (status != TSR_OK) {
        tsr_source_close(*out);
        *out = NULL;
    }
    return status;
}

enum tsr_status tsr_source_open(const char *path, struct tsr_source **out, struct tsr_error *err)
{
    if (strcmp(path, "-") == 0) return tsr_source_from_fd(STDIN_FILENO, "standard input", out, err);
    TSR_TRY(make(path, true, out, err));
    struct tsr_source *s = *out;
    enum tsr_status status;
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        status = tsr_fail(err, TSR_E_IO, "cannot open %s: %s", s->label, strerror(errno));
    else {
        s->own_fd = true;
        s->fd = fd;
        status = attach(s, fd, err);
    }
    if (status != TSR_OK) {
        tsr_source_close(s);
        *out = NULL;
    }
    return status;
}

enum tsr_status tsr_source_from_memory(const void *data, size_t n, const char *name, struct tsr_source **out,
                                       struct tsr_error *err)
{
    TSR_TRY(make(name, false, out, err));
    struct tsr_source *s = *out;
    s->data = data;
    s->len = n;
    s->size = n <= INT64_MAX ? (int64_t)n : -1;
    s->end = true;
    return TSR_OK;
}

enum tsr_status tsr_source_from_callback(tsr_source_fn *read, void (*finish)(void *arg), void *arg, int64_t size,
                                         const char *name, struct tsr_source **out, struct tsr_error *err)
{
    enum tsr_status status = make(name, false, out, err);
    if (status != TSR_OK) {
        if (finish != NULL) finish(arg);
        return status;
    }
    (*out)->read = read;
    (*out)->finish = finish;
    (*out)->arg = arg;
    (*out)->size = size;
    return TSR_OK;
}

/* Reads once into the free part of the buffer, which has room. */
static enum tsr_status fill(struct tsr_source *s, struct tsr_error *err)
{
    if (s->buf == NULL) {
        s->buf = tsr_malloc(TSR_SOURCE_BUFFER, 1);
        if (s->buf == NULL) return tsr_nomem(err, TSR_SOURCE_BUFFER);
        s->cap = TSR_SOURCE_BUFFER;
        s->data = s->buf;
    }
    if (s->pos == s->len) s->pos = s->len = 0;
    size_t got;
    TSR_TRY(s->read(s->arg, s->buf + s->len, s->cap - s->len, &got, err));
    s->len += got;
    if (got == 0) s->end = true;
    return TSR_OK;
}

enum tsr_status tsr_source_read(struct tsr_source *s, void *data, size_t n, size_t *got, struct tsr_error *err)
{
    uint8_t *to = data;
    size_t done = 0;
    *got = 0;
    while (done < n) {
        size_t have = s->len - s->pos;
        if (have != 0) {
            size_t part = have < n - done ? have : n - done;
            memcpy(to + done, s->data + s->pos, part);
            s->pos += part;
            s->offset += part;
            done += part;
        } else if (s->end) {
            break;
        } else if (n - done >= TSR_SOURCE_BUFFER) { /* large reads go past the buffer */
            size_t part;
            TSR_TRY(s->read(s->arg, to + done, n - done, &part, err));
            if (part == 0) s->end = true;
            s->offset += part;
            done += part;
        } else {
            TSR_TRY(fill(s, err));
        }
    }
    *got = done;
    return TSR_OK;
}

enum tsr_status tsr_source_exact(struct tsr_source *s, void *data, size_t n, const char *what, struct tsr_error *err)
{
    size_t got;
    TSR_TRY(tsr_source_read(s, data, n, &got, err));
    if (got == n) return TSR_OK;
    return tsr_fail(err, TSR_E_TRUNCATED, "%s ends inside %s: %zu of %zu bytes are there", s->name, what, got, n);
}

enum tsr_status tsr_source_peek(struct tsr_source *s, size_t n, const uint8_t **data, size_t *avail,
                                struct tsr_error *err)
{
    while (s->len - s->pos < n && !s->end) {
        if (s->pos != 0 && s->len == s->cap) { /* only buf can be full and not at its end */
            memmove(s->buf, s->buf + s->pos, s->len - s->pos);
            s->len -= s->pos;
            s->pos = 0;
        }
        if (s->buf != NULL && s->len == s->cap) {
            TSR_TRY(tsr_grow(&s->buf, &s->cap, s->cap + 1, 1, err));
            s->data = s->buf;
        }
        TSR_TRY(fill(s, err));
    }
    *data = s->data != NULL ? s->data + s->pos : (const uint8_t *)"";
    *avail = s->len - s->pos;
    return TSR_OK;
}

enum tsr_status tsr_source_skip(struct tsr_source *s, uint64_t n, uint64_t *skipped, struct tsr_error *err)
{
    uint64_t done = 0;
    if (skipped != NULL) *skipped = 0;
    while (done < n) {
        size_t have = s->len - s->pos;
        if (have != 0) {
            size_t part = have < n - done ? have : (size_t)(n - done);
            s->pos += part;
            s->offset += part;
            done += part;
        } else if (s->end) {
            break;
        } else {
            TSR_TRY(fill(s, err));
        }
    }
    if (skipped != NULL) *skipped = done;
    return TSR_OK;
}

enum tsr_status tsr_source_read_all(struct tsr_source *s, size_t max, struct tsr_buf *to, struct tsr_error *err)
{
    size_t total = 0;
    for (;;) {
        const uint8_t *data;
        size_t avail;
        TSR_TRY(tsr_source_peek(s, 1, &data, &avail, err));
        if (avail == 0) return TSR_OK;
        if (avail > max - total)
            return tsr_fail(err, TSR_E_LIMIT, "%s is longer than the %zu bytes that can be read at once", s->name, max);
        TSR_TRY(tsr_buf_append(to, data, avail, err));
        TSR_TRY(tsr_source_skip(s, avail, NULL, err));
        total += avail;
    }
}

uint64_t tsr_source_offset(const struct tsr_source *s) { return s->offset; }
int64_t tsr_source_size(const struct tsr_source *s) { return s->size; }
const char *tsr_source_name(const struct tsr_source *s) { return s->name; }

void tsr_source_close(struct tsr_source *s)
{
    if (s == NULL) return;
    int keep = errno;
    if (s->finish != NULL) s->finish(s->arg);
    if (s->own_fd && s->fd >= 0) (void)close(s->fd);
    tsr_free(s->buf);
    tsr_free(s->name);
    tsr_free(s->label);
    tsr_free(s);
    errno = keep;
}
