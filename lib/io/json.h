/* json.h - JSON documents: strict reading, canonical writing (RFC 8785), checked access.
 *
 * A document is a tree that belongs to its root; every other pointer is borrowed from it and lives
 * as long. Members of an object are kept sorted, so iteration has one order whatever the input's.
 * A document belongs to one thread at a time; different documents are independent. Nothing depends
 * on the locale. */
#ifndef TSR_IO_JSON_H
#define TSR_IO_JSON_H

#include "base/bytes.h"

struct tsr_json;

enum tsr_json_kind { TSR_JSON_NULL, TSR_JSON_BOOL, TSR_JSON_NUMBER, TSR_JSON_STRING, TSR_JSON_ARRAY, TSR_JSON_OBJECT };

#define TSR_JSON_DEPTH 32                        /* containers within each other, at most */
#define TSR_JSON_INT_MAX (INT64_C(1) << 53)      /* integers are exact within +- this */

/* Reads one JSON text (RFC 8259) of exactly n bytes: valid UTF-8 without NUL characters or lone
 * surrogates, no duplicate member names, finite numbers, at most TSR_JSON_DEPTH deep, nothing
 * behind it but white space. `what` names the text in messages. TSR_E_LIMIT for more than `max`
 * bytes, TSR_E_CORRUPT for anything else that is wrong (the message has the byte position),
 * TSR_E_NOMEM. Release the root with tsr_json_free. */
enum tsr_status tsr_json_parse(const void *text, size_t n, size_t max, const char *what, struct tsr_json **out,
                               struct tsr_error *err) TSR_MUST_USE;
/* Appends the canonical text: sorted names, no white space, numbers as tsr_number_print writes
 * them. The same document gives the same bytes everywhere. */
enum tsr_status tsr_json_print(const struct tsr_json *j, struct tsr_buf *to, struct tsr_error *err) TSR_MUST_USE;
/* Releases a root (NULL allowed). */
void tsr_json_free(struct tsr_json *root);

/* New empty roots. */
enum tsr_status tsr_json_object(struct tsr_json **out, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_array(struct tsr_json **out, struct tsr_error *err) TSR_MUST_USE;

/* Setters. Into an object: `key` names the member and replaces one of that name. Into an array:
 * `key` is NULL and the value is appended. Strings are copied. TSR_E_USAGE: the container is of
 * the other kind, or text is not UTF-8; TSR_E_NUMERIC: not finite, or an integer beyond
 * TSR_JSON_INT_MAX (write it as a string); TSR_E_NOMEM. The document is unchanged on failure. */
enum tsr_status tsr_json_set_null(struct tsr_json *j, const char *key, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_set_bool(struct tsr_json *j, const char *key, bool v, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_set_int(struct tsr_json *j, const char *key, int64_t v, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_set_number(struct tsr_json *j, const char *key, double v,
                                    struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_set_string(struct tsr_json *j, const char *key, const char *v,
                                    struct tsr_error *err) TSR_MUST_USE;
/* An array of n integers, e.g. a shape. */
enum tsr_status tsr_json_set_ints(struct tsr_json *j, const char *key, const int64_t *v, size_t n,
                                  struct tsr_error *err) TSR_MUST_USE;
/* Empty containers; *child is borrowed. */
enum tsr_status tsr_json_set_object(struct tsr_json *j, const char *key, struct tsr_json **child,
                                    struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_set_array(struct tsr_json *j, const char *key, struct tsr_json **child,
                                   struct tsr_error *err) TSR_MUST_USE;
/* A deep copy of another document (or a part of one). */
enum tsr_status tsr_json_set_copy(struct tsr_json *j, const char *key, const struct tsr_json *v,
                                  struct tsr_error *err) TSR_MUST_USE;
/* Removes a member; nothing happens where there is none. */
void tsr_json_remove(struct tsr_json *object, const char *key);

/* Looking around. */
enum tsr_json_kind tsr_json_kind(const struct tsr_json *j);
size_t tsr_json_length(const struct tsr_json *j);                                 /* members or elements */
struct tsr_json *tsr_json_get(const struct tsr_json *object, const char *key);    /* NULL: not there */
struct tsr_json *tsr_json_first(const struct tsr_json *j);                        /* NULL: empty */
struct tsr_json *tsr_json_next(const struct tsr_json *item);                      /* NULL: was the last */
const char *tsr_json_key(const struct tsr_json *item);                            /* NULL: not a member */
/* The value of an item of that kind; 0, NULL, false for any other. */
bool tsr_json_bool(const struct tsr_json *j);
double tsr_json_number(const struct tsr_json *j);
const char *tsr_json_string(const struct tsr_json *j);
bool tsr_json_equal(const struct tsr_json *a, const struct tsr_json *b);

/* Checked access: member `key` of j, or j itself where key is NULL. TSR_E_CORRUPT with "field
 * 'rank' is missing" or "field 'rank' is not an integer from 0 to 64"; *out is unchanged then.
 * Strings and containers are borrowed. */
enum tsr_status tsr_json_need_bool(const struct tsr_json *j, const char *key, bool *out,
                                   struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_need_int(const struct tsr_json *j, const char *key, int64_t lo, int64_t hi, int64_t *out,
                                  struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_need_number(const struct tsr_json *j, const char *key, double lo, double hi, double *out,
                                     struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_need_string(const struct tsr_json *j, const char *key, const char **out,
                                     struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_need_array(const struct tsr_json *j, const char *key, const struct tsr_json **out,
                                    struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_json_need_object(const struct tsr_json *j, const char *key, const struct tsr_json **out,
                                     struct tsr_error *err) TSR_MUST_USE;
/* An array of at most `max` integers, each in [lo, hi], into out[]; *n of them. */
enum tsr_status tsr_json_need_ints(const struct tsr_json *j, const char *key, int64_t lo, int64_t hi, size_t max,
                                   int64_t *out, size_t *n, struct tsr_error *err) TSR_MUST_USE;

#endif
