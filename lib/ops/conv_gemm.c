/* conv_gemm.c - convolutions as matrix products: the input is gathered piece by piece, so that
 * every output position has a column, and multiplied by the weights. */
#include "ops/conv_impl.h"
#include "ops/conv_plane.h"
#include "base/clones.h"
#include "base/mem.h"
#include "tensor/blas.h"
#include "tensor/gemm.h"

#include <string.h>

/* Pieces of the gathered matrix that fit the first-level cache. */
enum {
    COLUMNS = 64, COLUMNS_LD = COLUMNS + 16, /* forward: of TSR_GEMM_KC rows */
    ROWS = 128,                              /* gradient of the input: of COLUMNS columns */
    BAND = 28, BAND_LD = TSR_GEMM_KC + 16,   /* gradient of the weights: rows of TSR_GEMM_KC columns */
    PIECE = TSR_GEMM_KC * COLUMNS_LD + 16    /* room for any of the three */
};

/* How one convolution is cut into blocks: by its sizes alone. */
struct conv {
    struct tsr_window w;
    int64_t groups, m, mg, cg, k;
    bool direct, f32;
    const void *x, *weight, *bias, *dy;
    void *y, *dx, *dw, *db;
    struct tsr_plane plane;
    int64_t images, batches; /* images a block; blocks of one group */
    int64_t splits;          /* tasks that share the columns of a block (forward) */
    int64_t parts;           /* partial sums of dW */
    void *part;              /* part by part, group by group, transposed */
    double *sums;            /* [parts, m] of dY, or NULL */
    char *scratch;           /* of all workers: planes, a piece, outputs, turned outputs */
    size_t each, planes_bytes, piece_bytes, out_bytes;
};

struct block {
    int64_t n0, n1, g;
    int64_t columns; /* of the gathered matrix */
};

static struct block block_of(const struct conv *v, int64_t batch, int64_t g)
{
    struct block k = {.n0 = batch * v->images, .g = g};
    k.n1 = k.n0 + v->images < v->w.n ? k.n0 + v->images : v->w.n;
    k.columns = (k.n1 - k.n0) * v->w.out_size;
    return k;
}

/* The input itself is the gathered matrix. */
static bool in_place(const struct conv *v, const struct block *k) { return v->direct && k->n1 - k->n0 == 1; }

/* Columns as runs of consecutive elements of the phases, at[r] before a tap's offset. */
struct runs {
    int64_t count, longest;
    int64_t at[TSR_GEMM_KC], n[TSR_GEMM_KC];
};

static void find_runs(const struct conv *v, int64_t j0, int64_t j1, struct runs *u)
{
    const struct tsr_window *w = &v->w;
    const int64_t *q = v->plane.q;
    int64_t row = j0 / w->out[2], ow = j0 % w->out[2], oh = row % w->out[1], od = row / w->out[1] % w->out[0];
    int64_t image = j0 / w->out_size;
    u->count = u->longest = 0;
    for (int64_t j = j0; j < j1; ow = 0) {
        int64_t n = w->out[2] - ow < j1 - j ? w->out[2] - ow : j1 - j;
        u->at[u->count] = image * v->cg * v->plane.all + (od * q[1] + oh) * q[2] + ow;
        u->n[u->count++] = n;
        if (n > u->longest) u->longest = n;
        j += n;
        if (++oh < w->out[1]) continue;
        oh = 0;
        if (++od == w->out[0]) od = 0, image++;
    }
}

/* C[m,n] = A B + beta C + bias of the row (NULL: none). */
static void product_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                        float beta, float *c, int64_t ldc, const float *bias)
{
    const struct tsr_gemm g = {.m = m, .n = n, .k = k, .alpha = 1, .beta = beta, .a = a, .b = b, .c = c, .lda = lda,
                               .ldb = ldb, .ldc = ldc, .bias_m = bias};
    tsr_gemm_run(&g, NULL);
}
static void product_f64(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b, int64_t ldb,
                        double beta, double *c, int64_t ldc, const double *bias)
{
    tsr_blas_dgemm(false, false, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
    for (int64_t i = 0; bias != NULL && i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] += bias[i];
}

static void transpose_f64(int64_t k, int64_t n, const double *from, int64_t fs, double *to, int64_t ts)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t p = 0; p < k; p++) to[p * ts + j] = from[j * fs + p];
}

