/* qgemm_tile.h - the tiles of qgemm.c for one instruction set. The including file defines
 *   TARGET                attributes of every function
 *   V, LANES              the vector of 32-bit sums and its lanes (16 or fewer, a power of two)
 *   UNIT                  neighbours of a column that one DOT takes: 4 bytes, or 2 of 16 bits
 *   ZERO() LOAD(p)        of sums; 64 / PER bytes of B
 *   SPREAD(p)             UNIT numbers of A in every lane
 *   DOT(sum, a, b)        sum + the products
 *   STORE(p, v)           LANES sums
 *   FINISH(mr, nv, n, sum, end)   the results of sum[mr][nv] (below) for n columns
 * Loops have constant bounds once `tile` is inlined. */
#include "tensor/unroll.h"
#define PER (TSR_QPANEL / LANES) /* vectors of a panel */

/* Sums by way of memory, for the instruction sets without a FINISH of their own. */
#define FINISH_BY_ROWS(mr, nv, n, sum, end)                         \
    do {                                                            \
        int32_t line[TSR_QWIDE * TSR_QPANEL];                       \
        for (int r_ = 0; r_ < (mr); r_++) {                         \
            for (int j_ = 0; j_ < (nv); j_++) STORE(line + j_ * LANES, (sum)[r_][j_]); \
            tsr_qend_row((end), r_, (n), line);                     \
        }                                                           \
    } while (0)

TARGET KERNEL void tile(int mr, int np, int64_t taps, int64_t depth, const uint8_t *const *at, const int64_t *offset, const char *b,
                        int64_t panel, int64_t n, const struct tsr_qend *end)
{
    V sum[TSR_QROWS][TSR_QWIDE * PER];
    UNROLL
    for (int i = 0; i < mr; i++) {
        UNROLL
        for (int j = 0; j < np * PER; j++) sum[i][j] = ZERO();
    }
    for (int64_t t = 0; t < taps; t++) {
        const uint8_t *a[TSR_QROWS];
        UNROLL
        for (int i = 0; i < mr; i++) a[i] = at[i] + offset[t];
        for (int64_t d = 0; d < depth; d += UNIT, b += 64) {
            V row[TSR_QWIDE * PER];
            UNROLL
            for (int j = 0; j < np * PER; j++) row[j] = LOAD(b + j / PER * panel + j % PER * (64 / PER));
            UNROLL
            for (int i = 0; i < mr; i++) {
                V x = SPREAD(a[i] + d);
                UNROLL
                for (int j = 0; j < np * PER; j++) sum[i][j] = DOT(sum[i][j], x, row[j]);
            }
        }
    }
    FINISH(mr, np * PER, n, sum, end);
}

#define TILE(mr, np)                                                                                                       \
    TARGET static void tile_##mr##_##np(int64_t taps, int64_t depth, const uint8_t *const *at, const int64_t *offset,      \
                                        const void *b, int64_t panel, int64_t n, const struct tsr_qend *end)               \
    {                                                                                                                      \
        tile(mr, np, taps, depth, at, offset, b, panel, n, end);                                                           \
    }
#define TILES_1(np) TILE(1, np)
#define TILES_2(np) TILES_1(np) TILE(2, np)
#define TILES_3(np) TILES_2(np) TILE(3, np)
#define TILES_4(np) TILES_3(np) TILE(4, np)
#define TILES_6(np) TILES_4(np) TILE(5, np) TILE(6, np)
#define TILES_8(np) TILES_6(np) TILE(7, np) TILE(8, np)
#define TILES_12(np) TILES_8(np) TILE(9, np) TILE(10, np) TILE(11, np) TILE(12, np)
#define LIST_1(np) tile_1_##np
#define LIST_2(np) LIST_1(np), tile_2_##np
#define LIST_3(np) LIST_2(np), tile_3_##np
#define LIST_4(np) LIST_3(np), tile_4_##np
#define LIST_6(np) LIST_4(np), tile_5_##np, tile_6_##np
#define LIST_8(np) LIST_6(np), tile_7_##np, tile_8_##np
#define LIST_12(np) LIST_8(np), tile_9_##np, tile_10_##np, tile_11_##np, tile_12_##np
#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)
GLUE(TILES_, ROWS1)(1)
GLUE(TILES_, ROWS2)(2)
GLUE(TILES_, ROWS3)(3)
GLUE(TILES_, ROWS4)(4)
#define TILE_ROWS {ROWS1, ROWS2, ROWS3, ROWS4}
#define TILE_LIST {{GLUE(LIST_, ROWS1)(1)}, {GLUE(LIST_, ROWS2)(2)}, {GLUE(LIST_, ROWS3)(3)}, {GLUE(LIST_, ROWS4)(4)}}
