#include "transfer/teach.h"

#include "base/mem.h"
#include "graph/fuse.h"
#include "train/loss.h"
#include "transfer/headfit.h"
#include "transfer/lesson.h"
#include "transfer/projection.h"

#include <math.h>
#include <string.h>

/* The quick budget takes the rate that suits most receivers untried and looks at the held-out
 * rows once, at the end. */
struct tsr_teach_options tsr_teach_defaults(bool quality)
{
    struct tsr_teach_options o = {
        .outputs = true,
        .temperature = 1,
        .steps = quality ? 2000 : 250,
        .batch = 64,
        .rate = {.list = {5e-3f}, .n = 1},
        .looks = quality ? 4 : 1,
        .ema = quality ? 0.99f : 0.95f,
        .refit_head = quality,
    };
    if (quality) o.rate = (struct tsr_rate_choice){.list = {1e-2f, 5e-3f, 2e-3f}, .n = 3, .steps = 150};
    return o;
}

/* Everything one lesson needs; the callbacks' argument. */
struct teacher {
    struct tsr_graph *g, *fused; /* the receiver, and what runs: the same parameters */
    const struct tsr_tokens *tokens;
    const struct tsr_teach_options *opt;
    struct tsr_lesson lesson;
    struct tsr_session *session;
    struct tsr_params params;
    struct tsr_head head;
    bool has_head, one_row; /* one_row: of the head, a sample */
    int32_t want[2];
    float *target;   /* [lesson.n, classes] in lesson order: probabilities, or values */
    float *want_out; /* the targets of a batch */
    size_t want_room;
    struct tsr_projection hub;
    unsigned char *mask;
    struct tsr_fit_problem problem;
};

static enum tsr_status feed(void *arg, const uint32_t *row, int64_t n, struct tsr_session *s, struct tsr_error *err)
{
    struct teacher *t = arg;
    return tsr_lesson_input(&t->lesson, row, n, t->g, s, err);
}

/* Rows of the batch, gathered from a table of lesson rows. */
static void gather(const float *table, int64_t width, const uint32_t *row, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++) memcpy(to + i * width, table + (int64_t)row[i] * width, (size_t)width * sizeof *to);
}

static enum tsr_status lesson_loss(void *arg, const uint32_t *row, int64_t n, const struct tsr_tensor *const *value,
                                   struct tsr_tensor *grad, double *loss, struct tsr_error *err)
{
    struct teacher *t = arg;
    int64_t c = t->tokens->classes;
    *loss = 0;
    if (t->opt->outputs) {
        if (tsr_tensor_count(value[0]) != n * c)
            return tsr_fail(err, TSR_E_MISMATCH, "the stream has %lld outputs a sample, the receiver gives %lld",
                            (long long)c, (long long)(tsr_tensor_count(value[0]) / (n > 0 ? n : 1)));
        TSR_TRY(tsr_grow(&t->want_out, &t->want_room, (size_t)(n * c), sizeof *t->want_out, err));
        float *want = t->want_out, *g = grad != NULL ? grad[0].data : NULL;
        gather(t->target, c, row, n, want);
        *loss = t->tokens->kind == TSR_KIND_REGRESSION ? tsr_loss_mse(value[0]->data, want, n, c, g)
                                                     : tsr_loss_kl(value[0]->data, want, n, c, t->opt->temperature, g);
    }
    if (t->opt->hub) {
        size_t at = t->opt->outputs ? 1 : 0;
        double part;
        TSR_TRY(tsr_projection_loss(&t->hub, t->opt->hub_weight, row, n, value[at]->data,
                                    grad != NULL ? grad[at].data : NULL, t->opt->pool, &part, err));
        *loss += part;
    }
    return TSR_OK;
}

/* The targets of every lesson row: the teacher's probabilities at the temperature. */
static enum tsr_status make_targets(struct teacher *t, struct tsr_error *err)
{
    const struct tsr_tokens *k = t->tokens;
    int64_t c = k->classes;
    t->target = tsr_malloc((size_t)t->lesson.n * (size_t)c, sizeof *t->target);
    if (t->target == NULL) return tsr_nomem(err, (size_t)t->lesson.n * (size_t)c * sizeof *t->target);
    gather(k->out, c, t->lesson.row, t->lesson.n, t->target);
    float temperature = t->opt->temperature;
    if (k->kind == TSR_KIND_LOGITS) tsr_softmax_rows(t->target, t->lesson.n, c, temperature, t->target);
    if (k->kind == TSR_KIND_PROBABILITIES)
        for (int64_t i = 0; i < (int64_t)t->lesson.n * c; i++)
            t->target[i] = logf(t->target[i] > 1e-7f ? t->target[i] : 1e-7f);
    if (k->kind == TSR_KIND_PROBABILITIES) tsr_softmax_rows(t->target, t->lesson.n, c, temperature, t->target);
    return TSR_OK;
}

