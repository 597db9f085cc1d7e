/* count.c - adds a contribution to what the step of the rule gathers. */
#include "base/mem.h"
#include "merge/kernel.h"
#include "merge/merge_impl.h"

#include <math.h>
#include <string.h>

/* Joins the contribution's samples and blocks to ours: sample[i] for its samples in order, block[b] where
 * it answered views. */
static enum tsr_status join_samples(struct tsr_merge *m, const struct tsr_contribution *c, uint32_t *sample, size_t *block,
                                    struct tsr_error *err)
{
    m->table.views = m->space.views;
    m->table.stamp++;
    for (size_t b = 0; b < c->blocks; b++) {
        const struct tsr_merge_keys *k = &c->block[b];
        const uint32_t *first = sample;
        bool views = false;
        for (size_t i = 0; i < c->n_rows; i++) views = views || (c->rows[i].block == b && c->rows[i].views);
        for (uint32_t i = 0; i < k->count; i++)
            TSR_TRY(tsr_table_next(&m->table, &k->key[i], k->first + i, sample++, err));
        if (views) TSR_TRY(tsr_table_block(&m->table, first, k->count, k->first, &block[b], err));
    }
    return TSR_OK;
}

/* A name for a row that does not depend on what else there is. */
static uint64_t row_id(const struct tsr_merge *m, int plane, uint32_t sample, int64_t view)
{
    const struct tsr_merge_sample *s = &m->table.sample[sample];
    uint64_t id = tsr_get_le64(s->key.b) ^ tsr_get_le64(s->key.b + 8);
    id += UINT64_C(0x9E3779B97F4A7C15) * ((uint64_t)s->nth * 4 + (uint64_t)plane + 1);
    id += UINT64_C(0xD1B54A32D192ED03) * (uint64_t)view;
    return id | 1;
}

/* All rows of the contribution, with their cells. */
static size_t list_rows(struct tsr_merge *m, const uint32_t *sample, const size_t *block, struct tsr_merge_row *out)
{
    const struct tsr_contribution *c = &m->c;
    size_t n = 0;
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct tsr_merge_rows *r = &c->rows[i];
        int plane = (r->hub ? PLANE_HUB : PLANE_OUT) + (r->views ? 1 : 0);
        size_t count = c->block[r->block].count, first = 0, width = m->plane[plane].embed.width;
        for (size_t b = 0; b < r->block; b++) first += c->block[b].count;
        for (size_t k = 0; k < r->rows; k++) {
            int64_t view = r->views ? r->view + (int64_t)(k / count) : 0;
            uint32_t s = sample[first + k % count];
            size_t cell = r->views ? m->table.block[block[r->block]].cell + (size_t)(r->view - 1) * count + k : s;
            out[n++] = (struct tsr_merge_row){plane, cell, r->x + k * width, row_id(m, plane, s, view)};
        }
    }
    return n;
}

/* The contribution's profile into m->profile. */
static enum tsr_status make_profile(struct tsr_merge *m, const struct tsr_merge_row *row, size_t n, struct tsr_error *err)
{
    size_t k = tsr_profile_length(m->space.contributors, m->plane[0].embed.width);
    if (m->spectral.k == 0) TSR_TRY(tsr_spectral_init(&m->spectral, k, err));
    if (m->profile == NULL) m->profile = tsr_malloc(k, sizeof *m->profile);
    if (m->numbers == NULL) m->numbers = tsr_malloc(k, sizeof *m->numbers);
    if (m->profile == NULL || m->numbers == NULL) return tsr_nomem(err, k * 12);
    memset(m->numbers, 0, k * sizeof *m->numbers);
    for (size_t i = 0; i < n; i++) {
        const struct tsr_merge_plane *p = &m->plane[row[i].plane];
        double norm2, dot;
        if (tsr_embed_loose(&p->embed)) continue;
        tsr_merge_measure(row[i].x, NULL, p->embed.width, &norm2, &dot);
        tsr_profile_add(m->numbers, k, row[i].x, 1 / sqrt(norm2), p->centre + row[i].cell * p->embed.width, p->embed.width,
                        m->space.contributors ? 0 : row[i].id);
    }
    tsr_profile_end(m->numbers, k, n, m->profile);
    return TSR_OK;
}

