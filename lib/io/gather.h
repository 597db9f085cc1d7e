/* gather.h - a whole tensor from a reader of rows; shared by the file formats. */
#ifndef TSR_IO_GATHER_H
#define TSR_IO_GATHER_H

#include "tensor/tensor.h"

/* Reads up to max_rows rows into data; *got < max_rows only at the end. */
typedef enum tsr_status tsr_gather_fn(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err);

/* The number of elements in one row of this shape (all dimensions but the first, or all of them
 * where `shape` is already a row's) must be checked by the caller: `row_bytes` is one row's size.
 * Reads all rows into *t, of shape [rows][row]. rows >= 0 is what a header promised; it is
 * believed at once only where `backed` says that the bytes were seen to be there, else memory
 * grows with what comes. rows < 0: until the end. TSR_E_NOMEM, TSR_E_LIMIT, what read gives. */
enum tsr_status tsr_gather(tsr_gather_fn *read, void *arg, enum tsr_dtype dtype, const struct tsr_shape *row,
                           size_t row_bytes, int64_t rows, bool backed, struct tsr_tensor *t,
                           struct tsr_error *err) TSR_MUST_USE;

#endif
