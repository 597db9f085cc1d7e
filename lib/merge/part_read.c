/* part_read.c - adds partial aggregates, and takes over states. Nothing of them is believed: lengths are
 * compared with the bytes that are there before memory is taken, and sums must not overflow. */
#include "base/mem.h"
#include "merge/merge_impl.h"

#include <string.h>

struct tsr_merge_part {
    bool state;      /* an AGGR: arrays replace ours */
    bool fresh;      /* ours was untouched: what the step began with is taken over */
    bool headed;
    bool plane[PLANES];
    uint32_t *sample; /* its samples, as ours are numbered */
    size_t samples, cap_sample;
    size_t *view;     /* its view cells, as ours are numbered */
    size_t views, cap_view;
    struct tsr_roll roll;
    struct tsr_buf body;
};

void tsr_merge_part_free(struct tsr_merge_part *part)
{
    if (part == NULL) return;
    tsr_free(part->sample);
    tsr_free(part->view);
    tsr_roll_release(&part->roll);
    tsr_buf_release(&part->body);
    tsr_free(part);
}

static enum tsr_status take_planes(struct tsr_merge *m, struct tsr_merge_part *part, const struct tsr_json *list,
                                   struct tsr_error *err)
{
    for (const struct tsr_json *j = tsr_json_first(list); j != NULL; j = tsr_json_next(j)) {
        int64_t i;
        bool centred;
        double radius;
        TSR_TRY(tsr_json_need_int(j, "plane", 0, m->space.contributors ? 0 : PLANES - 1, &i, err));
        TSR_TRY(tsr_json_need_bool(j, "centred", &centred, err));
        TSR_TRY(tsr_json_need_number(j, "radius", 0, 4, &radius, err));
        bool hub = m->space.contributors ? m->space.hub[0] != '\0' : i >= PLANE_HUB;
        if (hub ? m->space.hub[0] == '\0' : m->space.outputs == TSR_KIND_NONE)
            return tsr_fail(err, TSR_E_CORRUPT, "a plane of rows is not among what it says it holds");
        if (i % 2 == 1 && m->space.recipe == NULL) return tsr_fail(err, TSR_E_CORRUPT, "it holds views without a recipe");
        bool open = m->plane[i].embed.width > 0;
        TSR_TRY(tsr_merge_open_plane(m, (int)i, err));
        if (!open || part->state) {
            m->plane[i].centred = centred;
            m->plane[i].radius = radius;
        } else if (m->plane[i].centred != centred || m->plane[i].radius < radius || m->plane[i].radius > radius) {
            return tsr_fail(err, TSR_E_MISMATCH, "the partial aggregates began with different centres or radii");
        }
        part->plane[i] = true;
    }
    return TSR_OK;
}

static enum tsr_status take_counts(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                   const struct tsr_record *rec, struct tsr_error *err)
{
    int64_t shards, contributors;
    struct tsr_roll *r = &part->roll;
    TSR_TRY(tsr_json_need_int(rec->meta, "shards", 0, INT32_MAX, &shards, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "contributors", 0, TSR_JSON_INT_MAX / 2, &contributors, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "weight", 0, TSR_JSON_INT_MAX / 2, &r->weight, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "most", 0, r->weight, &r->most, err));
    if (m->shards > INT32_MAX || m->roll.weight > TSR_JSON_INT_MAX / 2)
        return tsr_fail(err, TSR_E_LIMIT, "there are too many partial aggregates");
    r->contributors = (uint64_t)contributors;
    m->shards += shards;
    tsr_buf_clear(&part->body);
    TSR_TRY(tsr_stream_load_body(s, 2 * TSR_ROLL_LANES, &part->body, err));
    if (part->body.len != 2 * TSR_ROLL_LANES) return tsr_fail(err, TSR_E_CORRUPT, "its digest of contributions is cut short");
    for (size_t i = 0; i < TSR_ROLL_LANES; i++) r->lane[i] = tsr_get_le16(part->body.data + 2 * i);
    return TSR_OK;
}

