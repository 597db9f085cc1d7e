/* samples.h - samples from any file we read: .npy, .npz, IDX or CSV, told apart by their content.
 *
 * The first dimension counts the samples. A reader belongs to one thread at a time. */
#ifndef TSR_IO_SAMPLES_H
#define TSR_IO_SAMPLES_H

#include "io/source.h"
#include "tensor/tensor.h"

struct tsr_samples;

/* Opens a file, or standard input for "-". `member` chooses an array of an .npz archive (NULL: the
 * only one, or, where there is no file `path`, what follows a colon that the name of an archive ends
 * before; ignored for other formats). `want` is the type the caller would like: CSV gives int64
 * where that is an integer type (then every field must be an integer) and float32 otherwise; the
 * other formats say their own type. TSR_E_FORMAT: none of the formats, or empty; else what the
 * format's reader gives; TSR_E_MISMATCH: a scalar, which has no samples. *out is NULL then. */
enum tsr_status tsr_samples_open(const char *path, const char *member, enum tsr_dtype want, struct tsr_samples **out,
                                 struct tsr_error *err) TSR_MUST_USE;
/* The same from a source, which belongs to the reader from now on, also on failure. */
enum tsr_status tsr_samples_from_source(struct tsr_source *source, const char *member, enum tsr_dtype want,
                                        struct tsr_samples **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_samples_close(struct tsr_samples *r); /* NULL allowed */

/* The facts, known from the start. */
const char *tsr_samples_name(const struct tsr_samples *r);   /* for messages */
const char *tsr_samples_format(const struct tsr_samples *r); /* "npy", "npz", "idx", "csv" */
enum tsr_dtype tsr_samples_dtype(const struct tsr_samples *r);
const struct tsr_shape *tsr_samples_shape(const struct tsr_samples *r); /* one sample's shape; rank 0: a number */
size_t tsr_samples_row_bytes(const struct tsr_samples *r);
int64_t tsr_samples_count(const struct tsr_samples *r); /* all samples; -1 where unknown (CSV) */

/* Reads up to max_rows samples, C order, into `data` (max_rows * tsr_samples_row_bytes of room);
 * *got < max_rows only at the end, which has been checked then. */
enum tsr_status tsr_samples_read(struct tsr_samples *r, int64_t max_rows, void *data, int64_t *got,
                                 struct tsr_error *err) TSR_MUST_USE;
/* All samples that are left, [rows][sample]. Memory grows with the bytes that come. */
enum tsr_status tsr_samples_load(struct tsr_samples *r, struct tsr_tensor *t, struct tsr_error *err) TSR_MUST_USE;
/* Open, load, close. */
enum tsr_status tsr_samples_load_file(const char *path, const char *member, enum tsr_dtype want, struct tsr_tensor *t,
                                      struct tsr_error *err) TSR_MUST_USE;

#endif
