/* qgemm_isa.h - what qgemm.c asks of the kernels for one instruction set. Private to tensor/. */
#ifndef TSR_TENSOR_QGEMM_ISA_H
#define TSR_TENSOR_QGEMM_ISA_H

#include "tensor/qgemm.h"

enum { TSR_QPANEL = 16, TSR_QROWS = 12, TSR_QWIDE = 4 }; /* columns of a panel; most rows and panels of a tile */

/* C[mr, n] over taps and depth, `at` and `offset` as in tsr_qgemm_block; b is the first of the tile's panels,
 * the next one `panel` bytes on; n <= 16 panels' columns. The pointers of `end` are those of the tile's
 * first row and column. */
typedef void tsr_qtile_fn(int64_t taps, int64_t depth, const uint8_t *const *at, const int64_t *offset, const void *b,
                          int64_t panel, int64_t n, const struct tsr_qend *end);

struct tsr_qgemm_isa {
    const char *name;
    bool (*runs)(void);
    int unit;            /* neighbours of one column that lie together: 4 bytes, or 2 of 16 bits */
    bool signed_a;       /* the kernel reads A - 128; what that lacks is 128 times the column's sum */
    int rows[TSR_QWIDE]; /* tallest tile for 1 to 4 panels */
    tsr_qtile_fn *tile[TSR_QWIDE][TSR_QROWS]; /* [panels - 1][rows - 1] */
    /* tsr_qdepth_block for 8-bit results, and the size and making of tsr_qdepth.data; NULL: in plain loops. */
    void (*depth)(const struct tsr_qdepth *d, int64_t pixels, const uint8_t *const *at, const int64_t *offset,
                  const struct tsr_qend *end);
    size_t (*depth_bytes)(int64_t taps, int64_t c);
    void (*depth_pack)(const struct tsr_qdepth *d);
};

extern const struct tsr_qgemm_isa *const tsr_qgemm_isas[]; /* NULL-terminated, the best first */
extern const struct tsr_qgemm_isa tsr_qgemm_vnni, tsr_qgemm_avx2, tsr_qgemm_dot, tsr_qgemm_neon, tsr_qgemm_portable;

/* The end in plain loops: n columns of one row. `row` is that row's. */
void tsr_qend_row(const struct tsr_qend *end, int64_t i, int64_t n, const int32_t *sum);

#endif
