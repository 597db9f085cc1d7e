/* conv_real.h - the kernels of convolutions over REAL; included once for float and once for
 * double, with R(name) naming the function and GEMM the matrix product.
 *
 * A block is a range of images and of output positions [j0, j1) in each. Its gathered matrix has a
 * row for every (channel, tap) and a column for every (image, position): what the tap reads there. */

static inline void R(copy)(REAL *restrict to, const REAL *restrict from, int64_t n)
{
    for (; n >= 16; n -= 16, to += 16, from += 16) memcpy(to, from, 16 * sizeof *to);
    if (n >= 8) memcpy(to, from, 8 * sizeof *to), n -= 8, to += 8, from += 8;
    if (n >= 4) memcpy(to, from, 4 * sizeof *to), n -= 4, to += 4, from += 4;
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

static inline void R(zero)(REAL *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] = 0;
}

/* The columns of one image, from col on; rows are ld apart. */
TSR_CLONES static void R(gather)(const struct tsr_window *w, const REAL *x, int64_t channels, int64_t j0, int64_t j1,
                                 REAL *col, int64_t ld)
{
    for (int64_t k = 0; k < w->kernel_size; k++) {
        struct tsr_tap t;
        tsr_tap_init(w, k, &t);
        for (int64_t c = 0; c < channels; c++) {
            REAL *to = col + (c * w->kernel_size + k) * ld;
            const REAL *from = x + c * w->in_size;
            struct tsr_run u;
            for (tsr_run_first(w, j0, j1, &u); u.n > 0; to += u.n, tsr_run_next(w, &u)) {
                int64_t a, b, at = tsr_tap_row(w, &t, &u, &a, &b);
                R(zero)(to, a);
                if (w->stride[2] == 1) R(copy)(to + a, from + at + a, b - a);
                else
                    for (int64_t i = a; i < b; i++) to[i] = from[at + i * w->stride[2]];
                R(zero)(to + b, u.n - b);
            }
        }
    }
}

/* The transpose of gather: adds the columns back to where they were read. */
TSR_CLONES static void R(scatter)(const struct tsr_window *w, REAL *x, int64_t channels, int64_t j0, int64_t j1,
                                  const REAL *col, int64_t ld)
{
    for (int64_t k = 0; k < w->kernel_size; k++) {
        struct tsr_tap t;
        tsr_tap_init(w, k, &t);
        for (int64_t c = 0; c < channels; c++) {
            const REAL *restrict from = col + (c * w->kernel_size + k) * ld;
            REAL *restrict to = x + c * w->in_size;
            struct tsr_run u;
            for (tsr_run_first(w, j0, j1, &u); u.n > 0; from += u.n, tsr_run_next(w, &u)) {
                int64_t a, b, at = tsr_tap_row(w, &t, &u, &a, &b);
                if (w->stride[2] == 1)
                    for (int64_t i = a; i < b; i++) to[at + i] += from[i];
                else
                    for (int64_t i = a; i < b; i++) to[at + i * w->stride[2]] += from[i];
            }
        }
    }
}

/* The gathered matrix of a block and its row stride: the input itself where that is the same. */
static const REAL *R(gathered)(const struct conv *v, const struct block *k, REAL *col, int64_t *ld)
{
    const REAL *x = (const REAL *)v->x + (k->n0 * v->w.c + k->g * v->cg) * v->w.in_size;
    *ld = k->columns;
    if (v->direct && k->n1 - k->n0 == 1) {
        *ld = v->w.in_size;
        return x + k->j0;
    }
    for (int64_t n = k->n0; n < k->n1; n++)
        R(gather)(&v->w, x + (n - k->n0) * v->w.c * v->w.in_size, v->cg, k->j0, k->j1, col + (n - k->n0) * (k->j1 - k->j0),
                  k->columns);
    return col;
}

/* dY of the block as a matrix [mg, columns] and its row stride: in place for a single image. */
static const REAL *R(outputs)(const struct conv *v, const struct block *k, REAL *out, int64_t *ld)
{
    int64_t size = v->w.out_size, each = k->j1 - k->j0;
    const REAL *dy = (const REAL *)v->dy + (k->n0 * v->m + k->g * v->mg) * size + k->j0;
    *ld = size;
    if (k->n1 - k->n0 == 1) return dy;
    *ld = k->columns;
    for (int64_t i = 0; i < v->mg; i++)
        for (int64_t n = k->n0; n < k->n1; n++)
            R(copy)(out + i * k->columns + (n - k->n0) * each, dy + ((n - k->n0) * v->m + i) * size, each);
    return out;
}

