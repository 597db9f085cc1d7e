#include "drift/side.h"

#include "base/mem.h"
#include "stream/basis.h"
#include "stream/rows.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS 4096
#define LAYER_NAME 1024

void tsr_batch_drop(struct tsr_batch *b)
{
    if (b == NULL || --b->users > 0) return;
    tsr_free(b->layer);
    tsr_free(b->x);
    tsr_free(b->key);
    tsr_free(b->label);
    tsr_free(b);
}

enum tsr_status tsr_side_open(struct tsr_side *s, struct tsr_source *source, const char *name,
                              struct tsr_samples *labels, bool views, struct tsr_error *err)
{
    *s = (struct tsr_side){.name = name, .label_file = labels, .want_views = views};
    if (labels != NULL) {
        if (tsr_shape_count(tsr_samples_shape(labels)) != 1)
            return tsr_fail(err, TSR_E_MISMATCH, "%s holds more than one number a sample; labels are class numbers",
                            tsr_samples_name(labels));
        s->label = tsr_malloc(TSR_BLOCK_ROWS, sizeof *s->label);
        if (s->label == NULL) return tsr_nomem(err, TSR_BLOCK_ROWS * sizeof *s->label);
    }
    return tsr_stream_open(source, NULL, &s->stream, err);
}

static void forget_bases(struct tsr_side *s)
{
    for (size_t i = 0; i < s->n_bases; i++) {
        tsr_free(s->base[i].layer);
        tsr_free(s->base[i].basis);
    }
    s->n_bases = 0;
}

void tsr_side_close(struct tsr_side *s)
{
    forget_bases(s);
    tsr_free(s->base);
    tsr_stream_close(s->stream);
    tsr_stream_head_release(&s->head);
    tsr_keys_release(&s->keys);
    tsr_json_free(s->recipe);
    for (size_t i = 0; i < s->n_parts; i++) tsr_free(s->part[i].layer);
    tsr_free(s->part);
    tsr_free(s->label);
    *s = (struct tsr_side){0};
}

static enum tsr_status take_head(struct tsr_side *s, const struct tsr_record *rec, struct tsr_error *err)
{
    s->keys.count = 0;
    forget_bases(s);
    for (size_t i = 0; i < s->n_parts; i++) s->part[i].block = -1;
    if (!s->begun) {
        s->begun = true;
        return tsr_stream_head_parse(rec, &s->head, err);
    }
    struct tsr_stream_head h;
    TSR_TRY(tsr_stream_head_parse(rec, &h, err));
    bool same = strcmp(h.model_digest, s->head.model_digest) == 0 && h.outputs == s->head.outputs;
    tsr_stream_head_release(&h);
    return same ? TSR_OK
                : tsr_fail(err, TSR_E_MISMATCH, "'%s' holds streams of different models; compare them one by one", s->name);
}

/* Labels of the block that begins. */
static enum tsr_status take_labels(struct tsr_side *s, struct tsr_error *err)
{
    int64_t n = (int64_t)s->keys.count, got;
    enum tsr_dtype type = tsr_samples_dtype(s->label_file);
    void *raw = tsr_malloc((size_t)n, tsr_samples_row_bytes(s->label_file));
    if (raw == NULL) return tsr_nomem(err, (size_t)n * tsr_samples_row_bytes(s->label_file));
    enum tsr_status status = tsr_samples_read(s->label_file, n, raw, &got, err);
    if (status == TSR_OK && got < n)
        status = tsr_fail(err, TSR_E_MISMATCH, "%s has %lld labels, but '%s' has more samples", tsr_samples_name(s->label_file),
                          (long long)(s->samples - n + got), s->name);
    for (int64_t i = 0; status == TSR_OK && i < n; i++) {
        double v = tsr_load_f64(type, raw, i);
        if (!(v >= 0 && v < (double)(1 << 24)) || v != floor(v))
            status = tsr_fail(err, TSR_E_CORRUPT, "%s has %g for sample %lld, which is no class number",
                              tsr_samples_name(s->label_file), v, (long long)(s->samples - n + i));
        else s->label[i] = (int64_t)v;
    }
    tsr_free(raw);
    return status;
}

static enum tsr_status take_keys(struct tsr_side *s, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_keyhash h;
    int64_t last = s->keys.count > 0 ? s->keys.block : -1;
    TSR_TRY(tsr_keys_get(s->stream, rec, &s->keys, err));
    if (s->keys.block <= last)
        return tsr_record_failed(rec, tsr_fail(err, TSR_E_CORRUPT, "block %lld follows block %lld",
                                               (long long)s->keys.block, (long long)last), err);
    s->samples += (int64_t)s->keys.count;
    s->blocks++;
    s->records = 0;
    tsr_keyhash_init(&h);
    tsr_keyhash_update(&h, s->keys.key, s->keys.count * sizeof *s->keys.key);
    tsr_keyhash_final(&h, &s->block);
    return s->label_file != NULL ? take_labels(s, err) : TSR_OK;
}

