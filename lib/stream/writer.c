#include "stream/writer.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "stream/codec.h"
#include "stream/ends.h"
#include "stream/meta.h"

struct tsr_stream_writer {
    struct tsr_sink *sink;
    struct tsr_codec *codec;
    int level;
    bool inside;    /* a HEAD record was written, an ENDS record not yet */
    bool recording; /* between begin and end */
    uint64_t sequence;
    struct tsr_tally tally;
    struct tsr_record_header header; /* of the record being made */
    struct tsr_buf text;             /* its JSON and frames */
    uint8_t *frame;                  /* TSR_FRAME_PLAIN bytes, made when first needed */
    size_t filled;
};

enum tsr_status tsr_writer_new(struct tsr_sink *sink, int level, struct tsr_stream_writer **out, struct tsr_error *err)
{
    *out = NULL;
    if (level < 0 || level > TSR_LEVEL_MAX)
        return tsr_fail(err, TSR_E_USAGE, "the compression level must be 0 to %d, not %d", TSR_LEVEL_MAX, level);
    struct tsr_stream_writer *w = tsr_calloc(1, sizeof *w);
    if (w == NULL) return tsr_nomem(err, sizeof *w);
    w->sink = sink;
    w->level = level;
    enum tsr_status status = tsr_codec_new(&w->codec, err);
    if (status != TSR_OK) {
        tsr_free(w);
        return status;
    }
    *out = w;
    return TSR_OK;
}

void tsr_writer_free(struct tsr_stream_writer *w)
{
    if (w == NULL) return;
    tsr_codec_free(w->codec);
    tsr_buf_release(&w->text);
    tsr_free(w->frame);
    tsr_free(w);
}

/* Whether a record of this type may come next. */
static enum tsr_status check_order(const struct tsr_stream_writer *w, uint32_t type, struct tsr_error *err)
{
    char text[5];
    if (w->recording) return tsr_fail(err, TSR_E_USAGE, "a record is begun before the last one was ended");
    if (!tsr_type_valid(type))
        return tsr_fail(err, TSR_E_USAGE, "'%s' is no record type", tsr_type_text(type, text));
    if ((type == TSR_HEAD) == w->inside)
        return tsr_fail(err, TSR_E_USAGE, w->inside ? "a second HEAD record in one segment" : "a segment must begin with a HEAD record");
    return TSR_OK;
}

/* Header, JSON and body go out; the tally takes note. */
static enum tsr_status put_record(struct tsr_stream_writer *w, struct tsr_record_header *h, const void *rest, size_t n,
                                  struct tsr_error *err)
{
    uint8_t bytes[TSR_HEADER_LEN];
    if (h->type == TSR_HEAD) {
        uint8_t magic[TSR_MAGIC_LEN];
        tsr_magic_put(magic);
        TSR_TRY(tsr_sink_write(w->sink, magic, sizeof magic, err));
        tsr_tally_clear(&w->tally);
        w->sequence = 0;
        w->inside = true;
    }
    h->sequence = w->sequence++;
    tsr_record_header_put(h, bytes);
    TSR_TRY(tsr_tally_add(&w->tally, h->type, bytes, sizeof bytes, rest, n, err));
    TSR_TRY(tsr_sink_write(w->sink, bytes, sizeof bytes, err));
    return tsr_sink_write(w->sink, rest, n, err);
}

/* tsr_writer_begin without its look at the order. */
static enum tsr_status begin(struct tsr_stream_writer *w, uint32_t type, const struct tsr_json *meta,
                             struct tsr_error *err)
{
    tsr_buf_clear(&w->text);
    TSR_TRY(tsr_meta_write(meta, &w->text, err));
    w->header = (struct tsr_record_header){.type = type, .meta_len = (uint32_t)w->text.len};
    w->filled = 0;
    w->recording = true;
    return TSR_OK;
}

enum tsr_status tsr_writer_begin(struct tsr_stream_writer *w, uint32_t type, const struct tsr_json *meta,
                                 struct tsr_error *err)
{
    TSR_TRY(check_order(w, type, err));
    if (type == TSR_ENDS) return tsr_fail(err, TSR_E_USAGE, "ENDS records are written by tsr_writer_finish alone");
    return begin(w, type, meta, err);
}

