#include "tensor/qgemm.h"

#include "base/mem.h"
#include "tensor/isa.h"
#include "tensor/qgemm_isa.h"

#include <stdatomic.h>
#include <string.h>

enum { CHUNK = 96 }; /* rows of a task */

const struct tsr_qgemm_isa *const tsr_qgemm_isas[] = {
#if defined(__x86_64__)
    &tsr_qgemm_vnni,
    &tsr_qgemm_avx2,
#elif defined(__aarch64__)
    &tsr_qgemm_dot,
    &tsr_qgemm_neon,
#endif
    &tsr_qgemm_portable,
    NULL,
};

static _Atomic(const struct tsr_qgemm_isa *) chosen;

static const struct tsr_qgemm_isa *kernels(void)
{
    const struct tsr_qgemm_isa *isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (isa != NULL) return isa;
    int i = 0;
    while (!tsr_qgemm_isas[i]->runs()) i++; /* the portable one always does */
    atomic_store_explicit(&chosen, tsr_qgemm_isas[i], memory_order_relaxed);
    return tsr_qgemm_isas[i];
}

const char *tsr_qgemm_kernel_name(int i) { return tsr_qgemm_isas[i] != NULL ? tsr_qgemm_isas[i]->name : NULL; }
bool tsr_qgemm_kernel_runs(int i) { return tsr_qgemm_isas[i]->runs(); }
const char *tsr_qgemm_kernel(void) { return kernels()->name; }

enum tsr_status tsr_qgemm_use(const char *name, struct tsr_error *err)
{
    for (int i = 0; tsr_qgemm_isas[i] != NULL; i++)
        if (strcmp(tsr_qgemm_isas[i]->name, name) == 0 && tsr_qgemm_isas[i]->runs()) {
            atomic_store_explicit(&chosen, tsr_qgemm_isas[i], memory_order_relaxed);
            return TSR_OK;
        }
    return tsr_fail(err, TSR_E_USAGE, "there is no integer kernel '%s' for this machine", name);
}

/* ---- packing -------------------------------------------------------------------------------- */

typedef int8_t v16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef int16_t v8s __attribute__((vector_size(16)));

/* Four rows of 16 columns to 16 columns of four. */
static void mix(const v16 r[4], int8_t *to)
{
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    const v8s a = (v8s)LOW(r[0], r[1]), b = (v8s)HIGH(r[0], r[1]), c = (v8s)LOW(r[2], r[3]), d = (v8s)HIGH(r[2], r[3]);
    ((v16 *)to)[0] = (v16)__builtin_shufflevector(a, c, 0, 8, 1, 9, 2, 10, 3, 11);
    ((v16 *)to)[1] = (v16)__builtin_shufflevector(a, c, 4, 12, 5, 13, 6, 14, 7, 15);
    ((v16 *)to)[2] = (v16)__builtin_shufflevector(b, d, 0, 8, 1, 9, 2, 10, 3, 11);
    ((v16 *)to)[3] = (v16)__builtin_shufflevector(b, d, 4, 12, 5, 13, 6, 14, 7, 15);
#undef LOW
#undef HIGH
}

struct from {
    const int8_t *b;
    int64_t step_d, step_n;
    uint8_t flip;
};

/* Rows [d, d + 4) of columns [0, columns) as bytes, four a column; what is not there is 0. */
static void take(const struct from *f, int64_t d, int64_t depth, int64_t columns, int8_t to[64])
{
    const int64_t rows = depth - d < 4 ? depth - d : 4;
    if (f->step_n == 1 && columns == 16) {
        v16 r[4] = {{0}, {0}, {0}, {0}};
        for (int64_t k = 0; k < rows; k++) r[k] = *(const v16 *)(f->b + (d + k) * f->step_d) ^ (int8_t)f->flip;
        mix(r, to);
        return;
    }
    memset(to, 0, 64);
    for (int64_t j = 0; j < columns; j++)
        for (int64_t k = 0; k < rows; k++) to[4 * j + k] = (int8_t)(f->b[(d + k) * f->step_d + j * f->step_n] ^ f->flip);
}

