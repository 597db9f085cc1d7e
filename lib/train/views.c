#include "train/views.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Largest shift: this part of the axis, at least one, at most four. Networks without a sense of neighbourhood take
 * a sample that is shifted further for another one, and their answers then teach nonsense. */
static int32_t shift_of(int64_t dim, int64_t part)
{
    int64_t most = dim / part < 4 ? dim / part : 4;
    return dim < 8 ? 0 : most < 1 ? 1 : (int32_t)most;
}

/* Standard deviation of all elements, in double, in order. */
static double deviation(const float *x, int64_t n)
{
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    double mean = n > 0 ? sum / (double)n : 0;
    for (int64_t i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean);
    return n > 0 ? sqrt(square / (double)n) : 0;
}

enum tsr_status tsr_views_default(struct tsr_views *v, const struct tsr_tensor *x, uint32_t count, uint64_t seed,
                                  struct tsr_error *err)
{
    char text[TSR_SHAPE_TEXT];
    *v = (struct tsr_views){.count = count, .seed = seed};
    int rank = x->shape.rank - 1;
    if (x->dtype == TSR_I64 || x->dtype == TSR_I32) {
        v->kind = TSR_VIEW_TOKENS;
        return TSR_OK;
    }
    if (x->dtype != TSR_F32 || rank < 1 || rank > 3)
        return tsr_fail(err, TSR_E_UNSUPPORTED,
                        "there is no recipe for views of %s inputs of shape %s; ask for none with --views 0",
                        tsr_dtype_name(x->dtype), tsr_shape_text(&x->shape, text, sizeof text));
    v->kind = rank == 3 ? TSR_VIEW_IMAGE : rank == 2 ? TSR_VIEW_SERIES : TSR_VIEW_VECTOR;
    if (rank >= 2) v->shift_x = shift_of(x->shape.dim[rank], rank == 3 ? 16 : 32);
    if (rank == 3) v->shift_y = shift_of(x->shape.dim[2], 16);
    v->cut = rank >= 2;
    v->gain = rank >= 2 ? 0.4f : 0.1f;
    v->noise = (float)((rank >= 2 ? 0.2 : 0.1) * deviation(x->data, tsr_tensor_count(x)));
    return TSR_OK;
}

enum tsr_status tsr_views_check(const struct tsr_views *v, enum tsr_dtype dtype, struct tsr_error *err)
{
    bool tokens = v->kind == TSR_VIEW_TOKENS;
    if (tokens ? dtype == TSR_I32 || dtype == TSR_I64 : dtype == TSR_F32) return TSR_OK;
    return tsr_fail(err, TSR_E_MISMATCH, "the views of the stream are of %s, the reference inputs are %s",
                    tokens ? "tokens" : "float32 numbers", tsr_dtype_name(dtype));
}

static int32_t draw_shift(struct tsr_rng *r, int32_t most)
{
    return (int32_t)tsr_rng_below(r, (uint64_t)(2 * (int64_t)most + 1)) - most;
}

void tsr_view_plan(const struct tsr_views *v, const struct tsr_key *key, uint32_t number, uint32_t n,
                   struct tsr_view_plan *plan)
{
    struct tsr_rng *r = &plan->rng;
    *plan = (struct tsr_view_plan){.lambda = 1};
    tsr_rng_init_key(r, v->seed, key, number);
    plan->mixed = n > 1 && (v->kind == TSR_VIEW_TOKENS || number % 2 == 0);
    plan->cut = plan->mixed && v->cut && number % 4 == 0 && (v->kind == TSR_VIEW_IMAGE || v->kind == TSR_VIEW_SERIES);
    plan->permute = v->kind == TSR_VIEW_TOKENS && number % 2 == 1;
    for (int k = 0; k < 2; k++) {
        plan->dy[k] = draw_shift(r, v->shift_y);
        plan->dx[k] = draw_shift(r, v->shift_x);
    }
    plan->partner = (uint32_t)tsr_rng_below(r, n == 0 ? 1 : n);
    float lambda = tsr_rng_float(r);
    if (plan->mixed) plan->lambda = lambda;
}

