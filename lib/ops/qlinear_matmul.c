/* qlinear_matmul.c - products of 8-bit matrices: MatMulInteger, QLinearMatMul and, of com.microsoft,
 * QGemm, MatMulIntegerToFloat and DynamicQuantizeMatMul. Sums are exact modulo 2^32. B is packed for
 * tensor/qgemm.h where each operand has one zero point; the plain kernel takes the rest. */
#include "ops/batches.h"
#include "ops/families.h"
#include "ops/par.h"
#include "ops/qproduct.h"
#include "base/mem.h"
#include "tensor/isa.h"
#include "tensor/qgemm.h"

#include <inttypes.h>
#include <string.h>

/* Scales and zero points of one operand: a pair for all of it, for each row of A or column of B, or
 * for each of every matrix. */
struct side {
    float *scale;
    int32_t *zero;
    int64_t n, each; /* pairs; pairs a matrix: 1, or rows (columns) */
    bool many;       /* every matrix has its own */
};

static enum tsr_status side_read(struct tsr_op_ctx *ctx, int is, int iz, int64_t each, int64_t matrices, struct side *s)
{
    const struct tsr_tensor *scale = is >= 0 ? tsr_arg_in(ctx, is) : NULL, *zero = iz >= 0 ? tsr_arg_in(ctx, iz) : NULL;
    int64_t ns = scale != NULL ? tsr_tensor_count(scale) : 1, nz = zero != NULL ? tsr_tensor_count(zero) : 1;
    memset(s, 0, sizeof *s);
    s->n = ns > nz ? ns : nz;
    s->each = s->n == 1 ? 1 : each;
    s->many = s->n != s->each;
    if ((ns != 1 && ns != s->n) || (nz != 1 && nz != s->n) || (s->n != 1 && s->n != each && s->n != each * matrices))
        return tsr_op_fail(ctx, TSR_E_MISMATCH,
                           "%" PRId64 " scales and %" PRId64 " zero points for an operand of %" PRId64, ns, nz, each);
    if (scale != NULL) TSR_TRY(tsr_op_need(ctx, is, TSR_MASK_SCALE));
    if (zero != NULL) TSR_TRY(tsr_op_need(ctx, iz, TSR_MASK_Q8));
    s->scale = tsr_op_scratch(ctx, (size_t)s->n * 8);
    if (s->scale == NULL) return tsr_nomem(ctx->err, (size_t)s->n * 8);
    s->zero = (int32_t *)(void *)(s->scale + s->n);
    for (int64_t i = 0; i < s->n; i++) {
        s->scale[i] = scale != NULL ? (float)tsr_load_f64(scale->dtype, scale->data, ns > 1 ? i : 0) : 1;
        s->zero[i] = zero != NULL ? (int32_t)tsr_load_i64(zero->dtype, zero->data, nz > 1 ? i : 0) : 0;
    }
    return TSR_OK;
}

static void side_release(struct tsr_op_ctx *ctx, struct side *s)
{
    tsr_op_scratch_free(ctx, s->scale, (size_t)s->n * 8);
    s->scale = NULL;
}

/* A batch of products and what becomes of the sums: int32 (out is TSR_I32), 8 bits, or floats. */
struct product {
    struct tsr_batches s;
    bool ta, tb;
    enum tsr_dtype type_a, type_b, out;
    const void *a, *b;
    void *y;
    struct side sa, sb;
    const int32_t *add;         /* added to the sums: rows add_down apart, columns add_right; or NULL */
    int64_t add_down, add_right;
    const struct tsr_tensor *bias; /* added to floats, one for each column; or NULL */
    float alpha, y_scale;
    int32_t y_zero, lo, hi;
    /* of the product at hand */
    int64_t pa, pb, at;
    int16_t *wide_b;
    char *work;
    size_t each; /* bytes of work a worker */
};

enum { ROWS = 8 };

