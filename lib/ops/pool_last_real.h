/* pool_last_real.h - the kernels of pool_last.c over REAL, with R(name) naming the function. All loops over
 * channels, which are neighbours. */

/* Positions of a dimension that window o covers: taps [*from, *to) lie inside the input. */
#ifndef TSR_POOL_LAST_COVER
#define TSR_POOL_LAST_COVER
static void cover(const struct tsr_window *w, int d, int64_t o, int64_t *from, int64_t *to)
{
    int64_t first = o * w->stride[d] - w->pad[d], up = w->dilation[d];
    *from = first < 0 ? (-first + up - 1) / up : 0;
    *to = first >= w->in[d] ? 0 : (w->in[d] - first + up - 1) / up;
    if (*to > w->kernel[d]) *to = w->kernel[d];
    if (*to < *from) *to = *from;
}

/* Elements that the mean of window o divides by, along one dimension. */
static int64_t counted(const struct pooling *p, int d, int64_t o)
{
    const struct tsr_window *w = &p->w;
    int64_t from, to;
    cover(w, d, o, &from, &to);
    if (!p->pads_count) return to - from;
    int64_t n = 0, first = o * w->stride[d] - w->pad[d];
    for (int64_t k = 0; k < w->kernel[d]; k++) n += first + k * w->dilation[d] < w->in[d] + w->pad_end[d];
    return n;
}
#endif

/* y = max(y, x): a NaN stays, and so does the first of equal ones. */
TSR_CLONES static void R(max_into)(REAL *restrict y, const REAL *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
}
TSR_CLONES static void R(add_into)(REAL *restrict y, const REAL *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
TSR_CLONES static void R(divide)(REAL *restrict y, REAL by, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] /= by;
}

/* One row of outputs of one image. */
static void R(forward_row)(const struct pooling *p, int64_t row)
{
    const struct tsr_window *w = &p->w;
    const int64_t image = row / w->out[1], oh = row % w->out[1], c = w->c;
    const REAL *x = (const REAL *)p->x + image * w->in_size * c;
    REAL *y = (REAL *)p->out + row * w->out[2] * c;
    int64_t h0, h1, w0, w1;
    cover(w, 1, oh, &h0, &h1);
    for (int64_t ow = 0; ow < w->out[2]; ow++, y += c) {
        cover(w, 2, ow, &w0, &w1);
        const int64_t at = (oh * w->stride[1] - w->pad[1]) * w->in[2] + ow * w->stride[2] - w->pad[2];
        for (int64_t i = 0; i < c; i++) y[i] = p->kind == POOL_MAX ? (REAL)-INFINITY : 0;
        for (int64_t kh = h0; kh < h1; kh++)
            for (int64_t kw = w0; kw < w1; kw++) {
                const REAL *from = x + (at + kh * w->dilation[1] * w->in[2] + kw * w->dilation[2]) * c;
                if (p->kind == POOL_MAX) R(max_into)(y, from, c);
                else R(add_into)(y, from, c);
            }
        int64_t n = p->kind == POOL_MEAN ? counted(p, 1, oh) * counted(p, 2, ow) : 1;
        if (n > 1) R(divide)(y, (REAL)n, c);
    }
}

/* The mean over an image: sums of up to 16 positions in REAL, those in double. */
TSR_CLONES static void R(all)(const struct pooling *p, int64_t image, double *restrict sums)
{
    enum { LANES = 16 };
    const int64_t c = p->w.c, n = p->w.in_size;
    const REAL *x = (const REAL *)p->x + image * n * c;
    REAL *y = (REAL *)p->out + image * c;
    for (int64_t i = 0; i < c; i++) sums[i] = 0;
    for (int64_t at = 0; at < n; at += LANES) {
        const int64_t some = n - at < LANES ? n - at : LANES;
        const REAL *from = x + at * c;
        int64_t i = 0;
        for (; i + LANES <= c; i += LANES) {
            REAL s[LANES] = {0};
            for (int64_t r = 0; r < some; r++)
                for (int l = 0; l < LANES; l++) s[l] += from[r * c + i + l];
            for (int l = 0; l < LANES; l++) sums[i + l] += (double)s[l];
        }
        for (; i < c; i++) {
            REAL s = 0;
            for (int64_t r = 0; r < some; r++) s += from[r * c + i];
            sums[i] += (double)s;
        }
    }
    for (int64_t i = 0; i < c; i++) y[i] = (REAL)(sums[i] / (double)n);
}

/* dX of one image. The gradient of a maximum goes to the first place that has it. */
static void R(backward_image)(const struct pooling *p, int64_t image)
{
    const struct tsr_window *w = &p->w;
    const int64_t c = w->c;
    REAL *dx = (REAL *)p->out + image * w->in_size * c;
    if (p->kind == POOL_ALL) {
        const REAL *dy = (const REAL *)p->dy + image * c;
        for (int64_t i = 0; i < w->in_size * c; i++) dx[i] = dy[i % c] / (REAL)w->in_size;
        return;
    }
    const REAL *x = (const REAL *)p->x + image * w->in_size * c, *y = (const REAL *)p->y + image * w->out_size * c;
    const REAL *dy = (const REAL *)p->dy + image * w->out_size * c;
    for (int64_t i = 0; i < w->in_size * c; i++) dx[i] = 0;
    for (int64_t oh = 0; oh < w->out[1]; oh++)
        for (int64_t ow = 0; ow < w->out[2]; ow++, y += c, dy += c) {
            int64_t h0, h1, w0, w1, n = 1;
            cover(w, 1, oh, &h0, &h1);
            cover(w, 2, ow, &w0, &w1);
            if (p->kind == POOL_MEAN) n = counted(p, 1, oh) * counted(p, 2, ow);
            const int64_t at = (oh * w->stride[1] - w->pad[1]) * w->in[2] + ow * w->stride[2] - w->pad[2];
            for (int64_t i = 0; i < c; i++) {
                bool found = false;
                for (int64_t kh = h0; kh < h1 && !found; kh++)
                    for (int64_t kw = w0; kw < w1 && !found; kw++) {
                        const int64_t k = (at + kh * w->dilation[1] * w->in[2] + kw * w->dilation[2]) * c + i;
                        if (p->kind == POOL_MEAN) dx[k] += dy[i] / (REAL)(n > 0 ? n : 1);
                        else if (x[k] == y[i] || x[k] != x[k]) dx[k] += dy[i], found = true;
                    }
            }
        }
}
