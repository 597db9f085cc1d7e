/* scatter.c - Scatter, ScatterElements, ScatterND: write updates at places that indices name. Several
 * updates of one place are applied in the order of the indices. */
#include "ops/families.h"
#include "ops/index.h"

#include <string.h>

enum how { PUT, ADD, MUL, MAX, MIN };

static enum tsr_status get_how(struct tsr_op_ctx *ctx, enum how *how)
{
    static const char *const name[] = {"none", "add", "mul", "max", "min"};
    const char *r = tsr_node_string(ctx->node, "reduction", "none");
    for (int i = 0; i < 5; i++)
        if (strcmp(r, name[i]) == 0) {
            *how = (enum how)i;
            return TSR_OK;
        }
    return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the reduction '%.20s' is unknown", r);
}

struct write {
    enum tsr_dtype dtype;
    enum how how;
    size_t size;
    void *data;
    const void *updates;
};

static void write_one(const struct write *w, int64_t d, int64_t s)
{
    enum tsr_dtype t = w->dtype;
    if (w->how == PUT) {
        if (tsr_dtype_bits(t) == 4) tsr_store_i64(t, w->data, d, tsr_load_i64(t, w->updates, s));
        else memcpy((char *)w->data + (size_t)d * w->size, (const char *)w->updates + (size_t)s * w->size, w->size);
    } else if (tsr_dtype_is_float(t)) {
        double a = tsr_load_f64(t, w->data, d), b = tsr_load_f64(t, w->updates, s);
        double v = w->how == ADD ? a + b : w->how == MUL ? a * b : (w->how == MAX ? a > b : a < b) || a != a ? a : b;
        tsr_store_f64(t, w->data, d, v);
    } else {
        uint64_t flip = t == TSR_U64 ? (uint64_t)1 << 63 : 0;
        uint64_t a = (uint64_t)tsr_load_i64(t, w->data, d), b = (uint64_t)tsr_load_i64(t, w->updates, s);
        int64_t x = (int64_t)(a ^ flip), y = (int64_t)(b ^ flip);
        uint64_t v = w->how == ADD ? a + b : w->how == MUL ? a * b : (w->how == MAX ? x > y : x < y) ? a : b;
        tsr_store_i64(t, w->data, d, (int64_t)v);
    }
}

static enum tsr_status write_element(void *arg, int64_t data, int64_t i)
{
    write_one(arg, data, i);
    return TSR_OK;
}
static enum tsr_status write_slice(void *arg, int64_t data, int64_t slice, int64_t inner)
{
    for (int64_t i = 0; i < inner; i++) write_one(arg, data + i, slice * inner + i);
    return TSR_OK;
}

/* Calls the right walk over (place in the data, place in the updates). */
static enum tsr_status walk(struct tsr_op_ctx *ctx, bool nd, struct write *w)
{
    int axis;
    if (nd) return tsr_index_nd(ctx, &ctx->in[0]->shape, ctx->in[1], 0, write_slice, w);
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), ctx->in[0]->shape.rank, &axis));
    return tsr_index_elements(ctx, &ctx->in[0]->shape, ctx->in[1], axis, write_element, w);
}

static enum tsr_status common_infer(struct tsr_op_ctx *ctx)
{
    enum how how = PUT;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_ANY));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_INDEX));
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(ctx->in[0]->dtype)));
    TSR_TRY(get_how(ctx, &how));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return TSR_OK;
}

static enum tsr_status elements_infer(struct tsr_op_ctx *ctx)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    int axis;
    TSR_TRY(common_infer(ctx));
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), ctx->in[0]->shape.rank, &axis));
    TSR_TRY(tsr_index_fits(ctx, &ctx->in[0]->shape, &ctx->in[1]->shape, axis));
    if (!tsr_shape_equal(&ctx->in[1]->shape, &ctx->in[2]->shape))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "updates of shape %s for indices of shape %s",
                           tsr_shape_text(&ctx->in[2]->shape, a, sizeof a), tsr_shape_text(&ctx->in[1]->shape, b, sizeof b));
    return TSR_OK;
}

static enum tsr_status nd_infer(struct tsr_op_ctx *ctx)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    TSR_TRY(common_infer(ctx));
    const struct tsr_shape *x = &ctx->in[0]->shape, *k = &ctx->in[1]->shape, *u = &ctx->in[2]->shape;
    bool fits = k->rank >= 1 && k->dim[k->rank - 1] <= x->rank;
    int last = fits ? (int)k->dim[k->rank - 1] : 0;
    fits = fits && u->rank == k->rank - 1 + x->rank - last;
    for (int i = 0; fits && i < u->rank; i++) fits = u->dim[i] == (i < k->rank - 1 ? k->dim[i] : x->dim[i - (k->rank - 1) + last]);
    if (fits) return TSR_OK;
    return tsr_op_fail(ctx, TSR_E_MISMATCH, "updates of shape %s do not fit indices of shape %s",
                       tsr_shape_text(u, a, sizeof a), tsr_shape_text(k, b, sizeof b));
}

