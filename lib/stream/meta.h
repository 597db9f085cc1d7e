/* meta.h - the JSON object of a record. Thread-safe. */
#ifndef TSR_STREAM_META_H
#define TSR_STREAM_META_H

#include "io/json.h"

/* Parses n bytes that must be a canonical JSON object. TSR_E_CORRUPT where they are not. */
enum tsr_status tsr_meta_parse(const char *text, size_t n, struct tsr_json **out, struct tsr_error *err) TSR_MUST_USE;
/* Appends the canonical text of an object; NULL stands for {}. TSR_E_LIMIT beyond TSR_MAX_META. */
enum tsr_status tsr_meta_write(const struct tsr_json *meta, struct tsr_buf *to, struct tsr_error *err) TSR_MUST_USE;

/* The value of HEAD's field "format": "1.0". */
#define TSR_FORMAT_TEXT 12
void tsr_meta_format(int minor, char out[TSR_FORMAT_TEXT]);
/* TSR_E_CORRUPT where HEAD names another version than the magic in front of it. */
enum tsr_status tsr_meta_check_format(const struct tsr_json *meta, int minor, struct tsr_error *err) TSR_MUST_USE;

/* Members that may be missing: *out is `otherwise` then. Else as tsr_json_need_*. */
enum tsr_status tsr_meta_int(const struct tsr_json *meta, const char *key, int64_t lo, int64_t hi, int64_t otherwise,
                             int64_t *out, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_meta_string(const struct tsr_json *meta, const char *key, const char *otherwise, const char **out,
                                struct tsr_error *err) TSR_MUST_USE;

#endif
