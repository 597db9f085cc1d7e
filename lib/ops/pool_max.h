/* pool_max.h - the plain maximum over windows of REAL, and over whole planes; included by
 * ops/pool.c for every type, with R(name) naming the function, LOWEST the value below all others
 * and IS_NAN(v) true for NaN. */

/* One plane. arg (may be NULL) takes where in the plane each maximum was first seen. A NaN in a
 * window is its maximum. */
static void R(max_plane)(const struct tsr_window *w, const REAL *restrict x, REAL *restrict y, int32_t *restrict arg)
{
    for (int64_t j = 0; j < w->out_size; j++) y[j] = LOWEST;
    for (int64_t j = 0; arg != NULL && j < w->out_size; j++) arg[j] = -1;
    for (int64_t k = 0; k < w->kernel_size; k++) {
        struct tsr_tap t;
        struct tsr_row_run u;
        tsr_tap_init(w, k, &t);
        for (tsr_row_run_first(w, 0, w->out_size, &u); u.n > 0; tsr_row_run_next(w, &u)) {
            int64_t a, b, at = tsr_tap_row(w, &t, &u, &a, &b), s = w->stride[2];
            for (int64_t i = a; i < b; i++) {
                REAL v = x[at + i * s];
                if (!(v > y[u.j + i] || IS_NAN(v) || (arg != NULL && arg[u.j + i] < 0))) continue;
                y[u.j + i] = v;
                if (arg != NULL) arg[u.j + i] = (int32_t)(at + i * s);
            }
        }
    }
}

/* Maximum of one plane; *arg takes its place. */
static REAL R(max_all)(const REAL *x, int64_t n, int32_t *arg)
{
    REAL best = LOWEST;
    *arg = -1;
    for (int64_t i = 0; i < n; i++)
        if (*arg < 0 || x[i] > best || IS_NAN(x[i])) best = x[i], *arg = (int32_t)i;
    return best;
}

static void R(max_plain)(const struct pooling *v, int64_t p0, int64_t p1)
{
    for (int64_t p = p0; p < p1; p++) {
        const REAL *x = (const REAL *)v->x + p * v->w.in_size;
        REAL *y = (REAL *)v->y + p * v->w.out_size;
        int32_t *arg = v->arg != NULL ? v->arg + p * v->w.out_size : NULL, unused;
        if (v->global) *y = R(max_all)(x, v->w.in_size, arg != NULL ? arg : &unused);
        else R(max_plane)(&v->w, x, y, arg);
    }
}
