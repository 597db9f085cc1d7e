/* quantile.h - coordinate-wise quantiles by fixed histograms: mergeable, deterministic, and exact to the
 * width of a bin. Bins are equally wide in u = sign(x) sqrt|x|, hence finer near 0, where most coordinates
 * of long unit vectors are. A second step refines the two bins that hold the quantiles. Used by plane.c. */
#ifndef TSR_MERGE_QUANTILE_H
#define TSR_MERGE_QUANTILE_H

#include "merge/plane.h"

/* Adds the coordinates of a row, brought to length 1 by `inverse`. */
void tsr_quantile_count(struct tsr_merge_plane *p, size_t cell, const float *x, float inverse, uint32_t w);
void tsr_quantile_refine(struct tsr_merge_plane *p, size_t cell, const float *x, float inverse, uint32_t w);
/* From the histograms of COUNT: which bins hold the quantiles p->low and p->high, and the weight below. */
enum tsr_status tsr_quantile_edges(struct tsr_merge_plane *p, struct tsr_error *err) TSR_MUST_USE;
/* COUNT: the median of coordinate i. REFINE: the mean of what lies between the quantiles, or the
 * quantile itself where they are one. */
double tsr_quantile_result(const struct tsr_merge_plane *p, size_t cell, size_t i);

#endif
