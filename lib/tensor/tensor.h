/* tensor.h - dense tensors in C order, over counted storage.
 *
 * A struct tsr_tensor is a small value: a type, a shape and a pointer into storage that several
 * tensors may share (a reshape shares). Copying the struct does not count: use
 * tsr_tensor_share. Zero-initialised is valid: no type, no data. Reference counts are atomic;
 * the elements are not protected.
 */
#ifndef TSR_TENSOR_TENSOR_H
#define TSR_TENSOR_TENSOR_H

#include "tensor/dtype.h"

#define TSR_MAX_RANK 8

struct tsr_shape {
    int rank; /* 0: a scalar */
    int64_t dim[TSR_MAX_RANK];
};

/* Elements of the shape; -1 where a dimension is negative or the product does not fit. */
int64_t tsr_shape_count(const struct tsr_shape *s);
bool tsr_shape_equal(const struct tsr_shape *a, const struct tsr_shape *b);
/* "[2,3]" into buf; returns buf. TSR_SHAPE_TEXT bytes are always enough. */
#define TSR_SHAPE_TEXT 176
const char *tsr_shape_text(const struct tsr_shape *s, char *buf, size_t size);
/* Multidirectional broadcasting as in ONNX and numpy; false where the shapes do not fit. */
bool tsr_shape_broadcast(const struct tsr_shape *a, const struct tsr_shape *b, struct tsr_shape *out);

struct tsr_storage; /* counted */

struct tsr_tensor {
    enum tsr_dtype dtype;
    struct tsr_shape shape;
    void *data;                  /* NULL: shape known, elements not (or no elements) */
    struct tsr_storage *storage; /* NULL: `data` is borrowed from the caller */
};

/* Where blocks come from. A NULL allocator means tsr_aligned/tsr_free. The executor passes one
 * that recycles blocks. */
struct tsr_allocator {
    void *(*get)(void *self, size_t bytes);            /* 64-byte aligned, NULL when short */
    void (*put)(void *self, void *block, size_t bytes); /* bytes as in get */
    void *self;
};

int64_t tsr_tensor_count(const struct tsr_tensor *t);
/* Bytes of n elements (4-bit types round up); SIZE_MAX where that does not fit. */
size_t tsr_dtype_bytes(enum tsr_dtype t, int64_t n);
size_t tsr_tensor_bytes(const struct tsr_tensor *t);

/* Uninitialised elements. TSR_E_NOMEM, TSR_E_LIMIT (size does not fit), TSR_E_UNSUPPORTED
 * (type without elements). On failure *t is zero. The allocator must outlive the storage. */
enum tsr_status tsr_tensor_new(struct tsr_tensor *t, enum tsr_dtype dtype, const struct tsr_shape *shape,
                               const struct tsr_allocator *alloc, struct tsr_error *err) TSR_MUST_USE;
/* As above with rank and dimensions spelt out, plain memory, zeroed elements. */
enum tsr_status tsr_tensor_zeros(struct tsr_tensor *t, enum tsr_dtype dtype, int rank, const int64_t *dim,
                                 struct tsr_error *err) TSR_MUST_USE;
/* A tensor over memory that somebody else frees by `release(arg)` once nobody shares it
 * (mapped files); release may be NULL: borrowed for good. */
enum tsr_status tsr_tensor_wrap(struct tsr_tensor *t, enum tsr_dtype dtype, const struct tsr_shape *shape,
                                void *data, void (*release)(void *arg), void *arg,
                                struct tsr_error *err) TSR_MUST_USE;
/* Another reference to the same elements. */
struct tsr_tensor tsr_tensor_share(const struct tsr_tensor *t);
/* A deep copy in plain memory. */
enum tsr_status tsr_tensor_copy(struct tsr_tensor *to, const struct tsr_tensor *from,
                                struct tsr_error *err) TSR_MUST_USE;
/* A copy converted to another type, in plain memory. */
enum tsr_status tsr_tensor_cast(struct tsr_tensor *to, enum tsr_dtype dtype, const struct tsr_tensor *from,
                                struct tsr_error *err) TSR_MUST_USE;
/* Drops the reference; *t is zero afterwards. */
void tsr_tensor_release(struct tsr_tensor *t);
/* True where no other tensor shares the elements and they may be overwritten. */
bool tsr_tensor_unique(const struct tsr_tensor *t);

/* Index of the first NaN or infinity of a float tensor; -1 where there is none. */
int64_t tsr_tensor_nonfinite(const struct tsr_tensor *t);

#endif
