/* backward.c - reverse-mode gradients over the nodes that the last run executed. */
#include "base/mem.h"
#include "graph/session_impl.h"
#include "tensor/isa.h"

#include <string.h>

static bool is_real(enum tsr_dtype t) { return t == TSR_F32 || t == TSR_F64; }

TSR_CLONES static void add_f32(int64_t n, const float *more, float *sum)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) sum[i] += more[i];
}

TSR_CLONES static void add_f64(int64_t n, const double *more, double *sum)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) sum[i] += more[i];
}

static void add_into(struct tsr_tensor *sum, const struct tsr_tensor *more)
{
    const int64_t n = tsr_tensor_count(sum);
    if (sum->dtype == TSR_F32) add_f32(n, more->data, sum->data);
    else add_f64(n, more->data, sum->data);
}

/* Adds one contribution to a value's gradient; takes over *t. The first contribution may share
 * its elements with another gradient (views), so a second one goes into memory of its own. */
static enum tsr_status accumulate(struct tsr_session *s, int32_t v, struct tsr_tensor *t, struct tsr_error *err)
{
    struct tsr_tensor *g = &s->grad[v];
    if (g->dtype == TSR_NONE) {
        *g = *t;
        *t = (struct tsr_tensor){0};
        return TSR_OK;
    }
    if (!tsr_tensor_unique(g)) {
        struct tsr_tensor own;
        TSR_TRY(tsr_tensor_new(&own, g->dtype, &g->shape, &s->recycler.allocator, err));
        memcpy(own.data, g->data, tsr_tensor_bytes(g));
        tsr_tensor_release(g);
        *g = own;
    }
    add_into(g, t);
    tsr_tensor_release(t);
    return TSR_OK;
}

/* A value needs its gradient where it is asked for, or some input on the way to it is. */
static void mark_wanted(struct tsr_session *s, const int32_t *of, size_t n_of)
{
    const struct tsr_graph *g = s->g;
    memset(s->wants_grad, 0, g->n_value * sizeof *s->wants_grad);
    memset(s->keep_grad, 0, g->n_value * sizeof *s->keep_grad);
    for (size_t i = 0; i < n_of; i++) s->wants_grad[of[i]] = s->keep_grad[of[i]] = true;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        if (!s->node[i].ran) continue;
        bool any = false;
        for (int k = 0; k < node->n_in; k++) any = any || (node->in[k] >= 0 && s->wants_grad[node->in[k]]);
        if (!any) continue;
        for (int k = 0; k < node->n_out; k++) {
            int32_t v = node->out[k];
            if (v >= 0 && is_real(s->value[v].dtype)) s->wants_grad[v] = true;
        }
    }
}

static bool same_kind(const struct tsr_tensor *a, const struct tsr_tensor *b)
{
    return a != NULL && b != NULL && a->dtype == b->dtype && tsr_shape_equal(&a->shape, &b->shape);
}

/* Whether the gradient of input k is that of output 0 itself. */
static bool passes_on(const struct tsr_session *s, const struct tsr_node *node, int k)
{
    return (node->op->flags & TSR_OP_GRADIENT_SHARED) && same_kind(s->in[k], s->gout[0]);
}

/* Memory for the gradient of input k: that of the output's, where the operator says it may be and nobody else
 * has it. */
static enum tsr_status place_gradient(struct tsr_session *s, const struct tsr_node *node, int k, struct tsr_error *err)
{
    if (k == 0 && (node->op->flags & TSR_OP_GRADIENT_INPLACE) && same_kind(s->in[0], s->gout[0]) && !s->keep_grad[node->out[0]] &&
        tsr_tensor_unique(s->gout[0])) {
        s->gin[0] = tsr_tensor_share(s->gout[0]);
        return TSR_OK;
    }
    return tsr_tensor_new(&s->gin[k], s->in[k]->dtype, &s->in[k]->shape, &s->recycler.allocator, err);
}

