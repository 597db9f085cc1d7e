#include "graph/session.h"

#include "base/mem.h"
#include "graph/session_impl.h"
#include "graph/slices.h"

#include <stdio.h>
#include <string.h>

/* Constants that nodes make are kept as long as they are this many bytes together; others are made
 * anew in each run and let go after their last use. */
#define MAX_FOLDED ((size_t)64 << 20)

static void *get_value(void *self, size_t bytes)
{
    struct tsr_session *s = self;
    void *p = s->recycler.allocator.get(&s->recycler, bytes);
    if (p == NULL) return NULL;
    s->live += bytes;
    if (s->live > s->peak) s->peak = s->live;
    return p;
}

static void put_value(void *self, void *block, size_t bytes)
{
    struct tsr_session *s = self;
    s->live -= bytes;
    s->recycler.allocator.put(&s->recycler, block, bytes);
}

/* What was folded outlives the session that made it. */
static const struct tsr_allocator *values(const struct tsr_session *s) { return s->folding ? NULL : &s->alloc; }

enum { STATES = 64 << 20 }; /* bytes that all nodes together may derive from their weights and keep */

static void *zeroed(size_t n, size_t size, bool *ok)
{
    void *p = tsr_calloc(n, size);
    if (p == NULL) *ok = false;
    return p;
}

enum tsr_status tsr_session_new(const struct tsr_graph *g, const struct tsr_session_options *options,
                                struct tsr_session **out, struct tsr_error *err)
{
    *out = NULL;
    struct tsr_session *s = tsr_calloc(1, sizeof *s);
    if (s == NULL) return tsr_nomem(err, sizeof *s);
    s->g = g;
    if (options != NULL) s->opt = *options;
    s->keep_params = s->opt.training;
    s->root = s;
    s->spare = STATES;
    tsr_recycler_init(&s->recycler);
    s->recycler.limit = s->opt.max_bytes;
    s->alloc = (struct tsr_allocator){get_value, put_value, s};
    size_t nv = g->n_value, nn = g->n_node, wide = 1;
    for (size_t i = 0; i < nn; i++) {
        if ((size_t)g->node[i].n_in > wide) wide = (size_t)g->node[i].n_in;
        if ((size_t)g->node[i].n_out > wide) wide = (size_t)g->node[i].n_out;
    }
    bool ok = true;
    s->value = zeroed(nv, sizeof *s->value, &ok);
    s->constant = zeroed(nv, sizeof *s->constant, &ok);
    s->given = zeroed(nv, sizeof *s->given, &ok);
    s->node = zeroed(nn, sizeof *s->node, &ok);
    s->needed = zeroed(nn, sizeof *s->needed, &ok);
    s->uses = zeroed(nv, sizeof *s->uses, &ok);
    s->left = zeroed(nv, sizeof *s->left, &ok);
    s->grad = zeroed(nv, sizeof *s->grad, &ok);
    s->wants_grad = zeroed(nv, sizeof *s->wants_grad, &ok);
    s->keep_grad = zeroed(nv, sizeof *s->keep_grad, &ok);
    s->in = zeroed(wide, sizeof *s->in, &ok);
    s->wide_in = zeroed(wide, sizeof *s->wide_in, &ok);
    s->gout = zeroed(wide, sizeof *s->gout, &ok);
    s->out = zeroed(wide, sizeof *s->out, &ok);
    s->gin = zeroed(wide, sizeof *s->gin, &ok);
    s->want_out = zeroed(wide, sizeof *s->want_out, &ok);
    s->want_gin = zeroed(wide, sizeof *s->want_gin, &ok);
    s->in_constant = zeroed(wide, sizeof *s->in_constant, &ok);
    if (!ok) {
        tsr_session_free(s);
        return tsr_nomem(err, nv * sizeof *s->value);
    }
    for (size_t v = 0; v < nv; v++)
        if (g->value[v].is_init) {
            s->value[v] = tsr_tensor_share(&g->value[v].init);
            s->constant[v] = !(s->keep_params && g->value[v].trainable);
        }
    *out = s;
    return TSR_OK;
}

