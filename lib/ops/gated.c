/* gated.c - SwiGLU, and the recurrences of linear attention: CausalConvWithState (a depthwise
 * convolution over the past) and LinearAttention (Katharopoulos et al. 2020; with decay, delta rule or
 * both: Yang et al. 2024). */
#include "ops/families.h"
#include "base/mem.h"
#include "ops/tape.h"

#include <math.h>
#include <string.h>

static enum tsr_status swiglu_body(struct tsr_tape *t)
{
    tsr_ref a = tsr_tape_in(t, 0), b = tsr_tape_in(t, 1);
    if (!tsr_shape_equal(tsr_tape_shape(t, a), tsr_tape_shape(t, b)))
        return tsr_tape_fail(t, TSR_E_MISMATCH, "the two inputs differ in shape");
    tsr_tape_pass(t, "alpha");
    tsr_tape_out(t, 0, tsr_tape_op(t, "Mul", tsr_tape_op(t, "Swish", a), b));
    return tsr_tape_status(t);
}

/* ---- CausalConvWithState ---- */

/* Zeros of that shape and of the type of `like`. */
static tsr_ref zeros(struct tsr_tape *t, tsr_ref like, const struct tsr_shape *s)
{
    void *data;
    tsr_ref z = tsr_tape_new(t, tsr_tape_value(t, like)->dtype, s, &data);
    if (z >= 0 && tsr_shape_count(s) > 0) memset(data, 0, tsr_tensor_bytes(tsr_tape_value(t, z)));
    return z;
}

static enum tsr_status causal_conv_body(struct tsr_tape *t)
{
    const char *activation = tsr_node_string(tsr_tape_ctx(t)->node, "activation", "none");
    const bool swish = strcmp(activation, "silu") == 0 || strcmp(activation, "swish") == 0;
    tsr_ref x = tsr_tape_in(t, 0), w = tsr_tape_in(t, 1), past = tsr_tape_in(t, 3);
    const struct tsr_shape s = *tsr_tape_shape(t, x), k = *tsr_tape_shape(t, w);
    if (s.rank != 3 || k.rank != 3 || k.dim[0] != s.dim[1] || k.dim[1] != 1 || k.dim[2] < 1)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "the input must be [batch, channels, length], the weight [channels, 1, width]");
    if (!swish && strcmp(activation, "none") != 0)
        return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "the activation '%.40s' is unknown", activation);
    const struct tsr_shape state = {3, {s.dim[0], s.dim[1], k.dim[2] - 1}};
    if (past < 0) past = zeros(t, x, &state);
    if (!tsr_shape_equal(tsr_tape_shape(t, past), &state)) return tsr_tape_fail(t, TSR_E_MISMATCH, "the past state does not fit");
    tsr_ref all = k.dim[2] > 1 ? tsr_tape_concat(t, 2, (const tsr_ref[]){past, x}, 2) : x;
    tsr_tape_int(t, "group", s.dim[1]);
    tsr_ref y = tsr_tape_op(t, "Conv", all, w, tsr_tape_in(t, 2));
    if (swish) y = tsr_tape_op(t, "Swish", y);
    tsr_tape_out(t, 0, y);
    if (tsr_tape_wants(t, 1)) tsr_tape_out(t, 1, tsr_tape_slice(t, all, 2, s.dim[2], s.dim[2] + k.dim[2] - 1));
    return tsr_tape_status(t);
}

/* ---- LinearAttention ---- */

enum { Q, K, V, PAST, DECAY, BETA };

struct linear {
    int64_t B, T, heads, group, dk, dv; /* heads: of K and V; group: queries for each */
    bool gated, delta;
    tsr_ref q, k, kt, v, decay, beta; /* [B, heads, T, ...]; kt: with the last two turned */
};

/* [B, T, heads * n] as [B, heads, T, n]; n = 0: whatever is there. */
static tsr_ref heads_first(struct tsr_tape *t, tsr_ref x, int64_t heads)
{
    static const int64_t perm[4] = {0, 2, 1, 3};
    const struct tsr_shape s = *tsr_tape_shape(t, x);
    if (s.rank != 3 || heads < 1 || s.dim[2] % heads != 0) {
        (void)tsr_tape_fail(t, TSR_E_MISMATCH, "%lld heads do not fit an input of %d dimensions", (long long)heads, s.rank);
        return -1;
    }
    return tsr_tape_transpose(t, tsr_tape_reshape(t, x, 4, (const int64_t[]){s.dim[0], s.dim[1], heads,
                                                                             s.dim[2] / heads}), 4, perm);
}

