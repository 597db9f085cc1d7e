/* qlinear_pool.c - QLinearAveragePool and QLinearGlobalAveragePool of com.microsoft, and tessera.QMaxPool, which
 * is MaxPool with its channels last where asked. Attributes of our own: "x_last" (a global pool reads its
 * channels last and gives them first), "keepdims" 0 (it gives [batch, channels]). */
#include "ops/families.h"
#include "ops/par.h"
#include "ops/qproduct.h"
#include "ops/window.h"
#include "base/mem.h"
#include "tensor/isa.h"

#include <string.h>

struct qpool {
    struct tsr_window w;
    bool max, global, last; /* last: the channels of X are its last dimension */
    bool pad;               /* padding counts */
    enum tsr_dtype type;
    const void *x;
    void *y;
    struct tsr_qscalar qx, qy;
    int32_t lo, hi;
    char *mem; /* sums of all channels, or the extremes, for each worker */
    size_t each;
};

static void turn_shape(struct tsr_shape *s, bool to_first)
{
    const struct tsr_shape from = *s;
    for (int d = 2; d < s->rank; d++) s->dim[to_first ? d : d - 1] = from.dim[to_first ? d - 1 : d];
    s->dim[to_first ? 1 : s->rank - 1] = from.dim[to_first ? s->rank - 1 : 1];
}

static enum tsr_status describe(struct tsr_op_ctx *ctx, struct qpool *v, struct tsr_shape *out)
{
    memset(v, 0, sizeof *v);
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_Q8));
    struct tsr_shape x = ctx->in[0]->shape;
    v->type = ctx->in[0]->dtype;
    v->global = strcmp(ctx->node->op_type, "QLinearGlobalAveragePool") == 0;
    v->max = strcmp(ctx->node->op_type, "QMaxPool") == 0;
    const bool last = tsr_node_int(ctx->node, "channels_last", 0) != 0;
    v->last = last || (v->global && tsr_node_int(ctx->node, "x_last", 0) != 0);
    v->pad = tsr_node_int(ctx->node, "count_include_pad", 0) != 0;
    tsr_q_range(v->type, &v->lo, &v->hi);
    if (x.rank < 3) return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must be [batch, channels, size...]");
    if (v->last) turn_shape(&x, true);
    if (v->global) {
        v->w.n = x.dim[0], v->w.c = x.dim[1];
        v->w.in_size = tsr_arg_span(&x, 2, x.rank), v->w.out_size = 1;
        *out = x;
        for (int d = 2; d < x.rank; d++) out->dim[d] = 1;
        if (tsr_node_int(ctx->node, "keepdims", 1) == 0) out->rank = 2;
    } else {
        TSR_TRY(tsr_window_init(ctx, &x, NULL, &v->w));
        *out = tsr_window_shape(&v->w, v->w.c);
    }
    /* sums of that many bytes fit 32 bits */
    if (v->w.in_size == 0 || (v->global ? v->w.in_size : v->w.kernel_size) > 1 << 22)
        return tsr_op_fail(ctx, TSR_E_LIMIT, "a window of no elements or of more than 2^22");
    if (last) turn_shape(out, false);
    return TSR_OK;
}

static enum tsr_status infer(struct tsr_op_ctx *ctx)
{
    struct qpool v;
    struct tsr_shape out;
    TSR_TRY(describe(ctx, &v, &out));
    if (!v.max && tsr_arg_in(ctx, 2) != NULL) TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(v.type)));
    if (!v.max && tsr_arg_in(ctx, 4) != NULL) TSR_TRY(tsr_op_need(ctx, 4, TSR_MASK(v.type)));
    tsr_op_set(ctx, 0, v.type, &out);
    return TSR_OK;
}

/* ---- channels last: all channels of an output at once --------------------------------------- */

