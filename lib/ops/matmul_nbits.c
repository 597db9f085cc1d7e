/* matmul_nbits.c - MatMulNBits of com.microsoft: Y = A B' (+ bias) with the rows of B in blocks of few
 * bits, B[n][k] = (bits - zero) * scale. */
#include "ops/families.h"
#include "ops/arg.h"
#include "ops/par.h"
#include "base/mem.h"
#include "tensor/gemm.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS = 64 }; /* rows of B made float at a time */

struct nbits {
    int64_t k, n, bits, block, blocks, blob; /* blob: bytes of a block */
    const uint8_t *b, *zero_bits;            /* zero_bits: packed zero points, or NULL */
    const float *scale, *zero;               /* zero: float zero points, or NULL */
    const int32_t *group;                    /* the block that k belongs to, or NULL: in order */
    float *row;                              /* [ROWS, k] */
    int64_t first;
};

static enum tsr_status count_is(struct tsr_op_ctx *ctx, int i, const char *what, int64_t n)
{
    const struct tsr_tensor *t = tsr_arg_in(ctx, i);
    if (t == NULL || tsr_tensor_count(t) == n) return TSR_OK;
    return tsr_op_fail(ctx, TSR_E_MISMATCH, "%s has %" PRId64 " elements instead of %" PRId64, what, tsr_tensor_count(t), n);
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct nbits *v)
{
    char text[TSR_SHAPE_TEXT];
    memset(v, 0, sizeof *v);
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK(TSR_F32)));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK(TSR_U8)));
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(TSR_F32)));
    v->k = tsr_node_int(ctx->node, "K", 0);
    v->n = tsr_node_int(ctx->node, "N", 0);
    v->bits = tsr_node_int(ctx->node, "bits", 4);
    v->block = tsr_node_int(ctx->node, "block_size", 0);
    if (v->bits != 2 && v->bits != 4 && v->bits != 8)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "%" PRId64 " bits; 2, 4 and 8 are supported", v->bits);
    if (v->k < 1 || v->n < 1 || v->k > INT32_MAX || v->n > INT32_MAX || v->block < 16 || v->block > 1 << 20 ||
        (v->block & (v->block - 1)) != 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "K %" PRId64 ", N %" PRId64 " and block_size %" PRId64 " make no sense", v->k,
                           v->n, v->block);
    v->blocks = (v->k + v->block - 1) / v->block;
    v->blob = v->block * v->bits / 8;
    const struct tsr_shape *a = &ctx->in[0]->shape;
    if (a->rank < 1 || a->dim[a->rank - 1] != v->k)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "A %s does not have %" PRId64 " columns", tsr_shape_text(a, text, sizeof text), v->k);
    TSR_TRY(count_is(ctx, 1, "B", v->n * v->blocks * v->blob));
    TSR_TRY(count_is(ctx, 2, "scales", v->n * v->blocks));
    const struct tsr_tensor *zero = tsr_arg_in(ctx, 3), *group = tsr_arg_in(ctx, 4), *bias = tsr_arg_in(ctx, 5);
    if (zero != NULL) {
        TSR_TRY(tsr_op_need(ctx, 3, TSR_MASK(TSR_U8) | TSR_MASK(TSR_F32)));
        bool packed = zero->dtype == TSR_U8;
        TSR_TRY(count_is(ctx, 3, "zero_points", v->n * (packed ? (v->blocks * v->bits + 7) / 8 : v->blocks)));
        if (packed) v->zero_bits = zero->data;
        else v->zero = zero->data;
    }
    if (group != NULL) {
        TSR_TRY(tsr_op_need(ctx, 4, TSR_MASK(TSR_I32)));
        if (tsr_tensor_count(group) < v->k)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "g_idx has %" PRId64 " elements for %" PRId64 " rows", tsr_tensor_count(group), v->k);
        v->group = group->data;
        for (int64_t i = 0; i < v->k; i++)
            if (v->group[i] < 0 || v->group[i] >= v->blocks)
                return tsr_op_fail(ctx, TSR_E_CORRUPT, "g_idx names block %d of %" PRId64, (int)v->group[i], v->blocks);
    }
    if (bias != NULL) TSR_TRY(tsr_op_need(ctx, 5, TSR_MASK(TSR_F32)));
    TSR_TRY(count_is(ctx, 5, "bias", v->n));
    v->b = ctx->in[1]->data, v->scale = ctx->in[2]->data;
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct nbits v;
    TSR_TRY(describe(ctx, &v));
    struct tsr_shape out = ctx->in[0]->shape;
    out.dim[out.rank - 1] = v.n;
    tsr_op_set(ctx, 0, TSR_F32, &out);
    return TSR_OK;
}

