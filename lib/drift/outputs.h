/* outputs.h - what a candidate answers, compared with what the reference answers, for one sample.
 * Thread-safe. */
#ifndef TSR_DRIFT_OUTPUTS_H
#define TSR_DRIFT_OUTPUTS_H

#include "stream/rowset.h"

/* One side's answer as the statistics want it. */
struct tsr_answer {
    size_t classes; /* 2 where the row has a single logit or probability: of a yes-or-no question;
                       0 for outputs without classes */
    int64_t top;    /* the likeliest class, the first one of equals */
    double *log_p;  /* [classes]: normalised log-probabilities in double; NULL for class numbers */
    float *vector;  /* what is compared as a vector: logits less their mean, probabilities, values */
};

/* Which vectors two kinds of outputs are compared as. Logits are known up to a constant a row, so
 * it is taken off; logits against probabilities are compared as probabilities. */
enum tsr_answer_space { TSR_SPACE_NONE, TSR_SPACE_LOGITS, TSR_SPACE_PROBABILITIES, TSR_SPACE_VALUES };
enum tsr_answer_space tsr_answer_space(enum tsr_row_kind a, enum tsr_row_kind b);
/* Width of those vectors, and number of classes (0: none), for rows of cols numbers. */
size_t tsr_answer_width(enum tsr_row_kind kind, enum tsr_answer_space space, size_t cols);
size_t tsr_answer_classes(enum tsr_row_kind kind, size_t cols);

/* Fills *to, whose arrays are there already. Probabilities of 0 count as the smallest float32, and
 * rows are normalised, since float16 ones do not sum to 1. */
void tsr_answer_read(enum tsr_row_kind kind, enum tsr_answer_space space, const float *row, size_t cols,
                     struct tsr_answer *to);

/* KL(p || q) in nats, never negative, 0 exactly where both are the same: the sum of
 * p (d + e^-d - 1), d = log p - log q, whose terms are all >= 0. */
double tsr_answer_kl(const struct tsr_answer *p, const struct tsr_answer *q);
/* Half the sum of |p - q|. */
double tsr_answer_variation(const struct tsr_answer *p, const struct tsr_answer *q);
/* Whether `class` is among the k likeliest of a; equals count in the order of the classes. */
bool tsr_answer_among(const struct tsr_answer *a, int64_t class, size_t k);

#endif
