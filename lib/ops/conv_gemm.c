/* conv_gemm.c - convolutions as matrix products: blocks of the input are gathered, so that every
 * output position has a column, and multiplied by the weights. */
#include "ops/conv_impl.h"
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
    int64_t parts;           /* partial sums of dW */
    void *part;              /* part by part, group by group */
    char *scratch;           /* for each worker: the gathered block, then its outputs */
    size_t each, col_bytes;
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

#define REAL float
#define R(name) name##_f32
#define GEMM tsr_sgemm
#include "ops/conv_real.h"
#undef REAL
#undef R
#undef GEMM
#define REAL double
#define R(name) name##_f64
#define GEMM tsr_blas_dgemm
#include "ops/conv_real.h"
#undef REAL
#undef R
#undef GEMM

static void cut(const struct tsr_conv *from, struct conv *v)
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
    v->parts = v->batches < 8 ? v->batches : 8;
    v->dw_transposed = v->k > v->mg;
}

/* Runs fn for n tasks. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct conv *v, int64_t n, void (*fn)(void *, int64_t, int))
{
    size_t size = v->f32 ? sizeof(float) : sizeof(double), columns = (size_t)(v->images * v->block);
    bool gathers = !v->direct || v->images > 1;
    v->col_bytes = gathers ? ((size_t)v->k * columns * size + 63) & ~(size_t)63 : 0;
    v->each = v->col_bytes + (v->images > 1 ? ((size_t)v->mg * columns * size + 63) & ~(size_t)63 : 0);
    size_t bytes = v->each * (size_t)tsr_pool_threads(ctx->pool);
    v->scratch = tsr_op_scratch(ctx, bytes);
    if (v->scratch == NULL) return tsr_nomem(ctx->err, bytes);
    tsr_pool_run(ctx->pool, n, fn, v);
    tsr_op_scratch_free(ctx, v->scratch, bytes);
    return TSR_OK;
}

static void forward_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct block k = block_of(v, i / v->blocks / v->groups, i / v->blocks % v->groups, i % v->blocks);
    char *col = v->scratch + v->each * (size_t)worker;
    void *out = col + v->col_bytes;
    if (v->f32) forward_block_f32(v, &k, (float *)(void *)col, out);
    else forward_block_f64(v, &k, (double *)(void *)col, out);
}

enum tsr_status tsr_conv_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    cut(from, &v);
    return run(ctx, &v, v.batches * v.groups * v.blocks, forward_task);
}

static void input_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct block k = block_of(v, i / v->groups, i % v->groups, 0);
    char *col = v->scratch + v->each * (size_t)worker;
    void *out = col + v->col_bytes;
    if (v->f32) input_gradient_f32(v, &k, (float *)(void *)col, out);
    else input_gradient_f64(v, &k, (double *)(void *)col, out);
}

enum tsr_status tsr_conv_input_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    cut(from, &v);
    return run(ctx, &v, v.batches * v.groups, input_task);
}

static void weight_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    int64_t p = i / v->groups, g = i % v->groups, at = i * v->mg * v->k;
    int64_t b0 = v->batches * p / v->parts, b1 = v->batches * (p + 1) / v->parts;
    char *col = v->scratch + v->each * (size_t)worker;
    void *out = col + v->col_bytes;
    for (int64_t b = b0; b < b1; b++)
        for (int64_t j = 0; j < v->blocks; j++) {
            struct block k = block_of(v, b, g, j);
            bool more = b > b0 || j > 0;
            if (v->f32) weight_gradient_f32(v, &k, more, (float *)v->part + at, (float *)(void *)col, out);
            else weight_gradient_f64(v, &k, more, (double *)v->part + at, (double *)(void *)col, out);
        }
}

enum tsr_status tsr_conv_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    cut(from, &v);
    size_t bytes = (size_t)(v.parts * v.m * v.k) * (v.f32 ? sizeof(float) : sizeof(double));
    v.part = tsr_op_scratch(ctx, bytes);
    if (v.part == NULL) return tsr_nomem(ctx->err, bytes);
    enum tsr_status status = run(ctx, &v, v.parts * v.groups, weight_task);
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
