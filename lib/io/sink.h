/* sink.h - buffered byte output to a file, a descriptor or memory.
 *
 * A regular file is written under a temporary name in the same directory and takes its own name
 * only in tsr_sink_close, so nobody ever sees half a file. A sink belongs to one thread at a time.
 * After a failed call it may be abandoned, nothing else. */
#ifndef TSR_IO_SINK_H
#define TSR_IO_SINK_H

#include "base/bytes.h"

struct tsr_sink;

/* Opens a file for writing, or standard output for "-". Devices, pipes and descriptors
 * (/dev/full, /dev/stdout, a fifo) are written directly. A link is followed and kept; a file that
 * is there keeps its permissions, and one that may not be written is refused. TSR_E_IO,
 * TSR_E_NOMEM; *out is NULL then. */
enum tsr_status tsr_sink_open(const char *path, struct tsr_sink **out, struct tsr_error *err) TSR_MUST_USE;
/* Writes to a descriptor, which stays the caller's. `name` is copied and stands in messages as
 * it is. */
enum tsr_status tsr_sink_from_fd(int fd, const char *name, struct tsr_sink **out, struct tsr_error *err) TSR_MUST_USE;
/* Appends to `to`, which stays the caller's and must live as long as the sink. */
enum tsr_status tsr_sink_from_memory(struct tsr_buf *to, const char *name, struct tsr_sink **out,
                                     struct tsr_error *err) TSR_MUST_USE;

/* TSR_E_IO (errno says why), TSR_E_CLOSED where the reader of a pipe went away, TSR_E_INTERRUPTED. */
enum tsr_status tsr_sink_write(struct tsr_sink *s, const void *data, size_t n, struct tsr_error *err) TSR_MUST_USE;
/* Hands everything written so far to the system. */
enum tsr_status tsr_sink_flush(struct tsr_sink *s, struct tsr_error *err) TSR_MUST_USE;
/* Whether tsr_sink_patch can be used: regular files (not opened for appending) and memory. */
bool tsr_sink_can_patch(const struct tsr_sink *s);
/* Overwrites n bytes that were written before, `offset` bytes after the sink's start.
 * TSR_E_USAGE where they were not, or the sink cannot be patched. */
enum tsr_status tsr_sink_patch(struct tsr_sink *s, uint64_t offset, const void *data, size_t n,
                               struct tsr_error *err) TSR_MUST_USE;
/* Bytes written so far. */
uint64_t tsr_sink_offset(const struct tsr_sink *s);
/* How messages name it: the path, or "standard output". Lives as long as the sink. */
const char *tsr_sink_name(const struct tsr_sink *s);

/* The checked end: flushes, closes, renames, and releases the sink in every case. On failure
 * nothing stays behind under the file's name. Standard output is flushed but not closed. */
enum tsr_status tsr_sink_close(struct tsr_sink *s, struct tsr_error *err) TSR_MUST_USE;
/* The end after a failure: what was not flushed is dropped, the temporary file is removed, the
 * sink is released (NULL allowed) and errno is kept. */
void tsr_sink_abandon(struct tsr_sink *s);

/* Removes the temporary files of all live sinks. Async-signal-safe: meant for a handler that ends
 * the process at once. A program that can still return from its work abandons its sinks instead. */
void tsr_sink_unlink_live(void);

#endif
