#include "train/rate.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* The parameters and the extras, one after the other. */
static int64_t state_size(const struct tsr_params *ps, const struct tsr_fit_problem *problem)
{
    int64_t n = ps->total;
    for (size_t i = 0; i < problem->n_extra; i++) n += problem->extra[i].n;
    return n;
}

static void save(const struct tsr_params *ps, const struct tsr_fit_problem *problem, float *to)
{
    tsr_params_save(ps, to);
    to += ps->total;
    for (size_t i = 0; i < problem->n_extra; to += problem->extra[i++].n)
        memcpy(to, problem->extra[i].w, (size_t)problem->extra[i].n * sizeof *to);
}

static void restore(const struct tsr_params *ps, const struct tsr_fit_problem *problem, const float *from)
{
    tsr_params_load(ps, from);
    from += ps->total;
    for (size_t i = 0; i < problem->n_extra; from += problem->extra[i++].n)
        memcpy(problem->extra[i].w, from, (size_t)problem->extra[i].n * sizeof *from);
}

/* Trains with one rate; *loss is infinite where that diverges. */
static enum tsr_status trial(struct tsr_session *s, struct tsr_params *ps, const struct tsr_fit_problem *problem,
                             const struct tsr_fit_options *options, int64_t steps, float lr, double *loss,
                             struct tsr_error *err)
{
    struct tsr_fit_options o = *options;
    struct tsr_fit_result r;
    o.steps = steps;
    o.warmup = o.warmup > steps / 4 ? steps / 4 : o.warmup;
    o.lr = lr;
    o.eval_every = 0;
    o.progress = NULL;
    enum tsr_status status = tsr_fit(s, ps, problem, &o, &r, err);
    *loss = status == TSR_OK ? r.held_loss : INFINITY;
    return status == TSR_E_NUMERIC ? TSR_OK : status;
}

enum tsr_status tsr_fit_choose_rate(struct tsr_session *s, struct tsr_params *ps,
                                    const struct tsr_fit_problem *problem, const struct tsr_fit_options *options,
                                    struct tsr_rate_choice *choice, struct tsr_error *err)
{
    if (choice->n == 0 || choice->n > TSR_MAX_RATES)
        return tsr_fail(err, TSR_E_USAGE, "1 to %d learning rates can be tried, not %zu", TSR_MAX_RATES, choice->n);
    choice->best = choice->list[0];
    if (choice->n == 1 || problem->held == 0) return TSR_OK;
    size_t size = (size_t)state_size(ps, problem);
    float *start = tsr_malloc(size, sizeof *start);
    if (start == NULL) return tsr_nomem(err, size * sizeof *start);
    save(ps, problem, start);
    double lowest = INFINITY;
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < choice->n && status == TSR_OK; i++) {
        status = trial(s, ps, problem, options, choice->steps, choice->list[i], &choice->loss[i], err);
        restore(ps, problem, start);
        if (choice->loss[i] < lowest) {
            lowest = choice->loss[i];
            choice->best = choice->list[i];
        }
        /* The smallest rate won: smaller ones may be better still (trained receivers). */
        if (i + 1 == choice->n && choice->best == choice->list[i] && choice->n < TSR_MAX_RATES)
            choice->list[choice->n++] = choice->list[i] / 4;
    }
    tsr_free(start);
    return status;
}