/* Where node i keeps what its backward pass needs. */
static struct tsr_tensor *saved_of(struct tsr_session *s, size_t i) { return s->saved != NULL ? s->saved[i] : s->unsaved; }

static void release_saved(struct tsr_session *s, size_t i)
{
    struct tsr_tensor *t = saved_of(s, i);
    for (int k = 0; k < TSR_OP_MAX_SAVED; k++)
        if (t[k].dtype != TSR_NONE) tsr_tensor_release(&t[k]);
}

void tsr_session_free(struct tsr_session *s)
{
    if (s == NULL) return;
    for (size_t v = 0; v < s->g->n_value; v++) {
        if (s->value != NULL) tsr_tensor_release(&s->value[v]);
        if (s->grad != NULL) tsr_tensor_release(&s->grad[v]);
    }
    for (size_t i = 0; s->node != NULL && i < s->g->n_node; i++) {
        release_saved(s, i);
        if (s->node[i].state_free != NULL) s->node[i].state_free(s->node[i].state);
    }
    tsr_recycler_release(&s->recycler);
    tsr_free(s->value);
    tsr_free(s->constant);
    tsr_free(s->given);
    tsr_free(s->node);
    tsr_free(s->saved);
    tsr_free(s->needed);
    tsr_free(s->uses);
    tsr_free(s->left);
    tsr_free(s->grad);
    tsr_free(s->wants_grad);
    tsr_free(s->keep_grad);
    tsr_free(s->in);
    tsr_free(s->wide_in);
    tsr_free(s->gout);
    tsr_free(s->out);
    tsr_free(s->gin);
    tsr_free(s->want_out);
    tsr_free(s->want_gin);
    tsr_free(s->in_constant);
    tsr_free(s->want);
    tsr_slices_free(s->slices);
    tsr_free(s);
}

void tsr_session_set_training(struct tsr_session *s, bool training, bool train_stats)
{
    s->opt.training = training;
    s->opt.train_stats = train_stats;
}

/* Whether v is a constant that some node made. */
static bool is_folded(const struct tsr_session *s, size_t v)
{
    return s->constant[v] && !s->g->value[v].is_init;
}

/* Bytes that the folded value v takes; a view takes none. */
static size_t folded_bytes(const struct tsr_session *s, size_t v)
{
    const struct tsr_node *node = &s->g->node[s->g->value[v].producer];
    return node->op->flags & TSR_OP_VIEW ? 0 : tsr_tensor_bytes(&s->value[v]);
}

static void drop_folded(struct tsr_session *s, size_t v)
{
    s->folded -= folded_bytes(s, v);
    tsr_tensor_release(&s->value[v]);
    s->constant[v] = false;
}

static void forget_folded(struct tsr_session *s)
{
    for (size_t v = 0; v < s->g->n_value; v++)
        if (is_folded(s, v)) drop_folded(s, v);
    s->planned = false;
}

void tsr_session_give(struct tsr_session *s, int32_t id, const struct tsr_tensor *t)
{
    if (s->constant[id]) forget_folded(s); /* another value for what had one: what follows from it is void */
    tsr_tensor_release(&s->value[id]);
    s->value[id] = tsr_tensor_share(t);
    s->constant[id] = false;
    s->given[id] = true;
}

static bool known(const struct tsr_session *s, const struct tsr_node *node)
{
    for (int k = 0; k < node->n_out; k++) {
        int32_t v = node->out[k];
        if (v >= 0 && s->uses[v] > 0 && !s->constant[v]) return false;
    }
    return true;
}

/* Marks the nodes that the wanted values need, walking the (ordered) nodes backwards as far as to
 * constants that are known; constants that led to those are let go. */
