/* views.h - inputs derived from the reference inputs, the same bit for bit on both sides.
 *
 * A view of reference sample i is a function of the recipe, the sample's key and the view's
 * number v >= 1 alone: integer random numbers (base/rng.h) and float operations in a written
 * order. Views are made within a block of reference samples (at most 2048 in a stream), because
 * every second view mixes the sample with another one of its block.
 *
 *   images (C,H,W)  odd v: shift by up to +-shift on both axes (edges repeated), a factor for every
 *   series (C,T)    channel, noise. Even v: two samples treated so and mixed, lambda a + (1 - lambda) b
 *                   (mixup, Zhang et al. 2018); every second of these has a window of b in a instead,
 *                   with a share of 1 - lambda of the area (CutMix, Yun et al. 2019)
 *   vectors (D)     mixup and one factor, without shifts and windows
 *   tokens (T)      every position comes from a or from a second sample, which odd v permutes
 *
 * Thread-safe.
 */
#ifndef TSR_TRAIN_VIEWS_H
#define TSR_TRAIN_VIEWS_H

#include "base/rng.h"
#include "tensor/tensor.h"

struct tsr_json;

enum tsr_view_kind { TSR_VIEW_IMAGE, TSR_VIEW_SERIES, TSR_VIEW_VECTOR, TSR_VIEW_TOKENS };

struct tsr_views {
    enum tsr_view_kind kind;
    uint32_t count; /* views of every reference sample; 0: none */
    uint64_t seed;
    int32_t shift_y, shift_x; /* largest shift, elements; series shift along x (time) */
    float gain;  /* standard deviation of the channels' factors around 1 */
    float noise; /* standard deviation of the added noise, in units of the input */
    bool cut;    /* images and series: windows in every second mixed view */
};

/* What one view does; from tsr_view_plan. */
struct tsr_view_plan {
    bool mixed;        /* a second sample takes part */
    bool cut;          /* as a window in the first */
    uint32_t partner;  /* its row within the block */
    float lambda;      /* weight of the first sample (cut: its share of the area, but for rounding;
                          tokens: probability of keeping a position) */
    int32_t dy[2], dx[2];
    bool permute;
    struct tsr_rng rng; /* continues with factors, windows, noise, masks and permutations */
};

/* The default recipe for samples like these: x is [n, ...], a block of references, from which
 * the noise level is measured. count = views a sample. TSR_E_UNSUPPORTED for types and ranks
 * that have no recipe. */
enum tsr_status tsr_views_default(struct tsr_views *v, const struct tsr_tensor *x, uint32_t count, uint64_t seed,
                                  struct tsr_error *err) TSR_MUST_USE;

/* The recipe as the JSON object of a VIEW record, and back (every field checked). */
enum tsr_status tsr_views_to_json(const struct tsr_views *v, struct tsr_json **out,
                                  struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_views_from_json(struct tsr_views *v, const struct tsr_json *json,
                                    struct tsr_error *err) TSR_MUST_USE;

/* Can the recipe be followed for inputs of this type? The dense kinds need F32, tokens I32 or I64.
 * TSR_E_MISMATCH where not. */
enum tsr_status tsr_views_check(const struct tsr_views *v, enum tsr_dtype dtype, struct tsr_error *err) TSR_MUST_USE;

/* View number `number` (1 ..) of the sample with that key, in a block of n samples. */
void tsr_view_plan(const struct tsr_views *v, const struct tsr_key *key, uint32_t number, uint32_t n,
                   struct tsr_view_plan *plan);
/* Makes it. a and b: the elements of the sample and of its partner (b is read only where
 * plan->mixed), out: room for one sample. shape: that of one sample; dtype F32, I32 or I64. */
void tsr_view_make(const struct tsr_views *v, const struct tsr_view_plan *plan, enum tsr_dtype dtype,
                   const struct tsr_shape *shape, const void *a, const void *b, void *out);

/* A block of reference samples: n of them, keyed; sample i lies at row (at == NULL ? i : at[i]) of
 * x, whose rows have this type and shape. */
struct tsr_view_block {
    enum tsr_dtype dtype;
    struct tsr_shape shape; /* of one sample */
    const void *x;
    const struct tsr_key *key;
    const uint32_t *at;
    uint32_t n;
};

/* The block whose samples are the rows of x[n, ...]. */
struct tsr_view_block tsr_view_block(const struct tsr_tensor *x, const struct tsr_key *key);
/* View `number` of sample i into out, which has room for one sample; number 0: the sample itself. */
void tsr_view_row(const struct tsr_views *v, const struct tsr_view_block *block, uint32_t i, uint32_t number, void *out);

#endif
