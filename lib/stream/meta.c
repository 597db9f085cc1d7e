#include "stream/meta.h"

#include "stream/record.h"

#include <stdio.h>

enum tsr_status tsr_meta_parse(const char *text, size_t n, struct tsr_json **out, struct tsr_error *err)
{
    struct tsr_json *meta;
    struct tsr_buf again = {0};
    *out = NULL;
    TSR_TRY(tsr_json_parse(text, n, TSR_MAX_META, "its JSON", &meta, err));
    enum tsr_status status = TSR_OK;
    if (tsr_json_kind(meta) != TSR_JSON_OBJECT) {
        status = tsr_fail(err, TSR_E_CORRUPT, "its JSON is not an object");
        goto done;
    }
    TSR_GO(status, done, tsr_json_print(meta, &again, err));
    if (again.len != n || memcmp(again.data, text, n) != 0)
        status = tsr_fail(err, TSR_E_CORRUPT, "its JSON is not in canonical form");
done:
    tsr_buf_release(&again);
    if (status == TSR_OK)
        *out = meta;
    else
        tsr_json_free(meta);
    return status;
}

enum tsr_status tsr_meta_write(const struct tsr_json *meta, struct tsr_buf *to, struct tsr_error *err)
{
    size_t begin = to->len;
    if (meta == NULL) return tsr_buf_append(to, "{}", 2, err);
    if (tsr_json_kind(meta) != TSR_JSON_OBJECT) return tsr_fail(err, TSR_E_USAGE, "a record's JSON must be an object");
    TSR_TRY(tsr_json_print(meta, to, err));
    if (to->len - begin > TSR_MAX_META)
        return tsr_fail(err, TSR_E_LIMIT, "a record's JSON has %zu bytes; %u are allowed", to->len - begin, TSR_MAX_META);
    return TSR_OK;
}

void tsr_meta_format(int minor, char out[TSR_FORMAT_TEXT])
{
    (void)snprintf(out, TSR_FORMAT_TEXT, "%d.%d", TSR_STREAM_MAJOR, minor);
}

enum tsr_status tsr_meta_check_format(const struct tsr_json *meta, int minor, struct tsr_error *err)
{
    const char *is;
    char must[TSR_FORMAT_TEXT];
    tsr_meta_format(minor, must);
    TSR_TRY(tsr_json_need_string(meta, "format", &is, err));
    if (strcmp(is, must) != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "format version '%.8s' does not agree with the stream's first bytes, which say %s", is, must);
    return TSR_OK;
}

enum tsr_status tsr_meta_int(const struct tsr_json *meta, const char *key, int64_t lo, int64_t hi, int64_t otherwise,
                             int64_t *out, struct tsr_error *err)
{
    *out = otherwise;
    return tsr_json_get(meta, key) == NULL ? TSR_OK : tsr_json_need_int(meta, key, lo, hi, out, err);
}

enum tsr_status tsr_meta_string(const struct tsr_json *meta, const char *key, const char *otherwise, const char **out,
                                struct tsr_error *err)
{
    *out = otherwise;
    return tsr_json_get(meta, key) == NULL ? TSR_OK : tsr_json_need_string(meta, key, out, err);
}
