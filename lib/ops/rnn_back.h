/* rnn_back.h - the second half of rnn_loop.h: backward through time. */

static const REAL *gradient_of(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_out ? data_of(ctx->gout[i]) : NULL;
}

static REAL *wanted_gradient(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_in && ctx->want_gin[i] ? ctx->gin[i].data : NULL;
}

/* The gradient of the gates' sums of n rows of block t; dh is the gradient of the new state,
 * dhp becomes (GRU) or starts (the others) that of the old one. */
static void back_state(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H, at = t * k->B + b;
    const REAL *a = v->a + at * gh, *pre = v->pre ? v->pre + at * gh : NULL, *q = v->q ? v->q + at * H : NULL;
    const REAL *hp = state_block(v, v->h, t, false) + b * H, *dh = v->dh[0] + b * H;
    const REAL *c = NULL, *cp = NULL;
    REAL *da = v->da + at * gh, *dq = v->dq ? v->dq + at * H : NULL, *dhp = v->dh[1] + b * H;
    REAL *dc = v->dc ? v->dc + b * H : NULL;
    if (v->c) c = state_block(v, v->c, t, true) + b * H, cp = state_block(v, v->c, t, false) + b * H;
#if REAL_IS_FLOAT
    if (l->fast) {
        if (k->cell == TSR_CELL_LSTM) l->fast->lstm_backward(n, H, a, cp, q, dh, dc, da);
        if (k->cell == TSR_CELL_GRU)
            l->fast->gru_backward_state(n, H, a, q, hp, dh, dhp, da, dq, k->linear_before_reset);
        if (k->cell == TSR_CELL_RNN) l->fast->rnn_backward(n, H, a, dh, da, v->act[0].kind == TSR_ACT_RELU);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++) {
        const int64_t u = i * H, g = i * gh;
        if (k->cell == TSR_CELL_LSTM)
            lstm_row_backward(k, v->act, a + g, pre + g, v->p, cp + u, c + u, q + u, dh + u, dc + u, da + g);
        if (k->cell == TSR_CELL_GRU)
            gru_row_backward_state(k, v->act, a + g, pre + g, q + u, hp + u, dh + u, dhp + u, da + g, dq + u);
        if (k->cell == TSR_CELL_RNN) rnn_row_backward(k, v->act, a + g, pre + g, dh + u, da + g);
    }
}

/* GRU without linear_before_reset: the reset gate, once dq is known. */
static void back_gates(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H, at = t * k->B + b;
    const REAL *a = v->a + at * gh, *pre = v->pre ? v->pre + at * gh : NULL;
    const REAL *hp = state_block(v, v->h, t, false) + b * H, *dq = v->dq + at * H;
    REAL *da = v->da + at * gh, *dhp = v->dh[1] + b * H;
#if REAL_IS_FLOAT
    if (l->fast) {
        l->fast->gru_backward_gates(n, H, a, hp, dq, dhp, da);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++)
        gru_row_backward_gates(k, v->act, a + i * gh, pre + i * gh, hp + i * H, dq + i * H, dhp + i * H, da + i * gh);
}

/* Adds the gradient of Y to dh; sequences that have ended hand theirs through. */
static void back_output(const struct loop *l, const struct dir *v, int64_t t, int64_t b, int64_t n, const REAL *gy)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H;
    for (int64_t i = b; i < b + n; i++) {
        REAL *dh = v->dh[0] + i * H, *dhp = v->dh[1] + i * H;
        const int64_t at = t * k->B + i;
        if (!alive(l, t, i)) {
            memcpy(dhp, dh, (size_t)H * sizeof(REAL));
            memset(v->da + at * gh, 0, (size_t)gh * sizeof(REAL));
            if (v->dq) memset(v->dq + at * H, 0, (size_t)H * sizeof(REAL));
            continue;
        }
        if (l->call->lens) memset(dhp, 0, (size_t)H * sizeof(REAL));
        if (!gy) continue;
        const REAL *g = gy + time_of(l, v, t, i) * l->yt + v->d * l->yd + i * l->yb;
        for (int64_t j = 0; j < H; j++) dh[j] += g[j];
    }
}

