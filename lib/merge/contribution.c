#include "merge/contribution.h"

#include "base/mem.h"
#include "hub/hub.h"
#include "stream/basis.h"
#include "stream/keys.h"
#include "stream/rows.h"

#include <stdio.h>
#include <string.h>

const char *tsr_merge_fault_name(enum tsr_merge_fault fault)
{
    static const char *const name[] = {"none", "unlisted", "weight",  "duplicate", "replay",   "round",
                                       "time", "numbers",  "zero",    "record",    "mismatch", "outlier", "empty"};
    return name[fault];
}

static const char *const confidence_names[] = {"none", "standardised-mean", "max-confidence", "energy"};

const char *tsr_confidence_name(enum tsr_merge_confidence confidence) { return confidence_names[confidence]; }

int tsr_confidence_of(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(confidence_names[i], name) == 0) return i;
    return -1;
}

struct tsr_embed tsr_contribution_embed(const struct tsr_contribution *c, bool hub)
{
    return hub ? tsr_space_hub(&c->space) : tsr_space_outputs(&c->space, c->scale, (int)c->confidence);
}

void tsr_contribution_fault(struct tsr_contribution *c, enum tsr_merge_fault fault, const char *why)
{
    if (c->fault != TSR_FAULT_NONE) return;
    c->fault = fault;
    (void)snprintf(c->why, sizeof c->why, "%s", why != NULL ? why : "");
}

void tsr_contribution_clear(struct tsr_contribution *c)
{
    struct tsr_contribution keep = {.scale = c->scale, .layer = c->layer, .outputs = c->outputs, .hub = c->hub,
                                    .confidence = c->confidence};
    for (size_t i = 0; i < c->blocks; i++) tsr_free(c->block[i].key);
    for (size_t i = 0; i < c->n_rows; i++) tsr_free(c->rows[i].x);
    tsr_free(c->block);
    tsr_free(c->rows);
    tsr_free(c->id);
    tsr_free(c->hub_layer);
    tsr_free(c->basis);
    tsr_space_release(&c->space);
    tsr_stream_head_release(&c->io);
    *c = keep;
}

/* Damage of content spoils a contribution, anything else the whole work. */
static enum tsr_status contain(struct tsr_contribution *c, enum tsr_status status, enum tsr_merge_fault fault,
                               const struct tsr_error *err)
{
    if (status != TSR_E_CORRUPT && status != TSR_E_UNSUPPORTED && status != TSR_E_NUMERIC && status != TSR_E_MISMATCH)
        return status;
    tsr_contribution_fault(c, fault, err->message);
    return TSR_OK;
}

static enum tsr_status copy_name(char **to, const char *from, struct tsr_error *err)
{
    *to = tsr_strdup(from);
    return *to != NULL ? TSR_OK : tsr_nomem(err, strlen(from) + 1);
}

/* A contributor who gives no name is known by its model, and one without a model by its stream. */
static enum tsr_status identify(struct tsr_contribution *c, struct tsr_error *err)
{
    const struct tsr_stream_head *h = &c->io;
    struct tsr_keyhash hash;
    if (h->contributor != NULL) TSR_TRY(copy_name(&c->id, h->contributor, err));
    else TSR_TRY(copy_name(&c->id, h->model_digest[0] != '\0' ? h->model_digest : c->head, err));
    tsr_keyhash_init(&hash);
    tsr_keyhash_update(&hash, c->id, strlen(c->id));
    tsr_keyhash_final(&hash, &c->key);
    c->time = h->time;
    return h->round != NULL ? copy_name(&c->space.round, h->round, err) : TSR_OK;
}

enum tsr_status tsr_contribution_head(struct tsr_contribution *c, const struct tsr_record *rec, struct tsr_error *err)
{
    tsr_record_digest(rec, c->head);
    enum tsr_status status = tsr_stream_head_parse(rec, &c->io, err);
    if (status != TSR_OK) { /* named all the same, so that it can be reported */
        TSR_TRY(contain(c, status, TSR_FAULT_RECORD, err));
        return copy_name(&c->id, c->head, err);
    }
    TSR_TRY(identify(c, err));
    c->space.known = true;
    c->space.contributors = c->io.contributors;
    c->kind = c->io.outputs;
    return tsr_space_set_inputs(&c->space, &c->io, err);
}

