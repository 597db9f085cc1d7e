#include "train/labelled.h"

#include "base/mem.h"
#include "graph/batch.h"
#include "graph/fuse.h"
#include "graph/head.h"
#include "train/loss.h"

#include <math.h>
#include <string.h>

void tsr_labelled_release(struct tsr_labelled *d)
{
    tsr_tensor_release(&d->x);
    tsr_free(d->label);
    tsr_free(d->value);
    *d = (struct tsr_labelled){0};
}

static enum tsr_status take_labels(struct tsr_labelled *d, const struct tsr_tensor *y, struct tsr_error *err)
{
    d->label = tsr_malloc((size_t)d->n, sizeof *d->label);
    if (d->label == NULL) return tsr_nomem(err, (size_t)d->n * sizeof *d->label);
    for (int64_t i = 0; i < d->n; i++) {
        double v = tsr_load_f64(y->dtype, y->data, i);
        if (!(v >= 0 && v < (double)d->width) || v != floor(v))
            return tsr_fail(err, TSR_E_CORRUPT, "label %lld is %g, not a class from 0 to %lld", (long long)i, v,
                            (long long)(d->width - 1));
        d->label[i] = (int32_t)v;
    }
    return TSR_OK;
}

enum tsr_status tsr_labelled_init(struct tsr_labelled *d, const struct tsr_tensor *x, const struct tsr_tensor *y,
                                  bool regression, int64_t classes, struct tsr_error *err)
{
    *d = (struct tsr_labelled){.n = x->shape.rank > 0 ? x->shape.dim[0] : 0, .width = classes};
    int64_t have = y->shape.rank > 0 ? y->shape.dim[0] : 0, each = d->n > 0 ? tsr_tensor_count(y) / d->n : 0;
    if (have != d->n)
        return tsr_fail(err, TSR_E_MISMATCH, "there are %lld samples but %lld labels", (long long)d->n,
                        (long long)have);
    if (d->n == 0) return tsr_fail(err, TSR_E_MISMATCH, "there are no samples");
    int64_t bad = tsr_tensor_nonfinite(x);
    if (bad >= 0)
        return tsr_fail(err, TSR_E_NUMERIC, "sample %lld holds a NaN or an infinity",
                        (long long)(bad / (tsr_tensor_count(x) / d->n)));
    if (each != (regression ? classes : 1))
        return tsr_fail(err, TSR_E_MISMATCH, "there are %lld label values a sample where %lld are wanted",
                        (long long)each, (long long)(regression ? classes : 1));
    if (!regression && classes < 2)
        return tsr_fail(err, TSR_E_MISMATCH, "there is one output a sample, which cannot tell classes apart; with --loss=mse "
                        "it is a value");
    d->x = tsr_tensor_share(x);
    enum tsr_status status = TSR_OK;
    if (!regression) {
        status = take_labels(d, y, err);
    } else {
        d->value = tsr_malloc((size_t)(d->n * classes), sizeof *d->value);
        if (d->value == NULL) status = tsr_nomem(err, (size_t)(d->n * classes) * sizeof *d->value);
        else tsr_convert(TSR_F32, d->value, y->dtype, y->data, d->n * classes);
        for (int64_t i = 0; status == TSR_OK && i < d->n * classes; i++)
            if (!isfinite(d->value[i]))
                status = tsr_fail(err, TSR_E_NUMERIC, "the values of sample %lld hold a NaN or an infinity",
                                  (long long)(i / classes));
    }
    if (status != TSR_OK) tsr_labelled_release(d);
    return status;
}

struct tsr_train_options tsr_train_defaults(void)
{
    struct tsr_train_options o = {.fit = tsr_fit_defaults(), .epochs = 30, .val_share = 0.1,
                                  .rate = {.list = {1e-2f, 5e-3f, 2e-3f}, .n = 3, .steps = 150}};
    o.fit.steps = 0;
    o.fit.patience = 10;
    return o;
}

/* The rows of the problem: sample s with view v is row v * n_train + s; then the held-out ones. */
struct trainer {
    const struct tsr_graph *g;
    const struct tsr_labelled *data, *val;
    uint32_t *order;  /* the data's rows, shuffled: n_train, then the held-out rest */
    uint32_t n_train, held;
    struct tsr_views views;
    struct tsr_key *key; /* of the training rows, made of their numbers; for views */
    struct tsr_tensor batch;
    int32_t want;
    float *target;    /* of the batch */
    size_t target_room;
};

/* Is the problem's row one of the held-out ones? *of: its data set, *sample: its row there. */
static bool held_out(const struct trainer *t, uint32_t row, const struct tsr_labelled **of, uint32_t *sample)
{
    uint32_t all = t->n_train * (1 + t->views.count);
    bool held = row >= all;
    *of = held && t->val != NULL ? t->val : t->data;
    *sample = !held ? t->order[row % t->n_train] : t->val != NULL ? row - all : t->order[t->n_train + row - all];
    return held;
}

