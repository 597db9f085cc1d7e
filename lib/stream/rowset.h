/* rowset.h - matrices of rows as bytes: the bodies of ACTS, OUTS, HUBT and BASE records.
 *
 * The layout is tessera-stream(5), section MATRICES. In memory a matrix is float32 in C order
 * (rows x cols); labels are whole numbers held in float32. Thread-safe. */
#ifndef TSR_STREAM_ROWSET_H
#define TSR_STREAM_ROWSET_H

#include "base/bytes.h"
#include "tensor/dtype.h"

/* Numbers that one record may hold: 256 MiB of float32. */
#define TSR_MAX_ELEMENTS (1 << 26)

enum tsr_row_code {
    TSR_CODE_PLAIN,  /* the elements themselves: float32 float16 bfloat16 uint16 int32 */
    TSR_CODE_AFFINE, /* int8 int4: low + scale * code, scale and low per column */
    TSR_CODE_SOFTMAX /* int8 int4: a table of levels for log-probabilities below the row's maximum */
};
enum tsr_row_layout {
    TSR_LAYOUT_ROWS,   /* C order, little-endian */
    TSR_LAYOUT_COLUMNS /* column after column, the bytes of the elements in planes */
};
/* What the numbers of an OUTS record are. */
enum tsr_row_kind {
    TSR_KIND_NONE, /* nothing particular: activations, hub coefficients */
    TSR_KIND_LOGITS,
    TSR_KIND_PROBABILITIES,
    TSR_KIND_ARGMAX, /* one column of class numbers */
    TSR_KIND_REGRESSION
};

struct tsr_rowset {
    enum tsr_dtype dtype; /* F32 F16 BF16 I8 I4; U16 I32 for labels */
    enum tsr_row_code code;
    enum tsr_row_layout layout;
    enum tsr_row_kind kind;
    size_t rows, cols;
};

/* The field values "plain" "affine" "softmax"; "rows" "columns"; "none" "logits" ...; and back
 * (-1: no such name). Static storage. */
const char *tsr_row_code_name(enum tsr_row_code code);
const char *tsr_row_layout_name(enum tsr_row_layout layout);
const char *tsr_row_kind_name(enum tsr_row_kind kind);
int tsr_row_code_of(const char *name);
int tsr_row_layout_of(const char *name);
int tsr_row_kind_of(const char *name);

/* How this library writes `rows x cols` numbers of this kind at this precision: softmax levels
 * for int8 and int4 of logits and probabilities of two or more classes, U16 or I32 for argmax
 * whatever dtype says; the layout that zstd makes the least of. */
struct tsr_rowset tsr_rowset_choose(enum tsr_dtype dtype, enum tsr_row_kind kind, size_t rows, size_t cols,
                                    size_t classes);

/* Is this combination of type, code, kind and sizes one the format allows? TSR_E_CORRUPT
 * (with the reason) where it is not, TSR_E_UNSUPPORTED for an element type without a layout. */
enum tsr_status tsr_rowset_check(const struct tsr_rowset *s, struct tsr_error *err) TSR_MUST_USE;
/* Bytes of the body; SIZE_MAX where that does not fit. */
size_t tsr_rowset_bytes(const struct tsr_rowset *s);

/* Appends the body for x (rows x cols). TSR_E_NUMERIC names row and column of a NaN, an
 * infinity, or a number that the type cannot hold. */
enum tsr_status tsr_rowset_encode(const struct tsr_rowset *s, const float *x, struct tsr_buf *out,
                                  struct tsr_error *err) TSR_MUST_USE;
/* Decodes a body of n bytes to x (rows x cols). Softmax-coded logits come back with a row
 * maximum of 0, softmax-coded probabilities sum to 1. TSR_E_CORRUPT where the length does not
 * fit, a number is not finite, a padding bit is set or a table is out of order. */
enum tsr_status tsr_rowset_decode(const struct tsr_rowset *s, const uint8_t *body, size_t n, float *x,
                                  struct tsr_error *err) TSR_MUST_USE;

#endif
