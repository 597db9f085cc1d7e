/* tokens_load.c - reads a token stream into memory. */
#include "base/mem.h"
#include "stream/basis.h"
#include "stream/head.h"
#include "stream/inputs.h"
#include "stream/keys.h"
#include "stream/rows.h"
#include "transfer/tokens.h"

#include <string.h>

/* A matrix that records fill piece by piece; `have` counts its rows. */
struct table {
    float *x;
    size_t rows, cols, have;
};

struct loader {
    struct tsr_stream *s;
    struct tsr_tokens *t;
    struct tsr_block_keys keys;
    size_t cap_key, cap_block;
    struct tsr_stream_head head;
    char *hub_layer; /* the layer whose tokens are taken: the first that comes, or the one named */
    const char *layer;
    bool views_known;
    struct table ref_out, view_out, ref_hub, view_hub;
    size_t cap[4];
    size_t input_bytes;
    struct tsr_buf inputs;
    struct tsr_shape input_shape;
    enum tsr_dtype input_dtype;
    size_t segments;
};

static enum tsr_status take_keys(struct loader *l, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_tokens *t = l->t;
    TSR_TRY(tsr_keys_get(l->s, rec, &l->keys, err));
    if (l->keys.block != (int64_t)t->n_block || l->keys.first != (int64_t)t->refs)
        return tsr_fail(err, TSR_E_CORRUPT, "the stream's blocks are out of order (block %lld where %zu was due)",
                        (long long)l->keys.block, t->n_block);
    if (t->refs > UINT32_MAX - TSR_BLOCK_ROWS) return tsr_fail(err, TSR_E_LIMIT, "the stream has too many samples");
    TSR_TRY(tsr_grow(&t->key, &l->cap_key, t->refs + l->keys.count, sizeof *t->key, err));
    TSR_TRY(tsr_grow(&t->block, &l->cap_block, t->n_block + 1, sizeof *t->block, err));
    memcpy(t->key + t->refs, l->keys.key, l->keys.count * sizeof *t->key);
    t->block[t->n_block++] = (struct tsr_token_block){t->refs, (uint32_t)l->keys.count};
    t->refs += (uint32_t)l->keys.count;
    return TSR_OK;
}

/* Rows arrive in the order of the row numbers: references block by block, views block by block
 * and in each view by view; anything else is a gap. */
static enum tsr_status take_rows(struct loader *l, const struct tsr_rows *r, struct table *to, size_t *cap,
                                 struct tsr_error *err)
{
    const struct tsr_tokens *t = l->t;
    const char *what = r->type == TSR_OUTS ? "outputs" : "hub tokens";
    if (r->block < 0 || (size_t)r->block >= t->n_block || r->count != (int64_t)t->block[r->block].count)
        return tsr_fail(err, TSR_E_CORRUPT, "%s of block %lld come before its keys", what, (long long)r->block);
    size_t first = t->block[r->block].first, count = (size_t)r->count, due = first;
    if (r->views) {
        if (!l->views_known || r->view < 1 || r->view + r->n_views - 1 > (int64_t)t->views.count)
            return tsr_fail(err, TSR_E_CORRUPT, "%s of view %lld stand in a stream whose recipe has %u views", what,
                            (long long)r->view, t->views.count);
        due = first * t->views.count + (size_t)(r->view - 1) * count;
    }
    if (to->cols == 0) to->cols = r->set.cols;
    if (due != to->have || to->cols != r->set.cols)
        return tsr_fail(err, TSR_E_CORRUPT, "%s of block %lld are missing, doubled or of another width", what,
                        (long long)r->block);
    size_t need;
    if (!tsr_mul_size(to->have + r->set.rows, to->cols, &need)) return tsr_nomem(err, SIZE_MAX);
    TSR_TRY(tsr_grow(&to->x, cap, need, sizeof *to->x, err));
    TSR_TRY(tsr_rows_load(l->s, r, to->x + to->have * to->cols, err));
    to->have += r->set.rows;
    return TSR_OK;
}

