/* target.h - one thing that is compared, the outputs or a layer, between the reference and one
 * candidate: accumulators that rows are added to one pair at a time. Memory: what histogram.h,
 * vectors.h and the classes take; no number of rows makes it grow, but see clusters. */
#ifndef TSR_DRIFT_TARGET_H
#define TSR_DRIFT_TARGET_H

#include "drift/histogram.h"
#include "drift/outputs.h"
#include "drift/ratio.h"
#include "drift/vectors.h"

/* Means over rows; those from TSR_CH_NOISE on are of vectors, the others of outputs. */
enum tsr_channel {
    TSR_CH_KL,
    TSR_CH_TV,
    TSR_CH_TOP1,      /* the candidate's class is the reference's */
    TSR_CH_TOPK,      /* the reference's class is among the candidate's k likeliest */
    TSR_CH_RIGHT,     /* the candidate's class is the label */
    TSR_CH_RIGHT_REF,
    TSR_CH_LOST,      /* the reference was right and the candidate is not */
    TSR_CH_WON,
    TSR_CH_NLL,       /* -ln of the candidate's probability of the label */
    TSR_CH_NLL_REF,
    TSR_CH_LN_RATIO,  /* the difference of the two */
    TSR_CH_DP,        /* candidate's less reference's probability of the label, or else of the reference's class */
    TSR_CH_DP2,
    TSR_CH_NOISE,     /* |x - y|^2 over |x|^2 */
    TSR_CH_MSE,
    TSR_CH_COSINE,
    TSR_CHANNELS
};

#define TSR_CONFUSION_CLASSES 128 /* with more, no matrix is kept */

struct tsr_target {
    enum tsr_row_kind kind[2]; /* TSR_KIND_NONE: a layer */
    enum tsr_answer_space space_kind;
    size_t cols[2];
    size_t classes; /* 0: outputs without, or a layer */
    size_t top_k;
    uint64_t rows, labelled;
    struct tsr_ratio channel[TSR_CHANNELS];
    struct tsr_histogram kl, dp; /* of outputs with probabilities */
    uint64_t *class_rows, *class_agree; /* [classes]: by the reference's class */
    uint64_t *confusion; /* [classes, classes]: reference's by candidate's; NULL for too many classes */
    struct tsr_vectors space;
    struct tsr_answer answer[2]; /* scratch */
    struct tsr_clusters *clusters; /* NULL: every row is a sample of its own */
};

/* A pair of rows and what is known of their sample. */
struct tsr_target_row {
    const struct tsr_key *key;     /* the sample */
    const struct tsr_key *partner; /* a second one that the row is made from, or NULL */
    bool view;                     /* a row of a view, not of the sample itself */
    int64_t label;                 /* -1: none */
    const float *ref, *x;
};

struct tsr_target_shape {
    enum tsr_row_kind kind[2]; /* both NONE: a layer */
    size_t cols[2];
    size_t top_k;
    bool apart;     /* a layer's columns mean different things on both sides, whatever their number */
    bool clustered; /* rows of views will come: sum over each sample's rows first */
};

/* TSR_E_MISMATCH where the two cannot be compared (classes, kinds), with a sentence that leaves out
 * the names of the streams. */
enum tsr_status tsr_target_new(const struct tsr_target_shape *shape, struct tsr_target **out,
                               struct tsr_error *err) TSR_MUST_USE;
void tsr_target_free(struct tsr_target *t); /* NULL allowed */
/* TSR_E_CORRUPT for a label or class that is none. */
enum tsr_status tsr_target_add(struct tsr_target *t, const struct tsr_target_row *row, struct tsr_error *err) TSR_MUST_USE;
/* No further rows of the samples so far will come: forgets which they were. */
void tsr_target_settle(struct tsr_target *t);
/* Settles, and finishes the space. */
enum tsr_status tsr_target_finish(struct tsr_target *t, struct tsr_error *err) TSR_MUST_USE;

#endif
