/* keymap.h - from keys to the numbers of the caller's entries: a hash table with chains, newest
 * first. Equal keys may occur any number of times. Bucket numbers come from BLAKE2b, so that no
 * choice of keys makes chains long. A map belongs to one thread. */
#ifndef TSR_DRIFT_KEYMAP_H
#define TSR_DRIFT_KEYMAP_H

#include "base/hash.h"

#define TSR_KEYMAP_END UINT32_MAX

struct tsr_keymap {
    size_t n, buckets; /* entries in the table; a power of two, or 0 */
    uint32_t *bucket;  /* [buckets]: the newest entry */
    size_t cap_next, cap_hash;
    uint32_t *next;    /* by entry */
    uint64_t *hash;
};

/* The newest entry that may have this key, and the next one: the caller compares keys. */
uint32_t tsr_keymap_first(const struct tsr_keymap *m, const struct tsr_key *key);
uint32_t tsr_keymap_next(const struct tsr_keymap *m, uint32_t entry);
/* `entry` is in no chain. TSR_E_LIMIT for entry == TSR_KEYMAP_END. */
enum tsr_status tsr_keymap_insert(struct tsr_keymap *m, const struct tsr_key *key, uint32_t entry,
                                  struct tsr_error *err) TSR_MUST_USE;
/* Takes an entry that was inserted with this key out again. */
void tsr_keymap_remove(struct tsr_keymap *m, const struct tsr_key *key, uint32_t entry);
void tsr_keymap_clear(struct tsr_keymap *m);
void tsr_keymap_release(struct tsr_keymap *m);

#endif
