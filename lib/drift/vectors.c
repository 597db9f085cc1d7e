#include "drift/vectors.h"

#include <math.h>
#include <string.h>

enum tsr_status tsr_vectors_init(struct tsr_vectors *s, size_t ref_cols, size_t cols, bool paired, struct tsr_error *err)
{
    *s = (struct tsr_vectors){.cols = {ref_cols, cols}, .paired = paired && ref_cols == cols};
    s->exact = s->paired;
    tsr_sketch_init(&s->sketch, ref_cols, cols);
    if (!s->paired) return TSR_OK;
    TSR_TRY(tsr_moments_init(&s->moments[0], (int64_t)cols, err));
    return tsr_moments_init(&s->moments[1], (int64_t)cols, err);
}

void tsr_vectors_release(struct tsr_vectors *s)
{
    tsr_sketch_release(&s->sketch);
    tsr_moments_release(&s->moments[0]);
    tsr_moments_release(&s->moments[1]);
    *s = (struct tsr_vectors){0};
}

static void compare(const float *x, const float *y, size_t n, struct tsr_vectors_row *row)
{
    double xx = 0, yy = 0, xy = 0, noise = 0;
    for (size_t i = 0; i < n; i++) {
        double a = (double)x[i], b = (double)y[i];
        xx += a * a;
        yy += b * b;
        xy += a * b;
        noise += (a - b) * (a - b);
    }
    double norm = sqrt(xx) * sqrt(yy), cosine = norm > 0 ? xy / norm : xx == yy;
    if (noise == 0 || cosine > 1) cosine = 1;
    *row = (struct tsr_vectors_row){.signal = xx, .noise = noise, .cosine = cosine < -1 ? -1 : cosine};
}

enum tsr_status tsr_vectors_add(struct tsr_vectors *s, const struct tsr_key *key, bool kept, const float *ref,
                              const float *x, struct tsr_vectors_row *row, struct tsr_error *err)
{
    *row = (struct tsr_vectors_row){NAN, NAN, NAN};
    s->rows++;
    if (s->paired) {
        compare(ref, x, s->cols[0], row);
        if (row->noise != 0) s->exact = false;
        tsr_moments_add(&s->moments[0], ref);
        tsr_moments_add(&s->moments[1], x);
    }
    return kept ? tsr_sketch_add(&s->sketch, key, ref, x, err) : TSR_OK;
}

/* Equal vectors have these values by definition; rounding is not to hide it. */
static void set_exact(struct tsr_vectors *s)
{
    if (s->alignment.rows > 0) {
        if (!isnan(s->alignment.cka)) s->alignment.cka = 1;
        s->alignment.cka_error = s->alignment.neighbours_error = 0;
        s->alignment.neighbours = 1;
    }
    s->gaussian = (struct tsr_gaussian){0};
}

enum tsr_status tsr_vectors_finish(struct tsr_vectors *s, struct tsr_error *err)
{
    size_t slot[TSR_SKETCH_ROWS], n = s->sketch.rows;
    if (s->finished) return TSR_OK;
    s->finished = true;
    tsr_sketch_sort(&s->sketch);
    for (size_t i = 0; i < n; i++) slot[i] = s->sketch.heap[i].slot;
    if (n >= TSR_ALIGNMENT_MIN)
        TSR_TRY(tsr_alignment(s->sketch.x[0], s->cols[0], s->sketch.x[1], s->cols[1], slot, n, &s->alignment, err));
    s->gaussian = (struct tsr_gaussian){NAN, NAN, NAN, NULL, NULL};
    if (s->paired && s->rows >= 2)
        TSR_TRY(tsr_gaussian_compare(&s->moments[0], &s->moments[1], s->closed, &s->gaussian, err));
    if (s->exact && s->rows > 0) set_exact(s);
    return TSR_OK;
}
