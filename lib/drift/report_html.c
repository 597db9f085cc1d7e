/* report_html.c - the report as one page with its figures in it. */
#include "base/mem.h"
#include "drift/plot.h"
#include "drift/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAR_LAYERS 100
#define CONFUSION_DRAWN 64

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:1000px;margin:2em auto;padding:0 1em}"
    "h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #d0d7de}"
    "table{border-collapse:collapse;margin:.8em 0}th,td{padding:.2em .7em;text-align:right;border-bottom:1px solid #e4e8ec}"
    "th{font-weight:600;background:#f6f8fa}th:first-child,td:first-child{text-align:left}"
    "td.t,th.t,td.pass,td.fail,td.inconclusive{text-align:left}td{font-variant-numeric:tabular-nums}"
    ".pass{color:#1a7f37;font-weight:600}.fail{color:#cf222e;font-weight:600}.inconclusive{color:#9a6700;font-weight:600}"
    ".scroll{overflow-x:auto}figure{margin:1em 0;overflow-x:auto}figcaption{font-weight:600;margin-bottom:.3em}"
    ".pair{display:flex;flex-wrap:wrap;gap:1.5em}.note{color:#57606a}"
    "svg text{font:12px system-ui,sans-serif;fill:#1b1f24}svg .small text{font-size:10px;fill:#57606a}svg .light text{fill:#fff}"
    "svg .grid{stroke:#e4e8ec}svg .curve{stroke:#0072b2;stroke-width:1.5}svg .whisker{stroke:#1b1f24}svg .cell{stroke:#e4e8ec}"
    ".key{display:inline-block;width:.9em;height:.9em;margin:0 .4em 0 1em;vertical-align:-.1em}";

static void cell(struct tsr_page *p, const char *class, const char *text)
{
    tsr_page_add(p, "<td%s%s%s>", class ? " class=\"" : "", class ? class : "", class ? "\"" : "");
    tsr_page_xml(p, text);
    tsr_page_add(p, "</td>");
}

static void number(struct tsr_page *p, const struct tsr_report *r, const struct tsr_target *t, const char *name)
{
    char buf[TSR_VALUE_TEXT];
    struct tsr_estimate e = tsr_report_estimate(r, t, name);
    cell(p, NULL, e.measured ? tsr_report_value(tsr_measure_find(name, false)->unit, e.value, buf) : "\342\200\223");
}

static void gates(struct tsr_page *p, const struct tsr_report *r)
{
    if (r->judgements == 0) return;
    const char *verdict = tsr_verdict_name(tsr_gates_verdict(r->judgement, r->judgements));
    tsr_page_add(p, "<h2>Gates: <span class=\"%s\">%s</span></h2>\n<p class=\"note\">%zu judgement%s, right together with "
                    "confidence %g.</p>\n<table><tr><th>Candidate</th><th class=\"t\">Gate</th><th class=\"t\">Verdict</th><th class=\"t\">Ground</th></tr>\n",
                 verdict, verdict, r->judgements, r->judgements == 1 ? "" : "s", r->confidence);
    for (size_t i = 0; i < r->judgements; i++) {
        const struct tsr_judgement *j = &r->judgement[i];
        tsr_page_add(p, "<tr>");
        cell(p, NULL, r->drift->candidate[j->candidate].stream.name);
        cell(p, "t", j->gate->text);
        cell(p, tsr_verdict_name(j->verdict), tsr_verdict_name(j->verdict));
        tsr_page_add(p, "<td class=\"t\">");
        tsr_report_ground(p, j);
        tsr_page_add(p, "</td></tr>\n");
    }
    tsr_page_add(p, "</table>\n");
}

static void summary(struct tsr_page *p, const struct tsr_report *r)
{
    const struct tsr_drift *d = r->drift;
    tsr_page_add(p, "<p>Reference: <b>");
    tsr_page_xml(p, d->ref.name);
    tsr_page_add(p, "</b>");
    if (d->ref.model != NULL) {
        tsr_page_add(p, ", answers of ");
        tsr_page_xml(p, d->ref.model);
    }
    tsr_page_add(p, " to %lld samples%s.</p>\n<div class=\"scroll\"><table><tr><th>Candidate</th><th>Bits</th><th>Rows</th>"
                    "<th>KL, nats</th><th>Same top class</th><th>Accuracy</th><th>SQNR, dB</th><th>CKA</th></tr>\n",
                 (long long)d->ref.samples, r->views ? " and their views" : "");
    for (size_t c = 0; c < d->n; c++) {
        const struct tsr_target *t = d->candidate[c].outputs;
        int bits = tsr_report_bits(&d->candidate[c].stream);
        tsr_page_add(p, "<tr>");
        cell(p, NULL, d->candidate[c].stream.name);
        tsr_page_add(p, bits > 0 ? "<td>%d</td>" : "<td>\342\200\223</td>", bits);
        tsr_page_add(p, "<td>%llu</td>", t != NULL ? (unsigned long long)t->rows : 0);
        number(p, r, t, "kl");
        number(p, r, t, "top1");
        number(p, r, t, "accuracy");
        number(p, r, t, "sqnr");
        number(p, r, t, "cka");
        tsr_page_add(p, "</tr>\n");
    }
    tsr_page_add(p, "</table></div>\n");
}

