/* ledger.h - credit for contributions: a file of JSON lines that grows by a line for each contributor and
 * round, and what of it counts in the next one.
 *
 *   quality       mean cosine of its rows to the centre, not below 0
 *   novelty       mean over its samples of 1 / contributors who answered them: 1 where nobody else did
 *   freshness     2^-(age / half-life)
 *   reliability   (a + 1) / (a + b + 2) after a rounds in which it counted and b in which it was left out
 *                 (Laplace's rule of succession)
 *   utility       0.4 quality + 0.2 of each of the others, over those that are known; 0 where it does not count
 *
 * A ledger belongs to one thread. */
#ifndef TSR_MERGE_LEDGER_H
#define TSR_MERGE_LEDGER_H

#include "io/sink.h"
#include "merge/merge.h"

struct tsr_ledger_entry {
    struct tsr_key key; /* of the contributor's name */
    uint64_t counted, left_out;
};
struct tsr_ledger {
    struct tsr_buf text; /* of all lines so far, as they were */
    struct tsr_ledger_entry *entry; /* sorted once loaded */
    size_t n, cap;
    struct tsr_buf fresh; /* lines of this round */
    int64_t now;         /* ages are reckoned to it; 0: freshness is not known */
    double half_life;    /* seconds */
    const char *round;   /* or NULL */
};

/* Reads the lines of earlier rounds. TSR_E_FORMAT names the line that is none of a ledger's. */
enum tsr_status tsr_ledger_load(struct tsr_ledger *l, struct tsr_source *from, struct tsr_error *err) TSR_MUST_USE;
void tsr_ledger_release(struct tsr_ledger *l);
/* Adds a line for a decision. */
enum tsr_status tsr_ledger_add(struct tsr_ledger *l, const struct tsr_merge_decision *d, struct tsr_error *err) TSR_MUST_USE;
/* Writes all lines, old and new. */
enum tsr_status tsr_ledger_write(const struct tsr_ledger *l, struct tsr_sink *to, struct tsr_error *err) TSR_MUST_USE;

#endif
