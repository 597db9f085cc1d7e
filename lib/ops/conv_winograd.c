/* conv_winograd.c - convolutions of three taps along one dimension with half the multiplications: four outputs from six
 * inputs, F(4,3) of Lavin and Gray 2016, "Fast algorithms for convolutional neural networks" (points 0, 1, -1, 2, -2 and
 * infinity), with channels as the summed dimension of six products:
 *
 *     Y = A' [(G g) o (B' x)]        and, as its adjoint,        dg = G' [(A dY) o (B' x)]
 *
 * Channels are turned to the inside first, so that every step works on whole vectors and a dilation only chooses rows.
 * The rounding errors are about four times those of plain sums. */
#include "base/clones.h"
#include "base/mem.h"
#include "ops/conv_impl.h"
#include "tensor/panels.h"

#include <string.h>

#define REAL float
#define R(name) name##_f32
#include "ops/vec_real.h"

enum { POINTS = 6, TILE = 4, TAPS = 3, BLOCK = 256, PARTS = 8 };

struct winograd {
    const struct tsr_conv *v;
    int64_t steps, tiles;          /* tiles of one remainder modulo the dilation, and of an image */
    int64_t images, blocks, parts; /* images of a block; blocks; partial sums of dW */
    int64_t lc, lm, ly;            /* channels in and out, and positions, rounded up to whole vectors */
    int32_t *reads, *writes;       /* [tiles, POINTS] of X and [tiles, TILE] of Y: where their rows are in `turned` */
    struct tsr_panels weight[POINTS];
    float *bias;                   /* [lm] */
    float *sums;                   /* [parts, POINTS, c, m] */
    char *scratch;
    size_t each;
};

/* A worker's memory. */
struct room {
    float *turned;   /* [positions, 16] of an image */
    float *back;     /* [16, positions] */
    float *in, *out; /* [POINTS, tiles of a block, channels] */
};

static int64_t whole(int64_t n) { return (n + 15) / 16 * 16; }

static bool on_one_axis(const struct tsr_window *w)
{
    return w->in[0] == 1 && w->in[1] == 1 && w->out[0] == 1 && w->out[1] == 1 && w->kernel[0] == 1 && w->kernel[1] == 1 &&
           w->kernel[2] == TAPS && w->stride[2] == 1;
}

static void cut(const struct tsr_conv *v, struct winograd *g)
{
    const int64_t d = v->w.dilation[2];
    *g = (struct winograd){.v = v, .lc = whole(v->w.c), .lm = whole(v->m), .ly = whole(v->w.out[2])};
    g->steps = ((v->w.out[2] + d - 1) / d + TILE - 1) / TILE;
    g->tiles = g->steps * d;
    g->images = BLOCK / g->tiles > 1 ? BLOCK / g->tiles : 1;
    if (g->images > v->w.n) g->images = v->w.n;
    g->blocks = (v->w.n + g->images - 1) / g->images;
    g->parts = g->blocks < PARTS ? g->blocks : PARTS;
}

bool tsr_winograd_fits(const struct tsr_conv *v)
{
    struct winograd g;
    if (!v->f32 || v->groups != 1 || v->w.c < 32 || v->m < 32 || !on_one_axis(&v->w) || v->w.dilation[2] > v->w.out[2]) return false;
    cut(v, &g);
    return g.tiles * TILE * 4 <= v->w.out[2] * 5 && g.tiles <= 4 * BLOCK;
}

/* ---- transforms ------------------------------------------------------------------------------ */

/* Sixteen channels of an image lie in `turned`, a row for each position and a last one beside the image; `at` has the
 * rows of every tile. */

/* B' x: six rows of inputs to six planes, whose tiles lie ld apart. */
TSR_CLONES static void inputs(const float *turned, const int32_t *at, int64_t tiles, float *to, int64_t ld, int64_t plane)
{
    for (int64_t t = 0; t < tiles; t++, at += POINTS, to += ld) {
        const V16 a = FROM16(turned + at[0]), b = FROM16(turned + at[1]), c = FROM16(turned + at[2]), d = FROM16(turned + at[3]);
        const V16 e = FROM16(turned + at[4]), f = FROM16(turned + at[5]);
        const V16 even = e - 4 * c, odd = d - 4 * b, far = e - c, twice = 2 * (d - b);
        AT16(to) = 4 * (a - c) + far;
        AT16(to + plane) = even + odd;
        AT16(to + 2 * plane) = even - odd;
        AT16(to + 3 * plane) = far + twice;
        AT16(to + 4 * plane) = far - twice;
        AT16(to + 5 * plane) = 4 * (b - d) + (f - d);
    }
}

