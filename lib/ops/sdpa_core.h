/* sdpa_core.h - the body of sdpa_f32.c and sdpa_f64.c, which define REAL, GEMM and the row
 * functions row_max, row_exp_sum, row_tanh, row_dot, row_scale, row_slope, rows_softmax. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "ops/sdpa.h"

enum { BLOCK = 64 };

struct job {
    const struct tsr_sdpa *a;
    int64_t blocks;
    REAL *scratch;        /* per worker */
    size_t per_worker;    /* elements */
};

static int64_t limit(const struct tsr_sdpa *a, int64_t b, int64_t t)
{
    int64_t n = a->S;
    if (a->causal) {
        int64_t off = a->offset_from_len && a->kv_len ? a->kv_len[b] - a->T : a->offset;
        if (t + off + 1 < n) n = t + off + 1;
    }
    if (a->kv_len && a->kv_len[b] < n) n = a->kv_len[b];
    if (a->mask_len < n && (a->mask || a->keep)) n = a->mask_len;
    return n < 0 ? 0 : n;
}

static REAL *at(const struct tsr_sdpa_view *v, int64_t b, int64_t h, int64_t t)
{
    return (REAL *)v->data + b * v->sb + h * v->sh + t * v->st;
}

/* C[n,m] = scale * Q K' for rows t.. of Q and the first m keys. */
static void scores(const struct tsr_sdpa *a, int64_t b, int64_t h, int64_t t, int64_t n, int64_t m, REAL *c)
{
    const struct tsr_sdpa_view *k = &a->k;
    const bool rows = k->sd == 1; /* a key is a contiguous row */
    GEMM(false, rows, n, m, a->D, (REAL)a->scale, at(&a->q, b, h, t), a->q.st, at(k, b, h / (a->H / a->G), 0),
         rows ? k->st : k->sd, 0, c, a->S);
}

static void cap_row(const struct tsr_sdpa *a, int64_t n, REAL *x)
{
    const REAL cap = (REAL)a->softcap;
    row_scale(n, x, 1 / cap);
    row_tanh(n, x);
    row_scale(n, x, cap);
}

static void mask_row(const struct tsr_sdpa *a, int64_t b, int64_t h, int64_t t, int64_t n, REAL *x)
{
    const int64_t from = b * a->mask_sb + h * a->mask_sh + t * a->mask_st, step = a->mask_ss;
    if (a->mask) {
        const REAL *m = (const REAL *)a->mask + from;
        if (step == 1)
            for (int64_t j = 0; j < n; j++) x[j] += m[j];
        else
            for (int64_t j = 0; j < n; j++) x[j] += m[j * step];
    }
    if (a->keep)
        for (int64_t j = 0; j < n; j++)
            if (!a->keep[from + j * step]) x[j] = -(REAL)INFINITY;
}

static void softmax_row(const struct tsr_sdpa *a, int64_t n, REAL *x)
{
    REAL top = n > 0 ? row_max(n, x) : -(REAL)INFINITY;
    if (top == -(REAL)INFINITY) {
        for (int64_t j = 0; j < n; j++) x[j] = a->empty_is_zero ? 0 : (REAL)NAN;
        return;
    }
    REAL sum = row_exp_sum(n, x, top);
    row_scale(n, x, 1 / sum);
}

/* What the caller wants to see of a row at this stage; keys beyond n are hidden. */
static void trace_row(const struct tsr_sdpa *a, int mode, int64_t row, int64_t n, const REAL *x)
{
    if (!a->trace || a->trace_mode != mode) return;
    REAL *to = (REAL *)a->trace + row * a->S;
    memcpy(to, x, (size_t)n * sizeof(REAL));
    for (int64_t j = n; j < a->S; j++) to[j] = mode == 2 ? -(REAL)INFINITY : 0;
}

/* All rows see all keys, and nobody looks on. */
static bool is_plain(const struct tsr_sdpa *a, bool tracing)
{
    return !a->causal && !a->kv_len && !a->mask && !a->keep && !(a->softcap > 0) && !a->empty_is_zero && !(tracing && a->trace) && a->S > 0;
}

