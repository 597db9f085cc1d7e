/* rows.h - records that hold a matrix of rows: ACTS, OUTS, HUBT, BASE and FPRT. Thread-safe. */
#ifndef TSR_STREAM_ROWS_H
#define TSR_STREAM_ROWS_H

#include "stream/reader.h"
#include "stream/rowset.h"
#include "stream/writer.h"

#define TSR_ROWS_RANK 8

/* What one record holds, and of which rows. ACTS, OUTS and HUBT are addressed by block and set;
 * BASE and FPRT belong to the whole segment and are not. */
struct tsr_rows {
    uint32_t type;
    const char *layer; /* tensor name; NULL for none. From tsr_rows_parse: borrowed from the record */
    int64_t block;     /* whose KEYS name the samples */
    int64_t count;     /* samples of that block: all of them */
    bool views;        /* false: rows of the references themselves ("set":"ref") */
    int64_t view;      /* first view, 1 .. K; 0 without views */
    int64_t n_views;   /* consecutive views in this record; row v * count + i is view `view` + v of sample i */
    struct tsr_rowset set; /* set.rows == count * (views ? n_views : 1) where addressed */
    int rank;              /* shape of one row where it is not flat: its product is set.cols; 0: flat */
    int64_t shape[TSR_ROWS_RANK];
    const struct tsr_json *info; /* further facts, an object: how to read it belongs to the record's
                                  * makers (hub identity, fingerprint); NULL for none; borrowed */
};

/* Encodes x (set.rows x set.cols) and writes the record. TSR_E_NUMERIC names the first number
 * that cannot be stored, by layer, row and column. */
enum tsr_status tsr_rows_put(struct tsr_stream_writer *w, const struct tsr_rows *r, const float *x,
                             struct tsr_error *err) TSR_MUST_USE;
/* The same with fields of the caller's own beside those that this function adds to `meta`. */
enum tsr_status tsr_rows_put_with(struct tsr_stream_writer *w, const struct tsr_rows *r, struct tsr_json *meta,
                                  const float *x, struct tsr_error *err) TSR_MUST_USE;
/* The current record's fields, checked against each other and the length of its body. */
enum tsr_status tsr_rows_parse(const struct tsr_record *rec, struct tsr_rows *r, struct tsr_error *err) TSR_MUST_USE;
/* Decodes the current record, which `r` was parsed from, into x (set.rows x set.cols). */
enum tsr_status tsr_rows_load(struct tsr_stream *s, const struct tsr_rows *r, float *x,
                              struct tsr_error *err) TSR_MUST_USE;
/* The same into memory that the caller releases with tsr_free. */
enum tsr_status tsr_rows_get(struct tsr_stream *s, const struct tsr_rows *r, float **x,
                             struct tsr_error *err) TSR_MUST_USE;

/* Is this a type of records that tsr_rows_parse reads? */
bool tsr_rows_type(uint32_t type);
/* Is it addressed by block, set and view? */
bool tsr_rows_addressed(uint32_t type);

#endif
