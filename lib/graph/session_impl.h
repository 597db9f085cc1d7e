/* session_impl.h - the insides of a session, shared by session.c (forward) and backward.c. */
#ifndef TSR_GRAPH_SESSION_IMPL_H
#define TSR_GRAPH_SESSION_IMPL_H

#include "graph/recycler.h"
#include "graph/session.h"

struct tsr_slices; /* slices.h */

struct tsr_node_state {
    void *state;
    void (*state_free)(void *);
    bool ran;  /* in the last run */
    bool warm; /* it has kept what it can: see slices.c */
};

struct tsr_session {
    const struct tsr_graph *g;
    struct tsr_session_options opt;
    bool keep_params; /* made for training: initialisers that train are not constants */
    uint64_t runs;
    struct tsr_session *root; /* the session in one of whose nodes this one runs a body; itself at the top */
    int64_t turns;            /* of loops in the present run, counted at the root */
    struct tsr_recycler recycler;
    struct tsr_allocator alloc;     /* of values: counts, and asks the recycler */
    size_t live, peak;              /* bytes of values: now, and the most in any run so far */
    size_t folded;                  /* bytes of constants that nodes made */
    bool folding;                   /* only what is constant runs, into plain memory: see fold.c */
    struct tsr_tensor *value; /* per value: what the run has; constants stay */
    bool *constant;           /* per value: known before any input */
    bool *given;              /* per value: set by tsr_session_set_input */
    struct tsr_node_state *node;
    struct tsr_tensor (*saved)[TSR_OP_MAX_SAVED]; /* per node; made by the first run in training mode */
    struct tsr_tensor unsaved[TSR_OP_MAX_SAVED];  /* what a node saves though nobody asked for it */
    /* The plan of the last wanted set. */
    int32_t *want;
    size_t n_want;
    bool planned;
    bool *needed;      /* per node */
    int32_t *uses;     /* per value: reads by needed nodes, plus one where wanted */
    int32_t *left;     /* the same, counted down during a run */
    /* Backward. */
    struct tsr_tensor *grad; /* per value */
    bool *wants_grad, *keep_grad; /* per value */
    /* Per-node argument arrays, as long as the widest node. */
    const struct tsr_tensor **in;
    struct tsr_tensor *wide_in;
    const struct tsr_tensor **gout;
    struct tsr_tensor *out, *gin;
    bool *want_out, *want_gin;
    bool *in_constant; /* inputs that no run changes */
    size_t spare;      /* bytes that node states may still take */
    struct tsr_slices *slices; /* NULL until needed */
};

/* Runs one node whose inputs are there. While folding, nodes that are not constant, and those whose
 * outputs would be too large to keep, are passed over. */
enum tsr_status tsr_session_run_node(struct tsr_session *s, size_t node, struct tsr_error *err) TSR_MUST_USE;
/* As tsr_session_set_input, without a look at the declared type and shape. */
void tsr_session_give(struct tsr_session *s, int32_t id, const struct tsr_tensor *t);
void tsr_session_fill_ctx(struct tsr_session *s, size_t node, struct tsr_op_ctx *ctx, struct tsr_error *err);

/* session_input.c: a symbolic dimension has one size in all inputs of a run (else TSR_E_MISMATCH). They are given one
 * by one, so this is for the run to say: until then an input may still be the one of the run before. */
enum tsr_status tsr_session_check_inputs(const struct tsr_session *s, struct tsr_error *err) TSR_MUST_USE;

#endif
