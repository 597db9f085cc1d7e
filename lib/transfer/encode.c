#include "transfer/encode.h"

#include "base/mem.h"
#include "hub/hub.h"
#include "stream/basis.h"
#include "stream/head.h"
#include "stream/keys.h"
#include "stream/rows.h"

#include <math.h>
#include <string.h>

#define MAX_LAYERS 64

struct layer {
    char *name;
    bool given; /* with tokens and basis in the stream already: no encoder */
    struct tsr_hub_encoder e;
};

struct encoder {
    struct tsr_stream *s;
    struct tsr_stream_writer *w;
    const struct tsr_encode_options *opt;
    struct tsr_encode_report *report;
    struct layer layer[MAX_LAYERS];
    size_t n_layers;
    struct tsr_block_keys keys; /* of the first block: they name the hub */
    bool have_keys;
};

static void forget_segment(struct encoder *e)
{
    for (size_t i = 0; i < e->n_layers; i++) {
        tsr_free(e->layer[i].name);
        tsr_hub_encoder_release(&e->layer[i].e);
    }
    e->n_layers = 0;
    e->have_keys = false;
}

/* |D(E(a)) - a| / |a - mean| on the anchors. D(E(a)) - mean = A'U c = V S c. */
static double round_trip(const struct tsr_hub_encoder *h, const float *a, const float *c)
{
    double wrong = 0, all = 0;
    for (int64_t i = 0; i < h->anchors; i++)
        for (int64_t j = 0; j < h->d; j++) {
            double x = (double)a[i * h->d + j] - h->mean[j], y = 0;
            for (int64_t k = 0; k < h->rank; k++) {
                double s = h->spectrum[k];
                y += (double)c[i * h->rank + k] * h->map[k * h->d + j] * (s * s + h->lambda);
            }
            wrong += (y - x) * (y - x);
            all += x * x;
        }
    return all > 0 ? sqrt(wrong / all) : 0;
}

static enum tsr_status put_basis(struct encoder *e, const struct layer *l, struct tsr_error *err)
{
    uint8_t id[TSR_SHA256_LEN];
    char hex[2 * TSR_SHA256_LEN + 1];
    int64_t n = l->e.anchors * l->e.rank;
    float *basis = tsr_malloc((size_t)n, sizeof *basis);
    if (basis == NULL) return tsr_nomem(err, (size_t)n * sizeof *basis);
    for (int64_t i = 0; i < n; i++) basis[i] = (float)l->e.basis[i];
    tsr_hub_id(e->keys.key, l->e.anchors, id);
    tsr_hex(id, sizeof id, hex);
    struct tsr_basis b = {.layer = l->name, .hub = hex, .dim = TSR_HUB_DIM, .anchors = l->e.anchors,
                          .rank = l->e.rank, .lambda = l->e.lambda};
    enum tsr_status status = tsr_basis_put(e->w, &b, e->opt->dtype, basis, err);
    tsr_free(basis);
    return status;
}

static struct layer *find_layer(struct encoder *e, const char *name)
{
    for (size_t i = 0; i < e->n_layers; i++)
        if (strcmp(e->layer[i].name, name != NULL ? name : "") == 0) return &e->layer[i];
    return NULL;
}

static enum tsr_status new_layer(struct encoder *e, const char *name, struct layer **out, struct tsr_error *err)
{
    if (e->n_layers == MAX_LAYERS) return tsr_fail(err, TSR_E_LIMIT, "the stream has more than %d layers", MAX_LAYERS);
    struct layer *l = &e->layer[e->n_layers];
    *l = (struct layer){.name = tsr_strdup(name != NULL ? name : "")};
    if (l->name == NULL) return tsr_nomem(err, 64);
    e->n_layers++;
    *out = l;
    return TSR_OK;
}

/* A layer has one basis: what comes with one keeps it. */
static enum tsr_status take_basis(struct encoder *e, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_basis b;
    struct layer *l = NULL;
    TSR_TRY(tsr_basis_parse(rec, &b, err));
    if (find_layer(e, b.layer) != NULL)
        return tsr_fail(err, TSR_E_CORRUPT, "the stream has a second basis for layer '%s', or one after its activations",
                        b.layer != NULL ? b.layer : "");
    TSR_TRY(new_layer(e, b.layer, &l, err));
    l->given = true;
    e->report->given++;
    return tsr_stream_copy(e->s, e->w, err);
}

