/* status.h - what every fallible function of the library returns.
 *
 * A function that can fail returns enum tsr_status and takes a struct tsr_error as its last
 * argument. On failure the callee has written one complete sentence there (no final full
 * stop, no newline); the library itself prints nothing. A NULL error is allowed everywhere.
 */
#ifndef TSR_BASE_STATUS_H
#define TSR_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tsr_status {
    TSR_OK = 0,
    TSR_E_USAGE,       /* an argument is out of its documented range; the object is unchanged */
    TSR_E_NOT_FOUND,   /* a name the caller asked for (tensor, layer, record) is not there */
    TSR_E_FORMAT,      /* the input is not of the expected format at all */
    TSR_E_UNSUPPORTED, /* the right format, but a version, operator or type we do not handle */
    TSR_E_CORRUPT,     /* the right format, damaged: a checksum, length or invariant is wrong */
    TSR_E_TRUNCATED,   /* the input ends before it may */
    TSR_E_MISMATCH,    /* two valid inputs do not belong together (shape, keys, reference set) */
    TSR_E_NUMERIC,     /* NaN or infinity where a finite number is required, or no convergence */
    TSR_E_NOMEM,       /* memory could not be had; the object may be released, nothing else */
    TSR_E_IO,          /* open, read, write, rename failed; errno tells more */
    TSR_E_CLOSED,      /* the reader of our output went away (EPIPE): end silently */
    TSR_E_LIMIT,       /* a cap, quorum or policy forbids it */
    TSR_E_INTERRUPTED, /* the caller's stop flag was raised */
    TSR_E_INTERNAL     /* a bug of ours */
};

struct tsr_error {
    enum tsr_status status;
    char message[480];
};

#define TSR_MUST_USE __attribute__((warn_unused_result))
#define TSR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* The enumerator's lower-case name ("corrupt"), for reports. Static storage. */
const char *tsr_status_name(enum tsr_status status);

/* Writes the sentence and returns `status`, so that callers say `return tsr_fail(...)`.
 * Debug builds append the source position. A message longer than the buffer is cut. */
#define tsr_fail(err, status, ...) tsr_fail_at((err), (status), __FILE__, __LINE__, __VA_ARGS__)
enum tsr_status tsr_fail_at(struct tsr_error *err, enum tsr_status status, const char *file, int line,
                            const char *format, ...) TSR_PRINTF(5, 6);

/* Puts "prefix: " before the message that is already in err (may be NULL). */
void tsr_error_prefix(struct tsr_error *err, const char *format, ...) TSR_PRINTF(2, 3);

/* Check and forward: returns from the calling function when the expression fails. */
#define TSR_TRY(expression)                                                                        \
    do {                                                                                           \
        enum tsr_status tsr_try_status_ = (expression);                                            \
        if (tsr_try_status_ != TSR_OK) return tsr_try_status_;                                     \
    } while (0)

/* Check and clean up: assigns to `status` and jumps when the expression fails. */
#define TSR_GO(status, label, expression)                                                          \
    do {                                                                                           \
        (status) = (expression);                                                                   \
        if ((status) != TSR_OK) goto label;                                                        \
    } while (0)

#endif
