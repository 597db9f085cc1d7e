#include "stream/rows.h"

#include "base/mem.h"
#include "stream/meta.h"

bool tsr_rows_addressed(uint32_t type) { return type == TSR_ACTS || type == TSR_OUTS || type == TSR_HUBT; }
bool tsr_rows_type(uint32_t type) { return tsr_rows_addressed(type) || type == TSR_BASE || type == TSR_FPRT; }

/* The fields agree with each other. */
static enum tsr_status check(const struct tsr_rows *r, struct tsr_error *err)
{
    TSR_TRY(tsr_rowset_check(&r->set, err));
    if ((r->type == TSR_OUTS) != (r->set.kind != TSR_KIND_NONE))
        return tsr_fail(err, TSR_E_CORRUPT, "kind '%s' does not go with this type of record", tsr_row_kind_name(r->set.kind));
    if (r->rank > 0) {
        size_t cols = 1;
        for (int i = 0; i < r->rank; i++)
            if (!tsr_mul_size(cols, (size_t)r->shape[i], &cols)) return tsr_fail(err, TSR_E_CORRUPT, "field 'shape' is too large");
        if (cols != r->set.cols)
            return tsr_fail(err, TSR_E_CORRUPT, "a row's shape has %zu elements, the matrix %zu columns", cols, r->set.cols);
    }
    if (!tsr_rows_addressed(r->type)) return TSR_OK;
    size_t rows;
    if (!tsr_mul_size((size_t)r->count, r->views ? (size_t)r->n_views : 1, &rows) || rows != r->set.rows)
        return tsr_fail(err, TSR_E_CORRUPT, "%lld samples in %lld views do not make %zu rows", (long long)r->count,
                        (long long)r->n_views, r->set.rows);
    return TSR_OK;
}

static enum tsr_status fill(const struct tsr_rows *r, struct tsr_json *m, struct tsr_error *err)
{
    const struct tsr_rowset *s = &r->set;
    TSR_TRY(tsr_json_set_string(m, "dtype", tsr_dtype_name(s->dtype), err));
    TSR_TRY(tsr_json_set_string(m, "code", tsr_row_code_name(s->code), err));
    TSR_TRY(tsr_json_set_string(m, "layout", tsr_row_layout_name(s->layout), err));
    TSR_TRY(tsr_json_set_int(m, "rows", (int64_t)s->rows, err));
    TSR_TRY(tsr_json_set_int(m, "cols", (int64_t)s->cols, err));
    if (s->kind != TSR_KIND_NONE) TSR_TRY(tsr_json_set_string(m, "kind", tsr_row_kind_name(s->kind), err));
    if (r->layer != NULL) TSR_TRY(tsr_json_set_string(m, "layer", r->layer, err));
    if (r->rank > 0) TSR_TRY(tsr_json_set_ints(m, "shape", r->shape, (size_t)r->rank, err));
    if (r->info != NULL) TSR_TRY(tsr_json_set_copy(m, "info", r->info, err));
    if (!tsr_rows_addressed(r->type)) return TSR_OK;
    TSR_TRY(tsr_json_set_int(m, "block", r->block, err));
    TSR_TRY(tsr_json_set_int(m, "count", r->count, err));
    TSR_TRY(tsr_json_set_string(m, "set", r->views ? "view" : "ref", err));
    if (r->views) {
        TSR_TRY(tsr_json_set_int(m, "view", r->view, err));
        TSR_TRY(tsr_json_set_int(m, "views", r->n_views, err));
    }
    return TSR_OK;
}

enum tsr_status tsr_rows_put_with(struct tsr_stream_writer *w, const struct tsr_rows *r, struct tsr_json *meta,
                                  const float *x, struct tsr_error *err)
{
    struct tsr_buf body = {0};
    char type[5];
    enum tsr_status status = check(r, err);
    if (status == TSR_OK) status = fill(r, meta, err);
    if (status == TSR_OK) status = tsr_rowset_encode(&r->set, x, &body, err);
    if (status == TSR_OK)
        status = tsr_writer_put(w, r->type, meta, body.data, body.len, err);
    else if (r->layer != NULL)
        tsr_error_prefix(err, "%s of '%s'", tsr_type_text(r->type, type), r->layer);
    tsr_buf_release(&body);
    return status;
}

enum tsr_status tsr_rows_put(struct tsr_stream_writer *w, const struct tsr_rows *r, const float *x,
                             struct tsr_error *err)
{
    struct tsr_json *meta;
    TSR_TRY(tsr_json_object(&meta, err));
    enum tsr_status status = tsr_rows_put_with(w, r, meta, x, err);
    tsr_json_free(meta);
    return status;
}

static enum tsr_status need_name(const struct tsr_json *m, const char *key, const char *otherwise,
                                 int (*find)(const char *), int *out, struct tsr_error *err)
{
    const char *name;
    TSR_TRY(tsr_meta_string(m, key, otherwise, &name, err));
    if (name == NULL) return tsr_fail(err, TSR_E_CORRUPT, "field '%s' is missing", key);
    *out = find(name);
    if (*out < 0) return tsr_fail(err, TSR_E_UNSUPPORTED, "field '%s' has the unknown value '%.40s'", key, name);
    return TSR_OK;
}

static int dtype_of(const char *name)
{
    enum tsr_dtype t = tsr_dtype_of(name);
    return t == TSR_NONE ? -1 : (int)t;
}

