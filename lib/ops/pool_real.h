/* pool_real.h - means and norms over windows of REAL, and gradients; included by ops/pool.c once
 * for float and once for double, with R(name) naming the function. */

TSR_CLONES static REAL R(total)(const REAL *restrict x, int64_t n)
{
    REAL s[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) s[l] += x[i + l];
    for (int l = 0; i < n; i++, l++) s[l] += x[i];
    for (int l = 8; l >= 1; l /= 2)
        for (int k = 0; k < l; k++) s[k] += s[k + l];
    return s[0];
}

/* Sums over the windows of one plane. */
TSR_CLONES static void R(sum_plane)(const struct tsr_window *w, const REAL *restrict x, REAL *restrict y)
{
    for (int64_t j = 0; j < w->out_size; j++) y[j] = 0;
    for (int64_t k = 0; k < w->kernel_size; k++) {
        struct tsr_tap t;
        struct tsr_run u;
        tsr_tap_init(w, k, &t);
        for (tsr_run_first(w, 0, w->out_size, &u); u.n > 0; tsr_run_next(w, &u)) {
            int64_t a, b, at = tsr_tap_row(w, &t, &u, &a, &b), s = w->stride[2];
            REAL *to = y + u.j;
            if (s == 1)
                for (int64_t i = a; i < b; i++) to[i] += x[at + i];
            else
                for (int64_t i = a; i < b; i++) to[i] += x[at + i * s];
        }
    }
}

/* The transpose of sum_plane: dx is the sum of dy over the windows that hold it. */
TSR_CLONES static void R(spread_plane)(const struct tsr_window *w, REAL *restrict dx, const REAL *restrict dy)
{
    for (int64_t j = 0; j < w->in_size; j++) dx[j] = 0;
    for (int64_t k = 0; k < w->kernel_size; k++) {
        struct tsr_tap t;
        struct tsr_run u;
        tsr_tap_init(w, k, &t);
        for (tsr_run_first(w, 0, w->out_size, &u); u.n > 0; tsr_run_next(w, &u)) {
            int64_t a, b, at = tsr_tap_row(w, &t, &u, &a, &b), s = w->stride[2];
            const REAL *from = dy + u.j;
            if (s == 1)
                for (int64_t i = a; i < b; i++) dx[at + i] += from[i];
            else
                for (int64_t i = a; i < b; i++) dx[at + i * s] += from[i];
        }
    }
}

/* to = from / the number of elements in each window. */
static void R(divide)(const struct pooling *v, REAL *to, const REAL *from)
{
    const struct tsr_window *w = &v->w;
    for (int64_t d = 0, j = 0; d < w->out[0]; d++)
        for (int64_t h = 0; h < w->out[1]; h++) {
            int64_t outer = v->count[0][d] * v->count[1][h];
            for (int64_t i = 0; i < w->out[2]; i++, j++) {
                int64_t n = outer * v->count[2][i];
                to[j] = from[j] / (REAL)(n > 0 ? n : 1);
            }
        }
}

/* |x|^p */
static inline REAL R(power)(REAL x, double p)
{
    x = x < 0 ? -x : x;
    return p == 1 ? x : p == 2 ? x * x : (REAL)pow((double)x, p);
}

static void R(norm_plane)(const struct pooling *v, const REAL *x, REAL *y, REAL *work)
{
    for (int64_t i = 0; i < v->w.in_size; i++) work[i] = R(power)(x[i], v->p);
    if (v->global) y[0] = R(total)(work, v->w.in_size);
    else R(sum_plane)(&v->w, work, y);
    for (int64_t j = 0; j < v->w.out_size; j++) y[j] = (REAL)pow((double)y[j], 1 / v->p);
}

static void R(mean_planes)(const struct pooling *v, int64_t p0, int64_t p1)
{
    for (int64_t p = p0; p < p1; p++) {
        const REAL *x = (const REAL *)v->x + p * v->w.in_size;
        REAL *y = (REAL *)v->y + p * v->w.out_size;
        if (v->global) {
            y[0] = R(total)(x, v->w.in_size) / (REAL)v->w.in_size;
            continue;
        }
        R(sum_plane)(&v->w, x, y);
        R(divide)(v, y, y);
    }
}

static void R(backward_planes)(const struct pooling *v, int64_t p0, int64_t p1, REAL *work)
{
    const struct tsr_window *w = &v->w;
    for (int64_t p = p0; p < p1; p++) {
        const REAL *dy = (const REAL *)v->dy + p * w->out_size, *x = (const REAL *)v->x + p * w->in_size;
        const REAL *y = (const REAL *)v->y + p * w->out_size;
        REAL *dx = (REAL *)v->dx + p * w->in_size;
        if (v->kind == POOL_MAX) {
            const int32_t *arg = v->arg + p * w->out_size;
            memset(dx, 0, (size_t)w->in_size * sizeof *dx);
            for (int64_t j = 0; j < w->out_size; j++)
                if (arg[j] >= 0) dx[arg[j]] += dy[j];
            continue;
        }
        if (v->kind == POOL_MEAN && v->global) {
            for (int64_t i = 0; i < w->in_size; i++) dx[i] = dy[0] / (REAL)w->in_size;
            continue;
        }
        if (v->kind == POOL_MEAN) R(divide)(v, work, dy);
        else
            for (int64_t j = 0; j < w->out_size; j++)
                work[j] = y[j] > 0 ? dy[j] / (REAL)pow((double)y[j], v->p - 1) : 0;
        if (v->global)
            for (int64_t i = 0; i < w->in_size; i++) dx[i] = work[0];
        else
            R(spread_plane)(w, dx, work);
        for (int64_t i = 0; v->kind == POOL_NORM && i < w->in_size; i++)
            dx[i] *= x[i] > 0 ? R(power)(x[i], v->p - 1) : x[i] < 0 ? -R(power)(x[i], v->p - 1) : 0;
    }
}
