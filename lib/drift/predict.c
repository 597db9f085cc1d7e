#include "drift/predict.h"

#include "base/mem.h"
#include "drift/distribution.h"
#include "drift/flips.h"
#include "drift/target.h"
#include "quant/measure.h"

#include <math.h>
#include <string.h>

const char *tsr_predicted_name(enum tsr_predicted what)
{
    static const char *const names[TSR_PREDICTED] = {"kl", "top1", "teacher.kl", "teacher.top1", "accuracy"};
    return names[what];
}

/* ---- intervals ---- */

/* ln of the beta function. */
static double log_beta(double a, double b)
{
    int sign;
    return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

void tsr_predict_share(double k, double n, double m, double alpha, double *low, double *high)
{
    double a = k + 0.5, b = n - k + 0.5, sum = 0;
    if (!(m >= 1) || m > 1e6) {
        *low = tsr_beta_quantile(alpha / 2, a, b);
        *high = tsr_beta_quantile(1 - alpha / 2, a, b);
        return;
    }
    m = floor(m);
    *low = -1;
    *high = 1;
    for (double x = 0; x <= m; x++) {
        sum += exp(-log(m + 1) - log_beta(m - x + 1, x + 1) + log_beta(x + a, m - x + b) - log_beta(a, b));
        if (*low < 0 && sum > alpha / 2) *low = x / m;
        if (sum >= 1 - alpha / 2) {
            *high = x / m;
            break;
        }
    }
    if (*low < 0) *low = *high;
}

/* Mean divergence of m further samples: a mean of positive numbers over orders of magnitude, whose
 * logarithm is about normal. fold: the means of the folds, whose spread beyond that of their samples
 * is the calibration's. */
static void mean_interval(const struct tsr_ratio *r, const double *fold, size_t folds, double m, double alpha,
                          double *low, double *high)
{
    double mean = tsr_ratio_value(r), n = r->n;
    *low = *high = mean;
    if (!(mean > 0)) return;
    /* As in ratio.h: few samples show too little of a tail, so the largest counts three times more. */
    double variance = ((n - 1) * tsr_ratio_variance(r) + 3 * (r->max_a - mean) * (r->max_a - mean)) / (n + 2);
    double relative = variance / (mean * mean), between = 0;
    for (size_t k = 0; k < folds; k++) between += (fold[k] - mean) * (fold[k] - mean) / ((double)folds - 1) / (mean * mean);
    double calibration = folds > 1 ? between - relative * (double)folds / n : 0;
    if (!(calibration > 0)) calibration = 0;
    double reach = tsr_t_quantile(1 - alpha / 2, n - 1) * sqrt(relative * (1 / n + 1 / m) + calibration);
    *low = mean * exp(-reach);
    *high = mean * exp(reach);
}

/* ---- the model on the grid ---- */

struct work {
    const struct tsr_graph *g;
    const struct tsr_predict_rows *in;
    const struct tsr_predict_options *opt;
    struct tsr_quant_samples s;   /* the rows, fold after fold */
    int64_t rows;
    int64_t *row;                 /* [rows]: which of the caller's */
    struct tsr_quant_outputs was; /* of the model as it is */
};

/* Rows k, k + folds, ... make fold k: classes in order are spread over all. */
static enum tsr_status lay_out(struct work *w, struct tsr_error *err)
{
    const struct tsr_tensor *x = &w->in->x;
    w->rows = x->shape.dim[0];
    w->row = tsr_malloc((size_t)w->rows, sizeof *w->row);
    if (w->row == NULL) return tsr_nomem(err, (size_t)w->rows * sizeof *w->row);
    w->s = (struct tsr_quant_samples){.rows = w->rows, .n_inputs = 1};
    TSR_TRY(tsr_tensor_new(&w->s.x[0], x->dtype, &x->shape, NULL, err));
    size_t each = tsr_tensor_bytes(x) / (size_t)w->rows;
    int64_t at = 0;
    for (int64_t k = 0; k < TSR_PREDICT_FOLDS; k++)
        for (int64_t i = k; i < w->rows; i += TSR_PREDICT_FOLDS, at++) {
            w->row[at] = i;
            memcpy((char *)w->s.x[0].data + (size_t)at * each, (const char *)x->data + (size_t)i * each, each);
        }
    return TSR_OK;
}

/* Where fold k begins. */
static int64_t fold_start(const struct work *w, int64_t k)
{
    return k * (w->rows / TSR_PREDICT_FOLDS) + (k < w->rows % TSR_PREDICT_FOLDS ? k : w->rows % TSR_PREDICT_FOLDS);
}

static enum tsr_status show(struct work *w, struct tsr_quantiser *q, int64_t first, int64_t n, struct tsr_error *err)
{
    for (int64_t at = 0; at < n; at += 256) {
        struct tsr_tensor part = tsr_quant_slice(&w->s, 0, first + at, n - at < 256 ? n - at : 256);
        TSR_TRY(tsr_quantiser_block(q, &part, 1, err));
    }
    return TSR_OK;
}

/* The model on the grid, calibrated without rows [first, first + n). */
static enum tsr_status bring(struct work *w, enum tsr_grid grid, int64_t first, int64_t n, struct tsr_graph **out,
                             struct tsr_error *err)
{
    struct tsr_quantise_options o = tsr_quantise_defaults(grid);
    struct tsr_quantise_report report;
    struct tsr_quantiser *q;
    o.pool = w->opt->pool;
    o.seed = w->opt->seed;
    TSR_TRY(tsr_quantiser_new(w->g, &o, &q, err));
    enum tsr_status status = TSR_OK;
    if (tsr_quantiser_wants_samples(q)) {
        status = show(w, q, 0, first, err);
        if (status == TSR_OK) status = show(w, q, first + n, w->rows - first - n, err);
    }
    if (status == TSR_OK) status = tsr_quantiser_finish(q, out, &report, err);
    tsr_quantiser_free(q);
    return status;
}

/* Of rows [first, ...), grid NULL: of the model as it is. What overflows comes out as an infinity or a NaN, from which
 * no drift follows. */
static enum tsr_status check_finite(const struct work *w, int64_t first, const struct tsr_quant_outputs *z, const char *grid,
                                    struct tsr_error *err)
{
    const struct tsr_tensor all = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {z->rows, z->columns}}, .data = z->z};
    const int64_t i = tsr_tensor_nonfinite(&all);
    if (i < 0) return TSR_OK;
    const int64_t at = first + i / z->columns, row = w->row[at < w->rows ? at : w->rows - 1];
    if (grid == NULL)
        return tsr_fail(err, TSR_E_NUMERIC, "the model's answer to sample %lld is not finite; there is nothing to predict",
                        (long long)row);
    return tsr_fail(err, TSR_E_NUMERIC, "on the grid '%s' the model's answer to sample %lld is not finite%s", grid, (long long)row,
                    strcmp(grid, "f16") == 0 ? ": an activation leaves its range; bf16 has that of float32" : "");
}

