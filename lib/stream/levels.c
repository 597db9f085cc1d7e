#include "stream/levels.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define BINS 256
#define INNER 15    /* levels below the maximum's own */
#define WARM 0.1    /* share of the weight that the softmax at temperature 2 has */

void tsr_levels_square(float floor, struct tsr_levels *out)
{
    out->n = 256;
    for (int k = 0; k < 256; k++) {
        double t = 1.0 - k / 255.0;
        out->level[k] = (float)((double)floor * t * t);
    }
    out->level[255] = 0.0f; /* not -0 */
}

/* Bins are narrow near 0, where differences matter: bin b ends at floor * (1 - (b+1)/BINS)^2. */
static float bin_end(int b)
{
    double t = 1.0 - (b + 1.0) / BINS;
    return (float)(TSR_LEVELS_FLOOR * t * t);
}

static int bin_of(float d)
{
    double t = 1.0 - sqrt((double)d / (double)TSR_LEVELS_FLOOR);
    int b = (int)(t * BINS);
    if (b < 0) b = 0;
    if (b >= BINS) b = BINS - 1;
    while (b > 0 && d <= bin_end(b - 1)) b--;
    while (b < BINS - 1 && d > bin_end(b)) b++;
    return b;
}

/* Prefix sums over bins: counts, weights, weighted first and second moments. */
struct histogram {
    double n[BINS + 1], w[BINS + 1], wx[BINS + 1], wxx[BINS + 1];
};

static void count_row(const float *d, size_t cols, struct histogram *h)
{
    double sum = 0, warm = 0;
    for (size_t j = 0; j < cols; j++) {
        sum += exp((double)d[j]);
        warm += exp(0.5 * (double)d[j]);
    }
    bool top_seen = false;
    for (size_t j = 0; j < cols; j++) {
        if (d[j] == 0.0f && !top_seen) {
            top_seen = true; /* takes the last level, costs nothing */
            continue;
        }
        int b = bin_of(d[j]) + 1;
        double x = d[j], w = exp(x) / sum + WARM * exp(0.5 * x) / warm;
        h->n[b] += 1;
        h->w[b] += w;
        h->wx[b] += w * x;
        h->wxx[b] += w * x * x;
    }
}

/* cost[a][b]: of one level for bins a .. b-1, as distortion and as bits. */
struct plan {
    struct histogram h;
    float distortion[BINS][BINS + 1], bits[BINS][BINS + 1];
    double best[INNER + 1][BINS + 1];
    int16_t from[INNER + 1][BINS + 1];
};

static void tabulate(struct plan *p, double rows)
{
    const struct histogram *h = &p->h;
    double total = h->n[BINS] + rows;
    for (int a = 0; a < BINS; a++)
        for (int b = a + 1; b <= BINS; b++) {
            double n = h->n[b] - h->n[a], w = h->w[b] - h->w[a], wx = h->wx[b] - h->wx[a];
            double sse = w > 0 ? h->wxx[b] - h->wxx[a] - wx * wx / w : 0;
            p->distortion[a][b] = (float)(sse > 0 ? sse : 0);
            p->bits[a][b] = (float)(n > 0 ? n * log2(total / n) : 0);
        }
}

/* The best cut into at most INNER intervals at this price of a bit; returns the bits. */
static double cut(struct plan *p, double lambda, int edge[INNER + 1], int *levels)
{
    for (int b = 0; b <= BINS; b++) p->best[0][b] = b == 0 ? 0 : INFINITY;
    for (int k = 1; k <= INNER; k++)
        for (int b = 0; b <= BINS; b++) {
            p->best[k][b] = INFINITY;
            p->from[k][b] = 0;
            for (int a = 0; a < b; a++) {
                double c = p->best[k - 1][a] + (double)p->distortion[a][b] + lambda * (double)p->bits[a][b];
                if (c < p->best[k][b]) {
                    p->best[k][b] = c;
                    p->from[k][b] = (int16_t)a;
                }
            }
        }
    int k = 1;
    for (int i = 2; i <= INNER; i++)
        if (p->best[i][BINS] < p->best[k][BINS]) k = i;
    *levels = k;
    double bits = 0;
    edge[k] = BINS;
    for (int i = k; i > 0; i--) {
        edge[i - 1] = p->from[i][edge[i]];
        bits += (double)p->bits[edge[i - 1]][edge[i]];
    }
    return bits;
}

static void take(const struct plan *p, const int edge[INNER + 1], int levels, struct tsr_levels *out,
                 float limit[INNER])
{
    const struct histogram *h = &p->h;
    int skip = INNER - levels; /* unused codes are the lowest */
    for (int k = 0; k < levels; k++) {
        int a = edge[k], b = edge[k + 1];
        double w = h->w[b] - h->w[a], wx = h->wx[b] - h->wx[a];
        out->level[skip + k] = w > 0 ? (float)(wx / w) : bin_end(b - 1);
        limit[skip + k] = k == levels - 1 ? 0.0f : bin_end(b - 1);
    }
    for (int k = 0; k < skip; k++) {
        out->level[k] = out->level[skip];
        limit[k] = -INFINITY;
    }
    for (int k = 1; k < INNER; k++)
        if (out->level[k] < out->level[k - 1]) out->level[k] = out->level[k - 1];
    out->n = INNER + 1;
    out->level[INNER] = 0.0f;
}

enum tsr_status tsr_levels_fit(const float *d, size_t rows, size_t cols, double bits, struct tsr_levels *out,
                               float limit[INNER], struct tsr_error *err)
{
    struct plan *p = tsr_calloc(1, sizeof *p);
    if (p == NULL) return tsr_nomem(err, sizeof *p);
    for (size_t r = 0; r < rows; r++) count_row(d + r * cols, cols, &p->h);
    for (int b = 0; b < BINS; b++) {
        p->h.n[b + 1] += p->h.n[b];
        p->h.w[b + 1] += p->h.w[b];
        p->h.wx[b + 1] += p->h.wx[b];
        p->h.wxx[b + 1] += p->h.wxx[b];
    }
    tabulate(p, (double)rows);

    int edge[INNER + 1], levels;
    double total = (double)rows * (double)cols, top = (double)rows * log2((double)cols);
    double budget = bits * total - top;
    if (cut(p, 0, edge, &levels) > budget) {
        double low = 0, high = 1e-6; /* nats a bit */
        while (high < 1 && cut(p, high, edge, &levels) > budget) low = high, high *= 4;
        for (int i = 0; i < 10; i++) {
            double mid = 0.5 * (low + high);
            if (cut(p, mid, edge, &levels) > budget)
                low = mid;
            else
                high = mid;
        }
        (void)cut(p, high, edge, &levels);
    }
    take(p, edge, levels, out, limit);
    tsr_free(p);
    return TSR_OK;
}
