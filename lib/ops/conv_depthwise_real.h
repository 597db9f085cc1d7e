/* conv_depthwise_real.h - the kernels of ops/conv_depthwise.c over REAL; included there once for
 * float and once for double, with R(name) naming the function. */

/* y[j] = sum over taps of weight[t] * x[at[t] + j], or that added to y, for j < n; works in whole
 * steps of 16, so y and x need 15 elements more. */
TSR_CLONES static void R(filter)(REAL *restrict y, const REAL *restrict x, const int64_t *restrict at,
                                 const REAL *restrict weight, int64_t taps, int64_t n, bool add)
{
    int64_t j = 0;
    for (; j + 64 <= n; j += 64) {
        REAL s[64];
        for (int l = 0; l < 64; l++) s[l] = add ? y[j + l] : 0;
        for (int64_t t = 0; t < taps; t++) {
            const REAL *from = x + at[t] + j, v = weight[t];
            for (int l = 0; l < 64; l++) s[l] += v * from[l];
        }
        for (int l = 0; l < 64; l++) y[j + l] = s[l];
    }
    for (; j < n; j += 16) {
        REAL s[16];
        for (int l = 0; l < 16; l++) s[l] = add ? y[j + l] : 0;
        for (int64_t t = 0; t < taps; t++) {
            const REAL *from = x + at[t] + j, v = weight[t];
            for (int l = 0; l < 16; l++) s[l] += v * from[l];
        }
        for (int l = 0; l < 16; l++) y[j + l] = s[l];
    }
}

