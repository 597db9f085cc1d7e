#include "graph/slices.h"

#include <string.h>

#include "base/mem.h"

enum {
    CACHE = 3 << 19,  /* bytes that a slice may take where a node reads and writes it */
    MIXED = 4,        /* the most by which the best sizes of slices may differ along a row */
    REUSE = 4,        /* samples that must go through weights for them not to matter, at most */
    EVEN = 4,         /* slices come in multiples of this: threads get equally many */
    LONGEST = 512     /* nodes of a row */
};

/* One worker's. */
struct lane {
    struct tsr_recycler recycler;
    struct tsr_tensor *made; /* per node of the row: its output for this slice */
    struct tsr_tensor *view; /* per input of a node: its samples of a value from outside */
    const struct tsr_tensor **in;
    bool *constant;
    struct tsr_tensor saved[TSR_OP_MAX_SAVED];
    struct tsr_error err;
    enum tsr_status status;
};

struct tsr_slices {
    size_t lanes, room, wide;
    struct lane *lane;
    struct tsr_tensor *whole; /* per node of the row: type and shape for the whole batch */
    size_t *last;             /* per node of the row: its last reader in it; itself where there is none */
    int32_t *outside;         /* per node of the row: how often it is read from outside */
};

/* A row of nodes being run. */
struct row {
    struct tsr_session *s;
    size_t first, end;    /* nodes */
    int64_t samples, slices;
    bool warm;            /* what nodes keep between runs is there */
};

void tsr_slices_free(struct tsr_slices *sl)
{
    if (sl == NULL) return;
    for (size_t i = 0; sl->lane != NULL && i < sl->lanes; i++) {
        tsr_recycler_release(&sl->lane[i].recycler);
        tsr_free(sl->lane[i].made);
        tsr_free(sl->lane[i].view);
        tsr_free(sl->lane[i].in);
        tsr_free(sl->lane[i].constant);
    }
    tsr_free(sl->lane);
    tsr_free(sl->whole);
    tsr_free(sl->last);
    tsr_free(sl->outside);
    tsr_free(sl);
}

static bool init_lane(struct lane *l, size_t room, size_t wide, size_t limit)
{
    tsr_recycler_init(&l->recycler);
    l->recycler.limit = limit;
    l->made = tsr_calloc(room, sizeof *l->made);
    l->view = tsr_calloc(wide, sizeof *l->view);
    l->in = tsr_calloc(wide, sizeof *l->in);
    l->constant = tsr_calloc(wide, sizeof *l->constant);
    return l->made != NULL && l->view != NULL && l->in != NULL && l->constant != NULL;
}

static enum tsr_status make_room(struct tsr_session *s, struct tsr_error *err)
{
    if (s->slices != NULL) return TSR_OK;
    struct tsr_slices *sl = s->slices = tsr_calloc(1, sizeof *sl);
    if (sl == NULL) return tsr_nomem(err, sizeof *sl);
    sl->room = s->g->n_node < LONGEST ? s->g->n_node : LONGEST, sl->wide = 1;
    for (size_t i = 0; i < s->g->n_node; i++)
        if ((s->g->node[i].op->flags & TSR_OP_SAMPLES) && (size_t)s->g->node[i].n_in > sl->wide) sl->wide = (size_t)s->g->node[i].n_in;
    sl->whole = tsr_calloc(sl->room, sizeof *sl->whole);
    sl->last = tsr_calloc(sl->room, sizeof *sl->last);
    sl->outside = tsr_calloc(sl->room, sizeof *sl->outside);
    const size_t lanes = (size_t)tsr_pool_threads(s->opt.pool);
    sl->lane = tsr_calloc(lanes, sizeof *sl->lane);
    bool ok = sl->whole != NULL && sl->last != NULL && sl->outside != NULL && sl->lane != NULL;
    for (; ok && sl->lanes < lanes; sl->lanes++) ok = init_lane(&sl->lane[sl->lanes], sl->room, sl->wide, s->opt.max_bytes);
    if (ok) return TSR_OK;
    if (sl->lane != NULL && sl->lanes < lanes) sl->lanes++; /* begun */
    tsr_slices_free(sl);
    s->slices = NULL;
    return tsr_nomem(err, s->g->n_node * sizeof(struct tsr_tensor));
}

