/* conv_plane_real.h - copies between X and its phases over REAL. Included after ops/vec_real.h with
 * R(name) naming the function, before the kernels that use it. */

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
    if (n > 32) {
        for (; rows > 0; rows--, to += ts, from += fs) {
            for (int64_t i = 0; i + 16 <= n; i += 16) MOVE(v16, i);
            if (n % 16 != 0) MOVE(v16, n - 16);
        }
    } else if (n >= 16) {
        for (; rows > 0; rows--, to += ts, from += fs) {
            MOVE(v16, 0);
            MOVE(v16, n - 16);
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

/* to[r * ts + 2 i] = a[r * fs + i] and to[r * ts + 2 i + 1] = b[r * fs + i] for r < rows, i < n. */
static inline __attribute__((always_inline)) void R(interleave)(REAL *restrict to, int64_t ts, const REAL *restrict a,
                                                                const REAL *restrict b, int64_t fs, int64_t rows, int64_t n)
{
#define EIGHT(i)                                                                                                   \
    (*(V16 *)(to + 2 * (i)) = __builtin_shufflevector(*(const R(v8) *)(a + (i)), *(const R(v8) *)(b + (i)), 0, 8, 1, 9, \
                                                      2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15))
    for (; rows > 0; rows--, to += ts, a += fs, b += fs) {
        for (int64_t i = 0; i + 8 <= n; i += 8) EIGHT(i);
        if (n >= 8 && n % 8 != 0) EIGHT(n - 8);
        for (int64_t i = 0; n < 8 && i < n; i++) to[2 * i] = a[i], to[2 * i + 1] = b[i];
    }
#undef EIGHT
}

/* The phases f and f + 1 of a width stride of 2 go back to one plane of X. */
static inline __attribute__((always_inline)) void R(join)(const struct tsr_plane *g, const struct tsr_phase *f, REAL *x,
                                                          const REAL *phase, int64_t fs)
{
    const struct tsr_phase *a = f[0].from < f[1].from ? f : f + 1, *b = a == f ? f + 1 : f;
    int64_t n = a->n[2] < b->n[2] ? a->n[2] : b->n[2], rows = f->n[1];
    if (f[0].n[2] == 0 || f[1].n[2] == 0) a = f[0].n[2] > 0 ? f : f + 1, n = 0;
    R(interleave)(x + a->from, fs, phase + a->to, phase + b->to, g->q[2], rows, n);
    for (int64_t h = 0; a->n[2] > n && h < rows; h++)
        for (int64_t i = n; i < a->n[2]; i++) x[a->from + h * fs + 2 * i] = phase[a->to + h * g->q[2] + i];
}

/* Copies `count` planes of X (x_step apart) into their phases (step apart), or back where `to` is
 * false; what lies between is not touched. */
TSR_CLONES static void R(phases)(const struct tsr_plane *g, REAL *restrict x, int64_t x_step, REAL *restrict phase,
                                 int64_t step, int64_t count, bool to)
{
    const struct tsr_window *w = g->w;
    int64_t s2 = w->stride[2], ts = g->q[2], fs = w->stride[1] * w->in[2];
    int64_t t0 = g->q[1] * g->q[2], f0 = w->stride[0] * w->in[1] * w->in[2];
    for (const struct tsr_phase *f = g->phase; f < g->phase + g->n_phase; f++) {
        int64_t rows = f->n[1], n = f->n[2];
        for (int64_t c = 0; c < count; c++)
            for (int64_t d = 0; d < f->n[0]; d++) {
                REAL *at = phase + c * step + f->to + d * t0, *from = x + c * x_step + f->from + d * f0;
                if (s2 == 1 && to) R(move)(at, ts, from, fs, rows, n, false, 0);
                else if (s2 == 1) R(move)(from, fs, at, ts, rows, n, false, 0);
                else if (s2 == 2 && to) R(every_second)(at, ts, from, fs, rows, n);
                else if (s2 == 2) {
                    if ((f - g->phase) % 2 == 0) R(join)(g, f, x + c * x_step + d * f0, phase + c * step + d * t0, fs);
                } else
                    for (int64_t h = 0; h < rows; h++, at += ts, from += fs)
                        for (int64_t i = 0; i < n; i++) {
                            if (to) at[i] = from[i * s2];
                            else from[i * s2] = at[i];
                        }
            }
    }
}
