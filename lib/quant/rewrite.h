/* rewrite.h - from a plan to a model: QuantizeLinear and DequantizeLinear around what is quantised. */
#ifndef TSR_QUANT_REWRITE_H
#define TSR_QUANT_REWRITE_H

#include "quant/plan.h"

/* Opset that a model on this grid needs: 13 for per-channel scales, 21 for 4 bits. */
int64_t tsr_quant_opset(enum tsr_grid grid);

/* The quantised model: weights as integers with their scales (rounded to nearest where the plan holds
 * nothing better), biases as int32 in units of the product of both scales, points as pairs of
 * QuantizeLinear and DequantizeLinear named after the value. The steps of all points are known. The
 * graph is finished; release with tsr_graph_free. */
enum tsr_status tsr_quant_rewrite(struct tsr_quant_plan *plan, struct tsr_graph **out, struct tsr_error *err) TSR_MUST_USE;

/* The same network for teaching on the grid: float weights and activations that tessera.FakeQuantize brings to
 * it, whose steps are learnt as gains. The plan remembers which values those are. */
enum tsr_status tsr_quant_fake(struct tsr_quant_plan *plan, struct tsr_graph **out, struct tsr_error *err) TSR_MUST_USE;
/* What was learnt in `fake` goes back: weights and biases into g (the plan's graph; it gets copies of its own),
 * steps into the plan. */
enum tsr_status tsr_quant_take(struct tsr_quant_plan *plan, struct tsr_graph *g, const struct tsr_graph *fake,
                               struct tsr_error *err) TSR_MUST_USE;

#endif