/* The place in the row of the node that gives v, or -1 where it comes from outside. */
static int64_t place(const struct row *r, int32_t v, size_t end)
{
    const int32_t p = r->s->g->value[v].producer;
    return p >= 0 && (size_t)p >= r->first && (size_t)p < end ? (int64_t)((size_t)p - r->first) : -1;
}

/* ---- which nodes ---------------------------------------------------------------------------- */

/* Whether node i can follow in the row, by its inputs; *weights, *bytes: of its parameters, and of a sample
 * of what it reads. */
static bool inputs_fit(const struct row *r, size_t i, struct lane *l, size_t *weights, size_t *bytes)
{
    const struct tsr_session *s = r->s;
    const struct tsr_node *node = &s->g->node[i];
    *weights = *bytes = 0;
    for (int k = 0; k < node->n_in; k++) {
        const int32_t v = node->in[k];
        l->in[k] = NULL, l->constant[k] = false;
        if (v < 0) continue;
        const int64_t at = place(r, v, i);
        const struct tsr_tensor *t = l->in[k] = at >= 0 ? &s->slices->whole[at] : &s->value[v];
        l->constant[k] = at < 0 && s->constant[v];
        if (t->dtype != TSR_F32) return false;
        if (l->constant[k]) {
            if (k == 0 || !(node->op->params >> k & 1)) return false;
            *weights += tsr_tensor_bytes(t);
        } else {
            if (node->op->params >> k & 1 || t->shape.rank < 2 || t->shape.rank != l->in[0]->shape.rank || t->shape.dim[0] != r->samples)
                return false;
            *bytes += tsr_tensor_bytes(t) / (size_t)r->samples;
        }
    }
    return true;
}

/* Asks node i for its output, of inputs in l->in. An error comes again, and is told, when the node runs by itself. */
static bool infer(const struct row *r, size_t i, struct lane *l, struct tsr_tensor *out)
{
    struct tsr_error ignored;
    struct tsr_op_ctx ctx;
    const bool wanted = true;
    *out = (struct tsr_tensor){0};
    tsr_session_fill_ctx(r->s, i, &ctx, &ignored);
    ctx.in = l->in, ctx.out = out, ctx.want_out = &wanted, ctx.constant = l->constant, ctx.saved = l->saved;
    return ctx.node->op->infer(&ctx) == TSR_OK && out->dtype == TSR_F32;
}

/* Whether one sample of the inputs gives one of the output: a constant may be for the whole batch. */
static bool one_gives_one(const struct row *r, size_t i, struct lane *l, const struct tsr_tensor *out)
{
    struct tsr_tensor one;
    struct tsr_shape shape = out->shape;
    shape.dim[0] = 1;
    for (int k = 0; k < r->s->g->node[i].n_in; k++) {
        if (l->in[k] == NULL || l->constant[k]) continue;
        l->view[k] = (struct tsr_tensor){.dtype = l->in[k]->dtype, .shape = l->in[k]->shape, .data = l->in[k]->data};
        l->view[k].shape.dim[0] = 1;
        l->in[k] = &l->view[k];
    }
    return infer(r, i, l, &one) && tsr_shape_equal(&one.shape, &shape);
}

/* The type and shape of node i's output for the whole batch; false where it cannot follow. */
static bool describe(const struct row *r, size_t i, struct lane *l, size_t *weights, size_t *bytes)
{
    struct tsr_tensor *out = &r->s->slices->whole[i - r->first];
    if (!inputs_fit(r, i, l, weights, bytes) || !infer(r, i, l, out)) return false;
    if (out->shape.rank < 2 || out->shape.dim[0] != r->samples || tsr_shape_count(&out->shape) <= 0) return false;
    if (!one_gives_one(r, i, l, out)) return false;
    *bytes += tsr_tensor_bytes(out) / (size_t)r->samples;
    return true;
}

