/* confidence.h - outputs of networks that know different classes, merged by how sure each is.
 *
 *   standardised-mean   every network's logits are standardised by their mean and deviation over its own
 *                       references and the classes it knows (those it ever answers with); the mean score
 *                       of the networks that know a class, times 4, is the logit
 *   max-confidence      probabilities are weighted by the fourth power of the greatest of the row: the mean
 *                       follows whoever is surest
 *   energy              likewise by exp(2 e), e being the logarithm of the sum of the exponentials of the
 *                       logits (Liu et al. 2020), standardised over the network's own references
 *
 * Scores, weights and so what one network can do are bounded; but one that pretends to be sure is believed.
 * Thread-safe. */
#ifndef TSR_MERGE_CONFIDENCE_H
#define TSR_MERGE_CONFIDENCE_H

#include "merge/contribution.h"

/* Turns the logits that a contribution's rows of outputs begin with (see contribution.h) into what
 * tsr_embed_scores or tsr_embed_gated adds up, in place. Faults are kept in the contribution. */
enum tsr_status tsr_confidence_apply(struct tsr_contribution *c, struct tsr_error *err) TSR_MUST_USE;

#endif
