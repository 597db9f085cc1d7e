#include "stream/rowset.h"

#include "base/mem.h"
#include "stream/quantise.h"
#include "stream/record.h"

#include <math.h>

static const char *const code_names[] = {"plain", "affine", "softmax"};
static const char *const layout_names[] = {"rows", "columns"};
static const char *const kind_names[] = {"none", "logits", "probabilities", "argmax", "regression"};

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static int find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

const char *tsr_row_code_name(enum tsr_row_code code) { return code_names[code]; }
const char *tsr_row_layout_name(enum tsr_row_layout layout) { return layout_names[layout]; }
const char *tsr_row_kind_name(enum tsr_row_kind kind) { return kind_names[kind]; }
int tsr_row_code_of(const char *name) { return find(code_names, COUNT(code_names), name); }
int tsr_row_layout_of(const char *name) { return find(layout_names, COUNT(layout_names), name); }
int tsr_row_kind_of(const char *name) { return find(kind_names, COUNT(kind_names), name); }

/* Bytes of one element before nibbles are packed; 0 for types without a layout. */
static size_t width(enum tsr_dtype t)
{
    switch (t) {
    case TSR_F32:
    case TSR_I32: return 4;
    case TSR_F16:
    case TSR_BF16:
    case TSR_U16: return 2;
    case TSR_I8:
    case TSR_I4: return 1;
    default: return 0;
    }
}

static bool is_label(enum tsr_dtype t) { return t == TSR_U16 || t == TSR_I32; }
static bool is_code(enum tsr_dtype t) { return t == TSR_I8 || t == TSR_I4; }

struct tsr_rowset tsr_rowset_choose(enum tsr_dtype dtype, enum tsr_row_kind kind, size_t rows, size_t cols,
                                    size_t classes)
{
    struct tsr_rowset s = {.dtype = dtype, .code = TSR_CODE_PLAIN, .layout = TSR_LAYOUT_COLUMNS,
                           .kind = kind, .rows = rows, .cols = cols};
    if (kind == TSR_KIND_ARGMAX)
        s.dtype = classes <= 65536 ? TSR_U16 : TSR_I32;
    else if (is_code(dtype))
        s.code = (kind == TSR_KIND_LOGITS || kind == TSR_KIND_PROBABILITIES) && cols >= 2 ? TSR_CODE_SOFTMAX
                                                                                          : TSR_CODE_AFFINE;
    /* Measured: the classes of one answer predict each other better than one class's answers do. */
    if (s.code == TSR_CODE_SOFTMAX) s.layout = TSR_LAYOUT_ROWS;
    return s;
}

/* Bytes in front of the elements: scales and lows, the table of levels, or its floor. */
static size_t head_bytes(const struct tsr_rowset *s)
{
    size_t n;
    if (s->code == TSR_CODE_SOFTMAX) return s->dtype == TSR_I4 ? 16 * 4 : 4;
    if (s->code == TSR_CODE_AFFINE) return tsr_mul_size(s->cols, 8, &n) ? n : SIZE_MAX;
    return 0;
}

size_t tsr_rowset_bytes(const struct tsr_rowset *s)
{
    size_t n, head = head_bytes(s);
    if (!tsr_mul_size(s->rows, s->cols, &n)) return SIZE_MAX;
    if (s->dtype == TSR_I4)
        n = n / 2 + n % 2;
    else if (!tsr_mul_size(n, width(s->dtype), &n))
        return SIZE_MAX;
    return tsr_add_size(n, head, &n) ? n : SIZE_MAX;
}

enum tsr_status tsr_rowset_check(const struct tsr_rowset *s, struct tsr_error *err)
{
    const char *type = tsr_dtype_name(s->dtype);
    if (width(s->dtype) == 0)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "matrices of %s have no layout in a token stream", type);
    if (s->rows == 0 || s->cols == 0) return tsr_fail(err, TSR_E_CORRUPT, "a matrix has no rows or no columns");
    if (is_label(s->dtype) != (s->kind == TSR_KIND_ARGMAX))
        return tsr_fail(err, TSR_E_CORRUPT, "kind '%s' and element type %s do not go together",
                        kind_names[s->kind], type);
    if (s->kind == TSR_KIND_ARGMAX && s->cols != 1)
        return tsr_fail(err, TSR_E_CORRUPT, "a matrix of class numbers has %zu columns instead of one", s->cols);
    if (is_code(s->dtype) != (s->code != TSR_CODE_PLAIN))
        return tsr_fail(err, TSR_E_CORRUPT, "code '%s' and element type %s do not go together",
                        code_names[s->code], type);
    if (s->code == TSR_CODE_SOFTMAX &&
        (s->cols < 2 || (s->kind != TSR_KIND_LOGITS && s->kind != TSR_KIND_PROBABILITIES)))
        return tsr_fail(err, TSR_E_CORRUPT, "code 'softmax' needs logits or probabilities of two or more classes");
    if (s->rows > TSR_MAX_ELEMENTS / s->cols || tsr_rowset_bytes(s) > TSR_MAX_BODY)
        return tsr_fail(err, TSR_E_LIMIT, "a matrix of %zu x %zu %s elements is larger than a record may be", s->rows,
                        s->cols, type);
    return TSR_OK;
}

