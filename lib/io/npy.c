#include "io/npy.h"

#include "base/mem.h"
#include "io/gather.h"
#include "io/npyhead.h"

/* Elements are moved as they are; the files are little-endian and so must the machine be. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the .npy reader needs a little-endian machine");

#define TSR_NPY_HEADER_MAX ((size_t)64 << 10)

/* Reads magic, version and the dictionary's length. */
static enum tsr_status read_prefix(struct tsr_source *source, size_t *length, struct tsr_error *err)
{
    const char *name = tsr_source_name(source);
    const uint8_t *p;
    uint8_t b[12];
    size_t avail;
    TSR_TRY(tsr_source_peek(source, TSR_NPY_MAGIC_LEN, &p, &avail, err));
    size_t known = avail < TSR_NPY_MAGIC_LEN ? avail : TSR_NPY_MAGIC_LEN;
    if (memcmp(p, TSR_NPY_MAGIC, known) != 0 || avail == 0)
        return tsr_fail(err, TSR_E_FORMAT, avail == 0 ? "%s is empty, not an .npy file" : "%s is not an .npy file", name);
    TSR_TRY(tsr_source_exact(source, b, 8, "the .npy header", err));
    if (b[6] < 1 || b[6] > 3 || b[7] != 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "%s has version %u.%u of the .npy format; we read 1.0, 2.0 and 3.0",
                        name, b[6], b[7]);
    TSR_TRY(tsr_source_exact(source, b + 8, b[6] == 1 ? 2 : 4, "the .npy header", err));
    *length = b[6] == 1 ? tsr_get_le16(b + 8) : tsr_get_le32(b + 8);
    if (*length > TSR_NPY_HEADER_MAX)
        return tsr_fail(err, TSR_E_CORRUPT, "%s has a damaged .npy header: it claims a length of %zu bytes", name,
                        *length);
    return TSR_OK;
}

static enum tsr_status read_header(struct tsr_npy *r, struct tsr_error *err)
{
    char text[512], *big = NULL;
    size_t n = 0;
    TSR_TRY(read_prefix(r->source, &n, err));
    if (n > sizeof text && (big = tsr_malloc(n, 1)) == NULL) return tsr_nomem(err, n);
    char *to = big != NULL ? big : text;
    enum tsr_status status = tsr_source_exact(r->source, to, n, "the .npy header", err);
    if (status == TSR_OK)
        status = tsr_npyhead_parse(to, n, tsr_source_name(r->source), &r->dtype, &r->shape, err);
    tsr_free(big);
    return status;
}

enum tsr_status tsr_npy_open(struct tsr_npy *r, struct tsr_source *source, struct tsr_error *err)
{
    size_t total;
    *r = (struct tsr_npy){.source = source};
    TSR_TRY(read_header(r, err));
    r->rows = r->shape.rank > 0 ? r->shape.dim[0] : 1;
    r->row.rank = r->shape.rank > 0 ? r->shape.rank - 1 : 0;
    for (int i = 0; i < r->row.rank; i++) r->row.dim[i] = r->shape.dim[i + 1];
    int64_t count = tsr_shape_count(&r->row);
    if (count >= 0) r->row_bytes = tsr_dtype_bytes(r->dtype, count);
    if (count < 0 || r->row_bytes == SIZE_MAX || !tsr_mul_size(r->row_bytes, (size_t)r->rows, &total))
        return tsr_fail(err, TSR_E_CORRUPT, "%s claims an array that is larger than memory can be", tsr_source_name(source));
    int64_t size = tsr_source_size(source);
    if (size < 0) return TSR_OK;
    uint64_t left = (uint64_t)size > tsr_source_offset(source) ? (uint64_t)size - tsr_source_offset(source) : 0;
    if (left < total)
        return tsr_fail(err, TSR_E_TRUNCATED, "%s is cut short: %llu of %zu bytes of its array are there",
                        tsr_source_name(source), (unsigned long long)left, total);
    r->backed = true;
    return TSR_OK;
}

/* Everything else takes any bytes for numbers; a bool that is neither 0 nor 1 would mean
 * different things to different readers. */
static enum tsr_status check_bools(const struct tsr_npy *r, const uint8_t *p, size_t n, struct tsr_error *err)
{
    for (size_t i = 0; r->dtype == TSR_BOOL && i < n; i++)
        if (p[i] > 1)
            return tsr_fail(err, TSR_E_CORRUPT, "%s has the byte %u among its bools, in row %lld",
                            tsr_source_name(r->source), p[i], (long long)(r->done + (int64_t)(i / r->row_bytes)));
    return TSR_OK;
}

static enum tsr_status check_end(const struct tsr_npy *r, struct tsr_error *err)
{
    const uint8_t *p;
    size_t avail;
    TSR_TRY(tsr_source_peek(r->source, 1, &p, &avail, err));
    if (avail == 0) return TSR_OK;
    return tsr_fail(err, TSR_E_CORRUPT, "%s has bytes behind the end of its array", tsr_source_name(r->source));
}

