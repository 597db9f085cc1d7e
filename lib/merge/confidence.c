#include "merge/confidence.h"

#include "base/mem.h"
#include "merge/real.h"

#include <math.h>

#define KNOWN_SHARE 0.005 /* of the references that a class must be the answer to, for being known */

static size_t top_of(const float *z, size_t n)
{
    size_t top = 0;
    for (size_t i = 1; i < n; i++)
        if (z[i] > z[top]) top = i;
    return top;
}

/* log of the sum of exp(z) */
static double energy_of(const float *z, size_t n)
{
    double top = (double)z[top_of(z, n)], sum = 0;
    for (size_t i = 0; i < n; i++) sum += tsr_real_exp((double)z[i] - top);
    return top + tsr_real_log(sum);
}

struct moments {
    double n, sum, square;
};

static void add(struct moments *m, double x)
{
    m->n++;
    m->sum += x;
    m->square += x * x;
}

static double mean_of(const struct moments *m) { return m->n > 0 ? m->sum / m->n : 0; }

static double deviation_of(const struct moments *m)
{
    double mean = mean_of(m), v = m->n > 0 ? m->square / m->n - mean * mean : 0;
    return v > 1e-12 ? sqrt(v) : 1;
}

static double within(double x, double limit) { return x > limit ? limit : x < -limit ? -limit : x; }

/* Which classes the network ever answers with; who answers with one at most is taken to know all. */
static void find_known(const struct tsr_contribution *c, size_t width, uint32_t *answers, bool *known)
{
    size_t classes = c->space.classes, rows = 0, n = 0;
    for (size_t i = 0; i < c->n_rows; i++)
        for (size_t k = 0; k < c->rows[i].rows && !c->rows[i].hub && !c->rows[i].views; k++, rows++)
            answers[top_of(c->rows[i].x + k * width, classes)]++;
    for (size_t i = 0; i < classes; i++) {
        known[i] = answers[i] > 0 && (double)answers[i] >= KNOWN_SHARE * (double)rows;
        n += known[i];
    }
    for (size_t i = 0; i < classes && n < 2; i++) known[i] = true;
}

static void standardise(float *row, size_t n, const bool *known, const struct moments *m)
{
    for (size_t i = 0; i < n; i++) {
        double s = ((double)row[i] - mean_of(m)) / deviation_of(m);
        row[i] = known[i] ? (float)(within(s, TSR_SCORE_MOST) / TSR_SCORE_MOST) : 0;
        row[n + i] = known[i] ? 1 : 0;
    }
}

static void gate(float *row, size_t n, enum tsr_merge_confidence mode, const struct moments *m)
{
    double top = (double)row[top_of(row, n)], sum = 0, weight;
    double energy = mode == TSR_CONFIDENCE_ENERGY ? energy_of(row, n) : 0;
    for (size_t i = 0; i < n; i++) sum += tsr_real_exp((double)row[i] - top);
    if (mode == TSR_CONFIDENCE_ENERGY) {
        weight = tsr_real_exp(2 * within((energy - mean_of(m)) / deviation_of(m), 3) - 6);
    } else {
        double p = 1 / sum;
        p *= p;
        weight = p * p;
    }
    for (size_t i = 0; i < n; i++) row[i] = (float)(weight * tsr_real_exp((double)row[i] - top) / sum);
    row[n] = (float)weight;
}

enum tsr_status tsr_confidence_apply(struct tsr_contribution *c, struct tsr_error *err)
{
    size_t n = c->space.classes;
    if (c->confidence == TSR_CONFIDENCE_NONE || c->space.outputs != TSR_KIND_PROBABILITIES || c->fault != TSR_FAULT_NONE) return TSR_OK;
    size_t width = tsr_contribution_embed(c, false).width;
    struct moments m = {0};
    bool *known = tsr_calloc(n, sizeof *known);
    uint32_t *answers = tsr_calloc(n, sizeof *answers);
    if (known == NULL || answers == NULL) {
        tsr_free(known);
        tsr_free(answers);
        return tsr_nomem(err, 5 * n);
    }
    find_known(c, width, answers, known);
    tsr_free(answers);
    for (size_t i = 0; i < c->n_rows; i++)
        for (size_t k = 0; k < c->rows[i].rows && !c->rows[i].hub && !c->rows[i].views; k++) {
            const float *row = c->rows[i].x + k * width;
            if (c->confidence == TSR_CONFIDENCE_ENERGY) add(&m, energy_of(row, n));
            for (size_t e = 0; e < n && c->confidence == TSR_CONFIDENCE_STANDARD; e++)
                if (known[e]) add(&m, (double)row[e]);
        }
    for (size_t i = 0; i < c->n_rows; i++)
        for (size_t k = 0; k < c->rows[i].rows && !c->rows[i].hub; k++) {
            float *row = c->rows[i].x + k * width;
            if (c->confidence == TSR_CONFIDENCE_STANDARD) standardise(row, n, known, &m);
            else gate(row, n, c->confidence, &m);
        }
    tsr_free(known);
    return TSR_OK;
}
