#include "stream/basis.h"

static enum tsr_status fill(const struct tsr_basis *b, struct tsr_json *meta, struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_string(meta, "hub", b->hub, err));
    TSR_TRY(tsr_json_set_int(meta, "dim", b->dim, err));
    return tsr_json_set_number(meta, "lambda", b->lambda, err);
}

enum tsr_status tsr_basis_put(struct tsr_stream_writer *w, const struct tsr_basis *b, enum tsr_dtype dtype,
                              const float *basis, struct tsr_error *err)
{
    if (b->anchors < 1 || b->rank < 1 || b->anchors > b->dim)
        return tsr_fail(err, TSR_E_USAGE, "a basis of rank %lld over %lld anchors does not fit a hub of %lld dimensions",
                        (long long)b->rank, (long long)b->anchors, (long long)b->dim);
    struct tsr_rows r = {.type = TSR_BASE, .layer = b->layer, .info = b->info,
                         .set = tsr_rowset_choose(dtype, TSR_KIND_NONE, (size_t)b->anchors, (size_t)b->rank, 0)};
    struct tsr_json *meta;
    TSR_TRY(tsr_json_object(&meta, err));
    enum tsr_status status = fill(b, meta, err);
    if (status == TSR_OK) status = tsr_rows_put_with(w, &r, meta, basis, err);
    tsr_json_free(meta);
    return status;
}

static enum tsr_status parse(const struct tsr_record *rec, struct tsr_basis *b, struct tsr_error *err)
{
    struct tsr_rows r;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    *b = (struct tsr_basis){.layer = r.layer, .info = r.info,
                            .anchors = (int64_t)r.set.rows, .rank = (int64_t)r.set.cols};
    enum tsr_status status = tsr_json_need_string(rec->meta, "hub", &b->hub, err);
    if (status == TSR_OK) status = tsr_json_need_int(rec->meta, "dim", b->anchors, TSR_MAX_ELEMENTS, &b->dim, err);
    if (status == TSR_OK) status = tsr_json_need_number(rec->meta, "lambda", 0, 1e300, &b->lambda, err);
    if (status != TSR_OK) (void)tsr_record_failed(rec, status, err);
    return status;
}

enum tsr_status tsr_basis_parse(const struct tsr_record *rec, struct tsr_basis *b, struct tsr_error *err)
{
    if (rec->type != TSR_BASE) return tsr_fail(err, TSR_E_USAGE, "a record %s holds no basis", rec->name);
    return parse(rec, b, err);
}

enum tsr_status tsr_basis_load(struct tsr_stream *s, const struct tsr_record *rec, float *basis, struct tsr_error *err)
{
    struct tsr_rows r;
    TSR_TRY(tsr_rows_parse(rec, &r, err));
    return tsr_rows_load(s, &r, basis, err);
}
