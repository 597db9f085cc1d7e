/* fuse_attention.c - MatMul, scale, mask, Softmax, MatMul over heads become tessera.Attention,
 * and the transposes, slices and scales around them its strides. */
#include <math.h>
#include <string.h>

#include "graph/fuse_impl.h"

/* How Q, K or V lies in a source value: its dimension i is axis[i] of the source; where slice >= 0
 * the source has one more axis, of which this is part `index`. */
struct view {
    int32_t source;
    int axis[4], slice;
    int64_t index;
    double scale;
};

static bool through_transpose(const struct tsr_fuse *f, struct view *v)
{
    const struct tsr_node *node = tsr_fuse_producer(f, v->source, "Transpose");
    int64_t perm[TSR_MAX_RANK];
    int n, rank = v->slice >= 0 ? 5 : 4;
    if (!node || !tsr_fuse_ints(f, node, "perm", -1, perm, TSR_MAX_RANK, &n) || n != rank) return false;
    for (int i = 0; i < 4; i++) v->axis[i] = (int)perm[v->axis[i]];
    if (v->slice >= 0) v->slice = (int)perm[v->slice];
    v->source = node->in[0];
    return true;
}

static void lift(struct view *v, int32_t source, int axis, int64_t index)
{
    for (int i = 0; i < 4; i++) v->axis[i] += v->axis[i] >= axis;
    v->source = source;
    v->slice = axis;
    v->index = index;
}

/* One of three slices: Gather with a single index, or Squeeze of an output of Split. */
static bool through_slice(const struct tsr_fuse *f, struct view *v)
{
    if (v->slice >= 0) return false;
    const struct tsr_node *gather = tsr_fuse_producer(f, v->source, "Gather"), *squeeze = tsr_fuse_producer(f, v->source, "Squeeze");
    if (gather) {
        const struct tsr_tensor *index = tsr_fuse_constant(f, gather->in[1]);
        int64_t axis = tsr_node_int(gather, "axis", 0);
        if (!index || index->shape.rank != 0 || axis < 0 || axis > 4) return false;
        int64_t i = tsr_load_i64(index->dtype, index->data, 0);
        if (i < 0) return false;
        lift(v, gather->in[0], (int)axis, i);
        return true;
    }
    int64_t axis;
    int n;
    if (!squeeze || !tsr_fuse_ints(f, squeeze, "axes", 1, &axis, 1, &n) || n != 1) return false;
    const struct tsr_node *split = tsr_fuse_producer(f, squeeze->in[0], "Split");
    if (!split || split->n_out != 3 || axis < 0 || axis > 4 || tsr_node_int(split, "axis", 0) != axis) return false;
    if (!tsr_fuse_hidden(f, squeeze->in[0])) return false;
    for (int i = 0; i < 3; i++)
        if (split->out[i] == squeeze->in[0]) lift(v, split->in[0], (int)axis, i);
    return v->slice >= 0;
}

static bool through_scale(const struct tsr_fuse *f, struct view *v)
{
    const struct tsr_node *mul = tsr_fuse_producer(f, v->source, "Mul"), *div = tsr_fuse_producer(f, v->source, "Div");
    double x;
    if (mul && tsr_fuse_scalar(f, mul->in[1], &x)) v->source = mul->in[0];
    else if (mul && tsr_fuse_scalar(f, mul->in[0], &x)) v->source = mul->in[1];
    else if (div && tsr_fuse_scalar(f, div->in[1], &x) && x != 0) v->source = div->in[0], x = 1 / x;
    else return false;
    v->scale *= x;
    return true;
}

/* The head's axis must be the innermost of the source (for K the keys' will do as well). */
static bool usable(const struct view *v, bool key)
{
    int last = v->slice >= 0 ? 4 : 3;
    return v->axis[3] == last || (key && v->axis[2] == last);
}

/* Looks through as many nodes as it may, and settles where the innermost axis is right. */
static struct view look(const struct tsr_fuse *f, int32_t from, bool key, bool may_scale, bool may_slice)
{
    struct view v = {.source = from, .axis = {0, 1, 2, 3}, .slice = -1, .scale = 1}, best;
    if (key) v.axis[2] = 3, v.axis[3] = 2; /* the product reads K as [B,H,D,S] */
    best = v;
    for (int step = 0; step < 8; step++) {
        if (!tsr_fuse_hidden(f, v.source)) break;
        if (!through_transpose(f, &v) && !(may_slice && through_slice(f, &v)) && !(may_scale && through_scale(f, &v))) break;
        if (usable(&v, key)) best = v;
    }
    return best;
}

static bool same_layout(const struct view *a, const struct view *b)
{
    return a->source == b->source && a->slice == b->slice && memcmp(a->axis, b->axis, sizeof a->axis) == 0;
}

static bool packed(const struct view v[3])
{
    return v[0].slice >= 0 && same_layout(&v[0], &v[1]) && same_layout(&v[0], &v[2]) && v[0].index != v[1].index &&
           v[0].index != v[2].index && v[1].index != v[2].index && v[0].index < 3 && v[1].index < 3 && v[2].index < 3;
}

