/* fd.h - file descriptors as the io module uses them. Thread-safe. */
#ifndef TSR_IO_FD_H
#define TSR_IO_FD_H

#include "base/status.h"

#include <signal.h>

/* Names the flag that a program's signal handler raises; NULL (the start): none. A read or write
 * that a signal interrupts is taken up again, unless the flag is raised: then it, and every later
 * one, gives up with TSR_E_INTERRUPTED. The flag must stay valid. Call it before other threads are started. */
void tsr_io_set_stop(const volatile sig_atomic_t *flag);

/* One read of up to n bytes that waits where the descriptor is non-blocking; *got == 0 is the end
 * of the input (n > 0). `label` is how messages name the input. TSR_E_IO, TSR_E_INTERRUPTED. */
enum tsr_status tsr_fd_read(int fd, const char *label, void *data, size_t n, size_t *got,
                            struct tsr_error *err) TSR_MUST_USE;
/* Writes all n bytes. TSR_E_CLOSED for EPIPE, TSR_E_IO, TSR_E_INTERRUPTED. */
enum tsr_status tsr_fd_write(int fd, const char *label, const void *data, size_t n,
                             struct tsr_error *err) TSR_MUST_USE;
/* The same at a byte offset, without moving the descriptor's own. */
enum tsr_status tsr_fd_write_at(int fd, const char *label, const void *data, size_t n, int64_t offset,
                                struct tsr_error *err) TSR_MUST_USE;

#endif
