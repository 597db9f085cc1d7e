/* finish.c - writes an aggregate as a token stream that a receiver can be taught from. */
#include "base/mem.h"
#include "merge/factor.h"
#include "merge/merge_impl.h"
#include "stream/basis.h"
#include "stream/keys.h"
#include "stream/rows.h"

#include <stdio.h>
#include <string.h>

#define OUT_LAYER "merged"
#define HUB_RANK 64
#define ROWS_AT_ONCE ((size_t)1 << 22) /* numbers of one record of views, about */

struct block {
    size_t table; /* number in the table, where views are written; else SIZE_MAX */
    size_t first; /* of `sample` */
    uint32_t count;
};

struct out {
    struct tsr_merge *m;
    struct tsr_stream_writer *w;
    struct tsr_merge_layout l;
    uint32_t *sample; /* those that are written, in order */
    size_t samples;
    struct block *block;
    size_t blocks;
    bool views, hub, hub_views;
    float *basis;     /* [anchors, rank] of the merged hub tokens */
    size_t rank;
    double *y;        /* one embedded row */
};

static bool answered(const struct tsr_merge *m, int plane, size_t cell)
{
    const struct tsr_merge_plane *p = &m->plane[plane];
    return cell < p->cells && p->answers[cell] >= m->opt.min_answers;
}

static bool has(const struct tsr_merge *m, int plane) { return m->plane[plane].embed.width > 0; }

static bool sample_fit(const struct out *o, uint32_t sample)
{
    return answered(o->m, has(o->m, PLANE_OUT) ? PLANE_OUT : PLANE_HUB, sample);
}

static bool views_fit(const struct out *o, const struct tsr_merge_block *b, int plane)
{
    size_t n = (size_t)b->count * o->m->table.views;
    for (size_t i = 0; i < n; i++)
        if (!answered(o->m, plane, b->cell + i)) return false;
    return n > 0;
}

/* Blocks whose views are answered, as far as they do not share samples. */
static void choose_view_blocks(struct out *o, bool *taken)
{
    const struct tsr_merge_table *t = &o->m->table;
    int plane = has(o->m, PLANE_OUT_VIEWS) ? PLANE_OUT_VIEWS : PLANE_HUB_VIEWS;
    for (size_t i = 0; i < t->blocks; i++) {
        const struct tsr_merge_block *b = &t->block[o->l.block[i]];
        bool fit = views_fit(o, b, plane);
        for (uint32_t k = 0; k < b->count && fit; k++) fit = sample_fit(o, b->sample[k]) && !taken[b->sample[k]];
        if (!fit) continue;
        for (uint32_t k = 0; k < b->count; k++) {
            taken[b->sample[k]] = true;
            o->sample[o->samples + k] = b->sample[k];
        }
        o->block[o->blocks++] = (struct block){o->l.block[i], o->samples, b->count};
        o->samples += b->count;
    }
    o->views = o->blocks > 0;
}

/* The hub's anchors must be the first samples, and every sample must have hub tokens. */
static bool hub_fits(const struct out *o)
{
    const struct tsr_merge *m = o->m;
    if (!has(m, PLANE_HUB) || o->samples < m->space.anchors || m->space.anchor == NULL) return false;
    for (size_t i = 0; i < o->samples; i++)
        if (!answered(m, PLANE_HUB, o->sample[i])) return false;
    for (size_t i = 0; i < m->space.anchors; i++)
        if (memcmp(m->table.sample[o->sample[i]].key.b, m->space.anchor[i].b, TSR_KEY_LEN) != 0) return false;
    return true;
}

/* What is written, and in which blocks. */
static enum tsr_status choose(struct out *o, struct tsr_error *err)
{
    struct tsr_merge *m = o->m;
    size_t n = m->table.samples;
    bool *taken = tsr_calloc(n, sizeof *taken);
    o->sample = tsr_malloc(n, sizeof *o->sample);
    o->block = tsr_malloc(n, sizeof *o->block);
    if (taken == NULL || o->sample == NULL || o->block == NULL) {
        tsr_free(taken);
        return tsr_nomem(err, n * sizeof *o->block);
    }
    choose_view_blocks(o, taken);
    tsr_free(taken);
    if (!o->views) {
        for (size_t i = 0; i < n; i++)
            if (sample_fit(o, o->l.sample[i])) o->sample[o->samples++] = o->l.sample[i];
        for (size_t i = 0; i < o->samples; i += TSR_BLOCK_ROWS) {
            size_t count = o->samples - i < TSR_BLOCK_ROWS ? o->samples - i : TSR_BLOCK_ROWS;
            o->block[o->blocks++] = (struct block){SIZE_MAX, i, (uint32_t)count};
        }
    }
    if (o->samples == 0)
        return tsr_fail(err, TSR_E_LIMIT, "no sample has answers of %lld contributors", (long long)m->opt.min_answers);
    o->hub = hub_fits(o);
    o->hub_views = o->hub && o->views && has(m, PLANE_HUB_VIEWS);
    for (size_t b = 0; b < o->blocks && o->hub_views; b++)
        o->hub_views = views_fit(o, &m->table.block[o->block[b].table], PLANE_HUB_VIEWS);
    return TSR_OK;
}

