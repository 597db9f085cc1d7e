/* par.h - loops over elements or rows, cut by the problem's size alone. Private to ops/. */
#ifndef TSR_OPS_PAR_H
#define TSR_OPS_PAR_H

#include "base/pool.h"

/* Calls fn(arg, from, to) for [0, n) in pieces of `chunk` (the last may be shorter), in any order and
 * on several threads. With at most one piece, or no pool, it runs here. */
void tsr_par(struct tsr_pool *pool, int64_t n, int64_t chunk, void (*fn)(void *arg, int64_t from, int64_t to),
             void *arg);

/* Rows of `cost` elements each: pieces of about 32768 elements. */
static inline int64_t tsr_par_rows(int64_t cost)
{
    return cost >= 32768 ? 1 : 32768 / (cost > 0 ? cost : 1);
}

#endif
