#include "stream/salvage.h"

#include "stream/check.h"
#include "stream/codec.h"
#include "stream/head.h"
#include "stream/reader.h"

struct job {
    struct tsr_salvage *out;
    struct tsr_stream *stream;
    struct tsr_stream_writer *writer;
    struct tsr_stream_check *check;
    bool open;        /* a segment was begun */
    uint64_t segment; /* of the input */
};

static void note(void *arg, uint64_t offset, uint64_t bytes, const struct tsr_error *why)
{
    struct tsr_salvage *out = arg;
    out->gaps++;
    if (out->lost != NULL) out->lost(out->arg, offset, bytes, why);
}

static enum tsr_status close_segment(struct job *j, struct tsr_error *err)
{
    if (!j->open) return TSR_OK;
    j->open = false;
    return tsr_writer_finish(j->writer, err);
}

/* A HEAD: the old one, or one that says no more than is known. */
static enum tsr_status open_segment(struct job *j, const struct tsr_record *old, struct tsr_error *err)
{
    struct tsr_stream_head h = {0};
    char digest[TSR_DIGEST_TEXT];
    TSR_TRY(close_segment(j, err));
    enum tsr_status status = TSR_OK;
    if (old != NULL) {
        status = tsr_stream_head_parse(old, &h, err);
        tsr_record_digest(old, digest);
        if (status == TSR_OK) status = tsr_stream_head_add_lineage(&h, digest, err);
        h.reference_count = 0;
        h.reference_digest[0] = '\0';
    }
    if (status == TSR_OK) status = tsr_stream_head_set(&h.producer, j->out->producer, err);
    if (status == TSR_OK) status = tsr_stream_head_put(j->writer, &h, err);
    tsr_stream_head_release(&h);
    j->open = status == TSR_OK;
    return status;
}

static bool is_damage(enum tsr_status status)
{
    return status == TSR_E_CORRUPT || status == TSR_E_UNSUPPORTED || status == TSR_E_LIMIT;
}

/* One record that the reader found sound. */
static enum tsr_status take(struct job *j, const struct tsr_record *rec, struct tsr_error *err)
{
    if (rec->segment != j->segment) { /* its HEAD may be lost */
        j->segment = rec->segment;
        tsr_stream_check_clear(j->check);
        TSR_TRY(close_segment(j, err));
    }
    /* What HEAD says of the whole set need not hold of what is left. */
    enum tsr_status status = TSR_OK;
    if (rec->type != TSR_ENDS) status = tsr_stream_check_record(j->check, j->stream, rec, err);
    if (status == TSR_OK && rec->critical && !rec->known)
        status = tsr_record_failed(rec, tsr_fail(err, TSR_E_UNSUPPORTED, "a critical record of an unknown type"), err);
    if (is_damage(status)) {
        note(j->out, rec->offset, TSR_HEADER_LEN + rec->meta_len + rec->stored_len, err);
        return TSR_OK;
    }
    TSR_TRY(status);
    if (rec->type == TSR_ENDS) return close_segment(j, err);
    j->out->kept++;
    if (rec->type == TSR_HEAD) return open_segment(j, rec, err);
    if (!j->open) TSR_TRY(open_segment(j, NULL, err));
    return tsr_stream_copy(j->stream, j->writer, err);
}

static enum tsr_status run(struct job *j, struct tsr_source *from, struct tsr_error *err)
{
    const struct tsr_record *rec;
    for (;;) {
        TSR_TRY(tsr_stream_next(j->stream, &rec, err));
        if (rec == NULL) break;
        TSR_TRY(take(j, rec, err));
    }
    if (j->out->kept == 0) return tsr_fail(err, TSR_E_CORRUPT, "%s: nothing of it could be read", tsr_source_name(from));
    return close_segment(j, err);
}

enum tsr_status tsr_stream_salvage(struct tsr_source *from, struct tsr_sink *to, struct tsr_salvage *salvage,
                                   struct tsr_error *err)
{
    struct tsr_error local;
    struct job j = {.out = salvage};
    struct tsr_stream_options opt = {.salvage = true, .allow_unknown = true, .lost = note, .arg = salvage};
    if (err == NULL) err = &local;
    salvage->kept = salvage->gaps = 0;
    enum tsr_status status = tsr_stream_open(from, &opt, &j.stream, err);
    if (status == TSR_OK) status = tsr_writer_new(to, TSR_LEVEL_AUTO, &j.writer, err);
    if (status == TSR_OK) status = tsr_stream_check_new(&j.check, err);
    if (status == TSR_OK) status = run(&j, from, err);
    tsr_stream_check_free(j.check);
    tsr_writer_free(j.writer);
    tsr_stream_close(j.stream);
    return status;
}