/* Something that does not depend on the inputs has no batch of its own and would broadcast. */
static bool depends_on_input(const struct tsr_fuse *f, int32_t v, int depth)
{
    if (v < 0 || f->g->value[v].is_init) return false;
    if (f->g->value[v].is_input || depth > 12) return true;
    const struct tsr_node *node = &f->g->node[f->g->value[v].producer];
    for (int k = 0; k < node->n_in; k++)
        if (depends_on_input(f, node->in[k], depth + 1)) return true;
    return false;
}

/* From the input of Softmax back to the product of Q and K: the MatMul node, or NULL. */
static const struct tsr_node *find_scores(const struct tsr_fuse *f, int32_t v, double *scale, int32_t *mask)
{
    *scale = 1;
    *mask = -1;
    for (int step = 0; step < 4; step++) {
        const struct tsr_node *product = tsr_fuse_producer(f, v, "MatMul"), *add = tsr_fuse_producer(f, v, "Add");
        struct view through = {.source = v, .scale = 1};
        if (!tsr_fuse_inner(f, v)) return NULL;
        if (product) return product;
        if (through_scale(f, &through)) {
            if (*mask >= 0 && *scale != 1) return NULL;
            *scale *= through.scale;
            v = through.source;
            continue;
        }
        if (!add || *mask >= 0 || *scale != 1) return NULL; /* a scale after the mask would scale it too */
        for (int k = 0; k < 2 && *mask < 0; k++) {
            struct view side = {.source = add->in[k], .scale = 1};
            while (through_scale(f, &side)) continue;
            if (tsr_fuse_producer(f, side.source, "MatMul")) *mask = add->in[1 - k], v = add->in[k];
        }
        if (*mask < 0) return NULL;
    }
    return NULL;
}

static enum tsr_status axes(struct tsr_fuse *f, const char *name, const int axis[4])
{
    const int64_t v[4] = {axis[0], axis[1], axis[2], axis[3]};
    return tsr_graph_attr_ints(f->g, name, v, 4, f->err);
}

static enum tsr_status build(struct tsr_fuse *f, const struct view v[3], double scale, int32_t mask, const int y[4],
                             const struct tsr_node *last)
{
    int32_t in[4] = {v[0].source, v[1].source, v[2].source, mask};
    if (packed(v)) in[1] = in[2] = -1;
    TSR_TRY(tsr_fuse_begin(f, "Attention", "tessera", mask >= 0 ? 4 : packed(v) ? 1 : 3, in, last->out[0]));
    TSR_TRY(tsr_graph_attr_float(f->g, "scale", (float)scale, f->err));
    TSR_TRY(axes(f, "axes_q", v[0].axis));
    TSR_TRY(axes(f, "axes_y", y));
    if (packed(v)) {
        const int64_t part[3] = {v[0].index, v[1].index, v[2].index};
        TSR_TRY(tsr_graph_attr_int(f->g, "packed", v[0].slice, f->err));
        TSR_TRY(tsr_graph_attr_ints(f->g, "parts", part, 3, f->err));
    } else {
        TSR_TRY(axes(f, "axes_k", v[1].axis));
        TSR_TRY(axes(f, "axes_v", v[2].axis));
    }
    return tsr_fuse_commit(f, last);
}

/* Anchored at the Softmax. */
enum tsr_status tsr_fuse_attention(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    double scale;
    int32_t mask;
    if (node->domain[0] || strcmp(node->op_type, "Softmax") != 0) return TSR_OK;
    int64_t axis = tsr_node_int(node, "axis", node->opset >= 13 ? -1 : 1);
    if (axis != -1 && axis != 3) return TSR_OK;
    const struct tsr_node *mix = tsr_fuse_reader(f, node->out[0], "MatMul"), *qk = find_scores(f, node->in[0], &scale, &mask);
    if (!mix || !qk || mix->in[0] != node->out[0] || mix->in[1] == node->out[0]) return TSR_OK;
    if (tsr_fuse_rank(f, qk->in[0]) != 4 || tsr_fuse_rank(f, qk->in[1]) != 4 || tsr_fuse_rank(f, mix->in[1]) != 4) return TSR_OK;
    if (!depends_on_input(f, qk->in[0], 0) || !depends_on_input(f, qk->in[1], 0) || !depends_on_input(f, mix->in[1], 0))
        return TSR_OK;
    struct view v[3];
    for (int slices = 1; slices >= 0; slices--) {
        v[0] = look(f, qk->in[0], false, true, slices);
        v[1] = look(f, qk->in[1], true, true, slices);
        v[2] = look(f, mix->in[1], false, false, slices);
        if (packed(v)) break;
    }
    if (!packed(v) && (v[0].slice >= 0 || v[1].slice >= 0 || v[2].slice >= 0)) return TSR_OK;
    if (!usable(&v[0], false) || !usable(&v[1], true) || !usable(&v[2], false)) return TSR_OK;
    int y[4] = {0, 1, 2, 3}, n;
    int64_t perm[TSR_MAX_RANK];
    const struct tsr_node *last = mix, *turn = tsr_fuse_reader(f, mix->out[0], "Transpose");
    if (turn && tsr_fuse_ints(f, turn, "perm", -1, perm, TSR_MAX_RANK, &n) && n == 4 && perm[3] == 3) {
        for (int i = 0; i < 4; i++) y[i] = (int)perm[i];
        last = turn;
    }
    *done = true;
    return build(f, v, scale * v[0].scale * v[1].scale, mask, y, last);
}
