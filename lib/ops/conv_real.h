/* conv_real.h - the kernels of convolutions over REAL; included once for float and once for
 * double, with R(name) naming the function, INT the integer of the same size, GEMM the matrix
 * product and R(product) the one with a bias for every row.
 *
 * A block is one image or several small ones. Its gathered matrix has a row for every (channel,
 * tap) and a column for every (image, output position): what the tap reads there. Pieces of it are
 * made as they are needed, small enough for the first-level cache. */

/* The padded phases of the channels of a block's group: [image][channel][g->all]. */
static void R(prepare)(const struct conv *v, const struct block *k, REAL *phase)
{
    const REAL *x = (const REAL *)v->x + (k->n0 * v->w.c + k->g * v->cg) * v->w.in_size;
    for (int64_t n = k->n0; n < k->n1; n++, x += v->w.c * v->w.in_size, phase += v->cg * v->plane.all)
        R(phases)(&v->plane, (REAL *)(uintptr_t)x, v->w.in_size, phase, v->plane.all, v->cg, true);
}

/* Rows [p0, p1) of the columns that the runs cover. Writes up to 15 elements behind each row. */
TSR_CLONES static void R(gather)(const struct conv *v, const REAL *phase, const struct runs *u, int64_t p0, int64_t p1,
                                 REAL *col, int64_t ld)
{
    int64_t c = p0 / v->w.kernel_size, t = p0 % v->w.kernel_size;
    for (int64_t p = p0; p < p1; p++, col += ld) {
        const REAL *from = phase + c * v->plane.all + v->plane.at[t];
        REAL *to = col;
        if (u->longest <= 16)
            for (int64_t r = 0; r < u->count; to += u->n[r++]) AT16(to) = FROM16(from + u->at[r]);
        else
            for (int64_t r = 0; r < u->count; to += u->n[r++])
                for (int64_t i = 0; i < u->n[r]; i += 16) AT16(to + i) = FROM16(from + u->at[r] + i);
        if (++t == v->w.kernel_size) t = 0, c++;
    }
}