static enum tsr_status take_head(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                 const struct tsr_record *rec, struct tsr_error *err)
{
    const struct tsr_json *policy, *space, *planes;
    struct tsr_merge_space is = {0};
    int64_t step;
    bool centred;
    const char *state;
    TSR_TRY(tsr_json_need_object(rec->meta, "policy", &policy, err));
    TSR_TRY(tsr_json_need_object(rec->meta, "space", &space, err));
    TSR_TRY(tsr_json_need_array(rec->meta, "planes", &planes, err));
    TSR_TRY(tsr_json_need_bool(rec->meta, "centred", &centred, err));
    TSR_TRY(tsr_json_need_string(rec->meta, "state", &state, err));
    if (strlen(state) != 0 && strlen(state) != TSR_DIGEST_TEXT - 1) return tsr_fail(err, TSR_E_CORRUPT, "field 'state' is no SHA-256");
    part->fresh = part->state || (!m->begun && m->state[0] == '\0');
    TSR_TRY(tsr_merge_adopt(m, policy, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "step", 0, tsr_rule_steps(&m->opt.rule, centred) - 1, &step, err));
    if (part->fresh) {
        m->step = (int)step;
        m->centred = centred;
        memcpy(m->state, state, strlen(state) + 1);
    } else if (m->step != step || m->centred != centred || strcmp(m->state, state) != 0) {
        return tsr_fail(err, TSR_E_MISMATCH, "the partial aggregates are of different steps or began with different centres");
    }
    enum tsr_status status = tsr_space_from_json(&is, space, err);
    if (status == TSR_OK) status = tsr_space_join(&m->space, &is, err);
    tsr_space_release(&is);
    TSR_TRY(status);
    m->table.views = m->space.views;
    TSR_TRY(take_planes(m, part, planes, err));
    if (!part->state) TSR_TRY(take_counts(m, part, s, rec, err));
    m->begun = m->begun || !part->state;
    part->headed = true;
    return TSR_OK;
}

/* The body of a record that holds items of `size` bytes: how many. */
static enum tsr_status load(struct tsr_merge_part *part, struct tsr_stream *s, size_t size, size_t *n, struct tsr_error *err)
{
    *n = 0;
    tsr_buf_clear(&part->body);
    TSR_TRY(tsr_stream_load_body(s, TSR_MAX_BODY, &part->body, err));
    if (part->body.len == 0 || part->body.len % size != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "its body of %zu bytes does not consist of items of %zu", part->body.len, size);
    *n = part->body.len / size;
    return TSR_OK;
}

static enum tsr_status take_anchors(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s, struct tsr_error *err)
{
    size_t n;
    TSR_TRY(load(part, s, TSR_KEY_LEN, &n, err));
    if (n != m->space.anchors) return tsr_fail(err, TSR_E_CORRUPT, "it has %zu anchors where its hub has %zu", n, m->space.anchors);
    if (m->space.anchor == NULL && (m->space.anchor = tsr_memdup(part->body.data, part->body.len)) == NULL)
        return tsr_nomem(err, part->body.len);
    if (memcmp(m->space.anchor, part->body.data, part->body.len) != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "its anchors are not those of its hub");
    return TSR_OK;
}

static enum tsr_status take_basis(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s, struct tsr_error *err)
{
    size_t n;
    TSR_TRY(load(part, s, 4, &n, err));
    uint8_t digest[TSR_SHA256_LEN];
    char hex[TSR_DIGEST_TEXT];
    tsr_sha256(part->body.data, part->body.len, digest);
    tsr_hex(digest, sizeof digest, hex);
    struct tsr_merge_basis *b = &m->space.basis;
    if (m->space.rank == 0 || n % m->space.rank != 0 || n / m->space.rank != m->space.anchors || strcmp(hex, b->digest) != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "its basis is not the one it names");
    if (b->x != NULL) return TSR_OK;
    b->x = tsr_malloc(n, sizeof *b->x);
    if (b->x == NULL) return tsr_nomem(err, n * sizeof *b->x);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = tsr_get_le32(part->body.data + 4 * i);
        memcpy(&b->x[i], &bits, sizeof bits);
    }
    b->anchors = m->space.anchors;
    b->rank = m->space.rank;
    return TSR_OK;
}

