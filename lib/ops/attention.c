/* attention.c - ai.onnx.Attention, versions 23 and 24: inputs of 3 or 4 dimensions, grouped
 * heads, boolean or additive masks, causal order, cached keys and values, padded keys, softcap and
 * the intermediate output. A row that no key is visible to gives zeros. The softmax is computed in
 * the inputs' type, at least float32, whatever softmax_precision says.
 *
 * Of the two readings of where softcap stands we take that of version 24: before the masks.
 */
#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "ops/arg.h"
#include "ops/families.h"

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_K, IN_PAST_V, IN_LEN };
enum { OUT_Y, OUT_K, OUT_V, OUT_TRACE };

struct described {
    struct tsr_sdpa a;
    bool flat;             /* inputs have 3 dimensions: [B, T, H * D] */
    bool cached;           /* past keys and values are there */
    int64_t past, fresh;   /* keys of the past and of this call */
    struct tsr_shape y, present_k, present_v, trace;
};

void tsr_attention_sum_mask(const struct tsr_sdpa *a, enum tsr_dtype dtype, struct tsr_tensor *gmask)
{
    int64_t i = 0;
    memset(gmask->data, 0, tsr_tensor_bytes(gmask));
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t h = 0; h < a->H; h++)
            for (int64_t t = 0; t < a->T; t++, i += a->S) {
                const int64_t to = b * a->mask_sb + h * a->mask_sh + t * a->mask_st, n = a->mask_len < a->S ? a->mask_len : a->S;
                if (dtype == TSR_F32)
                    for (int64_t j = 0; j < n; j++)
                        ((float *)gmask->data)[to + j * a->mask_ss] += ((const float *)a->dscore)[i + j];
                else
                    for (int64_t j = 0; j < n; j++)
                        ((double *)gmask->data)[to + j * a->mask_ss] += ((const double *)a->dscore)[i + j];
            }
}

/* The view of a tensor as [B, heads, T, D]; dim gets those four. */
static enum tsr_status view(struct tsr_op_ctx *ctx, int i, int64_t heads, struct tsr_sdpa_view *v, int64_t dim[4])
{
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_REAL));
    const struct tsr_tensor *t = ctx->in[i];
    const int64_t *d = t->shape.dim;
    if (t->dtype != ctx->in[IN_Q]->dtype) return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the inputs differ in type");
    if (t->shape.rank == 4) {
        memcpy(dim, d, 4 * sizeof *dim);
        *v = (struct tsr_sdpa_view){t->data, d[1] * d[2] * d[3], d[2] * d[3], d[3], 1};
        return TSR_OK;
    }
    if (t->shape.rank != 3)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %d has %d dimensions instead of 3 or 4", i, t->shape.rank);
    if (heads < 1 || d[2] % heads != 0)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the last dimension of input %d is no multiple of the number of heads (%lld)", i,
                           (long long)heads);
    dim[0] = d[0], dim[1] = heads, dim[2] = d[1], dim[3] = d[2] / heads;
    *v = (struct tsr_sdpa_view){t->data, d[1] * d[2], dim[3], d[2], 1};
    return TSR_OK;
}

static struct tsr_sdpa_view view4(void *data, const struct tsr_shape *s)
{
    return (struct tsr_sdpa_view){data, s->dim[1] * s->dim[2] * s->dim[3], s->dim[2] * s->dim[3], s->dim[3], 1};
}

static enum tsr_status read_mask(struct tsr_op_ctx *ctx, struct tsr_sdpa *a)
{
    const struct tsr_tensor *m = tsr_arg_in(ctx, IN_MASK);
    a->mask_len = a->S;
    if (!m) return TSR_OK;
    int64_t stride[TSR_MAX_RANK], full[4] = {a->B, a->H, a->T, a->S}, *to[4] = {&a->mask_sb, &a->mask_sh, &a->mask_st, &a->mask_ss};
    int rank = m->shape.rank;
    bool fits = rank >= 1 && rank <= 4 && m->shape.dim[rank - 1] <= a->S;
    for (int i = 0; fits && i < rank - 1; i++)
        fits = m->shape.dim[i] == 1 || m->shape.dim[i] == full[4 - rank + i];
    if (!fits) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the shape of attn_mask does not fit the scores");
    if (m->dtype == TSR_BOOL)
        a->keep = m->data;
    else if (m->dtype == ctx->in[IN_Q]->dtype)
        a->mask = m->data;
    else
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "attn_mask is of type %s", tsr_dtype_name(m->dtype));
    tsr_arg_strides(&m->shape, stride);
    for (int i = 0; i < rank - 1; i++) *to[4 - rank + i] = m->shape.dim[i] == 1 ? 0 : stride[i];
    a->mask_ss = 1;
    a->mask_len = m->shape.dim[rank - 1];
    return TSR_OK;
}

