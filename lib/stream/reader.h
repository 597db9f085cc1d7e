/* reader.h - reads token streams record by record, in memory that no number of records or
 * samples makes grow: one record at a time is held, and a record is at most 257 MiB.
 *
 * A record is handed out only after its checksums, its place in the sequence and its JSON have
 * been verified; its body is decompressed frame by frame on request. A reader belongs to one
 * thread. After a failure it may be closed, nothing else (in salvage mode damage is no failure). */
#ifndef TSR_STREAM_READER_H
#define TSR_STREAM_READER_H

#include "base/bytes.h"
#include "base/hash.h"
#include "io/json.h"
#include "io/source.h"
#include "stream/types.h"

struct tsr_stream;
struct tsr_stream_writer;

/* One verified record; valid until the next call of tsr_stream_next. */
struct tsr_record {
    uint32_t type; /* TSR_HEAD ..., or what a later version defines */
    char name[5];  /* the type's letters */
    bool known;    /* a type of this version */
    bool critical; /* must be understood by whoever reads on */
    uint32_t flags;
    uint64_t segment;  /* 0 for the first stream of a concatenation */
    uint64_t sequence; /* 0 for HEAD */
    uint64_t offset;   /* of the header's first byte in the input */
    const char *source; /* the input's name, for messages */
    uint64_t plain_len, stored_len;
    const char *meta_text; /* the JSON as stored, meta_len bytes, no NUL */
    size_t meta_len;
    const struct tsr_json *meta; /* the same, parsed: an object */
};

struct tsr_stream_options {
    bool allow_unknown; /* hand out unknown critical records too, rather than fail */
    /* Salvage: damage does not end the reading; the reader goes on at the next record whose
     * header is sound and reports every gap: its place in the input, its bytes (0 where records
     * or an end are missing but no bytes) and the reason. Bodies are checked by their checksum,
     * Merkle roots of damaged segments cannot be. */
    bool salvage;
    void (*lost)(void *arg, uint64_t offset, uint64_t bytes, const struct tsr_error *why);
    void *arg;
};

/* The source stays the caller's and must outlive the reader. Nothing is read yet. A NULL `opt`
 * means all off. */
enum tsr_status tsr_stream_open(struct tsr_source *source, const struct tsr_stream_options *opt,
                                struct tsr_stream **out, struct tsr_error *err) TSR_MUST_USE;

/* The next record; *rec is NULL at the proper end of the input. HEAD and ENDS records are handed
 * out as the others are: they delimit segments. TSR_E_FORMAT (no token stream), TSR_E_UNSUPPORTED
 * (version, critical flag or type), TSR_E_CORRUPT, TSR_E_TRUNCATED, TSR_E_IO, TSR_E_NOMEM. */
enum tsr_status tsr_stream_next(struct tsr_stream *s, const struct tsr_record **rec,
                                struct tsr_error *err) TSR_MUST_USE;

/* The next piece of the current record's body, at most 1 MiB; *n is 0 after the last one. The
 * bytes are the reader's, valid until the next call. */
enum tsr_status tsr_stream_read_body(struct tsr_stream *s, const uint8_t **data, size_t *n,
                                     struct tsr_error *err) TSR_MUST_USE;
/* Appends the whole body, from its start, to `out`; TSR_E_LIMIT where it is longer than `max`. */
enum tsr_status tsr_stream_load_body(struct tsr_stream *s, size_t max, struct tsr_buf *out,
                                     struct tsr_error *err) TSR_MUST_USE;

/* Writes the current record to `to` as it is, compressed bytes and all, under the writer's next
 * sequence number. TSR_E_UNSUPPORTED for a critical record or flag of a type that is not known:
 * what a filter does not understand it may not pass on. TSR_E_USAGE for ENDS. */
enum tsr_status tsr_stream_copy(struct tsr_stream *s, struct tsr_stream_writer *to,
                                struct tsr_error *err) TSR_MUST_USE;

/* Puts "INPUT: record TYPE at byte N: " before the sentence in err; returns `status`. */
enum tsr_status tsr_record_failed(const struct tsr_record *rec, enum tsr_status status, struct tsr_error *err);

/* The record's leaf in the Merkle tree of its segment, as hexadecimal: SHA-256(0x00 and the
 * record's bytes as stored). The leaf of a HEAD is what lineages name a stream by. */
void tsr_record_digest(const struct tsr_record *rec, char out[2 * TSR_SHA256_LEN + 1]);

/* Minor version of the current segment; -1 before the first, or where salvage did not see it. */
int tsr_stream_minor(const struct tsr_stream *s);

void tsr_stream_close(struct tsr_stream *s); /* NULL allowed */

#endif
