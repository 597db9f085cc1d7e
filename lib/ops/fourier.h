/* fourier.h - the discrete Fourier transform of one line, in double. Private to ops/. */
#ifndef TSR_OPS_FOURIER_H
#define TSR_OPS_FOURIER_H

#include "ops/arg.h"

/* Tables for lines of n complex numbers, and room for one; one thread at a time. */
struct tsr_fourier {
    int64_t n;
    double *turn; /* cos, -sin of 2 pi k / n, k < n */
    double *in, *out; /* n complex numbers each, for the caller */
    size_t bytes;
};

enum tsr_status tsr_fourier_init(struct tsr_op_ctx *ctx, struct tsr_fourier *f, int64_t n) TSR_MUST_USE;
void tsr_fourier_release(struct tsr_op_ctx *ctx, struct tsr_fourier *f);
/* out[k] = the sum over j of in[j] exp(-2 pi i j k / n); back: of exp(+...). Not normalised. Mixed radix
 * (Cooley and Tukey 1965): n times the sum of its prime factors. */
void tsr_fourier_run(const struct tsr_fourier *f, bool back);

#endif
