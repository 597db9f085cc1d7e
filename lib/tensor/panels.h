/* panels.h - single-precision products with a matrix that was packed beforehand: weights.
 *
 * The rows of A may lie anywhere, and their columns be several runs: a convolution over
 * channels-last images is such a product without any copy of the image ("implicit GEMM", as in
 * Dukhan 2019, "The indirect convolution algorithm"). The order of a sum depends on k alone: blocks
 * of TSR_PANEL_KC columns from the first to the last, fused where the kernel has FMA, the blocks
 * added in order. So the bits of an element do not depend on m, n, nor on the other rows, and all
 * kernels with FMA give the same. What follows a sum (bias, residual, activation) happens in
 * registers. Thread-safe; nothing is allocated. */
#ifndef TSR_TENSOR_PANELS_H
#define TSR_TENSOR_PANELS_H

#include "tensor/gemm.h"

#define TSR_PANEL_KC 1024
#define TSR_PANELS_MANY INT64_MAX

/* B[k,n], packed for the kernels in use when it was packed. */
struct tsr_panels {
    const struct tsr_gemm_isa *isa;
    int64_t k, n, widest; /* widest: vectors of a panel */
    const float *data;
};

/* Floats that a packed B takes, at 64-byte alignment. The caller has checked that k * n elements fit
 * in memory. */
int64_t tsr_panels_size(int64_t k, int64_t n);
/* Packs op(B)[k,n] into `to`, which must outlive *p. Arguments as tsr_sgemm. `rows` that A will have,
 * about: the packing may suit them; the sums do not depend on it (TSR_PANELS_MANY: many). */
void tsr_panels_pack(struct tsr_panels *p, bool tb, int64_t k, int64_t n, const float *b, int64_t ldb, int64_t rows, float *to);

/* Whether the kernels that *p was packed for are those in use. */
bool tsr_panels_current(const struct tsr_panels *p);

/* *p for a B that was packed with many rows in mind. */
void tsr_panels_given(struct tsr_panels *p, int64_t k, int64_t n, const float *packed);

/* What follows the sum: activation((bias + sum) + add); sums begin with the bias. */
enum tsr_end {
    TSR_END_NONE,
    TSR_END_RELU,      /* max(0, x); NaN stays */
    TSR_END_CLAMP,     /* min(high, max(low, x)); NaN stays */
    TSR_END_HARDSWISH, /* x max(0, min(1, x / 6 + 1 / 2)) */
    TSR_END_GELU       /* as tsr_vgelu */
};
struct tsr_panel_end {
    const float *bias; /* n, or NULL */
    const float *add;  /* shaped and laid out as C, or NULL */
    enum tsr_end kind;
    float low, high;
};

/* Columns [at, at + n) behind the beginning of a row of A. */
struct tsr_run {
    int64_t at, n;
};

/* C = end(A B) for `rows` rows: row i of A begins at a + row[i] (NULL: a + i lda), of C at c + to[i] (NULL:
 * c + i ldc). The columns of A are the runs one after the other, k in all (NULL: one run of k); where a run would cross a
 * multiple of TSR_PANEL_KC of them, it must be two (tsr_runs_split). */
struct tsr_panel_rows {
    const float *a;
    float *c;
    const int64_t *row, *to;
    int64_t lda, ldc;
    int64_t rows;
    const struct tsr_run *run;
    int64_t runs;
};
void tsr_panels_rows(const struct tsr_panels *b, const struct tsr_panel_rows *r, const struct tsr_panel_end *end);

/* Splits the runs as they must be; writes up to tsr_runs_room(n, k) of them, k columns in all, and returns
 * their number. */
static inline int64_t tsr_runs_room(int64_t n, int64_t k) { return n + k / TSR_PANEL_KC; }
int64_t tsr_runs_split(const struct tsr_run *run, int64_t n, struct tsr_run *to);

/* C[m,n] = end(A[m,k] B), row-major, on the pool. */
void tsr_panels_run(const struct tsr_panels *b, int64_t m, const float *a, int64_t lda, float *c, int64_t ldc,
                    const struct tsr_panel_end *end, struct tsr_pool *pool);

#endif
