/* plan.h - which nodes of a model go to the grid, and which tensors between them are quantised.
 *
 * The placement is the one that ONNX Runtime turns into integer operators: every input of a quantised
 * node comes through DequantizeLinear, every output of a convolution and of an element-wise node ends
 * in QuantizeLinear, and operators that only move elements keep the step of their input. Where a function of
 * single numbers (Gelu, Tanh ..., also spelt out) between a product and a quantised tensor is no mere clamp, the
 * product's output is quantised too, so that the function is a table of 256 integers for whoever runs the model. */
#ifndef TSR_QUANT_PLAN_H
#define TSR_QUANT_PLAN_H

#include "graph/graph.h"
#include "quant/grid.h"

enum tsr_quant_target {
    TSR_TARGET_ORT,     /* asymmetric activations; outputs and products of two activations stay float */
    TSR_TARGET_XNNPACK, /* as ORT, outputs quantised too */
    TSR_TARGET_TFLM,    /* as XNNPACK; Concat keeps one step; softmax has scale 1/256 */
    TSR_TARGET_NCNN     /* symmetric activations within +-127 */
};
extern const char *const tsr_quant_target_names[]; /* NULL-terminated */

enum tsr_quant_role {
    TSR_ROLE_FLOAT,   /* stays as it is */
    TSR_ROLE_PRODUCT, /* Conv, Gemm, MatMul: in integers */
    TSR_ROLE_ELEMENT, /* Add, Mul, Concat, average pools ...: in integers where their inputs are */
    TSR_ROLE_PASS,    /* moves elements: keeps the step of its input 0 */
    TSR_ROLE_LOOKUP,  /* Gather from weights: stored as integers, computed in float */
    TSR_ROLE_STORED   /* recurrent and transposed-convolution weights: the same, but for what recurrent operators
                         read, which INT8 for ONNX Runtime quantises too: we multiply it in integers */
};

struct tsr_quant_layer { /* of a node */
    enum tsr_quant_role role;
    bool on;             /* takes part; always false for FLOAT */
    bool transposed;     /* Gemm whose weights are to be turned around: [K, N] instead of [N, K] */
    int weight, bias;    /* inputs; -1: none. STORED: the first of its weights */
    struct tsr_weight_grid grid;
    int activation_bits; /* 4, 8 or 32 */
    const char *why;     /* a node with weights that is not on: the reason, a clause */
    /* What learned rounding, bias correction and fine-tuning leave here; NULL: nearest, none. */
    int8_t *rounded;     /* elements of the weights as they are stored in the model before */
    float *scale;
    float *bias_shift;   /* added to the bias: n_shift of them, one for each output channel */
    int64_t n_shift;
    double sensitivity;  /* measured for mixed precision; NaN: not measured */
    int32_t fake_scale, fake_gain; /* values of the graph that tsr_quant_fake made; -1: none */
};

struct tsr_quant_point { /* of a value */
    bool on;             /* a QuantizeLinear and a DequantizeLinear stand behind it */
    int32_t same;        /* the value whose step it takes; its own id mostly */
    int bits;            /* the most that those who read it, or what shares its step, ask for */
    bool known;          /* step was set */
    int32_t fake_scale, fake_gain; /* as in a layer */
    struct tsr_step step;
};

struct tsr_quant_plan {
    const struct tsr_graph *g; /* prepared; borrowed */
    enum tsr_grid grid;
    enum tsr_quant_target target;
    int64_t block;
    struct tsr_quant_layer *layer; /* per node */
    struct tsr_quant_point *point; /* per value */
    int32_t *reads, *reader;       /* per value: nodes that read it, and the last of them */
};

/* exclude: names of nodes (or of their first output) that stay float. TSR_E_NOT_FOUND where one is not
 * there. Release with tsr_quant_plan_release; *plan is zero after a failure. */
enum tsr_status tsr_quant_plan_init(struct tsr_quant_plan *plan, const struct tsr_graph *g, enum tsr_grid grid,
                                    enum tsr_quant_target target, int64_t block, const char *const *exclude,
                                    size_t n_exclude, struct tsr_error *err) TSR_MUST_USE;
void tsr_quant_plan_release(struct tsr_quant_plan *plan);
/* A plan of its own over the same graph. */
enum tsr_status tsr_quant_plan_copy(struct tsr_quant_plan *to, const struct tsr_quant_plan *from, struct tsr_error *err) TSR_MUST_USE;

/* Finds the points anew after layers were switched on or off or given other bits. */
void tsr_quant_plan_points(struct tsr_quant_plan *plan);
/* Gives a layer other weights: 32 bits switches it off. Forgets its rounding and the shift of its bias. */
void tsr_quant_plan_set(struct tsr_quant_plan *plan, size_t node, int weight_bits, int activation_bits);

/* The layer whose bias is added to what the node computes: its own, or that of the Add behind a MatMul; NULL: none. */
struct tsr_quant_layer *tsr_quant_bias_layer(const struct tsr_quant_plan *plan, size_t node);

/* Whether Relu or Clip is all that reads v: then its output is the point. */
bool tsr_quant_before_activation(const struct tsr_quant_plan *plan, int32_t v);
/* Whether input k of node i is an activation that the node takes part of the grid with: no weight, no bias,
 * no shape. */
bool tsr_quant_reads(const struct tsr_quant_plan *plan, size_t i, int k);
/* Whether node i computes in integers: a product that is on, of activations of 8 bits or fewer. */
bool tsr_quant_integers(const struct tsr_quant_layer *l);
/* Bits of weights a layer has; 32 where it is off or has none. */
int tsr_quant_layer_bits(const struct tsr_quant_layer *l);

#endif
