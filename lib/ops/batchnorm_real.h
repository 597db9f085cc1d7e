/* batchnorm_real.h - the kernels of ops/batchnorm.c over REAL; included once for float and once
 * for double, with R(name) naming the function. A task takes the channels [c0, c1) of all images.
 * Where a channel is one element an image ([N,C]) the loops run over channels, else over space. */

static inline REAL R(lanes)(const REAL *s)
{
    REAL t[8];
    for (int i = 0; i < 8; i++) t[i] = s[i] + s[i + 8];
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

/* sum += x, in lanes. */
TSR_CLONES static REAL R(sum)(const REAL *restrict x, int64_t n)
{
    REAL s[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) s[l] += x[i + l];
    for (int l = 0; i < n; i++, l++) s[l] += x[i];
    return R(lanes)(s);
}

/* The sum of (x - mean) * (dy or, where NULL, x - mean). */
TSR_CLONES static REAL R(sum_product)(const REAL *restrict x, const REAL *restrict dy, REAL mean, int64_t n)
{
    REAL s[16] = {0};
    int64_t i = 0;
    if (dy == NULL) {
        for (; i + 16 <= n; i += 16)
            for (int l = 0; l < 16; l++) s[l] += (x[i + l] - mean) * (x[i + l] - mean);
        for (int l = 0; i < n; i++, l++) s[l] += (x[i] - mean) * (x[i] - mean);
    } else {
        for (; i + 16 <= n; i += 16)
            for (int l = 0; l < 16; l++) s[l] += (x[i + l] - mean) * dy[i + l];
        for (int l = 0; i < n; i++, l++) s[l] += (x[i] - mean) * dy[i];
    }
    return R(lanes)(s);
}

/* y = x * a + b. */
TSR_CLONES static void R(affine)(REAL *restrict y, const REAL *restrict x, REAL a, REAL b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * a + b;
}

/* dx = dy * a - (b + c * (x - mean)). */
TSR_CLONES static void R(input_gradient)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict x, REAL a,
                                         REAL b, REAL c, REAL mean, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * a - (b + c * (x[i] - mean));
}

/* The same four over `n` channels at once, one element each. */
TSR_CLONES static void R(row_sum)(REAL *restrict sum, const REAL *restrict x, int64_t n)
{
    for (int64_t c = 0; c < n; c++) sum[c] += x[c];
}
TSR_CLONES static void R(row_product)(REAL *restrict sum, const REAL *restrict x, const REAL *restrict dy,
                                      const REAL *restrict mean, int64_t n)
{
    if (dy == NULL)
        for (int64_t c = 0; c < n; c++) sum[c] += (x[c] - mean[c]) * (x[c] - mean[c]);
    else
        for (int64_t c = 0; c < n; c++) sum[c] += (x[c] - mean[c]) * dy[c];
}
TSR_CLONES static void R(row_affine)(REAL *restrict y, const REAL *restrict x, const REAL *restrict a,
                                     const REAL *restrict b, int64_t n)
{
    for (int64_t c = 0; c < n; c++) y[c] = x[c] * a[c] + b[c];
}
TSR_CLONES static void R(row_input_gradient)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict x,
                                             const REAL *restrict a, const REAL *restrict b, const REAL *restrict k,
                                             const REAL *restrict mean, int64_t n)
{
    for (int64_t c = 0; c < n; c++) dx[c] = dy[c] * a[c] - (b[c] + k[c] * (x[c] - mean[c]));
}

/* As input_gradient and row_input_gradient, from g to g. */
TSR_CLONES static void R(finish)(REAL *restrict g, const REAL *restrict x, REAL a, REAL b, REAL c, REAL mean, int64_t n)
{
    for (int64_t i = 0; i < n; i++) g[i] = g[i] * a - (b + c * (x[i] - mean));
}
TSR_CLONES static void R(row_finish)(REAL *restrict g, const REAL *restrict x, const REAL *restrict a, const REAL *restrict b,
                                     const REAL *restrict k, const REAL *restrict mean, int64_t n)
{
    for (int64_t c = 0; c < n; c++) g[c] = g[c] * a[c] - (b[c] + k[c] * (x[c] - mean[c]));
}

/* Per channel, into sum[0 .. c1 - c0): the sum of x, or of (x - mean) times dy (NULL: itself). */
static void R(channel_sums)(const struct bn *v, int64_t c0, int64_t c1, const REAL *x, const REAL *dy,
                            const REAL *mean, REAL *sum)
{
    memset(sum, 0, (size_t)(c1 - c0) * sizeof *sum);
    for (int64_t n = 0; n < v->n; n++) {
        int64_t at = (n * v->c + c0) * v->space;
        if (v->space == 1) {
            if (mean == NULL) R(row_sum)(sum, x + at, c1 - c0);
            else R(row_product)(sum, x + at, dy != NULL ? dy + at : NULL, mean + c0, c1 - c0);
            continue;
        }
        for (int64_t c = c0; c < c1; c++, at += v->space)
            sum[c - c0] += mean == NULL ? R(sum)(x + at, v->space)
                                        : R(sum_product)(x + at, dy != NULL ? dy + at : NULL, mean[c], v->space);
    }
}

