/* qgemm_portable.c - tiles in plain C, for other machines and as the reference. */
#include "tensor/qgemm_isa.h"

#include <string.h>

#define TARGET
struct lane {
    int32_t x[4];
    int8_t b[16];
};
#define V struct lane
#define LANES 4
#define UNIT 4
#define ZERO() ((struct lane){{0}, {0}})
#define LOAD(p) load(p)
#define STORE(p, v) memcpy(p, (v).x, sizeof (v).x)
#define DOT(sum, a, b) dot(sum, a, b)
#define FINISH FINISH_BY_ROWS
#define SPREAD(p) load_a(p)

static inline struct lane load(const char *p)
{
    struct lane v;
    memcpy(v.b, p, sizeof v.b);
    return v;
}

static inline struct lane load_a(const uint8_t *p)
{
    struct lane v;
    for (int i = 0; i < 4; i++) v.x[i] = p[i];
    return v;
}

static inline struct lane dot(struct lane sum, struct lane a, struct lane b)
{
    for (int i = 0; i < 4; i++) {
        uint32_t s = (uint32_t)sum.x[i];
        for (int k = 0; k < 4; k++) s += (uint32_t)(a.x[k] * b.b[4 * i + k]);
        sum.x[i] = (int32_t)s;
    }
    return sum;
}

#define ROWS1 2
#define ROWS2 1
#define ROWS3 1
#define ROWS4 1
#include "tensor/qgemm_tile.h"

static bool runs(void) { return true; }

const struct tsr_qgemm_isa tsr_qgemm_portable = {"portable", runs, UNIT, false, TILE_ROWS, TILE_LIST, NULL, NULL, NULL};