static enum tsr_status put_head(struct out *o, struct tsr_error *err)
{
    struct tsr_merge *m = o->m;
    struct tsr_stream_head h = {.outputs = m->space.outputs, .classes = (int64_t)m->space.classes,
                                .reference_count = (int64_t)o->samples, .contributors = m->space.contributors};
    struct tsr_sha256 hash;
    uint8_t digest[TSR_SHA256_LEN];
    if (m->space.contributors ? m->space.outputs == TSR_KIND_NONE : !has(m, PLANE_OUT)) h.outputs = TSR_KIND_NONE;
    tsr_sha256_init(&hash);
    for (size_t i = 0; i < o->samples && !m->space.contributors; i++)
        tsr_sha256_update(&hash, m->table.sample[o->sample[i]].key.b, TSR_KEY_LEN);
    tsr_sha256_final(&hash, digest);
    if (m->space.contributors) h.reference_count = 0;
    else tsr_hex(digest, sizeof digest, h.reference_digest);
    enum tsr_status status = tsr_stream_head_set(&h.producer, m->opt.producer, err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.round, m->space.round, err);
    if (status == TSR_OK) status = tsr_space_get_inputs(&m->space, &h, err);
    if (status == TSR_OK) status = tsr_stream_head_put(o->w, &h, err);
    tsr_stream_head_release(&h);
    return status;
}

static enum tsr_status put_recipe(struct out *o, struct tsr_error *err)
{
    struct tsr_json *recipe;
    if (!o->views) return TSR_OK;
    TSR_TRY(tsr_json_parse(o->m->space.recipe, strlen(o->m->space.recipe), TSR_MAX_META, "the recipe of views", &recipe, err));
    enum tsr_status status = tsr_writer_put(o->w, TSR_VIEW, recipe, NULL, 0, err);
    tsr_json_free(recipe);
    return status;
}

/* A common basis for the merged hub tokens: their own leading directions over the references. */
static enum tsr_status put_basis(struct out *o, struct tsr_error *err)
{
    struct tsr_merge *m = o->m;
    const struct tsr_merge_plane *p = &m->plane[PLANE_HUB];
    size_t n = m->space.anchors, bytes;
    if (!o->hub) return TSR_OK;
    if (!tsr_mul_size(o->samples, n * sizeof(float), &bytes)) return tsr_nomem(err, SIZE_MAX);
    float *h = tsr_malloc(bytes, 1);
    o->basis = tsr_malloc(n, HUB_RANK * sizeof *o->basis);
    enum tsr_status status = h == NULL || o->basis == NULL ? tsr_nomem(err, bytes) : TSR_OK;
    for (size_t i = 0; i < o->samples && status == TSR_OK; i++) {
        tsr_plane_result(p, o->sample[i], o->y);
        tsr_embed_back(&p->embed, o->y, h + i * n);
    }
    if (status == TSR_OK) status = tsr_factor(h, o->samples, n, HUB_RANK, o->basis, &o->rank, err);
    tsr_free(h);
    TSR_TRY(status);
    struct tsr_basis b = {.layer = OUT_LAYER, .hub = m->space.hub, .dim = m->space.dim, .anchors = (int64_t)n,
                          .rank = (int64_t)o->rank};
    return tsr_basis_put(o->w, &b, TSR_F32, o->basis, err);
}

/* One row of a cell, as it is written. */
static void row_of(struct out *o, int plane, size_t cell, float *h, float *x)
{
    const struct tsr_merge_plane *p = &o->m->plane[plane];
    tsr_plane_result(p, cell, o->y);
    if (plane < PLANE_HUB) {
        tsr_embed_back(&p->embed, o->y, x);
        return;
    }
    tsr_embed_back(&p->embed, o->y, h);
    tsr_factor_row(h, o->m->space.anchors, o->basis, o->rank, x);
}

