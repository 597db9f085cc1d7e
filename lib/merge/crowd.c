/* crowd.c - streams whose rows are contributions of their own to one vector. */
#include "base/mem.h"
#include "merge/kernel.h"
#include "merge/merge_impl.h"
#include "stream/basis.h"
#include "stream/keys.h"
#include "stream/rows.h"

#include <string.h>

/* Anything wrong with a stream of many contributors ends the work: there is nobody to blame. */
static enum tsr_status place(const struct tsr_record *rec, enum tsr_status status, struct tsr_error *err)
{
    if (status == TSR_OK || strstr(err->message, " at byte ") != NULL) return status;
    return tsr_record_failed(rec, status, err);
}

static enum tsr_status take_keys(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                 struct tsr_error *err)
{
    struct tsr_contribution *c = &m->c;
    struct tsr_block_keys k = {0};
    TSR_TRY(tsr_grow(&c->block, &c->cap_block, 1, sizeof *c->block, err));
    enum tsr_status status = tsr_keys_get(s, rec, &k, err);
    if (status != TSR_OK) {
        tsr_keys_release(&k);
        return status;
    }
    if (c->blocks == 1) tsr_free(c->block[0].key);
    c->block[0] = (struct tsr_merge_keys){k.block, (uint32_t)k.count, k.key};
    c->blocks = 1;
    return TSR_OK;
}

static enum tsr_status take_basis(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                  struct tsr_error *err)
{
    struct tsr_merge_space *space = &m->c.space;
    struct tsr_basis b;
    uint8_t digest[TSR_SHA256_LEN];
    TSR_TRY(tsr_basis_parse(rec, &b, err));
    if (!m->opt.hub || space->basis.x != NULL || (m->opt.layer != NULL && (b.layer == NULL || strcmp(b.layer, m->opt.layer) != 0)))
        return TSR_OK;
    if (strlen(b.hub) != TSR_DIGEST_TEXT - 1) return tsr_fail(err, TSR_E_CORRUPT, "the hub's identity is no SHA-256");
    size_t n = (size_t)(b.anchors * b.rank);
    space->basis.x = tsr_malloc(n, sizeof *space->basis.x);
    if (space->basis.x == NULL) return tsr_nomem(err, n * sizeof *space->basis.x);
    TSR_TRY(tsr_basis_load(s, rec, space->basis.x, err));
    struct tsr_sha256 h; /* over the numbers, little-endian */
    tsr_sha256_init(&h);
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[4];
        uint32_t bits;
        memcpy(&bits, &space->basis.x[i], sizeof bits);
        tsr_put_le32(bytes, bits);
        tsr_sha256_update(&h, bytes, sizeof bytes);
    }
    tsr_sha256_final(&h, digest);
    tsr_hex(digest, sizeof digest, space->basis.digest);
    space->basis.anchors = space->anchors = (size_t)b.anchors;
    space->basis.rank = space->rank = (size_t)b.rank;
    space->dim = b.dim;
    memcpy(space->hub, b.hub, TSR_DIGEST_TEXT);
    return TSR_OK;
}

/* The rows of a record, one after the other: decoded one at a time where that can be, so that memory is that of
 * a row and a row that is not a number harms no other. */
struct cursor {
    const struct tsr_rows *r;
    const uint8_t *elements; /* int8 in any order, others in C order; NULL: x */
    const float *scale, *low; /* of int8 */
    float *x;                /* all rows, where they are neither */
};

static void decode_row(const struct cursor *c, size_t row, float *x)
{
    size_t n = c->r->set.cols;
    if (c->scale != NULL) {
        bool rows = c->r->set.layout == TSR_LAYOUT_ROWS;
        tsr_merge_decode(c->elements + (rows ? row * n : row), rows ? 1 : c->r->set.rows, c->scale, c->low, n, x);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        switch (c->r->set.dtype) {
        case TSR_F16: x[i] = tsr_f16_to_f32(tsr_get_le16(c->elements + 2 * (row * n + i))); break;
        case TSR_BF16: x[i] = tsr_bf16_to_f32(tsr_get_le16(c->elements + 2 * (row * n + i))); break;
        default:
            bits = tsr_get_le32(c->elements + 4 * (row * n + i));
            memcpy(&x[i], &bits, sizeof bits);
        }
    }
}

static enum tsr_merge_fault fault_of(enum tsr_embed_fault wrong)
{
    static const enum tsr_merge_fault faults[] = {[TSR_EMBED_FINE] = TSR_FAULT_NONE, [TSR_EMBED_NAN] = TSR_FAULT_NUMBERS,
                                                  [TSR_EMBED_ZERO] = TSR_FAULT_ZERO, [TSR_EMBED_CLASS] = TSR_FAULT_RECORD};
    return faults[wrong];
}

