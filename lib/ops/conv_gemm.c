/* conv_gemm.c - convolutions as matrix products: blocks of the input are gathered, so that every
 * output position has a column, and multiplied by the weights. */
#include "ops/conv_impl.h"
#include "ops/conv_plane.h"
#include "base/clones.h"
#include "base/mem.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"

#include <string.h>

/* How one convolution is cut into blocks: by its sizes alone. */
struct conv {
    struct tsr_window w;
    int64_t groups, m, mg, cg, k;
    bool direct, f32, dw_transposed;
    const void *x, *weight, *bias, *dy;
    void *y, *dx, *dw;
    int64_t block, blocks;   /* output positions a block and such blocks an image */
    int64_t images, batches; /* images a block (more than 1 only with one block an image); such batches */
    int64_t splits;          /* tasks that share the blocks of an image */
    int64_t parts;           /* partial sums of dW */
    void *part;              /* part by part, group by group */
    struct tsr_plane plane;
    int64_t ld;              /* row stride of a gathered block */
    char *scratch;           /* for each worker: the gathered block, planes, outputs */
    size_t each, col_bytes, phase_bytes;
};

struct block {
    int64_t n0, n1, g, j0, j1;
    int64_t columns; /* of the gathered matrix */
};

static void block_columns(const struct conv *v, struct block *k, int64_t j0)
{
    k->j0 = j0;
    k->j1 = j0 + v->block < v->w.out_size ? j0 + v->block : v->w.out_size;
    k->columns = (k->n1 - k->n0) * (k->j1 - k->j0);
}

static struct block block_of(const struct conv *v, int64_t batch, int64_t g, int64_t j)
{
    struct block k = {.n0 = batch * v->images, .g = g};
    k.n1 = k.n0 + v->images < v->w.n ? k.n0 + v->images : v->w.n;
    block_columns(v, &k, j * v->block);
    return k;
}

/* C[m,n] = A B + bias of the row, or 0. */
static void product_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                        int64_t ldc, const float *bias)
{
    const struct tsr_gemm g = {.m = m, .n = n, .k = k, .alpha = 1, .a = a, .b = b, .c = c, .lda = lda, .ldb = ldb,
                               .ldc = ldc, .bias_m = bias};
    tsr_gemm_run(&g, NULL);
}
static void product_f64(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b, int64_t ldb,
                        double *c, int64_t ldc, const double *bias)
{
    for (int64_t i = 0; bias != NULL && i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = bias[i];
    tsr_blas_dgemm(false, false, m, n, k, 1, a, lda, b, ldb, bias != NULL, c, ldc);
}

#define REAL float
#define INT int32_t
#define R(name) name##_f32
#define GEMM tsr_sgemm
#define GEMM_BIAS product_f32
#include "ops/conv_plane_real.h"
#include "ops/conv_real.h"
#undef REAL
#undef INT
#undef R
#undef GEMM
#undef GEMM_BIAS
#undef V16
#undef AT16
#undef FROM16
#define REAL double
#define INT int64_t
#define R(name) name##_f64
#define GEMM tsr_blas_dgemm
#define GEMM_BIAS product_f64
#include "ops/conv_plane_real.h"
#include "ops/conv_real.h"

static enum tsr_status cut(struct tsr_op_ctx *ctx, const struct tsr_conv *from, struct conv *v)
{
    *v = (struct conv){.w = from->w, .groups = from->groups, .m = from->m, .mg = from->mg, .cg = from->cg, .k = from->k,
                       .direct = from->direct, .f32 = from->f32, .x = from->x, .weight = from->weight,
                       .bias = from->bias, .dy = from->dy, .y = from->y, .dx = from->dx, .dw = from->dw};
    /* A gathered block stays in the second-level cache; small images share one. */
    int64_t size = v->w.out_size, most = 131072 / (v->k + 1) / 32 * 32;
    most = most < 64 ? 64 : most > 1024 ? 1024 : most;
    v->block = most < size ? most : size;
    v->blocks = (size + v->block - 1) / v->block;
    v->images = 1;
    if (size < 96) {
        v->images = (most < 384 ? most : 384) / size;
        if (v->images > v->w.n) v->images = v->w.n;
    }
    v->batches = (v->w.n + v->images - 1) / v->images;
    v->splits = v->batches * v->groups >= 16 ? 1 : v->blocks < 16 ? v->blocks : 16;
    v->parts = v->batches < 8 ? v->batches : 8;
    v->dw_transposed = v->k > v->mg;
    v->ld = (v->images * v->block + TSR_PLANE_SLACK + 15) / 16 * 16;
    return tsr_plane_init(ctx, &v->w, &v->plane);
}

static size_t round_up(int64_t elements, size_t size) { return ((size_t)elements * size + 63) & ~(size_t)63; }

/* Runs fn for n tasks, each worker with room for `planes` channels, and releases the plane. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct conv *v, int64_t planes, int64_t n,
                           void (*fn)(void *, int64_t, int))
{
    size_t size = v->f32 ? sizeof(float) : sizeof(double);
    bool gathers = !v->direct || v->images > 1;
    v->col_bytes = gathers ? round_up(v->k * v->ld + TSR_PLANE_SLACK, size) : 0;
    v->phase_bytes = gathers ? round_up(planes * v->plane.all, size) : 0;
    v->each = v->col_bytes + v->phase_bytes + (v->images > 1 ? round_up(v->mg * v->images * v->block, size) : 0);
    size_t bytes = v->each * (size_t)tsr_pool_threads(ctx->pool);
    v->scratch = tsr_op_scratch(ctx, bytes);
    if (v->scratch != NULL) tsr_pool_run(ctx->pool, n, fn, v);
    enum tsr_status status = v->scratch != NULL ? TSR_OK : tsr_nomem(ctx->err, bytes);
    tsr_op_scratch_free(ctx, v->scratch, bytes);
    tsr_plane_release(ctx, &v->plane);
    return status;
}

/* A worker's memory; the planes are zero. */
struct room {
    void *col, *phase, *out;
};

static struct room room_of(const struct conv *v, int worker)
{
    char *at = v->scratch + v->each * (size_t)worker;
    memset(at + v->col_bytes, 0, v->phase_bytes);
    return (struct room){at, at + v->col_bytes, at + v->col_bytes + v->phase_bytes};
}

static void forward_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct room r = room_of(v, worker);
    int64_t s = i % v->splits, j0 = v->blocks * s / v->splits, j1 = v->blocks * (s + 1) / v->splits;
    for (int64_t j = j0; j < j1; j++) {
        struct block k = block_of(v, i / v->splits / v->groups, i / v->splits % v->groups, j);
        if (v->f32) forward_block_f32(v, &k, r.col, r.phase, r.out);
        else forward_block_f64(v, &k, r.col, r.phase, r.out);
    }
}

