#include "drift/outputs.h"

#include <float.h>
#include <math.h>

static bool has_softmax(enum tsr_row_kind kind) { return kind == TSR_KIND_LOGITS || kind == TSR_KIND_PROBABILITIES; }

enum tsr_answer_space tsr_answer_space(enum tsr_row_kind a, enum tsr_row_kind b)
{
    if (a == TSR_KIND_REGRESSION && b == TSR_KIND_REGRESSION) return TSR_SPACE_VALUES;
    if (!has_softmax(a) || !has_softmax(b)) return TSR_SPACE_NONE;
    return a == TSR_KIND_LOGITS && b == TSR_KIND_LOGITS ? TSR_SPACE_LOGITS : TSR_SPACE_PROBABILITIES;
}

size_t tsr_answer_classes(enum tsr_row_kind kind, size_t cols)
{
    return !has_softmax(kind) ? 0 : cols == 1 ? 2 : cols;
}

size_t tsr_answer_width(enum tsr_row_kind kind, enum tsr_answer_space space, size_t cols)
{
    return space == TSR_SPACE_NONE ? 0 : space == TSR_SPACE_VALUES ? cols : tsr_answer_classes(kind, cols);
}

static int64_t argmax(const double *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return (int64_t)best;
}

static void read_logits(const float *row, size_t cols, struct tsr_answer *to)
{
    if (cols == 1) {
        to->log_p[0] = 0;
        to->log_p[1] = (double)row[0];
    } else {
        for (size_t i = 0; i < cols; i++) to->log_p[i] = (double)row[i];
    }
}

static void read_probabilities(const float *row, size_t cols, struct tsr_answer *to)
{
    for (size_t i = 0; i < to->classes; i++) {
        double p = cols == 1 ? (i == 0 ? 1 - (double)row[0] : (double)row[0]) : (double)row[i];
        to->log_p[i] = log(p > (double)FLT_TRUE_MIN ? p : (double)FLT_TRUE_MIN);
    }
}

static void normalise(double *x, size_t n)
{
    double top = x[argmax(x, n)], sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp(x[i] - top);
    double log_sum = top + log(sum);
    for (size_t i = 0; i < n; i++) x[i] -= log_sum;
}

void tsr_answer_read(enum tsr_row_kind kind, enum tsr_answer_space space, const float *row, size_t cols,
                     struct tsr_answer *to)
{
    to->classes = tsr_answer_classes(kind, cols);
    to->top = kind == TSR_KIND_ARGMAX ? (int64_t)row[0] : -1;
    if (space == TSR_SPACE_VALUES)
        for (size_t i = 0; i < cols; i++) to->vector[i] = row[i];
    if (!has_softmax(kind)) return;
    if (kind == TSR_KIND_LOGITS) read_logits(row, cols, to);
    else read_probabilities(row, cols, to);
    to->top = argmax(to->log_p, to->classes);
    if (space == TSR_SPACE_LOGITS) {
        double mean = 0;
        for (size_t i = 0; i < to->classes; i++) mean += to->log_p[i];
        mean /= (double)to->classes;
        for (size_t i = 0; i < to->classes; i++) to->vector[i] = (float)(to->log_p[i] - mean);
    }
    normalise(to->log_p, to->classes);
    if (space == TSR_SPACE_PROBABILITIES)
        for (size_t i = 0; i < to->classes; i++) to->vector[i] = (float)exp(to->log_p[i]);
}

double tsr_answer_kl(const struct tsr_answer *p, const struct tsr_answer *q)
{
    double sum = 0;
    for (size_t i = 0; i < p->classes; i++) {
        double lp = p->log_p[i], lq = q->log_p[i], d = lp - lq;
        if (fabs(d) < 1e-4) sum += exp(lp) * d * d * (0.5 - d / 6 + d * d / 24); /* where digits would cancel */
        else if (d > -30) sum += exp(lp) * (d + expm1(-d));
        else sum += exp(lq) + exp(lp) * (d - 1); /* where e^-d could overflow */
    }
    return sum;
}

double tsr_answer_variation(const struct tsr_answer *p, const struct tsr_answer *q)
{
    double sum = 0;
    for (size_t i = 0; i < p->classes; i++) sum += fabs(exp(p->log_p[i]) - exp(q->log_p[i]));
    return sum / 2;
}

bool tsr_answer_among(const struct tsr_answer *a, int64_t class, size_t k)
{
    double x = a->log_p[class];
    size_t before = 0;
    for (size_t i = 0; i < a->classes && before < k; i++)
        before += a->log_p[i] > x || (a->log_p[i] == x && (int64_t)i < class);
    return before < k;
}
