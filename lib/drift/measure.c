#include "drift/measure.h"

#include "drift/distribution.h"

#include <math.h>
#include <string.h>

/* What PLAIN measures, and MEANs that are functions of a mean, are told apart by. */
enum { SQNR = TSR_CHANNELS, RMS, PPL, PPL_REF, PPL_RATIO, PPL_COR, PPL_DIFF, CKA, CKA_P, NEIGHBOURS, GAUSS, GAUSS_FULL, FRECHET };

#define MEAN(n, l, u, c) {.name = n, .label = l, .unit = TSR_UNIT_##u, .form = TSR_FORM_MEAN, .channel = c}
#define RATE(n, l, c) {.name = n, .label = l, .unit = TSR_UNIT_SHARE, .form = TSR_FORM_RATE, .channel = c}
#define QUANT(n, l, u, c, q) {.name = n, .label = l, .unit = TSR_UNIT_##u, .form = TSR_FORM_QUANTILE, .channel = c, .p = q}
#define EXTREME(n, l, u, c, q) {.name = n, .label = l, .unit = TSR_UNIT_##u, .form = TSR_FORM_EXTREME, .channel = c, .p = q}
#define LAYER(n, l, u, f, c) {.name = n, .label = l, .unit = TSR_UNIT_##u, .form = TSR_FORM_##f, .layers = true, .channel = c}
#define PLAIN(n, l, u, c) {.name = n, .label = l, .unit = TSR_UNIT_##u, .form = TSR_FORM_PLAIN, .channel = c}

static const struct tsr_measure table[] = {
    MEAN("kl", "KL mean", NATS, TSR_CH_KL),
    EXTREME("kl.max", "KL maximum", NATS, TSR_CH_KL, 1),
    QUANT("kl.p99.9", "KL 99.9 %", NATS, TSR_CH_KL, 0.999),
    QUANT("kl.p99", "KL 99 %", NATS, TSR_CH_KL, 0.99),
    QUANT("kl.p95", "KL 95 %", NATS, TSR_CH_KL, 0.95),
    QUANT("kl.p90", "KL 90 %", NATS, TSR_CH_KL, 0.90),
    QUANT("kl.median", "KL median", NATS, TSR_CH_KL, 0.5),
    QUANT("kl.p10", "KL 10 %", NATS, TSR_CH_KL, 0.10),
    QUANT("kl.p5", "KL 5 %", NATS, TSR_CH_KL, 0.05),
    QUANT("kl.p1", "KL 1 %", NATS, TSR_CH_KL, 0.01),
    QUANT("kl.p0.1", "KL 0.1 %", NATS, TSR_CH_KL, 0.001),
    EXTREME("kl.min", "KL minimum", NATS, TSR_CH_KL, 0),
    MEAN("tv", "total variation", SHARE, TSR_CH_TV),
    RATE("top1", "same top class", TSR_CH_TOP1),
    RATE("topk", "top class among the k likeliest", TSR_CH_TOPK),
    RATE("accuracy", "accuracy", TSR_CH_RIGHT),
    RATE("accuracy.ref", "accuracy of the reference", TSR_CH_RIGHT_REF),
    {.name = "accuracy.drop", .label = "loss of accuracy", .unit = TSR_UNIT_SHARE, .form = TSR_FORM_DROP},
    MEAN("ppl", "mean PPL(Q)", NUMBER, PPL),
    MEAN("ppl.ref", "mean PPL(base)", NUMBER, PPL_REF),
    PLAIN("ppl.cor", "cor(ln PPL(Q), ln PPL(base))", SHARE, PPL_COR),
    MEAN("ppl.lnratio", "mean ln(PPL(Q)/PPL(base))", NUMBER, TSR_CH_LN_RATIO),
    MEAN("ppl.ratio", "mean PPL(Q)/PPL(base)", NUMBER, PPL_RATIO),
    PLAIN("ppl.diff", "mean PPL(Q)-PPL(base)", NUMBER, PPL_DIFF),
    MEAN("dp", "\316\224p mean", SHARE, TSR_CH_DP),
    EXTREME("dp.max", "\316\224p maximum", SHARE, TSR_CH_DP, 1),
    QUANT("dp.p99.9", "\316\224p 99.9 %", SHARE, TSR_CH_DP, 0.999),
    QUANT("dp.p99", "\316\224p 99 %", SHARE, TSR_CH_DP, 0.99),
    QUANT("dp.p95", "\316\224p 95 %", SHARE, TSR_CH_DP, 0.95),
    QUANT("dp.p90", "\316\224p 90 %", SHARE, TSR_CH_DP, 0.90),
    QUANT("dp.p75", "\316\224p 75 %", SHARE, TSR_CH_DP, 0.75),
    QUANT("dp.median", "\316\224p median", SHARE, TSR_CH_DP, 0.5),
    QUANT("dp.p25", "\316\224p 25 %", SHARE, TSR_CH_DP, 0.25),
    QUANT("dp.p10", "\316\224p 10 %", SHARE, TSR_CH_DP, 0.10),
    QUANT("dp.p5", "\316\224p 5 %", SHARE, TSR_CH_DP, 0.05),
    QUANT("dp.p1", "\316\224p 1 %", SHARE, TSR_CH_DP, 0.01),
    QUANT("dp.p0.1", "\316\224p 0.1 %", SHARE, TSR_CH_DP, 0.001),
    EXTREME("dp.min", "\316\224p minimum", SHARE, TSR_CH_DP, 0),
    MEAN("dp.rms", "\316\224p RMS", SHARE, RMS),
    LAYER("sqnr", "SQNR", DECIBEL, MEAN, SQNR),
    LAYER("cosine", "cosine", NUMBER, MEAN, TSR_CH_COSINE),
    LAYER("mse", "mean squared error", NUMBER, MEAN, TSR_CH_MSE),
    LAYER("cka", "debiased CKA", NUMBER, ALIGNED, CKA),
    LAYER("cka.p", "its permutation p-value", NUMBER, PLAIN, CKA_P),
    LAYER("knn", "mutual 10 nearest neighbours", SHARE, ALIGNED, NEIGHBOURS),
    LAYER("gauss", "KL of diagonal Gaussians", NATS, PLAIN, GAUSS),
    LAYER("gauss.full", "KL of full Gaussians", NATS, PLAIN, GAUSS_FULL),
    LAYER("frechet", "Fr\303\251chet distance", NUMBER, PLAIN, FRECHET),
};

