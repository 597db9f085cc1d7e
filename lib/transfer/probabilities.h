/* probabilities.h - outputs that are to be sent as probabilities. Thread-safe. */
#ifndef TSR_TRANSFER_PROBABILITIES_H
#define TSR_TRANSFER_PROBABILITIES_H

#include "base/status.h"

/* Makes logits z[n, c] probabilities in place: their softmax, or for c = 1 the logistic function, which
 * is how a single logit answers a yes-or-no question. */
void tsr_probabilities_make(float *z, int64_t n, int64_t c);

/* Are rows p[n, c] probabilities: none negative, their sum 1, or for c = 1 at most 1, within 1e-3?
 * TSR_E_CORRUPT names `name` and the row, the first of which is row `first`. A row with a NaN passes: rows
 * that are not finite are refused where they are stored. */
enum tsr_status tsr_probabilities_check(const float *p, int64_t n, int64_t c, int64_t first, const char *name,
                                        struct tsr_error *err) TSR_MUST_USE;

#endif
