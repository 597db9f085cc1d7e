#include "transfer/transmit.h"

#include "base/mem.h"
#include "graph/batch.h"
#include "graph/fuse.h"
#include "graph/head.h"
#include "graph/session.h"
#include "hub/activations.h"
#include "hub/fingerprint.h"
#include "model/onnx.h"
#include "stream/head.h"
#include "stream/inputs.h"
#include "stream/keys.h"
#include "stream/rows.h"
#include "tensor/blas.h"
#include "train/loss.h"
#include "transfer/probabilities.h"

#include <math.h>
#include <string.h>

#define GROUP_ROWS 16384 /* rows of views in one record, */
#define GROUP_BYTES ((int64_t)64 << 20) /* unless they would take more than this as float32 */

struct layer {
    const char *name;
    int32_t id;                /* of the graph's value; -1: foreign */
    struct tsr_samples *file;  /* foreign answers */
    int64_t width;             /* of a row; 0 until the first forward pass */
    struct tsr_shape shape;    /* of one sample, where rows are raw */
    struct tsr_shape alone;    /* of the value for one sample; rank -1: not known */
    struct tsr_activation_axes axes;
    float *row;                /* GROUP_ROWS or a block of them */
    size_t room;
};

struct tsr_transmitter {
    const struct tsr_graph *g; /* NULL: foreign */
    struct tsr_graph *fused;   /* what runs */
    struct tsr_transmit_options opt;
    struct tsr_stream_writer *w;
    struct tsr_session *session;
    struct layer layer[TSR_MAX_LAYERS], out; /* out: the model's outputs */
    size_t n_layers;
    enum tsr_row_kind kind;
    bool headless;             /* a layer was left out */
    bool make, check;          /* the outputs: logits to be made probabilities, or to be seen whether they are */
    int32_t want[TSR_MAX_LAYERS + 1];
    size_t n_want;
    struct tsr_views views;
    bool began;
    int64_t batch;             /* samples that run at once; 0: not chosen yet */
    int64_t block, first, rows_done;
    struct tsr_key *key;
};

/* Outputs are taken before a final softmax, probabilities behind it. What has no softmax behind its linear layer gets
 * one here; of anything else that is called probabilities, it is seen whether it is. */
static int32_t find_outputs(struct tsr_transmitter *t, const struct tsr_head *head)
{
    struct tsr_logits l = tsr_graph_logits(t->g);
    int32_t logits = head != NULL ? head->logits : l.value;
    if (t->opt.kind != TSR_KIND_PROBABILITIES) return logits;
    if (l.softmax >= 0 && !l.log) return l.softmax;
    t->make = head != NULL || l.log;
    t->check = !t->make;
    return logits;
}

static enum tsr_status find_values(struct tsr_transmitter *t, struct tsr_error *err)
{
    struct tsr_head head;
    bool has_head = tsr_graph_head(t->g, &head, NULL) == TSR_OK;
    t->out.id = find_outputs(t, has_head ? &head : NULL);
    t->out.name = t->g->value[t->out.id].name;
    t->kind = t->opt.kind == TSR_KIND_NONE ? TSR_KIND_LOGITS : t->opt.kind;
    if (!t->opt.outputs) t->kind = TSR_KIND_NONE;
    else t->want[t->n_want++] = t->out.id;
    for (size_t i = 0; i < t->opt.n_layers; i++) {
        const char *name = t->opt.layer[i];
        if (name[0] == '\0' && !has_head && t->opt.head_optional && t->opt.outputs) {
            t->headless = true;
            continue;
        }
        if (name[0] == '\0' && !has_head)
            return tsr_fail(err, TSR_E_NOT_FOUND, "the model does not end in a linear layer, whose input would be taken; name a "
                            "layer with --layer, or take the outputs alone with --mode b");
        int32_t id = name[0] == '\0' ? head.features : tsr_graph_find(t->g, name);
        if (id < 0)
            return tsr_fail(err, TSR_E_NOT_FOUND,
                            "the model has no tensor '%s'; tessera-inspect lists the names it has", name);
        t->layer[t->n_layers++] = (struct layer){.id = id, .alone.rank = -1, .name = t->g->value[id].name};
        t->want[t->n_want++] = id;
    }
    if (t->n_want == 0) return tsr_fail(err, TSR_E_USAGE, "neither outputs nor a layer was asked for");
    return TSR_OK;
}

