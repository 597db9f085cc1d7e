/* clusters.h - sums over all rows that a sample has a part in. A belongs to one thread. */
#ifndef TSR_DRIFT_CLUSTERS_H
#define TSR_DRIFT_CLUSTERS_H

#include "base/hash.h"

struct tsr_clusters;

/* Each sample gets `width` sums. */
enum tsr_status tsr_clusters_new(size_t width, struct tsr_clusters **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_clusters_free(struct tsr_clusters *c); /* NULL allowed */
enum tsr_status tsr_clusters_add(struct tsr_clusters *c, const struct tsr_key *key, const double *x,
                                 struct tsr_error *err) TSR_MUST_USE;
/* The samples in the order they first came in; then forget them. */
size_t tsr_clusters_count(const struct tsr_clusters *c);
const double *tsr_clusters_sums(const struct tsr_clusters *c, size_t i);
void tsr_clusters_clear(struct tsr_clusters *c);

#endif
