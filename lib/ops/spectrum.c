/* spectrum.c - DFT and STFT. Signals have a last dimension of 1 (real) or 2 (complex numbers). Both are
 * linear: their gradients are transforms in the other direction. */
#include "base/mem.h"
#include "ops/families.h"
#include "ops/fourier.h"

#include <string.h>

static double load(const struct tsr_tensor *t, int64_t i) { return tsr_load_f64(t->dtype, t->data, i); }
static void store(struct tsr_tensor *t, int64_t i, double v) { tsr_store_f64(t->dtype, t->data, i, v); }

static void clear_gradient(struct tsr_op_ctx *ctx, int i)
{
    if (i < ctx->node->n_in && ctx->want_gin[i] && tsr_tensor_count(&ctx->gin[i]) > 0)
        memset(ctx->gin[i].data, 0, tsr_tensor_bytes(&ctx->gin[i]));
}

/* ---- DFT ---- */

struct dft {
    int64_t n;                 /* length of the transform */
    int64_t lines, inner;      /* lines; numbers between neighbours of one */
    int64_t have, give;        /* numbers of a line that the input has, the output gets */
    int parts_in, parts_out;   /* 1: real; 2: complex */
    bool inverse, half;        /* half: one side of a spectrum that belongs to a real signal */
    struct tsr_shape y;
};

static enum tsr_status dft_init(struct tsr_op_ctx *ctx, struct dft *d)
{
    int axis;
    int64_t said = ctx->node->opset < 20 ? tsr_node_int(ctx->node, "axis", 1) : -2;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    if (ctx->node->opset >= 20) TSR_TRY(tsr_arg_int(ctx, 2, -2, &said));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    TSR_TRY(tsr_op_axis(ctx, said, x->rank, &axis));
    if (x->rank < 2 || axis == x->rank - 1 || x->dim[x->rank - 1] < 1 || x->dim[x->rank - 1] > 2)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the input must end in a dimension of 1 or 2, which is not to be transformed");
    *d = (struct dft){.inverse = tsr_node_int(ctx->node, "inverse", 0) != 0, .half = tsr_node_int(ctx->node, "onesided", 0) != 0};
    d->have = x->dim[axis];
    d->parts_in = (int)x->dim[x->rank - 1];
    d->parts_out = d->inverse && d->half ? 1 : 2;
    TSR_TRY(tsr_arg_int(ctx, 1, d->inverse && d->half ? 2 * (d->have - 1) : d->have, &d->n));
    if (d->n < 1 || d->n > INT32_MAX)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "a transform of length %lld is not possible", (long long)d->n);
    if (d->half && !d->inverse && d->parts_in == 2)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "one side of the spectrum is only enough for a real signal");
    d->give = d->half && !d->inverse ? d->n / 2 + 1 : d->n;
    d->inner = tsr_arg_span(x, axis + 1, x->rank - 1);
    d->lines = tsr_arg_span(x, 0, axis) * d->inner;
    d->y = *x;
    d->y.dim[axis] = d->give;
    d->y.dim[x->rank - 1] = d->parts_out;
    return TSR_OK;
}

static enum tsr_status dft_infer(struct tsr_op_ctx *ctx)
{
    struct dft d;
    TSR_TRY(dft_init(ctx, &d));
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &d.y);
    return TSR_OK;
}

/* Place of number k of a line in a tensor with `length` numbers a line and `parts` parts a number. */
static int64_t at(const struct dft *d, int64_t line, int64_t k, int64_t length, int parts)
{
    return ((line / d->inner * length + k) * d->inner + line % d->inner) * parts;
}

/* The line of x, cut or filled up with zeros; half a spectrum is completed. */
static void read_line(const struct dft *d, const struct tsr_tensor *x, int64_t line, double *z)
{
    const int64_t most = d->inverse && d->half ? d->n / 2 + 1 : d->n;
    memset(z, 0, 2 * (size_t)d->n * sizeof *z);
    for (int64_t k = 0; k < most && k < d->have; k++) {
        const int64_t from = at(d, line, k, d->have, d->parts_in);
        z[2 * k] = load(x, from);
        z[2 * k + 1] = d->parts_in == 2 ? load(x, from + 1) : 0;
    }
    if (!(d->inverse && d->half)) return;
    z[1] = 0; /* a real signal has real numbers here, and half-way */
    if (d->n % 2 == 0) z[d->n + 1] = 0;
    for (int64_t k = 1; 2 * k < d->n; k++) z[2 * (d->n - k)] = z[2 * k], z[2 * (d->n - k) + 1] = -z[2 * k + 1];
}

