#include "stream/reader.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "stream/codec.h"
#include "stream/ends.h"
#include "stream/meta.h"
#include "stream/writer.h"

#include <stdio.h>

struct tsr_stream {
    struct tsr_source *source;
    struct tsr_stream_options opt;
    struct tsr_codec *codec;
    struct tsr_record record;
    struct tsr_record_header header;
    struct tsr_json *meta;
    const uint8_t *bytes; /* the current record, in the source's buffer; NULL: none */
    size_t length;        /* of the current record: consumed by the next call */
    /* the segment */
    bool inside;      /* between a magic and an ENDS record */
    bool loose;       /* salvage: sequence and root cannot be checked to the segment's end */
    bool resynced;    /* salvage: the place in the sequence is not known */
    bool unopened;    /* salvage: the record that comes is the first of a segment without a magic */
    int minor;
    uint64_t segments; /* begun so far */
    uint64_t next_sequence;
    struct tsr_tally tally;
    /* the current body */
    size_t body_at; /* into the stored body */
    uint64_t plain_left;
    uint8_t *frame; /* TSR_FRAME_PLAIN bytes, made when first needed */
};

enum tsr_status tsr_stream_open(struct tsr_source *source, const struct tsr_stream_options *opt,
                                struct tsr_stream **out, struct tsr_error *err)
{
    struct tsr_stream *s = tsr_calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) return tsr_nomem(err, sizeof *s);
    s->source = source;
    if (opt != NULL) s->opt = *opt;
    s->minor = -1;
    enum tsr_status status = tsr_codec_new(&s->codec, err);
    if (status != TSR_OK) {
        tsr_free(s);
        return status;
    }
    *out = s;
    return TSR_OK;
}

void tsr_stream_close(struct tsr_stream *s)
{
    if (s == NULL) return;
    tsr_json_free(s->meta);
    tsr_codec_free(s->codec);
    tsr_free(s->frame);
    tsr_free(s);
}

void tsr_record_digest(const struct tsr_record *rec, char out[2 * TSR_SHA256_LEN + 1])
{
    struct tsr_merkle one; /* of a single leaf the root is the leaf */
    uint8_t leaf[TSR_SHA256_LEN];
    const char *bytes = rec->meta_text - TSR_HEADER_LEN;
    tsr_merkle_init(&one);
    tsr_merkle_add(&one, bytes, TSR_HEADER_LEN, rec->meta_text, rec->meta_len + (size_t)rec->stored_len);
    tsr_merkle_root(&one, leaf);
    tsr_hex(leaf, sizeof leaf, out);
}

enum tsr_status tsr_record_failed(const struct tsr_record *rec, enum tsr_status status, struct tsr_error *err)
{
    tsr_error_prefix(err, "%s: record %s at byte %llu", rec->source, rec->name, (unsigned long long)rec->offset);
    return status;
}

int tsr_stream_minor(const struct tsr_stream *s) { return s->minor; }

/* Adds where in which input to a sentence about a record. */
static enum tsr_status place(struct tsr_stream *s, enum tsr_status status, struct tsr_error *err)
{
    if (status == TSR_OK || status == TSR_E_NOMEM || status == TSR_E_IO || status == TSR_E_INTERRUPTED) return status;
    tsr_error_prefix(err, "%s: at byte %llu", tsr_source_name(s->source),
                           (unsigned long long)tsr_source_offset(s->source));
    return status;
}

static enum tsr_status truncated(const char *within, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_TRUNCATED, "the stream ends %s; the rest is missing", within);
}

/* Consumes the magic; *end where the input properly ends instead. */
static enum tsr_status begin_segment(struct tsr_stream *s, bool *end, struct tsr_error *err)
{
    const uint8_t *p;
    size_t avail;
    *end = false;
    TSR_TRY(tsr_source_peek(s->source, TSR_MAGIC_LEN, &p, &avail, err));
    if (avail == 0) {
        if (s->segments == 0) return tsr_fail(err, TSR_E_TRUNCATED, "the input is empty, not a token stream");
        *end = true;
        return TSR_OK;
    }
    enum tsr_status status = tsr_magic_get(p, avail < TSR_MAGIC_LEN ? avail : TSR_MAGIC_LEN, &s->minor, err);
    if (status == TSR_E_FORMAT && s->segments > 0)
        return tsr_fail(err, TSR_E_CORRUPT, "what follows the end of a token stream is no token stream");
    TSR_TRY(status);
    TSR_TRY(tsr_source_skip(s->source, TSR_MAGIC_LEN, NULL, err));
    s->inside = true;
    s->loose = s->resynced = false;
    s->segments++;
    s->next_sequence = 0;
    tsr_tally_clear(&s->tally);
    return TSR_OK;
}

