/* movement.c - Transpose, Concat, Split, Expand, Tile, DepthToSpace, SpaceToDepth, Trilu: elements of
 * any type go to other places. Slice and Pad: slice.c, pad.c. */
#include "ops/bcast.h"
#include "ops/copy.h"
#include "ops/families.h"

#include <inttypes.h>
#include <string.h>

static void zero(struct tsr_tensor *t)
{
    size_t bytes = tsr_tensor_bytes(t);
    if (bytes) memset(t->data, 0, bytes);
}

/* ---- Transpose ---- */

static enum tsr_status transpose_perm(struct tsr_op_ctx *ctx, int perm[TSR_MAX_RANK])
{
    int rank = ctx->in[0]->shape.rank;
    int64_t v[TSR_MAX_RANK];
    bool seen[TSR_MAX_RANK] = {false};
    int n;
    TSR_TRY(tsr_arg_ints(ctx, "perm", -1, v, TSR_MAX_RANK, &n));
    if (n >= 0 && n != rank)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "a permutation of %d dimensions does not fit a tensor of %d", n, rank);
    for (int i = 0; i < rank; i++) {
        perm[i] = rank - 1 - i;
        if (n < 0) continue;
        TSR_TRY(tsr_op_axis(ctx, v[i], rank, &perm[i]));
        if (seen[perm[i]]) return tsr_op_fail(ctx, TSR_E_CORRUPT, "dimension %d is named twice in the permutation", perm[i]);
        seen[perm[i]] = true;
    }
    return TSR_OK;
}

static enum tsr_status transpose_infer(struct tsr_op_ctx *ctx)
{
    int perm[TSR_MAX_RANK];
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(transpose_perm(ctx, perm));
    struct tsr_shape s = {.rank = ctx->in[0]->shape.rank};
    for (int i = 0; i < s.rank; i++) s.dim[i] = ctx->in[0]->shape.dim[perm[i]];
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

/* back: from the permuted places to the original ones. */
static enum tsr_status transpose_run(struct tsr_op_ctx *ctx, const struct tsr_tensor *src, struct tsr_tensor *dst, bool back)
{
    const struct tsr_shape *x = &ctx->in[0]->shape, *y = &ctx->out[0].shape;
    struct tsr_copy c = {.dtype = src->dtype, .rank = x->rank, .dst = dst->data, .src = src->data};
    int perm[TSR_MAX_RANK];
    int64_t sx[TSR_MAX_RANK], sy[TSR_MAX_RANK];
    TSR_TRY(transpose_perm(ctx, perm));
    tsr_arg_strides(x, sx);
    tsr_arg_strides(y, sy);
    for (int i = 0; i < x->rank; i++) {
        c.dim[i] = y->dim[i];
        c.ds[i] = back ? sx[perm[i]] : sy[i];
        c.ss[i] = back ? sy[i] : sx[perm[i]];
    }
    tsr_copy_run(ctx->pool, &c);
    return TSR_OK;
}

static enum tsr_status transpose_forward(struct tsr_op_ctx *ctx)
{
    return transpose_run(ctx, ctx->in[0], &ctx->out[0], false);
}

static enum tsr_status transpose_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    if (ctx->gout[0]) return transpose_run(ctx, ctx->gout[0], &ctx->gin[0], true);
    zero(&ctx->gin[0]);
    return TSR_OK;
}

/* ---- Concat and Split: one whole, parts along an axis ---- */

/* Copies `part` to or from place `at` along the axis of `whole`. */
static void part_copy(struct tsr_pool *pool, int axis, const struct tsr_tensor *from, const struct tsr_tensor *to,
                      const struct tsr_shape *part, const struct tsr_shape *whole, int64_t at, bool gather)
{
    int64_t inner = tsr_arg_span(whole, axis + 1, whole->rank);
    struct tsr_copy c = {.dtype = from->dtype, .rank = 2, .dst = to->data, .src = from->data};
    c.dim[0] = tsr_arg_span(whole, 0, axis);
    c.dim[1] = part->dim[axis] * inner;
    c.ds[0] = gather ? whole->dim[axis] * inner : c.dim[1];
    c.ss[0] = gather ? c.dim[1] : whole->dim[axis] * inner;
    c.ds[1] = c.ss[1] = 1;
    if (gather) c.d0 = at * inner;
    else c.s0 = at * inner;
    tsr_copy_run(pool, &c);
}

