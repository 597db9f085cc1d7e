/* session.h - runs a graph forward, and backward in reverse mode.
 *
 * A session owns its scratch memory and recycles it between runs; one thread uses it at a time.
 * Several sessions may share a graph. Shapes are found as the run proceeds, so any batch size
 * goes through the same session.
 */
#ifndef TSR_GRAPH_SESSION_H
#define TSR_GRAPH_SESSION_H

#include "graph/graph.h"

struct tsr_session;

struct tsr_session_options {
    struct tsr_pool *pool; /* borrowed; NULL: one thread */
    bool training;         /* keep what a backward pass needs */
    bool train_stats;      /* batch statistics in BatchNormalization, active Dropout */
    uint64_t seed;         /* of random operators */
    size_t max_bytes;      /* of values and scratch memory at a time: beyond it TSR_E_NOMEM; 0: no limit */
    int64_t max_turns;     /* of all loops in a run: beyond it TSR_E_LIMIT; 0: 100 million */
};

/* options may be NULL. The graph is borrowed. */
enum tsr_status tsr_session_new(const struct tsr_graph *g, const struct tsr_session_options *options,
                                struct tsr_session **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_session_free(struct tsr_session *s);
/* Switches between training and inference behaviour for the next runs. */
void tsr_session_set_training(struct tsr_session *s, bool training, bool train_stats);

/* Gives graph input `id` its tensor for the next run (shared, not copied). Checked against the
 * declared type and shape; symbolic dimensions must agree across inputs. */
enum tsr_status tsr_session_set_input(struct tsr_session *s, int32_t id, const struct tsr_tensor *t,
                                      struct tsr_error *err) TSR_MUST_USE;
/* Runs as much of the graph as the wanted values need. Wanted values are readable with
 * tsr_session_value until the next run. TSR_E_USAGE where an input was not given. */
enum tsr_status tsr_session_run(struct tsr_session *s, const int32_t *want, size_t n_want,
                                struct tsr_error *err) TSR_MUST_USE;
/* The value after a run (also initialisers and inputs); borrowed. NULL where it was not wanted. */
const struct tsr_tensor *tsr_session_value(const struct tsr_session *s, int32_t id);

/* After a training run: seeds[i] is the gradient of the loss with respect to value seed_id[i]
 * (same type and shape; the value was wanted). Computes the gradients of the values in `of`
 * (parameters, inputs, activations). */
enum tsr_status tsr_session_backward(struct tsr_session *s, const int32_t *seed_id,
                                     const struct tsr_tensor *const *seeds, size_t n_seed, const int32_t *of,
                                     size_t n_of, struct tsr_error *err) TSR_MUST_USE;
/* The gradient after tsr_session_backward; NULL where the loss does not depend on the value. */
const struct tsr_tensor *tsr_session_grad(const struct tsr_session *s, int32_t id);

/* Convenience for inference: runs with the tensors in[] for the graph's inputs in order and
 * shares the wanted values into out[] (release them). */
enum tsr_status tsr_session_call(struct tsr_session *s, const struct tsr_tensor *in, size_t n_in,
                                 const int32_t *want, size_t n_want, struct tsr_tensor *out,
                                 struct tsr_error *err) TSR_MUST_USE;

#endif
