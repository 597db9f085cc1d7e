/* conv_last_fast.c - channels-last convolutions in single precision. Every output position is a row: of a
 * product with packed weights (tensor/panels.h) or, where groups have one channel, of a filter
 * (tensor/filter.h). Where nothing is padded its taps are read from X in place, else from a copy of
 * the part of X that a task needs, with its padding. */
#include <string.h>

#include "base/clones.h"
#include "base/mem.h"
#include "ops/conv_last.h"
#include "tensor/filter.h"

enum {
    BLOCK = 384,          /* positions whose rows are listed together */
    LEAST = 96,           /* positions of a task, at least */
    TASK = 1 << 18,       /* multiplications of a task, at least */
    COPY = 32768          /* elements of a copy, about: it stays in the second-level cache */
};

struct fast {
    struct tsr_conv_last v;
    bool filter, in_place;
    struct tsr_panels panels;  /* of group 0 */
    int64_t pack;              /* floats of one group's packed weights */
    const float *weights;      /* of the filter: [taps][m, in whole vectors] */
    struct tsr_run *run;       /* the columns of A, for group 0 */
    int64_t runs;
    int64_t *at;               /* where the taps of the filter read */
    int64_t width, height;     /* positions of a row of what is read, and its rows for a whole image */
    int64_t images, band;      /* a task: so many images, or so many rows of outputs of one of them */
    int64_t bands, tasks;      /* of an image; of all */
    float *copy;               /* of all workers */
    int64_t copy_size;         /* of one */
};

static int64_t reach(const struct tsr_window *w, int d, int64_t outputs)
{
    return (outputs - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
}

/* The columns of A: taps one after the other, all channels of the group at each. Taps that are neighbours in
 * memory make one run. */
static int64_t list_runs(const struct fast *t, struct tsr_run *to)
{
    const struct tsr_window *w = &t->v.w;
    const bool touch = w->dilation[2] == 1 && t->v.groups == 1;
    int64_t n = 0;
    for (int64_t kh = 0; kh < w->kernel[1]; kh++)
        for (int64_t kw = 0; kw < w->kernel[2]; kw++) {
            if (touch && kw > 0) to[n - 1].n += w->c;
            else to[n++] = (struct tsr_run){(kh * w->dilation[1] * t->width + kw * w->dilation[2]) * w->c, t->v.cg};
        }
    return n;
}

/* How the outputs are cut into tasks: by the sizes alone. */
static void cut(struct fast *t)
{
    const struct tsr_window *w = &t->v.w;
    const double each = (double)t->v.m * (double)t->v.cg * (double)w->kernel_size; /* multiplications a position */
    const int64_t least = each * LEAST >= TASK ? LEAST : (int64_t)(TASK / each) + 1;
    const int64_t row = t->width * w->c, image = t->height * row;
    t->images = 1, t->band = w->out[1];
    if (w->out_size < least) {
        t->images = (least + w->out_size - 1) / w->out_size;
        if (!t->in_place && t->images * image > COPY) t->images = COPY / image > 0 ? COPY / image : 1;
        if (t->images > w->n) t->images = w->n;
    } else if (t->in_place || image > COPY) {
        t->band = (least + w->out[2] - 1) / w->out[2];
        const int64_t fits = t->in_place ? 0 : COPY / (row * w->stride[1]); /* rows that the copy may hold */
        if (fits > t->band) t->band = fits;
        if (t->band > w->out[1]) t->band = w->out[1];
    }
    t->bands = (w->out[1] + t->band - 1) / t->band;
    t->tasks = t->bands > 1 ? w->n * t->bands : (w->n + t->images - 1) / t->images;
}

/* to[3 i + c] = plane c of x at i, for i < n. */
TSR_CLONES static void interleave_three(int64_t n, const float *x, int64_t plane, float *to)
{
    typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        v16 a = *(const v16 *)(x + i), b = *(const v16 *)(x + plane + i), c = *(const v16 *)(x + 2 * plane + i);
        v16 p = __builtin_shufflevector(a, b, 0, 16, -1, 1, 17, -1, 2, 18, -1, 3, 19, -1, 4, 20, -1, 5);
        v16 q = __builtin_shufflevector(a, b, 21, -1, 6, 22, -1, 7, 23, -1, 8, 24, -1, 9, 25, -1, 10, 26);
        v16 r = __builtin_shufflevector(a, b, -1, 11, 27, -1, 12, 28, -1, 13, 29, -1, 14, 30, -1, 15, 31, -1);
        *(v16 *)(to + 3 * i) = __builtin_shufflevector(p, c, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15);
        *(v16 *)(to + 3 * i + 16) = __builtin_shufflevector(q, c, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15);
        *(v16 *)(to + 3 * i + 32) = __builtin_shufflevector(r, c, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31);
    }
    for (; i < n; i++)
        for (int64_t c = 0; c < 3; c++) to[3 * i + c] = x[c * plane + i];
}