static void mark_needed(struct tsr_session *s)
{
    const struct tsr_graph *g = s->g;
    memset(s->uses, 0, g->n_value * sizeof *s->uses);
    memset(s->needed, 0, g->n_node * sizeof *s->needed);
    for (size_t i = 0; i < s->n_want; i++) s->uses[s->want[i]]++;
    for (size_t i = g->n_node; i-- > 0;) {
        const struct tsr_node *node = &g->node[i];
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0 && s->uses[node->out[k]] > 0) s->needed[i] = true;
        if (s->needed[i] && known(s, node)) s->needed[i] = false;
        if (!s->needed[i]) continue;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0) s->uses[node->in[k]]++;
    }
    for (size_t v = 0; v < g->n_value; v++)
        if (is_folded(s, v) && s->uses[v] == 0) drop_folded(s, v);
    s->planned = true;
}

static enum tsr_status plan(struct tsr_session *s, const int32_t *want, size_t n_want, struct tsr_error *err)
{
    bool same = s->n_want == n_want && (n_want == 0 || (s->want != NULL && memcmp(s->want, want, n_want * sizeof *want) == 0));
    if (s->planned && same) return TSR_OK;
    if (!same) {
        int32_t *copy = tsr_memdup(want, n_want * sizeof *want);
        if (copy == NULL) return tsr_nomem(err, n_want * sizeof *want);
        tsr_free(s->want);
        s->want = copy;
        s->n_want = n_want;
    }
    mark_needed(s);
    return TSR_OK;
}

static bool is_narrow(enum tsr_dtype t) { return t == TSR_F16 || t == TSR_BF16; }

void tsr_session_fill_ctx(struct tsr_session *s, size_t i, struct tsr_op_ctx *ctx, struct tsr_error *err)
{
    *ctx = (struct tsr_op_ctx){
        .node = &s->g->node[i],
        .in = s->in,
        .out = s->out,
        .want_out = s->want_out,
        .constant = s->in_constant,
        .training = s->opt.training,
        .train_stats = s->opt.train_stats,
        .seed = s->opt.seed + s->runs * 0x9E3779B97F4A7C15u + i,
        .saved = saved_of(s, i),
        .state = &s->node[i].state,
        .state_free = &s->node[i].state_free,
        .spare = &s->spare,
        .pool = s->opt.pool,
        .alloc = s->g->node[i].op->flags & TSR_OP_DYNAMIC ? &s->alloc : &s->recycler.allocator,
        .session = s,
        .err = err,
    };
}

/* Whether output 0 may be written over the value `first`, as far as training goes: nobody reads that again. */
static bool overwrites(const struct tsr_session *s, const struct tsr_node *node, int32_t first)
{
    const int32_t from = s->g->value[first].producer;
    return !s->opt.training || ((node->op->flags & TSR_OP_OVERWRITES) && s->uses[first] == 1 && from >= 0 &&
                                (s->g->node[from].op->flags & TSR_OP_FORGETS));
}

/* Allocates the outputs, or lets output 0 take the memory of an input that dies here. */
static enum tsr_status place_outputs(struct tsr_session *s, const struct tsr_node *node, struct tsr_error *err)
{
    for (int k = 0; k < node->n_out; k++) {
        struct tsr_tensor *o = &s->out[k];
        if (!s->want_out[k] && o->dtype == TSR_NONE) continue;
        if (o->dtype == TSR_NONE)
            return tsr_fail(err, TSR_E_UNSUPPORTED, "node '%s' (%s) cannot give its output %d", node->name,
                            node->op_type, k);
        int32_t first = node->n_in > 0 ? node->in[0] : -1;
        if (k == 0 && (node->op->flags & TSR_OP_INPLACE) && first >= 0 && s->left[first] == 1 && overwrites(s, node, first) &&
            !s->constant[first] && !s->given[first] && !s->g->value[first].is_init) {
            struct tsr_tensor *in = &s->value[first];
            if (s->in[0] == in && in->dtype == o->dtype && tsr_shape_equal(&in->shape, &o->shape) &&
                tsr_tensor_unique(in)) {
                *o = tsr_tensor_share(in);
                continue;
            }
        }
        struct tsr_shape shape = o->shape;
        TSR_TRY(tsr_tensor_new(o, o->dtype, &shape, values(s), err));
    }
    return TSR_OK;
}

