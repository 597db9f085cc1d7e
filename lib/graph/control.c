#include "graph/control.h"
#include "base/mem.h"
#include "graph/session_impl.h"

#include <inttypes.h>
#include <string.h>

#define MAX_TURNS 100000000

/* ---- bodies --------------------------------------------------------------------------------- */

/* The sessions of the node's graphs, made when they are first needed. */
struct control {
    struct tsr_session *body[2];
    int taken; /* of If: the branch that ran last; -1: none */
};

static void free_control(void *arg)
{
    struct control *c = arg;
    if (c == NULL) return;
    for (int i = 0; i < 2; i++) tsr_session_free(c->body[i]);
    tsr_free(c);
}

/* The node's graph of that name and its session, as place `which` of the state. */
static enum tsr_status open_body(struct tsr_op_ctx *ctx, const char *name, int which, bool training, const struct tsr_attr **attr,
                                 struct tsr_session **out)
{
    const struct tsr_attr *a = tsr_node_attr(ctx->node, name);
    struct control *c = *ctx->state;
    struct tsr_session *outer = ctx->session;
    if (a == NULL || a->type != TSR_ATTR_GRAPH) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the graph '%s' is missing", name);
    if (c == NULL) {
        c = tsr_calloc(1, sizeof *c);
        if (c == NULL) return tsr_nomem(ctx->err, sizeof *c);
        c->taken = -1;
        *ctx->state = c;
        *ctx->state_free = free_control;
    }
    if (c->body[which] == NULL) {
        struct tsr_session_options o = outer->opt;
        o.training = outer->keep_params; /* room for gradients; a body's initialisers are no parameters */
        TSR_TRY(tsr_session_new(a->g, &o, &c->body[which], ctx->err));
        c->body[which]->root = outer->root;
    }
    c->body[which]->opt.seed = ctx->seed;
    tsr_session_set_training(c->body[which], training, ctx->train_stats);
    *attr = a;
    *out = c->body[which];
    return TSR_OK;
}

/* Runs a body on its own inputs and what it takes from around it. */
static enum tsr_status run_body(struct tsr_op_ctx *ctx, const struct tsr_attr *a, struct tsr_session *s, int n,
                                const struct tsr_tensor *const *in)
{
    const struct tsr_graph *g = a->g;
    if (g->n_input - a->n != (size_t)n)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the graph '%s' has %zu inputs, and %d are given to it", a->name,
                           g->n_input - a->n, n);
    for (int i = 0; i < n; i++) tsr_session_give(s, g->input[i], in[i]);
    for (size_t i = 0; i < a->n; i++) tsr_session_give(s, g->input[(size_t)n + i], ctx->in[a->ints[i]]);
    enum tsr_status status = tsr_session_run(s, g->output, g->n_output, ctx->err);
    if (status != TSR_OK) (void)tsr_error_prefix(ctx->err, "in '%s' of node '%.80s' (%s)", a->name, ctx->node->name,
                                                 ctx->node->op_type);
    return status;
}

static const struct tsr_tensor *output_of(const struct tsr_session *s, const struct tsr_attr *a, size_t i)
{
    return tsr_session_value(s, a->g->output[i]);
}

/* One turn more of a loop; refuses to go on for ever. */
static enum tsr_status count_turn(struct tsr_op_ctx *ctx)
{
    struct tsr_session *root = ctx->session->root;
    const int64_t most = root->opt.max_turns > 0 ? root->opt.max_turns : MAX_TURNS;
    if (root->turns++ < most) return TSR_OK;
    return tsr_op_fail(ctx, TSR_E_LIMIT, "the loops of the model take more than %" PRId64 " turns", most);
}

static enum tsr_status read_truth(struct tsr_op_ctx *ctx, const struct tsr_tensor *t, bool *out)
{
    if (t->dtype != TSR_BOOL || tsr_tensor_count(t) != 1)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "its condition is not one truth value");
    *out = *(const uint8_t *)t->data != 0;
    return TSR_OK;
}

/* ---- If ------------------------------------------------------------------------------------- */

static const char *const branch_name[2] = {"else_branch", "then_branch"};

static enum tsr_status if_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_attr *a = NULL;
    struct tsr_session *s = NULL;
    bool truth = false;
    TSR_TRY(read_truth(ctx, ctx->in[0], &truth));
    TSR_TRY(open_body(ctx, branch_name[truth], truth, ctx->training, &a, &s));
    if (a->g->n_output < (size_t)ctx->node->n_out)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the graph '%s' gives %zu outputs, %d are needed", a->name,
                           a->g->n_output, ctx->node->n_out);
    TSR_TRY(run_body(ctx, a, s, 0, NULL));
    for (int i = 0; i < ctx->node->n_out; i++)
        if (ctx->want_out[i]) ctx->out[i] = tsr_tensor_share(output_of(s, a, (size_t)i));
    ((struct control *)*ctx->state)->taken = truth;
    return TSR_OK;
}

