#include "stream/inputs.h"

#include "base/mem.h"
#include "stream/meta.h"

static size_t width(enum tsr_dtype t) { return (size_t)tsr_dtype_bits(t) / 8; }

static int dtype_of(const char *name)
{
    for (int t = TSR_F32; t <= TSR_BF16; t++)
        if (width((enum tsr_dtype)t) != 0 && strcmp(tsr_dtype_name((enum tsr_dtype)t), name) == 0) return t;
    return -1;
}

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

/* Byte `plane` (0: least significant) of an element in memory. */
static size_t memory_byte(size_t plane, size_t w)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return w - 1 - plane;
#else
    (void)w;
    return plane;
#endif
}

/* Elements in memory to a body, or back. */
static void arrange(const struct tsr_inputs *in, uint8_t *memory, uint8_t *body, bool store)
{
    size_t w = width(in->dtype), rows = (size_t)in->count, cols = tsr_inputs_bytes(in) / (rows * w), at = 0;
    bool columns = in->layout == TSR_LAYOUT_COLUMNS;
    for (size_t i = 0; i < (columns ? w : 1); i++)
        for (size_t j = 0; j < (columns ? cols : rows); j++)
            for (size_t k = 0; k < (columns ? rows : cols); k++) {
                size_t element = columns ? k * cols + j : j * cols + k;
                for (size_t plane = columns ? i : 0; plane < (columns ? i + 1 : w); plane++, at++) {
                    uint8_t *m = memory + element * w + memory_byte(plane, w);
                    if (store)
                        body[at] = *m;
                    else
                        *m = body[at];
                }
            }
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

enum tsr_status tsr_inputs_put(struct tsr_stream_writer *w, const struct tsr_inputs *in, const void *data,
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
    arrange(&as, (uint8_t *)(uintptr_t)data, body, true);
    enum tsr_status status = tsr_json_object(&meta, err);
    if (status == TSR_OK) status = fill(&as, meta, err);
    if (status == TSR_OK) status = tsr_writer_put(w, TSR_INPT, meta, body, n, err);
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
    if (dtype_of(dtype) < 0) return tsr_fail(err, TSR_E_UNSUPPORTED, "field 'dtype' has the unknown value '%.40s'", dtype);
    if (tsr_row_layout_of(layout) < 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "field 'layout' has the unknown value '%.40s'", layout);
    in->dtype = (enum tsr_dtype)dtype_of(dtype);
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
    if (status == TSR_OK) arrange(in, data, body.data, false);
    tsr_buf_release(&body);
    return status;
}
