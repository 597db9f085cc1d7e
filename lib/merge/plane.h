/* plane.h - the sums of one kind of rows: for every row to be merged (a cell) what a step of a rule
 * needs of all the rows that were given for it. Sums are integers and are only added to, so they are
 * the same for any order and any grouping of what is added. A plane belongs to one thread. */
#ifndef TSR_MERGE_PLANE_H
#define TSR_MERGE_PLANE_H

#include "merge/embed.h"

/* What a step gathers; see rule.h for the steps of each rule. */
enum tsr_merge_step {
    TSR_STEP_COUNT,  /* histograms of every coordinate: the medians */
    TSR_STEP_REFINE, /* histograms within the two bins that hold the quantiles; sums between them */
    TSR_STEP_RADIUS, /* a histogram of the distances to the centre */
    TSR_STEP_SCATTER, /* nothing of the rows: see spectral.h */
    TSR_STEP_PROJECT, /* likewise */
    TSR_STEP_SUM     /* the sum of the rows, each with what its distance makes of its weight */
};
/* What the distance d to the centre v makes of a row x's weight in TSR_STEP_SUM. */
enum tsr_merge_pull {
    TSR_PULL_ALL,     /* 1 */
    TSR_PULL_CLIP,    /* min(1, radius / d), of x - v: centred clipping (Karimireddy, He, Jaggi 2021) */
    TSR_PULL_INVERSE, /* least / max(d, least): a step of Weiszfeld's for the geometric median */
    TSR_PULL_TRUST    /* max(0, <x, v>): FLTrust (Cao et al. 2021), x being of length 1 */
};

#define TSR_MERGE_FAR_BINS 2048 /* of distances: 64 for each power of two from 2^-30 */
#define TSR_MERGE_MAX_WEIGHT INT64_C(0xffffffff) /* of all rows of a cell together */

struct tsr_merge_plane {
    struct tsr_embed embed;
    enum tsr_merge_step step;
    enum tsr_merge_pull pull;
    double radius;      /* of TSR_PULL_CLIP; `least` of TSR_PULL_INVERSE */
    double low, high;   /* TSR_STEP_REFINE: the quantiles, as shares of the weight */
    int bins;           /* of TSR_STEP_COUNT and TSR_STEP_REFINE */
    bool centred;       /* the centre means something; else it is the neutral point */

    size_t cells, cap;
    float *centre;      /* [cells, width], of length 1 */
    int64_t *weight;    /* [cells] of the rows that came */
    uint32_t *answers;  /* [cells] how many came */
    int64_t *sum;       /* [cells, width] TSR_MERGE_ONE is 1; for REFINE of the values between the edges */
    int64_t *pulled;    /* [cells] the weights as the distances left them, TSR_MERGE_ONE is 1 */
    uint32_t *count;    /* [cells, width, bins]: of the low edge's bin for REFINE */
    uint32_t *upper;    /* [cells, width, bins]: of the high edge's bin */
    uint16_t *edge;     /* [cells, width, 2] the two bins */
    uint32_t *below;    /* [cells, width, 2] the weight below each of them */
    uint64_t far[TSR_MERGE_FAR_BINS]; /* weights by distance to the centre */

    int32_t *tile;      /* [width] rows of the only cell that are not yet in `sum` */
    int tile_rows;
};

/* A plane without cells. */
void tsr_plane_init(struct tsr_merge_plane *p, const struct tsr_embed *embed);
void tsr_plane_release(struct tsr_merge_plane *p);
/* Forgets all sums but not the cells, and prepares for a step. For REFINE the histograms of the COUNT
 * before are turned into edges. TSR_E_NOMEM. */
enum tsr_status tsr_plane_begin(struct tsr_merge_plane *p, enum tsr_merge_step step, struct tsr_error *err) TSR_MUST_USE;
/* Makes it `cells` cells, those that are new being empty, their centre neutral. */
enum tsr_status tsr_plane_grow(struct tsr_merge_plane *p, size_t cells, struct tsr_error *err) TSR_MUST_USE;

/* What a row is to the centre. */
struct tsr_merge_look {
    bool safe; /* its length was fit to reckon with; else it was not added */
    double cosine, distance;
};
/* Adds a row x[width] of weight w >= 1 to a cell. Rows that tsr_embed_row made are safe; for
 * TSR_EMBED_DIRECTION the row as it came may be tried first. TSR_E_LIMIT where the cell's weights exceed
 * TSR_MERGE_MAX_WEIGHT. */
enum tsr_status tsr_plane_add(struct tsr_merge_plane *p, size_t cell, const float *x, int64_t w,
                              struct tsr_merge_look *look, struct tsr_error *err) TSR_MUST_USE;
/* Puts what tsr_plane_add still holds back into the sums. */
void tsr_plane_settle(struct tsr_merge_plane *p);

/* Makes a row the centre of a cell. */
void tsr_plane_centre(struct tsr_merge_plane *p, size_t cell, const float *x);
/* The outcome for a cell that has answers, y[width]: after COUNT and REFINE the medians or means between
 * the quantiles, after SUM what the pull makes of the sums. */
void tsr_plane_result(const struct tsr_merge_plane *p, size_t cell, double *y);
/* The outcome of every cell that has answers becomes its centre, brought to length 1. */
enum tsr_status tsr_plane_recentre(struct tsr_merge_plane *p, struct tsr_error *err) TSR_MUST_USE;
/* The bin of a distance, and the least distance of a bin. */
size_t tsr_merge_far_bin(double distance);
double tsr_merge_far_edge(size_t bin);
/* The middle of the bin that half of all weight does not exceed; 0 where there is none. */
double tsr_merge_far_median(const uint64_t far[TSR_MERGE_FAR_BINS]);

/* The arrays that a step works on, for those who move or add whole planes: first the `additive` ones, then
 * those that the step began with. Every cell has `stride` elements. */
struct tsr_merge_array {
    const char *name;
    void **data;
    size_t stride;
    size_t size; /* bytes of an element: uint16_t, uint32_t or float, int64_t */
};
#define TSR_MERGE_ARRAYS 10
size_t tsr_plane_arrays(struct tsr_merge_plane *p, struct tsr_merge_array out[TSR_MERGE_ARRAYS], size_t *additive);

#endif
