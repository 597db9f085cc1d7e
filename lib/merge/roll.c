#include "merge/roll.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void tsr_roll_release(struct tsr_roll *r)
{
    tsr_free(r->entry);
    tsr_free(r->slot);
    tsr_free(r->run);
    *r = (struct tsr_roll){0};
}

static int order(const struct tsr_key *a, const struct tsr_key *b) { return memcmp(a->b, b->b, TSR_KEY_LEN); }

static size_t slot_of(const struct tsr_roll *r, const struct tsr_key *key)
{
    size_t at = (size_t)tsr_get_le64(key->b) & (r->slots - 1);
    while (r->slot[at] != 0 && order(&r->entry[r->slot[at] - 1].key, key) != 0) at = (at + 1) & (r->slots - 1);
    return at;
}

enum tsr_roll_answer tsr_roll_find(const struct tsr_roll *r, const struct tsr_key *key, const uint8_t root[16])
{
    if (r->slots == 0) return TSR_ROLL_NEW;
    uint32_t i = r->slot[slot_of(r, key)];
    if (i == 0) return TSR_ROLL_NEW;
    return memcmp(r->entry[i - 1].root, root, 16) == 0 ? TSR_ROLL_SAME : TSR_ROLL_OTHER;
}

/* Anew from the entries, with room for one more. */
static enum tsr_status index_entries(struct tsr_roll *r, struct tsr_error *err)
{
    size_t slots = r->slots == 0 ? 64 : r->slots;
    while (slots < 2 * (r->entries + 1)) slots *= 2;
    uint32_t *fresh = tsr_calloc(slots, sizeof *fresh);
    if (fresh == NULL) return tsr_nomem(err, slots * sizeof *fresh);
    tsr_free(r->slot);
    r->slot = fresh;
    r->slots = slots;
    for (size_t i = 0; i < r->entries; i++) r->slot[slot_of(r, &r->entry[i].key)] = (uint32_t)i + 1;
    return TSR_OK;
}

void tsr_roll_count(struct tsr_roll *r, int64_t weight)
{
    r->contributors++;
    r->weight += weight;
    if (weight > r->most) r->most = weight;
}

enum tsr_status tsr_roll_list(struct tsr_roll *r, const struct tsr_roll_entry *e, struct tsr_error *err)
{
    if (2 * (r->entries + 1) > r->slots) TSR_TRY(index_entries(r, err));
    TSR_TRY(tsr_grow(&r->entry, &r->cap, r->entries + 1, sizeof *r->entry, err));
    r->entry[r->entries++] = *e;
    r->slot[slot_of(r, &e->key)] = (uint32_t)r->entries;
    return TSR_OK;
}

enum tsr_status tsr_roll_add(struct tsr_roll *r, const struct tsr_key *key, const uint8_t root[16], int64_t weight,
                             struct tsr_error *err)
{
    struct tsr_roll_entry e = {.key = *key};
    memcpy(e.root, root, sizeof e.root);
    TSR_TRY(tsr_roll_list(r, &e, err));
    tsr_roll_count(r, weight);
    return TSR_OK;
}

