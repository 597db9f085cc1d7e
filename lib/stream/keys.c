#include "stream/keys.h"

#include "base/mem.h"

enum tsr_status tsr_keys_put(struct tsr_stream_writer *w, const struct tsr_block_keys *k, struct tsr_error *err)
{
    struct tsr_json *meta;
    enum tsr_status status;
    if (k->count == 0 || k->count > TSR_BLOCK_ROWS)
        return tsr_fail(err, TSR_E_USAGE, "a block holds 1 to %d samples, not %zu", TSR_BLOCK_ROWS, k->count);
    TSR_TRY(tsr_json_object(&meta, err));
    TSR_GO(status, done, tsr_json_set_int(meta, "block", k->block, err));
    TSR_GO(status, done, tsr_json_set_int(meta, "count", (int64_t)k->count, err));
    TSR_GO(status, done, tsr_json_set_int(meta, "first", k->first, err));
    status = tsr_writer_put(w, TSR_KEYS, meta, k->key, k->count * TSR_KEY_LEN, err);
done:
    tsr_json_free(meta);
    return status;
}

static enum tsr_status parse(const struct tsr_record *rec, struct tsr_block_keys *k, struct tsr_error *err)
{
    int64_t count;
    TSR_TRY(tsr_json_need_int(rec->meta, "block", 0, TSR_JSON_INT_MAX, &k->block, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "first", 0, TSR_JSON_INT_MAX, &k->first, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "count", 1, TSR_BLOCK_ROWS, &count, err));
    k->count = (size_t)count;
    if (rec->plain_len != k->count * TSR_KEY_LEN)
        return tsr_fail(err, TSR_E_CORRUPT, "%lld keys are %zu bytes, its body has %llu", (long long)count,
                        k->count * TSR_KEY_LEN, (unsigned long long)rec->plain_len);
    return TSR_OK;
}

enum tsr_status tsr_keys_get(struct tsr_stream *s, const struct tsr_record *rec, struct tsr_block_keys *k,
                             struct tsr_error *err)
{
    enum tsr_status status = parse(rec, k, err);
    if (status != TSR_OK) return tsr_record_failed(rec, status, err);
    struct tsr_buf body = {.data = (uint8_t *)k->key, .cap = k->cap * sizeof *k->key};
    status = tsr_stream_load_body(s, k->count * TSR_KEY_LEN, &body, err);
    k->key = (struct tsr_key *)body.data;
    k->cap = body.cap / sizeof *k->key;
    return status;
}

void tsr_keys_release(struct tsr_block_keys *k)
{
    tsr_free(k->key);
    *k = (struct tsr_block_keys){0};
}