/* A' of six planes, and the bias: four rows of outputs. */
TSR_CLONES static void outputs(const float *from, int64_t ld, int64_t plane, const float *bias, const int32_t *at, int64_t tiles, float *turned)
{
    const V16 more = FROM16(bias);
    for (int64_t t = 0; t < tiles; t++, at += TILE, from += ld) {
        const V16 a = FROM16(from + plane), b = FROM16(from + 2 * plane), c = FROM16(from + 3 * plane), d = FROM16(from + 4 * plane);
        const V16 even = a + b, odd = a - b, even2 = c + d, odd2 = c - d;
        AT16(turned + at[0]) = FROM16(from) + even + even2 + more;
        AT16(turned + at[1]) = odd + 2 * odd2 + more;
        AT16(turned + at[2]) = even + 4 * even2 + more;
        AT16(turned + at[3]) = odd + 8 * odd2 + FROM16(from + 5 * plane) + more;
    }
}

/* A dY: four rows of gradients to six planes. */
TSR_CLONES static void gradients(const float *turned, const int32_t *at, int64_t tiles, float *to, int64_t ld, int64_t plane)
{
    for (int64_t t = 0; t < tiles; t++, at += TILE, to += ld) {
        const V16 a = FROM16(turned + at[0]), b = FROM16(turned + at[1]), c = FROM16(turned + at[2]), d = FROM16(turned + at[3]);
        const V16 even = a + c, odd = b + d, even2 = a + 4 * c, odd2 = 2 * b + 8 * d;
        AT16(to) = a;
        AT16(to + plane) = even + odd;
        AT16(to + 2 * plane) = even - odd;
        AT16(to + 3 * plane) = even2 + odd2;
        AT16(to + 4 * plane) = even2 - odd2;
        AT16(to + 5 * plane) = d;
    }
}

/* G g of all weights: POINTS matrices [c, m]. */
static void weights(const struct tsr_conv *v, float *to)
{
    const int64_t plane = v->w.c * v->m;
    for (int64_t m = 0; m < v->m; m++)
        for (int64_t c = 0; c < v->w.c; c++) {
            const float *w = (const float *)v->weight + (m * v->w.c + c) * TAPS;
            const double a = (double)w[0], b = (double)w[1], d = (double)w[2];
            float *at = to + c * v->m + m;
            at[0] = (float)(a / 4);
            at[plane] = (float)((a + b + d) * (-1.0 / 6));
            at[2 * plane] = (float)((a - b + d) * (-1.0 / 6));
            at[3 * plane] = (float)((a + 2 * b + 4 * d) * (1.0 / 24));
            at[4 * plane] = (float)((a - 2 * b + 4 * d) * (1.0 / 24));
            at[5 * plane] = (float)d;
        }
}

/* G' of the sums [POINTS, c, m] of all parts, in order. */
static void weight_gradient(const struct winograd *g)
{
    const struct tsr_conv *v = g->v;
    const int64_t plane = v->w.c * v->m;
    for (int64_t c = 0; c < v->w.c; c++)
        for (int64_t m = 0; m < v->m; m++) {
            double s[POINTS] = {0};
            for (int64_t p = 0; p < g->parts; p++)
                for (int i = 0; i < POINTS; i++) s[i] += (double)g->sums[(p * POINTS + i) * plane + c * v->m + m];
            float *to = (float *)v->dw + (m * v->w.c + c) * TAPS;
            const double near = (s[1] + s[2]) * (-1.0 / 6), far = s[3] + s[4];
            to[0] = (float)(s[0] / 4 + near + far * (1.0 / 24));
            to[1] = (float)((s[1] - s[2]) * (-1.0 / 6) + (s[3] - s[4]) * (1.0 / 12));
            to[2] = (float)(near + far * (1.0 / 6) + s[5]);
        }
}

/* ---- blocks of images ------------------------------------------------------------------------ */

/* Rows of `turned`: those of the longer side, and one beside. */
static int64_t rows_of(const struct tsr_conv *v) { return 1 + (v->w.in[2] > v->w.out[2] ? v->w.in[2] : v->w.out[2]); }