/* ---- what is compared ---- */

struct sums {
    struct tsr_target *self, *teacher;
    struct tsr_flips flips;
    double fold_kl[TSR_PREDICT_FOLDS], fold_teacher[TSR_PREDICT_FOLDS];
    size_t folds;
};

static enum tsr_status new_sums(const struct work *w, struct sums *s, struct tsr_error *err)
{
    size_t c = (size_t)w->was.columns;
    struct tsr_target_shape shape = {.kind = {TSR_KIND_LOGITS, TSR_KIND_LOGITS}, .cols = {c, c}};
    *s = (struct sums){.folds = 0};
    TSR_TRY(tsr_flips_init(&s->flips, c, err));
    TSR_TRY(tsr_target_new(&shape, &s->self, err));
    if (w->in->teacher == NULL) return TSR_OK;
    shape.kind[0] = w->in->kind;
    shape.cols[0] = (size_t)w->in->classes;
    return tsr_target_new(&shape, &s->teacher, err);
}

static void free_sums(struct sums *s)
{
    tsr_target_free(s->self);
    tsr_target_free(s->teacher);
    tsr_flips_release(&s->flips);
}

static double sum_of(const struct tsr_target *t) { return t != NULL ? t->channel[TSR_CH_KL].total_a : 0; }

/* Adds rows [first, first + z->rows) as one fold. */
static enum tsr_status add_fold(struct work *w, struct sums *s, int64_t first, const struct tsr_quant_outputs *z,
                                struct tsr_error *err)
{
    double kl = sum_of(s->self), teacher = sum_of(s->teacher);
    int64_t n = first + z->rows < w->was.rows ? z->rows : w->was.rows - first; /* of a fixed batch, a part is left out */
    for (int64_t i = 0; i < n; i++) {
        int64_t row = w->row[first + i];
        struct tsr_key key = {{(uint8_t)row, (uint8_t)(row >> 8), (uint8_t)(row >> 16), (uint8_t)(row >> 24)}};
        struct tsr_target_row pair = {.key = &key, .label = w->in->label != NULL ? w->in->label[row] : -1,
                                      .ref = w->was.z + (first + i) * w->was.columns, .x = z->z + i * z->columns};
        TSR_TRY(tsr_target_add(s->self, &pair, err));
        TSR_TRY(tsr_flips_add(&s->flips, pair.ref, pair.x, err));
        if (s->teacher == NULL) continue;
        pair.label = -1;
        pair.ref = w->in->teacher + row * w->in->classes;
        TSR_TRY(tsr_target_add(s->teacher, &pair, err));
    }
    if (n <= 0) return TSR_OK;
    s->fold_kl[s->folds] = (sum_of(s->self) - kl) / (double)n;
    s->fold_teacher[s->folds++] = (sum_of(s->teacher) - teacher) / (double)n;
    return TSR_OK;
}