static enum tsr_status concat_axis(struct tsr_op_ctx *ctx, int *axis)
{
    if (ctx->node->opset >= 4 && !tsr_node_attr(ctx->node, "axis"))
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the attribute 'axis' is missing");
    return tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 1), ctx->in[0]->shape.rank, axis);
}

static enum tsr_status concat_infer(struct tsr_op_ctx *ctx)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    int axis;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(concat_axis(ctx, &axis));
    struct tsr_shape s = ctx->in[0]->shape;
    for (int i = 1; i < ctx->node->n_in; i++) {
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
        const struct tsr_shape *x = &ctx->in[i]->shape;
        bool fits = x->rank == s.rank;
        for (int d = 0; d < s.rank && fits; d++) fits = d == axis || x->dim[d] == s.dim[d];
        if (!fits)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "shapes %s and %s cannot be joined along axis %d",
                               tsr_shape_text(&ctx->in[0]->shape, a, sizeof a), tsr_shape_text(x, b, sizeof b), axis);
        if (__builtin_add_overflow(s.dim[axis], x->dim[axis], &s.dim[axis]))
            return tsr_op_fail(ctx, TSR_E_LIMIT, "the joined tensor is too large");
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status concat_forward(struct tsr_op_ctx *ctx)
{
    int64_t at = 0;
    int axis;
    TSR_TRY(concat_axis(ctx, &axis));
    for (int i = 0; i < ctx->node->n_in; i++) {
        part_copy(ctx->pool, axis, ctx->in[i], &ctx->out[0], &ctx->in[i]->shape, &ctx->out[0].shape, at, true);
        at += ctx->in[i]->shape.dim[axis];
    }
    return TSR_OK;
}

static enum tsr_status concat_backward(struct tsr_op_ctx *ctx)
{
    int64_t at = 0;
    int axis;
    TSR_TRY(concat_axis(ctx, &axis));
    for (int i = 0; i < ctx->node->n_in; i++) {
        if (ctx->want_gin[i] && !ctx->gout[0]) zero(&ctx->gin[i]);
        else if (ctx->want_gin[i])
            part_copy(ctx->pool, axis, ctx->gout[0], &ctx->gin[i], &ctx->in[i]->shape, &ctx->out[0].shape, at, false);
        at += ctx->in[i]->shape.dim[axis];
    }
    return TSR_OK;
}

/* The length of part i of n along a dimension of `total`. */
static enum tsr_status split_infer(struct tsr_op_ctx *ctx)
{
    enum { MOST = 4096 };
    int64_t size[MOST], sum = 0;
    int axis, n, parts = ctx->node->n_out;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    struct tsr_shape s = ctx->in[0]->shape;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), s.rank, &axis));
    TSR_TRY(tsr_arg_ints(ctx, ctx->node->opset < 13 ? "split" : NULL, 1, size, MOST, &n));
    int64_t total = s.dim[axis];
    if (n < 0) {
        int64_t want = tsr_node_int(ctx->node, "num_outputs", parts);
        if (want < 1 || want < parts || parts < 1 || parts > MOST)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "num_outputs = %" PRId64 " does not fit a node of %d outputs", want, parts);
        int64_t each = total / want + (total % want != 0);
        for (int i = 0; i < parts; i++) {
            size[i] = total - sum < each ? total - sum : each;
            sum += size[i];
        }
        if (ctx->node->opset < 18 && total % want != 0)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "dimension %d of %" PRId64 " cannot be cut in %" PRId64 " equal parts", axis, total, want);
        if (want == parts && sum != total) return tsr_op_fail(ctx, TSR_E_MISMATCH, "%d parts do not make up dimension %d", parts, axis);
    } else {
        if (n != parts) return tsr_op_fail(ctx, TSR_E_CORRUPT, "%d lengths for %d outputs", n, parts);
        for (int i = 0; i < n; i++) {
            if (size[i] < 0 || __builtin_add_overflow(sum, size[i], &sum))
                return tsr_op_fail(ctx, TSR_E_CORRUPT, "part %d has the impossible length %" PRId64, i, size[i]);
        }
        if (sum != total)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "the parts make up %" PRId64 ", dimension %d is %" PRId64, sum, axis, total);
    }
    for (int i = 0; i < parts; i++) {
        s.dim[axis] = size[i];
        tsr_op_set(ctx, i, ctx->in[0]->dtype, &s);
    }
    return TSR_OK;
}

