/* ms_attention.c - attention of the domain com.microsoft, on top of the standard operator: with the
 * projection of Q, K and V inside (Attention), after it (MultiHeadAttention), with fewer heads for K
 * and V and a cache (GroupQueryAttention); rotary embeddings and T5's relative positions.
 *
 * B samples, S positions of the query, T of the keys (those of the past included), N heads of D. */
#include "ops/families.h"
#include "ops/tape.h"

#include <math.h>
#include <string.h>

static const struct tsr_node *node_of(struct tsr_tape *t) { return tsr_tape_ctx(t)->node; }

static tsr_ref add(struct tsr_tape *t, tsr_ref a, tsr_ref b)
{
    if (a < 0 || b < 0) return a < 0 ? b : a;
    return tsr_tape_op(t, "Add", a, b);
}

/* [B,S,N*D] to [B,N,S,D] and back. */
static tsr_ref split_heads(struct tsr_tape *t, tsr_ref x, int64_t heads)
{
    static const int64_t perm[4] = {0, 2, 1, 3};
    const struct tsr_shape s = *tsr_tape_shape(t, x);
    if (s.rank == 4) return x;
    if (s.rank != 3 || heads < 1 || s.dim[2] % heads != 0) {
        (void)tsr_tape_fail(t, TSR_E_MISMATCH, "%lld heads do not fit the input", (long long)heads);
        return -1;
    }
    x = tsr_tape_reshape(t, x, 4, (const int64_t[]){s.dim[0], s.dim[1], heads, s.dim[2] / heads});
    return tsr_tape_transpose(t, x, 4, perm);
}

static tsr_ref merge_heads(struct tsr_tape *t, tsr_ref x)
{
    static const int64_t perm[4] = {0, 2, 1, 3};
    x = tsr_tape_transpose(t, x, 4, perm);
    const struct tsr_shape s = *tsr_tape_shape(t, x);
    return tsr_tape_reshape(t, x, 3, (const int64_t[]){s.dim[0], s.dim[1], s.dim[2] * s.dim[3]});
}

/* ---- masks ---- */

/* What hides keys: T values a row, [B,1,1,T] or [B,1,S,T], 0 or `filter`. */
struct mask {
    int64_t B, S, T, past;
    double filter;
    enum tsr_dtype dtype;
};

/* Whether key j of sample b is there for query i, by the mask m; *known false: no such form. */
static bool visible(const struct mask *k, const struct tsr_tensor *m, int64_t b, int64_t i, int64_t j)
{
    const int64_t *d = m->shape.dim;
    switch (m->shape.rank) {
    case 1: /* the ends of the samples; behind them their beginnings */
        return j < tsr_load_i64(m->dtype, m->data, b) && (d[0] == k->B || j >= tsr_load_i64(m->dtype, m->data, k->B + b));
    case 2: return tsr_load_i64(m->dtype, m->data, b * k->T + j) > 0;
    case 3: return tsr_load_i64(m->dtype, m->data, (b * k->S + i) * k->T + j) > 0;
    default: return tsr_load_i64(m->dtype, m->data, (b * d[2] + k->past + i) * d[3] + j) > 0; /* [B,1,most,most] */
    }
}

static bool mask_fits(const struct mask *k, const struct tsr_shape *s)
{
    const int64_t *d = s->dim;
    switch (s->rank) {
    case 1: return d[0] == k->B || d[0] == 2 * k->B;
    case 2: return d[0] == k->B && d[1] == k->T;
    case 3: return d[0] == k->B && d[1] == k->S && d[2] == k->T;
    case 4: return d[0] == k->B && d[1] == 1 && d[2] >= k->past + k->S && d[3] >= k->T;
    default: return false;
    }
}

