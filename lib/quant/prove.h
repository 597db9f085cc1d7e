/* prove.h - a proof for each integer layer of a quantised model: no 32-bit sum can wrap, and the way from the sum
 * to the grid of the output is within one step of exact arithmetic; or a counterexample.
 *
 * Both hold for every input that the types allow, not for samples of them. The sums are those of
 * (x - x_zero) (w - w_zero) and the bias, and no order of adding leaves the bounds: the highest one is the sum of all
 * positive terms alone, the lowest that of all negative ones. */
#ifndef TSR_QUANT_PROVE_H
#define TSR_QUANT_PROVE_H

#include "graph/graph.h"
#include "io/json.h"

/* From the sum to the output: y = saturate(rne(fl(sum) * fl(fl(x_scale * w_scale) / y_scale)) + y_zero), as ONNX
 * Runtime and XNNPACK compute it, against the same without rounding in between. */
enum tsr_proof_end {
    TSR_PROOF_FLOAT,  /* the sum goes on as float or int32 */
    TSR_PROOF_WITHIN, /* within 1, for all sums */
    TSR_PROOF_BEYOND  /* not so for the sum below */
};

struct tsr_proof_layer {
    const char *node, *op;     /* borrowed from the graph */
    int64_t channels, terms;   /* output channels, products in each of their sums */
    int64_t terms_that_fit;    /* of a product of two things that change: terms its sums can have; 0: weights are constant */
    int64_t lowest, highest;   /* sums over all channels, in any order of adding */
    int32_t x_lo, x_hi;        /* what x can be: of its type */
    int64_t channel;           /* with the sum of the largest magnitude */
    bool negative;             /* that sum is the lowest one: x is x_lo where weights are positive, x_hi where they
                                  are negative; of the highest it is the other way round */
    int64_t ups, downs;        /* terms of that channel with x = x_hi and with x = x_lo; the others have weight 0 */
    bool wraps;                /* beyond 32 bits */
    enum tsr_proof_end end;
    double slack;              /* WITHIN: the most that the float before rounding may be off, in steps */
    int64_t end_channel, end_sum; /* BEYOND: where */
    double end_have, end_want; /* BEYOND: the output's integer, and what is exact */
};

struct tsr_proof {
    struct tsr_proof_layer *layer;
    size_t n, cap;
    size_t in_float;  /* convolutions and products that are not computed on integers */
    size_t unproven;  /* operators on integers whose weights, scales or zero points are not constant */
    size_t failed;
};

/* An input that has a default counts as that constant. Layers are QLinearConv, QLinearMatMul, ConvInteger and MatMulInteger with constant weights, and Conv, Gemm and
 * MatMul between DequantizeLinear of 8-bit (or unblocked 4-bit) integers. The graph must outlive the proof. Release
 * with tsr_proof_release. */
enum tsr_status tsr_prove(const struct tsr_graph *g, struct tsr_proof *p, struct tsr_error *err) TSR_MUST_USE;
void tsr_proof_release(struct tsr_proof *p);
bool tsr_proof_layer_holds(const struct tsr_proof_layer *l);
/* One layer as a JSON object, "schema" "tessera-inspect.proof/1". */
enum tsr_status tsr_proof_json(const struct tsr_proof_layer *l, struct tsr_json **out, struct tsr_error *err) TSR_MUST_USE;

#endif
