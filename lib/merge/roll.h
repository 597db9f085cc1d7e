/* roll.h - who has been counted, so that nobody counts twice, and a digest of what counted that does not
 * depend on any order. A roll belongs to one thread.
 *
 * Contributors that send streams are listed. Where every row is a contribution of its own there may be
 * millions: then their keys must ascend within a stream, and the roll keeps the range of each stream, which
 * must not overlap; that proves as much in memory that does not grow with the contributors.
 *
 * The digest is LtHash with 1024 sums modulo 2^16 (Bellare and Micciancio 1997; Lewi et al. 2019): each
 * contribution is expanded to 2048 bytes by MGF1 with SHA-256 (RFC 8017, B.2.1), and these are added. */
#ifndef TSR_MERGE_ROLL_H
#define TSR_MERGE_ROLL_H

#include "base/hash.h"

#define TSR_ROLL_LANES 1024
#define TSR_ROLL_RUNS (1 << 20)

struct tsr_roll_entry {
    struct tsr_key key; /* of the contributor */
    uint8_t root[16];   /* of what it sent */
};
struct tsr_roll_run {
    struct tsr_key first, last;
    uint64_t count;
};

struct tsr_roll {
    struct tsr_roll_entry *entry;
    size_t entries, cap;
    uint32_t *slot;
    size_t slots;
    struct tsr_roll_run *run; /* sorted, at most TSR_ROLL_RUNS */
    size_t runs, cap_run, at; /* `at`: the run that grows */
    uint16_t lane[TSR_ROLL_LANES];
    uint64_t contributors;
    int64_t weight, most; /* of all, and of the one that has most */
};

void tsr_roll_release(struct tsr_roll *r);

enum tsr_roll_answer { TSR_ROLL_NEW, TSR_ROLL_SAME, TSR_ROLL_OTHER };
/* Whether this contributor has been counted, with the same content or another. */
enum tsr_roll_answer tsr_roll_find(const struct tsr_roll *r, const struct tsr_key *key, const uint8_t root[16]);
/* Lists it without counting; counts it. */
enum tsr_status tsr_roll_list(struct tsr_roll *r, const struct tsr_roll_entry *e, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_roll_add(struct tsr_roll *r, const struct tsr_key *key, const uint8_t root[16], int64_t weight,
                             struct tsr_error *err) TSR_MUST_USE;
/* Notes a row's contributor; *fresh is false where its key does not ascend or lies within a range that
 * was noted. TSR_E_LIMIT beyond TSR_ROLL_RUNS runs. */
enum tsr_status tsr_roll_next(struct tsr_roll *r, const struct tsr_key *key, bool *fresh, struct tsr_error *err) TSR_MUST_USE;
/* The next key begins a run of its own: what is between two streams is nobody's range. */
void tsr_roll_break(struct tsr_roll *r);
/* Counts one that was noted. */
void tsr_roll_count(struct tsr_roll *r, int64_t weight);
/* Adds something to the digest: n bytes. */
void tsr_roll_digest(struct tsr_roll *r, const void *data, size_t n);
/* SHA-256 over the sums, little-endian. */
void tsr_roll_root(const struct tsr_roll *r, uint8_t out[TSR_SHA256_LEN]);

/* Adds another roll. TSR_E_LIMIT where a contributor is on both, or two ranges overlap. */
enum tsr_status tsr_roll_join(struct tsr_roll *r, const struct tsr_roll *from, struct tsr_error *err) TSR_MUST_USE;
/* Entries sorted by key, as they are written. */
void tsr_roll_sort(struct tsr_roll *r);

#endif