static void finish_row(const struct product *p, int64_t row, int32_t *sum, float *factor)
{
    const struct side *sa = &p->sa, *sb = &p->sb;
    int64_t n = p->s.n, at = (p->at * p->s.m + row) * n;
    float a = sa->scale[(sa->many ? p->pa * sa->each : 0) + (sa->each > 1 ? row : 0)];
    const float *b = sb->scale + (sb->many ? p->pb * sb->each : 0);
    for (int64_t j = 0; p->add != NULL && j < n; j++)
        sum[j] = (int32_t)((uint32_t)sum[j] + (uint32_t)p->add[row * p->add_down + j * p->add_right]);
    if (p->out == TSR_I32) {
        memcpy((int32_t *)p->y + at, sum, (size_t)n * sizeof *sum);
        return;
    }
    int step = sb->each > 1;
    for (int64_t j = 0; j < (step ? n : 1); j++) {
        factor[j] = p->alpha * a * b[j];
        if (p->out != TSR_F32) factor[j] /= p->y_scale;
    }
    if (p->out != TSR_F32) {
        tsr_q_requantise(p->out, p->y, at, n, sum, factor, step, p->y_zero, p->lo, p->hi);
        return;
    }
    float *y = (float *)p->y + at;
    for (int64_t j = 0; j < n; j++) {
        y[j] = (float)sum[j] * factor[j * step];
        if (p->bias != NULL) y[j] += ((const float *)p->bias->data)[j];
    }
}

static void rows_task(void *arg, int64_t i, int worker)
{
    const struct product *p = arg;
    const struct side *sa = &p->sa;
    int64_t m = p->s.m, n = p->s.n, k = p->s.k, last = (i + 1) * ROWS < m ? (i + 1) * ROWS : m;
    float *factor = (float *)(void *)(p->work + p->each * (size_t)worker);
    int32_t *sum = (int32_t *)(void *)(factor + n);
    int16_t *wide = (int16_t *)(void *)(sum + n);
    const int32_t *zero = sa->zero + (sa->many ? p->pa * sa->each : 0);
    for (int64_t r = i * ROWS; r < last; r++) {
        int64_t at = p->pa * m * k + (p->ta ? r : r * k);
        tsr_q_widen(p->type_a, p->a, at, p->ta ? m : 1, k, zero + (sa->each > 1 ? r : 0), 0, wide);
        memset(sum, 0, (size_t)n * sizeof *sum);
        tsr_q_product(1, n, k, wide, k, p->wide_b, n, sum, n);
        finish_row(p, r, sum, factor);
    }
}

static enum tsr_status product_run(struct tsr_op_ctx *ctx, struct product *p)
{
    int64_t m = p->s.m, n = p->s.n, k = p->s.k, had = -1;
    if (m * n * p->s.count == 0) return TSR_OK;
    p->each = ((size_t)n * 8 + (size_t)k * 2 + 63) & ~(size_t)63;
    size_t bytes = p->each * (size_t)tsr_pool_threads(ctx->pool), wide = (size_t)n * (size_t)k * sizeof *p->wide_b;
    p->work = tsr_op_scratch(ctx, bytes + wide);
    if (p->work == NULL) return tsr_nomem(ctx->err, bytes + wide);
    p->wide_b = (int16_t *)(void *)(p->work + bytes);
    for (p->at = 0; p->at < p->s.count; p->at++) {
        p->pa = tsr_batches_place(&p->s, p->s.step_a, p->at);
        p->pb = tsr_batches_place(&p->s, p->s.step_b, p->at);
        const int32_t *zero = p->sb.zero + (p->sb.many ? p->pb * p->sb.each : 0);
        for (int64_t q = 0; p->pb != had && q < k; q++)
            tsr_q_widen(p->type_b, p->b, p->pb * k * n + (p->tb ? q : q * n), p->tb ? k : 1, n, zero, p->sb.each > 1,
                        p->wide_b + q * n);
        had = p->pb;
        tsr_pool_run(ctx->pool, (m + ROWS - 1) / ROWS, rows_task, p);
    }
    tsr_op_scratch_free(ctx, p->work, bytes + wide);
    return TSR_OK;
}

