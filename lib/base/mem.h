/* mem.h - checked sizes and memory. Everything the library allocates comes from here, so that
 * tests can make the n-th allocation fail. Thread-safe. */
#ifndef TSR_BASE_MEM_H
#define TSR_BASE_MEM_H

#include "base/status.h"

/* *out = a op b; false (and *out untouched) where the result does not fit. */
static inline TSR_MUST_USE bool tsr_mul_size(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
static inline TSR_MUST_USE bool tsr_add_size(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

/* n * size bytes; NULL where that overflows or memory is short. A zero product gives a unique
 * pointer. Release with tsr_free (NULL allowed). */
void *tsr_malloc(size_t n, size_t size) TSR_MUST_USE;
void *tsr_calloc(size_t n, size_t size) TSR_MUST_USE; /* zeroed */
/* As realloc; on failure the old block stays valid. */
void *tsr_realloc(void *p, size_t n, size_t size) TSR_MUST_USE;
/* Copies of n bytes, or of a string. */
void *tsr_memdup(const void *p, size_t n) TSR_MUST_USE;
char *tsr_strdup(const char *s) TSR_MUST_USE;
void tsr_free(void *p);

/* 64-byte aligned block; release with tsr_free. */
void *tsr_aligned(size_t bytes) TSR_MUST_USE;

/* Address space without memory, page-aligned; NULL where the system gives none (a limit on it counts
 * this as memory). tsr_commit makes whole pages of it readable, writable and zero; they take memory
 * once they are touched. */
void *tsr_reserve(size_t bytes) TSR_MUST_USE;
bool tsr_commit(void *p, size_t bytes) TSR_MUST_USE;
void tsr_unreserve(void *p, size_t bytes);

/* Grows *p (elements of `size` bytes, *cap of them) so that it holds at least `need`, by
 * doubling. On failure nothing changes and the status is TSR_E_NOMEM. */
enum tsr_status tsr_grow(void *p /* T ** */, size_t *cap, size_t need, size_t size,
                         struct tsr_error *err) TSR_MUST_USE;

/* The standard sentence for a failed allocation. */
enum tsr_status tsr_nomem(struct tsr_error *err, size_t bytes);

/* For tests: the n-th allocation from now (1 = the next) and all later ones fail; 0 = never. */
void tsr_mem_fail_after(long n);

#endif
