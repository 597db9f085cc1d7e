/* salvage.h - what can be read of a damaged stream, as a sound one. Thread-safe. */
#ifndef TSR_STREAM_SALVAGE_H
#define TSR_STREAM_SALVAGE_H

#include "io/source.h"
#include "stream/writer.h"

struct tsr_salvage {
    const char *producer; /* of the new stream */
    /* Called for everything that is lost: its place in the input, its bytes (0 where nothing but
     * an end or the record's place is missing), and why. May be NULL. */
    void (*lost)(void *arg, uint64_t offset, uint64_t bytes, const struct tsr_error *why);
    void *arg;
    uint64_t kept, gaps; /* results: records passed on, calls of lost() */
};

/* Copies every record that is sound and still belongs somewhere to a new stream: rows whose KEYS
 * are lost are lost too. HEAD is derived from the old one without its claims about the whole
 * reference set, or made where it was lost. Damage is no failure; TSR_E_CORRUPT where nothing
 * at all could be read. The sinks and sources stay the caller's. */
enum tsr_status tsr_stream_salvage(struct tsr_source *from, struct tsr_sink *to, struct tsr_salvage *salvage,
                                   struct tsr_error *err) TSR_MUST_USE;

#endif