static enum tsr_status dft_forward(struct tsr_op_ctx *ctx)
{
    struct dft d;
    struct tsr_fourier f;
    TSR_TRY(dft_init(ctx, &d));
    TSR_TRY(tsr_fourier_init(ctx, &f, d.n));
    const double scale = d.inverse ? 1 / (double)d.n : 1;
    for (int64_t line = 0; line < d.lines; line++) {
        read_line(&d, ctx->in[0], line, f.in);
        tsr_fourier_run(&f, d.inverse);
        for (int64_t k = 0; k < d.give; k++)
            for (int p = 0; p < d.parts_out; p++)
                store(&ctx->out[0], at(&d, line, k, d.give, d.parts_out) + p, scale * f.out[2 * k + p]);
    }
    tsr_fourier_release(ctx, &f);
    return TSR_OK;
}

static enum tsr_status dft_backward(struct tsr_op_ctx *ctx)
{
    struct dft d;
    struct tsr_fourier f;
    const struct tsr_tensor *g = ctx->gout[0];
    TSR_TRY(dft_init(ctx, &d));
    clear_gradient(ctx, 0);
    if (!g || !ctx->want_gin[0]) return TSR_OK;
    TSR_TRY(tsr_fourier_init(ctx, &f, d.n));
    const double scale = d.inverse ? 1 / (double)d.n : 1;
    const bool halved = d.inverse && d.half;
    const int64_t most = halved ? d.n / 2 + 1 : d.n;
    for (int64_t line = 0; line < d.lines; line++) {
        memset(f.in, 0, 2 * (size_t)d.n * sizeof *f.in);
        for (int64_t k = 0; k < d.give; k++)
            for (int p = 0; p < d.parts_out; p++) f.in[2 * k + p] = load(g, at(&d, line, k, d.give, d.parts_out) + p);
        tsr_fourier_run(&f, !d.inverse);
        for (int64_t k = 0; k < most && k < d.have; k++) {
            const bool alone = k == 0 || 2 * k == d.n; /* it has no mirror image, and no imaginary part */
            for (int p = 0; p < d.parts_in; p++)
                store(&ctx->gin[0], at(&d, line, k, d.have, d.parts_in) + p,
                      halved && alone && p == 1 ? 0 : scale * f.out[2 * k + p] * (halved && !alone ? 2 : 1));
        }
    }
    tsr_fourier_release(ctx, &f);
    return TSR_OK;
}

/* ---- STFT ---- */

struct stft {
    int64_t B, length, n, step, frames, bins, taps; /* taps: of the window, the rest of a frame is zero */
    int parts;
    const struct tsr_tensor *window;
};

static enum tsr_status stft_init(struct tsr_op_ctx *ctx, struct stft *s)
{
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK_REAL));
    const struct tsr_shape *x = &ctx->in[0]->shape;
    *s = (struct stft){.window = tsr_arg_in(ctx, 2)};
    if (x->rank != 3 || x->dim[2] < 1 || x->dim[2] > 2)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the signal must be [batch, length, 1 or 2]");
    if (s->window) {
        TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK(ctx->in[0]->dtype)));
        if (s->window->shape.rank != 1) return tsr_op_fail(ctx, TSR_E_MISMATCH, "the window must have one dimension");
    }
    s->B = x->dim[0];
    s->length = x->dim[1];
    s->parts = (int)x->dim[2];
    TSR_TRY(tsr_arg_int(ctx, 1, 0, &s->step));
    TSR_TRY(tsr_arg_int(ctx, 3, s->window ? tsr_tensor_count(s->window) : 0, &s->n));
    s->taps = s->window && tsr_tensor_count(s->window) < s->n ? tsr_tensor_count(s->window) : s->n;
    if (s->step < 1 || s->n < 1 || s->n > s->length)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "frames of %lld every %lld do not fit a signal of %lld",
                                                                         (long long)s->n, (long long)s->step, (long long)s->length);
    if (s->window && tsr_tensor_count(s->window) > s->n)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "the window is longer than a frame");
    s->frames = 1 + (s->length - s->n) / s->step;
    s->bins = tsr_node_int(ctx->node, "onesided", 1) != 0 ? s->n / 2 + 1 : s->n;
    return TSR_OK;
}

