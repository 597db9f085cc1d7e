/* rnn_loop.h - the recurrence over time, forward and backward, for REAL. Included by rnn_f32.c
 * and rnn_f64.c, which define REAL, REAL_IS_FLOAT, GEMM and what it is called.
 *
 * Forward: one multiplication for the inputs of several steps, then those steps. The batch is cut in
 * chunks of ROWS samples; a chunk of one direction runs through time on its own, so chunks and
 * directions go to the pool. In single precision the weights are packed first. Backward: the same chunks walk back and leave the gradient of every
 * gate's sum; then one multiplication each for X, W and R.
 */
#include <math.h>
#include <string.h>

#include "ops/rnn.h"
#include "ops/rnn_act.h"
#include "ops/rnn_cell.h"
#include "ops/lstm_cell.h"
#include "ops/gru_cell.h"

enum { ROWS = 32, PROJECT_ROWS = 256 };

struct dir {
    const struct tsr_rnn *k;
    const struct tsr_act *act;
    int d;
    bool rev;                       /* runs from the last block to the first */
    const REAL *x, *w, *r, *p;      /* x in blocks */
    REAL *bias, *bias_rh;           /* [G*H] (all of Wb + Rb, but for bias_rh), [H] */
    REAL *a, *h, *c, *q, *pre;      /* as in struct tsr_rnn_call */
    REAL *da, *dq, *dh[2], *dc;     /* backward: [T,B,G*H], [T,B,H], [B,H], [B,H] */
#if REAL_IS_FLOAT
    struct tsr_panels in, back;     /* W', and R' but for GRU */
    float *packed_in, *packed_back;
#endif
    REAL *dx;                       /* backward, where blocks are not times: [T,B,I] */
};

struct loop {
    struct tsr_rnn_call *call;
    const struct tsr_rnn *k;
    const struct tsr_rnn_fast *fast; /* NULL: reference kernels */
    struct dir dir[2];
    bool gathered;                   /* x is a copy in blocks */
    REAL *gather[2];
    int64_t yt, yd, yb;              /* strides of Y */
    int64_t sd, sb;                  /* strides of Y_h, initial_h and their like */
    int64_t chunks, stripes;         /* stripes: of the rows of the whole backward products */
    size_t scratch_bytes;
    char *scratch;
};

static REAL *data_of(const struct tsr_tensor *t) { return t ? t->data : NULL; }

static REAL *state_block(const struct dir *v, REAL *base, int64_t t, bool next)
{
    return base + (t + (v->rev != next ? 1 : 0)) * v->k->B * v->k->H;
}

/* The time that block t holds for sample b; -1: beyond the end of its sequence. */
static int64_t time_of(const struct loop *l, const struct dir *v, int64_t t, int64_t b)
{
    if (!l->call->lens) return t;
    int64_t len = l->call->lens[b];
    if (t >= len) return -1;
    return l->k->reverse[v->d] ? len - 1 - t : t;
}

static bool alive(const struct loop *l, int64_t t, int64_t b) { return !l->call->lens || t < l->call->lens[b]; }

/* ---- memory --------------------------------------------------------------------------------- */

struct carve {
    char *base; /* NULL: count only */
    size_t used;
    bool overflow;
};

static REAL *take(struct carve *c, int64_t n0, int64_t n1, int64_t n2)
{
    size_t n, total;
    if (!tsr_mul_size((size_t)n0, (size_t)n1, &n) || !tsr_mul_size(n, (size_t)n2, &n) ||
        !tsr_mul_size(n, sizeof(REAL), &n) || !tsr_add_size(n, c->used + 63, &total)) {
        c->overflow = true;
        return NULL;
    }
    REAL *p = c->base ? (REAL *)(void *)(c->base + c->used) : NULL;
    c->used = total / 64 * 64;
    return p;
}

