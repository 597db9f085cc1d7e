/* filterbank.c - what speech models multiply spectra by: HannWindow, HammingWindow, BlackmanWindow and
 * MelWeightMatrix. */
#include "ops/arg.h"
#include "ops/families.h"

#include <math.h>
#include <string.h>

static enum tsr_status output_type(struct tsr_op_ctx *ctx, enum tsr_dtype *type)
{
    int64_t said = tsr_node_int(ctx->node, "output_datatype", TSR_F32);
    if (said < 1 || said > 31 || !((TSR_MASK_FLOAT | TSR_MASK_INT) >> said & 1))
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "outputs of type %s are not supported", tsr_dtype_name((enum tsr_dtype)said));
    *type = (enum tsr_dtype)said;
    return TSR_OK;
}

/* ---- windows: a sum of cosines ---- */

static enum tsr_status window_infer(struct tsr_op_ctx *ctx)
{
    enum tsr_dtype type = TSR_NONE;
    struct tsr_shape s = {1, {0}};
    TSR_TRY(output_type(ctx, &type));
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK(TSR_I32) | TSR_MASK(TSR_I64)));
    TSR_TRY(tsr_arg_int(ctx, 0, 0, &s.dim[0]));
    if (s.dim[0] < 0) return tsr_op_fail(ctx, TSR_E_CORRUPT, "a window of size %lld is not possible", (long long)s.dim[0]);
    tsr_op_set(ctx, 0, type, &s);
    return TSR_OK;
}

static enum tsr_status window_forward(struct tsr_op_ctx *ctx, double a0, double a1, double a2)
{
    const int64_t size = ctx->out[0].shape.dim[0];
    const double turn = 2 * 3.14159265358979323846, n = (double)(tsr_node_int(ctx->node, "periodic", 1) != 0 ? size : size - 1);
    for (int64_t i = 0; i < size; i++) {
        const double angle = n > 0 ? turn * (double)i / n : 0;
        tsr_store_f64(ctx->out[0].dtype, ctx->out[0].data, i, a0 - a1 * cos(angle) + a2 * cos(2 * angle));
    }
    return TSR_OK;
}
static enum tsr_status hann_forward(struct tsr_op_ctx *ctx) { return window_forward(ctx, 0.5, 0.5, 0); }
static enum tsr_status hamming_forward(struct tsr_op_ctx *ctx) { return window_forward(ctx, 25.0 / 46, 21.0 / 46, 0); }
static enum tsr_status blackman_forward(struct tsr_op_ctx *ctx) { return window_forward(ctx, 0.42, 0.5, 0.08); }

/* ---- MelWeightMatrix ---- */

struct mel {
    int64_t bins, length, rate, rows;
    double low, high; /* on the mel scale */
};

static enum tsr_status mel_init(struct tsr_op_ctx *ctx, struct mel *m)
{
    int64_t v[3];
    double edge[2];
    for (int i = 0; i < 3; i++) TSR_TRY(tsr_arg_int(ctx, i, 0, &v[i]));
    for (int i = 3; i < 5; i++) {
        TSR_TRY(tsr_op_need(ctx, i, TSR_MASK_FLOAT));
        if (tsr_tensor_count(ctx->in[i]) != 1) return tsr_op_fail(ctx, TSR_E_CORRUPT, "input %d must have one element", i);
        edge[i - 3] = 2595 * log10(1 + tsr_load_f64(ctx->in[i]->dtype, ctx->in[i]->data, 0) / 700);
    }
    *m = (struct mel){v[0], v[1], v[2], v[1] / 2 + 1, edge[0], edge[1]};
    const struct tsr_shape s = {2, {m->rows, m->bins}};
    if (m->bins < 0 || m->length < 1 || m->rate < 1 || !isfinite(m->low) || !isfinite(m->high) || tsr_shape_count(&s) < 0)
        return tsr_op_fail(ctx, TSR_E_CORRUPT, "the numbers of bins, of samples or the frequencies make no sense");
    return TSR_OK;
}

static enum tsr_status mel_infer(struct tsr_op_ctx *ctx)
{
    struct mel m;
    enum tsr_dtype type = TSR_NONE;
    TSR_TRY(output_type(ctx, &type));
    TSR_TRY(mel_init(ctx, &m));
    const struct tsr_shape s = {2, {m.rows, m.bins}};
    tsr_op_set(ctx, 0, type, &s);
    return TSR_OK;
}

/* The row of the spectrum at which triangle i begins; its peak is where the next one begins. */
static int64_t edge_of(const struct mel *m, int64_t i)
{
    const double mel = m->low + (double)i * (m->high - m->low) / (double)(m->bins + 2);
    const double row = floor((double)(m->length + 1) * 700 * (pow(10, mel / 2595) - 1) / (double)m->rate);
    return row < 0 ? 0 : row > (double)m->rows ? m->rows : (int64_t)row;
}

static enum tsr_status mel_forward(struct tsr_op_ctx *ctx)
{
    struct mel m;
    struct tsr_tensor *y = &ctx->out[0];
    TSR_TRY(mel_init(ctx, &m));
    if (tsr_tensor_count(y) > 0) memset(y->data, 0, tsr_tensor_bytes(y));
    for (int64_t i = 0; i < m.bins; i++) {
        const int64_t left = edge_of(&m, i), top = edge_of(&m, i + 1), right = edge_of(&m, i + 2);
        for (int64_t j = left; j < top && j < m.rows; j++)
            tsr_store_f64(y->dtype, y->data, j * m.bins + i, (double)(j - left) / (double)(top - left));
        if (top < m.rows) tsr_store_f64(y->dtype, y->data, top * m.bins + i, 1);
        for (int64_t j = top + 1; j < right && j < m.rows; j++)
            tsr_store_f64(y->dtype, y->data, j * m.bins + i, (double)(right - j) / (double)(right - top));
    }
    return TSR_OK;
}

const struct tsr_op tsr_ops_filterbank[] = {
    {"BlackmanWindow", "", TSR_OP_DATA_SHAPE, 1, 1, 1, window_infer, blackman_forward, NULL, 0},
    {"HammingWindow", "", TSR_OP_DATA_SHAPE, 1, 1, 1, window_infer, hamming_forward, NULL, 0},
    {"HannWindow", "", TSR_OP_DATA_SHAPE, 1, 1, 1, window_infer, hann_forward, NULL, 0},
    {"MelWeightMatrix", "", TSR_OP_DATA_SHAPE, 5, 5, 1, mel_infer, mel_forward, NULL, 0},
};
const size_t tsr_n_ops_filterbank = sizeof tsr_ops_filterbank / sizeof *tsr_ops_filterbank;
