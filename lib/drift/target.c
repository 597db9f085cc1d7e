#include "drift/target.h"

#include "base/mem.h"
#include "drift/clusters.h"

#include <math.h>

/* What a row adds to the channels: a over b, b 0 where it says nothing. */
struct parts {
    double a[TSR_CHANNELS], b[TSR_CHANNELS];
};

static bool has_softmax(enum tsr_row_kind kind) { return kind == TSR_KIND_LOGITS || kind == TSR_KIND_PROBABILITIES; }
static bool has_classes(enum tsr_row_kind kind) { return has_softmax(kind) || kind == TSR_KIND_ARGMAX; }

static enum tsr_status check(const struct tsr_target_shape *s, struct tsr_error *err)
{
    const enum tsr_row_kind *k = s->kind;
    bool both = has_classes(k[0]) && has_classes(k[1]);
    if (k[0] != k[1] && !both)
        return tsr_fail(err, TSR_E_MISMATCH, "its outputs are of kind '%s', those of the reference '%s'",
                        tsr_row_kind_name(k[1]), tsr_row_kind_name(k[0]));
    size_t c0 = tsr_answer_classes(k[0], s->cols[0]), c1 = tsr_answer_classes(k[1], s->cols[1]);
    if (has_softmax(k[0]) && has_softmax(k[1]) && c0 != c1)
        return tsr_fail(err, TSR_E_MISMATCH, "it has %zu classes, the reference has %zu", c1, c0);
    if (k[0] == TSR_KIND_REGRESSION && s->cols[0] != s->cols[1])
        return tsr_fail(err, TSR_E_MISMATCH, "it gives %zu values a sample, the reference %zu", s->cols[1], s->cols[0]);
    return TSR_OK;
}

static void *zeroed(size_t n, size_t size, enum tsr_status *status, struct tsr_error *err)
{
    if (*status != TSR_OK) return NULL;
    void *p = tsr_calloc(n, size);
    if (p == NULL) *status = tsr_nomem(err, n * size);
    return p;
}

static enum tsr_status init(struct tsr_target *t, const struct tsr_target_shape *s, struct tsr_error *err)
{
    enum tsr_status status = TSR_OK;
    bool softmax = has_softmax(s->kind[0]) && has_softmax(s->kind[1]);
    if (has_classes(s->kind[0])) {
        size_t c0 = tsr_answer_classes(s->kind[0], s->cols[0]), c1 = tsr_answer_classes(s->kind[1], s->cols[1]);
        t->classes = c0 > c1 ? c0 : c1;
    }
    for (int i = 0; i < 2; i++) {
        t->kind[i] = s->kind[i];
        t->cols[i] = s->cols[i];
        t->answer[i].log_p = zeroed(t->classes + 1, sizeof(double), &status, err);
        t->answer[i].vector = zeroed(s->cols[i] + 1, sizeof(float), &status, err);
    }
    t->top_k = s->top_k < t->classes ? s->top_k : 0;
    if (t->classes > 0) {
        t->class_rows = zeroed(t->classes, sizeof *t->class_rows, &status, err);
        t->class_agree = zeroed(t->classes, sizeof *t->class_agree, &status, err);
        if (t->classes <= TSR_CONFUSION_CLASSES)
            t->confusion = zeroed(t->classes * t->classes, sizeof *t->confusion, &status, err);
    }
    TSR_TRY(status);
    if (softmax) {
        TSR_TRY(tsr_histogram_init(&t->kl, err));
        TSR_TRY(tsr_histogram_init(&t->dp, err));
    }
    if (s->clustered) TSR_TRY(tsr_clusters_new(sizeof(struct parts) / sizeof(double), &t->clusters, err));
    if (s->kind[0] == TSR_KIND_NONE) return tsr_vectors_init(&t->space, s->cols[0], s->cols[1], !s->apart, err);
    t->space_kind = tsr_answer_space(s->kind[0], s->kind[1]);
    if (t->space_kind == TSR_SPACE_NONE) return TSR_OK;
    TSR_TRY(tsr_vectors_init(&t->space, tsr_answer_width(s->kind[0], t->space_kind, s->cols[0]),
                           tsr_answer_width(s->kind[1], t->space_kind, s->cols[1]), true, err));
    t->space.closed = t->space_kind != TSR_SPACE_VALUES;
    return TSR_OK;
}

enum tsr_status tsr_target_new(const struct tsr_target_shape *shape, struct tsr_target **out, struct tsr_error *err)
{
    *out = NULL;
    TSR_TRY(check(shape, err));
    struct tsr_target *t = tsr_calloc(1, sizeof *t);
    if (t == NULL) return tsr_nomem(err, sizeof *t);
    enum tsr_status status = init(t, shape, err);
    if (status == TSR_OK) *out = t;
    else tsr_target_free(t);
    return status;
}

void tsr_target_free(struct tsr_target *t)
{
    if (t == NULL) return;
    for (int i = 0; i < 2; i++) {
        tsr_free(t->answer[i].log_p);
        tsr_free(t->answer[i].vector);
    }
    tsr_free(t->class_rows);
    tsr_free(t->class_agree);
    tsr_free(t->confusion);
    tsr_histogram_release(&t->kl);
    tsr_histogram_release(&t->dp);
    tsr_vectors_release(&t->space);
    tsr_clusters_free(t->clusters);
    tsr_free(t);
}

static void set(struct parts *p, enum tsr_channel c, double a)
{
    p->a[c] = a;
    p->b[c] = 1;
}

