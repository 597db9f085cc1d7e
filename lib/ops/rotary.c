/* rotary.c - ai.onnx.RotaryEmbedding (23): pairs of a head's elements turn by an angle that grows
 * with their position (Su et al. 2021). Gradients also for the two caches. */
#include <string.h>

#include "ops/arg.h"
#include "ops/families.h"

enum { IN_X, IN_COS, IN_SIN, IN_POS };

struct rotary {
    int64_t B, H, T, D, pairs;  /* 2 * pairs elements of the D turn */
    int64_t sb, sh, st;         /* strides of X and Y; elements of a head lie side by side */
    int64_t first, second, step; /* pair i is elements first + i*step and second + i*step */
    const int64_t *pos;         /* [B,T] rows of the caches, or NULL: row b*T + t */
    int64_t rows;               /* of the caches */
};

static enum tsr_status read_caches(struct tsr_op_ctx *ctx, struct rotary *r)
{
    const struct tsr_tensor *pos = tsr_arg_in(ctx, IN_POS);
    char text[TSR_SHAPE_TEXT];
    r->rows = r->B * r->T;
    if (pos) {
        TSR_TRY(tsr_op_need(ctx, IN_POS, TSR_MASK(TSR_I64)));
        const struct tsr_shape want = {2, {r->B, r->T}};
        if (!tsr_shape_equal(&pos->shape, &want))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "position_ids has shape %s where [batch, sequence] is needed",
                               tsr_shape_text(&pos->shape, text, sizeof text));
        r->pos = pos->data;
    }
    for (int i = IN_COS; i <= IN_SIN; i++) {
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_REAL));
        const struct tsr_shape *s = &ctx->in[i]->shape;
        if (pos && i == IN_COS) r->rows = s->rank == 2 ? s->dim[0] : -1;
        const struct tsr_shape by_id = {2, {r->rows, r->pairs}}, by_place = {3, {r->B, r->T, r->pairs}};
        if (ctx->in[i]->dtype != ctx->in[IN_X]->dtype || !tsr_shape_equal(s, pos ? &by_id : &by_place))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "input %d has shape %s, which does not fit X", i,
                               tsr_shape_text(s, text, sizeof text));
    }
    return TSR_OK;
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct rotary *r)
{
    TSR_TRY(tsr_op_need(ctx, IN_X, TSR_MASK_REAL));
    const struct tsr_shape *x = &ctx->in[IN_X]->shape;
    const int64_t *d = x->dim;
    memset(r, 0, sizeof *r);
    if (x->rank == 4) {
        r->B = d[0], r->H = d[1], r->T = d[2], r->D = d[3];
        r->sb = d[1] * d[2] * d[3], r->sh = d[2] * d[3], r->st = d[3];
    } else if (x->rank == 3) {
        int64_t heads = tsr_node_int(ctx->node, "num_heads", 0);
        if (heads < 1 || d[2] % heads != 0)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "the last dimension of X is no multiple of num_heads");
        r->B = d[0], r->T = d[1], r->H = heads, r->D = d[2] / heads;
        r->sb = d[1] * d[2], r->st = d[2], r->sh = r->D;
    } else {
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X has %d dimensions instead of 3 or 4", x->rank);
    }
    int64_t turning = tsr_node_int(ctx->node, "rotary_embedding_dim", 0);
    if (turning == 0) turning = r->D;
    if (turning < 0 || turning > r->D || turning % 2 != 0)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%lld of a head's %lld elements cannot turn in pairs", (long long)turning,
                           (long long)r->D);
    r->pairs = turning / 2;
    bool interleaved = tsr_node_int(ctx->node, "interleaved", 0) != 0;
    r->first = 0;
    r->second = interleaved ? 1 : r->pairs;
    r->step = interleaved ? 2 : 1;
    return read_caches(ctx, r);
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct rotary r;
    TSR_TRY(describe(ctx, &r));
    tsr_op_set(ctx, 0, ctx->in[IN_X]->dtype, &ctx->in[IN_X]->shape);
    return TSR_OK;
}

/* The row of the caches for sample b at time t. */
static int64_t row_of(const struct rotary *r, int64_t b, int64_t t) { return r->pos ? r->pos[b * r->T + t] : b * r->T + t; }

static enum tsr_status check_positions(struct tsr_op_ctx *ctx, const struct rotary *r)
{
    for (int64_t i = 0; r->pos && i < r->B * r->T; i++)
        if (r->pos[i] < 0 || r->pos[i] >= r->rows)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "position %lld is outside the %lld rows of the caches",
                               (long long)r->pos[i], (long long)r->rows);
    return TSR_OK;
}

/* turn: y = x turned by +angle (sign 1) or -angle (sign -1), the rest copied.
 * cache: adds what one head contributes to the gradients of cos and sin (either may be NULL). */
