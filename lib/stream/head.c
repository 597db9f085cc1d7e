#include "stream/head.h"

#include "base/mem.h"
#include "stream/meta.h"

enum tsr_status tsr_stream_head_set(char **field, const char *text, struct tsr_error *err)
{
    char *copy = NULL;
    if (text != NULL && (copy = tsr_strdup(text)) == NULL) return tsr_nomem(err, strlen(text) + 1);
    tsr_free(*field);
    *field = copy;
    return TSR_OK;
}

enum tsr_status tsr_stream_head_add_input(struct tsr_stream_head *h, const char *name, enum tsr_dtype dtype,
                                   const struct tsr_shape *shape, struct tsr_error *err)
{
    if (h->n_inputs == TSR_MAX_INPUTS) return tsr_fail(err, TSR_E_LIMIT, "a model has more than %d inputs", TSR_MAX_INPUTS);
    struct tsr_stream_head_input *grown = tsr_realloc(h->input, h->n_inputs + 1, sizeof *grown);
    if (grown == NULL) return tsr_nomem(err, (h->n_inputs + 1) * sizeof *grown);
    h->input = grown;
    grown[h->n_inputs] = (struct tsr_stream_head_input){.dtype = dtype, .shape = *shape};
    TSR_TRY(tsr_stream_head_set(&grown[h->n_inputs].name, name, err));
    h->n_inputs++;
    return TSR_OK;
}

static bool is_digest(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");
    return n == TSR_DIGEST_TEXT - 1 && text[n] == '\0';
}

enum tsr_status tsr_stream_head_add_lineage(struct tsr_stream_head *h, const char *digest, struct tsr_error *err)
{
    if (!is_digest(digest)) return tsr_fail(err, TSR_E_CORRUPT, "'%.70s' is no SHA-256 in lower-case hexadecimal", digest);
    if (h->n_lineage == TSR_MAX_LINEAGE) return tsr_fail(err, TSR_E_LIMIT, "a lineage has more than %d digests", TSR_MAX_LINEAGE);
    char(*grown)[TSR_DIGEST_TEXT] = tsr_realloc(h->lineage, h->n_lineage + 1, sizeof *grown);
    if (grown == NULL) return tsr_nomem(err, (h->n_lineage + 1) * sizeof *grown);
    h->lineage = grown;
    memcpy(grown[h->n_lineage++], digest, TSR_DIGEST_TEXT);
    return TSR_OK;
}

void tsr_stream_head_release(struct tsr_stream_head *h)
{
    tsr_free(h->producer);
    tsr_free(h->blas);
    tsr_free(h->model);
    for (size_t i = 0; i < h->n_inputs; i++) tsr_free(h->input[i].name);
    tsr_free(h->input);
    tsr_free(h->lineage);
    tsr_free(h->contributor);
    tsr_free(h->round);
    *h = (struct tsr_stream_head){0};
}

static enum tsr_status fill_inputs(const struct tsr_stream_head *h, struct tsr_json *meta, struct tsr_error *err)
{
    struct tsr_json *inputs, *input;
    TSR_TRY(tsr_json_set_array(meta, "inputs", &inputs, err));
    for (size_t i = 0; i < h->n_inputs; i++) {
        const struct tsr_stream_head_input *in = &h->input[i];
        TSR_TRY(tsr_json_set_object(inputs, NULL, &input, err));
        TSR_TRY(tsr_json_set_string(input, "name", in->name, err));
        TSR_TRY(tsr_json_set_string(input, "dtype", tsr_dtype_name(in->dtype), err));
        TSR_TRY(tsr_json_set_ints(input, "shape", in->shape.dim, (size_t)in->shape.rank, err));
    }
    return TSR_OK;
}