static enum tsr_status read_past(struct tsr_op_ctx *ctx, struct described *d, int64_t heads)
{
    const struct tsr_tensor *k = tsr_arg_in(ctx, IN_PAST_K), *v = tsr_arg_in(ctx, IN_PAST_V);
    d->cached = k || v;
    if (!d->cached) return TSR_OK;
    if (!k || !v) return tsr_op_fail(ctx, TSR_E_CORRUPT, "past_key and past_value must be given together");
    const struct tsr_shape wk = {4, {d->a.B, heads, k->shape.dim[2], d->a.D}}, wv = {4, {d->a.B, heads, k->shape.dim[2], d->a.Dv}};
    if (!tsr_shape_equal(&k->shape, &wk) || !tsr_shape_equal(&v->shape, &wv) || k->dtype != ctx->in[0]->dtype ||
        v->dtype != ctx->in[0]->dtype)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "past_key and past_value do not fit K and V");
    d->past = k->shape.dim[2];
    return TSR_OK;
}

static enum tsr_status read_lengths(struct tsr_op_ctx *ctx, struct tsr_sdpa *a)
{
    const struct tsr_tensor *len = tsr_arg_in(ctx, IN_LEN);
    if (!len) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, IN_LEN, TSR_MASK(TSR_I64)));
    if (tsr_tensor_count(len) != a->B) return tsr_op_fail(ctx, TSR_E_MISMATCH, "nonpad_kv_seqlen does not have one length a sample");
    a->kv_len = len->data;
    return TSR_OK;
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct described *d)
{
    struct tsr_sdpa *a = &d->a;
    int64_t q[4], k[4], v[4], qh = tsr_node_int(ctx->node, "q_num_heads", 0), kvh = tsr_node_int(ctx->node, "kv_num_heads", 0);
    memset(d, 0, sizeof *d);
    a->ctx = ctx;
    TSR_TRY(view(ctx, IN_Q, qh, &a->q, q));
    TSR_TRY(view(ctx, IN_K, kvh, &a->k, k));
    TSR_TRY(view(ctx, IN_V, kvh, &a->v, v));
    d->flat = ctx->in[IN_Q]->shape.rank == 3;
    if (k[0] != q[0] || v[0] != q[0] || k[1] != v[1] || k[2] != v[2] || k[3] != q[3] || k[1] < 1 || q[1] % k[1] != 0 ||
        (ctx->in[IN_K]->shape.rank == 3) != d->flat || (ctx->in[IN_V]->shape.rank == 3) != d->flat)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the shapes of Q, K and V do not fit together");
    a->B = q[0], a->H = q[1], a->T = q[2], a->D = q[3], a->G = k[1], a->Dv = v[3];
    d->fresh = k[2];
    TSR_TRY(read_past(ctx, d, k[1]));
    a->S = d->past + d->fresh;
    a->scale = (double)tsr_node_float(ctx->node, "scale", 0);
    if (!tsr_node_attr(ctx->node, "scale")) a->scale = 1 / sqrt((double)(a->D > 0 ? a->D : 1));
    a->softcap = (double)tsr_node_float(ctx->node, "softcap", 0);
    a->causal = tsr_node_int(ctx->node, "is_causal", 0) != 0;
    a->offset = d->past;
    a->offset_from_len = !d->cached;
    a->empty_is_zero = true;
    a->trace_mode = (int)tsr_node_int(ctx->node, "qk_matmul_output_mode", 0);
    if (a->trace_mode < 0 || a->trace_mode > 3) return tsr_op_fail(ctx, TSR_E_CORRUPT, "qk_matmul_output_mode is outside 0 to 3");
    TSR_TRY(read_mask(ctx, a));
    TSR_TRY(read_lengths(ctx, a));
    d->y = (struct tsr_shape){4, {a->B, a->H, a->T, a->Dv}};
    if (d->flat) d->y = (struct tsr_shape){3, {a->B, a->T, a->H * a->Dv}};
    d->present_k = (struct tsr_shape){4, {a->B, a->G, a->S, a->D}};
    d->present_v = (struct tsr_shape){4, {a->B, a->G, a->S, a->Dv}};
    d->trace = (struct tsr_shape){4, {a->B, a->H, a->T, a->S}};
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct described d;
    TSR_TRY(describe(ctx, &d));
    const struct tsr_shape *shape[4] = {&d.y, &d.present_k, &d.present_v, &d.trace};
    for (int i = 0; i < ctx->node->n_out && i < 4; i++) tsr_op_set(ctx, i, ctx->in[IN_Q]->dtype, shape[i]);
    return TSR_OK;
}

