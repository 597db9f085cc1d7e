#include "merge/plane.h"

#include "base/mem.h"
#include "merge/kernel.h"
#include "merge/quantile.h"

#include <math.h>
#include <string.h>

void tsr_plane_init(struct tsr_merge_plane *p, const struct tsr_embed *embed)
{
    *p = (struct tsr_merge_plane){.embed = *embed, .step = TSR_STEP_SUM, .bins = 32};
}

static void drop(void *pp)
{
    void *old;
    memcpy(&old, pp, sizeof old);
    tsr_free(old);
    memset(pp, 0, sizeof old);
}

static void drop_sums(struct tsr_merge_plane *p)
{
    drop(&p->weight);
    drop(&p->answers);
    drop(&p->sum);
    drop(&p->pulled);
    drop(&p->count);
    drop(&p->upper);
    drop(&p->tile);
    p->tile_rows = 0;
    memset(p->far, 0, sizeof p->far);
}

void tsr_plane_release(struct tsr_merge_plane *p)
{
    drop_sums(p);
    drop(&p->centre);
    drop(&p->edge);
    drop(&p->below);
    p->cells = p->cap = 0;
}

size_t tsr_plane_arrays(struct tsr_merge_plane *p, struct tsr_merge_array a[TSR_MERGE_ARRAYS], size_t *additive)
{
    size_t n = 0, m = p->embed.width, bins = (size_t)p->bins;
    bool count = p->step == TSR_STEP_COUNT, refine = p->step == TSR_STEP_REFINE, sum = p->step == TSR_STEP_SUM;
    a[n++] = (struct tsr_merge_array){"answers", (void **)&p->answers, 1, 4};
    a[n++] = (struct tsr_merge_array){"weight", (void **)&p->weight, 1, 8};
    if (sum || refine) a[n++] = (struct tsr_merge_array){"sum", (void **)&p->sum, m, 8};
    if (sum) a[n++] = (struct tsr_merge_array){"pulled", (void **)&p->pulled, 1, 8};
    if (count || refine) a[n++] = (struct tsr_merge_array){"count", (void **)&p->count, m * bins, 4};
    if (refine) a[n++] = (struct tsr_merge_array){"upper", (void **)&p->upper, m * bins, 4};
    *additive = n;
    a[n++] = (struct tsr_merge_array){"centre", (void **)&p->centre, m, 4};
    if (refine) a[n++] = (struct tsr_merge_array){"edge", (void **)&p->edge, 2 * m, 2};
    if (refine) a[n++] = (struct tsr_merge_array){"below", (void **)&p->below, 2 * m, 4};
    return n;
}

static enum tsr_status make_room(void **data, size_t cells, size_t cap, size_t stride, size_t size, struct tsr_error *err)
{
    size_t bytes, old = cells * stride * size;
    if (!tsr_mul_size(cap, stride, &bytes) || !tsr_mul_size(bytes, size, &bytes)) return tsr_nomem(err, SIZE_MAX);
    void *grown = tsr_calloc(bytes, 1); /* zero pages cost nothing until they are used */
    if (grown == NULL) return tsr_nomem(err, bytes);
    if (old > 0) memcpy(grown, *data, old);
    tsr_free(*data);
    *data = grown;
    return TSR_OK;
}

static void neutral(struct tsr_merge_plane *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) tsr_embed_neutral(&p->embed, p->centre + i * p->embed.width);
}

enum tsr_status tsr_plane_grow(struct tsr_merge_plane *p, size_t cells, struct tsr_error *err)
{
    struct tsr_merge_array a[TSR_MERGE_ARRAYS];
    size_t additive, n = tsr_plane_arrays(p, a, &additive);
    if (cells <= p->cells) return TSR_OK;
    if (cells > p->cap) {
        size_t cap = p->cap == 0 ? cells : p->cap;
        while (cap < cells) cap += cap / 2 + 1;
        for (size_t i = 0; i < n; i++) TSR_TRY(make_room(a[i].data, p->cap, cap, a[i].stride, a[i].size, err));
        neutral(p, p->cap, cap);
        p->cap = cap;
    }
    p->cells = cells;
    return TSR_OK;
}

