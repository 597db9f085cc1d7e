/* batchnorm_real.h - the kernels of ops/batchnorm.c over REAL; included once for float and once
 * for double, with R(name) naming the function. A task takes the channels [c0, c1) of all images.
 * Where a channel is one element an image ([N,C]) the loops run over channels, else over space. */

/* Over the elements of one channel (images of n elements, `step` apart):
 * MOMENT_SUM      a = sum of x
 * MOMENT_SQUARE   a = sum of (x - mean)^2
 * MOMENT_PRODUCT  a = sum of dy, b = sum of dy (x - mean) */
static inline __attribute__((always_inline)) void R(moments)(enum moment kind, const REAL *x, const REAL *dy, int64_t step,
                                                             int64_t images, int64_t n, REAL mean, REAL *a, REAL *b)
{
    V16 s16 = {0}, p16 = {0};
    R(v4) s4 = {0}, p4 = {0};
    REAL s1 = 0, p1 = 0;
#define MOMENT(v, s, p, i)                                                          \
    do {                                                                            \
        const v d = *(const v *)(x + (i)) - mean;                                   \
        if (kind == MOMENT_SUM) (s) += *(const v *)(x + (i));                       \
        if (kind == MOMENT_SQUARE) (s) += d * d;                                    \
        if (kind == MOMENT_PRODUCT) (s) += *(const v *)(dy + (i)), (p) += *(const v *)(dy + (i)) * d; \
    } while (0)
    for (; images > 0; images--, x += step) {
        int64_t i = 0;
        for (; i + 16 <= n; i += 16) MOMENT(V16, s16, p16, i);
        for (; i + 4 <= n; i += 4) MOMENT(R(v4), s4, p4, i);
        for (; i < n; i++) MOMENT(REAL, s1, p1, i);
        if (kind == MOMENT_PRODUCT) dy += step;
    }
#undef MOMENT
    *a = LANES16(s16) + ((s4[0] + s4[2]) + (s4[1] + s4[3])) + s1;
    if (kind == MOMENT_PRODUCT) *b = LANES16(p16) + ((p4[0] + p4[2]) + (p4[1] + p4[3])) + p1;
}

TSR_CLONES static void R(sum)(const REAL *x, int64_t step, int64_t images, int64_t n, REAL *a)
{
    R(moments)(MOMENT_SUM, x, NULL, step, images, n, 0, a, NULL);
}
TSR_CLONES static void R(squares)(const REAL *x, int64_t step, int64_t images, int64_t n, REAL mean, REAL *a)
{
    R(moments)(MOMENT_SQUARE, x, NULL, step, images, n, mean, a, NULL);
}
TSR_CLONES static void R(products)(const REAL *x, const REAL *dy, int64_t step, int64_t images, int64_t n, REAL mean,
                                   REAL *a, REAL *b)
{
    R(moments)(MOMENT_PRODUCT, x, dy, step, images, n, mean, a, b);
}

/* y = x * a + b over one channel. */
TSR_CLONES static void R(affine)(REAL *restrict y, const REAL *restrict x, int64_t step, int64_t images, int64_t n, REAL a,
                                 REAL b)
{
    for (; images > 0; images--, x += step, y += step) {
        int64_t i = 0;
        for (; i + 16 <= n; i += 16) AT16(y + i) = FROM16(x + i) * a + b;
        for (; i + 4 <= n; i += 4) *(R(v4) *)(y + i) = *(const R(v4) *)(x + i) * a + b;
        for (; i < n; i++) y[i] = x[i] * a + b;
    }
}

/* dx = dy * a - (b + c * (x - mean)) over one channel. */
TSR_CLONES static void R(input_gradient)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict x, int64_t step,
                                         int64_t images, int64_t n, REAL a, REAL b, REAL c, REAL mean)
{
#define GRADIENT(v, i) (*(v *)(dx + (i)) = *(const v *)(dy + (i)) * a - ((*(const v *)(x + (i)) - mean) * c + b))
    for (; images > 0; images--, x += step, dy += step, dx += step) {
        int64_t i = 0;
        for (; i + 16 <= n; i += 16) GRADIENT(V16, i);
        for (; i + 4 <= n; i += 4) GRADIENT(R(v4), i);
        for (; i < n; i++) GRADIENT(REAL, i);
    }
#undef GRADIENT
}

/* The same over `n` channels at once, one element each. */
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