static bool is_real(enum tsr_dtype t) { return t == TSR_F32 || t == TSR_F64; }

/* The gradient goes through the branch that was taken. */
static enum tsr_status if_backward(struct tsr_op_ctx *ctx)
{
    struct control *c = *ctx->state;
    if (c == NULL || c->taken < 0) return tsr_op_fail(ctx, TSR_E_INTERNAL, "its forward pass was not kept");
    const struct tsr_attr *a = tsr_node_attr(ctx->node, branch_name[c->taken]);
    struct tsr_session *s = c->body[c->taken];
    size_t n_seed = 0, n_of = 0, n_out = (size_t)ctx->node->n_out, first = a->g->n_input - a->n;
    const struct tsr_tensor **seed = tsr_malloc(n_out, sizeof *seed);
    int32_t *seed_id = tsr_malloc(n_out, sizeof *seed_id), *of = tsr_malloc(a->n, sizeof *of);
    enum tsr_status status = seed && seed_id && of ? TSR_OK : tsr_nomem(ctx->err, n_out * sizeof *seed);
    for (size_t i = 0; status == TSR_OK && i < n_out; i++)
        if (ctx->gout[i] != NULL) seed[n_seed] = ctx->gout[i], seed_id[n_seed++] = a->g->output[i];
    for (size_t i = 0; status == TSR_OK && i < a->n; i++)
        if (ctx->want_gin[a->ints[i]]) of[n_of++] = a->g->input[first + i];
    if (status == TSR_OK) status = tsr_session_backward(s, seed_id, seed, n_seed, of, n_of, ctx->err);
    for (int k = 0; status == TSR_OK && k < ctx->node->n_in; k++)
        if (ctx->want_gin[k] && tsr_tensor_count(&ctx->gin[k]) > 0) memset(ctx->gin[k].data, 0, tsr_tensor_bytes(&ctx->gin[k]));
    for (size_t i = 0; status == TSR_OK && i < a->n; i++) {
        const struct tsr_tensor *g = ctx->want_gin[a->ints[i]] ? tsr_session_grad(s, a->g->input[first + i]) : NULL;
        struct tsr_tensor *to = &ctx->gin[a->ints[i]];
        if (g != NULL && is_real(g->dtype) && tsr_tensor_count(to) > 0) memcpy(to->data, g->data, tsr_tensor_bytes(to));
    }
    tsr_free(seed);
    tsr_free(seed_id);
    tsr_free(of);
    return status;
}

/* ---- collected outputs ---------------------------------------------------------------------- */

/* One tensor a turn, to be put together along a new axis. */
struct pile {
    struct tsr_tensor *t;
    size_t n, cap;
};

static void pile_release(struct pile *p)
{
    for (size_t i = 0; i < p->n; i++) tsr_tensor_release(&p->t[i]);
    tsr_free(p->t);
}

static enum tsr_status pile_add(struct tsr_op_ctx *ctx, struct pile *p, const struct tsr_tensor *t)
{
    TSR_TRY(tsr_grow(&p->t, &p->cap, p->n + 1, sizeof *p->t, ctx->err));
    p->t[p->n++] = tsr_tensor_share(t);
    return TSR_OK;
}

/* The shape and type of the whole; without any turn, as the body declares them. */
static enum tsr_status pile_shape(struct tsr_op_ctx *ctx, const struct pile *p, const struct tsr_value *declared, int64_t axis,
                                  struct tsr_shape *s, enum tsr_dtype *type, int *at)
{
    struct tsr_shape one = p->n > 0 ? p->t[0].shape : declared->shape;
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    *type = p->n > 0 ? p->t[0].dtype : declared->dtype == TSR_NONE ? TSR_F32 : declared->dtype;
    if (one.rank < 0) one.rank = 0;
    for (size_t i = 1; i < p->n; i++)
        if (p->t[i].dtype != *type || !tsr_shape_equal(&p->t[i].shape, &one))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "what is collected from '%.80s' changes its shape from %s to %s",
                               declared->name,
                               tsr_shape_text(&one, a, sizeof a), tsr_shape_text(&p->t[i].shape, b, sizeof b));
    if (one.rank >= TSR_MAX_RANK || tsr_dtype_bits(*type) < 8)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "tensors of %d dimensions of type %s cannot be collected", one.rank,
                           tsr_dtype_name(*type));
    TSR_TRY(tsr_op_axis(ctx, axis, one.rank + 1, at));
    *s = (struct tsr_shape){.rank = one.rank + 1};
    for (int i = 0, k = 0; i < s->rank; i++) s->dim[i] = i == *at ? (int64_t)p->n : one.dim[k] < 0 ? k++, 0 : one.dim[k++];
    return TSR_OK;
}