/* Rows of a block: the references (view 0), or n_views views from `view` on. */
static enum tsr_status put_rows(struct out *o, int plane, size_t number, int64_t view, int64_t n_views,
                                struct tsr_error *err)
{
    const struct block *b = &o->block[number];
    bool hub = plane >= PLANE_HUB;
    size_t cols = hub ? o->rank : o->m->space.classes, rows = b->count * (view > 0 ? (size_t)n_views : 1);
    struct tsr_rows r = {.type = hub ? TSR_HUBT : TSR_OUTS, .layer = hub ? OUT_LAYER : NULL, .block = (int64_t)number,
                         .count = b->count, .views = view > 0, .view = view, .n_views = view > 0 ? n_views : 0,
                         .set = tsr_rowset_choose(TSR_F32, hub ? TSR_KIND_NONE : o->m->space.outputs, rows, cols, cols)};
    float *x = tsr_malloc(rows, cols * sizeof *x), *h = tsr_malloc(o->m->space.anchors + 1, sizeof *h);
    enum tsr_status status = x == NULL || h == NULL ? tsr_nomem(err, rows * cols * sizeof *x) : TSR_OK;
    for (size_t i = 0; i < rows && status == TSR_OK; i++) {
        size_t cell = view > 0 ? o->m->table.block[b->table].cell + (size_t)(view - 1) * b->count + i
                               : o->sample[b->first + i];
        row_of(o, plane, cell, h, x + i * cols);
    }
    if (status == TSR_OK) status = tsr_rows_put(o->w, &r, x, err);
    tsr_free(x);
    tsr_free(h);
    return status;
}

static enum tsr_status put_views(struct out *o, int plane, size_t number, struct tsr_error *err)
{
    size_t cols = plane >= PLANE_HUB ? o->rank : o->m->space.classes;
    int64_t views = o->m->table.views, step = (int64_t)(ROWS_AT_ONCE / (cols * o->block[number].count));
    if (step < 1) step = 1;
    for (int64_t v = 1; v <= views; v += step)
        TSR_TRY(put_rows(o, plane, number, v, views - v + 1 < step ? views - v + 1 : step, err));
    return TSR_OK;
}

static enum tsr_status put_block(struct out *o, size_t number, struct tsr_error *err)
{
    const struct block *b = &o->block[number];
    struct tsr_block_keys k = {.block = (int64_t)number, .first = (int64_t)b->first, .count = b->count};
    k.key = tsr_malloc(b->count, sizeof *k.key);
    if (k.key == NULL) return tsr_nomem(err, b->count * sizeof *k.key);
    for (uint32_t i = 0; i < b->count; i++) k.key[i] = o->m->table.sample[o->sample[b->first + i]].key;
    enum tsr_status status = tsr_keys_put(o->w, &k, err);
    tsr_free(k.key);
    TSR_TRY(status);
    if (has(o->m, PLANE_OUT)) TSR_TRY(put_rows(o, PLANE_OUT, number, 0, 0, err));
    if (o->hub) TSR_TRY(put_rows(o, PLANE_HUB, number, 0, 0, err));
    if (o->views && has(o->m, PLANE_OUT_VIEWS)) TSR_TRY(put_views(o, PLANE_OUT_VIEWS, number, err));
    return o->hub_views ? put_views(o, PLANE_HUB_VIEWS, number, err) : TSR_OK;
}

/* The one row that all contributions were merged into. */
static enum tsr_status put_vector(struct out *o, struct tsr_error *err)
{
    struct tsr_merge *m = o->m;
    const struct tsr_merge_plane *p = &m->plane[0];
    bool hub = m->space.hub[0] != '\0';
    struct tsr_key key = tsr_roster_key("tessera-merge");
    struct tsr_block_keys k = {.count = 1, .key = &key};
    struct tsr_rows r = {.type = hub ? TSR_HUBT : TSR_OUTS, .layer = hub ? OUT_LAYER : NULL, .count = 1,
                         .set = tsr_rowset_choose(TSR_F32, hub ? TSR_KIND_NONE : m->space.outputs, 1, p->embed.cols, p->embed.cols)};
    float *x = tsr_malloc(p->embed.cols, sizeof *x);
    if (x == NULL) return tsr_nomem(err, p->embed.cols * sizeof *x);
    tsr_plane_result(p, 0, o->y);
    tsr_embed_back(&p->embed, o->y, x);
    enum tsr_status status = TSR_OK;
    if (hub) {
        struct tsr_basis b = {.layer = OUT_LAYER, .hub = m->space.hub, .dim = m->space.dim,
                              .anchors = (int64_t)m->space.basis.anchors, .rank = (int64_t)m->space.basis.rank};
        status = tsr_basis_put(o->w, &b, TSR_F32, m->space.basis.x, err);
    }
    if (status == TSR_OK) status = tsr_keys_put(o->w, &k, err);
    if (status == TSR_OK) status = tsr_rows_put(o->w, &r, x, err);
    tsr_free(x);
    return status;
}

static enum tsr_status fill_record(const struct tsr_merge *m, const struct tsr_merge_report *r, struct tsr_json *j,
                                   struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_copy(j, "policy", m->policy, err));
    TSR_TRY(tsr_json_set_int(j, "contributors", (int64_t)r->contributors, err));
    TSR_TRY(tsr_json_set_int(j, "weight", r->weight, err));
    TSR_TRY(tsr_json_set_int(j, "steps", r->steps, err));
    TSR_TRY(tsr_json_set_string(j, "inputs", r->inputs, err));
    TSR_TRY(tsr_json_set_string(j, "state", r->centre, err));
    return TSR_OK;
}