enum tsr_status tsr_qpack_init(struct tsr_qpack *p, int64_t taps, int64_t depth, int64_t n, const void *b, bool is_unsigned,
                               int64_t step_t, int64_t step_d, int64_t step_n, struct tsr_error *err)
{
    const struct tsr_qgemm_isa *isa = kernels();
    const int64_t padded = (depth + 3) / 4 * 4, panels = (n + TSR_QPANEL - 1) / TSR_QPANEL;
    *p = (struct tsr_qpack){.taps = taps, .depth = padded, .n = n, .isa = isa};
    p->bytes = (size_t)(panels * taps * padded) * TSR_QPANEL * (isa->unit == 2 ? 2 : 1);
    p->data = tsr_aligned(p->bytes + 64);
    p->sum = tsr_calloc((size_t)n, sizeof *p->sum);
    if (p->data == NULL || p->sum == NULL) {
        tsr_qpack_release(p);
        return tsr_nomem(err, p->bytes);
    }
    int8_t *to = p->data;
    for (int64_t j = 0; j < n; j += TSR_QPANEL) {
        const int64_t columns = n - j < TSR_QPANEL ? n - j : TSR_QPANEL;
        int32_t sum[TSR_QPANEL] = {0};
        for (int64_t t = 0; t < taps; t++) {
            const struct from f = {(const int8_t *)b + t * step_t + j * step_n, step_d, step_n, is_unsigned ? 0x80 : 0};
            for (int64_t d = 0; d < padded; d += 4) {
                int8_t four[64];
                take(&f, d, depth, columns, four);
                for (int i = 0; i < TSR_QPANEL; i++) sum[i] += four[4 * i] + four[4 * i + 1] + four[4 * i + 2] + four[4 * i + 3];
                if (isa->unit == 4) {
                    memcpy(to, four, sizeof four);
                    to += sizeof four;
                    continue;
                }
                for (int half = 0; half < 2; half++) /* pairs of 16 bits */
                    for (int i = 0; i < TSR_QPANEL; i++, to += 4) {
                        const int16_t pair[2] = {four[4 * i + 2 * half], four[4 * i + 2 * half + 1]};
                        memcpy(to, pair, sizeof pair);
                    }
            }
        }
        memcpy(p->sum + j, sum, (size_t)columns * sizeof *sum);
    }
    return TSR_OK;
}

void tsr_qpack_release(struct tsr_qpack *p)
{
    tsr_free(p->data);
    tsr_free(p->sum);
    p->data = NULL;
    p->sum = NULL;
}

/* ---- the end -------------------------------------------------------------------------------- */

static inline int32_t nearest(float v)
{
    int32_t bits;
    v += 0x1.8p23f;
    memcpy(&bits, &v, sizeof bits);
    return bits - 0x4b400000;
}

TSR_CLONES static void end_q8(int64_t n, const int32_t *sum, const int32_t *base, int32_t row, const float *factor, int32_t zero,
                              float lo, float hi, uint8_t *y)
{
    TSR_IVDEP for (int64_t j = 0; j < n; j++)
    {
        float v = (float)(int32_t)((uint32_t)sum[j] + (uint32_t)base[j] + (uint32_t)row) * factor[j];
        v = v > lo ? v : lo;
        v = v < hi ? v : hi;
        y[j] = (uint8_t)(nearest(v) + zero);
    }
}

TSR_CLONES static void end_f32(int64_t n, const int32_t *sum, const int32_t *base, int32_t row, const float *factor,
                               const float *bias, float *y)
{
    if (bias != NULL) {
        TSR_IVDEP for (int64_t j = 0; j < n; j++)
            y[j] = (float)(int32_t)((uint32_t)sum[j] + (uint32_t)base[j] + (uint32_t)row) * factor[j] + bias[j];
    } else {
        TSR_IVDEP for (int64_t j = 0; j < n; j++)
            y[j] = (float)(int32_t)((uint32_t)sum[j] + (uint32_t)base[j] + (uint32_t)row) * factor[j];
    }
}

void tsr_qend_row(const struct tsr_qend *end, int64_t i, int64_t n, const int32_t *sum)
{
    const int32_t row = end->row != NULL ? end->row[i] : 0;
    if (end->out == TSR_F32) {
        end_f32(n, sum, end->base, row, end->factor, end->bias, (float *)end->c + i * end->ldc);
    } else if (end->out == TSR_I32) {
        int32_t *y = (int32_t *)end->c + i * end->ldc;
        for (int64_t j = 0; j < n; j++) y[j] = (int32_t)((uint32_t)sum[j] + (uint32_t)end->base[j] + (uint32_t)row);
    } else {
        end_q8(n, sum, end->base, row, end->factor, end->zero, (float)(end->lo - end->zero), (float)(end->hi - end->zero),
               (uint8_t *)end->c + i * end->ldc);
    }
}

/* ---- products ------------------------------------------------------------------------------- */

static size_t size_of(enum tsr_dtype t) { return t == TSR_F32 || t == TSR_I32 ? 4 : 1; }

/* Panels that the next tile takes, of those that are left: no narrow one at the end where it can be helped. */
static int wide(int64_t left) { return left == 5 || left == 6 || left == 3 ? 3 : left >= 4 ? 4 : (int)left; }