/* Elements of `w` bytes in C order to the layout's order. */
static void arrange(const struct tsr_rowset *s, size_t w, const uint8_t *cells, uint8_t *out)
{
    if (s->layout == TSR_LAYOUT_ROWS) {
        memcpy(out, cells, s->rows * s->cols * w);
        return;
    }
    for (size_t plane = 0; plane < w; plane++)
        for (size_t c = 0; c < s->cols; c++) {
            const uint8_t *from = cells + c * w + plane;
            for (size_t r = 0; r < s->rows; r++) *out++ = from[r * s->cols * w];
        }
}

static void restore(const struct tsr_rowset *s, size_t w, const uint8_t *stored, uint8_t *cells)
{
    if (s->layout == TSR_LAYOUT_ROWS) {
        memcpy(cells, stored, s->rows * s->cols * w);
        return;
    }
    for (size_t plane = 0; plane < w; plane++)
        for (size_t c = 0; c < s->cols; c++) {
            uint8_t *to = cells + c * w + plane;
            for (size_t r = 0; r < s->rows; r++) to[r * s->cols * w] = *stored++;
        }
}

static enum tsr_status check_finite(const struct tsr_rowset *s, const float *x, struct tsr_error *err)
{
    for (size_t i = 0; i < s->rows * s->cols; i++)
        if (!isfinite(x[i]))
            return tsr_fail(err, TSR_E_NUMERIC, "row %zu, column %zu is %s; only finite numbers can be stored",
                            i / s->cols, i % s->cols, isnan(x[i]) ? "NaN" : "infinite");
    return TSR_OK;
}

static enum tsr_status no_fit(const struct tsr_rowset *s, size_t i, float x, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_NUMERIC, "row %zu, column %zu is %g, which %s cannot hold", i / s->cols, i % s->cols,
                    (double)x, tsr_dtype_name(s->dtype));
}

/* The elements of plain types, little-endian, in C order. */
static enum tsr_status put_plain(const struct tsr_rowset *s, const float *x, uint8_t *cells, struct tsr_error *err)
{
    size_t n = s->rows * s->cols;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        uint16_t half;
        switch (s->dtype) {
        case TSR_F32:
            memcpy(&bits, &x[i], 4);
            tsr_put_le32(cells + 4 * i, bits);
            break;
        case TSR_F16:
            half = tsr_f32_to_f16(x[i]);
            if ((half & 0x7c00) == 0x7c00) return no_fit(s, i, x[i], err);
            tsr_put_le16(cells + 2 * i, half);
            break;
        case TSR_BF16:
            half = tsr_f32_to_bf16(x[i]);
            if ((half & 0x7f80) == 0x7f80) return no_fit(s, i, x[i], err);
            tsr_put_le16(cells + 2 * i, half);
            break;
        default: { /* labels */
            float top = s->dtype == TSR_U16 ? 65535.0f : 16777216.0f;
            if (!(x[i] >= 0 && x[i] <= top) || x[i] != floorf(x[i])) return no_fit(s, i, x[i], err);
            if (s->dtype == TSR_U16)
                tsr_put_le16(cells + 2 * i, (uint16_t)x[i]);
            else
                tsr_put_le32(cells + 4 * i, (uint32_t)x[i]);
        }
        }
    }
    return TSR_OK;
}

