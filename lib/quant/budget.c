#include "quant/budget.h"

#include "base/mem.h"
#include "io/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SENSITIVITY_ROWS = 256 };

enum tsr_status tsr_quant_budget_parse(const char *text, struct tsr_quant_budget *b, struct tsr_error *err)
{
    b->kl = 0;
    if (strncmp(text, "kl<=", 4) == 0 && tsr_number_parse(text + 4, strlen(text + 4), &b->kl) && b->kl > 0 && isfinite(b->kl)) return TSR_OK;
    return tsr_fail(err, TSR_E_USAGE, "a budget is kl<=NATS with a positive number, as in kl<=0.01, not '%.40s'", text);
}

/* A layer that may go up: it has weights on the grid. */
static bool counts(const struct tsr_quant_layer *l) { return l->on && l->weight >= 0 && l->role != TSR_ROLE_ELEMENT && l->role != TSR_ROLE_PASS; }

/* ---- sensitivity ---------------------------------------------------------------------------- */

static enum tsr_status measure_alone(const struct tsr_quant_judge *j, const struct tsr_observer *o, const struct tsr_quant_plan *plan,
                                     const struct tsr_quantise_options *options, size_t node, double *kl, struct tsr_error *err)
{
    struct tsr_quant_plan alone;
    TSR_TRY(tsr_quant_plan_copy(&alone, plan, err));
    for (size_t i = 0; i < plan->g->n_node; i++)
        if (i != node) tsr_quant_plan_set(&alone, i, 32, 32);
    tsr_quant_plan_points(&alone);
    enum tsr_status status = tsr_observer_steps(o, &alone, options->calibrator, options->percentile, err);
    if (status == TSR_OK) status = tsr_quant_try(j, &alone, NULL, kl, err);
    tsr_quant_plan_release(&alone);
    return status;
}

enum tsr_status tsr_quant_sensitivity(const struct tsr_quant_judge *j, const struct tsr_observer *o, struct tsr_quant_plan *plan,
                                      const struct tsr_quantise_options *options, int64_t rows, struct tsr_error *err)
{
    /* nothing is learnt here: samples that others learnt from are as good as those held back */
    struct tsr_quant_judge all = {.samples = j->samples, .n = j->samples->rows < rows ? j->samples->rows : rows, .pool = j->pool};
    enum tsr_status status = tsr_quant_run(plan->g, all.samples, 0, all.n, all.pool, &all.wanted, err);
    for (size_t i = 0; i < plan->g->n_node && status == TSR_OK; i++)
        if (counts(&plan->layer[i])) status = measure_alone(&all, o, plan, options, i, &plan->layer[i].sensitivity, err);
    tsr_quant_judge_release(&all);
    return status;
}

/* ---- fitting the budget --------------------------------------------------------------------- */

struct ranked {
    size_t node;
    double sensitivity;
};

static int by_sensitivity(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->sensitivity != y->sensitivity) return x->sensitivity > y->sensitivity ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static enum tsr_status rank(const struct tsr_quant_plan *plan, struct ranked **list, size_t *n, struct tsr_error *err)
{
    *n = 0;
    *list = tsr_malloc(plan->g->n_node + 1, sizeof **list);
    if (*list == NULL) return tsr_nomem(err, plan->g->n_node * sizeof **list);
    for (size_t i = 0; i < plan->g->n_node; i++)
        if (counts(&plan->layer[i])) (*list)[(*n)++] = (struct ranked){i, plan->layer[i].sensitivity};
    qsort(*list, *n, sizeof **list, by_sensitivity);
    return TSR_OK;
}

struct search {
    const struct tsr_quant_judge *j;
    const struct tsr_observer *o;
    const struct tsr_quantise_options *options;
    const struct ranked *list;
    int weight_bits, activation_bits; /* what is promoted to */
};

/* The plan with the first m of the list promoted. */
static enum tsr_status promoted(const struct search *s, const struct tsr_quant_plan *plan, size_t m, struct tsr_quant_plan *out,
                                double *kl, struct tsr_error *err)
{
    TSR_TRY(tsr_quant_plan_copy(out, plan, err));
    for (size_t i = 0; i < m; i++) {
        tsr_quant_plan_set(out, s->list[i].node, s->weight_bits, s->activation_bits);
        if (s->weight_bits > 8) out->layer[s->list[i].node].why = "the budget asks for it";
    }
    tsr_quant_plan_points(out);
    enum tsr_status status = tsr_observer_steps(s->o, out, s->options->calibrator, s->options->percentile, err);
    if (status == TSR_OK) status = tsr_quant_try(s->j, out, NULL, kl, err);
    if (status != TSR_OK) tsr_quant_plan_release(out);
    return status;
}

/* Replaces the plan by the one with the fewest promotions that meets the budget, or with all of them. */
static enum tsr_status bisect(const struct search *s, struct tsr_quant_plan *plan, size_t n, double *kl, struct tsr_error *err)
{
    size_t low = 0, high = n; /* low is not enough */
    struct tsr_quant_plan best, next;
    double reached;
    TSR_TRY(promoted(s, plan, n, &best, &reached, err));
    while (reached <= s->options->budget.kl && high - low > 1) {
        const size_t m = (low + high) / 2;
        double d;
        enum tsr_status status = promoted(s, plan, m, &next, &d, err);
        if (status != TSR_OK) {
            tsr_quant_plan_release(&best);
            return status;
        }
        if (d <= s->options->budget.kl) {
            tsr_quant_plan_release(&best);
            best = next, reached = d, high = m;
        } else {
            tsr_quant_plan_release(&next);
            low = m;
        }
    }
    tsr_quant_plan_release(plan);
    *plan = best;
    *kl = reached;
    return TSR_OK;
}

enum tsr_status tsr_quant_fit_budget(const struct tsr_quant_judge *j, const struct tsr_observer *o, struct tsr_quant_plan *plan,
                                     const struct tsr_quantise_options *options, double *kl, struct tsr_error *err)
{
    struct search s = {.j = j, .o = o, .options = options};
    TSR_TRY(tsr_quant_try(j, plan, NULL, kl, err));
    for (int stage = tsr_grid_weight_bits(options->grid) == 4 ? 0 : 1; stage < 2 && !(*kl <= options->budget.kl); stage++) {
        struct ranked *list;
        size_t n;
        s.weight_bits = stage == 0 ? 8 : 32;
        s.activation_bits = stage == 1 || tsr_grid_activation_bits(options->grid) > 8 ? 32 : 8;
        TSR_TRY(tsr_quant_sensitivity(j, o, plan, options, SENSITIVITY_ROWS, err));
        TSR_TRY(rank(plan, &list, &n, err));
        s.list = list;
        enum tsr_status status = bisect(&s, plan, n, kl, err);
        tsr_free(list);
        TSR_TRY(status);
    }
    return TSR_OK;
}
