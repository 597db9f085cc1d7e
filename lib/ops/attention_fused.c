/* attention_fused.c - tessera.Attention, which graph/fuse.c puts in place of the chain
 * transposes, MatMul, scale, mask, Softmax, MatMul, transpose.
 *
 * Inputs Q, K, V and an optional additive mask that broadcasts to [B,H,T,S]. The transposes are
 * strides: axes_q, axes_k and axes_v say which axis of the input is B, H, T (S) and D; axes_y says
 * which of B, H, T, D each axis of the output is. With the attribute `packed` = axis, input 0 holds
 * Q, K and V as slices along that axis (attribute `parts`: which is which), axes_q names the
 * others and inputs 1 and 2 are absent. `scale` is 1/sqrt(D) where absent; `causal` hides later keys.
 */
#include <math.h>
#include <string.h>

#include "ops/arg.h"
#include "ops/attention.h"
#include "ops/families.h"
#include "ops/sdpa.h"

static enum tsr_status read_axes(struct tsr_op_ctx *ctx, const char *name, int rank, int skip, int axis[4])
{
    size_t n;
    unsigned seen = skip >= 0 ? 1u << skip : 0;
    const int64_t *v = tsr_node_ints(ctx->node, name, &n);
    if (v && n != 4) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute '%s' does not have 4 values", name);
    for (int i = 0; i < 4; i++) {
        int64_t a = v ? v[i] : i + (skip >= 0 && i >= skip);
        if (a < 0 || a >= rank || (seen >> a & 1))
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute '%s' does not name each axis once", name);
        seen |= 1u << a;
        axis[i] = (int)a;
    }
    return TSR_OK;
}

/* The view of one of the inputs; dim becomes B, H, T, D. */
static enum tsr_status view_input(struct tsr_op_ctx *ctx, int i, const char *axes, struct tsr_sdpa_view *v, int64_t dim[4])
{
    int64_t stride[TSR_MAX_RANK];
    int axis[4];
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_REAL));
    const struct tsr_tensor *t = ctx->in[i];
    if (t->dtype != ctx->in[0]->dtype) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the inputs differ in type");
    if (t->shape.rank != 4) return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %d has %d dimensions instead of 4", i, t->shape.rank);
    TSR_TRY(read_axes(ctx, axes, 4, -1, axis));
    tsr_arg_strides(&t->shape, stride);
    for (int k = 0; k < 4; k++) dim[k] = t->shape.dim[axis[k]];
    *v = (struct tsr_sdpa_view){t->data, stride[axis[0]], stride[axis[1]], stride[axis[2]], stride[axis[3]]};
    if (dim[3] == 1) v->sd = 1; /* any stride will do: take the simple one */
    return TSR_OK;
}

static void *shifted(const struct tsr_tensor *t, int64_t elements)
{
    return t && t->data ? (char *)t->data + tsr_dtype_bytes(t->dtype, elements) : NULL;
}

/* Slices of input 0. `slice` gets the element offsets of Q, K and V. */
static enum tsr_status view_packed(struct tsr_op_ctx *ctx, struct tsr_sdpa *a, int64_t dim[4], int64_t slice[3])
{
    int64_t stride[TSR_MAX_RANK];
    int axis[4], across;
    size_t n;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    const struct tsr_tensor *t = ctx->in[0];
    if (t->shape.rank != 5) return tsr_op_fail(ctx, TSR_E_MISMATCH, "input 0 has %d dimensions instead of 5", t->shape.rank);
    int64_t named = tsr_node_int(ctx->node, "packed", 0);
    if (named < 0 || named > 4) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'packed' names no axis");
    across = (int)named;
    TSR_TRY(read_axes(ctx, "axes_q", 5, across, axis));
    const int64_t slices = t->shape.dim[across];
    tsr_arg_strides(&t->shape, stride);
    for (int k = 0; k < 4; k++) dim[k] = t->shape.dim[axis[k]];
    struct tsr_sdpa_view v = {NULL, stride[axis[0]], stride[axis[1]], stride[axis[2]], stride[axis[3]]};
    const int64_t *part = tsr_node_ints(ctx->node, "parts", &n);
    struct tsr_sdpa_view *to[3] = {&a->q, &a->k, &a->v};
    unsigned seen = 0;
    if (dim[3] == 1) v.sd = 1;
    for (int i = 0; i < 3; i++) {
        int64_t p = part && n == 3 ? part[i] : i;
        if (p < 0 || p >= slices || p > 31 || (seen >> p & 1))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "the attribute 'parts' does not name three of the %lld slices", (long long)slices);
        seen |= 1u << p;
        slice[i] = p * stride[across];
        *to[i] = v;
        to[i]->data = shifted(t, slice[i]);
    }
    return TSR_OK;
}

static enum tsr_status view_mask(struct tsr_op_ctx *ctx, struct tsr_sdpa *a)
{
    const struct tsr_tensor *m = tsr_arg_in(ctx, 3);
    const struct tsr_shape full = {4, {a->B, a->H, a->T, a->S}};
    struct tsr_shape both;
    a->mask_len = a->S;
    if (!m) return TSR_OK;
    if (m->dtype != ctx->in[0]->dtype || !tsr_shape_broadcast(&m->shape, &full, &both) || !tsr_shape_equal(&both, &full))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the mask does not fit the scores in type or shape");
    int64_t stride[TSR_MAX_RANK], *to[4] = {&a->mask_sb, &a->mask_sh, &a->mask_st, &a->mask_ss};
    tsr_arg_strides(&m->shape, stride);
    a->mask = m->data;
    for (int i = 0; i < m->shape.rank; i++)
        *to[4 - m->shape.rank + i] = m->shape.dim[i] == 1 ? 0 : stride[i];
    return TSR_OK;
}

