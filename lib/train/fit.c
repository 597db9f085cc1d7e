#include "train/fit.h"

#include "base/mem.h"
#include "base/rng.h"
#include "train/adamw.h"

#include <math.h>
#include <string.h>

#define MAX_WANT 4
#define EVAL_BATCH 256

struct tsr_fit_options tsr_fit_defaults(void)
{
    return (struct tsr_fit_options){.steps = 600, .batch = 64, .lr = 2e-3f, .warmup = 20, .weight_decay = 0.01f,
                                    .clip = 1.0f, .ema = 0.99f};
}

struct fit {
    struct tsr_session *s;
    struct tsr_params *ps;
    const struct tsr_fit_problem *problem;
    const struct tsr_fit_options *opt;
    struct tsr_adamw adam;
    struct tsr_rng rng;
    uint32_t *order;
    uint32_t next;      /* position in order */
    int32_t *ids;       /* of the stepped parameters */
    size_t n_ids;
    float *average, *best; /* ps->total elements each */
    double best_loss;
    bool have_best;
    struct tsr_tensor grad[MAX_WANT];
    struct tsr_error *err;
};

enum tsr_status tsr_fit_evaluate(struct tsr_session *s, const struct tsr_fit_problem *problem, uint32_t first,
                                 uint32_t n, double *loss, struct tsr_error *err)
{
    uint32_t row[EVAL_BATCH];
    const struct tsr_tensor *value[MAX_WANT];
    double sum = 0;
    tsr_session_set_training(s, false, false);
    for (uint32_t at = 0; at < n;) {
        uint32_t m = n - at < EVAL_BATCH ? n - at : EVAL_BATCH;
        for (uint32_t i = 0; i < m; i++) row[i] = first + at + i;
        TSR_TRY(problem->input(problem->arg, row, m, s, err));
        TSR_TRY(tsr_session_run(s, problem->want, problem->n_want, err));
        for (size_t i = 0; i < problem->n_want; i++) value[i] = tsr_session_value(s, problem->want[i]);
        double part;
        TSR_TRY(problem->loss(problem->arg, row, m, value, NULL, &part, err));
        sum += part * (double)m;
        at += m;
    }
    *loss = n > 0 ? sum / (double)n : NAN;
    return TSR_OK;
}

static enum tsr_status begin(struct fit *f)
{
    struct tsr_params *ps = f->ps;
    struct tsr_error *err = f->err;
    size_t slots = 0, total = (size_t)ps->total;
    f->ids = tsr_malloc(ps->n, sizeof *f->ids);
    f->order = tsr_malloc(f->problem->rows, sizeof *f->order);
    f->best = tsr_malloc(total, sizeof *f->best);
    if (f->ids == NULL || f->order == NULL || f->best == NULL) return tsr_nomem(err, total * sizeof *f->best);
    if (f->opt->ema > 0) {
        f->average = tsr_malloc(total, sizeof *f->average);
        if (f->average == NULL) return tsr_nomem(err, total * sizeof *f->average);
        tsr_params_save(ps, f->average);
    }
    for (uint32_t i = 0; i < f->problem->rows; i++) f->order[i] = i;
    f->next = f->problem->rows; /* shuffles before the first batch */
    tsr_rng_init(&f->rng, f->opt->seed, 0x666974);
    for (size_t i = 0; i < ps->n; i++) slots += !ps->p[i].buffer;
    TSR_TRY(tsr_adamw_init(&f->adam, slots + f->problem->n_extra, err));
    f->adam.weight_decay = f->opt->weight_decay;
    f->adam.clip = f->opt->clip;
    size_t offset = 0;
    for (size_t i = 0; i < ps->n; i++) {
        const struct tsr_param *p = &ps->p[i];
        if (!p->buffer) {
            TSR_TRY(tsr_adamw_slot(&f->adam, f->n_ids, p->w, p->n, p->decay, err));
            if (f->opt->mask != NULL) f->adam.slot[f->n_ids].mask = f->opt->mask + offset;
            f->ids[f->n_ids++] = p->id;
        }
        offset += (size_t)p->n;
    }
    for (size_t i = 0; i < f->problem->n_extra; i++) {
        const struct tsr_fit_extra *x = &f->problem->extra[i];
        TSR_TRY(tsr_adamw_slot(&f->adam, f->n_ids + i, x->w, x->n, x->decay, err));
        f->adam.slot[f->n_ids + i].g = x->g;
    }
    return TSR_OK;
}