/* The first run that does not end before the key. */
static size_t find_run(const struct tsr_roll *r, const struct tsr_key *key)
{
    size_t lo = 0, hi = r->runs;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (order(&r->run[mid].last, key) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static enum tsr_status insert_run(struct tsr_roll *r, size_t at, const struct tsr_roll_run *run, struct tsr_error *err)
{
    if (r->runs == TSR_ROLL_RUNS)
        return tsr_fail(err, TSR_E_LIMIT, "the keys of contributors make more than %d ascending runs; sort them", TSR_ROLL_RUNS);
    TSR_TRY(tsr_grow(&r->run, &r->cap_run, r->runs + 1, sizeof *r->run, err));
    memmove(&r->run[at + 1], &r->run[at], (r->runs - at) * sizeof *r->run);
    r->run[at] = *run;
    r->runs++;
    return TSR_OK;
}

enum tsr_status tsr_roll_next(struct tsr_roll *r, const struct tsr_key *key, bool *fresh, struct tsr_error *err)
{
    struct tsr_roll_run *run = r->at < r->runs ? &r->run[r->at] : NULL;
    bool last = r->at + 1 >= r->runs;
    *fresh = true;
    if (run != NULL && order(&run->last, key) < 0 && (last || order(key, &r->run[r->at + 1].first) < 0)) {
        run->last = *key;
        run->count++;
        return TSR_OK;
    }
    size_t at = find_run(r, key);
    if (at < r->runs && order(key, &r->run[at].first) >= 0) {
        *fresh = false;
        return TSR_OK;
    }
    TSR_TRY(insert_run(r, at, &(struct tsr_roll_run){*key, *key, 1}, err));
    r->at = at;
    return TSR_OK;
}

void tsr_roll_break(struct tsr_roll *r) { r->at = r->runs; }

void tsr_roll_digest(struct tsr_roll *r, const void *data, size_t n)
{
    uint8_t seed[TSR_SHA256_LEN + 4], block[TSR_SHA256_LEN];
    tsr_sha256(data, n, seed);
    for (uint32_t i = 0; i < 2 * TSR_ROLL_LANES / TSR_SHA256_LEN; i++) {
        for (int k = 0; k < 4; k++) seed[TSR_SHA256_LEN + k] = (uint8_t)(i >> (24 - 8 * k));
        tsr_sha256(seed, sizeof seed, block);
        for (size_t k = 0; k < TSR_SHA256_LEN / 2; k++) {
            uint16_t *lane = &r->lane[i * TSR_SHA256_LEN / 2 + k];
            *lane = (uint16_t)(*lane + tsr_get_le16(block + 2 * k));
        }
    }
}

void tsr_roll_root(const struct tsr_roll *r, uint8_t out[TSR_SHA256_LEN])
{
    uint8_t bytes[2 * TSR_ROLL_LANES];
    for (size_t i = 0; i < TSR_ROLL_LANES; i++) tsr_put_le16(bytes + 2 * i, r->lane[i]);
    tsr_sha256(bytes, sizeof bytes, out);
}

static enum tsr_status join_runs(struct tsr_roll *r, const struct tsr_roll *from, struct tsr_error *err)
{
    for (size_t i = 0; i < from->runs; i++) {
        size_t at = find_run(r, &from->run[i].first);
        if (at < r->runs && order(&r->run[at].first, &from->run[i].last) <= 0)
            return tsr_fail(err, TSR_E_LIMIT,
                            "two partial aggregates hold contributors of overlapping ranges of keys, so one might count twice; "
                            "divide the contributors by their keys");
        TSR_TRY(insert_run(r, at, &from->run[i], err));
        r->at = r->runs;
    }
    return TSR_OK;
}

enum tsr_status tsr_roll_join(struct tsr_roll *r, const struct tsr_roll *from, struct tsr_error *err)
{
    for (size_t i = 0; i < from->entries; i++) {
        char hex[2 * TSR_KEY_LEN + 1];
        tsr_hex(from->entry[i].key.b, TSR_KEY_LEN, hex);
        if (tsr_roll_find(r, &from->entry[i].key, from->entry[i].root) != TSR_ROLL_NEW)
            return tsr_fail(err, TSR_E_LIMIT, "contributor %s is counted in two partial aggregates", hex);
        TSR_TRY(tsr_roll_list(r, &from->entry[i], err));
    }
    TSR_TRY(join_runs(r, from, err));
    for (size_t i = 0; i < TSR_ROLL_LANES; i++) r->lane[i] = (uint16_t)(r->lane[i] + from->lane[i]);
    r->contributors += from->contributors;
    r->weight += from->weight;
    if (from->most > r->most) r->most = from->most;
    return TSR_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct tsr_roll_entry *x = a, *y = b;
    return order(&x->key, &y->key);
}

void tsr_roll_sort(struct tsr_roll *r)
{
    if (r->entries == 0) return;
    qsort(r->entry, r->entries, sizeof *r->entry, by_key);
    memset(r->slot, 0, r->slots * sizeof *r->slot);
    for (size_t i = 0; i < r->entries; i++) r->slot[slot_of(r, &r->entry[i].key)] = (uint32_t)i + 1;
}
