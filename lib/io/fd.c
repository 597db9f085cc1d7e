#include "io/fd.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static const volatile sig_atomic_t *stop_flag;

void tsr_io_set_stop(const volatile sig_atomic_t *flag) { stop_flag = flag; }

/* One system call never moves more, so that a stop flag is seen in time. */
#define TSR_FD_CHUNK ((size_t)64 << 20)

/* Asked before every call too: a loop over files or pipes that never block is never interrupted. */
static enum tsr_status stopped(const char *verb, const char *label, struct tsr_error *err)
{
    if (stop_flag == NULL || !*stop_flag) return TSR_OK;
    return tsr_fail(err, TSR_E_INTERRUPTED, "interrupted while a %s of %s was under way", verb, label);
}

/* Decides what follows a failed call: TSR_OK means "try it again". */
static enum tsr_status after_failure(int fd, short events, const char *verb, const char *label,
                                     struct tsr_error *err)
{
    if (errno == EINTR) return TSR_OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        struct pollfd p = {.fd = fd, .events = events};
        if (poll(&p, 1, -1) >= 0 || errno == EINTR) return TSR_OK;
    }
    if (errno == EPIPE) return tsr_fail(err, TSR_E_CLOSED, "the reader of %s went away", label);
    return tsr_fail(err, TSR_E_IO, "cannot %s %s: %s", verb, label, strerror(errno));
}

enum tsr_status tsr_fd_read(int fd, const char *label, void *data, size_t n, size_t *got, struct tsr_error *err)
{
    *got = 0;
    if (n > TSR_FD_CHUNK) n = TSR_FD_CHUNK;
    for (;;) {
        TSR_TRY(stopped("read", label, err));
        ssize_t r = read(fd, data, n);
        if (r >= 0) {
            *got = (size_t)r;
            return TSR_OK;
        }
        TSR_TRY(after_failure(fd, POLLIN, "read", label, err));
    }
}

static enum tsr_status write_all(int fd, const char *label, const uint8_t *p, size_t n, int64_t offset,
                                 struct tsr_error *err)
{
    while (n != 0) {
        TSR_TRY(stopped("write", label, err));
        size_t part = n < TSR_FD_CHUNK ? n : TSR_FD_CHUNK;
        ssize_t w = offset < 0 ? write(fd, p, part) : pwrite(fd, p, part, (off_t)offset);
        if (w < 0) {
            TSR_TRY(after_failure(fd, POLLOUT, "write", label, err));
            continue;
        }
        p += w;
        n -= (size_t)w;
        if (offset >= 0) offset += w;
    }
    return TSR_OK;
}

enum tsr_status tsr_fd_write(int fd, const char *label, const void *data, size_t n, struct tsr_error *err)
{
    return write_all(fd, label, data, n, -1, err);
}

enum tsr_status tsr_fd_write_at(int fd, const char *label, const void *data, size_t n, int64_t offset,
                                struct tsr_error *err)
{
    if (offset < 0) return tsr_fail(err, TSR_E_USAGE, "cannot write %s at the negative offset %lld", label, (long long)offset);
    return write_all(fd, label, data, n, offset, err);
}
