#include "stream/check.h"

#include "base/mem.h"
#include "stream/basis.h"
#include "stream/head.h"
#include "stream/inputs.h"
#include "stream/keys.h"

#define MAX_BASES 1024

struct tsr_stream_check {
    struct tsr_stream_head head;
    struct tsr_block_keys keys; /* of the current block; count 0: none yet */
    struct tsr_block_keys next; /* memory for the keys that are being read */
    int64_t samples;            /* seen so far */
    struct tsr_sha256 digest;   /* of all keys so far */
    int64_t views;              /* -1: no VIEW record yet */
    struct base {               /* the BASE records so far */
        char *layer;
        size_t rank;
    } * base;
    size_t n_bases;
};

void tsr_stream_check_clear(struct tsr_stream_check *c)
{
    tsr_stream_head_release(&c->head);
    for (size_t i = 0; i < c->n_bases; i++) tsr_free(c->base[i].layer);
    tsr_free(c->base);
    c->base = NULL;
    c->n_bases = 0;
    c->samples = 0;
    c->keys.count = 0;
    c->views = -1;
    tsr_sha256_init(&c->digest);
}

enum tsr_status tsr_stream_check_new(struct tsr_stream_check **out, struct tsr_error *err)
{
    *out = tsr_calloc(1, sizeof **out);
    if (*out == NULL) return tsr_nomem(err, sizeof **out);
    tsr_stream_check_clear(*out);
    return TSR_OK;
}

void tsr_stream_check_free(struct tsr_stream_check *c)
{
    if (c == NULL) return;
    tsr_stream_check_clear(c);
    tsr_keys_release(&c->keys);
    tsr_keys_release(&c->next);
    tsr_free(c);
}

static enum tsr_status check_keys(struct tsr_stream_check *c, struct tsr_stream *s, const struct tsr_record *rec,
                                  struct tsr_error *err)
{
    const struct tsr_block_keys *k = &c->next, last = c->keys;
    TSR_TRY(tsr_keys_get(s, rec, &c->next, err));
    if ((last.count > 0 && k->block <= last.block) || k->first < c->samples)
        return tsr_fail(err, TSR_E_CORRUPT, "block %lld from sample %lld follows block %lld, %lld samples being told",
                        (long long)k->block, (long long)k->first, (long long)last.block, (long long)c->samples);
    c->keys = c->next;
    c->next = last;
    c->samples = c->keys.first + (int64_t)c->keys.count;
    tsr_sha256_update(&c->digest, c->keys.key, c->keys.count * TSR_KEY_LEN);
    return TSR_OK;
}

/* A record of samples belongs to the block whose KEYS came last. */
static enum tsr_status check_block(const struct tsr_stream_check *c, int64_t block, int64_t count, struct tsr_error *err)
{
    if (c->keys.count == 0) return tsr_fail(err, TSR_E_CORRUPT, "it comes before the KEYS of its block");
    if (block != c->keys.block || count != (int64_t)c->keys.count)
        return tsr_fail(err, TSR_E_CORRUPT, "it is of %lld samples of block %lld, the last KEYS of %zu of block %lld",
                        (long long)count, (long long)block, c->keys.count, (long long)c->keys.block);
    return TSR_OK;
}

static enum tsr_status check_inputs(const struct tsr_stream_check *c, struct tsr_stream *s, const struct tsr_record *rec,
                                    struct tsr_error *err)
{
    struct tsr_inputs in;
    TSR_TRY(tsr_inputs_parse(rec, &in, err));
    TSR_TRY(check_block(c, in.block, in.count, err));
    void *data = tsr_malloc(tsr_inputs_bytes(&in), 1);
    if (data == NULL) return tsr_nomem(err, tsr_inputs_bytes(&in));
    enum tsr_status status = tsr_inputs_load(s, &in, data, err);
    tsr_free(data);
    return status;
}

static const struct base *find_base(const struct tsr_stream_check *c, const char *layer)
{
    for (size_t i = 0; i < c->n_bases; i++)
        if (strcmp(c->base[i].layer, layer == NULL ? "" : layer) == 0) return &c->base[i];
    return NULL;
}

static enum tsr_status check_base(struct tsr_stream_check *c, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_basis b;
    TSR_TRY(tsr_basis_parse(rec, &b, err));
    if (find_base(c, b.layer) != NULL)
        return tsr_fail(err, TSR_E_CORRUPT, "there is a second basis for the layer '%.80s'", b.layer ? b.layer : "");
    if (c->n_bases == MAX_BASES) return tsr_fail(err, TSR_E_LIMIT, "a segment has more than %d bases", MAX_BASES);
    struct base *grown = tsr_realloc(c->base, c->n_bases + 1, sizeof *grown);
    if (grown == NULL) return tsr_nomem(err, sizeof *grown);
    c->base = grown;
    char *layer = tsr_strdup(b.layer == NULL ? "" : b.layer);
    if (layer == NULL) return tsr_nomem(err, 1);
    grown[c->n_bases++] = (struct base){.layer = layer, .rank = (size_t)b.rank};
    return TSR_OK;
}

