#include "ops/tape.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One operator that ran. Its values are [first, first + node.n_out) of the tape. */
struct step {
    struct tsr_node node; /* in[]: values of the tape */
    int first;
    struct tsr_tensor saved[TSR_OP_MAX_SAVED];
    void *state;
    void (*state_free)(void *);
};

struct tsr_tape {
    struct tsr_op_ctx *ctx; /* of the call that runs now */
    enum tsr_status status;
    struct tsr_tensor *value;
    size_t n_value, cap_value;
    struct step *step;
    size_t n_step, cap_step;
    struct tsr_attr *attr; /* of the next operator */
    size_t n_attr, cap_attr;
    tsr_ref *out;          /* per output of the node */
    struct tsr_tensor *grad; /* per value, in backward */
    bool *wants;             /* per value, in backward */
};

static void release_step(struct step *s)
{
    tsr_node_release(&s->node);
    for (int i = 0; i < TSR_OP_MAX_SAVED; i++) tsr_tensor_release(&s->saved[i]);
    if (s->state_free) s->state_free(s->state);
}

static void drop_attr(struct tsr_tape *t)
{
    for (size_t i = 0; i < t->n_attr; i++) tsr_attr_release(&t->attr[i]);
    t->n_attr = 0;
}

static void clear(struct tsr_tape *t)
{
    drop_attr(t);
    for (size_t i = 0; i < t->n_step; i++) release_step(&t->step[i]);
    for (size_t i = 0; i < t->n_value; i++) tsr_tensor_release(&t->value[i]);
    t->n_step = t->n_value = 0;
    t->status = TSR_OK;
}

static void free_tape(void *arg)
{
    struct tsr_tape *t = arg;
    if (!t) return;
    clear(t);
    tsr_free(t->value);
    tsr_free(t->step);
    tsr_free(t->attr);
    tsr_free(t->out);
    tsr_free(t);
}

struct tsr_op_ctx *tsr_tape_ctx(struct tsr_tape *t) { return t->ctx; }
enum tsr_status tsr_tape_status(const struct tsr_tape *t) { return t->status; }

enum tsr_status tsr_tape_fail(struct tsr_tape *t, enum tsr_status status, const char *format, ...)
{
    char text[400];
    va_list ap;
    if (t->status != TSR_OK) return t->status;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return t->status = tsr_op_fail(t->ctx, status, "%s", text);
}

static bool grow(struct tsr_tape *t, void *p, size_t *cap, size_t need, size_t size)
{
    if (t->status == TSR_OK) t->status = tsr_grow(p, cap, need, size, t->ctx->err);
    return t->status == TSR_OK;
}

const struct tsr_tensor *tsr_tape_value(const struct tsr_tape *t, tsr_ref ref)
{
    static const struct tsr_tensor none;
    return ref < 0 || (size_t)ref >= t->n_value ? &none : &t->value[ref];
}
const struct tsr_shape *tsr_tape_shape(const struct tsr_tape *t, tsr_ref ref) { return &tsr_tape_value(t, ref)->shape; }

/* ---- constants and attributes ---- */

tsr_ref tsr_tape_in(struct tsr_tape *t, int i) { return i < t->ctx->node->n_in && t->ctx->in[i] ? i : -1; }

tsr_ref tsr_tape_new(struct tsr_tape *t, enum tsr_dtype dtype, const struct tsr_shape *shape, void **data)
{
    *data = NULL;
    if (!grow(t, &t->value, &t->cap_value, t->n_value + 1, sizeof *t->value)) return -1;
    t->status = tsr_tensor_new(&t->value[t->n_value], dtype, shape, t->ctx->alloc, t->ctx->err);
    if (t->status != TSR_OK) return -1;
    *data = t->value[t->n_value].data;
    return (tsr_ref)t->n_value++;
}

tsr_ref tsr_tape_ints(struct tsr_tape *t, int n, const int64_t *v)
{
    const struct tsr_shape s = {1, {n}};
    void *data;
    tsr_ref ref = tsr_tape_new(t, TSR_I64, &s, &data);
    if (ref >= 0 && n > 0) memcpy(data, v, (size_t)n * sizeof *v);
    return ref;
}