#define CHANNELS(T)                                                                        \
    TSR_CLONES static void add_##T(int64_t n, const T *x, int32_t *sum)                    \
    {                                                                                      \
        TSR_IVDEP for (int64_t i = 0; i < n; i++) sum[i] += x[i];                          \
    }                                                                                      \
    TSR_CLONES static void most_##T(int64_t n, const T *x, T *y)                           \
    {                                                                                      \
        TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] > y[i] ? x[i] : y[i];        \
    }                                                                                      \
    TSR_CLONES static int32_t total_##T(int64_t n, const T *x)                             \
    {                                                                                      \
        int32_t sum = 0;                                                                   \
        for (int64_t i = 0; i < n; i++) sum += x[i];                                       \
        return sum;                                                                        \
    }
CHANNELS(int8_t)
CHANNELS(uint8_t)

/* One output's window along each dimension: the first place inside the input, how many there are, and how
 * many that the padding reaches (a window that ceil_mode lets reach beyond it counts only those). */
struct view {
    int64_t first[3], n[3], inside, padded;
};

static void find_view(const struct qpool *v, int64_t j, struct view *s)
{
    const struct tsr_window *w = &v->w;
    const int64_t o[3] = {j / w->out[2] / w->out[1], j / w->out[2] % w->out[1], j % w->out[2]};
    s->inside = s->padded = 1;
    for (int d = 0; d < 3; d++) {
        const int64_t from = o[d] * w->stride[d] - w->pad[d], up = w->dilation[d], k = w->kernel[d];
        const int64_t lo = from < 0 ? (-from + up - 1) / up : 0;
        const int64_t hi = from + (k - 1) * up >= w->in[d] ? (w->in[d] - from + up - 1) / up : k;
        const int64_t end = w->in[d] + w->pad_end[d] - from, reach = end <= 0 ? 0 : (end + up - 1) / up;
        s->first[d] = from + lo * up;
        s->n[d] = hi > lo ? hi - lo : 0;
        s->inside *= s->n[d];
        s->padded *= reach < k ? reach : k;
    }
}

static int64_t place(const struct qpool *v, const struct view *s, int64_t d, int64_t h, int64_t i)
{
    const struct tsr_window *w = &v->w;
    return ((s->first[0] + d * w->dilation[0]) * w->in[1] + s->first[1] + h * w->dilation[1]) * w->in[2] + s->first[2] +
           i * w->dilation[2];
}

static float factor_of(const struct qpool *v, int64_t count)
{
    return count > 0 ? v->qx.scale / (v->qy.scale * (float)count) : 0;
}

static void finish_sums(const struct qpool *v, int64_t c, int32_t *sum, int64_t inside, int64_t count, int64_t at)
{
    const float factor = factor_of(v, count);
    for (int64_t i = 0; i < c; i++) sum[i] -= (int32_t)inside * v->qx.zero;
    tsr_q_requantise(v->type, v->y, at, c, sum, &factor, 0, v->qy.zero, v->lo, v->hi);
}

static void output_last(void *arg, int64_t i, int worker)
{
    const struct qpool *v = arg;
    const struct tsr_window *w = &v->w;
    const int64_t n = i / w->out_size, c = w->c;
    const uint8_t *x = (const uint8_t *)v->x + n * w->in_size * c;
    uint8_t *y = (uint8_t *)v->y + i * c;
    int32_t *sum = (int32_t *)(void *)(v->mem + v->each * (size_t)worker);
    struct view s = {.n = {1, 1, w->in_size}, .inside = w->in_size, .padded = w->in_size};
    if (!v->global) find_view(v, i % w->out_size, &s);
    if (v->max) memset(y, v->type == TSR_I8 ? 0x80 : 0, (size_t)c);
    else memset(sum, 0, (size_t)c * sizeof *sum);
    for (int64_t d = 0; d < s.n[0]; d++)
        for (int64_t h = 0; h < s.n[1]; h++)
            for (int64_t k = 0; k < s.n[2]; k++) {
                const uint8_t *from = x + (v->global ? k : place(v, &s, d, h, k)) * c;
                if (v->max && v->type == TSR_I8) most_int8_t(c, (const int8_t *)from, (int8_t *)y);
                else if (v->max) most_uint8_t(c, from, y);
                else if (v->type == TSR_I8) add_int8_t(c, (const int8_t *)from, sum);
                else add_uint8_t(c, from, sum);
            }
    if (!v->max) finish_sums(v, c, sum, s.inside, v->pad ? s.padded : s.inside, i * c);
}