static enum tsr_status split_forward(struct tsr_op_ctx *ctx)
{
    int64_t at = 0;
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), ctx->in[0]->shape.rank, &axis));
    for (int i = 0; i < ctx->node->n_out; i++) {
        if (ctx->want_out[i])
            part_copy(ctx->pool, axis, ctx->in[0], &ctx->out[i], &ctx->out[i].shape, &ctx->in[0]->shape, at, false);
        at += ctx->out[i].shape.dim[axis];
    }
    return TSR_OK;
}

static enum tsr_status split_backward(struct tsr_op_ctx *ctx)
{
    int64_t at = 0;
    int axis;
    if (!ctx->want_gin[0]) return TSR_OK;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), ctx->in[0]->shape.rank, &axis));
    bool all = true;
    for (int i = 0; i < ctx->node->n_out; i++) all &= ctx->gout[i] != NULL;
    if (!all) zero(&ctx->gin[0]);
    for (int i = 0; i < ctx->node->n_out; i++) {
        if (ctx->gout[i])
            part_copy(ctx->pool, axis, ctx->gout[i], &ctx->gin[0], &ctx->out[i].shape, &ctx->in[0]->shape, at, true);
        at += ctx->out[i].shape.dim[axis];
    }
    return TSR_OK;
}

/* ---- Expand ---- */

static enum tsr_status expand_infer(struct tsr_op_ctx *ctx)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    struct tsr_shape want = {0}, s;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(tsr_arg_ints(ctx, NULL, 1, want.dim, TSR_MAX_RANK, &want.rank));
    if (want.rank < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the wanted shape is missing");
    for (int i = 0; i < want.rank; i++)
        if (want.dim[i] < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "%s is not a shape", tsr_shape_text(&want, a, sizeof a));
    if (!tsr_shape_broadcast(&ctx->in[0]->shape, &want, &s))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "shape %s does not broadcast to %s",
                           tsr_shape_text(&ctx->in[0]->shape, a, sizeof a), tsr_shape_text(&want, b, sizeof b));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status expand_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_shape *x = &ctx->in[0]->shape, *y = &ctx->out[0].shape;
    struct tsr_copy c = {.dtype = ctx->in[0]->dtype, .rank = y->rank, .dst = ctx->out[0].data, .src = ctx->in[0]->data};
    int64_t sx[TSR_MAX_RANK];
    tsr_arg_strides(x, sx);
    tsr_arg_strides(y, c.ds);
    for (int i = 0; i < y->rank; i++) {
        int j = x->rank - y->rank + i;
        c.dim[i] = y->dim[i];
        c.ss[i] = j < 0 || x->dim[j] == 1 ? 0 : sx[j];
    }
    tsr_copy_run(ctx->pool, &c);
    return TSR_OK;
}

/* Gradients of inputs that are not the data are never wanted: they are integers. */
static enum tsr_status expand_backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *g = ctx->gout[0];
    if (!ctx->want_gin[0]) return TSR_OK;
    if (g) return tsr_sum_to(ctx, g->dtype, &g->shape, g->data, &ctx->in[0]->shape, ctx->gin[0].data);
    zero(&ctx->gin[0]);
    return TSR_OK;
}

/* ---- Tile ---- */

static enum tsr_status tile_infer(struct tsr_op_ctx *ctx)
{
    int64_t repeat[TSR_MAX_RANK];
    int n;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    struct tsr_shape s = ctx->in[0]->shape;
    TSR_TRY(tsr_arg_ints(ctx, NULL, 1, repeat, TSR_MAX_RANK, &n));
    if (n != s.rank) return tsr_op_fail(ctx, TSR_E_CORRUPT, "%d repeats for a tensor of %d dimensions", n, s.rank);
    for (int i = 0; i < n; i++)
        if (repeat[i] < 0 || __builtin_mul_overflow(s.dim[i], repeat[i], &s.dim[i]))
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "%" PRId64 " repeats of dimension %d are impossible", repeat[i], i);
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

