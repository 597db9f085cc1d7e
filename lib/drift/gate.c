#include "drift/gate.h"

#include "base/mem.h"
#include "io/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_SAMPLES 1e12

void tsr_gate_release(struct tsr_gate *g)
{
    tsr_free(g->text);
    tsr_free(g->layer);
    *g = (struct tsr_gate){0};
}

static enum tsr_status malformed(const char *text, struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_USAGE,
                    "a gate is written STATISTIC>=NUMBER, STATISTIC<=NUMBER or layer:NAME.STATISTIC>=NUMBER, not '%.100s'", text);
}

/* The names of all that can be gated, for messages: those with points in them are left out. */
static enum tsr_status unknown(const char *name, bool layer, struct tsr_error *err)
{
    char list[256] = "";
    size_t n, used = 0;
    const struct tsr_measure *m = tsr_measures(&n);
    for (size_t i = 0; i < n; i++) {
        if (m[i].form == TSR_FORM_PLAIN || strchr(m[i].name, '.') != NULL || (layer && !m[i].layers)) continue;
        int k = snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", m[i].name);
        if (k > 0 && (size_t)k < sizeof list - used) used += (size_t)k;
    }
    return tsr_fail(err, TSR_E_USAGE, "there is no statistic '%.80s' of %s; there are %s, and others in the manual", name,
                    layer ? "a layer" : "outputs", list);
}

/* "NAME.STATISTIC" where NAME may have points itself: the first that leaves a statistic. */
static enum tsr_status parse_layer(struct tsr_gate *g, char *name, struct tsr_error *err)
{
    for (char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        g->measure = tsr_measure_find(dot + 1, true);
        if (g->measure == NULL || dot == name) continue;
        *dot = '\0';
        g->layer = tsr_strdup(name);
        return g->layer == NULL ? tsr_nomem(err, strlen(name) + 1) : TSR_OK;
    }
    const char *last = strrchr(name, '.');
    return last == NULL || last == name ? malformed(g->text, err) : unknown(last + 1, true, err);
}

static enum tsr_status parse(struct tsr_gate *g, char *name, struct tsr_error *err)
{
    char *op = strstr(name, ">="), *le = strstr(name, "<=");
    /* a layer's name may have such signs, too: the last one counts */
    for (char *next = op; next != NULL; next = strstr(next + 1, ">=")) op = next;
    for (char *next = le; next != NULL; next = strstr(next + 1, "<=")) le = next;
    if (le != NULL && (op == NULL || le > op)) op = le;
    if (op == NULL || op == name) return malformed(g->text, err);
    g->at_least = *op == '>';
    char *number = op + 2;
    size_t n = strlen(number);
    while (n > 0 && *number == ' ') number++, n--;
    bool percent = n > 0 && number[n - 1] == '%';
    if (!tsr_number_parse(number, n - percent, &g->threshold) || !isfinite(g->threshold)) return malformed(g->text, err);
    if (percent) g->threshold /= 100;
    while (op > name && op[-1] == ' ') op--;
    *op = '\0';
    if (strncmp(name, "layer:", 6) == 0) TSR_TRY(parse_layer(g, name + 6, err));
    else g->measure = tsr_measure_find(name, false);
    if (g->measure == NULL) return unknown(name, false, err);
    if (g->measure->form == TSR_FORM_PLAIN)
        return tsr_fail(err, TSR_E_USAGE, "gate '%.100s': no confidence bound is known for '%s', so it cannot be gated", g->text,
                        g->measure->name);
    return TSR_OK;
}

enum tsr_status tsr_gate_parse(const char *text, struct tsr_gate *gate, struct tsr_error *err)
{
    *gate = (struct tsr_gate){.text = tsr_strdup(text)};
    char *copy = tsr_strdup(text);
    enum tsr_status status = gate->text == NULL || copy == NULL ? tsr_nomem(err, strlen(text) + 1) : parse(gate, copy, err);
    tsr_free(copy);
    if (status != TSR_OK) tsr_gate_release(gate);
    return status;
}

bool tsr_gate_wants_labels(const struct tsr_gate *gate) { return tsr_measure_wants_labels(gate->measure); }

static enum tsr_verdict judge(const struct tsr_gate *g, const struct tsr_estimate *e)
{
    if (!e->measured || !e->bounded) return TSR_INCONCLUSIVE;
    if (g->at_least) return e->low >= g->threshold ? TSR_PASS : e->high < g->threshold ? TSR_FAIL : TSR_INCONCLUSIVE;
    return e->high <= g->threshold ? TSR_PASS : e->low > g->threshold ? TSR_FAIL : TSR_INCONCLUSIVE;
}