/* Rows t .. t+n of P of head h into p (row stride S), zeros beyond each row's limit. */
static void probabilities(const struct tsr_sdpa *a, int64_t b, int64_t h, int64_t t, int64_t n, REAL *p, bool tracing)
{
    const int64_t most = limit(a, b, t + n - 1), all = tracing && a->trace && a->trace_mode < 2 ? a->S : most;
    scores(a, b, h, t, n, all, p);
    if (is_plain(a, tracing)) {
        rows_softmax(n, a->S, p);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t m = limit(a, b, t + i), row = (b * a->H + h) * a->T + t + i;
        REAL *x = p + i * a->S;
        if (tracing) trace_row(a, 0, row, all, x);
        if (a->softcap > 0) cap_row(a, all, x);
        if (tracing) trace_row(a, 1, row, all, x);
        if (a->mask || a->keep) mask_row(a, b, h, t + i, m, x);
        if (tracing) trace_row(a, 2, row, m, x);
        softmax_row(a, m, x);
        for (int64_t j = m; j < a->S; j++) x[j] = 0;
        if (tracing) trace_row(a, 3, row, a->S, x);
    }
}

/* Task i: one block of rows of one head. */
static void forward_block(void *arg, int64_t i, int worker)
{
    const struct job *job = arg;
    const struct tsr_sdpa *a = job->a;
    const int64_t t = i % job->blocks * BLOCK, n = a->T - t < BLOCK ? a->T - t : BLOCK;
    const int64_t h = i / job->blocks % a->H, b = i / job->blocks / a->H;
    REAL *p = a->probs ? (REAL *)a->probs + ((b * a->H + h) * a->T + t) * a->S
                       : job->scratch + (size_t)worker * job->per_worker;
    probabilities(a, b, h, t, n, p, true);
    GEMM(false, false, n, a->Dv, limit(a, b, t + n - 1), 1, p, a->S, at(&a->v, b, h / (a->H / a->G), 0), a->v.st, 0,
         at(&a->y, b, h, t), a->y.st);
}

static void zero_view(const struct tsr_sdpa_view *v, int64_t b, int64_t h, int64_t t, int64_t d)
{
    const bool rows = v->sd == 1;
    REAL *p = at(v, b, h, 0);
    for (int64_t i = 0; i < (rows ? t : d); i++) memset(p + i * (rows ? v->st : v->sd), 0, (size_t)(rows ? d : t) * sizeof(REAL));
}

/* dK += scale * dS' Q over the first m keys. */
static void add_dk(const struct tsr_sdpa *a, int64_t b, int64_t h, int64_t t, int64_t n, int64_t m, const REAL *ds, REAL beta)
{
    const struct tsr_sdpa_view *k = &a->dk;
    REAL *dk = at(k, b, h / (a->H / a->G), 0), *q = at(&a->q, b, h, t);
    if (k->sd == 1)
        GEMM(true, false, m, a->D, n, (REAL)a->scale, ds, a->S, q, a->q.st, beta, dk, k->st);
    else
        GEMM(true, false, a->D, m, n, (REAL)a->scale, q, a->q.st, ds, a->S, beta, dk, k->sd);
}

/* dS of rows t .. t+n into ds; `p` holds their P. */
static void score_gradient(const struct tsr_sdpa *a, int64_t b, int64_t h, int64_t t, int64_t n, int64_t m, const REAL *p,
                           REAL *ds, REAL *raw)
{
    GEMM(false, true, n, m, a->Dv, 1, at(&a->dy, b, h, t), a->dy.st, at(&a->v, b, h / (a->H / a->G), 0), a->v.st, 0, ds, a->S);
    for (int64_t i = 0; i < n; i++) row_slope(m, p + i * a->S, ds + i * a->S, row_dot(m, p + i * a->S, ds + i * a->S));
    if (a->dscore) {
        REAL *to = (REAL *)a->dscore + ((b * a->H + h) * a->T + t) * a->S;
        for (int64_t i = 0; i < n; i++, to += a->S) {
            memcpy(to, ds + i * a->S, (size_t)m * sizeof(REAL));
            memset(to + m, 0, (size_t)(a->S - m) * sizeof(REAL));
        }
    }
    if (!(a->softcap > 0)) return;
    scores(a, b, h, t, n, m, raw); /* d softcap(x) / dx = 1 - tanh(x / cap)^2 */
    for (int64_t i = 0; i < n; i++) {
        REAL *x = raw + i * a->S, *g = ds + i * a->S;
        row_scale(m, x, (REAL)(1 / a->softcap));
        row_tanh(m, x);
        for (int64_t j = 0; j < m; j++) g[j] *= 1 - x[j] * x[j];
    }
}

