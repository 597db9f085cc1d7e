#include "merge/quantile.h"

#include "base/mem.h"
#include "merge/kernel.h"

#include <math.h>

/* u in [-1, 1], the place of x in [0, bins). */
static double place(float x, int bins)
{
    double a = sqrt(fabs((double)x)), u = x < 0 ? -a : a;
    return (u + 1) * 0.5 * bins;
}

static int bin_of(float x, int bins)
{
    double at = place(x, bins);
    return at <= 0 ? 0 : at >= bins ? bins - 1 : (int)at;
}

/* The x of a place. */
static double value(double at, int bins)
{
    double u = at * 2 / bins - 1;
    return u < 0 ? -u * u : u * u;
}

void tsr_quantile_count(struct tsr_merge_plane *p, size_t cell, const float *x, float inverse, uint32_t w)
{
    size_t m = p->embed.width, bins = (size_t)p->bins;
    uint32_t *to = p->count + cell * m * bins;
    for (size_t i = 0; i < m; i++) to[i * bins + (size_t)bin_of(x[i] * inverse, p->bins)] += w;
}

void tsr_quantile_refine(struct tsr_merge_plane *p, size_t cell, const float *x, float inverse, uint32_t w)
{
    size_t m = p->embed.width, bins = (size_t)p->bins;
    for (size_t i = 0; i < m; i++) {
        float y = x[i] * inverse;
        int bin = bin_of(y, p->bins);
        const uint16_t *edge = p->edge + (cell * m + i) * 2;
        size_t at = (cell * m + i) * bins;
        if (bin > edge[0] && bin < edge[1]) p->sum[cell * m + i] += (int64_t)(y * (float)TSR_MERGE_ONE) * w;
        if (bin != edge[0] && bin != edge[1]) continue;
        int fine = (int)((place(y, p->bins) - bin) * p->bins);
        fine = fine < 0 ? 0 : fine >= p->bins ? p->bins - 1 : fine;
        if (bin == edge[0]) p->count[at + (size_t)fine] += w;
        else p->upper[at + (size_t)fine] += w;
    }
}

/* The first bin that the weight `rank` does not pass; *below is the weight before it. */
static int find(const uint32_t *count, int bins, double rank, double *below)
{
    double seen = 0;
    int last = 0;
    *below = 0;
    for (int b = 0; b < bins; b++) {
        if (count[b] == 0) continue;
        last = b;
        *below = seen;
        seen += count[b];
        if (seen >= rank) return b;
    }
    return last;
}

enum tsr_status tsr_quantile_edges(struct tsr_merge_plane *p, struct tsr_error *err)
{
    size_t m = p->embed.width, n = p->cells * m;
    size_t room = p->cap * m * 2;
    tsr_free(p->edge);
    tsr_free(p->below);
    p->edge = tsr_calloc(room, sizeof *p->edge);
    p->below = tsr_calloc(room, sizeof *p->below);
    if (p->edge == NULL || p->below == NULL) return tsr_nomem(err, room * sizeof *p->below);
    for (size_t i = 0; i < n; i++) {
        double all = (double)p->weight[i / m], below;
        const uint32_t *count = p->count + i * (size_t)p->bins;
        for (int k = 0; k < 2; k++) {
            p->edge[2 * i + (size_t)k] = (uint16_t)find(count, p->bins, (k == 0 ? p->low : p->high) * all, &below);
            p->below[2 * i + (size_t)k] = (uint32_t)below;
        }
    }
    return TSR_OK;
}

/* Where in a bin's fine histogram `rank` falls, as a place among the coarse bins. */
static double fine_place(const uint32_t *fine, int bins, int bin, double rank)
{
    double below;
    int b = find(fine, bins, rank, &below);
    double part = fine[b] > 0 ? (rank - below) / fine[b] : 0.5;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return bin + (b + part) / bins;
}

/* Weight and sum of what a fine histogram holds between two ranks, every bin counting at its middle. */
static void fine_part(const uint32_t *fine, int bins, int bin, double from, double to, double *weight, double *sum)
{
    double seen = 0;
    for (int b = 0; b < bins && seen < to; b++) {
        double lo = seen > from ? seen : from, hi = seen + fine[b] < to ? seen + fine[b] : to;
        if (hi > lo) {
            *weight += hi - lo;
            *sum += (hi - lo) * value(bin + (b + 0.5) / bins, bins);
        }
        seen += fine[b];
    }
}

static double refined(const struct tsr_merge_plane *p, size_t cell, size_t i)
{
    size_t at = cell * p->embed.width + i;
    const uint32_t *low = p->count + at * (size_t)p->bins, *high = p->upper + at * (size_t)p->bins;
    const uint16_t *edge = p->edge + 2 * at;
    const uint32_t *below = p->below + 2 * at;
    double all = (double)p->weight[cell], from = p->low * all, to = p->high * all, weight = 0, sum = 0;
    if (p->low >= p->high) return value(fine_place(low, p->bins, edge[0], from - below[0]), p->bins);
    if (edge[0] == edge[1]) {
        fine_part(low, p->bins, edge[0], from - below[0], to - below[0], &weight, &sum);
        return weight > 0 ? sum / weight : 0;
    }
    double within = 0, inner;
    for (int b = 0; b < p->bins; b++) within += low[b];
    fine_part(low, p->bins, edge[0], from - below[0], within, &weight, &sum);
    inner = (double)below[1] - ((double)below[0] + within);
    fine_part(high, p->bins, edge[1], 0, to - below[1], &weight, &sum);
    return (sum + (double)p->sum[at] / (double)TSR_MERGE_ONE) / (weight + inner);
}

double tsr_quantile_result(const struct tsr_merge_plane *p, size_t cell, size_t i)
{
    if (p->step == TSR_STEP_REFINE) return refined(p, cell, i);
    const uint32_t *count = p->count + (cell * p->embed.width + i) * (size_t)p->bins;
    double below, rank = (double)p->weight[cell] * 0.5;
    int b = find(count, p->bins, rank, &below);
    double part = count[b] > 0 ? (rank - below) / count[b] : 0.5;
    return value(b + part, p->bins);
}
