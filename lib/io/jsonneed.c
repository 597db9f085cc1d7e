/* Checked access to JSON documents; needs nothing but the public interface. */
#include "io/json.h"

#include "io/number.h"

#include <math.h>
#include <stdio.h>

/* Names the value in messages: by the key asked for, else by the one it has. */
static enum tsr_status find(const struct tsr_json *j, const char *key, const struct tsr_json **item,
                            struct tsr_error *err)
{
    *item = key != NULL ? tsr_json_get(j, key) : j;
    if (*item != NULL) return TSR_OK;
    return tsr_fail(err, TSR_E_CORRUPT, "field '%.80s' is missing", key);
}

static enum tsr_status wrong(const struct tsr_json *item, struct tsr_error *err, const char *want)
{
    const char *key = tsr_json_key(item);
    return tsr_fail(err, TSR_E_CORRUPT, "field '%.80s' is not %s", key != NULL ? key : "[]", want);
}

enum tsr_status tsr_json_need_bool(const struct tsr_json *j, const char *key, bool *out, struct tsr_error *err)
{
    const struct tsr_json *item;
    TSR_TRY(find(j, key, &item, err));
    if (tsr_json_kind(item) != TSR_JSON_BOOL) return wrong(item, err, "true or false");
    *out = tsr_json_bool(item);
    return TSR_OK;
}

enum tsr_status tsr_json_need_int(const struct tsr_json *j, const char *key, int64_t lo, int64_t hi, int64_t *out,
                                  struct tsr_error *err)
{
    const struct tsr_json *item;
    TSR_TRY(find(j, key, &item, err));
    double v = tsr_json_number(item);
    bool whole = tsr_json_kind(item) == TSR_JSON_NUMBER && fabs(v) <= (double)TSR_JSON_INT_MAX && v == floor(v);
    if (!whole || (int64_t)v < lo || (int64_t)v > hi) {
        char want[80];
        (void)snprintf(want, sizeof want, "an integer from %lld to %lld", (long long)lo, (long long)hi);
        return wrong(item, err, want);
    }
    *out = (int64_t)v;
    return TSR_OK;
}

enum tsr_status tsr_json_need_number(const struct tsr_json *j, const char *key, double lo, double hi, double *out,
                                     struct tsr_error *err)
{
    const struct tsr_json *item;
    TSR_TRY(find(j, key, &item, err));
    double v = tsr_json_number(item);
    if (tsr_json_kind(item) != TSR_JSON_NUMBER || !(v >= lo && v <= hi)) {
        char want[120], from[TSR_NUMBER_TEXT] = "-infinity", to[TSR_NUMBER_TEXT] = "infinity";
        if (isfinite(lo)) (void)tsr_number_print(lo, from);
        if (isfinite(hi)) (void)tsr_number_print(hi, to);
        (void)snprintf(want, sizeof want, "a number from %s to %s", from, to);
        return wrong(item, err, isfinite(lo) || isfinite(hi) ? want : "a number");
    }
    *out = v;
    return TSR_OK;
}

enum tsr_status tsr_json_need_string(const struct tsr_json *j, const char *key, const char **out,
                                     struct tsr_error *err)
{
    const struct tsr_json *item;
    TSR_TRY(find(j, key, &item, err));
    if (tsr_json_kind(item) != TSR_JSON_STRING) return wrong(item, err, "a string");
    *out = tsr_json_string(item);
    return TSR_OK;
}

static enum tsr_status need_kind(const struct tsr_json *j, const char *key, enum tsr_json_kind kind, const char *want,
                                 const struct tsr_json **out, struct tsr_error *err)
{
    const struct tsr_json *item;
    TSR_TRY(find(j, key, &item, err));
    if (tsr_json_kind(item) != kind) return wrong(item, err, want);
    *out = item;
    return TSR_OK;
}

enum tsr_status tsr_json_need_array(const struct tsr_json *j, const char *key, const struct tsr_json **out,
                                    struct tsr_error *err)
{
    return need_kind(j, key, TSR_JSON_ARRAY, "an array", out, err);
}

enum tsr_status tsr_json_need_object(const struct tsr_json *j, const char *key, const struct tsr_json **out,
                                     struct tsr_error *err)
{
    return need_kind(j, key, TSR_JSON_OBJECT, "an object", out, err);
}

enum tsr_status tsr_json_need_ints(const struct tsr_json *j, const char *key, int64_t lo, int64_t hi, size_t max,
                                   int64_t *out, size_t *n, struct tsr_error *err)
{
    const struct tsr_json *item;
    TSR_TRY(find(j, key, &item, err));
    if (tsr_json_kind(item) != TSR_JSON_ARRAY || tsr_json_length(item) > max) {
        char want[80];
        (void)snprintf(want, sizeof want, "an array of at most %zu integers", max);
        return wrong(item, err, want);
    }
    size_t count = 0;
    for (const struct tsr_json *e = tsr_json_first(item); e != NULL; e = tsr_json_next(e)) {
        enum tsr_status status = tsr_json_need_int(e, NULL, lo, hi, &out[count], err);
        if (status != TSR_OK) {
            const char *name = tsr_json_key(item);
            tsr_error_prefix(err, "field '%.80s', element %zu", name != NULL ? name : "[]", count);
            return status;
        }
        count++;
    }
    *n = count;
    return TSR_OK;
}
