#include "merge/rule.h"

#include <string.h>

#define WEISZFELD_LEAST 0.0625 /* distances below count as this: the smoothing */

static const char *const names[] = {"cclip", "huber", "mean", "median", "trim",  "geomed",
                                    "fltrust", "spectral", "krum", "multikrum", "bulyan"};

const char *tsr_rule_name(enum tsr_merge_rule rule) { return names[rule]; }

int tsr_rule_of(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return -1;
}

/* Steps before the sums: medians for a centre where there is none, and what the rule needs to know. */
static int preparation(const struct tsr_merge_rule_options *o, bool centred)
{
    switch (o->rule) {
    case TSR_RULE_CCLIP:
    case TSR_RULE_SPECTRAL:
    case TSR_RULE_GEOMED: return centred ? 0 : 1;
    case TSR_RULE_HUBER: return centred ? 1 : 2;
    default: return 0;
    }
}

bool tsr_rule_batch(const struct tsr_merge_rule_options *o) { return o->mix || o->rule >= TSR_RULE_KRUM; }

int tsr_rule_steps(const struct tsr_merge_rule_options *o, bool centred)
{
    int before = preparation(o, centred);
    if (tsr_rule_batch(o)) return 1;
    switch (o->rule) {
    case TSR_RULE_MEDIAN:
    case TSR_RULE_TRIM: return 2;
    case TSR_RULE_HUBER:
    case TSR_RULE_GEOMED: return before + (int)o->iterations;
    case TSR_RULE_SPECTRAL: return before + 3;
    default: return before + 1;
    }
}

enum tsr_merge_step tsr_rule_step(const struct tsr_merge_rule_options *o, bool centred, int i)
{
    if (o->rule == TSR_RULE_MEDIAN || o->rule == TSR_RULE_TRIM) return i == 0 ? TSR_STEP_COUNT : TSR_STEP_REFINE;
    int before = preparation(o, centred);
    if (o->rule == TSR_RULE_SPECTRAL && i >= before && i < before + 2) return i == before ? TSR_STEP_SCATTER : TSR_STEP_PROJECT;
    if (i >= before) return TSR_STEP_SUM;
    return o->rule == TSR_RULE_HUBER && i == before - 1 ? TSR_STEP_RADIUS : TSR_STEP_COUNT;
}

enum tsr_status tsr_rule_begin(const struct tsr_merge_rule_options *o, bool centred, int i, struct tsr_merge_plane *p,
                               struct tsr_error *err)
{
    enum tsr_merge_step step = tsr_rule_step(o, centred, i);
    static const enum tsr_merge_pull pulls[] = {
        [TSR_RULE_CCLIP] = TSR_PULL_CLIP,    [TSR_RULE_HUBER] = TSR_PULL_CLIP,     [TSR_RULE_MEAN] = TSR_PULL_ALL,
        [TSR_RULE_MEDIAN] = TSR_PULL_ALL,    [TSR_RULE_TRIM] = TSR_PULL_ALL,       [TSR_RULE_GEOMED] = TSR_PULL_INVERSE,
        [TSR_RULE_FLTRUST] = TSR_PULL_TRUST, [TSR_RULE_SPECTRAL] = TSR_PULL_ALL,  [TSR_RULE_KRUM] = TSR_PULL_ALL,
        [TSR_RULE_MULTIKRUM] = TSR_PULL_ALL, [TSR_RULE_BULYAN] = TSR_PULL_ALL,
    };
    if (tsr_embed_loose(&p->embed)) { /* added as they are, whatever the rule */
        p->pull = TSR_PULL_ALL;
        return tsr_plane_begin(p, TSR_STEP_SUM, err);
    }
    p->low = o->rule == TSR_RULE_TRIM ? o->assume : 0.5;
    p->high = 1 - p->low;
    if (i > 0) { /* what the step before found */
        enum tsr_merge_step last = tsr_rule_step(o, centred, i - 1);
        if (last == TSR_STEP_SCATTER || last == TSR_STEP_PROJECT) return tsr_plane_begin(p, step, err);
        if (last == TSR_STEP_RADIUS) p->radius = tsr_merge_far_median(p->far);
        else if (step != TSR_STEP_REFINE) TSR_TRY(tsr_plane_recentre(p, err));
    }
    p->pull = pulls[o->rule];
    if (o->rule == TSR_RULE_CCLIP) p->radius = o->radius;
    if (o->rule == TSR_RULE_GEOMED) p->radius = WEISZFELD_LEAST;
    return tsr_plane_begin(p, step, err);
}
