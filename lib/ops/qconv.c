#include "ops/qconv.h"

#include "base/mem.h"
#include "tensor/isa.h"

#include <string.h>

enum { CHUNK = 96, BAND = 49152 /* bytes of input that a band is worth */ };

/* ---- turning bytes -------------------------------------------------------------------------- */

typedef uint8_t v16 __attribute__((vector_size(16), aligned(1), may_alias));

#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* 16 x 16 bytes: four times rows i and i + 8 are interleaved. */
static void turn16(const uint8_t *from, int64_t fs, uint8_t *to, int64_t ts)
{
    v16 a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = *(const v16 *)(from + i * fs);
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = LOW(a[i], a[i + 8]);
            b[2 * i + 1] = HIGH(a[i], a[i + 8]);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < 16; i++) *(v16 *)(to + i * ts) = a[i];
}

void tsr_q_transpose(int64_t rows, int64_t columns, const uint8_t *from, int64_t fs, uint8_t *to, int64_t ts)
{
    int64_t r16 = rows / 16 * 16, c16 = columns / 16 * 16;
    for (int64_t r = 0; r < r16; r += 16)
        for (int64_t c = 0; c < c16; c += 16) turn16(from + r * fs + c, fs, to + c * ts + r, ts);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = r < r16 ? c16 : 0; c < columns; c++) to[c * ts + r] = from[r * fs + c];
}

/* Signed bytes become unsigned ones, 128 more. */
TSR_CLONES static void lift(int64_t n, const uint8_t *x, uint8_t *y)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] ^ 0x80;
}

/* ---- packing -------------------------------------------------------------------------------- */

bool tsr_qconv_fits(const struct tsr_qconv *v) { return v->w.rank <= 2 && v->w.kernel_size <= 4096 && v->w.c < INT64_C(1) << 24; }

void tsr_qconv_pack_free(void *arg)
{
    struct tsr_qconv_pack *p = arg;
    if (p == NULL) return;
    for (int64_t g = 0; p->group != NULL && g < p->groups; g++) tsr_qpack_release(&p->group[g]);
    tsr_qdepth_release(&p->depth);
    tsr_free(p->group);
    tsr_free(p->base);
    tsr_free(p->factor);
    tsr_free(p);
}

/* W[c, taps] without zero points, as signed bytes. */
static enum tsr_status pack_depthwise(struct tsr_qconv_pack *p, const struct tsr_qconv *v, const void *weight, bool is_unsigned,
                                      struct tsr_error *err)
{
    int64_t n = v->m * v->w.kernel_size;
    int8_t *own = NULL;
    if (is_unsigned) {
        own = tsr_malloc((size_t)n, 1);
        if (own == NULL) return tsr_nomem(err, (size_t)n);
        lift(n, weight, (uint8_t *)own);
        weight = own;
    }
    enum tsr_status status = tsr_qdepth_init(&p->depth, v->w.kernel_size, v->m, weight, 1, v->w.kernel_size, err);
    tsr_free(own);
    return status;
}

static enum tsr_status pack_groups(struct tsr_qconv_pack *p, const struct tsr_qconv *v, const void *weight, bool is_unsigned,
                                   struct tsr_error *err)
{
    int64_t size = v->w.kernel_size, k = v->cg * size, wide = v->w.kernel[2], high = v->w.kernel[1];
    p->merged = v->groups == 1 && v->w.dilation[2] == 1 && wide > 1;
    p->group = tsr_calloc((size_t)v->groups, sizeof *p->group);
    if (p->group == NULL) return tsr_nomem(err, (size_t)v->groups * sizeof *p->group);
    /* the order of a run of taps is (tap of the row, channel); the file has (channel, tap) */
    int8_t *turned = tsr_malloc((size_t)(v->mg * k), 1);
    if (turned == NULL) return tsr_nomem(err, (size_t)(v->mg * k));
    enum tsr_status status = TSR_OK;
    for (int64_t g = 0; g < v->groups && status == TSR_OK; g++) {
        const uint8_t *w = (const uint8_t *)weight + g * v->mg * k;
        for (int64_t m = 0; m < v->mg; m++)
            for (int64_t c = 0; c < v->cg; c++)
                for (int64_t t = 0; t < size; t++)
                    turned[m * k + t * v->cg + c] = (int8_t)(w[(m * v->cg + c) * size + t] ^ (is_unsigned ? 0x80 : 0));
        int64_t taps = p->merged ? high : size, depth = p->merged ? wide * v->cg : v->cg;
        status = tsr_qpack_init(&p->group[g], taps, depth, v->mg, turned, false, depth, 1, k, err);
    }
    tsr_free(turned);
    return status;
}

