/* rewrite_impl.h - what the parts of the rewriter share. Private to quant/. */
#ifndef TSR_QUANT_REWRITE_IMPL_H
#define TSR_QUANT_REWRITE_IMPL_H

#include "quant/rewrite.h"

enum { TSR_QUANT_NAME = 512 };

struct tsr_rewriter {
    struct tsr_quant_plan *plan;
    bool fake;          /* for teaching: floats on the grid, with steps that are learnt */
    const struct tsr_graph *from;
    struct tsr_graph *to;
    char **read_as;     /* per value: what quantised and other readers read instead of it, or NULL */
    char **scale, **zero; /* per value: the initialisers of its step, once they are there */
    struct tsr_error *err;
};

/* BASE followed by the suffix, and a number where that is taken. Returns name. */
const char *tsr_rw_fresh(const struct tsr_rewriter *r, const char *base, const char *suffix, char name[TSR_QUANT_NAME]);
/* An initialiser of a fresh name; takes over *t. */
enum tsr_status tsr_rw_init(struct tsr_rewriter *r, const char *base, const char *suffix, struct tsr_tensor *t,
                            char name[TSR_QUANT_NAME]) TSR_MUST_USE;
enum tsr_status tsr_rw_float(struct tsr_rewriter *r, const char *base, const char *suffix, float v,
                             char name[TSR_QUANT_NAME]) TSR_MUST_USE;
/* A zero point: BASE_zero. */
enum tsr_status tsr_rw_zero(struct tsr_rewriter *r, const char *base, enum tsr_dtype type, int32_t v,
                            char name[TSR_QUANT_NAME]) TSR_MUST_USE;
/* Value v's own elements, brought along on first use; nothing where it is no initialiser. */
enum tsr_status tsr_rw_bring(struct tsr_rewriter *r, int32_t v) TSR_MUST_USE;
/* DequantizeLinear; axis -1 and block 0: none. */
enum tsr_status tsr_rw_dequantize(struct tsr_rewriter *r, const char *q, const char *scale, const char *zero, int axis,
                                  int64_t block, const char *out) TSR_MUST_USE;
/* The type of a point of that many bits, and what its integers are more than signed ones. */
enum tsr_dtype tsr_rw_activation_type(const struct tsr_rewriter *r, int bits);
int32_t tsr_rw_offset(enum tsr_dtype type);

/* Integers and scales of weights. Release with tsr_rw_integers_release. */
struct tsr_rw_integers {
    int8_t *q;
    float *scale;
    struct tsr_shape scale_shape;
};
void tsr_rw_integers_release(struct tsr_rw_integers *n);

/* The weights in value v of a layer as the plan has them, or to nearest: *n, and the value `name` that gives
 * them back as floats. least: no scale is below that of its channel (NULL: none), so that biases fit. */
enum tsr_status tsr_rw_weight(struct tsr_rewriter *r, struct tsr_quant_layer *l, int32_t v, const float *least,
                              struct tsr_rw_integers *n, char name[TSR_QUANT_NAME]) TSR_MUST_USE;
/* All elements of v with one symmetric scale: as operand of an element-wise node, of the activations' type. */
enum tsr_status tsr_rw_constant(struct tsr_rewriter *r, int32_t v, char name[TSR_QUANT_NAME]) TSR_MUST_USE;
/* Gather from integers, then the floats they stand for. in: the node's inputs, of which the first is set here. */
enum tsr_status tsr_rw_lookup(struct tsr_rewriter *r, const struct tsr_node *node, int n_in, const char **in,
                              const char *out) TSR_MUST_USE;

/* The scales below which the bias of a channel, in units of input and weight scale, would leave +-2^30; the
 * caller frees them. */
enum tsr_status tsr_rw_least_scales(struct tsr_rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                    float input_scale, float **least) TSR_MUST_USE;
enum tsr_status tsr_rw_bias_integers(struct tsr_rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                     const struct tsr_rw_integers *n, float input_scale, char name[TSR_QUANT_NAME]) TSR_MUST_USE;
/* `count` floats with the layer's shift added. */
enum tsr_status tsr_rw_bias_float(struct tsr_rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                  int64_t count, char name[TSR_QUANT_NAME]) TSR_MUST_USE;

/* For teaching: weights and points over tessera.FakeQuantize. learnt: the steps of the weights, too. */
enum tsr_status tsr_rw_fake_weight(struct tsr_rewriter *r, struct tsr_quant_layer *l, int32_t v, bool learnt,
                                   char name[TSR_QUANT_NAME]) TSR_MUST_USE;
enum tsr_status tsr_rw_fake_point(struct tsr_rewriter *r, int32_t v, const char *as, const char *dq) TSR_MUST_USE;

#endif
