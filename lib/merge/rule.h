/* rule.h - the rules of merging as sequences of steps. Each step is one pass over all that was sent; its
 * sums are mergeable. Thread-safe. */
#ifndef TSR_MERGE_RULE_H
#define TSR_MERGE_RULE_H

#include "merge/plane.h"

enum tsr_merge_rule {
    TSR_RULE_CCLIP,   /* centred clipping around the centre of the round before, or the medians */
    TSR_RULE_HUBER,   /* the same iterated, the radius being the median distance (Huber 1964) */
    TSR_RULE_MEAN,    /* the mean on the unit sphere */
    TSR_RULE_MEDIAN,  /* of every coordinate */
    TSR_RULE_TRIM,    /* trimmed mean of every coordinate (Yin et al. 2018) */
    TSR_RULE_GEOMED,  /* the geometric median, by Weiszfeld's iteration, smoothed (Pillutla et al. 2022) */
    TSR_RULE_FLTRUST, /* weights by the cosine to a trusted row */
    TSR_RULE_SPECTRAL, /* the mean without those who stand out along the direction of most variance
                          (Shejwalkar, Houmansadr 2021; Diakonikolas et al. 2017) */
    /* rules that need all contributions at once, see batch.h */
    TSR_RULE_KRUM,      /* the one whose neighbours are nearest (Blanchard et al. 2017) */
    TSR_RULE_MULTIKRUM, /* the mean of the best by that score */
    TSR_RULE_BULYAN     /* the trimmed mean of the best (El Mhamdi et al. 2018) */
};

struct tsr_merge_rule_options {
    enum tsr_merge_rule rule;
    double radius;      /* of CCLIP */
    double assume;      /* the share of hostile contributors to withstand, below 0.5; all but the first four */
    int64_t iterations; /* HUBER, GEOMED */
    bool mix;           /* every contribution is first replaced by the mean of its nearest neighbours (NNM,
                           Allouah et al. 2023) */
};

const char *tsr_rule_name(enum tsr_merge_rule rule);
int tsr_rule_of(const char *name); /* -1: none of that name */

/* Does the rule need all contributions at once? */
bool tsr_rule_batch(const struct tsr_merge_rule_options *o);
/* How many steps the rule takes, given a centre or not. */
int tsr_rule_steps(const struct tsr_merge_rule_options *o, bool centred);
/* What step number i (0 ..) is. */
enum tsr_merge_step tsr_rule_step(const struct tsr_merge_rule_options *o, bool centred, int i);
/* Prepares a plane for step i; after step i - 1, whose sums it uses first. */
enum tsr_status tsr_rule_begin(const struct tsr_merge_rule_options *o, bool centred, int i, struct tsr_merge_plane *p,
                               struct tsr_error *err) TSR_MUST_USE;

#endif
