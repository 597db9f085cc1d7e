/* basis.h - BASE records: the basis that a stream's hub tokens are coefficients of. Thread-safe. */
#ifndef TSR_STREAM_BASIS_H
#define TSR_STREAM_BASIS_H

#include "stream/rows.h"

struct tsr_basis {
    const char *layer; /* tensor name, or NULL; from tsr_basis_parse: borrowed from the record, as is the rest */
    const char *hub;   /* the hub's identity, a SHA-256 in hexadecimal */
    int64_t dim;       /* of the hub; anchors <= dim */
    int64_t anchors, rank;
    double lambda;
    const struct tsr_json *info; /* as in struct tsr_rows */
};

/* basis: anchors x rank; a token's hub vector is basis * coefficients, padded with zeros. */
enum tsr_status tsr_basis_put(struct tsr_stream_writer *w, const struct tsr_basis *b, enum tsr_dtype dtype,
                              const float *basis, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_basis_parse(const struct tsr_record *rec, struct tsr_basis *b, struct tsr_error *err) TSR_MUST_USE;
/* The current record, a BASE, into basis[anchors * rank]. */
enum tsr_status tsr_basis_load(struct tsr_stream *s, const struct tsr_record *rec, float *basis,
                               struct tsr_error *err) TSR_MUST_USE;

#endif
