/* node.h - one node of a graph and its attributes, as the operators see them. */
#ifndef TSR_OPS_NODE_H
#define TSR_OPS_NODE_H

#include "tensor/tensor.h"

#include <string.h>

enum tsr_attr_type { TSR_ATTR_INT, TSR_ATTR_FLOAT, TSR_ATTR_STRING, TSR_ATTR_INTS, TSR_ATTR_FLOATS, TSR_ATTR_STRINGS, TSR_ATTR_TENSOR, TSR_ATTR_GRAPH };

struct tsr_graph;

struct tsr_attr {
    char *name;
    enum tsr_attr_type type;
    size_t n;         /* elements of ints, floats or strings */
    int64_t i;        /* TSR_ATTR_INT */
    float f;          /* TSR_ATTR_FLOAT */
    char *s;          /* TSR_ATTR_STRING, NUL-terminated */
    int64_t *ints;    /* TSR_ATTR_INTS; of TSR_ATTR_GRAPH: which of the node's inputs the last n inputs of the
                         graph are, that it takes from the graph around it */
    float *floats;    /* TSR_ATTR_FLOATS */
    char **strings;   /* TSR_ATTR_STRINGS */
    struct tsr_tensor t; /* TSR_ATTR_TENSOR */
    struct tsr_graph *g; /* TSR_ATTR_GRAPH, finished; let go by g_free (graph/ is above this module) */
    void (*g_free)(struct tsr_graph *g);
};

struct tsr_op;

struct tsr_node {
    char *name; /* never NULL; made up where the file has none */
    char *op_type;
    char *domain; /* "" for ai.onnx */
    int opset;    /* the version of its domain that the model imports */
    const struct tsr_op *op; /* resolved by tsr_graph_finish */
    int32_t *in, *out; /* value ids of the graph; -1 where an optional one is absent */
    int n_in, n_out;
    int n_captured; /* the last of the inputs: what the graphs in its attributes take from around it */
    struct tsr_attr *attr;
    size_t n_attr;
};

/* Whether it is that operator of that domain; of ai.onnx. */
static inline bool tsr_node_is_of(const struct tsr_node *node, const char *domain, const char *op_type)
{
    return strcmp(node->domain, domain) == 0 && strcmp(node->op_type, op_type) == 0;
}
static inline bool tsr_node_is(const struct tsr_node *node, const char *op_type) { return tsr_node_is_of(node, "", op_type); }

/* Whether each element of its output follows from the elements of its inputs at the same place, outside training. */
bool tsr_node_elementwise(const struct tsr_node *node);
/* A BatchNormalization that takes the statistics of the samples it is given, not those it stores: since opset 14 where
 * training_mode says so, before where it has outputs for them. */
bool tsr_node_takes_batch(const struct tsr_node *node);

/* The attribute of that name, or NULL. */
const struct tsr_attr *tsr_node_attr(const struct tsr_node *node, const char *name);
/* Its value, or `otherwise` where it is absent. (tsr_graph_finish does not check types: a value
 * of the wrong type counts as absent.) */
int64_t tsr_node_int(const struct tsr_node *node, const char *name, int64_t otherwise);
float tsr_node_float(const struct tsr_node *node, const char *name, float otherwise);
const char *tsr_node_string(const struct tsr_node *node, const char *name, const char *otherwise);
/* Its integers (borrowed) and their number; NULL and 0 where absent. */
const int64_t *tsr_node_ints(const struct tsr_node *node, const char *name, size_t *n);
const float *tsr_node_floats(const struct tsr_node *node, const char *name, size_t *n);

void tsr_attr_release(struct tsr_attr *attr);
void tsr_node_release(struct tsr_node *node);

#endif