static bool candidate(const struct tsr_session *s, size_t i)
{
    const struct tsr_node *node = &s->g->node[i];
    /* an axis counted from the front is not the samples', nor is the last of two or more */
    const int64_t axis = tsr_node_int(node, "axis", -1);
    return (node->op->flags & TSR_OP_SAMPLES) && node->n_out == 1 && node->n_in > 0 && node->in[0] >= 0 && (axis == -1 || axis > 0);
}

/* Finds the end of the row, and how many slices are best. */
static void survey(struct row *r)
{
    struct tsr_session *s = r->s;
    struct lane *l = &s->slices->lane[0];
    int64_t least = INT64_MAX, most = 0; /* samples of the best slices */
    for (r->end = r->first; r->end < s->g->n_node && r->end - r->first < s->slices->room; r->end++) {
        size_t weights, bytes;
        if (!s->needed[r->end] || !candidate(s, r->end) || !describe(r, r->end, l, &weights, &bytes)) break;
        if (weights / REUSE > bytes) break; /* they would be read again for every slice */
        const int64_t best = (int64_t)(CACHE / (bytes + 1)) + 1;
        const int64_t low = best < least ? best : least, high = best > most ? best : most;
        if (high / low >= MIXED) break;
        least = low, most = high;
    }
    if (r->end == r->first) return;
    const int64_t threads = tsr_pool_threads(s->opt.pool);
    r->slices = (r->samples + least - 1) / least;
    if (r->slices > 1 || threads > 1) r->slices = (r->slices + EVEN - 1) / EVEN * EVEN;
    if (threads > 1 && r->slices < 2 * threads) r->slices = 2 * threads;
    if (r->slices > r->samples) r->slices = r->samples;
}

/* Who reads what the nodes give. */
static void find_readers(const struct row *r)
{
    const struct tsr_session *s = r->s;
    struct tsr_slices *sl = s->slices;
    for (size_t i = r->first; i < r->end; i++) {
        const struct tsr_node *node = &s->g->node[i];
        sl->last[i - r->first] = i;
        sl->outside[i - r->first] = s->uses[node->out[0]];
        for (int k = 0; k < node->n_in; k++) {
            const int64_t at = node->in[k] >= 0 ? place(r, node->in[k], i) : -1;
            if (at >= 0) sl->last[at] = i, sl->outside[at]--;
        }
    }
}

/* ---- running them --------------------------------------------------------------------------- */

/* Samples [from, to) of a tensor. */
static struct tsr_tensor samples_of(const struct tsr_tensor *t, int64_t from, int64_t to)
{
    struct tsr_tensor v = {.dtype = t->dtype, .shape = t->shape};
    v.data = (float *)t->data + from * (tsr_tensor_count(t) / t->shape.dim[0]);
    v.shape.dim[0] = to - from;
    return v;
}

static enum tsr_status run_node(const struct row *r, struct lane *l, size_t i, int64_t from, int64_t to, bool first)
{
    struct tsr_session *s = r->s;
    const struct tsr_node *node = &s->g->node[i];
    struct tsr_tensor *out = &l->made[i - r->first];
    struct tsr_op_ctx ctx;
    const bool wanted = true;
    for (int k = 0; k < node->n_in; k++) {
        const int32_t v = node->in[k];
        const int64_t at = v >= 0 ? place(r, v, i) : -1;
        l->constant[k] = v >= 0 && at < 0 && s->constant[v];
        l->in[k] = v < 0 ? NULL : at >= 0 ? &l->made[at] : &s->value[v];
        if (v < 0 || at >= 0 || l->constant[k]) continue;
        l->view[k] = samples_of(&s->value[v], from, to);
        l->in[k] = &l->view[k];
    }
    tsr_session_fill_ctx(s, i, &ctx, &l->err);
    ctx.in = l->in, ctx.out = out, ctx.want_out = &wanted, ctx.constant = l->constant, ctx.saved = l->saved;
    ctx.alloc = &l->recycler.allocator;
    if (!first) ctx.pool = NULL, ctx.spare = NULL; /* states are there, or cannot be kept */
    *out = (struct tsr_tensor){0};
    TSR_TRY(node->op->infer(&ctx));
    const struct tsr_shape shape = out->shape;
    if (s->slices->outside[i - r->first] > 0) *out = samples_of(&s->value[node->out[0]], from, to);
    else TSR_TRY(tsr_tensor_new(out, TSR_F32, &shape, &l->recycler.allocator, &l->err));
    const enum tsr_status status = node->op->forward(&ctx);
    for (int k = 0; k < TSR_OP_MAX_SAVED; k++)
        if (l->saved[k].dtype != TSR_NONE) tsr_tensor_release(&l->saved[k]);
    return status;
}