static enum tsr_status take_recipe(struct tsr_side *s, const struct tsr_record *rec, struct tsr_error *err)
{
    if (s->recipe != NULL && !tsr_json_equal(s->recipe, rec->meta))
        return tsr_fail(err, TSR_E_MISMATCH, "'%s' holds streams with different recipes of views", s->name);
    if (s->recipe != NULL) return TSR_OK;
    enum tsr_status status = tsr_views_from_json(&s->views, rec->meta, err);
    if (status != TSR_OK) return tsr_record_failed(rec, status, err);
    return tsr_json_parse(rec->meta_text, rec->meta_len, TSR_MAX_META, "the recipe of views", &s->recipe, err);
}

static enum tsr_status take_basis(struct tsr_side *s, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_basis b;
    TSR_TRY(tsr_basis_parse(rec, &b, err));
    if (s->n_bases == MAX_LAYERS) return tsr_fail(err, TSR_E_LIMIT, "'%s' has more than %d bases", s->name, MAX_LAYERS);
    TSR_TRY(tsr_grow(&s->base, &s->cap_base, s->n_bases + 1, sizeof *s->base, err));
    struct tsr_side_base *to = &s->base[s->n_bases++];
    *to = (struct tsr_side_base){.anchors = (size_t)b.anchors, .rank = (size_t)b.rank};
    snprintf(to->hub, sizeof to->hub, "%s", b.hub);
    to->layer = tsr_strdup(b.layer != NULL ? b.layer : "");
    to->basis = tsr_malloc(to->anchors, to->rank * sizeof *to->basis);
    if (to->layer == NULL || to->basis == NULL) return tsr_nomem(err, to->anchors * to->rank * sizeof *to->basis);
    return tsr_basis_load(s->stream, rec, to->basis, err);
}

static const struct tsr_side_base *find_base(const struct tsr_side *s, const struct tsr_rows *r)
{
    for (size_t i = 0; i < s->n_bases; i++)
        if (s->base[i].rank == r->set.cols && strcmp(s->base[i].layer, r->layer != NULL ? r->layer : "") == 0)
            return &s->base[i];
    return NULL;
}

/* What a batch of such rows is called: "" for outputs. */
static const char *name_of(const struct tsr_rows *r, char *buf, size_t size)
{
    const char *layer = r->layer != NULL ? r->layer : "";
    if (r->type == TSR_HUBT) snprintf(buf, size, "hub:%s", layer);
    else snprintf(buf, size, "%s", r->type == TSR_OUTS ? "" : *layer != '\0' ? layer : "?");
    return buf;
}

static enum tsr_status find_part(struct tsr_side *s, const char *layer, struct tsr_side_part **out, struct tsr_error *err)
{
    for (size_t i = 0; i < s->n_parts; i++)
        if (strcmp(s->part[i].layer, layer) == 0) {
            *out = &s->part[i];
            return TSR_OK;
        }
    if (s->n_parts == MAX_LAYERS) return tsr_fail(err, TSR_E_LIMIT, "'%s' has more than %d layers", s->name, MAX_LAYERS);
    TSR_TRY(tsr_grow(&s->part, &s->cap_part, s->n_parts + 1, sizeof *s->part, err));
    char *copy = tsr_strdup(layer);
    if (copy == NULL) return tsr_nomem(err, strlen(layer) + 1);
    *out = &s->part[s->n_parts++];
    **out = (struct tsr_side_part){.layer = copy, .block = -1};
    return TSR_OK;
}

/* The rows belong to the current block, and no row of it comes twice. */
static enum tsr_status check_place(struct tsr_side *s, const struct tsr_rows *r, struct tsr_error *err)
{
    struct tsr_side_part *p = NULL;
    char name[LAYER_NAME];
    if (s->keys.count == 0 || r->block != s->keys.block || r->count != (int64_t)s->keys.count)
        return tsr_fail(err, TSR_E_CORRUPT, "its rows are not of the block whose keys came last");
    TSR_TRY(find_part(s, name_of(r, name, sizeof name), &p, err));
    if (p->block != r->block) {
        p->block = r->block;
        p->refs = false;
        p->views = 0;
    }
    if (r->views ? r->view <= p->views : p->refs) return tsr_fail(err, TSR_E_CORRUPT, "rows of its block come twice");
    if (r->views && s->want_views && (s->recipe == NULL || r->view + r->n_views - 1 > (int64_t)s->views.count))
        return tsr_fail(err, TSR_E_CORRUPT, "it holds views that no recipe announces");
    if (r->views) p->views = r->view + r->n_views - 1;
    else p->refs = true;
    return TSR_OK;
}