static enum tsr_status make_mask(struct teacher *t, struct tsr_error *err)
{
    if (!t->opt->keep_zeros) return TSR_OK;
    t->mask = tsr_malloc((size_t)t->params.total, 1);
    if (t->mask == NULL) return tsr_nomem(err, (size_t)t->params.total);
    unsigned char *m = t->mask;
    for (size_t i = 0; i < t->params.n; i++)
        for (int64_t k = 0; k < t->params.p[i].n; k++) *m++ = !t->params.p[i].decay || t->params.p[i].w[k] != 0;
    return TSR_OK;
}

/* The receiver's own first answers for every lesson row, in the form of the targets. */
static enum tsr_status own_answers(struct teacher *t, float *own, struct tsr_error *err)
{
    int64_t c = t->tokens->classes;
    uint32_t index[256];
    tsr_session_set_training(t->session, false, false);
    for (uint32_t at = 0; at < t->lesson.n;) {
        uint32_t m = t->lesson.n - at < 256 ? t->lesson.n - at : 256;
        for (uint32_t i = 0; i < m; i++) index[i] = at + i;
        TSR_TRY(feed(t, index, m, t->session, err));
        TSR_TRY(tsr_session_run(t->session, t->want, 1, err));
        const struct tsr_tensor *z = tsr_session_value(t->session, t->want[0]);
        if (tsr_tensor_count(z) != (int64_t)m * c)
            return tsr_fail(err, TSR_E_MISMATCH, "the stream and the receiver differ in their number of outputs");
        float *to = own + (int64_t)at * c;
        memcpy(to, z->data, tsr_tensor_bytes(z));
        if (t->tokens->kind != TSR_KIND_REGRESSION) tsr_softmax_rows(to, m, c, t->opt->temperature, to);
        at += m;
    }
    return TSR_OK;
}

/* What a trained receiver knew stays: its own first answers join the teacher's, p = (p_tx + 2 w p_rx) / (1 + 2 w). A
 * mixture of targets has the same gradient as a weighted sum of two divergences. Nothing tells without labels which of
 * two networks knows more, so at w = 1 the receiver's own counts for more: where it is sure, it stays with its answer. */
static enum tsr_status retain_own(struct teacher *t, struct tsr_error *err)
{
    size_t n = (size_t)t->lesson.n * (size_t)t->tokens->classes;
    float *own = tsr_malloc(n, sizeof *own);
    if (own == NULL) return tsr_nomem(err, n * sizeof *own);
    enum tsr_status status = own_answers(t, own, err);
    float share = 2 * t->opt->retain / (1 + 2 * t->opt->retain);
    for (size_t i = 0; status == TSR_OK && i < n; i++) t->target[i] += share * (own[i] - t->target[i]);
    tsr_free(own);
    return status;
}

static struct tsr_fit_options fit_options(const struct teacher *t)
{
    struct tsr_fit_options o = tsr_fit_defaults();
    o.steps = t->opt->steps;
    o.batch = t->opt->batch;
    o.ema = t->opt->ema;
    o.seed = t->opt->seed;
    o.mask = t->mask;
    o.stop = t->opt->stop;
    if (o.warmup > o.steps / 4) o.warmup = o.steps / 4;
    return o;
}