/* Y of a block. */
static void R(forward_block)(const struct conv *v, const struct block *k, REAL *col, REAL *out)
{
    int64_t size = v->w.out_size, each = k->j1 - k->j0, ld, ldy = size;
    const REAL *weight = (const REAL *)v->weight + k->g * v->mg * v->k;
    const REAL *bias = v->bias != NULL ? (const REAL *)v->bias + k->g * v->mg : NULL;
    const REAL *b = R(gathered)(v, k, col, &ld);
    REAL *y = (REAL *)v->y + (k->n0 * v->m + k->g * v->mg) * size + k->j0, *to = y;
    bool several = k->n1 - k->n0 > 1;
    if (several) to = out, ldy = k->columns;
    for (int64_t i = 0; bias != NULL && i < v->mg; i++)
        for (int64_t j = 0; j < k->columns; j++) to[i * ldy + j] = bias[i];
    GEMM(false, false, v->mg, k->columns, v->k, 1, weight, v->k, b, ld, bias != NULL, to, ldy);
    for (int64_t i = 0; several && i < v->mg; i++)
        for (int64_t n = k->n0; n < k->n1; n++)
            R(copy)(y + ((n - k->n0) * v->m + i) * size, out + i * k->columns + (n - k->n0) * each, each);
}

/* dX of the images and group of a block, over all its positions. */
static void R(input_gradient)(const struct conv *v, struct block *k, REAL *col, REAL *out)
{
    const struct tsr_window *w = &v->w;
    REAL *dx = (REAL *)v->dx + (k->n0 * w->c + k->g * v->cg) * w->in_size;
    const REAL *weight = (const REAL *)v->weight + k->g * v->mg * v->k;
    for (int64_t n = k->n0; n < k->n1 && !v->direct; n++)
        memset(dx + (n - k->n0) * w->c * w->in_size, 0, (size_t)(v->cg * w->in_size) * sizeof *dx);
    for (int64_t j = 0; j < w->out_size; j += v->block) {
        block_columns(v, k, j);
        int64_t ld, each = k->j1 - k->j0;
        bool place = v->direct && k->n1 - k->n0 == 1;
        const REAL *dy = R(outputs)(v, k, out, &ld);
        GEMM(true, false, v->k, k->columns, v->mg, 1, weight, v->k, dy, ld, 0, place ? dx + k->j0 : col,
             place ? w->in_size : k->columns);
        for (int64_t n = k->n0; n < k->n1 && !place; n++) {
            REAL *to = dx + (n - k->n0) * w->c * w->in_size;
            const REAL *from = col + (n - k->n0) * each;
            if (v->direct)
                for (int64_t c = 0; c < v->cg; c++) R(copy)(to + c * w->in_size, from + c * k->columns, each);
            else
                R(scatter)(w, to, v->cg, k->j0, k->j1, from, k->columns);
        }
    }
}

/* Adds (or where beta is 0 writes) the dW of a block: [mg, k], transposed where that is cheaper. */
static void R(weight_gradient)(const struct conv *v, const struct block *k, REAL beta, REAL *dw, REAL *col, REAL *out)
{
    int64_t ldx, ldy;
    const REAL *x = R(gathered)(v, k, col, &ldx), *dy = R(outputs)(v, k, out, &ldy);
    if (v->dw_transposed) GEMM(false, true, v->k, v->mg, k->columns, 1, x, ldx, dy, ldy, beta, dw, v->mg);
    else GEMM(false, true, v->mg, v->k, k->columns, 1, dy, ldy, x, ldx, beta, dw, v->k);
}

/* dW is the sum of the partial sums, in order. */
static void R(sum_parts)(const struct conv *v)
{
    int64_t size = v->mg * v->k;
    REAL *part = v->part;
    for (int64_t p = 1; p < v->parts; p++)
        for (int64_t i = 0; i < v->groups * size; i++) part[i] += part[p * v->groups * size + i];
    for (int64_t g = 0; g < v->groups; g++) {
        REAL *to = (REAL *)v->dw + g * size;
        const REAL *from = part + g * size;
        for (int64_t i = 0; i < v->mg; i++)
            for (int64_t j = 0; j < v->k; j++) to[i * v->k + j] = v->dw_transposed ? from[j * v->mg + i] : from[i * v->k + j];
    }
}

/* The sum of channel m of dY over images and positions. */
TSR_CLONES static void R(bias_gradient)(const REAL *dy, int64_t images, int64_t channels, int64_t size, int64_t m, REAL *db)
{
    double sum[8] = {0};
    for (int64_t n = 0; n < images; n++) {
        const REAL *at = dy + (n * channels + m) * size;
        int64_t j = 0;
        for (; j + 8 <= size; j += 8)
            for (int64_t i = 0; i < 8; i++) sum[i] += (double)at[j + i];
        for (int64_t i = 0; j < size; i++, j++) sum[i] += (double)at[j];
    }
    db[m] = (REAL)(((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
}