/* ---- over packed weights -------------------------------------------------------------------- */

/* B of one product, and what its sums are given. */
struct packed {
    struct tsr_qpack b;
    int32_t zero_a, zero_b; /* of the bytes as they are packed */
    int32_t *base;          /* n */
    float *factor;          /* n, or NULL */
};

static void packed_free(void *arg)
{
    struct packed *q = arg;
    if (q == NULL) return;
    tsr_qpack_release(&q->b);
    tsr_free(q->base);
    tsr_free(q->factor);
    tsr_free(q);
}

/* One zero point an operand, nothing added but rows. */
static bool packs(const struct product *p)
{
    if (p->ta || p->sa.n != 1 || p->sb.many || (p->add != NULL && p->add_down != 0)) return false;
    for (int64_t j = 1; j < p->sb.n; j++)
        if (p->sb.zero[j] != p->sb.zero[0]) return false;
    return true;
}

/* For matrix pb of B. */
static enum tsr_status pack(struct tsr_op_ctx *ctx, const struct product *p, int64_t pb, struct packed **out)
{
    const int64_t n = p->s.n, k = p->s.k;
    const bool is_unsigned = p->type_b == TSR_U8;
    *out = NULL;
    struct packed *q = tsr_calloc(1, sizeof *q);
    if (q == NULL) return tsr_nomem(ctx->err, sizeof *q);
    q->zero_a = p->sa.zero[0] + (p->type_a == TSR_I8 ? 128 : 0);
    q->zero_b = p->sb.zero[0] - (is_unsigned ? 128 : 0);
    q->base = tsr_malloc((size_t)n, sizeof *q->base);
    if (p->out != TSR_I32) q->factor = tsr_malloc((size_t)n, sizeof *q->factor);
    enum tsr_status status = q->base == NULL || (p->out != TSR_I32 && q->factor == NULL) ? tsr_nomem(ctx->err, (size_t)n * 8) : TSR_OK;
    if (status == TSR_OK)
        status = tsr_qpack_init(&q->b, 1, k, n, (const char *)p->b + pb * k * n, is_unsigned, 0, p->tb ? 1 : n, p->tb ? k : 1, ctx->err);
    if (status != TSR_OK) {
        packed_free(q);
        return status;
    }
    for (int64_t j = 0; j < n; j++) {
        uint32_t base = (uint32_t)q->zero_a * ((uint32_t)k * (uint32_t)q->zero_b - (uint32_t)q->b.sum[j]);
        if (p->add != NULL) base += (uint32_t)p->add[j * p->add_right];
        q->base[j] = (int32_t)base;
        if (q->factor == NULL) continue;
        q->factor[j] = p->alpha * p->sa.scale[0] * p->sb.scale[p->sb.n > 1 ? j : 0];
        if (p->out != TSR_F32) q->factor[j] /= p->y_scale;
    }
    *out = q;
    return TSR_OK;
}

/* A as the kernels read it: unsigned, rows a multiple of 4 bytes apart. */
struct lifted {
    const uint8_t *from;
    uint8_t *to;
    int32_t *row; /* -zero_b times the sum of each row, or NULL */
    int64_t k, stride;
    uint8_t flip;
    int32_t zero_b;
};

TSR_CLONES static void lift_row(int64_t n, uint8_t flip, const uint8_t *x, uint8_t *y)
{
    TSR_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] ^ flip;
}

TSR_CLONES static uint32_t sum_row(int64_t n, uint8_t flip, const uint8_t *x)
{
    uint32_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (uint8_t)(x[i] ^ flip);
    return sum;
}

static void lift_rows(void *arg, int64_t from, int64_t to)
{
    const struct lifted *l = arg;
    for (int64_t r = from; r < to; r++) {
        if (l->to != NULL) {
            lift_row(l->k, l->flip, l->from + r * l->k, l->to + r * l->stride);
            memset(l->to + r * l->stride + l->k, 0, (size_t)(l->stride - l->k));
        }
        if (l->row != NULL) l->row[r] = (int32_t)(0 - (uint32_t)l->zero_b * sum_row(l->k, l->flip, l->from + r * l->k));
    }
}

