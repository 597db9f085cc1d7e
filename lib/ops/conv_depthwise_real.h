/* conv_depthwise_real.h - the kernels of ops/conv_depthwise.c over REAL; included there once for
 * float and once for double, with R(name) naming the function. */

/* y[j] = sum over taps of weight[t] * x[at[t] + j], or that added to y, for j < n; works in whole
 * steps of 16, so y and x need 15 elements more. */
TSR_CLONES static void R(filter)(REAL *restrict y, const REAL *restrict x, const int64_t *restrict at,
                                 const REAL *restrict weight, int64_t taps, int64_t n, bool add)
{
    int64_t j = 0;
    for (; j + 64 <= n; j += 64) {
        V16 a = {0}, b = {0}, c = {0}, d = {0};
        if (add) a = AT16(y + j), b = AT16(y + j + 16), c = AT16(y + j + 32), d = AT16(y + j + 48);
        for (int64_t t = 0; t < taps; t++) {
            const REAL *from = x + at[t] + j, v = weight[t];
            a += v * FROM16(from);
            b += v * FROM16(from + 16);
            c += v * FROM16(from + 32);
            d += v * FROM16(from + 48);
        }
        AT16(y + j) = a, AT16(y + j + 16) = b, AT16(y + j + 32) = c, AT16(y + j + 48) = d;
    }
    for (; j < n; j += 16) {
        V16 a = {0};
        if (add) a = AT16(y + j);
        for (int64_t t = 0; t < taps; t++) a += weight[t] * FROM16(x + at[t] + j);
        AT16(y + j) = a;
    }
}

/* sum[t] += sum over j < n of dy[j] * x[at[t] + j]; dy is 0 in the up to 15 elements behind. */
TSR_CLONES static void R(correlate)(double *restrict sum, const REAL *restrict dy, const REAL *restrict x,
                                    const int64_t *restrict at, int64_t taps, int64_t n)
{
    int64_t t = 0;
    for (; t + 3 <= taps; t += 3) {
        V16 a = {0}, b = {0}, c = {0};
        const REAL *p = x + at[t], *q = x + at[t + 1], *r = x + at[t + 2];
        for (int64_t j = 0; j < n; j += 16) {
            V16 v = FROM16(dy + j);
            a += v * FROM16(p + j);
            b += v * FROM16(q + j);
            c += v * FROM16(r + j);
        }
        sum[t] += (double)LANES16(a);
        sum[t + 1] += (double)LANES16(b);
        sum[t + 2] += (double)LANES16(c);
    }
    for (; t < taps; t++) {
        V16 a = {0};
        for (int64_t j = 0; j < n; j += 16) a += FROM16(dy + j) * FROM16(x + at[t] + j);
        sum[t] += (double)LANES16(a);
    }
}
/* The sum of n elements; what stands up to 15 behind them is 0. */
TSR_CLONES static double R(sum)(const REAL *x, int64_t n)
{
    V16 a = {0};
    for (int64_t j = 0; j < n; j += 16) a += FROM16(x + j);
    return (double)LANES16(a);
}

/* A plane of Y, row by row, to or from the flat rows of q[2]; adds `bias` on the way out. */
TSR_CLONES static void R(rows)(const struct tsr_plane *g, REAL *restrict y, REAL *restrict flat, REAL bias, bool to)
{
    const struct tsr_window *w = g->w;
    for (int64_t d = 0; d < w->out[0]; d++, y += w->out[1] * w->out[2], flat += g->q[1] * g->q[2]) {
        if (to) R(move)(flat, g->q[2], y, w->out[2], w->out[1], w->out[2], false, 0);
        else R(move)(y, w->out[2], flat, g->q[2], w->out[1], w->out[2], true, bias);
    }
}

/* Planes [p0, p1) of X: all outputs that come from them. */
static void R(forward)(const struct depthwise *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct tsr_plane *g = &v->plane;
    REAL *phase = work, *flat = work + g->all;
    memset(work, 0, (size_t)v->elements * sizeof *work);
    for (int64_t p = p0; p < p1; p++) {
        R(phases)(g, (REAL *)(uintptr_t)v->x + p * v->w.in_size, 0, phase, 0, 1, true);
        for (int64_t i = 0; i < v->mg; i++) {
            int64_t m = p % v->groups * v->mg + i;
            R(filter)(flat, phase, g->at, (const REAL *)v->weight + m * v->weight_step, v->taps, g->length, false);
            R(rows)(g, (REAL *)v->y + (p / v->groups * v->m + m) * v->w.out_size, flat,
                    v->bias != NULL ? ((const REAL *)v->bias)[m] : 0, false);
        }
    }
}

static void R(input_gradient)(const struct depthwise *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct tsr_plane *g = &v->plane;
    REAL *phase = work, *flat = work + g->all + v->margin, *weight = flat + v->flat_size;
    memset(work, 0, (size_t)v->elements * sizeof *work);
    for (int64_t p = p0; p < p1; p++) {
        REAL *dx = (REAL *)v->dx + p * v->w.in_size;
        for (int64_t i = 0; i < v->mg; i++) {
            int64_t m = p % v->groups * v->mg + i;
            R(rows)(g, (REAL *)(uintptr_t)v->dy + (p / v->groups * v->m + m) * v->w.out_size, flat, 0, true);
            for (int64_t t = 0; t < v->taps; t++) weight[t] = ((const REAL *)v->weight)[m * v->weight_step + g->tap[t]];
            for (int64_t f = 0, t = 0; f < g->n_phase; t += g->phase_taps[f++])
                R(filter)(phase + f * g->size, flat, g->back + t, weight + t, g->phase_taps[f], g->size, i > 0);
        }
        if (!g->covers) memset(dx, 0, (size_t)v->w.in_size * sizeof *dx);
        R(phases)(g, dx, 0, phase, 0, 1, false);
    }
}

/* dW (and db) of the outputs that come from channel c, over all images. */
static void R(weight_gradient)(const struct depthwise *v, int64_t c, REAL *work, double *sum)
{
    double *bias = sum + v->mg * v->taps;
    const struct tsr_plane *g = &v->plane;
    REAL *phase = work, *flat = work + g->all;
    memset(work, 0, (size_t)v->elements * sizeof *work);
    for (int64_t t = 0; t < v->mg * (v->taps + 1); t++) sum[t] = 0;
    for (int64_t n = 0; n < v->w.n; n++) {
        R(phases)(g, (REAL *)(uintptr_t)v->x + (n * v->groups + c) * v->w.in_size, 0, phase, 0, 1, true);
        for (int64_t i = 0; i < v->mg; i++) {
            R(rows)(g, (REAL *)(uintptr_t)v->dy + (n * v->m + c * v->mg + i) * v->w.out_size, flat, 0, true);
            R(correlate)(sum + i * v->taps, flat, phase, g->at, v->taps, g->length);
            if (v->db != NULL) bias[i] += R(sum)(flat, g->length);
        }
    }
    for (int64_t t = 0; t < v->mg * v->taps; t++) ((REAL *)v->dw)[c * v->mg * v->taps + t] = (REAL)sum[t];
    for (int64_t i = 0; v->db != NULL && i < v->mg; i++) ((REAL *)v->db)[c * v->mg + i] = (REAL)bias[i];
}
