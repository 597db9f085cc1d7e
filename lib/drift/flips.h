/* flips.h - how often a perturbation of the logits changes the likeliest class, from few samples.
 *
 * Counting says little where changes are rare: none among 200 samples leaves anything up to 1.5 %. But
 * every sample also has margins, and every sample shows a perturbation: the chance p of a change is
 * estimated from all pairs of a sample's logits with another one's perturbation, matched by the rank of
 * the classes. Where perturbations are smaller than all margins seen, pairs show nothing, and the
 * distribution of the margins is continued linearly to 0 from its lower end (the sqrt(n) smallest).
 * The number k that was counted corrects it: changes come with rate c p, where c has the
 * gamma distribution with mean 1 and shape TSR_FLIPS_SHAPE before, and what Poisson's law makes of it
 * after k were counted. Where k contradicts the estimate altogether, counting alone is left. */
#ifndef TSR_DRIFT_FLIPS_H
#define TSR_DRIFT_FLIPS_H

#include "base/status.h"

#define TSR_FLIPS_SHAPE 2.0 /* the pairs are trusted to a factor of about 10 */
#define TSR_FLIPS_RANKS 32  /* classes of a sample that are looked at */
#define TSR_FLIPS_PAIRS 512 /* perturbations tried on each sample, at most */

struct tsr_flips {
    size_t classes, ranks, n, cap;
    float *logit; /* [n, ranks]: a sample's logits, greatest first */
    float *noise; /* [n, ranks]: what was added to each */
    uint32_t *order; /* [classes]: scratch */
    double counted;
};

enum tsr_status tsr_flips_init(struct tsr_flips *f, size_t classes, struct tsr_error *err) TSR_MUST_USE;
void tsr_flips_release(struct tsr_flips *f);
/* A sample's logits before and after; [classes] each. */
enum tsr_status tsr_flips_add(struct tsr_flips *f, const float *before, const float *after,
                              struct tsr_error *err) TSR_MUST_USE;

/* The share of samples whose class stays: expected, and its interval with confidence 1 - alpha among m
 * further samples. False where counting should be used instead. */
bool tsr_flips_share(const struct tsr_flips *f, double m, double alpha, double *value, double *low, double *high);

#endif
