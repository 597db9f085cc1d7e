/* stitch.h - a trained receiver reads the hub: another network's tokens, decoded into its feature
 * space, through its own head. No training. */
#ifndef TSR_TRANSFER_STITCH_H
#define TSR_TRANSFER_STITCH_H

#include "graph/head.h"
#include "transfer/tokens.h"

struct tsr_stitch_report {
    int64_t anchors_held; /* of the stream's anchors, how many the receiver holds */
    bool exact;           /* all of them: the decoder is the hub's; else it was regressed */
};

/* out[tokens->refs, classes]: the receiver's head on D_rx(token) for every sample of the stream.
 * refs, key: the receiver's reference inputs and their keys, any order; all the anchors should be
 * among them. *out is to be released with tsr_free. TSR_E_MISMATCH: no hub tokens, or too few
 * anchors in common; TSR_E_NOT_FOUND: no linear head. */
enum tsr_status tsr_stitch(const struct tsr_graph *g, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                           const struct tsr_key *key, struct tsr_pool *pool, float **out, int64_t *classes,
                           struct tsr_stitch_report *report, struct tsr_error *err) TSR_MUST_USE;

#endif
