/* qlinear_pool.c - QLinearAveragePool and QLinearGlobalAveragePool of com.microsoft. */
#include "ops/conv_walk.h"
#include "ops/families.h"
#include "ops/par.h"
#include "ops/qproduct.h"
#include "base/mem.h"

#include <string.h>

struct qpool {
    struct tsr_window w;
    bool global, last; /* last: channels are the last dimension */
    bool pad;          /* padding counts */
    enum tsr_dtype type;
    const void *x;
    void *y;
    struct tsr_qscalar qx, qy;
};

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct qpool *v, struct tsr_shape *out)
{
    memset(v, 0, sizeof *v);
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_Q8));
    struct tsr_shape x = ctx->in[0]->shape;
    v->type = ctx->in[0]->dtype;
    v->global = strcmp(ctx->node->op_type, "QLinearGlobalAveragePool") == 0;
    v->last = tsr_node_int(ctx->node, "channels_last", 0) != 0;
    v->pad = tsr_node_int(ctx->node, "count_include_pad", 0) != 0;
    if (x.rank < 3) return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must be [batch, channels, size...]");
    if (v->last) {
        int64_t c = x.dim[x.rank - 1];
        memmove(&x.dim[2], &x.dim[1], (size_t)(x.rank - 2) * sizeof *x.dim);
        x.dim[1] = c;
    }
    if (v->global) {
        v->w.n = x.dim[0], v->w.c = x.dim[1];
        v->w.in_size = tsr_arg_span(&x, 2, x.rank), v->w.out_size = 1;
        if (v->w.in_size == 0 || v->w.in_size > 1 << 22) return tsr_op_fail(ctx, TSR_E_LIMIT, "a plane of %lld elements", (long long)v->w.in_size);
        *out = x;
        for (int d = 2; d < x.rank; d++) out->dim[d] = 1;
    } else {
        TSR_TRY(tsr_window_init(ctx, &x, NULL, &v->w));
        if (v->w.kernel_size > 1 << 22) return tsr_op_fail(ctx, TSR_E_LIMIT, "the window is too large");
        *out = tsr_window_shape(&v->w, v->w.c);
    }
    if (v->last) {
        int64_t c = out->dim[1];
        memmove(&out->dim[1], &out->dim[2], (size_t)(x.rank - 2) * sizeof *x.dim);
        out->dim[x.rank - 1] = c;
    }
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct qpool v;
    struct tsr_shape out;
    TSR_TRY(describe(ctx, &v, &out));
    if (tsr_arg_in(ctx, 2) != NULL) TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(v.type)));
    if (tsr_arg_in(ctx, 4) != NULL) TSR_TRY(tsr_op_need(ctx, 4, TSR_MASK(v.type)));
    tsr_op_set(ctx, 0, v.type, &out);
    return TSR_OK;
}

static int32_t sum_run(const struct qpool *v, int64_t at, int64_t stride, int64_t n)
{
    int32_t sum = 0;
    if (v->type == TSR_I8)
        for (int64_t i = 0; i < n; i++) sum += ((const int8_t *)v->x)[at + i * stride];
    else
        for (int64_t i = 0; i < n; i++) sum += ((const uint8_t *)v->x)[at + i * stride];
    return sum;
}

/* The sum of x - zero over the window of output (d, h, i), and how many elements the mean is over. */
static int32_t sum_window(const struct qpool *v, int64_t base, int64_t step, const int64_t o[3], int64_t *count)
{
    const struct tsr_window *w = &v->w;
    int64_t inside = 1, padded = 1, first[3], n[3];
    for (int d = 0; d < 3; d++) {
        int64_t from = o[d] * w->stride[d] - w->pad[d], up = w->dilation[d], k = w->kernel[d];
        int64_t lo = from < 0 ? (-from + up - 1) / up : 0, hi = from + (k - 1) * up >= w->in[d] ? (w->in[d] - from + up - 1) / up : k;
        int64_t end = w->in[d] + w->pad_end[d] - from, reach = end <= 0 ? 0 : (end + up - 1) / up;
        padded *= reach < k ? reach : k; /* a window that ceil_mode lets reach beyond the padding */
        n[d] = hi > lo ? hi - lo : 0;
        first[d] = from + lo * up;
        inside *= n[d];
    }
    int32_t sum = 0;
    for (int64_t d = 0; d < n[0]; d++)
        for (int64_t h = 0; h < n[1]; h++) {
            int64_t at = ((first[0] + d * w->dilation[0]) * w->in[1] + first[1] + h * w->dilation[1]) * w->in[2] + first[2];
            sum += sum_run(v, base + at * step, w->dilation[2] * step, n[2]);
        }
    *count = v->pad ? padded : inside;
    return sum - (int32_t)inside * v->qx.zero;
}

static void planes(void *arg, int64_t from, int64_t to)
{
    const struct qpool *v = arg;
    const struct tsr_window *w = &v->w;
    int64_t step = v->last ? w->c : 1;
    for (int64_t p = from; p < to; p++) {
        int64_t base = v->last ? p / w->c * w->c * w->in_size + p % w->c : p * w->in_size;
        int64_t target = v->last ? p / w->c * w->c * w->out_size + p % w->c : p * w->out_size;
        for (int64_t j = 0; j < w->out_size; j++) {
            int64_t count = w->in_size;
            int32_t sum;
            if (v->global) {
                sum = sum_run(v, base, step, w->in_size) - (int32_t)w->in_size * v->qx.zero;
            } else {
                const int64_t o[3] = {j / w->out[2] / w->out[1], j / w->out[2] % w->out[1], j % w->out[2]};
                sum = sum_window(v, base, step, o, &count);
            }
            float factor = count > 0 ? v->qx.scale / (v->qy.scale * (float)count) : 0;
            tsr_q_requantise(v->type, v->y, target + j * step, 1, &sum, &factor, 0, v->qy.zero);
        }
    }
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct qpool v;
    struct tsr_shape out;
    TSR_TRY(describe(ctx, &v, &out));
    TSR_TRY(tsr_qscalar_read(ctx, 1, 2, &v.qx));
    TSR_TRY(tsr_qscalar_read(ctx, 3, 4, &v.qy));
    v.x = ctx->in[0]->data, v.y = ctx->out[0].data;
    tsr_par(ctx->pool, v.w.n * v.w.c, tsr_par_rows(v.w.in_size), planes, &v);
    return TSR_OK;
}

const struct tsr_op tsr_ops_qlinear_pool[] = {
    {"QLinearAveragePool", "com.microsoft", 0, 4, 5, 1, infer, forward, NULL, 0},
    {"QLinearGlobalAveragePool", "com.microsoft", 0, 4, 5, 1, infer, forward, NULL, 0},
};
const size_t tsr_n_ops_qlinear_pool = sizeof tsr_ops_qlinear_pool / sizeof *tsr_ops_qlinear_pool;
