/* batch.h - the rules that compare every contribution with every other: Krum and its kin, and the mixing of
 * nearest neighbours. They hold all contributions in memory, up to TSR_MERGE_BATCH of them, and make no
 * partial aggregates. What is chosen depends on no order: contributors are sorted by their keys first. */
#ifndef TSR_MERGE_BATCH_H
#define TSR_MERGE_BATCH_H

#include "merge/plane.h"
#include "merge/rule.h"
#include "base/hash.h"

#define TSR_MERGE_BATCH 10000

/* A row for a cell of a plane. */
struct tsr_merge_row {
    int plane;
    size_t cell;
    const float *x; /* [width of the plane] */
    uint64_t id;    /* of the row for profiles: see spectral.h */
};

/* A contribution as it is held: rows sorted by plane and cell, of length 1. */
struct tsr_merge_held {
    struct tsr_key key;
    int64_t weight;
    struct tsr_merge_row *row;
    size_t rows;
    float *x; /* what the rows point into */
};
struct tsr_merge_batch {
    struct tsr_merge_held *held;
    size_t n, cap;
};

void tsr_batch_release(struct tsr_merge_batch *b);
/* Keeps a copy. TSR_E_LIMIT beyond TSR_MERGE_BATCH. */
enum tsr_status tsr_batch_add(struct tsr_merge_batch *b, const struct tsr_key *key, int64_t weight, const struct tsr_merge_row *row,
                              size_t rows, const struct tsr_merge_plane *plane, struct tsr_error *err) TSR_MUST_USE;
/* Chooses or mixes, and feeds the planes with what is left, in all steps of the rule that then follows. The planes
 * have their cells; `centred` as in rule.h. TSR_E_LIMIT where there are too few contributors for the rule. */
enum tsr_status tsr_batch_run(struct tsr_merge_batch *b, const struct tsr_merge_rule_options *o, bool centred,
                              struct tsr_merge_plane *plane, int planes, struct tsr_error *err) TSR_MUST_USE;

#endif
