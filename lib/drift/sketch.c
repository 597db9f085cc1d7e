#include "drift/sketch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void tsr_sketch_init(struct tsr_sketch *s, size_t ref_cols, size_t cols)
{
    size_t wide = ref_cols > cols ? ref_cols : cols, fit = TSR_SKETCH_BYTES / sizeof(float) / wide;
    *s = (struct tsr_sketch){.cols = {ref_cols, cols}, .limit = fit < TSR_SKETCH_ROWS ? fit : TSR_SKETCH_ROWS};
}

void tsr_sketch_release(struct tsr_sketch *s)
{
    tsr_free(s->x[0]);
    tsr_free(s->x[1]);
    tsr_free(s->heap);
    *s = (struct tsr_sketch){0};
}

/* Keys are hashes already, but the low ones of a crafted set need not be typical: hash them again. */
static struct tsr_key priority_of(const struct tsr_key *key)
{
    struct tsr_keyhash h;
    struct tsr_key p;
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, "sketch", 6);
    tsr_keyhash_update(&h, key->b, sizeof key->b);
    tsr_keyhash_final(&h, &p);
    return p;
}

static int compare(const void *a, const void *b)
{
    const struct tsr_sketch_item *x = a, *y = b;
    int c = memcmp(x->priority.b, y->priority.b, sizeof x->priority.b);
    return c != 0 ? c : (x->slot > y->slot) - (x->slot < y->slot);
}

static void sift_up(struct tsr_sketch_item *heap, size_t i)
{
    while (i > 0 && compare(&heap[i], &heap[(i - 1) / 2]) > 0) {
        struct tsr_sketch_item t = heap[i];
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = t;
        i = (i - 1) / 2;
    }
}

static void sift_down(struct tsr_sketch_item *heap, size_t n)
{
    for (size_t i = 0;;) {
        size_t child = 2 * i + 1;
        if (child >= n) return;
        if (child + 1 < n && compare(&heap[child + 1], &heap[child]) > 0) child++;
        if (compare(&heap[i], &heap[child]) >= 0) return;
        struct tsr_sketch_item t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

enum tsr_status tsr_sketch_add(struct tsr_sketch *s, const struct tsr_key *key, const float *ref, const float *x,
                               struct tsr_error *err)
{
    struct tsr_sketch_item item = {.priority = priority_of(key), .slot = s->rows};
    if (s->limit == 0) return TSR_OK;
    if (s->rows < s->limit) {
        TSR_TRY(tsr_grow(&s->x[0], &s->cap[0], (s->rows + 1) * s->cols[0], sizeof(float), err));
        TSR_TRY(tsr_grow(&s->x[1], &s->cap[1], (s->rows + 1) * s->cols[1], sizeof(float), err));
        TSR_TRY(tsr_grow(&s->heap, &s->cap_heap, s->rows + 1, sizeof *s->heap, err));
        s->heap[s->rows] = item;
        sift_up(s->heap, s->rows++);
    } else {
        if (memcmp(item.priority.b, s->heap[0].priority.b, sizeof item.priority.b) >= 0) return TSR_OK;
        item.slot = s->heap[0].slot;
        s->heap[0] = item;
        sift_down(s->heap, s->rows);
    }
    memcpy(s->x[0] + item.slot * s->cols[0], ref, s->cols[0] * sizeof *ref);
    memcpy(s->x[1] + item.slot * s->cols[1], x, s->cols[1] * sizeof *x);
    return TSR_OK;
}

void tsr_sketch_sort(struct tsr_sketch *s)
{
    if (s->rows > 0) qsort(s->heap, s->rows, sizeof *s->heap, compare);
}