/* Sums per channel of channels [c0, c1) as moments() makes them, where channels are neighbours. */
static void R(row_moments)(const struct bn *v, enum moment kind, const REAL *all_dy, int64_t c0, int64_t c1,
                           const REAL *mean, REAL *a, REAL *b)
{
    memset(a, 0, (size_t)(c1 - c0) * sizeof *a);
    if (kind == MOMENT_PRODUCT) memset(b, 0, (size_t)(c1 - c0) * sizeof *b);
    for (int64_t n = 0; n < v->n; n++) {
        const REAL *x = (const REAL *)v->x + n * v->c + c0, *dy = all_dy != NULL ? all_dy + n * v->c + c0 : NULL;
        if (kind == MOMENT_SUM) R(row_sum)(a, x, c1 - c0);
        if (kind == MOMENT_SQUARE) R(row_product)(a, x, NULL, mean, c1 - c0);
        if (kind == MOMENT_PRODUCT) R(row_sum)(a, dy, c1 - c0), R(row_product)(b, x, dy, mean, c1 - c0);
    }
}

/* Batch mean and variance of the channels [c0, c1) into v->mean and v->var. */
static void R(statistics)(const struct bn *v, int64_t c0, int64_t c1)
{
    REAL *mean = v->mean, *var = v->var, count = (REAL)(v->n * v->space);
    int64_t step = v->c * v->space;
    if (v->space == 1) R(row_moments)(v, MOMENT_SUM, NULL, c0, c1, NULL, mean + c0, NULL);
    for (int64_t c = c0; c < c1; c++) {
        if (v->space > 1) R(sum)((const REAL *)v->x + c * v->space, step, v->n, v->space, &mean[c]);
        mean[c] /= count;
    }
    if (v->space == 1) R(row_moments)(v, MOMENT_SQUARE, NULL, c0, c1, mean + c0, var + c0, NULL);
    for (int64_t c = c0; c < c1; c++) {
        if (v->space > 1) R(squares)((const REAL *)v->x + c * v->space, step, v->n, v->space, mean[c], &var[c]);
        var[c] /= count;
    }
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
    const REAL *x = (const REAL *)v->x + c0 * v->space;
    REAL *y = (REAL *)v->y + c0 * v->space;
    int64_t step = v->c * v->space;
    for (int64_t n = 0; v->space == 1 && n < v->n; n++) {
        R(row_affine)(y + n * step, x + n * step, a, b, c1 - c0);
        if (v->act != PLAIN) R(activate)(v->act, y + n * step, c1 - c0);
    }
    for (int64_t c = 0; v->space > 1 && c < c1 - c0; c++, x += v->space, y += v->space) {
        R(affine)(y, x, step, v->n, v->space, a[c], b[c]);
        for (int64_t n = 0; v->act != PLAIN && n < v->n; n++) R(activate)(v->act, y + n * step, v->space);
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
                R(affine)(z, x + e, 0, 1, m, a[c], b[c]);
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
    if (v->space == 1) R(row_moments)(v, MOMENT_PRODUCT, dy, c0, c1, mean + c0, sum, product);
    for (int64_t c = c0; v->space > 1 && c < c1; c++)
        R(products)(x + c * v->space, dy + c * v->space, v->c * v->space, v->n, v->space, mean[c], &sum[c - c0],
                    &product[c - c0]);
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
    if (v->dx == NULL) return;
    int64_t step = v->c * v->space;
    REAL *dx = (REAL *)v->dx + c0 * v->space;
    x += c0 * v->space, dy += c0 * v->space;
    for (int64_t n = 0; v->space == 1 && n < v->n; n++) {
        if (v->act != PLAIN) R(row_finish)(dx + n * step, x + n * step, a, b, k, mean + c0, c1 - c0);
        else R(row_input_gradient)(dx + n * step, dy + n * step, x + n * step, a, b, k, mean + c0, c1 - c0);
    }
    for (int64_t c = 0; v->space > 1 && c < c1 - c0; c++, x += v->space, dy += v->space, dx += v->space) {
        if (v->act == PLAIN) R(input_gradient)(dx, dy, x, step, v->n, v->space, a[c], b[c], k[c], mean[c0 + c]);
        for (int64_t n = 0; v->act != PLAIN && n < v->n; n++)
            R(finish)(dx + n * step, x + n * step, a[c], b[c], k[c], mean[c0 + c], v->space);
    }
}
