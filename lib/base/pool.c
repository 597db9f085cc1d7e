#include "base/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* For so long a thread looks again before it sleeps. Layers of a network follow each other within microseconds, while
 * waking a thread that sleeps can take fifty; and no thread spins that would keep another from its processor. */
#define SPIN_NANOSECONDS 60000

struct worker {
    struct tsr_pool *pool;
    pthread_t thread;
    int index;
};

struct tsr_pool {
    int threads;
    struct worker *workers; /* threads - 1 of them: the caller is worker 0 */
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    bool spins; /* every thread has a processor */
    /* written with the mutex held, read without it by those who spin */
    _Atomic uint64_t round; /* raised for every job */
    _Atomic int busy;       /* workers that joined this round and have not left it */
    _Atomic bool stop;
    bool open; /* the round can still be joined: who wakes too late goes back to sleep, and nobody waits for it */
    void (*fn)(void *, int64_t, int);
    void *arg;
    int64_t n;
    _Atomic int64_t next;
};

static _Thread_local bool inside; /* a job of some pool runs on this thread */

static void look_away(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__ARM_ARCH) && __ARM_ARCH >= 7)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool called(struct tsr_pool *pool, uint64_t seen) { return atomic_load(&pool->round) != seen || atomic_load(&pool->stop); }
static bool all_left(struct tsr_pool *pool, uint64_t unused)
{
    (void)unused;
    return atomic_load(&pool->busy) == 0;
}

/* Until it has happened, or for a while. */
static void spin(struct tsr_pool *pool, bool (*happened)(struct tsr_pool *, uint64_t), uint64_t seen)
{
    if (!pool->spins) return;
    int64_t until = nanoseconds() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < 16; i++) {
            if (happened(pool, seen)) return;
            look_away();
        }
    } while (nanoseconds() < until);
}

static void work(struct tsr_pool *pool, int index)
{
    inside = true;
    for (;;) {
        int64_t i = atomic_fetch_add(&pool->next, 1);
        if (i >= pool->n) break;
        pool->fn(pool->arg, i, index);
    }
    inside = false;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct tsr_pool *pool = w->pool;
    uint64_t seen = 0;
    for (;;) {
        spin(pool, called, seen);
        pthread_mutex_lock(&pool->mutex);
        while (!called(pool, seen)) pthread_cond_wait(&pool->start, &pool->mutex);
        if (pool->stop) break;
        seen = pool->round;
        bool joins = pool->open;
        if (joins) pool->busy++;
        pthread_mutex_unlock(&pool->mutex);
        if (!joins) continue;
        work(pool, w->index);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

enum tsr_status tsr_pool_new(int threads, struct tsr_pool **out, struct tsr_error *err)
{
    *out = NULL;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads == 0) threads = online < 1 ? 1 : online > 1024 ? 1024 : (int)online;
    if (threads < 1 || threads > 1024)
        return tsr_fail(err, TSR_E_USAGE, "the number of threads must be between 0 and 1024, not %d", threads);
    if (threads == 1) return TSR_OK;
    struct tsr_pool *pool = tsr_calloc(1, sizeof *pool);
    if (pool == NULL) return tsr_nomem(err, sizeof *pool);
    pool->workers = tsr_calloc((size_t)threads - 1, sizeof *pool->workers);
    if (pool->workers == NULL) {
        tsr_free(pool);
        return tsr_nomem(err, (size_t)threads * sizeof *pool->workers);
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = 1;
    pool->spins = threads <= online;
    for (int i = 0; i < threads - 1; i++) {
        struct worker *w = &pool->workers[i];
        w->pool = pool;
        w->index = i + 1;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            tsr_pool_free(pool);
            return tsr_fail(err, TSR_E_NOMEM, "cannot start thread %d of %d", i + 2, threads);
        }
        pool->threads = i + 2;
    }
    *out = pool;
    return TSR_OK;
}

void tsr_pool_free(struct tsr_pool *pool)
{
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->threads - 1; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->start);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->mutex);
    tsr_free(pool->workers);
    tsr_free(pool);
}

int tsr_pool_threads(const struct tsr_pool *pool) { return pool == NULL ? 1 : pool->threads; }

void tsr_pool_run(struct tsr_pool *pool, int64_t n, void (*fn)(void *arg, int64_t i, int worker), void *arg)
{
    if (pool == NULL || n <= 1 || inside) {
        for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->fn = fn;
    pool->arg = arg;
    pool->n = n;
    atomic_store(&pool->next, 0);
    pool->open = true;
    pool->round++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
    work(pool, 0);
    pthread_mutex_lock(&pool->mutex);
    pool->open = false;
    pthread_mutex_unlock(&pool->mutex);
    spin(pool, all_left, 0);
    pthread_mutex_lock(&pool->mutex);
    while (pool->busy != 0) pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