static enum tsr_status stft_infer(struct tsr_op_ctx *ctx)
{
    struct stft s;
    TSR_TRY(stft_init(ctx, &s));
    const struct tsr_shape y = {4, {s.B, s.frames, s.bins, 2}};
    if (tsr_shape_count(&y) < 0) return tsr_op_fail(ctx, TSR_E_LIMIT, "the output is too large");
    tsr_op_set(ctx, 0, ctx->in[0]->dtype, &y);
    return TSR_OK;
}

static double window_at(const struct stft *s, int64_t i) { return s->window ? load(s->window, i) : 1; }

static enum tsr_status stft_forward(struct tsr_op_ctx *ctx)
{
    struct stft s;
    struct tsr_fourier f;
    TSR_TRY(stft_init(ctx, &s));
    TSR_TRY(tsr_fourier_init(ctx, &f, s.n));
    for (int64_t row = 0; row < s.B * s.frames; row++) {
        const int64_t first = row / s.frames * s.length + row % s.frames * s.step;
        memset(f.in, 0, 2 * (size_t)s.n * sizeof *f.in);
        for (int64_t i = 0; i < s.taps; i++)
            for (int p = 0; p < s.parts; p++) f.in[2 * i + p] = window_at(&s, i) * load(ctx->in[0], (first + i) * s.parts + p);
        tsr_fourier_run(&f, false);
        for (int64_t k = 0; k < 2 * s.bins; k++) store(&ctx->out[0], row * 2 * s.bins + k, f.out[k]);
    }
    tsr_fourier_release(ctx, &f);
    return TSR_OK;
}

static void add(struct tsr_tensor *t, int64_t i, double v) { store(t, i, load(t, i) + v); }

static enum tsr_status stft_backward(struct tsr_op_ctx *ctx)
{
    struct stft s;
    struct tsr_fourier f;
    const struct tsr_tensor *g = ctx->gout[0], *x = ctx->in[0];
    TSR_TRY(stft_init(ctx, &s));
    clear_gradient(ctx, 0);
    clear_gradient(ctx, 2);
    if (!g) return TSR_OK;
    TSR_TRY(tsr_fourier_init(ctx, &f, s.n));
    for (int64_t row = 0; row < s.B * s.frames; row++) {
        const int64_t first = row / s.frames * s.length + row % s.frames * s.step;
        memset(f.in, 0, 2 * (size_t)s.n * sizeof *f.in);
        for (int64_t k = 0; k < 2 * s.bins; k++) f.in[k] = load(g, row * 2 * s.bins + k);
        tsr_fourier_run(&f, true);
        for (int64_t i = 0; i < s.taps; i++)
            for (int p = 0; p < s.parts; p++) {
                const int64_t from = (first + i) * s.parts + p;
                if (ctx->want_gin[0]) add(&ctx->gin[0], from, window_at(&s, i) * f.out[2 * i + p]);
                if (s.window && ctx->want_gin[2]) add(&ctx->gin[2], i, load(x, from) * f.out[2 * i + p]);
            }
    }
    tsr_fourier_release(ctx, &f);
    return TSR_OK;
}

const struct tsr_op tsr_ops_spectrum[] = {
    {"DFT", "", TSR_OP_WIDEN | TSR_OP_DATA_SHAPE, 1, 3, 1, dft_infer, dft_forward, dft_backward, 0},
    {"STFT", "", TSR_OP_WIDEN | TSR_OP_DATA_SHAPE, 2, 4, 1, stft_infer, stft_forward, stft_backward, 0},
};
const size_t tsr_n_ops_spectrum = sizeof tsr_ops_spectrum / sizeof *tsr_ops_spectrum;