static enum tsr_status prepare(struct teacher *t, const struct tsr_tensor *refs, const struct tsr_key *key,
                               struct tsr_reach *reach, struct tsr_error *err)
{
    const struct tsr_tokens *k = t->tokens;
    if (t->g->n_input != 1)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the receiver has %zu inputs; one is what can be taught", t->g->n_input);
    if (t->opt->outputs && k->out == NULL)
        return tsr_fail(err, TSR_E_MISMATCH, "the stream carries no outputs; teach from hub tokens with --mode a");
    if (t->opt->outputs && k->classes < 2 && k->kind != TSR_KIND_REGRESSION)
        return tsr_fail(err, TSR_E_MISMATCH, "the stream has %s of one class, from which nothing can be learnt; "
                        "extract the outputs with --kind regression", tsr_row_kind_name(k->kind));
    if (t->opt->hub && k->rank == 0)
        return tsr_fail(err, TSR_E_MISMATCH, "the stream carries no hub tokens; teach from outputs with --mode b");
    t->has_head = tsr_graph_head(t->g, &t->head, NULL) == TSR_OK;
    if (!t->has_head && t->opt->hub)
        return tsr_fail(err, TSR_E_NOT_FOUND, "the receiver does not end in a linear layer, whose input hub tokens teach; "
                        "teach from outputs with --mode b");
    /* Values may be those of many positions, each a row of the head; how many there are, the first batch tells. */
    t->one_row = t->has_head && t->head.classes == k->classes;
    if (t->opt->outputs && t->has_head && !t->one_row && (k->kind != TSR_KIND_REGRESSION || k->classes % t->head.classes != 0))
        return tsr_fail(err, TSR_E_MISMATCH, "the stream has %lld outputs a sample, the receiver's head gives %lld",
                        (long long)k->classes, (long long)t->head.classes);
    size_t n = 0;
    if (t->opt->outputs) t->want[n++] = t->has_head ? t->head.logits : tsr_graph_logits(t->g).value;
    if (t->opt->hub) t->want[n++] = t->head.features;
    TSR_TRY(tsr_train_reach(t->g, t->want, n, reach, err));
    /* Views without hub tokens teach nothing where only those are learnt. */
    bool views = t->opt->outputs || k->hub_rows == k->rows;
    TSR_TRY(tsr_lesson_init(&t->lesson, k, refs, key, 0.1, views, t->opt->seed, err));
    TSR_TRY(tsr_params_init(&t->params, t->g, err));
    struct tsr_session_options so = {.pool = t->opt->pool, .training = true, .seed = t->opt->seed};
    int32_t keep[3] = {t->want[0], t->want[n - 1], t->has_head ? t->head.features : t->want[0]};
    TSR_TRY(tsr_graph_fuse(t->g, keep, 3, TSR_FUSE_TRAINING, &t->fused, err));
    TSR_TRY(tsr_session_new(t->fused, &so, &t->session, err));
    TSR_TRY(make_mask(t, err));
    if (t->opt->outputs) TSR_TRY(make_targets(t, err));
    if (t->opt->outputs && t->opt->retain > 0) TSR_TRY(retain_own(t, err));
    if (t->opt->hub) TSR_TRY(tsr_projection_init(&t->hub, &t->lesson, t->head.d, t->opt->seed, err));
    t->problem = (struct tsr_fit_problem){.arg = t, .rows = t->lesson.n - t->lesson.held, .held = t->lesson.held,
                                          .want = t->want, .n_want = n, .input = feed, .loss = lesson_loss,
                                          .extra = &t->hub.extra, .n_extra = t->opt->hub ? 1 : 0};
    return TSR_OK;
}

static enum tsr_status learn(struct teacher *t, struct tsr_teach_report *report, struct tsr_error *err)
{
    TSR_TRY(tsr_fit_evaluate(t->session, &t->problem, t->problem.rows, t->problem.held, &report->before, err));
    struct tsr_fit_options o = fit_options(t);
    report->rate = t->opt->rate;
    TSR_TRY(tsr_fit_choose_rate(t->session, &t->params, &t->problem, &o, &report->rate, err));
    struct tsr_fit_result r;
    o.lr = report->rate.best;
    o.progress = t->opt->progress;
    o.progress_arg = t->opt->progress_arg;
    o.eval_every = t->opt->looks > 1 ? (t->opt->steps + t->opt->looks - 1) / t->opt->looks : 0;
    TSR_TRY(tsr_fit(t->session, &t->params, &t->problem, &o, &r, err));
    report->after = r.held_loss;
    report->steps = r.steps;
    return TSR_OK;
}

enum tsr_status tsr_teach(struct tsr_graph *g, const struct tsr_tokens *tokens, const struct tsr_tensor *refs,
                          const struct tsr_key *key, const struct tsr_teach_options *options,
                          struct tsr_teach_report *report, struct tsr_error *err)
{
    *report = (struct tsr_teach_report){.before = NAN, .after = NAN};
    struct teacher t = {.g = g, .tokens = tokens, .opt = options};
    enum tsr_status status;
    TSR_GO(status, done, prepare(&t, refs, key, &report->reach, err));
    report->refs_used = t.lesson.refs_used;
    report->refs_missing = tokens->refs - t.lesson.refs_used;
    report->rows = t.lesson.n;
    report->held = t.lesson.held;
    TSR_GO(status, done, learn(&t, report, err));
    if (options->refit_head && options->outputs && t.one_row && t.mask == NULL)
        TSR_GO(status, done, tsr_headfit(g, &t.head, t.session, &t.problem, t.target, &report->after,
                                         &report->head_refitted, err));
done:
    tsr_session_free(t.session);
    tsr_graph_free(t.fused);
    tsr_params_release(&t.params);
    tsr_lesson_release(&t.lesson);
    tsr_free(t.target);
    tsr_free(t.want_out);
    tsr_projection_release(&t.hub);
    tsr_free(t.mask);
    return status;
}