/* Adds a row. Most directions need no embedding: the row as it came is tried first where nothing but the sums
 * is wanted. */
static enum tsr_status add_row(struct tsr_merge *m, const struct tsr_key *key, enum tsr_row_kind kind, const float *x,
                               int64_t weight, enum tsr_merge_fault *fault, double *cosine, struct tsr_error *err)
{
    struct tsr_merge_plane *p = &m->plane[0];
    const struct tsr_merge_rule_options *o = &m->opt.rule;
    float *y = m->row + p->embed.cols;
    *fault = TSR_FAULT_NONE;
    if (p->embed.kind == TSR_EMBED_DIRECTION && !tsr_rule_batch(o) && o->rule != TSR_RULE_SPECTRAL) {
        struct tsr_merge_look look;
        TSR_TRY(tsr_plane_add(p, 0, x, weight, &look, err));
        *cosine = look.cosine;
        if (look.safe) return TSR_OK;
    }
    *fault = fault_of(tsr_embed_row(&p->embed, kind, x, y));
    if (*fault != TSR_FAULT_NONE) return TSR_OK;
    return tsr_merge_add_rows(m, key, &(struct tsr_merge_row){0, 0, y, 0}, 1, weight, fault, cosine, err);
}

static enum tsr_status one_row(struct tsr_merge *m, const struct tsr_record *rec, const struct tsr_key *key,
                               enum tsr_row_kind kind, const float *x, struct tsr_error *err)
{
    struct tsr_merge_plane *p = &m->plane[0];
    int64_t weight;
    if (m->loading) {
        float *y = m->row + p->embed.cols;
        if (tsr_embed_row(&p->embed, kind, x, y) != TSR_EMBED_FINE)
            return tsr_fail(err, TSR_E_CORRUPT, "the row to begin with has no direction");
        tsr_plane_centre(p, 0, y);
        return TSR_OK;
    }
    enum tsr_merge_fault fault = tsr_merge_judge_key(m, key, &weight);
    bool fresh = true;
    double cosine;
    if (fault == TSR_FAULT_NONE) TSR_TRY(tsr_roll_next(&m->roll, key, &fresh, err));
    if (!fresh) fault = TSR_FAULT_DUPLICATE;
    if (fault == TSR_FAULT_NONE) TSR_TRY(add_row(m, key, kind, x, weight, &fault, &cosine, err));
    if (fault == TSR_FAULT_NONE) {
        tsr_roll_count(&m->roll, weight);
        m->segment_rows++;
        m->segment_weight += weight;
        m->segment_cosines += cosine;
        return TSR_OK;
    }
    char name[2 * TSR_KEY_LEN + 1];
    tsr_hex(key->b, TSR_KEY_LEN, name);
    tsr_merge_say(m, name, rec->source, fault, "", weight, 0, 0);
    return TSR_OK;
}

/* Scales and lows of int8 columns as floats, in the space behind the row that is decoded. */
static enum tsr_status open_codes(struct tsr_merge *m, const struct tsr_rows *r, struct cursor *c, struct tsr_error *err)
{
    size_t n = r->set.cols, width = m->plane[0].embed.width;
    float *to = m->row + n + width;
    for (size_t i = 0; i < 2 * n; i++) {
        uint32_t bits = tsr_get_le32(m->body.data + 4 * i);
        memcpy(&to[i], &bits, sizeof bits);
    }
    c->scale = to;
    c->low = to + n;
    for (size_t i = 0; i < n; i++) {
        float most = c->low[i] + c->scale[i] * 255;
        if (!(c->scale[i] >= 0) || !(c->low[i] - c->low[i] == 0) || !(most - most == 0))
            return tsr_fail(err, TSR_E_CORRUPT, "column %zu has a scale or low value that is not possible", i);
    }
    c->elements = m->body.data + 8 * n;
    return TSR_OK;
}

static enum tsr_status open_rows(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_rows *r, struct cursor *c,
                                 struct tsr_error *err)
{
    bool codes = r->set.dtype == TSR_I8 && r->set.code == TSR_CODE_AFFINE;
    bool plain = r->set.code == TSR_CODE_PLAIN && r->set.kind != TSR_KIND_ARGMAX;
    if (!codes && (!plain || r->set.layout != TSR_LAYOUT_ROWS)) return tsr_rows_get(s, r, &c->x, err);
    tsr_buf_clear(&m->body);
    TSR_TRY(tsr_stream_load_body(s, tsr_rowset_bytes(&r->set), &m->body, err));
    if (codes) return open_codes(m, r, c, err);
    c->elements = m->body.data;
    return TSR_OK;
}