/* Widens f16 and bf16 inputs for operators that compute in f32. *narrow: the type to give back. */
static enum tsr_status widen(struct tsr_session *s, const struct tsr_node *node, enum tsr_dtype *narrow,
                             struct tsr_error *err)
{
    *narrow = TSR_NONE;
    if (!(node->op->flags & TSR_OP_WIDEN)) return TSR_OK;
    for (int k = 0; k < node->n_in; k++) {
        if (s->in[k] == NULL || !is_narrow(s->in[k]->dtype)) continue;
        *narrow = s->in[k]->dtype;
        TSR_TRY(tsr_tensor_new(&s->wide_in[k], TSR_F32, &s->in[k]->shape, values(s), err));
        tsr_convert(TSR_F32, s->wide_in[k].data, *narrow, s->in[k]->data, tsr_tensor_count(s->in[k]));
        s->in[k] = &s->wide_in[k];
    }
    return TSR_OK;
}

static enum tsr_status narrow_outputs(struct tsr_session *s, const struct tsr_node *node, enum tsr_dtype narrow,
                                      struct tsr_error *err)
{
    for (int k = 0; k < node->n_out; k++) {
        if (s->out[k].dtype != TSR_F32) continue; /* also where the output is not wanted */
        struct tsr_tensor small;
        TSR_TRY(tsr_tensor_new(&small, narrow, &s->out[k].shape, values(s), err));
        tsr_convert(narrow, small.data, TSR_F32, s->out[k].data, tsr_tensor_count(&small));
        tsr_tensor_release(&s->out[k]);
        s->out[k] = small;
    }
    return TSR_OK;
}

static enum tsr_status run_view(struct tsr_session *s, const struct tsr_node *node, struct tsr_error *err)
{
    struct tsr_shape shape = s->out[0].shape;
    if (s->in[0] == NULL || tsr_shape_count(&shape) != tsr_tensor_count(s->in[0]))
        return tsr_fail(err, TSR_E_MISMATCH, "node '%s' (%s) changes the number of elements of its input",
                        node->name, node->op_type);
    s->out[0] = tsr_tensor_share(s->in[0]);
    s->out[0].shape = shape;
    return TSR_OK;
}

/* Adds what the node was given to the message: " (given 'x' float32[2,3], 'w' float32[4])". */
static void name_inputs(const struct tsr_session *s, const struct tsr_node *node, struct tsr_error *err)
{
    if (err == NULL || node->n_in == 0) return;
    char shape[TSR_SHAPE_TEXT], text[sizeof err->message];
    size_t n = 0, left = sizeof err->message - 1 - strlen(err->message);
    for (int k = 0; k < node->n_in; k++) {
        int32_t v = node->in[k];
        if (v < 0) continue;
        int m = snprintf(text + n, sizeof text - n, "%s'%.80s' %s%s", n == 0 ? " (given " : ", ", s->g->value[v].name,
                         tsr_dtype_name(s->value[v].dtype), tsr_shape_text(&s->value[v].shape, shape, sizeof shape));
        if (m < 0 || n + (size_t)m + 1 > left || n + (size_t)m >= sizeof text) break; /* whole entries only */
        n += (size_t)m;
    }
    if (n == 0) return;
    text[n] = '\0';
    struct tsr_error before = *err;
    (void)tsr_fail(err, before.status, "%s%s)", before.message, text);
}