/* Header, JSON and stored body of the next record into s->bytes; checks checksums only. */
static enum tsr_status fetch(struct tsr_stream *s, struct tsr_error *err)
{
    const uint8_t *p;
    size_t avail;
    TSR_TRY(tsr_source_peek(s->source, TSR_HEADER_LEN, &p, &avail, err));
    if (avail == 0) return truncated("without its END record", err);
    size_t marker = avail < TSR_SYNC_LEN ? avail : TSR_SYNC_LEN;
    if (avail < TSR_HEADER_LEN && memcmp(p, tsr_record_sync, marker) == 0) return truncated("inside the header of a record", err);
    if (avail < TSR_HEADER_LEN) return tsr_fail(err, TSR_E_CORRUPT, "no record starts where one must");
    TSR_TRY(tsr_record_header_get(p, &s->header, err));
    char type[5];
    (void)tsr_type_text(s->header.type, type);
    size_t length = TSR_HEADER_LEN + s->header.meta_len + (size_t)s->header.stored_len;
    TSR_TRY(tsr_source_peek(s->source, length, &p, &avail, err));
    if (avail < length) {
        char within[40];
        (void)snprintf(within, sizeof within, "inside the record %s", type);
        return truncated(within, err);
    }
    if (tsr_crc32c(0, p + TSR_HEADER_LEN, length - TSR_HEADER_LEN) != s->header.crc)
        return tsr_fail(err, TSR_E_CORRUPT, "the checksum of the record %s is wrong", type);
    s->bytes = p;
    s->length = length;
    return TSR_OK;
}

/* Whether the record may stand where it stands. */
static enum tsr_status check_place(struct tsr_stream *s, struct tsr_error *err)
{
    const struct tsr_record_header *h = &s->header;
    if (s->resynced) {
        bool head = h->type == TSR_HEAD && h->sequence == 0;
        if (head || s->unopened) { /* a segment whose magic is lost */
            s->segments++;
            s->minor = -1;
            s->loose = !head;
            tsr_tally_clear(&s->tally);
        }
        s->next_sequence = h->sequence;
        s->resynced = s->unopened = false;
    }
    if (h->sequence != s->next_sequence)
        return tsr_fail(err, TSR_E_CORRUPT, "record number %llu follows where number %llu must: records are missing or repeated",
                        (unsigned long long)h->sequence, (unsigned long long)s->next_sequence);
    if ((h->type == TSR_HEAD) != (h->sequence == 0))
        return tsr_fail(err, TSR_E_CORRUPT, h->sequence == 0 ? "a segment does not begin with a HEAD record"
                                                             : "a HEAD record stands inside a segment");
    return TSR_OK;
}

static void fill_record(struct tsr_stream *s)
{
    const struct tsr_record_header *h = &s->header;
    struct tsr_record *r = &s->record;
    r->type = h->type;
    (void)tsr_type_text(h->type, r->name);
    r->known = tsr_type_known(h->type);
    r->critical = tsr_type_critical(h->type);
    r->flags = h->flags;
    r->segment = s->segments - 1;
    r->sequence = h->sequence;
    r->offset = tsr_source_offset(s->source);
    r->source = tsr_source_name(s->source);
    r->plain_len = h->plain_len;
    r->stored_len = h->stored_len;
    r->meta_text = (const char *)s->bytes + TSR_HEADER_LEN;
    r->meta_len = h->meta_len;
    r->meta = s->meta;
    s->body_at = 0;
    s->plain_left = h->plain_len;
}