static void add_label(struct parts *p, int64_t label, const struct tsr_answer *ref, const struct tsr_answer *x, bool softmax)
{
    bool right = x->top == label, right_ref = ref->top == label;
    set(p, TSR_CH_RIGHT, right);
    set(p, TSR_CH_RIGHT_REF, right_ref);
    set(p, TSR_CH_LOST, right_ref && !right);
    set(p, TSR_CH_WON, right && !right_ref);
    if (!softmax) return;
    set(p, TSR_CH_NLL, -x->log_p[label]);
    set(p, TSR_CH_NLL_REF, -ref->log_p[label]);
    set(p, TSR_CH_LN_RATIO, ref->log_p[label] - x->log_p[label]);
}

/* The outputs' channels, histograms and counts. */
static enum tsr_status add_answers(struct tsr_target *t, const struct tsr_target_row *row, struct parts *p,
                                   struct tsr_error *err)
{
    struct tsr_answer *ref = &t->answer[0], *x = &t->answer[1];
    bool softmax = has_softmax(t->kind[0]) && has_softmax(t->kind[1]);
    tsr_answer_read(t->kind[0], t->space_kind, row->ref, t->cols[0], ref);
    tsr_answer_read(t->kind[1], t->space_kind, row->x, t->cols[1], x);
    if (!has_classes(t->kind[0])) return TSR_OK;
    if (t->classes > 0 && (row->label >= (int64_t)t->classes || ref->top >= (int64_t)t->classes || x->top >= (int64_t)t->classes))
        return tsr_fail(err, TSR_E_CORRUPT, "there is a class %lld, but the outputs have %zu classes",
                        (long long)(row->label >= (int64_t)t->classes ? row->label : ref->top > x->top ? ref->top : x->top),
                        t->classes);
    set(p, TSR_CH_TOP1, ref->top == x->top);
    if (row->label >= 0) {
        add_label(p, row->label, ref, x, softmax);
        t->labelled++;
    }
    if (t->classes > 0) {
        t->class_rows[ref->top]++;
        t->class_agree[ref->top] += ref->top == x->top;
        if (t->confusion != NULL) t->confusion[(size_t)ref->top * t->classes + (size_t)x->top]++;
    }
    if (t->top_k > 0 && has_softmax(t->kind[1])) set(p, TSR_CH_TOPK, tsr_answer_among(x, ref->top, t->top_k));
    if (!softmax) return TSR_OK;
    int64_t class = row->label >= 0 ? row->label : ref->top;
    double kl = tsr_answer_kl(ref, x), dp = exp(x->log_p[class]) - exp(ref->log_p[class]);
    set(p, TSR_CH_KL, kl);
    set(p, TSR_CH_TV, tsr_answer_variation(ref, x));
    set(p, TSR_CH_DP, dp);
    set(p, TSR_CH_DP2, dp * dp);
    tsr_histogram_add(&t->kl, kl);
    tsr_histogram_add(&t->dp, dp);
    return TSR_OK;
}

static enum tsr_status add_vectors(struct tsr_target *t, const struct tsr_target_row *row, struct parts *p,
                                   struct tsr_error *err)
{
    bool layer = t->kind[0] == TSR_KIND_NONE;
    struct tsr_vectors_row r;
    if (!layer && t->space_kind == TSR_SPACE_NONE) return TSR_OK;
    TSR_TRY(tsr_vectors_add(&t->space, row->key, !row->view, layer ? row->ref : t->answer[0].vector,
                          layer ? row->x : t->answer[1].vector, &r, err));
    if (isnan(r.cosine)) return TSR_OK;
    p->a[TSR_CH_NOISE] = r.noise;
    p->b[TSR_CH_NOISE] = r.signal;
    p->a[TSR_CH_MSE] = r.noise;
    p->b[TSR_CH_MSE] = (double)t->space.cols[0];
    set(p, TSR_CH_COSINE, r.cosine);
    return TSR_OK;
}

enum tsr_status tsr_target_add(struct tsr_target *t, const struct tsr_target_row *row, struct tsr_error *err)
{
    struct parts p = {{0}, {0}};
    if (t->kind[0] != TSR_KIND_NONE) TSR_TRY(add_answers(t, row, &p, err));
    TSR_TRY(add_vectors(t, row, &p, err));
    t->rows++;
    for (int c = 0; c < TSR_CHANNELS; c++) {
        tsr_ratio_add_row(&t->channel[c], p.a[c], p.b[c]);
        if (t->clusters == NULL) tsr_ratio_add_sample(&t->channel[c], p.a[c], p.b[c]);
    }
    if (t->clusters == NULL) return TSR_OK;
    TSR_TRY(tsr_clusters_add(t->clusters, row->key, p.a, err));
    return row->partner != NULL ? tsr_clusters_add(t->clusters, row->partner, p.a, err) : TSR_OK;
}

void tsr_target_settle(struct tsr_target *t)
{
    if (t->clusters == NULL) return;
    for (size_t i = 0; i < tsr_clusters_count(t->clusters); i++) {
        const double *sum = tsr_clusters_sums(t->clusters, i);
        for (int c = 0; c < TSR_CHANNELS; c++) tsr_ratio_add_sample(&t->channel[c], sum[c], sum[TSR_CHANNELS + c]);
    }
    tsr_clusters_clear(t->clusters);
}

enum tsr_status tsr_target_finish(struct tsr_target *t, struct tsr_error *err)
{
    tsr_target_settle(t);
    if (t->kind[0] != TSR_KIND_NONE && t->space_kind == TSR_SPACE_NONE) return TSR_OK;
    return tsr_vectors_finish(&t->space, err);
}
