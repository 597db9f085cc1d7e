/* norm.c - LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization: rows
 * of the input are brought to mean 0 (not RMS) and variance 1, then scaled and shifted. */
#include "ops/families.h"
#include "ops/arg.h"
#include "base/clones.h"
#include "base/mem.h"
#include "tensor/vmath.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The view of X as rows. Element e of row r takes parameter r % period * per_row + e / inner. */
struct rows {
    int64_t rows, size;
    int64_t inner, per_row, period; /* size = inner * per_row; period * per_row parameters */
    bool centre;
    double epsilon;
    const void *x, *scale, *bias, *dy, *dmean, *drstd;
    void *y, *mean, *rstd, *dx; /* mean NULL: not wanted (forward), zero (backward) */
    int64_t chunk, chunks;      /* rows a task; tasks */
    bool f32;
    void *part;                 /* per task: dscale, then dbias; NULL: not wanted */
};

#define REAL float
#define R(name) name##_f32
#define SQRT sqrtf
#include "ops/norm_real.h"
#undef REAL
#undef R
#undef SQRT
#define REAL double
#define R(name) name##_f64
#define SQRT sqrt
#include "ops/norm_real.h"
#undef REAL
#undef R
#undef SQRT

static bool is(const struct tsr_op_ctx *ctx, const char *op_type)
{
    return strcmp(ctx->node->op_type, op_type) == 0;
}

/* Parameters of a layer normalisation have the shape of the normalised dimensions (leading ones
 * aside). */
static enum tsr_status layer_parameter(struct tsr_op_ctx *ctx, int i, const struct tsr_shape *x, int axis)
{
    char a[TSR_SHAPE_TEXT], b[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
    const struct tsr_shape *p = &ctx->in[i]->shape;
    int from = 0, rank = x->rank - axis;
    while (p->rank - from > rank && p->dim[from] == 1) from++;
    bool fits = p->rank - from == rank;
    for (int d = 0; fits && d < rank; d++) fits = p->dim[from + d] == x->dim[axis + d];
    if (!fits)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "parameter %d has shape %s, but the normalised dimensions of %s begin at %d",
                           i, tsr_shape_text(p, a, sizeof a), tsr_shape_text(x, b, sizeof b), axis);
    return TSR_OK;
}

static enum tsr_status vector_parameter(struct tsr_op_ctx *ctx, int i, int64_t n)
{
    char text[TSR_SHAPE_TEXT];
    TSR_TRY(tsr_op_need(ctx, i, TSR_MASK(ctx->in[0]->dtype)));
    if (ctx->in[i]->shape.rank != 1 || ctx->in[i]->shape.dim[0] != n)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "parameter %d has shape %s, not [%" PRId64 "]", i,
                           tsr_shape_text(&ctx->in[i]->shape, text, sizeof text), n);
    return TSR_OK;
}

static enum tsr_status layer_rows(struct tsr_op_ctx *ctx, struct rows *w, int *axis_out)
{
    const struct tsr_shape *x = &ctx->in[0]->shape;
    int axis;
    TSR_TRY(tsr_op_axis(ctx, tsr_node_int(ctx->node, "axis", -1), x->rank, &axis));
    TSR_TRY(layer_parameter(ctx, 1, x, axis));
    if (tsr_arg_in(ctx, 2) != NULL) TSR_TRY(layer_parameter(ctx, 2, x, axis));
    w->rows = tsr_arg_span(x, 0, axis);
    w->size = w->per_row = tsr_arg_span(x, axis, x->rank);
    w->inner = w->period = 1;
    w->centre = is(ctx, "LayerNormalization");
    *axis_out = axis;
    return TSR_OK;
}

static enum tsr_status channel_rows(struct tsr_op_ctx *ctx, struct rows *w)
{
    char text[TSR_SHAPE_TEXT];
    const struct tsr_shape *x = &ctx->in[0]->shape;
    if (x->rank < 2)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "X must be [batch, channels, ...], not %s", tsr_shape_text(x, text, sizeof text));
    int64_t groups = x->dim[1], space = tsr_arg_span(x, 2, x->rank), parameters = x->dim[1];
    if (is(ctx, "GroupNormalization")) {
        groups = tsr_node_int(ctx->node, "num_groups", 0);
        if (groups < 1 || x->dim[1] % groups != 0)
            return tsr_op_fail(ctx, TSR_E_CORRUPT, "%" PRId64 " channels in %" PRId64 " groups", x->dim[1], groups);
        if (ctx->node->opset < 21) parameters = groups;
    }
    TSR_TRY(vector_parameter(ctx, 1, parameters));
    TSR_TRY(vector_parameter(ctx, 2, parameters));
    w->rows = x->dim[0] * groups;
    w->size = groups > 0 ? x->dim[1] / groups * space : 0;
    w->period = groups > 0 ? groups : 1;
    w->per_row = groups > 0 ? parameters / groups : 0;
    w->inner = w->per_row > 0 ? w->size / w->per_row : 0;
    w->centre = true;
    return TSR_OK;
}