static int64_t clamp(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* Planes of h x w; [y0, y1) x [x0, x1) of each is written. */
struct window {
    int64_t planes, h, w, y0, y1, x0, x1;
};

/* In the window, out = (or +=) weight * factor * shifted sample, with a factor of its own for every plane. */
static void put(const struct window *g, float *out, const float *in, int32_t dy, int32_t dx, float weight, float gain,
                bool add, struct tsr_rng *r)
{
    for (int64_t p = 0; p < g->planes; p++) {
        float factor = weight * (1 + gain * tsr_rng_normal(r));
        for (int64_t y = g->y0; y < g->y1; y++) {
            const float *row = in + (p * g->h + clamp(y - dy, g->h)) * g->w;
            float *to = out + (p * g->h + y) * g->w;
            for (int64_t x = g->x0; x < g->x1; x++) {
                float value = factor * row[clamp(x - dx, g->w)];
                to[x] = add ? to[x] + value : value;
            }
        }
    }
}

/* A part of `share` of the plane, anywhere in it. */
static void cut_window(struct window *g, float share, struct tsr_rng *r)
{
    float side = g->h > 1 ? sqrtf(share) : share;
    int64_t h = g->h > 1 ? (int64_t)(side * (float)g->h + 0.5f) : g->h, w = (int64_t)(side * (float)g->w + 0.5f);
    g->y0 = (int64_t)tsr_rng_below(r, (uint64_t)(g->h - h + 1));
    g->x0 = (int64_t)tsr_rng_below(r, (uint64_t)(g->w - w + 1));
    g->y1 = g->y0 + h;
    g->x1 = g->x0 + w;
}

static void make_dense(const struct tsr_views *v, const struct tsr_view_plan *plan, const struct tsr_shape *shape,
                       const float *a, const float *b, float *out)
{
    int rank = shape->rank;
    int64_t count = tsr_shape_count(shape);
    struct window g = {.w = rank >= 2 ? shape->dim[rank - 1] : count, .h = rank >= 3 ? shape->dim[rank - 2] : 1};
    if (count == 0) return;
    g.planes = count / (g.w * g.h);
    g.y1 = g.h;
    g.x1 = g.w;
    struct tsr_rng r = plan->rng;
    put(&g, out, a, plan->dy[0], plan->dx[0], plan->cut ? 1 : plan->lambda, v->gain, false, &r);
    if (plan->cut) cut_window(&g, 1 - plan->lambda, &r);
    if (plan->mixed)
        put(&g, out, b, plan->dy[1], plan->dx[1], plan->cut ? 1 : 1 - plan->lambda, v->gain, !plan->cut, &r);
    for (int64_t i = 0; i < count; i++) out[i] += v->noise * tsr_rng_normal(&r);
}

/* Position i of the result is a's with probability lambda, else the second sample's. With
 * `permute` the second sample is read through a random permutation: j starts anywhere and
 * steps by an odd stride over the next power of two, skipping what lies beyond the end. */
static void make_tokens(const struct tsr_view_plan *plan, size_t size, int64_t n, const char *a, const char *b,
                        char *out)
{
    struct tsr_rng r = plan->rng;
    uint64_t span = 1;
    while (span < (uint64_t)n) span *= 2;
    uint64_t j = tsr_rng_below(&r, span), stride = plan->permute ? tsr_rng_u64(&r) | 1 : 1;
    if (!plan->permute) j = span - 1;
    for (int64_t i = 0; i < n; i++) {
        do j = (j + stride) & (span - 1);
        while (j >= (uint64_t)n);
        bool keep = !plan->mixed || tsr_rng_float(&r) < plan->lambda;
        memcpy(out + (size_t)i * size, keep ? a + (size_t)i * size : b + (size_t)j * size, size);
    }
}

void tsr_view_make(const struct tsr_views *v, const struct tsr_view_plan *plan, enum tsr_dtype dtype,
                   const struct tsr_shape *shape, const void *a, const void *b, void *out)
{
    if (v->kind == TSR_VIEW_TOKENS)
        make_tokens(plan, tsr_dtype_bytes(dtype, 1), tsr_shape_count(shape), a, b, out);
    else
        make_dense(v, plan, shape, a, b, out);
}

struct tsr_view_block tsr_view_block(const struct tsr_tensor *x, const struct tsr_key *key)
{
    struct tsr_view_block b = {.dtype = x->dtype, .shape = {.rank = x->shape.rank - 1}, .x = x->data, .key = key,
                               .n = (uint32_t)x->shape.dim[0]};
    memcpy(b.shape.dim, x->shape.dim + 1, (size_t)b.shape.rank * sizeof *b.shape.dim);
    return b;
}

void tsr_view_row(const struct tsr_views *v, const struct tsr_view_block *block, uint32_t i, uint32_t number, void *out)
{
    const size_t each = tsr_dtype_bytes(block->dtype, tsr_shape_count(&block->shape));
    const uint32_t *at = block->at;
    const char *x = block->x, *a = x + each * (at != NULL ? at[i] : i), *b = NULL;
    if (number == 0) {
        memcpy(out, a, each);
        return;
    }
    struct tsr_view_plan plan;
    tsr_view_plan(v, &block->key[i], number, block->n, &plan);
    if (plan.mixed) b = x + each * (at != NULL ? at[plan.partner] : plan.partner);
    tsr_view_make(v, &plan, block->dtype, &block->shape, a, b, out);
}