static enum tsr_status forward(struct tsr_op_ctx *ctx, bool nd)
{
    struct write w = {.dtype = ctx->in[0]->dtype, .size = tsr_dtype_bytes(ctx->in[0]->dtype, 1), .data = ctx->out[0].data, .updates = ctx->in[2]->data};
    TSR_TRY(get_how(ctx, &w.how));
    TSR_TRY(tsr_arg_copy_forward(ctx));
    return walk(ctx, nd, &w);
}

/* The gradient of an update is read where it was written. */
static void read_one(const struct write *w, int64_t d, int64_t s)
{
    memcpy((char *)w->data + (size_t)s * w->size, (const char *)w->updates + (size_t)d * w->size, w->size);
}
static enum tsr_status read_element(void *arg, int64_t data, int64_t i)
{
    read_one(arg, data, i);
    return TSR_OK;
}
static enum tsr_status read_slice(void *arg, int64_t data, int64_t slice, int64_t inner)
{
    for (int64_t i = 0; i < inner; i++) read_one(arg, data + i, slice * inner + i);
    return TSR_OK;
}
static enum tsr_status clear_element(void *arg, int64_t data, int64_t i)
{
    const struct write *w = arg;
    (void)i;
    memset((char *)w->data + (size_t)data * w->size, 0, w->size);
    return TSR_OK;
}
static enum tsr_status clear_slice(void *arg, int64_t data, int64_t slice, int64_t inner)
{
    const struct write *w = arg;
    (void)slice;
    memset((char *)w->data + (size_t)data * w->size, 0, (size_t)inner * w->size);
    return TSR_OK;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx, bool nd)
{
    const struct tsr_tensor *g = ctx->gout[0], *x = ctx->in[0];
    enum how how = PUT;
    int axis = 0;
    TSR_TRY(get_how(ctx, &how));
    if (g && how != PUT && how != ADD)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "there is no gradient for the reductions mul, max and min");
    if (!nd) TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", 0), x->shape.rank, &axis));
    TSR_TRY(tsr_arg_copy_backward(ctx));
    size_t size = tsr_dtype_bytes(x->dtype, 1);
    if (ctx->want_gin[0] && g && how == PUT) { /* what was overwritten has no influence */
        struct write w = {.size = size, .data = ctx->gin[0].data};
        if (nd) TSR_TRY(tsr_index_nd(ctx, &x->shape, ctx->in[1], 0, clear_slice, &w));
        else TSR_TRY(tsr_index_elements(ctx, &x->shape, ctx->in[1], axis, clear_element, &w));
    }
    if (!ctx->want_gin[2]) return TSR_OK;
    if (!g) {
        memset(ctx->gin[2].data, 0, tsr_tensor_bytes(&ctx->gin[2]));
        return TSR_OK;
    }
    struct write w = {.size = size, .data = ctx->gin[2].data, .updates = g->data};
    if (nd) return tsr_index_nd(ctx, &x->shape, ctx->in[1], 0, read_slice, &w);
    return tsr_index_elements(ctx, &x->shape, ctx->in[1], axis, read_element, &w);
}

static enum tsr_status elements_forward(struct tsr_op_ctx *ctx) { return forward(ctx, false); }
static enum tsr_status elements_backward(struct tsr_op_ctx *ctx) { return backward(ctx, false); }
static enum tsr_status nd_forward(struct tsr_op_ctx *ctx) { return forward(ctx, true); }
static enum tsr_status nd_backward(struct tsr_op_ctx *ctx) { return backward(ctx, true); }

const struct tsr_op tsr_ops_scatter[] = {
    {"Scatter", "", TSR_OP_INPLACE, 3, 3, 1, elements_infer, elements_forward, elements_backward, 0},
    {"ScatterElements", "", TSR_OP_INPLACE, 3, 3, 1, elements_infer, elements_forward, elements_backward, 0},
    {"ScatterND", "", TSR_OP_INPLACE, 3, 3, 1, nd_infer, nd_forward, nd_backward, 0},
};
const size_t tsr_n_ops_scatter = sizeof tsr_ops_scatter / sizeof *tsr_ops_scatter;
