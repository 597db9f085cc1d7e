/* gather.c - Gather, GatherElements, GatherND: read elements at places that a tensor of indices
 * names. Their gradients add up in the order of the indices. */
#include "ops/copy.h"
#include "ops/families.h"
#include "ops/index.h"
#include "ops/par.h"
#include "tensor/isa.h"

#include <inttypes.h>
#include <string.h>

static enum tsr_status need_indices(struct tsr_op_ctx *ctx, int i, uint32_t types)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    return tsr_op_need(ctx, i, types);
}

enum tsr_status tsr_index_read(struct tsr_op_ctx *ctx, const struct tsr_tensor *t, int64_t i, int64_t dim, int64_t *out)
{
    int64_t v = t->dtype == TSR_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
    if (v < -dim || v >= dim)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "index %" PRId64 " (element %" PRId64 ") is outside a dimension of %" PRId64, v, i, dim);
    *out = v < 0 ? v + dim : v;
    return TSR_OK;
}

/* Checks all indices and leaves them, none negative, in scratch memory of *bytes. */
static enum tsr_status load_indices(struct tsr_op_ctx *ctx, const struct tsr_tensor *t, int64_t dim, int64_t **out, size_t *bytes)
{
    int64_t n = tsr_tensor_count(t);
    *bytes = (size_t)n * sizeof(int64_t);
    *out = tsr_op_scratch(ctx, *bytes);
    if (!*out) return tsr_fail(ctx->err, TSR_E_NOMEM, "cannot allocate %zu bytes of memory", *bytes);
    for (int64_t i = 0; i < n; i++) {
        enum tsr_status s = tsr_index_read(ctx, t, i, dim, &(*out)[i]);
        if (s != TSR_OK) {
            tsr_op_scratch_free(ctx, *out, *bytes);
            return s;
        }
    }
    return TSR_OK;
}

TSR_CLONES static void add_f32(int64_t n, float *d, const float *s)
{
    for (int64_t i = 0; i < n; i++) d[i] += s[i];
}
static void add_f64(int64_t n, double *d, const double *s)
{
    for (int64_t i = 0; i < n; i++) d[i] += s[i];
}

/* ---- Gather ---- */

struct gather {
    enum tsr_dtype dtype;
    int64_t n, dim, inner; /* indices, the axis, elements below it */
    const int64_t *index;
    const char *src;
    char *dst;
};

static enum tsr_status gather_infer(struct tsr_op_ctx *ctx)
{
    int axis;
    TSR_TRY(need_indices(ctx, 1, TSR_MASK_INDEX));
    const struct tsr_shape *x = &ctx->in[0]->shape, *k = &ctx->in[1]->shape;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), x->rank, &axis));
    struct tsr_shape s = {0};
    if (x->rank + k->rank - 1 > TSR_MAX_RANK)
        return tsr_op_fail(ctx, TSR_E_LIMIT, "the result would have %d dimensions, the limit is %d", x->rank + k->rank - 1, TSR_MAX_RANK);
    for (int i = 0; i < axis; i++) s.dim[s.rank++] = x->dim[i];
    for (int i = 0; i < k->rank; i++) s.dim[s.rank++] = k->dim[i];
    for (int i = axis + 1; i < x->rank; i++) s.dim[s.rank++] = x->dim[i];
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

/* Rows of the output: row r = outer * n + i. */
static void gather_rows(void *arg, int64_t from, int64_t to)
{
    const struct gather *g = arg;
    size_t bytes = tsr_dtype_bytes(g->dtype, g->inner), size = tsr_dtype_bytes(g->dtype, 1);
    for (int64_t r = from; r < to; r++) {
        int64_t s = r / g->n * g->dim + g->index[r % g->n];
        const char *src = g->src + (size_t)s * (size_t)g->inner * size;
        char *dst = g->dst + (size_t)r * bytes;
        if (bytes == 4) memcpy(dst, src, 4);
        else memcpy(dst, src, bytes);
    }
}

static void gather_nibbles(const struct gather *g, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < g->inner; i++)
            tsr_store_i64(g->dtype, g->dst, r * g->inner + i,
                          tsr_load_i64(g->dtype, g->src, (r / g->n * g->dim + g->index[r % g->n]) * g->inner + i));
}

static enum tsr_status gather_plan(struct tsr_op_ctx *ctx, struct gather *g, int64_t *outer, int64_t **index, size_t *bytes)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), x->rank, &axis));
    TSR_TRY(load_indices(ctx, ctx->in[1], x->dim[axis], index, bytes));
    *outer = tsr_arg_span(x, 0, axis);
    *g = (struct gather){.dtype = ctx->in[0]->dtype, .n = tsr_tensor_count(ctx->in[1]), .dim = x->dim[axis],
                         .inner = tsr_arg_span(x, axis + 1, x->rank), .index = *index};
    return TSR_OK;
}

