#include "ops/bcast.h"
#include "base/mem.h"
#include "ops/par.h"
#include "tensor/isa.h"
#include "tensor/vmath.h"

#include <string.h>

void tsr_bcast_init(struct tsr_bcast *b, const struct tsr_shape *out, int n_in, const struct tsr_shape *const *in)
{
    int64_t full[TSR_BCAST_MAX][TSR_MAX_RANK] = {{0}};
    for (int k = 0; k < n_in; k++) {
        int64_t s = 1;
        for (int i = out->rank - 1, j = in[k]->rank - 1; j >= 0; i--, j--) {
            full[k][i] = in[k]->dim[j] == 1 ? 0 : s;
            s *= in[k]->dim[j];
        }
    }
    *b = (struct tsr_bcast){.n_in = n_in};
    for (int i = 0; i < out->rank; i++) {
        if (out->dim[i] == 1) continue;
        int at = b->rank - 1;
        bool merge = at >= 0; /* the outer dimension continues the inner one in every input */
        for (int k = 0; k < n_in && merge; k++) merge = b->stride[k][at] == full[k][i] * out->dim[i];
        if (merge) b->dim[at] *= out->dim[i];
        else b->dim[++at] = out->dim[i];
        b->rank = at + 1;
        for (int k = 0; k < n_in; k++) b->stride[k][at] = full[k][i];
    }
    if (b->rank == 0) { /* one element */
        b->rank = 1;
        b->dim[0] = 1;
    }
}

struct run {
    const struct tsr_bcast *b;
    tsr_bcast_fn *fn;
    void *arg;
};

/* A range of outputs of a single run. */
static void run_flat(void *arg, int64_t from, int64_t to)
{
    const struct run *r = arg;
    int64_t at[TSR_BCAST_MAX], step[TSR_BCAST_MAX];
    for (int k = 0; k < r->b->n_in; k++) {
        step[k] = r->b->stride[k][0];
        at[k] = from * step[k];
    }
    r->fn(r->arg, to - from, from, at, step);
}

/* A range of runs. */
static void run_rows(void *arg, int64_t from, int64_t to)
{
    const struct run *r = arg;
    const struct tsr_bcast *b = r->b;
    int64_t index[TSR_MAX_RANK], at[TSR_BCAST_MAX] = {0}, step[TSR_BCAST_MAX], rest = from;
    int last = b->rank - 1;
    for (int i = last - 1; i >= 0; i--) {
        index[i] = rest % b->dim[i];
        rest /= b->dim[i];
    }
    for (int k = 0; k < b->n_in; k++) {
        step[k] = b->stride[k][last];
        for (int i = 0; i < last; i++) at[k] += index[i] * b->stride[k][i];
    }
    for (int64_t row = from; row < to; row++) {
        r->fn(r->arg, b->dim[last], row * b->dim[last], at, step);
        for (int i = last - 1; i >= 0; i--) {
            index[i]++;
            for (int k = 0; k < b->n_in; k++) at[k] += b->stride[k][i];
            if (index[i] < b->dim[i]) break;
            for (int k = 0; k < b->n_in; k++) at[k] -= b->dim[i] * b->stride[k][i];
            index[i] = 0;
        }
    }
}

void tsr_bcast_run(struct tsr_pool *pool, const struct tsr_bcast *b, tsr_bcast_fn *fn, void *arg)
{
    struct run r = {b, fn, arg};
    int64_t rows = 1;
    for (int i = 0; i < b->rank; i++)
        if (b->dim[i] == 0) return;
    for (int i = 0; i < b->rank - 1; i++) rows *= b->dim[i];
    if (rows == 1) tsr_par(pool, b->dim[b->rank - 1], 32768, run_flat, &r);
    else tsr_par(pool, rows, tsr_par_rows(b->dim[b->rank - 1]), run_rows, &r);
}

/* ---- sums ---- */

/* The source as nested loops: outer kept ones, reduced ones, and the innermost run. */
struct sum {
    enum tsr_dtype dtype;
    int n_keep, n_red;
    int64_t keep[TSR_MAX_RANK], keep_stride[TSR_MAX_RANK];
    int64_t red[TSR_MAX_RANK], red_stride[TSR_MAX_RANK];
    int64_t rows;  /* the product of red[] */
    int64_t inner; /* elements of the innermost run */
    bool columns;  /* the innermost run is kept: sum columns; else it is summed as a whole */
    const char *src;
    char *dst;
    double *acc; /* columns: `inner` sums */
    int64_t base; /* columns: the element at which the kept loops stand */
};

