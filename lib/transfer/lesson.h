/* lesson.h - the rows a receiver learns from: which of the stream's samples and views it can
 * make again, their inputs, and the targets. Shared by teach.c and headfit.c. */
#ifndef TSR_TRANSFER_LESSON_H
#define TSR_TRANSFER_LESSON_H

#include "graph/session.h"
#include "transfer/tokens.h"

struct tsr_lesson {
    const struct tsr_tokens *tokens;
    const struct tsr_tensor *refs; /* the reference inputs [m, ...] as the transmitter had them */
    uint32_t *at;                  /* [tokens->refs]: row in refs, UINT32_MAX: missing */
    uint32_t *row;                 /* token rows that can be made, shuffled; the last are held out */
    uint32_t n, held;
    uint32_t refs_used;
    struct tsr_tensor batch;       /* input of the last batch */
};

/* Joins by key. held_share of the rows (0.1, say) are held out, at least one where there are ten,
 * a share of 20000 where there are more.
 * with_views false: reference rows only. */
enum tsr_status tsr_lesson_init(struct tsr_lesson *l, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                                const struct tsr_key *key, double held_share, bool with_views, uint64_t seed,
                                struct tsr_error *err) TSR_MUST_USE;
void tsr_lesson_release(struct tsr_lesson *l);

/* Gives the session of the receiver g the inputs of lesson rows index[0..n) (positions in l->row). */
enum tsr_status tsr_lesson_input(struct tsr_lesson *l, const uint32_t *index, int64_t n, const struct tsr_graph *g,
                                 struct tsr_session *s, struct tsr_error *err) TSR_MUST_USE;

#endif