static enum tsr_status gather_forward(struct tsr_op_ctx *ctx)
{
    struct gather g;
    int64_t outer, *index;
    size_t bytes;
    TSR_TRY(gather_plan(ctx, &g, &outer, &index, &bytes));
    g.src = ctx->in[0]->data;
    g.dst = ctx->out[0].data;
    if (g.inner > 0 && tsr_dtype_bits(g.dtype) == 4) gather_nibbles(&g, outer * g.n);
    else if (g.inner > 0) tsr_par(ctx->pool, outer * g.n, tsr_par_rows(g.inner), gather_rows, &g);
    tsr_op_scratch_free(ctx, index, bytes);
    return TSR_OK;
}

static void gather_add(void *arg, int64_t from, int64_t to)
{
    const struct gather *g = arg; /* outer positions are independent; within one the order is fixed */
    for (int64_t o = from; o < to; o++)
        for (int64_t i = 0; i < g->n; i++) {
            int64_t d = (o * g->dim + g->index[i]) * g->inner, s = (o * g->n + i) * g->inner;
            if (g->dtype == TSR_F32) add_f32(g->inner, (float *)(void *)g->dst + d, (const float *)(const void *)g->src + s);
            else add_f64(g->inner, (double *)(void *)g->dst + d, (const double *)(const void *)g->src + s);
        }
}

static enum tsr_status gather_backward(struct tsr_op_ctx *ctx)
{
    struct gather g;
    int64_t outer, *index;
    size_t bytes;
    if (!ctx->want_gin[0]) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
    if (!ctx->gout[0]) return TSR_OK;
    TSR_TRY(gather_plan(ctx, &g, &outer, &index, &bytes));
    g.src = ctx->gout[0]->data;
    g.dst = ctx->gin[0].data;
    tsr_par(ctx->pool, outer, tsr_par_rows(g.n * g.inner), gather_add, &g);
    tsr_op_scratch_free(ctx, index, bytes);
    return TSR_OK;
}

/* ---- GatherElements ---- */

static enum tsr_status elements_infer(struct tsr_op_ctx *ctx)
{
    int axis;
    TSR_TRY(need_indices(ctx, 1, TSR_MASK_INDEX));
    const struct tsr_shape *x = &ctx->in[0]->shape, *k = &ctx->in[1]->shape;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), x->rank, &axis));
    TSR_TRY(tsr_index_fits(ctx, x, k, axis));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, k);
    return TSR_OK;
}

enum tsr_status tsr_index_fits(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const struct tsr_shape *k, int axis)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    bool fits = x->rank == k->rank;
    for (int i = 0; i < x->rank && fits; i++) fits = i == axis || k->dim[i] <= x->dim[i];
    if (fits) return TSR_OK;
    return tsr_op_fail(ctx, TSR_E_MISMATCH, "indices of shape %s do not fit data of shape %s along axis %d",
                       tsr_shape_text(k, b, sizeof b), tsr_shape_text(x, a, sizeof a), axis);
}

enum tsr_status tsr_index_elements(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const struct tsr_tensor *k, int axis,
                                   enum tsr_status (*fn)(void *arg, int64_t data, int64_t i), void *arg)
{
    int64_t stride[TSR_MAX_RANK], index[TSR_MAX_RANK] = {0}, n = tsr_tensor_count(k);
    tsr_arg_strides(x, stride);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0, v = 0;
        TSR_TRY(tsr_index_read(ctx, k, i, x->dim[axis], &v));
        for (int d = 0; d < x->rank; d++) at += (d == axis ? v : index[d]) * stride[d];
        TSR_TRY(fn(arg, at, i));
        for (int d = x->rank - 1; d >= 0 && ++index[d] == k->shape.dim[d]; d--) index[d] = 0;
    }
    return TSR_OK;
}

struct move {
    enum tsr_dtype dtype;
    size_t size;
    char *dst;
    const char *src;
};

static void move_one(const struct move *m, int64_t d, int64_t s)
{
    if (tsr_dtype_bits(m->dtype) == 4) tsr_store_i64(m->dtype, m->dst, d, tsr_load_i64(m->dtype, m->src, s));
    else memcpy(m->dst + (size_t)d * m->size, m->src + (size_t)s * m->size, m->size);
}
static enum tsr_status take_one(void *arg, int64_t data, int64_t i)
{
    move_one(arg, i, data);
    return TSR_OK;
}
static enum tsr_status add_one(void *arg, int64_t data, int64_t i)
{
    const struct move *m = arg;
    if (m->dtype == TSR_F32) ((float *)(void *)m->dst)[data] += ((const float *)(const void *)m->src)[i];
    else ((double *)(void *)m->dst)[data] += ((const double *)(const void *)m->src)[i];
    return TSR_OK;
}

static enum tsr_status elements_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    struct move m = {x->dtype, tsr_dtype_bytes(x->dtype, 1), ctx->out[0].data, x->data};
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), x->shape.rank, &axis));
    return tsr_index_elements(ctx, &x->shape, ctx->in[1], axis, take_one, &m);
}

static enum tsr_status elements_backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    int axis;
    if (!ctx->want_gin[0]) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
    if (!g) return TSR_OK;
    struct move m = {g->dtype, 0, ctx->gin[0].data, g->data};
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), x->shape.rank, &axis));
    return tsr_index_elements(ctx, &x->shape, ctx->in[1], axis, add_one, &m);
}