static int field(const uint8_t *p, int64_t i, int64_t bits) /* the first in the lowest bits */
{
    return p[i * bits / 8] >> (i * bits % 8) & ((1 << bits) - 1);
}

static float zero_of(const struct nbits *v, int64_t row, int64_t block)
{
    if (v->zero != NULL) return v->zero[row * v->blocks + block];
    if (v->zero_bits == NULL) return (float)(1 << (v->bits - 1));
    return (float)field(v->zero_bits + row * ((v->blocks * v->bits + 7) / 8), block, v->bits);
}

static void widen_rows(void *arg, int64_t from, int64_t to)
{
    const struct nbits *v = arg;
    for (int64_t r = from; r < to; r++) {
        int64_t row = v->first + r;
        const uint8_t *b = v->b + row * v->blocks * v->blob;
        float *y = v->row + r * v->k;
        for (int64_t g = 0; g < v->blocks; g++) {
            int64_t k1 = (g + 1) * v->block < v->k ? (g + 1) * v->block : v->k;
            float zero = zero_of(v, row, g), scale = v->scale[row * v->blocks + g];
            for (int64_t i = g * v->block; i < k1; i++) {
                if (v->group != NULL) zero = zero_of(v, row, v->group[i]), scale = v->scale[row * v->blocks + v->group[i]];
                y[i] = ((float)field(b, i, v->bits) - zero) * scale;
            }
        }
    }
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct nbits v;
    TSR_TRY(describe(ctx, &v));
    size_t bytes = (size_t)(ROWS * v.k) * sizeof(float);
    int64_t m = tsr_arg_span(&ctx->in[0]->shape, 0, ctx->in[0]->shape.rank - 1);
    v.row = tsr_op_scratch(ctx, bytes);
    if (v.row == NULL) return tsr_nomem(ctx->err, bytes);
    const float *bias = tsr_arg_in(ctx, 5) != NULL ? ctx->in[5]->data : NULL;
    for (v.first = 0; v.first < v.n; v.first += ROWS) {
        int64_t rows = v.n - v.first < ROWS ? v.n - v.first : ROWS;
        tsr_par(ctx->pool, rows, tsr_par_rows(v.k), widen_rows, &v);
        const struct tsr_gemm g = {.tb = true, .m = m, .n = rows, .k = v.k, .alpha = 1, .a = ctx->in[0]->data, .b = v.row,
                                   .c = (float *)ctx->out[0].data + v.first, .lda = v.k, .ldb = v.k, .ldc = v.n,
                                   .bias_n = bias != NULL ? bias + v.first : NULL};
        tsr_gemm_run(&g, ctx->pool);
    }
    tsr_op_scratch_free(ctx, v.row, bytes);
    return TSR_OK;
}

const struct tsr_op tsr_ops_matmul_nbits[] = {
    {"MatMulNBits", "com.microsoft", TSR_OP_WIDEN, 3, 6, 1, infer, forward, NULL, 0},
};
const size_t tsr_n_ops_matmul_nbits = sizeof tsr_ops_matmul_nbits / sizeof *tsr_ops_matmul_nbits;