/* The transpose of gather: adds rows to the phases. */
TSR_CLONES static void R(scatter)(const struct conv *v, REAL *phase, const struct runs *u, int64_t p0, int64_t p1,
                                  const REAL *col, int64_t ld)
{
    static const INT ones[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    typedef INT mask16 __attribute__((vector_size(16 * sizeof(INT)), aligned(sizeof(INT)), may_alias));
    int64_t c = p0 / v->w.kernel_size, t = p0 % v->w.kernel_size;
    for (int64_t p = p0; p < p1; p++, col += ld) {
        REAL *to = phase + c * v->plane.all + v->plane.at[t];
        const REAL *from = col;
        for (int64_t r = 0; r < u->count; from += u->n[r++]) {
            REAL *at = to + u->at[r];
            int64_t i = 0, n = u->n[r];
            for (; i + 16 <= n; i += 16) AT16(at + i) += FROM16(from + i);
            if (i == n) continue;
            mask16 some = (mask16)FROM16(from + i) & *(const mask16 *)(ones + 16 - (n - i));
            AT16(at + i) += (V16)some;
        }
        if (++t == v->w.kernel_size) t = 0, c++;
    }
}

/* dY of a block as a matrix [mg, columns] and its row stride: in place for a single image. */
TSR_CLONES static const REAL *R(outputs)(const struct conv *v, const struct block *k, REAL *out, int64_t *ld)
{
    int64_t size = v->w.out_size;
    const REAL *dy = (const REAL *)v->dy + (k->n0 * v->m + k->g * v->mg) * size;
    *ld = k->columns;
    if (k->n1 - k->n0 == 1) return dy;
    for (int64_t n = k->n0; n < k->n1; n++)
        R(move)(out + (n - k->n0) * size, k->columns, dy + (n - k->n0) * v->m * size, size, v->mg, size, false, 0);
    return out;
}

/* Columns [j0, j1) of Y of a block. */
TSR_CLONES static void R(forward)(const struct conv *v, const struct block *k, int64_t j0, int64_t j1, REAL *phase,
                                  REAL *col, REAL *out)
{
    int64_t size = v->w.out_size;
    const REAL *weight = (const REAL *)v->weight + k->g * v->mg * v->k;
    const REAL *bias = v->bias != NULL ? (const REAL *)v->bias + k->g * v->mg : NULL;
    REAL *y = (REAL *)v->y + (k->n0 * v->m + k->g * v->mg) * size, *to = k->n1 - k->n0 > 1 ? out : y;
    if (in_place(v, k)) {
        const REAL *x = (const REAL *)v->x + (k->n0 * v->w.c + k->g * v->cg) * size;
        R(product)(v->mg, j1 - j0, v->k, weight, v->k, x + j0, size, 0, to + j0, size, bias);
        return;
    }
    R(prepare)(v, k, phase);
    for (int64_t j = j0; j < j1; j += COLUMNS) {
        struct runs u;
        int64_t n = j1 - j < COLUMNS ? j1 - j : COLUMNS;
        find_runs(v, j, j + n, &u);
        for (int64_t p = 0; p < v->k; p += TSR_GEMM_KC) {
            int64_t depth = v->k - p < TSR_GEMM_KC ? v->k - p : TSR_GEMM_KC;
            R(gather)(v, phase, &u, p, p + depth, col, COLUMNS_LD);
            R(product)(v->mg, n, depth, weight + p, v->k, col, COLUMNS_LD, p > 0, to + j, k->columns,
                       p + depth == v->k ? bias : NULL);
        }
    }
    for (int64_t n = k->n0; to == out && n < k->n1; n++)
        R(move)(y + (n - k->n0) * v->m * size, size, out + (n - k->n0) * size, k->columns, v->mg, size, false, 0);
}

/* dX of a block. */
static void R(input_gradient)(const struct conv *v, const struct block *k, REAL *phase, REAL *col, REAL *out)
{
    const struct tsr_window *w = &v->w;
    const struct tsr_plane *g = &v->plane;
    REAL *dx = (REAL *)v->dx + (k->n0 * w->c + k->g * v->cg) * w->in_size;
    const REAL *weight = (const REAL *)v->weight + k->g * v->mg * v->k;
    int64_t ld;
    const REAL *dy = R(outputs)(v, k, out, &ld);
    if (in_place(v, k)) {
        GEMM(true, false, v->k, k->columns, v->mg, 1, weight, v->k, dy, ld, 0, dx, k->columns);
        return;
    }
    memset(phase, 0, (size_t)((k->n1 - k->n0) * v->cg * g->all) * sizeof *phase);
    for (int64_t j = 0; j < k->columns; j += COLUMNS) {
        struct runs u;
        int64_t n = k->columns - j < COLUMNS ? k->columns - j : COLUMNS;
        find_runs(v, j, j + n, &u);
        for (int64_t p = 0; p < v->k; p += ROWS) {
            int64_t rows = v->k - p < ROWS ? v->k - p : ROWS;
            GEMM(true, false, rows, n, v->mg, 1, weight + p, v->k, dy + j, ld, 0, col, COLUMNS_LD);
            R(scatter)(v, phase, &u, p, p + rows, col, COLUMNS_LD);
        }
    }
    for (int64_t n = k->n0; n < k->n1; n++, dx += w->c * w->in_size) {
        if (!g->covers) memset(dx, 0, (size_t)(v->cg * w->in_size) * sizeof *dx);
        R(phases)(g, dx, w->in_size, phase, g->all, v->cg, false);
        phase += v->cg * g->all;
    }
}

/* sum[i] += the sum of n elements of row i, in 8 lanes. */
TSR_CLONES static void R(sum_rows)(const REAL *from, int64_t rows, int64_t ld, int64_t n, double *sum)
{
    typedef double lanes __attribute__((vector_size(64), aligned(8)));
    for (int64_t i = 0; i < rows; i++) {
        const REAL *at = from + i * ld;
        union {
            lanes all;
            double of[8];
        } s = {{0}};
        lanes part = {0}; /* stays in a register */
        int64_t j = 0;
        for (; j + 8 <= n; j += 8)
            part += (lanes){(double)at[j],     (double)at[j + 1], (double)at[j + 2], (double)at[j + 3],
                            (double)at[j + 4], (double)at[j + 5], (double)at[j + 6], (double)at[j + 7]};
        s.all = part;
        for (int64_t k = 0; j < n; k++, j++) s.of[k] += (double)at[j];
        sum[i] += ((s.of[0] + s.of[1]) + (s.of[2] + s.of[3])) + ((s.of[4] + s.of[5]) + (s.of[6] + s.of[7]));
    }
}

/* Adds (or where beta is 0 writes) the transposed dW of a block: [k, mg]; adds to the sums of dY (NULL: none). */
static void R(weight_gradient)(const struct conv *v, const struct block *k, REAL beta, REAL *dw, REAL *phase, REAL *col,
                               REAL *turned, REAL *out, double *sums)
{
    int64_t ld, lt = (v->mg + 15) / 16 * 16;
    const REAL *dy = R(outputs)(v, k, out, &ld), *x = (const REAL *)v->x + (k->n0 * v->w.c + k->g * v->cg) * v->w.in_size;
    bool place = in_place(v, k);
    if (!place) R(prepare)(v, k, phase);
    for (int64_t j = 0; j < k->columns; j += TSR_GEMM_KC, beta = 1) {
        struct runs u;
        int64_t n = k->columns - j < TSR_GEMM_KC ? k->columns - j : TSR_GEMM_KC;
        TRANSPOSE(n, v->mg, dy + j, ld, turned, lt);
        if (sums != NULL) R(sum_rows)(dy + j, v->mg, ld, n, sums); /* while they are in the cache */
        if (place) {
            GEMM(false, false, v->k, v->mg, n, 1, x + j, k->columns, turned, lt, beta, dw, v->mg);
            continue;
        }
        find_runs(v, j, j + n, &u);
        for (int64_t p = 0; p < v->k; p += BAND) {
            int64_t rows = v->k - p < BAND ? v->k - p : BAND;
            R(gather)(v, phase, &u, p, p + rows, col, BAND_LD);
            GEMM(false, false, rows, v->mg, n, 1, col, BAND_LD, turned, lt, beta, dw + p * v->mg, v->mg);
        }
    }
}

/* The weights of the convolution that leads from dY to dX where the stride is 1: to[c, m, tap]. */
static void R(flip)(const struct tsr_conv *v, REAL *to)
{
    int64_t taps = v->w.kernel_size;
    for (int64_t g = 0; g < v->groups; g++)
        for (int64_t c = 0; c < v->cg; c++)
            for (int64_t m = 0; m < v->mg; m++)
                for (int64_t t = 0; t < taps; t++)
                    *to++ = ((const REAL *)v->weight)[((g * v->mg + m) * v->cg + c) * taps + taps - 1 - t];
}

/* dW is the sum of the partial sums, in order; so is db. */
static void R(sum_parts)(const struct conv *v)
{
    int64_t size = v->mg * v->k;
    REAL *part = v->part;
    for (int64_t m = 0; v->sums != NULL && m < v->m; m++) {
        double sum = 0;
        for (int64_t p = 0; p < v->parts; p++) sum += v->sums[p * v->m + m];
        ((REAL *)v->db)[m] = (REAL)sum;
    }
    for (int64_t p = 1; p < v->parts; p++)
        for (int64_t i = 0; i < v->groups * size; i++) part[i] += part[p * v->groups * size + i];
    for (int64_t g = 0; g < v->groups; g++) {
        REAL *to = (REAL *)v->dw + g * size;
        const REAL *from = part + g * size;
        for (int64_t i = 0; i < v->mg; i++)
            for (int64_t j = 0; j < v->k; j++) to[i * v->k + j] = from[j * v->mg + i];
    }
}

/* The sum of channel m of dY over images and positions. */
static void R(bias_gradient)(const REAL *dy, int64_t images, int64_t channels, int64_t size, int64_t m, REAL *db)
{
    double sum = 0;
    for (int64_t n = 0; n < images; n++) R(sum_rows)(dy + (n * channels + m) * size, 1, 0, size, &sum);
    db[m] = (REAL)sum;
}