static void step_backward(const struct loop *l, struct dir *v, int64_t t, int64_t b, int64_t n)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H;
    REAL *da = v->da + (t * k->B + b) * gh, *dhp = v->dh[1] + b * H;
    over_rows(back_state, l, v, t, b, n);
    if (k->cell != TSR_CELL_GRU) {
        GEMM(false, false, n, H, gh, 1, da, gh, v->r, H, l->call->lens ? 1 : 0, dhp, H);
        return;
    }
    REAL *dq = v->dq + (t * k->B + b) * H;
    const REAL *rh = v->r + 2 * H * H;
    if (k->linear_before_reset) {
        GEMM(false, false, n, H, H, 1, dq, H, rh, H, 1, dhp, H);
    } else {
        GEMM(false, false, n, H, H, 1, da + 2 * H, gh, rh, H, 0, dq, H);
        over_rows(back_gates, l, v, t, b, n);
    }
    GEMM(false, false, n, H, 2 * H, 1, da, gh, v->r, H, 1, dhp, H);
}

/* A sequence of length 0 made no use of its initial state. */
static void load_gradient(const struct loop *l, const struct dir *v, REAL *to, const REAL *from, int64_t b, int64_t n)
{
    load_state(l, v, to, from, b, n);
    for (int64_t i = b; l->call->lens && i < b + n; i++)
        if (l->call->lens[i] == 0) memset(to + i * l->k->H, 0, (size_t)l->k->H * sizeof(REAL));
}

/* Task i: one chunk of one direction back through time. */
static void chunk_backward(void *arg, int64_t i, int worker)
{
    const struct loop *l = arg;
    const struct tsr_rnn *k = l->k;
    const struct tsr_op_ctx *ctx = l->call->ctx;
    struct dir here = l->dir[i / l->chunks], *v = &here; /* dh[] are swapped in our own copy */
    const int64_t b = i % l->chunks * ROWS, n = k->B - b < ROWS ? k->B - b : ROWS;
    const REAL *gy = gradient_of(ctx, 0);
    REAL *gh0 = wanted_gradient(ctx, TSR_RNN_H0), *gc0 = wanted_gradient(ctx, TSR_RNN_C0);
    (void)worker;
    load_gradient(l, v, v->dh[0], gradient_of(ctx, 1), b, n);
    if (v->dc) load_gradient(l, v, v->dc, gradient_of(ctx, 2), b, n);
    for (int64_t s = k->T - 1; s >= 0; s--) {
        int64_t t = v->rev ? k->T - 1 - s : s;
        back_output(l, v, t, b, n, gy);
        step_backward(l, v, t, b, n);
        REAL *swap = v->dh[0];
        v->dh[0] = v->dh[1];
        v->dh[1] = swap;
    }
    store_state(l, v, gh0, v->dh[0], b, n);
    if (v->dc) store_state(l, v, gc0, v->dc, b, n);
}

/* Task i: a stripe of rows of dX = sum over directions of dA W. */
static void input_gradient(void *arg, int64_t i, int worker)
{
    const struct loop *l = arg;
    const struct tsr_rnn *k = l->k;
    int64_t first = i * PROJECT_ROWS, rows = k->T * k->B - first, gh = k->G * k->H;
    if (rows > PROJECT_ROWS) rows = PROJECT_ROWS;
    (void)worker;
    for (int d = 0; d < k->D; d++) {
        const struct dir *v = &l->dir[d];
        REAL *dx = (v->dx ? v->dx : wanted_gradient(l->call->ctx, TSR_RNN_X)) + first * k->I;
        GEMM(false, false, rows, k->I, gh, 1, v->da + first * gh, gh, v->w, k->I, !v->dx && d > 0 ? 1 : 0, dx, k->I);
    }
}

static void scatter_dx(const struct loop *l)
{
    const struct tsr_rnn *k = l->k;
    struct tsr_op_ctx *ctx = l->call->ctx;
    REAL *dx = wanted_gradient(ctx, TSR_RNN_X);
    memset(dx, 0, tsr_tensor_bytes(&ctx->gin[TSR_RNN_X]));
    for (int d = 0; d < k->D; d++) {
        const REAL *from = l->dir[d].dx;
        for (int64_t t = 0; t < k->T; t++)
            for (int64_t b = 0; b < k->B; b++, from += k->I) {
                int64_t time = time_of(l, &l->dir[d], t, b);
                if (time < 0) continue;
                REAL *to = dx + (k->batch_first ? b * k->T + time : time * k->B + b) * k->I;
                for (int64_t j = 0; j < k->I; j++) to[j] += from[j];
            }
    }
}