static enum tsr_status take_samples(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s, struct tsr_error *err)
{
    size_t n;
    TSR_TRY(load(part, s, TSR_KEY_LEN + 16, &n, err));
    if (part->samples > 0) return tsr_fail(err, TSR_E_CORRUPT, "it has two lists of samples");
    TSR_TRY(tsr_grow(&part->sample, &part->cap_sample, n, sizeof *part->sample, err));
    for (size_t i = 0; i < n; i++) {
        struct tsr_key key;
        const uint8_t *p = part->body.data + i * (TSR_KEY_LEN + 16);
        memcpy(key.b, p, TSR_KEY_LEN);
        int64_t place = (int64_t)tsr_get_le64(p + TSR_KEY_LEN);
        uint64_t nth = tsr_get_le64(p + TSR_KEY_LEN + 8);
        if (place < 0 || place > TSR_JSON_INT_MAX || nth >= TSR_MERGE_OCCURRENCES)
            return tsr_fail(err, TSR_E_CORRUPT, "the place of a sample is impossible");
        TSR_TRY(tsr_table_sample(&m->table, &key, (uint32_t)nth, place, &part->sample[i], err));
    }
    part->samples = n;
    return TSR_OK; /* cells grow when their sums come */
}

static enum tsr_status take_block(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                  const struct tsr_record *rec, struct tsr_error *err)
{
    size_t n, block;
    int64_t place;
    TSR_TRY(tsr_json_need_int(rec->meta, "place", 0, TSR_JSON_INT_MAX - TSR_BLOCK_ROWS, &place, err));
    TSR_TRY(load(part, s, 4, &n, err));
    if (n > TSR_BLOCK_ROWS || m->space.recipe == NULL) return tsr_fail(err, TSR_E_CORRUPT, "a block of views is impossible");
    uint32_t *sample = tsr_malloc(n, sizeof *sample);
    if (sample == NULL) return tsr_nomem(err, n * sizeof *sample);
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < n && status == TSR_OK; i++) {
        uint32_t at = tsr_get_le32(part->body.data + 4 * i);
        if (at >= part->samples) status = tsr_fail(err, TSR_E_CORRUPT, "a block names a sample that is not there");
        else sample[i] = part->sample[at];
    }
    if (status == TSR_OK) status = tsr_table_block(&m->table, sample, (uint32_t)n, place, &block, err);
    tsr_free(sample);
    TSR_TRY(status);
    size_t cells = n * m->table.views;
    TSR_TRY(tsr_grow(&part->view, &part->cap_view, part->views + cells, sizeof *part->view, err));
    for (size_t i = 0; i < cells; i++) part->view[part->views++] = m->table.block[block].cell + i;
    return TSR_OK;
}

static enum tsr_status take_roll(struct tsr_merge_part *part, struct tsr_stream *s, struct tsr_error *err)
{
    size_t n;
    TSR_TRY(load(part, s, sizeof(struct tsr_roll_entry), &n, err));
    for (size_t i = 0; i < n; i++) {
        struct tsr_roll_entry e;
        memcpy(&e, part->body.data + i * sizeof e, sizeof e);
        if (tsr_roll_find(&part->roll, &e.key, e.root) != TSR_ROLL_NEW)
            return tsr_fail(err, TSR_E_CORRUPT, "a contributor is on its roll twice");
        TSR_TRY(tsr_roll_list(&part->roll, &e, err));
    }
    return TSR_OK;
}

static enum tsr_status take_runs(struct tsr_merge_part *part, struct tsr_stream *s, struct tsr_error *err)
{
    size_t n;
    TSR_TRY(load(part, s, 2 * TSR_KEY_LEN + 8, &n, err));
    if (n > TSR_ROLL_RUNS || part->roll.runs > 0) return tsr_fail(err, TSR_E_CORRUPT, "its ranges of contributors are too many");
    TSR_TRY(tsr_grow(&part->roll.run, &part->roll.cap_run, n, sizeof *part->roll.run, err));
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = part->body.data + i * (2 * TSR_KEY_LEN + 8);
        struct tsr_roll_run *run = &part->roll.run[i];
        memcpy(run->first.b, p, TSR_KEY_LEN);
        memcpy(run->last.b, p + TSR_KEY_LEN, TSR_KEY_LEN);
        run->count = tsr_get_le64(p + 2 * TSR_KEY_LEN);
        if (memcmp(run->first.b, run->last.b, TSR_KEY_LEN) > 0 ||
            (i > 0 && memcmp(part->roll.run[i - 1].last.b, run->first.b, TSR_KEY_LEN) >= 0))
            return tsr_fail(err, TSR_E_CORRUPT, "its ranges of contributors are out of order");
    }
    part->roll.runs = n;
    return TSR_OK;
}