static enum tsr_status read_linear(struct tsr_tape *t, struct linear *l)
{
    const struct tsr_node *node = tsr_tape_ctx(t)->node;
    const char *rule = tsr_node_string(node, "update_rule", "gated_delta");
    const int64_t q_heads = tsr_node_int(node, "q_num_heads", 0);
    l->heads = tsr_node_int(node, "kv_num_heads", 0);
    l->gated = strncmp(rule, "gated", 5) == 0;
    l->delta = strstr(rule, "delta") != NULL;
    if (l->heads < 1 || q_heads < 1 || q_heads % l->heads != 0)
        return tsr_tape_fail(t, TSR_E_CORRUPT, "%lld heads of queries for %lld of keys", (long long)q_heads, (long long)l->heads);
    l->group = q_heads / l->heads;
    l->q = heads_first(t, tsr_tape_in(t, Q), q_heads);
    l->k = heads_first(t, tsr_tape_in(t, K), l->heads);
    l->v = heads_first(t, tsr_tape_in(t, V), l->heads);
    l->decay = l->gated ? heads_first(t, tsr_tape_in(t, DECAY), l->heads) : -1;
    if (l->delta) {
        tsr_ref beta = tsr_tape_in(t, BETA);
        const struct tsr_shape b = *tsr_tape_shape(t, beta);
        l->beta = heads_first(t, beta, b.rank == 3 && b.dim[2] == 1 ? 1 : l->heads);
    }
    TSR_TRY(tsr_tape_status(t));
    const struct tsr_shape q = *tsr_tape_shape(t, l->q), k = *tsr_tape_shape(t, l->k), v = *tsr_tape_shape(t, l->v);
    l->B = q.dim[0], l->T = q.dim[2], l->dk = q.dim[3], l->dv = v.dim[3];
    if (k.dim[0] != l->B || v.dim[0] != l->B || k.dim[2] != l->T || v.dim[2] != l->T || k.dim[3] != l->dk)
        return tsr_tape_fail(t, TSR_E_MISMATCH, "the shapes of query, key and value do not fit together");
    if (l->T < 1) return tsr_tape_fail(t, TSR_E_UNSUPPORTED, "an empty sequence is not supported");
    static const int64_t perm[4] = {0, 1, 3, 2};
    l->kt = tsr_tape_transpose(t, l->k, 4, perm);
    if (l->decay >= 0) l->decay = tsr_tape_transpose(t, tsr_tape_op(t, "Exp", l->decay), 4, perm); /* [B,heads,dk or 1,T] */
    return tsr_tape_status(t);
}

/* The state behind position i: S' = exp(g) S, S = S' + k (v - S'k)' beta or S' + k v'. */
static tsr_ref advance(struct tsr_tape *t, const struct linear *l, tsr_ref state, int64_t i)
{
    tsr_ref k = tsr_tape_slice(t, l->kt, 3, i, i + 1), u = tsr_tape_slice(t, l->v, 2, i, i + 1);
    if (l->gated) state = tsr_tape_op(t, "Mul", state, tsr_tape_slice(t, l->decay, 3, i, i + 1));
    if (l->delta) {
        tsr_ref seen = tsr_tape_op(t, "MatMul", tsr_tape_slice(t, l->k, 2, i, i + 1), state);
        u = tsr_tape_op(t, "Mul", tsr_tape_op(t, "Sub", u, seen), tsr_tape_slice(t, l->beta, 2, i, i + 1));
    }
    return tsr_tape_op(t, "Add", state, tsr_tape_op(t, "MatMul", k, u));
}

static enum tsr_status linear_body(struct tsr_tape *t)
{
    struct linear l = {.decay = -1, .beta = -1};
    static const int64_t perm[4] = {0, 2, 1, 3};
    TSR_TRY(read_linear(t, &l));
    double scale = (double)tsr_node_float(tsr_tape_ctx(t)->node, "scale", 0);
    if (scale == 0) scale = 1 / sqrt((double)(l.dk > 0 ? l.dk : 1));
    const struct tsr_shape s = {4, {l.B, l.heads, l.dk, l.dv}};
    tsr_ref state = tsr_tape_in(t, PAST), *part = tsr_malloc((size_t)l.T, sizeof *part);
    if (!part) return tsr_nomem(tsr_tape_ctx(t)->err, (size_t)l.T * sizeof *part);
    if (state < 0) state = zeros(t, l.q, &s);
    for (int64_t i = 0; i < l.T && tsr_tape_status(t) == TSR_OK; i++) {
        state = advance(t, &l, state, i);
        tsr_ref q = tsr_tape_slice(t, l.q, 2, i, i + 1); /* heads of one group side by side */
        q = tsr_tape_reshape(t, q, 4, (const int64_t[]){l.B, l.heads, l.group, l.dk});
        tsr_ref y = tsr_tape_op(t, "MatMul", q, state);
        part[i] = tsr_tape_reshape(t, y, 4, (const int64_t[]){l.B, l.heads * l.group, 1, l.dv});
    }
    if (tsr_tape_status(t) == TSR_OK) {
        tsr_ref y = tsr_tape_transpose(t, tsr_tape_concat(t, (int)l.T, part, 2), 4, perm);
        y = tsr_tape_reshape(t, y, 3, (const int64_t[]){l.B, l.T, l.heads * l.group * l.dv});
        tsr_tape_out(t, 0, tsr_tape_op(t, "Mul", y, tsr_tape_scalar(t, tsr_tape_value(t, y)->dtype, scale)));
        tsr_tape_out(t, 1, state);
    }
    tsr_free(part);
    return tsr_tape_status(t);
}

#define FORWARD(name) \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx) { return tsr_tape_forward(ctx, name##_body); }
FORWARD(swiglu)
FORWARD(causal_conv)
FORWARD(linear)

#define ROW(op_type, min_in, max_in, max_out, name, params) \
    {op_type, "", TSR_OP_DYNAMIC | TSR_OP_WIDEN, min_in, max_in, max_out, NULL, name##_forward, tsr_tape_backward, params}

const struct tsr_op tsr_ops_gated[] = {
    ROW("CausalConvWithState", 2, 4, 2, causal_conv, 6),
    ROW("LinearAttention", 3, 6, 2, linear, 0),
    ROW("SwiGLU", 2, 2, 1, swiglu, 0),
};
const size_t tsr_n_ops_gated = sizeof tsr_ops_gated / sizeof *tsr_ops_gated;
