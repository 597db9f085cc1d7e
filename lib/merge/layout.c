/* layout.c - the order in which cells are written, whatever the order they came in. */
#include "base/mem.h"
#include "merge/merge_impl.h"

#include <string.h>

void tsr_merge_layout_release(struct tsr_merge_layout *l)
{
    tsr_free(l->sample);
    tsr_free(l->block);
    tsr_free(l->sample_rank);
    tsr_free(l->view);
    *l = (struct tsr_merge_layout){0};
}

enum tsr_status tsr_merge_layout(const struct tsr_merge *m, struct tsr_merge_layout *l, struct tsr_error *err)
{
    const struct tsr_merge_table *t = &m->table;
    *l = (struct tsr_merge_layout){.sample = tsr_malloc(t->samples, 4), .block = tsr_malloc(t->blocks, 4),
                                   .sample_rank = tsr_malloc(t->samples, 4),
                                   .view = tsr_malloc(t->view_cells, sizeof *l->view)};
    enum tsr_status status = TSR_OK;
    if (l->sample == NULL || l->block == NULL || l->sample_rank == NULL || l->view == NULL)
        status = tsr_nomem(err, t->samples * 12 + t->view_cells * 8);
    if (status == TSR_OK) status = tsr_table_order(t, m->space.anchor, m->space.anchor != NULL ? m->space.anchors : 0, l->sample, l->block, err);
    if (status != TSR_OK) {
        tsr_merge_layout_release(l);
        return status;
    }
    for (size_t i = 0; i < t->samples; i++) l->sample_rank[l->sample[i]] = (uint32_t)i;
    size_t n = 0;
    for (size_t b = 0; b < t->blocks; b++) {
        const struct tsr_merge_block *block = &t->block[l->block[b]];
        for (size_t k = 0; k < (size_t)block->count * t->views; k++) l->view[n++] = block->cell + k;
    }
    return TSR_OK;
}

size_t tsr_merge_cell(const struct tsr_merge *m, const struct tsr_merge_layout *l, int plane, size_t i)
{
    if (m->space.contributors) return i;
    return plane % 2 == 0 ? l->sample[i] : l->view[i];
}

static void digest_floats(struct tsr_sha256 *h, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[4];
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        tsr_put_le32(bytes, bits);
        tsr_sha256_update(h, bytes, sizeof bytes);
    }
}

/* The axes of the spectral filter and how far along them is too far. */
static void digest_axis(const struct tsr_spectral *s, struct tsr_sha256 *h)
{
    uint8_t bytes[8];
    uint64_t most;
    memcpy(&most, &s->most, sizeof most);
    tsr_put_le64(bytes, most);
    tsr_sha256_update(h, bytes, sizeof bytes);
    digest_floats(h, s->axis, TSR_SPECTRAL_AXES * s->k);
}

static void digest_plane(struct tsr_merge *m, const struct tsr_merge_layout *l, int plane, struct tsr_sha256 *h)
{
    struct tsr_merge_plane *p = &m->plane[plane];
    struct tsr_merge_array a[TSR_MERGE_ARRAYS];
    uint8_t head[8];
    uint64_t radius;
    size_t additive, n = tsr_plane_arrays(p, a, &additive);
    memcpy(&radius, &p->radius, sizeof radius);
    tsr_put_le64(head, radius);
    tsr_sha256_update(h, head, sizeof head);
    for (size_t i = 0; i < p->cells; i++) {
        size_t cell = tsr_merge_cell(m, l, plane, i);
        for (size_t k = additive; k < n; k++) {
            const uint8_t *from = (const uint8_t *)*a[k].data + cell * a[k].stride * a[k].size;
            for (size_t e = 0; e < a[k].stride; e++) {
                uint8_t bytes[4];
                uint32_t v = 0;
                if (a[k].size == 2) {
                    uint16_t half;
                    memcpy(&half, from + 2 * e, 2);
                    v = half;
                } else {
                    memcpy(&v, from + 4 * e, 4);
                }
                tsr_put_le32(bytes, v);
                tsr_sha256_update(h, bytes, sizeof bytes);
            }
        }
    }
}

enum tsr_status tsr_merge_digest_state(struct tsr_merge *m, struct tsr_error *err)
{
    struct tsr_merge_layout l;
    struct tsr_sha256 h;
    uint8_t digest[TSR_SHA256_LEN];
    TSR_TRY(tsr_merge_layout(m, &l, err));
    tsr_sha256_init(&h);
    for (size_t i = 0; i < m->table.samples; i++) tsr_sha256_update(&h, m->table.sample[l.sample[i]].key.b, TSR_KEY_LEN);
    for (int i = 0; i < PLANES; i++)
        if (m->plane[i].embed.width > 0) digest_plane(m, &l, i, &h);
    enum tsr_merge_step step = tsr_rule_step(&m->opt.rule, m->centred, m->step);
    if (m->spectral.k > 0 && step != TSR_STEP_COUNT && step != TSR_STEP_SCATTER) digest_axis(&m->spectral, &h);
    tsr_sha256_final(&h, digest);
    tsr_hex(digest, sizeof digest, m->state);
    tsr_merge_layout_release(&l);
    return TSR_OK;
}