enum tsr_status tsr_stream_head_fill(const struct tsr_stream_head *h, int minor, struct tsr_json *meta,
                                     struct tsr_error *err)
{
    struct tsr_json *part;
    char format[TSR_FORMAT_TEXT];
    tsr_meta_format(minor, format);
    TSR_TRY(tsr_json_set_string(meta, "format", format, err));
    TSR_TRY(tsr_json_set_string(meta, "producer", h->producer, err));
    if (h->blas != NULL) TSR_TRY(tsr_json_set_string(meta, "blas", h->blas, err));
    if (h->model == NULL && h->model_digest[0] == '\0') {
        TSR_TRY(tsr_json_set_null(meta, "model", err));
    } else {
        TSR_TRY(tsr_json_set_object(meta, "model", &part, err));
        if (h->model != NULL) TSR_TRY(tsr_json_set_string(part, "name", h->model, err));
        if (h->model_digest[0] != '\0') TSR_TRY(tsr_json_set_string(part, "digest", h->model_digest, err));
    }
    if (h->reference_count > 0) {
        TSR_TRY(tsr_json_set_object(meta, "reference", &part, err));
        TSR_TRY(tsr_json_set_int(part, "count", h->reference_count, err));
        if (h->reference_digest[0] != '\0') TSR_TRY(tsr_json_set_string(part, "digest", h->reference_digest, err));
    }
    if (h->outputs != TSR_KIND_NONE) {
        TSR_TRY(tsr_json_set_object(meta, "outputs", &part, err));
        TSR_TRY(tsr_json_set_string(part, "kind", tsr_row_kind_name(h->outputs), err));
        if (h->classes > 0) TSR_TRY(tsr_json_set_int(part, "classes", h->classes, err));
    }
    TSR_TRY(tsr_json_set_array(meta, "lineage", &part, err));
    for (size_t i = 0; i < h->n_lineage; i++) TSR_TRY(tsr_json_set_string(part, NULL, h->lineage[i], err));
    if (h->contributor != NULL) TSR_TRY(tsr_json_set_string(meta, "contributor", h->contributor, err));
    if (h->round != NULL) TSR_TRY(tsr_json_set_string(meta, "round", h->round, err));
    if (h->time > 0) TSR_TRY(tsr_json_set_int(meta, "time", h->time, err));
    if (h->contributors) TSR_TRY(tsr_json_set_string(meta, "keys", "contributors", err));
    return fill_inputs(h, meta, err);
}

enum tsr_status tsr_stream_head_put(struct tsr_stream_writer *w, const struct tsr_stream_head *h, struct tsr_error *err)
{
    struct tsr_json *meta;
    if (h->producer == NULL) return tsr_fail(err, TSR_E_USAGE, "a HEAD record needs a producer");
    TSR_TRY(tsr_json_object(&meta, err));
    enum tsr_status status = tsr_stream_head_fill(h, TSR_STREAM_MINOR, meta, err);
    if (status == TSR_OK) status = tsr_writer_put(w, TSR_HEAD, meta, NULL, 0, err);
    tsr_json_free(meta);
    return status;
}

/* A digest that may be missing. */
static enum tsr_status get_digest(const struct tsr_json *j, char out[TSR_DIGEST_TEXT], struct tsr_error *err)
{
    const char *text;
    TSR_TRY(tsr_meta_string(j, "digest", "", &text, err));
    if (*text != '\0' && !is_digest(text))
        return tsr_fail(err, TSR_E_CORRUPT, "field 'digest' is no SHA-256 in lower-case hexadecimal");
    memcpy(out, text, strlen(text) + 1);
    return TSR_OK;
}

static enum tsr_status get_input(const struct tsr_json *j, struct tsr_stream_head *h, struct tsr_error *err)
{
    const char *name, *dtype;
    struct tsr_shape shape;
    size_t rank;
    TSR_TRY(tsr_json_need_string(j, "name", &name, err));
    TSR_TRY(tsr_json_need_string(j, "dtype", &dtype, err));
    enum tsr_dtype type = tsr_dtype_of(dtype);
    if (type == TSR_NONE) return tsr_fail(err, TSR_E_UNSUPPORTED, "field 'dtype' has the unknown value '%.40s'", dtype);
    TSR_TRY(tsr_json_need_ints(j, "shape", 1, TSR_JSON_INT_MAX, TSR_MAX_RANK, shape.dim, &rank, err));
    shape.rank = (int)rank;
    if (tsr_shape_count(&shape) < 0) return tsr_fail(err, TSR_E_CORRUPT, "the shape of input '%.40s' is too large", name);
    return tsr_stream_head_add_input(h, name, type, &shape, err);
}

static enum tsr_status get_arrays(const struct tsr_json *m, struct tsr_stream_head *h, struct tsr_error *err)
{
    const struct tsr_json *array;
    TSR_TRY(tsr_json_need_array(m, "inputs", &array, err));
    for (const struct tsr_json *j = tsr_json_first(array); j != NULL; j = tsr_json_next(j)) TSR_TRY(get_input(j, h, err));
    TSR_TRY(tsr_json_need_array(m, "lineage", &array, err));
    for (const struct tsr_json *j = tsr_json_first(array); j != NULL; j = tsr_json_next(j)) {
        const char *digest;
        TSR_TRY(tsr_json_need_string(j, NULL, &digest, err));
        TSR_TRY(tsr_stream_head_add_lineage(h, digest, err));
    }
    return TSR_OK;
}

/* A name that people chose. */
static enum tsr_status get_name(const struct tsr_json *m, const char *key, char **out, struct tsr_error *err)
{
    const char *text;
    TSR_TRY(tsr_meta_string(m, key, NULL, &text, err));
    if (text != NULL && (text[0] == '\0' || strlen(text) > TSR_MAX_NAME))
        return tsr_fail(err, TSR_E_CORRUPT, "field '%s' is empty or longer than %d bytes", key, TSR_MAX_NAME);
    return tsr_stream_head_set(out, text, err);
}

