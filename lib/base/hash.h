/* hash.h - SHA-256 (nettle, which uses the processor's instructions for it) and the 128-bit sample key
 * (libsodium). Thread-safe. */
#ifndef TSR_BASE_HASH_H
#define TSR_BASE_HASH_H

#include "base/status.h"

#define TSR_SHA256_LEN 32
#define TSR_KEY_LEN 16

/* SHA-256 of n bytes (FIPS 180-4). */
void tsr_sha256(const void *data, size_t n, uint8_t out[TSR_SHA256_LEN]);

/* Incremental SHA-256. The state is opaque and needs no release. */
struct tsr_sha256 {
    _Alignas(16) uint8_t opaque[128];
};
void tsr_sha256_init(struct tsr_sha256 *h);
void tsr_sha256_update(struct tsr_sha256 *h, const void *data, size_t n);
void tsr_sha256_final(struct tsr_sha256 *h, uint8_t out[TSR_SHA256_LEN]);

/* A sample's key: BLAKE2b-128 (RFC 7693) over its input bytes. Several model inputs are hashed
 * one after the other, in the model's order. `tag` separates domains (dtype name and shape). */
struct tsr_key {
    uint8_t b[TSR_KEY_LEN];
};
struct tsr_keyhash {
    _Alignas(64) uint8_t opaque[384];
};
void tsr_keyhash_init(struct tsr_keyhash *h);
void tsr_keyhash_update(struct tsr_keyhash *h, const void *data, size_t n);
void tsr_keyhash_final(struct tsr_keyhash *h, struct tsr_key *out);

/* "0a1b…" of n bytes into out[2n+1]. */
void tsr_hex(const void *data, size_t n, char *out);

/* The libsodium and the nettle in use: "1.0.18", in static storage; 3 and 8. */
const char *tsr_key_version(void);
void tsr_sha256_version(int *major, int *minor);

#endif
