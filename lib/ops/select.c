/* select.c - operators that pick by value: OneHot, NonZero, Compress, ReverseSequence, TopK. */
#include "base/mem.h"
#include "ops/copy.h"
#include "ops/families.h"
#include "ops/index.h"
#include "ops/par.h"

#include <inttypes.h>
#include <string.h>

static void zero(struct tsr_tensor *t)
{
    size_t bytes = tsr_tensor_bytes(t);
    if (bytes) memset(t->data, 0, bytes);
}

/* ---- OneHot ---- */

static enum tsr_status one_hot_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_FLOAT | TSR_MASK_INT));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_FLOAT | TSR_MASK_INT));
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK_ANY));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    int axis;
    if (tsr_tensor_count(ctx->in[1]) != 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the depth must be one number");
    if (tsr_tensor_count(ctx->in[2]) != 2) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the values must be two: off and on");
    if (x->rank == TSR_MAX_RANK) return tsr_op_fail(ctx, TSR_E_LIMIT, "the result would have too many dimensions");
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -1), x->rank + 1, &axis));
    int64_t depth = tsr_load_i64(ctx->in[1]->dtype, ctx->in[1]->data, 0);
    if (depth < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "the depth %" PRId64 " is negative", depth);
    struct tsr_shape s = {.rank = x->rank + 1};
    for (int i = 0, k = 0; i < s.rank; i++) s.dim[i] = i == axis ? depth : x->dim[k++];
    tsr_op_set(ctx, 0, ctx->in[2]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status one_hot_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0], *v = ctx->in[2];
    struct tsr_tensor *y = &ctx->out[0];
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -1), y->shape.rank, &axis));
    int64_t depth = y->shape.dim[axis], inner = tsr_arg_span(&y->shape, axis + 1, y->shape.rank);
    tsr_copy_fill(y->dtype, y->data, 0, tsr_tensor_count(y), v->data);
    struct tsr_copy one = {.dtype = y->dtype, .rank = 1, .dim = {1}, .ds = {1}, .ss = {1}, .dst = y->data, .src = v->data, .s0 = 1};
    for (int64_t i = 0, n = tsr_tensor_count(x); i < n; i++) {
        int64_t k = tsr_load_i64(x->dtype, x->data, i);
        if (k < -depth || k >= depth) continue; /* out of range: nothing is on */
        if (k < 0) k += depth;
        one.d0 = (i / inner * depth + k) * inner + i % inner;
        tsr_copy_run(NULL, &one);
    }
    return TSR_OK;
}

/* ---- NonZero ---- */

static bool is_set(const struct tsr_tensor *x, int64_t i)
{
    return tsr_dtype_is_float(x->dtype) ? tsr_load_f64(x->dtype, x->data, i) != 0 : tsr_load_i64(x->dtype, x->data, i) != 0;
}

static enum tsr_status non_zero_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    const struct tsr_tensor *x = ctx->in[0];
    int64_t found = 0;
    for (int64_t i = 0, n = tsr_tensor_count(x); i < n; i++) found += is_set(x, i);
    tsr_op_set(ctx, 0, TSR_I64, &(struct tsr_shape){2, {x->shape.rank ? x->shape.rank : 1, found}});
    return TSR_OK;
}

static enum tsr_status non_zero_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    int64_t *y = ctx->out[0].data, found = ctx->out[0].shape.dim[1], k = 0;
    for (int64_t i = 0, n = tsr_tensor_count(x); i < n && k < found; i++) {
        if (!is_set(x, i)) continue;
        int64_t rest = i;
        if (x->shape.rank == 0) y[k] = 0;
        for (int d = x->shape.rank - 1; d >= 0; d--) {
            y[d * found + k] = rest % x->shape.dim[d];
            rest /= x->shape.dim[d];
        }
        k++;
    }
    return TSR_OK;
}

/* ---- Compress ---- */

