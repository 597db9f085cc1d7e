/* conv_walk.h - how convolutions walk over output positions and kernel taps. Private to ops/. */
#ifndef TSR_OPS_CONV_WALK_H
#define TSR_OPS_CONV_WALK_H

#include "ops/window.h"

/* One place of the kernel: input = output * stride + shift, inside the input for lo <= output < hi. */
struct tsr_tap {
    int64_t shift[3], lo[3], hi[3];
};

static inline void tsr_tap_init(const struct tsr_window *w, int64_t index, struct tsr_tap *t)
{
    for (int d = 2; d >= 0; d--) {
        int64_t k = index % w->kernel[d];
        index /= w->kernel[d];
        t->shift[d] = k * w->dilation[d] - w->pad[d];
        tsr_window_valid(w, d, k, &t->lo[d], &t->hi[d]);
    }
}

/* Consecutive output positions [j, j + n) within one row of the output; n == 0 at the end. */
struct tsr_row_run {
    int64_t j, end, n;
    int64_t od, oh, ow;
};

static inline void tsr_row_run_size(const struct tsr_window *w, struct tsr_row_run *u)
{
    int64_t left = u->end - u->j, room = w->out[2] - u->ow;
    u->n = left < room ? left : room;
}
static inline void tsr_row_run_first(const struct tsr_window *w, int64_t j0, int64_t j1, struct tsr_row_run *u)
{
    int64_t row = j0 / w->out[2];
    *u = (struct tsr_row_run){.j = j0, .end = j1, .od = row / w->out[1], .oh = row % w->out[1], .ow = j0 % w->out[2]};
    tsr_row_run_size(w, u);
}
static inline void tsr_row_run_next(const struct tsr_window *w, struct tsr_row_run *u)
{
    u->j += u->n;
    u->ow = 0;
    if (++u->oh == w->out[1]) u->oh = 0, u->od++;
    tsr_row_run_size(w, u);
}

/* The input that the tap reads for position i of the run is at[i * stride], for a <= i < b; the
 * others lie outside. Returns `at` as an offset into the channel (meaningless where a == b). */
static inline int64_t tsr_tap_row(const struct tsr_window *w, const struct tsr_tap *t, const struct tsr_row_run *u,
                                  int64_t *a, int64_t *b)
{
    int64_t lo = t->lo[2] - u->ow, hi = t->hi[2] - u->ow;
    *a = *b = 0;
    if (u->od < t->lo[0] || u->od >= t->hi[0] || u->oh < t->lo[1] || u->oh >= t->hi[1]) return 0;
    if (lo < 0) lo = 0;
    if (lo > u->n) lo = u->n;
    if (hi > u->n) hi = u->n;
    *a = lo;
    *b = hi > lo ? hi : lo;
    return ((u->od * w->stride[0] + t->shift[0]) * w->in[1] + u->oh * w->stride[1] + t->shift[1]) * w->in[2] +
           u->ow * w->stride[2] + t->shift[2];
}

#endif