static void layout(struct loop *l, struct carve *c, bool backward)
{
    const struct tsr_rnn *k = l->k;
    int64_t gh = k->G * k->H;
    for (int d = 0; d < k->D; d++) {
        struct dir *v = &l->dir[d];
        v->bias = take(c, 1, 1, gh);
        v->bias_rh = take(c, 1, 1, k->H);
        if (l->gathered) l->gather[d] = d > 0 && !l->call->lens ? l->gather[0] : take(c, k->T, k->B, k->I);
#if REAL_IS_FLOAT
        v->packed_in = backward || l->call->grid ? NULL : take(c, 1, 1, tsr_panels_size(k->I, gh));
        v->packed_back = backward || k->cell == TSR_CELL_GRU ? NULL : take(c, 1, 1, tsr_panels_size(k->H, gh));
#endif
        if (!backward) continue;
        v->da = take(c, k->T, k->B, gh);
        v->dh[0] = take(c, 1, k->B, k->H);
        v->dh[1] = take(c, 1, k->B, k->H);
        v->dc = k->cell == TSR_CELL_LSTM ? take(c, 1, k->B, k->H) : NULL;
        v->dq = k->cell == TSR_CELL_GRU ? take(c, k->T, k->B, k->H) : NULL;
        v->dx = l->gathered && l->call->ctx->want_gin[TSR_RNN_X] ? take(c, k->T, k->B, k->I) : NULL;
    }
}

static const REAL *optional(const struct tsr_op_ctx *ctx, int i) { return i < ctx->node->n_in ? data_of(ctx->in[i]) : NULL; }

static void set_bias(const struct tsr_rnn *k, struct dir *v, const REAL *b)
{
    int64_t gh = k->G * k->H;
    memset(v->bias, 0, (size_t)gh * sizeof(REAL));
    memset(v->bias_rh, 0, (size_t)k->H * sizeof(REAL));
    if (!b) return;
    b += v->d * 2 * gh;
    bool split = k->cell == TSR_CELL_GRU && k->linear_before_reset;
    for (int64_t j = 0; j < gh; j++) v->bias[j] = split && j >= 2 * k->H ? b[j] : b[j] + b[gh + j];
    for (int64_t j = 0; split && j < k->H; j++) v->bias_rh[j] = b[gh + 2 * k->H + j];
}

/* X into blocks, zeros beyond the end of a sequence. */
static void gather_x(const struct loop *l, const struct dir *v, REAL *to)
{
    const struct tsr_rnn *k = l->k;
    const REAL *x = data_of(l->call->ctx->in[TSR_RNN_X]);
    for (int64_t t = 0; t < k->T; t++)
        for (int64_t b = 0; b < k->B; b++, to += k->I) {
            int64_t time = time_of(l, v, t, b);
            if (time < 0)
                memset(to, 0, (size_t)k->I * sizeof(REAL));
            else
                memcpy(to, x + (k->batch_first ? b * k->T + time : time * k->B + b) * k->I, (size_t)k->I * sizeof(REAL));
        }
}

static enum tsr_status loop_init(struct loop *l, struct tsr_rnn_call *call, bool backward)
{
    struct tsr_op_ctx *ctx = call->ctx;
    const struct tsr_rnn *k = &call->rnn;
    memset(l, 0, sizeof *l);
    l->call = call;
    l->k = k;
    l->fast = REAL_IS_FLOAT && k->fast ? tsr_rnn_fast_kernels(-1) : NULL;
    l->gathered = k->batch_first || call->lens;
    l->yt = k->batch_first ? k->D * k->H : k->D * k->B * k->H;
    l->yd = k->batch_first ? k->H : k->B * k->H;
    l->yb = k->batch_first ? k->T * k->D * k->H : k->H;
    l->sd = k->batch_first ? k->H : k->B * k->H;
    l->sb = k->batch_first ? k->D * k->H : k->H;
    l->chunks = (k->B + ROWS - 1) / ROWS;
    l->stripes = (k->T * k->B + PROJECT_ROWS - 1) / PROJECT_ROWS;
    for (int d = 0; d < k->D; d++) l->dir[d] = (struct dir){.k = k, .d = d, .act = k->act[d]};
    struct carve c = {0};
    layout(l, &c, backward);
    if (c.overflow) return tsr_op_fail(ctx, TSR_E_LIMIT, "the sequence is too large for this machine");
    l->scratch_bytes = c.used;
    l->scratch = tsr_op_scratch(ctx, c.used);
    if (!l->scratch) return tsr_nomem(ctx->err, c.used);
    c = (struct carve){.base = l->scratch};
    layout(l, &c, backward);