/* m rows of A from `a` on times the packed B. */
static enum tsr_status multiply(struct tsr_op_ctx *ctx, const struct product *p, const struct packed *q, int64_t m, const void *a, void *y)
{
    const int64_t k = p->s.k, stride = (k + 3) / 4 * 4;
    struct lifted l = {.from = a, .k = k, .stride = stride, .flip = p->type_a == TSR_I8 ? 0x80 : 0, .zero_b = q->zero_b};
    const size_t copy = l.flip != 0 || stride != k ? ((size_t)(m * stride) + 63) & ~(size_t)63 : 0;
    const size_t bytes = copy + (q->zero_b != 0 ? (size_t)m * sizeof *l.row : 0);
    char *mem = NULL;
    if (bytes > 0) {
        mem = tsr_op_scratch(ctx, bytes);
        if (mem == NULL) return tsr_nomem(ctx->err, bytes);
        if (copy > 0) l.to = (uint8_t *)mem;
        if (q->zero_b != 0) l.row = (int32_t *)(void *)(mem + copy);
        tsr_par(ctx->pool, m, tsr_par_rows(k), lift_rows, &l);
    }
    const struct tsr_qend end = {.out = p->out, .base = q->base, .row = l.row, .factor = q->factor,
                                 .bias = p->bias != NULL ? p->bias->data : NULL, .zero = p->y_zero,
                                 .lo = p->lo, .hi = p->hi, .c = y, .ldc = p->s.n};
    tsr_qgemm_run(&q->b, m, copy > 0 ? l.to : (const uint8_t *)a, stride, &end, ctx->pool);
    if (mem != NULL) tsr_op_scratch_free(ctx, mem, bytes);
    return TSR_OK;
}

/* All products of the batch. Where they share B it is packed once; `keep` leaves it for the next run. */
static enum tsr_status packed_run(struct tsr_op_ctx *ctx, const struct product *p, bool keep)
{
    const int64_t m = p->s.m, n = p->s.n, size = p->out == TSR_F32 || p->out == TSR_I32 ? 4 : 1;
    int64_t ra, rb;
    if (m * n * p->s.count == 0) return TSR_OK;
    const bool shared = tsr_batches_regular(&p->s, p->s.step_a, &ra) && tsr_batches_regular(&p->s, p->s.step_b, &rb) && rb == 0 &&
                        (ra == 1 || p->s.count == 1);
    struct packed *q = keep && shared ? *ctx->state : NULL;
    enum tsr_status status = TSR_OK;
    if (shared) {
        bool own = q == NULL;
        if (own) TSR_TRY(pack(ctx, p, 0, &q));
        if (own && keep) {
            *ctx->state = q;
            *ctx->state_free = packed_free;
        }
        status = multiply(ctx, p, q, m * p->s.count, p->a, p->y);
        if (!keep) packed_free(q);
        return status;
    }
    for (int64_t x = 0, had = -1; x < p->s.count && status == TSR_OK; x++) {
        const int64_t pa = tsr_batches_place(&p->s, p->s.step_a, x), pb = tsr_batches_place(&p->s, p->s.step_b, x);
        if (pb != had) {
            packed_free(q);
            q = NULL;
            status = pack(ctx, p, pb, &q);
            if (status != TSR_OK) break;
        }
        had = pb;
        status = multiply(ctx, p, q, m, (const char *)p->a + pa * m * p->s.k, (char *)p->y + x * m * n * size);
    }
    packed_free(q);
    return status;
}

/* Whether all inputs but A (and what says its shape) never change. */
static bool constant_but(const struct tsr_op_ctx *ctx, int ia)
{
    for (int i = 0; i < ctx->node->n_in; i++)
        if (i != ia && (ctx->constant == NULL || (ctx->in[i] != NULL && !ctx->constant[i]))) return false;
    return true;
}

