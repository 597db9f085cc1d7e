#include "quant/quantise.h"

#include "base/mem.h"
#include "quant/half.h"
#include "quant/keep.h"
#include "quant/measure.h"
#include "quant/observe.h"
#include "quant/prepare.h"
#include "quant/rewrite.h"

#include <math.h>

struct tsr_quantiser {
    const struct tsr_graph *model;
    struct tsr_quantise_options opt;
    struct tsr_graph *g; /* prepared */
    struct tsr_quant_plan plan;
    struct tsr_observer observer;
    struct tsr_quant_keep keep;
    int64_t zeros, weights;
    bool stepped; /* all points have their steps */
};

struct tsr_quantise_options tsr_quantise_defaults(enum tsr_grid grid)
{
    return (struct tsr_quantise_options){.grid = grid, .calibrator = TSR_CALIBRATE_MSE, .percentile = 0.9999, .block = 32};
}

enum tsr_status tsr_quantiser_new(const struct tsr_graph *g, const struct tsr_quantise_options *options,
                                  struct tsr_quantiser **out, struct tsr_error *err)
{
    *out = NULL;
    struct tsr_quantiser *q = tsr_calloc(1, sizeof *q);
    if (q == NULL) return tsr_nomem(err, sizeof *q);
    q->model = g;
    q->opt = *options;
    enum tsr_status status = tsr_quant_prepare(g, tsr_quant_opset(options->grid), &q->g, err);
    if (status == TSR_OK && (options->prune.fraction > 0 || options->prune.m > 0))
        status = tsr_prune(q->g, &options->prune, &q->zeros, &q->weights, err);
    if (status == TSR_OK)
        status = tsr_quant_plan_init(&q->plan, q->g, options->grid, options->target, options->block, options->exclude,
                                     options->n_exclude, err);
    if (status == TSR_OK) status = tsr_observer_init(&q->observer, &q->plan, options->pool, err);
    tsr_quant_keep_init(&q->keep, options->seed);
    if (status != TSR_OK) tsr_quantiser_free(q);
    else *out = q;
    return status;
}

void tsr_quantiser_free(struct tsr_quantiser *q)
{
    if (q == NULL) return;
    tsr_quant_keep_release(&q->keep);
    tsr_observer_release(&q->observer);
    if (q->plan.g != NULL) tsr_quant_plan_release(&q->plan);
    tsr_graph_free(q->g);
    tsr_free(q);
}

bool tsr_quantiser_wants_samples(const struct tsr_quantiser *q) { return q->observer.n > 0; }

enum tsr_status tsr_quantiser_block(struct tsr_quantiser *q, const struct tsr_tensor *x, size_t n_inputs, struct tsr_error *err)
{
    TSR_TRY(tsr_observer_block(&q->observer, x, n_inputs, err));
    return tsr_quant_keep_add(&q->keep, x, n_inputs, err);
}

static enum tsr_status measure(struct tsr_quantiser *q, const struct tsr_graph *made, double *kl, struct tsr_error *err)
{
    struct tsr_quant_outputs a = {0}, b = {0};
    const struct tsr_quant_samples *s = &q->keep.samples;
    *kl = NAN;
    if (s->rows == 0) return TSR_OK;
    enum tsr_status status = tsr_quant_run(q->model, s, 0, s->rows, q->opt.pool, &a, err);
    if (status == TSR_OK) status = tsr_quant_run(made, s, 0, s->rows, q->opt.pool, &b, err);
    if (status == TSR_OK) *kl = tsr_quant_divergence(&a, &b);
    tsr_free(a.z);
    tsr_free(b.z);
    return status;
}

static enum tsr_status find_steps(struct tsr_quantiser *q, struct tsr_error *err)
{
    if (!q->stepped) TSR_TRY(tsr_observer_steps(&q->observer, &q->plan, q->opt.calibrator, q->opt.percentile, err));
    q->stepped = true;
    return TSR_OK;
}

enum tsr_status tsr_quantiser_fake(struct tsr_quantiser *q, struct tsr_graph **fake, struct tsr_error *err)
{
    *fake = NULL;
    TSR_TRY(find_steps(q, err));
    return tsr_quant_fake(&q->plan, fake, err);
}

enum tsr_status tsr_quantiser_take(struct tsr_quantiser *q, const struct tsr_graph *fake, struct tsr_error *err)
{
    return tsr_quant_take(&q->plan, q->g, fake, err);
}

enum tsr_status tsr_quantiser_finish(struct tsr_quantiser *q, struct tsr_graph **out, struct tsr_quantise_report *report,
                                     struct tsr_error *err)
{
    *report = (struct tsr_quantise_report){.samples = q->observer.rows, .kl = NAN, .zeros = q->zeros, .weights = q->weights};
    *out = NULL;
    TSR_TRY(find_steps(q, err));
    const enum tsr_grid grid = q->opt.grid;
    if (grid == TSR_GRID_F16 || grid == TSR_GRID_BF16)
        TSR_TRY(tsr_quant_half(q->g, grid == TSR_GRID_F16 ? TSR_F16 : TSR_BF16, out, err));
    else
        TSR_TRY(tsr_quant_rewrite(&q->plan, out, err));
    for (size_t i = 0; i < q->g->n_node; i++) {
        const struct tsr_quant_layer *l = &q->plan.layer[i];
        bool on = l->on && (l->role == TSR_ROLE_PRODUCT || l->role == TSR_ROLE_STORED || l->role == TSR_ROLE_LOOKUP);
        if (on) report->quantised++;
        else if (l->why != NULL) report->left++;
    }
    enum tsr_status status = measure(q, *out, &report->kl, err);
    if (status != TSR_OK) {
        tsr_graph_free(*out);
        *out = NULL;
    }
    return status;
}

const struct tsr_quant_plan *tsr_quantiser_plan(const struct tsr_quantiser *q) { return &q->plan; }