static enum tsr_status foreign_values(struct tsr_transmitter *t, struct tsr_error *err)
{
    const struct tsr_transmit_options *o = &t->opt;
    t->kind = o->foreign_outputs == NULL ? TSR_KIND_NONE : o->kind == TSR_KIND_NONE ? TSR_KIND_LOGITS : o->kind;
    t->out = (struct layer){.id = -1, .file = o->foreign_outputs, .name = "outputs"};
    t->check = t->kind == TSR_KIND_PROBABILITIES;
    for (size_t i = 0; i < o->n_layers; i++)
        t->layer[t->n_layers++] = (struct layer){.id = -1, .name = o->layer[i], .file = o->foreign_layer[i]};
    if (t->kind == TSR_KIND_NONE && o->n_layers == 0)
        return tsr_fail(err, TSR_E_USAGE, "neither outputs nor activations were given");
    bool told = t->kind == TSR_KIND_ARGMAX && tsr_shape_count(tsr_samples_shape(o->foreign_outputs)) == 1;
    if (told && o->classes < 2)
        return tsr_fail(err, TSR_E_USAGE, "answers that are classes need to be told how many there are (--classes)");
    return TSR_OK;
}

enum tsr_status tsr_transmitter_new(const struct tsr_graph *g, const struct tsr_transmit_options *options,
                                    struct tsr_stream_writer *w, struct tsr_transmitter **out, struct tsr_error *err)
{
    *out = NULL;
    if (options->n_layers > TSR_MAX_LAYERS)
        return tsr_fail(err, TSR_E_LIMIT, "at most %d layers can be extracted at once", TSR_MAX_LAYERS);
    bool several = g != NULL && g->n_input != 1;
    if (options->views > 0 && several && !options->views_optional)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "views need a model with one input, this one has %zu; use --views 0",
                        g->n_input);
    struct tsr_transmitter *t = tsr_calloc(1, sizeof *t);
    if (t == NULL) return tsr_nomem(err, sizeof *t);
    t->g = g;
    t->opt = *options;
    if (several) t->opt.views = 0;
    t->w = w;
    struct tsr_session_options so = {.pool = options->pool};
    enum tsr_status status = g != NULL ? find_values(t, err) : foreign_values(t, err);
    if (status == TSR_OK && g != NULL) status = tsr_graph_fuse(g, t->want, t->n_want, 0, &t->fused, err);
    if (status == TSR_OK && g != NULL) status = tsr_session_new(t->fused, &so, &t->session, err);
    if (status == TSR_OK) {
        t->key = tsr_malloc(TSR_BLOCK_ROWS, sizeof *t->key);
        if (t->key == NULL) status = tsr_nomem(err, TSR_BLOCK_ROWS * sizeof *t->key);
    }
    if (status != TSR_OK) tsr_transmitter_free(t);
    else *out = t;
    return status;
}

void tsr_transmitter_free(struct tsr_transmitter *t)
{
    if (t == NULL) return;
    for (size_t i = 0; i < t->n_layers; i++) tsr_free(t->layer[i].row);
    tsr_free(t->out.row);
    tsr_free(t->key);
    tsr_session_free(t->session);
    tsr_graph_free(t->fused);
    tsr_free(t);
}

/* The next m rows of a foreign answer, as float32. */
static enum tsr_status read_rows(struct layer *l, int64_t m, int64_t at, struct tsr_error *err)
{
    enum tsr_dtype from = tsr_samples_dtype(l->file);
    const struct tsr_shape *shape = tsr_samples_shape(l->file);
    int64_t width = tsr_shape_count(shape), got = 0;
    l->width = width;
    if (shape->rank > 1) l->shape = *shape;
    TSR_TRY(tsr_grow(&l->row, &l->room, (size_t)((at + m) * width), sizeof *l->row, err));
    void *raw = tsr_malloc((size_t)m, tsr_samples_row_bytes(l->file));
    if (raw == NULL) return tsr_nomem(err, (size_t)m * tsr_samples_row_bytes(l->file));
    enum tsr_status status = tsr_samples_read(l->file, m, raw, &got, err);
    if (status == TSR_OK && got < m)
        status = tsr_fail(err, TSR_E_MISMATCH,
                          "%s has too few rows: one is wanted for every sample and view, in the order of --emit-views",
                          tsr_samples_name(l->file));
    if (status == TSR_OK) tsr_convert(TSR_F32, l->row + at * width, from, raw, m * width);
    tsr_free(raw);
    return status;
}