static int set_of(const char *name) { return strcmp(name, "ref") == 0 ? 0 : strcmp(name, "view") == 0 ? 1 : -1; }

static enum tsr_status parse_matrix(const struct tsr_json *m, struct tsr_rowset *s, struct tsr_error *err)
{
    int dtype = 0, code = 0, layout = 0, kind = 0;
    int64_t rows, cols;
    TSR_TRY(need_name(m, "dtype", NULL, dtype_of, &dtype, err));
    TSR_TRY(need_name(m, "code", NULL, tsr_row_code_of, &code, err));
    TSR_TRY(need_name(m, "layout", NULL, tsr_row_layout_of, &layout, err));
    TSR_TRY(need_name(m, "kind", "none", tsr_row_kind_of, &kind, err));
    TSR_TRY(tsr_json_need_int(m, "rows", 1, TSR_MAX_ELEMENTS, &rows, err));
    TSR_TRY(tsr_json_need_int(m, "cols", 1, TSR_MAX_ELEMENTS, &cols, err));
    if (rows > TSR_MAX_ELEMENTS / cols)
        return tsr_fail(err, TSR_E_CORRUPT, "a matrix of %lld x %lld elements is larger than the %d a record may hold",
                        (long long)rows, (long long)cols, TSR_MAX_ELEMENTS);
    *s = (struct tsr_rowset){.dtype = (enum tsr_dtype)dtype, .code = (enum tsr_row_code)code,
                             .layout = (enum tsr_row_layout)layout, .kind = (enum tsr_row_kind)kind,
                             .rows = (size_t)rows, .cols = (size_t)cols};
    return TSR_OK;
}

static enum tsr_status parse_address(const struct tsr_json *m, struct tsr_rows *r, struct tsr_error *err)
{
    int views = 0;
    TSR_TRY(tsr_json_need_int(m, "block", 0, TSR_JSON_INT_MAX, &r->block, err));
    TSR_TRY(tsr_json_need_int(m, "count", 1, TSR_BLOCK_ROWS, &r->count, err));
    TSR_TRY(need_name(m, "set", NULL, set_of, &views, err));
    r->views = views == 1;
    if (!r->views) return TSR_OK;
    TSR_TRY(tsr_json_need_int(m, "view", 1, TSR_MAX_ELEMENTS, &r->view, err));
    return tsr_json_need_int(m, "views", 1, TSR_MAX_ELEMENTS, &r->n_views, err);
}

static enum tsr_status parse(const struct tsr_record *rec, struct tsr_rows *r, struct tsr_error *err)
{
    const struct tsr_json *m = rec->meta;
    *r = (struct tsr_rows){.type = rec->type};
    TSR_TRY(parse_matrix(m, &r->set, err));
    TSR_TRY(tsr_meta_string(m, "layer", NULL, &r->layer, err));
    if (tsr_json_get(m, "shape") != NULL) {
        size_t rank;
        TSR_TRY(tsr_json_need_ints(m, "shape", 1, TSR_MAX_ELEMENTS, TSR_ROWS_RANK, r->shape, &rank, err));
        r->rank = (int)rank;
    }
    if (tsr_json_get(m, "info") != NULL) TSR_TRY(tsr_json_need_object(m, "info", &r->info, err));
    if (tsr_rows_addressed(rec->type)) TSR_TRY(parse_address(m, r, err));
    TSR_TRY(check(r, err));
    if (tsr_rowset_bytes(&r->set) != rec->plain_len)
        return tsr_fail(err, TSR_E_CORRUPT, "a matrix of %zu x %zu %s elements has %zu bytes, its body %llu", r->set.rows,
                        r->set.cols, tsr_dtype_name(r->set.dtype), tsr_rowset_bytes(&r->set),
                        (unsigned long long)rec->plain_len);
    return TSR_OK;
}

enum tsr_status tsr_rows_parse(const struct tsr_record *rec, struct tsr_rows *r, struct tsr_error *err)
{
    if (!tsr_rows_type(rec->type)) return tsr_fail(err, TSR_E_USAGE, "a record %s holds no rows", rec->name);
    enum tsr_status status = parse(rec, r, err);
    if (status != TSR_OK)
        (void)tsr_record_failed(rec, status, err);
    return status;
}

enum tsr_status tsr_rows_load(struct tsr_stream *s, const struct tsr_rows *r, float *x, struct tsr_error *err)
{
    struct tsr_buf body = {0};
    char type[5];
    enum tsr_status status = tsr_stream_load_body(s, tsr_rowset_bytes(&r->set), &body, err);
    if (status == TSR_OK) {
        status = tsr_rowset_decode(&r->set, body.data, body.len, x, err);
        if (status != TSR_OK)
            tsr_error_prefix(err, "%s%s%s", tsr_type_text(r->type, type), r->layer ? " of " : "", r->layer ? r->layer : "");
    }
    tsr_buf_release(&body);
    return status;
}

enum tsr_status tsr_rows_get(struct tsr_stream *s, const struct tsr_rows *r, float **x, struct tsr_error *err)
{
    *x = tsr_malloc(r->set.rows * r->set.cols, sizeof **x);
    if (*x == NULL) return tsr_nomem(err, r->set.rows * r->set.cols * sizeof **x);
    enum tsr_status status = tsr_rows_load(s, r, *x, err);
    if (status != TSR_OK) {
        tsr_free(*x);
        *x = NULL;
    }
    return status;
}
