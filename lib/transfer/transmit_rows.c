/* transmit_rows.c - runs a transmitter's model, or reads foreign answers, batch by batch into rows. */
#include "transfer/transmit_impl.h"

#include "base/mem.h"
#include "graph/batch.h"
#include "transfer/probabilities.h"

#include <string.h>

/* The next m rows of a foreign answer, as float32. */
static enum tsr_status read_rows(struct tsr_transmit_layer *l, int64_t m, int64_t at, struct tsr_error *err)
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
static enum tsr_status keep_value(struct tsr_transmitter *t, struct tsr_transmit_layer *l, const struct tsr_tensor *v, bool pooled,
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
static enum tsr_status keep_rows(struct tsr_transmitter *t, struct tsr_transmit_layer *l, bool pooled, int64_t m, int64_t at,
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
    struct tsr_transmit_layer *l = &t->out;
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

enum tsr_status tsr_transmit_choose_batch(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
                                          struct tsr_error *err)
{
    t->batch = TSR_BATCH_ROWS;
    if (t->g == NULL) return TSR_OK;
    TSR_TRY(tsr_batch_choose(t->session, t->g, x, n_inputs, t->want, t->n_want, &t->batch, err));
    for (size_t i = 0; i < t->n_layers && tsr_batch_fixed(t->g) == 0; i++)
        t->layer[i].alone = tsr_session_value(t->session, t->layer[i].id)->shape;
    return TSR_OK;
}

enum tsr_status tsr_transmit_refs(struct tsr_transmitter *t, const struct tsr_tensor *x, size_t n_inputs,
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

enum tsr_status tsr_transmit_views(struct tsr_transmitter *t, const struct tsr_tensor *x, uint32_t v0, uint32_t n_views,
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

enum tsr_status tsr_transmit_ended(const struct tsr_transmit_layer *l, struct tsr_error *err)
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