const struct tsr_measure *tsr_measures(size_t *n)
{
    *n = sizeof table / sizeof *table;
    return table;
}

const struct tsr_measure *tsr_measure_find(const char *name, bool layer)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0 && (table[i].layers || !layer)) return &table[i];
    return NULL;
}

static struct tsr_estimate unmeasured(const char *why)
{
    return (struct tsr_estimate){.why = why, .value = NAN, .error = NAN, .low = NAN, .high = NAN};
}

static struct tsr_estimate too_few(const char *why)
{
    struct tsr_estimate e = unmeasured(why);
    e.few = true;
    return e;
}

/* Why a channel of outputs is empty. */
static const char *why_empty(const struct tsr_target *t, int channel)
{
    bool labels = channel >= TSR_CH_RIGHT && channel <= TSR_CH_LN_RATIO;
    if (t->rows == 0) return "there are no rows in common";
    if (channel >= TSR_CH_NOISE)
        return t->kind[0] == TSR_KIND_NONE ? "the two have different units" : "outputs of these kinds are no vectors to compare";
    if (t->kind[0] == TSR_KIND_REGRESSION) return "the outputs are values, not classes";
    if (labels && t->labelled == 0) return "no labels were given";
    if (channel == TSR_CH_TOPK && t->top_k == 0) return "there are not more classes than that";
    return "the outputs are class numbers without probabilities";
}

/* The channel that a MEAN rests on, and what is told of it. */
static int base_channel(int channel)
{
    switch (channel) {
    case SQNR: return TSR_CH_NOISE;
    case RMS: return TSR_CH_DP2;
    case PPL: return TSR_CH_NLL;
    case PPL_REF: return TSR_CH_NLL_REF;
    case PPL_RATIO: return TSR_CH_LN_RATIO;
    default: return channel;
    }
}

bool tsr_measure_wants_labels(const struct tsr_measure *m)
{
    int c = m->form == TSR_FORM_MEAN ? base_channel(m->channel) : m->channel;
    if (m->form == TSR_FORM_DROP || c == PPL_COR || c == PPL_DIFF) return true;
    return (m->form == TSR_FORM_RATE || m->form == TSR_FORM_MEAN) && c >= TSR_CH_RIGHT && c <= TSR_CH_LN_RATIO;
}

