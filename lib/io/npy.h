/* npy.h - NumPy's .npy files, format versions 1 to 3 (NEP 1; numpy.lib.format), as streams.
 *
 * Element types: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1, little-endian, C order. A reader or writer
 * belongs to one thread at a time. */
#ifndef TSR_IO_NPY_H
#define TSR_IO_NPY_H

#include "io/sink.h"
#include "io/source.h"
#include "tensor/tensor.h"

/* A reader: the header's facts; the rest is private. Needs no release. */
struct tsr_npy {
    enum tsr_dtype dtype;
    struct tsr_shape shape; /* the whole array's */
    struct tsr_shape row;   /* without the first dimension; rank 0 for vectors and scalars */
    int64_t rows;           /* the first dimension; 1 for a scalar */
    size_t row_bytes;
    struct tsr_source *source;
    int64_t done; /* rows read so far */
    bool backed;  /* the source is known to hold that many bytes */
};

#define TSR_NPY_MAGIC "\x93NUMPY"
#define TSR_NPY_MAGIC_LEN 6

/* Reads the header from the source, which stays the caller's and must live as long as the reader.
 * TSR_E_FORMAT: not .npy. TSR_E_UNSUPPORTED: big-endian, Fortran order, other types, a newer
 * version, more than TSR_MAX_RANK dimensions. TSR_E_CORRUPT, TSR_E_TRUNCATED: also where the
 * source's known size does not fit the shape. */
enum tsr_status tsr_npy_open(struct tsr_npy *r, struct tsr_source *source, struct tsr_error *err) TSR_MUST_USE;
/* Reads up to max_rows rows (C order, max_rows * row_bytes bytes of room); *got < max_rows only at
 * the end, where bytes that follow the last row are TSR_E_CORRUPT. */
enum tsr_status tsr_npy_read(struct tsr_npy *r, int64_t max_rows, void *data, int64_t *got,
                             struct tsr_error *err) TSR_MUST_USE;
/* The whole array, in memory that grows with the bytes that come. */
enum tsr_status tsr_npy_load(struct tsr_source *source, struct tsr_tensor *t, struct tsr_error *err) TSR_MUST_USE;

/* A writer. Private; needs no release. */
struct tsr_npy_writer {
    struct tsr_sink *sink;
    enum tsr_dtype dtype;
    struct tsr_shape row;
    int64_t rows, done; /* rows: promised, or -1 */
    size_t row_bytes;
    uint64_t start;
};

/* Writes the header of an array of `rows` rows of shape `row`, byte for byte as numpy.save does
 * (numpy 1.23 and newer). rows == -1: set by tsr_npy_end; TSR_E_USAGE where the sink cannot be
 * patched. TSR_E_UNSUPPORTED: types that .npy does not know (bfloat16, 4 bits). The sink stays
 * the caller's. */
enum tsr_status tsr_npy_begin(struct tsr_npy_writer *w, struct tsr_sink *sink, enum tsr_dtype dtype,
                              const struct tsr_shape *row, int64_t rows, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_npy_write(struct tsr_npy_writer *w, const void *data, int64_t rows,
                              struct tsr_error *err) TSR_MUST_USE;
/* Fails with TSR_E_USAGE where fewer or more rows were written than promised. */
enum tsr_status tsr_npy_end(struct tsr_npy_writer *w, struct tsr_error *err) TSR_MUST_USE;
/* A whole tensor, scalars included. */
enum tsr_status tsr_npy_save(struct tsr_sink *sink, const struct tsr_tensor *t, struct tsr_error *err) TSR_MUST_USE;

#endif