static tsr_ref make_mask(struct tsr_tape *t, tsr_ref from, const struct mask *k)
{
    if (from < 0) return -1;
    struct tsr_tensor m = *tsr_tape_value(t, from);
    char text[TSR_SHAPE_TEXT];
    if (!mask_fits(k, &m.shape) || !(tsr_dtype_is_int(m.dtype) || m.dtype == TSR_BOOL)) {
        (void)tsr_tape_fail(t, TSR_E_UNSUPPORTED, "a mask of shape %s is not supported", tsr_shape_text(&m.shape, text, sizeof text));
        return -1;
    }
    const struct tsr_shape s = {4, {k->B, 1, m.shape.rank < 3 ? 1 : k->S, k->T}};
    void *data;
    tsr_ref mask = tsr_tape_new(t, k->dtype, &s, &data);
    if (mask < 0) return -1;
    int64_t at = 0;
    for (int64_t b = 0; b < k->B; b++)
        for (int64_t i = 0; i < s.dim[2]; i++)
            for (int64_t j = 0; j < k->T; j++) tsr_store_f64(k->dtype, data, at++, visible(k, &m, b, i, j) ? 0 : k->filter);
    return mask;
}

/* ---- the core ---- */

struct core {
    tsr_ref q, k, v, mask, past_k, past_v;
    int64_t heads, kv_heads;
    bool causal, present; /* present: outputs 1 and 2 are wanted, the keys and values with the past */
    float softcap;
};

static tsr_ref attend(struct tsr_tape *t, const struct core *c)
{
    const float scale = tsr_node_float(node_of(t), "scale", 0);
    const tsr_ref in[6] = {c->q, c->k, c->v, c->mask, c->past_k, c->past_v};
    tsr_tape_int(t, "q_num_heads", c->heads);
    tsr_tape_int(t, "kv_num_heads", c->kv_heads);
    if (c->causal) tsr_tape_int(t, "is_causal", 1);
    if (scale != 0) tsr_tape_float(t, "scale", scale);
    if (c->softcap != 0) tsr_tape_float(t, "softcap", c->softcap);
    return tsr_tape_run(t, "Attention", c->present ? 3 : 1, 6, in);
}

/* ---- Attention ---- */

enum { A_INPUT, A_WEIGHTS, A_BIAS, A_MASK, A_PAST, A_ADD, A_PAST_LENGTH };

/* The widths of Q, K and V: as said, or thirds. */
static enum tsr_status qkv_sizes(struct tsr_tape *t, int64_t all, int64_t size[3])
{
    size_t n;
    const int64_t *said = tsr_node_ints(node_of(t), "qkv_hidden_sizes", &n);
    for (int i = 0; i < 3; i++) size[i] = said && n == 3 ? said[i] : all / 3;
    for (int i = 0; i < 3; i++)
        if (size[i] < 1 || size[i] > all)
            return tsr_tape_fail(t, TSR_E_MISMATCH, "the weights have %lld columns, which do not give Q, K and V", (long long)all);
    if (size[0] + size[1] + size[2] != all)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "the weights have %lld columns, which do not give Q, K and V", (long long)all);
    return TSR_OK;
}

/* Half i of [2,B,N,P,D] as [B,N,P,D]. */
static tsr_ref half(struct tsr_tape *t, tsr_ref past, int64_t i)
{
    const struct tsr_shape s = *tsr_tape_shape(t, past);
    if (past < 0) return -1;
    if (s.rank != 5 || s.dim[0] != 2) {
        (void)tsr_tape_fail(t, TSR_E_MISMATCH, "past must be [2, batch, heads, sequence, head size]");
        return -1;
    }
    return tsr_tape_reshape(t, tsr_tape_slice(t, past, 0, i, i + 1), 4, s.dim + 1);
}

static tsr_ref join_halves(struct tsr_tape *t, tsr_ref k, tsr_ref v)
{
    static const int64_t zero = 0;
    tsr_ref axes = tsr_tape_ints(t, 1, &zero);
    tsr_ref a = tsr_tape_op(t, "Unsqueeze", k, axes), b = tsr_tape_op(t, "Unsqueeze", v, axes);
    tsr_tape_int(t, "axis", 0);
    return tsr_tape_op(t, "Concat", a, b);
}