tsr_ref tsr_tape_scalar(struct tsr_tape *t, enum tsr_dtype dtype, double v)
{
    const struct tsr_shape s = {0, {0}};
    void *data;
    tsr_ref ref = tsr_tape_new(t, dtype, &s, &data);
    if (ref >= 0) tsr_store_f64(dtype, data, 0, v);
    return ref;
}

static struct tsr_attr *new_attr(struct tsr_tape *t, const char *name, enum tsr_attr_type type)
{
    if (!grow(t, &t->attr, &t->cap_attr, t->n_attr + 1, sizeof *t->attr)) return NULL;
    struct tsr_attr *a = &t->attr[t->n_attr];
    *a = (struct tsr_attr){.type = type, .name = tsr_strdup(name)};
    if (!a->name) {
        t->status = tsr_nomem(t->ctx->err, strlen(name) + 1);
        return NULL;
    }
    t->n_attr++;
    return a;
}

static void *copied(struct tsr_tape *t, const void *p, size_t n)
{
    void *copy = tsr_memdup(p, n);
    if (!copy) t->status = tsr_nomem(t->ctx->err, n);
    return copy;
}

void tsr_tape_int(struct tsr_tape *t, const char *name, int64_t v)
{
    struct tsr_attr *a = new_attr(t, name, TSR_ATTR_INT);
    if (a) a->i = v;
}

void tsr_tape_float(struct tsr_tape *t, const char *name, float v)
{
    struct tsr_attr *a = new_attr(t, name, TSR_ATTR_FLOAT);
    if (a) a->f = v;
}

void tsr_tape_string(struct tsr_tape *t, const char *name, const char *v)
{
    struct tsr_attr *a = new_attr(t, name, TSR_ATTR_STRING);
    if (a) a->s = copied(t, v, strlen(v) + 1);
}

void tsr_tape_int_list(struct tsr_tape *t, const char *name, int n, const int64_t *v)
{
    struct tsr_attr *a = new_attr(t, name, TSR_ATTR_INTS);
    if (!a) return;
    a->ints = copied(t, v, (size_t)n * sizeof *v);
    a->n = a->ints ? (size_t)n : 0;
}

void tsr_tape_pass(struct tsr_tape *t, const char *name)
{
    const struct tsr_attr *a = tsr_node_attr(t->ctx->node, name);
    if (!a) return;
    switch (a->type) {
    case TSR_ATTR_INT: tsr_tape_int(t, name, a->i); break;
    case TSR_ATTR_FLOAT: tsr_tape_float(t, name, a->f); break;
    case TSR_ATTR_STRING: tsr_tape_string(t, name, a->s ? a->s : ""); break;
    case TSR_ATTR_INTS: tsr_tape_int_list(t, name, (int)a->n, a->ints); break;
    default: (void)tsr_tape_fail(t, TSR_E_UNSUPPORTED, "the attribute '%s' has the wrong type", name);
    }
}

/* ---- running ---- */

/* The context of a step; arrays of pointers are the caller's. */
static struct tsr_op_ctx context(struct tsr_tape *t, struct step *s, const struct tsr_tensor **in, struct tsr_tensor *out,
                                 const bool *want_out)
{
    struct tsr_op_ctx c = *t->ctx;
    for (int i = 0; i < s->node.n_in; i++) in[i] = s->node.in[i] < 0 ? NULL : &t->value[s->node.in[i]];
    c.node = &s->node;
    c.in = in;
    c.out = out;
    c.want_out = want_out;
    c.saved = s->saved;
    c.state = &s->state;
    c.state_free = &s->state_free;
    c.gout = NULL;
    c.gin = NULL;
    c.want_gin = NULL;
    return c;
}

enum { MOST = 16 }; /* inputs and outputs of an operator on the tape */

static enum tsr_status compute(struct tsr_op_ctx *c)
{
    const struct tsr_op *op = c->node->op;
    if (op->infer) TSR_TRY(op->infer(c));
    if (op->flags & TSR_OP_DYNAMIC) return op->forward(c);
    if (op->flags & TSR_OP_VIEW) {
        const struct tsr_shape shape = c->out[0].shape;
        if (tsr_shape_count(&shape) != tsr_tensor_count(c->in[0]))
            return tsr_op_fail(c, TSR_E_MISMATCH, "the number of elements changes");
        c->out[0] = tsr_tensor_share(c->in[0]);
        c->out[0].shape = shape;
        return TSR_OK;
    }
    for (int i = 0; i < c->node->n_out; i++) {
        const struct tsr_tensor o = c->out[i];
        c->out[i] = (struct tsr_tensor){0};
        TSR_TRY(tsr_tensor_new(&c->out[i], o.dtype, &o.shape, c->alloc, c->err));
    }
    return op->forward(c);
}

