/* part.c - writes partial aggregates (PART records) and the states between steps (AGGR records). The
 * layout is tessera-stream(5), section PARTIAL AGGREGATES. */
#include "base/mem.h"
#include "merge/merge_impl.h"
#include "stream/head.h"

#include <string.h>

#define CHUNK ((size_t)1 << 22) /* elements of one record */

struct out {
    struct tsr_merge *m;
    struct tsr_stream_writer *w;
    uint32_t type; /* PART or AGGR */
    struct tsr_merge_layout l;
    struct tsr_buf body;
};

/* The fields of a record and its body, which is then empty again; `meta` is consumed. */
static enum tsr_status put(struct out *o, struct tsr_json *meta, enum tsr_status status, struct tsr_error *err)
{
    if (status == TSR_OK) status = tsr_writer_put(o->w, o->type, meta, o->body.data, o->body.len, err);
    tsr_json_free(meta);
    tsr_buf_clear(&o->body);
    return status;
}

static enum tsr_status begin(const char *part, struct tsr_json **meta, struct tsr_error *err)
{
    TSR_TRY(tsr_json_object(meta, err));
    enum tsr_status status = tsr_json_set_string(*meta, "part", part, err);
    if (status != TSR_OK) tsr_json_free(*meta);
    return status;
}

static enum tsr_status add_u64(struct out *o, uint64_t v, struct tsr_error *err)
{
    uint8_t bytes[8];
    tsr_put_le64(bytes, v);
    return tsr_buf_append(&o->body, bytes, sizeof bytes, err);
}

static enum tsr_status fill_head(struct out *o, struct tsr_json *h, struct tsr_error *err)
{
    struct tsr_merge *m = o->m;
    struct tsr_json *child;
    TSR_TRY(tsr_json_set_copy(h, "policy", m->policy, err));
    TSR_TRY(tsr_json_set_object(h, "space", &child, err));
    TSR_TRY(tsr_space_to_json(&m->space, child, err));
    TSR_TRY(tsr_json_set_int(h, "step", m->step, err));
    TSR_TRY(tsr_json_set_bool(h, "centred", m->centred, err));
    TSR_TRY(tsr_json_set_string(h, "state", m->state, err));
    TSR_TRY(tsr_json_set_array(h, "planes", &child, err));
    for (int i = 0; i < PLANES; i++) {
        struct tsr_json *plane;
        if (m->plane[i].embed.width == 0) continue;
        TSR_TRY(tsr_json_set_object(child, NULL, &plane, err));
        TSR_TRY(tsr_json_set_int(plane, "plane", i, err));
        TSR_TRY(tsr_json_set_bool(plane, "centred", m->plane[i].centred, err));
        TSR_TRY(tsr_json_set_number(plane, "radius", m->plane[i].radius, err));
    }
    if (o->type == TSR_AGGR) return TSR_OK;
    TSR_TRY(tsr_json_set_int(h, "shards", m->shards, err));
    TSR_TRY(tsr_json_set_int(h, "contributors", (int64_t)m->roll.contributors, err));
    TSR_TRY(tsr_json_set_int(h, "weight", m->roll.weight, err));
    TSR_TRY(tsr_json_set_int(h, "most", m->roll.most, err));
    for (size_t i = 0; i < TSR_ROLL_LANES; i++) {
        uint8_t lane[2];
        tsr_put_le16(lane, m->roll.lane[i]);
        TSR_TRY(tsr_buf_append(&o->body, lane, sizeof lane, err));
    }
    return TSR_OK;
}

static enum tsr_status put_head(struct out *o, struct tsr_error *err)
{
    struct tsr_json *meta;
    TSR_TRY(begin("head", &meta, err));
    return put(o, meta, fill_head(o, meta, err), err);
}