/* Adds or takes over one cell; sums that leave their bounds are forged. */
static enum tsr_status merge_cell(const struct tsr_merge_array *a, size_t cell, const uint8_t *from, bool add,
                                  struct tsr_error *err)
{
    uint8_t *to = (uint8_t *)*a->data + cell * a->stride * a->size;
    for (size_t e = 0; e < a->stride; e++) {
        bool over = false;
        if (a->size == 2) {
            uint16_t v = tsr_get_le16(from + 2 * e);
            memcpy(to + 2 * e, &v, sizeof v);
        } else if (a->size == 4) {
            uint32_t v = tsr_get_le32(from + 4 * e), old = 0;
            if (add) memcpy(&old, to + 4 * e, sizeof old);
            over = __builtin_add_overflow(v, old, &v);
            memcpy(to + 4 * e, &v, sizeof v);
        } else {
            int64_t v = (int64_t)tsr_get_le64(from + 8 * e), old = 0;
            if (add) memcpy(&old, to + 8 * e, sizeof old);
            over = __builtin_add_overflow(v, old, &v) || v > TSR_MERGE_MAX_WEIGHT * (INT64_C(1) << 25) ||
                   v < -TSR_MERGE_MAX_WEIGHT * (INT64_C(1) << 25);
            memcpy(to + 8 * e, &v, sizeof v);
        }
        if (over) return tsr_fail(err, TSR_E_LIMIT, "the sums of '%s' exceed what weights can make of them", a->name);
    }
    return TSR_OK;
}

static enum tsr_status check_fixed(const struct tsr_merge_plane *p, const struct tsr_merge_array *a, size_t cell,
                                   struct tsr_error *err)
{
    for (size_t e = 0; e < a->stride; e++) {
        if (*a->data == p->edge && p->edge[cell * a->stride + e] >= p->bins)
            return tsr_fail(err, TSR_E_CORRUPT, "a quantile lies outside of all bins");
        if (*a->data == p->centre && !(p->centre[cell * a->stride + e] >= -2 && p->centre[cell * a->stride + e] <= 2))
            return tsr_fail(err, TSR_E_CORRUPT, "a centre is not on the unit sphere");
    }
    return TSR_OK;
}

static enum tsr_status take_array(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                  const struct tsr_record *rec, struct tsr_error *err)
{
    const char *name;
    int64_t plane, first, cells;
    size_t n, additive, bytes;
    struct tsr_merge_array a[TSR_MERGE_ARRAYS];
    TSR_TRY(tsr_json_need_string(rec->meta, "name", &name, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "plane", 0, PLANES - 1, &plane, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "first", 0, TSR_JSON_INT_MAX, &first, err));
    TSR_TRY(tsr_json_need_int(rec->meta, "cells", 1, TSR_MAX_BODY, &cells, err));
    if (!part->plane[plane]) return tsr_fail(err, TSR_E_CORRUPT, "sums of rows that it does not hold");
    size_t have = m->space.contributors ? 1 : plane % 2 == 0 ? part->samples : part->views;
    if ((uint64_t)first + (uint64_t)cells > have) return tsr_fail(err, TSR_E_CORRUPT, "sums of more rows than there are");
    struct tsr_merge_plane *p = &m->plane[plane];
    size_t count = tsr_plane_arrays(p, a, &additive), k = part->state ? additive : 0;
    while (k < count && strcmp(a[k].name, name) != 0) k++;
    if (k == count) return tsr_fail(err, TSR_E_CORRUPT, "'%.20s' is nothing that this step has", name);
    TSR_TRY(load(part, s, a[k].size, &n, err));
    if (!tsr_mul_size((size_t)cells, a[k].stride, &bytes) || bytes != n)
        return tsr_fail(err, TSR_E_CORRUPT, "'%s' has %zu elements where %lld rows have other many", a[k].name, n, (long long)cells);
    /* The longest array stands first: memory for the others is taken when that much is really there. */
    bool longest = true;
    for (size_t i = part->state ? additive : 0; i < count; i++) longest = longest && a[i].stride <= a[k].stride;
    if (longest) TSR_TRY(tsr_merge_grow(m, err));
    for (size_t i = 0; i < (size_t)cells; i++) {
        size_t at = (size_t)first + i;
        size_t cell = m->space.contributors ? 0 : plane % 2 == 0 ? part->sample[at] : part->view[at];
        if (cell >= p->cells) return tsr_fail(err, TSR_E_CORRUPT, "'%s' stands before a longer array", name);
        if (k >= additive && !part->fresh) continue; /* the same, as the digest of the state says */
        TSR_TRY(merge_cell(&a[k], cell, part->body.data + i * a[k].stride * a[k].size, k < additive, err));
        if (k >= additive) TSR_TRY(check_fixed(p, &a[k], cell, err));
    }
    return TSR_OK;
}