static void end(struct fit *f)
{
    for (int i = 0; i < MAX_WANT; i++) tsr_tensor_release(&f->grad[i]);
    tsr_adamw_release(&f->adam);
    tsr_free(f->ids);
    tsr_free(f->order);
    tsr_free(f->average);
    tsr_free(f->best);
}

/* The rows of the next batch; a new shuffle where the epoch has fewer left. */
static const uint32_t *next_batch(struct fit *f, int64_t *n)
{
    uint32_t rows = f->problem->rows;
    *n = f->opt->batch < rows ? f->opt->batch : rows;
    if (f->next + (uint64_t)*n > rows) {
        tsr_rng_shuffle(&f->rng, f->order, rows);
        f->next = 0;
    }
    const uint32_t *row = f->order + f->next;
    f->next += (uint32_t)*n;
    return row;
}

static enum tsr_status gradient_room(struct fit *f, size_t i, const struct tsr_tensor *value)
{
    struct tsr_tensor *g = &f->grad[i];
    if (g->dtype == value->dtype && tsr_shape_equal(&g->shape, &value->shape)) return TSR_OK;
    tsr_tensor_release(g);
    if (value->dtype != TSR_F32)
        return tsr_fail(f->err, TSR_E_UNSUPPORTED, "the model gives %s outputs; only float32 ones can be taught",
                        tsr_dtype_name(value->dtype));
    return tsr_tensor_new(g, TSR_F32, &value->shape, NULL, f->err);
}

static float learning_rate(const struct tsr_fit_options *o, int64_t step)
{
    if (step < o->warmup) return o->lr * (float)(step + 1) / (float)o->warmup;
    int64_t span = o->steps - o->warmup;
    double t = span > 0 ? (double)(step - o->warmup) / (double)span : 1;
    return o->lr * (float)(0.5 * (1 + cos(3.14159265358979323846 * t)));
}

static enum tsr_status one_step(struct fit *f, int64_t step, double *loss)
{
    const struct tsr_fit_problem *p = f->problem;
    const struct tsr_tensor *value[MAX_WANT], *seed[MAX_WANT];
    int64_t n;
    const uint32_t *row = next_batch(f, &n);
    tsr_session_set_training(f->s, true, true);
    TSR_TRY(p->input(p->arg, row, n, f->s, f->err));
    TSR_TRY(tsr_session_run(f->s, p->want, p->n_want, f->err));
    for (size_t i = 0; i < p->n_want; i++) {
        value[i] = tsr_session_value(f->s, p->want[i]);
        TSR_TRY(gradient_room(f, i, value[i]));
        seed[i] = &f->grad[i];
    }
    TSR_TRY(p->loss(p->arg, row, n, value, f->grad, loss, f->err));
    TSR_TRY(tsr_session_backward(f->s, p->want, seed, p->n_want, f->ids, f->n_ids, f->err));
    for (size_t i = 0; i < f->n_ids; i++) {
        const struct tsr_tensor *g = tsr_session_grad(f->s, f->ids[i]);
        f->adam.slot[i].g = g == NULL ? NULL : g->data;
    }
    double norm = tsr_adamw_step(&f->adam, learning_rate(f->opt, step));
    if (!isfinite(*loss) || !isfinite(norm))
        return tsr_fail(f->err, TSR_E_NUMERIC, "training diverged at step %lld; try a smaller learning rate",
                        (long long)step);
    if (f->average != NULL) {
        /* A young average leans on the latest weights. */
        float decay = (float)(step + 1) / (float)(step + 10);
        tsr_params_average(f->ps, decay < f->opt->ema ? decay : f->opt->ema, f->average);
    }
    return TSR_OK;
}

