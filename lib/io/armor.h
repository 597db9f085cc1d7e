/* armor.h - bytes as lines of base64 (RFC 4648, section 4), for pipes between programs that know lines only.
 * Every line is a block of its own, padded to four characters; a source is the bytes of all its lines. */
#ifndef TSR_IO_ARMOR_H
#define TSR_IO_ARMOR_H

#include "io/sink.h"
#include "io/source.h"

/* A source of what the lines of `lines` encode, which is closed with it (and at once where this fails). Empty
 * lines are passed over, and a carriage return before a line's end. Reading fails with TSR_E_CORRUPT at
 * anything else, TSR_E_TRUNCATED where the last line has no end. */
enum tsr_status tsr_armor_source(struct tsr_source *lines, struct tsr_source **out, struct tsr_error *err) TSR_MUST_USE;

/* Writes n bytes as one line. */
enum tsr_status tsr_armor_write(struct tsr_sink *to, const void *data, size_t n, struct tsr_error *err) TSR_MUST_USE;

#endif
