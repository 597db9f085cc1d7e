#include "stream/inputs.h"

#include "base/mem.h"
#include "stream/meta.h"

static size_t width(enum tsr_dtype t) { return (size_t)tsr_dtype_bits(t) / 8; }

size_t tsr_inputs_bytes(const struct tsr_inputs *in)
{
    int64_t elements = tsr_shape_count(&in->shape);
    size_t n;
    if (elements < 0 || in->count < 0) return SIZE_MAX;
    if (!tsr_mul_size((size_t)elements, (size_t)in->count, &n) || !tsr_mul_size(n, width(in->dtype), &n)) return SIZE_MAX;
    return n;
}

static enum tsr_status check(const struct tsr_inputs *in, struct tsr_error *err)
{
    size_t bytes = tsr_inputs_bytes(in);
    if (width(in->dtype) == 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "inputs of type %s cannot be stored", tsr_dtype_name(in->dtype));
    if (in->count < 1 || in->count > TSR_BLOCK_ROWS || bytes == 0)
        return tsr_fail(err, TSR_E_CORRUPT, "a block of %lld inputs is not possible", (long long)in->count);
    if (bytes > TSR_MAX_BODY)
        return tsr_fail(err, TSR_E_LIMIT, "%lld inputs '%s' are more than the %llu bytes a record may hold; use smaller blocks",
                        (long long)in->count, in->name, (unsigned long long)TSR_MAX_BODY);
    return TSR_OK;
}

/* Where the i-th byte of a body is among the elements in memory. */
static size_t place(const struct tsr_inputs *in, size_t i, size_t w, size_t rows, size_t cols)
{
    size_t element = i / w, byte = i % w;
    if (in->layout == TSR_LAYOUT_COLUMNS) {
        size_t at = i % (rows * cols);
        element = at % rows * cols + at / rows;
        byte = i / (rows * cols);
    }
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    byte = w - 1 - byte;
#endif
    return element * w + byte;
}

static enum tsr_status fill(const struct tsr_inputs *in, struct tsr_json *meta, struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_int(meta, "block", in->block, err));
    TSR_TRY(tsr_json_set_int(meta, "count", in->count, err));
    TSR_TRY(tsr_json_set_string(meta, "dtype", tsr_dtype_name(in->dtype), err));
    TSR_TRY(tsr_json_set_string(meta, "layout", tsr_row_layout_name(in->layout), err));
    TSR_TRY(tsr_json_set_string(meta, "name", in->name, err));
    return tsr_json_set_ints(meta, "shape", in->shape.dim, (size_t)in->shape.rank, err);
}

enum tsr_status tsr_inputs_put(struct tsr_stream_writer *writer, const struct tsr_inputs *in, const void *data,
                               struct tsr_error *err)
{
    struct tsr_inputs as = *in;
    struct tsr_json *meta = NULL;
    /* Floats compress better by planes of a column; small integers as they stand. */
    as.layout = tsr_dtype_is_float(in->dtype) ? TSR_LAYOUT_COLUMNS : TSR_LAYOUT_ROWS;
    TSR_TRY(check(&as, err));
    size_t n = tsr_inputs_bytes(&as);
    uint8_t *body = tsr_malloc(n, 1);
    if (body == NULL) return tsr_nomem(err, n);
    size_t w = width(as.dtype), rows = (size_t)as.count, cols = n / (rows * w);
    for (size_t i = 0; i < n; i++) body[i] = ((const uint8_t *)data)[place(&as, i, w, rows, cols)];
    enum tsr_status status = tsr_json_object(&meta, err);
    if (status == TSR_OK) status = fill(&as, meta, err);
    if (status == TSR_OK) status = tsr_writer_put(writer, TSR_INPT, meta, body, n, err);
    tsr_json_free(meta);
    tsr_free(body);
    return status;
}

static enum tsr_status parse(const struct tsr_record *rec, struct tsr_inputs *in, struct tsr_error *err)
{
    const struct tsr_json *m = rec->meta;
    const char *dtype, *layout;
    size_t rank;
    *in = (struct tsr_inputs){0};
    TSR_TRY(tsr_json_need_string(m, "name", &in->name, err));
    TSR_TRY(tsr_json_need_int(m, "block", 0, TSR_JSON_INT_MAX, &in->block, err));
    TSR_TRY(tsr_json_need_int(m, "count", 1, TSR_BLOCK_ROWS, &in->count, err));
    TSR_TRY(tsr_json_need_string(m, "dtype", &dtype, err));
    TSR_TRY(tsr_json_need_string(m, "layout", &layout, err));
    in->dtype = tsr_dtype_of(dtype);
    if (width(in->dtype) == 0) return tsr_fail(err, TSR_E_UNSUPPORTED, "field 'dtype' has the unknown value '%.40s'", dtype);
    if (tsr_row_layout_of(layout) < 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "field 'layout' has the unknown value '%.40s'", layout);
    in->layout = (enum tsr_row_layout)tsr_row_layout_of(layout);
    TSR_TRY(tsr_json_need_ints(m, "shape", 1, TSR_JSON_INT_MAX, TSR_MAX_RANK, in->shape.dim, &rank, err));
    in->shape.rank = (int)rank;
    if (tsr_inputs_bytes(in) != rec->plain_len)
        return tsr_fail(err, TSR_E_CORRUPT, "%lld inputs of that shape have %zu bytes, its body %llu", (long long)in->count,
                        tsr_inputs_bytes(in), (unsigned long long)rec->plain_len);
    return check(in, err);
}

enum tsr_status tsr_inputs_parse(const struct tsr_record *rec, struct tsr_inputs *in, struct tsr_error *err)
{
    if (rec->type != TSR_INPT) return tsr_fail(err, TSR_E_USAGE, "a record %s holds no inputs", rec->name);
    enum tsr_status status = parse(rec, in, err);
    if (status != TSR_OK) (void)tsr_record_failed(rec, status, err);
    return status;
}

enum tsr_status tsr_inputs_load(struct tsr_stream *s, const struct tsr_inputs *in, void *data, struct tsr_error *err)
{
    struct tsr_buf body = {0};
    enum tsr_status status = tsr_stream_load_body(s, tsr_inputs_bytes(in), &body, err);
    size_t n = body.len, w = width(in->dtype), rows = (size_t)in->count, cols = tsr_inputs_bytes(in) / (rows * w);
    for (size_t i = 0; status == TSR_OK && i < n; i++) ((uint8_t *)data)[place(in, i, w, rows, cols)] = body.data[i];
    tsr_buf_release(&body);
    return status;
}