static enum tsr_status take_far(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                const struct tsr_record *rec, struct tsr_error *err)
{
    int64_t plane;
    size_t n;
    TSR_TRY(tsr_json_need_int(rec->meta, "plane", 0, PLANES - 1, &plane, err));
    TSR_TRY(load(part, s, 8, &n, err));
    if (n != TSR_MERGE_FAR_BINS || !part->plane[plane]) return tsr_fail(err, TSR_E_CORRUPT, "its histogram of distances is impossible");
    for (size_t i = 0; i < n; i++) m->plane[plane].far[i] += tsr_get_le64(part->body.data + 8 * i);
    return TSR_OK;
}

/* Profiles have the length that the rows demand. */
static enum tsr_status open_spectral(struct tsr_merge *m, const struct tsr_record *rec, struct tsr_error *err)
{
    int64_t k;
    size_t due = tsr_profile_length(m->space.contributors, m->plane[0].embed.width);
    TSR_TRY(tsr_json_need_int(rec->meta, "numbers", 1, TSR_PROFILE_MOST, &k, err));
    if ((size_t)k != due || m->opt.rule.rule != TSR_RULE_SPECTRAL)
        return tsr_fail(err, TSR_E_CORRUPT, "it has profiles of %lld numbers where %zu are due", (long long)k, due);
    return m->spectral.k == 0 ? tsr_spectral_init(&m->spectral, due, err) : TSR_OK;
}

static enum tsr_status take_profiles(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                     const struct tsr_record *rec, struct tsr_error *err)
{
    int64_t weight;
    size_t n;
    TSR_TRY(tsr_json_need_int(rec->meta, "weight", 0, INT64_C(1) << 32, &weight, err));
    TSR_TRY(load(part, s, 8, &n, err));
    TSR_TRY(open_spectral(m, rec, err));
    struct tsr_spectral *to = &m->spectral;
    if (n != to->k) return tsr_fail(err, TSR_E_CORRUPT, "its profiles have %zu numbers instead of %zu", n, to->k);
    if (weight > (INT64_C(1) << 32) - to->weight) return tsr_fail(err, TSR_E_LIMIT, "the weights sum to more than 2^32");
    to->weight += weight;
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(to->sum[i], (int64_t)tsr_get_le64(part->body.data + 8 * i), &to->sum[i]))
            return tsr_fail(err, TSR_E_LIMIT, "the sums of profiles exceed what weights can make of them");
    return TSR_OK;
}

static enum tsr_status take_scatter(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                    const struct tsr_record *rec, struct tsr_error *err)
{
    int64_t first;
    size_t n;
    struct tsr_spectral *to = &m->spectral;
    TSR_TRY(tsr_json_need_int(rec->meta, "first", 0, TSR_PROFILE_MOST, &first, err));
    TSR_TRY(load(part, s, 8, &n, err));
    if (to->k == 0 || n > (to->k - (size_t)first) * to->k || (size_t)first >= to->k)
        return tsr_fail(err, TSR_E_CORRUPT, "it has products of more profiles than there are");
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(to->scatter[(size_t)first * to->k + i], (int64_t)tsr_get_le64(part->body.data + 8 * i),
                                   &to->scatter[(size_t)first * to->k + i]))
            return tsr_fail(err, TSR_E_LIMIT, "the products of profiles exceed what weights can make of them");
    return TSR_OK;
}

static enum tsr_status take_axes(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                                 const struct tsr_record *rec, struct tsr_error *err)
{
    double most;
    size_t n;
    TSR_TRY(tsr_json_need_number(rec->meta, "most", 0, 8, &most, err));
    TSR_TRY(load(part, s, 4, &n, err));
    TSR_TRY(open_spectral(m, rec, err));
    struct tsr_spectral *to = &m->spectral;
    if (n != TSR_SPECTRAL_AXES * to->k)
        return tsr_fail(err, TSR_E_CORRUPT, "its axes have %zu numbers instead of %zu", n, TSR_SPECTRAL_AXES * to->k);
    if (!part->fresh) return TSR_OK; /* the same, as the digest of the state says */
    to->most = most;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = tsr_get_le32(part->body.data + 4 * i);
        float x;
        memcpy(&x, &bits, sizeof x);
        if (!(x >= -1.001f && x <= 1.001f)) return tsr_fail(err, TSR_E_CORRUPT, "its axes are no directions");
        to->axis[i] = x;
    }
    return TSR_OK;
}