static enum tsr_status pile_join(struct tsr_op_ctx *ctx, const struct pile *p, const struct tsr_value *declared, int64_t axis,
                                 bool backwards, struct tsr_tensor *out)
{
    struct tsr_shape s = {0};
    enum tsr_dtype type = TSR_NONE;
    int at = 0;
    TSR_TRY(pile_shape(ctx, p, declared, axis, &s, &type, &at));
    TSR_TRY(tsr_tensor_new(out, type, &s, ctx->alloc, ctx->err));
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < at; i++) outer *= s.dim[i];
    for (int i = at + 1; i < s.rank; i++) inner *= s.dim[i];
    const size_t row = tsr_dtype_bytes(type, inner);
    for (int64_t o = 0; row > 0 && o < outer; o++)
        for (size_t k = 0; k < p->n; k++)
            memcpy((char *)out->data + ((size_t)o * p->n + k) * row,
                   (const char *)p->t[backwards ? p->n - 1 - k : k].data + (size_t)o * row, row);
    return TSR_OK;
}

/* What loops carry from turn to turn, what the body is given, and what they collect. */
struct loop {
    int n_state, n_pile;
    struct tsr_tensor *state;         /* n_state */
    const struct tsr_tensor **in;     /* of the body */
    struct pile *pile;                /* n_pile */
};

static enum tsr_status loop_init(struct tsr_op_ctx *ctx, struct loop *l, const struct tsr_attr *a, int n_state,
                                 int first_out, int first_state,
                                 int extra)
{
    const int outputs = (int)a->g->n_output - first_out;
    if (n_state < 0 || outputs < n_state || ctx->node->n_out > outputs)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the graph '%s' gives %zu outputs, which does not fit the node", a->name,
                           a->g->n_output);
    l->n_state = n_state;
    l->n_pile = outputs - n_state;
    l->state = tsr_calloc((size_t)n_state, sizeof *l->state);
    l->in = tsr_calloc((size_t)(n_state + extra), sizeof *l->in);
    l->pile = tsr_calloc((size_t)l->n_pile, sizeof *l->pile);
    if (l->state == NULL || l->in == NULL || l->pile == NULL) return tsr_nomem(ctx->err, (size_t)outputs * sizeof *l->state);
    for (int i = 0; i < n_state; i++) {
        if (ctx->in[first_state + i] == NULL) return tsr_op_fail(ctx, TSR_E_CORRUPT, "its input %d is missing", first_state + i);
        l->state[i] = tsr_tensor_share(ctx->in[first_state + i]);
    }
    return TSR_OK;
}

static void loop_release(struct loop *l)
{
    for (int i = 0; l->state != NULL && i < l->n_state; i++) tsr_tensor_release(&l->state[i]);
    for (int i = 0; l->pile != NULL && i < l->n_pile; i++) pile_release(&l->pile[i]);
    tsr_free(l->state);
    tsr_free(l->in);
    tsr_free(l->pile);
}

/* Takes the state and the collected outputs, which are wanted, off a body that ran. */
static enum tsr_status loop_take(struct tsr_op_ctx *ctx, struct loop *l, const struct tsr_session *s,
                                 const struct tsr_attr *a, int first_out)
{
    for (int i = 0; i < l->n_state; i++) {
        tsr_tensor_release(&l->state[i]);
        l->state[i] = tsr_tensor_share(output_of(s, a, (size_t)(first_out + i)));
    }
    for (int i = 0; i < l->n_pile; i++)
        if (l->n_state + i < ctx->node->n_out && ctx->want_out[l->n_state + i])
            TSR_TRY(pile_add(ctx, &l->pile[i], output_of(s, a, (size_t)(first_out + l->n_state + i))));
    return TSR_OK;
}

static void give_state(struct tsr_op_ctx *ctx, const struct loop *l)
{
    for (int i = 0; i < l->n_state && i < ctx->node->n_out; i++)
        if (ctx->want_out[i]) ctx->out[i] = tsr_tensor_share(&l->state[i]);
}

