#include "ops/copy.h"
#include "ops/par.h"
#include "tensor/isa.h"

#include <string.h>

/* A cleaned copy: no dimensions of 1, neighbours merged, and the destination's fastest dimension last. */
struct plan {
    struct tsr_copy c;
    size_t size;  /* bytes of an element; 0: 4-bit elements */
    int cross;    /* the dimension along which the source is contiguous, for transposes; -1: none */
    int64_t rows; /* product of the dimensions but for the last (and `cross`) */
    char *dst;
    const char *src;
};

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

static void swap_dims(struct tsr_copy *c, int a, int b)
{
    int64_t t;
    t = c->dim[a], c->dim[a] = c->dim[b], c->dim[b] = t;
    t = c->ds[a], c->ds[a] = c->ds[b], c->ds[b] = t;
    t = c->ss[a], c->ss[a] = c->ss[b], c->ss[b] = t;
}

/* False where there is nothing to copy. */
static bool clean(const struct tsr_copy *in, struct tsr_copy *c)
{
    *c = *in;
    c->rank = 0;
    for (int i = 0; i < in->rank; i++) {
        if (in->dim[i] <= 0) return false;
        if (in->dim[i] == 1) continue;
        c->dim[c->rank] = in->dim[i];
        c->ds[c->rank] = in->ds[i];
        c->ss[c->rank++] = in->ss[i];
    }
    for (int i = 1; i < c->rank; i++) /* by falling stride of the destination */
        for (int j = i; j > 0 && magnitude(c->ds[j - 1]) < magnitude(c->ds[j]); j--) swap_dims(c, j - 1, j);
    int n = 0;
    for (int i = 0; i < c->rank; i++) {
        if (n > 0 && c->ds[n - 1] == c->ds[i] * c->dim[i] && c->ss[n - 1] == c->ss[i] * c->dim[i]) {
            c->dim[n - 1] *= c->dim[i];
            c->ds[n - 1] = c->ds[i];
            c->ss[n - 1] = c->ss[i];
        } else {
            c->dim[n] = c->dim[i];
            c->ds[n] = c->ds[i];
            c->ss[n++] = c->ss[i];
        }
    }
    if (n == 0) {
        c->dim[0] = 1;
        c->ds[0] = c->ss[0] = 1;
        n = 1;
    }
    c->rank = n;
    return true;
}

#define STRIDED(T)                                                                                 \
    do {                                                                                           \
        T *d = (T *)(void *)dst;                                                                   \
        const T *s = (const T *)(const void *)src;                                                 \
        if (ds == 1 && ss == 0) {                                                                  \
            T v = *s;                                                                              \
            for (int64_t i = 0; i < n; i++) d[i] = v;                                              \
        } else                                                                                     \
            for (int64_t i = 0; i < n; i++) d[i * ds] = s[i * ss];                                 \
    } while (0)