static bool wanted(const struct tsr_op_ctx *ctx, int i) { return i < ctx->node->n_out && ctx->want_out[i]; }

static struct tsr_sdpa_view view_y(const struct described *d, void *data)
{
    const struct tsr_sdpa *a = &d->a;
    if (!d->flat) return view4(data, &d->y);
    return (struct tsr_sdpa_view){data, a->T * a->H * a->Dv, a->Dv, a->H * a->Dv, 1};
}

/* Copies (or adds) rows of `from` to `to`, both [B, G, n, width] views; tf, tt: first rows. */
static void move_rows(const struct tsr_sdpa *a, enum tsr_dtype type, const struct tsr_sdpa_view *from, int64_t tf,
                      const struct tsr_sdpa_view *to, int64_t tt, int64_t n, int64_t width)
{
    const size_t size = tsr_dtype_bytes(type, 1);
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t g = 0; g < a->G; g++)
            for (int64_t t = 0; t < n; t++)
                memcpy((char *)to->data + (size_t)(b * to->sb + g * to->sh + (tt + t) * to->st) * size,
                       (const char *)from->data + (size_t)(b * from->sb + g * from->sh + (tf + t) * from->st) * size,
                       (size_t)width * size);
}

/* All keys (or values), past and fresh, in one block: the output where wanted, else `own`. */
static enum tsr_status join(struct tsr_op_ctx *ctx, const struct described *d, int past, struct tsr_tensor *out, bool want,
                            const struct tsr_shape *shape, struct tsr_sdpa_view *v, struct tsr_tensor *own)
{
    const enum tsr_dtype type = ctx->in[IN_Q]->dtype;
    if (!d->cached && !want) return TSR_OK; /* used where they lie */
    if (!want) {
        TSR_TRY(tsr_tensor_new(own, type, shape, ctx->alloc, ctx->err));
        out = own;
    }
    struct tsr_sdpa_view all = view4(out->data, shape), old = {0};
    if (d->cached) {
        old = view4(ctx->in[past]->data, &ctx->in[past]->shape);
        move_rows(&d->a, type, &old, 0, &all, 0, d->past, shape->dim[3]);
    }
    move_rows(&d->a, type, v, 0, &all, d->past, d->fresh, shape->dim[3]);
    *v = all;
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct described d;
    struct tsr_tensor own[2] = {{0}};
    enum tsr_status status;
    TSR_TRY(describe(ctx, &d));
    struct tsr_sdpa *a = &d.a;
    TSR_GO(status, end, join(ctx, &d, IN_PAST_K, &ctx->out[OUT_K], wanted(ctx, OUT_K), &d.present_k, &a->k, &own[0]));
    TSR_GO(status, end, join(ctx, &d, IN_PAST_V, &ctx->out[OUT_V], wanted(ctx, OUT_V), &d.present_v, &a->v, &own[1]));
    int64_t n = tsr_shape_count(&d.trace);
    if (ctx->training && n >= 0 && n <= TSR_ATTENTION_KEEP) {
        TSR_GO(status, end, tsr_op_save(ctx, 0, ctx->in[IN_Q]->dtype, &d.trace));
        a->probs = ctx->saved[0].data;
    }
    if (!wanted(ctx, OUT_Y)) { /* only the others are asked for: compute it all the same */
        status = tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the output Y is absent");
        goto end;
    }
    a->y = view_y(&d, ctx->out[OUT_Y].data);
    a->trace = wanted(ctx, OUT_TRACE) ? ctx->out[OUT_TRACE].data : NULL;
    status = ctx->in[IN_Q]->dtype == TSR_F32 ? tsr_sdpa_forward_f32(a) : tsr_sdpa_forward_f64(a);
end:
    tsr_tensor_release(&own[0]);
    tsr_tensor_release(&own[1]);
    return status;
}

static const struct tsr_tensor *gradient_of(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_out ? ctx->gout[i] : NULL;
}

static bool wants(const struct tsr_op_ctx *ctx, int i) { return i < ctx->node->n_in && ctx->in[i] && ctx->want_gin[i]; }

