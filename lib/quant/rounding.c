#include "quant/rounding.h"

#include "base/mem.h"
#include "graph/batch.h"
#include "quant/patches.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"

#include <math.h>
#include <string.h>

#define ROOM ((size_t)96 << 20) /* of Gram matrices at a time */
enum { ROWS = 8192 /* of all samples together, a layer and group */ };

/* ---- Gram matrices -------------------------------------------------------------------------- */

/* One layer of those that are looked at together. */
struct subject {
    size_t node;
    struct tsr_patches p;
    struct tsr_gram m;
};

static size_t gram_bytes(const struct tsr_patches *p) { return (size_t)(p->groups * p->k * p->k) * sizeof(float); }

static void release(struct subject *s)
{
    tsr_free(s->m.h);
    tsr_free(s->m.l);
    tsr_free(s->m.mean);
    tsr_free(s->m.mean_float);
    memset(&s->m, 0, sizeof s->m);
}

/* The means, and the matrix where rounding is to be learnt. */
static enum tsr_status gram_new(struct subject *s, bool round, struct tsr_error *err)
{
    const size_t n = (size_t)(s->p.groups * s->p.k);
    s->m = (struct tsr_gram){.groups = s->p.groups, .k = s->p.k};
    if (round) s->m.h = tsr_calloc(n, (size_t)s->p.k * sizeof *s->m.h);
    s->m.mean = tsr_calloc(n, sizeof *s->m.mean);
    s->m.mean_float = tsr_calloc(n, sizeof *s->m.mean_float);
    return (s->m.h || !round) && s->m.mean && s->m.mean_float ? TSR_OK : tsr_nomem(err, n * (size_t)s->p.k * sizeof *s->m.h);
}

static void add_means(int64_t rows, int64_t k, const float *x, double *sum)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < k; j++) sum[j] += (double)x[i * k + j];
}

static enum tsr_status add_batch(const struct tsr_quant_plan *plan, struct subject *s, const struct tsr_tensor *x, int64_t most,
                                 struct tsr_pool *pool, struct tsr_error *err)
{
    const struct tsr_quant_point *point = &plan->point[plan->point[plan->g->node[s->node].in[0]].same];
    const bool on = plan->point[plan->g->node[s->node].in[0]].on && point->known;
    float *rows = tsr_malloc((size_t)most, (size_t)s->p.k * sizeof *rows);
    if (rows == NULL) return tsr_nomem(err, (size_t)(most * s->p.k) * sizeof *rows);
    for (int64_t g = 0; g < s->p.groups; g++) {
        const int64_t n = tsr_patches_rows(&s->p, x, g, most, rows), k = s->p.k;
        add_means(n, k, rows, s->m.mean_float + g * k);
        for (int64_t i = 0; on && i < n * k; i++) rows[i] = tsr_step_round(&point->step, rows[i]);
        add_means(n, k, rows, s->m.mean + g * k);
        if (g == 0) s->m.rows += n;
        if (n == 0 || s->m.h == NULL) continue;
        const struct tsr_gemm product = {.ta = true, .m = k, .n = k, .k = n, .alpha = 1, .beta = 1, .a = rows, .b = rows,
                                         .c = s->m.h + g * k * k, .lda = k, .ldb = k, .ldc = k};
        tsr_gemm_run(&product, pool);
    }
    tsr_free(rows);
    return TSR_OK;
}

/* Runs the samples and fills the Gram matrices of all subjects. */
static enum tsr_status collect(const struct tsr_quant_plan *plan, struct subject *s, size_t n_subjects, int32_t *want,
                               const struct tsr_quant_samples *samples, int64_t n, struct tsr_pool *pool, struct tsr_error *err)
{
    const struct tsr_graph *g = plan->g;
    struct tsr_session_options so = {.pool = pool};
    struct tsr_session *session;
    struct tsr_tensor x[TSR_QUANT_INPUTS], value;
    int64_t batch;
    for (size_t i = 0; i < n_subjects; i++) want[i] = g->node[s[i].node].in[0];
    for (size_t k = 0; k < samples->n_inputs; k++) x[k] = tsr_quant_slice(samples, k, 0, n);
    TSR_TRY(tsr_session_new(g, &so, &session, err));
    enum tsr_status status = tsr_batch_choose(session, g, x, samples->n_inputs, want, n_subjects, &batch, err);
    for (int64_t at = 0, m; at < n && status == TSR_OK; at += m) {
        m = n - at < batch ? n - at : batch;
        for (size_t k = 0; k < samples->n_inputs && status == TSR_OK; k++)
            status = tsr_batch_input(session, g, g->input[k], &x[k], at, m, err);
        if (status == TSR_OK) status = tsr_session_run(session, want, n_subjects, err);
        for (size_t i = 0; i < n_subjects && status == TSR_OK; i++) {
            status = tsr_batch_value(session, g, want[i], m, &value, err);
            if (status == TSR_OK) status = add_batch(plan, &s[i], &value, (ROWS * m + n - 1) / n, pool, err);
        }
    }
    tsr_session_free(session);
    return status;
}

/* ---- rounding ------------------------------------------------------------------------------- */