/* ---- channels first: one plane after the other ---------------------------------------------- */

static int32_t at8(const struct qpool *v, int64_t i) { return v->type == TSR_I8 ? ((const int8_t *)v->x)[i] : ((const uint8_t *)v->x)[i]; }

static void plane_first(void *arg, int64_t from, int64_t to)
{
    const struct qpool *v = arg;
    const struct tsr_window *w = &v->w;
    for (int64_t p = from; p < to; p++) {
        const int64_t x = p * w->in_size;
        if (v->global) {
            int32_t sum = v->type == TSR_I8 ? total_int8_t(w->in_size, (const int8_t *)v->x + x)
                                            : total_uint8_t(w->in_size, (const uint8_t *)v->x + x);
            finish_sums(v, 1, &sum, w->in_size, w->in_size, p);
            continue;
        }
        for (int64_t j = 0; j < w->out_size; j++) {
            struct view s;
            int32_t sum = 0, most = v->lo;
            find_view(v, j, &s);
            for (int64_t d = 0; d < s.n[0]; d++)
                for (int64_t h = 0; h < s.n[1]; h++)
                    for (int64_t k = 0; k < s.n[2]; k++) {
                        const int32_t e = at8(v, x + place(v, &s, d, h, k));
                        sum += e;
                        most = e > most ? e : most;
                    }
            if (v->max) ((uint8_t *)v->y)[p * w->out_size + j] = (uint8_t)most;
            else finish_sums(v, 1, &sum, s.inside, v->pad ? s.padded : s.inside, p * w->out_size + j);
        }
    }
}

static enum tsr_status forward(struct tsr_op_ctx *ctx)
{
    struct qpool v;
    struct tsr_shape out;
    TSR_TRY(describe(ctx, &v, &out));
    if (!v.max) {
        TSR_TRY(tsr_qscalar_read(ctx, 1, 2, &v.qx));
        TSR_TRY(tsr_qscalar_read(ctx, 3, 4, &v.qy));
    }
    v.x = ctx->in[0]->data, v.y = ctx->out[0].data;
    if (tsr_tensor_count(&ctx->out[0]) == 0) return TSR_OK;
    if (!v.last) {
        tsr_par(ctx->pool, v.w.n * v.w.c, tsr_par_rows(v.w.in_size), plane_first, &v);
        return TSR_OK;
    }
    v.each = ((size_t)v.w.c * sizeof(int32_t) + 63) & ~(size_t)63;
    const size_t bytes = v.each * (size_t)tsr_pool_threads(ctx->pool);
    v.mem = tsr_op_scratch(ctx, bytes);
    if (v.mem == NULL) return tsr_nomem(ctx->err, bytes);
    tsr_pool_run(ctx->pool, v.w.n * v.w.out_size, output_last, &v);
    tsr_op_scratch_free(ctx, v.mem, bytes);
    return TSR_OK;
}

const struct tsr_op tsr_ops_qlinear_pool[] = {
    {"QLinearAveragePool", "com.microsoft", 0, 4, 5, 1, infer, forward, NULL, 0},
    {"QLinearGlobalAveragePool", "com.microsoft", 0, 4, 5, 1, infer, forward, NULL, 0},
    {"QMaxPool", "tessera", 0, 1, 1, 1, infer, forward, NULL, 0},
};
const size_t tsr_n_ops_qlinear_pool = sizeof tsr_ops_qlinear_pool / sizeof *tsr_ops_qlinear_pool;