struct described {
    struct tsr_sdpa a;
    bool packed, partly; /* partly: there are slices that nobody uses */
    int64_t slice[3];
    struct tsr_shape y;
    int64_t y_stride[4]; /* of B, H, T, D */
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct described *d)
{
    struct tsr_sdpa *a = &d->a;
    int64_t q[4], k[4], v[4], stride[TSR_MAX_RANK];
    int axis[4];
    memset(d, 0, sizeof *d);
    a->ctx = ctx;
    d->packed = tsr_node_attr(ctx->node, "packed") != NULL;
    if (d->packed) {
        TSR_TRY(view_packed(ctx, a, q, d->slice));
        d->partly = ctx->in[0]->shape.dim[tsr_node_int(ctx->node, "packed", 0)] > 3;
        memcpy(k, q, sizeof k);
        memcpy(v, q, sizeof v);
    } else {
        TSR_TRY(view_input(ctx, 0, "axes_q", &a->q, q));
        TSR_TRY(view_input(ctx, 1, "axes_k", &a->k, k));
        TSR_TRY(view_input(ctx, 2, "axes_v", &a->v, v));
    }
    if (k[0] != q[0] || v[0] != q[0] || k[1] != q[1] || v[1] != q[1] || k[3] != q[3] || v[2] != k[2])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the shapes of Q, K and V do not fit together");
    if (a->q.sd != 1 || a->v.sd != 1 || (a->k.sd != 1 && a->k.st != 1))
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the innermost axis of Q or V is not the head's");
    a->B = q[0], a->H = a->G = q[1], a->T = q[2], a->S = k[2], a->D = q[3], a->Dv = v[3];
    a->scale = (double)tsr_node_float(ctx->node, "scale", (float)(1 / sqrt((double)(a->D > 0 ? a->D : 1))));
    a->causal = tsr_node_int(ctx->node, "causal", 0) != 0;
    TSR_TRY(view_mask(ctx, a));
    const int64_t full[4] = {a->B, a->H, a->T, a->Dv};
    TSR_TRY(read_axes(ctx, "axes_y", 4, -1, axis));
    d->y.rank = 4;
    for (int i = 0; i < 4; i++) d->y.dim[i] = full[axis[i]];
    if (axis[3] != 3) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the innermost axis of the output is not the head's");
    tsr_arg_strides(&d->y, stride);
    for (int i = 0; i < 4; i++) d->y_stride[axis[i]] = stride[i];
    return TSR_OK;
}

static struct tsr_sdpa_view view_output(const struct described *d, void *data)
{
    return (struct tsr_sdpa_view){data, d->y_stride[0], d->y_stride[1], d->y_stride[2], 1};
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct described d;
    TSR_TRY(describe(ctx, &d));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &d.y);
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct described d;
    TSR_TRY(describe(ctx, &d));
    const struct tsr_shape p = {4, {d.a.B, d.a.H, d.a.T, d.a.S}};
    int64_t n = tsr_shape_count(&p);
    d.a.y = view_output(&d, ctx->out[0].data);
    if (ctx->training && n >= 0 && n <= TSR_ATTENTION_KEEP) {
        TSR_TRY(tsr_op_save(ctx, 0, ctx->in[0]->dtype, &p));
        d.a.probs = ctx->saved[0].data;
    }
    return ctx->in[0]->dtype == TSR_F32 ? tsr_sdpa_forward_f32(&d.a) : tsr_sdpa_forward_f64(&d.a);
}

static void aim(struct tsr_op_ctx *ctx, const struct described *d, int i, const struct tsr_sdpa_view *like,
                struct tsr_sdpa_view *to)
{
    int from = d->packed ? 0 : i;
    *to = *like;
    to->data = ctx->want_gin[from] ? shifted(&ctx->gin[from], d->slice[i]) : NULL;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct described d;
    struct tsr_tensor dscore = {0};
    bool want_mask = ctx->node->n_in > 3 && ctx->in[3] && ctx->want_gin[3];
    TSR_TRY(describe(ctx, &d));
    struct tsr_sdpa *a = &d.a;
    if (!ctx->gout[0]) {
        for (int i = 0; i < ctx->node->n_in; i++)
            if (ctx->want_gin[i]) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
        return TSR_OK;
    }
    a->probs = ctx->saved[0].data;
    a->dy = view_output(&d, ctx->gout[0]->data);
    if (d.partly && ctx->want_gin[0]) memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
    aim(ctx, &d, 0, &a->q, &a->dq);
    aim(ctx, &d, 1, &a->k, &a->dk);
    aim(ctx, &d, 2, &a->v, &a->dv);
    if (want_mask) {
        const struct tsr_shape p = {4, {a->B, a->H, a->T, a->S}};
        TSR_TRY(tsr_tensor_new(&dscore, ctx->in[0]->dtype, &p, ctx->alloc, ctx->err));
        a->dscore = dscore.data;
    }
    enum tsr_status status = ctx->in[0]->dtype == TSR_F32 ? tsr_sdpa_backward_f32(a) : tsr_sdpa_backward_f64(a);
    if (status == TSR_OK && want_mask) tsr_attention_sum_mask(a, ctx->in[0]->dtype, &ctx->gin[3]);
    tsr_tensor_release(&dscore);
    return status;
}

const struct tsr_op tsr_ops_attention_fused[] = {
    {"Attention", "tessera", TSR_OP_WIDEN, 1, 4, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_attention_fused = sizeof tsr_ops_attention_fused / sizeof *tsr_ops_attention_fused;