enum { ROWS = 8 };

/* acc[j] += sum of the rows[k][j], in pairs. */
TSR_CLONES static void add_rows_f32(int64_t n, const float *const *r, double *acc)
{
    const float *a = r[0], *b = r[1], *c = r[2], *d = r[3], *e = r[4], *f = r[5], *g = r[6], *h = r[7];
    TSR_IVDEP for (int64_t j = 0; j < n; j++)
        acc[j] += (double)(((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j])));
}
TSR_CLONES static void add_row_f32(int64_t n, const float *r, double *acc)
{
    TSR_IVDEP for (int64_t j = 0; j < n; j++) acc[j] += (double)r[j];
}
TSR_CLONES static void add_row_f64(int64_t n, const double *r, double *acc)
{
    TSR_IVDEP for (int64_t j = 0; j < n; j++) acc[j] += r[j];
}
TSR_CLONES static void narrow(int64_t n, const double *acc, float *dst)
{
    for (int64_t j = 0; j < n; j++) dst[j] = (float)acc[j];
}

/* Contiguous rows of n, one sum each. */
TSR_CLONES static void sum_rows_f32(int64_t rows, int64_t n, const float *x, float *y)
{
    for (int64_t r = 0; r < rows; r++, x += n) {
        double lane[8] = {0};
        int64_t i = 0;
        for (; i + 8 <= n; i += 8)
            for (int j = 0; j < 8; j++) lane[j] += (double)x[i + j];
        for (int j = 0; i < n; i++, j++) lane[j] += (double)x[i];
        y[r] = (float)(((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7])));
    }
}

static double sum_run(enum tsr_dtype t, int64_t n, const void *src)
{
    if (t == TSR_F32) return tsr_vsum(n, src);
    double lane[4] = {0};
    const double *x = src;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++) lane[j] += x[i + j];
    for (; i < n; i++) lane[0] += x[i];
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* Steps an odometer; returns the change of the element offset. */
static int64_t advance(int n, const int64_t *dim, const int64_t *stride, int64_t *index)
{
    int64_t change = 0;
    for (int i = n - 1; i >= 0; i--) {
        change += stride[i];
        if (++index[i] < dim[i]) return change;
        change -= stride[i] * dim[i];
        index[i] = 0;
    }
    return change;
}

static int64_t keep_offset(const struct sum *s, int64_t k)
{
    int64_t at = 0;
    for (int i = s->n_keep - 1; i >= 0; i--) {
        at += k % s->keep[i] * s->keep_stride[i];
        k /= s->keep[i];
    }
    return at;
}

/* Outputs [from, to), each the sum of runs. */
static void sum_runs(void *arg, int64_t from, int64_t to)
{
    const struct sum *s = arg;
    size_t size = s->dtype == TSR_F32 ? sizeof(float) : sizeof(double);
    if (s->dtype == TSR_F32 && s->rows == 1 && s->inner < 256) { /* nothing lies between the runs */
        const float *x = (const float *)(const void *)s->src;
        sum_rows_f32(to - from, s->inner, x + from * s->inner, (float *)(void *)s->dst + from);
        return;
    }
    for (int64_t k = from; k < to; k++) {
        int64_t index[TSR_MAX_RANK] = {0}, at = keep_offset(s, k);
        double v = 0;
        for (int64_t r = 0; r < s->rows; r++) {
            v += sum_run(s->dtype, s->inner, s->src + (size_t)at * size);
            at += advance(s->n_red, s->red, s->red_stride, index);
        }
        if (s->dtype == TSR_F32) ((float *)(void *)s->dst)[k] = (float)v;
        else ((double *)(void *)s->dst)[k] = v;
    }
}

