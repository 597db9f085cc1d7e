/* graph.h - a network: values, nodes, inputs, outputs. Built by model/ (ONNX import, the zoo),
 * run by graph/session.h. A finished graph is read-only while sessions use it, but for the
 * elements of its parameters, which training adjusts. */
#ifndef TSR_GRAPH_GRAPH_H
#define TSR_GRAPH_GRAPH_H

#include "ops/op.h"

#include <stdatomic.h>

struct tsr_value {
    char *name;
    int32_t producer;      /* node index; -1: graph input, initialiser or nothing */
    bool is_input, is_output, is_init;
    bool trainable;        /* an initialiser that training adjusts; see tsr_graph_finish */
    struct tsr_tensor init; /* is_init: its elements */
    /* What the file declares: dtype TSR_NONE where it says nothing; rank -1 for an unknown
     * shape; dim -1 for a symbolic or unknown dimension, its name in dim_name or NULL. */
    enum tsr_dtype dtype;
    struct tsr_shape shape;
    char *dim_name[TSR_MAX_RANK];
};

struct tsr_opset {
    char *domain;
    int64_t version;
};

struct tsr_graph {
    char *name;
    char *producer;        /* producer_name of the file */
    int64_t ir_version;
    struct tsr_value *value;
    size_t n_value, cap_value;
    struct tsr_node *node; /* in an order in which they can run, after tsr_graph_finish */
    size_t n_node, cap_node;
    int32_t *input, *output; /* value ids; inputs that are also initialisers are not in `input` */
    size_t n_input, n_output, cap_input, cap_output;
    struct tsr_opset *opset;
    size_t n_opset, cap_opset;
    char **meta_key, **meta_value; /* metadata_props */
    size_t n_meta, cap_meta_key, cap_meta_value;
    struct tsr_index *index; /* value names */
    atomic_int shares; /* how many others hold it: attributes of nodes and of their copies */
    size_t dense_bytes, claimed_bytes; /* that the importer made of sparse tensors; of little or nothing: both have limits */
    char **warning; /* what is wrong with the file though its meaning is clear: whole sentences */
    size_t n_warning, cap_warning;
};

enum tsr_status tsr_graph_new(struct tsr_graph **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_graph_free(struct tsr_graph *g); /* the last of those that hold it ends it */

enum tsr_status tsr_graph_opset(struct tsr_graph *g, const char *domain, int64_t version,
                                struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_graph_meta(struct tsr_graph *g, const char *key, const char *value,
                               struct tsr_error *err) TSR_MUST_USE;
/* Notes a warning, once; beyond TSR_GRAPH_WARNINGS they are dropped. */
#define TSR_GRAPH_WARNINGS 32
enum tsr_status tsr_graph_warn(struct tsr_graph *g, struct tsr_error *err, const char *format, ...) TSR_MUST_USE
    TSR_PRINTF(3, 4);
/* The value of that name, made where it is new. `name` "" gives -1 (absent). */
enum tsr_status tsr_graph_value(struct tsr_graph *g, const char *name, int32_t *id,
                                struct tsr_error *err) TSR_MUST_USE;
/* Its id, or -1. */
int32_t tsr_graph_find(const struct tsr_graph *g, const char *name);
/* What value v holds in every run: its initialiser, also where that is only an input's default, or the tensor of the
 * Constant that gives it; NULL otherwise, and for v < 0. Borrowed. */
const struct tsr_tensor *tsr_graph_constant(const struct tsr_graph *g, int32_t v);
/* The node that gives value v, or NULL (also for v < 0). Borrowed. */
const struct tsr_node *tsr_graph_producer(const struct tsr_graph *g, int32_t v);
/* Counts how often nodes read each value, onto reads[n_value], and sets reader[n_value] to the last node
 * that does; both are zero before. */
void tsr_graph_readers(const struct tsr_graph *g, int32_t *reads, int32_t *reader);
/* Declares a graph input or output. dim[i] < 0: symbolic, named dim_name[i] (may be NULL).
 * rank -1: shape unknown. */
enum tsr_status tsr_graph_add_input(struct tsr_graph *g, const char *name, enum tsr_dtype dtype, int rank,
                                    const int64_t *dim, const char *const *dim_name,
                                    struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_graph_add_output(struct tsr_graph *g, const char *name, enum tsr_dtype dtype, int rank,
                                     const int64_t *dim, const char *const *dim_name,
                                     struct tsr_error *err) TSR_MUST_USE;
/* Takes over the reference held by *t (which is zero afterwards, also on failure). */
enum tsr_status tsr_graph_add_init(struct tsr_graph *g, const char *name, struct tsr_tensor *t,
                                   struct tsr_error *err) TSR_MUST_USE;
/* Appends a node; `name` may be NULL. in/out name its values, "" for an absent one. */
enum tsr_status tsr_graph_add_node(struct tsr_graph *g, const char *op_type, const char *domain, const char *name,
                                   int n_in, const char *const *in, int n_out, const char *const *out,
                                   struct tsr_error *err) TSR_MUST_USE;
/* Attributes of the node added last; they are copied. */
enum tsr_status tsr_graph_attr_int(struct tsr_graph *g, const char *name, int64_t v, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_graph_attr_float(struct tsr_graph *g, const char *name, float v, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_graph_attr_string(struct tsr_graph *g, const char *name, const char *v, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_graph_attr_ints(struct tsr_graph *g, const char *name, const int64_t *v, size_t n, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_graph_attr_floats(struct tsr_graph *g, const char *name, const float *v, size_t n, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_graph_attr_strings(struct tsr_graph *g, const char *name, const char *const *v, size_t n, struct tsr_error *err) TSR_MUST_USE;
/* A finished graph, which is taken over, also on failure. The last n of its inputs are named like values
 * of g, which become inputs of the node. */
enum tsr_status tsr_graph_attr_graph(struct tsr_graph *g, const char *name, struct tsr_graph *body, size_t n,
                                     struct tsr_error *err) TSR_MUST_USE;
/* Takes over the reference held by *t. */
enum tsr_status tsr_graph_attr_tensor(struct tsr_graph *g, const char *name, struct tsr_tensor *t, struct tsr_error *err) TSR_MUST_USE;

/* Makes the graph runnable: resolves operators and opset versions (graph/opset.h), orders the
 * nodes, marks the trainable parameters (floating-point initialisers of rank >= 1 that some node takes in a
 * place its operator names as a parameter) and checks that every name is produced once, that
 * nothing dangles and that there is no cycle.
 * TSR_E_UNSUPPORTED: unknown operators (all of them are named); TSR_E_CORRUPT: the rest. */
enum tsr_status tsr_graph_finish(struct tsr_graph *g, struct tsr_error *err) TSR_MUST_USE;

/* Number of elements over the trainable parameters. */
int64_t tsr_graph_params(const struct tsr_graph *g);

#endif