/* The strict reading of one record; nothing of it is consumed yet. */
static enum tsr_status next_record(struct tsr_stream *s, bool *end, struct tsr_error *err)
{
    *end = false;
    if (!s->inside) {
        TSR_TRY(begin_segment(s, end, err));
        if (*end) return TSR_OK;
    }
    TSR_TRY(fetch(s, err));
    TSR_TRY(check_place(s, err));
    const struct tsr_record_header *h = &s->header;
    char type[5];
    tsr_json_free(s->meta);
    enum tsr_status status = tsr_meta_parse((const char *)s->bytes + TSR_HEADER_LEN, h->meta_len, &s->meta, err);
    if (status == TSR_OK && h->type == TSR_HEAD && s->minor >= 0) status = tsr_meta_check_format(s->meta, s->minor, err);
    if (status == TSR_OK && h->type == TSR_ENDS && !s->loose) status = tsr_tally_check(&s->tally, s->meta, err);
    if (status == TSR_OK && h->type == TSR_ENDS && h->plain_len != 0)
        status = tsr_fail(err, TSR_E_CORRUPT, "it has a body");
    if (status != TSR_OK) {
        tsr_error_prefix(err, "record %s", tsr_type_text(h->type, type));
        return status;
    }
    if (tsr_type_critical(h->type) && !tsr_type_known(h->type) && !s->opt.allow_unknown)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "this program does not know the critical record type %s; use a newer one",
                        tsr_type_text(h->type, type));
    if (tsr_tally_add(&s->tally, h->type, s->bytes, TSR_HEADER_LEN, s->bytes + TSR_HEADER_LEN,
                      s->length - TSR_HEADER_LEN, err) != TSR_OK)
        return tsr_fail(err, TSR_E_CORRUPT, "a segment has more than %d types of records", TSR_MAX_TYPES);
    s->next_sequence++;
    if (h->type == TSR_ENDS) s->inside = false;
    fill_record(s);
    return TSR_OK;
}

static bool is_damage(enum tsr_status status)
{
    return status == TSR_E_FORMAT || status == TSR_E_UNSUPPORTED || status == TSR_E_CORRUPT ||
           status == TSR_E_TRUNCATED || status == TSR_E_LIMIT;
}

/* The first place in n bytes, from `from` on, where a magic or a record may start; n if none. */
static size_t find_start(const uint8_t *p, size_t n, size_t from)
{
    uint8_t magic[TSR_MAGIC_LEN];
    tsr_magic_put(magic);
    for (size_t i = from; i + TSR_SYNC_LEN <= n; i++)
        if (memcmp(p + i, tsr_record_sync, TSR_SYNC_LEN) == 0 || memcmp(p + i, magic, TSR_MAGIC_LEN - 1) == 0) return i;
    return n;
}

/* Is what stands next a record with a sound header, or a magic with a HEAD behind it? */
static enum tsr_status at_start(struct tsr_stream *s, bool *magic, bool *yes, struct tsr_error *err)
{
    struct tsr_record_header h;
    const uint8_t *p;
    size_t avail;
    TSR_TRY(tsr_source_peek(s->source, TSR_MAGIC_LEN + TSR_HEADER_LEN, &p, &avail, err));
    *magic = p[0] == 0x89;
    size_t skip = *magic ? TSR_MAGIC_LEN : 0;
    *yes = avail >= skip + TSR_HEADER_LEN && tsr_record_header_get(p + skip, &h, NULL) == TSR_OK &&
           (!*magic || h.type == TSR_HEAD);
    return TSR_OK;
}

/* Passes over at least one byte, to the next place where reading can go on; *end where there is
 * none. */
static enum tsr_status resync(struct tsr_stream *s, bool *end, struct tsr_error *err)
{
    enum { WINDOW = 1 << 16 };
    const uint8_t *p;
    size_t avail;
    *end = false;
    for (size_t from = 1;;) {
        bool magic, yes;
        TSR_TRY(tsr_source_peek(s->source, WINDOW, &p, &avail, err));
        size_t at = find_start(p, avail, from);
        if (at == avail) { /* keep what may be the beginning of a marker */
            bool last = avail < WINDOW;
            TSR_TRY(tsr_source_skip(s->source, last ? avail : avail - (TSR_SYNC_LEN - 1), NULL, err));
            from = 0;
            if (!last) continue;
            *end = true;
            return TSR_OK;
        }
        TSR_TRY(tsr_source_skip(s->source, at, NULL, err));
        TSR_TRY(at_start(s, &magic, &yes, err));
        from = 1;
        if (!yes) continue;
        if (magic) {
            s->inside = false;
            return TSR_OK;
        }
        s->unopened = !s->inside; /* the segment's magic is lost */
        s->inside = s->loose = s->resynced = true;
        return TSR_OK;
    }
}

