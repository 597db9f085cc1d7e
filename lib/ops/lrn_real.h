/* lrn_real.h - the kernels of ops/lrn.c over REAL; included there once for float and once for
 * double, with R(name) naming the function. */

/* LpNormalization: rows of n elements `inner` apart. dy NULL: forward, y from x; else dx. */
static void R(lp_rows)(const struct lp *v, int64_t r0, int64_t r1)
{
    for (int64_t r = r0; r < r1; r++) {
        int64_t at = r / v->inner * v->n * v->inner + r % v->inner;
        const REAL *x = (const REAL *)v->x + at, *dy = v->dy != NULL ? (const REAL *)v->dy + at : NULL;
        REAL *to = (REAL *)v->to + at;
        double norm = 0, dot = 0;
        for (int64_t i = 0; i < v->n; i++) {
            double e = (double)x[i * v->inner];
            norm += v->p == 1 ? fabs(e) : e * e;
        }
        if (v->p == 2) norm = sqrt(norm);
        double scale = norm > 0 || norm != norm ? 1 / norm : 0; /* a row of zeros stays */
        for (int64_t i = 0; dy != NULL && i < v->n; i++)
            dot += (double)dy[i * v->inner] * (double)x[i * v->inner] * scale;
        for (int64_t i = 0; i < v->n; i++) {
            double e = (double)x[i * v->inner];
            double along = v->p == 2 ? e * scale : e > 0 ? 1 : e < 0 ? -1 : 0; /* d norm / d e */
            to[i * v->inner] = (REAL)(dy == NULL ? e * scale : ((double)dy[i * v->inner] - along * dot) * scale);
        }
    }
}

/* LRN of one image. scale[c, space] takes bias + alpha / size * the sum of squares. */
static void R(lrn_scale)(const struct lrn *v, const REAL *x, REAL *scale)
{
    for (int64_t c = 0; c < v->c; c++) {
        REAL *s = scale + c * v->space;
        int64_t first = c - (v->size - 1) / 2, last = c + v->size / 2;
        for (int64_t i = 0; i < v->space; i++) s[i] = 0;
        for (int64_t k = first < 0 ? 0 : first; k <= last && k < v->c; k++)
            for (int64_t i = 0; i < v->space; i++) s[i] += x[k * v->space + i] * x[k * v->space + i];
        for (int64_t i = 0; i < v->space; i++) s[i] = (REAL)(v->bias + v->alpha / (double)v->size * (double)s[i]);
    }
}

static void R(lrn_image)(const struct lrn *v, int64_t n, REAL *work)
{
    int64_t all = v->c * v->space;
    const REAL *x = (const REAL *)v->x + n * all, *dy = v->dy != NULL ? (const REAL *)v->dy + n * all : NULL;
    REAL *to = (REAL *)v->to + n * all, *part = work + all;
    R(lrn_scale)(v, x, work);
    if (dy == NULL) {
        for (int64_t i = 0; i < all; i++) to[i] = x[i] * (REAL)pow((double)work[i], -v->beta);
        return;
    }
    for (int64_t i = 0; i < all; i++) {
        double power = pow((double)work[i], -v->beta);
        to[i] = (REAL)((double)dy[i] * power);
        part[i] = (REAL)((double)dy[i] * (double)x[i] * power / (double)work[i]);
    }
    double factor = 2 * v->alpha * v->beta / (double)v->size;
    for (int64_t c = 0; c < v->c; c++) /* the windows that channel c is in */
        for (int64_t k = c - v->size / 2 < 0 ? 0 : c - v->size / 2; k <= c + (v->size - 1) / 2 && k < v->c; k++)
            for (int64_t i = 0; i < v->space; i++)
                to[c * v->space + i] -= (REAL)(factor * (double)x[c * v->space + i] * (double)part[k * v->space + i]);
}
