/* report_text.c - the report as a table for people. */
#include "drift/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void stream_line(struct tsr_page *p, const char *word, const struct tsr_drift_stream *s)
{
    tsr_page_add(p, "%-9s  ", word);
    tsr_page_text(p, s->name);
    tsr_page_add(p, ": ");
    tsr_page_text(p, s->model != NULL ? s->model : "a model of which nothing is known");
    tsr_page_add(p, ", %lld samples", (long long)s->samples);
    if (s->views > 0) tsr_page_add(p, " with %lld views each", (long long)s->views);
    tsr_page_add(p, "\n");
}

/* Columns are counted in characters, not in bytes. */
static void pad(struct tsr_page *p, const char *text, int width)
{
    int n = 0;
    for (const char *c = text; *c != '\0'; c++) n += ((unsigned char)*c & 0xc0) != 0x80;
    tsr_page_text(p, text);
    tsr_page_add(p, "%*s", n < width ? width - n : 0, "");
}

static void statistic(struct tsr_page *p, const struct tsr_target *t, const struct tsr_measure *m,
                      const struct tsr_estimate *e)
{
    char a[TSR_VALUE_TEXT], b[TSR_VALUE_TEXT], line[3 * TSR_VALUE_TEXT];
    char label[64];
    snprintf(label, sizeof label, "%s", m->label);
    if (strcmp(m->name, "topk") == 0) snprintf(label, sizeof label, "top class among the %zu likeliest", t->top_k);
    tsr_page_add(p, "  ");
    pad(p, label, 36);
    if (isfinite(e->error) && isfinite(e->value))
        snprintf(line, sizeof line, "%s \302\261 %s %s", tsr_report_value(m->unit, e->value, a),
                 tsr_report_value(m->unit, e->error, b), tsr_report_unit(m->unit));
    else snprintf(line, sizeof line, "%s %s", tsr_report_value(m->unit, e->value, a), tsr_report_unit(m->unit));
    bool interval = e->bounded && m->form != TSR_FORM_EXTREME;
    pad(p, line, interval ? 30 : 0);
    if (interval) tsr_page_add(p, "[%s, %s]", tsr_report_value(m->unit, e->low, a), tsr_report_value(m->unit, e->high, b));
    while (p->status == TSR_OK && p->to->len > 0 && p->to->data[p->to->len - 1] == ' ') p->to->len--;
    tsr_page_add(p, "\n");
}

/* Names of what was not measured, one line for each reason. */
static void reasons(struct tsr_page *p, const struct tsr_report *r, const struct tsr_target *t)
{
    size_t n;
    const struct tsr_measure *m = tsr_measures(&n);
    for (size_t i = 0; i < n; i++) {
        struct tsr_estimate e = tsr_measure_estimate(t, &m[i], 1 - r->confidence, 1);
        bool before = false;
        for (size_t k = 0; k < i && !e.measured && !before; k++) {
            struct tsr_estimate f = tsr_measure_estimate(t, &m[k], 1 - r->confidence, 1);
            before = !f.measured && strcmp(e.why, f.why) == 0;
        }
        if (e.measured || before) continue;
        tsr_page_add(p, "  not measured, since %s:", e.why);
        for (size_t k = i; k < n; k++) {
            struct tsr_estimate f = tsr_measure_estimate(t, &m[k], 1 - r->confidence, 1);
            if (!f.measured && strcmp(e.why, f.why) == 0) tsr_page_add(p, "%s %s", k > i ? "," : "", m[k].name);
        }
        tsr_page_add(p, "\n");
    }
}

static void outputs(struct tsr_page *p, const struct tsr_report *r, const struct tsr_target *t)
{
    size_t n;
    const struct tsr_measure *m = tsr_measures(&n);
    tsr_page_add(p, "\noutputs: %llu rows", (unsigned long long)t->rows);
    if (t->classes > 0) tsr_page_add(p, ", %zu classes", t->classes);
    tsr_page_add(p, "; value \302\261 standard error, [interval of %g %%]\n", 100 * r->confidence);
    for (size_t i = 0; i < n; i++) {
        struct tsr_estimate e = tsr_measure_estimate(t, &m[i], 1 - r->confidence, 1);
        if (e.measured) statistic(p, t, &m[i], &e);
    }
    reasons(p, r, t);
}