/* The node's inputs into s->in; *constant: all of them are. */
static enum tsr_status gather_inputs(struct tsr_session *s, const struct tsr_node *node, bool *constant,
                                     struct tsr_error *err)
{
    *constant = !(node->op->flags & TSR_OP_RANDOM);
    for (int k = 0; k < node->n_in; k++) {
        int32_t v = node->in[k];
        s->in[k] = v < 0 ? NULL : &s->value[v];
        s->wide_in[k] = (struct tsr_tensor){0};
        s->in_constant[k] = v >= 0 && s->constant[v];
        if (v >= 0 && !s->constant[v]) *constant = false;
        if (v >= 0 && s->value[v].dtype == TSR_NONE)
            return tsr_fail(err, TSR_E_USAGE, "input '%s' of the model was not given", s->g->value[v].name);
    }
    return TSR_OK;
}

/* Bytes of the outputs that infer() described; views take none. */
static size_t output_bytes(const struct tsr_session *s, const struct tsr_node *node)
{
    size_t sum = 0, one;
    for (int k = 0; k < node->n_out && !(node->op->flags & TSR_OP_VIEW); k++) {
        one = s->out[k].dtype != TSR_NONE ? tsr_tensor_bytes(&s->out[k]) : 0;
        if (!tsr_add_size(sum, one, &sum)) return SIZE_MAX;
    }
    return sum;
}

/* Moves the outputs to their values. */
static void keep_outputs(struct tsr_session *s, const struct tsr_node *node, bool constant)
{
    for (int k = 0; k < node->n_out; k++) {
        int32_t v = node->out[k];
        if (v < 0 || s->uses[v] == 0) {
            if (!(constant && v >= 0)) tsr_tensor_release(&s->out[k]);
            if (v < 0) continue;
        }
        if (is_folded(s, (size_t)v)) drop_folded(s, (size_t)v);
        tsr_tensor_release(&s->value[v]);
        s->value[v] = s->out[k];
        s->constant[v] = constant && s->out[k].dtype != TSR_NONE;
        s->out[k] = (struct tsr_tensor){0};
        if (!s->constant[v]) continue;
        s->folded += folded_bytes(s, (size_t)v);
        s->planned = false; /* what it was made of may not be needed any more */
    }
}

enum tsr_status tsr_session_run_node(struct tsr_session *s, size_t i, struct tsr_error *err)
{
    const struct tsr_node *node = &s->g->node[i];
    struct tsr_op_ctx ctx;
    bool constant;
    enum tsr_dtype narrow;
    enum tsr_status status;
    TSR_TRY(gather_inputs(s, node, &constant, err));
    for (int k = 0; k < node->n_out; k++) {
        s->out[k] = (struct tsr_tensor){0};
        s->want_out[k] = node->out[k] >= 0 && (s->uses[node->out[k]] > 0 || constant);
    }
    tsr_session_fill_ctx(s, i, &ctx, err);
    release_saved(s, i);
    TSR_GO(status, done, widen(s, node, &narrow, err));
    status = node->op->infer != NULL ? node->op->infer(&ctx) : TSR_OK;
    bool computes = status == TSR_OK && !(node->op->flags & TSR_OP_VIEW);
    if (status == TSR_OK && constant && output_bytes(s, node) > MAX_FOLDED - s->folded) constant = false;
    if (status == TSR_OK && s->folding && !constant) goto done;
    if (computes && !(node->op->flags & TSR_OP_DYNAMIC)) TSR_GO(status, done, place_outputs(s, node, err));
    if (computes) status = node->op->forward(&ctx);
    if (status != TSR_OK && status != TSR_E_NOMEM) name_inputs(s, node, err);
    if (status != TSR_OK) goto done;
    if (!computes) TSR_GO(status, done, run_view(s, node, err));
    if (computes && narrow != TSR_NONE) TSR_GO(status, done, narrow_outputs(s, node, narrow, err));
    if (constant && output_bytes(s, node) > MAX_FOLDED - s->folded) constant = false; /* known only now */
    keep_outputs(s, node, constant);
    s->node[i].ran = true;
done:
    for (int k = 0; k < node->n_in; k++) tsr_tensor_release(&s->wide_in[k]);
    for (int k = 0; k < node->n_out; k++) { /* nothing is left of them where all went well */
        if (s->out[k].storage == NULL) s->out[k] = (struct tsr_tensor){0};
        tsr_tensor_release(&s->out[k]);
    }
    return status;
}