/* Is this hub layer the one to take? The first that comes decides where none was named. */
static enum tsr_status right_layer(struct loader *l, const char *layer, bool *yes, struct tsr_error *err)
{
    const char *name = layer != NULL ? layer : "";
    *yes = false;
    if (l->layer != NULL && strcmp(l->layer, name) != 0) return TSR_OK;
    if (l->hub_layer == NULL) {
        l->hub_layer = tsr_strdup(name);
        if (l->hub_layer == NULL) return tsr_nomem(err, strlen(name) + 1);
    }
    *yes = strcmp(l->hub_layer, name) == 0;
    return TSR_OK;
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static enum tsr_status take_basis(struct loader *l, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_tokens *t = l->t;
    struct tsr_basis b;
    bool yes;
    TSR_TRY(tsr_basis_parse(rec, &b, err));
    TSR_TRY(right_layer(l, b.layer, &yes, err));
    if (!yes || t->basis != NULL) return TSR_OK;
    t->rank = b.rank;
    t->anchors = b.anchors;
    for (size_t i = 0; i < TSR_SHA256_LEN; i++) {
        int hi = hex_digit(b.hub[2 * i]), lo = hi < 0 ? -1 : hex_digit(b.hub[2 * i + 1]);
        if (lo < 0) return tsr_fail(err, TSR_E_CORRUPT, "the hub's identity is no SHA-256");
        t->hub_id[i] = (uint8_t)(hi << 4 | lo);
    }
    t->basis = tsr_malloc((size_t)b.anchors, (size_t)b.rank * sizeof *t->basis);
    if (t->basis == NULL) return tsr_nomem(err, (size_t)(b.anchors * b.rank) * sizeof *t->basis);
    return tsr_basis_load(l->s, rec, t->basis, err);
}

static enum tsr_status take_matrix(struct loader *l, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_rows r;
    bool yes = true;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    if (rec->type == TSR_OUTS) {
        return r.views ? take_rows(l, &r, &l->view_out, &l->cap[1], err) : take_rows(l, &r, &l->ref_out, &l->cap[0], err);
    }
    TSR_TRY(right_layer(l, r.layer, &yes, err));
    if (!yes) return TSR_OK;
    return r.views ? take_rows(l, &r, &l->view_hub, &l->cap[3], err) : take_rows(l, &r, &l->ref_hub, &l->cap[2], err);
}

static enum tsr_status take_inputs(struct loader *l, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_inputs in;
    TSR_TRY(tsr_inputs_parse(rec, &in, err));
    if (l->head.n_inputs > 1) return TSR_OK; /* a receiver has one: the caller says so, by n_inputs */
    size_t n = tsr_inputs_bytes(&in);
    bool first = l->input_bytes == 0;
    if (l->t->n_block == 0 || in.block != (int64_t)l->t->n_block - 1 ||
        in.count != (int64_t)l->t->block[in.block].count ||
        (!first && (in.dtype != l->input_dtype || !tsr_shape_equal(&in.shape, &l->input_shape))))
        return tsr_fail(err, TSR_E_CORRUPT, "the inputs that the stream carries do not fit its keys");
    l->input_dtype = in.dtype;
    l->input_shape = in.shape;
    TSR_TRY(tsr_buf_reserve(&l->inputs, n, err));
    TSR_TRY(tsr_inputs_load(l->s, &in, l->inputs.data + l->inputs.len, err));
    l->inputs.len += n;
    l->input_bytes += n;
    return TSR_OK;
}

static enum tsr_status take_head(struct loader *l, const struct tsr_record *rec, struct tsr_error *err)
{
    TSR_TRY(tsr_stream_head_parse(rec, &l->head, err));
    if (l->head.contributors)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the stream's rows are of contributors, not of samples: nothing can be taught with them");
    l->t->n_inputs = l->head.n_inputs;
    if (l->head.n_inputs == 1) {
        l->t->input_dtype = l->head.input[0].dtype;
        l->t->input_shape = l->head.input[0].shape;
    }
    return TSR_OK;
}

static enum tsr_status take_record(struct loader *l, const struct tsr_record *rec, struct tsr_error *err)
{
    switch (rec->type) {
    case TSR_HEAD:
        if (l->segments++ > 0)
            return tsr_fail(err, TSR_E_UNSUPPORTED,
                            "the input holds more than one stream; merge them with tessera-merge first");
        return take_head(l, rec, err);
    case TSR_VIEW:
        if (l->views_known) return tsr_fail(err, TSR_E_CORRUPT, "the stream has two recipes of views");
        l->views_known = true;
        return tsr_views_from_json(&l->t->views, rec->meta, err);
    case TSR_KEYS: return take_keys(l, rec, err);
    case TSR_INPT: return take_inputs(l, rec, err);
    case TSR_BASE: return take_basis(l, rec, err);
    case TSR_OUTS:
    case TSR_HUBT: return take_matrix(l, rec, err);
    case TSR_PART:
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the stream is a partial aggregate; finish it with tessera-merge first");
    case TSR_AGGR:
        if (tsr_json_get(rec->meta, "part") == NULL) return TSR_OK; /* what a complete aggregate was made of */
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the stream is the state between two steps of tessera-merge, no aggregate");
    default: return TSR_OK; /* activations and fingerprints teach nothing; the reader refused the unknown */
    }
}

/* References and views in one table, in row order. One-hot where the answers are classes. */
static enum tsr_status join_out(struct loader *l, struct tsr_error *err)
{
    struct tsr_tokens *t = l->t;
    struct table *part[2] = {&l->ref_out, &l->view_out};
    if (l->ref_out.have == 0) return TSR_OK;
    bool argmax = l->head.outputs == TSR_KIND_ARGMAX;
    size_t due[2] = {t->refs, (size_t)t->refs * t->views.count};
    t->classes = argmax ? l->head.classes : (int64_t)l->ref_out.cols;
    t->kind = l->head.outputs;
    if (l->view_out.have == 0) { /* views whose answers were left out teach nothing */
        t->views.count = 0;
        due[1] = 0;
    }
    if (l->ref_out.have != due[0] || l->view_out.have != due[1])
        return tsr_fail(err, TSR_E_CORRUPT, "the stream has outputs for %zu of %zu rows",
                        l->ref_out.have + l->view_out.have, due[0] + due[1]);
    t->rows = due[0] + due[1];
    if (t->classes < 1 || (due[1] > 0 && l->view_out.cols != l->ref_out.cols))
        return tsr_fail(err, TSR_E_CORRUPT, "the stream does not say how many classes its answers have");
    size_t count;
    if (!tsr_mul_size(t->rows, (size_t)t->classes, &count)) return tsr_nomem(err, SIZE_MAX);
    t->out = tsr_calloc(count, sizeof *t->out);
    if (t->out == NULL) return tsr_nomem(err, count * sizeof *t->out);
    float *to = t->out;
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; argmax && i < due[k]; i++) {
            float c = part[k]->x[i];
            if (!(c >= 0 && c < (float)t->classes))
                return tsr_fail(err, TSR_E_CORRUPT, "answer %zu is class %g of %lld", i, (double)c,
                                (long long)t->classes);
            to[i * (size_t)t->classes + (size_t)c] = 1;
        }
        if (!argmax && due[k] > 0) memcpy(to, part[k]->x, due[k] * part[k]->cols * sizeof *to);
        to += due[k] * (size_t)t->classes;
    }
    return TSR_OK;
}