struct task {
    const struct subject *s;
    const float *w;            /* the file's weights */
    const struct tsr_shape *shape;
    const struct tsr_weight_grid *grid;
    const float *scale;
    int8_t *q;
    char *mem;
    size_t each;
};

static void round_task(void *arg, int64_t i, int worker)
{
    const struct task *t = arg;
    const struct tsr_patches *p = &t->s->p;
    const int64_t k = p->k, g = i / p->n, base = g * p->step_g + i % p->n * p->step_n;
    float *w = (float *)(void *)(t->mem + t->each * (size_t)worker), *s = w + k, *scratch = s + k;
    int8_t *q = (int8_t *)(scratch + k) + k;
    for (int64_t j = 0; j < k; j++) {
        const int64_t at = base + j * p->step_k;
        w[j] = t->w[at];
        s[j] = t->scale[tsr_weight_scale_index(t->shape, t->grid, at)];
        q[j] = t->q[at];
    }
    tsr_round_row(k, t->s->m.h + g * k * k, t->s->m.l != NULL ? t->s->m.l + g * k * k : NULL, w, s, (1 << (t->grid->bits - 1)) - 1, q, scratch);
    for (int64_t j = 0; j < k; j++) t->q[base + j * p->step_k] = q[j];
}

/* A little of the mean diagonal on the diagonal: what the samples do not show counts a little, too. */
static void damp(struct tsr_gram *m)
{
    for (int64_t g = 0; g < m->groups; g++) {
        float *h = m->h + g * m->k * m->k;
        double mean = 0;
        for (int64_t j = 0; j < m->k; j++) mean += (double)h[j * m->k + j] / (double)m->k;
        const float add = (float)(0.01 * mean + 1e-20);
        for (int64_t j = 0; j < m->k; j++) h[j * m->k + j] += add;
    }
}

/* The Cholesky factors of all groups; none where one matrix has no factor. */
static enum tsr_status factor(struct tsr_gram *m, struct tsr_error *err)
{
    const size_t each = (size_t)(m->k * m->k);
    double *a = tsr_malloc(each, sizeof *a);
    m->l = tsr_malloc((size_t)m->groups * each, sizeof *m->l);
    const enum tsr_status status = a != NULL && m->l != NULL ? TSR_OK : tsr_nomem(err, each * sizeof *a);
    bool whole = true;
    for (size_t g = 0; g < (size_t)m->groups && status == TSR_OK && whole; g++) {
        for (size_t i = 0; i < each; i++) a[i] = (double)m->h[g * each + i];
        whole = tsr_lapack_cholesky(m->k, a, m->k, NULL) == TSR_OK;
        for (size_t i = 0; i < each; i++) m->l[g * each + i] = (float)a[i];
    }
    tsr_free(a);
    if (whole) return status;
    tsr_free(m->l);
    m->l = NULL;
    return status;
}

/* Integers and scales to nearest, as the rewriter would make them. */
static enum tsr_status nearest(struct tsr_quant_layer *l, const struct tsr_tensor *w, struct tsr_error *err)
{
    const struct tsr_shape shape = tsr_weight_scale_shape(&w->shape, &l->grid);
    const size_t n = (size_t)tsr_tensor_count(w), ns = (size_t)tsr_shape_count(&shape);
    if (l->scale == NULL) {
        l->scale = tsr_malloc(ns, sizeof *l->scale);
        if (l->scale == NULL) return tsr_nomem(err, ns * sizeof *l->scale);
        TSR_TRY(tsr_weight_scales(w, &l->grid, l->grid.bits == 4, l->scale, err));
    }
    if (l->rounded == NULL) {
        l->rounded = tsr_malloc(n, 1);
        if (l->rounded == NULL) return tsr_nomem(err, n);
        tsr_weight_round(w, &l->grid, l->scale, l->rounded);
    }
    return TSR_OK;
}

static enum tsr_status learn_rounding(const struct tsr_quant_plan *plan, struct subject *s, struct tsr_pool *pool, struct tsr_error *err)
{
    struct tsr_quant_layer *l = &plan->layer[s->node];
    const struct tsr_tensor *w = &plan->g->value[plan->g->node[s->node].in[1]].init;
    TSR_TRY(nearest(l, w, err));
    damp(&s->m);
    TSR_TRY(factor(&s->m, err));
    struct task t = {.s = s, .w = w->data, .shape = &w->shape, .grid = &l->grid, .scale = l->scale, .q = l->rounded};
    t.each = ((size_t)s->p.k * 14 + 63) & ~(size_t)63;
    const size_t bytes = t.each * (size_t)tsr_pool_threads(pool);
    t.mem = tsr_aligned(bytes);
    if (t.mem == NULL) return tsr_nomem(err, bytes);
    tsr_pool_run(pool, s->p.groups * s->p.n, round_task, &t);
    tsr_free(t.mem);
    return TSR_OK;
}

/* ---- biases --------------------------------------------------------------------------------- */

