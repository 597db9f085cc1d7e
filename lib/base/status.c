#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *tsr_status_name(enum tsr_status status)
{
    static const char *const names[] = {
        "ok",      "usage", "not-found", "format", "unsupported", "corrupt", "truncated",  "mismatch",
        "numeric", "nomem", "io",        "closed", "limit",       "interrupted", "internal",
    };
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

/* Names out of files end up in messages, and messages on terminals: no control characters. */
static void disarm(char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

enum tsr_status tsr_fail_at(struct tsr_error *err, enum tsr_status status, const char *file, int line,
                            const char *format, ...)
{
    if (err == NULL) return status;
    err->status = status;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    disarm(err->message);
#ifdef TSR_DEBUG
    if (n >= 0 && (size_t)n < sizeof err->message)
        (void)snprintf(err->message + n, sizeof err->message - (size_t)n, " [%s:%d]", file, line);
#else
    (void)n;
    (void)file;
    (void)line;
#endif
    return status;
}

void tsr_error_prefix(struct tsr_error *err, const char *format, ...)
{
    if (err == NULL) return;
    char rest[sizeof err->message];
    memcpy(rest, err->message, sizeof rest);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->message)
        (void)snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", rest);
    disarm(err->message);
}