static enum tsr_status take_keys(struct tsr_contribution *c, struct tsr_stream *s, const struct tsr_record *rec,
                                 struct tsr_error *err)
{
    struct tsr_block_keys k = {0};
    enum tsr_status status = tsr_keys_get(s, rec, &k, err);
    if (status == TSR_OK) status = tsr_grow(&c->block, &c->cap_block, c->blocks + 1, sizeof *c->block, err);
    if (status == TSR_OK && k.block != (int64_t)c->blocks) /* blocks of a contribution are numbered without gaps */
        status = tsr_fail(err, TSR_E_CORRUPT, "block %lld stands where block %zu must", (long long)k.block, c->blocks);
    if (status != TSR_OK) {
        tsr_keys_release(&k);
        return status;
    }
    c->block[c->blocks++] = (struct tsr_merge_keys){k.first, (uint32_t)k.count, k.key};
    return TSR_OK;
}

static enum tsr_status take_views(struct tsr_contribution *c, const struct tsr_record *rec, struct tsr_error *err)
{
    int64_t count;
    if (c->space.recipe != NULL) return tsr_fail(err, TSR_E_CORRUPT, "there are two recipes of views");
    TSR_TRY(tsr_json_need_int(rec->meta, "count", 0, TSR_MAX_ELEMENTS, &count, err));
    if (count == 0) return TSR_OK;
    c->space.recipe = tsr_malloc(rec->meta_len + 1, 1);
    if (c->space.recipe == NULL) return tsr_nomem(err, rec->meta_len + 1);
    memcpy(c->space.recipe, rec->meta_text, rec->meta_len);
    c->space.recipe[rec->meta_len] = '\0';
    c->space.views = (uint32_t)count;
    return TSR_OK;
}

/* Is this the layer whose hub tokens are taken? */
static enum tsr_status right_layer(struct tsr_contribution *c, const char *layer, bool *yes, struct tsr_error *err)
{
    if (layer == NULL) layer = "";
    *yes = c->hub && (c->layer == NULL || strcmp(c->layer, layer) == 0);
    if (*yes && c->hub_layer == NULL) TSR_TRY(copy_name(&c->hub_layer, layer, err));
    *yes = *yes && strcmp(c->hub_layer, layer) == 0;
    return TSR_OK;
}

static enum tsr_status take_basis(struct tsr_contribution *c, struct tsr_stream *s, const struct tsr_record *rec,
                                  struct tsr_error *err)
{
    struct tsr_basis b;
    bool yes;
    TSR_TRY(tsr_basis_parse(rec, &b, err));
    TSR_TRY(right_layer(c, b.layer, &yes, err));
    if (!yes || c->basis != NULL) return TSR_OK;
    if (strlen(b.hub) != TSR_DIGEST_TEXT - 1) return tsr_fail(err, TSR_E_CORRUPT, "the hub's identity is no SHA-256");
    size_t n = (size_t)b.anchors, r = (size_t)b.rank;
    float *x = tsr_malloc(n * r, sizeof *x);
    c->basis = tsr_malloc(n * r, sizeof *c->basis);
    enum tsr_status status = x == NULL || c->basis == NULL ? tsr_nomem(err, n * r * sizeof *x) : TSR_OK;
    if (status == TSR_OK) status = tsr_basis_load(s, rec, x, err);
    for (size_t a = 0; a < n && status == TSR_OK; a++)
        for (size_t k = 0; k < r; k++) c->basis[k * n + a] = x[a * r + k];
    tsr_free(x);
    c->rank = r;
    memcpy(c->space.hub, b.hub, TSR_DIGEST_TEXT);
    c->space.dim = b.dim;
    c->space.anchors = n;
    return status;
}