static enum tsr_status attention_body(struct tsr_tape *t)
{
    const struct tsr_node *node = node_of(t);
    int64_t size[3], from = 0;
    tsr_ref part[3];
    if (tsr_node_int(node, "do_rotary", 0) != 0 || tsr_node_int(node, "past_present_share_buffer", 0) != 0 ||
        tsr_tape_in(t, A_PAST_LENGTH) >= 0)
        return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "rotary embeddings and shared buffers are not supported here");
    const struct tsr_shape x = *tsr_tape_shape(t, tsr_tape_in(t, A_INPUT));
    if (x.rank != 3) return tsr_tape_fail(t, TSR_E_MISMATCH, "the input must be [batch, sequence, width]");
    tsr_ref qkv = add(t, tsr_tape_op(t, "MatMul", tsr_tape_in(t, A_INPUT), tsr_tape_in(t, A_WEIGHTS)), tsr_tape_in(t, A_BIAS));
    TSR_TRY(tsr_tape_status(t));
    TSR_TRY(qkv_sizes(t, tsr_tape_shape(t, qkv)->dim[2], size));
    for (int i = 0; i < 3; from += size[i++]) part[i] = tsr_tape_slice(t, qkv, 2, from, from + size[i]);
    struct core c = {.q = part[0], .k = part[1], .v = part[2]};
    c.past_k = half(t, tsr_tape_in(t, A_PAST), 0);
    c.past_v = half(t, tsr_tape_in(t, A_PAST), 1);
    c.heads = c.kv_heads = tsr_node_int(node, "num_heads", 0);
    c.causal = tsr_node_int(node, "unidirectional", 0) != 0;
    c.present = tsr_tape_wants(t, 1);
    const int64_t past = c.past_k >= 0 ? tsr_tape_shape(t, c.past_k)->dim[2] : 0;
    const struct mask m = {x.dim[0], x.dim[1], past + x.dim[1], past, (double)tsr_node_float(node, "mask_filter_value", -10000),
                           tsr_tape_value(t, qkv)->dtype};
    c.mask = add(t, make_mask(t, tsr_tape_in(t, A_MASK), &m), tsr_tape_in(t, A_ADD));
    tsr_ref y = attend(t, &c);
    tsr_tape_out(t, 0, y);
    if (c.present) tsr_tape_out(t, 1, join_halves(t, tsr_tape_further(t, y, 1), tsr_tape_further(t, y, 2)));
    return tsr_tape_status(t);
}

/* ---- MultiHeadAttention ---- */

enum { M_QUERY, M_KEY, M_VALUE, M_BIAS, M_MASK, M_ADD, M_PAST_K, M_PAST_V };

/* Slice i of [B,S,N,n,D] as [B,S,N*D]. */
static tsr_ref unpack(struct tsr_tape *t, tsr_ref x, int64_t i)
{
    const struct tsr_shape s = *tsr_tape_shape(t, x);
    return tsr_tape_reshape(t, tsr_tape_slice(t, x, 3, i, i + 1), 3, (const int64_t[]){s.dim[0], s.dim[1], s.dim[2] * s.dim[4]});
}

/* Q, K and V of the node, three-dimensional or, for keys from elsewhere, [B,N,T,D]. */
static enum tsr_status read_qkv(struct tsr_tape *t, tsr_ref part[3])
{
    for (int i = 0; i < 3; i++) part[i] = tsr_tape_in(t, i);
    const struct tsr_shape q = *tsr_tape_shape(t, part[0]), k = *tsr_tape_shape(t, part[1]);
    if (q.rank == 5 && part[1] < 0 && q.dim[3] == 3) {
        tsr_ref all = part[0];
        for (int i = 0; i < 3; i++) part[i] = unpack(t, all, i);
    } else if (k.rank == 5 && part[2] < 0 && k.dim[3] == 2) {
        part[2] = unpack(t, part[1], 1);
        part[1] = unpack(t, part[1], 0);
    }
    if (part[1] < 0 || part[2] < 0) return tsr_tape_fail(t, TSR_E_CORRUPT, "keys or values are missing");
    return tsr_tape_status(t);
}

/* Adds the bias of Q, K and V, one after the other in one vector, to those that are three-dimensional. */
static void add_bias(struct tsr_tape *t, tsr_ref part[3])
{
    tsr_ref bias = tsr_tape_in(t, M_BIAS);
    int64_t from = 0;
    for (int i = 0; bias >= 0 && i < 3; i++) {
        const struct tsr_shape s = *tsr_tape_shape(t, part[i]);
        const int64_t width = s.rank == 4 ? s.dim[1] * s.dim[3] : s.dim[2];
        if (s.rank == 3) part[i] = tsr_tape_op(t, "Add", part[i], tsr_tape_slice(t, bias, 0, from, from + width));
        from += width;
    }
}

