/* encode.h - a stream of activations into a stream of hub tokens. */
#ifndef TSR_TRANSFER_ENCODE_H
#define TSR_TRANSFER_ENCODE_H

#include "stream/reader.h"
#include "stream/writer.h"
#include "tensor/tensor.h"

struct tsr_encode_options {
    const char *producer;  /* "tessera-encode 0.1.0" */
    int64_t anchors;       /* the first so many samples, at most one block */
    int64_t rank;          /* coefficients a sample, at most */
    enum tsr_dtype dtype;  /* of tokens and basis: F32 F16 BF16 I8 I4 */
    bool keep_activations; /* pass the ACTS records on, too */
};

struct tsr_encode_report {
    size_t layers;
    size_t given; /* layers that had tokens already */
    int64_t anchors;
    double error; /* |D(E(a)) - a| / |a - mean| over the anchors of the last layer calibrated */
};

/* Copies the stream in `s` to `w`, calibrating an encoder for every layer on the first block and
 * putting HUBT records in the place of its ACTS. Streams without activations pass unchanged but
 * for their HEAD; a layer that comes with tokens and their basis keeps them, and loses its ACTS alone. Memory does not grow with the number of samples. TSR_E_MISMATCH: fewer than
 * two samples; TSR_E_NUMERIC: see tsr_hub_calibrate; and what reader and writer say. */
enum tsr_status tsr_encode(struct tsr_stream *s, struct tsr_stream_writer *w, const struct tsr_encode_options *options,
                           struct tsr_encode_report *report, struct tsr_error *err) TSR_MUST_USE;

#endif
