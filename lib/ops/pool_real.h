/* pool_real.h - pooling over REAL; included by ops/pool.c once for float and once for double, with
 * R(name) naming the function, INT the integer of the same size and LOWEST minus infinity.
 * Windows slide over flat planes (conv_plane.h); the elements between the rows of Y' are not used. */

TSR_CLONES static REAL R(total)(const REAL *restrict x, int64_t n)
{
    V16 s = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) s += FROM16(x + i);
    for (int l = 0; i < n; i++, l++) s[l] += x[i];
    return LANES16(s);
}

/* y[j] = sum over taps of x[at[t] + j] for j < n, in whole steps of 16. */
TSR_CLONES static void R(sum_flat)(REAL *restrict y, const REAL *restrict x, const int64_t *restrict at, int64_t taps,
                                   int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) {
        V16 s = {0};
        for (int64_t t = 0; t < taps; t++) s += FROM16(x + at[t] + j);
        AT16(y + j) = s;
    }
}

/* y[j] = the larger of y[j] and x[j]; which[j] = place[j] + shift where that is x[j]. A NaN is the
 * larger. */
TSR_CLONES static void R(max_with)(REAL *restrict y, INT *restrict which, const REAL *restrict x,
                                   const int32_t *restrict place, int32_t shift, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        REAL v = x[j];
        bool more = (v > y[j]) | (v != v);
        y[j] = more ? v : y[j];
        which[j] = more ? (INT)(int32_t)((uint32_t)place[j] + (uint32_t)shift) : which[j];
    }
}
TSR_CLONES static void R(max_only)(REAL *restrict y, const REAL *restrict x, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        REAL v = x[j];
        y[j] = ((v > y[j]) | (v != v)) ? v : y[j];
    }
}

/* The maxima of one plane, flat, and where in the plane of X they are first seen (which may be
 * NULL); -1 where all of a window are LOWEST. */
static void R(max_flat)(const struct pooling *v, REAL *y, INT *which, const REAL *x)
{
    int64_t n = v->plane.length;
    for (int64_t j = 0; j < n; j++) y[j] = LOWEST;
    for (int64_t j = 0; which != NULL && j < n; j++) which[j] = -1;
    for (int64_t t = 0; t < v->w.kernel_size; t++) {
        const REAL *from = x + v->plane.at[t];
        if (which != NULL) R(max_with)(y, which, from, v->place, v->shift[t], n);
        else R(max_only)(y, from, n);
    }
}

/* y[j] /= count[j] for j < n, in whole steps of 16. */
TSR_CLONES static void R(divide)(REAL *restrict y, const REAL *restrict count, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) AT16(y + j) = FROM16(y + j) / FROM16(count + j);
}

/* A plane of Y, row by row, to or from its flat form. */
TSR_CLONES static void R(rows)(const struct tsr_plane *g, REAL *restrict y, REAL *restrict flat, bool to)
{
    const struct tsr_window *w = g->w;
    for (int64_t d = 0; d < w->out[0]; d++, y += w->out[1] * w->out[2], flat += g->q[1] * g->q[2]) {
        if (to) R(move)(flat, g->q[2], y, w->out[2], w->out[1], w->out[2], false, 0);
        else R(move)(y, w->out[2], flat, g->q[2], w->out[1], w->out[2], false, 0);
    }
}

/* The places of one plane, row by row from their flat form. */
TSR_CLONES static void R(places)(const struct pooling *v, const INT *restrict which, int32_t *restrict arg)
{
    const struct tsr_window *w = &v->w;
    const int64_t *q = v->plane.q;
    for (int64_t d = 0; d < w->out[0]; d++)
        for (int64_t h = 0; h < w->out[1]; h++, arg += w->out[2]) {
            const INT *from = which + (d * q[1] + h) * q[2];
            INT all = 0;
            for (int64_t i = 0; i < w->out[2]; i++) arg[i] = (int32_t)from[i], all |= from[i];
            for (int64_t i = 0; all < 0 && i < w->out[2]; i++)
                if (arg[i] < 0) arg[i] = first_place(w, d, h, i);
        }
}

static void R(max_planes)(const struct pooling *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct tsr_plane *g = &v->plane;
    REAL *flat = work + g->all + v->margin;
    INT *which = v->arg != NULL ? (INT *)(void *)(flat + v->flat) : NULL;
    for (int64_t i = 0; i < g->all; i++) work[i] = LOWEST;
    for (int64_t p = p0; p < p1; p++) {
        R(phases)(g, (REAL *)(uintptr_t)v->x + p * v->w.in_size, 0, work, 0, 1, true);
        R(max_flat)(v, flat, which, work);
        R(rows)(g, (REAL *)v->y + p * v->w.out_size, flat, false);
        if (which != NULL) R(places)(v, which, v->arg + p * v->w.out_size);
    }
}

