#include "merge/table.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void tsr_table_release(struct tsr_merge_table *t)
{
    for (size_t i = 0; i < t->blocks; i++) tsr_free(t->block[i].sample);
    tsr_free(t->block);
    tsr_free(t->sample);
    tsr_free(t->slot);
    *t = (struct tsr_merge_table){0};
}

static size_t slot_of(const struct tsr_merge_table *t, const struct tsr_key *key, uint32_t nth)
{
    /* keys are hashes already */
    size_t at = (size_t)(tsr_get_le64(key->b) + nth * UINT64_C(0x9E3779B97F4A7C15)) & (t->slots - 1);
    for (; t->slot[at] != 0; at = (at + 1) & (t->slots - 1)) {
        const struct tsr_merge_sample *s = &t->sample[t->slot[at] - 1];
        if (s->nth == nth && memcmp(s->key.b, key->b, TSR_KEY_LEN) == 0) break;
    }
    return at;
}

/* At most half of the slots are taken. */
static enum tsr_status widen(struct tsr_merge_table *t, struct tsr_error *err)
{
    if (2 * (t->samples + 1) <= t->slots) return TSR_OK;
    size_t slots = t->slots == 0 ? 64 : 2 * t->slots;
    uint32_t *fresh = tsr_calloc(slots, sizeof *fresh);
    if (fresh == NULL) return tsr_nomem(err, slots * sizeof *fresh);
    tsr_free(t->slot);
    t->slot = fresh;
    t->slots = slots;
    for (size_t i = 0; i < t->samples; i++) t->slot[slot_of(t, &t->sample[i].key, t->sample[i].nth)] = (uint32_t)i + 1;
    return TSR_OK;
}

enum tsr_status tsr_table_sample(struct tsr_merge_table *t, const struct tsr_key *key, uint32_t nth, int64_t place,
                                 uint32_t *out, struct tsr_error *err)
{
    TSR_TRY(widen(t, err));
    size_t at = slot_of(t, key, nth);
    if (t->slot[at] == 0) {
        if (t->samples >= INT32_MAX) return tsr_fail(err, TSR_E_LIMIT, "there are more than 2^31 samples to merge");
        TSR_TRY(tsr_grow(&t->sample, &t->cap_sample, t->samples + 1, sizeof *t->sample, err));
        t->sample[t->samples++] = (struct tsr_merge_sample){*key, nth, 0, place};
        t->slot[at] = (uint32_t)t->samples;
    }
    *out = t->slot[at] - 1;
    if (place < t->sample[*out].place) t->sample[*out].place = place;
    return TSR_OK;
}

enum tsr_status tsr_table_next(struct tsr_merge_table *t, const struct tsr_key *key, int64_t place, uint32_t *out,
                               struct tsr_error *err)
{
    for (uint32_t nth = 0; nth < TSR_MERGE_OCCURRENCES; nth++) {
        TSR_TRY(tsr_table_sample(t, key, nth, INT64_MAX, out, err));
        struct tsr_merge_sample *s = &t->sample[*out];
        if (s->stamp == t->stamp) continue;
        s->stamp = t->stamp;
        if (place < s->place) s->place = place;
        return TSR_OK;
    }
    return tsr_fail(err, TSR_E_LIMIT, "a reference set holds a sample more than %d times", TSR_MERGE_OCCURRENCES);
}

enum tsr_status tsr_table_block(struct tsr_merge_table *t, const uint32_t *sample, uint32_t count, int64_t place,
                                size_t *out, struct tsr_error *err)
{
    struct tsr_keyhash h;
    struct tsr_merge_block b = {.place = place, .count = count};
    tsr_keyhash_init(&h);
    for (uint32_t k = 0; k < count; k++) {
        uint8_t nth[4];
        tsr_put_le32(nth, t->sample[sample[k]].nth);
        tsr_keyhash_update(&h, t->sample[sample[k]].key.b, TSR_KEY_LEN);
        tsr_keyhash_update(&h, nth, sizeof nth);
    }
    tsr_keyhash_final(&h, &b.id);
    for (size_t i = 0; i < t->blocks; i++) {
        if (memcmp(t->block[i].id.b, b.id.b, TSR_KEY_LEN) != 0) continue;
        if (place < t->block[i].place) t->block[i].place = place;
        *out = i;
        return TSR_OK;
    }
    size_t cells;
    if (!tsr_mul_size(count, t->views, &cells) || !tsr_add_size(cells, t->view_cells, &cells)) return tsr_nomem(err, SIZE_MAX);
    TSR_TRY(tsr_grow(&t->block, &t->cap_block, t->blocks + 1, sizeof *t->block, err));
    b.sample = tsr_memdup(sample, count * sizeof *b.sample);
    if (b.sample == NULL) return tsr_nomem(err, count * sizeof *b.sample);
    b.cell = t->view_cells;
    t->view_cells = cells;
    t->block[t->blocks] = b;
    *out = t->blocks++;
    return TSR_OK;
}

struct ranked {
    int64_t place;
    struct tsr_key key;
    uint32_t nth, at;
};

static int by_place(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    int order = memcmp(x->key.b, y->key.b, TSR_KEY_LEN);
    return order != 0 ? order : (x->nth > y->nth) - (x->nth < y->nth);
}

/* The anchors stand before all others; one that occurs again is the next occurrence. */
static void place_anchors(const struct tsr_merge_table *t, const struct tsr_key *anchor, size_t n, struct ranked *r)
{
    for (size_t i = 0; i < n && t->samples > 0; i++)
        for (uint32_t nth = 0; nth < TSR_MERGE_OCCURRENCES; nth++) {
            uint32_t known = t->slot[slot_of(t, &anchor[i], nth)];
            if (known == 0) break;
            if (r[known - 1].place < 0) continue;
            r[known - 1].place = (int64_t)i - (int64_t)n;
            break;
        }
}

enum tsr_status tsr_table_order(const struct tsr_merge_table *t, const struct tsr_key *anchor, size_t n_anchors,
                                uint32_t *order, uint32_t *block, struct tsr_error *err)
{
    size_t most = t->samples > t->blocks ? t->samples : t->blocks;
    struct ranked *r = tsr_malloc(most, sizeof *r);
    if (r == NULL) return tsr_nomem(err, most * sizeof *r);
    for (size_t i = 0; i < t->samples; i++) r[i] = (struct ranked){t->sample[i].place, t->sample[i].key, t->sample[i].nth, (uint32_t)i};
    place_anchors(t, anchor, n_anchors, r);
    qsort(r, t->samples, sizeof *r, by_place);
    for (size_t i = 0; i < t->samples; i++) order[i] = r[i].at;
    for (size_t i = 0; i < t->blocks; i++) r[i] = (struct ranked){t->block[i].place, t->block[i].id, 0, (uint32_t)i};
    qsort(r, t->blocks, sizeof *r, by_place);
    for (size_t i = 0; i < t->blocks; i++) block[i] = r[i].at;
    tsr_free(r);
    return TSR_OK;
}
