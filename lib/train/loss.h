/* loss.h - losses over a batch of outputs z[n,c] (float32), with their gradients. Each returns
 * the mean over the n rows; `grad` [n,c] (or NULL) receives the gradient of that mean. Sums are
 * taken in double, in row order. Thread-safe. */
#ifndef TSR_TRAIN_LOSS_H
#define TSR_TRAIN_LOSS_H

#include "base/status.h"

/* Softmax of every row at temperature t: p = softmax(z / t). p may be z. */
void tsr_softmax_rows(const float *z, int64_t n, int64_t c, float t, float *p);

/* Cross-entropy -log softmax(z)[label] with 0 <= label < c. */
double tsr_loss_cross_entropy(const float *z, const int32_t *label, int64_t n, int64_t c, float *grad);

/* Kullback-Leibler divergence KL(p || softmax(z / t)) * t^2 from the teacher's probabilities
 * p[n,c] (Hinton, Vinyals, Dean 2015). Zero where the student equals the teacher. */
double tsr_loss_kl(const float *z, const float *p, int64_t n, int64_t c, float t, float *grad);

/* Mean squared error: the mean over n and c of (z - y)^2. */
double tsr_loss_mse(const float *z, const float *y, int64_t n, int64_t c, float *grad);

/* Rows whose largest output is the labelled one (ties: the first). */
int64_t tsr_count_correct(const float *z, const int32_t *label, int64_t n, int64_t c);
/* Index of the largest element (the first where several are). */
int32_t tsr_argmax(const float *z, int64_t c);

#endif
