#include "ops/contract.h"
#include "base/mem.h"
#include "ops/bcast.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"

#include <string.h>

#define BIT(label) ((uint64_t)1 << (label))

/* A term and the scratch memory that it may stand in. */
struct held {
    struct tsr_term t;
    void *own;
    size_t bytes;
};

uint64_t tsr_term_labels(const struct tsr_term *t)
{
    uint64_t set = 0;
    for (int i = 0; i < t->rank; i++) set |= BIT(t->label[i]);
    return set;
}

int tsr_term_find(const struct tsr_term *t, uint8_t label)
{
    for (int i = 0; i < t->rank; i++)
        if (t->label[i] == label) return i;
    return -1;
}

static void let_go(struct tsr_op_ctx *ctx, struct held *h)
{
    tsr_op_scratch_free(ctx, h->own, h->bytes);
    memset(h, 0, sizeof *h);
}

/* A C-order term with the axes of `like` that `order` lists, in scratch memory. */
static enum tsr_status make(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, int rank, const uint8_t *label, const int64_t *dim,
                            struct held *out)
{
    int64_t count = 1;
    memset(out, 0, sizeof *out);
    out->t.rank = rank;
    for (int i = rank - 1; i >= 0; i--) {
        out->t.label[i] = label[i];
        out->t.dim[i] = dim[i];
        out->t.stride[i] = count;
        if (__builtin_mul_overflow(count, dim[i] > 0 ? dim[i] : 1, &count))
            return tsr_op_fail(ctx, TSR_E_LIMIT, "an intermediate product is too large");
    }
    if (count > INT64_MAX / 8) return tsr_op_fail(ctx, TSR_E_LIMIT, "an intermediate product is too large");
    out->bytes = tsr_dtype_bytes(dtype, count);
    out->own = out->t.data = tsr_op_scratch(ctx, out->bytes);
    return out->own ? TSR_OK : tsr_nomem(ctx->err, out->bytes);
}

/* The term with its axes in that order, side by side in memory: as it lies where it does, else copied. */
static enum tsr_status arrange(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, const struct tsr_term *t, int n,
                               const uint8_t *order, struct held *out)
{
    int64_t dim[TSR_COPY_RANK], stride[TSR_COPY_RANK], step = 1;
    bool lies = true;
    for (int i = n - 1; i >= 0; i--) {
        int at = tsr_term_find(t, order[i]);
        dim[i] = t->dim[at];
        stride[i] = t->stride[at];
        lies = lies && (dim[i] == 1 || stride[i] == step);
        step *= dim[i];
    }
    if (lies) {
        memset(out, 0, sizeof *out);
        out->t = *t;
        return TSR_OK;
    }
    TSR_TRY(make(ctx, dtype, n, order, dim, out));
    struct tsr_copy c = {.dtype = dtype, .rank = n, .dst = out->own, .src = t->data};
    memcpy(c.dim, dim, sizeof dim);
    memcpy(c.ss, stride, sizeof stride);
    memcpy(c.ds, out->t.stride, sizeof c.ds);
    tsr_copy_run(ctx->pool, &c);
    return TSR_OK;
}

static int64_t span(const struct tsr_term *t, uint64_t set)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        if (set & BIT(t->label[i])) n *= t->dim[i];
    return n;
}

/* The labels of t in the set, appended to order. */
static int collect(const struct tsr_term *t, uint64_t set, uint8_t *order, int n)
{
    for (int i = 0; i < t->rank; i++)
        if (set & BIT(t->label[i])) order[n++] = t->label[i];
    return n;
}

static enum tsr_status sum_rows(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, int64_t rows, int64_t n, const void *x, void *y)
{
    static const bool over[2] = {false, true};
    const struct tsr_shape s = {2, {rows, n}};
    if (tsr_dtype_is_float(dtype)) return tsr_sum_axes(ctx, dtype, &s, over, x, y);
    for (int64_t i = 0; i < rows; i++) {
        uint64_t sum = 0; /* wraps */
        for (int64_t j = 0; j < n; j++) sum += (uint64_t)tsr_load_i64(dtype, x, i * n + j);
        tsr_store_i64(dtype, y, i, (int64_t)sum);
    }
    return TSR_OK;
}

/* Replaces h by itself summed over the labels that are not in `keep`. */
static enum tsr_status sum_away(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, struct held *h, uint64_t keep)
{
    uint64_t have = tsr_term_labels(&h->t);
    if (!(have & ~keep)) return TSR_OK;
    uint8_t order[TSR_COPY_RANK];
    int64_t dim[TSR_COPY_RANK];
    int kept = collect(&h->t, keep, order, 0), all = collect(&h->t, ~keep, order, kept);
    struct held rows = {0}, sum = {0};
    for (int i = 0; i < kept; i++) dim[i] = h->t.dim[tsr_term_find(&h->t, order[i])];
    enum tsr_status status;
    TSR_GO(status, done, arrange(ctx, dtype, &h->t, all, order, &rows));
    TSR_GO(status, done, make(ctx, dtype, kept, order, dim, &sum));
    status = sum_rows(ctx, dtype, span(&h->t, keep), span(&h->t, ~keep), rows.t.data, sum.own);
done:
    let_go(ctx, &rows);
    if (status != TSR_OK) {
        let_go(ctx, &sum);
        return status;
    }
    let_go(ctx, h);
    *h = sum;
    return TSR_OK;
}