static enum tsr_status join_hub(struct loader *l, struct tsr_error *err)
{
    struct tsr_tokens *t = l->t;
    if (l->ref_hub.have == 0) {
        t->rank = 0;
        return TSR_OK;
    }
    if (t->basis == NULL || (int64_t)l->ref_hub.cols != t->rank || l->ref_hub.have != t->refs)
        return tsr_fail(err, TSR_E_CORRUPT, "the stream's hub tokens do not fit their basis");
    uint8_t id[TSR_SHA256_LEN];
    if (t->anchors <= t->refs) tsr_hub_id(t->key, t->anchors, id);
    if (t->anchors > t->refs || memcmp(id, t->hub_id, sizeof id) != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "the hub of the stream's tokens is not that of its first %lld samples",
                        (long long)t->anchors);
    if (t->rows == 0) {
        t->rows = t->refs;
        if (l->view_hub.have > 0) t->rows += (size_t)t->refs * t->views.count;
        else t->views.count = 0;
    }
    bool views = t->views.count > 0 && l->view_hub.have > 0;
    if (views && (l->view_hub.have != (size_t)t->refs * t->views.count || l->view_hub.cols != l->ref_hub.cols))
        return tsr_fail(err, TSR_E_CORRUPT, "the stream has hub tokens for %zu of %zu views", l->view_hub.have,
                        (size_t)t->refs * t->views.count);
    t->hub_rows = t->refs + (views ? l->view_hub.have : 0);
    size_t room = l->cap[2];
    if (views) {
        TSR_TRY(tsr_grow(&l->ref_hub.x, &room, t->hub_rows * l->ref_hub.cols, sizeof *l->ref_hub.x, err));
        memcpy(l->ref_hub.x + t->refs * l->ref_hub.cols, l->view_hub.x,
               l->view_hub.have * l->ref_hub.cols * sizeof *l->ref_hub.x);
    }
    t->hub = l->ref_hub.x;
    l->ref_hub.x = NULL;
    return TSR_OK;
}

