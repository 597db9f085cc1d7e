/* conv_real.h - the kernels of convolutions over REAL; included once for float and once for
 * double, with R(name) naming the function and GEMM the matrix product. */

/* The columns [j0, j1) of the matrix whose row (c, tap) and column (output position) hold the
 * input that the tap reads there; 0 outside the input. Rows are j1 - j0 long. */
static void R(gather)(const struct tsr_window *w, const REAL *x, int64_t channels, int64_t j0, int64_t j1, REAL *col)
{
    for (int64_t r = 0; r < channels * w->kernel_size; r++) {
        const REAL *from = x + r / w->kernel_size * w->in_size;
        struct tsr_tap t;
        struct tsr_run u;
        tsr_tap_init(w, r % w->kernel_size, &t);
        for (tsr_run_first(w, j0, j1, &u); u.n > 0; col += u.n, tsr_run_next(w, &u)) {
            int64_t a, b, i = 0, at = tsr_tap_row(w, &t, &u, &a, &b);
            for (; i < a; i++) col[i] = 0;
            if (w->stride[2] == 1)
                for (; i < b; i++) col[i] = from[at + i];
            else
                for (; i < b; i++) col[i] = from[at + i * w->stride[2]];
            for (; i < u.n; i++) col[i] = 0;
        }
    }
}

/* The transpose of gather: adds the columns back to where they were read. */
static void R(scatter)(const struct tsr_window *w, REAL *x, int64_t channels, int64_t j0, int64_t j1, const REAL *col)
{
    for (int64_t r = 0; r < channels * w->kernel_size; r++) {
        REAL *to = x + r / w->kernel_size * w->in_size;
        struct tsr_tap t;
        struct tsr_run u;
        tsr_tap_init(w, r % w->kernel_size, &t);
        for (tsr_run_first(w, j0, j1, &u); u.n > 0; col += u.n, tsr_run_next(w, &u)) {
            int64_t a, b, at = tsr_tap_row(w, &t, &u, &a, &b);
            if (w->stride[2] == 1)
                for (int64_t i = a; i < b; i++) to[at + i] += col[i];
            else
                for (int64_t i = a; i < b; i++) to[at + i * w->stride[2]] += col[i];
        }
    }
}

/* Y of columns [j0, j1) of one image and group. */
static void R(forward_block)(const struct conv *v, int64_t n, int64_t g, int64_t j0, int64_t j1, REAL *col)
{
    const struct tsr_window *w = &v->w;
    const REAL *x = (const REAL *)v->x + (n * w->c + g * v->cg) * w->in_size;
    const REAL *weight = (const REAL *)v->weight + g * v->mg * v->k, *bias = v->bias;
    REAL *y = (REAL *)v->y + (n * v->m + g * v->mg) * w->out_size + j0;
    int64_t nb = j1 - j0, ld = v->direct ? w->in_size : nb;
    if (!v->direct) R(gather)(w, x, v->cg, j0, j1, col);
    for (int64_t i = 0; bias != NULL && i < v->mg; i++)
        for (int64_t j = 0; j < nb; j++) y[i * w->out_size + j] = bias[g * v->mg + i];
    GEMM(false, false, v->mg, nb, v->k, 1, weight, v->k, v->direct ? x + j0 : col, ld, bias != NULL, y, w->out_size);
}

/* dX of one image and group. */
static void R(input_gradient)(const struct conv *v, int64_t n, int64_t g, REAL *col)
{
    const struct tsr_window *w = &v->w;
    REAL *dx = (REAL *)v->dx + (n * w->c + g * v->cg) * w->in_size;
    const REAL *weight = (const REAL *)v->weight + g * v->mg * v->k;
    const REAL *dy = (const REAL *)v->dy + (n * v->m + g * v->mg) * w->out_size;
    if (v->direct) {
        GEMM(true, false, v->k, w->out_size, v->mg, 1, weight, v->k, dy, w->out_size, 0, dx, w->in_size);
        return;
    }
    memset(dx, 0, (size_t)(v->cg * w->in_size) * sizeof *dx);
    for (int64_t j0 = 0; j0 < w->out_size; j0 += v->block) {
        int64_t j1 = j0 + v->block < w->out_size ? j0 + v->block : w->out_size;
        GEMM(true, false, v->k, j1 - j0, v->mg, 1, weight, v->k, dy + j0, w->out_size, 0, col, j1 - j0);
        R(scatter)(w, dx, v->cg, j0, j1, col);
    }
}

/* dW of group g, summed over the images [n0, n1), into dw[mg, k]. */
static void R(weight_gradient)(const struct conv *v, int64_t n0, int64_t n1, int64_t g, REAL *dw, REAL *col)
{
    const struct tsr_window *w = &v->w;
    REAL beta = 0;
    for (int64_t n = n0; n < n1; n++) {
        const REAL *x = (const REAL *)v->x + (n * w->c + g * v->cg) * w->in_size;
        const REAL *dy = (const REAL *)v->dy + (n * v->m + g * v->mg) * w->out_size;
        for (int64_t j0 = 0; j0 < w->out_size; j0 += v->block, beta = 1) {
            int64_t j1 = j0 + v->block < w->out_size ? j0 + v->block : w->out_size, ld = v->direct ? w->in_size : j1 - j0;
            if (!v->direct) R(gather)(w, x, v->cg, j0, j1, col);
            GEMM(false, true, v->mg, v->k, j1 - j0, 1, dy + j0, w->out_size, v->direct ? x + j0 : col, ld, beta, dw,
                 v->k);
        }
    }
    if (beta == 0) memset(dw, 0, (size_t)(v->mg * v->k) * sizeof *dw);
}

/* to[0, n) = the sum of `parts` arrays of n that follow one another. */
static void R(sum_parts)(REAL *to, const REAL *part, int64_t parts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] = part[i];
    for (int64_t p = 1; p < parts; p++)
        for (int64_t i = 0; i < n; i++) to[i] += part[p * n + i];
}

/* db of channel m. */
static void R(bias_gradient)(const struct conv *v, int64_t m)
{
    double sum[8] = {0};
    int64_t size = v->w.out_size;
    for (int64_t n = 0; n < v->w.n; n++) {
        const REAL *dy = (const REAL *)v->dy + (n * v->m + m) * size;
        int64_t j = 0;
        for (; j + 8 <= size; j += 8)
            for (int64_t i = 0; i < 8; i++) sum[i] += (double)dy[j + i];
        for (; j < size; j++) sum[0] += (double)dy[j];
    }
    ((REAL *)v->db)[m] = (REAL)(((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
}