static enum tsr_status make_node(struct tsr_tape *t, struct step *s, const char *op_type, int n_out, int n_in, const tsr_ref *in)
{
    struct tsr_node *n = &s->node;
    n->op = tsr_op_find("", op_type);
    if (!n->op || n_in > MOST || n_out > MOST)
        return tsr_op_fail(t->ctx, TSR_E_INTERNAL, "the operator %s is not there for its body", op_type);
    n->opset = TSR_TAPE_OPSET;
    n->n_in = n_in;
    n->n_out = n_out;
    n->op_type = tsr_strdup(op_type);
    n->domain = tsr_strdup("");
    n->name = tsr_strdup(t->ctx->node->name);
    n->in = tsr_memdup(in, (size_t)n_in * sizeof *in);
    n->out = tsr_calloc((size_t)n_out, sizeof *n->out);
    n->attr = t->attr; /* handed over */
    n->n_attr = t->n_attr;
    t->attr = NULL;
    t->n_attr = t->cap_attr = 0;
    if (!n->op_type || !n->domain || !n->name || !n->in || !n->out) return tsr_nomem(t->ctx->err, sizeof *n);
    return TSR_OK;
}

tsr_ref tsr_tape_run(struct tsr_tape *t, const char *op_type, int n_out, int n_in, const tsr_ref *in)
{
    const struct tsr_tensor *args[MOST] = {0};
    struct tsr_tensor out[MOST] = {{0}};
    bool want[MOST];
    if (!grow(t, &t->value, &t->cap_value, t->n_value + (size_t)n_out, sizeof *t->value) ||
        !grow(t, &t->step, &t->cap_step, t->n_step + 1, sizeof *t->step))
        return -1;
    struct step *s = &t->step[t->n_step];
    *s = (struct step){.first = (int)t->n_value};
    t->status = make_node(t, s, op_type, n_out, n_in, in);
    for (int i = 0; i < MOST; i++) want[i] = true;
    if (t->status == TSR_OK) {
        struct tsr_op_ctx c = context(t, s, args, out, want);
        t->status = compute(&c);
    }
    if (t->status != TSR_OK) {
        for (int i = 0; i < n_out; i++) tsr_tensor_release(&out[i]);
        release_step(s);
        return -1;
    }
    memcpy(t->value + t->n_value, out, (size_t)n_out * sizeof *out);
    t->n_value += (size_t)n_out;
    if (t->ctx->training) t->n_step++;
    else release_step(s);
    return (tsr_ref)t->n_value - n_out;
}

tsr_ref tsr_tape_further(const struct tsr_tape *t, tsr_ref first, int i) { return t->status != TSR_OK || first < 0 ? -1 : first + i; }

bool tsr_tape_wants(const struct tsr_tape *t, int i) { return i < t->ctx->node->n_out && t->ctx->want_out[i]; }

void tsr_tape_out(struct tsr_tape *t, int i, tsr_ref ref)
{
    if (t->status == TSR_OK && tsr_tape_wants(t, i)) t->out[i] = ref;
}

tsr_ref tsr_tape_reshape(struct tsr_tape *t, tsr_ref x, int n, const int64_t *dim)
{
    tsr_ref shape = tsr_tape_ints(t, n, dim);
    tsr_tape_int(t, "allowzero", 1);
    return tsr_tape_op(t, "Reshape", x, shape);
}

tsr_ref tsr_tape_transpose(struct tsr_tape *t, tsr_ref x, int n, const int64_t *perm)
{
    tsr_tape_int_list(t, "perm", n, perm);
    return tsr_tape_op(t, "Transpose", x);
}

tsr_ref tsr_tape_slice(struct tsr_tape *t, tsr_ref x, int64_t axis, int64_t from, int64_t to)
{
    tsr_ref first = tsr_tape_ints(t, 1, &from), end = tsr_tape_ints(t, 1, &to), axes = tsr_tape_ints(t, 1, &axis);
    return tsr_tape_op(t, "Slice", x, first, end, axes);
}

