/* conv_real.h - the kernels of convolutions over REAL; included once for float and once for
 * double, with R(name) naming the function, INT the integer of the same size, GEMM the matrix
 * product and GEMM_BIAS the plain one with a bias for every row.
 *
 * A block is a range of images and of output positions [j0, j1) in each. Its gathered matrix has a
 * row for every (channel, tap) and a column for every (image, position): what the tap reads there. */

/* The rows of X that the outputs [j0, j1) read. */
static inline void R(reach)(const struct tsr_window *w, int64_t j0, int64_t j1, int64_t *h0, int64_t *h1)
{
    *h0 = 0, *h1 = w->in[1];
    if (w->out[0] > 1) return;
    *h0 = j0 / w->out[2] * w->stride[1] - w->pad[1];
    *h1 = (j1 - 1) / w->out[2] * w->stride[1] - w->pad[1] + (w->kernel[1] - 1) * w->dilation[1] + 1;
}

/* The columns of one image, from col on; rows are ld apart. Writes up to 15 elements behind each
 * row, and the rows in order. `phase` is a work area that was zero at first. */
TSR_CLONES static void R(gather)(const struct tsr_plane *g, const REAL *x, int64_t channels, int64_t j0, int64_t j1, REAL *col,
                                 int64_t ld, REAL *phase)
{
    const struct tsr_window *w = g->w;
    int64_t h0, h1, first = j0 / w->out[2];
    R(reach)(w, j0, j1, &h0, &h1);
    for (int64_t c = 0; c < channels; c++) {
        R(phases)(g, (REAL *)(uintptr_t)x + c * w->in_size, phase, h0, h1, true);
        for (int64_t k = 0; k < w->kernel_size; k++, col += ld) {
            const REAL *from = phase + g->at[k];
            REAL *to = col;
            int64_t oh = first % w->out[1], row = (first / w->out[1] * g->q[1] + oh) * g->q[2], ow = j0 % w->out[2];
            for (int64_t j = j0; j < j1; ow = 0) {
                int64_t n = w->out[2] - ow < j1 - j ? w->out[2] - ow : j1 - j;
                for (int64_t i = 0; i < n; i += 16) AT16(to + i) = FROM16(from + row + ow + i);
                to += n, j += n, row += g->q[2];
                if (++oh == w->out[1]) oh = 0, row += (g->q[1] - w->out[1]) * g->q[2];
            }
        }
    }
}

