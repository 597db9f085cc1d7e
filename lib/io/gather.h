/* gather.h - a whole tensor from a reader of rows; shared by the file formats. */
#ifndef TSR_IO_GATHER_H
#define TSR_IO_GATHER_H

#include "io/source.h"
#include "tensor/tensor.h"

/* Reads up to max_rows rows into data; *got < max_rows only at the end. */
typedef enum tsr_status tsr_gather_fn(void *arg, int64_t max_rows, void *data, int64_t *got, struct tsr_error *err);

/* What a header says about the array that follows. */
struct tsr_gather {
    tsr_gather_fn *read;
    void *arg;                 /* read's first argument */
    struct tsr_source *source; /* what read reads from, where a row may be large; else NULL */
    enum tsr_dtype dtype;
    struct tsr_shape row;      /* one row's shape */
    size_t row_bytes;          /* and its size, which the caller has checked */
    int64_t rows;              /* promised by the header; -1: until the end */
    bool backed;               /* the bytes of all rows were seen to be there */
};

/* Reads all rows into *t, of shape [rows][row]. A promise is believed at once only where it is
 * backed or small, else memory grows with the bytes that come. TSR_E_NOMEM, TSR_E_LIMIT (does not
 * fit), TSR_E_TRUNCATED, what read gives. */
enum tsr_status tsr_gather(const struct tsr_gather *g, struct tsr_tensor *t, struct tsr_error *err) TSR_MUST_USE;

#endif