/* |x|^p */
static inline REAL R(power)(REAL x, double p)
{
    x = x < 0 ? -x : x;
    return p == 1 ? x : p == 2 ? x * x : (REAL)pow((double)x, p);
}

/* Means (LpPool: norms). */
static void R(mean_planes)(const struct pooling *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct tsr_plane *g = &v->plane;
    REAL *flat = work + g->all + v->margin, *raised = flat + v->flat;
    memset(work, 0, (size_t)(g->all + v->margin + v->flat) * sizeof *work);
    for (int64_t p = p0; p < p1; p++) {
        REAL *x = (REAL *)(uintptr_t)v->x + p * v->w.in_size, *y = (REAL *)v->y + p * v->w.out_size;
        if (v->kind == POOL_NORM) {
            for (int64_t i = 0; i < v->w.in_size; i++) raised[i] = R(power)(x[i], v->p);
            x = raised;
        }
        if (v->global) {
            y[0] = R(total)(x, v->w.in_size);
            if (v->kind == POOL_MEAN) y[0] /= (REAL)v->w.in_size;
        } else {
            R(phases)(g, x, 0, work, 0, 1, true);
            R(sum_flat)(flat, work, g->at, v->w.kernel_size, g->length);
            if (v->kind == POOL_MEAN) R(divide)(flat, v->count, g->length);
            R(rows)(g, y, flat, false);
        }
        for (int64_t j = 0; v->kind == POOL_NORM && j < v->w.out_size; j++) y[j] = (REAL)pow((double)y[j], 1 / v->p);
    }
}

/* dX from dY: every element of a window takes its part. `spread` holds dY of one plane. */
static void R(spread)(const struct pooling *v, REAL *dx, REAL *spread, REAL *work)
{
    const struct tsr_plane *g = &v->plane;
    REAL *flat = work + g->all + v->margin;
    if (v->global) {
        REAL each = v->kind == POOL_MEAN ? spread[0] / (REAL)v->w.in_size : spread[0];
        for (int64_t i = 0; i < v->w.in_size; i++) dx[i] = each;
        return;
    }
    R(rows)(g, spread, flat, true);
    if (v->kind == POOL_MEAN) R(divide)(flat, v->count, g->length);
    for (int64_t f = 0, t = 0; f < g->n_phase; t += g->phase_taps[f++])
        R(sum_flat)(work + f * g->size, flat, g->back + t, g->phase_taps[f], g->size);
    if (!g->covers) memset(dx, 0, (size_t)v->w.in_size * sizeof *dx);
    R(phases)(g, dx, 0, work, 0, 1, false);
}

static void R(backward_planes)(const struct pooling *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct tsr_window *w = &v->w;
    REAL *raised = work + v->plane.all + v->margin + v->flat;
    if (v->kind != POOL_MAX) memset(work, 0, (size_t)(v->plane.all + v->margin + v->flat) * sizeof *work);
    for (int64_t p = p0; p < p1; p++) {
        REAL *dy = (REAL *)(uintptr_t)v->dy + p * w->out_size, *dx = (REAL *)v->dx + p * w->in_size;
        const REAL *x = (const REAL *)v->x + p * w->in_size, *y = (const REAL *)v->y + p * w->out_size;
        if (v->kind == POOL_MAX) {
            const int32_t *arg = v->arg + p * w->out_size;
            memset(dx, 0, (size_t)w->in_size * sizeof *dx);
            for (int64_t j = 0; j < w->out_size; j++)
                if (arg[j] >= 0) dx[arg[j]] += dy[j];
            continue;
        }
        if (v->kind == POOL_NORM) {
            for (int64_t j = 0; j < w->out_size; j++)
                raised[j] = y[j] > 0 ? dy[j] / (REAL)pow((double)y[j], v->p - 1) : 0;
            dy = raised;
        }
        R(spread)(v, dx, dy, work);
        for (int64_t i = 0; v->kind == POOL_NORM && i < w->in_size; i++)
            dx[i] *= x[i] > 0 ? R(power)(x[i], v->p - 1) : x[i] < 0 ? -R(power)(x[i], v->p - 1) : 0;
    }
}