#define ROTARY(REAL)                                                                                                     \
    static void turn_##REAL(const struct rotary *r, const REAL *x, REAL *y, const REAL *c, const REAL *s, REAL sign)    \
    {                                                                                                                    \
        for (int64_t i = 0; i < r->pairs; i++) {                                                                         \
            const int64_t p = r->first + i * r->step, q = r->second + i * r->step;                                       \
            const REAL a = x[p], b = x[q], sine = sign * s[i];                                                           \
            y[p] = c[i] * a - sine * b;                                                                                  \
            y[q] = sine * a + c[i] * b;                                                                                  \
        }                                                                                                                \
        for (int64_t i = 2 * r->pairs; i < r->D; i++) y[i] = x[i];                                                       \
    }                                                                                                                    \
    static void cache_##REAL(const struct rotary *r, const REAL *x, const REAL *g, REAL *dc, REAL *ds)                  \
    {                                                                                                                    \
        for (int64_t i = 0; i < r->pairs; i++) {                                                                         \
            const int64_t p = r->first + i * r->step, q = r->second + i * r->step;                                       \
            if (dc) dc[i] += g[p] * x[p] + g[q] * x[q];                                                                  \
            if (ds) ds[i] += g[q] * x[p] - g[p] * x[q];                                                                  \
        }                                                                                                                \
    }                                                                                                                    \
    static void turn_all_##REAL(const struct rotary *r, const REAL *x, REAL *y, const REAL *c, const REAL *s, REAL sign) \
    {                                                                                                                    \
        for (int64_t b = 0; b < r->B; b++)                                                                               \
            for (int64_t t = 0; t < r->T; t++)                                                                           \
                for (int64_t h = 0; h < r->H; h++) {                                                                     \
                    const int64_t at = b * r->sb + h * r->sh + t * r->st, k = row_of(r, b, t) * r->pairs;                \
                    turn_##REAL(r, x + at, y + at, c + k, s + k, sign);                                                  \
                }                                                                                                        \
    }                                                                                                                    \
    static void cache_all_##REAL(const struct rotary *r, const REAL *x, const REAL *g, REAL *dc, REAL *ds)              \
    {                                                                                                                    \
        const size_t bytes = (size_t)(r->rows * r->pairs) * sizeof(REAL);                                                \
        if (dc) memset(dc, 0, bytes);                                                                                    \
        if (ds) memset(ds, 0, bytes);                                                                                    \
        for (int64_t b = 0; b < r->B; b++)                                                                               \
            for (int64_t t = 0; t < r->T; t++)                                                                           \
                for (int64_t h = 0; h < r->H; h++) {                                                                     \
                    const int64_t at = b * r->sb + h * r->sh + t * r->st, k = row_of(r, b, t) * r->pairs;                \
                    cache_##REAL(r, x + at, g + at, dc ? dc + k : NULL, ds ? ds + k : NULL);                             \
                }                                                                                                        \
    }
ROTARY(float)
ROTARY(double)

static void turn_all(struct tsr_op_ctx *ctx, const struct rotary *r, const struct tsr_tensor *x, struct tsr_tensor *y, int sign)
{
    const void *c = ctx->in[IN_COS]->data, *s = ctx->in[IN_SIN]->data;
    if (x->dtype == TSR_F32)
        turn_all_float(r, x->data, y->data, c, s, (float)sign);
    else
        turn_all_double(r, x->data, y->data, c, s, (double)sign);
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct rotary r;
    TSR_TRY(describe(ctx, &r));
    TSR_TRY(check_positions(ctx, &r));
    turn_all(ctx, &r, ctx->in[IN_X], &ctx->out[0], 1);
    return TSR_OK;
}

static enum tsr_status backward(struct tsr_op_ctx *ctx)
{
    struct rotary r;
    TSR_TRY(describe(ctx, &r));
    const struct tsr_tensor *g = ctx->gout[0], *x = ctx->in[IN_X];
    void *dc = ctx->want_gin[IN_COS] ? ctx->gin[IN_COS].data : NULL, *ds = ctx->want_gin[IN_SIN] ? ctx->gin[IN_SIN].data : NULL;
    if (!g) {
        for (int i = 0; i < 3; i++)
            if (ctx->want_gin[i]) memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
        return TSR_OK;
    }
    if (ctx->want_gin[IN_X]) turn_all(ctx, &r, g, &ctx->gin[IN_X], -1);
    if (!dc && !ds) return TSR_OK;
    if (x->dtype == TSR_F32)
        cache_all_float(&r, x->data, g->data, dc, ds);
    else
        cache_all_double(&r, x->data, g->data, dc, ds);
    return TSR_OK;
}

const struct tsr_op tsr_ops_rotary[] = {
    {"RotaryEmbedding", "", TSR_OP_WIDEN, 3, 4, 1, infer, forward, backward, 0},
};
const size_t tsr_n_ops_rotary = sizeof tsr_ops_rotary / sizeof *tsr_ops_rotary;