static void put_share(const struct tsr_ratio *r, double m, double alpha, struct tsr_prediction *p, enum tsr_predicted what)
{
    if (!(r->total_b > 0)) return;
    p->of[what].measured = true;
    p->of[what].value = tsr_ratio_value(r);
    tsr_predict_share(r->total_a, r->total_b, m, alpha, &p->of[what].low, &p->of[what].high);
}

static void put_mean(const struct tsr_ratio *r, const double *fold, size_t folds, double m, double alpha,
                     struct tsr_prediction *p, enum tsr_predicted what)
{
    if (!(r->total_b > 0)) return;
    p->of[what].measured = true;
    p->of[what].value = tsr_ratio_value(r);
    mean_interval(r, fold, folds, m, alpha, &p->of[what].low, &p->of[what].high);
}

static void conclude(const struct work *w, const struct sums *s, struct tsr_prediction *p)
{
    double alpha = 1 - w->opt->confidence, m = w->opt->on > 0 ? (double)w->opt->on : (double)w->rows;
    put_mean(&s->self->channel[TSR_CH_KL], s->fold_kl, s->folds, m, alpha, p, TSR_PREDICT_KL);
    put_share(&s->self->channel[TSR_CH_TOP1], m, alpha, p, TSR_PREDICT_TOP1);
    if (p->of[TSR_PREDICT_TOP1].measured)
        (void)tsr_flips_share(&s->flips, m, alpha, &p->of[TSR_PREDICT_TOP1].value, &p->of[TSR_PREDICT_TOP1].low,
                              &p->of[TSR_PREDICT_TOP1].high);
    put_share(&s->self->channel[TSR_CH_RIGHT], m, alpha, p, TSR_PREDICT_ACCURACY);
    if (s->teacher == NULL) return;
    if (!w->in->certain)
        put_mean(&s->teacher->channel[TSR_CH_KL], s->fold_teacher, s->folds, m, alpha, p, TSR_PREDICT_TEACHER_KL);
    put_share(&s->teacher->channel[TSR_CH_TOP1], m, alpha, p, TSR_PREDICT_TEACHER_TOP1);
}

