/* csv.h - numbers in text: one line a sample, one field an element.
 *
 * Fields are separated by ',' or ';' or tabs or spaces, whichever of tab, ';', ',' and space (in
 * this order) the first line has; they may be in double quotes. A first line without any number
 * is a header and left out. Lines that start with '#' are comments; empty lines may only stand at
 * the end. The decimal point is '.' in every locale. Lines end in LF or CR LF. A reader belongs to
 * one thread at a time. */
#ifndef TSR_IO_CSV_H
#define TSR_IO_CSV_H

#include "io/source.h"
#include "tensor/tensor.h"

/* The facts that the first line gave; the rest is private. Needs no release. */
struct tsr_csv {
    enum tsr_dtype dtype;   /* TSR_F32 or TSR_I64 */
    struct tsr_shape row;   /* [columns] */
    size_t row_bytes;
    struct tsr_source *source;
    char separator; /* 0: one column */
    int64_t line;   /* lines consumed */
    bool ended;
};

/* Whether bytes from the start of a file may be text: no control characters but white space. */
bool tsr_csv_is_text(const uint8_t *p, size_t n);

/* Reads up to the first line of numbers. The source stays the caller's. Elements are float32, or
 * int64 where `integers` asks for it (then every field must be one). TSR_E_FORMAT: not text, or
 * without any number. */
enum tsr_status tsr_csv_open(struct tsr_csv *r, struct tsr_source *source, bool integers,
                             struct tsr_error *err) TSR_MUST_USE;
/* Reads up to max_rows rows; *got < max_rows only at the end. Errors name line and column:
 * TSR_E_CORRUPT (not a number, not an integer, another number of fields), TSR_E_NUMERIC (NaN,
 * infinity, too large), TSR_E_LIMIT (a line of more than 64 MiB). */
enum tsr_status tsr_csv_read(struct tsr_csv *r, int64_t max_rows, void *data, int64_t *got,
                             struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_csv_load(struct tsr_source *source, bool integers, struct tsr_tensor *t,
                             struct tsr_error *err) TSR_MUST_USE;

#endif
