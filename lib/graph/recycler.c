#include "graph/recycler.h"

#include "base/mem.h"

struct tsr_recycled {
    struct tsr_recycled *next;
};

/* Class c stands for (4 + c % 4) << (c / 4 + 4) bytes: 64, 80, 96, 112, 128, ... */
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

static void *get(void *self, size_t bytes)
{
    struct tsr_recycler *r = self;
    if (bytes > (SIZE_MAX >> 2)) return NULL;
    unsigned c = class_of(bytes);
    size_t size = class_bytes(c);
    if (r->limit != 0 && (size > r->limit || r->live > r->limit - size)) return NULL;
    struct tsr_recycled *block = r->free_list[c];
    if (block != NULL) {
        r->free_list[c] = block->next;
        r->kept -= size;
    } else {
        block = tsr_aligned(size);
        if (block == NULL) return NULL;
    }
    r->live += size;
    if (r->live > r->peak) r->peak = r->live;
    return block;
}

static void put(void *self, void *p, size_t bytes)
{
    struct tsr_recycler *r = self;
    unsigned c = class_of(bytes);
    struct tsr_recycled *block = p;
    block->next = r->free_list[c];
    r->free_list[c] = block;
    r->live -= class_bytes(c);
    r->kept += class_bytes(c);
}

void tsr_recycler_init(struct tsr_recycler *r)
{
    *r = (struct tsr_recycler){.allocator = {get, put, r}};
}

void tsr_recycler_release(struct tsr_recycler *r)
{
    for (unsigned c = 0; c < TSR_RECYCLER_CLASSES; c++)
        while (r->free_list[c] != NULL) {
            struct tsr_recycled *next = r->free_list[c]->next;
            tsr_free(r->free_list[c]);
            r->free_list[c] = next;
        }
    r->kept = 0;
}
