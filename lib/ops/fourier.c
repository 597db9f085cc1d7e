#include "ops/fourier.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum tsr_status tsr_fourier_init(struct tsr_op_ctx *ctx, struct tsr_fourier *f, int64_t n)
{
    *f = (struct tsr_fourier){.n = n};
    if (n < 1 || n > (int64_t)1 << 28) return tsr_op_fail(ctx, TSR_E_LIMIT, "a transform of length %lld is not possible", (long long)n);
    f->bytes = 8 * (size_t)n * sizeof(double); /* table, input, output, room for fft() */
    f->turn = tsr_op_scratch(ctx, f->bytes);
    if (!f->turn) return tsr_nomem(ctx->err, f->bytes);
    f->in = f->turn + 2 * n;
    f->out = f->in + 2 * n;
    for (int64_t k = 0; k < n; k++) {
        const double angle = 2 * 3.14159265358979323846 * (double)k / (double)n;
        f->turn[2 * k] = cos(angle);
        f->turn[2 * k + 1] = -sin(angle);
    }
    return TSR_OK;
}

void tsr_fourier_release(struct tsr_op_ctx *ctx, struct tsr_fourier *f) { tsr_op_scratch_free(ctx, f->turn, f->bytes); }

static int64_t smallest_factor(int64_t n)
{
    for (int64_t p = 2; p * p <= n; p++)
        if (n % p == 0) return p;
    return n;
}

/* m numbers of `in`, `step` apart, to m numbers of out; room for m more. */
static void fft(const struct tsr_fourier *f, double sign, int64_t m, int64_t step, const double *in, double *out, double *room)
{
    if (m == 1) {
        out[0] = in[0], out[1] = in[1];
        return;
    }
    const int64_t p = smallest_factor(m), q = m / p;
    for (int64_t r = 0; r < p; r++) fft(f, sign, q, step * p, in + 2 * r * step, room + 2 * r * q, out + 2 * r * q);
    for (int64_t k = 0; k < m; k++) {
        double re = 0, im = 0;
        for (int64_t r = 0; r < p; r++) {
            const int64_t t = 2 * (r * k % m * step); /* the table is for n = m * step */
            const double *x = room + 2 * (r * q + k % q), c = f->turn[t], s = sign * f->turn[t + 1];
            re += x[0] * c - x[1] * s;
            im += x[0] * s + x[1] * c;
        }
        out[2 * k] = re, out[2 * k + 1] = im;
    }
}

void tsr_fourier_run(const struct tsr_fourier *f, bool back)
{
    fft(f, back ? -1 : 1, f->n, 1, f->in, f->out, f->out + 2 * f->n);
}