static enum tsr_status check_outputs(const struct tsr_stream_check *c, const struct tsr_rows *r, struct tsr_error *err)
{
    if (c->head.outputs == TSR_KIND_NONE) return TSR_OK; /* HEAD does not say */
    if (r->set.kind != c->head.outputs)
        return tsr_fail(err, TSR_E_CORRUPT, "its kind is '%s', HEAD says '%s'", tsr_row_kind_name(r->set.kind),
                        tsr_row_kind_name(c->head.outputs));
    if (c->head.classes > 0 && r->set.kind != TSR_KIND_ARGMAX && (int64_t)r->set.cols != c->head.classes)
        return tsr_fail(err, TSR_E_CORRUPT, "it has %zu columns, HEAD says %lld classes", r->set.cols,
                        (long long)c->head.classes);
    return TSR_OK;
}

/* Rows fit their block, the recipe of views, the basis and HEAD. */
static enum tsr_status check_fit(const struct tsr_stream_check *c, const struct tsr_rows *r, struct tsr_error *err)
{
    TSR_TRY(check_block(c, r->block, r->count, err));
    if (r->views && c->views < 0) return tsr_fail(err, TSR_E_CORRUPT, "it holds views, but no VIEW record came before it");
    if (r->views && r->view + r->n_views - 1 > c->views)
        return tsr_fail(err, TSR_E_CORRUPT, "it holds views %lld to %lld, VIEW announces %lld", (long long)r->view,
                        (long long)(r->view + r->n_views - 1), (long long)c->views);
    if (r->type == TSR_OUTS) return check_outputs(c, r, err);
    if (r->type != TSR_HUBT) return TSR_OK;
    const struct base *b = find_base(c, r->layer);
    if (b == NULL) return tsr_fail(err, TSR_E_CORRUPT, "no basis for the layer '%.80s' came before it", r->layer ? r->layer : "");
    if (b->rank != r->set.cols)
        return tsr_fail(err, TSR_E_CORRUPT, "it has %zu coefficients a row, its basis has rank %zu", r->set.cols, b->rank);
    return TSR_OK;
}

static enum tsr_status check_rows(struct tsr_stream_check *c, struct tsr_stream *s, const struct tsr_record *rec,
                                  struct tsr_error *err)
{
    struct tsr_rows r;
    float *x;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    if (tsr_rows_addressed(rec->type)) TSR_TRY(check_fit(c, &r, err));
    if (rec->type == TSR_BASE) TSR_TRY(check_base(c, rec, err));
    TSR_TRY(tsr_rows_get(s, &r, &x, err));
    tsr_free(x);
    return TSR_OK;
}

static enum tsr_status check_view(struct tsr_stream_check *c, const struct tsr_record *rec, struct tsr_error *err)
{
    if (c->views >= 0) return tsr_fail(err, TSR_E_CORRUPT, "there is a second recipe of views");
    return tsr_json_need_int(rec->meta, "count", 0, TSR_MAX_ELEMENTS, &c->views, err);
}

static enum tsr_status check_end(const struct tsr_stream_check *c, struct tsr_error *err)
{
    uint8_t digest[TSR_SHA256_LEN];
    char text[TSR_DIGEST_TEXT];
    struct tsr_sha256 h = c->digest;
    if (c->head.reference_count == 0) return TSR_OK;
    if (c->head.reference_count != c->samples)
        return tsr_fail(err, TSR_E_CORRUPT, "HEAD announces %lld reference samples, KEYS name %lld",
                        (long long)c->head.reference_count, (long long)c->samples);
    tsr_sha256_final(&h, digest);
    tsr_hex(digest, sizeof digest, text);
    if (c->head.reference_digest[0] != '\0' && strcmp(text, c->head.reference_digest) != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "the keys are not those of the reference set that HEAD names");
    return TSR_OK;
}

static enum tsr_status check_empty(const struct tsr_record *rec, struct tsr_error *err)
{
    return rec->plain_len == 0 ? TSR_OK : tsr_fail(err, TSR_E_CORRUPT, "it has a body");
}

/* Types without rules of their own: the frames must be sound. */
static enum tsr_status check_body(struct tsr_stream *s, struct tsr_error *err)
{
    const uint8_t *data;
    size_t n = 1;
    while (n != 0) TSR_TRY(tsr_stream_read_body(s, &data, &n, err));
    return TSR_OK;
}

static enum tsr_status dispatch(struct tsr_stream_check *c, struct tsr_stream *s, const struct tsr_record *rec,
                                struct tsr_error *err)
{
    switch (rec->type) {
    case TSR_HEAD:
        tsr_stream_check_clear(c);
        TSR_TRY(check_empty(rec, err));
        return tsr_stream_head_parse(rec, &c->head, err);
    case TSR_KEYS: return check_keys(c, s, rec, err);
    case TSR_INPT: return check_inputs(c, s, rec, err);
    case TSR_VIEW: TSR_TRY(check_empty(rec, err)); return check_view(c, rec, err);
    case TSR_ACTS:
    case TSR_OUTS:
    case TSR_HUBT:
    case TSR_BASE:
    case TSR_FPRT: return check_rows(c, s, rec, err);
    case TSR_ENDS: return check_end(c, err);
    default: return check_body(s, err);
    }
}

enum tsr_status tsr_stream_check_record(struct tsr_stream_check *c, struct tsr_stream *s,
                                        const struct tsr_record *rec, struct tsr_error *err)
{
    enum tsr_status status = dispatch(c, s, rec, err);
    if (status != TSR_OK && err != NULL && strstr(err->message, " at byte ") == NULL) (void)tsr_record_failed(rec, status, err);
    return status;
}
