/* zoo.h - untrained networks from a one-line specification.
 *
 *     FAMILY [key=value ...]        e.g.  conv1d width=64 depth=2 input=6x32 classes=10 seed=1
 *
 * The model has one input "input" ([batch, ...] float32, or [batch, length] int64 tokens), one
 * output "logits" [batch, classes], and named activations: "block1" ... and "features", the
 * input of the last linear layer. Weights come from base/rng.h alone: the same specification
 * gives the same bytes on every machine. */
#ifndef TSR_MODEL_ZOO_H
#define TSR_MODEL_ZOO_H

#include "graph/graph.h"

struct tsr_zoo_spec {
    const struct tsr_zoo_family *family;
    int64_t width, depth, heads, ff, kernel; /* heads 0: from the width */
    int64_t vocab, length;                   /* tokens: vocab > 0 */
    int rank;                                /* of one sample, 1 to 3; 0 for tokens */
    int64_t dim[3];
    int64_t classes, seed;
};

struct tsr_zoo_builder;

struct tsr_zoo_family {
    const char *name;
    const char *help; /* one line */
    int64_t width, depth; /* defaults */
    int64_t ff; /* default of ff in widths, where the family takes it */
    unsigned keys; /* private: which it takes besides those that all take */
    void (*build)(struct tsr_zoo_builder *b);
};

/* All families; *n of them. Static storage. */
const struct tsr_zoo_family *tsr_zoo_families(size_t *n);

/* The i-th key that the family takes: "heads=1..1024  what it is (default: ...)", written into buf;
 * NULL after the last. */
const char *tsr_zoo_key(const struct tsr_zoo_family *family, size_t i, char *buf, size_t size);

/* TSR_E_USAGE with the key and what it may be. */
enum tsr_status tsr_zoo_parse(const char *text, struct tsr_zoo_spec *spec, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_zoo_build(const struct tsr_zoo_spec *spec, struct tsr_graph **out,
                              struct tsr_error *err) TSR_MUST_USE;

#endif