static enum tsr_status join_inputs(struct loader *l, struct tsr_error *err)
{
    struct tsr_tokens *t = l->t;
    if (l->input_bytes == 0) return TSR_OK;
    struct tsr_shape shape = {.rank = l->input_shape.rank + 1, .dim = {t->refs}};
    if (shape.rank > TSR_MAX_RANK) return tsr_fail(err, TSR_E_UNSUPPORTED, "the inputs' rank is too large");
    memcpy(shape.dim + 1, l->input_shape.dim, (size_t)l->input_shape.rank * sizeof *shape.dim);
    if (tsr_dtype_bytes(l->input_dtype, tsr_shape_count(&shape)) != l->inputs.len)
        return tsr_fail(err, TSR_E_CORRUPT, "the stream carries the inputs of some of its samples only");
    TSR_TRY(tsr_tensor_new(&t->inputs, l->input_dtype, &shape, NULL, err));
    memcpy(t->inputs.data, l->inputs.data, l->inputs.len);
    return TSR_OK;
}

enum tsr_status tsr_tokens_load(struct tsr_source *source, const char *layer, struct tsr_tokens *t,
                                struct tsr_error *err)
{
    *t = (struct tsr_tokens){0};
    struct loader l = {.t = t, .layer = layer};
    const struct tsr_record *rec = NULL;
    enum tsr_status status;
    TSR_GO(status, done, tsr_stream_open(source, NULL, &l.s, err));
    do {
        TSR_GO(status, done, tsr_stream_next(l.s, &rec, err));
        if (rec != NULL) TSR_GO(status, done, take_record(&l, rec, err));
    } while (rec != NULL);
    if (t->refs == 0) {
        status = tsr_fail(err, TSR_E_MISMATCH, "%s: the stream holds no samples", tsr_source_name(source));
        goto done;
    }
    if (layer != NULL && l.hub_layer == NULL) {
        status = tsr_fail(err, TSR_E_NOT_FOUND, "the stream has no hub tokens of a layer '%s'", layer);
        goto done;
    }
    TSR_GO(status, done, join_out(&l, err));
    TSR_GO(status, done, join_hub(&l, err));
    status = join_inputs(&l, err);
done:
    tsr_stream_close(l.s);
    tsr_keys_release(&l.keys);
    tsr_stream_head_release(&l.head);
    tsr_free(l.hub_layer);
    tsr_free(l.ref_out.x);
    tsr_free(l.view_out.x);
    tsr_free(l.ref_hub.x);
    tsr_free(l.view_hub.x);
    tsr_buf_release(&l.inputs);
    if (status != TSR_OK) tsr_tokens_release(t);
    return status;
}