enum tsr_status tsr_plane_begin(struct tsr_merge_plane *p, enum tsr_merge_step step, struct tsr_error *err)
{
    struct tsr_merge_array a[TSR_MERGE_ARRAYS];
    size_t additive;
    if (step == TSR_STEP_REFINE && p->step == TSR_STEP_COUNT) TSR_TRY(tsr_quantile_edges(p, err));
    drop_sums(p);
    p->step = step;
    (void)tsr_plane_arrays(p, a, &additive);
    for (size_t i = 0; i < additive; i++) TSR_TRY(make_room(a[i].data, 0, p->cap, a[i].stride, a[i].size, err));
    return TSR_OK;
}

size_t tsr_merge_far_bin(double distance)
{
    float d = (float)distance;
    uint32_t bits;
    memcpy(&bits, &d, sizeof bits);
    int64_t bin = (int64_t)(bits >> 17) - (int64_t)(127 - 30) * 64;
    return bin < 0 ? 0 : bin >= TSR_MERGE_FAR_BINS ? TSR_MERGE_FAR_BINS - 1 : (size_t)bin;
}

double tsr_merge_far_edge(size_t bin)
{
    uint32_t bits = (uint32_t)((bin + (127 - 30) * 64) << 17);
    float d;
    memcpy(&d, &bits, sizeof d);
    return (double)d;
}

double tsr_merge_far_median(const uint64_t far[TSR_MERGE_FAR_BINS])
{
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < TSR_MERGE_FAR_BINS; i++) all += far[i];
    for (size_t i = 0; i < TSR_MERGE_FAR_BINS && all > 0; i++) {
        seen += far[i];
        if (seen >= all - seen) return (tsr_merge_far_edge(i) + tsr_merge_far_edge(i + 1)) / 2;
    }
    return 0;
}

/* The least bit short of what is asked for, so that rounding never lets more through. */
static double factor_of(const struct tsr_merge_plane *p, const struct tsr_merge_look *l)
{
    const double short_of = 1 - 0x1p-20;
    switch (p->pull) {
    case TSR_PULL_CLIP: return l->distance > p->radius ? p->radius / l->distance * short_of : 1;
    case TSR_PULL_INVERSE: return l->distance > p->radius ? p->radius / l->distance : 1;
    case TSR_PULL_TRUST: return l->cosine > 1 ? 1 : l->cosine > 0 ? l->cosine : 0;
    default: return 1;
    }
}

static enum tsr_status add_sum(struct tsr_merge_plane *p, size_t cell, const float *x, float inverse, double pull,
                               int64_t w, struct tsr_error *err)
{
    size_t m = p->embed.width;
    float factor = (float)((double)TSR_MERGE_ONE * pull);
    p->pulled[cell] += (int64_t)factor * w;
    if (p->cells != 1 || w != 1) {
        tsr_merge_add(p->sum + cell * m, x, inverse, factor, w, m);
        return TSR_OK;
    }
    if (p->tile == NULL && (p->tile = tsr_calloc(m, sizeof *p->tile)) == NULL) return tsr_nomem(err, m * 4);
    tsr_merge_add_tile(p->tile, x, inverse, factor, m);
    if (++p->tile_rows == TSR_MERGE_TILE_ROWS) tsr_plane_settle(p);
    return TSR_OK;
}

void tsr_plane_settle(struct tsr_merge_plane *p)
{
    if (p->tile_rows > 0) tsr_merge_flush_tile(p->sum, p->tile, p->embed.width);
    p->tile_rows = 0;
}

static enum tsr_status too_heavy(struct tsr_error *err)
{
    return tsr_fail(err, TSR_E_LIMIT, "the weights of one row sum to more than 2^32 - 1; use smaller ones");
}

