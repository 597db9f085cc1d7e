/* predict.h - the drift that a grid will cause, before a model is brought to it: from a few samples.
 *
 * The model is brought to the grid several times, each time calibrated without a part of the samples,
 * and answers that part (cross-validation), so that no sample judges ranges that were fitted to it.
 * Beside each prediction stands an interval for what will be measured later on other samples of the
 * same kind: it holds the chance of the few samples that were seen, that of the samples to come, and
 * that of the calibration. */
#ifndef TSR_DRIFT_PREDICT_H
#define TSR_DRIFT_PREDICT_H

#include "quant/quantise.h"
#include "transfer/tokens.h"

#define TSR_PREDICT_MIN 20 /* samples */
#define TSR_PREDICT_FOLDS 5

enum tsr_predicted {
    TSR_PREDICT_KL,           /* of the model on the grid from the model as it is */
    TSR_PREDICT_TOP1,         /* samples that both give the same class */
    TSR_PREDICT_TEACHER_KL,   /* of the model on the grid from the teacher */
    TSR_PREDICT_TEACHER_TOP1, /* samples that it gives the teacher's class: accuracy relative to it */
    TSR_PREDICT_ACCURACY,     /* samples that it gives the label */
    TSR_PREDICTED
};
/* "kl", "top1", "teacher.kl", "teacher.top1", "accuracy". Static storage. */
const char *tsr_predicted_name(enum tsr_predicted what);

struct tsr_prediction {
    enum tsr_grid grid;
    struct {
        bool measured;        /* false: there is no teacher's answer, or no label */
        double value, low, high;
    } of[TSR_PREDICTED];
};

struct tsr_predict_options {
    double confidence; /* of the intervals: 0.95 */
    int64_t on;        /* samples that it will be measured on; 0: as many as predict */
    struct tsr_pool *pool;
    uint64_t seed;
    bool (*stop)(void); /* NULL: never */
};

/* Samples and what is known of them. The arrays are owned where they came from tsr_predict_join. */
struct tsr_predict_rows {
    struct tsr_tensor x;   /* [rows, ...] as the model's one input wants them */
    float *teacher;        /* [rows, classes]: another network's answers to them; NULL: none */
    enum tsr_row_kind kind; /* LOGITS or PROBABILITIES */
    bool certain;          /* they are class numbers as ones and zeros: no divergence from them */
    int64_t classes;
    int64_t *label;        /* [rows], or NULL */
};

/* The samples of refs[n, ...] (as the teacher had them, key[n] their keys) that a stream answers, as
 * `input` of the model wants them. label[n]: theirs, or NULL. TSR_E_MISMATCH: there is none, the
 * stream holds no outputs, or outputs without classes. */
enum tsr_status tsr_predict_join(const struct tsr_tokens *tokens, const struct tsr_tensor *refs, const struct tsr_key *key,
                                 const int64_t *label, const struct tsr_value *input, struct tsr_predict_rows *out,
                                 struct tsr_error *err) TSR_MUST_USE;
void tsr_predict_rows_release(struct tsr_predict_rows *rows);

/* out[n_grids], what each of grid[] will do. The model gives as many classes as the teacher.
 * TSR_E_MISMATCH: fewer than TSR_PREDICT_MIN rows, or another number of classes; TSR_E_UNSUPPORTED: as
 * tsr_quantiser_new, or a model that gives several rows a sample. */
enum tsr_status tsr_drift_predict(const struct tsr_graph *g, const struct tsr_predict_rows *rows,
                                  const enum tsr_grid *grid, size_t n_grids, const struct tsr_predict_options *options,
                                  struct tsr_prediction *out, struct tsr_error *err) TSR_MUST_USE;

/* The interval for a share of `m` further samples, after k of n came out: the quantiles of the
 * beta-binomial distribution with Jeffreys' prior. m 0: of infinitely many. */
void tsr_predict_share(double k, double n, double m, double alpha, double *low, double *high);

#endif