#define REAL float
#define INT int32_t
#define R(name) name##_f32
#define GEMM tsr_sgemm
#define TRANSPOSE tsr_gemm_transpose
#include "ops/vec_real.h"
#include "ops/conv_plane_real.h"
#include "ops/conv_real.h"
#undef REAL
#undef INT
#undef R
#undef GEMM
#undef TRANSPOSE
#undef V16
#undef AT16
#undef FROM16
#undef LANES16
#define REAL double
#define INT int64_t
#define R(name) name##_f64
#define GEMM tsr_blas_dgemm
#define TRANSPOSE transpose_f64
#include "ops/vec_real.h"
#include "ops/conv_plane_real.h"
#include "ops/conv_real.h"

static enum tsr_status cut(struct tsr_op_ctx *ctx, const struct tsr_conv *from, struct conv *v)
{
    *v = (struct conv){.w = from->w, .groups = from->groups, .m = from->m, .mg = from->mg, .cg = from->cg, .k = from->k,
                       .direct = from->direct, .f32 = from->f32, .x = from->x, .weight = from->weight,
                       .bias = from->bias, .dy = from->dy, .y = from->y, .dx = from->dx, .dw = from->dw, .db = from->db};
    TSR_TRY(tsr_plane_init(ctx, &v->w, &v->plane));
    /* Small images that would leave vectors empty share a block, as long as their planes stay in
     * the second-level cache. */
    int64_t size = v->w.out_size, fit = 131072 / (v->cg * v->plane.all + 1) + 1;
    v->images = size < 32 || (size < 96 && (size + 15) / 16 * 16 * 8 > size * 9) ? 256 / size : 1;
    if (v->images > fit) v->images = fit;
    if (v->images > v->w.n) v->images = v->w.n;
    v->batches = (v->w.n + v->images - 1) / v->images;
    v->splits = v->batches * v->groups >= 16 ? 1 : (size + 1023) / 1024 < 16 ? (size + 1023) / 1024 : 16;
    v->parts = v->batches < 8 ? v->batches : 8;
    return TSR_OK;
}

static size_t round_up(int64_t elements, size_t size) { return ((size_t)elements * size + 63) & ~(size_t)63; }

/* Runs fn for n tasks and releases the plane. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct conv *v, int64_t n, void (*fn)(void *, int64_t, int))
{
    size_t size = v->f32 ? sizeof(float) : sizeof(double);
    bool gathers = !v->direct || v->images > 1;
    v->planes_bytes = gathers ? round_up(v->images * v->cg * v->plane.all, size) : 0;
    v->piece_bytes = gathers ? round_up(PIECE, size) : 0;
    v->out_bytes = v->images > 1 ? round_up(v->mg * v->images * v->w.out_size, size) : 0;
    v->each = v->planes_bytes + v->piece_bytes + v->out_bytes;
    if (v->part != NULL) v->each += round_up(TSR_GEMM_KC * ((v->mg + 15) / 16 * 16), size);
    size_t bytes = v->each * (size_t)tsr_pool_threads(ctx->pool);
    v->scratch = tsr_op_scratch(ctx, bytes);
    if (v->scratch != NULL) tsr_pool_run(ctx->pool, n, fn, v);
    enum tsr_status status = v->scratch != NULL ? TSR_OK : tsr_nomem(ctx->err, bytes);
    tsr_op_scratch_free(ctx, v->scratch, bytes);
    tsr_plane_release(ctx, &v->plane);
    return status;
}

/* A worker's memory. The planes are zero: their padding stays so. */
struct room {
    void *phase, *col, *out, *turned;
};

static struct room room_of(const struct conv *v, int worker)
{
    char *at = v->scratch + v->each * (size_t)worker, *col = at + v->planes_bytes, *out = col + v->piece_bytes;
    memset(at, 0, v->planes_bytes);
    return (struct room){at, col, out, out + v->out_bytes};
}

static void forward_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct room r = room_of(v, worker);
    struct block k = block_of(v, i / v->splits / v->groups, i / v->splits % v->groups);
    int64_t s = i % v->splits, j0 = k.columns * s / v->splits / 32 * 32, j1 = k.columns * (s + 1) / v->splits / 32 * 32;
    if (s + 1 == v->splits) j1 = k.columns;
    if (v->f32) forward_f32(v, &k, j0, j1, r.phase, r.col, r.out);
    else forward_f64(v, &k, j0, j1, r.phase, r.col, r.out);
}