enum tsr_status tsr_plane_add(struct tsr_merge_plane *p, size_t cell, const float *x, int64_t w,
                              struct tsr_merge_look *look, struct tsr_error *err)
{
    size_t m = p->embed.width;
    const float *v = p->centre + cell * m;
    struct tsr_merge_look l = {.safe = true};
    if (tsr_embed_loose(&p->embed)) { /* bounded already */
        *look = l;
        if (w > TSR_MERGE_MAX_WEIGHT - p->weight[cell]) return too_heavy(err);
        p->weight[cell] += w;
        p->answers[cell]++;
        return add_sum(p, cell, x, 1, 1, w, err);
    }
    double norm2, dot;
    tsr_merge_measure(x, v, m, &norm2, &dot);
    l.safe = norm2 >= 0x1p-40 && norm2 <= 0x1p40;
    if (!l.safe) {
        *look = l;
        return TSR_OK;
    }
    double inverse = 1 / sqrt(norm2), square;
    l.cosine = dot * inverse;
    square = 2 - 2 * l.cosine; /* both are of length 1; a neutral direction has none */
    if (!p->centred && p->embed.kind == TSR_EMBED_DIRECTION) square = 1;
    l.distance = square > 0 ? sqrt(square) : 0;
    *look = l;
    if (w > TSR_MERGE_MAX_WEIGHT - p->weight[cell]) return too_heavy(err);
    p->weight[cell] += w;
    p->answers[cell]++;
    p->far[tsr_merge_far_bin(l.distance)] += (uint64_t)w;
    if (p->step == TSR_STEP_SUM) return add_sum(p, cell, x, (float)inverse, factor_of(p, &l), w, err);
    if (p->step == TSR_STEP_COUNT) tsr_quantile_count(p, cell, x, (float)inverse, (uint32_t)w);
    if (p->step == TSR_STEP_REFINE) tsr_quantile_refine(p, cell, x, (float)inverse, (uint32_t)w);
    return TSR_OK;
}

void tsr_plane_centre(struct tsr_merge_plane *p, size_t cell, const float *x)
{
    size_t m = p->embed.width;
    double norm2, dot;
    tsr_merge_measure(x, NULL, m, &norm2, &dot);
    double inverse = norm2 > 0 ? 1 / sqrt(norm2) : 0;
    for (size_t i = 0; i < m; i++) p->centre[cell * m + i] = (float)((double)x[i] * inverse);
}

void tsr_plane_result(const struct tsr_merge_plane *p, size_t cell, double *y)
{
    size_t m = p->embed.width;
    if (p->step != TSR_STEP_SUM) {
        for (size_t i = 0; i < m; i++) y[i] = tsr_quantile_result(p, cell, i);
        return;
    }
    const double one = (double)TSR_MERGE_ONE;
    double pulled = (double)p->pulled[cell] / one, w = (double)p->weight[cell];
    for (size_t i = 0; i < m; i++) {
        double s = (double)p->sum[cell * m + i] / one, v = (double)p->centre[cell * m + i];
        if (p->pull == TSR_PULL_CLIP) y[i] = v + (s - v * pulled) / w;
        else y[i] = pulled > 0 ? s / pulled : v;
    }
}

enum tsr_status tsr_plane_recentre(struct tsr_merge_plane *p, struct tsr_error *err)
{
    size_t m = p->embed.width;
    double *y = tsr_malloc(m, sizeof *y);
    if (y == NULL) return tsr_nomem(err, m * sizeof *y);
    for (size_t cell = 0; cell < p->cells; cell++) {
        float *v = p->centre + cell * m;
        double norm2 = 0;
        if (p->answers[cell] == 0 || tsr_embed_loose(&p->embed)) continue;
        tsr_plane_result(p, cell, y);
        for (size_t i = 0; i < m; i++) norm2 += y[i] * y[i];
        if (!(norm2 > 0)) continue;
        double inverse = 1 / sqrt(norm2);
        for (size_t i = 0; i < m; i++) v[i] = (float)(y[i] * inverse);
    }
    p->centred = true;
    tsr_free(y);
    return TSR_OK;
}