static enum tsr_status get_merging(const struct tsr_json *m, struct tsr_stream_head *h, struct tsr_error *err)
{
    const char *keys;
    TSR_TRY(get_name(m, "contributor", &h->contributor, err));
    TSR_TRY(get_name(m, "round", &h->round, err));
    TSR_TRY(tsr_meta_int(m, "time", 1, TSR_JSON_INT_MAX, 0, &h->time, err));
    TSR_TRY(tsr_meta_string(m, "keys", "samples", &keys, err));
    h->contributors = strcmp(keys, "contributors") == 0;
    if (!h->contributors && strcmp(keys, "samples") != 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "keys are of the unknown kind '%.40s'", keys);
    return TSR_OK;
}

static enum tsr_status parse(const struct tsr_json *m, struct tsr_stream_head *h, struct tsr_error *err)
{
    const char *text;
    const struct tsr_json *part;
    TSR_TRY(tsr_json_need_string(m, "producer", &text, err));
    TSR_TRY(tsr_stream_head_set(&h->producer, text, err));
    TSR_TRY(tsr_meta_string(m, "blas", NULL, &text, err));
    TSR_TRY(tsr_stream_head_set(&h->blas, text, err));
    part = tsr_json_get(m, "model");
    if (part == NULL) return tsr_fail(err, TSR_E_CORRUPT, "field 'model' is missing");
    if (tsr_json_kind(part) != TSR_JSON_NULL) {
        TSR_TRY(tsr_meta_string(part, "name", NULL, &text, err));
        TSR_TRY(tsr_stream_head_set(&h->model, text, err));
        TSR_TRY(get_digest(part, h->model_digest, err));
    }
    part = tsr_json_get(m, "reference");
    if (part != NULL) {
        TSR_TRY(tsr_json_need_int(part, "count", 1, TSR_JSON_INT_MAX, &h->reference_count, err));
        TSR_TRY(get_digest(part, h->reference_digest, err));
    }
    part = tsr_json_get(m, "outputs");
    if (part != NULL) {
        TSR_TRY(tsr_json_need_string(part, "kind", &text, err));
        int kind = tsr_row_kind_of(text);
        if (kind <= TSR_KIND_NONE) return tsr_fail(err, TSR_E_UNSUPPORTED, "outputs have the unknown kind '%.40s'", text);
        h->outputs = (enum tsr_row_kind)kind;
        TSR_TRY(tsr_meta_int(part, "classes", 1, TSR_JSON_INT_MAX, 0, &h->classes, err));
    }
    TSR_TRY(get_merging(m, h, err));
    return get_arrays(m, h, err);
}

enum tsr_status tsr_stream_head_parse(const struct tsr_record *rec, struct tsr_stream_head *h, struct tsr_error *err)
{
    *h = (struct tsr_stream_head){0};
    if (rec->type != TSR_HEAD) return tsr_fail(err, TSR_E_USAGE, "a record %s is not a HEAD", rec->name);
    enum tsr_status status = parse(rec->meta, h, err);
    if (status != TSR_OK) {
        tsr_stream_head_release(h);
        (void)tsr_record_failed(rec, status, err);
    }
    return status;
}

enum tsr_status tsr_stream_head_derive(struct tsr_stream_writer *w, const struct tsr_record *from, const char *producer,
                                struct tsr_error *err)
{
    struct tsr_json *meta, *lineage;
    char digest[TSR_DIGEST_TEXT], format[TSR_FORMAT_TEXT];
    enum tsr_status status;
    if (from->type != TSR_HEAD) return tsr_fail(err, TSR_E_USAGE, "a record %s is not a HEAD", from->name);
    TSR_TRY(tsr_json_parse(from->meta_text, from->meta_len, TSR_MAX_META, "its JSON", &meta, err));
    tsr_record_digest(from, digest);
    tsr_meta_format(TSR_STREAM_MINOR, format);
    TSR_GO(status, done, tsr_json_set_string(meta, "format", format, err));
    TSR_GO(status, done, tsr_json_set_string(meta, "producer", producer, err));
    lineage = tsr_json_get(meta, "lineage");
    if (lineage == NULL || tsr_json_kind(lineage) != TSR_JSON_ARRAY) {
        status = tsr_fail(err, TSR_E_CORRUPT, "record HEAD: field 'lineage' is not an array");
        goto done;
    }
    if (tsr_json_length(lineage) >= TSR_MAX_LINEAGE) {
        status = tsr_fail(err, TSR_E_LIMIT, "the stream's lineage already has %d digests", TSR_MAX_LINEAGE);
        goto done;
    }
    TSR_GO(status, done, tsr_json_set_string(lineage, NULL, digest, err));
    status = tsr_writer_put(w, TSR_HEAD, meta, NULL, 0, err);
done:
    tsr_json_free(meta);
    return status;
}
