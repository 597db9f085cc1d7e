/* onnx.h - ONNX files to graphs and back (onnx.ai, IR versions 3 and up, opset 7 and up). */
#ifndef TSR_MODEL_ONNX_H
#define TSR_MODEL_ONNX_H

#include "graph/graph.h"
#include "io/sink.h"

/* Reads a model ("-": standard input) into a finished graph, large weights straight into place.
 * Weights that live in other files are mapped, not read; such files must lie in the model's own folder
 * or below, whatever links there are, and must not be cut short while the graph lives (SIGBUS).
 * TSR_E_IO; TSR_E_FORMAT: no ONNX model; TSR_E_UNSUPPORTED: operators, types or constructs that
 * we do not have (all operators are named at once); TSR_E_CORRUPT, TSR_E_TRUNCATED. */
enum tsr_status tsr_onnx_load(const char *path, struct tsr_graph **out, struct tsr_error *err) TSR_MUST_USE;
/* The same from memory; `name` is used in messages, `folder` (may be NULL: refused) for weights
 * in other files. The bytes may be freed afterwards. */
enum tsr_status tsr_onnx_load_memory(const void *data, size_t n, const char *name, const char *folder,
                                     struct tsr_graph **out, struct tsr_error *err) TSR_MUST_USE;

/* Writes the graph as one ONNX message: same graph, same bytes. TSR_E_LIMIT beyond 2 GiB. */
enum tsr_status tsr_onnx_save(const struct tsr_graph *g, struct tsr_sink *sink, struct tsr_error *err) TSR_MUST_USE;
/* The same, with the elements of initialisers of 4 KiB and more in `data`, a file that begins here and
 * that the message calls `location`: a path relative to the model's folder. There they begin at
 * multiples of 4096 bytes, in the order of the graph's values. */
enum tsr_status tsr_onnx_save_external(const struct tsr_graph *g, struct tsr_sink *sink, struct tsr_sink *data,
                                       const char *location, struct tsr_error *err) TSR_MUST_USE;
/* Bytes of all initialisers. */
uint64_t tsr_onnx_weight_bytes(const struct tsr_graph *g);

/* A serialised TensorProto, as ONNX's test data holds them. Release with tsr_tensor_release. */
enum tsr_status tsr_onnx_load_tensor(const void *data, size_t n, const char *name, struct tsr_tensor *out,
                                     struct tsr_error *err) TSR_MUST_USE;

/* SHA-256 of what the graph computes: operators, attributes, wiring and weights, but no names
 * of the producer. Identifies a model in streams. */
void tsr_onnx_digest(const struct tsr_graph *g, uint8_t digest[32]);

#endif
