#include "transfer/transmit_impl.h"

#include "base/mem.h"
#include "graph/fuse.h"
#include "graph/head.h"
#include "hub/fingerprint.h"
#include "model/onnx.h"
#include "stream/head.h"
#include "stream/inputs.h"
#include "stream/keys.h"
#include "stream/rows.h"
#include "tensor/blas.h"
#include "train/loss.h"

#include <math.h>
#include <string.h>

#define GROUP_ROWS 16384 /* rows of views in one record, */
#define GROUP_BYTES ((int64_t)64 << 20) /* unless they would take more than this as float32 */

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
        t->layer[t->n_layers++] = (struct tsr_transmit_layer){.id = id, .alone.rank = -1, .name = t->g->value[id].name};
        t->want[t->n_want++] = id;
    }
    if (t->n_want == 0) return tsr_fail(err, TSR_E_USAGE, "neither outputs nor a layer was asked for");
    return TSR_OK;
}

static enum tsr_status foreign_values(struct tsr_transmitter *t, struct tsr_error *err)
{
    const struct tsr_transmit_options *o = &t->opt;
    t->kind = o->foreign_outputs == NULL ? TSR_KIND_NONE : o->kind == TSR_KIND_NONE ? TSR_KIND_LOGITS : o->kind;
    t->out = (struct tsr_transmit_layer){.id = -1, .file = o->foreign_outputs, .name = "outputs"};
    t->check = t->kind == TSR_KIND_PROBABILITIES;
    for (size_t i = 0; i < o->n_layers; i++)
        t->layer[t->n_layers++] = (struct tsr_transmit_layer){.id = -1, .name = o->layer[i], .file = o->foreign_layer[i]};
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
static enum tsr_status put_fingerprint(struct tsr_transmitter *t, const struct tsr_transmit_layer *l, int64_t n,
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
        const struct tsr_transmit_layer *l = &t->layer[i];
        r.type = TSR_ACTS;
        r.layer = l->name;
        r.rank = l->shape.rank;
        memcpy(r.shape, l->shape.dim, sizeof l->shape.dim);
        r.set = tsr_rowset_choose(t->opt.dtype, TSR_KIND_NONE, rows, (size_t)l->width, 0);
        TSR_TRY(tsr_rows_put(t->w, &r, l->row, err));
    }
    return TSR_OK;
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
    if (t->batch == 0) TSR_TRY(tsr_transmit_choose_batch(t, x, n_inputs, err));
    TSR_TRY(tsr_transmit_refs(t, x, n_inputs, err));
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
        TSR_TRY(tsr_transmit_views(t, x, v, n, err));
        TSR_TRY(put_rows(t, m, v, n, err));
    }
    t->block++;
    t->first += m;
    return TSR_OK;
}

enum tsr_status tsr_transmitter_finish(struct tsr_transmitter *t, struct tsr_error *err)
{
    if (!t->began) return tsr_fail(err, TSR_E_MISMATCH, "the reference set is empty");
    TSR_TRY(tsr_transmit_ended(&t->out, err));
    for (size_t i = 0; i < t->n_layers; i++) TSR_TRY(tsr_transmit_ended(&t->layer[i], err));
    return tsr_writer_finish(t->w, err);
}
