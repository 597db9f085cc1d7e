/* inputs.h - INPT records: the reference inputs themselves, bit for bit (mode D). Thread-safe. */
#ifndef TSR_STREAM_INPUTS_H
#define TSR_STREAM_INPUTS_H

#include "stream/reader.h"
#include "stream/rowset.h"
#include "stream/writer.h"
#include "tensor/tensor.h"

struct tsr_inputs {
    const char *name; /* of the model input; from tsr_inputs_parse: borrowed from the record */
    int64_t block;    /* whose KEYS name the samples */
    int64_t count;    /* samples of that block: all of them */
    enum tsr_dtype dtype;   /* any fixed-width type of at least 8 bits */
    struct tsr_shape shape; /* of one sample */
    enum tsr_row_layout layout;
};

/* Bytes of one block of these inputs; SIZE_MAX where that does not fit a size. */
size_t tsr_inputs_bytes(const struct tsr_inputs *in);

/* Writes the record; data: count samples in C order, native byte order. `layout` is chosen here. */
enum tsr_status tsr_inputs_put(struct tsr_stream_writer *w, const struct tsr_inputs *in, const void *data,
                               struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_inputs_parse(const struct tsr_record *rec, struct tsr_inputs *in,
                                 struct tsr_error *err) TSR_MUST_USE;
/* The current record, which `in` was parsed from, into data (tsr_inputs_bytes). */
enum tsr_status tsr_inputs_load(struct tsr_stream *s, const struct tsr_inputs *in, void *data,
                                struct tsr_error *err) TSR_MUST_USE;

#endif