/* Stores the rows of a float32 value at row `at` of the layer's buffer. */
static enum tsr_status keep_value(struct tsr_transmitter *t, struct layer *l, const struct tsr_tensor *v, bool pooled,
                                  int64_t m, int64_t at, struct tsr_error *err)
{
    int64_t width = m > 0 ? tsr_tensor_count(v) / m : 0;
    if (pooled || v->shape.rank == 0 || v->shape.dim[0] != m) {
        TSR_TRY(tsr_activation_axes(t->g, l->id, &v->shape, &l->alone, m, &l->axes, err));
        width = tsr_activation_width(&v->shape, l->axes);
    } else {
        l->shape.rank = v->shape.rank - 1;
        memcpy(l->shape.dim, v->shape.dim + 1, (size_t)l->shape.rank * sizeof *l->shape.dim);
    }
    if (l->width == 0) l->width = width;
    if (l->width != width || width == 0)
        return tsr_fail(err, TSR_E_MISMATCH, "'%s' has %lld numbers a sample here and %lld before",
                        l->name, (long long)width, (long long)l->width);
    TSR_TRY(tsr_grow(&l->row, &l->room, (size_t)((at + m) * width), sizeof *l->row, err));
    if (l->shape.rank > 0 || !pooled) memcpy(l->row + at * width, v->data, (size_t)(m * width) * sizeof *l->row);
    else tsr_activation_pool(v, l->axes, l->row + at * width);
    return TSR_OK;
}

/* Stores the batch's rows of one value at row `at` of its buffer. */
static enum tsr_status keep_rows(struct tsr_transmitter *t, struct layer *l, bool pooled, int64_t m, int64_t at,
                                 struct tsr_error *err)
{
    struct tsr_tensor value, wide = {0};
    if (l->file != NULL) return read_rows(l, m, at, err);
    TSR_TRY(tsr_batch_value(t->session, t->g, l->id, m, &value, err));
    if (value.dtype == TSR_F32) return keep_value(t, l, &value, pooled, m, at, err);
    if (!tsr_dtype_is_float(value.dtype))
        return tsr_fail(err, TSR_E_UNSUPPORTED, "'%s' is %s; only floating-point values can be extracted", l->name,
                        tsr_dtype_name(value.dtype));
    TSR_TRY(tsr_tensor_cast(&wide, TSR_F32, &value, err));
    enum tsr_status status = keep_value(t, l, &wide, pooled, m, at, err);
    tsr_tensor_release(&wide);
    return status;
}

static enum tsr_status keep_outputs(struct tsr_transmitter *t, int64_t m, int64_t at, struct tsr_error *err)
{
    struct layer *l = &t->out;
    TSR_TRY(keep_rows(t, l, false, m, at, err));
    float *row = l->row + at * l->width;
    if (t->make) tsr_probabilities_make(row, m, l->width);
    if (!t->check) return TSR_OK;
    const char *name = l->file != NULL ? tsr_samples_name(l->file) : l->name;
    return tsr_probabilities_check(row, m, l->width, t->rows_done, name, err);
}

/* Runs the model on the inputs set and keeps the rows; with_layers false: outputs only. */
static enum tsr_status run_batch(struct tsr_transmitter *t, int64_t m, int64_t at, bool with_layers,
                                 struct tsr_error *err)
{
    if (t->opt.stop != NULL && t->opt.stop()) return tsr_fail(err, TSR_E_INTERRUPTED, "interrupted");
    size_t n = with_layers ? t->n_want : t->n_want - t->n_layers;
    if (t->g != NULL) TSR_TRY(tsr_session_run(t->session, t->want, n, err));
    if (t->kind != TSR_KIND_NONE) TSR_TRY(keep_outputs(t, m, at, err));
    for (size_t i = 0; with_layers && i < t->n_layers; i++)
        TSR_TRY(keep_rows(t, &t->layer[i], !t->opt.raw, m, at, err));
    t->rows_done += m;
    if (t->opt.progress != NULL) t->opt.progress(t->opt.progress_arg, t->rows_done);
    return TSR_OK;
}