static enum tsr_status multi_head_body(struct tsr_tape *t)
{
    const struct tsr_node *node = node_of(t);
    const int64_t heads = tsr_node_int(node, "num_heads", 0);
    tsr_ref part[3];
    if (node->n_in > M_PAST_V + 1)
        for (int i = M_PAST_V + 1; i < node->n_in; i++)
            if (tsr_tape_in(t, i) >= 0) return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "shared buffers are not supported");
    TSR_TRY(read_qkv(t, part));
    add_bias(t, part);
    for (int i = 0; i < 3; i++) part[i] = split_heads(t, part[i], heads);
    TSR_TRY(tsr_tape_status(t));
    struct core c = {.q = part[0], .k = part[1], .v = part[2], .past_k = tsr_tape_in(t, M_PAST_K), .past_v = tsr_tape_in(t, M_PAST_V)};
    c.heads = c.kv_heads = heads;
    c.causal = tsr_node_int(node, "unidirectional", 0) != 0;
    c.present = tsr_tape_wants(t, 1) || tsr_tape_wants(t, 2);
    const struct tsr_shape q = *tsr_tape_shape(t, c.q), k = *tsr_tape_shape(t, c.k);
    const int64_t past = c.past_k >= 0 ? tsr_tape_shape(t, c.past_k)->dim[2] : 0;
    const struct mask m = {q.dim[0], q.dim[2], past + k.dim[2], past, (double)tsr_node_float(node, "mask_filter_value", -10000),
                           tsr_tape_value(t, c.q)->dtype};
    c.mask = add(t, make_mask(t, tsr_tape_in(t, M_MASK), &m), tsr_tape_in(t, M_ADD));
    tsr_ref y = attend(t, &c);
    tsr_tape_out(t, 0, merge_heads(t, y));
    for (int i = 1; i < 3 && c.present; i++) tsr_tape_out(t, i, tsr_tape_further(t, y, i));
    return tsr_tape_status(t);
}

/* ---- GroupQueryAttention ---- */

enum { G_QUERY, G_KEY, G_VALUE, G_PAST_K, G_PAST_V, G_LENGTHS, G_TOTAL, G_COS, G_SIN, G_POSITIONS, G_ADD };

struct group {
    int64_t B, S, T, heads, kv_heads;
    int64_t buffer;    /* positions of the cache that comes out */
    bool prompt;       /* the first call: what the cache holds does not count */
    const int32_t *last; /* per sample: its number of keys less one */
};

static int64_t past_of(const struct group *g, int64_t b) { return g->prompt ? 0 : g->last[b] + 1 - g->S; }

static enum tsr_status read_group(struct tsr_tape *t, struct group *g, tsr_ref part[3])
{
    const struct tsr_node *node = node_of(t);
    g->heads = tsr_node_int(node, "num_heads", 0);
    g->kv_heads = tsr_node_int(node, "kv_num_heads", 0);
    if (g->heads < 1 || g->kv_heads < 1) return tsr_tape_fail(t, TSR_E_CORRUPT, "num_heads and kv_num_heads must be given");
    for (int i = 0; i < 3; i++) part[i] = tsr_tape_in(t, i);
    const struct tsr_shape q = *tsr_tape_shape(t, part[0]);
    if (q.rank != 3) return tsr_tape_fail(t, TSR_E_MISMATCH, "the query must be [batch, sequence, width]");
    if (part[1] < 0) { /* Q, K and V side by side */
        const int64_t size = q.dim[2] / (g->heads + 2 * g->kv_heads), kv = g->kv_heads * size, from = g->heads * size;
        part[1] = tsr_tape_slice(t, part[0], 2, from, from + kv);
        part[2] = tsr_tape_slice(t, part[0], 2, from + kv, from + 2 * kv);
        part[0] = tsr_tape_slice(t, part[0], 2, 0, from);
    }
    part[0] = split_heads(t, part[0], g->heads);
    for (int i = 1; i < 3; i++) part[i] = split_heads(t, part[i], g->kv_heads);
    TSR_TRY(tsr_tape_status(t));
    g->B = q.dim[0];
    g->S = q.dim[1];
    const struct tsr_tensor *last = tsr_tape_value(t, tsr_tape_in(t, G_LENGTHS)), *total = tsr_tape_value(t, tsr_tape_in(t, G_TOTAL));
    if (last->dtype != TSR_I32 || tsr_tensor_count(last) != g->B || total->dtype != TSR_I32 || tsr_tensor_count(total) != 1)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "seqlens_k must be one int32 a sample, total_sequence_length one int32");
    g->last = last->data;
    g->T = ((const int32_t *)total->data)[0];
    g->prompt = g->T == g->S;
    tsr_ref past = tsr_tape_in(t, G_PAST_K);
    const int64_t had = past >= 0 && tsr_tape_shape(t, past)->rank == 4 ? tsr_tape_shape(t, past)->dim[2] : 0;
    g->buffer = had > g->T ? had : g->T;
    for (int64_t b = 0; b < g->B; b++)
        if (past_of(g, b) < 0 || past_of(g, b) > had || g->last[b] < 0 || g->last[b] >= g->T)
            return tsr_tape_fail(t, TSR_E_MISMATCH, "the length %d of sample %d does not fit the cache", g->last[b] + 1, (int)b);
    return TSR_OK;
}