static enum tsr_status put_space(struct out *o, struct tsr_error *err)
{
    const struct tsr_merge_space *s = &o->m->space;
    struct tsr_json *meta;
    enum tsr_status status = TSR_OK;
    if (s->anchor != NULL) {
        TSR_TRY(begin("anchors", &meta, err));
        status = tsr_buf_append(&o->body, s->anchor, s->anchors * sizeof *s->anchor, err);
        TSR_TRY(put(o, meta, status, err));
    }
    if (s->basis.x == NULL) return TSR_OK;
    TSR_TRY(begin("basis", &meta, err));
    for (size_t i = 0; i < s->basis.anchors * s->basis.rank && status == TSR_OK; i++) {
        uint8_t bytes[4];
        uint32_t bits;
        memcpy(&bits, &s->basis.x[i], sizeof bits);
        tsr_put_le32(bytes, bits);
        status = tsr_buf_append(&o->body, bytes, sizeof bytes, err);
    }
    return put(o, meta, status, err);
}

static enum tsr_status put_samples(struct out *o, struct tsr_error *err)
{
    const struct tsr_merge_table *t = &o->m->table;
    struct tsr_json *meta;
    enum tsr_status status = TSR_OK;
    if (t->samples == 0) return TSR_OK;
    TSR_TRY(begin("samples", &meta, err));
    for (size_t i = 0; i < t->samples && status == TSR_OK; i++) {
        const struct tsr_merge_sample *s = &t->sample[o->l.sample[i]];
        status = tsr_buf_append(&o->body, s->key.b, TSR_KEY_LEN, err);
        if (status == TSR_OK) status = add_u64(o, (uint64_t)s->place, err);
        if (status == TSR_OK) status = add_u64(o, s->nth, err);
    }
    TSR_TRY(put(o, meta, status, err));
    for (size_t b = 0; b < t->blocks; b++) {
        const struct tsr_merge_block *block = &t->block[o->l.block[b]];
        TSR_TRY(begin("block", &meta, err));
        status = tsr_json_set_int(meta, "place", block->place, err);
        for (uint32_t k = 0; k < block->count && status == TSR_OK; k++) {
            uint8_t bytes[4];
            tsr_put_le32(bytes, o->l.sample_rank[block->sample[k]]);
            status = tsr_buf_append(&o->body, bytes, sizeof bytes, err);
        }
        TSR_TRY(put(o, meta, status, err));
    }
    return TSR_OK;
}

static enum tsr_status put_roll(struct out *o, struct tsr_error *err)
{
    struct tsr_roll *r = &o->m->roll;
    struct tsr_json *meta;
    enum tsr_status status = TSR_OK;
    tsr_roll_sort(r);
    for (size_t from = 0; from < r->entries; from += CHUNK) {
        size_t n = r->entries - from < CHUNK ? r->entries - from : CHUNK;
        TSR_TRY(begin("roll", &meta, err));
        status = tsr_buf_append(&o->body, r->entry + from, n * sizeof *r->entry, err);
        TSR_TRY(put(o, meta, status, err));
    }
    if (r->runs == 0) return TSR_OK;
    TSR_TRY(begin("runs", &meta, err));
    for (size_t i = 0; i < r->runs && status == TSR_OK; i++) {
        status = tsr_buf_append(&o->body, r->run[i].first.b, TSR_KEY_LEN, err);
        if (status == TSR_OK) status = tsr_buf_append(&o->body, r->run[i].last.b, TSR_KEY_LEN, err);
        if (status == TSR_OK) status = add_u64(o, r->run[i].count, err);
    }
    return put(o, meta, status, err);
}