/* c[batch][m][n] = the sum over k of a[batch][m][k] b[batch][k][n]. */
static void multiply(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k,
                     const void *a, const void *b, void *c)
{
    if (dtype == TSR_F32) {
        const struct tsr_gemm g = {.m = m, .n = n, .k = k, .alpha = 1, .a = a, .b = b, .c = c, .lda = k, .ldb = n, .ldc = n,
                                   .batch = batch, .stride_a = m * k, .stride_b = k * n, .stride_c = m * n};
        tsr_gemm_run(&g, ctx->pool);
        return;
    }
    for (int64_t x = 0; x < batch; x++) {
        if (dtype == TSR_F64) {
            tsr_blas_dgemm(false, false, m, n, k, 1, (const double *)a + x * m * k, k, (const double *)b + x * k * n, n, 0,
                           (double *)c + x * m * n, n);
            continue;
        }
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                uint64_t sum = 0; /* wraps */
                for (int64_t p = 0; p < k; p++)
                    sum += (uint64_t)tsr_load_i64(dtype, a, (x * m + i) * k + p) *
                           (uint64_t)tsr_load_i64(dtype, b, (x * k + p) * n + j);
                tsr_store_i64(dtype, c, (x * m + i) * n + j, (int64_t)sum);
            }
    }
}

/* Replaces a by a * b with the labels that either has and `keep` names. */
static enum tsr_status product(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, struct held *a, struct held *b, uint64_t keep)
{
    TSR_TRY(sum_away(ctx, dtype, a, keep | tsr_term_labels(&b->t)));
    TSR_TRY(sum_away(ctx, dtype, b, keep | tsr_term_labels(&a->t)));
    const uint64_t la = tsr_term_labels(&a->t), lb = tsr_term_labels(&b->t);
    const uint64_t batch = la & lb & keep, inner = la & lb & ~keep, left = la & ~lb, right = lb & ~la;
    uint8_t order[2 * TSR_COPY_RANK];
    int64_t dim[2 * TSR_COPY_RANK];
    struct held pa = {0}, pb = {0}, c = {0};
    enum tsr_status status;
    int n = collect(&a->t, batch, order, 0), bn = n;
    n = collect(&a->t, inner, order, collect(&a->t, left, order, n));
    TSR_GO(status, done, arrange(ctx, dtype, &a->t, n, order, &pa));
    n = collect(&b->t, right, order, collect(&a->t, inner, order, bn));
    TSR_GO(status, done, arrange(ctx, dtype, &b->t, n, order, &pb));
    n = collect(&b->t, right, order, collect(&a->t, left, order, bn));
    if (n > TSR_COPY_RANK) {
        status = tsr_op_fail(ctx, TSR_E_UNSUPPORTED, "a product of two of the inputs has %d axes, and %d are the most", n,
                             TSR_COPY_RANK);
        goto done;
    }
    for (int i = 0; i < n; i++) {
        int at = tsr_term_find(&a->t, order[i]);
        dim[i] = at >= 0 ? a->t.dim[at] : b->t.dim[tsr_term_find(&b->t, order[i])];
    }
    TSR_GO(status, done, make(ctx, dtype, n, order, dim, &c));
    multiply(ctx, dtype, span(&a->t, batch), span(&a->t, left), span(&b->t, right), span(&a->t, inner), pa.t.data, pb.t.data,
             c.own);
done:
    let_go(ctx, &pa);
    let_go(ctx, &pb);
    if (status != TSR_OK) return status;
    let_go(ctx, a);
    *a = c;
    return TSR_OK;
}

enum tsr_status tsr_contract(struct tsr_op_ctx *ctx, enum tsr_dtype dtype, int n, const struct tsr_term *in,
                             const struct tsr_term *out)
{
    const uint64_t wanted = tsr_term_labels(out);
    struct held now = {.t = in[0]};
    enum tsr_status status = TSR_OK;
    for (int i = 1; i < n && status == TSR_OK; i++) {
        struct held next = {.t = in[i]};
        uint64_t keep = wanted;
        for (int j = i + 1; j < n; j++) keep |= tsr_term_labels(&in[j]);
        status = product(ctx, dtype, &now, &next, keep);
        let_go(ctx, &next);
    }
    if (status == TSR_OK) status = sum_away(ctx, dtype, &now, wanted);
    if (status != TSR_OK) goto done;
    struct tsr_copy c = {.dtype = dtype, .rank = out->rank, .dst = out->data, .src = now.t.data};
    for (int i = 0; i < out->rank; i++) {
        c.dim[i] = out->dim[i];
        c.ds[i] = out->stride[i];
        c.ss[i] = now.t.stride[tsr_term_find(&now.t, out->label[i])];
    }
    tsr_copy_run(ctx->pool, &c);
done:
    let_go(ctx, &now);
    return status;
}
