/* quantise.h - a float model and samples of its inputs to a model on a grid.
 *
 *     tsr_quantiser_new(model, options)       what goes to the grid is decided
 *     tsr_quantiser_block(q, inputs) ...      ranges are learnt, in memory that does not grow
 *     tsr_quantiser_finish(q, &graph, ...)
 *
 * Deterministic: the same samples in the same order give the same model with any number of threads. */
#ifndef TSR_QUANT_QUANTISE_H
#define TSR_QUANT_QUANTISE_H

#include "base/pool.h"
#include "quant/calibrate.h"
#include "quant/plan.h"
#include "quant/prune.h"

/* What the outputs may diverge by: see quant/budget.h. */
struct tsr_quant_budget {
    double kl; /* mean divergence in nats; 0: no budget */
};

/* Whether a refinement is used: where it makes the outputs on samples held back better, or never. */
enum tsr_quant_choice { TSR_QUANT_AUTO, TSR_QUANT_NO };
extern const char *const tsr_quant_choice_names[]; /* "auto", "no", NULL */
enum tsr_quant_rounding { TSR_ROUND_LEARNED, TSR_ROUND_NEAREST };
extern const char *const tsr_quant_rounding_names[]; /* "learned", "nearest", NULL */

struct tsr_quantise_options {
    enum tsr_grid grid;
    enum tsr_quant_target target;
    enum tsr_calibrator calibrator;
    double percentile;           /* for TSR_CALIBRATE_PERCENTILE */
    int64_t block;               /* weights of 4 bits: elements that share a scale, >= 16 */
    const char *const *exclude;  /* names of nodes that stay float */
    size_t n_exclude;
    enum tsr_quant_rounding rounding;  /* of weights of 4 bits */
    enum tsr_quant_choice correct_bias, equalise;
    struct tsr_quant_budget budget;
    struct tsr_prune prune;      /* before all else; zero: nothing is pruned */
    struct tsr_pool *pool;
    uint64_t seed;               /* of which samples are kept */
};
struct tsr_quantise_options tsr_quantise_defaults(enum tsr_grid grid);

struct tsr_quantise_report {
    int64_t samples;     /* seen */
    int quantised, left; /* nodes with weights, or products: on the grid, and not */
    double kl;           /* of the outputs on the samples held back; NaN: none were kept */
    double kl_nearest;   /* before any refinement */
    int pairs;           /* of layers that were equalised */
    bool rounded, shifted; /* learned rounding and corrected biases were kept */
    int64_t zeros, weights; /* where it was pruned */
    int64_t overflown;   /* half precision: outputs of the samples kept that are no finite numbers any more */
};

struct tsr_quantiser;

/* The model is borrowed. TSR_E_UNSUPPORTED: it cannot be brought to the grid's opset, or is quantised. */
enum tsr_status tsr_quantiser_new(const struct tsr_graph *g, const struct tsr_quantise_options *options,
                                  struct tsr_quantiser **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_quantiser_free(struct tsr_quantiser *q);
/* Whether samples are needed at all: not for weights alone that are rounded to nearest, nor for half precision, which is
 * looked over with them where there are some. */
bool tsr_quantiser_wants_samples(const struct tsr_quantiser *q);
/* x[k] is [m, ...] for the model's input k. */
enum tsr_status tsr_quantiser_block(struct tsr_quantiser *q, const struct tsr_tensor *x, size_t n_inputs,
                                    struct tsr_error *err) TSR_MUST_USE;
/* For teaching on the grid, between the samples and the end: the network with what is learnt, its steps from
 * the samples seen, starting from what refinement finds for activations of more than 4 bits (release with
 * tsr_graph_free), and what was learnt back into the quantiser. */
enum tsr_status tsr_quantiser_fake(struct tsr_quantiser *q, struct tsr_graph **fake, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_quantiser_take(struct tsr_quantiser *q, const struct tsr_graph *fake, struct tsr_error *err) TSR_MUST_USE;
/* The model on the grid; release with tsr_graph_free. Once only. TSR_E_MISMATCH: no samples came. TSR_E_LIMIT: the
 * budget cannot be met, as where pruning alone costs more. */
enum tsr_status tsr_quantiser_finish(struct tsr_quantiser *q, struct tsr_graph **out, struct tsr_quantise_report *report,
                                     struct tsr_error *err) TSR_MUST_USE;
/* What became of each node, after tsr_quantiser_finish; borrowed. */
const struct tsr_quant_plan *tsr_quantiser_plan(const struct tsr_quantiser *q);

#endif