static enum tsr_status consider(struct fit *f, bool *better)
{
    double loss;
    TSR_TRY(tsr_fit_evaluate(f->s, f->problem, f->problem->rows, f->problem->held, &loss, f->err));
    if (f->have_best && !(loss < f->best_loss)) return TSR_OK;
    f->have_best = *better = true;
    f->best_loss = loss;
    tsr_params_save(f->ps, f->best);
    return TSR_OK;
}

/* Evaluates the weights and their average; the graph's weights are as before afterwards. */
static enum tsr_status evaluate(struct fit *f, float *spare, bool *better)
{
    *better = false;
    TSR_TRY(consider(f, better));
    if (f->average == NULL) return TSR_OK;
    tsr_params_save(f->ps, spare);
    tsr_params_load(f->ps, f->average);
    enum tsr_status status = consider(f, better);
    tsr_params_load(f->ps, spare);
    return status;
}

static enum tsr_status loop(struct fit *f, float *spare, struct tsr_fit_result *r)
{
    int64_t bad = 0;
    double mean = NAN;
    bool better;
    if (f->problem->held > 0 && f->opt->eval_every > 0) {
        TSR_TRY(consider(f, &better));
        r->first_held = f->best_loss;
    }
    for (int64_t step = 0; step < f->opt->steps; step++) {
        if (f->opt->stop != NULL && f->opt->stop())
            return tsr_fail(f->err, TSR_E_INTERRUPTED, "interrupted at step %lld", (long long)step);
        double loss;
        TSR_TRY(one_step(f, step, &loss));
        mean = isnan(mean) ? loss : 0.95 * mean + 0.05 * loss;
        r->steps = step + 1;
        if (f->opt->progress != NULL) f->opt->progress(f->opt->progress_arg, step + 1, f->opt->steps, mean);
        bool due = f->opt->eval_every > 0 && (step + 1) % f->opt->eval_every == 0 && step + 1 < f->opt->steps;
        if (f->problem->held == 0 || !due) continue;
        TSR_TRY(evaluate(f, spare, &better));
        bad = better ? 0 : bad + 1;
        if (f->opt->patience > 0 && bad >= f->opt->patience) break;
    }
    r->train_loss = mean;
    if (f->problem->held > 0) {
        TSR_TRY(evaluate(f, spare, &better));
        tsr_params_load(f->ps, f->best);
        r->held_loss = f->best_loss;
    } else if (f->average != NULL) {
        tsr_params_load(f->ps, f->average);
    }
    return TSR_OK;
}

enum tsr_status tsr_fit(struct tsr_session *s, struct tsr_params *ps, const struct tsr_fit_problem *problem,
                        const struct tsr_fit_options *options, struct tsr_fit_result *result, struct tsr_error *err)
{
    *result = (struct tsr_fit_result){.train_loss = NAN, .held_loss = NAN, .first_held = NAN};
    if (problem->rows == 0) return tsr_fail(err, TSR_E_MISMATCH, "there are no rows to learn from");
    if (problem->n_want == 0 || problem->n_want > MAX_WANT)
        return tsr_fail(err, TSR_E_USAGE, "a loss reads 1 to %d values, not %zu", MAX_WANT, problem->n_want);
    struct fit f = {.s = s, .ps = ps, .problem = problem, .opt = options, .err = err};
    float *spare = tsr_malloc((size_t)ps->total, sizeof *spare);
    enum tsr_status status = spare == NULL ? tsr_nomem(err, (size_t)ps->total * sizeof *spare) : begin(&f);
    if (status == TSR_OK) status = loop(&f, spare, result);
    tsr_free(spare);
    end(&f);
    return status;
}
