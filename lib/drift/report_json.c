/* report_json.c - the report as one JSON object; its fields are described in tessera-drift(1). */
#include "drift/report.h"

#include "io/json.h"

#include <math.h>

/* JSON has no infinity: null stands for it, and `infinite` says so of values. */
static enum tsr_status put_number(struct tsr_json *j, const char *key, double v, struct tsr_error *err)
{
    return isfinite(v) ? tsr_json_set_number(j, key, v, err) : tsr_json_set_null(j, key, err);
}

static enum tsr_status put_estimate(struct tsr_json *j, const struct tsr_estimate *e, struct tsr_error *err)
{
    if (!e->measured) {
        TSR_TRY(tsr_json_set_null(j, "value", err));
        return tsr_json_set_string(j, "why", e->why, err);
    }
    TSR_TRY(put_number(j, "value", e->value, err));
    if (isinf(e->value)) TSR_TRY(tsr_json_set_bool(j, "infinite", true, err));
    if (isfinite(e->error)) TSR_TRY(tsr_json_set_number(j, "error", e->error, err));
    TSR_TRY(put_number(j, "samples", e->samples, err));
    if (!e->bounded) return TSR_OK;
    TSR_TRY(put_number(j, "low", e->low, err));
    return put_number(j, "high", e->high, err);
}

static enum tsr_status put_statistics(const struct tsr_report *r, struct tsr_json *j, const struct tsr_target *t,
                                      struct tsr_error *err)
{
    size_t n;
    const struct tsr_measure *m = tsr_measures(&n);
    for (size_t i = 0; i < n; i++) {
        struct tsr_json *s;
        if (t->kind[0] == TSR_KIND_NONE && !m[i].layers) continue;
        struct tsr_estimate e = tsr_measure_estimate(t, &m[i], 1 - r->confidence, 1);
        TSR_TRY(tsr_json_set_object(j, m[i].name, &s, err));
        TSR_TRY(put_estimate(s, &e, err));
    }
    return TSR_OK;
}

/* By the reference's class: rows, and of them those of the same class in the candidate. */
static enum tsr_status put_classes(struct tsr_json *j, const struct tsr_target *t, struct tsr_error *err)
{
    struct tsr_json *list, *row;
    if (t->classes == 0) return TSR_OK;
    TSR_TRY(tsr_json_set_array(j, "class_rows", &list, err));
    for (size_t c = 0; c < t->classes; c++) TSR_TRY(tsr_json_set_int(list, NULL, (int64_t)t->class_rows[c], err));
    TSR_TRY(tsr_json_set_array(j, "class_agree", &list, err));
    for (size_t c = 0; c < t->classes; c++) TSR_TRY(tsr_json_set_int(list, NULL, (int64_t)t->class_agree[c], err));
    if (t->confusion == NULL) return TSR_OK;
    TSR_TRY(tsr_json_set_array(j, "confusion", &list, err));
    for (size_t c = 0; c < t->classes; c++) {
        TSR_TRY(tsr_json_set_array(list, NULL, &row, err));
        for (size_t k = 0; k < t->classes; k++)
            TSR_TRY(tsr_json_set_int(row, NULL, (int64_t)t->confusion[c * t->classes + k], err));
    }
    return TSR_OK;
}

static enum tsr_status put_stream(struct tsr_json *j, const struct tsr_drift_stream *s, struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_string(j, "name", s->name, err));
    if (s->model != NULL) TSR_TRY(tsr_json_set_string(j, "model", s->model, err));
    if (s->digest[0] != '\0') TSR_TRY(tsr_json_set_string(j, "model_digest", s->digest, err));
    if (s->producer != NULL) TSR_TRY(tsr_json_set_string(j, "producer", s->producer, err));
    if (s->views > 0) TSR_TRY(tsr_json_set_int(j, "views", s->views, err));
    return tsr_json_set_int(j, "samples", s->samples, err);
}

