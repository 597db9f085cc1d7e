#include "quant/quantise.h"

#include "base/mem.h"
#include "graph/copy.h"
#include "quant/budget.h"
#include "quant/equalise.h"
#include "quant/half.h"
#include "quant/keep.h"
#include "quant/measure.h"
#include "quant/observe.h"
#include "quant/prepare.h"
#include "quant/rewrite.h"
#include "quant/rounding.h"

#include <math.h>

const char *const tsr_quant_choice_names[] = {"auto", "no", NULL};
const char *const tsr_quant_rounding_names[] = {"learned", "nearest", NULL};

struct tsr_quantiser {
    const struct tsr_graph *model;
    struct tsr_quantise_options opt;
    struct tsr_graph *g; /* prepared */
    struct tsr_quant_plan plan;
    struct tsr_observer observer;
    struct tsr_quant_keep keep;
    int64_t zeros, weights;
    bool stepped; /* all points have their steps */
    bool taken;   /* what was taught is in the plan */
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

bool tsr_quantiser_wants_samples(const struct tsr_quantiser *q)
{
    const bool four = tsr_grid_weight_bits(q->opt.grid) == 4;
    return q->observer.n > 0 || (four && q->opt.rounding == TSR_ROUND_LEARNED) || (tsr_grid_weight_bits(q->opt.grid) <= 8 && q->opt.budget.kl > 0);
}

enum tsr_status tsr_quantiser_block(struct tsr_quantiser *q, const struct tsr_tensor *x, size_t n_inputs, struct tsr_error *err)
{
    if (tsr_grid_is_half(q->opt.grid)) q->observer.rows += n_inputs > 0 ? x[0].shape.dim[0] : 0; /* which has no ranges to learn */
    else TSR_TRY(tsr_observer_block(&q->observer, x, n_inputs, err));
    return tsr_quant_keep_add(&q->keep, x, n_inputs, err);
}

static enum tsr_status find_steps(struct tsr_quantiser *q, struct tsr_error *err)
{
    if (!q->stepped) TSR_TRY(tsr_observer_steps(&q->observer, &q->plan, q->opt.calibrator, q->opt.percentile, err));
    q->stepped = true;
    return TSR_OK;
}

/* ---- refinements: each stays where the outputs on the samples held back are nearer with it -- */

/* Goes on with another graph and plan, which it owns from now on; what was seen of the samples that
 * were kept is seen anew. */
static enum tsr_status replace(struct tsr_quantiser *q, const struct tsr_quant_judge *j, struct tsr_graph *g,
                               const struct tsr_quant_plan *plan, struct tsr_error *err)
{
    struct tsr_tensor x[TSR_QUANT_INPUTS];
    for (size_t k = 0; k < j->samples->n_inputs; k++) x[k] = tsr_quant_slice(j->samples, k, 0, j->learn);
    tsr_observer_release(&q->observer); /* it runs the old graph */
    tsr_quant_plan_release(&q->plan);
    tsr_graph_free(q->g);
    q->plan = *plan, q->g = g;
    TSR_TRY(tsr_observer_init(&q->observer, &q->plan, q->opt.pool, err));
    TSR_TRY(tsr_observer_block(&q->observer, x, j->samples->n_inputs, err));
    tsr_observer_close(&q->observer);
    return TSR_OK;
}

static enum tsr_status equalise(struct tsr_quantiser *q, const struct tsr_quant_judge *j, struct tsr_quantise_report *r, struct tsr_error *err)
{
    struct tsr_graph *g;
    struct tsr_quant_plan plan;
    double kl;
    int pairs;
    TSR_TRY(tsr_graph_copy(q->g, &g, err));
    enum tsr_status status = tsr_quant_equalise(g, &pairs, err);
    if (status != TSR_OK || pairs == 0) {
        tsr_graph_free(g);
        return status;
    }
    status = tsr_quant_replan(j, &q->plan, g, &q->opt, &plan, err);
    if (status == TSR_OK) {
        status = tsr_quant_try(j, &plan, NULL, &kl, err);
        if (status == TSR_OK && kl < 0.9 * r->kl) { /* by more than chance */
            r->kl = kl, r->pairs = pairs;
            return replace(q, j, g, &plan, err);
        }
        tsr_quant_plan_release(&plan);
    }
    tsr_graph_free(g);
    return status;
}

static enum tsr_status learn(struct tsr_quantiser *q, const struct tsr_quant_judge *j, bool round, double *best, bool *kept,
                             struct tsr_error *err)
{
    double kl;
    TSR_TRY(tsr_quant_learn(&q->plan, j->samples, j->learn, round, !round, q->opt.pool, err));
    TSR_TRY(tsr_quant_try(j, &q->plan, NULL, &kl, err));
    *kept = kl < *best;
    if (*kept) *best = kl;
    else tsr_quant_forget(&q->plan, round, !round);
    return TSR_OK;
}

static enum tsr_status refine(struct tsr_quantiser *q, const struct tsr_quant_judge *j, bool budget, struct tsr_quantise_report *r,
                              struct tsr_error *err)
{
    const bool four = tsr_grid_weight_bits(q->opt.grid) == 4;
    TSR_TRY(tsr_quant_try(j, &q->plan, NULL, &r->kl_nearest, err));
    r->kl = r->kl_nearest;
    if (q->taken) return TSR_OK; /* teaching has had the last word on weights and biases */
    if (q->opt.equalise == TSR_QUANT_AUTO) TSR_TRY(equalise(q, j, r, err));
    if (four && q->opt.rounding == TSR_ROUND_LEARNED) TSR_TRY(learn(q, j, true, &r->kl, &r->rounded, err));
    if (q->opt.correct_bias == TSR_QUANT_AUTO) TSR_TRY(learn(q, j, false, &r->kl, &r->shifted, err));
    if (!budget || !(q->opt.budget.kl > 0)) return TSR_OK;
    TSR_TRY(tsr_quant_fit_budget(j, &q->observer, &q->plan, &q->opt, &r->kl, err));
    if (r->kl <= q->opt.budget.kl) return TSR_OK;
    return tsr_fail(err, TSR_E_LIMIT, "the budget cannot be met: with every layer that has weights in float the outputs diverge by %.3g nats, "
                    "and %.3g are allowed; allow more%s", r->kl, q->opt.budget.kl, q->weights > 0 ? " or prune less" : "");
}

/* ---- teaching on the grid ------------------------------------------------------------------- */

/* What was learnt goes into the weights and biases themselves, of which the graph gets copies of its own; rounding
 * them to nearest gives it back. */
static enum tsr_status settle(struct tsr_quantiser *q, struct tsr_error *err)
{
    for (size_t i = 0; i < q->g->n_node; i++) {
        struct tsr_quant_layer *l = &q->plan.layer[i];
        const int place[2] = {l->rounded != NULL ? l->weight : -1, l->bias_shift != NULL ? l->bias : -1};
        for (int k = 0; k < 2; k++) {
            if (place[k] < 0 || q->plan.reads[q->g->node[i].in[place[k]]] != 1) continue;
            struct tsr_tensor *t = &q->g->value[q->g->node[i].in[place[k]]].init, own;
            TSR_TRY(tsr_tensor_copy(&own, t, err));
            tsr_tensor_release(t);
            *t = own;
            float *v = t->data;
            for (int64_t e = 0; e < tsr_tensor_count(t); e++)
                v[e] = k == 0 ? l->scale[tsr_weight_scale_index(&t->shape, &l->grid, e)] * (float)l->rounded[e] : v[e] + l->bias_shift[e];
        }
        tsr_free(l->bias_shift);
        l->bias_shift = NULL;
    }
    return TSR_OK;
}

enum tsr_status tsr_quantiser_fake(struct tsr_quantiser *q, struct tsr_graph **fake, struct tsr_error *err)
{
    struct tsr_quantise_report ignored = {0};
    struct tsr_quant_judge j;
    *fake = NULL;
    TSR_TRY(find_steps(q, err));
    /* with activations of 4 bits as well, most of the loss is theirs, and weights as they were are the better start */
    if (tsr_grid_activation_bits(q->opt.grid) == 4) return tsr_quant_fake(&q->plan, fake, err);
    TSR_TRY(tsr_quant_judge_init(&j, q->model, &q->keep.samples, q->opt.pool, err));
    enum tsr_status status = j.n > 0 ? refine(q, &j, false, &ignored, err) : TSR_OK;
    tsr_quant_judge_release(&j);
    if (status == TSR_OK) status = settle(q, err);
    return status == TSR_OK ? tsr_quant_fake(&q->plan, fake, err) : status;
}

enum tsr_status tsr_quantiser_take(struct tsr_quantiser *q, const struct tsr_graph *fake, struct tsr_error *err)
{
    q->taken = true;
    return tsr_quant_take(&q->plan, q->g, fake, err);
}

static void count_nodes(const struct tsr_quant_plan *plan, struct tsr_quantise_report *r)
{
    for (size_t i = 0; i < plan->g->n_node; i++) {
        const struct tsr_quant_layer *l = &plan->layer[i];
        bool on = l->on && (l->role == TSR_ROLE_PRODUCT || l->role == TSR_ROLE_STORED || l->role == TSR_ROLE_LOOKUP);
        if (on) r->quantised++;
        else if (l->why != NULL) r->left++;
    }
}

static enum tsr_status on_integers(struct tsr_quantiser *q, const struct tsr_quant_judge *j, struct tsr_graph **out,
                                   struct tsr_quantise_report *report, struct tsr_error *err)
{
    TSR_TRY(find_steps(q, err));
    if (j->n > 0) TSR_TRY(refine(q, j, true, report, err));
    count_nodes(&q->plan, report);
    return tsr_quant_rewrite(&q->plan, out, err);
}

/* Whether what was computed in half precision is finite where it was, and how far it is off, on the samples kept. */
static enum tsr_status compare_half(const struct tsr_quantiser *q, const struct tsr_graph *made, struct tsr_quantise_report *report,
                                    struct tsr_error *err)
{
    const struct tsr_quant_samples *s = &q->keep.samples;
    struct tsr_quant_outputs want = {0}, have = {0};
    if (s->rows == 0) return TSR_OK;
    enum tsr_status status = tsr_quant_run(q->model, s, 0, s->rows, q->opt.pool, &want, err);
    if (status == TSR_OK) status = tsr_quant_run(made, s, 0, s->rows, q->opt.pool, &have, err);
    for (int64_t i = 0; status == TSR_OK && i < want.rows * want.columns; i++)
        report->overflown += isfinite(want.z[i]) && !isfinite(have.z[i]);
    if (status == TSR_OK && report->overflown == 0) report->kl = report->kl_nearest = tsr_quant_divergence(&want, &have);
    tsr_free(want.z);
    tsr_free(have.z);
    return status;
}

static enum tsr_status in_half(const struct tsr_quantiser *q, struct tsr_graph **out, struct tsr_quantise_report *report, struct tsr_error *err)
{
    TSR_TRY(tsr_quant_half(q->g, q->opt.grid == TSR_GRID_F16 ? TSR_F16 : TSR_BF16, out, err));
    const enum tsr_status status = compare_half(q, *out, report, err);
    if (status == TSR_OK) return TSR_OK;
    tsr_graph_free(*out);
    *out = NULL;
    return status;
}

enum tsr_status tsr_quantiser_finish(struct tsr_quantiser *q, struct tsr_graph **out, struct tsr_quantise_report *report,
                                     struct tsr_error *err)
{
    struct tsr_quant_judge j;
    *report = (struct tsr_quantise_report){.samples = q->observer.rows, .kl = NAN, .kl_nearest = NAN, .zeros = q->zeros, .weights = q->weights};
    *out = NULL;
    if (tsr_grid_is_half(q->opt.grid)) return in_half(q, out, report, err);
    tsr_observer_close(&q->observer);
    TSR_TRY(tsr_quant_judge_init(&j, q->model, &q->keep.samples, q->opt.pool, err));
    enum tsr_status status = on_integers(q, &j, out, report, err);
    tsr_quant_judge_release(&j);
    return status;
}

const struct tsr_quant_plan *tsr_quantiser_plan(const struct tsr_quantiser *q) { return &q->plan; }