enum tsr_status tsr_npy_read(struct tsr_npy *r, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    int64_t left = r->rows - r->done, n = max_rows < left ? max_rows : left;
    size_t bytes = (size_t)n * r->row_bytes, there;
    *got = 0;
    TSR_TRY(tsr_source_read(r->source, data, bytes, &there, err));
    if (there != bytes)
        return tsr_fail(err, TSR_E_TRUNCATED, "%s is cut short in row %lld of %lld", tsr_source_name(r->source),
                        (long long)(r->done + (int64_t)(there / r->row_bytes)), (long long)r->rows);
    TSR_TRY(check_bools(r, data, bytes, err));
    r->done += n;
    if (r->done == r->rows) TSR_TRY(check_end(r, err));
    *got = n;
    return TSR_OK;
}

static enum tsr_status read_rows(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    return tsr_npy_read(arg, max_rows, data, got, err);
}

enum tsr_status tsr_npy_load(struct tsr_source *source, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_npy r;
    *t = (struct tsr_tensor){0};
    TSR_TRY(tsr_npy_open(&r, source, err));
    const struct tsr_gather g = {.read = read_rows, .arg = &r, .source = source, .dtype = r.dtype, .row = r.row,
                                 .row_bytes = r.row_bytes, .rows = r.rows, .backed = r.backed};
    TSR_TRY(tsr_gather(&g, t, err));
    t->shape = r.shape; /* a scalar came as one row */
    return TSR_OK;
}

static enum tsr_status print_header(const struct tsr_npy_writer *w, int64_t rows, struct tsr_buf *to,
                                    struct tsr_error *err)
{
    struct tsr_shape shape = {.rank = w->row.rank + 1, .dim = {rows}};
    for (int i = 0; i < w->row.rank; i++) shape.dim[i + 1] = w->row.dim[i];
    return tsr_npyhead_print(w->dtype, &shape, to, err);
}

enum tsr_status tsr_npy_begin(struct tsr_npy_writer *w, struct tsr_sink *sink, enum tsr_dtype dtype,
                              const struct tsr_shape *row, int64_t rows, struct tsr_error *err)
{
    struct tsr_buf head = {0};
    *w = (struct tsr_npy_writer){.sink = sink, .dtype = dtype, .row = *row, .rows = rows, .start = tsr_sink_offset(sink)};
    int64_t count = tsr_shape_count(row);
    if (row->rank >= TSR_MAX_RANK || count < 0 || rows < -1)
        return tsr_fail(err, TSR_E_USAGE, "%s cannot take an array of that shape", tsr_sink_name(sink));
    if (rows < 0 && !tsr_sink_can_patch(sink))
        return tsr_fail(err, TSR_E_USAGE, "the number of rows must be known before %s is written: write to a file instead",
                        tsr_sink_name(sink));
    enum tsr_status status = print_header(w, rows < 0 ? 0 : rows, &head, err);
    if (status == TSR_OK) {
        w->row_bytes = tsr_dtype_bytes(dtype, count);
        status = tsr_sink_write(sink, head.data, head.len, err);
    }
    tsr_buf_release(&head);
    return status;
}

enum tsr_status tsr_npy_write(struct tsr_npy_writer *w, const void *data, int64_t rows, struct tsr_error *err)
{
    size_t bytes;
    if (rows < 0 || !tsr_mul_size((size_t)rows, w->row_bytes, &bytes))
        return tsr_fail(err, TSR_E_USAGE, "cannot write %lld rows to %s", (long long)rows, tsr_sink_name(w->sink));
    TSR_TRY(tsr_sink_write(w->sink, data, bytes, err));
    w->done += rows;
    return TSR_OK;
}

enum tsr_status tsr_npy_end(struct tsr_npy_writer *w, struct tsr_error *err)
{
    if (w->rows == w->done) return TSR_OK;
    if (w->rows >= 0)
        return tsr_fail(err, TSR_E_USAGE, "%lld rows were promised to %s and %lld written", (long long)w->rows,
                        tsr_sink_name(w->sink), (long long)w->done);
    struct tsr_buf head = {0};
    enum tsr_status status = print_header(w, w->done, &head, err);
    if (status == TSR_OK) status = tsr_sink_patch(w->sink, w->start, head.data, head.len, err);
    tsr_buf_release(&head);
    return status;
}

enum tsr_status tsr_npy_save(struct tsr_sink *sink, const struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_buf head = {0};
    enum tsr_status status = tsr_npyhead_print(t->dtype, &t->shape, &head, err);
    if (status == TSR_OK) status = tsr_sink_write(sink, head.data, head.len, err);
    if (status == TSR_OK) status = tsr_sink_write(sink, t->data, tsr_tensor_bytes(t), err);
    tsr_buf_release(&head);
    return status;
}