/* In groups, and groups of groups, as wide as an operator on the tape may be. */
tsr_ref tsr_tape_concat(struct tsr_tape *t, int n, const tsr_ref *x, int64_t axis)
{
    tsr_ref part[MOST];
    int used = 0, each = 1;
    if (n == 1) return x[0];
    while (each * MOST < n) each *= MOST;
    for (int i = 0; i < n; i += each) part[used++] = tsr_tape_concat(t, n - i < each ? n - i : each, x + i, axis);
    tsr_tape_int(t, "axis", axis);
    return tsr_tape_run(t, "Concat", 1, used, part);
}

static enum tsr_status begin(struct tsr_op_ctx *ctx, struct tsr_tape **out)
{
    struct tsr_tape *t = *ctx->state;
    if (!t) {
        t = tsr_calloc(1, sizeof *t);
        if (!t) return tsr_nomem(ctx->err, sizeof *t);
        *ctx->state = t;
        *ctx->state_free = free_tape;
        t->out = tsr_malloc((size_t)ctx->node->n_out, sizeof *t->out);
        if (!t->out) return tsr_nomem(ctx->err, (size_t)ctx->node->n_out * sizeof *t->out);
    }
    clear(t);
    t->ctx = ctx;
    for (int i = 0; i < ctx->node->n_out; i++) t->out[i] = -1;
    if (!grow(t, &t->value, &t->cap_value, (size_t)ctx->node->n_in + 1, sizeof *t->value)) return t->status;
    for (int i = 0; i < ctx->node->n_in; i++) t->value[i] = ctx->in[i] ? tsr_tensor_share(ctx->in[i]) : (struct tsr_tensor){0};
    t->n_value = (size_t)ctx->node->n_in;
    *out = t;
    return TSR_OK;
}

enum tsr_status tsr_tape_forward(struct tsr_op_ctx *ctx, enum tsr_status (*body)(struct tsr_tape *t))
{
    struct tsr_tape *t = NULL;
    TSR_TRY(begin(ctx, &t));
    enum tsr_status status = body(t);
    if (status == TSR_OK) status = t->status;
    for (int i = 0; i < ctx->node->n_out && status == TSR_OK; i++) {
        if (!ctx->want_out[i]) continue;
        if (t->out[i] < 0) status = tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "output %d is not supported", i);
        else ctx->out[i] = tsr_tensor_share(&t->value[t->out[i]]);
    }
    for (int i = 0; status != TSR_OK && i < ctx->node->n_out; i++) tsr_tensor_release(&ctx->out[i]);
    if (status != TSR_OK || !ctx->training) clear(t);
    return status;
}

/* ---- backward ---- */

static bool is_real(const struct tsr_tensor *x) { return x->dtype == TSR_F32 || x->dtype == TSR_F64; }

/* Adds to the gradient of a value; takes *more over. The first one is kept as it is, so a second one
 * goes into memory of its own. */
static enum tsr_status accumulate(struct tsr_tape *t, int v, struct tsr_tensor *more)
{
    struct tsr_tensor *g = &t->grad[v];
    if (g->dtype == TSR_NONE) {
        *g = *more;
        *more = (struct tsr_tensor){0};
        return TSR_OK;
    }
    struct tsr_tensor sum;
    TSR_TRY(tsr_tensor_new(&sum, g->dtype, &g->shape, t->ctx->alloc, t->ctx->err));
    for (int64_t i = 0, n = tsr_tensor_count(g); i < n; i++) {
        if (g->dtype == TSR_F32) ((float *)sum.data)[i] = ((const float *)g->data)[i] + ((const float *)more->data)[i];
        else ((double *)sum.data)[i] = ((const double *)g->data)[i] + ((const double *)more->data)[i];
    }
    tsr_tensor_release(g);
    tsr_tensor_release(more);
    *g = sum;
    return TSR_OK;
}