/* Nothing of an earlier run may be left: values are either constants, inputs or parameters. */
static void forget(struct tsr_session *s)
{
    for (size_t v = 0; v < s->g->n_value; v++) {
        if (s->grad[v].dtype != TSR_NONE) tsr_tensor_release(&s->grad[v]);
        if (s->constant[v] || s->given[v] || s->g->value[v].is_init) continue;
        if (s->value[v].dtype != TSR_NONE) tsr_tensor_release(&s->value[v]);
    }
    for (size_t i = 0; i < s->g->n_node; i++) {
        s->node[i].ran = false;
        if (s->saved != NULL) release_saved(s, i);
    }
}

/* Counts the node's reads, and drops the values that nobody will read. */
static void let_go(struct tsr_session *s, const struct tsr_node *node)
{
    for (int k = 0; k < node->n_in; k++) {
        int32_t v = node->in[k];
        if (v < 0 || --s->left[v] > 0 || s->opt.training) continue;
        if (!s->constant[v] && !s->given[v] && !s->g->value[v].is_init) tsr_tensor_release(&s->value[v]);
    }
}

enum tsr_status tsr_session_run(struct tsr_session *s, const int32_t *want, size_t n_want, struct tsr_error *err)
{
    for (size_t i = 0; i < n_want; i++)
        if (want[i] < 0 || (size_t)want[i] >= s->g->n_value)
            return tsr_fail(err, TSR_E_USAGE, "value %d is not in the graph", (int)want[i]);
    TSR_TRY(tsr_session_check_inputs(s, err));
    TSR_TRY(plan(s, want, n_want, err));
    if (s->opt.training && s->saved == NULL) {
        release_saved(s, 0); /* of runs before */
        s->saved = tsr_calloc(s->g->n_node, sizeof *s->saved);
        if (s->saved == NULL) return tsr_nomem(err, s->g->n_node * sizeof *s->saved);
    }
    forget(s);
    s->runs++;
    s->turns = 0;
    memcpy(s->left, s->uses, s->g->n_value * sizeof *s->left);
    for (size_t i = 0, looked = 0; i < s->g->n_node; i++) {
        bool done = false;
        if (!s->needed[i]) continue;
        if (i >= looked) TSR_TRY(tsr_session_run_slices(s, i, &looked, &done, err));
        if (!done) TSR_TRY(tsr_session_run_node(s, i, err));
        else
            for (; i + 1 < looked; i++) let_go(s, &s->g->node[i]);
        let_go(s, &s->g->node[i]);
    }
    for (size_t i = 0; i < n_want; i++)
        if (s->value[want[i]].dtype == TSR_NONE)
            return tsr_fail(err, TSR_E_USAGE, "input '%s' of the model was not given", s->g->value[want[i]].name);
    return TSR_OK;
}

const struct tsr_tensor *tsr_session_value(const struct tsr_session *s, int32_t id)
{
    if (id < 0 || (size_t)id >= s->g->n_value || s->value[id].dtype == TSR_NONE) return NULL;
    return &s->value[id];
}

enum tsr_status tsr_session_call(struct tsr_session *s, const struct tsr_tensor *in, size_t n_in, const int32_t *want,
                                 size_t n_want, struct tsr_tensor *out, struct tsr_error *err)
{
    if (n_in != s->g->n_input)
        return tsr_fail(err, TSR_E_USAGE, "the model has %zu inputs, but %zu were given", s->g->n_input, n_in);
    for (size_t i = 0; i < n_in; i++) s->given[s->g->input[i]] = false;
    for (size_t i = 0; i < n_in; i++) TSR_TRY(tsr_session_set_input(s, s->g->input[i], &in[i], err));
    TSR_TRY(tsr_session_run(s, want, n_want, err));
    for (size_t i = 0; i < n_want; i++) out[i] = tsr_tensor_share(&s->value[want[i]]);
    return TSR_OK;
}