void tsr_qgemm_block(const struct tsr_qpack *p, int64_t m, const uint8_t *const *at, const int64_t *offset,
                     const struct tsr_qend *end)
{
    const struct tsr_qgemm_isa *isa = p->isa;
    const int64_t panels = (p->n + TSR_QPANEL - 1) / TSR_QPANEL, panel = p->taps * p->depth * TSR_QPANEL * (isa->unit == 2 ? 2 : 1);
    int64_t step;
    int32_t base[TSR_QWIDE * TSR_QPANEL];
    for (int64_t q = 0; q < panels; q += step) {
        step = wide(panels - q);
        const int64_t j = q * TSR_QPANEL, columns = p->n - j < step * TSR_QPANEL ? p->n - j : step * TSR_QPANEL;
        const int64_t tall = isa->rows[step - 1], tiles = (m + tall - 1) / tall, each = m / tiles, more = m % tiles;
        struct tsr_qend e = *end;
        e.base += j;
        if (isa->signed_a) { /* what A - 128 lacks */
            for (int64_t c = 0; c < columns; c++) base[c] = (int32_t)((uint32_t)e.base[c] + 128u * (uint32_t)p->sum[j + c]);
            e.base = base;
        }
        if (e.factor != NULL) e.factor += j;
        if (e.bias != NULL) e.bias += j;
        for (int64_t t = 0, i = 0; t < tiles; t++) { /* of nearly equal height */
            const int64_t mr = each + (t < more);
            e.c = (char *)end->c + (size_t)(i * end->ldc + j) * size_of(end->out);
            if (end->row != NULL) e.row = end->row + i;
            isa->tile[step - 1][mr - 1](p->taps, p->depth, at + i, offset, (const char *)p->data + q * panel, panel, columns, &e);
            i += mr;
        }
    }
}

struct run {
    const struct tsr_qpack *p;
    const struct tsr_qend *end;
    const uint8_t *a;
    int64_t m, lda;
};

static void run_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct run *r = arg;
    const uint8_t *at[CHUNK];
    int64_t first = i * CHUNK, m = r->m - first < CHUNK ? r->m - first : CHUNK;
    for (int64_t k = 0; k < m; k++) at[k] = r->a + (first + k) * r->lda;
    struct tsr_qend e = *r->end;
    e.c = (char *)e.c + (size_t)(first * e.ldc) * size_of(e.out);
    if (e.row != NULL) e.row += first;
    tsr_qgemm_block(r->p, m, at, &(const int64_t){0}, &e);
}

void tsr_qgemm_run(const struct tsr_qpack *p, int64_t m, const uint8_t *a, int64_t lda, const struct tsr_qend *end,
                   struct tsr_pool *pool)
{
    struct run r = {p, end, a, m, lda};
    if (m > 0 && p->n > 0) tsr_pool_run(pool, (m + CHUNK - 1) / CHUNK, run_task, &r);
}

/* ---- depthwise ------------------------------------------------------------------------------ */

enum tsr_status tsr_qdepth_init(struct tsr_qdepth *d, int64_t taps, int64_t c, const int8_t *w, int64_t step_t, int64_t step_c,
                                struct tsr_error *err)
{
    const struct tsr_qgemm_isa *isa = kernels();
    size_t bytes = isa->depth != NULL ? isa->depth_bytes(taps, c) : 0;
    *d = (struct tsr_qdepth){.taps = taps, .c = c, .isa = isa};
    d->w = tsr_malloc((size_t)(taps * c), 1);
    d->sum = tsr_calloc((size_t)c, sizeof *d->sum);
    if (bytes > 0) d->data = tsr_aligned(bytes);
    if (d->w == NULL || d->sum == NULL || (bytes > 0 && d->data == NULL)) {
        tsr_qdepth_release(d);
        return tsr_nomem(err, (size_t)(taps * c) + bytes);
    }
    for (int64_t t = 0; t < taps; t++)
        for (int64_t j = 0; j < c; j++) {
            d->w[t * c + j] = w[t * step_t + j * step_c];
            d->sum[j] += d->w[t * c + j];
        }
    if (bytes > 0) isa->depth_pack(d);
    return TSR_OK;
}

void tsr_qdepth_release(struct tsr_qdepth *d)
{
    tsr_free(d->w);
    tsr_free(d->sum);
    tsr_free(d->data);
    d->w = NULL;
    d->sum = NULL;
    d->data = NULL;
}

TSR_CLONES static void add_tap(int64_t n, const uint8_t *x, const int8_t *w, int32_t *sum)
{
    TSR_IVDEP for (int64_t j = 0; j < n; j++) sum[j] += x[j] * w[j];
}

void tsr_qdepth_block(const struct tsr_qdepth *d, int64_t pixels, const uint8_t *const *at, const int64_t *offset,
                      const struct tsr_qend *end)
{
    enum { PIECE = 256 };
    if (d->data != NULL && (end->out == TSR_U8 || end->out == TSR_I8)) {
        d->isa->depth(d, pixels, at, offset, end);
        return;
    }
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t c = 0; c < d->c; c += PIECE) {
            int64_t n = d->c - c < PIECE ? d->c - c : PIECE;
            int32_t sum[PIECE];
            memset(sum, 0, sizeof sum);
            for (int64_t t = 0; t < d->taps; t++) add_tap(n, at[i] + offset[t] + c, d->w + t * d->c + c, sum);
            struct tsr_qend e = *end;
            e.row = NULL;
            e.base += c;
            if (e.factor != NULL) e.factor += c;
            if (e.bias != NULL) e.bias += c;
            e.c = (char *)e.c + (size_t)(i * e.ldc + c) * size_of(e.out);
            tsr_qend_row(&e, 0, n, sum);
        }
}