static void cell(struct tsr_page *p, const struct tsr_report *r, const struct tsr_target *t, const char *name, int width)
{
    char buf[TSR_VALUE_TEXT];
    struct tsr_estimate e = tsr_report_estimate(r, t, name);
    const struct tsr_measure *m = tsr_measure_find(name, false);
    tsr_page_add(p, " %*s", width, e.measured ? tsr_report_value(m->unit, e.value, buf) : "-");
}

static void layers(struct tsr_page *p, const struct tsr_report *r, size_t candidate)
{
    bool first = true;
    for (size_t i = 0;; i++) {
        struct tsr_report_target t = tsr_report_target(r->drift, candidate, i);
        if (t.target == NULL) return;
        if (t.layer == NULL) continue;
        if (first)
            tsr_page_add(p, "\n%-24s %7s %8s %8s %9s %8s %6s %8s %9s %9s %9s\n", "LAYER", "ROWS", "SQNR dB", "COSINE", "MSE",
                         "CKA", "P", "KNN", "GAUSS", "FULL", "FRECHET");
        first = false;
        pad(p, t.layer, 24);
        tsr_page_add(p, " %7llu", (unsigned long long)t.target->rows);
        static const struct {
            const char *name;
            int width;
        } columns[] = {{"sqnr", 8}, {"cosine", 9}, {"mse", 9}, {"cka", 9}, {"cka.p", 6},
                       {"knn", 8},  {"gauss", 9},  {"gauss.full", 9}, {"frechet", 9}};
        for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) cell(p, r, t.target, columns[k].name, columns[k].width);
        tsr_page_add(p, "\n");
    }
}

static void summary(struct tsr_page *p, const struct tsr_report *r)
{
    const struct tsr_drift *d = r->drift;
    tsr_page_add(p, "\n%-28s %4s %10s %10s %10s %10s\n", "CANDIDATE", "BITS", "KL", "SAME TOP", "ACCURACY", "SQNR dB");
    for (size_t c = 0; c < d->n; c++) {
        int bits = tsr_report_bits(&d->candidate[c].stream);
        pad(p, d->candidate[c].stream.name, 28);
        if (bits > 0) tsr_page_add(p, " %4d", bits);
        else tsr_page_add(p, " %4s", "-");
        cell(p, r, d->candidate[c].outputs, "kl", 10);
        cell(p, r, d->candidate[c].outputs, "top1", 10);
        cell(p, r, d->candidate[c].outputs, "accuracy", 10);
        cell(p, r, d->candidate[c].outputs, "sqnr", 10);
        tsr_page_add(p, "\n");
    }
}

static void gates(struct tsr_page *p, const struct tsr_report *r)
{
    if (r->judgements == 0) return;
    tsr_page_add(p, "\ngates: %zu judgement%s, right together with confidence %g\n", r->judgements,
                 r->judgements == 1 ? "" : "s", r->confidence);
    for (size_t i = 0; i < r->judgements; i++) {
        const struct tsr_judgement *j = &r->judgement[i];
        tsr_page_add(p, "  %-12s  ", tsr_verdict_name(j->verdict));
        if (r->drift->n > 1) {
            tsr_page_text(p, r->drift->candidate[j->candidate].stream.name);
            tsr_page_add(p, ": ");
        }
        tsr_page_text(p, j->gate->text);
        tsr_page_add(p, ": ");
        tsr_report_ground(p, j);
        tsr_page_add(p, "\n");
    }
    tsr_page_add(p, "verdict: %s\n", tsr_verdict_name(tsr_gates_verdict(r->judgement, r->judgements)));
}

void tsr_report_text(const struct tsr_report *r, struct tsr_page *p)
{
    const struct tsr_drift *d = r->drift;
    stream_line(p, "reference", &d->ref);
    if (d->n > 1) summary(p, r);
    for (size_t c = 0; c < d->n; c++) {
        const struct tsr_drift_candidate *k = &d->candidate[c];
        if (d->n > 1) tsr_page_add(p, "\n");
        stream_line(p, "candidate", &k->stream);
        if (k->missing[0] + k->missing[1] > 0)
            tsr_page_add(p, "           %zu rows only the reference has, %zu only the candidate\n", k->missing[0], k->missing[1]);
        if (k->outputs != NULL) outputs(p, r, k->outputs);
        layers(p, r, c);
    }
    gates(p, r);
}
