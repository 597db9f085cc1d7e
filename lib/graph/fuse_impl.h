/* fuse_impl.h - what the fusion passes are written with; private to graph/. */
#ifndef TSR_GRAPH_FUSE_IMPL_H
#define TSR_GRAPH_FUSE_IMPL_H

#include "graph/fuse.h"

struct tsr_fuse {
    struct tsr_graph *g; /* the copy that is being rewritten */
    bool training;
    bool *keep;          /* per value: may not be swallowed */
    int32_t *uses;       /* per value: reads by live nodes */
    int32_t *reader;     /* per value: the last live node that reads it, or -1 */
    bool *live;          /* per node: something kept depends on it */
    size_t cap_keep, cap_uses, cap_reader, cap_live;
    struct tsr_shape *shape; /* per value, of n_shape: what tsr_fuse_shapes found */
    size_t n_shape;
    struct tsr_error *err;
};

/* Counts again after a change. */
enum tsr_status tsr_fuse_refresh(struct tsr_fuse *f) TSR_MUST_USE;

/* The node that gives v where it is a live `op_type` of the default domain, else NULL. */
const struct tsr_node *tsr_fuse_producer(const struct tsr_fuse *f, int32_t v, const char *op_type);
/* v is no kept value. */
bool tsr_fuse_hidden(const struct tsr_fuse *f, int32_t v);
/* v is hidden and read once. */
bool tsr_fuse_inner(const struct tsr_fuse *f, int32_t v);
/* The only node that reads the inner value v, where it is `op_type`; else NULL. */
const struct tsr_node *tsr_fuse_reader(const struct tsr_fuse *f, int32_t v, const char *op_type);
/* Elements known before any run: an initialiser that does not train, or a Constant; else NULL. */
const struct tsr_tensor *tsr_fuse_constant(const struct tsr_fuse *f, int32_t v);
/* True where v is a known single number. */
bool tsr_fuse_scalar(const struct tsr_fuse *f, int32_t v, double *x);
/* The same, and it equals x within 1e-5 relative. */
bool tsr_fuse_is(const struct tsr_fuse *f, int32_t v, double x);
/* An initialiser's tensor, trainable or not, of float32 or float64; else NULL. */
const struct tsr_tensor *tsr_fuse_weight(const struct tsr_fuse *f, int32_t v);
/* The other input of a node of two; -1 where v is neither. */
int32_t tsr_fuse_other(const struct tsr_node *node, int32_t v);
/* Rank of a value as far as the graph tells; -1: unknown. */
int tsr_fuse_rank(const struct tsr_fuse *f, int32_t v);
/* Integers of attribute `name` or, where absent, of constant input i. NULL where neither is. Up to max into buf. */
bool tsr_fuse_ints(const struct tsr_fuse *f, const struct tsr_node *node, const char *name, int i, int64_t *buf, int max, int *n);

/* Finds the shapes that are known before any run, for tsr_fuse_alike. */
enum tsr_status tsr_fuse_shapes(struct tsr_fuse *f) TSR_MUST_USE;
/* The values have the same shape, whatever the batch. */
bool tsr_fuse_alike(const struct tsr_fuse *f, int32_t a, int32_t b);

/* Writes a new node, to be given attributes with tsr_graph_attr_*; commit puts it in the place of
 * `old`, whose first output it gives. */
enum tsr_status tsr_fuse_begin(struct tsr_fuse *f, const char *op_type, const char *domain, int n_in, const int32_t *in,
                               int32_t out) TSR_MUST_USE;
enum tsr_status tsr_fuse_commit(struct tsr_fuse *f, const struct tsr_node *old) TSR_MUST_USE;
/* A new initialiser beside the value `like`; takes over *t. */
enum tsr_status tsr_fuse_add(struct tsr_fuse *f, int32_t like, const char *suffix, struct tsr_tensor *t, int32_t *id) TSR_MUST_USE;

/* What follows from constants alone, computed: before the passes, see fold.c. */
enum tsr_status tsr_fuse_fold(struct tsr_fuse *f) TSR_MUST_USE;

/* The passes: try to rewrite the pattern that ends at (or is anchored at) `node`; *done tells. */
typedef enum tsr_status tsr_fuse_pass(struct tsr_fuse *f, const struct tsr_node *node, bool *done);
tsr_fuse_pass tsr_fuse_integer, tsr_fuse_table;
tsr_fuse_pass tsr_fuse_layernorm, tsr_fuse_gelu, tsr_fuse_attention, tsr_fuse_linear, tsr_fuse_relu, tsr_fuse_batchnorm, tsr_fuse_activation,
    tsr_fuse_residual, tsr_fuse_conv_activation, tsr_fuse_margin;
/* Makes convolutions and what stands between them channels-last: the whole graph at once. */
enum tsr_status tsr_fuse_layout(struct tsr_fuse *f) TSR_MUST_USE;
/* Chooses where quantised images keep their channels last; after the passes. */
enum tsr_status tsr_fuse_integer_layout(struct tsr_fuse *f) TSR_MUST_USE;

#endif
