/* pending.h - rows of one side that wait for the row of the other side with the same identity. */
#ifndef TSR_DRIFT_PENDING_H
#define TSR_DRIFT_PENDING_H

#include "drift/keymap.h"
#include "drift/side.h"

struct tsr_pending {
    struct tsr_keymap map;
    struct tsr_pending_row {
        struct tsr_key id;
        struct tsr_batch *batch; /* NULL: a free entry, `row` being the next one */
        size_t row;
        int side; /* 0 reference, 1 candidate */
    } *entry;
    size_t n, cap;       /* entries ever used at a time */
    uint32_t free_list;  /* + 1; 0: none */
    size_t waiting[2];
};

/* What a row is of: the sample's key; of a view, a hash of key, number and block, since a view may
 * mix samples of its block. */
void tsr_pending_id(const struct tsr_batch *b, size_t row, struct tsr_key *id);

/* Keeps a reference to the batch until the row is taken. */
enum tsr_status tsr_pending_push(struct tsr_pending *p, int side, const struct tsr_key *id, struct tsr_batch *b,
                                 size_t row, struct tsr_error *err) TSR_MUST_USE;
/* Takes a row of that side with that identity out; the reference to its batch becomes the caller's.
 * Where several wait (the same input twice), the newest comes. NULL: none. */
struct tsr_batch *tsr_pending_pop(struct tsr_pending *p, int side, const struct tsr_key *id, size_t *row);
/* Forgets all rows of both sides. */
void tsr_pending_clear(struct tsr_pending *p);
void tsr_pending_release(struct tsr_pending *p);

#endif
