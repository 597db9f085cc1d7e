#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_long fail_countdown; /* 0: off; > 0: allocations that still succeed, plus one */

void tsr_mem_fail_after(long n) { atomic_store(&fail_countdown, n); }

static bool must_fail(void)
{
    long left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    if (left == 0) return false;
    if (left == 1) return true;
    atomic_fetch_sub(&fail_countdown, 1);
    return false;
}

void *tsr_malloc(size_t n, size_t size)
{
    size_t bytes;
    if (!tsr_mul_size(n, size, &bytes) || must_fail()) return NULL;
    return malloc(bytes ? bytes : 1);
}

void *tsr_calloc(size_t n, size_t size)
{
    if (must_fail()) return NULL;
    return n && size ? calloc(n, size) : calloc(1, 1);
}

void *tsr_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!tsr_mul_size(n, size, &bytes) || must_fail()) return NULL;
    return realloc(p, bytes ? bytes : 1);
}

void *tsr_memdup(const void *p, size_t n)
{
    void *copy = tsr_malloc(n, 1);
    if (copy != NULL && n != 0) memcpy(copy, p, n);
    return copy;
}

char *tsr_strdup(const char *s) { return tsr_memdup(s, strlen(s) + 1); }

void tsr_free(void *p) { free(p); }

void *tsr_aligned(size_t bytes)
{
    size_t rounded;
    if (!tsr_add_size(bytes, 63, &rounded) || must_fail()) return NULL;
    rounded &= ~(size_t)63;
    return aligned_alloc(64, rounded ? rounded : 64);
}

void *tsr_reserve(size_t bytes)
{
    if (must_fail()) return NULL;
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* fewer faults, where the system has them */
    return p;
}

bool tsr_commit(void *p, size_t bytes)
{
    return !must_fail() && mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0;
}

void tsr_unreserve(void *p, size_t bytes) { (void)munmap(p, bytes); }

enum tsr_status tsr_nomem(struct tsr_error *err, size_t bytes)
{
    return tsr_fail(err, TSR_E_NOMEM, "cannot allocate %zu bytes of memory", bytes);
}

enum tsr_status tsr_grow(void *p, size_t *cap, size_t need, size_t size, struct tsr_error *err)
{
    if (need <= *cap) return TSR_OK;
    size_t want = *cap < 8 ? 8 : *cap;
    while (want < need)
        if (!tsr_mul_size(want, 2, &want)) return tsr_nomem(err, need);
    void *old;
    memcpy(&old, p, sizeof old);
    void *grown = tsr_realloc(old, want, size);
    if (grown == NULL) return tsr_nomem(err, want * size);
    memcpy(p, &grown, sizeof grown);
    *cap = want;
    return TSR_OK;
}