static inline REAL R(lanes)(const REAL *s)
{
    REAL t[8];
    for (int i = 0; i < 8; i++) t[i] = s[i] + s[i + 8];
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

/* sum[t] += sum over j < n of dy[j] * x[at[t] + j]; dy is 0 in the up to 15 elements behind. */
TSR_CLONES static void R(correlate)(double *restrict sum, const REAL *restrict dy, const REAL *restrict x,
                                    const int64_t *restrict at, int64_t taps, int64_t n)
{
    int64_t t = 0;
    for (; t + 3 <= taps; t += 3) {
        REAL a[16] = {0}, b[16] = {0}, c[16] = {0};
        const REAL *p = x + at[t], *q = x + at[t + 1], *r = x + at[t + 2];
        for (int64_t j = 0; j < n; j += 16) {
            for (int l = 0; l < 16; l++) a[l] += dy[j + l] * p[j + l];
            for (int l = 0; l < 16; l++) b[l] += dy[j + l] * q[j + l];
            for (int l = 0; l < 16; l++) c[l] += dy[j + l] * r[j + l];
        }
        sum[t] += (double)R(lanes)(a);
        sum[t + 1] += (double)R(lanes)(b);
        sum[t + 2] += (double)R(lanes)(c);
    }
    for (; t < taps; t++) {
        REAL a[16] = {0};
        const REAL *p = x + at[t];
        for (int64_t j = 0; j < n; j += 16)
            for (int l = 0; l < 16; l++) a[l] += dy[j + l] * p[j + l];
        sum[t] += (double)R(lanes)(a);
    }
}

/* Copies a plane of X into its phases (to phases) or back (from phases); what lies between stays. */
TSR_CLONES static void R(phases)(const struct plane *g, REAL *restrict x, REAL *restrict phase, bool to)
{
    const struct tsr_window *w = g->w;
    const int64_t *s = w->stride;
    for (int64_t d = g->lo[0]; d < g->hi[0]; d++)
        for (int64_t h = g->lo[1]; h < g->hi[1]; h++) {
            int64_t e0 = d + w->pad[0], e1 = h + w->pad[1];
            int64_t outer = (e0 % s[0] * s[1] + e1 % s[1]) * s[2];
            int64_t row = (e0 / s[0] * g->q[1] + e1 / s[1]) * g->q[2];
            REAL *in = x + (d * w->in[1] + h) * w->in[2];
            for (int64_t p = 0; p < s[2]; p++) {
                /* The columns i with (i + pad) % stride == p. */
                int64_t first = g->lo[2] + ((p - g->lo[2] - w->pad[2]) % s[2] + s[2]) % s[2];
                REAL *at = phase + (outer + p) * g->size + row + (first + w->pad[2]) / s[2];
                int64_t n = first < g->hi[2] ? (g->hi[2] - first + s[2] - 1) / s[2] : 0;
                REAL *from = in + first;
                if (s[2] == 1 && to)
                    for (int64_t i = 0; i < n; i++) at[i] = from[i];
                else if (s[2] == 1)
                    for (int64_t i = 0; i < n; i++) from[i] = at[i];
                else if (to)
                    for (int64_t i = 0; i < n; i++) at[i] = from[i * s[2]];
                else
                    for (int64_t i = 0; i < n; i++) from[i * s[2]] = at[i];
            }
        }
}

/* A plane of Y, row by row, to or from the flat rows of q[2]; adds `bias` on the way out. */
TSR_CLONES static void R(rows)(const struct plane *g, REAL *restrict y, REAL *restrict flat, REAL bias, bool to)
{
    const struct tsr_window *w = g->w;
    for (int64_t d = 0; d < w->out[0]; d++)
        for (int64_t h = 0; h < w->out[1]; h++) {
            REAL *at = y + (d * w->out[1] + h) * w->out[2], *f = flat + (d * g->q[1] + h) * g->q[2];
            if (to)
                for (int64_t i = 0; i < w->out[2]; i++) f[i] = at[i];
            else
                for (int64_t i = 0; i < w->out[2]; i++) at[i] = f[i] + bias;
        }
}

/* Planes [p0, p1) of X: all outputs that come from them. */
static void R(forward)(const struct depthwise *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct plane *g = &v->plane;
    REAL *phase = work, *flat = work + g->phase_size;
    memset(work, 0, (size_t)g->work * sizeof *work);
    for (int64_t p = p0; p < p1; p++) {
        R(phases)(g, (REAL *)(uintptr_t)v->x + p * v->w.in_size, phase, true);
        for (int64_t i = 0; i < v->mg; i++) {
            int64_t m = p % v->groups * v->mg + i;
            R(filter)(flat, phase, g->at, (const REAL *)v->weight + m * v->taps, v->taps, g->length, false);
            R(rows)(g, (REAL *)v->y + (p / v->groups * v->m + m) * v->w.out_size, flat,
                    v->bias != NULL ? ((const REAL *)v->bias)[m] : 0, false);
        }
    }
}

static void R(input_gradient)(const struct depthwise *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct plane *g = &v->plane;
    REAL *phase = work, *flat = work + g->phase_size + g->margin, *weight = flat + g->flat_size;
    memset(work, 0, (size_t)g->work * sizeof *work);
    for (int64_t p = p0; p < p1; p++) {
        REAL *dx = (REAL *)v->dx + p * v->w.in_size;
        for (int64_t i = 0; i < v->mg; i++) {
            int64_t m = p % v->groups * v->mg + i;
            R(rows)(g, (REAL *)(uintptr_t)v->dy + (p / v->groups * v->m + m) * v->w.out_size, flat, 0, true);
            for (int64_t t = 0; t < v->taps; t++) weight[t] = ((const REAL *)v->weight)[m * v->taps + g->tap[t]];
            for (int64_t f = 0, t = 0; f < g->n_phase; t += g->phase_taps[f++])
                R(filter)(phase + f * g->size, flat, g->back + t, weight + t, g->phase_taps[f], g->size, i > 0);
        }
        if (!g->covers) memset(dx, 0, (size_t)v->w.in_size * sizeof *dx);
        R(phases)(g, dx, phase, false);
    }
}

/* dW of the outputs that come from channel c, over all images. */
static void R(weight_gradient)(const struct depthwise *v, int64_t c, REAL *work, double *sum)
{
    const struct plane *g = &v->plane;
    REAL *phase = work, *flat = work + g->phase_size;
    memset(work, 0, (size_t)g->work * sizeof *work);
    for (int64_t t = 0; t < v->mg * v->taps; t++) sum[t] = 0;
    for (int64_t n = 0; n < v->w.n; n++) {
        R(phases)(g, (REAL *)(uintptr_t)v->x + (n * v->groups + c) * v->w.in_size, phase, true);
        for (int64_t i = 0; i < v->mg; i++) {
            R(rows)(g, (REAL *)(uintptr_t)v->dy + (n * v->m + c * v->mg + i) * v->w.out_size, flat, 0, true);
            R(correlate)(sum + i * v->taps, flat, phase, g->at, v->taps, g->length);
        }
    }
    for (int64_t t = 0; t < v->mg * v->taps; t++) ((REAL *)v->dw)[c * v->mg * v->taps + t] = (REAL)sum[t];
}
