/* gemm_portable.c - tiles in the compiler's own vectors of four: SSE2, or whatever there is. The
 * sums are not fused. */
#include "tensor/gemm_isa.h"

#include <string.h>

typedef float vec __attribute__((vector_size(16)));

static inline vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void store(float *p, vec v) { memcpy(p, &v, sizeof v); }

/* max(v, 0) where NaN stays. */
static inline vec relu(vec v)
{
    for (int i = 0; i < 4; i++) v[i] = v[i] < 0 ? 0 : v[i];
    return v;
}

/* The larger, the smaller; b where one is NaN. */
static inline vec larger(vec a, vec b)
{
    for (int i = 0; i < 4; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}
static inline vec smaller(vec a, vec b)
{
    for (int i = 0; i < 4; i++) b[i] = a[i] < b[i] ? a[i] : b[i];
    return b;
}

#define TARGET
#define V vec
#define VL 4
#define ZERO() ((vec){0, 0, 0, 0})
#define SET(x) ((vec){(x), (x), (x), (x)})
#define LOAD(p) load(p)
#define STORE(p, v) store(p, v)
#define LOAD_LAST(p, n) load_last(p, n)
#define STORE_LAST(p, v, n) store_last(p, v, n)
#define FMA(a, b, c) ((a) * (b) + (c))
#define MUL(a, b) ((a) * (b))
#define ADD(a, b) ((a) + (b))
#define RELU(v) relu(v)
#define MAX(a, b) larger(a, b)
#define MIN(a, b) smaller(a, b)
#define B_LAST(p, n) LOAD(p)
#define ROWS1 6
#define ROWS2 6
#define ROWS4 2
#define ROWS8 1
#include "tensor/gemm_portable.h"
#define PANEL1 6
#define PANEL2 4
#define PANEL3 3
#define PANEL4 2
#include "tensor/gemm_tile.h"
#include "tensor/panel_tile.h"

static bool runs(void) { return true; }

const struct tsr_gemm_isa tsr_gemm_portable = {"portable", runs, 4, 2, false, TILE_ROWS,
                                               {TILE_LIST(rows), TILE_LIST(columns)}, transpose, PANEL_TILES};
