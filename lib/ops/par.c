#include "ops/par.h"

struct loop {
    void (*fn)(void *, int64_t, int64_t);
    void *arg;
    int64_t n, chunk;
};

static void piece(void *arg, int64_t i, int worker)
{
    const struct loop *l = arg;
    int64_t from = i * l->chunk, to = l->n - from < l->chunk ? l->n : from + l->chunk;
    (void)worker;
    l->fn(l->arg, from, to);
}

void tsr_par(struct tsr_pool *pool, int64_t n, int64_t chunk, void (*fn)(void *arg, int64_t from, int64_t to), void *arg)
{
    struct loop l = {fn, arg, n, chunk};
    if (n <= 0) return;
    int64_t pieces = n / chunk + (n % chunk != 0);
    if (pieces == 1) fn(arg, 0, n);
    else tsr_pool_run(pool, pieces, piece, &l);
}