/* The tensor as [outer, n, inner], n the axis or all elements. */
static enum tsr_status compress_cut(struct tsr_op_ctx *ctx, int64_t *outer, int64_t *n, int64_t *inner, int *axis)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    *axis = -1;
    *outer = *inner = 1;
    *n = tsr_shape_count(x);
    if (!tsr_node_attr(ctx->node, "axis")) return TSR_OK;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), x->rank, axis));
    *outer = tsr_arg_span(x, 0, *axis);
    *n = x->dim[*axis];
    *inner = tsr_arg_span(x, *axis + 1, x->rank);
    return TSR_OK;
}

static enum tsr_status compress_infer(struct tsr_op_ctx *ctx)
{
    int64_t outer, n, inner, kept = 0;
    int axis;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(TSR_BOOL)));
    TSR_TRY(compress_cut(ctx, &outer, &n, &inner, &axis));
    const uint8_t *on = ctx->in[1]->data;
    int64_t m = tsr_tensor_count(ctx->in[1]);
    for (int64_t i = 0; i < m; i++) {
        if (on[i] && i >= n) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the condition picks element %" PRId64 " of %" PRId64, i, n);
        kept += on[i] != 0;
    }
    struct tsr_shape s = {1, {kept}};
    if (axis >= 0) {
        s = ctx->in[0]->shape;
        s.dim[axis] = kept;
    }
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static enum tsr_status compress_run(struct tsr_op_ctx *ctx, const struct tsr_tensor *from, struct tsr_tensor *to, bool back)
{
    int64_t outer, n, inner, k = 0;
    int axis;
    TSR_TRY(compress_cut(ctx, &outer, &n, &inner, &axis));
    const uint8_t *on = ctx->in[1]->data;
    int64_t m = tsr_tensor_count(ctx->in[1]), kept = axis >= 0 ? ctx->out[0].shape.dim[axis] : ctx->out[0].shape.dim[0];
    struct tsr_copy c = {.dtype = from->dtype, .rank = 2, .dim = {outer, inner}, .dst = to->data, .src = from->data};
    c.ss[1] = c.ds[1] = 1;
    c.ss[0] = (back ? kept : n) * inner;
    c.ds[0] = (back ? n : kept) * inner;
    for (int64_t i = 0; i < m; i++) {
        if (!on[i]) continue;
        c.s0 = (back ? k : i) * inner;
        c.d0 = (back ? i : k) * inner;
        tsr_copy_run(NULL, &c);
        k++;
    }
    return TSR_OK;
}

static enum tsr_status compress_forward(struct tsr_op_ctx *ctx) { return compress_run(ctx, ctx->in[0], &ctx->out[0], false); }
static enum tsr_status compress_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    zero(&ctx->gin[0]);
    return ctx->gout[0] ? compress_run(ctx, ctx->gout[0], &ctx->gin[0], true) : TSR_OK;
}

/* ---- ReverseSequence ---- */

static enum tsr_status reverse_infer(struct tsr_op_ctx *ctx)
{
    TSR_TRY(tsr_arg_same(ctx, TSR_MASK_ANY));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(TSR_I64)));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    int64_t batch = tsr_node_int(ctx->node, "batch_axis", 1), time = tsr_node_int(ctx->node, "time_axis", 0);
    if (x->rank < 2 || batch + time != 1 || batch * time != 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the batch and time axes must be the first two dimensions");
    if (ctx->in[1]->shape.rank != 1 || tsr_tensor_count(ctx->in[1]) != x->dim[batch])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%" PRId64 " lengths for a batch of %" PRId64, tsr_tensor_count(ctx->in[1]), x->dim[batch]);
    for (int64_t i = 0; i < x->dim[batch]; i++) {
        int64_t len = ((const int64_t *)ctx->in[1]->data)[i];
        if (len < 0 || len > x->dim[time])
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "length %" PRId64 " of sequence %" PRId64 " is outside [0,%" PRId64 "]", len, i, x->dim[time]);
    }
    return TSR_OK;
}

