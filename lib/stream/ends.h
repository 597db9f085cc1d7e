/* ends.h - what a segment's ENDS record says of the records before it. Thread-safe. */
#ifndef TSR_STREAM_ENDS_H
#define TSR_STREAM_ENDS_H

#include "io/json.h"
#include "stream/merkle.h"

/* Different record types that one segment may hold. */
#define TSR_MAX_TYPES 256

struct tsr_tally {
    struct tsr_merkle tree;
    size_t types;
    struct {
        uint32_t type;
        uint64_t records;
    } count[TSR_MAX_TYPES];
};

void tsr_tally_clear(struct tsr_tally *t);
/* Counts a record of two pieces of bytes: its header, and its JSON and stored body. TSR_E_LIMIT
 * for too many types. */
enum tsr_status tsr_tally_add(struct tsr_tally *t, uint32_t type, const void *header, size_t nh, const void *rest,
                              size_t nr, struct tsr_error *err) TSR_MUST_USE;

/* The ENDS record's JSON; release with tsr_json_free. */
enum tsr_status tsr_tally_meta(const struct tsr_tally *t, struct tsr_json **out, struct tsr_error *err) TSR_MUST_USE;
/* TSR_E_CORRUPT where the JSON says anything else than was counted. */
enum tsr_status tsr_tally_check(const struct tsr_tally *t, const struct tsr_json *meta,
                                struct tsr_error *err) TSR_MUST_USE;

#endif
