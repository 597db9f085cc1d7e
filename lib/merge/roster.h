/* roster.h - the operator's lists: a name a line, behind it, where wanted, a weight. Empty lines and what
 * follows a # are passed over. Read-only once loaded, then thread-safe. */
#ifndef TSR_MERGE_ROSTER_H
#define TSR_MERGE_ROSTER_H

#include "base/hash.h"
#include "io/source.h"

#define TSR_ROSTER_WEIGHT 1000000 /* the largest */

struct tsr_roster_entry {
    struct tsr_key key;
    int64_t weight;
};
struct tsr_roster {
    struct tsr_roster_entry *entry; /* sorted */
    size_t n, cap;
    char digest[2 * TSR_SHA256_LEN + 1]; /* of names and weights, whatever their order */
};

/* The key of a contributor's name. A name of 32 hexadecimal digits also stands for that key itself, as
 * the rows of contributors have them. */
struct tsr_key tsr_roster_key(const char *name);

/* TSR_E_FORMAT names the line that is wrong, or a name that stands twice. */
enum tsr_status tsr_roster_load(struct tsr_roster *r, struct tsr_source *from, struct tsr_error *err) TSR_MUST_USE;
void tsr_roster_release(struct tsr_roster *r);
/* NULL where it is not listed. */
const struct tsr_roster_entry *tsr_roster_find(const struct tsr_roster *r, const struct tsr_key *key);

#endif
