/* requantise.h - a token stream in other element types. Thread-safe. */
#ifndef TSR_STREAM_REQUANTISE_H
#define TSR_STREAM_REQUANTISE_H

#include "stream/rows.h"

/* What was done to one record. */
struct tsr_requantised {
    const struct tsr_record *record;
    struct tsr_rows from, to;
    double error; /* root mean square error over root mean square value; 0 where both are 0 */
    double kl;    /* outputs with a softmax: mean divergence of the new from the old, nats a row; else 0 */
};

struct tsr_requantise {
    const char *producer; /* of the new stream */
    enum tsr_dtype to;    /* F32 F16 BF16 I8 I4 */
    /* Called for every record that was re-encoded; may be NULL. A failure ends the work. */
    enum tsr_status (*done)(void *arg, const struct tsr_requantised *what, struct tsr_error *err);
    void *arg;
};

/* Reads all segments and writes them with the rows of ACTS, OUTS, HUBT and BASE records encoded
 * as `to`; a basis never in less than int8, since all rows are built from it; class numbers stay
 * what they are. Records that are so already, and all others, pass untouched; HEAD gets the
 * producer and one more digest of lineage. Memory: one record. Errors are those of the reader and
 * writer; TSR_E_NUMERIC where a number does not fit float16. */
enum tsr_status tsr_stream_requantise(struct tsr_stream *from, struct tsr_stream_writer *to,
                                      const struct tsr_requantise *how, struct tsr_error *err) TSR_MUST_USE;

#endif