/* The transpose of gather for one channel: adds its columns, from col on, up in its phases. */
TSR_CLONES static void R(scatter)(const struct tsr_plane *g, REAL *phase, int64_t j0, int64_t j1, const REAL *col, int64_t ld)
{
    static const INT ones[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    typedef INT mask16 __attribute__((vector_size(16 * sizeof(INT)), aligned(sizeof(INT)), may_alias));
    const struct tsr_window *w = g->w;
    int64_t first = j0 / w->out[2];
    for (int64_t k = 0; k < w->kernel_size; k++, col += ld) {
        const REAL *from = col;
        REAL *to = phase + g->at[k];
        int64_t oh = first % w->out[1], row = (first / w->out[1] * g->q[1] + oh) * g->q[2], ow = j0 % w->out[2];
        for (int64_t j = j0; j < j1; ow = 0) {
            int64_t n = w->out[2] - ow < j1 - j ? w->out[2] - ow : j1 - j, i = 0;
            REAL *at = to + row + ow;
            for (; i + 16 <= n; i += 16) AT16(at + i) += FROM16(from + i);
            if (i < n) {
                mask16 mask = *(const mask16 *)(ones + 16 - (n - i)), some = (mask16)FROM16(from + i) & mask;
                AT16(at + i) += (V16)some;
            }
            from += n, j += n, row += g->q[2];
            if (++oh == w->out[1]) oh = 0, row += (g->q[1] - w->out[1]) * g->q[2];
        }
    }
}

/* The gathered matrix of a block and its row stride: the input itself where that is the same. */
static const REAL *R(gathered)(const struct conv *v, const struct block *k, REAL *col, REAL *phase, int64_t *ld)
{
    const REAL *x = (const REAL *)v->x + (k->n0 * v->w.c + k->g * v->cg) * v->w.in_size;
    if (v->direct && k->n1 - k->n0 == 1) {
        *ld = v->w.in_size;
        return x + k->j0;
    }
    *ld = v->ld;
    for (int64_t n = k->n0; n < k->n1; n++)
        R(gather)(&v->plane, x + (n - k->n0) * v->w.c * v->w.in_size, v->cg, k->j0, k->j1,
                  col + (n - k->n0) * (k->j1 - k->j0), v->ld, phase);
    return col;
}

/* dY of the block as a matrix [mg, columns] and its row stride: in place for a single image. */
TSR_CLONES static const REAL *R(outputs)(const struct conv *v, const struct block *k, REAL *out, int64_t *ld)
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
TSR_CLONES static void R(forward_block)(const struct conv *v, const struct block *k, REAL *col, REAL *phase, REAL *out)
{
    int64_t size = v->w.out_size, each = k->j1 - k->j0, ld, ldy = size;
    const REAL *weight = (const REAL *)v->weight + k->g * v->mg * v->k;
    const REAL *bias = v->bias != NULL ? (const REAL *)v->bias + k->g * v->mg : NULL;
    const REAL *b = R(gathered)(v, k, col, phase, &ld);
    REAL *y = (REAL *)v->y + (k->n0 * v->m + k->g * v->mg) * size + k->j0, *to = y;
    bool several = k->n1 - k->n0 > 1;
    if (several) to = out, ldy = k->columns;
    GEMM_BIAS(v->mg, k->columns, v->k, weight, v->k, b, ld, to, ldy, bias);
    for (int64_t i = 0; several && i < v->mg; i++)
        for (int64_t n = k->n0; n < k->n1; n++)
            R(copy)(y + ((n - k->n0) * v->m + i) * size, out + i * k->columns + (n - k->n0) * each, each);
}

/* dX of the images and group of a block, over all its positions. `phase` holds cg planes. */
static void R(input_gradient)(const struct conv *v, struct block *k, REAL *col, REAL *phase, REAL *out)
{
    const struct tsr_window *w = &v->w;
    const struct tsr_plane *g = &v->plane;
    REAL *dx = (REAL *)v->dx + (k->n0 * w->c + k->g * v->cg) * w->in_size;
    const REAL *weight = (const REAL *)v->weight + k->g * v->mg * v->k;
    for (int64_t j = 0; j < w->out_size; j += v->block) {
        block_columns(v, k, j);
        int64_t ld, each = k->j1 - k->j0;
        bool place = v->direct && k->n1 - k->n0 == 1;
        const REAL *dy = R(outputs)(v, k, out, &ld);
        GEMM(true, false, v->k, k->columns, v->mg, 1, weight, v->k, dy, ld, 0, place ? dx + k->j0 : col,
             place ? w->in_size : v->ld);
        for (int64_t n = k->n0; n < k->n1 && !place; n++)
            for (int64_t c = 0; c < v->cg; c++) {
                REAL *sum = phase + c * g->all, *to = dx + ((n - k->n0) * w->c + c) * w->in_size;
                if (k->j0 == 0) memset(sum, 0, (size_t)g->all * sizeof *sum);
                R(scatter)(g, sum, k->j0, k->j1, col + c * w->kernel_size * v->ld + (n - k->n0) * each, v->ld);
                if (k->j1 < w->out_size) continue;
                if (!g->covers) memset(to, 0, (size_t)w->in_size * sizeof *to);
                R(phases)(g, to, sum, 0, w->in[1], false);
            }
    }
}

/* Adds (or where beta is 0 writes) the dW of a block: [mg, k], transposed where that is cheaper. */
static void R(weight_gradient)(const struct conv *v, const struct block *k, REAL beta, REAL *dw, REAL *col, REAL *phase,
                               REAL *out)
{
    int64_t ldx, ldy;
    const REAL *x = R(gathered)(v, k, col, phase, &ldx), *dy = R(outputs)(v, k, out, &ldy);
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
