/* conv_plane_real.h - copies between X and its phases, and vectors of 16, over REAL. Included
 * with R(name) naming the function before the kernels that use it. */

/* 16, 8, 4 and 2 elements, anywhere in memory. */
typedef REAL R(v16) __attribute__((vector_size(16 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL R(v8) __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL R(v4) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL R(v2) __attribute__((vector_size(2 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define V16 R(v16)
#define AT16(p) (*(V16 *)(p))
#define FROM16(p) (*(const V16 *)(p))

/* to[r * ts + i] = from[r * fs + i] + bias for r < rows, i < n. The last vector of a row overlaps the
 * one before, so that nothing beyond n is touched. */
static inline __attribute__((always_inline)) void R(move)(REAL *restrict to, int64_t ts, const REAL *restrict from,
                                                          int64_t fs, int64_t rows, int64_t n, bool biased, REAL bias)
{
#define MOVE(v, i)                                                                                   \
    do {                                                                                             \
        if (biased) *(R(v) *)(to + (i)) = *(const R(v) *)(from + (i)) + bias;                        \
        else *(R(v) *)(to + (i)) = *(const R(v) *)(from + (i));                                      \
    } while (0)
    if (n >= 16) {
        for (; rows > 0; rows--, to += ts, from += fs) {
            for (int64_t i = 0; i + 16 <= n; i += 16) MOVE(v16, i);
            if (n % 16 != 0) MOVE(v16, n - 16);
        }
    } else if (n >= 8) {
        for (; rows > 0; rows--, to += ts, from += fs) {
            MOVE(v8, 0);
            MOVE(v8, n - 8);
        }
    } else if (n >= 4) {
        for (; rows > 0; rows--, to += ts, from += fs) {
            MOVE(v4, 0);
            MOVE(v4, n - 4);
        }
    } else if (n >= 2) {
        for (; rows > 0; rows--, to += ts, from += fs) {
            MOVE(v2, 0);
            MOVE(v2, n - 2);
        }
    } else if (n == 1) {
        for (; rows > 0; rows--, to += ts, from += fs) to[0] = biased ? from[0] + bias : from[0];
    }
#undef MOVE
}

static inline __attribute__((always_inline)) void R(copy)(REAL *restrict to, const REAL *restrict from, int64_t n)
{
    R(move)(to, 0, from, 0, 1, n, false, 0);
}

/* to[r * ts + i] = from[r * fs + 2 i] for r < rows, i < n. */
static inline __attribute__((always_inline)) void R(every_second)(REAL *restrict to, int64_t ts, const REAL *restrict from,
                                                                  int64_t fs, int64_t rows, int64_t n)
{
#define EIGHT(i)                                                                                                 \
    (*(R(v8) *)(to + (i)) = __builtin_shufflevector(*(const R(v8) *)(from + 2 * (i)), *(const R(v8) *)(from + 2 * (i) + 8), \
                                                    0, 2, 4, 6, 8, 10, 12, 14))
    /* Reads one element too many: not in the last row. */
    for (; n >= 8 && rows > 1; rows--, to += ts, from += fs) {
        for (int64_t i = 0; i + 8 <= n; i += 8) EIGHT(i);
        if (n % 8 != 0) EIGHT(n - 8);
    }
#undef EIGHT
    for (; rows > 0; rows--, to += ts, from += fs)
        for (int64_t i = 0; i < n; i++) to[i] = from[2 * i];
}

/* Coordinates i in [lo, hi) with (i + pad) % stride == p: the first, their number, the place of the
 * first in its phase. */
static inline void R(remainder)(int64_t lo, int64_t hi, int64_t pad, int64_t stride, int64_t p, int64_t *first, int64_t *n,
                                int64_t *place)
{
    *first = stride == 1 ? lo : lo + ((p - lo - pad) % stride + stride) % stride;
    *n = *first >= hi ? 0 : stride == 1 ? hi - lo : (hi - *first + stride - 1) / stride;
    *place = stride == 1 ? lo + pad : (*first + pad) / stride;
}

/* Copies a plane of X into its phases (to phases) or back; what lies between is not touched. */
TSR_CLONES static void R(phases)(const struct tsr_plane *g, REAL *restrict x, REAL *restrict phase, bool to)
{
    const struct tsr_window *w = g->w;
    const int64_t *s = w->stride;
    for (int64_t f = 0; f < g->n_phase; f++) {
        int64_t first[3], n[3], place[3];
        R(remainder)(g->lo[2], g->hi[2], w->pad[2], s[2], f % s[2], &first[2], &n[2], &place[2]);
        R(remainder)(g->lo[1], g->hi[1], w->pad[1], s[1], f / s[2] % s[1], &first[1], &n[1], &place[1]);
        R(remainder)(g->lo[0], g->hi[0], w->pad[0], s[0], f / s[2] / s[1], &first[0], &n[0], &place[0]);
        for (int64_t d = 0; d < n[0]; d++) {
            REAL *at = phase + f * g->size + ((place[0] + d) * g->q[1] + place[1]) * g->q[2] + place[2];
            REAL *from = x + ((first[0] + d * s[0]) * w->in[1] + first[1]) * w->in[2] + first[2];
            int64_t ts = g->q[2], fs = s[1] * w->in[2];
            if (s[2] == 1 && to) R(move)(at, ts, from, fs, n[1], n[2], false, 0);
            else if (s[2] == 1) R(move)(from, fs, at, ts, n[1], n[2], false, 0);
            else if (s[2] == 2 && to) R(every_second)(at, ts, from, fs, n[1], n[2]);
            else
                for (int64_t h = 0; h < n[1]; h++, at += ts, from += fs)
                    for (int64_t i = 0; i < n[2]; i++) {
                        if (to) at[i] = from[i * s[2]];
                        else from[i * s[2]] = at[i];
                    }
        }
    }
}
