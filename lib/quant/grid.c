#include "quant/grid.h"

#include <float.h>
#include <math.h>

const char *const tsr_grid_names[] = {"f32", "f16", "bf16", "int8", "int4", "w4a8", "w4a4", NULL};

int tsr_grid_weight_bits(enum tsr_grid grid)
{
    static const int bits[] = {32, 16, 16, 8, 4, 4, 4};
    return bits[grid];
}

int tsr_grid_activation_bits(enum tsr_grid grid)
{
    static const int bits[] = {32, 16, 32, 8, 32, 8, 4};
    return bits[grid];
}

bool tsr_grid_is_half(enum tsr_grid grid) { return grid == TSR_GRID_F16 || grid == TSR_GRID_BF16; }

/* ---- activations ---- */

struct tsr_step tsr_step_of(float lo, float hi, int bits, bool symmetric)
{
    struct tsr_step s = {.bits = bits, .scale = 1};
    const int32_t least = -(1 << (bits - 1)), most = (1 << (bits - 1)) - 1;
    if (!isfinite(lo) || !isfinite(hi)) return s;
    if (lo > 0) lo = 0;
    if (hi < 0) hi = 0;
    double reach = symmetric ? fmax(-(double)lo, (double)hi) / most : ((double)hi - (double)lo) / (most - least);
    float scale = (float)reach;
    if (!(scale >= FLT_MIN) || !isfinite(scale)) return s;
    s.scale = scale;
    if (!symmetric) s.zero = (int32_t)fmin(fmax(nearbyint(least - (double)lo / (double)scale), least), most);
    return s;
}

void tsr_step_range(const struct tsr_step *s, float *lo, float *hi)
{
    *lo = (float)(-(1 << (s->bits - 1)) - s->zero) * s->scale;
    *hi = (float)((1 << (s->bits - 1)) - 1 - s->zero) * s->scale;
}

float tsr_step_round(const struct tsr_step *s, float x)
{
    const float least = (float)(-(1 << (s->bits - 1)) - s->zero), most = (float)((1 << (s->bits - 1)) - 1 - s->zero);
    float q = rintf(x / s->scale);
    q = q > least ? q : least; /* NaN goes down, as in QuantizeLinear */
    return (q < most ? q : most) * s->scale;
}

/* ---- weights ---- */

struct layout {
    int64_t outer, dim, inner, blocks;
};

static struct layout layout_of(const struct tsr_shape *w, const struct tsr_weight_grid *grid)
{
    struct layout l = {1, w->dim[grid->axis], 1, 0};
    for (int i = 0; i < grid->axis; i++) l.outer *= w->dim[i];
    for (int i = grid->axis + 1; i < w->rank; i++) l.inner *= w->dim[i];
    if (grid->block > 0) l.blocks = (l.dim + grid->block - 1) / grid->block;
    return l;
}

struct tsr_shape tsr_weight_scale_shape(const struct tsr_shape *w, const struct tsr_weight_grid *grid)
{
    struct tsr_shape s = *w;
    if (grid->block == 0) return (struct tsr_shape){.rank = 1, .dim = {w->dim[grid->axis]}};
    s.dim[grid->axis] = (w->dim[grid->axis] + grid->block - 1) / grid->block;
    return s;
}

static int64_t place(const struct layout *l, int64_t block, int64_t i)
{
    int64_t d = i / l->inner % l->dim;
    return block == 0 ? d : (i / l->inner / l->dim * l->blocks + d / block) * l->inner + i % l->inner;
}

int64_t tsr_weight_scale_index(const struct tsr_shape *w, const struct tsr_weight_grid *grid, int64_t i)
{
    const struct layout l = layout_of(w, grid);
    return place(&l, grid->block, i);
}

/* Where slice k of the scales begins, and how it goes on: `runs` runs of n elements `step` apart. */
struct slice {
    int64_t at, runs, run_step, n, step;
};

static struct slice slice_of(const struct layout *l, int64_t block, int64_t k)
{
    if (block == 0) return (struct slice){k * l->inner, l->outer, l->dim * l->inner, l->inner, 1};
    int64_t o = k / l->inner / l->blocks, b = k / l->inner % l->blocks, first = b * block;
    int64_t n = l->dim - first < block ? l->dim - first : block;
    return (struct slice){(o * l->dim + first) * l->inner + k % l->inner, 1, 0, n, l->inner};
}

static double rounding_error(const float *w, const struct slice *s, float scale, float most)
{
    double sum = 0;
    for (int64_t r = 0; r < s->runs; r++)
        for (int64_t i = 0; i < s->n; i++) {
            float x = w[s->at + r * s->run_step + i * s->step], q = rintf(x / scale);
            q = q > most ? most : q < -most ? -most : q;
            double e = (double)x - (double)(q * scale);
            sum += e * e;
        }
    return sum;
}

enum tsr_status tsr_weight_scales(const struct tsr_tensor *w, const struct tsr_weight_grid *grid, bool fit, float *scale,
                                  struct tsr_error *err)
{
    const struct layout l = layout_of(&w->shape, grid);
    const int64_t n = grid->block == 0 ? l.dim : l.outer * l.blocks * l.inner;
    const float most = (float)((1 << (grid->bits - 1)) - 1), *x = w->data;
    for (int64_t k = 0; k < n; k++) {
        const struct slice s = slice_of(&l, grid->block, k);
        float top = 0;
        for (int64_t r = 0; r < s.runs; r++)
            for (int64_t i = 0; i < s.n; i++) {
                float a = fabsf(x[s.at + r * s.run_step + i * s.step]);
                if (!isfinite(a)) return tsr_fail(err, TSR_E_NUMERIC, "a weight is not a finite number");
                top = a > top ? a : top;
            }
        scale[k] = top / most >= FLT_MIN ? top / most : 1;
        if (!fit || !(top / most >= FLT_MIN)) continue;
        double best = rounding_error(x, &s, scale[k], most);
        const float full = scale[k];
        for (int c = 1; c <= 32; c++) {
            float candidate = full * (1.0f - 0.0125f * (float)c);
            if (!(candidate >= FLT_MIN)) break;
            double e = rounding_error(x, &s, candidate, most);
            if (e < best) best = e, scale[k] = candidate;
        }
    }
    return TSR_OK;
}

void tsr_weight_round(const struct tsr_tensor *w, const struct tsr_weight_grid *grid, const float *scale, int8_t *q)
{
    const struct layout l = layout_of(&w->shape, grid);
    const float most = (float)((1 << (grid->bits - 1)) - 1), *x = w->data;
    for (int64_t i = 0, n = tsr_tensor_count(w); i < n; i++) {
        float v = rintf(x[i] / scale[place(&l, grid->block, i)]);
        q[i] = (int8_t)(v > most ? most : v < -most ? -most : v);
    }
}
