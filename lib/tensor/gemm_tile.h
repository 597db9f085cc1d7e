/* gemm_tile.h - the tiles of gemm.c for one instruction set. The including file defines
 *   TARGET            attributes of every function
 *   V, VL             the vector type and its number of floats
 *   ZERO() SET(x)     vectors of 0 and of a float
 *   LOAD(p) STORE(p, v)            unaligned
 *   LOAD_LAST(p, n) STORE_LAST(p, v, n)   the first n elements; the others are 0 / not touched
 *   FMA(a, b, c) MUL(a, b) ADD(a, b) RELU(v)
 *   B_LAST(p, n)      as LOAD_LAST, or LOAD where B always has whole vectors
 *   ROWS1..ROWS8      the tallest tiles of 1, 2, 4 and 8 vectors
 * Loops have constant bounds once `tile` is inlined; the compiler unrolls them all and keeps
 * `sum` in registers. */

#include "tensor/unroll.h"

/* Every vector of the tile, and its place in memory; for panel_tile.h, too. */
#define EACH                       \
    UNROLL                         \
    for (int i = 0; i < mr; i++)   \
        UNROLL                     \
        for (int j = 0; j < nv; j++)
#define LOAD_AT(p) (j == nv - 1 ? LOAD_LAST((p) + j * VL, last) : LOAD((p) + j * VL))

TARGET KERNEL void tile(bool columns, int mr, int nv, int64_t k, const float *a, int64_t as, const float *b, int64_t bs, float *c,
                        int64_t cs, int64_t last, const struct tsr_tile_end *end)
{
    V sum[TSR_TILE_ROWS][TSR_TILE_WIDE];
    UNROLL
    for (int i = 0; i < mr; i++) {
        UNROLL
        for (int j = 0; j < nv; j++) sum[i][j] = ZERO();
    }
    UNROLL_STEPS
    for (int64_t p = 0; p < k; p++) {
        V row[TSR_TILE_WIDE];
        UNROLL
        for (int j = 0; j < nv; j++) row[j] = j == nv - 1 ? B_LAST(b + p * bs + j * VL, last) : LOAD(b + p * bs + j * VL);
        UNROLL
        for (int i = 0; i < mr; i++) {
            V x = SET(columns ? a[p * as + i] : a[i * as + p]);
            UNROLL
            for (int j = 0; j < nv; j++) sum[i][j] = FMA(x, row[j], sum[i][j]);
        }
    }
    if (end->alpha != 1) {
        V alpha = SET(end->alpha);
        EACH sum[i][j] = MUL(sum[i][j], alpha);
    }
    if (end->beta == 1) {
        EACH sum[i][j] = ADD(LOAD_AT(c + i * cs), sum[i][j]);
    } else if (end->beta != 0) {
        V beta = SET(end->beta);
        EACH sum[i][j] = FMA(beta, LOAD_AT(c + i * cs), sum[i][j]);
    }
    if (end->bias_n != NULL) {
        EACH sum[i][j] = ADD(sum[i][j], LOAD_AT(end->bias_n));
    }
    if (end->bias_m != NULL) {
        EACH sum[i][j] = ADD(sum[i][j], SET(end->bias_m[i]));
    }
    if (end->relu) {
        EACH sum[i][j] = RELU(sum[i][j]);
    }
    EACH {
        if (j == nv - 1) STORE_LAST(c + i * cs + j * VL, sum[i][j], last);
        else STORE(c + i * cs + j * VL, sum[i][j]);
    }
}

#define TILE(mr, nv)                                                                                          \
    TARGET static void rows_##mr##_##nv(int64_t k, const float *a, int64_t as, const float *b, int64_t bs,    \
                                        float *c, int64_t cs, int64_t last, const struct tsr_tile_end *end)   \
    {                                                                                                         \
        tile(false, mr, nv, k, a, as, b, bs, c, cs, last, end);                                               \
    }                                                                                                         \
    TARGET static void columns_##mr##_##nv(int64_t k, const float *a, int64_t as, const float *b, int64_t bs, \
                                           float *c, int64_t cs, int64_t last, const struct tsr_tile_end *end) \
    {                                                                                                         \
        tile(true, mr, nv, k, a, as, b, bs, c, cs, last, end);                                                \
    }
#define TILES_1(nv) TILE(1, nv)
#define TILES_2(nv) TILES_1(nv) TILE(2, nv)
#define TILES_3(nv) TILES_2(nv) TILE(3, nv)
#define TILES_6(nv) TILES_3(nv) TILE(4, nv) TILE(5, nv) TILE(6, nv)
#define TILES_12(nv) TILES_6(nv) TILE(7, nv) TILE(8, nv) TILE(9, nv) TILE(10, nv) TILE(11, nv) TILE(12, nv)
#define TILES_14(nv) TILES_12(nv) TILE(13, nv) TILE(14, nv)
#define LIST_1(kind, nv) kind##_1_##nv
#define LIST_2(kind, nv) LIST_1(kind, nv), kind##_2_##nv
#define LIST_3(kind, nv) LIST_2(kind, nv), kind##_3_##nv
#define LIST_6(kind, nv) LIST_3(kind, nv), kind##_4_##nv, kind##_5_##nv, kind##_6_##nv
#define LIST_12(kind, nv)                                                                             \
    LIST_6(kind, nv), kind##_7_##nv, kind##_8_##nv, kind##_9_##nv, kind##_10_##nv, kind##_11_##nv,    \
        kind##_12_##nv
#define LIST_14(kind, nv) LIST_12(kind, nv), kind##_13_##nv, kind##_14_##nv
#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)

GLUE(TILES_, ROWS1)(1)
GLUE(TILES_, ROWS2)(2)
GLUE(TILES_, ROWS4)(4)
GLUE(TILES_, ROWS8)(8)

#define TILE_ROWS {ROWS1, ROWS2, ROWS4, ROWS8}
#define TILE_LIST(kind)                                                                                \
    {                                                                                                  \
        {GLUE(LIST_, ROWS1)(kind, 1)}, {GLUE(LIST_, ROWS2)(kind, 2)}, {GLUE(LIST_, ROWS4)(kind, 4)},   \
            {GLUE(LIST_, ROWS8)(kind, 8)}                                                              \
    }