/* One fold, or all rows where nothing is calibrated. */
static enum tsr_status try_fold(struct work *w, enum tsr_grid grid, int64_t first, int64_t n, bool calibrated,
                                struct sums *s, struct tsr_error *err)
{
    struct tsr_graph *q = NULL;
    struct tsr_quant_outputs z = {0};
    if (w->opt->stop != NULL && w->opt->stop()) return tsr_fail(err, TSR_E_INTERRUPTED, "interrupted");
    enum tsr_status status = bring(w, grid, calibrated ? first : 0, calibrated ? n : 0, &q, err);
    if (status == TSR_OK) status = tsr_quant_run(q, &w->s, first, n, w->opt->pool, &z, err);
    if (status == TSR_OK) status = check_finite(w, first, &z, tsr_grid_names[grid], err);
    if (status == TSR_OK) status = add_fold(w, s, first, &z, err);
    tsr_free(z.z);
    tsr_graph_free(q);
    return status;
}

static enum tsr_status predict_grid(struct work *w, enum tsr_grid grid, struct tsr_prediction *p, struct tsr_error *err)
{
    struct tsr_quantise_options o = tsr_quantise_defaults(grid);
    struct tsr_quantiser *q;
    struct sums s;
    TSR_TRY(tsr_quantiser_new(w->g, &o, &q, err));
    bool calibrated = tsr_quantiser_wants_samples(q);
    tsr_quantiser_free(q);
    *p = (struct tsr_prediction){.grid = grid};
    enum tsr_status status = new_sums(w, &s, err);
    for (int64_t k = 0; k < (calibrated ? TSR_PREDICT_FOLDS : 1) && status == TSR_OK; k++) {
        int64_t first = fold_start(w, k), end = calibrated ? fold_start(w, k + 1) : w->rows;
        status = try_fold(w, grid, first, end - first, calibrated, &s, err);
    }
    if (status == TSR_OK) conclude(w, &s, p);
    free_sums(&s);
    return status;
}

static enum tsr_status check(const struct work *w, struct tsr_error *err)
{
    if (w->was.rows > w->rows)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the model gives several rows a sample; drift is predicted for one class a sample");
    if (w->was.rows < TSR_PREDICT_MIN)
        return tsr_fail(err, TSR_E_MISMATCH, "the model's fixed batch leaves %lld samples; a prediction needs %d",
                        (long long)w->was.rows, TSR_PREDICT_MIN);
    TSR_TRY(check_finite(w, 0, &w->was, NULL, err));
    if (w->in->teacher == NULL) return TSR_OK;
    if (w->in->classes != w->was.columns)
        return tsr_fail(err, TSR_E_MISMATCH, "the model has %lld classes, the teacher has %lld", (long long)w->was.columns,
                        (long long)w->in->classes);
    return TSR_OK;
}

enum tsr_status tsr_drift_predict(const struct tsr_graph *g, const struct tsr_predict_rows *rows,
                                  const enum tsr_grid *grid, size_t n_grids, const struct tsr_predict_options *options,
                                  struct tsr_prediction *out, struct tsr_error *err)
{
    struct work w = {.g = g, .in = rows, .opt = options};
    if (rows->x.shape.rank < 1 || rows->x.shape.dim[0] < TSR_PREDICT_MIN)
        return tsr_fail(err, TSR_E_MISMATCH, "a prediction needs %d samples", TSR_PREDICT_MIN);
    enum tsr_status status = lay_out(&w, err);
    if (status == TSR_OK) status = tsr_quant_run(g, &w.s, 0, w.rows, options->pool, &w.was, err);
    if (status == TSR_OK) status = check(&w, err);
    for (size_t i = 0; i < n_grids && status == TSR_OK; i++) status = predict_grid(&w, grid[i], &out[i], err);
    tsr_free(w.was.z);
    tsr_tensor_release(&w.s.x[0]);
    tsr_free(w.row);
    return status;
}
