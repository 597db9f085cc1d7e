#include "drift/clusters.h"

#include "base/mem.h"
#include "drift/keymap.h"

#include <string.h>

struct tsr_clusters {
    size_t width, n, cap_key, cap_sum;
    struct tsr_keymap map;
    struct tsr_key *key;
    double *sum;
};

enum tsr_status tsr_clusters_new(size_t width, struct tsr_clusters **out, struct tsr_error *err)
{
    *out = tsr_calloc(1, sizeof **out);
    if (*out == NULL) return tsr_nomem(err, sizeof **out);
    (*out)->width = width;
    return TSR_OK;
}

void tsr_clusters_free(struct tsr_clusters *c)
{
    if (c == NULL) return;
    tsr_keymap_release(&c->map);
    tsr_free(c->key);
    tsr_free(c->sum);
    tsr_free(c);
}

enum tsr_status tsr_clusters_add(struct tsr_clusters *c, const struct tsr_key *key, const double *x, struct tsr_error *err)
{
    uint32_t at = tsr_keymap_first(&c->map, key);
    while (at != TSR_KEYMAP_END && memcmp(&c->key[at], key, sizeof *key) != 0) at = tsr_keymap_next(&c->map, at);
    if (at == TSR_KEYMAP_END) {
        TSR_TRY(tsr_grow(&c->key, &c->cap_key, c->n + 1, sizeof *c->key, err));
        TSR_TRY(tsr_grow(&c->sum, &c->cap_sum, (c->n + 1) * c->width, sizeof *c->sum, err));
        TSR_TRY(tsr_keymap_insert(&c->map, key, (uint32_t)c->n, err));
        at = (uint32_t)c->n++;
        c->key[at] = *key;
        memset(c->sum + at * c->width, 0, c->width * sizeof *c->sum);
    }
    for (size_t i = 0; i < c->width; i++) c->sum[at * c->width + i] += x[i];
    return TSR_OK;
}

size_t tsr_clusters_count(const struct tsr_clusters *c) { return c->n; }
const double *tsr_clusters_sums(const struct tsr_clusters *c, size_t i) { return c->sum + i * c->width; }

void tsr_clusters_clear(struct tsr_clusters *c)
{
    tsr_keymap_clear(&c->map);
    c->n = 0;
}