enum tsr_status tsr_conv_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    if (tsr_winograd_fits(from)) return tsr_winograd_forward(ctx, from);
    TSR_TRY(cut(ctx, from, &v));
    return run(ctx, &v, v.batches * v.groups * v.splits, forward_task);
}

static void input_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct block k = block_of(v, i / v->groups, i % v->groups);
    struct room r = room_of(v, worker);
    if (v->f32) input_gradient_f32(v, &k, r.phase, r.col, r.out);
    else input_gradient_f64(v, &k, r.phase, r.col, r.out);
}

/* Where the stride is 1, dX is a convolution of dY with the flipped weights: no sums in memory, but
 * few rows where there are few channels. */
static enum tsr_status by_flipping(struct tsr_op_ctx *ctx, const struct tsr_conv *v)
{
    struct tsr_conv t = *v;
    size_t bytes = (size_t)(v->m * v->k) * (v->f32 ? sizeof(float) : sizeof(double));
    for (int d = 0; d < 3; d++) {
        t.w.in[d] = v->w.out[d], t.w.out[d] = v->w.in[d];
        t.w.pad[d] = (v->w.kernel[d] - 1) * v->w.dilation[d] - v->w.pad[d];
    }
    t.w.in_size = v->w.out_size, t.w.out_size = v->w.in_size;
    t.w.c = v->m, t.m = v->w.c, t.mg = v->cg, t.cg = v->mg, t.k = v->mg * v->w.kernel_size;
    t.x = v->dy, t.y = v->dx, t.bias = NULL;
    void *flipped = tsr_op_scratch(ctx, bytes);
    if (flipped == NULL) return tsr_nomem(ctx->err, bytes);
    if (v->f32) flip_f32(v, flipped);
    else flip_f64(v, flipped);
    t.weight = flipped;
    enum tsr_status status = tsr_conv_forward(ctx, &t);
    tsr_op_scratch_free(ctx, flipped, bytes);
    return status;
}

enum tsr_status tsr_conv_input_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    if (!from->direct && from->cg >= 12 && from->w.stride[0] == 1 && from->w.stride[1] == 1 && from->w.stride[2] == 1)
        return by_flipping(ctx, from);
    TSR_TRY(cut(ctx, from, &v));
    return run(ctx, &v, v.batches * v.groups, input_task);
}

static void weight_task(void *arg, int64_t i, int worker)
{
    const struct conv *v = arg;
    struct room r = room_of(v, worker);
    int64_t p = i / v->groups, at = i * v->mg * v->k;
    int64_t b0 = v->batches * p / v->parts, b1 = v->batches * (p + 1) / v->parts;
    for (int64_t b = b0; b < b1; b++) {
        struct block k = block_of(v, b, i % v->groups);
        double *sums = v->sums != NULL ? v->sums + i * v->mg : NULL;
        if (v->f32) weight_gradient_f32(v, &k, b > b0, (float *)v->part + at, r.phase, r.col, r.turned, r.out, sums);
        else weight_gradient_f64(v, &k, b > b0, (double *)v->part + at, r.phase, r.col, r.turned, r.out, sums);
    }
}

enum tsr_status tsr_conv_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *from)
{
    struct conv v;
    if (tsr_winograd_fits(from)) {
        if (from->db != NULL) tsr_conv_bias_gradient(ctx, ctx->gout[0], &ctx->gin[2]);
        return tsr_winograd_weight_gradient(ctx, from);
    }
    TSR_TRY(cut(ctx, from, &v));
    const size_t part = round_up(v.parts * v.m * v.k, v.f32 ? sizeof(float) : sizeof(double)), sums = (size_t)(v.parts * v.m) * sizeof(double);
    const size_t bytes = part + (v.db != NULL ? sums : 0);
    v.part = tsr_op_scratch(ctx, bytes);
    if (v.part == NULL) {
        tsr_plane_release(ctx, &v.plane);
        return tsr_nomem(ctx->err, bytes);
    }
    if (v.db != NULL) v.sums = memset((char *)v.part + part, 0, sums);
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