/* Operands in inputs ia and ib, their parameters, and the product. Everything else of *p is set. */
static enum tsr_status product_of(struct tsr_op_ctx *ctx, struct product *p, int ia, int isa, int iza, int ib, int isb,
                                  int izb)
{
    p->type_a = ctx->in[ia]->dtype, p->type_b = ctx->in[ib]->dtype;
    p->a = ctx->in[ia]->data, p->b = ctx->in[ib]->data, p->y = ctx->out[0].data;
    p->out = ctx->out[0].dtype;
    if (p->out == TSR_I8 || p->out == TSR_U8) tsr_q_bounds(ctx, p->out, &p->lo, &p->hi);
    enum tsr_status status = side_read(ctx, isa, iza, p->s.m, p->s.count_a, &p->sa);
    if (status == TSR_OK) status = side_read(ctx, isb, izb, p->s.n, p->s.count_b, &p->sb);
    if (status == TSR_OK) status = packs(p) ? packed_run(ctx, p, constant_but(ctx, ia)) : product_run(ctx, p);
    side_release(ctx, &p->sa);
    side_release(ctx, &p->sb);
    return status;
}

static enum tsr_status need_q8(struct tsr_op_ctx *ctx, int ia, int ib)
{
    TSR_TRY(tsr_op_need(ctx, ia, TSR_MASK_Q8));
    return tsr_op_need(ctx, ib, TSR_MASK_Q8);
}

/* ---- MatMulInteger -------------------------------------------------------------------------- */

static enum tsr_status integer_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_batches s;
    struct tsr_shape out;
    TSR_TRY(need_q8(ctx, 0, 1));
    TSR_TRY(tsr_batches_init(ctx, 0, 1, &s, &out));
    tsr_op_set(ctx, 0, TSR_I32, &out);
    return TSR_OK;
}

static enum tsr_status integer_forward(struct tsr_op_ctx *ctx)
{
    struct product p = {0};
    struct tsr_shape out;
    TSR_TRY(tsr_batches_init(ctx, 0, 1, &p.s, &out));
    return product_of(ctx, &p, 0, -1, 2, 1, -1, 3);
}

/* ---- QLinearMatMul; ours adds a row of int32, in units of the product of both scales --------- */

static enum tsr_status qlinear_infer(struct tsr_op_ctx *ctx)
{
    struct tsr_batches s;
    struct tsr_shape out;
    TSR_TRY(need_q8(ctx, 0, 3));
    TSR_TRY(tsr_op_need(ctx, 7, TSR_MASK_Q8));
    TSR_TRY(tsr_batches_init(ctx, 0, 3, &s, &out));
    if (tsr_arg_in(ctx, 8) != NULL) {
        TSR_TRY(tsr_op_need(ctx, 8, TSR_MASK(TSR_I32)));
        if (tsr_tensor_count(ctx->in[8]) != s.n)
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "%" PRId64 " biases for %" PRId64 " columns", tsr_tensor_count(ctx->in[8]), s.n);
    }
    tsr_op_set(ctx, 0, ctx->in[7]->dtype, &out);
    return TSR_OK;
}

static enum tsr_status qlinear_forward(struct tsr_op_ctx *ctx)
{
    struct product p = {.alpha = 1};
    struct tsr_shape out;
    struct tsr_qscalar y;
    TSR_TRY(tsr_batches_init(ctx, 0, 3, &p.s, &out));
    TSR_TRY(tsr_qscalar_read(ctx, 6, 7, &y));
    p.y_scale = y.scale, p.y_zero = y.zero;
    if (tsr_arg_in(ctx, 8) != NULL) p.add = ctx->in[8]->data, p.add_right = 1;
    return product_of(ctx, &p, 0, 1, 2, 3, 4, 5);
}

/* ---- QGemm ---------------------------------------------------------------------------------- */