static enum tsr_status feed(void *arg, const uint32_t *row, int64_t n, struct tsr_session *s, struct tsr_error *err)
{
    struct trainer *t = arg;
    const struct tsr_tensor *x = &t->data->x;
    struct tsr_view_block block = tsr_view_block(x, t->key);
    block.at = t->order;
    block.n = t->n_train;
    size_t bytes = tsr_dtype_bytes(x->dtype, tsr_shape_count(&block.shape));
    struct tsr_shape shape = x->shape;
    shape.dim[0] = n;
    tsr_tensor_release(&t->batch);
    TSR_TRY(tsr_tensor_new(&t->batch, x->dtype, &shape, NULL, err));
    char *to = t->batch.data;
    for (int64_t i = 0; i < n; i++, to += bytes) {
        const struct tsr_labelled *from;
        uint32_t sample;
        if (held_out(t, row[i], &from, &sample)) memcpy(to, (const char *)from->x.data + bytes * sample, bytes);
        else tsr_view_row(&t->views, &block, row[i] % t->n_train, row[i] / t->n_train, to);
    }
    return tsr_session_set_input(s, t->g->input[0], &t->batch, err);
}

/* The target of one row: one-hot, the mixture of two, or values. */
static void row_target(const struct trainer *t, uint32_t row, float *y)
{
    const struct tsr_labelled *from;
    uint32_t sample, partner = 0;
    struct tsr_view_plan plan = {.lambda = 1};
    if (!held_out(t, row, &from, &sample) && row >= t->n_train) {
        tsr_view_plan(&t->views, &t->key[row % t->n_train], row / t->n_train, t->n_train, &plan);
        partner = t->order[plan.partner];
    }
    int64_t c = from->width;
    if (from->value != NULL) {
        for (int64_t j = 0; j < c; j++) {
            y[j] = plan.lambda * from->value[sample * c + j];
            if (plan.mixed) y[j] += (1 - plan.lambda) * from->value[partner * c + j];
        }
        return;
    }
    memset(y, 0, (size_t)c * sizeof *y);
    y[from->label[sample]] += plan.lambda;
    if (plan.mixed) y[from->label[partner]] += 1 - plan.lambda;
}

static enum tsr_status label_loss(void *arg, const uint32_t *row, int64_t n, const struct tsr_tensor *const *value,
                                  struct tsr_tensor *grad, double *loss, struct tsr_error *err)
{
    struct trainer *t = arg;
    int64_t c = t->data->width;
    if (tsr_tensor_count(value[0]) != n * c)
        return tsr_fail(err, TSR_E_MISMATCH, "the model gives %lld outputs a sample where the data has %lld classes",
                        (long long)(tsr_tensor_count(value[0]) / (n > 0 ? n : 1)), (long long)c);
    TSR_TRY(tsr_grow(&t->target, &t->target_room, (size_t)(n * c), sizeof *t->target, err));
    for (int64_t i = 0; i < n; i++) row_target(t, row[i], t->target + i * c);
    float *g = grad != NULL ? grad[0].data : NULL;
    *loss = t->data->value != NULL ? tsr_loss_mse(value[0]->data, t->target, n, c, g)
                                   : tsr_loss_kl(value[0]->data, t->target, n, c, 1, g);
    return TSR_OK;
}

static enum tsr_status row_keys(struct trainer *t, struct tsr_error *err)
{
    t->key = tsr_calloc(t->n_train, sizeof *t->key);
    if (t->key == NULL) return tsr_nomem(err, t->n_train * sizeof *t->key);
    for (uint32_t i = 0; i < t->n_train; i++) {
        memcpy(t->key[i].b, "label", 5);
        for (int k = 0; k < 4; k++) t->key[i].b[8 + k] = (uint8_t)(t->order[i] >> (8 * k));
    }
    return TSR_OK;
}

static enum tsr_status split(struct trainer *t, const struct tsr_train_options *o, struct tsr_error *err)
{
    if (t->data->n > UINT32_MAX / 2) return tsr_fail(err, TSR_E_LIMIT, "there are too many samples");
    uint32_t n = (uint32_t)t->data->n;
    t->order = tsr_malloc(n, sizeof *t->order);
    if (t->order == NULL) return tsr_nomem(err, n * sizeof *t->order);
    for (uint32_t i = 0; i < n; i++) t->order[i] = i;
    struct tsr_rng rng;
    tsr_rng_init(&rng, o->fit.seed, 0x73706c6974);
    tsr_rng_shuffle(&rng, t->order, n);
    t->held = t->val != NULL ? (uint32_t)t->val->n : (uint32_t)(o->val_share * (double)n);
    t->n_train = t->val != NULL ? n : n - t->held;
    if (o->views > 0) TSR_TRY(row_keys(t, err));
    if (o->views > 0) TSR_TRY(tsr_views_default(&t->views, &t->data->x, o->views, o->fit.seed, err));
    if ((uint64_t)t->n_train * (1 + o->views) > UINT32_MAX / 2)
        return tsr_fail(err, TSR_E_LIMIT, "%u samples with %u views each are too many", n, o->views);
    return TSR_OK;
}