/* n neighbouring positions of a row of X, all channels of each. */
static void copy_positions(const struct tsr_conv_last *v, int64_t image, int64_t ih, int64_t iw, int64_t n, float *to)
{
    const struct tsr_window *w = &v->w;
    const int64_t c = w->c;
    if (!v->first || c == 1) {
        memcpy(to, (const float *)v->x + ((image * w->in[1] + ih) * w->in[2] + iw) * c, (size_t)(n * c) * sizeof *to);
        return;
    }
    const float *x = (const float *)v->x + (image * c * w->in[1] + ih) * w->in[2] + iw;
    const int64_t plane = w->in[1] * w->in[2], whole = c / 16 * 16;
    if (c == 3) {
        interleave_three(n, x, plane, to);
        return;
    }
    if (whole > 0) tsr_gemm_transpose(n, whole, x, plane, to, c);
    for (int64_t k = whole; k < c; k++)
        for (int64_t i = 0; i < n; i++) to[i * c + k] = x[k * plane + i];
}

static void clear(float *to, int64_t n)
{
    if (n > 0) memset(to, 0, (size_t)n * sizeof *to);
}

/* Rows of X that the outputs [oh0, oh1) of an image read, with their padding. */
static void copy_rows(const struct fast *t, int64_t image, int64_t oh0, int64_t oh1, float *to)
{
    const struct tsr_window *w = &t->v.w;
    const int64_t c = w->c, row = t->width * c, rows = reach(w, 1, oh1 - oh0), top = oh0 * w->stride[1] - w->pad[1];
    const int64_t q0 = w->pad[2] < t->width ? w->pad[2] : t->width; /* the first place that is not padding, and the last + 1 */
    const int64_t q1 = w->in[2] + w->pad[2] < t->width ? w->in[2] + w->pad[2] : t->width;
    for (int64_t r = 0; r < rows; r++, to += row) {
        if (top + r < 0 || top + r >= w->in[1]) {
            clear(to, row);
            continue;
        }
        clear(to, q0 * c);
        if (q1 > q0) copy_positions(&t->v, image, top + r, q0 - w->pad[2], q1 - q0, to + q0 * c);
        clear(to + (q1 > q0 ? q1 : q0) * c, (t->width - (q1 > q0 ? q1 : q0)) * c);
    }
}

/* ---- a task --------------------------------------------------------------------------------- */

/* Zeros around the outputs [oh0, oh1) of an image. */
static void clear_margin(const struct fast *t, int64_t n, int64_t oh0, int64_t oh1)
{
    const struct tsr_conv_last *v = &t->v;
    const int64_t row = tsr_conv_last_row(v), left = v->margin[1][0] * v->m, right = v->margin[1][1] * v->m;
    float *y = (float *)v->y + n * tsr_conv_last_image(v);
    if (oh0 == 0) clear(y, v->margin[0][0] * row);
    if (oh1 == v->w.out[1]) clear(y + (v->margin[0][0] + oh1) * row, v->margin[0][1] * row);
    if (left + right == 0) return;
    y += (v->margin[0][0] + oh0) * row;
    clear(y, left);
    for (int64_t h = oh0; h < oh1; h++, y += row) clear(y + row - right, h + 1 < oh1 ? right + left : right); /* they touch */
}

/* n positions: their rows are row[] and to[], or where NULL lie one after the other in X and Y. */
static void compute(const struct fast *t, const float *x, float *y, const int64_t *row, const int64_t *to, int64_t n)
{
    const struct tsr_conv_last *v = &t->v;
    const float *add = v->add != NULL ? (const float *)v->add + (y - (float *)v->y) : NULL;
    const struct tsr_panel_end end = {.bias = v->bias, .add = add, .kind = v->act, .low = v->low, .high = v->high};
    if (t->filter) {
        const struct tsr_filter f = {.x = x, .w = t->weights, .at = t->at, .taps = v->w.kernel_size, .row = row, .to = to,
                                     .y = y, .channels = v->m};
        tsr_filter_run(&f, n, &end);
        return;
    }
    for (int64_t g = 0; g < v->groups; g++) {
        struct tsr_panels panels = t->panels;
        struct tsr_panel_end part = end;
        const struct tsr_panel_rows r = {.a = x + g * v->cg, .c = y + g * v->mg, .row = row, .to = to, .lda = v->w.c, .ldc = v->m,
                                         .rows = n, .run = t->run, .runs = t->runs};
        panels.data += g * t->pack;
        if (part.bias != NULL) part.bias += g * v->mg;
        if (part.add != NULL) part.add += g * v->mg;
        tsr_panels_rows(&panels, &r, &part);
    }
}

