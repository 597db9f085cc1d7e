/* keys.h - KEYS records: the sample keys of one block of reference samples. Thread-safe. */
#ifndef TSR_STREAM_KEYS_H
#define TSR_STREAM_KEYS_H

#include "base/hash.h"
#include "stream/reader.h"
#include "stream/writer.h"

struct tsr_block_keys {
    int64_t block; /* 0, 1, ... within a segment */
    int64_t first; /* number of reference samples in earlier blocks */
    size_t count;  /* 1 .. TSR_BLOCK_ROWS */
    struct tsr_key *key;
    size_t cap; /* of key: the array is reused */
};

/* Reads `count` from k; TSR_E_USAGE for an empty or oversized block. */
enum tsr_status tsr_keys_put(struct tsr_stream_writer *w, const struct tsr_block_keys *k,
                             struct tsr_error *err) TSR_MUST_USE;
/* The current record, a KEYS, into *k (zero-initialised or from an earlier call). */
enum tsr_status tsr_keys_get(struct tsr_stream *s, const struct tsr_record *rec, struct tsr_block_keys *k,
                             struct tsr_error *err) TSR_MUST_USE;
void tsr_keys_release(struct tsr_block_keys *k);

/* The digest of a reference set: SHA-256 over all its keys in order. Feed the keys block by
 * block with tsr_sha256_update(h, k->key, k->count * TSR_KEY_LEN). */

#endif
