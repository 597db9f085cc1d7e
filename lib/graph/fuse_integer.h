/* fuse_integer.h - what the passes that bring integer kernels share; private to graph/. */
#ifndef TSR_GRAPH_FUSE_INTEGER_H
#define TSR_GRAPH_FUSE_INTEGER_H

#include "graph/fuse_impl.h"

/* A tensor of 8-bit integers with one scale and zero point, all known before any run. */
struct tsr_fuse_grid {
    int32_t q, scale, zero; /* values; zero -1: none */
    enum tsr_dtype type;
    float step;
    int32_t offset;
};

/* The QuantizeLinear behind a value, and the range that an activation before it leaves. */
struct tsr_fuse_tail {
    const struct tsr_node *node;
    struct tsr_fuse_grid grid; /* q: its output */
    int32_t lo, hi;
    bool narrowed;
};

/* op_type of the default domain or of com.microsoft. */
bool tsr_fuse_named(const struct tsr_node *node, const char *op_type);
/* v = DequantizeLinear(d->q) with one constant scale and zero point of 8 bits. */
bool tsr_fuse_dequantised(const struct tsr_fuse *f, int32_t v, struct tsr_fuse_grid *d);
/* The inner value v is read by such a QuantizeLinear alone, over a Relu or Clip where `activation`. */
bool tsr_fuse_quantised(const struct tsr_fuse *f, int32_t v, bool activation, struct tsr_fuse_tail *t);
bool tsr_fuse_same_grid(const struct tsr_fuse_grid *a, const struct tsr_fuse_grid *b);

#endif
