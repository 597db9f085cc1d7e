/* check.h - verifies that the records of a stream belong together: what the container's checksums
 * cannot see. The rules are tessera-stream(5), section ORDER. Memory does not grow with the number
 * of samples. A checker belongs to one thread. */
#ifndef TSR_STREAM_CHECK_H
#define TSR_STREAM_CHECK_H

#include "stream/reader.h"

struct tsr_stream_check;

enum tsr_status tsr_stream_check_new(struct tsr_stream_check **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_stream_check_free(struct tsr_stream_check *c); /* NULL allowed */

/* Forgets all records: a segment begins. HEAD records do that on their own. */
void tsr_stream_check_clear(struct tsr_stream_check *c);

/* Takes the current record of `s`, in the order of the stream; decodes its body. TSR_E_CORRUPT
 * with the record and its place where a rule is broken. */
enum tsr_status tsr_stream_check_record(struct tsr_stream_check *c, struct tsr_stream *s,
                                        const struct tsr_record *rec, struct tsr_error *err) TSR_MUST_USE;

#endif