/* The outputs [oh0, oh1) of `images` images from n0 on; `x` holds what they read, from its row `top` on. */
TSR_CLONES static void positions(const struct fast *t, int64_t n0, int64_t images, int64_t oh0, int64_t oh1, const float *x, int64_t image,
                      int64_t top)
{
    const struct tsr_conv_last *v = &t->v;
    const struct tsr_window *w = &v->w;
    const int64_t down = w->stride[1] * t->width * w->c, right = w->stride[2] * w->c;
    int64_t row[BLOCK], to[BLOCK], n = 0;
    for (int64_t k = 0; k < images; k++)
        for (int64_t oh = oh0; oh < oh1; oh++) {
            int64_t from = k * image + (oh - top) * down;
            int64_t at = (n0 + k) * tsr_conv_last_image(v) + tsr_conv_last_start(v) + oh * tsr_conv_last_row(v);
            for (int64_t left = w->out[2]; left > 0;) {
                const int64_t some = left < BLOCK - n ? left : BLOCK - n;
                for (int64_t i = 0; i < some; i++) row[n + i] = from + i * right;
                for (int64_t i = 0; i < some; i++) to[n + i] = at + i * v->m;
                from += some * right, at += some * v->m, n += some, left -= some;
                if (n < BLOCK) continue;
                compute(t, x, v->y, row, to, n);
                n = 0;
            }
        }
    if (n > 0) compute(t, x, v->y, row, to, n);
}

/* Positions of X and of Y lie one after the other, whatever the image. */
static bool is_pointwise(const struct fast *t)
{
    const struct tsr_conv_last *v = &t->v;
    return t->in_place && !t->filter && v->w.kernel_size == 1 && v->w.stride[1] == 1 && v->w.stride[2] == 1 &&
           tsr_conv_last_image(v) == v->w.out_size * v->m;
}

static void task(void *arg, int64_t i, int worker)
{
    const struct fast *t = arg;
    const struct tsr_window *w = &t->v.w;
    const int64_t n0 = t->bands > 1 ? i / t->bands : i * t->images, images = n0 + t->images < w->n ? t->images : w->n - n0;
    const int64_t oh0 = t->bands > 1 ? i % t->bands * t->band : 0, oh1 = oh0 + t->band < w->out[1] ? oh0 + t->band : w->out[1];
    for (int64_t k = 0; k < images; k++) clear_margin(t, n0 + k, oh0, oh1);
    if (is_pointwise(t)) {
        const int64_t at = n0 * w->out_size + oh0 * w->out[2];
        compute(t, (const float *)t->v.x + at * w->c, (float *)t->v.y + at * t->v.m, NULL, NULL, images * (oh1 - oh0) * w->out[2]);
        return;
    }
    if (t->in_place) {
        const int64_t image = w->in_size * w->c;
        positions(t, n0, images, oh0, oh1, (const float *)t->v.x + n0 * image, image, 0);
        return;
    }
    float *copy = t->copy + t->copy_size * worker;
    const int64_t image = reach(w, 1, oh1 - oh0) * t->width * w->c;
    for (int64_t k = 0; k < images; k++) copy_rows(t, n0 + k, oh0, oh1, copy + k * image);
    positions(t, n0, images, oh0, oh1, copy, image, oh0);
}

/* The tables of runs or taps. */
static void list_taps(struct fast *t, void *list, const float *packed)
{
    const struct tsr_window *w = &t->v.w;
    const int64_t taps = w->kernel_size, k = t->v.cg * taps;
    if (t->filter) {
        t->weights = packed, t->at = list;
        for (int64_t i = 0; i < taps; i++)
            t->at[i] = (i / w->kernel[2] * w->dilation[1] * t->width + i % w->kernel[2] * w->dilation[2]) * w->c;
        return;
    }
    tsr_panels_given(&t->panels, k, t->v.mg, packed);
    t->pack = tsr_panels_size(k, t->v.mg);
    struct tsr_run *whole = list;
    t->run = whole + taps;
    t->runs = tsr_runs_split(whole, list_runs(t, whole), t->run);
}

enum tsr_status tsr_conv_last_fast(struct tsr_op_ctx *ctx, const struct tsr_conv_last *v, const float *packed)
{
    struct fast t = {.v = *v, .filter = tsr_conv_last_is_filter(v)};
    const struct tsr_window *w = &v->w;
    const int64_t taps = w->kernel_size;
    t.width = reach(w, 2, w->out[2]), t.height = reach(w, 1, w->out[1]);
    t.in_place = (!v->first || w->c == 1) && w->pad[1] == 0 && w->pad[2] == 0 && t.height <= w->in[1] && t.width <= w->in[2];
    if (t.in_place) t.width = w->in[2], t.height = w->in[1];
    cut(&t);
    t.copy_size = t.in_place ? 0 : (t.images * reach(w, 1, t.band) * t.width * w->c + 15) / 16 * 16;
    const size_t list = ((size_t)(taps + tsr_runs_room(taps, v->cg * taps)) * sizeof *t.run + 63) / 64 * 64;
    const size_t bytes = list + (size_t)t.copy_size * sizeof *t.copy * (size_t)tsr_pool_threads(ctx->pool);
    char *scratch = tsr_op_scratch(ctx, bytes);
    if (scratch == NULL) return tsr_nomem(ctx->err, bytes);
    list_taps(&t, scratch, packed);
    t.copy = (float *)(void *)(scratch + list);
    tsr_pool_run(ctx->pool, t.tasks, task, &t);
    tsr_op_scratch_free(ctx, scratch, bytes);
    return TSR_OK;
}