static size_t room_bytes(const struct winograd *g)
{
    return (size_t)(16 * (rows_of(g->v) + g->ly) + POINTS * g->images * g->tiles * (g->lc + g->lm)) * sizeof(float);
}
static struct room room_of(const struct winograd *g, int worker)
{
    struct room r = {.turned = (float *)(void *)(g->scratch + g->each * (size_t)worker)};
    r.back = r.turned + 16 * rows_of(g->v);
    r.in = r.back + 16 * g->ly;
    r.out = r.in + POINTS * g->images * g->tiles * g->lc;
    return r;
}

/* For every tile, where its n rows are in `turned`: positions d apart from the first on, `length` in all; others beside. */
static void find_rows(const struct winograd *g, int n, int64_t pad, int64_t length, int32_t *at)
{
    const int64_t d = g->v->w.dilation[2], beside = rows_of(g->v) - 1;
    for (int64_t t = 0; t < g->steps; t++)
        for (int64_t p = 0; p < d; p++)
            for (int i = 0; i < n; i++) {
                const int64_t j = d * (TILE * t + i) + p - pad;
                *at++ = (int32_t)(16 * (j >= 0 && j < length ? j : beside));
            }
}

/* Turns up to 16 channels of `length` positions from c on. */
static void turn(const struct winograd *g, const float *image, int64_t c, int64_t channels, int64_t length, float *turned)
{
    tsr_gemm_transpose(length, channels - c < 16 ? channels - c : 16, image + c * length, length, turned, 16);
    memset(turned + 16 * (rows_of(g->v) - 1), 0, 16 * sizeof *turned);
}

/* Images [n0, n1) of X to r->in. */
static void take_inputs(const struct winograd *g, const struct room *r, int64_t n0, int64_t n1)
{
    const struct tsr_window *w = &g->v->w;
    const int64_t plane = g->images * g->tiles * g->lc;
    for (int64_t n = n0; n < n1; n++)
        for (int64_t c = 0; c < w->c; c += 16) {
            turn(g, (const float *)g->v->x + n * w->c * w->in[2], c, w->c, w->in[2], r->turned);
            inputs(r->turned, g->reads, g->tiles, r->in + (n - n0) * g->tiles * g->lc + c, g->lc, plane);
        }
}

/* r->out to images [n0, n1) of Y. */
static void give_outputs(const struct winograd *g, const struct room *r, int64_t n0, int64_t n1)
{
    const struct tsr_conv *v = g->v;
    const int64_t plane = g->images * g->tiles * g->lm, length = v->w.out[2];
    for (int64_t n = n0; n < n1; n++)
        for (int64_t m = 0; m < v->m; m += 16) {
            const int64_t some = v->m - m < 16 ? v->m - m : 16;
            float *y = (float *)v->y + (n * v->m + m) * length;
            outputs(r->out + (n - n0) * g->tiles * g->lm + m, g->lm, plane, g->bias + m, g->writes, g->tiles, r->turned);
            tsr_gemm_transpose(some, length, r->turned, 16, g->ly == length ? y : r->back, g->ly);
            for (int64_t i = 0; g->ly > length && i < some; i++) memcpy(y + i * length, r->back + i * g->ly, (size_t)length * sizeof *y);
        }
}

/* Images [n0, n1) of dY to r->out. */
static void take_gradients(const struct winograd *g, const struct room *r, int64_t n0, int64_t n1)
{
    const struct tsr_conv *v = g->v;
    const int64_t plane = g->images * g->tiles * g->lm, length = v->w.out[2];
    for (int64_t n = n0; n < n1; n++)
        for (int64_t m = 0; m < v->m; m += 16) {
            turn(g, (const float *)v->dy + n * v->m * length, m, v->m, length, r->turned);
            gradients(r->turned, g->writes, g->tiles, r->out + (n - n0) * g->tiles * g->lm + m, g->lm, plane);
        }
}

