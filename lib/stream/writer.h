/* writer.h - writes token streams record by record. One record at a time is held, compressed,
 * since its length and checksum stand in front of it; what is held is bounded by the cap on a
 * body, so no number of records or samples makes memory grow.
 *
 * A writer belongs to one thread. After a failure it may be freed, nothing else. */
#ifndef TSR_STREAM_WRITER_H
#define TSR_STREAM_WRITER_H

#include "io/json.h"
#include "io/sink.h"
#include "stream/types.h"

struct tsr_stream_writer;

/* The sink stays the caller's and must outlive the writer. `level` is a zstd level of 1 to 19, or
 * 0 (TSR_LEVEL_AUTO): by the size of the frame. Nothing is written before the first record. */
enum tsr_status tsr_writer_new(struct tsr_sink *sink, int level, struct tsr_stream_writer **out,
                               struct tsr_error *err) TSR_MUST_USE;
/* Releases the writer (NULL allowed); an unfinished segment stays unfinished. */
void tsr_writer_free(struct tsr_stream_writer *w);

/* Begins a record; the first of a segment must be HEAD (see head.h) and writes the magic too.
 * `meta` is an object and may be NULL for {}; it stays the caller's. */
enum tsr_status tsr_writer_begin(struct tsr_stream_writer *w, uint32_t type, const struct tsr_json *meta,
                                 struct tsr_error *err) TSR_MUST_USE;
/* Appends to its body. TSR_E_LIMIT beyond TSR_MAX_BODY bytes. */
enum tsr_status tsr_writer_append(struct tsr_stream_writer *w, const void *data, size_t n,
                                  struct tsr_error *err) TSR_MUST_USE;
/* Writes the record out. */
enum tsr_status tsr_writer_end(struct tsr_stream_writer *w, struct tsr_error *err) TSR_MUST_USE;
/* All three at once. */
enum tsr_status tsr_writer_put(struct tsr_stream_writer *w, uint32_t type, const struct tsr_json *meta,
                               const void *body, size_t n, struct tsr_error *err) TSR_MUST_USE;
/* A record as it was read: JSON and stored body in one piece, n bytes; its sequence number is
 * replaced. For tsr_stream_copy. */
enum tsr_status tsr_writer_put_stored(struct tsr_stream_writer *w, const struct tsr_record_header *header,
                                      const void *rest, size_t n, struct tsr_error *err) TSR_MUST_USE;
/* Ends the segment with its ENDS record. A HEAD record may then begin another one. The sink is
 * neither flushed nor closed. TSR_E_USAGE where no segment was begun. */
enum tsr_status tsr_writer_finish(struct tsr_stream_writer *w, struct tsr_error *err) TSR_MUST_USE;

#endif