static enum tsr_status fit_labelled(struct trainer *t, struct tsr_session *s, struct tsr_params *ps,
                                    const struct tsr_train_options *o, struct tsr_train_report *report,
                                    struct tsr_error *err)
{
    struct tsr_fit_problem problem = {.arg = t, .rows = t->n_train * (1 + t->views.count), .held = t->held,
                                      .want = &t->want, .n_want = 1, .input = feed, .loss = label_loss};
    struct tsr_fit_options fit = o->fit;
    int64_t per_epoch = problem.rows / fit.batch > 0 ? problem.rows / fit.batch : 1;
    if (fit.steps == 0) fit.steps = o->epochs * per_epoch;
    if (fit.eval_every == 0 && t->held > 0) fit.eval_every = fit.steps / 20 > 10 ? fit.steps / 20 : 10;
    if (fit.warmup > fit.steps / 4) fit.warmup = fit.steps / 4;
    report->rows = problem.rows;
    report->held = problem.held;
    report->rate = o->rate;
    TSR_TRY(tsr_fit_choose_rate(s, ps, &problem, &fit, &report->rate, err));
    fit.lr = report->rate.best;
    return tsr_fit(s, ps, &problem, &fit, &report->fit, err);
}

/* Samples of the same type and shape? */
static bool same_kind(const struct tsr_tensor *a, const struct tsr_tensor *b)
{
    struct tsr_shape one = b->shape;
    one.dim[0] = a->shape.dim[0];
    return a->dtype == b->dtype && tsr_shape_equal(&a->shape, &one);
}

enum tsr_status tsr_train_labelled(struct tsr_graph *g, const struct tsr_labelled *data,
                                   const struct tsr_labelled *val, const struct tsr_train_options *options,
                                   struct tsr_train_report *report, struct tsr_error *err)
{
    if (g->n_input != 1)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the model has %zu inputs; one is what can be trained", g->n_input);
    if (val != NULL && !same_kind(&data->x, &val->x))
        return tsr_fail(err, TSR_E_MISMATCH, "the samples to validate on are of another shape or type than the others");
    struct trainer t = {.g = g, .data = data, .val = val};
    struct tsr_params ps = {0};
    struct tsr_session *s = NULL;
    struct tsr_graph *fused = NULL;
    struct tsr_head head;
    enum tsr_status status;
    t.want = tsr_graph_head(g, &head, NULL) == TSR_OK ? head.logits : tsr_graph_logits(g).value;
    *report = (struct tsr_train_report){.rows = 0};
    TSR_GO(status, done, tsr_train_reach(g, &t.want, 1, &report->reach, err));
    TSR_GO(status, done, split(&t, options, err));
    TSR_GO(status, done, tsr_params_init(&ps, g, err));
    struct tsr_session_options so = {.pool = options->pool, .training = true, .seed = options->fit.seed};
    TSR_GO(status, done, tsr_graph_fuse(g, &t.want, 1, TSR_FUSE_TRAINING, &fused, err));
    TSR_GO(status, done, tsr_session_new(fused, &so, &s, err));
    status = fit_labelled(&t, s, &ps, options, report, err);
done:
    tsr_session_free(s);
    tsr_graph_free(fused);
    tsr_params_release(&ps);
    tsr_tensor_release(&t.batch);
    tsr_free(t.order);
    tsr_free(t.key);
    tsr_free(t.target);
    return status;
}

enum tsr_status tsr_predict(const struct tsr_graph *g, int32_t value, const struct tsr_tensor *x, int64_t width,
                            struct tsr_pool *pool, float *out, struct tsr_error *err)
{
    struct tsr_session *s = NULL;
    struct tsr_graph *fused;
    struct tsr_session_options so = {.pool = pool};
    TSR_TRY(tsr_graph_fuse(g, &value, 1, 0, &fused, err));
    int64_t n = x->shape.dim[0], batch = 1;
    enum tsr_status status = tsr_session_new(fused, &so, &s, err);
    if (status == TSR_OK && n > 0) status = tsr_batch_choose(s, g, x, 1, &value, 1, &batch, err);
    for (int64_t at = 0; at < n && status == TSR_OK; at += batch) {
        int64_t m = n - at < batch ? n - at : batch;
        struct tsr_tensor z;
        TSR_GO(status, done, tsr_batch_input(s, g, g->input[0], x, at, m, err));
        TSR_GO(status, done, tsr_session_run(s, &value, 1, err));
        TSR_GO(status, done, tsr_batch_value(s, g, value, m, &z, err));
        if (tsr_tensor_count(&z) != m * width || !tsr_dtype_is_float(z.dtype))
            status = tsr_fail(err, TSR_E_MISMATCH, "'%s' does not give %lld floating-point numbers a sample",
                              g->value[value].name, (long long)width);
        else tsr_convert(TSR_F32, out + at * width, z.dtype, z.data, m * width);
    }
done:
    tsr_session_free(s);
    tsr_graph_free(fused);
    return status;
}