static void forward_task(void *arg, int64_t b, int worker)
{
    const struct winograd *g = arg;
    const struct room r = room_of(g, worker);
    const int64_t n0 = b * g->images, n1 = n0 + g->images < g->v->w.n ? n0 + g->images : g->v->w.n, tiles = g->images * g->tiles;
    take_inputs(g, &r, n0, n1);
    for (int i = 0; i < POINTS; i++)
        tsr_panels_run(&g->weight[i], (n1 - n0) * g->tiles, r.in + i * tiles * g->lc, g->lc, r.out + i * tiles * g->lm, g->lm,
                       &(struct tsr_panel_end){0}, NULL);
    give_outputs(g, &r, n0, n1);
}

static void weight_task(void *arg, int64_t part, int worker)
{
    const struct winograd *g = arg;
    const struct tsr_conv *v = g->v;
    const struct room r = room_of(g, worker);
    const int64_t tiles = g->images * g->tiles, b0 = g->blocks * part / g->parts, b1 = g->blocks * (part + 1) / g->parts;
    for (int64_t b = b0; b < b1; b++) {
        const int64_t n0 = b * g->images, n1 = n0 + g->images < v->w.n ? n0 + g->images : v->w.n;
        take_inputs(g, &r, n0, n1);
        take_gradients(g, &r, n0, n1);
        for (int i = 0; i < POINTS; i++)
            tsr_sgemm(true, false, v->w.c, v->m, (n1 - n0) * g->tiles, 1, r.in + i * tiles * g->lc, g->lc, r.out + i * tiles * g->lm, g->lm,
                      b > b0, g->sums + (part * POINTS + i) * v->w.c * v->m, v->m);
    }
}

/* Runs fn for n tasks, with the memory that workers and tables take. */
static enum tsr_status run(struct tsr_op_ctx *ctx, struct winograd *g, int64_t n, void (*fn)(void *, int64_t, int))
{
    const size_t tables = ((size_t)g->tiles * (POINTS + TILE) * sizeof(int32_t) + 63) & ~(size_t)63;
    g->each = (room_bytes(g) + 63) & ~(size_t)63;
    const size_t bytes = tables + g->each * (size_t)tsr_pool_threads(ctx->pool);
    char *memory = tsr_op_scratch(ctx, bytes);
    if (memory == NULL) return tsr_nomem(ctx->err, bytes);
    g->reads = (int32_t *)(void *)memory;
    g->writes = g->reads + g->tiles * POINTS;
    g->scratch = memory + tables;
    find_rows(g, POINTS, g->v->w.pad[2], g->v->w.in[2], g->reads);
    find_rows(g, TILE, 0, g->v->w.out[2], g->writes);
    tsr_pool_run(ctx->pool, n, fn, g);
    tsr_op_scratch_free(ctx, memory, bytes);
    return TSR_OK;
}

enum tsr_status tsr_winograd_forward(struct tsr_op_ctx *ctx, const struct tsr_conv *v)
{
    struct winograd g;
    cut(v, &g);
    const int64_t plane = v->w.c * v->m, packed = whole(tsr_panels_size(v->w.c, v->m));
    const size_t bytes = (size_t)(POINTS * (plane + packed) + g.lm) * sizeof(float);
    float *memory = tsr_op_scratch(ctx, bytes);
    if (memory == NULL) return tsr_nomem(ctx->err, bytes);
    float *plain = memory + POINTS * packed;
    weights(v, plain);
    for (int i = 0; i < POINTS; i++)
        tsr_panels_pack(&g.weight[i], false, v->w.c, v->m, plain + i * plane, v->m, g.images * g.tiles, memory + i * packed);
    g.bias = plain + POINTS * plane;
    for (int64_t m = 0; m < g.lm; m++) g.bias[m] = v->bias != NULL && m < v->m ? ((const float *)v->bias)[m] : 0;
    const enum tsr_status status = run(ctx, &g, g.blocks, forward_task);
    tsr_op_scratch_free(ctx, memory, bytes);
    return status;
}

enum tsr_status tsr_winograd_weight_gradient(struct tsr_op_ctx *ctx, const struct tsr_conv *v)
{
    struct winograd g;
    cut(v, &g);
    const size_t bytes = (size_t)(g.parts * POINTS * v->w.c * v->m) * sizeof(float);
    g.sums = tsr_op_scratch(ctx, bytes);
    if (g.sums == NULL) return tsr_nomem(ctx->err, bytes);
    const enum tsr_status status = run(ctx, &g, g.parts, weight_task);
    if (status == TSR_OK) weight_gradient(&g);
    tsr_op_scratch_free(ctx, g.sums, bytes);
    return status;
}