enum tsr_verdict tsr_gate_judge(const struct tsr_gate *gate, const struct tsr_target *t, double alpha,
                                struct tsr_estimate *estimate)
{
    *estimate = tsr_measure_estimate(t, gate->measure, alpha, 1);
    return judge(gate, estimate);
}

static bool decides(const struct tsr_target *t, const struct tsr_gate *g, double alpha, double samples, double more)
{
    struct tsr_estimate e = tsr_measure_estimate(t, g->measure, alpha, more / samples);
    return judge(g, &e) != TSR_INCONCLUSIVE;
}

/* The smallest number of samples like these that decides. */
static double needed(const struct tsr_target *t, const struct tsr_gate *g, double alpha, const struct tsr_estimate *e)
{
    double limit = g->measure->form == TSR_FORM_ALIGNED ? TSR_SKETCH_ROWS : MOST_SAMPLES, lo = e->samples, hi = 2 * lo;
    if (!e->measured) return TSR_RATIO_MIN;
    while (!decides(t, g, alpha, e->samples, hi < limit ? hi : limit)) {
        if (hi >= limit) return 0;
        lo = hi;
        hi *= 2;
    }
    if (hi > limit) hi = limit;
    while (hi - lo > 1 && hi - lo > 1e-3 * lo) {
        double mid = floor(lo + (hi - lo) / 2);
        if (decides(t, g, alpha, e->samples, mid)) hi = mid;
        else lo = mid;
    }
    return ceil(hi);
}

static enum tsr_status no_layer(const struct tsr_drift *d, size_t c, const struct tsr_gate *g, struct tsr_error *err)
{
    char list[300] = "";
    size_t used = 0;
    for (size_t i = 0; i < d->n_layers; i++) {
        if (d->candidate[c].layers[i] == NULL) continue;
        int k = snprintf(list + used, sizeof list - used, "%s'%.60s'", used > 0 ? ", " : "", d->layer[i]);
        if (k > 0 && (size_t)k < sizeof list - used) used += (size_t)k;
    }
    return tsr_fail(err, TSR_E_NOT_FOUND, "gate '%.100s': there is no such layer in both streams; there %s %s", g->text,
                    used > 0 ? "are" : "is", used > 0 ? list : "none");
}

static enum tsr_status find_target(const struct tsr_drift *d, size_t c, const struct tsr_gate *g,
                                   const struct tsr_target **out, struct tsr_error *err)
{
    *out = g->layer == NULL ? d->candidate[c].outputs : NULL;
    for (size_t i = 0; g->layer != NULL && i < d->n_layers; i++)
        if (strcmp(d->layer[i], g->layer) == 0) *out = d->candidate[c].layers[i];
    if (*out != NULL) return TSR_OK;
    if (g->layer != NULL) return no_layer(d, c, g, err);
    return tsr_fail(err, TSR_E_MISMATCH, "gate '%.100s': '%s' and '%s' do not both hold outputs", g->text, d->ref.name,
                    d->candidate[c].stream.name);
}

enum tsr_status tsr_gates_judge(const struct tsr_drift *d, const struct tsr_gate *gate, size_t n, double confidence,
                                struct tsr_judgement *out, struct tsr_error *err)
{
    double alpha = (1 - confidence) / ((double)n * (double)d->n);
    for (size_t i = 0; i < n * d->n; i++) {
        const struct tsr_target *t;
        struct tsr_judgement *j = &out[i];
        *j = (struct tsr_judgement){.gate = &gate[i / d->n], .candidate = i % d->n};
        TSR_TRY(find_target(d, j->candidate, j->gate, &t, err));
        j->verdict = tsr_gate_judge(j->gate, t, alpha, &j->estimate);
        if (!j->estimate.measured && !j->estimate.few)
            return tsr_fail(err, TSR_E_MISMATCH, "gate '%.100s' cannot be judged for '%s': %s", j->gate->text,
                            d->candidate[j->candidate].stream.name, j->estimate.why);
        if (j->verdict == TSR_INCONCLUSIVE) j->needed = needed(t, j->gate, alpha, &j->estimate);
    }
    return TSR_OK;
}

enum tsr_verdict tsr_gates_verdict(const struct tsr_judgement *j, size_t n)
{
    enum tsr_verdict all = TSR_PASS;
    for (size_t i = 0; i < n; i++) {
        if (j[i].verdict == TSR_FAIL) return TSR_FAIL;
        if (j[i].verdict == TSR_INCONCLUSIVE) all = TSR_INCONCLUSIVE;
    }
    return all;
}

const char *tsr_verdict_name(enum tsr_verdict v)
{
    return v == TSR_PASS ? "pass" : v == TSR_FAIL ? "fail" : "inconclusive";
}