/* Runs one sample to see how many may run at once, and which axis of a value they take. */
static enum tsr_status choose_batch(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                    struct tsr_error *err)
{
    t->batch = TSR_BATCH_ROWS;
    if (t->g == NULL) return TSR_OK;
    TSR_TRY(tsr_batch_choose(t->session, t->g, x, n_inputs, t->want, t->n_want, &t->batch, err));
    for (size_t i = 0; i < t->n_layers && tsr_batch_fixed(t->g) == 0; i++)
        t->layer[i].alone = tsr_session_value(t->session, t->layer[i].id)->shape;
    return TSR_OK;
}

static enum tsr_status run_refs(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                struct tsr_error *err)
{
    int64_t n = x[0].shape.dim[0];
    for (int64_t at = 0; at < n; at += t->batch) {
        int64_t m = n - at < t->batch ? n - at : t->batch;
        for (size_t k = 0; k < n_inputs && t->g != NULL; k++)
            TSR_TRY(tsr_batch_input(t->session, t->g, t->g->input[k], &x[k], at, m, err));
        TSR_TRY(run_batch(t, m, at, true, err));
    }
    return TSR_OK;
}

/* A foreign transmitter may tell the class itself, one number a row. */
static bool tells_class(const struct tsr_transmitter *t)
{
    return t->g == NULL && t->kind == TSR_KIND_ARGMAX && t->out.width == 1;
}

static const char *input_name(const struct tsr_transmitter *t, size_t k)
{
    return t->g != NULL ? t->g->value[t->g->input[k]].name : "input";
}

static enum tsr_status put_head(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs, bool whole,
                                struct tsr_error *err)
{
    struct tsr_stream_head h = {.reference_count = t->opt.refs, .outputs = t->kind, .time = t->opt.time};
    uint8_t digest[TSR_SHA256_LEN];
    if (t->g != NULL) {
        tsr_onnx_digest(t->g, digest);
        tsr_hex(digest, sizeof digest, h.model_digest);
    }
    if (whole) {
        h.reference_count = x[0].shape.dim[0];
        tsr_sha256(t->key, (size_t)h.reference_count * sizeof *t->key, digest);
        tsr_hex(digest, sizeof digest, h.reference_digest);
    }
    h.classes = t->kind == TSR_KIND_NONE ? 0 : tells_class(t) ? t->opt.classes : t->out.width;
    enum tsr_status status = tsr_stream_head_set(&h.producer, t->opt.producer, err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.blas, tsr_blas_kernel(), err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.model, t->opt.model_name, err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.contributor, t->opt.contributor, err);
    if (status == TSR_OK) status = tsr_stream_head_set(&h.round, t->opt.round, err);
    for (size_t k = 0; k < n_inputs && status == TSR_OK; k++) {
        struct tsr_shape one = {.rank = x[k].shape.rank - 1};
        memcpy(one.dim, x[k].shape.dim + 1, (size_t)one.rank * sizeof *one.dim);
        status = tsr_stream_head_add_input(&h, input_name(t, k), x[k].dtype, &one, err);
    }
    if (status == TSR_OK) status = tsr_stream_head_put(t->w, &h, err);
    tsr_stream_head_release(&h);
    return status;
}

static enum tsr_status put_views(struct tsr_transmitter *t, const struct tsr_tensor *x, struct tsr_error *err)
{
    uint32_t count = tsr_views_count(t->opt.views, t->opt.refs > 0 ? t->opt.refs : x->shape.dim[0]);
    if (count == 0) return TSR_OK;
    struct tsr_json *recipe;
    enum tsr_status status = tsr_views_default(&t->views, x, count, t->opt.seed, err);
    if (status == TSR_E_UNSUPPORTED && t->opt.views_optional) {
        t->views.count = 0;
        return TSR_OK;
    }
    TSR_TRY(status);
    TSR_TRY(tsr_views_to_json(&t->views, &recipe, err));
    status = tsr_writer_put(t->w, TSR_VIEW, recipe, NULL, 0, err);
    tsr_json_free(recipe);
    return status;
}