/* Everything that follows from the node and the shapes; checks them. */
static enum tsr_status rows_init(struct tsr_op_ctx *ctx, struct rows *w, int *axis)
{
    memset(w, 0, sizeof *w);
    *axis = -1;
    w->epsilon = (double)tsr_node_float(ctx->node, "epsilon", 1e-5F);
    w->f32 = ctx->in[0]->dtype == TSR_F32;
    if (is(ctx, "LayerNormalization") || is(ctx, "RMSNormalization")) TSR_TRY(layer_rows(ctx, w, axis));
    else TSR_TRY(channel_rows(ctx, w));
    /* At most 32 tasks: each holds its own sums of the parameters' gradients. */
    w->chunk = w->size > 0 ? 16384 / w->size : w->rows;
    if (w->chunk < 1) w->chunk = 1;
    if (w->chunk < (w->rows + 31) / 32) w->chunk = (w->rows + 31) / 32;
    w->chunks = (w->rows + w->chunk - 1) / w->chunk;
    w->x = ctx->in[0]->data;
    w->scale = ctx->in[1]->data;
    w->bias = tsr_arg_in(ctx, 2) != NULL ? ctx->in[2]->data : NULL;
    return TSR_OK;
}

static enum tsr_status norm_infer(struct tsr_op_ctx *ctx)
{
    struct rows w;
    int axis;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    TSR_TRY(rows_init(ctx, &w, &axis));
    struct tsr_shape s = ctx->in[0]->shape;
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &s);
    for (int d = axis; axis >= 0 && d < s.rank; d++) s.dim[d] = 1;
    tsr_op_set(ctx, 1, ctx->in[0]->dtype, &s);
    tsr_op_set(ctx, 2, ctx->in[0]->dtype, &s);
    return TSR_OK;
}

static void layer_rows_f32(const struct rows *w, int64_t r0, int64_t r1)
{
    const struct tsr_vnorm v = {.x = (const float *)w->x + r0 * w->size, .scale = w->scale, .bias = w->bias, .y = (float *)w->y + r0 * w->size,
                                .mean = w->mean != NULL ? (float *)w->mean + r0 : NULL, .rstd = w->rstd != NULL ? (float *)w->rstd + r0 : NULL,
                                .epsilon = (float)w->epsilon, .centre = w->centre};
    tsr_vnormalise(r1 - r0, w->size, &v);
}

static void forward_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct rows *w = arg;
    int64_t r0 = i * w->chunk, r1 = r0 + w->chunk < w->rows ? r0 + w->chunk : w->rows;
    if (w->f32 && w->inner == 1 && w->period == 1) layer_rows_f32(w, r0, r1);
    else if (w->f32) forward_rows_f32(w, r0, r1);
    else forward_rows_f64(w, r0, r1);
}

static void *wanted_output(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_out && ctx->want_out[i] ? ctx->out[i].data : NULL;
}

static enum tsr_status norm_forward(struct tsr_op_ctx *ctx)
{
    struct rows w;
    int axis;
    TSR_TRY(rows_init(ctx, &w, &axis));
    if (w.rows == 0 || w.size == 0) return TSR_OK;
    w.y = ctx->out[0].data;
    void *mean = wanted_output(ctx, 1), *rstd = wanted_output(ctx, 2);
    if (ctx->training) {
        struct tsr_shape s = {.rank = 1, .dim = {w.rows}};
        TSR_TRY(tsr_op_save(ctx, 0, ctx->in[0]->dtype, &s));
        TSR_TRY(tsr_op_save(ctx, 1, ctx->in[0]->dtype, &s));
        w.mean = ctx->saved[0].data;
        w.rstd = ctx->saved[1].data;
    } else {
        w.mean = mean;
        w.rstd = rstd;
    }
    tsr_pool_run(ctx->pool, w.chunks, forward_task, &w);
    size_t bytes = (size_t)w.rows * (w.f32 ? sizeof(float) : sizeof(double));
    if (mean != NULL && mean != w.mean) memcpy(mean, w.mean, bytes);
    if (rstd != NULL && rstd != w.rstd) memcpy(rstd, w.rstd, bytes);
    return TSR_OK;
}