/* ---- GatherND ---- */

static enum tsr_status nd_infer(struct tsr_op_ctx *ctx)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    TSR_TRY(need_indices(ctx, 1, TSR_MASK(TSR_I64)));
    const struct tsr_shape *x = &ctx->in[0]->shape, *k = &ctx->in[1]->shape;
    int64_t batch = tsr_node_int(ctx->node, "batch_dims", 0);
    bool fits = k->rank >= 1 && x->rank >= 1 && batch >= 0 && batch < k->rank && batch < x->rank;
    int64_t last = fits ? k->dim[k->rank - 1] : 0;
    fits = fits && last <= x->rank - batch;
    for (int i = 0; fits && i < (int)batch; i++) fits = x->dim[i] == k->dim[i];
    if (!fits)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "indices of shape %s do not fit data of shape %s with %" PRId64 " batch dimensions",
                           tsr_shape_text(k, b, sizeof b), tsr_shape_text(x, a, sizeof a), batch);
    struct tsr_shape s = {0};
    int from = (int)(batch + last);
    if (k->rank - 1 + x->rank - from > TSR_MAX_RANK) return tsr_op_fail(ctx, TSR_E_LIMIT, "the result would have too many dimensions");
    for (int i = 0; i < k->rank - 1; i++) s.dim[s.rank++] = k->dim[i];
    for (int i = from; i < x->rank; i++) s.dim[s.rank++] = x->dim[i];
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

enum tsr_status tsr_index_nd(struct tsr_op_ctx *ctx, const struct tsr_shape *x, const struct tsr_tensor *k, int batch,
                             enum tsr_status (*fn)(void *arg, int64_t data, int64_t slice, int64_t inner), void *arg)
{
    int last = (int)k->shape.dim[k->shape.rank - 1];
    int64_t inner = tsr_arg_span(x, batch + last, x->rank), slices = tsr_arg_span(&k->shape, 0, k->shape.rank - 1);
    int64_t batches = tsr_arg_span(x, 0, batch), per = batches ? slices / batches : 0, stride[TSR_MAX_RANK];
    tsr_arg_strides(x, stride);
    for (int64_t s = 0; s < slices; s++) {
        int64_t at = batch ? s / per * stride[batch - 1] : 0;
        for (int j = 0; j < last; j++) {
            int64_t v = 0;
            TSR_TRY(tsr_index_read(ctx, k, s * last + j, x->dim[batch + j], &v));
            at += v * stride[batch + j];
        }
        TSR_TRY(fn(arg, at, s, inner));
    }
    return TSR_OK;
}

static enum tsr_status take_slice(void *arg, int64_t data, int64_t slice, int64_t inner)
{
    const struct move *m = arg;
    if (tsr_dtype_bits(m->dtype) == 4)
        for (int64_t i = 0; i < inner; i++) move_one(m, slice * inner + i, data + i);
    else if (inner > 0) memcpy(m->dst + (size_t)(slice * inner) * m->size, m->src + (size_t)data * m->size, (size_t)inner * m->size);
    return TSR_OK;
}
static enum tsr_status add_slice(void *arg, int64_t data, int64_t slice, int64_t inner)
{
    const struct move *m = arg;
    if (m->dtype == TSR_F32) add_f32(inner, (float *)(void *)m->dst + data, (const float *)(const void *)m->src + slice * inner);
    else add_f64(inner, (double *)(void *)m->dst + data, (const double *)(const void *)m->src + slice * inner);
    return TSR_OK;
}

static enum tsr_status nd_forward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0];
    struct move m = {x->dtype, tsr_dtype_bytes(x->dtype, 1), ctx->out[0].data, x->data};
    return tsr_index_nd(ctx, &x->shape, ctx->in[1], (int)tsr_node_int(ctx->node, "batch_dims", 0), take_slice, &m);
}

static enum tsr_status nd_backward(struct tsr_op_ctx *ctx)
{
    const struct tsr_tensor *x = ctx->in[0], *g = ctx->gout[0];
    if (!ctx->want_gin[0]) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    memset(ctx->gin[0].data, 0, tsr_tensor_bytes(&ctx->gin[0]));
    if (!g) return TSR_OK;
    struct move m = {g->dtype, 0, ctx->gin[0].data, g->data};
    return tsr_index_nd(ctx, &x->shape, ctx->in[1], (int)tsr_node_int(ctx->node, "batch_dims", 0), add_slice, &m);
}

const struct tsr_op tsr_ops_gather[] = {
    {"Gather", "", 0, 2, 2, 1, gather_infer, gather_forward, gather_backward, 1},
    {"GatherElements", "", 0, 2, 2, 1, elements_infer, elements_forward, elements_backward, 0},
    {"GatherND", "", 0, 2, 2, 1, nd_infer, nd_forward, nd_backward, 0},
};
const size_t tsr_n_ops_gather = sizeof tsr_ops_gather / sizeof *tsr_ops_gather;