static enum tsr_status put_candidate(const struct tsr_report *r, struct tsr_json *j, size_t c, struct tsr_error *err)
{
    const struct tsr_drift_candidate *k = &r->drift->candidate[c];
    struct tsr_json *part, *layers;
    int bits = tsr_report_bits(&k->stream);
    TSR_TRY(put_stream(j, &k->stream, err));
    if (bits > 0) TSR_TRY(tsr_json_set_int(j, "bits", bits, err));
    TSR_TRY(tsr_json_set_int(j, "only_in_reference", (int64_t)k->missing[0], err));
    TSR_TRY(tsr_json_set_int(j, "only_in_candidate", (int64_t)k->missing[1], err));
    TSR_TRY(tsr_json_set_object(j, "layers", &layers, err));
    for (size_t i = 0;; i++) {
        struct tsr_report_target t = tsr_report_target(r->drift, c, i);
        if (t.target == NULL) return TSR_OK;
        TSR_TRY(tsr_json_set_object(t.layer == NULL ? j : layers, t.layer == NULL ? "outputs" : t.layer, &part, err));
        TSR_TRY(tsr_json_set_int(part, "rows", (int64_t)t.target->rows, err));
        TSR_TRY(put_classes(part, t.target, err));
        TSR_TRY(tsr_json_set_object(part, "statistics", &part, err));
        TSR_TRY(put_statistics(r, part, t.target, err));
    }
}

static enum tsr_status put_judgement(const struct tsr_report *r, struct tsr_json *j, const struct tsr_judgement *g,
                                     struct tsr_error *err)
{
    TSR_TRY(tsr_json_set_string(j, "gate", g->gate->text, err));
    TSR_TRY(tsr_json_set_string(j, "candidate", r->drift->candidate[g->candidate].stream.name, err));
    TSR_TRY(tsr_json_set_string(j, "verdict", tsr_verdict_name(g->verdict), err));
    TSR_TRY(tsr_json_set_number(j, "threshold", g->gate->threshold, err));
    if (g->needed > 0) TSR_TRY(tsr_json_set_number(j, "samples_needed", g->needed, err));
    return put_estimate(j, &g->estimate, err);
}

static enum tsr_status fill(const struct tsr_report *r, struct tsr_json *j, struct tsr_error *err)
{
    struct tsr_json *list, *part;
    TSR_TRY(tsr_json_set_string(j, "schema", "tessera-drift.report/1", err));
    TSR_TRY(tsr_json_set_number(j, "confidence", r->confidence, err));
    TSR_TRY(tsr_json_set_bool(j, "views", r->views, err));
    TSR_TRY(tsr_json_set_object(j, "reference", &part, err));
    TSR_TRY(put_stream(part, &r->drift->ref, err));
    TSR_TRY(tsr_json_set_array(j, "candidates", &list, err));
    for (size_t c = 0; c < r->drift->n; c++) {
        TSR_TRY(tsr_json_set_object(list, NULL, &part, err));
        TSR_TRY(put_candidate(r, part, c, err));
    }
    TSR_TRY(tsr_json_set_array(j, "gates", &list, err));
    for (size_t i = 0; i < r->judgements; i++) {
        TSR_TRY(tsr_json_set_object(list, NULL, &part, err));
        TSR_TRY(put_judgement(r, part, &r->judgement[i], err));
    }
    if (r->judgements == 0) return tsr_json_set_null(j, "verdict", err);
    return tsr_json_set_string(j, "verdict", tsr_verdict_name(tsr_gates_verdict(r->judgement, r->judgements)), err);
}

enum tsr_status tsr_report_json(const struct tsr_report *r, struct tsr_buf *to, struct tsr_error *err)
{
    struct tsr_json *j;
    TSR_TRY(tsr_json_object(&j, err));
    enum tsr_status status = fill(r, j, err);
    if (status == TSR_OK) status = tsr_json_print(j, to, err);
    if (status == TSR_OK) status = tsr_buf_append(to, "\n", 1, err);
    tsr_json_free(j);
    return status;
}
