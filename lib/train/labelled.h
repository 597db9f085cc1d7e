/* labelled.h - training on labelled data: cross-entropy on classes or squared error on values,
 * with validation and early stop. For teachers, and for the baselines that taught receivers are
 * compared with. */
#ifndef TSR_TRAIN_LABELLED_H
#define TSR_TRAIN_LABELLED_H

#include "train/rate.h"
#include "train/reach.h"
#include "train/views.h"

struct tsr_labelled {
    struct tsr_tensor x;     /* [n, ...] as the model's input wants it */
    int64_t n;
    int32_t *label;          /* [n] classes, or NULL */
    float *value;            /* [n, width] targets of a regression, or NULL */
    int64_t width;           /* classes or values a sample */
};
void tsr_labelled_release(struct tsr_labelled *d);

/* Takes the labels (whole numbers, any integer or float type, n or n x 1) or, for a regression,
 * the values from y. TSR_E_MISMATCH where x and y differ in n, or where there is one class and no
 * regression; TSR_E_CORRUPT for a label that is no class in 0 .. classes-1; TSR_E_NUMERIC for samples
 * or values that are not finite. x is shared. */
enum tsr_status tsr_labelled_init(struct tsr_labelled *d, const struct tsr_tensor *x, const struct tsr_tensor *y,
                                  bool regression, int64_t classes, struct tsr_error *err) TSR_MUST_USE;

struct tsr_train_options {
    struct tsr_fit_options fit;   /* fit.steps 0: epochs decide */
    int64_t epochs;
    struct tsr_rate_choice rate;  /* n 1: that rate */
    double val_share;             /* share of the data held out where `val` is NULL */
    uint32_t views;               /* derived inputs a sample (train/views.h), labels mixed along */
    struct tsr_pool *pool;
};
/* 1e-2 5e-3 2e-3 tried for 150 steps, 30 epochs, a tenth held out, patience 10. */
struct tsr_train_options tsr_train_defaults(void);

struct tsr_train_report {
    struct tsr_rate_choice rate;
    struct tsr_fit_result fit;
    int64_t rows, held;
    struct tsr_reach reach; /* what of the model could learn */
};

/* Trains the parameters of g in place. val may be NULL; its samples are of the data's type and
 * shape (else TSR_E_MISMATCH). TSR_E_UNSUPPORTED: no parameter can learn (see train/reach.h). */
enum tsr_status tsr_train_labelled(struct tsr_graph *g, const struct tsr_labelled *data,
                                   const struct tsr_labelled *val, const struct tsr_train_options *options,
                                   struct tsr_train_report *report, struct tsr_error *err) TSR_MUST_USE;

/* The outputs z[n, width] of the model for x[n, ...], in batches. `out` takes n * width floats,
 * width being what the model gives for a sample (checked). */
enum tsr_status tsr_predict(const struct tsr_graph *g, int32_t value, const struct tsr_tensor *x, int64_t width,
                            struct tsr_pool *pool, float *out, struct tsr_error *err) TSR_MUST_USE;

#endif