/* Turns x [B,N,S,D] by its positions: those given, or those behind the past. */
static tsr_ref rotate(struct tsr_tape *t, const struct group *g, tsr_ref x)
{
    const struct tsr_shape s = {2, {g->B, g->S}};
    tsr_ref place = tsr_tape_in(t, G_POSITIONS);
    void *data;
    if (place < 0) {
        place = tsr_tape_new(t, TSR_I64, &s, &data);
        for (int64_t b = 0; place >= 0 && b < g->B; b++)
            for (int64_t i = 0; i < g->S; i++) ((int64_t *)data)[b * g->S + i] = past_of(g, b) + i;
    }
    tsr_tape_int(t, "interleaved", tsr_node_int(node_of(t), "rotary_interleaved", 0));
    tsr_tape_int(t, "rotary_embedding_dim", 2 * tsr_tape_shape(t, tsr_tape_in(t, G_COS))->dim[1]);
    return tsr_tape_op(t, "RotaryEmbedding", x, tsr_tape_in(t, G_COS), tsr_tape_in(t, G_SIN), place);
}

/* Sample b of the cache: its past, then what is new, then zeros up to the cache's size. */
static tsr_ref cache_sample(struct tsr_tape *t, const struct group *g, tsr_ref past, tsr_ref fresh, int64_t b)
{
    const int64_t had = past_of(g, b), pads[8] = {0, 0, 0, 0, 0, 0, g->buffer - had - g->S, 0};
    tsr_ref x = tsr_tape_slice(t, fresh, 0, b, b + 1);
    if (had > 0) {
        tsr_ref old = tsr_tape_slice(t, tsr_tape_slice(t, past, 0, b, b + 1), 2, 0, had);
        tsr_tape_int(t, "axis", 2);
        x = tsr_tape_op(t, "Concat", old, x);
    }
    if (pads[6] > 0) x = tsr_tape_op(t, "Pad", x, tsr_tape_ints(t, 8, pads));
    return x;
}

static tsr_ref cache(struct tsr_tape *t, const struct group *g, tsr_ref past, tsr_ref fresh)
{
    if (g->prompt && g->buffer == g->S) return fresh;
    tsr_ref all = cache_sample(t, g, past, fresh, 0);
    for (int64_t b = 1; b < g->B; b++) {
        tsr_ref next = cache_sample(t, g, past, fresh, b);
        tsr_tape_int(t, "axis", 0);
        all = tsr_tape_op(t, "Concat", all, next);
    }
    return all;
}

/* [B,1,S,T]: minus infinity for what comes later, for what is beyond the sample and, with a window,
 * for what lies further back. */