/* What kind of outputs they are, and how many numbers a row. */
static enum tsr_status check_outputs(struct tsr_contribution *c, const struct tsr_rows *r, struct tsr_error *err)
{
    struct tsr_merge_space *s = &c->space;
    bool argmax = r->set.kind == TSR_KIND_ARGMAX;
    size_t classes = argmax ? (size_t)c->io.classes : r->set.cols;
    enum tsr_row_kind family = r->set.kind == TSR_KIND_REGRESSION ? TSR_KIND_REGRESSION : TSR_KIND_PROBABILITIES;
    if (argmax && (c->io.classes < 1 || c->io.classes > TSR_MAX_ELEMENTS / 2))
        return tsr_fail(err, TSR_E_CORRUPT, "the stream does not say how many classes its answers have");
    if (s->outputs != TSR_KIND_NONE && (s->outputs != family || s->classes != classes || c->kind != r->set.kind))
        return tsr_fail(err, TSR_E_CORRUPT, "its outputs change their kind or width");
    s->outputs = family;
    s->classes = classes;
    c->kind = r->set.kind;
    return TSR_OK;
}

/* h = U c for every row of coefficients, by sums in the order of the coefficients. */
static void expand(const struct tsr_contribution *c, const float *coefficient, float *h)
{
    size_t n = c->space.anchors;
    memset(h, 0, n * sizeof *h);
    for (size_t k = 0; k < c->rank; k++) {
        const float f = coefficient[k], *u = c->basis + k * n;
        for (size_t a = 0; a < n; a++) h[a] += f * u[a];
    }
}

static enum tsr_status fault_of(struct tsr_contribution *c, enum tsr_embed_fault fault, const char *what, size_t row)
{
    static const enum tsr_merge_fault faults[] = {[TSR_EMBED_NAN] = TSR_FAULT_NUMBERS, [TSR_EMBED_ZERO] = TSR_FAULT_ZERO,
                                                  [TSR_EMBED_CLASS] = TSR_FAULT_RECORD};
    static const char *const words[] = {[TSR_EMBED_NAN] = "is not finite or not a probability", [TSR_EMBED_ZERO] = "is zero",
                                        [TSR_EMBED_CLASS] = "is no class"};
    char why[120];
    (void)snprintf(why, sizeof why, "row %zu of its %s %s", row, what, words[fault]);
    tsr_contribution_fault(c, faults[fault], why);
    return TSR_OK;
}

/* The rows of a record, embedded, into `to`. */
static enum tsr_status embed_rows(struct tsr_contribution *c, const struct tsr_rows *r, const float *x,
                                  struct tsr_merge_rows *to, struct tsr_error *err)
{
    struct tsr_embed e = tsr_contribution_embed(c, to->hub);
    size_t bytes;
    if (!tsr_mul_size(r->set.rows, e.width * sizeof *to->x, &bytes)) return tsr_nomem(err, SIZE_MAX);
    to->x = tsr_malloc(bytes, 1);
    float *h = to->hub ? tsr_malloc(c->space.anchors, sizeof *h) : NULL;
    if (to->x == NULL || (to->hub && h == NULL)) {
        tsr_free(h);
        return tsr_nomem(err, bytes);
    }
    for (size_t i = 0; i < r->set.rows && c->fault == TSR_FAULT_NONE; i++) {
        const float *row = x + i * r->set.cols;
        if (to->hub) {
            expand(c, row, h);
            row = h;
        }
        float *y = to->x + i * e.width;
        enum tsr_embed_fault fault = tsr_embed_loose(&e) ? tsr_embed_logits(e.cols, r->set.kind, row, y)
                                                         : tsr_embed_row(&e, to->hub ? TSR_KIND_NONE : r->set.kind, row, y);
        if (fault != TSR_EMBED_FINE) (void)fault_of(c, fault, to->hub ? "hub tokens" : "outputs", i);
    }
    tsr_free(h);
    return TSR_OK;
}

static enum tsr_status check_address(const struct tsr_contribution *c, const struct tsr_rows *r, struct tsr_error *err)
{
    if (c->blocks == 0 || r->block != (int64_t)c->blocks - 1 || r->count != (int64_t)c->block[c->blocks - 1].count)
        return tsr_fail(err, TSR_E_CORRUPT, "rows of block %lld do not follow its keys", (long long)r->block);
    if (r->views && r->view + r->n_views - 1 > (int64_t)c->space.views)
        return tsr_fail(err, TSR_E_CORRUPT, "rows of view %lld stand in a stream whose recipe has %u views",
                        (long long)(r->view + r->n_views - 1), c->space.views);
    return TSR_OK;
}