/* Calibrates on the first block's activations of a layer. */
static enum tsr_status add_layer(struct encoder *e, const struct tsr_rows *r, const float *x, struct layer **out,
                                 struct tsr_error *err)
{
    if (!e->have_keys || r->block != 0 || r->views || (size_t)r->count != e->keys.count)
        return tsr_fail(err, TSR_E_CORRUPT, "the activations of layer '%s' do not start with the first block's samples",
                        r->layer != NULL ? r->layer : "");
    struct layer *l = NULL;
    TSR_TRY(new_layer(e, r->layer, &l, err));
    int64_t n = r->count < e->opt->anchors ? r->count : e->opt->anchors;
    enum tsr_status status = tsr_hub_calibrate(&l->e, x, n, (int64_t)r->set.cols, e->opt->rank, err);
    if (status != TSR_OK) {
        tsr_error_prefix(err, "layer '%s'", r->layer != NULL ? r->layer : "");
        return status;
    }
    *out = l;
    e->report->layers++;
    e->report->anchors = n;
    return put_basis(e, l, err);
}

static enum tsr_status encode_rows(struct encoder *e, const struct tsr_rows *r, const float *x, struct tsr_error *err)
{
    struct layer *l = find_layer(e, r->layer);
    const bool fresh = l == NULL;
    if (fresh) TSR_TRY(add_layer(e, r, x, &l, err));
    if ((int64_t)r->set.cols != l->e.d)
        return tsr_fail(err, TSR_E_CORRUPT, "layer '%s' changes its width from %lld to %zu", l->name,
                        (long long)l->e.d, r->set.cols);
    size_t n = r->set.rows * (size_t)l->e.rank;
    float *c = tsr_malloc(n, sizeof *c);
    if (c == NULL) return tsr_nomem(err, n * sizeof *c);
    struct tsr_rows to = *r;
    to.type = TSR_HUBT;
    to.layer = l->name;
    to.rank = 0;
    to.set = tsr_rowset_choose(e->opt->dtype, TSR_KIND_NONE, r->set.rows, (size_t)l->e.rank, 0);
    enum tsr_status status = tsr_hub_encode(&l->e, x, (int64_t)r->set.rows, c, err);
    if (status == TSR_OK && fresh) e->report->error = round_trip(&l->e, x, c);
    if (status == TSR_OK) status = tsr_rows_put(e->w, &to, c, err);
    tsr_free(c);
    return status;
}

static enum tsr_status take_activations(struct encoder *e, const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_rows r;
    float *x;
    enum tsr_status status = TSR_OK;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    const struct layer *l = find_layer(e, r.layer);
    if (l == NULL || !l->given) {
        TSR_TRY(tsr_rows_get(e->s, &r, &x, err));
        status = encode_rows(e, &r, x, err);
        tsr_free(x);
    }
    if (status == TSR_OK && e->opt->keep_activations) status = tsr_stream_copy(e->s, e->w, err);
    return status;
}

static enum tsr_status take_record(struct encoder *e, const struct tsr_record *rec, struct tsr_error *err)
{
    switch (rec->type) {
    case TSR_HEAD: forget_segment(e); return tsr_stream_head_derive(e->w, rec, e->opt->producer, err);
    case TSR_ENDS: return tsr_writer_finish(e->w, err);
    case TSR_BASE: return take_basis(e, rec, err);
    case TSR_ACTS: return take_activations(e, rec, err);
    case TSR_KEYS:
        if (!e->have_keys) TSR_TRY(tsr_keys_get(e->s, rec, &e->keys, err));
        e->have_keys = true;
        return tsr_stream_copy(e->s, e->w, err);
    default: return tsr_stream_copy(e->s, e->w, err);
    }
}

enum tsr_status tsr_encode(struct tsr_stream *s, struct tsr_stream_writer *w, const struct tsr_encode_options *options,
                           struct tsr_encode_report *report, struct tsr_error *err)
{
    *report = (struct tsr_encode_report){0};
    struct encoder *e = tsr_calloc(1, sizeof *e);
    if (e == NULL) return tsr_nomem(err, sizeof *e);
    e->s = s;
    e->w = w;
    e->opt = options;
    e->report = report;
    const struct tsr_record *rec = NULL;
    enum tsr_status status;
    do {
        status = tsr_stream_next(s, &rec, err);
        if (status == TSR_OK && rec != NULL) status = take_record(e, rec, err);
    } while (status == TSR_OK && rec != NULL);
    forget_segment(e);
    tsr_keys_release(&e->keys);
    tsr_free(e);
    return status;
}