enum tsr_status tsr_qconv_pack_new(const struct tsr_qconv *v, const void *weight, bool is_unsigned, const int32_t *bias,
                                   const float *factor, struct tsr_qconv_pack **out, struct tsr_error *err)
{
    *out = NULL;
    struct tsr_qconv_pack *p = tsr_calloc(1, sizeof *p);
    if (p == NULL) return tsr_nomem(err, sizeof *p);
    p->groups = v->groups;
    p->depthwise = v->cg == 1 && v->mg == 1 && v->groups > 1;
    enum tsr_status status =
        p->depthwise ? pack_depthwise(p, v, weight, is_unsigned, err) : pack_groups(p, v, weight, is_unsigned, err);
    if (status == TSR_OK) {
        p->base = tsr_malloc((size_t)v->m, sizeof *p->base);
        if (factor != NULL) p->factor = tsr_memdup(factor, (size_t)v->m * sizeof *factor);
        if (p->base == NULL || (factor != NULL && p->factor == NULL)) status = tsr_nomem(err, (size_t)v->m * sizeof *factor);
    }
    if (status != TSR_OK) {
        tsr_qconv_pack_free(p);
        return status;
    }
    const uint32_t zero = (uint32_t)(v->zero_x + (v->type_x == TSR_I8 ? 128 : 0));
    for (int64_t m = 0; m < v->m; m++) {
        int32_t sum = p->depthwise ? p->depth.sum[m] : p->group[m / v->mg].sum[m % v->mg];
        p->base[m] = (int32_t)((bias != NULL ? (uint32_t)bias[m] : 0) - zero * (uint32_t)sum);
    }
    *out = p;
    return TSR_OK;
}

/* ---- running -------------------------------------------------------------------------------- */

struct work {
    const struct tsr_qconv *v;
    const struct tsr_qconv_pack *p;
    bool by_columns;           /* one output row: bands are ranges of its columns */
    int64_t step, bands;       /* outputs (rows or columns) of a band; bands of an image */
    int64_t taps;
    size_t size;               /* bytes of an element of Y */
    char *mem;
    size_t each, at_taps, at_out; /* of a worker: input, taps, output */
};

/* One band: its outputs, and the part of the input that they read (which may lie outside). */
struct band {
    int64_t oh0, oh1, ow0, ow1;
    int64_t h0, w0, rows, columns;
    const uint8_t *base; /* of input row h0, column w0 */
    int64_t row_stride;  /* bytes */
};

static void find_band(const struct work *k, int64_t i, struct band *b)
{
    const struct tsr_window *w = &k->v->w;
    int64_t lo = i * k->step;
    *b = (struct band){.oh0 = 0, .oh1 = w->out[1], .ow0 = 0, .ow1 = w->out[2]};
    if (k->by_columns) b->ow0 = lo, b->ow1 = lo + k->step < w->out[2] ? lo + k->step : w->out[2];
    else b->oh0 = lo, b->oh1 = lo + k->step < w->out[1] ? lo + k->step : w->out[1];
    b->h0 = b->oh0 * w->stride[1] - w->pad[1];
    b->w0 = b->ow0 * w->stride[2] - w->pad[2];
    b->rows = (b->oh1 - b->oh0 - 1) * w->stride[1] + (w->kernel[1] - 1) * w->dilation[1] + 1;
    b->columns = (b->ow1 - b->ow0 - 1) * w->stride[2] + (w->kernel[2] - 1) * w->dilation[2] + 1;
}