enum tsr_status tsr_merge_add_rows(struct tsr_merge *m, const struct tsr_key *key, const struct tsr_merge_row *row, size_t n,
                                   int64_t weight, enum tsr_merge_fault *fault, double *cosines, struct tsr_error *err)
{
    const struct tsr_merge_rule_options *o = &m->opt.rule;
    *fault = TSR_FAULT_NONE;
    *cosines = 0;
    if (tsr_rule_batch(o)) return tsr_batch_add(&m->batch, key, weight, row, n, m->plane, err);
    if (o->rule == TSR_RULE_SPECTRAL) {
        enum tsr_merge_step step = tsr_rule_step(o, m->centred, m->step);
        if (step != TSR_STEP_COUNT) TSR_TRY(make_profile(m, row, n, err));
        if (step == TSR_STEP_SCATTER) return tsr_spectral_scatter(&m->spectral, m->profile, weight, err);
        if (step == TSR_STEP_PROJECT) tsr_spectral_project(&m->spectral, m->profile, weight);
        if (step == TSR_STEP_PROJECT) return TSR_OK;
        if (step == TSR_STEP_SUM && tsr_spectral_distance(&m->spectral, m->profile) >= m->spectral.most) {
            *fault = TSR_FAULT_OUTLIER;
            return TSR_OK;
        }
    }
    for (size_t i = 0; i < n; i++) {
        struct tsr_merge_look look;
        TSR_TRY(tsr_plane_add(&m->plane[row[i].plane], row[i].cell, row[i].x, weight, &look, err));
        *cosines += look.cosine;
    }
    if (m->opt.stop != NULL && m->opt.stop()) return tsr_fail(err, TSR_E_INTERRUPTED, "interrupted");
    return TSR_OK;
}

/* The contribution's samples and rows joined to the others', and added. */
static enum tsr_status add_contribution(struct tsr_merge *m, uint32_t *sample, size_t *block, struct tsr_merge_row *row,
                                        int64_t weight, enum tsr_merge_fault *fault, double *cosines, struct tsr_error *err)
{
    struct tsr_contribution *c = &m->c;
    for (size_t i = 0; i < c->n_rows; i++)
        TSR_TRY(tsr_merge_open_plane(m, (c->rows[i].hub ? PLANE_HUB : PLANE_OUT) + (c->rows[i].views ? 1 : 0), err));
    TSR_TRY(join_samples(m, c, sample, block, err));
    TSR_TRY(tsr_merge_grow(m, err));
    size_t n = list_rows(m, sample, block, row);
    if (!m->loading) return tsr_merge_add_rows(m, &c->key, row, n, weight, fault, cosines, err);
    for (size_t i = 0; i < n; i++) tsr_plane_centre(&m->plane[row[i].plane], row[i].cell, row[i].x);
    return TSR_OK;
}

enum tsr_status tsr_merge_count(struct tsr_merge *m, const char *source, int64_t weight, struct tsr_error *err)
{
    struct tsr_contribution *c = &m->c;
    size_t samples = 0, rows = 0;
    double cosines = 0;
    enum tsr_merge_fault fault = TSR_FAULT_NONE;
    for (size_t b = 0; b < c->blocks; b++) samples += c->block[b].count;
    for (size_t i = 0; i < c->n_rows; i++) rows += c->rows[i].rows;
    uint32_t *sample = tsr_malloc(samples, sizeof *sample);
    size_t *block = tsr_malloc(c->blocks, sizeof *block);
    struct tsr_merge_row *row = tsr_malloc(rows, sizeof *row);
    enum tsr_status status = sample == NULL || block == NULL || row == NULL
                                 ? tsr_nomem(err, rows * sizeof *row)
                                 : add_contribution(m, sample, block, row, weight, &fault, &cosines, err);
    if (status == TSR_OK && !m->loading && fault == TSR_FAULT_NONE) {
        uint8_t leaf[TSR_KEY_LEN + TSR_SHA256_LEN + 8];
        memcpy(leaf, c->key.b, TSR_KEY_LEN);
        memcpy(leaf + TSR_KEY_LEN, c->root, TSR_SHA256_LEN);
        tsr_put_le64(leaf + TSR_KEY_LEN + TSR_SHA256_LEN, (uint64_t)weight);
        tsr_roll_digest(&m->roll, leaf, sizeof leaf);
        status = tsr_roll_add(&m->roll, &c->key, c->root, weight, err);
    }
    m->answered = sample;
    m->n_answered = status == TSR_OK && fault == TSR_FAULT_NONE ? samples : 0;
    if (status == TSR_OK && !m->loading)
        tsr_merge_say(m, c->id, source, fault, fault == TSR_FAULT_OUTLIER ? "it stands out along the direction of most variance" : "",
                      weight, rows, cosines);
    m->n_answered = 0;
    tsr_free(sample);
    tsr_free(block);
    tsr_free(row);
    return status;
}