/* Each dimension as (repeat, element): stride 0 along the repeats on the side of the small tensor. */
static void tile_plan(const struct tsr_shape *x, const struct tsr_shape *y, struct tsr_copy *c, int64_t *big, int64_t *small)
{
    int64_t sx[TSR_MAX_RANK], sy[TSR_MAX_RANK];
    tsr_arg_strides(x, sx);
    tsr_arg_strides(y, sy);
    c->rank = 2 * x->rank;
    for (int i = 0; i < x->rank; i++) {
        c->dim[2 * i] = x->dim[i] ? y->dim[i] / x->dim[i] : 0;
        c->dim[2 * i + 1] = x->dim[i];
        big[2 * i] = sy[i] * x->dim[i];
        big[2 * i + 1] = sy[i];
        small[2 * i] = 0;
        small[2 * i + 1] = sx[i];
    }
}

static enum tsr_status tile_forward(struct tsr_op_ctx *ctx)
{
    struct tsr_copy c = {.dtype = ctx->in[0]->dtype, .dst = ctx->out[0].data, .src = ctx->in[0]->data};
    tile_plan(&ctx->in[0]->shape, &ctx->out[0].shape, &c, c.ds, c.ss);
    tsr_copy_run(ctx->pool, &c);
    return TSR_OK;
}

static enum tsr_status tile_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    zero(&ctx->gin[0]);
    if (!ctx->gout[0]) return TSR_OK;
    struct tsr_copy c = {.dtype = ctx->gin[0].dtype, .dst = ctx->gin[0].data, .src = ctx->gout[0]->data};
    tile_plan(&ctx->in[0]->shape, &ctx->out[0].shape, &c, c.ss, c.ds);
    tsr_copy_add(&c);
    return TSR_OK;
}

/* ---- DepthToSpace and SpaceToDepth: a permutation of six dimensions ---- */

static enum tsr_status depth_block(struct tsr_op_ctx *ctx, int64_t *b)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    *b = tsr_node_int(ctx->node, "blocksize", 0);
    if (ctx->in[0]->shape.rank != 4)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the input has %d dimensions, not 4", ctx->in[0]->shape.rank);
    if (*b < 1 || *b > INT32_MAX) return tsr_op_fail(ctx, TSR_E_CORRUPT, "a block size of %" PRId64 " is impossible", *b);
    return TSR_OK;
}

static enum tsr_status depth_to_space_infer(struct tsr_op_ctx *ctx)
{
    int64_t b;
    TSR_TRY(depth_block(ctx, &b));
    struct tsr_shape s = ctx->in[0]->shape;
    if (s.dim[1] % (b * b) != 0)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%" PRId64 " channels are not a multiple of %" PRId64, s.dim[1], b * b);
    const char *mode = tsr_node_string(ctx->node, "mode", "DCR");
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the mode '%.20s' is neither DCR nor CRD", mode);
    s.dim[1] /= b * b, s.dim[2] *= b, s.dim[3] *= b;
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status space_to_depth_infer(struct tsr_op_ctx *ctx)
{
    int64_t b;
    TSR_TRY(depth_block(ctx, &b));
    struct tsr_shape s = ctx->in[0]->shape;
    if (s.dim[2] % b != 0 || s.dim[3] % b != 0)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%" PRId64 " x %" PRId64 " is not a multiple of %" PRId64, s.dim[2], s.dim[3], b);
    s.dim[1] *= b * b, s.dim[2] /= b, s.dim[3] /= b;
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

/* Element (n, c, h, w, i, j): channel c of the deep tensor's block place (i, j), at (h, w). */
static void depth_copy(struct tsr_op_ctx *ctx, const struct tsr_tensor *from, struct tsr_tensor *to, bool to_space)
{
    const struct tsr_shape *deep = to_space ? &from->shape : &to->shape;
    int64_t b = tsr_node_int(ctx->node, "blocksize", 1), n = deep->dim[0], ch = deep->dim[1] / (b * b), h = deep->dim[2], w = deep->dim[3];
    bool crd = strcmp(tsr_node_string(ctx->node, "mode", "DCR"), "CRD") == 0;
    struct tsr_copy c = {.dtype = from->dtype, .rank = 6, .dim = {n, ch, h, w, b, b}, .dst = to->data, .src = from->data};
    int64_t plane = h * w;
    const int64_t d[6] = {ch * b * b * plane, crd ? b * b * plane : plane, w, 1, crd ? b * plane : b * ch * plane, crd ? plane : ch * plane};
    const int64_t s[6] = {ch * b * b * plane, b * b * plane, b * b * w, b, b * w, 1};
    memcpy(to_space ? c.ss : c.ds, d, sizeof d);
    memcpy(to_space ? c.ds : c.ss, s, sizeof s);
    tsr_copy_run(ctx->pool, &c);
}

#define DEPTH(name, way)                                                                           \
    static enum tsr_status name##_forward(struct tsr_op_ctx *ctx)                                  \
    {                                                                                              \
        depth_copy(ctx, ctx->in[0], &ctx->out[0], way);                                            \
        return TSR_OK;                                                                             \
    }                                                                                              \
    static enum tsr_status name##_backward(struct tsr_op_ctx *ctx)                                 \
    {                                                                                              \
        if (!ctx->want_gin[0]) return TSR_OK;                                                      \
        if (ctx->gout[0]) depth_copy(ctx, ctx->gout[0], &ctx->gin[0], !(way));                     \
        else zero(&ctx->gin[0]);                                                                   \
        return TSR_OK;                                                                             \
    }
DEPTH(depth_to_space, true)
DEPTH(space_to_depth, false)

/* ---- Trilu ---- */

static enum tsr_status trilu_infer(struct tsr_op_ctx *ctx)
{
    int64_t k;
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_ANY));
    if (ctx->in[0]->shape.rank < 2) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the input is not a matrix");
    return tsr_arg_int(ctx, 1, 0, &k);
}

