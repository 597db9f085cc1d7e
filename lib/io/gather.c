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

/* A row larger than a step must be in sight before room is made for it. */
static enum tsr_status see_row(const struct tsr_gather *g, int64_t row, struct tsr_error *err)
{
    const uint8_t *p;
    size_t avail;
    if (g->source == NULL || g->row_bytes <= TSR_GATHER_STEP) return TSR_OK;
    TSR_TRY(tsr_source_peek(g->source, g->row_bytes, &p, &avail, err));
    if (avail >= g->row_bytes) return TSR_OK;
    return tsr_fail(err, TSR_E_TRUNCATED, "%s is cut short in row %lld of %lld", tsr_source_name(g->source),
                    (long long)row, (long long)g->rows);
}

/* Reads into a growing block until all rows are there. */
static enum tsr_status grow_and_read(const struct tsr_gather *g, struct tsr_buf *b, int64_t *total,
                                     struct tsr_error *err)
{
    size_t size = g->row_bytes != 0 ? g->row_bytes : 1;
    int64_t step = size < TSR_GATHER_STEP ? (int64_t)(TSR_GATHER_STEP / size) : 1;
    for (*total = 0;;) {
        int64_t want = g->rows >= 0 && g->rows - *total < step ? g->rows - *total : step, got = 0;
        if (want == 0) return TSR_OK;
        TSR_TRY(see_row(g, *total, err));
        TSR_TRY(tsr_buf_reserve(b, (size_t)want * size, err));
        TSR_TRY(g->read(g->arg, want, b->data + b->len, &got, err));
        b->len += (size_t)got * g->row_bytes;
        *total += got;
        if (got < want) return TSR_OK;
    }
}

static enum tsr_status too_large(const struct tsr_gather *g, int64_t rows, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_LIMIT, "%lld rows of %zu bytes are more than can be held", (long long)rows, g->row_bytes);
}

enum tsr_status tsr_gather(const struct tsr_gather *g, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_shape shape;
    struct tsr_buf b = {0};
    size_t bytes = 0;
    int64_t got = 0;
    enum tsr_status status;
    *t = (struct tsr_tensor){0};
    if (g->rows >= 0 && (!tsr_mul_size((size_t)g->rows, g->row_bytes, &bytes) || !full_shape(&g->row, g->rows, &shape)))
        return too_large(g, g->rows, err);
    if (g->rows >= 0 && (g->backed || bytes <= TSR_GATHER_TRUST)) {
        TSR_TRY(tsr_tensor_new(t, g->dtype, &shape, NULL, err));
        TSR_GO(status, out, g->read(g->arg, g->rows, t->data, &got, err));
    } else {
        TSR_GO(status, out, grow_and_read(g, &b, &got, err));
        if (!full_shape(&g->row, got, &shape)) status = too_large(g, got, err);
        if (status != TSR_OK) goto out;
        TSR_GO(status, out, tsr_tensor_new(t, g->dtype, &shape, NULL, err));
        if (b.len != 0) memcpy(t->data, b.data, b.len);
    }
    if (g->rows >= 0 && got != g->rows)
        status = tsr_fail(err, TSR_E_TRUNCATED, "only %lld of %lld rows are there", (long long)got, (long long)g->rows);
out:
    tsr_buf_release(&b);
    if (status != TSR_OK) tsr_tensor_release(t);
    return status;
}
