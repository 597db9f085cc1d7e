/* idx.h - IDX files, the format of MNIST (two zero bytes, element type, number of dimensions,
 * big-endian sizes, elements), as streams. A reader belongs to one thread at a time. */
#ifndef TSR_IO_IDX_H
#define TSR_IO_IDX_H

#include "io/source.h"
#include "tensor/tensor.h"

/* The header's facts; the rest is private. Needs no release. */
struct tsr_idx {
    enum tsr_dtype dtype;   /* 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64 */
    struct tsr_shape shape; /* the whole array's, 1 to TSR_MAX_RANK dimensions */
    struct tsr_shape row;   /* without the first dimension */
    int64_t rows;
    size_t row_bytes;
    struct tsr_source *source;
    int64_t done;
    bool backed; /* the source is known to hold that many bytes */
};

/* Whether these first bytes (at least 4) are an IDX header's. */
bool tsr_idx_is_magic(const uint8_t *p, size_t n);

/* As tsr_npy_open, tsr_npy_read and tsr_npy_load; elements come in the machine's byte order. */
enum tsr_status tsr_idx_open(struct tsr_idx *r, struct tsr_source *source, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_idx_read(struct tsr_idx *r, int64_t max_rows, void *data, int64_t *got,
                             struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_idx_load(struct tsr_source *source, struct tsr_tensor *t, struct tsr_error *err) TSR_MUST_USE;

#endif