/* One cell's elements, little-endian. */
static enum tsr_status add_cell(struct out *o, const struct tsr_merge_array *a, size_t cell, struct tsr_error *err)
{
    const uint8_t *from = (const uint8_t *)*a->data + cell * a->stride * a->size;
    TSR_TRY(tsr_buf_reserve(&o->body, a->stride * a->size, err));
    uint8_t *to = o->body.data + o->body.len;
    for (size_t e = 0; e < a->stride; e++) {
        if (a->size == 2) {
            uint16_t v;
            memcpy(&v, from + 2 * e, sizeof v);
            tsr_put_le16(to + 2 * e, v);
        } else if (a->size == 4) {
            uint32_t v;
            memcpy(&v, from + 4 * e, sizeof v);
            tsr_put_le32(to + 4 * e, v);
        } else {
            uint64_t v;
            memcpy(&v, from + 8 * e, sizeof v);
            tsr_put_le64(to + 8 * e, v);
        }
    }
    o->body.len += a->stride * a->size;
    return TSR_OK;
}

static enum tsr_status put_array(struct out *o, int plane, const struct tsr_merge_array *a, struct tsr_error *err)
{
    size_t cells = o->m->plane[plane].cells, step = CHUNK / a->stride > 0 ? CHUNK / a->stride : 1;
    for (size_t first = 0; first < cells; first += step) {
        struct tsr_json *meta;
        size_t n = cells - first < step ? cells - first : step;
        TSR_TRY(begin("array", &meta, err));
        enum tsr_status status = tsr_json_set_string(meta, "name", a->name, err);
        if (status == TSR_OK) status = tsr_json_set_int(meta, "plane", plane, err);
        if (status == TSR_OK) status = tsr_json_set_int(meta, "first", (int64_t)first, err);
        if (status == TSR_OK) status = tsr_json_set_int(meta, "cells", (int64_t)n, err);
        for (size_t i = 0; i < n && status == TSR_OK; i++)
            status = add_cell(o, a, tsr_merge_cell(o->m, &o->l, plane, first + i), err);
        TSR_TRY(put(o, meta, status, err));
    }
    return TSR_OK;
}

static enum tsr_status put_far(struct out *o, int plane, struct tsr_error *err)
{
    struct tsr_json *meta;
    TSR_TRY(begin("far", &meta, err));
    enum tsr_status status = tsr_json_set_int(meta, "plane", plane, err);
    for (size_t i = 0; i < TSR_MERGE_FAR_BINS && status == TSR_OK; i++) status = add_u64(o, o->m->plane[plane].far[i], err);
    return put(o, meta, status, err);
}

static enum tsr_status put_planes(struct out *o, struct tsr_error *err)
{
    for (int i = 0; i < PLANES; i++) {
        struct tsr_merge_plane *p = &o->m->plane[i];
        struct tsr_merge_array a[TSR_MERGE_ARRAYS];
        if (p->embed.width == 0) continue;
        tsr_plane_settle(p);
        size_t additive, n = tsr_plane_arrays(p, a, &additive), from = o->type == TSR_AGGR ? additive : 0, longest = from;
        bool all[TSR_MERGE_ARRAYS];
        for (size_t k = from; k < n; k++) {
            all[k] = k != additive || p->centred || o->type == TSR_AGGR; /* the first of the fixed is the centre */
            if (a[k].stride > a[longest].stride) longest = k;
        }
        TSR_TRY(put_array(o, i, &a[longest], err)); /* a reader takes memory where it sees the most of it */
        for (size_t k = from; k < n; k++)
            if (k != longest && all[k]) TSR_TRY(put_array(o, i, &a[k], err));
        if (o->type == TSR_PART) TSR_TRY(put_far(o, i, err));
    }
    return TSR_OK;
}

static enum tsr_status add_floats(struct out *o, const float *x, size_t n, struct tsr_error *err)
{
    struct tsr_merge_array a = {"", (void *[]){(void *)(uintptr_t)x}, n, 4};
    return add_cell(o, &a, 0, err);
}