    const int64_t gh = k->G * k->H, tb = k->T * k->B, states = (k->T + 1) * k->B * k->H;
    const REAL *p = optional(ctx, TSR_RNN_P);
    for (int d = 0; d < k->D; d++) {
        struct dir *v = &l->dir[d];
        v->rev = k->reverse[d] && !call->lens;
        if (!call->grid) v->w = (const REAL *)data_of(ctx->in[TSR_RNN_W]) + d * gh * k->I;
        v->r = (const REAL *)data_of(ctx->in[TSR_RNN_R]) + d * gh * k->H;
        v->p = p ? p + d * 3 * k->H : NULL;
        v->a = data_of(&call->buf[TSR_RNN_GATES]) + d * tb * gh;
        v->h = data_of(&call->buf[TSR_RNN_STATE]) + d * states;
        if (k->cell == TSR_CELL_LSTM) v->c = data_of(&call->buf[TSR_RNN_CELL]) + d * states;
        if (k->cell != TSR_CELL_RNN) v->q = data_of(&call->buf[TSR_RNN_EXTRA]) + d * tb * k->H;
        if (!k->fast) v->pre = data_of(&call->buf[TSR_RNN_PRE]) + d * tb * gh;
        set_bias(k, v, optional(ctx, TSR_RNN_B));
        if (!call->grid) v->x = data_of(ctx->in[TSR_RNN_X]);
        if (!l->gathered) continue;
        if (d == 0 || call->lens) gather_x(l, v, l->gather[d]);
        v->x = l->gather[d];
    }
    return TSR_OK;
}

static void loop_release(struct loop *l) { tsr_op_scratch_free(l->call->ctx, l->scratch, l->scratch_bytes); }

/* ---- forward -------------------------------------------------------------------------------- */

#if REAL_IS_FLOAT
static void pack_weights(struct loop *l)
{
    const struct tsr_rnn *k = l->k;
    const int64_t gh = k->G * k->H;
    for (int d = 0; d < k->D; d++) {
        struct dir *v = &l->dir[d];
        if (v->packed_in != NULL) tsr_panels_pack(&v->in, true, k->I, gh, v->w, k->I, TSR_PANELS_MANY, v->packed_in);
        if (v->packed_back != NULL) tsr_panels_pack(&v->back, true, k->H, gh, v->r, k->H, TSR_PANELS_MANY, v->packed_back);
    }
}

/* The same where X and W are integers: exact sums, rounded once. */
static void project_integers(const struct loop *l, const struct dir *v, int64_t t0, int64_t t1, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const struct tsr_rnn_grid *g = l->call->grid;
    const int64_t gh = k->G * k->H;
    const uint8_t *at[ROWS];
    for (int64_t t = t0; t < t1; t++) {
        for (int64_t i = 0; i < n; i++) at[i] = g->x + (t * k->B + b + i) * k->I;
        const struct tsr_qend end = {.out = TSR_F32, .base = g->base[v->d], .factor = g->factor, .c = v->a + (t * k->B + b) * gh, .ldc = gh};
        tsr_qgemm_block(&g->w[v->d], n, at, &(const int64_t){0}, &end);
    }
}

/* Gates = X W' for the blocks [t0, t1), n samples from b on. */
static void project(const struct loop *l, const struct dir *v, int64_t t0, int64_t t1, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t gh = k->G * k->H;
    if (l->call->grid != NULL) {
        project_integers(l, v, t0, t1, b, n);
        return;
    }
    const struct tsr_panel_end end = {.kind = TSR_END_NONE};
    int64_t row[PROJECT_ROWS], to[PROJECT_ROWS], rows = 0;
    for (int64_t t = t0; t < t1; t++)
        for (int64_t i = b; i < b + n; i++, rows++) row[rows] = (t * k->B + i) * k->I, to[rows] = (t * k->B + i) * gh;
    const struct tsr_panel_rows r = {.a = v->x, .c = v->a, .row = row, .to = to, .rows = rows};
    tsr_panels_rows(&v->in, &r, &end);
}

/* Gates += H R' for n rows of a step. */
static void recur(const struct loop *l, const struct dir *v, int64_t n, const float *h, float *a)
{
    const int64_t gh = l->k->G * l->k->H;
    const struct tsr_panel_end end = {.add = a};
    const struct tsr_panel_rows r = {.a = h, .c = a, .lda = l->k->H, .ldc = gh, .rows = n};
    tsr_panels_rows(&v->back, &r, &end);
}
#else
static void pack_weights(struct loop *l) { (void)l; }