/* Reads on behind damage until a record is sound or the input ends, and reports the gap. */
static enum tsr_status salvage(struct tsr_stream *s, bool *end, struct tsr_error *err)
{
    struct tsr_error why = *err;
    uint64_t begin = tsr_source_offset(s->source);
    enum tsr_status status;
    do {
        TSR_TRY(resync(s, end, err));
        if (*end) {
            status = TSR_OK;
            s->inside = false;
        } else {
            uint64_t start = tsr_source_offset(s->source);
            status = next_record(s, end, err);
            if (status == TSR_OK && s->opt.lost != NULL) s->opt.lost(s->opt.arg, begin, start - begin, &why);
            if (status == TSR_OK) return TSR_OK;
        }
    } while (is_damage(status));
    TSR_TRY(status);
    if (s->opt.lost != NULL) s->opt.lost(s->opt.arg, begin, tsr_source_offset(s->source) - begin, &why);
    return TSR_OK;
}

enum tsr_status tsr_stream_next(struct tsr_stream *s, const struct tsr_record **rec, struct tsr_error *err)
{
    struct tsr_error local;
    if (err == NULL) err = &local;
    *rec = NULL;
    if (s->bytes != NULL) {
        s->bytes = NULL;
        TSR_TRY(tsr_source_skip(s->source, s->length, NULL, err));
    }
    bool end;
    enum tsr_status status = place(s, next_record(s, &end, err), err);
    if (is_damage(status) && s->opt.salvage) status = salvage(s, &end, err);
    if (status != TSR_OK || end)
        s->bytes = NULL;
    else
        *rec = &s->record;
    return status;
}

enum tsr_status tsr_stream_read_body(struct tsr_stream *s, const uint8_t **data, size_t *n, struct tsr_error *err)
{
    *n = 0;
    *data = NULL;
    if (s->bytes == NULL) return tsr_fail(err, TSR_E_USAGE, "there is no record whose body could be read");
    const uint8_t *stored = s->bytes + TSR_HEADER_LEN + s->header.meta_len;
    size_t left = (size_t)s->header.stored_len - s->body_at, used;
    if (s->plain_left == 0) {
        if (left == 0) return TSR_OK;
        return tsr_record_failed(&s->record, tsr_fail(err, TSR_E_CORRUPT, "%zu bytes follow the last frame", left), err);
    }
    if (s->frame == NULL && (s->frame = tsr_malloc(TSR_FRAME_PLAIN, 1)) == NULL) return tsr_nomem(err, TSR_FRAME_PLAIN);
    size_t plain = s->plain_left < TSR_FRAME_PLAIN ? (size_t)s->plain_left : TSR_FRAME_PLAIN;
    enum tsr_status status = tsr_frame_unpack(s->codec, stored + s->body_at, left, s->frame, plain, &used, err);
    if (status != TSR_OK) return tsr_record_failed(&s->record, status, err);
    s->body_at += used;
    s->plain_left -= plain;
    *data = s->frame;
    *n = plain;
    return TSR_OK;
}

enum tsr_status tsr_stream_load_body(struct tsr_stream *s, size_t max, struct tsr_buf *out, struct tsr_error *err)
{
    if (s->bytes != NULL && s->record.plain_len > max) {
        enum tsr_status status = tsr_fail(err, TSR_E_LIMIT, "its body has %llu bytes, more than the %zu that can be taken",
                       (unsigned long long)s->record.plain_len, max);
        return tsr_record_failed(&s->record, status, err);
    }
    s->body_at = 0;
    s->plain_left = s->header.plain_len;
    for (;;) {
        const uint8_t *data;
        size_t n;
        TSR_TRY(tsr_stream_read_body(s, &data, &n, err));
        if (n == 0) return TSR_OK;
        TSR_TRY(tsr_buf_append(out, data, n, err));
    }
}

enum tsr_status tsr_stream_copy(struct tsr_stream *s, struct tsr_stream_writer *to, struct tsr_error *err)
{
    if (s->bytes == NULL) return tsr_fail(err, TSR_E_USAGE, "there is no record that could be copied");
    if (s->record.critical && !s->record.known) {
        enum tsr_status status = tsr_fail(err, TSR_E_UNSUPPORTED, "a critical record of a type this program does not know cannot be passed on");
        return tsr_record_failed(&s->record, status, err);
    }
    return tsr_writer_put_stored(to, &s->header, s->bytes + TSR_HEADER_LEN, s->length - TSR_HEADER_LEN, err);
}