static enum tsr_status learn_shift(const struct tsr_quant_plan *plan, const struct subject *s, struct tsr_error *err)
{
    struct tsr_quant_layer *l = &plan->layer[s->node], *to = tsr_quant_bias_layer(plan, s->node);
    const struct tsr_patches *p = &s->p;
    const struct tsr_tensor *w = &plan->g->value[plan->g->node[s->node].in[1]].init;
    const int64_t outputs = p->groups * p->n;
    if (to == NULL || (to != l && to->on) || s->m.rows == 0) return TSR_OK;
    if (to != l && tsr_tensor_count(&plan->g->value[plan->g->node[plan->reader[plan->g->node[s->node].out[0]]].in[to->bias]].init) != outputs)
        return TSR_OK;
    const bool had = l->rounded != NULL;
    TSR_TRY(nearest(l, w, err));
    tsr_free(to->bias_shift);
    to->bias_shift = tsr_malloc((size_t)outputs, sizeof *to->bias_shift);
    if (to->bias_shift == NULL) return tsr_nomem(err, (size_t)outputs * sizeof *to->bias_shift);
    to->n_shift = outputs;
    for (int64_t i = 0; i < outputs; i++) {
        const int64_t g = i / p->n, base = g * p->step_g + i % p->n * p->step_n;
        double sum = 0;
        for (int64_t j = 0; j < p->k; j++) {
            const int64_t at = base + j * p->step_k;
            const double q = (double)l->rounded[at] * (double)l->scale[tsr_weight_scale_index(&w->shape, &l->grid, at)];
            sum += (double)((const float *)w->data)[at] * s->m.mean_float[g * p->k + j] - q * s->m.mean[g * p->k + j];
        }
        to->bias_shift[i] = (float)(sum / (double)s->m.rows);
    }
    if (!had) { /* nothing was learnt: the rewriter rounds the same way, and may raise scales */
        tsr_free(l->rounded);
        tsr_free(l->scale);
        l->rounded = NULL;
        l->scale = NULL;
    }
    return TSR_OK;
}

/* ---- all layers ----------------------------------------------------------------------------- */

static bool takes_part(const struct tsr_quant_plan *plan, size_t i, bool round, bool shift)
{
    const struct tsr_quant_layer *l = &plan->layer[i];
    if (l->role != TSR_ROLE_PRODUCT || !l->on || l->weight != 1) return false;
    return shift || (round && l->grid.bits == 4);
}

static enum tsr_status learn_some(struct tsr_quant_plan *plan, struct subject *s, size_t n_subjects, int32_t *want,
                                  const struct tsr_quant_samples *samples, int64_t n, bool round, bool shift, struct tsr_pool *pool,
                                  struct tsr_error *err)
{
    for (size_t i = 0; i < n_subjects; i++) TSR_TRY(gram_new(&s[i], round && plan->layer[s[i].node].grid.bits == 4, err));
    TSR_TRY(collect(plan, s, n_subjects, want, samples, n, pool, err));
    for (size_t i = 0; i < n_subjects; i++) {
        if (round && plan->layer[s[i].node].grid.bits == 4) TSR_TRY(learn_rounding(plan, &s[i], pool, err));
        if (shift) TSR_TRY(learn_shift(plan, &s[i], err));
    }
    return TSR_OK;
}

enum tsr_status tsr_quant_learn(struct tsr_quant_plan *plan, const struct tsr_quant_samples *samples, int64_t n, bool round,
                                bool shift, struct tsr_pool *pool, struct tsr_error *err)
{
    const struct tsr_graph *g = plan->g;
    struct subject *s = tsr_calloc(g->n_node + 1, sizeof *s);
    int32_t *want = tsr_calloc(g->n_node + 1, sizeof *want);
    enum tsr_status status = s && want ? TSR_OK : tsr_nomem(err, g->n_node * sizeof *s);
    for (size_t i = 0; i < g->n_node && status == TSR_OK;) {
        size_t n_subjects = 0, bytes = 0;
        for (; i < g->n_node; i++) {
            struct subject *next = &s[n_subjects];
            if (!takes_part(plan, i, round, shift)) continue;
            *next = (struct subject){.node = i};
            if (tsr_patches_init(&next->p, g, &g->node[i], NULL) != TSR_OK) continue;
            if (n_subjects > 0 && bytes + gram_bytes(&next->p) > ROOM) break;
            bytes += gram_bytes(&next->p);
            n_subjects++;
        }
        if (n_subjects == 0) break;
        status = learn_some(plan, s, n_subjects, want, samples, n, round, shift, pool, err);
        for (size_t k = 0; k < n_subjects; k++) release(&s[k]);
    }
    tsr_free(s);
    tsr_free(want);
    return status;
}

void tsr_quant_forget(struct tsr_quant_plan *plan, bool round, bool shift)
{
    for (size_t i = 0; i < plan->g->n_node; i++) {
        struct tsr_quant_layer *l = &plan->layer[i];
        if (round && l->fake_gain < 0) {
            tsr_free(l->rounded);
            tsr_free(l->scale);
            l->rounded = NULL;
            l->scale = NULL;
        }
        if (shift) {
            tsr_free(l->bias_shift);
            l->bias_shift = NULL;
        }
    }
}