static void project(const struct loop *l, const struct dir *v, int64_t t0, int64_t t1, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t gh = k->G * k->H;
    for (int64_t t = t0; t < t1; t++)
        GEMM(false, true, n, gh, k->I, 1, v->x + (t * k->B + b) * k->I, k->I, v->w, k->I, 0, v->a + (t * k->B + b) * gh, gh);
}

static void recur(const struct loop *l, const struct dir *v, int64_t n, const REAL *h, REAL *a)
{
    const int64_t H = l->k->H, gh = l->k->G * H;
    GEMM(false, true, n, gh, H, 1, h, H, v->r, H, 1, a, gh);
}
#endif

/* The kernels over n rows of block t from sample b on. */
static void step_gates(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H, at = t * k->B + b;
    REAL *a = v->a + at * gh, *h = state_block(v, v->h, t, true) + b * H, *hp = state_block(v, v->h, t, false) + b * H;
    REAL *q = v->q ? v->q + at * H : NULL, *pre = v->pre ? v->pre + at * gh : NULL;
    REAL *c = NULL, *cp = NULL;
    if (v->c) c = state_block(v, v->c, t, true) + b * H, cp = state_block(v, v->c, t, false) + b * H;
#if REAL_IS_FLOAT
    if (l->fast) {
        if (k->cell == TSR_CELL_LSTM) l->fast->lstm_forward(n, H, a, v->bias, cp, c, q, h);
        if (k->cell == TSR_CELL_GRU) l->fast->gru_gates(n, H, a, v->bias, v->bias_rh, hp, q, k->linear_before_reset);
        if (k->cell == TSR_CELL_RNN) l->fast->rnn_forward(n, H, a, v->bias, h, v->act[0].kind == TSR_ACT_RELU);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++) {
        if (k->cell == TSR_CELL_LSTM)
            lstm_row_forward(k, v->act, a + i * gh, pre + i * gh, v->bias, v->p, cp + i * H, c + i * H, q + i * H, h + i * H);
        if (k->cell == TSR_CELL_GRU)
            gru_row_gates(k, v->act, a + i * gh, pre + i * gh, v->bias, v->bias_rh, hp + i * H, q + i * H);
        if (k->cell == TSR_CELL_RNN) rnn_row_forward(k, v->act, a + i * gh, pre + i * gh, v->bias, h + i * H);
    }
}

/* The second half of a step of GRU. */
static void step_state(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H, at = t * k->B + b;
    REAL *a = v->a + at * gh, *h = state_block(v, v->h, t, true) + b * H, *hp = state_block(v, v->h, t, false) + b * H;
    REAL *q = v->q + at * H, *pre = v->pre ? v->pre + at * gh : NULL;
#if REAL_IS_FLOAT
    if (l->fast) {
        l->fast->gru_state(n, H, a, v->bias, q, hp, h, k->linear_before_reset);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++)
        gru_row_state(k, v->act, a + i * gh, pre + i * gh, v->bias, q + i * H, hp + i * H, h + i * H);
}

typedef void step_fn(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n);

/* All rows at once, or where lengths differ those that have not ended. */
static void over_rows(step_fn *fn, const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n)
{
    if (!l->call->lens) {
        fn(l, v, t, b, n);
        return;
    }
    for (int64_t i = b; i < b + n; i++)
        if (alive(l, t, i)) fn(l, v, t, i, 1);
}

static void step_forward(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H;
    REAL *a = v->a + (t * k->B + b) * gh;
    const REAL *hp = state_block(v, v->h, t, false) + b * H;
    if (k->cell != TSR_CELL_GRU) {
        recur(l, v, n, hp, a);
        over_rows(step_gates, l, v, t, b, n);
        return;
    }
    REAL *q = v->q + (t * k->B + b) * H;
    GEMM(false, true, n, 2 * H, H, 1, hp, H, v->r, H, 1, a, gh);
    if (k->linear_before_reset) GEMM(false, true, n, H, H, 1, hp, H, v->r + 2 * H * H, H, 0, q, H);
    over_rows(step_gates, l, v, t, b, n);
    if (!k->linear_before_reset) GEMM(false, true, n, H, H, 1, q, H, v->r + 2 * H * H, H, 1, a + 2 * H, gh);
    over_rows(step_state, l, v, t, b, n);
}