static enum tsr_status fingerprint_json(const struct tsr_fingerprint *f, struct tsr_json **out, struct tsr_error *err)
{
    struct tsr_json *o, *list;
    TSR_TRY(tsr_json_object(&o, err));
    enum tsr_status status;
    TSR_GO(status, fail, tsr_json_set_int(o, "samples", f->samples, err));
    TSR_GO(status, fail, tsr_json_set_number(o, "effective_rank", f->effective_rank, err));
    TSR_GO(status, fail, tsr_json_set_number(o, "sparsity", f->sparsity, err));
    TSR_GO(status, fail, tsr_json_set_number(o, "norm", f->norm, err));
    TSR_GO(status, fail, tsr_json_set_array(o, "spectrum", &list, err));
    for (int i = 0; i < f->spectrum_len; i++) TSR_GO(status, fail, tsr_json_set_number(list, NULL, f->spectrum[i], err));
    *out = o;
    return TSR_OK;
fail:
    tsr_json_free(o);
    return status;
}

/* FPRT: two rows, the means and the standard deviations of the layer's features. */
static enum tsr_status put_fingerprint(struct tsr_transmitter *t, const struct layer *l, int64_t n,
                                       struct tsr_error *err)
{
    struct tsr_fingerprint f;
    struct tsr_json *info = NULL;
    float *moments = tsr_malloc((size_t)l->width, 2 * sizeof *moments);
    if (moments == NULL) return tsr_nomem(err, (size_t)l->width * 2 * sizeof *moments);
    enum tsr_status status = tsr_fingerprint(l->row, n, l->width, &f, moments, err);
    if (status != TSR_OK) tsr_error_prefix(err, "layer '%s'", l->name);
    if (status == TSR_OK) status = fingerprint_json(&f, &info, err);
    if (status == TSR_OK) {
        struct tsr_rows r = {.type = TSR_FPRT, .layer = l->name, .info = info,
                             .set = tsr_rowset_choose(TSR_F32, TSR_KIND_NONE, 2, (size_t)l->width, 0)};
        status = tsr_rows_put(t->w, &r, moments, err);
    }
    tsr_json_free(info);
    tsr_free(moments);
    return status;
}

/* Class numbers that a foreign transmitter told. */
static enum tsr_status check_classes(const struct tsr_transmitter *t, size_t rows, struct tsr_error *err)
{
    for (size_t i = 0; i < rows; i++) {
        float c = t->out.row[i];
        if (!(c >= 0 && c < (float)t->opt.classes) || c != floorf(c))
            return tsr_fail(err, TSR_E_CORRUPT, "%s has %g where a class from 0 to %lld is wanted",
                            tsr_samples_name(t->out.file), (double)c, (long long)(t->opt.classes - 1));
    }
    return TSR_OK;
}

/* OUTS and ACTS of `n` samples (times n_views views from `view` on; 0: the references). */
static enum tsr_status put_rows(struct tsr_transmitter *t, int64_t n, int64_t view, int64_t n_views,
                                struct tsr_error *err)
{
    size_t rows = (size_t)(view > 0 ? n * n_views : n);
    struct tsr_rows r = {.block = t->block, .count = n, .views = view > 0, .view = view,
                         .n_views = view > 0 ? n_views : 0};
    if (t->kind != TSR_KIND_NONE) {
        size_t cols = t->kind == TSR_KIND_ARGMAX ? 1 : (size_t)t->out.width;
        if (t->kind == TSR_KIND_ARGMAX && !tells_class(t))
            for (size_t i = 0; i < rows; i++)
                t->out.row[i] = (float)tsr_argmax(t->out.row + (int64_t)i * t->out.width, t->out.width);
        if (tells_class(t)) TSR_TRY(check_classes(t, rows, err));
        r.type = TSR_OUTS;
        r.set = tsr_rowset_choose(t->opt.dtype, t->kind, rows, cols, (size_t)t->out.width);
        enum tsr_status status = tsr_rows_put(t->w, &r, t->out.row, err);
        if (status != TSR_OK) {
            tsr_error_prefix(err, "outputs for %s of block %lld", view > 0 ? "views" : "samples", (long long)t->block);
            return status;
        }
    }
    for (size_t i = 0; i < t->n_layers && (view == 0 || t->opt.view_activations); i++) {
        const struct layer *l = &t->layer[i];
        r.type = TSR_ACTS;
        r.layer = l->name;
        r.rank = l->shape.rank;
        memcpy(r.shape, l->shape.dim, sizeof l->shape.dim);
        r.set = tsr_rowset_choose(t->opt.dtype, TSR_KIND_NONE, rows, (size_t)l->width, 0);
        TSR_TRY(tsr_rows_put(t->w, &r, l->row, err));
    }
    return TSR_OK;
}