static double transform(int channel, double x)
{
    switch (channel) {
    case SQNR: return x > 0 ? -10 * log10(x) : INFINITY;
    case RMS: return sqrt(x > 0 ? x : 0);
    case PPL: case PPL_REF: case PPL_RATIO: return exp(x);
    default: return x;
    }
}

/* Its derivative, for the standard error. */
static double slope(int channel, double x)
{
    switch (channel) {
    case SQNR: return 10 / log(10) / x;
    case RMS: return 0.5 / sqrt(x);
    case PPL: case PPL_REF: case PPL_RATIO: return exp(x);
    default: return 1;
    }
}

/* What a mean of this channel cannot go beyond. */
static void clip(int channel, double *low, double *high)
{
    bool positive = channel == TSR_CH_KL || channel == TSR_CH_TV || channel == TSR_CH_DP2 || channel == TSR_CH_NLL ||
                    channel == TSR_CH_NLL_REF || channel == TSR_CH_NOISE || channel == TSR_CH_MSE;
    if (positive && *low < 0) *low = 0;
    if ((channel == TSR_CH_COSINE || channel == TSR_CH_DP) && *low < -1) *low = -1;
    if ((channel == TSR_CH_COSINE || channel == TSR_CH_DP || channel == TSR_CH_TV) && *high > 1) *high = 1;
}

static struct tsr_estimate mean(const struct tsr_target *t, int channel, double alpha, double scale)
{
    int base = base_channel(channel);
    struct tsr_ratio r = tsr_ratio_scaled(&t->channel[base], scale);
    double x = tsr_ratio_value(&r), low, high;
    if (!(r.total_b > 0)) {
        if (channel != SQNR || t->space.rows == 0 || !t->space.paired)
            return unmeasured(why_empty(t, base));
        if (!t->space.exact) return unmeasured("the reference's vectors are all zero");
        x = 0;
    }
    struct tsr_estimate e = {.measured = true, .value = transform(channel, x), .error = tsr_ratio_error(&r), .samples = r.n};
    e.error = e.error == 0 ? 0 : e.error * slope(channel, x);
    e.bounded = tsr_ratio_interval(&r, alpha, &low, &high);
    if (!e.bounded) return e;
    clip(base, &low, &high);
    e.low = transform(channel, channel == SQNR ? high : low);
    e.high = transform(channel, channel == SQNR ? low : high);
    return e;
}

static struct tsr_estimate rate(const struct tsr_target *t, int channel, double alpha, double scale)
{
    struct tsr_ratio r = tsr_ratio_scaled(&t->channel[channel], scale);
    if (!(r.total_b > 0)) return unmeasured(why_empty(t, channel));
    struct tsr_estimate e = {.measured = true, .value = tsr_ratio_value(&r), .error = tsr_ratio_error(&r),
                             .bounded = true, .samples = r.n};
    tsr_ratio_rate_interval(&r, alpha, &e.low, &e.high);
    return e;
}

static struct tsr_estimate drop(const struct tsr_target *t, double alpha, double scale)
{
    struct tsr_estimate lost = rate(t, TSR_CH_LOST, alpha / 2, scale), won = rate(t, TSR_CH_WON, alpha / 2, scale);
    if (!lost.measured) return lost;
    double both = lost.error * lost.error + won.error * won.error + 2 * lost.value * won.value / lost.samples;
    return (struct tsr_estimate){.measured = true, .value = lost.value - won.value, .error = sqrt(both), .bounded = true,
                                 .low = lost.low - won.high, .high = lost.high - won.low, .samples = lost.samples};
}

static struct tsr_estimate quantile(const struct tsr_target *t, const struct tsr_measure *m, double alpha, double scale)
{
    const struct tsr_histogram *h = m->channel == TSR_CH_KL ? &t->kl : &t->dp;
    if (h->n == 0) return unmeasured(why_empty(t, m->channel));
    struct tsr_estimate e = {.measured = true, .error = NAN, .bounded = true, .samples = t->channel[m->channel].n * scale};
    e.value = m->form == TSR_FORM_EXTREME ? (m->p > 0 ? h->max : h->min) : tsr_histogram_quantile(h, m->p);
    e.low = e.high = e.value;
    if (m->form == TSR_FORM_QUANTILE) tsr_histogram_interval(h, e.samples, m->p, alpha, &e.low, &e.high);
    return e;
}