static enum tsr_status take_spread(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s, struct tsr_error *err)
{
    size_t n;
    TSR_TRY(load(part, s, 8, &n, err));
    if (n != TSR_MERGE_FAR_BINS || m->spectral.k == 0) return tsr_fail(err, TSR_E_CORRUPT, "its histogram along the axis is impossible");
    for (size_t i = 0; i < n; i++) m->spectral.far[i] += tsr_get_le64(part->body.data + 8 * i);
    return TSR_OK;
}

static enum tsr_status take(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_stream *s,
                            const struct tsr_record *rec, struct tsr_error *err)
{
    const char *what;
    TSR_TRY(tsr_json_need_string(rec->meta, "part", &what, err));
    if ((strcmp(what, "head") == 0) == part->headed || (rec->type == TSR_AGGR) != part->state)
        return tsr_fail(err, TSR_E_CORRUPT, "the records of a partial aggregate are out of order");
    if (strcmp(what, "head") == 0) return take_head(m, part, s, rec, err);
    if (strcmp(what, "anchors") == 0) return take_anchors(m, part, s, err);
    if (strcmp(what, "basis") == 0) return take_basis(m, part, s, err);
    if (strcmp(what, "samples") == 0) return take_samples(m, part, s, err);
    if (strcmp(what, "block") == 0) return take_block(m, part, s, rec, err);
    if (strcmp(what, "roll") == 0) return take_roll(part, s, err);
    if (strcmp(what, "runs") == 0) return take_runs(part, s, err);
    if (strcmp(what, "array") == 0) return take_array(m, part, s, rec, err);
    if (strcmp(what, "far") == 0) return take_far(m, part, s, rec, err);
    if (strcmp(what, "profiles") == 0) return take_profiles(m, part, s, rec, err);
    if (strcmp(what, "scatter") == 0) return take_scatter(m, part, s, rec, err);
    if (strcmp(what, "axes") == 0) return take_axes(m, part, s, rec, err);
    if (strcmp(what, "spread") == 0) return take_spread(m, part, s, err);
    return tsr_fail(err, TSR_E_UNSUPPORTED, "'%.20s' is no part of a partial aggregate that is known", what);
}

/* The whole segment was read: its contributors count. */
static enum tsr_status finish(struct tsr_merge *m, struct tsr_merge_part *part, struct tsr_error *err)
{
    if (!part->headed) return tsr_fail(err, TSR_E_CORRUPT, "a partial aggregate has no head");
    if (part->state) return TSR_OK;
    uint64_t named = part->roll.entries;
    for (size_t i = 0; i < part->roll.runs; i++) named += part->roll.run[i].count;
    if (part->roll.contributors > named) return tsr_fail(err, TSR_E_CORRUPT, "it counts more contributors than it names");
    return tsr_roll_join(&m->roll, &part->roll, err);
}

enum tsr_status tsr_merge_part_record(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                      struct tsr_error *err)
{
    if (m->part == NULL) {
        m->part = tsr_calloc(1, sizeof *m->part);
        if (m->part == NULL) return tsr_nomem(err, sizeof *m->part);
        m->part->state = rec->type == TSR_AGGR;
        if (m->part->state != m->loading)
            return tsr_fail(err, TSR_E_MISMATCH, m->loading ? "%s: a partial aggregate is no state to go on from"
                                                            : "%s: a state between two steps is given with --from, not merged",
                            rec->source);
    }
    enum tsr_status status = TSR_OK;
    if (rec->type == TSR_ENDS) {
        status = finish(m, m->part, err);
        tsr_merge_part_free(m->part);
        m->part = NULL;
    } else if (rec->type == TSR_PART || rec->type == TSR_AGGR) {
        status = take(m, m->part, s, rec, err);
    }
    if (status != TSR_OK && strstr(err->message, " at byte ") == NULL) return tsr_record_failed(rec, status, err);
    return status;
}