static enum tsr_status walk(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                            const struct tsr_rows *r, struct tsr_error *err)
{
    struct cursor at = {.r = r};
    struct tsr_merge_plane *p = &m->plane[0];
    size_t cols = r->set.cols > p->embed.cols ? r->set.cols : p->embed.cols; /* a class number becomes a row */
    float *grown = tsr_realloc(m->row, 3 * cols + p->embed.width, sizeof *grown);
    if (grown == NULL) return tsr_nomem(err, cols * sizeof *grown);
    m->row = grown;
    TSR_TRY(open_rows(m, s, r, &at, err));
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < r->set.rows && status == TSR_OK; i++) {
        const float *x = at.x != NULL ? at.x + i * r->set.cols : m->row;
        if (at.x == NULL) decode_row(&at, i, m->row);
        status = one_row(m, rec, &m->c.block[0].key[i], r->set.kind, x, err);
    }
    tsr_free(at.x);
    if (status == TSR_OK && m->opt.stop != NULL && m->opt.stop()) return tsr_fail(err, TSR_E_INTERRUPTED, "interrupted");
    return status;
}

/* What the rows are of, joined to what all others are of. */
static enum tsr_status join(struct tsr_merge *m, const struct tsr_rows *r, struct tsr_error *err)
{
    struct tsr_merge_space *s = &m->c.space;
    if (r->type == TSR_HUBT && (s->basis.x == NULL || s->rank != r->set.cols))
        return tsr_fail(err, TSR_E_CORRUPT, "hub coefficients do not fit a basis before them");
    if (r->type == TSR_OUTS) {
        s->outputs = r->set.kind == TSR_KIND_REGRESSION ? TSR_KIND_REGRESSION : TSR_KIND_PROBABILITIES;
        s->classes = r->set.kind == TSR_KIND_ARGMAX ? (size_t)m->c.io.classes : r->set.cols;
        if (s->classes < 1 || s->classes > TSR_MAX_ELEMENTS / 2)
            return tsr_fail(err, TSR_E_CORRUPT, "the stream does not say how many classes its answers have");
    }
    TSR_TRY(tsr_space_join(&m->space, s, err));
    if ((m->space.outputs != TSR_KIND_NONE) == (m->space.hub[0] != '\0'))
        return tsr_fail(err, TSR_E_MISMATCH, "contributions are outputs or hub coefficients, not both; choose with --only");
    TSR_TRY(tsr_merge_open_plane(m, 0, err));
    return tsr_merge_grow(m, err);
}

static enum tsr_status take_rows(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                 struct tsr_error *err)
{
    struct tsr_rows r;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    if (r.type == TSR_HUBT ? !m->opt.hub : !m->opt.outputs) return TSR_OK;
    if (m->c.blocks == 0 || r.block != m->c.block[0].first || r.count != (int64_t)m->c.block[0].count || r.views)
        return tsr_fail(err, TSR_E_CORRUPT, "contributions do not follow the keys of their block");
    TSR_TRY(join(m, &r, err));
    return walk(m, s, rec, &r, err);
}

enum tsr_status tsr_merge_crowd_rows(struct tsr_merge *m, struct tsr_stream *s, const struct tsr_record *rec,
                                     struct tsr_error *err)
{
    int64_t weight;
    if (m->c.fault == TSR_FAULT_NONE && !m->loading) tsr_contribution_fault(&m->c, tsr_merge_judge(m, &m->c, &weight), NULL);
    if (m->c.fault != TSR_FAULT_NONE) return TSR_OK;
    switch (rec->type) {
    case TSR_KEYS: return place(rec, take_keys(m, s, rec, err), err);
    case TSR_BASE: return place(rec, take_basis(m, s, rec, err), err);
    case TSR_OUTS:
    case TSR_HUBT: break;
    default: return TSR_OK;
    }
    enum tsr_status status = take_rows(m, s, rec, err);
    if (status != TSR_E_MISMATCH || !m->lenient) return place(rec, status, err);
    tsr_contribution_fault(&m->c, TSR_FAULT_MISMATCH, err->message);
    return TSR_OK;
}

enum tsr_status tsr_merge_crowd_end(struct tsr_merge *m, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_contribution *c = &m->c;
    const char *root;
    uint8_t leaf[TSR_SHA256_LEN + 16];
    if (m->loading) return TSR_OK;
    TSR_TRY(tsr_json_need_string(rec->meta, "root", &root, err));
    tsr_sha256(root, strlen(root), leaf);
    tsr_put_le64(leaf + TSR_SHA256_LEN, m->segment_rows);
    tsr_put_le64(leaf + TSR_SHA256_LEN + 8, (uint64_t)m->segment_weight);
    if (m->segment_rows > 0) tsr_roll_digest(&m->roll, leaf, sizeof leaf);
    tsr_merge_say(m, c->id, rec->source, c->fault, c->why, m->segment_weight, m->segment_rows, m->segment_cosines);
    return TSR_OK;
}
