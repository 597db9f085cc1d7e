#include "drift/pending.h"

#include "base/mem.h"

#include <string.h>

void tsr_pending_id(const struct tsr_batch *b, size_t row, struct tsr_key *id)
{
    struct tsr_keyhash h;
    uint8_t number[8];
    *id = b->key[row % b->count];
    if (b->view == 0) return;
    tsr_put_le64(number, (uint64_t)b->view + row / b->count);
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, "view", 4);
    tsr_keyhash_update(&h, b->block.b, sizeof b->block.b);
    tsr_keyhash_update(&h, id->b, sizeof id->b);
    tsr_keyhash_update(&h, number, sizeof number);
    tsr_keyhash_final(&h, id);
}

enum tsr_status tsr_pending_push(struct tsr_pending *p, int side, const struct tsr_key *id, struct tsr_batch *b,
                                 size_t row, struct tsr_error *err)
{
    size_t at = p->free_list > 0 ? p->free_list - 1 : p->n;
    if (at == p->n) TSR_TRY(tsr_grow(&p->entry, &p->cap, p->n + 1, sizeof *p->entry, err));
    TSR_TRY(tsr_keymap_insert(&p->map, id, at < TSR_KEYMAP_END ? (uint32_t)at : TSR_KEYMAP_END, err));
    if (at == p->n) p->n++;
    else p->free_list = (uint32_t)p->entry[at].row;
    p->entry[at] = (struct tsr_pending_row){.id = *id, .batch = b, .row = row, .side = side};
    p->waiting[side]++;
    b->users++;
    return TSR_OK;
}

struct tsr_batch *tsr_pending_pop(struct tsr_pending *p, int side, const struct tsr_key *id, size_t *row)
{
    if (p->waiting[side] == 0) return NULL;
    uint32_t at = tsr_keymap_first(&p->map, id);
    while (at != TSR_KEYMAP_END && (p->entry[at].side != side || memcmp(&p->entry[at].id, id, sizeof *id) != 0))
        at = tsr_keymap_next(&p->map, at);
    if (at == TSR_KEYMAP_END) return NULL;
    struct tsr_batch *b = p->entry[at].batch;
    *row = p->entry[at].row;
    tsr_keymap_remove(&p->map, id, at);
    p->entry[at] = (struct tsr_pending_row){.row = p->free_list};
    p->free_list = at + 1;
    p->waiting[side]--;
    return b;
}

void tsr_pending_clear(struct tsr_pending *p)
{
    for (size_t i = 0; i < p->n; i++) tsr_batch_drop(p->entry[i].batch);
    tsr_keymap_clear(&p->map);
    p->n = 0;
    p->free_list = 0;
    p->waiting[0] = p->waiting[1] = 0;
}

void tsr_pending_release(struct tsr_pending *p)
{
    tsr_pending_clear(p);
    tsr_keymap_release(&p->map);
    tsr_free(p->entry);
    *p = (struct tsr_pending){0};
}
