#include "drift/report.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int tsr_report_bits(const struct tsr_drift_stream *s)
{
    static const char *const words[] = {"uint", "int", "fp", "bf", "f", "i", "u", "q", "w", NULL};
    const char *name = s->name, *slash = strrchr(name, '/');
    if (slash != NULL) name = slash + 1;
    for (const char *c = name; *c != '\0'; c++) {
        if (c != name && isalnum((unsigned char)c[-1])) continue; /* within a word */
        for (size_t i = 0; words[i] != NULL; i++) {
            size_t n = strlen(words[i]);
            if (strncmp(c, words[i], n) != 0 || !isdigit((unsigned char)c[n])) continue;
            int bits = c[n] - '0';
            if (isdigit((unsigned char)c[n + 1])) bits = 10 * bits + c[n + 1] - '0';
            if (bits >= 1 && bits <= 32) return bits;
        }
    }
    return tsr_dtype_bits(s->dtype);
}

const char *tsr_report_value(enum tsr_measure_unit unit, double v, char buf[TSR_VALUE_TEXT])
{
    if (isinf(v)) snprintf(buf, TSR_VALUE_TEXT, v > 0 ? "inf" : "-inf");
    else if (unit == TSR_UNIT_SHARE) snprintf(buf, TSR_VALUE_TEXT, "%.*f %%", fabs(v) < 1e-3 && v != 0 ? 4 : 2, 100 * v);
    else if (unit == TSR_UNIT_DECIBEL) snprintf(buf, TSR_VALUE_TEXT, "%.2f", v);
    else if (unit == TSR_UNIT_NUMBER && v != 1 && fabs(v - 1) < 0.1) snprintf(buf, TSR_VALUE_TEXT, "%.6f", v); /* cosines, CKA, PPL ratios */
    else snprintf(buf, TSR_VALUE_TEXT, "%.4g", v);
    return buf;
}

const char *tsr_report_unit(enum tsr_measure_unit unit)
{
    return unit == TSR_UNIT_NATS ? "nats" : unit == TSR_UNIT_DECIBEL ? "dB" : "";
}

void tsr_report_ground(struct tsr_page *p, const struct tsr_judgement *j)
{
    const struct tsr_estimate *e = &j->estimate;
    enum tsr_measure_unit unit = j->gate->measure->unit;
    char a[TSR_VALUE_TEXT], b[TSR_VALUE_TEXT];
    if (!e->measured) {
        tsr_page_add(p, "%s", e->why);
    } else {
        tsr_page_add(p, "%s", tsr_report_value(unit, e->value, a));
        if (!e->bounded) tsr_page_add(p, " of fewer than %d samples", TSR_RATIO_MIN);
        else if (j->gate->measure->form != TSR_FORM_EXTREME)
            tsr_page_add(p, " in [%s, %s]", tsr_report_value(unit, e->low, a), tsr_report_value(unit, e->high, b));
    }
    if (j->verdict != TSR_INCONCLUSIVE) return;
    if (j->needed > 0) tsr_page_add(p, "; about %.0f samples like these would decide it", j->needed);
    else tsr_page_add(p, "; no number of samples like these would decide it");
}

struct tsr_report_target tsr_report_target(const struct tsr_drift *d, size_t candidate, size_t i)
{
    const struct tsr_drift_candidate *c = &d->candidate[candidate];
    size_t at = 0;
    if (c->outputs != NULL && at++ == i) return (struct tsr_report_target){NULL, c->outputs};
    for (size_t k = 0; k < d->n_layers; k++)
        if (c->layers[k] != NULL && at++ == i) return (struct tsr_report_target){d->layer[k], c->layers[k]};
    return (struct tsr_report_target){NULL, NULL};
}

struct tsr_estimate tsr_report_estimate(const struct tsr_report *r, const struct tsr_target *t, const char *name)
{
    const struct tsr_measure *m = t != NULL ? tsr_measure_find(name, t->kind[0] == TSR_KIND_NONE) : NULL;
    if (m == NULL) return (struct tsr_estimate){.value = NAN, .error = NAN, .low = NAN, .high = NAN};
    return tsr_measure_estimate(t, m, 1 - r->confidence, 1);
}

enum tsr_status tsr_report_write(const struct tsr_report *r, enum tsr_report_format format, struct tsr_buf *to,
                                 struct tsr_error *err)
{
    struct tsr_page p = {.to = to, .err = err};
    switch (format) {
    case TSR_REPORT_JSON: return tsr_report_json(r, to, err);
    case TSR_REPORT_JUNIT: tsr_report_junit(r, &p); break;
    case TSR_REPORT_TAP: tsr_report_tap(r, &p); break;
    case TSR_REPORT_HTML: tsr_report_html(r, &p); break;
    default: tsr_report_text(r, &p);
    }
    return p.status;
}