static const struct tsr_value *declared_output(const struct tsr_attr *a, int i) { return &a->g->value[a->g->output[i]]; }

/* ---- Loop ----------------------------------------------------------------------------------- */

static enum tsr_status scalar(struct tsr_op_ctx *ctx, enum tsr_dtype type, int64_t v, struct tsr_tensor *t)
{
    const struct tsr_shape s = {0, {0}};
    TSR_TRY(tsr_tensor_new(t, type, &s, ctx->alloc, ctx->err));
    tsr_store_i64(type, t->data, 0, v);
    return TSR_OK;
}

/* Inputs: most turns, condition, state. Body: turn, condition, state -> condition, state, collected. */
static enum tsr_status loop_turns(struct tsr_op_ctx *ctx, struct loop *l, const struct tsr_attr *a, struct tsr_session *s)
{
    int64_t most = INT64_MAX;
    bool go = true;
    if (ctx->in[0] != NULL) {
        if (ctx->in[0]->dtype != TSR_I64 || tsr_tensor_count(ctx->in[0]) != 1)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "its trip count is not one int64");
        most = *(const int64_t *)ctx->in[0]->data;
    }
    if (ctx->in[1] != NULL) TSR_TRY(read_truth(ctx, ctx->in[1], &go));
    for (int64_t turn = 0; turn < most && go; turn++) {
        struct tsr_tensor number = {0}, truth = {0};
        enum tsr_status status;
        TSR_TRY(count_turn(ctx));
        TSR_GO(status, done, scalar(ctx, TSR_I64, turn, &number));
        TSR_GO(status, done, scalar(ctx, TSR_BOOL, go, &truth));
        l->in[0] = &number, l->in[1] = &truth;
        for (int i = 0; i < l->n_state; i++) l->in[2 + i] = &l->state[i];
        TSR_GO(status, done, run_body(ctx, a, s, 2 + l->n_state, l->in));
        TSR_GO(status, done, read_truth(ctx, output_of(s, a, 0), &go));
        status = loop_take(ctx, l, s, a, 1);
    done:
        tsr_tensor_release(&number);
        tsr_tensor_release(&truth);
        TSR_TRY(status);
    }
    return TSR_OK;
}

static enum tsr_status loop_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_attr *a = NULL;
    struct tsr_session *s = NULL;
    struct loop l = {0};
    TSR_TRY(open_body(ctx, "body", 0, false, &a, &s));
    enum tsr_status status = loop_init(ctx, &l, a, ctx->node->n_in - ctx->node->n_captured - 2, 1, 2, 2);
    if (status == TSR_OK) status = loop_turns(ctx, &l, a, s);
    if (status == TSR_OK) give_state(ctx, &l);
    for (int i = 0; i < l.n_pile && status == TSR_OK; i++) {
        const int k = l.n_state + i;
        if (k < ctx->node->n_out && ctx->want_out[k])
            status = pile_join(ctx, &l.pile[i], declared_output(a, 1 + k), 0, false, &ctx->out[k]);
    }
    loop_release(&l);
    return status;
}

/* ---- Scan ----------------------------------------------------------------------------------- */

static int64_t listed(const struct tsr_node *node, const char *name, int i)
{
    size_t n;
    const int64_t *v = tsr_node_ints(node, name, &n);
    return v != NULL && (size_t)i < n ? v[i] : 0;
}

/* Slice k of x along an axis. */
static enum tsr_status slice(struct tsr_op_ctx *ctx, const struct tsr_tensor *x, int axis, int64_t k, struct tsr_tensor *out)
{
    struct tsr_shape s = {.rank = x->shape.rank - 1};
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < x->shape.rank; i++) {
        if (i < axis) outer *= x->shape.dim[i];
        if (i > axis) inner *= x->shape.dim[i];
        if (i != axis) s.dim[i - (i > axis)] = x->shape.dim[i];
    }
    TSR_TRY(tsr_tensor_new(out, x->dtype, &s, ctx->alloc, ctx->err));
    const size_t row = tsr_dtype_bytes(x->dtype, inner);
    for (int64_t o = 0; row > 0 && o < outer; o++)
        memcpy((char *)out->data + (size_t)o * row, (const char *)x->data + (size_t)(o * x->shape.dim[axis] + k) * row, row);
    return TSR_OK;
}

struct scan {
    int n; /* inputs that are scanned */
    int64_t length;
    int *axis;
    struct tsr_tensor *piece;
};

