/* qgemm.h - products of 8-bit integers with 32-bit sums, and what becomes of the sums.
 *
 * Own kernels for AVX-512 VNNI, AVX2, NEON (with and without the dot product) and plain C, chosen at run
 * time. Sums are exact modulo 2^32 and the way from a sum to the result is the same float operations
 * everywhere, so all kernels give the same bytes. Thread-safe.
 *
 * A is unsigned; B is signed and packed beforehand. Rows of A are given by pointers, and may lie in pieces
 * that are the same way apart in all of them: the taps of a convolution over channels-last images (an
 * indirect convolution; Dukhan, 2019). */
#ifndef TSR_TENSOR_QGEMM_H
#define TSR_TENSOR_QGEMM_H

#include "base/pool.h"
#include "tensor/dtype.h"

struct tsr_qgemm_isa;

/* B[taps * depth, n], packed for the kernel in use when it was made. */
struct tsr_qpack {
    int64_t taps, depth, n;  /* depth: of a tap, rounded up to a multiple of 4 (rows of A must have that many
                                readable bytes a tap; what stands in those beyond the true depth does not matter) */
    const struct tsr_qgemm_isa *isa;
    int32_t *sum;            /* n: the sum of each column */
    void *data;
    size_t bytes;            /* of data */
};

/* Element (t, d, j) of B is b[t * step_t + d * step_d + j * step_n], signed, or unsigned with 128 to be
 * taken off (then the packed numbers are b - 128). Release with tsr_qpack_release. */
enum tsr_status tsr_qpack_init(struct tsr_qpack *p, int64_t taps, int64_t depth, int64_t n, const void *b, bool is_unsigned,
                               int64_t step_t, int64_t step_d, int64_t step_n, struct tsr_error *err) TSR_MUST_USE;
void tsr_qpack_release(struct tsr_qpack *p);

/* What becomes of the sums: s = sum + base[j] + row[i], and then
 *   I32      s
 *   F32      (float)s * factor[j] + bias[j]
 *   U8, I8   saturate(round_half_even((float)s * factor[j]) + zero) within [lo, hi] */
struct tsr_qend {
    enum tsr_dtype out;
    const int32_t *base;  /* n; bias and -zero_a * sum of the column */
    const int32_t *row;   /* one for each row, or NULL */
    const float *factor;  /* n */
    const float *bias;    /* n, or NULL; F32 alone */
    int32_t zero, lo, hi;
    void *c;
    int64_t ldc;          /* elements from row to row */
};

/* C for m rows of A: tap t of row r begins at at[r] + offset[t]. */
void tsr_qgemm_block(const struct tsr_qpack *p, int64_t m, const uint8_t *const *at, const int64_t *offset,
                     const struct tsr_qend *end);
/* The same for A[m, depth] with rows lda bytes apart (taps is 1), cut over the pool. */
void tsr_qgemm_run(const struct tsr_qpack *p, int64_t m, const uint8_t *a, int64_t lda, const struct tsr_qend *end,
                   struct tsr_pool *pool);

/* A convolution of each channel by itself. Weights W[taps, c] without their zero point, packed for the
 * kernel in use. */
struct tsr_qdepth {
    int64_t taps, c;
    const struct tsr_qgemm_isa *isa;
    int32_t *sum; /* c: over the taps */
    int8_t *w;    /* [taps, c] */
    void *data;   /* as the kernel likes it, or NULL */
};
/* Element (t, j) is w[t * step_t + j * step_c]. Release with tsr_qdepth_release. */
enum tsr_status tsr_qdepth_init(struct tsr_qdepth *d, int64_t taps, int64_t c, const int8_t *w, int64_t step_t, int64_t step_c,
                                struct tsr_error *err) TSR_MUST_USE;
void tsr_qdepth_release(struct tsr_qdepth *d);
/* `pixels` rows of c channels; tap t of pixel i begins at at[i] + offset[t] and has c channels. end->base,
 * factor and bias are those of the channels, end->row is not used. */
void tsr_qdepth_block(const struct tsr_qdepth *d, int64_t pixels, const uint8_t *const *at, const int64_t *offset,
                      const struct tsr_qend *end);

/* For tests and reports: the kernels this build has, NULL beyond the last; whether this machine runs
 * them; the one in use; and a switch, for what is packed from then on. Do not switch while products run. */
const char *tsr_qgemm_kernel_name(int i);
bool tsr_qgemm_kernel_runs(int i);
const char *tsr_qgemm_kernel(void);
enum tsr_status tsr_qgemm_use(const char *name, struct tsr_error *err) TSR_MUST_USE;

#endif
