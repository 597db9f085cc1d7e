#include "graph/recycler.h"

#include "base/mem.h"

#include <string.h>

#define SMALL ((size_t)16 << 10)     /* bytes up to which a block is kept in a list */
#define FIRST ((size_t)64 << 20)     /* address space of the regions; memory only where it is touched */
#define SECOND ((size_t)64 << 30)
#define STEP ((size_t)4 << 20)       /* by which the usable part grows */
/* Between blocks: equal rows of large matrices then do not meet in the same lines of the cache, and
 * AddressSanitizer sees who reads beyond an end. */
#define FENCE ((size_t)64)

#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif
#ifdef ASAN
#include <sanitizer/asan_interface.h>
#define HIDE(p, n) __asan_poison_memory_region((p), (n))
#define SHOW(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define HIDE(p, n) ((void)(p), (void)(n))
#define SHOW(p, n) ((void)(p), (void)(n))
#endif

/* ---- small blocks: class c stands for (4 + c % 4) << (c / 4 + 4) bytes: 64, 80, 96, 112, 128, ... */

struct tsr_recycled {
    struct tsr_recycled *next;
};

static size_t class_bytes(unsigned c) { return (size_t)(4 + c % 4) << (c / 4 + 4); }

static unsigned class_of(size_t bytes)
{
    unsigned c = 0;
    if (bytes > 64) {
        unsigned top = 63 - (unsigned)__builtin_clzll((unsigned long long)(bytes - 1)); /* 2^top < bytes */
        c = (top - 6) * 4;
        while (class_bytes(c) < bytes) c++;
    }
    return c;
}

static void *get_small(struct tsr_recycler *r, size_t bytes)
{
    unsigned c = class_of(bytes);
    struct tsr_recycled *block = r->free_list[c];
    if (block == NULL) return tsr_aligned(class_bytes(c));
    r->free_list[c] = block->next;
    return block;
}

static void put_small(struct tsr_recycler *r, void *p, size_t bytes)
{
    unsigned c = class_of(bytes);
    struct tsr_recycled *block = p;
    block->next = r->free_list[c];
    r->free_list[c] = block;
}

/* ---- large blocks ---- */

static size_t region_bytes(size_t bytes) { return ((bytes + 63) & ~(size_t)63) + FENCE; }

static void remove_gap(struct tsr_region *r, size_t i)
{
    memmove(&r->gap[i], &r->gap[i + 1], (r->n_gap - i - 1) * sizeof *r->gap);
    r->n_gap--;
}

/* The place of a new block of `need` bytes in the smallest gap that holds it; false: none does. */
static bool in_gap(struct tsr_region *r, size_t need, size_t *at)
{
    size_t best = r->n_gap;
    for (size_t i = 0; i < r->n_gap; i++)
        if (r->gap[i].bytes >= need && (best == r->n_gap || r->gap[i].bytes < r->gap[best].bytes)) best = i;
    if (best == r->n_gap) return false;
    *at = r->gap[best].at;
    r->gap[best].at += need;
    r->gap[best].bytes -= need;
    if (r->gap[best].bytes == 0) remove_gap(r, best);
    return true;
}

/* The same behind all blocks; false where the region cannot hold it. */
static bool on_top(struct tsr_region *r, size_t need, size_t *at)
{
    if (need > r->bytes - r->top) return false;
    if (!r->asked) {
        r->asked = true;
        r->base = tsr_reserve(r->bytes);
    }
    if (r->base == NULL) return false;
    size_t end = r->top + need;
    if (end > r->usable) {
        size_t usable = (end + STEP - 1) / STEP * STEP;
        if (!tsr_commit(r->base + r->usable, usable - r->usable)) return false;
        HIDE(r->base + r->usable, usable - r->usable);
        r->usable = usable;
    }
    *at = r->top;
    r->top = end;
    return true;
}