static void backward_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct rows *w = arg;
    int64_t r0 = i * w->chunk, r1 = r0 + w->chunk < w->rows ? r0 + w->chunk : w->rows, n = w->period * w->per_row;
    if (w->f32) {
        float *part = w->part != NULL ? (float *)w->part + i * 2 * n : NULL;
        if (part != NULL) memset(part, 0, (size_t)(2 * n) * sizeof *part);
        backward_rows_f32(w, r0, r1, part, part != NULL ? part + n : NULL);
    } else {
        double *part = w->part != NULL ? (double *)w->part + i * 2 * n : NULL;
        if (part != NULL) memset(part, 0, (size_t)(2 * n) * sizeof *part);
        backward_rows_f64(w, r0, r1, part, part != NULL ? part + n : NULL);
    }
}

/* Adds up what the tasks left: `which` 0 is dscale, 1 dbias. */
static void sum_parts(const struct rows *w, int which, struct tsr_tensor *to)
{
    int64_t n = w->period * w->per_row;
    for (int64_t k = 0; k < n; k++) {
        double sum = 0;
        for (int64_t i = 0; i < w->chunks; i++) {
            int64_t at = (i * 2 + which) * n + k;
            sum += w->f32 ? (double)((const float *)w->part)[at] : ((const double *)w->part)[at];
        }
        if (w->f32) ((float *)to->data)[k] = (float)sum;
        else ((double *)to->data)[k] = sum;
    }
}

static bool wants(const struct tsr_op_ctx *ctx, int i) { return i < ctx->node->n_in && ctx->want_gin[i]; }

static const void *gradient_of(const struct tsr_op_ctx *ctx, int i)
{
    return i < ctx->node->n_out && ctx->gout[i] != NULL ? ctx->gout[i]->data : NULL;
}

static enum tsr_status norm_backward(struct tsr_op_ctx *ctx)
{
    struct rows w;
    int axis;
    TSR_TRY(rows_init(ctx, &w, &axis));
    size_t size = w.f32 ? sizeof(float) : sizeof(double), elements = (size_t)(w.rows * w.size) * size;
    void *zeros = NULL;
    w.dy = gradient_of(ctx, 0);
    w.dmean = gradient_of(ctx, 1);
    w.drstd = gradient_of(ctx, 2);
    bool none = w.rows == 0 || w.size == 0 || (w.dy == NULL && w.dmean == NULL && w.drstd == NULL);
    for (int i = 0; none && i < ctx->node->n_in; i++)
        if (ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0)
            memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
    if (none) return TSR_OK;
    if (w.dy == NULL) { /* only the statistics were used */
        w.dy = zeros = tsr_op_scratch(ctx, elements);
        if (zeros == NULL) return tsr_nomem(ctx->err, elements);
        memset(zeros, 0, elements);
    }
    w.mean = ctx->saved[0].data;
    w.rstd = ctx->saved[1].data;
    w.dx = wants(ctx, 0) ? ctx->gin[0].data : NULL;
    bool parameters = wants(ctx, 1) || wants(ctx, 2);
    size_t bytes = (size_t)(w.chunks * 2 * w.period * w.per_row) * size;
    enum tsr_status status = TSR_OK;
    w.part = parameters ? tsr_op_scratch(ctx, bytes) : NULL;
    if (parameters && w.part == NULL) status = tsr_nomem(ctx->err, bytes);
    else tsr_pool_run(ctx->pool, w.chunks, backward_task, &w);
    if (status == TSR_OK && wants(ctx, 1)) sum_parts(&w, 0, &ctx->gin[1]);
    if (status == TSR_OK && wants(ctx, 2)) sum_parts(&w, 1, &ctx->gin[2]);
    tsr_op_scratch_free(ctx, w.part, bytes);
    tsr_op_scratch_free(ctx, zeros, elements);
    return status;
}

const struct tsr_op tsr_ops_norm[] = {
    {"GroupNormalization", "", TSR_OP_WIDEN, 3, 3, 1, norm_infer, norm_forward, norm_backward, 6},
    {"InstanceNormalization", "", TSR_OP_WIDEN, 3, 3, 1, norm_infer, norm_forward, norm_backward, 6},
    {"LayerNormalization", "", TSR_OP_WIDEN | TSR_OP_SAMPLES, 2, 3, 3, norm_infer, norm_forward, norm_backward, 6},
    {"RMSNormalization", "", TSR_OP_WIDEN, 2, 2, 1, norm_infer, norm_forward, norm_backward, 2},
};
const size_t tsr_n_ops_norm = sizeof tsr_ops_norm / sizeof tsr_ops_norm[0];
