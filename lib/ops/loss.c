/* loss.c - NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: X [N,C,...], targets [N,...], one
 * weight a class. The mean is taken over the weights of the targets that count. Sums in double. */
#include "ops/families.h"
#include "ops/tape.h"

#include <string.h>

enum reduction { NONE, SUM, MEAN };

struct nll {
    enum reduction reduction;
    int64_t N, C, inner; /* X is [N, C, inner] */
    bool ignores;
    int64_t ignored;
    struct tsr_shape y;
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct nll *l)
{
    const char *reduction = tsr_node_string(ctx->node, "reduction", "mean");
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(TSR_I32) | TSR_MASK(TSR_I64)));
    const struct tsr_shape *x = &ctx->in[0]->shape, *t = &ctx->in[1]->shape;
    *l = (struct nll){.reduction = strcmp(reduction, "none") == 0 ? NONE : strcmp(reduction, "sum") == 0 ? SUM : MEAN};
    bool fits = x->rank >= 2 && t->rank == x->rank - 1 && t->dim[0] == x->dim[0];
    for (int i = 1; fits && i < t->rank; i++) fits = t->dim[i] == x->dim[i + 1];
    if (!fits)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "targets of shape %s do not fit values of shape %s", tsr_shape_text(t, a, sizeof a),
                           tsr_shape_text(x, b, sizeof b));
    l->N = x->dim[0];
    l->C = x->dim[1];
    l->inner = tsr_arg_span(x, 2, x->rank);
    l->ignores = tsr_node_attr(ctx->node, "ignore_index") != NULL;
    l->ignored = tsr_node_int(ctx->node, "ignore_index", 0);
    if (l->reduction == NONE) l->y = *t;
    if (!tsr_arg_in(ctx, 2)) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(ctx->in[0]->dtype)));
    if (ctx->in[2]->shape.rank != 1 || ctx->in[2]->shape.dim[0] != l->C)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "there must be a weight for each of the %lld classes", (long long)l->C);
    return TSR_OK;
}

/* The class of target i, or -1 where it does not count. */
static enum tsr_status class_of(struct tsr_op_ctx *ctx, const struct nll *l, int64_t i, int64_t *c)
{
    *c = tsr_load_i64(ctx->in[1]->dtype, ctx->in[1]->data, i);
    if (l->ignores && *c == l->ignored) *c = -1;
    else if (*c < 0 || *c >= l->C)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "target %lld is none of the %lld classes", (long long)*c, (long long)l->C);
    return TSR_OK;
}

static double weight_of(const struct tsr_op_ctx *ctx, int64_t c)
{
    const struct tsr_tensor *w = tsr_arg_in(ctx, 2);
    return c < 0 ? 0 : w ? tsr_load_f64(w->dtype, w->data, c) : 1;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct nll l;
    TSR_TRY(describe(ctx, &l));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &l.y);
    return TSR_OK;
}

/* The sum of weighted losses and that of the weights; single losses into y where there is one. */
static enum tsr_status run(struct tsr_op_ctx *ctx, const struct nll *l, struct tsr_tensor *y, double *sum, double *weights)
{
    const struct tsr_tensor *x = ctx->in[0];
    *sum = *weights = 0;
    for (int64_t i = 0; i < l->N * l->inner; i++) {
        int64_t c;
        TSR_TRY(class_of(ctx, l, i, &c));
        const double w = weight_of(ctx, c);
        const int64_t at = (i / l->inner * l->C + (c < 0 ? 0 : c)) * l->inner + i % l->inner;
        const double loss = c < 0 ? 0 : -w * tsr_load_f64(x->dtype, x->data, at);
        if (y) tsr_store_f64(y->dtype, y->data, i, loss);
        *sum += loss;
        *weights += w;
    }
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct nll l;
    double sum, weights;
    struct tsr_tensor *y = &ctx->out[0];
    TSR_TRY(describe(ctx, &l));
    TSR_TRY(run(ctx, &l, l.reduction == NONE ? y : NULL, &sum, &weights));
    if (l.reduction != NONE) tsr_store_f64(y->dtype, y->data, 0, l.reduction == MEAN ? sum / weights : sum);
    return TSR_OK;
}

static void add(struct tsr_tensor *to, int64_t i, double v)
{
    tsr_store_f64(to->dtype, to->data, i, tsr_load_f64(to->dtype, to->data, i) + v);
}

/* Of sum s = -sum w x: ds/dx = -w, ds/dw = -x; of the mean s / W: also -s / W^2 for every weight. */
static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct nll l;
    double sum, weights;
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    TSR_TRY(describe(ctx, &l));
    for (int i = 0; i < ctx->node->n_in; i += 2)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (!g) return TSR_OK;
    TSR_TRY(run(ctx, &l, NULL, &sum, &weights));
    const double share = l.reduction == MEAN ? 1 / weights : 1;
    for (int64_t i = 0; i < l.N * l.inner; i++) {
        int64_t c;
        TSR_TRY(class_of(ctx, &l, i, &c));
        if (c < 0) continue;
        const double gy = tsr_load_f64(g->dtype, g->data, l.reduction == NONE ? i : 0) * share;
        const int64_t at = (i / l.inner * l.C + c) * l.inner + i % l.inner;
        if (ctx->want_gin[0]) add(&ctx->gin[0], at, -weight_of(ctx, c) * gy);
        if (ctx->node->n_in > 2 && ctx->want_gin[2])
            add(&ctx->gin[2], c, gy * (-tsr_load_f64(x->dtype, x->data, at) - (l.reduction == MEAN ? sum / weights : 0)));
    }
    return TSR_OK;
}

static enum tsr_status cross_entropy_body(struct tsr_tape *t)
{
    tsr_tape_int(t, "axis", 1);
    tsr_ref log_p = tsr_tape_op(t, "LogSoftmax", tsr_tape_in(t, 0));
    tsr_tape_out(t, 1, log_p);
    tsr_tape_pass(t, "reduction");
    tsr_tape_pass(t, "ignore_index");
    tsr_tape_out(t, 0, tsr_tape_op(t, "NegativeLogLikelihoodLoss", log_p, tsr_tape_in(t, 1), tsr_tape_in(t, 2)));
    return tsr_tape_status(t);
}
static enum tsr_status cross_entropy_forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, cross_entropy_body); }

const struct tsr_op tsr_ops_loss[] = {
    {"NegativeLogLikelihoodLoss", "", TSR_OP_WIDEN, 2, 3, 1, infer, forward, backward, 0},
    {"SoftmaxCrossEntropyLoss", "", TSR_OP_WIDEN | TSR_OP_DYNAMIC, 2, 3, 2, NULL, cross_entropy_forward, tsr_tape_backward, 0},
};
const size_t tsr_n_ops_loss = sizeof tsr_ops_loss / sizeof *tsr_ops_loss;
