/* merkle.h - the Merkle tree hash of RFC 6962 section 2.1, kept as a compact range: at most one
 * subtree root a level, so any number of leaves takes the same memory. Thread-safe (no state
 * but the struct's). */
#ifndef TSR_STREAM_MERKLE_H
#define TSR_STREAM_MERKLE_H

#include "base/hash.h"

struct tsr_merkle {
    uint64_t leaves;
    uint8_t node[64][TSR_SHA256_LEN]; /* node[i] is used where bit i of `leaves` is set: 2^i leaves */
};

void tsr_merkle_init(struct tsr_merkle *m);
/* Appends the leaf whose data are the two pieces one after the other: SHA-256(0x00 a b). */
void tsr_merkle_add(struct tsr_merkle *m, const void *a, size_t na, const void *b, size_t nb);
/* Appends a leaf by its hash. */
void tsr_merkle_add_hash(struct tsr_merkle *m, const uint8_t leaf[TSR_SHA256_LEN]);
/* The tree's root; of no leaves SHA-256 of nothing. */
void tsr_merkle_root(const struct tsr_merkle *m, uint8_t out[TSR_SHA256_LEN]);

#endif