static tsr_ref group_mask(struct tsr_tape *t, const struct group *g, enum tsr_dtype dtype)
{
    const struct tsr_shape s = {4, {g->B, 1, g->S, g->T}};
    const int64_t window = tsr_node_int(node_of(t), "local_window_size", -1);
    void *data;
    tsr_ref mask = tsr_tape_new(t, dtype, &s, &data);
    int64_t at = 0;
    for (int64_t b = 0; mask >= 0 && b < g->B; b++)
        for (int64_t i = 0; i < g->S; i++) {
            const int64_t end = past_of(g, b) + i + 1, first = window >= 0 && end > window ? end - window : 0;
            for (int64_t j = 0; j < g->T; j++)
                tsr_store_f64(dtype, data, at++, j >= first && j < end && j <= g->last[b] ? 0 : -(double)INFINITY);
        }
    return mask;
}

static enum tsr_status group_body(struct tsr_tape *t)
{
    const struct tsr_node *node = node_of(t);
    struct group g = {0};
    tsr_ref part[3];
    if (tsr_node_int(node, "smooth_softmax", 0) > 0) return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "smooth_softmax is not supported");
    for (int i = G_ADD + 1; i < node->n_in; i++)
        if (tsr_tape_in(t, i) >= 0) return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "input %d is not supported", i);
    TSR_TRY(read_group(t, &g, part));
    if (tsr_node_int(node, "do_rotary", 0) != 0) {
        if (tsr_tape_shape(t, tsr_tape_in(t, G_COS))->rank != 2)
            return tsr_tape_fail(t, TSR_E_CORRUPT, "do_rotary needs cos_cache and sin_cache");
        for (int i = 0; i < 2; i++) part[i] = rotate(t, &g, part[i]);
    }
    TSR_TRY(tsr_tape_status(t));
    tsr_ref k = cache(t, &g, tsr_tape_in(t, G_PAST_K), part[1]), v = cache(t, &g, tsr_tape_in(t, G_PAST_V), part[2]);
    tsr_tape_out(t, 1, k);
    tsr_tape_out(t, 2, v);
    if (g.buffer > g.T) {
        k = tsr_tape_slice(t, k, 2, 0, g.T);
        v = tsr_tape_slice(t, v, 2, 0, g.T);
    }
    struct core c = {.q = part[0], .k = k, .v = v, .past_k = -1, .past_v = -1, .heads = g.heads, .kv_heads = g.kv_heads};
    c.softcap = tsr_node_float(node, "softcap", 0);
    c.mask = add(t, group_mask(t, &g, tsr_tape_value(t, part[0])->dtype), tsr_tape_in(t, G_ADD));
    tsr_tape_out(t, 0, merge_heads(t, attend(t, &c)));
    return tsr_tape_status(t);
}

/* ---- positions ---- */

enum { R_X, R_POSITIONS, R_COS, R_SIN };

/* position_ids: one for each place, or the first one of all samples. */
static enum tsr_status rotary_body(struct tsr_tape *t)
{
    const struct tsr_node *node = node_of(t);
    const struct tsr_shape x = *tsr_tape_shape(t, tsr_tape_in(t, R_X)), cos = *tsr_tape_shape(t, tsr_tape_in(t, R_COS));
    const struct tsr_tensor given = *tsr_tape_value(t, tsr_tape_in(t, R_POSITIONS));
    int64_t heads = tsr_node_int(node, "num_heads", 0);
    if (tsr_node_int(node, "is_packed_batching", 0) != 0 || tsr_node_float(node, "scale", 1) != 1)
        return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "packed batches and a scale are not supported");
    if ((x.rank != 3 && x.rank != 4) || cos.rank != 2 || given.dtype != TSR_I64)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "the shapes of the inputs do not fit together");
    const struct tsr_shape s = {2, {x.dim[0], x.rank == 3 ? x.dim[1] : x.dim[2]}};
    tsr_ref place = tsr_tape_in(t, R_POSITIONS);
    if (!tsr_shape_equal(&given.shape, &s)) {
        void *data;
        if (tsr_tensor_count(&given) != 1) return tsr_tape_fail(t, TSR_E_MISMATCH, "position_ids must be [1] or [batch, sequence]");
        place = tsr_tape_new(t, TSR_I64, &s, &data);
        TSR_TRY(tsr_tape_status(t));
        for (int64_t i = 0; i < s.dim[0] * s.dim[1]; i++) ((int64_t *)data)[i] = ((const int64_t *)given.data)[0] + i % s.dim[1];
    }
    if (x.rank == 3 && heads == 0 && cos.dim[1] > 0) heads = x.dim[2] / (2 * cos.dim[1]); /* whole heads turn */
    tsr_tape_int(t, "num_heads", heads);
    tsr_tape_pass(t, "interleaved");
    tsr_tape_pass(t, "rotary_embedding_dim");
    tsr_tape_out(t, 0, tsr_tape_op(t, "RotaryEmbedding", tsr_tape_in(t, R_X), tsr_tape_in(t, R_COS), tsr_tape_in(t, R_SIN), place));
    return tsr_tape_status(t);
}

