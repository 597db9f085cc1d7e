/* onnx_parts.h - pieces of the importer and exporter, private to model/. */
#ifndef TSR_MODEL_ONNX_PARTS_H
#define TSR_MODEL_ONNX_PARTS_H

#include "graph/graph.h"
#include "onnx.pb-c.h"

/* Refuses bytes whose messages nest deeper than the parser should recurse, or that are no
 * sequence of protobuf fields at all (TSR_E_FORMAT). */
enum tsr_status tsr_onnx_scan(const uint8_t *data, size_t n, const char *name, struct tsr_error *err) TSR_MUST_USE;

/* The tensor of a message. take: its raw bytes may be taken over (the message's are then empty)
 * instead of copied. folder: where external data lie, NULL for "not allowed". */
enum tsr_status tsr_onnx_tensor(Tsr__Onnx__Tensor *m, bool take, const char *folder, struct tsr_tensor *out,
                                struct tsr_error *err) TSR_MUST_USE;

/* Replaces calls of the model's own functions by their nodes. */
enum tsr_status tsr_onnx_inline(Tsr__Onnx__Model *m, struct tsr_graph *g, const char *folder,
                                struct tsr_error *err) TSR_MUST_USE;

/* Adds one node with its attributes to the graph. */
enum tsr_status tsr_onnx_add_node(struct tsr_graph *g, Tsr__Onnx__Node *m, const char *folder,
                                  struct tsr_error *err) TSR_MUST_USE;

/* Maps bytes [offset, offset + length) of a file in `folder`; length < 0: to the file's end. */
enum tsr_status tsr_onnx_external(const char *folder, const char *location, int64_t offset, int64_t length,
                                  enum tsr_dtype dtype, const struct tsr_shape *shape, struct tsr_tensor *out,
                                  struct tsr_error *err) TSR_MUST_USE;

/* For protobuf-c: memory from base/mem.h. *failed (which must outlive it) tells whether some could
 * not be had. */
ProtobufCAllocator tsr_onnx_allocator(bool *failed);

#endif
