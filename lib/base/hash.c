#include "base/hash.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct tsr_sha256), "sha256 state");
_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct tsr_keyhash), "blake2b state");

void tsr_sha256(const void *data, size_t n, uint8_t out[TSR_SHA256_LEN])
{
    (void)crypto_hash_sha256(out, data, n);
}

void tsr_sha256_init(struct tsr_sha256 *h) { (void)crypto_hash_sha256_init((void *)h->opaque); }

void tsr_sha256_update(struct tsr_sha256 *h, const void *data, size_t n)
{
    (void)crypto_hash_sha256_update((void *)h->opaque, data, n);
}

void tsr_sha256_final(struct tsr_sha256 *h, uint8_t out[TSR_SHA256_LEN])
{
    (void)crypto_hash_sha256_final((void *)h->opaque, out);
}

void tsr_keyhash_init(struct tsr_keyhash *h)
{
    (void)crypto_generichash_init((void *)h->opaque, NULL, 0, TSR_KEY_LEN);
}

void tsr_keyhash_update(struct tsr_keyhash *h, const void *data, size_t n)
{
    (void)crypto_generichash_update((void *)h->opaque, data, n);
}

void tsr_keyhash_final(struct tsr_keyhash *h, struct tsr_key *out)
{
    (void)crypto_generichash_final((void *)h->opaque, out->b, TSR_KEY_LEN);
}

void tsr_hex(const void *data, size_t n, char *out)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *b = data;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[b[i] >> 4];
        out[2 * i + 1] = digit[b[i] & 15];
    }
    out[2 * n] = '\0';
}

const char *tsr_hash_version(void) { return sodium_version_string(); }