/* The product of matrices that may be transposed. */
static enum tsr_status qgemm_shapes(struct tsr_op_ctx *ctx, struct product *p)
{
    char ta[TSR_SHAPE_TEXT], tb[TSR_SHAPE_TEXT];
    const struct tsr_shape *a = &ctx->in[0]->shape, *b = &ctx->in[3]->shape;
    p->ta = tsr_node_int(ctx->node, "transA", 0) != 0;
    p->tb = tsr_node_int(ctx->node, "transB", 0) != 0;
    p->alpha = tsr_node_float(ctx->node, "alpha", 1);
    if (a->rank != 2 || b->rank != 2 || a->dim[p->ta ? 0 : 1] != b->dim[p->tb ? 1 : 0])
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "A %s%s and B %s%s do not fit together", tsr_shape_text(a, ta, sizeof ta),
                           p->ta ? " transposed" : "", tsr_shape_text(b, tb, sizeof tb), p->tb ? " transposed" : "");
    p->s = (struct tsr_batches){.m = a->dim[p->ta ? 1 : 0], .k = a->dim[p->ta ? 0 : 1], .n = b->dim[p->tb ? 0 : 1],
                                .count = 1, .count_a = 1, .count_b = 1};
    return TSR_OK;
}

static enum tsr_status qgemm_infer(struct tsr_op_ctx *ctx)
{
    struct product p = {0};
    TSR_TRY(need_q8(ctx, 0, 3));
    TSR_TRY(qgemm_shapes(ctx, &p));
    struct tsr_shape out = {.rank = 2, .dim = {p.s.m, p.s.n}}, both;
    if (tsr_arg_in(ctx, 6) != NULL) {
        TSR_TRY(tsr_op_need(ctx, 6, TSR_MASK(TSR_I32)));
        if (!tsr_shape_broadcast(&ctx->in[6]->shape, &out, &both) || !tsr_shape_equal(&both, &out))
            return tsr_op_fail(ctx, TSR_E_MISMATCH, "C does not broadcast to the product");
    }
    if (tsr_arg_in(ctx, 8) != NULL) TSR_TRY(tsr_op_need(ctx, 8, TSR_MASK_Q8));
    bool quantised = tsr_arg_in(ctx, 7) != NULL;
    tsr_op_set(ctx, 0, !quantised ? TSR_F32 : tsr_arg_in(ctx, 8) != NULL ? ctx->in[8]->dtype : ctx->in[0]->dtype, &out);
    return TSR_OK;
}

static enum tsr_status qgemm_forward(struct tsr_op_ctx *ctx)
{
    struct product p = {0};
    TSR_TRY(qgemm_shapes(ctx, &p));
    const struct tsr_tensor *c = tsr_arg_in(ctx, 6);
    if (c != NULL) {
        const struct tsr_shape *s = &c->shape;
        int64_t columns = s->rank > 0 ? s->dim[s->rank - 1] : 1, rows = s->rank > 1 ? s->dim[s->rank - 2] : 1;
        p.add = c->data;
        p.add_right = columns == 1 ? 0 : 1;
        p.add_down = rows == 1 ? 0 : columns;
    }
    if (tsr_arg_in(ctx, 7) != NULL) {
        struct tsr_qscalar y;
        TSR_TRY(tsr_qscalar_read(ctx, 7, 8, &y));
        p.y_scale = y.scale, p.y_zero = y.zero;
    }
    return product_of(ctx, &p, 0, 1, 2, 3, 4, 5);
}

/* ---- MatMulIntegerToFloat and DynamicQuantizeMatMul ----------------------------------------- */

static enum tsr_status to_float_shapes(struct tsr_op_ctx *ctx, int bias, struct product *p, struct tsr_shape *out)
{
    TSR_TRY(tsr_batches_init(ctx, 0, 1, &p->s, out));
    p->alpha = 1;
    p->bias = tsr_arg_in(ctx, bias);
    if (p->bias == NULL) return TSR_OK;
    TSR_TRY(tsr_op_need(ctx, bias, TSR_MASK(TSR_F32)));
    if (tsr_tensor_count(p->bias) != p->s.n)
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%" PRId64 " biases for %" PRId64 " columns", tsr_tensor_count(p->bias), p->s.n);
    return TSR_OK;
}