/* Batch mean and variance of the channels [c0, c1) into v->mean and v->var. */
static void R(statistics)(const struct bn *v, int64_t c0, int64_t c1)
{
    REAL *mean = v->mean, *var = v->var, count = (REAL)(v->n * v->space);
    R(channel_sums)(v, c0, c1, v->x, NULL, NULL, mean + c0);
    for (int64_t c = c0; c < c1; c++) mean[c] /= count;
    R(channel_sums)(v, c0, c1, v->x, NULL, mean, var + c0);
    for (int64_t c = c0; c < c1; c++) var[c] /= count;
}

static void R(forward)(const struct bn *v, int64_t c0, int64_t c1)
{
    if (v->batch) R(statistics)(v, c0, c1);
    const REAL *mean = v->mean, *var = v->var, *scale = v->scale, *bias = v->bias;
    REAL a[CHANNELS], b[CHANNELS];
    for (int64_t c = c0; c < c1; c++) {
        a[c - c0] = scale[c] / SQRT(var[c] + (REAL)v->epsilon);
        b[c - c0] = bias[c] - mean[c] * a[c - c0];
    }
    for (int64_t n = 0; n < v->n; n++) {
        int64_t at = (n * v->c + c0) * v->space;
        const REAL *x = (const REAL *)v->x + at;
        REAL *y = (REAL *)v->y + at;
        if (v->space == 1) {
            R(row_affine)(y, x, a, b, c1 - c0);
            if (v->act != PLAIN) R(activate)(v->act, y, c1 - c0);
            continue;
        }
        for (int64_t c = 0; c < c1 - c0; c++) {
            R(affine)(y + c * v->space, x + c * v->space, a[c], b[c], v->space);
            if (v->act != PLAIN) R(activate)(v->act, y + c * v->space, v->space);
        }
    }
}

/* g = dy times the slope of the activation, whose argument is computed again from x. */
static void R(before_activation)(const struct bn *v, int64_t c0, int64_t c1, const REAL *a, const REAL *b)
{
    REAL z[SLICE];
    for (int64_t n = 0; n < v->n; n++) {
        int64_t at = (n * v->c + c0) * v->space;
        const REAL *x = (const REAL *)v->x + at, *dy = (const REAL *)v->dy + at;
        REAL *g = (REAL *)v->g + at;
        if (v->space == 1) { /* c1 - c0 <= CHANNELS <= SLICE */
            R(row_affine)(z, x, a, b, c1 - c0);
            R(activation_gradient)(v->act, g, z, dy, c1 - c0);
            continue;
        }
        for (int64_t c = 0; c < c1 - c0; c++)
            for (int64_t i = 0; i < v->space; i += SLICE) {
                int64_t e = c * v->space + i, m = v->space - i < SLICE ? v->space - i : SLICE;
                R(affine)(z, x + e, a[c], b[c], m);
                R(activation_gradient)(v->act, g + e, z, dy + e, m);
            }
    }
}

static void R(backward)(const struct bn *v, int64_t c0, int64_t c1)
{
    const REAL *mean = v->mean, *var = v->var, *scale = v->scale, *x = v->x, *dy = v->dy;
    REAL sum[CHANNELS], product[CHANNELS], a[CHANNELS], b[CHANNELS], k[CHANNELS], count = (REAL)(v->n * v->space);
    if (v->act != PLAIN) {
        const REAL *bias = v->bias;
        for (int64_t c = 0; c < c1 - c0; c++) { /* exactly as forward did */
            a[c] = scale[c0 + c] / SQRT(var[c0 + c] + (REAL)v->epsilon);
            b[c] = bias[c0 + c] - mean[c0 + c] * a[c];
        }
        R(before_activation)(v, c0, c1, a, b);
        dy = v->g;
    }
    R(channel_sums)(v, c0, c1, dy, NULL, NULL, sum);
    R(channel_sums)(v, c0, c1, x, dy, mean, product);
    for (int64_t c = 0; c < c1 - c0; c++) {
        REAL rstd = 1 / SQRT(var[c0 + c] + (REAL)v->epsilon);
        a[c] = scale[c0 + c] * rstd;
        b[c] = v->batch ? a[c] * sum[c] / count : 0;
        k[c] = v->batch ? a[c] * product[c] * rstd * rstd / count : 0;
        if (v->dscale != NULL) ((REAL *)v->dscale)[c0 + c] = product[c] * rstd;
        if (v->dbias != NULL) ((REAL *)v->dbias)[c0 + c] = sum[c];
        if (v->dmean != NULL) ((REAL *)v->dmean)[c0 + c] = v->batch ? 0 : -a[c] * sum[c];
        if (v->dvar != NULL) ((REAL *)v->dvar)[c0 + c] = v->batch ? 0 : -a[c] * product[c] * rstd * rstd / 2;
    }
    for (int64_t n = 0; v->dx != NULL && n < v->n; n++) {
        int64_t at = (n * v->c + c0) * v->space;
        REAL *dx = (REAL *)v->dx + at;
        if (v->space == 1 && v->act != PLAIN) {
            R(row_finish)(dx, x + at, a, b, k, mean + c0, c1 - c0);
            continue;
        }
        if (v->space == 1) {
            R(row_input_gradient)(dx, dy + at, x + at, a, b, k, mean + c0, c1 - c0);
            continue;
        }
        for (int64_t c = 0; c < c1 - c0; c++) {
            int64_t e = c * v->space;
            if (v->act != PLAIN) R(finish)(dx + e, x + at + e, a[c], b[c], k[c], mean[c0 + c], v->space);
            else R(input_gradient)(dx + e, dy + at + e, x + at + e, a[c], b[c], k[c], mean[c0 + c], v->space);
        }
    }
}
