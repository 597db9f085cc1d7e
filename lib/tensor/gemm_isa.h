/* gemm_isa.h - what gemm.c asks of the kernels for one instruction set. Private to tensor/. */
#ifndef TSR_TENSOR_GEMM_ISA_H
#define TSR_TENSOR_GEMM_ISA_H

#include "tensor/gemm.h"

enum { TSR_TILE_ROWS = 14, TSR_TILE_WIDE = 8 }; /* rows and vectors of the largest tiles */

/* What happens to a finished sum: C = act(alpha * sum + beta * C + bias). The pointers are those
 * of the tile's first row and column. */
struct tsr_tile_end {
    float alpha, beta;
    const float *bias_n, *bias_m;
    bool relu;
};

/* One tile: C[mr, n] over k steps. Element (i, p) of A is a[i * as + p] (rows) or a[p * as + i]
 * (columns); row p of B is at b + p * bs; row i of C at c + i * cs. The columns fill nv vectors
 * but for the last, of which `last` elements (1 to vl) exist. */
typedef void tsr_tile_fn(int64_t k, const float *a, int64_t as, const float *b, int64_t bs, float *c, int64_t cs,
                         int64_t last, const struct tsr_tile_end *end);

struct tsr_gemm_isa {
    const char *name;
    bool (*runs)(void);
    int vl;          /* floats in a vector */
    int wide;        /* vectors of the usual panel: 1, 2 or 4 */
    bool masks;      /* B may be read in place where the last vector is partial */
    int rows[4];     /* largest tile heights for 1, 2, 4 and 8 vectors */
    tsr_tile_fn *tile[2][4][TSR_TILE_ROWS]; /* [A by columns][log2 vectors][rows - 1] */
    /* Transposes: to[p * ts + j] = from[j * fs + p] for j < n, p < k. The elements of `to` from n up to the
     * next multiple of vl are written too, with finite numbers where those of `from` are. */
    void (*transpose)(int64_t k, int64_t n, const float *from, int64_t fs, float *to, int64_t ts);
};

/* NULL-terminated, the best first. */
extern const struct tsr_gemm_isa *const tsr_gemm_isas[];
extern const struct tsr_gemm_isa tsr_gemm_avx512, tsr_gemm_avx2, tsr_gemm_neon, tsr_gemm_portable;

#endif