static enum tsr_status put_scatter(struct out *o, struct tsr_error *err)
{
    const struct tsr_spectral *s = &o->m->spectral;
    size_t step = CHUNK / s->k;
    for (size_t first = 0; first < s->k; first += step) {
        struct tsr_json *meta;
        size_t n = s->k - first < step ? s->k - first : step;
        TSR_TRY(begin("scatter", &meta, err));
        enum tsr_status status = tsr_json_set_int(meta, "first", (int64_t)first, err);
        for (size_t i = 0; i < n * s->k && status == TSR_OK; i++)
            status = add_u64(o, (uint64_t)s->scatter[first * s->k + i], err);
        TSR_TRY(put(o, meta, status, err));
    }
    return TSR_OK;
}

/* What the spectral filter has: sums of profiles, or the axes found and what lies along them. */
static enum tsr_status put_spectral(struct out *o, struct tsr_error *err)
{
    struct tsr_spectral *s = &o->m->spectral;
    struct tsr_json *meta;
    enum tsr_merge_step step = tsr_rule_step(&o->m->opt.rule, o->m->centred, o->m->step);
    if (s->k == 0 || step == TSR_STEP_COUNT) return TSR_OK;
    bool sums = step == TSR_STEP_SCATTER;
    tsr_spectral_settle(s);
    TSR_TRY(begin(sums ? "profiles" : "axes", &meta, err));
    enum tsr_status status = tsr_json_set_int(meta, "numbers", (int64_t)s->k, err);
    if (status == TSR_OK) status = sums ? tsr_json_set_int(meta, "weight", s->weight, err) : tsr_json_set_number(meta, "most", s->most, err);
    for (size_t i = 0; i < s->k && status == TSR_OK && sums; i++) status = add_u64(o, (uint64_t)s->sum[i], err);
    if (status == TSR_OK && !sums) status = add_floats(o, s->axis, TSR_SPECTRAL_AXES * s->k, err);
    TSR_TRY(put(o, meta, status, err));
    if (sums) return put_scatter(o, err);
    if (step != TSR_STEP_PROJECT || o->type != TSR_PART) return TSR_OK;
    TSR_TRY(begin("spread", &meta, err));
    for (size_t i = 0; i < TSR_MERGE_FAR_BINS && status == TSR_OK; i++) status = add_u64(o, s->far[i], err);
    return put(o, meta, status, err);
}

static enum tsr_status write_all(struct tsr_merge *m, struct tsr_stream_writer *w, uint32_t type, struct tsr_error *err)
{
    struct out o = {.m = m, .w = w, .type = type};
    struct tsr_stream_head h = {0};
    enum tsr_status status;
    TSR_TRY(tsr_merge_layout(m, &o.l, err));
    TSR_GO(status, done, tsr_stream_head_set(&h.producer, m->opt.producer, err));
    TSR_GO(status, done, tsr_stream_head_put(w, &h, err));
    TSR_GO(status, done, put_head(&o, err));
    TSR_GO(status, done, put_space(&o, err));
    TSR_GO(status, done, put_samples(&o, err));
    if (type == TSR_PART) TSR_GO(status, done, put_roll(&o, err));
    TSR_GO(status, done, put_planes(&o, err));
    TSR_GO(status, done, put_spectral(&o, err));
    status = tsr_writer_finish(w, err);
done:
    tsr_stream_head_release(&h);
    tsr_buf_release(&o.body);
    tsr_merge_layout_release(&o.l);
    return status;
}

enum tsr_status tsr_merge_partial(struct tsr_merge *m, struct tsr_stream_writer *w, struct tsr_error *err)
{
    if (tsr_rule_batch(&m->opt.rule))
        return tsr_fail(err, TSR_E_USAGE, "the rule needs all contributions at once: it makes no partial aggregates");
    TSR_TRY(write_all(m, w, TSR_PART, err));
    return tsr_merge_tell(m, err);
}

enum tsr_status tsr_merge_state(struct tsr_merge *m, struct tsr_stream_writer *w, struct tsr_error *err)
{
    return write_all(m, w, TSR_AGGR, err);
}
