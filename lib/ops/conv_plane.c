#include "ops/conv_plane.h"
#include "base/mem.h"

#include <string.h>

static void offsets(struct tsr_plane *g, int64_t taps)
{
    const struct tsr_window *w = g->w;
    g->at = (int64_t *)(void *)(g->phase + g->n_phase), g->tap = g->at + taps, g->back = g->at + 2 * taps, g->phase_taps = g->at + 3 * taps;
    int64_t n = 0;
    for (int64_t f = 0; f < g->n_phase; f++) {
        g->phase_taps[f] = 0;
        for (int64_t t = 0; t < taps; t++) {
            int64_t o2 = t % w->kernel[2] * w->dilation[2], o1 = t / w->kernel[2] % w->kernel[1] * w->dilation[1];
            int64_t o0 = t / w->kernel[2] / w->kernel[1] * w->dilation[0];
            int64_t shift = (o0 / w->stride[0] * g->q[1] + o1 / w->stride[1]) * g->q[2] + o2 / w->stride[2];
            if ((o0 % w->stride[0] * w->stride[1] + o1 % w->stride[1]) * w->stride[2] + o2 % w->stride[2] != f) continue;
            g->at[t] = f * g->size + shift;
            g->tap[n] = t;
            g->back[n++] = -shift;
            g->phase_taps[f]++;
            if (shift > g->margin) g->margin = shift;
        }
    }
}

/* Coordinates i in [lo, hi) with (i + pad) % stride == p: the first, their number, the place of the
 * first in its phase. */
static int64_t remainder_of(const struct tsr_plane *g, int d, int64_t p, int64_t *first, int64_t *place)
{
    int64_t s = g->w->stride[d], lo = g->lo[d], pad = g->w->pad[d];
    *first = lo + ((p - lo - pad) % s + s) % s;
    *place = (*first + pad) / s;
    return *first >= g->hi[d] ? 0 : (g->hi[d] - *first + s - 1) / s;
}

static void phases(struct tsr_plane *g)
{
    const struct tsr_window *w = g->w;
    const int64_t *s = w->stride;
    for (int64_t f = 0; f < g->n_phase; f++) {
        int64_t first[3], place[3], p[3] = {f / s[2] / s[1], f / s[2] % s[1], f % s[2]};
        struct tsr_phase *h = &g->phase[f];
        for (int d = 0; d < 3; d++) h->n[d] = remainder_of(g, d, p[d], &first[d], &place[d]);
        h->from = (first[0] * w->in[1] + first[1]) * w->in[2] + first[2];
        h->to = f * g->size + (place[0] * g->q[1] + place[1]) * g->q[2] + place[2];
    }
}

enum tsr_status tsr_plane_init(struct tsr_op_ctx *ctx, const struct tsr_window *w, struct tsr_plane *g)
{
    double elements = 1;
    *g = (struct tsr_plane){.w = w, .size = 1, .n_phase = 1, .covers = true};
    for (int d = 0; d < 3; d++) {
        int64_t reach = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
        g->q[d] = (reach + w->stride[d] - 1) / w->stride[d];
        elements *= (double)g->q[d] * (double)w->stride[d];
        if (elements > 1e12) return tsr_op_fail(ctx, TSR_E_LIMIT, "the padded input is too large");
        g->size *= g->q[d];
        g->n_phase *= w->stride[d];
        g->lo[d] = w->pad[d] < 0 ? -w->pad[d] : 0;
        g->hi[d] = reach - w->pad[d] < w->in[d] ? reach - w->pad[d] : w->in[d];
        g->covers = g->covers && g->lo[d] == 0 && g->hi[d] == w->in[d];
    }
    g->all = (g->size * g->n_phase + TSR_PLANE_SLACK + 15) / 16 * 16;
    g->length = ((w->out[0] - 1) * g->q[1] + w->out[1] - 1) * g->q[2] + w->out[2];
    g->table_bytes = (size_t)(3 * w->kernel_size + g->n_phase) * sizeof(int64_t) + (size_t)g->n_phase * sizeof *g->phase;
    g->table = tsr_op_scratch(ctx, g->table_bytes);
    if (g->table == NULL) return tsr_nomem(ctx->err, g->table_bytes);
    g->phase = g->table;
    offsets(g, w->kernel_size);
    phases(g);
    return TSR_OK;
}

void tsr_plane_release(struct tsr_op_ctx *ctx, struct tsr_plane *g)
{
    tsr_op_scratch_free(ctx, g->table, g->table_bytes);
    g->table = NULL;
}
