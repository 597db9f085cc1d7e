/* tensorscatter.c - TensorScatter: writes new positions into a cache, each sample from its own index on,
 * around the end where the mode is circular. */
#include "base/mem.h"
#include "ops/arg.h"
#include "ops/families.h"

#include <string.h>

struct cache {
    int64_t outer, per_sample, most, fresh; /* blocks; blocks of a sample; positions of the cache, of the update */
    size_t row;                             /* bytes of a position */
    bool circular;
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct cache *c)
{
    const char *mode = tsr_node_string(ctx->node, "mode", "linear");
    int axis;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_BYTES));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(ctx->in[0]->dtype)));
    const struct tsr_shape *x = &ctx->in[0]->shape, *u = &ctx->in[1]->shape;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -2), x->rank, &axis));
    bool fits = axis > 0 && u->rank == x->rank;
    for (int i = 0; fits && i < x->rank; i++) fits = u->dim[i] == x->dim[i] || (i == axis && u->dim[i] <= x->dim[i]);
    if (!fits) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the update does not fit the cache");
    if (strcmp(mode, "linear") != 0 && strcmp(mode, "circular") != 0)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "the mode '%.40s' is unknown", mode);
    *c = (struct cache){tsr_arg_span(x, 0, axis), tsr_arg_span(x, 1, axis), x->dim[axis], u->dim[axis],
                        tsr_dtype_bytes(ctx->in[0]->dtype, tsr_arg_span(x, axis + 1, x->rank)), mode[0] == 'c'};
    if (!tsr_arg_in(ctx, 2)) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(TSR_I64)));
    if (tsr_tensor_count(ctx->in[2]) != x->dim[0])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "there must be a write index for each sample");
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct cache c;
    TSR_TRY(describe(ctx, &c));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return TSR_OK;
}

/* The position of the cache to which position i of the update of a block goes. */
static enum tsr_status target(struct tsr_op_ctx *ctx, const struct cache *c, int64_t block, int64_t i, int64_t *to)
{
    const struct tsr_tensor *index = tsr_arg_in(ctx, 2);
    const int64_t first = index && c->per_sample > 0 ? ((const int64_t *)index->data)[block / c->per_sample] : 0;
    if (first < 0 || (!c->circular && first > c->most - c->fresh))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%lld positions do not fit from %lld on", (long long)c->fresh, (long long)first);
    *to = c->circular ? (first % c->most + i) % c->most : first + i;
    return TSR_OK;
}

static char *row_of(const struct cache *c, void *data, int64_t block, int64_t positions, int64_t i)
{
    return (char *)data + (size_t)(block * positions + i) * c->row;
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct cache c;
    struct tsr_tensor *y = &ctx->out[0];
    TSR_TRY(describe(ctx, &c));
    if (tsr_tensor_count(y) == 0) return TSR_OK;
    memcpy(y->data, ctx->in[0]->data, tsr_tensor_bytes(y));
    for (int64_t block = 0; block < c.outer; block++)
        for (int64_t i = 0; i < c.fresh; i++) {
            int64_t to = 0;
            TSR_TRY(target(ctx, &c, block, i, &to));
            memcpy(row_of(&c, y->data, block, c.most, to), row_of(&c, ctx->in[1]->data, block, c.fresh, i), c.row);
        }
    return TSR_OK;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct cache c;
    const struct tsr_tensor *g = ctx->gout[0];
    TSR_TRY(describe(ctx, &c));
    for (int i = 0; i < 2; i++)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (!g || tsr_tensor_count(g) == 0) return TSR_OK;
    if (ctx->want_gin[0]) memcpy(ctx->gin[0].data, g->data, tsr_tensor_bytes(g));
    for (int64_t block = 0; block < c.outer; block++)
        for (int64_t i = 0; i < c.fresh; i++) {
            int64_t to = 0;
            TSR_TRY(target(ctx, &c, block, i, &to));
            if (ctx->want_gin[1])
                memcpy(row_of(&c, ctx->gin[1].data, block, c.fresh, i), row_of(&c, g->data, block, c.most, to), c.row);
            if (ctx->want_gin[0]) memset(row_of(&c, ctx->gin[0].data, block, c.most, to), 0, c.row);
        }
    return TSR_OK;
}

const struct tsr_op tsr_ops_tensorscatter[] = {
    {"TensorScatter", "", 0, 2, 3, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_tensorscatter = sizeof tsr_ops_tensorscatter / sizeof *tsr_ops_tensorscatter;