static void add(struct tsr_tensor *to, const struct tsr_tensor *more)
{
    for (int64_t i = 0; i < tsr_tensor_count(to); i++)
        tsr_store_f64(to->dtype, to->data, i, tsr_load_f64(to->dtype, to->data, i) + tsr_load_f64(more->dtype, more->data, i));
}

/* From the gradient of all keys (or values) to those of the fresh and the past ones. */
static void part(struct tsr_op_ctx *ctx, const struct described *d, struct tsr_tensor *all, int present, int fresh, int past,
                 const struct tsr_sdpa_view *like)
{
    const enum tsr_dtype type = ctx->in[IN_Q]->dtype;
    if (!all->storage) return;
    if (gradient_of(ctx, present)) add(all, gradient_of(ctx, present));
    struct tsr_sdpa_view from = view4(all->data, &all->shape), to = *like;
    to.data = ctx->gin[fresh].data;
    if (wants(ctx, fresh)) move_rows(&d->a, type, &from, d->past, &to, 0, d->fresh, all->shape.dim[3]);
    if (!wants(ctx, past)) return;
    to = view4(ctx->gin[past].data, &ctx->gin[past].shape);
    move_rows(&d->a, type, &from, 0, &to, 0, d->past, all->shape.dim[3]);
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct described d;
    struct tsr_tensor own[2] = {{0}}, dk = {0}, dv = {0}, dy = {0}, dscore = {0};
    enum tsr_status status;
    const enum tsr_dtype type = ctx->in[IN_Q]->dtype;
    TSR_TRY(describe(ctx, &d));
    struct tsr_sdpa *a = &d.a;
    const struct tsr_sdpa_view like_k = a->k, like_v = a->v;
    if (gradient_of(ctx, OUT_TRACE))
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "there is no gradient through qk_matmul_output");
    const struct tsr_tensor *gy = gradient_of(ctx, OUT_Y);
    TSR_GO(status, end, join(ctx, &d, IN_PAST_K, NULL, false, &d.present_k, &a->k, &own[0]));
    TSR_GO(status, end, join(ctx, &d, IN_PAST_V, NULL, false, &d.present_v, &a->v, &own[1]));
    if (!gy) { /* only the cache has a gradient */
        TSR_GO(status, end, tsr_tensor_new(&dy, type, &d.y, ctx->alloc, ctx->err));
        memset(dy.data, 0, tsr_tensor_bytes(&dy));
        gy = &dy;
    }
    a->probs = ctx->saved[0].data;
    a->dy = view_y(&d, gy->data);
    a->dq = a->q;
    a->dq.data = wants(ctx, IN_Q) ? ctx->gin[IN_Q].data : NULL;
    if (wants(ctx, IN_K) || wants(ctx, IN_PAST_K)) {
        TSR_GO(status, end, tsr_tensor_new(&dk, type, &d.present_k, ctx->alloc, ctx->err));
        a->dk = view4(dk.data, &d.present_k);
    }
    if (wants(ctx, IN_V) || wants(ctx, IN_PAST_V)) {
        TSR_GO(status, end, tsr_tensor_new(&dv, type, &d.present_v, ctx->alloc, ctx->err));
        a->dv = view4(dv.data, &d.present_v);
    }
    if (a->mask && wants(ctx, IN_MASK)) {
        TSR_GO(status, end, tsr_tensor_new(&dscore, type, &d.trace, ctx->alloc, ctx->err));
        a->dscore = dscore.data;
    }
    TSR_GO(status, end, type == TSR_F32 ? tsr_sdpa_backward_f32(a) : tsr_sdpa_backward_f64(a));
    part(ctx, &d, &dk, OUT_K, IN_K, IN_PAST_K, &like_k);
    part(ctx, &d, &dv, OUT_V, IN_V, IN_PAST_V, &like_v);
    if (a->dscore) tsr_attention_sum_mask(a, type, &ctx->gin[IN_MASK]);
end:
    tsr_tensor_release(&own[0]);
    tsr_tensor_release(&own[1]);
    tsr_tensor_release(&dk);
    tsr_tensor_release(&dv);
    tsr_tensor_release(&dy);
    tsr_tensor_release(&dscore);
    return status;
}

const struct tsr_op tsr_ops_attention[] = {
    {"Attention", "", TSR_OP_WIDEN, 3, 7, 4, infer, forward, backward, 0},
};
const size_t tsr_n_ops_attention = sizeof tsr_ops_attention / sizeof *tsr_ops_attention;