/* Carries the state of ended sequences on and writes row t of Y. */
static void step_output(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n, REAL *y)
{
    const size_t row = (size_t)l->k->H * sizeof(REAL);
    const int64_t H = l->k->H;
    REAL *h = state_block(v, v->h, t, true), *hp = state_block(v, v->h, t, false);
    for (int64_t i = b; i < b + n; i++) {
        if (!alive(l, t, i)) {
            memcpy(h + i * H, hp + i * H, row);
            if (v->c) memcpy(state_block(v, v->c, t, true) + i * H, state_block(v, v->c, t, false) + i * H, row);
            if (v->q) memset(v->q + (t * l->k->B + i) * H, 0, row);
        } else if (y) {
            memcpy(y + time_of(l, v, t, i) * l->yt + v->d * l->yd + i * l->yb, h + i * H, row);
        }
    }
}

static void load_state(const struct loop *l, const struct dir *v, REAL *to, const REAL *from, int64_t b, int64_t n)
{
    const size_t row = (size_t)l->k->H * sizeof(REAL);
    for (int64_t i = b; i < b + n; i++) {
        if (from)
            memcpy(to + i * l->k->H, from + v->d * l->sd + i * l->sb, row);
        else
            memset(to + i * l->k->H, 0, row);
    }
}

/* To Y_h or Y_c; a sequence of length 0 gives zeros, as in ONNX Runtime. */
static void store_state(const struct loop *l, const struct dir *v, REAL *to, const REAL *from, int64_t b, int64_t n)
{
    const size_t row = (size_t)l->k->H * sizeof(REAL);
    for (int64_t i = b; to && i < b + n; i++) {
        REAL *p = to + v->d * l->sd + i * l->sb;
        if (l->call->lens && l->call->lens[i] == 0)
            memset(p, 0, row);
        else
            memcpy(p, from + i * l->k->H, row);
    }
}

static REAL *wanted(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_out && ctx->want_out[i] ? ctx->out[i].data : NULL;
}

/* Task i: one chunk of one direction through time. */
static void chunk_forward(void *arg, int64_t i, int worker)
{
    const struct loop *l = arg;
    const struct tsr_rnn *k = l->k;
    const struct tsr_op_ctx *ctx = l->call->ctx;
    const struct dir *v = &l->dir[i / l->chunks];
    const int64_t b = i % l->chunks * ROWS, n = k->B - b < ROWS ? k->B - b : ROWS, block = k->B * k->H;
    const int64_t first = v->rev ? k->T : 0, last = v->rev ? 0 : k->T;
    REAL *y = wanted(ctx, 0);
    (void)worker;
    load_state(l, v, v->h + first * block, optional(ctx, TSR_RNN_H0), b, n);
    if (v->c) load_state(l, v, v->c + first * block, optional(ctx, TSR_RNN_C0), b, n);
    for (int64_t s = 0, ahead = 0; s < k->T; s++) {
        int64_t t = v->rev ? k->T - 1 - s : s;
        if (s == ahead) { /* the gates of the next steps, which stay in the cache until their turn */
            const int64_t more = ahead + PROJECT_ROWS / ROWS < k->T ? PROJECT_ROWS / ROWS : k->T - ahead;
            project(l, v, v->rev ? t + 1 - more : t, v->rev ? t + 1 : t + more, b, n);
            ahead += more;
        }
        step_forward(l, v, t, b, n);
        step_output(l, v, t, b, n, y);
    }
    store_state(l, v, wanted(ctx, 1), v->h + last * block, b, n);
    if (v->c) store_state(l, v, wanted(ctx, 2), v->c + last * block, b, n);
}

static enum tsr_status run_forward(struct tsr_rnn_call *call)
{
    struct loop l;
    struct tsr_op_ctx *ctx = call->ctx;
    TSR_TRY(loop_init(&l, call, false));
    REAL *y = wanted(ctx, 0);
    if (call->lens && y) memset(y, 0, tsr_tensor_bytes(&ctx->out[0]));
    pack_weights(&l);
    tsr_pool_run(ctx->pool, l.chunks * l.k->D, chunk_forward, &l);
    loop_release(&l);
    return TSR_OK;
}

#include "ops/rnn_back.h"
