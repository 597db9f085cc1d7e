/* npyhead.h - the header of .npy files: a Python dictionary in text. Thread-safe. */
#ifndef TSR_IO_NPYHEAD_H
#define TSR_IO_NPYHEAD_H

#include "base/bytes.h"
#include "tensor/tensor.h"

/* Parses the n characters of the dictionary. `name` is the file's, for messages. */
enum tsr_status tsr_npyhead_parse(const char *text, size_t n, const char *name, enum tsr_dtype *dtype,
                                  struct tsr_shape *shape, struct tsr_error *err) TSR_MUST_USE;
/* Appends magic, version, length and dictionary, padded to a multiple of 64 bytes. The length
 * does not depend on the first dimension (up to 21 digits are provided for, as numpy does). */
enum tsr_status tsr_npyhead_print(enum tsr_dtype dtype, const struct tsr_shape *shape, struct tsr_buf *to,
                                  struct tsr_error *err) TSR_MUST_USE;

#endif
