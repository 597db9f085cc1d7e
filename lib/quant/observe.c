#include "quant/observe.h"

#include "base/mem.h"
#include "graph/batch.h"
#include "quant/calibrate.h"
#include "quant/measure.h"

#include <string.h>

/* Points whose numbers are not those of another point. */
static bool observed(const struct tsr_quant_plan *plan, int32_t v)
{
    int32_t p = plan->g->value[v].producer;
    return plan->point[v].on && !(p >= 0 && plan->layer[p].role == TSR_ROLE_PASS && plan->layer[p].on);
}

enum tsr_status tsr_observer_init(struct tsr_observer *o, const struct tsr_quant_plan *plan, struct tsr_pool *pool,
                                  struct tsr_error *err)
{
    const struct tsr_graph *g = plan->g;
    struct tsr_session_options so = {.pool = pool};
    *o = (struct tsr_observer){.g = g, .pool = pool};
    o->value = tsr_calloc(g->n_value + 1, sizeof *o->value);
    if (o->value == NULL) return tsr_nomem(err, g->n_value * sizeof *o->value);
    for (size_t v = 0; v < g->n_value; v++)
        if (observed(plan, (int32_t)v)) o->value[o->n++] = (int32_t)v;
    o->seen = tsr_malloc(o->n, sizeof *o->seen);
    enum tsr_status status = o->seen ? TSR_OK : tsr_nomem(err, o->n * sizeof *o->seen);
    for (size_t i = 0; i < o->n && status == TSR_OK; i++) tsr_bins_init(&o->seen[i]);
    if (status == TSR_OK) status = tsr_session_new(g, &so, &o->session, err);
    if (status != TSR_OK) tsr_observer_release(o);
    return status;
}

void tsr_observer_close(struct tsr_observer *o)
{
    tsr_session_free(o->session);
    o->session = NULL;
}

void tsr_observer_release(struct tsr_observer *o)
{
    tsr_observer_close(o);
    tsr_free(o->value);
    tsr_free(o->seen);
    memset(o, 0, sizeof *o);
}

static void add_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    struct tsr_observer *o = arg;
    const struct tsr_tensor *t = tsr_session_value(o->session, o->value[i]);
    if (t->dtype == TSR_F32) tsr_bins_add(&o->seen[i], t->data, tsr_tensor_count(t));
}

static enum tsr_status check_types(const struct tsr_observer *o, struct tsr_error *err)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct tsr_tensor *t = tsr_session_value(o->session, o->value[i]);
        if (t->dtype != TSR_F32)
            return tsr_fail(err, TSR_E_UNSUPPORTED, "'%s' is %s; only float32 models can be calibrated",
                            o->g->value[o->value[i]].name, tsr_dtype_name(t->dtype));
    }
    return TSR_OK;
}

enum tsr_status tsr_observer_block(struct tsr_observer *o, const struct tsr_tensor *x, size_t n_inputs, struct tsr_error *err)
{
    const int64_t rows = x[0].shape.rank > 0 ? x[0].shape.dim[0] : 0;
    if (n_inputs != o->g->n_input || n_inputs > TSR_QUANT_INPUTS)
        return tsr_fail(err, TSR_E_MISMATCH, "the model has %zu inputs, %zu were given", o->g->n_input, n_inputs);
    for (size_t k = 0; k < n_inputs; k++)
        if (x[k].shape.rank < 1 || x[k].shape.dim[0] != rows)
            return tsr_fail(err, TSR_E_MISMATCH, "input '%s' has another number of samples than the first input",
                            o->g->value[o->g->input[k]].name);
    if (rows == 0 || o->n == 0) {
        o->rows += rows;
        return TSR_OK;
    }
    if (o->batch == 0) {
        TSR_TRY(tsr_batch_choose(o->session, o->g, x, n_inputs, o->value, o->n, &o->batch, err));
        TSR_TRY(check_types(o, err));
    }
    for (int64_t at = 0, m; at < rows; at += m) {
        m = rows - at < o->batch ? rows - at : o->batch;
        for (size_t k = 0; k < n_inputs; k++)
            TSR_TRY(tsr_batch_input(o->session, o->g, o->g->input[k], &x[k], at, m, err));
        TSR_TRY(tsr_session_run(o->session, o->value, o->n, err));
        tsr_pool_run(o->pool, (int64_t)o->n, add_task, o);
        o->rows += m;
    }
    return TSR_OK;
}

enum tsr_status tsr_observer_steps(const struct tsr_observer *o, struct tsr_quant_plan *plan, int calibrator,
                                   double percentile, struct tsr_error *err)
{
    const struct tsr_graph *g = plan->g;
    const bool symmetric = plan->target == TSR_TARGET_NCNN;
    struct tsr_bins *all = tsr_malloc(1, sizeof *all);
    if (all == NULL) return tsr_nomem(err, sizeof *all);
    enum tsr_status status = TSR_OK;
    for (size_t v = 0; v < g->n_value && status == TSR_OK; v++) {
        const struct tsr_quant_point *have = &plan->point[v];
        if (!have->on || have->same != (int32_t)v || (have->known && have->step.bits == have->bits)) continue;
        tsr_bins_init(all);
        for (size_t i = 0; i < o->n; i++)
            if (plan->point[o->value[i]].same == (int32_t)v) tsr_bins_merge(all, &o->seen[i]);
        const char *name = g->value[v].name;
        if (all->strange > 0)
            status = tsr_fail(err, TSR_E_NUMERIC, "'%s' held %llu NaNs or infinities; no range can be found for it", name,
                              (unsigned long long)all->strange);
        else if (all->count == 0)
            status = tsr_fail(err, TSR_E_MISMATCH, "nothing was seen of '%s': the calibration set is empty", name);
        if (status != TSR_OK) break;
        float lo, hi;
        int32_t p = g->value[v].producer;
        tsr_calibrate(all, (enum tsr_calibrator)calibrator, percentile, plan->point[v].bits, symmetric, &lo, &hi);
        if (plan->target == TSR_TARGET_TFLM && p >= 0 && strcmp(g->node[p].op_type, "Softmax") == 0) lo = 0, hi = 255.0f / 256;
        plan->point[v].step = tsr_step_of(lo, hi, plan->point[v].bits, symmetric);
        plan->point[v].known = true;
    }
    tsr_free(all);
    return status;
}