/* Answers for view v0 .. v0 + n_views - 1 of the block's samples, batch by batch. */
static enum tsr_status run_views(struct tsr_transmitter *t, const struct tsr_tensor *x, uint32_t v0, uint32_t n_views,
                                 struct tsr_error *err)
{
    int64_t m = x->shape.dim[0], total = m * n_views;
    struct tsr_tensor batch;
    struct tsr_shape shape = x->shape;
    size_t each = tsr_tensor_bytes(x) / (size_t)m;
    const struct tsr_view_block block = tsr_view_block(x, t->key);
    enum tsr_status status = TSR_OK;
    for (int64_t at = 0; at < total && status == TSR_OK; at += t->batch) {
        int64_t n = total - at < t->batch ? total - at : t->batch;
        shape.dim[0] = n;
        TSR_TRY(tsr_tensor_new(&batch, x->dtype, &shape, NULL, err));
        for (int64_t i = 0; i < n; i++)
            tsr_view_row(&t->views, &block, (uint32_t)((at + i) % m), v0 + (uint32_t)((at + i) / m),
                         (char *)batch.data + each * (size_t)i);
        if (t->g != NULL) status = tsr_batch_input(t->session, t->g, t->g->input[0], &batch, 0, n, err);
        if (status == TSR_OK) status = run_batch(t, n, at, t->opt.view_activations, err);
        tsr_tensor_release(&batch);
    }
    return status;
}

bool tsr_transmitter_answers_apart(const struct tsr_transmitter *t)
{
    int dims = 0;
    for (int i = 0; i < t->out.shape.rank; i++) dims += t->out.shape.dim[i] > 1;
    return dims > 1;
}

bool tsr_transmitter_lacks_head(const struct tsr_transmitter *t) { return t->headless; }

/* A softmax over one number is always 1: a single output is a value, unless it was called something else. One over all
 * positions of a sequence or an image means nothing: so are these. */
static enum tsr_status settle_kind(struct tsr_transmitter *t, struct tsr_error *err)
{
    const bool apart = tsr_transmitter_answers_apart(t);
    char shape[TSR_SHAPE_TEXT];
    if (t->kind == TSR_KIND_NONE || (t->out.width != 1 && !apart)) return TSR_OK;
    if (t->opt.kind == TSR_KIND_NONE) t->kind = TSR_KIND_REGRESSION;
    if (apart && (t->kind == TSR_KIND_ARGMAX || t->kind == TSR_KIND_PROBABILITIES))
        return tsr_fail(err, TSR_E_MISMATCH, "the model gives numbers of shape %s a sample, which are no %s of one answer; "
                        "say --kind regression", tsr_shape_text(&t->out.shape, shape, sizeof shape), tsr_row_kind_name(t->kind));
    if (t->kind == TSR_KIND_ARGMAX && !tells_class(t))
        return tsr_fail(err, TSR_E_MISMATCH, "the model gives one number a sample, which names no class; "
                        "say --kind regression");
    return TSR_OK;
}

enum tsr_row_kind tsr_transmitter_kind(const struct tsr_transmitter *t) { return t->kind; }

static enum tsr_status check_block(const struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                   struct tsr_error *err)
{
    size_t due = t->g != NULL ? t->g->n_input : 1;
    if (n_inputs != due)
        return tsr_fail(err, TSR_E_MISMATCH, "the model has %zu inputs, %zu were given", due, n_inputs);
    for (size_t k = 0; k < n_inputs; k++) {
        if (x[k].shape.rank < 1 || x[k].shape.dim[0] != x[0].shape.dim[0] || x[k].shape.dim[0] < 1 ||
            x[k].shape.dim[0] > TSR_BLOCK_ROWS)
            return tsr_fail(err, TSR_E_MISMATCH, "input '%s' has another number of samples than the first input",
                            input_name(t, k));
        int64_t bad = tsr_tensor_nonfinite(&x[k]);
        if (bad >= 0)
            return tsr_fail(err, TSR_E_NUMERIC, "sample %lld of input '%s' holds a NaN or an infinity",
                            (long long)(t->first + bad / (tsr_tensor_count(&x[k]) / x[k].shape.dim[0])),
                            input_name(t, k));
    }
    return TSR_OK;
}

