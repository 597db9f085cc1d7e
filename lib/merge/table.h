/* table.h - the samples and blocks that contributors answered, joined by key. Sample i has cell i in the
 * planes of references. A reference set may hold a sample several times: its n-th occurrence is joined with
 * the n-th of others. Views belong to a block, since a view may mix two samples of it: the same keys in
 * the same order are the same block. What order things came in leaves no trace: see tsr_table_order.
 * A table belongs to one thread. */
#ifndef TSR_MERGE_TABLE_H
#define TSR_MERGE_TABLE_H

#include "base/hash.h"

struct tsr_merge_sample {
    struct tsr_key key;
    uint32_t nth;   /* occurrence within a reference set, from 0 */
    uint32_t stamp; /* the contribution that answered it last */
    int64_t place;  /* its number among a contributor's references: the least of all */
};
struct tsr_merge_block {
    struct tsr_key id; /* over its samples */
    int64_t place;     /* of its first sample, the least of all contributors */
    uint32_t count;
    uint32_t *sample;  /* [count] */
    size_t cell;       /* of its first view; view v of sample k has cell + (v - 1) * count + k */
};

struct tsr_merge_table {
    struct tsr_merge_sample *sample;
    size_t samples, cap_sample;
    uint32_t *slot; /* a hash table of samples, number + 1 */
    size_t slots;
    uint32_t stamp; /* of the contribution whose samples are looked up */
    struct tsr_merge_block *block;
    size_t blocks, cap_block;
    uint32_t views; /* of a sample */
    size_t view_cells;
};

void tsr_table_release(struct tsr_merge_table *t);

/* The n-th occurrence of a key, added where it is new. TSR_E_NOMEM, TSR_E_LIMIT (2^31 samples). */
enum tsr_status tsr_table_sample(struct tsr_merge_table *t, const struct tsr_key *key, uint32_t nth, int64_t place,
                                 uint32_t *out, struct tsr_error *err) TSR_MUST_USE;
/* The first occurrence of a key that was not looked up since t->stamp was raised. TSR_E_LIMIT beyond
 * TSR_MERGE_OCCURRENCES. */
#define TSR_MERGE_OCCURRENCES 4096
enum tsr_status tsr_table_next(struct tsr_merge_table *t, const struct tsr_key *key, int64_t place, uint32_t *out,
                               struct tsr_error *err) TSR_MUST_USE;
/* The block of these samples; its views have cells once t->views is set. */
enum tsr_status tsr_table_block(struct tsr_merge_table *t, const uint32_t *sample, uint32_t count, int64_t place,
                                size_t *out, struct tsr_error *err) TSR_MUST_USE;

/* The order to write in, order[samples] and block[blocks]: by place, then by key. The first `n_anchors`
 * samples are those named, whatever their place. */
enum tsr_status tsr_table_order(const struct tsr_merge_table *t, const struct tsr_key *anchor, size_t n_anchors,
                                uint32_t *order, uint32_t *block, struct tsr_error *err) TSR_MUST_USE;

#endif