/* Columns [a, b) of input row h, all channels, to `to` channels-last and unsigned. */
static void copy_row(const struct tsr_qconv *v, int64_t n, int64_t h, int64_t a, int64_t b, uint8_t *to)
{
    const struct tsr_window *w = &v->w;
    const int64_t c = w->c, count = (b - a) * c;
    if (v->x_last || c == 1) {
        const uint8_t *from = (const uint8_t *)v->x + ((n * w->in[1] + h) * w->in[2] + a) * c;
        if (v->type_x == TSR_I8) lift(count, from, to);
        else memcpy(to, from, (size_t)count);
        return;
    }
    tsr_q_transpose(c, b - a, (const uint8_t *)v->x + n * c * w->in_size + h * w->in[2] + a, w->in_size, to, c);
    if (v->type_x == TSR_I8) lift(count, to, to);
}

/* Brings the band's input into `to` with its padding, or finds it in X as it is. */
static void load_band(const struct work *k, int64_t n, struct band *b, uint8_t *to)
{
    const struct tsr_qconv *v = k->v;
    const struct tsr_window *w = &v->w;
    const int64_t c = w->c;
    const bool inside = b->h0 >= 0 && b->w0 >= 0 && b->h0 + b->rows <= w->in[1] && b->w0 + b->columns <= w->in[2];
    /* kernels read up to 3 bytes behind a run whose length is no multiple of 4 */
    const bool whole = k->p->depthwise || (k->p->merged ? w->kernel[2] * c : v->cg) % 4 == 0;
    if (inside && whole && v->type_x == TSR_U8 && (v->x_last || c == 1)) {
        b->base = (const uint8_t *)v->x + ((n * w->in[1] + b->h0) * w->in[2] + b->w0) * c;
        b->row_stride = w->in[2] * c;
        return;
    }
    const uint8_t zero = (uint8_t)(v->zero_x + (v->type_x == TSR_I8 ? 128 : 0));
    const int64_t a = b->w0 < 0 ? 0 : b->w0, e = b->w0 + b->columns < w->in[2] ? b->w0 + b->columns : w->in[2];
    b->base = to;
    b->row_stride = b->columns * c;
    for (int64_t r = 0; r < b->rows; r++, to += b->row_stride) {
        const int64_t h = b->h0 + r;
        if (h < 0 || h >= w->in[1] || a >= e) {
            memset(to, zero, (size_t)b->row_stride);
            continue;
        }
        memset(to, zero, (size_t)((a - b->w0) * c));
        copy_row(v, n, h, a, e, to + (a - b->w0) * c);
        memset(to + (e - b->w0) * c, zero, (size_t)((b->w0 + b->columns - e) * c));
    }
    memset(to, 0, 4);
}

/* Where the windows of outputs [i, i + n) of the band begin. */
static void find_pixels(const struct work *k, const struct band *b, int64_t i, int64_t n, const uint8_t **at)
{
    const struct tsr_window *w = &k->v->w;
    const int64_t wide = b->ow1 - b->ow0, step = w->stride[2] * w->c;
    int64_t r = i / wide, q = i % wide;
    const uint8_t *p = b->base + r * w->stride[1] * b->row_stride + q * step;
    for (int64_t j = 0; j < n; j++, p += step, q++) {
        if (q == wide) q = 0, r++, p = b->base + r * w->stride[1] * b->row_stride;
        at[j] = p;
    }
}

/* How far the taps are from there. */
static void find_taps(const struct work *k, const struct band *b, int64_t *offset)
{
    const struct tsr_window *w = &k->v->w;
    const int64_t wide = k->p->merged ? 1 : w->kernel[2];
    for (int64_t t = 0; t < k->taps; t++)
        offset[t] = t / wide * w->dilation[1] * b->row_stride + t % wide * w->dilation[2] * w->c;
}

/* Channels of group g (all of them, of a depthwise convolution) of the band's outputs, of which the channels
 * are `out` on. */
static void run_band(const struct work *k, const struct band *b, int64_t g, const int64_t *offset, char *out)
{
    const struct tsr_qconv *v = k->v;
    const int64_t pixels = (b->oh1 - b->oh0) * (b->ow1 - b->ow0), c = g * v->mg;
    struct tsr_qend end = {.out = v->out, .zero = v->zero_y, .lo = v->lo, .hi = v->hi, .ldc = v->m, .base = k->p->base + c,
                           .factor = k->p->factor != NULL ? k->p->factor + c : NULL};
    const uint8_t *at[CHUNK];
    for (int64_t i = 0; i < pixels; i += CHUNK) {
        const int64_t n = pixels - i < CHUNK ? pixels - i : CHUNK;
        find_pixels(k, b, i, n, at);
        end.c = out + (size_t)(i * v->m + c) * k->size;
        if (k->p->depthwise) {
            tsr_qdepth_block(&k->p->depth, n, at, offset, &end);
            continue;
        }
        for (int64_t j = 0; j < n; j++) at[j] += g * v->cg;
        tsr_qgemm_block(&k->p->group[g], n, at, offset, &end);
    }
}

