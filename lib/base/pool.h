/* pool.h - the thread pool. Work is cut into chunks by the caller, by the problem's size alone
 * and never by the number of threads, so results do not depend on it. */
#ifndef TSR_BASE_POOL_H
#define TSR_BASE_POOL_H

#include "base/status.h"

struct tsr_pool;

/* threads >= 1 workers in total, the caller included; 0 = one per available processor.
 * *out is NULL for threads == 1: a NULL pool is valid everywhere and runs serially. */
enum tsr_status tsr_pool_new(int threads, struct tsr_pool **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_pool_free(struct tsr_pool *pool);
int tsr_pool_threads(const struct tsr_pool *pool);

/* Calls fn(arg, i, worker) for every i in [0, n), in any order, on any worker (0 <= worker <
 * threads), and returns when all are done. fn must not call tsr_pool_run on the same pool
 * (such a nested call runs serially). One caller at a time. */
void tsr_pool_run(struct tsr_pool *pool, int64_t n, void (*fn)(void *arg, int64_t i, int worker), void *arg);

#endif