static enum tsr_status back_step(struct tsr_tape *t, struct step *s)
{
    const struct tsr_tensor *in[MOST], *gout[MOST];
    struct tsr_tensor gin[MOST] = {{0}};
    bool want_gin[MOST], want_out[MOST] = {false}, any_in = false, any_out = false;
    const struct tsr_op *op = s->node.op;
    struct tsr_op_ctx c = context(t, s, in, t->value + s->first, want_out);
    for (int i = 0; i < s->node.n_out; i++) {
        const struct tsr_tensor *g = &t->grad[s->first + i];
        want_out[i] = true;
        gout[i] = g->dtype != TSR_NONE ? g : NULL;
        any_out = any_out || gout[i];
    }
    for (int i = 0; i < s->node.n_in; i++) {
        want_gin[i] = in[i] && t->wants[s->node.in[i]];
        any_in = any_in || want_gin[i];
    }
    if (!any_in || !any_out) return TSR_OK;
    enum tsr_status status = TSR_OK;
    if (op->flags & TSR_OP_VIEW) {
        gin[0] = tsr_tensor_share(gout[0]);
        gin[0].shape = in[0]->shape;
    } else if (!op->backward) {
        return tsr_op_fail(t->ctx, TSR_E_UNSUPPORTED, "there is no gradient through its %s", op->op_type);
    } else {
        for (int i = 0; i < s->node.n_in; i++)
            if (want_gin[i]) TSR_GO(status, done, tsr_tensor_new(&gin[i], in[i]->dtype, &in[i]->shape, c.alloc, c.err));
        c.gout = gout;
        c.gin = gin;
        c.want_gin = want_gin;
        TSR_GO(status, done, op->backward(&c));
    }
    for (int i = 0; i < s->node.n_in; i++)
        if (want_gin[i] && gin[i].dtype != TSR_NONE) TSR_GO(status, done, accumulate(t, s->node.in[i], &gin[i]));
done:
    for (int i = 0; i < s->node.n_in; i++) tsr_tensor_release(&gin[i]);
    return status;
}

/* A value wants its gradient where an input that does is on its way. */
static void mark(struct tsr_tape *t)
{
    for (int i = 0; i < t->ctx->node->n_in; i++) t->wants[i] = t->ctx->want_gin[i];
    for (size_t k = 0; k < t->n_step; k++) {
        const struct step *s = &t->step[k];
        bool any = false;
        for (int i = 0; i < s->node.n_in; i++) any = any || (s->node.in[i] >= 0 && t->wants[s->node.in[i]]);
        for (int i = 0; any && i < s->node.n_out; i++) t->wants[s->first + i] = is_real(&t->value[s->first + i]);
    }
}

static enum tsr_status walk_back(struct tsr_tape *t)
{
    struct tsr_op_ctx *ctx = t->ctx;
    mark(t);
    for (int i = 0; i < ctx->node->n_out; i++) {
        if (t->out[i] < 0 || !ctx->gout[i]) continue;
        struct tsr_tensor g = tsr_tensor_share(ctx->gout[i]);
        TSR_TRY(accumulate(t, t->out[i], &g));
    }
    for (size_t k = t->n_step; k-- > 0;) {
        TSR_TRY(back_step(t, &t->step[k]));
        for (int i = 0; i < t->step[k].node.n_out; i++) tsr_tensor_release(&t->grad[t->step[k].first + i]);
    }
    for (int i = 0; i < ctx->node->n_in; i++) {
        if (!ctx->want_gin[i] || tsr_tensor_count(&ctx->gin[i]) == 0) continue;
        size_t bytes = tsr_tensor_bytes(&ctx->gin[i]);
        if (t->grad[i].dtype == TSR_NONE) memset(ctx->gin[i].data, 0, bytes);
        else memcpy(ctx->gin[i].data, t->grad[i].data, bytes);
    }
    return TSR_OK;
}

enum tsr_status tsr_tape_backward(struct tsr_op_ctx *ctx)
{
    struct tsr_tape *t = *ctx->state;
    if (!t || t->n_value == 0) return tsr_op_fail(ctx, TSR_E_INTERNAL, "its forward pass was not kept");
    t->ctx = ctx;
    t->grad = tsr_calloc(t->n_value, sizeof *t->grad);
    t->wants = tsr_calloc(t->n_value, sizeof *t->wants);
    enum tsr_status status = t->grad && t->wants ? walk_back(t) : tsr_nomem(ctx->err, t->n_value * sizeof *t->grad);
    for (size_t i = 0; t->grad && i < t->n_value; i++) tsr_tensor_release(&t->grad[i]);
    tsr_free(t->grad);
    tsr_free(t->wants);
    t->grad = NULL;
    t->wants = NULL;
    return status;
}
