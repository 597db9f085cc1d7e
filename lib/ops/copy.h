/* copy.h - the engine behind operators that only move elements: a strided copy between two arrays
 * of the same type. Private to ops/. */
#ifndef TSR_OPS_COPY_H
#define TSR_OPS_COPY_H

#include "ops/arg.h"

/* Room for shapes whose dimensions are split in two (DepthToSpace, Tile). */
#define TSR_COPY_RANK (2 * TSR_MAX_RANK)

struct tsr_copy {
    enum tsr_dtype dtype;
    int rank;
    int64_t dim[TSR_COPY_RANK];
    int64_t ds[TSR_COPY_RANK], ss[TSR_COPY_RANK]; /* element strides of destination and source, any sign */
    void *dst;
    const void *src;
    int64_t d0, s0; /* elements where the copy begins */
};

/* dst[d0 + sum i*ds] = src[s0 + sum i*ss] for all indices. No two may write the same element. */
void tsr_copy_run(struct tsr_pool *pool, const struct tsr_copy *c);
/* The same with +=, float32 and float64; elements may be hit several times, in a fixed order. */
void tsr_copy_add(const struct tsr_copy *c);

/* Sets n elements from `at` on to the first element of `value`. */
void tsr_copy_fill(enum tsr_dtype dtype, void *dst, int64_t at, int64_t n, const void *value);

#endif