static void recurrent_gradient(const struct loop *l, const struct dir *v, REAL *dr)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H, tb = k->T * k->B;
    const REAL *hp = v->h + (v->rev ? k->B * H : 0);
    if (k->cell != TSR_CELL_GRU) {
        GEMM(true, false, gh, H, tb, 1, v->da, gh, hp, H, 0, dr, H);
        return;
    }
    GEMM(true, false, 2 * H, H, tb, 1, v->da, gh, hp, H, 0, dr, H);
    if (k->linear_before_reset)
        GEMM(true, false, H, H, tb, 1, v->dq, H, hp, H, 0, dr + 2 * H * H, H);
    else
        GEMM(true, false, H, H, tb, 1, v->da + 2 * H, gh, v->q, H, 0, dr + 2 * H * H, H);
}

static void column_sums(const REAL *x, int64_t rows, int64_t n, REAL *sum)
{
    memset(sum, 0, (size_t)n * sizeof(REAL));
    for (int64_t i = 0; i < rows; i++, x += n)
        for (int64_t j = 0; j < n; j++) sum[j] += x[j];
}

static void bias_gradient(const struct loop *l, const struct dir *v, REAL *db)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H, gh = k->G * H, tb = k->T * k->B;
    column_sums(v->da, tb, gh, db);
    memcpy(db + gh, db, (size_t)gh * sizeof(REAL));
    if (k->cell == TSR_CELL_GRU && k->linear_before_reset) column_sums(v->dq, tb, H, db + gh + 2 * H);
}

static void peephole_gradient(const struct loop *l, const struct dir *v, REAL *dp)
{
    const struct tsr_rnn *k = l->k;
    const int64_t H = k->H;
    memset(dp, 0, (size_t)(3 * H) * sizeof(REAL));
    for (int64_t t = 0; t < k->T; t++) {
        const REAL *c = state_block(v, v->c, t, true), *cp = state_block(v, v->c, t, false);
        const REAL *da = v->da + t * k->B * 4 * H;
        for (int64_t b = 0; b < k->B; b++, da += 4 * H, c += H, cp += H)
            for (int64_t j = 0; j < H; j++) {
                dp[j] += da[j] * cp[j];
                dp[H + j] += da[H + j] * c[j];
                dp[2 * H + j] += da[2 * H + j] * cp[j];
            }
    }
}

/* Task i: one of the gradients of W, R, B and P of one direction. */
static void weight_gradient(void *arg, int64_t i, int worker)
{
    const struct loop *l = arg;
    const struct tsr_rnn *k = l->k;
    const struct tsr_op_ctx *ctx = l->call->ctx;
    const struct dir *v = &l->dir[i / 4];
    const int64_t H = k->H, gh = k->G * H;
    REAL *dw = wanted_gradient(ctx, TSR_RNN_W), *dr = wanted_gradient(ctx, TSR_RNN_R);
    REAL *db = wanted_gradient(ctx, TSR_RNN_B), *dp = wanted_gradient(ctx, TSR_RNN_P);
    (void)worker;
    if (i % 4 == 0 && dw)
        GEMM(true, false, gh, k->I, k->T * k->B, 1, v->da, gh, v->x, k->I, 0, dw + v->d * gh * k->I, k->I);
    if (i % 4 == 1 && dr) recurrent_gradient(l, v, dr + v->d * gh * H);
    if (i % 4 == 2 && db) bias_gradient(l, v, db + v->d * 2 * gh);
    if (i % 4 == 3 && dp) peephole_gradient(l, v, dp + v->d * 3 * H);
}

static enum tsr_status run_backward(struct tsr_rnn_call *call)
{
    struct loop l;
    struct tsr_op_ctx *ctx = call->ctx;
    TSR_TRY(loop_init(&l, call, true));
    tsr_pool_run(ctx->pool, l.chunks * l.k->D, chunk_backward, &l);
    if (wanted_gradient(ctx, TSR_RNN_X)) {
        tsr_pool_run(ctx->pool, l.stripes, input_gradient, &l);
        if (l.gathered) scatter_dx(&l);
    }
    tsr_pool_run(ctx->pool, 4 * l.k->D, weight_gradient, &l);
    loop_release(&l);
    return TSR_OK;
}