static void conv_task(void *arg, int64_t i, int worker)
{
    const struct work *k = arg;
    const struct tsr_qconv *v = k->v;
    const int64_t n = i / k->bands, m = v->m;
    char *mem = k->mem + k->each * (size_t)worker;
    int64_t *offset = (int64_t *)(void *)(mem + k->at_taps);
    struct band b;
    find_band(k, i % k->bands, &b);
    load_band(k, n, &b, (uint8_t *)mem);
    find_taps(k, &b, offset);
    const int64_t first = b.oh0 * v->w.out[2] + b.ow0, pixels = (b.oh1 - b.oh0) * (b.ow1 - b.ow0);
    const bool direct = v->y_last || m == 1;
    char *out = direct ? (char *)v->y + (size_t)((n * v->w.out_size + first) * m) * k->size : mem + k->at_out;
    for (int64_t g = 0; g < (k->p->depthwise ? 1 : v->groups); g++) run_band(k, &b, g, offset, out);
    if (direct) return;
    char *y = (char *)v->y + (size_t)(n * m * v->w.out_size + first) * k->size;
    if (k->size == 1) {
        tsr_q_transpose(pixels, m, (const uint8_t *)out, m, (uint8_t *)y, v->w.out_size);
        return;
    }
    for (int64_t q = 0; q < pixels; q++)
        for (int64_t j = 0; j < m; j++) ((int32_t *)(void *)y)[j * v->w.out_size + q] = ((int32_t *)(void *)out)[q * m + j];
}

/* Bands whose input is about BAND bytes, and at least one output. */
static void cut(struct work *k)
{
    const struct tsr_window *w = &k->v->w;
    k->by_columns = w->out[1] == 1;
    const int64_t along = k->by_columns ? 2 : 1, reach = (w->kernel[along] - 1) * w->dilation[along] + 1;
    const int64_t across = k->by_columns ? ((w->kernel[1] - 1) * w->dilation[1] + 1) * w->c : (w->in[2] + w->pad[2] + w->pad_end[2]) * w->c;
    int64_t lines = BAND / (across + 1);
    k->step = lines > reach ? (lines - reach) / w->stride[along] + 1 : 1;
    if (k->step > w->out[along]) k->step = w->out[along];
    k->bands = (w->out[along] + k->step - 1) / k->step;
    k->step = (w->out[along] + k->bands - 1) / k->bands; /* bands of nearly equal size */
    k->bands = (w->out[along] + k->step - 1) / k->step;
}

enum tsr_status tsr_qconv_run(struct tsr_op_ctx *ctx, const struct tsr_qconv *v, const struct tsr_qconv_pack *pack)
{
    struct work k = {.v = v, .p = pack, .size = v->out == TSR_I32 ? 4 : 1};
    struct band b;
    cut(&k);
    find_band(&k, 0, &b); /* none is larger than the first */
    k.taps = pack->depthwise ? v->w.kernel_size : pack->group[0].taps;
    k.at_taps = ((size_t)(b.rows * b.columns * v->w.c) + 4 + 63) & ~(size_t)63;
    k.at_out = k.at_taps + (((size_t)k.taps * sizeof(int64_t) + 63) & ~(size_t)63);
    const size_t out = v->y_last || v->m == 1 ? 0 : (size_t)((b.oh1 - b.oh0) * (b.ow1 - b.ow0) * v->m) * k.size;
    k.each = (k.at_out + out + 63) & ~(size_t)63;
    const size_t bytes = k.each * (size_t)tsr_pool_threads(ctx->pool);
    k.mem = tsr_op_scratch(ctx, bytes);
    if (k.mem == NULL) return tsr_nomem(ctx->err, bytes);
    tsr_pool_run(ctx->pool, v->w.n * k.bands, conv_task, &k);
    tsr_op_scratch_free(ctx, k.mem, bytes);
    return TSR_OK;
}