/* AGGR: what the aggregate is made of; the body lists the contributors that sent streams. */
static enum tsr_status put_record(struct out *o, const struct tsr_merge_report *r, struct tsr_error *err)
{
    struct tsr_roll *roll = &o->m->roll;
    struct tsr_json *meta;
    tsr_roll_sort(roll);
    TSR_TRY(tsr_json_object(&meta, err));
    enum tsr_status status = fill_record(o->m, r, meta, err);
    size_t bytes = roll->entries * sizeof *roll->entry;
    if (status == TSR_OK) status = tsr_writer_put(o->w, TSR_AGGR, meta, roll->entry, bytes > TSR_MAX_BODY ? 0 : bytes, err);
    tsr_json_free(meta);
    return status;
}

enum tsr_status tsr_merge_permitted(const struct tsr_merge *m, struct tsr_error *err)
{
    const struct tsr_merge_options *o = &m->opt;
    const struct tsr_roll *r = &m->roll;
    if (o->shards > 0 && m->shards != o->shards)
        return tsr_fail(err, TSR_E_LIMIT, "%lld of %lld shards are there", (long long)m->shards, (long long)o->shards);
    if (r->contributors == 0)
        return m->rejected == 0 ? tsr_fail(err, TSR_E_LIMIT, "nobody counts: the round is empty")
                                : tsr_fail(err, TSR_E_LIMIT, "nobody counts: all %llu contributions were refused (-v and --report say why)",
                                           (unsigned long long)m->rejected);
    if (r->contributors < (uint64_t)o->min_contributors)
        return tsr_fail(err, TSR_E_LIMIT, "%llu contributors count, %lld are needed", (unsigned long long)r->contributors,
                        (long long)o->min_contributors);
    if ((double)r->most > o->max_share * (double)r->weight)
        return tsr_fail(err, TSR_E_LIMIT, "one contributor has %.4g of the weight, more than the %.4g allowed",
                        (double)r->most / (double)r->weight, o->max_share);
    return TSR_OK;
}

static enum tsr_status write_all(struct out *o, struct tsr_merge_report *r, struct tsr_error *err)
{
    struct tsr_merge *m = o->m;
    size_t width = 1;
    if (tsr_rule_batch(&m->opt.rule)) TSR_TRY(tsr_batch_run(&m->batch, &m->opt.rule, m->centred, m->plane, PLANES, err));
    for (int i = 0; i < PLANES; i++) {
        tsr_plane_settle(&m->plane[i]);
        if (m->plane[i].embed.width > width) width = m->plane[i].embed.width;
    }
    o->y = tsr_malloc(width, sizeof *o->y);
    if (o->y == NULL) return tsr_nomem(err, width * sizeof *o->y);
    TSR_TRY(tsr_merge_layout(m, &o->l, err));
    if (!m->space.contributors) TSR_TRY(choose(o, err));
    TSR_TRY(put_head(o, err));
    if (m->space.contributors) {
        TSR_TRY(put_vector(o, err));
        r->samples = 1;
    } else {
        TSR_TRY(put_recipe(o, err));
        TSR_TRY(put_basis(o, err));
        for (size_t b = 0; b < o->blocks; b++) TSR_TRY(put_block(o, b, err));
        r->samples = o->samples;
        r->views = o->views ? m->table.views : 0;
        r->left_out = m->table.samples - o->samples;
        r->hub = o->hub;
    }
    TSR_TRY(put_record(o, r, err));
    return tsr_writer_finish(o->w, err);
}

enum tsr_status tsr_merge_finish(struct tsr_merge *m, struct tsr_stream_writer *w, struct tsr_merge_report *report,
                                 struct tsr_error *err)
{
    struct out o = {.m = m, .w = w};
    uint8_t root[TSR_SHA256_LEN];
    if (!tsr_merge_last(m))
        return tsr_fail(err, TSR_E_USAGE, "the rule '%s' is not at its last step; write the state and take another step",
                        tsr_rule_name(m->opt.rule.rule));
    TSR_TRY(tsr_merge_permitted(m, err));
    tsr_merge_counts(m, report);
    tsr_roll_root(&m->roll, root);
    tsr_hex(root, sizeof root, report->inputs);
    memcpy(report->centre, m->state, sizeof report->centre);
    enum tsr_status status = write_all(&o, report, err);
    if (status == TSR_OK) status = tsr_merge_tell(m, err);
    tsr_merge_layout_release(&o.l);
    tsr_free(o.sample);
    tsr_free(o.block);
    tsr_free(o.basis);
    tsr_free(o.y);
    return status;
}
