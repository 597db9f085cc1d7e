/* sketch.h - a uniform sample, without replacement, of the pairs of rows that were seen: those with
 * the smallest priorities, which are hashes of their keys (bottom-k sampling, Cohen and Kaplan,
 * 2007). Which pairs are kept depends on their keys alone, not on the order they come in.
 * For statistics that need rows side by side: CKA, neighbours. */
#ifndef TSR_DRIFT_SKETCH_H
#define TSR_DRIFT_SKETCH_H

#include "base/hash.h"

#define TSR_SKETCH_ROWS 1024
#define TSR_SKETCH_BYTES ((size_t)64 << 20) /* of one side's rows; wide rows are kept in smaller numbers */

struct tsr_sketch {
    size_t cols[2];     /* of the reference's and the candidate's rows */
    size_t rows, limit; /* kept now, and at most */
    size_t cap[2], cap_heap;
    float *x[2];        /* [rows, cols] */
    struct tsr_sketch_item {
        struct tsr_key priority;
        size_t slot; /* row of x */
    } *heap;            /* the largest priority on top */
};

void tsr_sketch_init(struct tsr_sketch *s, size_t ref_cols, size_t cols);
enum tsr_status tsr_sketch_add(struct tsr_sketch *s, const struct tsr_key *key, const float *ref, const float *x,
                               struct tsr_error *err) TSR_MUST_USE;
/* Puts the items in the order of their priorities: nothing may be added afterwards. heap[i].slot is
 * then the row of the i-th. */
void tsr_sketch_sort(struct tsr_sketch *s);
void tsr_sketch_release(struct tsr_sketch *s);

#endif
