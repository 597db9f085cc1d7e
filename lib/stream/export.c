#include "stream/export.h"

#include "base/mem.h"
#include "io/npy.h"
#include "stream/inputs.h"
#include "stream/keys.h"
#include "stream/rows.h"

/* Rows on their way into one array. */
struct array {
    struct tsr_sink *to;
    struct tsr_npy_writer npy;
    bool begun;
    char *name; /* of the layer or input taken first */
    enum tsr_dtype dtype;
    struct tsr_shape row;
    size_t row_bytes;
    int64_t rows;
    struct tsr_buf held; /* where the sink cannot be patched */
};

struct tsr_export tsr_export_parse(const char *text, bool views)
{
    static const struct {
        const char *word;
        enum tsr_export_kind kind;
    } words[] = {{"keys", TSR_EXPORT_KEYS}, {"inputs", TSR_EXPORT_INPUTS}, {"outputs", TSR_EXPORT_OUTPUTS},
                 {"hub", TSR_EXPORT_HUB},   {"basis", TSR_EXPORT_BASIS},   {"layer", TSR_EXPORT_LAYER}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        if (strncmp(text, words[i].word, n) != 0) continue;
        if (text[n] == ':' && text[n + 1] != '\0')
            return (struct tsr_export){.kind = words[i].kind, .name = text + n + 1, .views = views};
        if (text[n] == '\0' && words[i].kind != TSR_EXPORT_LAYER)
            return (struct tsr_export){.kind = words[i].kind, .views = views};
    }
    return (struct tsr_export){.kind = TSR_EXPORT_LAYER, .name = text, .views = views};
}

/* Is this the layer or input that was asked for, or else the one that came first? */
static enum tsr_status wanted(struct array *a, const struct tsr_export *what, const char *name, bool *yes,
                              struct tsr_error *err)
{
    const char *is = name == NULL ? "" : name, *must = what->name != NULL ? what->name : a->name;
    *yes = must == NULL || strcmp(is, must) == 0;
    if (a->name != NULL || !*yes) return TSR_OK;
    a->name = tsr_strdup(is);
    return a->name == NULL ? tsr_nomem(err, strlen(is) + 1) : TSR_OK;
}

static enum tsr_status add(struct array *a, enum tsr_dtype dtype, const struct tsr_shape *row, const void *data,
                           int64_t rows, struct tsr_error *err)
{
    if (!a->begun) {
        a->begun = true;
        a->dtype = dtype;
        a->row = *row;
        a->row_bytes = tsr_dtype_bytes(dtype, tsr_shape_count(row));
        if (tsr_sink_can_patch(a->to)) TSR_TRY(tsr_npy_begin(&a->npy, a->to, dtype, row, -1, err));
    }
    if (dtype != a->dtype || !tsr_shape_equal(row, &a->row))
        return tsr_fail(err, TSR_E_MISMATCH, "its rows differ in type or shape from those before it; export the segments one by one");
    a->rows += rows;
    if (tsr_sink_can_patch(a->to)) return tsr_npy_write(&a->npy, data, rows, err);
    return tsr_buf_append(&a->held, data, (size_t)rows * a->row_bytes, err);
}

static enum tsr_status finish(struct array *a, struct tsr_error *err)
{
    if (tsr_sink_can_patch(a->to)) return tsr_npy_end(&a->npy, err);
    TSR_TRY(tsr_npy_begin(&a->npy, a->to, a->dtype, &a->row, a->rows, err));
    TSR_TRY(tsr_npy_write(&a->npy, a->held.data, a->rows, err));
    return tsr_npy_end(&a->npy, err);
}

static enum tsr_status add_keys(struct array *a, struct tsr_stream *s, const struct tsr_record *rec,
                                struct tsr_error *err)
{
    static const struct tsr_shape row = {.rank = 1, .dim = {TSR_KEY_LEN}};
    struct tsr_block_keys k = {0};
    enum tsr_status status = tsr_keys_get(s, rec, &k, err);
    if (status == TSR_OK) status = add(a, TSR_U8, &row, k.key, (int64_t)k.count, err);
    tsr_keys_release(&k);
    return status;
}

