#include "io/gather.h"

#include "base/bytes.h"
#include "base/mem.h"

/* Up to this size a promise is believed: it costs no more than a large model's smallest layer. */
#define TSR_GATHER_TRUST ((size_t)32 << 20)
#define TSR_GATHER_STEP ((size_t)1 << 20)

static bool full_shape(const struct tsr_shape *row, int64_t rows, struct tsr_shape *out)
{
    if (row->rank >= TSR_MAX_RANK) return false;
    out->rank = row->rank + 1;
    out->dim[0] = rows;
    for (int i = 0; i < row->rank; i++) out->dim[i + 1] = row->dim[i];
    return tsr_shape_count(out) >= 0;
}

/* Reads into a growing block until `rows` rows (rows < 0: all) are there. */
static enum tsr_status grow_and_read(tsr_gather_fn *read, void *arg, size_t row_bytes, int64_t rows, struct tsr_buf *b,
                                     int64_t *total, struct tsr_error *err)
{
    int64_t step = row_bytes < TSR_GATHER_STEP ? (int64_t)(TSR_GATHER_STEP / (row_bytes ? row_bytes : 1)) : 1;
    *total = 0;
    for (;;) {
        int64_t want = rows >= 0 && rows - *total < step ? rows - *total : step, got = 0;
        size_t bytes;
        if (want == 0) return TSR_OK;
        if (!tsr_mul_size((size_t)want, row_bytes, &bytes)) return tsr_nomem(err, SIZE_MAX);
        TSR_TRY(tsr_buf_reserve(b, bytes ? bytes : 1, err));
        TSR_TRY(read(arg, want, b->data + b->len, &got, err));
        b->len += (size_t)got * row_bytes;
        *total += got;
        if (got < want) return TSR_OK;
    }
}

enum tsr_status tsr_gather(tsr_gather_fn *read, void *arg, enum tsr_dtype dtype, const struct tsr_shape *row,
                           size_t row_bytes, int64_t rows, bool backed, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_shape shape;
    struct tsr_buf b = {0};
    size_t bytes = 0;
    int64_t got = 0;
    enum tsr_status status;
    *t = (struct tsr_tensor){0};
    if (rows >= 0 && (!tsr_mul_size((size_t)rows, row_bytes, &bytes) || !full_shape(row, rows, &shape)))
        return tsr_fail(err, TSR_E_LIMIT, "%lld rows of %zu bytes are more than can be held", (long long)rows, row_bytes);
    if (rows >= 0 && (backed || bytes <= TSR_GATHER_TRUST)) {
        TSR_TRY(tsr_tensor_new(t, dtype, &shape, NULL, err));
        TSR_GO(status, out, read(arg, rows, t->data, &got, err));
        if (got != rows) status = tsr_fail(err, TSR_E_TRUNCATED, "only %lld of %lld rows are there", (long long)got, (long long)rows);
        goto out;
    }
    TSR_GO(status, out, grow_and_read(read, arg, row_bytes, rows, &b, &got, err));
    if (rows >= 0 && got != rows)
        status = tsr_fail(err, TSR_E_TRUNCATED, "only %lld of %lld rows are there", (long long)got, (long long)rows);
    else if (!full_shape(row, got, &shape))
        status = tsr_fail(err, TSR_E_LIMIT, "%lld rows are more than can be held", (long long)got);
    if (status != TSR_OK) goto out;
    TSR_GO(status, out, tsr_tensor_new(t, dtype, &shape, NULL, err));
    if (b.len != 0) memcpy(t->data, b.data, b.len);
out:
    tsr_buf_release(&b);
    if (status != TSR_OK) tsr_tensor_release(t);
    return status;
}
