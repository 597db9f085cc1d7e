/* head.h - HEAD records: who wrote a segment, from which model and references. Thread-safe. */
#ifndef TSR_STREAM_HEAD_H
#define TSR_STREAM_HEAD_H

#include "base/hash.h"
#include "stream/reader.h"
#include "stream/rowset.h"
#include "stream/writer.h"
#include "tensor/tensor.h"

#define TSR_DIGEST_TEXT (2 * TSR_SHA256_LEN + 1) /* hex digits and NUL; "" stands for none */
#define TSR_MAX_LINEAGE 1024
#define TSR_MAX_INPUTS 64
#define TSR_MAX_NAME 200 /* bytes of a contributor's or a round's name */

struct tsr_stream_head_input {
    char *name;
    enum tsr_dtype dtype;
    struct tsr_shape shape; /* of one sample: no batch axis */
};

/* Zero-initialised is a valid, empty HEAD apart from its producer. Strings and arrays are owned:
 * set them with the functions below, release with tsr_stream_head_release. */
struct tsr_stream_head {
    char *producer; /* "tessera-extract 0.1.0" */
    char *blas;     /* the BLAS kernel that computed the floats, or NULL */
    char *model;    /* its name, or NULL for a transmitter of which nothing is known */
    char model_digest[TSR_DIGEST_TEXT];     /* SHA-256 of the model file */
    char reference_digest[TSR_DIGEST_TEXT]; /* of the reference set: see keys.h */
    int64_t reference_count;                /* samples; 0: not known when HEAD was written */
    enum tsr_row_kind outputs; /* what OUTS records hold; TSR_KIND_NONE: there are none */
    int64_t classes;           /* columns of the outputs, or classes of an argmax; 0: not known */
    struct tsr_stream_head_input *input;
    size_t n_inputs;
    char (*lineage)[TSR_DIGEST_TEXT]; /* what this segment was made from, oldest first */
    size_t n_lineage;
    /* For merging the streams of many. */
    char *contributor; /* whose answers these are, or NULL */
    char *round;       /* what they are an answer to, or NULL */
    int64_t time;      /* when they were given, seconds since 1970 (UTC); 0: not told */
    bool contributors; /* keys name contributors, not samples: every row is a contribution of its own */
};

/* Replaces a string that the head owns by a copy of `text` (NULL allowed). */
enum tsr_status tsr_stream_head_set(char **field, const char *text, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_stream_head_add_input(struct tsr_stream_head *h, const char *name, enum tsr_dtype dtype,
                                   const struct tsr_shape *shape, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_stream_head_add_lineage(struct tsr_stream_head *h, const char *digest, struct tsr_error *err) TSR_MUST_USE;
void tsr_stream_head_release(struct tsr_stream_head *h);

/* Its fields, as members of the object `meta`. */
enum tsr_status tsr_stream_head_fill(const struct tsr_stream_head *h, int minor, struct tsr_json *meta,
                                     struct tsr_error *err) TSR_MUST_USE;
/* Writes it: the first record of a segment. */
enum tsr_status tsr_stream_head_put(struct tsr_stream_writer *w, const struct tsr_stream_head *h,
                             struct tsr_error *err) TSR_MUST_USE;
/* The current record, a HEAD. On failure *h is empty. */
enum tsr_status tsr_stream_head_parse(const struct tsr_record *rec, struct tsr_stream_head *h, struct tsr_error *err) TSR_MUST_USE;

/* For filters: writes the HEAD of a segment made from `from`: all its fields, also those of later
 * minor versions, with another producer and with the digest of `from` at the end of the lineage
 * (a HEAD's digest is its leaf in the segment's Merkle tree, tsr_record_digest). */
enum tsr_status tsr_stream_head_derive(struct tsr_stream_writer *w, const struct tsr_record *from, const char *producer,
                                struct tsr_error *err) TSR_MUST_USE;

#endif
