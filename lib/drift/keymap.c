#include "drift/keymap.h"

#include "base/bytes.h"
#include "base/mem.h"

static uint64_t hash_of(const struct tsr_key *key)
{
    struct tsr_keyhash h;
    struct tsr_key out;
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, "keymap", 6);
    tsr_keyhash_update(&h, key->b, sizeof key->b);
    tsr_keyhash_final(&h, &out);
    return tsr_get_le64(out.b);
}

void tsr_keymap_release(struct tsr_keymap *m)
{
    tsr_free(m->bucket);
    tsr_free(m->next);
    tsr_free(m->hash);
    *m = (struct tsr_keymap){0};
}

void tsr_keymap_clear(struct tsr_keymap *m)
{
    for (size_t i = 0; i < m->buckets; i++) m->bucket[i] = TSR_KEYMAP_END;
    m->n = 0;
}

static uint32_t *head(const struct tsr_keymap *m, uint64_t hash) { return &m->bucket[hash & (m->buckets - 1)]; }

uint32_t tsr_keymap_first(const struct tsr_keymap *m, const struct tsr_key *key)
{
    return m->n == 0 ? TSR_KEYMAP_END : *head(m, hash_of(key));
}

uint32_t tsr_keymap_next(const struct tsr_keymap *m, uint32_t entry) { return m->next[entry]; }

/* Twice the buckets: every chain is split in two that keep their order. */
static enum tsr_status split(struct tsr_keymap *m, struct tsr_error *err)
{
    struct tsr_keymap old = *m;
    size_t buckets = m->buckets == 0 ? 1024 : 2 * m->buckets;
    uint32_t *fresh = tsr_malloc(buckets, sizeof *fresh);
    if (fresh == NULL) return tsr_nomem(err, buckets * sizeof *fresh);
    for (size_t i = 0; i < buckets; i++) fresh[i] = TSR_KEYMAP_END;
    m->bucket = fresh;
    m->buckets = buckets;
    for (size_t i = 0; i < old.buckets; i++) {
        uint32_t *tail[2] = {&fresh[i], &fresh[i + old.buckets]};
        for (uint32_t e = old.bucket[i], next; e != TSR_KEYMAP_END; e = next) {
            int side = (m->hash[e] & old.buckets) != 0;
            next = m->next[e];
            m->next[e] = TSR_KEYMAP_END;
            *tail[side] = e;
            tail[side] = &m->next[e];
        }
    }
    tsr_free(old.bucket);
    return TSR_OK;
}

enum tsr_status tsr_keymap_insert(struct tsr_keymap *m, const struct tsr_key *key, uint32_t entry, struct tsr_error *err)
{
    if (entry == TSR_KEYMAP_END) return tsr_fail(err, TSR_E_LIMIT, "more than 2^32 rows wait for their counterparts");
    if (m->n >= m->buckets) TSR_TRY(split(m, err));
    TSR_TRY(tsr_grow(&m->next, &m->cap_next, (size_t)entry + 1, sizeof *m->next, err));
    TSR_TRY(tsr_grow(&m->hash, &m->cap_hash, (size_t)entry + 1, sizeof *m->hash, err));
    m->hash[entry] = hash_of(key);
    uint32_t *first = head(m, m->hash[entry]);
    m->next[entry] = *first;
    *first = entry;
    m->n++;
    return TSR_OK;
}

void tsr_keymap_remove(struct tsr_keymap *m, const struct tsr_key *key, uint32_t entry)
{
    uint32_t *at = head(m, hash_of(key));
    while (*at != entry) at = &m->next[*at];
    *at = m->next[entry];
    m->n--;
}