/* Its own inverse. */
static enum tsr_status reverse_run(struct tsr_op_ctx *ctx, const struct tsr_tensor *from, struct tsr_tensor *to)
{
    const struct tsr_shape *x = &from->shape;
    int batch = (int)tsr_node_int(ctx->node, "batch_axis", 1), time = 1 - batch;
    int64_t inner = tsr_arg_span(x, 2, x->rank), bs = batch ? inner : x->dim[1] * inner, ts = time ? inner : x->dim[1] * inner;
    for (int64_t b = 0; b < x->dim[batch]; b++) {
        int64_t len = ((const int64_t *)ctx->in[1]->data)[b], rest = x->dim[time] - len;
        struct tsr_copy c = {.dtype = from->dtype, .rank = 2, .dim = {len, inner}, .ds = {ts, 1}, .ss = {-ts, 1}, .dst = to->data, .src = from->data};
        c.d0 = b * bs;
        c.s0 = b * bs + (len > 0 ? (len - 1) * ts : 0);
        tsr_copy_run(NULL, &c);
        c.dim[0] = rest;
        c.ss[0] = ts;
        c.d0 = c.s0 = b * bs + len * ts;
        tsr_copy_run(NULL, &c);
    }
    return TSR_OK;
}
static enum tsr_status reverse_forward(struct tsr_op_ctx *ctx) { return reverse_run(ctx, ctx->in[0], &ctx->out[0]); }
static enum tsr_status reverse_backward(struct tsr_op_ctx *ctx)
{
    if (!ctx->want_gin[0]) return TSR_OK;
    if (ctx->gout[0]) return reverse_run(ctx, ctx->gout[0], &ctx->gin[0]);
    zero(&ctx->gin[0]);
    return TSR_OK;
}

/* ---- TopK ---- */

static enum tsr_status top_infer(struct tsr_op_ctx *ctx)
{
    int64_t k = tsr_node_int(ctx->node, "k", -1);
    int axis;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL | TSR_MASK_INT));
    struct tsr_shape s = ctx->in[0]->shape;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -1), s.rank, &axis));
    if (ctx->node->opset >= 10) TSR_TRY(tsr_arg_int(ctx, 1, -1, &k));
    if (k < 0 || k > s.dim[axis]) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the top %" PRId64 " of %" PRId64 " cannot be had", k, s.dim[axis]);
    s.dim[axis] = k;
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    tsr_op_set(ctx, 1, TSR_I64, &s);
    return TSR_OK;
}

struct entry {
    int64_t key, at; /* larger keys first, then smaller places */
};

/* A number whose order as int64 is that of the element; NaN is the largest. */
static int64_t order_key(const struct tsr_tensor *x, int64_t i, bool largest)
{
    int64_t key;
    if (tsr_dtype_is_float(x->dtype)) {
        double v = tsr_load_f64(x->dtype, x->data, i) + 0.0; /* no negative zero */
        memcpy(&key, &v, sizeof key);
        key = v != v ? INT64_MAX : key < 0 ? key ^ INT64_MAX : key;
    } else key = (int64_t)((uint64_t)tsr_load_i64(x->dtype, x->data, i) ^ (x->dtype == TSR_U64 ? (uint64_t)1 << 63 : 0));
    return largest ? key : ~key;
}

static bool before(struct entry a, struct entry b) { return a.key > b.key || (a.key == b.key && a.at < b.at); }

/* Moves the entry at the root of heap[0, n) down; the root is the entry that comes last. */
static void sift(struct entry *heap, int64_t n, int64_t i)
{
    for (;;) {
        int64_t c = 2 * i + 1;
        if (c >= n) return;
        if (c + 1 < n && before(heap[c], heap[c + 1])) c++;
        if (!before(heap[i], heap[c])) return;
        struct entry t = heap[i];
        heap[i] = heap[c];
        heap[c] = t;
        i = c;
    }
}

static void top_line(const struct tsr_tensor *x, int64_t at, int64_t step, int64_t n, int64_t k, bool largest, struct entry *heap)
{
    for (int64_t i = 0; i < n; i++) {
        struct entry e = {order_key(x, at + i * step, largest), i};
        if (i < k) {
            heap[i] = e;
            for (int64_t j = k / 2 - 1; i == k - 1 && j >= 0; j--) sift(heap, k, j);
        } else if (before(e, heap[0])) {
            heap[0] = e;
            sift(heap, k, 0);
        }
    }
    for (int64_t m = k - 1; m > 0; m--) { /* the last one to the end, over and over */
        struct entry t = heap[0];
        heap[0] = heap[m];
        heap[m] = t;
        sift(heap, m, 0);
    }
}