/* Columns [from, to) of one kept position. */
static void sum_columns(void *arg, int64_t from, int64_t to)
{
    const struct sum *s = arg;
    int64_t index[TSR_MAX_RANK] = {0}, at = s->base + from, n = to - from;
    double *acc = s->acc + from;
    memset(acc, 0, (size_t)n * sizeof *acc);
    if (s->dtype == TSR_F64) {
        for (int64_t r = 0; r < s->rows; r++) {
            add_row_f64(n, (const double *)(const void *)s->src + at, acc);
            at += advance(s->n_red, s->red, s->red_stride, index);
        }
        return;
    }
    const float *rows[ROWS];
    int held = 0;
    for (int64_t r = 0; r < s->rows; r++) {
        rows[held++] = (const float *)(const void *)s->src + at;
        at += advance(s->n_red, s->red, s->red_stride, index);
        if (held == ROWS) add_rows_f32(n, rows, acc), held = 0;
    }
    for (int i = 0; i < held; i++) add_row_f32(n, rows[i], acc);
}

enum tsr_status tsr_sum_axes(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, const struct tsr_shape *shape,
                             const bool *over, const void *src, void *dst)
{
    struct sum s = {.dtype = dtype, .rows = 1, .inner = 1, .src = src, .dst = dst};
    int64_t stride[TSR_MAX_RANK], kept = 1, group[TSR_MAX_RANK], group_stride[TSR_MAX_RANK];
    bool red[TSR_MAX_RANK];
    int n = 0;
    if (dtype != TSR_F32 && dtype != TSR_F64)
        return tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "elements of type %s cannot be summed for a gradient", tsr_dtype_name(dtype));
    tsr_arg_strides(shape, stride);
    for (int i = 0; i < shape->rank; i++) { /* merge neighbours of the same kind */
        if (shape->dim[i] == 1) continue;
        if (!over[i]) kept *= shape->dim[i];
        if (n > 0 && red[n - 1] == over[i]) {
            group[n - 1] *= shape->dim[i];
            group_stride[n - 1] = stride[i];
        } else {
            group[n] = shape->dim[i];
            red[n] = over[i];
            group_stride[n++] = stride[i];
        }
    }
    size_t size = tsr_dtype_bytes(dtype, 1);
    if (kept == 0) return TSR_OK;
    if (tsr_shape_count(shape) == 0) {
        memset(dst, 0, (size_t)kept * size);
        return TSR_OK;
    }
    if (n > 0) {
        s.inner = group[--n];
        s.columns = !red[n];
    }
    for (int i = 0; i < n; i++) {
        if (red[i]) {
            s.red[s.n_red] = group[i];
            s.red_stride[s.n_red++] = group_stride[i];
            s.rows *= group[i];
        } else {
            s.keep[s.n_keep] = group[i];
            s.keep_stride[s.n_keep++] = group_stride[i];
        }
    }
    if (!s.columns) {
        tsr_par(ctx->pool, kept, tsr_par_rows(s.rows * s.inner), sum_runs, &s);
        return TSR_OK;
    }
    size_t bytes = (size_t)s.inner * sizeof(double);
    s.acc = tsr_op_scratch(ctx, bytes);
    if (!s.acc) return tsr_nomem(ctx->err, bytes);
    for (int64_t k = 0; k < kept / s.inner; k++) {
        s.base = keep_offset(&s, k);
        tsr_par(s.rows * s.inner > 32768 ? ctx->pool : NULL, s.inner, 256, sum_columns, &s);
        if (dtype == TSR_F32) narrow(s.inner, s.acc, (float *)dst + k * s.inner);
        else memcpy((double *)dst + k * s.inner, s.acc, bytes);
    }
    tsr_op_scratch_free(ctx, s.acc, bytes);
    return TSR_OK;
}

enum tsr_status tsr_sum_to(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, const struct tsr_shape *shape, const void *src,
                           const struct tsr_shape *to, void *dst)
{
    bool over[TSR_MAX_RANK] = {false}, any = false;
    for (int i = 0; i < shape->rank; i++) {
        int j = to->rank - shape->rank + i;
        over[i] = shape->dim[i] != 1 && (j < 0 || to->dim[j] == 1);
        any |= over[i];
    }
    if (any) return tsr_sum_axes(ctx, dtype, shape, over, src, dst);
    size_t bytes = tsr_dtype_bytes(dtype, tsr_shape_count(shape));
    if (src != dst && bytes) memcpy(dst, src, bytes);
    return TSR_OK;
}