static void line(size_t size, int64_t n, char *dst, int64_t ds, const char *src, int64_t ss)
{
    if (ds == 1 && ss == 1) {
        memcpy(dst, src, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1: STRIDED(uint8_t); break;
    case 2: STRIDED(uint16_t); break;
    case 4: STRIDED(uint32_t); break;
    default: STRIDED(uint64_t); break;
    }
}

/* dst[j * ld + i] = src[i * ls + j] in tiles that stay in the first-level cache. */
#define TRANSPOSE(T)                                                                               \
    do {                                                                                           \
        T *d = (T *)(void *)dst;                                                                   \
        const T *s = (const T *)(const void *)src;                                                 \
        for (int64_t j0 = 0; j0 < m; j0 += 16)                                                     \
            for (int64_t i0 = 0; i0 < n; i0 += 16) {                                               \
                int64_t je = m - j0 < 16 ? m : j0 + 16, ie = n - i0 < 16 ? n : i0 + 16;            \
                if (je - j0 == 16 && ie - i0 == 16) {                                              \
                    for (int64_t j = j0; j < j0 + 16; j++)                                         \
                        for (int64_t i = i0; i < i0 + 16; i++) d[j * ld + i] = s[i * ls + j];      \
                } else                                                                             \
                    for (int64_t j = j0; j < je; j++)                                              \
                        for (int64_t i = i0; i < ie; i++) d[j * ld + i] = s[i * ls + j];           \
            }                                                                                      \
    } while (0)

static void transpose(size_t size, int64_t n, int64_t m, char *dst, int64_t ld, const char *src, int64_t ls)
{
    switch (size) {
    case 1: TRANSPOSE(uint8_t); break;
    case 2: TRANSPOSE(uint16_t); break;
    case 4: TRANSPOSE(uint32_t); break;
    default: TRANSPOSE(uint64_t); break;
    }
}

/* The outer positions [from, to), each one line or one transposed plane. */
static void run_rows(void *arg, int64_t from, int64_t to)
{
    const struct plan *p = arg;
    const struct tsr_copy *c = &p->c;
    int last = c->rank - 1;
    int64_t index[TSR_COPY_RANK] = {0}, d = c->d0, s = c->s0, rest = from;
    for (int i = last - 1; i >= 0; i--) {
        if (i == p->cross) continue;
        index[i] = rest % c->dim[i];
        rest /= c->dim[i];
        d += index[i] * c->ds[i];
        s += index[i] * c->ss[i];
    }
    for (int64_t r = from; r < to; r++) {
        char *dst = p->dst + d * (int64_t)p->size;
        const char *src = p->src + s * (int64_t)p->size;
        if (p->cross >= 0)
            transpose(p->size, c->dim[last], c->dim[p->cross], dst, c->ds[p->cross], src, c->ss[last]);
        else line(p->size, c->dim[last], dst, c->ds[last], src, c->ss[last]);
        for (int i = last - 1; i >= 0; i--) {
            if (i == p->cross) continue;
            d += c->ds[i], s += c->ss[i];
            if (++index[i] < c->dim[i]) break;
            d -= c->ds[i] * c->dim[i], s -= c->ss[i] * c->dim[i];
            index[i] = 0;
        }
    }
}

/* All elements one by one, in order: for 4-bit types and sums. */
static void each(const struct tsr_copy *c, void (*fn)(const struct tsr_copy *, int64_t d, int64_t s))
{
    int64_t index[TSR_COPY_RANK] = {0}, d = c->d0, s = c->s0;
    for (;;) {
        fn(c, d, s);
        int i = c->rank - 1;
        for (; i >= 0; i--) {
            d += c->ds[i], s += c->ss[i];
            if (++index[i] < c->dim[i]) break;
            d -= c->ds[i] * c->dim[i], s -= c->ss[i] * c->dim[i];
            index[i] = 0;
        }
        if (i < 0) return;
    }
}

static void one_nibble(const struct tsr_copy *c, int64_t d, int64_t s)
{
    tsr_store_i64(c->dtype, c->dst, d, tsr_load_i64(c->dtype, c->src, s));
}

void tsr_copy_run(struct tsr_pool *pool, const struct tsr_copy *in)
{
    struct plan p = {.cross = -1, .rows = 1, .dst = in->dst, .src = in->src};
    if (!clean(in, &p.c)) return;
    if (tsr_dtype_bits(in->dtype) == 4) {
        each(&p.c, one_nibble);
        return;
    }
    p.size = tsr_dtype_bytes(in->dtype, 1);
    int last = p.c.rank - 1;
    int64_t cost = p.c.dim[last];
    if (p.c.ds[last] == 1 && p.c.ss[last] != 1 && p.c.ss[last] != 0)
        for (int i = 0; i < last; i++)
            if (p.c.ss[i] == 1) p.cross = i;
    for (int i = 0; i < last; i++) {
        if (i == p.cross) cost *= p.c.dim[i];
        else p.rows *= p.c.dim[i];
    }
    tsr_par(pool, p.rows, tsr_par_rows(cost), run_rows, &p);
}

TSR_CLONES static void add_f32(int64_t n, float *d, const float *s)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) d[i] += s[i];
}
TSR_CLONES static void add_f64(int64_t n, double *d, const double *s)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) d[i] += s[i];
}

static void one_line(const struct tsr_copy *c, int64_t d, int64_t s)
{
    int64_t n = c->dim[c->rank], ds = c->ds[c->rank], ss = c->ss[c->rank]; /* the dimension that was cut off */
    if (c->dtype == TSR_F32) {
        float *x = (float *)c->dst + d;
        const float *y = (const float *)c->src + s;
        if (ds == 1 && ss == 1) add_f32(n, x, y);
        else
            for (int64_t i = 0; i < n; i++) x[i * ds] += y[i * ss];
    } else {
        double *x = (double *)c->dst + d;
        const double *y = (const double *)c->src + s;
        if (ds == 1 && ss == 1) add_f64(n, x, y);
        else
            for (int64_t i = 0; i < n; i++) x[i * ds] += y[i * ss];
    }
}

void tsr_copy_add(const struct tsr_copy *in)
{
    struct tsr_copy c;
    if (!clean(in, &c)) return;
    c.rank--;
    each(&c, one_line);
}

void tsr_copy_fill(enum tsr_dtype dtype, void *dst, int64_t at, int64_t n, const void *value)
{
    if (n <= 0) return;
    if (tsr_dtype_bits(dtype) == 4) {
        int64_t v = tsr_load_i64(dtype, value, 0);
        for (int64_t i = 0; i < n; i++) tsr_store_i64(dtype, dst, at + i, v);
        return;
    }
    size_t size = tsr_dtype_bytes(dtype, 1);
    line(size, n, (char *)dst + (size_t)at * size, 1, value, 0);
}
