/* export.h - one kind of a stream's contents as a NumPy array. Thread-safe. */
#ifndef TSR_STREAM_EXPORT_H
#define TSR_STREAM_EXPORT_H

#include "io/sink.h"
#include "stream/reader.h"

enum tsr_export_kind { TSR_EXPORT_KEYS, TSR_EXPORT_INPUTS, TSR_EXPORT_OUTPUTS, TSR_EXPORT_HUB, TSR_EXPORT_BASIS, TSR_EXPORT_LAYER };

struct tsr_export {
    enum tsr_export_kind kind;
    const char *name; /* layer or model input; NULL: the first that comes */
    bool views;       /* rows of views rather than of the references */
};

/* "keys", "inputs[:INPUT]", "outputs", "hub[:LAYER]", "basis[:LAYER]", "layer:LAYER", or a layer's
 * name that is none of these. The name points into `text`. */
struct tsr_export tsr_export_parse(const char *text, bool views);

/* Reads the stream to its end and writes all its rows of that kind, in the order of the stream, as
 * one .npy array: float32; int64 for class numbers; uint8 [n,16] for keys; inputs in their own
 * type and shape. Where the sink can be patched the rows are passed on as they come, otherwise
 * they are held in memory. TSR_E_NOT_FOUND where the stream holds none; TSR_E_MISMATCH where the
 * segments of a concatenation differ in width or type. */
enum tsr_status tsr_stream_export(struct tsr_stream *s, const struct tsr_export *what, struct tsr_sink *to,
                                  struct tsr_error *err) TSR_MUST_USE;

#endif