static enum tsr_status to_float_infer(struct tsr_op_ctx *ctx)
{
    struct product p = {0};
    struct tsr_shape out;
    TSR_TRY(need_q8(ctx, 0, 1));
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK_SCALE));
    TSR_TRY(tsr_op_need(ctx, 3, TSR_MASK_SCALE));
    TSR_TRY(to_float_shapes(ctx, 6, &p, &out));
    tsr_op_set(ctx, 0, TSR_F32, &out);
    return TSR_OK;
}

static enum tsr_status to_float_forward(struct tsr_op_ctx *ctx)
{
    struct product p = {0};
    struct tsr_shape out;
    TSR_TRY(to_float_shapes(ctx, 6, &p, &out));
    return product_of(ctx, &p, 0, 2, 4, 1, 3, 5);
}

static enum tsr_status dynamic_infer(struct tsr_op_ctx *ctx)
{
    struct product p = {0};
    struct tsr_shape out;
    TSR_TRY(tsr_op_need(ctx, 0, TSR_MASK(TSR_F32)));
    TSR_TRY(tsr_op_need(ctx, 1, TSR_MASK_Q8));
    TSR_TRY(tsr_op_need(ctx, 2, TSR_MASK_SCALE));
    TSR_TRY(to_float_shapes(ctx, 4, &p, &out));
    tsr_op_set(ctx, 0, TSR_F32, &out);
    return TSR_OK;
}

/* A becomes uint8 with the scale of its own range, as DynamicQuantizeLinear does. */
static enum tsr_status dynamic_forward(struct tsr_op_ctx *ctx)
{
    struct product p = {0};
    struct tsr_shape out;
    struct tsr_qscalar q;
    TSR_TRY(to_float_shapes(ctx, 4, &p, &out));
    int64_t n = tsr_tensor_count(ctx->in[0]);
    uint8_t *a = tsr_op_scratch(ctx, (size_t)n);
    if (a == NULL) return tsr_nomem(ctx->err, (size_t)n);
    tsr_q_dynamic(n, ctx->in[0]->data, &q);
    tsr_q_quantise(TSR_U8, a, 0, n, ctx->in[0]->data, &q.scale, &q.zero, 0, TSR_F32);
    p.type_a = TSR_U8, p.type_b = ctx->in[1]->dtype, p.out = TSR_F32;
    p.a = a, p.b = ctx->in[1]->data, p.y = ctx->out[0].data;
    p.sa = (struct side){.scale = &q.scale, .zero = &q.zero, .n = 1, .each = 1};
    enum tsr_status status = side_read(ctx, 2, 3, p.s.n, p.s.count_b, &p.sb);
    if (status == TSR_OK) status = packs(&p) ? packed_run(ctx, &p, false) : product_run(ctx, &p);
    side_release(ctx, &p.sb);
    tsr_op_scratch_free(ctx, a, (size_t)n);
    return status;
}

const struct tsr_op tsr_ops_qlinear_matmul[] = {
    {"DynamicQuantizeMatMul", "com.microsoft", 0, 3, 5, 1, dynamic_infer, dynamic_forward, NULL, 0},
    {"MatMulInteger", "", 0, 2, 4, 1, integer_infer, integer_forward, NULL, 0},
    {"MatMulIntegerToFloat", "com.microsoft", 0, 4, 7, 1, to_float_infer, to_float_forward, NULL, 0},
    {"QGemm", "com.microsoft", 0, 6, 9, 1, qgemm_infer, qgemm_forward, NULL, 0},
    {"QLinearMatMul", "", 0, 8, 8, 1, qlinear_infer, qlinear_forward, NULL, 0},
    {"QLinearMatMul", "com.microsoft", 0, 8, 8, 1, qlinear_infer, qlinear_forward, NULL, 0},
    {"QLinearMatMul", "tessera", 0, 9, 9, 1, qlinear_infer, qlinear_forward, NULL, 0},
};
const size_t tsr_n_ops_qlinear_matmul = sizeof tsr_ops_qlinear_matmul / sizeof *tsr_ops_qlinear_matmul;
