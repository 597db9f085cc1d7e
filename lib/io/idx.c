#include "io/idx.h"

#include "base/mem.h"
#include "io/gather.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the IDX reader needs a little-endian machine");

static enum tsr_dtype type_of(uint8_t code)
{
    switch (code) {
    case 0x08: return TSR_U8;
    case 0x09: return TSR_I8;
    case 0x0B: return TSR_I16;
    case 0x0C: return TSR_I32;
    case 0x0D: return TSR_F32;
    case 0x0E: return TSR_F64;
    default: return TSR_NONE;
    }
}

bool tsr_idx_is_magic(const uint8_t *p, size_t n)
{
    return n >= 4 && p[0] == 0 && p[1] == 0 && type_of(p[2]) != TSR_NONE && p[3] != 0;
}

/* Reads magic and dimensions into r->dtype and r->shape. */
static enum tsr_status read_header(struct tsr_idx *r, struct tsr_error *err)
{
    const char *name = tsr_source_name(r->source);
    const uint8_t *p;
    uint8_t b[4];
    size_t avail;
    TSR_TRY(tsr_source_peek(r->source, 4, &p, &avail, err));
    if (!tsr_idx_is_magic(p, avail)) {
        static const uint8_t start[2] = {0, 0};
        if (avail != 0 && avail < 4 && memcmp(p, start, avail < 2 ? avail : 2) == 0)
            return tsr_fail(err, TSR_E_TRUNCATED, "%s ends inside the IDX header", name);
        return tsr_fail(err, TSR_E_FORMAT, "%s is not an IDX file", name);
    }
    TSR_TRY(tsr_source_exact(r->source, b, 4, "the IDX header", err));
    r->dtype = type_of(b[2]);
    if (b[3] > TSR_MAX_RANK)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "%s has %u dimensions; we read up to %d", name, b[3], TSR_MAX_RANK);
    r->shape.rank = b[3];
    for (int i = 0; i < r->shape.rank; i++) {
        TSR_TRY(tsr_source_exact(r->source, b, 4, "the IDX header", err));
        r->shape.dim[i] = (int64_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
    }
    return TSR_OK;
}

enum tsr_status tsr_idx_open(struct tsr_idx *r, struct tsr_source *source, struct tsr_error *err)
{
    size_t total;
    *r = (struct tsr_idx){.source = source};
    TSR_TRY(read_header(r, err));
    const char *name = tsr_source_name(source);
    r->rows = r->shape.dim[0];
    r->row.rank = r->shape.rank - 1;
    for (int i = 0; i < r->row.rank; i++) r->row.dim[i] = r->shape.dim[i + 1];
    int64_t count = tsr_shape_count(&r->row);
    if (count >= 0) r->row_bytes = tsr_dtype_bytes(r->dtype, count);
    if (count < 0 || tsr_shape_count(&r->shape) < 0 || r->row_bytes == SIZE_MAX ||
        !tsr_mul_size(r->row_bytes, (size_t)r->rows, &total))
        return tsr_fail(err, TSR_E_CORRUPT, "%s claims an array that is larger than memory can be", name);
    int64_t size = tsr_source_size(source);
    if (size < 0) return TSR_OK;
    uint64_t left = (uint64_t)size > tsr_source_offset(source) ? (uint64_t)size - tsr_source_offset(source) : 0;
    if (left < total)
        return tsr_fail(err, TSR_E_TRUNCATED, "%s is cut short: %llu of %zu bytes of its array are there", name,
                        (unsigned long long)left, total);
    r->backed = true;
    return TSR_OK;
}

static void swap_bytes(void *data, size_t bytes, size_t size)
{
    uint8_t *p = data;
    for (size_t i = 0; i < bytes; i += size)
        for (size_t k = 0; k < size / 2; k++) {
            uint8_t keep = p[i + k];
            p[i + k] = p[i + size - 1 - k];
            p[i + size - 1 - k] = keep;
        }
}

enum tsr_status tsr_idx_read(struct tsr_idx *r, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    const char *name = tsr_source_name(r->source);
    int64_t left = r->rows - r->done, n = max_rows < left ? max_rows : left;
    size_t bytes = (size_t)n * r->row_bytes, there;
    *got = 0;
    TSR_TRY(tsr_source_read(r->source, data, bytes, &there, err));
    if (there != bytes)
        return tsr_fail(err, TSR_E_TRUNCATED, "%s is cut short in row %lld of %lld", name,
                        (long long)(r->done + (int64_t)(there / r->row_bytes)), (long long)r->rows);
    swap_bytes(data, bytes, (size_t)tsr_dtype_bits(r->dtype) / 8);
    r->done += n;
    if (r->done == r->rows) {
        const uint8_t *p;
        TSR_TRY(tsr_source_peek(r->source, 1, &p, &there, err));
        if (there != 0) return tsr_fail(err, TSR_E_CORRUPT, "%s has bytes behind the end of its array", name);
    }
    *got = n;
    return TSR_OK;
}

static enum tsr_status read_rows(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err)
{
    return tsr_idx_read(arg, max_rows, data, got, err);
}

enum tsr_status tsr_idx_load(struct tsr_source *source, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_idx r;
    *t = (struct tsr_tensor){0};
    TSR_TRY(tsr_idx_open(&r, source, err));
    const struct tsr_gather g = {.read = read_rows, .arg = &r, .source = source, .dtype = r.dtype, .row = r.row,
                                 .row_bytes = r.row_bytes, .rows = r.rows, .backed = r.backed};
    return tsr_gather(&g, t, err);
}