/* T5's bucket of the distance from query to key (Raffel et al. 2020): half of the buckets for single
 * distances, the rest on a logarithmic scale up to `most`. */
static int64_t bucket(int64_t distance, int64_t buckets, int64_t most, bool both_ways)
{
    int64_t base = 0, n = -distance;
    if (both_ways) {
        buckets /= 2;
        if (n < 0) base = buckets, n = -n;
    } else if (n < 0) {
        n = 0;
    }
    const int64_t exact = buckets / 2;
    if (n < exact || exact < 1) return base + (n < buckets ? n : buckets - 1);
    const double step = log((double)((float)n / (float)exact)) / log((double)most / (double)exact);
    const int64_t far = exact + (int64_t)(float)(step * (double)(buckets - exact));
    return base + (far < buckets ? far : buckets - 1);
}

/* bias_table [buckets, N], query and key length -> [1,N,S,T] */
static enum tsr_status relative_body(struct tsr_tape *t)
{
    struct tsr_op_ctx *ctx = tsr_tape_ctx(t);
    static const int64_t perm[3] = {2, 0, 1};
    const struct tsr_shape table = *tsr_tape_shape(t, tsr_tape_in(t, 0));
    const int64_t most = tsr_node_int(ctx->node, "max_distance", 0);
    const bool both = tsr_node_int(ctx->node, "is_bidirectional", 0) != 0;
    struct tsr_shape s = {2, {0, 0}};
    void *data;
    for (int i = 0; i < 2; i++) TSR_TRY(tsr_arg_int(ctx, i + 1, 0, &s.dim[i]));
    if (table.rank != 2 || table.dim[0] < 2 || s.dim[0] < 0 || s.dim[1] < 0 || tsr_shape_count(&s) < 0)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "the table or the lengths make no sense");
    tsr_ref place = tsr_tape_new(t, TSR_I64, &s, &data);
    TSR_TRY(tsr_tape_status(t));
    for (int64_t i = 0; i < s.dim[0]; i++)
        for (int64_t j = 0; j < s.dim[1]; j++) ((int64_t *)data)[i * s.dim[1] + j] = bucket(j - i, table.dim[0], most, both);
    tsr_ref y = tsr_tape_transpose(t, tsr_tape_op(t, "Gather", tsr_tape_in(t, 0), place), 3, perm);
    tsr_tape_out(t, 0, tsr_tape_reshape(t, y, 4, (const int64_t[]){1, table.dim[1], s.dim[0], s.dim[1]}));
    return tsr_tape_status(t);
}

#define FORWARD(name) \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, name##_body); }
FORWARD(attention)
FORWARD(multi_head)
FORWARD(group)
FORWARD(rotary)
FORWARD(relative)

#define ROW(op_type, min_in, max_in, max_out, name, params) \
    {op_type, "com.microsoft", TSR_OP_DYNAMIC | TSR_OP_WIDEN, min_in, max_in, max_out, NULL, name##_forward, tsr_tape_backward, params}

const struct tsr_op tsr_ops_ms_attention[] = {
    ROW("Attention", 2, 7, 2, attention, 6),
    ROW("GroupQueryAttention", 7, 14, 3, group, 0),
    ROW("MultiHeadAttention", 1, 10, 3, multi_head, 8),
    ROW("RelativePositionBias", 3, 3, 1, relative, 1),
    ROW("RotaryEmbedding", 4, 4, 1, rotary, 0),
};
const size_t tsr_n_ops_ms_attention = sizeof tsr_ops_ms_attention / sizeof *tsr_ops_ms_attention;