static enum tsr_status get_plain(const struct tsr_rowset *s, const uint8_t *cells, float *x, struct tsr_error *err)
{
    size_t n = s->rows * s->cols;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        switch (s->dtype) {
        case TSR_F32:
            bits = tsr_get_le32(cells + 4 * i);
            memcpy(&x[i], &bits, 4);
            break;
        case TSR_F16: x[i] = tsr_f16_to_f32(tsr_get_le16(cells + 2 * i)); break;
        case TSR_BF16: x[i] = tsr_bf16_to_f32(tsr_get_le16(cells + 2 * i)); break;
        case TSR_U16: x[i] = (float)tsr_get_le16(cells + 2 * i); break;
        default:
            bits = tsr_get_le32(cells + 4 * i);
            if (bits > 16777216u)
                return tsr_fail(err, TSR_E_CORRUPT, "row %zu holds the class number %u, beyond 2^24", i, bits);
            x[i] = (float)bits;
        }
        if (!isfinite(x[i]))
            return tsr_fail(err, TSR_E_CORRUPT, "row %zu, column %zu is not a finite number", i / s->cols, i % s->cols);
    }
    return TSR_OK;
}

enum tsr_status tsr_rowset_encode(const struct tsr_rowset *s, const float *x, struct tsr_buf *out,
                                  struct tsr_error *err)
{
    TSR_TRY(tsr_rowset_check(s, err));
    TSR_TRY(check_finite(s, x, err));
    size_t n = s->rows * s->cols, w = width(s->dtype), head = head_bytes(s), total = tsr_rowset_bytes(s);
    TSR_TRY(tsr_buf_reserve(out, total, err));
    uint8_t *to = out->data + out->len;
    uint8_t *cells = tsr_malloc(n, w), *packed = NULL;
    enum tsr_status status = TSR_OK;
    if (cells == NULL) return tsr_nomem(err, n * w);
    if (s->code == TSR_CODE_PLAIN)
        TSR_GO(status, done, put_plain(s, x, cells, err));
    else if (s->code == TSR_CODE_AFFINE)
        tsr_affine_encode(s, x, to, cells);
    else
        TSR_GO(status, done, tsr_softmax_encode(s, x, to, cells, err));
    if (s->dtype != TSR_I4) {
        arrange(s, w, cells, to + head);
    } else {
        packed = tsr_malloc(n + 1, 1);
        if (packed == NULL) {
            status = tsr_nomem(err, n);
            goto done;
        }
        arrange(s, 1, cells, packed);
        packed[n] = 0;
        for (size_t i = 0; i < n; i += 2) to[head + i / 2] = (uint8_t)(packed[i] | packed[i + 1] << 4);
    }
    out->len += total;
done:
    tsr_free(packed);
    tsr_free(cells);
    return status;
}

/* Two codes a byte, low nibble first, to one a byte. */
static enum tsr_status unpack(const uint8_t *packed, size_t n, uint8_t *codes, struct tsr_error *err)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        codes[i] = packed[i / 2] & 15;
        codes[i + 1] = packed[i / 2] >> 4;
    }
    if (n % 2 != 0) {
        codes[n - 1] = packed[n / 2] & 15;
        if (packed[n / 2] >> 4 != 0) return tsr_fail(err, TSR_E_CORRUPT, "the padding of a matrix is not zero");
    }
    return TSR_OK;
}

enum tsr_status tsr_rowset_decode(const struct tsr_rowset *s, const uint8_t *body, size_t n, float *x,
                                  struct tsr_error *err)
{
    TSR_TRY(tsr_rowset_check(s, err));
    if (n != tsr_rowset_bytes(s))
        return tsr_fail(err, TSR_E_CORRUPT, "a matrix of %zu x %zu %s elements has %zu bytes instead of %zu", s->rows,
                        s->cols, tsr_dtype_name(s->dtype), n, tsr_rowset_bytes(s));
    size_t count = s->rows * s->cols, w = width(s->dtype), head = head_bytes(s);
    uint8_t *cells = tsr_malloc(count, w), *codes = NULL;
    enum tsr_status status = TSR_OK;
    if (cells == NULL) return tsr_nomem(err, count * w);
    if (s->dtype == TSR_I4) {
        codes = tsr_malloc(count, 1);
        if (codes == NULL) {
            status = tsr_nomem(err, count);
            goto done;
        }
        TSR_GO(status, done, unpack(body + head, count, codes, err));
        restore(s, 1, codes, cells);
    } else {
        restore(s, w, body + head, cells);
    }
    if (s->code == TSR_CODE_PLAIN)
        TSR_GO(status, done, get_plain(s, cells, x, err));
    else if (s->code == TSR_CODE_AFFINE)
        TSR_GO(status, done, tsr_affine_decode(s, body, cells, x, err));
    else
        TSR_GO(status, done, tsr_softmax_decode(s, body, cells, x, err));
done:
    tsr_free(codes);
    tsr_free(cells);
    return status;
}