static enum tsr_status top_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -1), x->shape.rank, &axis));
    int64_t n = x->shape.dim[axis], k = ctx->out[0].shape.dim[axis], inner = tsr_arg_span(&x->shape, axis + 1, x->shape.rank);
    int64_t lines = tsr_arg_span(&x->shape, 0, axis) * inner;
    bool largest = tsr_node_int(ctx->node, "largest", 1) != 0;
    if (k == 0) return TSR_OK;
    size_t bytes = (size_t)k * sizeof(struct entry), size = tsr_dtype_bytes(x->dtype, 1);
    struct entry *heap = tsr_op_scratch(ctx, bytes);
    if (!heap) return tsr_nomem(ctx->err, bytes);
    /* In training the places are kept: the second output may be absent. */
    if (ctx->training) {
        enum tsr_status s = tsr_op_save(ctx, 0, TSR_I64, &ctx->out[0].shape);
        if (s != TSR_OK) return tsr_op_scratch_free(ctx, heap, bytes), s;
    }
    bool want_values = ctx->want_out[0], want_places = ctx->node->n_out > 1 && ctx->want_out[1];
    for (int64_t l = 0; l < lines; l++) {
        int64_t in = l / inner * n * inner + l % inner, out = l / inner * k * inner + l % inner;
        top_line(x, in, inner, n, k, largest, heap);
        for (int64_t i = 0; i < k; i++) {
            int64_t o = out + i * inner;
            if (want_values)
                memcpy((char *)ctx->out[0].data + (size_t)o * size, (const char *)x->data + (size_t)(in + heap[i].at * inner) * size, size);
            if (want_places) ((int64_t *)ctx->out[1].data)[o] = heap[i].at;
            if (ctx->training) ((int64_t *)ctx->saved[0].data)[o] = heap[i].at;
        }
    }
    tsr_op_scratch_free(ctx, heap, bytes);
    return TSR_OK;
}

static enum tsr_status top_backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    int axis;
    if (!ctx->want_gin[0]) return TSR_OK;
    zero(&ctx->gin[0]);
    if (!g) return TSR_OK;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -1), x->shape.rank, &axis));
    int64_t n = x->shape.dim[axis], k = g->shape.dim[axis], inner = tsr_arg_span(&x->shape, axis + 1, x->shape.rank);
    size_t size = tsr_dtype_bytes(x->dtype, 1);
    const int64_t *places = ctx->saved[0].data;
    for (int64_t o = 0, all = tsr_tensor_count(g); o < all; o++) {
        int64_t line = o / (k * inner), at = (line * n + places[o]) * inner + o % inner;
        memcpy((char *)ctx->gin[0].data + (size_t)at * size, (const char *)g->data + (size_t)o * size, size);
    }
    return TSR_OK;
}

const struct tsr_op tsr_ops_select[] = {
    {"Compress", "", TSR_OP_DATA_SHAPE, 2, 2, 1, compress_infer, compress_forward, compress_backward, 0},
    {"NonZero", "", TSR_OP_DATA_SHAPE, 1, 1, 1, non_zero_infer, non_zero_forward, NULL, 0},
    {"OneHot", "", TSR_OP_DATA_SHAPE, 3, 3, 1, one_hot_infer, one_hot_forward, NULL, 0},
    {"ReverseSequence", "", TSR_OP_DATA_SHAPE, 2, 2, 1, reverse_infer, reverse_forward, reverse_backward, 0},
    {"TopK", "", TSR_OP_DATA_SHAPE | TSR_OP_WIDEN, 1, 2, 2, top_infer, top_forward, top_backward, 0},
};
const size_t tsr_n_ops_select = sizeof tsr_ops_select / sizeof *tsr_ops_select;