static enum tsr_status backward_node(struct tsr_session *s, size_t i, struct tsr_error *err)
{
    const struct tsr_node *node = &s->g->node[i];
    bool any_out = false, any_in = false;
    for (int k = 0; k < node->n_out; k++) {
        int32_t v = node->out[k];
        s->gout[k] = v >= 0 && s->grad[v].dtype != TSR_NONE ? &s->grad[v] : NULL;
        any_out = any_out || s->gout[k] != NULL;
        s->out[k] = v >= 0 ? s->value[v] : (struct tsr_tensor){0}; /* borrowed for this call */
        s->want_out[k] = v >= 0 && s->uses[v] > 0;
    }
    for (int k = 0; k < node->n_in; k++) {
        int32_t v = node->in[k];
        s->in[k] = v < 0 ? NULL : &s->value[v];
        s->in_constant[k] = false;
        s->gin[k] = (struct tsr_tensor){0};
        s->want_gin[k] = v >= 0 && s->wants_grad[v] && is_real(s->value[v].dtype);
        any_in = any_in || s->want_gin[k];
    }
    if (!any_out || !any_in) return TSR_OK;
    if (node->op->backward == NULL && !(node->op->flags & TSR_OP_VIEW))
        return tsr_fail(err, TSR_E_UNSUPPORTED,
                        "node '%s': the operator %s has no gradient, so what lies before it cannot be taught",
                        node->name, node->op_type);
    enum tsr_status status = TSR_OK;
    unsigned shared = 0; /* inputs whose gradient is that of the output; such operators have two */
    if (node->op->flags & TSR_OP_VIEW) {
        s->gin[0] = tsr_tensor_share(s->gout[0]);
        s->gin[0].shape = s->in[0]->shape;
    } else {
        struct tsr_op_ctx ctx;
        tsr_session_fill_ctx(s, i, &ctx, err);
        ctx.gout = s->gout;
        ctx.gin = s->gin;
        ctx.want_gin = s->want_gin;
        bool any = false;
        for (int k = 0; k < node->n_in; k++) {
            if (!s->want_gin[k]) continue;
            if (passes_on(s, node, k)) {
                shared |= 1u << k;
                s->gin[k] = tsr_tensor_share(s->gout[0]);
                s->want_gin[k] = false;
                continue;
            }
            any = true;
            TSR_GO(status, done, place_gradient(s, node, k, err));
        }
        if (any) TSR_GO(status, done, node->op->backward(&ctx));
    }
    for (int k = 0; k < node->n_in; k++)
        if (s->want_gin[k] || shared >> k & 1) TSR_GO(status, done, accumulate(s, node->in[k], &s->gin[k], err));
done:
    for (int k = 0; k < node->n_in; k++) tsr_tensor_release(&s->gin[k]);
    for (int k = 0; k < node->n_out; k++) s->out[k] = (struct tsr_tensor){0};
    return status;
}

enum tsr_status tsr_session_backward(struct tsr_session *s, const int32_t *seed_id,
                                     const struct tsr_tensor *const *seeds, size_t n_seed, const int32_t *of,
                                     size_t n_of, struct tsr_error *err)
{
    const struct tsr_graph *g = s->g;
    if (!s->opt.training)
        return tsr_fail(err, TSR_E_USAGE, "gradients need a session in training mode");
    for (size_t v = 0; v < g->n_value; v++)
        if (s->grad[v].dtype != TSR_NONE) tsr_tensor_release(&s->grad[v]);
    for (size_t i = 0; i < n_seed; i++) {
        int32_t v = seed_id[i];
        if (s->value[v].dtype != seeds[i]->dtype || !tsr_shape_equal(&s->value[v].shape, &seeds[i]->shape))
            return tsr_fail(err, TSR_E_USAGE, "the gradient given for '%s' has another type or shape",
                            g->value[v].name);
        struct tsr_tensor t = tsr_tensor_share(seeds[i]);
        TSR_TRY(accumulate(s, v, &t, err));
    }
    mark_wanted(s, of, n_of);
    for (size_t i = g->n_node; i-- > 0;) {
        if (!s->node[i].ran) continue;
        TSR_TRY(backward_node(s, i, err));
        for (int k = 0; k < g->node[i].n_out; k++) {
            int32_t v = g->node[i].out[k];
            if (v >= 0 && !s->keep_grad[v] && s->grad[v].dtype != TSR_NONE) tsr_tensor_release(&s->grad[v]);
        }
    }
    return TSR_OK;
}

const struct tsr_tensor *tsr_session_grad(const struct tsr_session *s, int32_t id)
{
    if (id < 0 || (size_t)id >= s->g->n_value || s->grad[id].dtype == TSR_NONE) return NULL;
    return &s->grad[id];
}