enum tsr_status tsr_conv_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    TSR_TRY(cut(ctx, from, &v));
    return run(ctx, &v, 1, v.batches * v.groups * v.splits, forward_task);
}

static void input_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct block k = block_of(v, i / v->groups, i % v->groups, 0);
    struct room r = room_of(v, worker);
    if (v->f32) input_gradient_f32(v, &k, r.col, r.phase, r.out);
    else input_gradient_f64(v, &k, r.col, r.phase, r.out);
}

enum tsr_status tsr_conv_input_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    TSR_TRY(cut(ctx, from, &v));
    return run(ctx, &v, v.cg, v.batches * v.groups, input_task);
}

static void weight_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct room r = room_of(v, worker);
    int64_t p = i / v->groups, g = i % v->groups, at = i * v->mg * v->k;
    int64_t b0 = v->batches * p / v->parts, b1 = v->batches * (p + 1) / v->parts;
    for (int64_t b = b0; b < b1; b++)
        for (int64_t j = 0; j < v->blocks; j++) {
            struct block k = block_of(v, b, g, j);
            bool more = b > b0 || j > 0;
            if (v->f32) weight_gradient_f32(v, &k, more, (float *)v->part + at, r.col, r.phase, r.out);
            else weight_gradient_f64(v, &k, more, (double *)v->part + at, r.col, r.phase, r.out);
        }
}

enum tsr_status tsr_conv_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    TSR_TRY(cut(ctx, from, &v));
    size_t bytes = (size_t)(v.parts * v.m * v.k) * (v.f32 ? sizeof(float) : sizeof(double));
    v.part = tsr_op_scratch(ctx, bytes);
    if (v.part == NULL) {
        tsr_plane_release(ctx, &v.plane);
        return tsr_nomem(ctx->err, bytes);
    }
    enum tsr_status status = run(ctx, &v, 1, v.parts * v.groups, weight_task);
    if (status == TSR_OK && v.f32) sum_parts_f32(&v);
    else if (status == TSR_OK) sum_parts_f64(&v);
    tsr_op_scratch_free(ctx, v.part, bytes);
    return status;
}

struct bias {
    const struct tsr_tensor *dy;
    struct tsr_tensor *db;
    int64_t images, channels, size;
};

static void bias_task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct bias *b = arg;
    if (b->dy->dtype == TSR_F32) bias_gradient_f32(b->dy->data, b->images, b->channels, b->size, i, b->db->data);
    else bias_gradient_f64(b->dy->data, b->images, b->channels, b->size, i, b->db->data);
}

void tsr_conv_bias_gradient(struct tsr_op_ctx *ctx, const struct tsr_tensor *dy, struct tsr_tensor *db)
{
    struct bias b = {.dy = dy, .db = db, .images = dy->shape.dim[0], .channels = dy->shape.dim[1], .size = 1};
    for (int d = 2; d < dy->shape.rank; d++) b.size *= dy->shape.dim[d];
    tsr_pool_run(ctx->pool, b.channels, bias_task, &b);
}