/* Coefficients become vectors over the hub's anchors. */
static enum tsr_status expand(struct tsr_side *s, const struct tsr_rows *r, struct tsr_batch *b, struct tsr_error *err)
{
    const struct tsr_side_base *base = find_base(s, r);
    float *coefficient = b->x;
    size_t n;
    if (base == NULL) return tsr_fail(err, TSR_E_CORRUPT, "'%s' has hub tokens without their basis", s->name);
    if (!tsr_mul_size(b->rows, base->anchors, &n) || n > TSR_MAX_ELEMENTS)
        return tsr_fail(err, TSR_E_LIMIT, "'%s' has too many hub tokens in one record", s->name);
    float *x = tsr_malloc(n, sizeof *x);
    if (x == NULL) return tsr_nomem(err, n * sizeof *x);
    int64_t rank = (int64_t)base->rank, anchors = (int64_t)base->anchors;
    tsr_blas_sgemm(false, true, (int64_t)b->rows, anchors, rank, 1, coefficient, rank, base->basis, rank, 0, x, anchors);
    tsr_free(coefficient);
    b->x = x;
    b->cols = base->anchors;
    memcpy(b->hub, base->hub, sizeof b->hub);
    return TSR_OK;
}

static enum tsr_status load(struct tsr_side *s, const struct tsr_rows *r, struct tsr_batch *b, struct tsr_error *err)
{
    size_t n = s->keys.count;
    *b = (struct tsr_batch){.kind = r->set.kind, .dtype = r->set.dtype, .rows = r->set.rows, .cols = r->set.cols,
                            .count = n, .view = r->views ? r->view : 0, .block = s->block, .users = 1};
    char name[LAYER_NAME];
    if (r->type != TSR_OUTS && (b->layer = tsr_strdup(name_of(r, name, sizeof name))) == NULL) return tsr_nomem(err, 1);
    b->key = tsr_memdup(s->keys.key, n * sizeof *b->key);
    if (b->key == NULL) return tsr_nomem(err, n * sizeof *b->key);
    if (s->label != NULL && (b->label = tsr_memdup(s->label, n * sizeof *b->label)) == NULL)
        return tsr_nomem(err, n * sizeof *b->label);
    TSR_TRY(tsr_rows_get(s->stream, r, &b->x, err));
    if (r->type == TSR_HUBT) TSR_TRY(expand(s, r, b, err));
    b->bytes = sizeof *b + b->rows * b->cols * sizeof *b->x + n * (sizeof *b->key + sizeof *b->label);
    return TSR_OK;
}

static enum tsr_status take_rows(struct tsr_side *s, const struct tsr_record *rec, struct tsr_batch **out,
                                 struct tsr_error *err)
{
    struct tsr_rows r;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    enum tsr_status status = check_place(s, &r, err);
    if (status != TSR_OK) return tsr_record_failed(rec, status, err);
    s->records++;
    if (r.views && !s->want_views) return TSR_OK;
    struct tsr_batch *b = tsr_calloc(1, sizeof *b);
    if (b == NULL) return tsr_nomem(err, sizeof *b);
    status = load(s, &r, b, err);
    if (status == TSR_OK) *out = b;
    else tsr_batch_drop(b);
    return status;
}

/* More labels than samples? */
static enum tsr_status check_labels(struct tsr_side *s, struct tsr_error *err)
{
    uint8_t row[16];
    int64_t got = 0;
    if (s->label_file == NULL || tsr_samples_row_bytes(s->label_file) > sizeof row) return TSR_OK;
    TSR_TRY(tsr_samples_read(s->label_file, 1, row, &got, err));
    return got == 0 ? TSR_OK
                    : tsr_fail(err, TSR_E_MISMATCH, "%s has more labels than '%s' has samples (%lld)",
                               tsr_samples_name(s->label_file), s->name, (long long)s->samples);
}

enum tsr_status tsr_side_step(struct tsr_side *s, struct tsr_batch **out, struct tsr_error *err)
{
    const struct tsr_record *rec;
    *out = NULL;
    TSR_TRY(tsr_stream_next(s->stream, &rec, err));
    if (rec == NULL) {
        s->ended = true;
        return check_labels(s, err);
    }
    switch (rec->type) {
    case TSR_HEAD: return take_head(s, rec, err);
    case TSR_KEYS: return take_keys(s, rec, err);
    case TSR_VIEW: return s->want_views ? take_recipe(s, rec, err) : TSR_OK;
    case TSR_BASE: return take_basis(s, rec, err);
    case TSR_OUTS:
    case TSR_HUBT:
    case TSR_ACTS: return take_rows(s, rec, out, err);
    default: return TSR_OK;
    }
}