/* One statistic of the outputs over the candidates from many bits to few. */
static enum tsr_status against_bits(struct tsr_page *p, const struct tsr_report *r, const char *name, const char *title,
                                    const char *ordinate, bool logarithmic)
{
    const struct tsr_drift *d = r->drift;
    struct tsr_plot_point *point = tsr_calloc(d->n, sizeof *point);
    char (*label)[16] = tsr_calloc(d->n, sizeof *label);
    size_t *order = tsr_calloc(d->n, sizeof *order), measured = 0;
    enum tsr_status status = point == NULL || label == NULL || order == NULL ? tsr_nomem(p->err, d->n * sizeof *point) : TSR_OK;
    for (size_t i = 0; status == TSR_OK && i < d->n; i++) {
        size_t at = i;
        int bits = tsr_report_bits(&d->candidate[i].stream);
        for (; at > 0 && tsr_report_bits(&d->candidate[order[at - 1]].stream) < bits; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    for (size_t i = 0; status == TSR_OK && i < d->n; i++) {
        const struct tsr_drift_candidate *c = &d->candidate[order[i]];
        struct tsr_estimate e = tsr_report_estimate(r, c->outputs, name);
        int bits = tsr_report_bits(&c->stream);
        snprintf(label[i], sizeof label[i], bits > 0 ? "%d bits" : "?", bits);
        point[i] = (struct tsr_plot_point){.name = label[i], .detail = c->stream.name, .value = e.measured ? e.value : NAN,
                                           .low = e.bounded ? e.low : NAN, .high = e.bounded ? e.high : NAN};
        measured += e.measured;
    }
    if (status == TSR_OK && measured > 0) {
        struct tsr_plot_points plot = {.title = title, .ordinate = ordinate, .logarithmic = logarithmic,
                                       .share = !logarithmic, .point = point, .n = d->n};
        tsr_plot_points(p, &plot);
    }
    tsr_free(point);
    tsr_free(label);
    tsr_free(order);
    return status;
}

static void legend(struct tsr_page *p, const struct tsr_drift *d)
{
    if (d->n < 2) return;
    tsr_page_add(p, "<p>");
    for (size_t c = 0; c < d->n; c++) {
        tsr_page_add(p, "<span class=\"key\" style=\"background:%s\"></span>", tsr_plot_colour(c));
        tsr_page_xml(p, d->candidate[c].stream.name);
    }
    tsr_page_add(p, "</p>\n");
}

static enum tsr_status layer_bars(struct tsr_page *p, const struct tsr_report *r)
{
    const struct tsr_drift *d = r->drift;
    size_t n = d->n_layers < BAR_LAYERS ? d->n_layers : BAR_LAYERS, rows = 0;
    const char **row = tsr_calloc(n + 2, sizeof *row), **series = tsr_calloc(d->n, sizeof *series);
    double *value = tsr_calloc((n + 2) * d->n, sizeof *value);
    enum tsr_status status = row == NULL || series == NULL || value == NULL ? tsr_nomem(p->err, n * d->n * sizeof *value) : TSR_OK;
    for (size_t i = 0; status == TSR_OK && i <= n; i++) {
        bool any = false;
        for (size_t c = 0; c < d->n; c++) {
            const struct tsr_drift_candidate *k = &d->candidate[c];
            const struct tsr_target *t = i < n ? k->layers[i] : k->outputs; /* outputs last, as in the network */
            struct tsr_estimate e = tsr_report_estimate(r, t, "sqnr");
            value[rows * d->n + c] = e.measured ? e.value : NAN;
            series[c] = k->stream.name;
            any = any || e.measured;
        }
        row[rows] = i < n ? d->layer[i] : "outputs";
        rows += any;
    }
    if (status == TSR_OK && rows > 0) {
        struct tsr_plot_bars plot = {.title = "Signal to noise, layer by layer", .abscissa = "SQNR in dB; more is better",
                                     .row = row, .series = series, .n_rows = rows, .n_series = d->n, .value = value};
        tsr_plot_bars(p, &plot);
        legend(p, d);
        if (d->n_layers > n) tsr_page_add(p, "<p class=\"note\">The first %zu of %zu layers.</p>\n", n, d->n_layers);
    }
    tsr_free(row);
    tsr_free(series);
    tsr_free(value);
    return status;
}

static void statistics(struct tsr_page *p, const struct tsr_report *r, const struct tsr_target *t)
{
    size_t n;
    char a[TSR_VALUE_TEXT], b[TSR_VALUE_TEXT];
    const struct tsr_measure *m = tsr_measures(&n);
    tsr_page_add(p, "<table><tr><th>Outputs</th><th>Value</th><th>Standard error</th><th>Interval of %g %%</th></tr>\n", 100 * r->confidence);
    for (size_t i = 0; i < n; i++) {
        struct tsr_estimate e = tsr_measure_estimate(t, &m[i], 1 - r->confidence, 1);
        if (!e.measured) continue;
        tsr_page_add(p, "<tr>");
        if (strcmp(m[i].name, "topk") == 0) tsr_page_add(p, "<td>top class among the %zu likeliest</td>", t->top_k);
        else cell(p, NULL, m[i].label);
        tsr_page_add(p, "<td>%s %s</td>", tsr_report_value(m[i].unit, e.value, a), tsr_report_unit(m[i].unit));
        tsr_page_add(p, "<td>%s</td>", isfinite(e.error) ? tsr_report_value(m[i].unit, e.error, a) : "");
        if (e.bounded && m[i].form != TSR_FORM_EXTREME)
            tsr_page_add(p, "<td>%s \342\200\246 %s</td>", tsr_report_value(m[i].unit, e.low, a), tsr_report_value(m[i].unit, e.high, b));
        else tsr_page_add(p, "<td></td>");
        tsr_page_add(p, "</tr>\n");
    }
    tsr_page_add(p, "</table>\n");
}

static void layer_table(struct tsr_page *p, const struct tsr_report *r, size_t c)
{
    static const char *const columns[] = {"sqnr", "cosine", "mse", "cka", "cka.p", "knn", "gauss", "gauss.full", "frechet"};
    bool first = true;
    for (size_t i = 0;; i++) {
        struct tsr_report_target t = tsr_report_target(r->drift, c, i);
        if (t.target == NULL) break;
        if (t.layer == NULL) continue;
        if (first)
            tsr_page_add(p, "<div class=\"scroll\"><table><tr><th>Layer</th><th>SQNR, dB</th><th>Cosine</th><th>MSE</th><th>CKA</th>"
                            "<th>its p</th><th>10 nearest</th><th>Gauss KL</th><th>full</th><th>Fr\303\251chet</th></tr>\n");
        first = false;
        tsr_page_add(p, "<tr>");
        cell(p, NULL, t.layer);
        for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) number(p, r, t.target, columns[k]);
        tsr_page_add(p, "</tr>\n");
    }
    if (!first) tsr_page_add(p, "</table></div>\n");
}

static void candidate(struct tsr_page *p, const struct tsr_report *r, size_t c)
{
    const struct tsr_drift_candidate *k = &r->drift->candidate[c];
    const struct tsr_target *t = k->outputs;
    tsr_page_add(p, "<h2>");
    tsr_page_xml(p, k->stream.name);
    tsr_page_add(p, "</h2>\n");
    if (k->stream.model != NULL) {
        tsr_page_add(p, "<p class=\"note\">Answers of ");
        tsr_page_xml(p, k->stream.model);
        tsr_page_add(p, " to %lld samples.</p>\n", (long long)k->stream.samples);
    }
    tsr_page_add(p, "<div class=\"pair\">\n");
    if (t != NULL) statistics(p, r, t);
    if (t != NULL && t->confusion != NULL && t->classes <= CONFUSION_DRAWN)
        tsr_plot_confusion(p, "Classes: reference against candidate", t->confusion, t->classes);
    tsr_page_add(p, "</div>\n");
    layer_table(p, r, c);
}

void tsr_report_html(const struct tsr_report *r, struct tsr_page *p)
{
    tsr_page_add(p, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Drift from ");
    tsr_page_xml(p, r->drift->ref.name);
    tsr_page_add(p, "</title>\n<style>%s</style></head>\n<body><h1>Drift from ", style);
    tsr_page_xml(p, r->drift->ref.name);
    tsr_page_add(p, "</h1>\n");
    summary(p, r);
    gates(p, r);
    enum tsr_status status = TSR_OK;
    if (r->drift->n > 1) {
        tsr_page_add(p, "<h2>Drift against bits</h2>\n<div class=\"pair\">\n");
        status = against_bits(p, r, "kl", "Divergence of the outputs", "KL in nats", true);
        if (status == TSR_OK) status = against_bits(p, r, "top1", "Same top class as the reference", "share of samples", false);
        tsr_page_add(p, "</div>\n");
    }
    tsr_page_add(p, "<h2>Layers</h2>\n");
    if (status == TSR_OK) status = layer_bars(p, r);
    for (size_t c = 0; c < r->drift->n; c++) candidate(p, r, c);
    tsr_page_add(p, "</body></html>\n");
    if (p->status == TSR_OK) p->status = status;
}
