#include "quant/refine.h"

#include "base/mem.h"
#include "quant/observe.h"
#include "quant/rewrite.h"

#include <math.h>

enum { FEW = 16 };

enum tsr_status tsr_quant_judge_init(struct tsr_quant_judge *j, const struct tsr_graph *model, const struct tsr_quant_samples *samples,
                                     struct tsr_pool *pool, struct tsr_error *err)
{
    const int64_t rows = samples->rows, held = rows < FEW ? rows : (rows + 3) / 4;
    *j = (struct tsr_quant_judge){.samples = samples, .learn = rows < FEW ? rows : rows - held, .first = rows - held, .n = held, .pool = pool};
    return rows > 0 ? tsr_quant_run(model, samples, j->first, j->n, pool, &j->wanted, err) : TSR_OK;
}

void tsr_quant_judge_release(struct tsr_quant_judge *j)
{
    tsr_free(j->wanted.z);
    j->wanted.z = NULL;
}

enum tsr_status tsr_quant_judged(const struct tsr_quant_judge *j, const struct tsr_graph *g, double *kl, struct tsr_error *err)
{
    struct tsr_quant_outputs have = {0};
    *kl = NAN;
    if (j->n == 0) return TSR_OK;
    TSR_TRY(tsr_quant_run(g, j->samples, j->first, j->n, j->pool, &have, err));
    *kl = tsr_quant_divergence(&j->wanted, &have);
    tsr_free(have.z);
    return TSR_OK;
}

enum tsr_status tsr_quant_try(const struct tsr_quant_judge *j, struct tsr_quant_plan *plan, struct tsr_graph **made, double *kl,
                              struct tsr_error *err)
{
    struct tsr_graph *g;
    if (made != NULL) *made = NULL;
    TSR_TRY(tsr_quant_rewrite(plan, &g, err));
    enum tsr_status status = tsr_quant_judged(j, g, kl, err);
    if (made != NULL && status == TSR_OK) *made = g;
    else tsr_graph_free(g);
    return status;
}

enum tsr_status tsr_quant_replan(const struct tsr_quant_judge *j, const struct tsr_quant_plan *like, const struct tsr_graph *g,
                                 const struct tsr_quantise_options *o, struct tsr_quant_plan *plan, struct tsr_error *err)
{
    struct tsr_observer watch = {0};
    struct tsr_tensor x[TSR_QUANT_INPUTS];
    TSR_TRY(tsr_quant_plan_init(plan, g, o->grid, o->target, o->block, o->exclude, o->n_exclude, err));
    for (size_t i = 0; i < g->n_node; i++)
        tsr_quant_plan_set(plan, i, like->layer[i].on || like->layer[i].weight < 0 ? tsr_grid_weight_bits(o->grid) : 32,
                           like->layer[i].activation_bits);
    tsr_quant_plan_points(plan);
    for (size_t k = 0; k < j->samples->n_inputs; k++) x[k] = tsr_quant_slice(j->samples, k, 0, j->learn);
    enum tsr_status status = tsr_observer_init(&watch, plan, j->pool, err);
    if (status == TSR_OK) status = tsr_observer_block(&watch, x, j->samples->n_inputs, err);
    if (status == TSR_OK) status = tsr_observer_steps(&watch, plan, o->calibrator, o->percentile, err);
    tsr_observer_release(&watch);
    if (status != TSR_OK) tsr_quant_plan_release(plan);
    return status;
}
