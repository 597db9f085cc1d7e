/* source.h - buffered byte input from a file, a pipe, memory or a callback.
 *
 * A source belongs to one thread at a time. A failed call leaves it where it was or further on;
 * it may be closed, nothing else. Input ends where the bytes end: nothing here knows a format. */
#ifndef TSR_IO_SOURCE_H
#define TSR_IO_SOURCE_H

#include "base/bytes.h"

struct tsr_source;

/* Opens a file, or standard input for "-". TSR_E_IO where it cannot be opened or is a directory,
 * TSR_E_NOMEM. On failure *out is NULL. */
enum tsr_status tsr_source_open(const char *path, struct tsr_source **out, struct tsr_error *err) TSR_MUST_USE;
/* Reads a descriptor from where it stands; it stays the caller's. `name` is copied and stands in
 * messages as it is. */
enum tsr_status tsr_source_from_fd(int fd, const char *name, struct tsr_source **out,
                                   struct tsr_error *err) TSR_MUST_USE;
/* Reads n bytes that the caller keeps until the source is closed. No copy is made. */
enum tsr_status tsr_source_from_memory(const void *data, size_t n, const char *name, struct tsr_source **out,
                                       struct tsr_error *err) TSR_MUST_USE;

/* Fills up to n > 0 bytes; *got == 0 with TSR_OK is the end of the input. */
typedef enum tsr_status tsr_source_fn(void *arg, void *data, size_t n, size_t *got, struct tsr_error *err);
/* Reads what read(arg) gives; `size` in bytes or -1 where unknown. finish(arg) (may be NULL) is
 * called once by tsr_source_close, or before this function returns an error. */
enum tsr_status tsr_source_from_callback(tsr_source_fn *read, void (*finish)(void *arg), void *arg, int64_t size,
                                         const char *name, struct tsr_source **out,
                                         struct tsr_error *err) TSR_MUST_USE;

/* Reads n bytes; *got < n only at the end of the input. */
enum tsr_status tsr_source_read(struct tsr_source *s, void *data, size_t n, size_t *got,
                                struct tsr_error *err) TSR_MUST_USE;
/* Reads exactly n bytes or fails with TSR_E_TRUNCATED, "NAME ends inside WHAT: ...". */
enum tsr_status tsr_source_exact(struct tsr_source *s, void *data, size_t n, const char *what,
                                 struct tsr_error *err) TSR_MUST_USE;
/* Shows the next n bytes without consuming them; *avail < n only at the end of the input, *avail > n
 * may be. *data is valid until the next call. Memory grows with the bytes that came, not with n. */
enum tsr_status tsr_source_peek(struct tsr_source *s, size_t n, const uint8_t **data, size_t *avail,
                                struct tsr_error *err) TSR_MUST_USE;
/* Passes over n bytes; *skipped < n only at the end of the input (skipped may be NULL). */
enum tsr_status tsr_source_skip(struct tsr_source *s, uint64_t n, uint64_t *skipped,
                                struct tsr_error *err) TSR_MUST_USE;
/* Appends all that is left to `to`; TSR_E_LIMIT where that is more than `max` bytes. */
enum tsr_status tsr_source_read_all(struct tsr_source *s, size_t max, struct tsr_buf *to,
                                    struct tsr_error *err) TSR_MUST_USE;

/* Bytes consumed so far. */
uint64_t tsr_source_offset(const struct tsr_source *s);
/* All bytes from the start of the source to its end; -1 where unknown (pipes). A hint for regular
 * files, which others may still write. */
int64_t tsr_source_size(const struct tsr_source *s);
/* How messages name it: the path, or "standard input". Lives as long as the source. */
const char *tsr_source_name(const struct tsr_source *s);

/* Releases the source (NULL allowed) and keeps errno. */
void tsr_source_close(struct tsr_source *s);

#endif
