/* norm_real.h - the kernels of ops/norm.c over REAL; included once for float and once for double,
 * with R(name) naming the function. Sums run in 16 lanes, so that they vectorise in one order. */

static inline REAL R(lanes)(const REAL *s)
{
    REAL t[8];
    for (int i = 0; i < 8; i++) t[i] = s[i] + s[i + 8];
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

TSR_CLONES static REAL R(sum)(const REAL *restrict x, int64_t n)
{
    REAL s[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) s[l] += x[i + l];
    for (int l = 0; i < n; i++, l++) s[l] += x[i];
    return R(lanes)(s);
}

/* The sum of (x - mean)^2. */
TSR_CLONES static REAL R(sum_squares)(const REAL *restrict x, REAL mean, int64_t n)
{
    REAL s[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) s[l] += (x[i + l] - mean) * (x[i + l] - mean);
    for (int l = 0; i < n; i++, l++) s[l] += (x[i] - mean) * (x[i] - mean);
    return R(lanes)(s);
}

TSR_CLONES static void R(scale_each)(REAL *restrict y, const REAL *restrict x, const REAL *restrict scale,
                                     const REAL *restrict bias, REAL mean, REAL rstd, int64_t n)
{
    if (bias != NULL)
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i] + bias[i];
    else
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i];
}

TSR_CLONES static void R(scale_all)(REAL *restrict y, const REAL *restrict x, REAL scale, REAL bias, REAL mean,
                                    REAL rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale + bias;
}

/* sums[0] += sum of dy*scale, sums[1] += sum of dy*scale*xhat; scale NULL is 1. */
TSR_CLONES static void R(gradient_sums)(const REAL *restrict dy, const REAL *restrict x, const REAL *restrict scale,
                                        REAL mean, REAL rstd, int64_t n, REAL *restrict sums)
{
    REAL s[16] = {0}, p[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) {
            REAL g = scale != NULL ? dy[i + l] * scale[i + l] : dy[i + l];
            s[l] += g;
            p[l] += g * ((x[i + l] - mean) * rstd);
        }
    for (int l = 0; i < n; i++, l++) {
        REAL g = scale != NULL ? dy[i] * scale[i] : dy[i];
        s[l] += g;
        p[l] += g * ((x[i] - mean) * rstd);
    }
    sums[0] += R(lanes)(s);
    sums[1] += R(lanes)(p);
}

/* dx = rstd * dy * scale - (a + b * xhat); scale is scale[0] throughout where `one`. */
TSR_CLONES static void R(input_gradient)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict x,
                                         const REAL *restrict scale, bool one, REAL mean, REAL rstd, REAL a, REAL b,
                                         int64_t n)
{
    if (one) {
        REAL s = scale[0] * rstd;
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * s - (a + b * ((x[i] - mean) * rstd));
    } else {
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * scale[i] * rstd - (a + b * ((x[i] - mean) * rstd));
    }
}

/* dscale += dy * xhat, dbias += dy, element by element. */
TSR_CLONES static void R(parameter_gradient)(REAL *restrict dscale, REAL *restrict dbias, const REAL *restrict dy,
                                             const REAL *restrict x, REAL mean, REAL rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        dscale[i] += dy[i] * ((x[i] - mean) * rstd);
        dbias[i] += dy[i];
    }
}

static void R(row_statistics)(const struct rows *w, const REAL *x, REAL *mean, REAL *rstd)
{
    REAL size = (REAL)w->size;
    *mean = w->centre ? R(sum)(x, w->size) / size : 0;
    *rstd = 1 / SQRT(R(sum_squares)(x, *mean, w->size) / size + (REAL)w->epsilon);
}

static void R(forward_rows)(const struct rows *w, int64_t r0, int64_t r1)
{
    const REAL *scale = w->scale, *bias = w->bias;
    for (int64_t r = r0; r < r1; r++) {
        const REAL *x = (const REAL *)w->x + r * w->size;
        REAL *y = (REAL *)w->y + r * w->size, mean, rstd;
        int64_t at = r % w->period * w->per_row;
        R(row_statistics)(w, x, &mean, &rstd);
        if (w->mean != NULL) ((REAL *)w->mean)[r] = mean;
        if (w->rstd != NULL) ((REAL *)w->rstd)[r] = rstd;
        if (w->inner == 1) {
            R(scale_each)(y, x, scale + at, bias != NULL ? bias + at : NULL, mean, rstd, w->size);
            continue;
        }
        for (int64_t k = 0; k < w->per_row; k++)
            R(scale_all)(y + k * w->inner, x + k * w->inner, scale[at + k], bias != NULL ? bias[at + k] : 0, mean, rstd,
                         w->inner);
    }
}

/* Rows [r0, r1): dX where wanted; dscale and dbias are added to the arrays given. */
static void R(backward_rows)(const struct rows *w, int64_t r0, int64_t r1, REAL *dscale, REAL *dbias)
{
    const REAL *scale = w->scale;
    for (int64_t r = r0; r < r1; r++) {
        const REAL *x = (const REAL *)w->x + r * w->size, *dy = w->dy != NULL ? (const REAL *)w->dy + r * w->size : NULL;
        REAL mean = w->mean != NULL ? ((const REAL *)w->mean)[r] : 0, rstd = ((const REAL *)w->rstd)[r];
        REAL sums[2] = {0, 0}, size = (REAL)w->size;
        int64_t at = r % w->period * w->per_row;
        if (w->inner == 1) {
            R(gradient_sums)(dy, x, scale + at, mean, rstd, w->size, sums);
            if (dscale != NULL) R(parameter_gradient)(dscale + at, dbias + at, dy, x, mean, rstd, w->size);
        }
        for (int64_t k = 0; w->inner != 1 && k < w->per_row; k++) {
            REAL part[2] = {0, 0};
            R(gradient_sums)(dy + k * w->inner, x + k * w->inner, NULL, mean, rstd, w->inner, part);
            sums[0] += part[0] * scale[at + k];
            sums[1] += part[1] * scale[at + k];
            if (dscale != NULL) dscale[at + k] += part[1], dbias[at + k] += part[0];
        }
        if (w->dx == NULL) continue;
        REAL *dx = (REAL *)w->dx + r * w->size;
        REAL a = w->centre ? rstd * sums[0] / size : 0, b = rstd * sums[1] / size;
        if (w->dmean != NULL) a -= ((const REAL *)w->dmean)[r] / size;
        if (w->drstd != NULL) b += ((const REAL *)w->drstd)[r] * rstd * rstd / size;
        for (int64_t k = 0; k < (w->inner == 1 ? 1 : w->per_row); k++) {
            int64_t n = w->inner == 1 ? w->size : w->inner, e = k * n;
            R(input_gradient)(dx + e, dy + e, x + e, scale + at + k, w->inner != 1, mean, rstd, a, b, n);
        }
    }
}
