#include "graph/index.h"

#include "base/mem.h"

#include <string.h>

struct slot {
    const char *name; /* NULL: free */
    uint64_t hash;
    int32_t id;
};

struct tsr_index {
    struct slot *slot;
    size_t n, size; /* size is a power of two, at least twice n */
};

/* FNV-1a with a final mix; collisions only cost time, and file names are not adversarial beyond
 * what the node limit of the importer allows. */
static uint64_t hash_name(const char *s)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001B3u;
    return h ^ (h >> 29);
}

static void place(struct slot *slots, size_t size, struct slot s)
{
    size_t i = s.hash & (size - 1);
    while (slots[i].name != NULL) i = (i + 1) & (size - 1);
    slots[i] = s;
}

enum tsr_status tsr_index_new(struct tsr_index **out, struct tsr_error *err)
{
    struct tsr_index *index = tsr_calloc(1, sizeof *index);
    if (index == NULL) return tsr_nomem(err, sizeof *index);
    index->size = 64;
    index->slot = tsr_calloc(index->size, sizeof *index->slot);
    if (index->slot == NULL) {
        size_t bytes = index->size * sizeof *index->slot;
        tsr_free(index);
        return tsr_nomem(err, bytes);
    }
    *out = index;
    return TSR_OK;
}

void tsr_index_free(struct tsr_index *index)
{
    if (index == NULL) return;
    tsr_free(index->slot);
    tsr_free(index);
}

enum tsr_status tsr_index_add(struct tsr_index *index, const char *name, int32_t id, struct tsr_error *err)
{
    if (2 * (index->n + 1) > index->size) {
        struct slot *grown = tsr_calloc(index->size * 2, sizeof *grown);
        if (grown == NULL) return tsr_nomem(err, index->size * 2 * sizeof *grown);
        for (size_t i = 0; i < index->size; i++)
            if (index->slot[i].name != NULL) place(grown, index->size * 2, index->slot[i]);
        tsr_free(index->slot);
        index->slot = grown;
        index->size *= 2;
    }
    place(index->slot, index->size, (struct slot){name, hash_name(name), id});
    index->n++;
    return TSR_OK;
}

int32_t tsr_index_find(const struct tsr_index *index, const char *name)
{
    uint64_t h = hash_name(name);
    for (size_t i = h & (index->size - 1); index->slot[i].name != NULL; i = (i + 1) & (index->size - 1))
        if (index->slot[i].hash == h && strcmp(index->slot[i].name, name) == 0) return index->slot[i].id;
    return -1;
}