/* Task i: all query heads that share one head of keys and values, in order. */
static void backward_group(void *arg, int64_t i, int worker)
{
    const struct job *job = arg;
    const struct tsr_sdpa *a = job->a;
    const int64_t b = i / a->G, g = i % a->G, each = a->H / a->G;
    REAL *own = job->scratch + (size_t)worker * job->per_worker;
    REAL *ds = own, *raw = own + BLOCK * a->S, *again = raw + (a->softcap > 0 ? BLOCK * a->S : 0);
    bool first = true;
    if (a->T == 0) {
        if (a->dk.data) zero_view(&a->dk, b, g, a->S, a->D);
        if (a->dv.data) zero_view(&a->dv, b, g, a->S, a->Dv);
    }
    for (int64_t h = g * each; h < (g + 1) * each; h++)
        for (int64_t t = 0; t < a->T; t += BLOCK, first = false) {
            const int64_t n = a->T - t < BLOCK ? a->T - t : BLOCK, m = limit(a, b, t + n - 1);
            const REAL *p = again;
            if (a->probs) p = (REAL *)a->probs + ((b * a->H + h) * a->T + t) * a->S;
            else probabilities(a, b, h, t, n, again, false);
            if (first && m < a->S) {
                if (a->dk.data) zero_view(&a->dk, b, g, a->S, a->D);
                if (a->dv.data) zero_view(&a->dv, b, g, a->S, a->Dv);
            }
            const REAL beta = first && m == a->S ? 0 : 1;
            if (a->dv.data)
                GEMM(true, false, m, a->Dv, n, 1, p, a->S, at(&a->dy, b, h, t), a->dy.st, beta, at(&a->dv, b, g, 0), a->dv.st);
            if (!a->dq.data && !a->dk.data && !a->dscore) continue;
            score_gradient(a, b, h, t, n, m, p, ds, raw);
            if (a->dk.data) add_dk(a, b, h, t, n, m, ds, beta);
            if (!a->dq.data) continue;
            const bool rows = a->k.sd == 1;
            GEMM(false, !rows, n, a->D, m, (REAL)a->scale, ds, a->S, at(&a->k, b, g, 0), rows ? a->k.st : a->k.sd, 0,
                 at(&a->dq, b, h, t), a->dq.st);
        }
}

/* Runs n tasks with `blocks` blocks of scratch for each worker. */
static enum tsr_status run(const struct tsr_sdpa *a, int64_t n, int blocks, void (*task)(void *, int64_t, int))
{
    struct tsr_op_ctx *ctx = a->ctx;
    struct job job = {.a = a, .blocks = (a->T + BLOCK - 1) / BLOCK};
    size_t bytes, workers = ctx->pool ? (size_t)tsr_pool_threads(ctx->pool) : 1;
    if (!tsr_mul_size((size_t)a->S, (size_t)(blocks * BLOCK), &job.per_worker) ||
        !tsr_mul_size(job.per_worker, sizeof(REAL), &bytes) || !tsr_mul_size(bytes, workers, &bytes))
        return tsr_op_fail(ctx, TSR_E_LIMIT, "the sequence is too large for this machine");
    job.scratch = tsr_op_scratch(ctx, bytes);
    if (!job.scratch) return tsr_nomem(ctx->err, bytes);
    tsr_pool_run(ctx->pool, n, task, &job);
    tsr_op_scratch_free(ctx, job.scratch, bytes);
    return TSR_OK;
}

static enum tsr_status run_forward(const struct tsr_sdpa *a)
{
    return run(a, a->B * a->H * ((a->T + BLOCK - 1) / BLOCK), a->probs ? 0 : 1, forward_block);
}

static enum tsr_status run_backward(const struct tsr_sdpa *a)
{
    return run(a, a->B * a->G, 1 + (a->softcap > 0) + !a->probs, backward_group);
}