static void *get_large(struct tsr_recycler *recycler, size_t bytes)
{
    const size_t need = region_bytes(bytes);
    for (size_t i = 0; i < 2 * TSR_RECYCLER_REGIONS; i++) { /* the gaps of all regions before the top of any */
        struct tsr_region *r = &recycler->region[i % TSR_RECYCLER_REGIONS];
        size_t at;
        /* Each block that comes back may leave a gap: there must be room to note it. */
        if (tsr_grow(&r->gap, &r->cap_gap, r->blocks + 2, sizeof *r->gap, NULL) != TSR_OK) return NULL;
        if (!(i < TSR_RECYCLER_REGIONS ? in_gap : on_top)(r, need, &at)) continue;
        r->blocks++;
        SHOW(r->base + at, bytes);
        return r->base + at;
    }
    return tsr_aligned(bytes);
}

static struct tsr_region *region_of(struct tsr_recycler *recycler, const char *p)
{
    for (size_t i = 0; i < TSR_RECYCLER_REGIONS; i++) {
        struct tsr_region *r = &recycler->region[i];
        if (r->base != NULL && p >= r->base && p < r->base + r->bytes) return r;
    }
    return NULL;
}

static void put_large(struct tsr_recycler *recycler, char *p, size_t bytes)
{
    struct tsr_region *r = region_of(recycler, p);
    if (r == NULL) {
        tsr_free(p);
        return;
    }
    size_t at = (size_t)(p - r->base), n = region_bytes(bytes), lo = 0, hi = r->n_gap;
    HIDE(p, n);
    r->blocks--;
    while (lo < hi) { /* the first gap behind */
        size_t mid = lo + (hi - lo) / 2;
        if (r->gap[mid].at < at) lo = mid + 1;
        else hi = mid;
    }
    if (lo < r->n_gap && r->gap[lo].at == at + n) {
        n += r->gap[lo].bytes;
        remove_gap(r, lo);
    }
    if (lo > 0 && r->gap[lo - 1].at + r->gap[lo - 1].bytes == at) {
        lo--;
        at = r->gap[lo].at;
        n += r->gap[lo].bytes;
        remove_gap(r, lo);
    }
    if (at + n == r->top) {
        r->top = at;
        return;
    }
    memmove(&r->gap[lo + 1], &r->gap[lo], (r->n_gap - lo) * sizeof *r->gap);
    r->gap[lo] = (struct tsr_gap){at, n};
    r->n_gap++;
}

static void *get(void *self, size_t bytes)
{
    struct tsr_recycler *r = self;
    if (bytes > (SIZE_MAX >> 2)) return NULL;
    if (r->limit != 0 && (bytes > r->limit || r->live > r->limit - bytes)) return NULL;
    void *p = bytes <= SMALL ? get_small(r, bytes) : get_large(r, bytes);
    if (p != NULL) r->live += bytes;
    return p;
}

static void put(void *self, void *p, size_t bytes)
{
    struct tsr_recycler *r = self;
    r->live -= bytes;
    if (bytes <= SMALL) put_small(r, p, bytes);
    else put_large(r, p, bytes);
}

void tsr_recycler_init(struct tsr_recycler *r)
{
    *r = (struct tsr_recycler){.region = {{.bytes = FIRST}, {.bytes = SECOND}}, .allocator = {get, put, r}};
}

void tsr_recycler_release(struct tsr_recycler *r)
{
    for (unsigned c = 0; c < TSR_RECYCLER_CLASSES; c++)
        while (r->free_list[c] != NULL) {
            struct tsr_recycled *next = r->free_list[c]->next;
            tsr_free(r->free_list[c]);
            r->free_list[c] = next;
        }
    for (size_t i = 0; i < TSR_RECYCLER_REGIONS; i++) {
        struct tsr_region *region = &r->region[i];
        if (region->base != NULL) {
            SHOW(region->base, region->usable);
            tsr_unreserve(region->base, region->bytes);
        }
        tsr_free(region->gap);
    }
    tsr_recycler_init(r);
}