/* Views of m samples that one record holds. */
static uint32_t view_group(const struct tsr_transmitter *t, int64_t m)
{
    int64_t widest = t->kind != TSR_KIND_NONE ? t->out.width : 1;
    for (size_t i = 0; i < t->n_layers && t->opt.view_activations; i++)
        if (t->layer[i].width > widest) widest = t->layer[i].width;
    int64_t rows = GROUP_BYTES / ((int64_t)sizeof(float) * widest);
    if (rows > GROUP_ROWS) rows = GROUP_ROWS;
    return (uint32_t)(rows / m > 0 ? rows / m : 1);
}

enum tsr_status tsr_transmitter_block(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                      bool whole, struct tsr_error *err)
{
    TSR_TRY(check_block(t, x, n_inputs, err));
    int64_t m = x[0].shape.dim[0];
    tsr_sample_keys(x, n_inputs, t->key);
    if (t->batch == 0) TSR_TRY(choose_batch(t, x, n_inputs, err));
    TSR_TRY(run_refs(t, x, n_inputs, err));
    if (!t->began) {
        TSR_TRY(settle_kind(t, err));
        TSR_TRY(put_head(t, x, n_inputs, whole, err));
        TSR_TRY(put_views(t, x, err));
        for (size_t i = 0; i < t->n_layers && !t->opt.raw; i++) TSR_TRY(put_fingerprint(t, &t->layer[i], m, err));
        t->began = true;
    }
    struct tsr_block_keys keys = {.block = t->block, .first = t->first, .count = (size_t)m, .key = t->key};
    TSR_TRY(tsr_keys_put(t->w, &keys, err));
    for (size_t k = 0; k < n_inputs && t->opt.with_inputs; k++) {
        struct tsr_inputs in = {.name = input_name(t, k), .block = t->block, .count = m,
                                .dtype = x[k].dtype, .shape = {.rank = x[k].shape.rank - 1}};
        memcpy(in.shape.dim, x[k].shape.dim + 1, (size_t)in.shape.rank * sizeof *in.shape.dim);
        TSR_TRY(tsr_inputs_put(t->w, &in, x[k].data, err));
    }
    TSR_TRY(put_rows(t, m, 0, 0, err));
    bool answers = t->kind != TSR_KIND_NONE || t->opt.view_activations;
    uint32_t group = view_group(t, m);
    for (uint32_t v = 1; answers && v <= t->views.count; v += group) {
        uint32_t n = t->views.count - v + 1 < group ? t->views.count - v + 1 : group;
        TSR_TRY(run_views(t, x, v, n, err));
        TSR_TRY(put_rows(t, m, v, n, err));
    }
    t->block++;
    t->first += m;
    return TSR_OK;
}

/* A foreign answer must have been read to its end. */
static enum tsr_status check_ended(const struct layer *l, struct tsr_error *err)
{
    int64_t got = 0;
    if (l->file == NULL) return TSR_OK;
    void *row = tsr_malloc(1, tsr_samples_row_bytes(l->file));
    if (row == NULL) return tsr_nomem(err, tsr_samples_row_bytes(l->file));
    enum tsr_status status = tsr_samples_read(l->file, 1, row, &got, err);
    tsr_free(row);
    if (status == TSR_OK && got > 0)
        return tsr_fail(err, TSR_E_MISMATCH, "%s has more rows than there are samples and views that it answers",
                        tsr_samples_name(l->file));
    return status;
}

enum tsr_status tsr_transmitter_finish(struct tsr_transmitter *t, struct tsr_error *err)
{
    if (!t->began) return tsr_fail(err, TSR_E_MISMATCH, "the reference set is empty");
    TSR_TRY(check_ended(&t->out, err));
    for (size_t i = 0; i < t->n_layers; i++) TSR_TRY(check_ended(&t->layer[i], err));
    return tsr_writer_finish(t->w, err);
}