static enum tsr_status flush_frame(struct tsr_stream_writer *w, const void *plain, size_t n, struct tsr_error *err)
{
    return tsr_frame_pack(w->codec, w->level, plain, n, &w->text, err);
}

enum tsr_status tsr_writer_append(struct tsr_stream_writer *w, const void *data, size_t n, struct tsr_error *err)
{
    const uint8_t *p = data;
    char type[5];
    if (!w->recording) return tsr_fail(err, TSR_E_USAGE, "a body is appended to without a record");
    if (n > TSR_MAX_BODY - w->header.plain_len)
        return tsr_fail(err, TSR_E_LIMIT, "the body of a record %s would exceed %llu bytes; use smaller blocks",
                        tsr_type_text(w->header.type, type), (unsigned long long)TSR_MAX_BODY);
    w->header.plain_len += n;
    if (w->frame == NULL && (w->frame = tsr_malloc(TSR_FRAME_PLAIN, 1)) == NULL) return tsr_nomem(err, TSR_FRAME_PLAIN);
    while (n > 0) {
        if (w->filled == 0 && n >= TSR_FRAME_PLAIN) { /* whole frames need no copy */
            TSR_TRY(flush_frame(w, p, TSR_FRAME_PLAIN, err));
            p += TSR_FRAME_PLAIN;
            n -= TSR_FRAME_PLAIN;
            continue;
        }
        size_t take = TSR_FRAME_PLAIN - w->filled < n ? TSR_FRAME_PLAIN - w->filled : n;
        memcpy(w->frame + w->filled, p, take);
        w->filled += take;
        p += take;
        n -= take;
        if (w->filled == TSR_FRAME_PLAIN) {
            TSR_TRY(flush_frame(w, w->frame, w->filled, err));
            w->filled = 0;
        }
    }
    return TSR_OK;
}

enum tsr_status tsr_writer_end(struct tsr_stream_writer *w, struct tsr_error *err)
{
    if (!w->recording) return tsr_fail(err, TSR_E_USAGE, "a record is ended that was not begun");
    if (w->filled > 0) TSR_TRY(flush_frame(w, w->frame, w->filled, err));
    w->recording = false;
    w->header.stored_len = w->text.len - w->header.meta_len;
    w->header.crc = tsr_crc32c(0, w->text.data, w->text.len);
    return put_record(w, &w->header, w->text.data, w->text.len, err);
}

enum tsr_status tsr_writer_put(struct tsr_stream_writer *w, uint32_t type, const struct tsr_json *meta,
                               const void *body, size_t n, struct tsr_error *err)
{
    TSR_TRY(tsr_writer_begin(w, type, meta, err));
    TSR_TRY(tsr_writer_append(w, body, n, err));
    return tsr_writer_end(w, err);
}

enum tsr_status tsr_writer_put_stored(struct tsr_stream_writer *w, const struct tsr_record_header *header,
                                      const void *rest, size_t n, struct tsr_error *err)
{
    TSR_TRY(check_order(w, header->type, err));
    if (header->type == TSR_ENDS) return tsr_fail(err, TSR_E_USAGE, "ENDS records belong to one stream and are never copied");
    if (n != header->meta_len + header->stored_len)
        return tsr_fail(err, TSR_E_USAGE, "a record of %zu bytes does not have the length its header says", n);
    struct tsr_record_header h = *header;
    return put_record(w, &h, rest, n, err);
}

enum tsr_status tsr_writer_finish(struct tsr_stream_writer *w, struct tsr_error *err)
{
    if (!w->inside || w->recording) return tsr_fail(err, TSR_E_USAGE, "a segment is finished that was not begun, or inside a record");
    struct tsr_json *meta;
    TSR_TRY(tsr_tally_meta(&w->tally, &meta, err));
    enum tsr_status status = begin(w, TSR_ENDS, meta, err);
    tsr_json_free(meta);
    TSR_TRY(status);
    TSR_TRY(tsr_writer_end(w, err));
    w->inside = false;
    return TSR_OK;
}
