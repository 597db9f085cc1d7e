/* unique.c - Unique: the different elements of a tensor, or its different slices along an axis, sorted or
 * in the order in which they come. */
#include "base/mem.h"
#include "ops/copy.h"
#include "ops/families.h"

#include <stdlib.h>
#include <string.h>

/* Slice k of n: elements k * step + i of every one of `outer` blocks, i < inner. */
struct slices {
    const struct tsr_tensor *x;
    int64_t n, outer, inner;
    int64_t *order; /* slices by value, then by place */
    int64_t *first, *count, *group; /* per unique slice: where first, how often; per slice: its unique one */
    int64_t found;
};

static int compare_elements(const struct tsr_tensor *x, int64_t a, int64_t b)
{
    if (tsr_dtype_is_float(x->dtype)) {
        const double p = tsr_load_f64(x->dtype, x->data, a), q = tsr_load_f64(x->dtype, x->data, b);
        if (p != p || q != q) return (p != p) - (q != q); /* NaN is one value, behind all others */
        return p < q ? -1 : p > q;
    }
    int64_t p = tsr_load_i64(x->dtype, x->data, a), q = tsr_load_i64(x->dtype, x->data, b);
    if (x->dtype == TSR_U64) p = (int64_t)((uint64_t)p ^ (uint64_t)1 << 63), q = (int64_t)((uint64_t)q ^ (uint64_t)1 << 63);
    return p < q ? -1 : p > q;
}

static int compare_slices(const struct slices *s, int64_t a, int64_t b)
{
    for (int64_t o = 0; o < s->outer; o++)
        for (int64_t i = 0; i < s->inner; i++) {
            int c = compare_elements(s->x, (o * s->n + a) * s->inner + i, (o * s->n + b) * s->inner + i);
            if (c != 0) return c;
        }
    return 0;
}

/* Merge sort: the order of equal slices is kept. */
static void sort_slices(const struct slices *s, int64_t *order, int64_t *room, int64_t n)
{
    if (n < 2) return;
    const int64_t half = n / 2;
    sort_slices(s, order, room, half);
    sort_slices(s, order + half, room, n - half);
    memcpy(room, order, (size_t)n * sizeof *order);
    for (int64_t i = 0, a = 0, b = half; i < n; i++)
        order[i] = b >= n || (a < half && compare_slices(s, room[a], room[b]) <= 0) ? room[a++] : room[b++];
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Groups of equal slices; unsorted ones are numbered by where they first occur. */
static void find_groups(struct slices *s, bool sorted, int64_t *room)
{
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t k = s->order[i];
        if (i == 0 || compare_slices(s, s->order[i - 1], k) != 0) {
            s->first[s->found] = k;
            s->count[s->found++] = 0;
        }
        s->group[k] = s->found - 1;
        s->count[s->found - 1]++;
    }
    if (sorted || s->found == 0) return;
    int64_t *rank = room, *count = room + s->n;
    memcpy(count, s->count, (size_t)s->found * sizeof *count);
    for (int64_t g = 0; g < s->found; g++) s->order[g] = s->first[g];
    qsort(s->order, (size_t)s->found, sizeof *s->order, by_value);
    for (int64_t g = 0; g < s->found; g++) rank[s->group[s->order[g]]] = g;
    for (int64_t g = 0; g < s->found; g++) s->count[rank[g]] = count[g];
    memcpy(s->first, s->order, (size_t)s->found * sizeof *s->first);
    for (int64_t k = 0; k < s->n; k++) s->group[k] = rank[s->group[k]];
}

static enum tsr_status give_list(struct tsr_op_ctx *ctx, int i, int64_t n, const int64_t *v)
{
    const struct tsr_shape s = {1, {n}};
    if (i >= ctx->node->n_out || !ctx->want_out[i]) return TSR_OK;
    TSR_TRY(tsr_tensor_new(&ctx->out[i], TSR_I64, &s, ctx->alloc, ctx->err));
    if (n > 0) memcpy(ctx->out[i].data, v, (size_t)n * sizeof *v);
    return TSR_OK;
}

static enum tsr_status give_values(struct tsr_op_ctx *ctx, const struct slices *s, const struct tsr_shape *shape)
{
    if (!ctx->want_out[0]) return TSR_OK;
    TSR_TRY(tsr_tensor_new(&ctx->out[0], s->x->dtype, shape, ctx->alloc, ctx->err));
    for (int64_t g = 0; g < s->found; g++) {
        const struct tsr_copy c = {.dtype = s->x->dtype, .rank = 2, .dim = {s->outer, s->inner}, .dst = ctx->out[0].data,
                                   .src = s->x->data, .ds = {s->found * s->inner, 1}, .ss = {s->n * s->inner, 1},
                                   .d0 = g * s->inner, .s0 = s->first[g] * s->inner};
        tsr_copy_run(NULL, &c);
    }
    return TSR_OK;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct tsr_shape shape;
    int axis = 0;
    const bool flat = !tsr_node_attr(ctx->node, "axis");
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_BYTES));
    const struct tsr_tensor *x = ctx->in[0];
    shape = x->shape;
    if (flat) shape = (struct tsr_shape){1, {tsr_tensor_count(x)}};
    else TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), shape.rank, &axis));
    struct slices s = {.x = x, .n = shape.dim[axis], .outer = tsr_arg_span(&shape, 0, axis),
                       .inner = tsr_arg_span(&shape, axis + 1, shape.rank)};
    int64_t *room = tsr_malloc((size_t)s.n, 6 * sizeof *room);
    if (!room) return tsr_nomem(ctx->err, (size_t)s.n * 6 * sizeof *room);
    s.order = room + 2 * s.n, s.first = room + 3 * s.n, s.count = room + 4 * s.n, s.group = room + 5 * s.n;
    for (int64_t i = 0; i < s.n; i++) s.order[i] = i;
    sort_slices(&s, s.order, room, s.n);
    find_groups(&s, tsr_node_int(ctx->node, "sorted", 1) != 0, room);
    shape.dim[axis] = s.found;
    enum tsr_status status = give_values(ctx, &s, &shape);
    if (status == TSR_OK) status = give_list(ctx, 1, s.found, s.first);
    if (status == TSR_OK) status = give_list(ctx, 2, s.n, s.group);
    if (status == TSR_OK) status = give_list(ctx, 3, s.found, s.count);
    tsr_free(room);
    return status;
}

const struct tsr_op tsr_ops_unique[] = {
    {"Unique", "", TSR_OP_DYNAMIC, 1, 1, 4, NULL, forward, NULL, 0},
};
const size_t tsr_n_ops_unique = sizeof tsr_ops_unique / sizeof *tsr_ops_unique;
