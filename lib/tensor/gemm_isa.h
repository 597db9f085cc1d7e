/* gemm_isa.h - what gemm.c asks of the kernels for one instruction set. Private to tensor/. */
#ifndef TSR_TENSOR_GEMM_ISA_H
#define TSR_TENSOR_GEMM_ISA_H

#include "tensor/gemm.h"
#include "tensor/panels.h"

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

/* Tiles of a product with a packed matrix (panels.c): `tiles` times `mr` rows of A, whose columns are the
 * runs one after the other, times a panel of nv vectors, k rows after each other. */
struct tsr_panel_tile {
    int64_t tiles;
    const float *a, *b;
    const int64_t *row;      /* where each row begins in A ... */
    int64_t as;              /* ... or where NULL, elements from one to the next */
    const struct tsr_run *run;
    int64_t runs;
    float *c;
    const int64_t *to;       /* the same for C and end->add */
    int64_t cs;
    bool more;               /* C holds the sum of the columns before these */
    const float *bias;       /* what the sums begin with, or NULL */
    int64_t last;            /* as in tsr_tile_fn */
    const struct tsr_panel_end *end; /* NULL: more columns are to come */
};
typedef void tsr_panel_fn(const struct tsr_panel_tile *t);

/* Tiles of a filter (filter.c): nv vectors of channels at `tiles` times `mr` positions. */
struct tsr_filter_tile {
    int64_t tiles;
    const float *x, *w;      /* w: rows of `step` */
    const int64_t *row;      /* in x, of each position */
    const int64_t *at;       /* [taps]: how far beyond its row a tap reads */
    int64_t taps, step;
    float *y;
    const int64_t *to;       /* in y and end->add */
    const float *bias;       /* as above */
    int64_t last;
    const struct tsr_panel_end *end;
};
typedef void tsr_filter_fn(const struct tsr_filter_tile *t);

enum { TSR_PANEL_WIDE = 4, TSR_PANEL_ROWS = 12 };

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
    int panel_rows[TSR_PANEL_WIDE];                      /* the tallest tiles of 1 to 4 vectors, of these two: */
    tsr_panel_fn *panel[TSR_PANEL_WIDE][TSR_PANEL_ROWS]; /* [vectors - 1][rows - 1] */
    tsr_filter_fn *filter[TSR_PANEL_WIDE][TSR_PANEL_ROWS];
};

/* The one in use. */
const struct tsr_gemm_isa *tsr_gemm_chosen(void);

/* NULL-terminated, the best first. */
extern const struct tsr_gemm_isa *const tsr_gemm_isas[];
extern const struct tsr_gemm_isa tsr_gemm_avx512, tsr_gemm_avx2, tsr_gemm_neon, tsr_gemm_portable;

#endif
