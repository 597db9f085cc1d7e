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

enum tsr_status tsr_keys_get(struct tsr_stream *s, const struct tsr_record *rec, struct tsr_block_keys *k,
                             struct tsr_error *err)
{
    int64_t block, first, count;
    TSR_TRY(tsr_json_need_int(rec->meta, "block", 0, TSR_JSON_INT_MAX, &block, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "first", 0, TSR_JSON_INT_MAX, &first, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "count", 1, TSR_BLOCK_ROWS, &count, err));
    size_t bytes = (size_t)count * TSR_KEY_LEN;
    if (rec->plain_len != bytes)
        return tsr_fail(err, TSR_E_CORRUPT, "record KEYS at byte %llu: %lld keys are %zu bytes, its body has %llu",
                        (unsigned long long)rec->offset, (long long)count, bytes, (unsigned long long)rec->plain_len);
    struct tsr_buf body = {.data = (uint8_t *)k->key, .cap = k->cap * sizeof *k->key};
    enum tsr_status status = tsr_stream_load_body(s, bytes, &body, err);
    k->key = (struct tsr_key *)body.data;
    k->cap = body.cap / sizeof *k->key;
    TSR_TRY(status);
    k->block = block;
    k->first = first;
    k->count = (size_t)count;
    return TSR_OK;
}

void tsr_keys_release(struct tsr_block_keys *k)
{
    tsr_free(k->key);
    *k = (struct tsr_block_keys){0};
}