/* What nobody reads after node i. */
static void let_go(const struct row *r, struct lane *l, size_t i)
{
    const struct tsr_node *node = &r->s->g->node[i];
    const size_t *last = r->s->slices->last;
    for (int k = 0; k < node->n_in; k++) {
        const int64_t at = node->in[k] >= 0 ? place(r, node->in[k], i) : -1;
        if (at >= 0 && last[at] == i) tsr_tensor_release(&l->made[at]);
    }
    if (last[i - r->first] == i) tsr_tensor_release(&l->made[i - r->first]);
}

static void run_slice(const struct row *r, struct lane *l, int64_t slice, bool first)
{
    const int64_t from = slice * r->samples / r->slices, to = (slice + 1) * r->samples / r->slices;
    for (size_t i = r->first; i < r->end && l->status == TSR_OK; i++) {
        l->status = run_node(r, l, i, from, to, first);
        if (l->status == TSR_OK) let_go(r, l, i);
    }
    for (size_t i = r->first; i < r->end && l->status != TSR_OK; i++) tsr_tensor_release(&l->made[i - r->first]);
}

static void task(void *arg, int64_t i, int worker)
{
    const struct row *r = arg;
    run_slice(r, &r->s->slices->lane[worker], r->warm ? i : i + 1, false);
}

/* The values that leave the row, for the whole batch. */
static enum tsr_status make_outputs(const struct row *r, struct tsr_error *err)
{
    struct tsr_session *s = r->s;
    for (size_t i = r->first; i < r->end; i++) {
        const int32_t v = s->g->node[i].out[0];
        if (s->slices->outside[i - r->first] == 0) continue;
        tsr_tensor_release(&s->value[v]);
        TSR_TRY(tsr_tensor_new(&s->value[v], TSR_F32, &s->slices->whole[i - r->first].shape, &s->alloc, err));
    }
    return TSR_OK;
}

static enum tsr_status run_row(struct row *r, struct tsr_error *err)
{
    struct tsr_session *s = r->s;
    struct tsr_slices *sl = s->slices;
    find_readers(r);
    TSR_TRY(make_outputs(r, err));
    for (size_t i = 0; i < sl->lanes; i++) sl->lane[i].status = TSR_OK;
    r->warm = true;
    for (size_t i = r->first; i < r->end; i++) r->warm = r->warm && s->node[i].warm;
    if (!r->warm) run_slice(r, &sl->lane[0], 0, true);
    if (sl->lane[0].status == TSR_OK) tsr_pool_run(s->opt.pool, r->warm ? r->slices : r->slices - 1, task, r);
    for (size_t i = r->first; i < r->end; i++) s->node[i].warm = true;
    for (size_t i = 0; i < sl->lanes; i++)
        if (sl->lane[i].status != TSR_OK) {
            if (err != NULL) *err = sl->lane[i].err;
            return sl->lane[i].status;
        }
    return TSR_OK;
}

enum tsr_status tsr_session_run_slices(struct tsr_session *s, size_t node, size_t *next, bool *done, struct tsr_error *err)
{
    struct row r = {.s = s, .first = node};
    *next = node + 1, *done = false;
    if (s->opt.training || s->folding || !candidate(s, node)) return TSR_OK;
    const struct tsr_shape *x = &s->value[s->g->node[node].in[0]].shape;
    r.samples = x->rank > 0 ? x->dim[0] : 0;
    if (r.samples < 2 || r.samples < tsr_pool_threads(s->opt.pool)) return TSR_OK;
    TSR_TRY(make_room(s, err));
    survey(&r);
    if (r.end <= r.first + 1) return TSR_OK; /* none, or a single one */
    *next = r.end;
    if (r.slices < 2) return TSR_OK;
    *done = true;
    return run_row(&r, err);
}