static enum tsr_status trilu_run(struct tsr_op_ctx *ctx, const struct tsr_tensor *from, struct tsr_tensor *to)
{
    static const double none;
    const struct tsr_shape *s = &from->shape;
    int64_t k, rows = s->dim[s->rank - 2], cols = s->dim[s->rank - 1], n = tsr_arg_span(s, 0, s->rank - 1);
    bool upper = tsr_node_int(ctx->node, "upper", 1) != 0;
    TSR_TRY(tsr_arg_int(ctx, 1, 0, &k));
    k = k > cols ? cols : k < -rows ? -rows : k;
    for (int64_t r = 0; r < n; r++) {
        int64_t edge = r % rows + k + !upper; /* upper keeps [edge, cols), lower keeps [0, edge) */
        edge = edge < 0 ? 0 : edge > cols ? cols : edge;
        int64_t from_col = upper ? edge : 0, kept = upper ? cols - edge : edge;
        tsr_copy_fill(to->dtype, to->data, r * cols + (upper ? 0 : edge), cols - kept, &none);
        struct tsr_copy c = {.dtype = to->dtype, .rank = 1, .dim = {kept}, .ds = {1}, .ss = {1}, .dst = to->data, .src = from->data};
        c.d0 = c.s0 = r * cols + from_col;
        tsr_copy_run(NULL, &c);
    }
    return TSR_OK;
}

static enum tsr_status trilu_forward(struct tsr_op_ctx *ctx) { return trilu_run(ctx, ctx->in[0], &ctx->out[0]); }
static enum tsr_status trilu_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    if (ctx->gout[0]) return trilu_run(ctx, ctx->gout[0], &ctx->gin[0]);
    zero(&ctx->gin[0]);
    return TSR_OK;
}

const struct tsr_op tsr_ops_movement[] = {
    {"Concat", "", 0, 1, -1, 1, concat_infer, concat_forward, concat_backward, 0},
    {"DepthToSpace", "", 0, 1, 1, 1, depth_to_space_infer, depth_to_space_forward, depth_to_space_backward, 0},
    {"Expand", "", TSR_OP_DATA_SHAPE, 2, 2, 1, expand_infer, expand_forward, expand_backward, 0},
    {"SpaceToDepth", "", 0, 1, 1, 1, space_to_depth_infer, space_to_depth_forward, space_to_depth_backward, 0},
    {"Split", "", TSR_OP_DATA_SHAPE, 1, 2, INT32_MAX, split_infer, split_forward, split_backward, 0},
    {"Tile", "", TSR_OP_DATA_SHAPE, 2, 2, 1, tile_infer, tile_forward, tile_backward, 0},
    {"Transpose", "", 0, 1, 1, 1, transpose_infer, transpose_forward, transpose_backward, 0},
    {"Trilu", "", TSR_OP_DATA_SHAPE, 1, 2, 1, trilu_infer, trilu_forward, trilu_backward, 0},
};
const size_t tsr_n_ops_movement = sizeof tsr_ops_movement / sizeof *tsr_ops_movement;