static enum tsr_status take_rows(struct tsr_contribution *c, struct tsr_stream *s, const struct tsr_record *rec,
                                 struct tsr_error *err)
{
    struct tsr_rows r;
    bool hub = rec->type == TSR_HUBT, yes = c->outputs;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    if (hub) TSR_TRY(right_layer(c, r.layer, &yes, err));
    if (!yes) return TSR_OK;
    TSR_TRY(check_address(c, &r, err));
    if (!hub) TSR_TRY(check_outputs(c, &r, err));
    if (!hub && c->confidence == TSR_CONFIDENCE_ENERGY && (r.set.kind != TSR_KIND_LOGITS || r.set.code != TSR_CODE_PLAIN))
        return tsr_fail(err, TSR_E_CORRUPT, "energies need logits in float32, float16 or bfloat16; other codes keep differences only");
    if (hub && (c->basis == NULL || r.set.cols != c->rank))
        return tsr_fail(err, TSR_E_CORRUPT, "its hub tokens do not fit a basis before them");
    struct tsr_merge_rows piece = {hub, r.views, (size_t)r.block, r.view, r.views ? r.n_views : 1, r.set.rows, NULL};
    TSR_TRY(tsr_grow(&c->rows, &c->cap_rows, c->n_rows + 1, sizeof *c->rows, err));
    float *x;
    enum tsr_status status = tsr_rows_get(s, &r, &x, err);
    if (status != TSR_OK) return contain(c, status, TSR_FAULT_NUMBERS, err);
    status = embed_rows(c, &r, x, &piece, err);
    tsr_free(x);
    if (status != TSR_OK) tsr_free(piece.x);
    else c->rows[c->n_rows++] = piece;
    return status;
}

/* The root that the reader has verified. */
static enum tsr_status take_end(struct tsr_contribution *c, const struct tsr_record *rec, struct tsr_error *err)
{
    const char *root;
    TSR_TRY(tsr_json_need_string(rec->meta, "root", &root, err));
    tsr_sha256(root, strlen(root), c->root);
    if (c->n_rows == 0) tsr_contribution_fault(c, TSR_FAULT_EMPTY, "it holds no outputs and no hub tokens");
    return TSR_OK;
}

/* The anchors are the first samples; the hub is named by their keys. */
static enum tsr_status name_anchors(struct tsr_contribution *c, struct tsr_error *err)
{
    size_t n = c->space.anchors, have = 0;
    if (c->hub_layer == NULL || n == 0) return TSR_OK;
    c->space.anchor = tsr_malloc(n, sizeof *c->space.anchor);
    if (c->space.anchor == NULL) return tsr_nomem(err, n * sizeof *c->space.anchor);
    for (size_t b = 0; b < c->blocks && have < n; b++) {
        size_t take = c->block[b].count < n - have ? c->block[b].count : n - have;
        memcpy(c->space.anchor + have, c->block[b].key, take * sizeof *c->space.anchor);
        have += take;
    }
    uint8_t id[TSR_SHA256_LEN] = {0};
    char hex[TSR_DIGEST_TEXT];
    if (have == n) tsr_hub_id(c->space.anchor, (int64_t)n, id);
    tsr_hex(id, sizeof id, hex);
    if (have != n || strcmp(hex, c->space.hub) != 0)
        tsr_contribution_fault(c, TSR_FAULT_RECORD, "its hub is not that of its first samples");
    return TSR_OK;
}

static enum tsr_status dispatch(struct tsr_contribution *c, struct tsr_stream *s, const struct tsr_record *rec,
                                struct tsr_error *err)
{
    switch (rec->type) {
    case TSR_KEYS: return take_keys(c, s, rec, err);
    case TSR_VIEW: return take_views(c, rec, err);
    case TSR_BASE: return take_basis(c, s, rec, err);
    case TSR_OUTS:
    case TSR_HUBT: return take_rows(c, s, rec, err);
    case TSR_ENDS: TSR_TRY(take_end(c, rec, err)); return name_anchors(c, err);
    default: return TSR_OK;
    }
}

enum tsr_status tsr_contribution_record(struct tsr_contribution *c, struct tsr_stream *s, const struct tsr_record *rec,
                                        struct tsr_error *err)
{
    if (c->fault != TSR_FAULT_NONE && rec->type != TSR_ENDS) return TSR_OK;
    return contain(c, dispatch(c, s, rec, err), TSR_FAULT_RECORD, err);
}
