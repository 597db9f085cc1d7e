#include "stream/merkle.h"

#include <string.h>

void tsr_merkle_init(struct tsr_merkle *m) { m->leaves = 0; }

static void interior(const uint8_t left[TSR_SHA256_LEN], const uint8_t right[TSR_SHA256_LEN],
                     uint8_t out[TSR_SHA256_LEN])
{
    uint8_t text[1 + 2 * TSR_SHA256_LEN] = {0x01};
    memcpy(text + 1, left, TSR_SHA256_LEN);
    memcpy(text + 1 + TSR_SHA256_LEN, right, TSR_SHA256_LEN);
    tsr_sha256(text, sizeof text, out);
}

void tsr_merkle_add(struct tsr_merkle *m, const void *a, size_t na, const void *b, size_t nb)
{
    static const uint8_t prefix = 0x00;
    uint8_t leaf[TSR_SHA256_LEN];
    struct tsr_sha256 h;
    tsr_sha256_init(&h);
    tsr_sha256_update(&h, &prefix, 1);
    tsr_sha256_update(&h, a, na);
    tsr_sha256_update(&h, b, nb);
    tsr_sha256_final(&h, leaf);
    tsr_merkle_add_hash(m, leaf);
}

/* Binary addition of one: full subtrees of equal size are joined, as carries are. */
void tsr_merkle_add_hash(struct tsr_merkle *m, const uint8_t leaf[TSR_SHA256_LEN])
{
    uint8_t carry[TSR_SHA256_LEN];
    memcpy(carry, leaf, sizeof carry);
    int level = 0;
    for (; m->leaves >> level & 1; level++) interior(m->node[level], carry, carry);
    memcpy(m->node[level], carry, sizeof carry);
    m->leaves++;
}

/* RFC 6962 splits at the largest power of two below n, so the smaller subtrees, which are to the
 * right, are joined first. */
void tsr_merkle_root(const struct tsr_merkle *m, uint8_t out[TSR_SHA256_LEN])
{
    if (m->leaves == 0) {
        tsr_sha256("", 0, out);
        return;
    }
    bool begun = false;
    for (int level = 0; level < 64; level++) {
        if (!(m->leaves >> level & 1)) continue;
        if (begun)
            interior(m->node[level], out, out);
        else
            memcpy(out, m->node[level], TSR_SHA256_LEN);
        begun = true;
    }
}
