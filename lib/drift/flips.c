#include "drift/flips.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

enum tsr_status tsr_flips_init(struct tsr_flips *f, size_t classes, struct tsr_error *err)
{
    *f = (struct tsr_flips){.classes = classes, .ranks = classes < TSR_FLIPS_RANKS ? classes : TSR_FLIPS_RANKS};
    f->order = tsr_malloc(f->ranks + 1, sizeof *f->order);
    return f->order == NULL ? tsr_nomem(err, (f->ranks + 1) * sizeof *f->order) : TSR_OK;
}

void tsr_flips_release(struct tsr_flips *f)
{
    tsr_free(f->logit);
    tsr_free(f->noise);
    tsr_free(f->order);
    *f = (struct tsr_flips){0};
}

/* The classes with the greatest logits, in falling order; equals in the order of the classes. */
static void rank(const struct tsr_flips *f, const float *x)
{
    size_t have = 0;
    for (size_t c = 0; c < f->classes; c++) {
        size_t at = have < f->ranks ? have++ : f->ranks;
        if (at == f->ranks && !(x[c] > x[f->order[at - 1]])) continue;
        if (at == f->ranks) at--;
        for (; at > 0 && x[c] > x[f->order[at - 1]]; at--) f->order[at] = f->order[at - 1];
        f->order[at] = (uint32_t)c;
    }
}

enum tsr_status tsr_flips_add(struct tsr_flips *f, const float *before, const float *after, struct tsr_error *err)
{
    size_t cap = f->cap, best = 0;
    TSR_TRY(tsr_grow(&f->logit, &cap, (f->n + 1) * f->ranks, sizeof *f->logit, err));
    TSR_TRY(tsr_grow(&f->noise, &f->cap, (f->n + 1) * f->ranks, sizeof *f->noise, err));
    rank(f, before);
    for (size_t r = 0; r < f->ranks; r++) {
        f->logit[f->n * f->ranks + r] = before[f->order[r]];
        f->noise[f->n * f->ranks + r] = after[f->order[r]] - before[f->order[r]];
    }
    for (size_t c = 1; c < f->classes; c++)
        if (after[c] > after[best]) best = c;
    f->counted += best != f->order[0];
    f->n++;
    return TSR_OK;
}

static bool flips(const float *logit, const float *noise, size_t ranks)
{
    float top = logit[0] + noise[0];
    for (size_t r = 1; r < ranks; r++)
        if (logit[r] + noise[r] > top) return true;
    return false;
}

/* Mean chance over all pairs. */
static double by_pairs(const struct tsr_flips *f)
{
    size_t stride = f->n > TSR_FLIPS_PAIRS ? (f->n + TSR_FLIPS_PAIRS - 1) / TSR_FLIPS_PAIRS : 1, hits = 0, tried = 0;
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = i % stride; j < f->n; j += stride, tried++)
            hits += flips(f->logit + i * f->ranks, f->noise + j * f->ranks, f->ranks);
    return (double)hits / (double)tried;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Mean chance that the gap between the two likeliest classes is closed, from the distribution of gaps
 * continued to 0. margin: room for n. */
static double by_margins(const struct tsr_flips *f, float *margin)
{
    double sum = 0, n = (double)f->n;
    size_t k = (size_t)sqrt(n);
    for (size_t i = 0; i < f->n; i++) margin[i] = f->logit[i * f->ranks] - f->logit[i * f->ranks + 1];
    qsort(margin, f->n, sizeof *margin, by_value);
    double edge = k > 0 ? (double)margin[k - 1] : 0;
    for (size_t j = 0; j < f->n; j++) {
        double closed = (double)f->noise[j * f->ranks + 1] - (double)f->noise[j * f->ranks];
        if (!(closed > 0)) continue;
        if (closed < edge) {
            sum += closed / edge * (double)k / n;
            continue;
        }
        size_t lo = 0, hi = f->n; /* margins below `closed` */
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if ((double)margin[mid] < closed) lo = mid + 1;
            else hi = mid;
        }
        sum += (double)lo / n;
    }
    return sum / n;
}

/* ln P(x) of the negative binomial: Poisson of mean c t with c gamma of shape a and rate b. */
static double log_probability(double x, double a, double b, double t)
{
    int sign;
    return lgamma_r(a + x, &sign) - lgamma_r(a, &sign) - lgamma_r(x + 1, &sign) + a * log(b / (b + t)) + x * log(t / (b + t));
}

bool tsr_flips_share(const struct tsr_flips *f, double m, double alpha, double *value, double *low, double *high)
{
    double n = (double)f->n, sum = 0, fewer = 0, most = -1, least = -1;
    float *margin = f->n > 0 && f->classes >= 2 ? tsr_malloc(f->n, sizeof *margin) : NULL;
    if (margin == NULL) return false;
    double p = by_pairs(f), smooth = by_margins(f, margin);
    tsr_free(margin);
    if (smooth > p) p = smooth;
    if (!(p > 1e-12)) p = 1e-12;
    /* Does the count contradict it? */
    for (double x = 0; x < f->counted; x++) fewer += exp(log_probability(x, TSR_FLIPS_SHAPE, TSR_FLIPS_SHAPE, n * p));
    double more = 1 - fewer, up_to = fewer + exp(log_probability(f->counted, TSR_FLIPS_SHAPE, TSR_FLIPS_SHAPE, n * p));
    if (more < 0.01 || up_to < 0.01) return false;
    double a = TSR_FLIPS_SHAPE + f->counted, b = TSR_FLIPS_SHAPE + n * p;
    if (!(m <= 1e6)) m = 1e6;
    for (double x = 0; x <= m; x++) {
        sum += exp(log_probability(x, a, b, m * p));
        if (least < 0 && sum > alpha / 2) least = x;
        most = x;
        if (sum >= 1 - alpha / 2) break;
    }
    *value = 1 - a / b * p > 0 ? 1 - a / b * p : 0;
    *low = 1 - most / m;
    *high = 1 - (least < 0 ? most : least) / m;
    return true;
}
