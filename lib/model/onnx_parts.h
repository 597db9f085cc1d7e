/* onnx_parts.h - pieces of the importer and exporter, private to model/. */
#ifndef TSR_MODEL_ONNX_PARTS_H
#define TSR_MODEL_ONNX_PARTS_H

#include "base/bytes.h"
#include "graph/graph.h"
#include "io/source.h"
#include "onnx.pb-c.h"

/* A ModelProto as it was read: the message without its graph, the graph's message without the
 * elements of large initialisers, and those. Release with tsr_onnx_message_release. */
struct tsr_onnx_block {
    size_t initialiser; /* its number */
    size_t bytes;
    void *data;         /* its raw_data, of tsr_malloc; NULL once taken */
};
struct tsr_onnx_message {
    struct tsr_buf model, graph;
    bool has_graph;
    size_t n_initialisers;
    struct tsr_onnx_block *block; /* in the order of the initialisers */
    size_t n_block, cap_block;
};
/* Reads to the end of the source. TSR_E_TRUNCATED: empty, or cut short; TSR_E_FORMAT: no sequence of
 * protobuf fields; TSR_E_CORRUPT: its graph is none; TSR_E_LIMIT: more than 2 GiB; TSR_E_IO. */
enum tsr_status tsr_onnx_read(struct tsr_source *src, const char *name, struct tsr_onnx_message *m,
                              struct tsr_error *err) TSR_MUST_USE;
void tsr_onnx_message_release(struct tsr_onnx_message *m);

/* Refuses messages that nest deeper than the parser should recurse, or do not parse
 * (TSR_E_CORRUPT). */
enum tsr_status tsr_onnx_scan(const struct tsr_onnx_message *m, const char *name, struct tsr_error *err) TSR_MUST_USE;

/* The model's folder and the data files in it that are mapped so far. Zero-initialise; folder NULL:
 * there is none, and no data file may be named. Tensors keep a mapping alive on their own. */
struct tsr_onnx_files {
    const char *folder;
    struct tsr_onnx_file *file; /* external.c */
    size_t n_file, cap_file;
};
void tsr_onnx_files_release(struct tsr_onnx_files *files);

/* The tensor of a message. take: its elements may be taken over (the message's are then empty)
 * instead of copied. */
enum tsr_status tsr_onnx_tensor(Tsr__Onnx__Tensor *m, bool take, struct tsr_onnx_files *files, struct tsr_tensor *out,
                                struct tsr_error *err) TSR_MUST_USE;

/* The same for a sparse one, made dense; *name (borrowed) is the tensor's. */
enum tsr_status tsr_onnx_sparse(struct tsr_graph *g, Tsr__Onnx__SparseTensor *m, struct tsr_onnx_files *files, const char **name,
                                struct tsr_tensor *out, struct tsr_error *err) TSR_MUST_USE;

/* Replaces calls of the model's own functions by their nodes. */
enum tsr_status tsr_onnx_inline(Tsr__Onnx__Model *m, struct tsr_graph *g, struct tsr_onnx_files *files,
                                struct tsr_error *err) TSR_MUST_USE;

/* Where a node stands: which function's body, if any, and within which graphs of attributes there. */
struct tsr_onnx_inliner;
struct tsr_onnx_frame;
struct tsr_onnx_scope {
    struct tsr_onnx_files *files;
    struct tsr_onnx_inliner *inliner;  /* NULL: the model has no functions */
    const struct tsr_onnx_frame *at;   /* NULL: in no function */
};

/* Adds one node with its attributes to the graph. */
enum tsr_status tsr_onnx_add_node(struct tsr_graph *g, Tsr__Onnx__Node *m, const struct tsr_onnx_scope *scope,
                                  struct tsr_error *err) TSR_MUST_USE;
/* The same for all nodes of a message; calls of functions are replaced. */
enum tsr_status tsr_onnx_add_nodes(struct tsr_graph *g, Tsr__Onnx__Graph *m, const struct tsr_onnx_scope *scope,
                                   struct tsr_error *err) TSR_MUST_USE;
/* Declares an input or output of the graph. name: what it is called there. */
enum tsr_status tsr_onnx_declare(struct tsr_graph *g, const Tsr__Onnx__ValueInfo *m, const char *name, bool input,
                                 struct tsr_error *err) TSR_MUST_USE;
/* Gives the node added last its attribute of that name, a graph: values that it does not make itself become
 * inputs of both. */
enum tsr_status tsr_onnx_add_body(struct tsr_graph *g, const char *name, Tsr__Onnx__Graph *m, const struct tsr_onnx_scope *scope,
                                  struct tsr_error *err) TSR_MUST_USE;
/* For a graph in an attribute within a function: *inner is the frame in which the names that the graph makes
 * hide those of the function; release it with tsr_onnx_leave. Without a function *inner is NULL. */
enum tsr_status tsr_onnx_enter(const struct tsr_onnx_scope *scope, Tsr__Onnx__Graph *m, struct tsr_onnx_frame **inner,
                               struct tsr_error *err) TSR_MUST_USE;
void tsr_onnx_leave(struct tsr_onnx_frame *inner);
/* The graph's name for a name in the frame; a new string. */
enum tsr_status tsr_onnx_rename(const struct tsr_onnx_frame *at, const char *name, char **out, struct tsr_error *err) TSR_MUST_USE;

/* Bytes [offset, offset + length) of a file in the folder, mapped; length < 0: to the file's end.
 * The file must lie in the folder, by its path and by every link on it, be a regular file, and hold
 * those bytes now. One that is cut short later, while it is mapped, ends the process (SIGBUS). */
enum tsr_status tsr_onnx_external(struct tsr_onnx_files *files, const char *location, int64_t offset, int64_t length,
                                  enum tsr_dtype dtype, const struct tsr_shape *shape, struct tsr_tensor *out,
                                  struct tsr_error *err) TSR_MUST_USE;

/* For protobuf-c: memory from base/mem.h. *failed (which must outlive it) tells whether some could
 * not be had. */
ProtobufCAllocator tsr_onnx_allocator(bool *failed);

#endif