static struct tsr_estimate aligned(const struct tsr_target *t, int channel, double alpha, double scale)
{
    const struct tsr_alignment *a = &t->space.alignment;
    if (!t->space.finished) return unmeasured(why_empty(t, TSR_CH_NOISE));
    if (a->rows == 0) return too_few("it needs 20 samples");
    struct tsr_estimate e = {.measured = true, .samples = (double)a->rows * scale};
    e.value = channel == CKA ? a->cka : a->neighbours;
    e.error = (channel == CKA ? a->cka_error : a->neighbours_error) / sqrt(scale);
    if (isnan(e.value)) return unmeasured("one side is constant");
    e.bounded = e.samples >= TSR_RATIO_MIN && isfinite(e.error);
    if (!e.bounded) return e;
    double reach = e.error > 0 ? e.error * tsr_t_quantile(1 - alpha / 2, e.samples - 1) : 0;
    double least = channel == NEIGHBOURS ? 0 : -1; /* both are at most 1 */
    e.low = e.value - reach > least ? e.value - reach : least;
    e.high = e.value + reach < 1 || e.value > 1 ? e.value + reach : 1;
    return e;
}

/* Covariance of the two mean negative log-likelihoods, from the variance of their difference. */
static void nll_moments(const struct tsr_target *t, double *var, double *var_ref, double *cov)
{
    const struct tsr_ratio *c = t->channel;
    *var = pow(tsr_ratio_error(&c[TSR_CH_NLL]), 2);
    *var_ref = pow(tsr_ratio_error(&c[TSR_CH_NLL_REF]), 2);
    *cov = (*var + *var_ref - pow(tsr_ratio_error(&c[TSR_CH_LN_RATIO]), 2)) / 2;
}

static struct tsr_estimate plain(const struct tsr_target *t, int channel)
{
    const struct tsr_vectors *s = &t->space;
    struct tsr_estimate e = {.measured = true, .error = NAN, .samples = (double)s->rows};
    double var, var_ref, cov;
    if (channel == PPL_COR || channel == PPL_DIFF) {
        if (!(t->channel[TSR_CH_NLL].total_b > 0)) return unmeasured(why_empty(t, TSR_CH_NLL));
        nll_moments(t, &var, &var_ref, &cov);
        double q = exp(tsr_ratio_value(&t->channel[TSR_CH_NLL])), base = exp(tsr_ratio_value(&t->channel[TSR_CH_NLL_REF]));
        e.samples = t->channel[TSR_CH_NLL].n;
        if (channel == PPL_COR) {
            e.value = var == 0 && var_ref == 0 ? NAN : s->exact ? 1 : cov / sqrt(var * var_ref);
            return isfinite(e.value) ? e : unmeasured("one side does not vary");
        }
        double v = q * q * var + base * base * var_ref - 2 * q * base * cov;
        e.value = q - base;
        e.error = sqrt(v > 0 ? v : 0);
        return e;
    }
    if (!s->finished) return unmeasured(why_empty(t, TSR_CH_NOISE));
    if (channel == CKA_P) {
        if (s->alignment.rows == 0) return too_few("it needs 20 samples");
        e.value = s->alignment.p;
        return isnan(s->alignment.cka) ? unmeasured("one side is constant") : e;
    }
    e.value = channel == GAUSS ? s->gaussian.diagonal : channel == GAUSS_FULL ? s->gaussian.full : s->gaussian.frechet;
    if (!isnan(e.value)) return e;
    if (!s->paired) return unmeasured("the two have different units");
    const char *why = channel == GAUSS_FULL ? s->gaussian.full_why : channel == FRECHET ? s->gaussian.frechet_why : NULL;
    return why != NULL ? unmeasured(why) : too_few("it needs two samples");
}

struct tsr_estimate tsr_measure_estimate(const struct tsr_target *t, const struct tsr_measure *m, double alpha,
                                         double scale)
{
    switch (m->form) {
    case TSR_FORM_MEAN: return mean(t, m->channel, alpha, scale);
    case TSR_FORM_RATE: return rate(t, m->channel, alpha, scale);
    case TSR_FORM_DROP: return drop(t, alpha, scale);
    case TSR_FORM_QUANTILE:
    case TSR_FORM_EXTREME: return quantile(t, m, alpha, scale);
    case TSR_FORM_ALIGNED: return aligned(t, m->channel, alpha, scale);
    default: return plain(t, m->channel);
    }
}