static enum tsr_status add_inputs(struct array *a, const struct tsr_export *what, struct tsr_stream *s,
                                  const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_inputs in;
    bool yes;
    TSR_TRY(tsr_inputs_parse(rec, &in, err));
    TSR_TRY(wanted(a, what, in.name, &yes, err));
    if (!yes) return TSR_OK;
    void *data = tsr_malloc(tsr_inputs_bytes(&in), 1);
    if (data == NULL) return tsr_nomem(err, tsr_inputs_bytes(&in));
    enum tsr_status status = tsr_inputs_load(s, &in, data, err);
    if (status == TSR_OK) status = add(a, in.dtype, &in.shape, data, in.count, err);
    tsr_free(data);
    return status;
}

/* Class numbers become the integers they are. */
static enum tsr_status add_labels(struct array *a, const float *x, size_t n, struct tsr_error *err)
{
    static const struct tsr_shape scalar = {0};
    int64_t *label = tsr_malloc(n, sizeof *label);
    if (label == NULL) return tsr_nomem(err, n * sizeof *label);
    for (size_t i = 0; i < n; i++) label[i] = (int64_t)x[i];
    enum tsr_status status = add(a, TSR_I64, &scalar, label, (int64_t)n, err);
    tsr_free(label);
    return status;
}

static enum tsr_status add_rows(struct array *a, const struct tsr_export *what, struct tsr_stream *s,
                                const struct tsr_record *rec, struct tsr_error *err)
{
    struct tsr_rows r;
    float *x;
    bool yes = true;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    if (tsr_rows_addressed(rec->type) && r.views != what->views) return TSR_OK;
    if (rec->type != TSR_OUTS) TSR_TRY(wanted(a, what, r.layer, &yes, err));
    if (!yes) return TSR_OK;
    struct tsr_shape row = {.rank = 1, .dim = {(int64_t)r.set.cols}};
    if (r.rank > 0) {
        row.rank = r.rank;
        memcpy(row.dim, r.shape, sizeof r.shape);
    }
    TSR_TRY(tsr_rows_get(s, &r, &x, err));
    enum tsr_status status = r.set.kind == TSR_KIND_ARGMAX ? add_labels(a, x, r.set.rows, err)
                                                           : add(a, TSR_F32, &row, x, (int64_t)r.set.rows, err);
    tsr_free(x);
    return status;
}

static enum tsr_status take(struct array *a, const struct tsr_export *what, struct tsr_stream *s,
                            const struct tsr_record *rec, struct tsr_error *err)
{
    static const uint32_t types[] = {[TSR_EXPORT_KEYS] = TSR_KEYS,   [TSR_EXPORT_INPUTS] = TSR_INPT,
                                     [TSR_EXPORT_OUTPUTS] = TSR_OUTS, [TSR_EXPORT_HUB] = TSR_HUBT,
                                     [TSR_EXPORT_BASIS] = TSR_BASE,  [TSR_EXPORT_LAYER] = TSR_ACTS};
    if (rec->type != types[what->kind]) return TSR_OK;
    if (rec->type == TSR_KEYS) return add_keys(a, s, rec, err);
    if (rec->type == TSR_INPT) return add_inputs(a, what, s, rec, err);
    return add_rows(a, what, s, rec, err);
}

static enum tsr_status nothing(const struct tsr_export *what, struct tsr_error *err)
{
    static const char *const nouns[] = {"keys", "inputs", "outputs", "hub tokens", "basis", "activations"};
    return tsr_fail(err, TSR_E_NOT_FOUND, "the stream holds no %s%s%s%s%s; without --export it is listed what it holds",
                    nouns[what->kind], what->name ? " of '" : "", what->name ? what->name : "", what->name ? "'" : "",
                    what->views ? " of views" : "");
}

enum tsr_status tsr_stream_export(struct tsr_stream *s, const struct tsr_export *what, struct tsr_sink *to,
                                  struct tsr_error *err)
{
    struct array a = {.to = to};
    const struct tsr_record *rec;
    enum tsr_status status;
    for (;;) {
        TSR_GO(status, done, tsr_stream_next(s, &rec, err));
        if (rec == NULL) break;
        TSR_GO(status, done, take(&a, what, s, rec, err));
    }
    status = a.begun ? finish(&a, err) : nothing(what, err);
done:
    tsr_buf_release(&a.held);
    tsr_free(a.name);
    return status;
}
