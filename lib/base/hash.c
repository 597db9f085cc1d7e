#include "base/hash.h"

#include <nettle/sha2.h>
#include <nettle/version.h>
#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct tsr_sha256), "sha256 state");
_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct tsr_keyhash), "blake2b state");

void tsr_sha256(const void *data, size_t n, uint8_t out[TSR_SHA256_LEN])
{
    struct tsr_sha256 h;
    tsr_sha256_init(&h);
    tsr_sha256_update(&h, data, n);
    tsr_sha256_final(&h, out);
}

void tsr_sha256_init(struct tsr_sha256 *h) { sha256_init((void *)h->opaque); }
void tsr_sha256_update(struct tsr_sha256 *h, const void *data, size_t n) { sha256_update((void *)h->opaque, n, data); }
void tsr_sha256_final(struct tsr_sha256 *h, uint8_t out[TSR_SHA256_LEN]) { sha256_digest((void *)h->opaque, TSR_SHA256_LEN, out); }

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

const char *tsr_key_version(void) { return sodium_version_string(); }

void tsr_sha256_version(int *major, int *minor) { *major = nettle_version_major(), *minor = nettle_version_minor(); }
