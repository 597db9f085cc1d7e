#include "shared/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void tsr_open_standard_files(void)
{
    static const int mode[] = {O_WRONLY, O_RDONLY, O_RDWR}; /* the wrong way round: use gives EBADF */
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", mode[fd]) == -1) _exit(4);
}

enum tsr_status tsr_finish_stdout(struct tsr_error *err)
{
    /* A failed earlier write leaves the error flag but not always an errno worth showing. */
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0) failed = true;
    /* close() reports what a network file system found late. Nothing ever written to a standard
     * output that was closed from the start is fine, and closing the substitute succeeds. */
    if (close(STDOUT_FILENO) != 0 && errno != EBADF) failed = true;
    if (!failed) return TSR_OK;
    if (errno == EPIPE && !tsr_signals_pipe_ignored()) return tsr_fail(err, TSR_E_CLOSED, "standard output was closed");
    return tsr_fail(err, TSR_E_IO, "cannot write standard output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
}