static enum tsr_status scan_init(struct tsr_op_ctx *ctx, struct scan *c, int first)
{
    c->axis = tsr_calloc((size_t)c->n, sizeof *c->axis);
    c->piece = tsr_calloc((size_t)c->n, sizeof *c->piece);
    if (c->axis == NULL || c->piece == NULL) return tsr_nomem(ctx->err, (size_t)c->n * sizeof *c->piece);
    for (int i = 0; i < c->n; i++) {
        const struct tsr_tensor *x = ctx->in[first + i];
        if (x == NULL || tsr_dtype_bits(x->dtype) < 8)
            return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "its input %d is missing or of few bits", first + i);
        TSR_TRY(tsr_op_axis(ctx, listed(ctx->node, "scan_input_axes", i), x->shape.rank, &c->axis[i]));
        const int64_t n = x->shape.dim[c->axis[i]];
        if (i > 0 && n != c->length)
            return tsr_op_fail(ctx, TSR_E_MISMATCH,
                               "its inputs are %" PRId64 " and %" PRId64 " long where they are scanned", c->length, n);
        c->length = n;
    }
    return TSR_OK;
}

static enum tsr_status scan_turn(struct tsr_op_ctx *ctx, struct loop *l, struct scan *c, int64_t turn,
                                 const struct tsr_attr *a, struct tsr_session *s)
{
    TSR_TRY(count_turn(ctx));
    for (int i = 0; i < l->n_state; i++) l->in[i] = &l->state[i];
    for (int i = 0; i < c->n; i++) {
        const bool backwards = listed(ctx->node, "scan_input_directions", i) != 0;
        tsr_tensor_release(&c->piece[i]);
        TSR_TRY(slice(ctx, ctx->in[l->n_state + i], c->axis[i], backwards ? c->length - 1 - turn : turn, &c->piece[i]));
        l->in[l->n_state + i] = &c->piece[i];
    }
    TSR_TRY(run_body(ctx, a, s, l->n_state + c->n, l->in));
    return loop_take(ctx, l, s, a, 0);
}

/* Inputs: state, scanned. Body: state, slices -> state, collected. */
static enum tsr_status scan_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_attr *a = NULL;
    struct tsr_session *s = NULL;
    struct loop l = {0};
    const int given = ctx->node->n_in - ctx->node->n_captured;
    const int64_t scanned = tsr_node_int(ctx->node, "num_scan_inputs", 0);
    if (ctx->node->opset < 9) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "Scan is supported from version 9 of the operator set on");
    if (scanned < 1 || scanned > given)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "%" PRId64 " of its %d inputs cannot be scanned", scanned, given);
    struct scan c = {.n = (int)scanned};
    enum tsr_status status;
    TSR_GO(status, done, open_body(ctx, "body", 0, false, &a, &s));
    TSR_GO(status, done, loop_init(ctx, &l, a, given - c.n, 0, 0, c.n));
    TSR_GO(status, done, scan_init(ctx, &c, l.n_state));
    for (int64_t turn = 0; turn < c.length; turn++) TSR_GO(status, done, scan_turn(ctx, &l, &c, turn, a, s));
    give_state(ctx, &l);
    for (int i = 0; i < l.n_pile; i++) {
        const int k = l.n_state + i;
        if (k >= ctx->node->n_out || !ctx->want_out[k]) continue;
        TSR_GO(status, done, pile_join(ctx, &l.pile[i], declared_output(a, k), listed(ctx->node, "scan_output_axes", i),
                                       listed(ctx->node, "scan_output_directions", i) != 0, &ctx->out[k]));
    }
done:
    for (int i = 0; c.piece != NULL && i < c.n; i++) tsr_tensor_release(&c.piece[i]);
    tsr_free(c.piece);
    tsr_free(c.axis);
    loop_release(&l);
    return status;
}

/* ---- the table ------------------------------------------------------------------------------ */

/* Random: a body may hold a random operator, so nothing of it is folded. */
static const struct tsr_op ops[] = {
    {"If", "", TSR_OP_DYNAMIC | TSR_OP_RANDOM, 1, -1, INT32_MAX, NULL, if_forward, if_backward, 0},
    {"Loop", "", TSR_OP_DYNAMIC | TSR_OP_RANDOM, 2, -1, INT32_MAX, NULL, loop_forward, NULL, 0},
    {"Scan", "", TSR_OP_DYNAMIC | TSR_OP_RANDOM, 1, -1, INT32_MAX, NULL, scan_forward, NULL, 0},
};

const struct tsr_op *tsr_control_find(const char *op_type)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].op_type, op_type) == 0) return &ops[i];
    return NULL;
}
