/* panel_tile.h - the tiles of panels.c and filter.c for one instruction set. Included after
 * gemm_tile.h with the same macros and
 *   MAX(a, b) MIN(a, b)   b where one is NaN
 *   PANEL1..PANEL4        the tallest tiles of 1 to 4 vectors */

/* Sums become elements of C: row i at c + to[i], or c + i * cs where `to` is NULL; end->add alike. */
TARGET KERNEL void
finish(int mr, int nv, V sum[TSR_PANEL_ROWS][TSR_PANEL_WIDE], float *c, const int64_t *to, int64_t cs, int64_t last, bool more,
       const struct tsr_panel_end *end, int64_t skipped)
{
    int64_t at[TSR_PANEL_ROWS];
    UNROLL
    for (int i = 0; i < mr; i++) at[i] = to != NULL ? to[i] : skipped + i * cs;
    if (more) {
        EACH sum[i][j] = ADD(LOAD_AT(c + at[i]), sum[i][j]);
    }
    if (end != NULL) {
        if (end->add != NULL) {
            EACH sum[i][j] = ADD(sum[i][j], LOAD_AT(end->add + at[i]));
        }
        if (end->kind == TSR_END_RELU) {
            EACH sum[i][j] = RELU(sum[i][j]);
        } else if (end->kind == TSR_END_CLAMP) {
            V low = SET(end->low), high = SET(end->high);
            EACH sum[i][j] = MIN(high, MAX(low, sum[i][j]));
        } else if (end->kind == TSR_END_HARDSWISH) { /* x max(0, min(1, x / 6 + 1 / 2)) */
            V sixth = SET(1.0F / 6.0F), half = SET(0.5F), zero = ZERO(), one = SET(1);
            EACH sum[i][j] = MUL(sum[i][j], MAX(zero, MIN(one, ADD(MUL(sum[i][j], sixth), half))));
        }
    }
    EACH {
        if (j == nv - 1) STORE_LAST(c + at[i] + j * VL, sum[i][j], last);
        else STORE(c + at[i] + j * VL, sum[i][j]);
    }
}

/* What sums begin with. */
TARGET KERNEL void start(int nv, V first[TSR_PANEL_WIDE], const float *bias, int64_t last)
{
    UNROLL
    for (int j = 0; j < nv; j++) {
        first[j] = ZERO();
        if (bias != NULL) first[j] = j == nv - 1 ? LOAD_LAST(bias + j * VL, last) : LOAD(bias + j * VL);
    }
}

TARGET KERNEL void panel(int mr, int nv, const struct tsr_panel_tile *t)
{
    const struct tsr_run *const stop = t->run + t->runs;
    for (int64_t n = 0, done = 0; n < t->tiles; n++, done += mr) {
        const float *row[TSR_PANEL_ROWS], *b = t->b;
        V sum[TSR_PANEL_ROWS][TSR_PANEL_WIDE], first[TSR_PANEL_WIDE];
        start(nv, first, t->bias, t->last);
        UNROLL
        for (int i = 0; i < mr; i++) {
            row[i] = t->a + (t->row != NULL ? t->row[done + i] : (done + i) * t->as);
            UNROLL
            for (int j = 0; j < nv; j++) sum[i][j] = first[j];
        }
        for (const struct tsr_run *run = t->run; run < stop; run++) {
            const int64_t end = run->at + run->n;
            UNROLL_TWO
            for (int64_t p = run->at; p < end; p++, b += nv * VL) {
                V x[TSR_PANEL_WIDE];
                UNROLL
                for (int j = 0; j < nv; j++) x[j] = LOAD(b + j * VL);
                UNROLL
                for (int i = 0; i < mr; i++) {
                    V v = SET(row[i][p]);
                    UNROLL
                    for (int j = 0; j < nv; j++) sum[i][j] = FMA(v, x[j], sum[i][j]);
                }
            }
        }
        finish(mr, nv, sum, t->c, t->to != NULL ? t->to + done : NULL, t->cs, t->last, t->more, t->end, done * t->cs);
    }
}

TARGET KERNEL void filter(bool whole, int mr, int nv, const struct tsr_filter_tile *t)
{
    for (int64_t n = 0, done = 0; n < t->tiles; n++, done += mr) {
        const float *row[TSR_PANEL_ROWS], *w = t->w;
        V sum[TSR_PANEL_ROWS][TSR_PANEL_WIDE], first[TSR_PANEL_WIDE];
        start(nv, first, t->bias, t->last);
        UNROLL
        for (int i = 0; i < mr; i++) {
            row[i] = t->x + t->row[done + i];
            UNROLL
            for (int j = 0; j < nv; j++) sum[i][j] = first[j];
        }
        for (const int64_t *at = t->at, *stop = at + t->taps; at < stop; at++, w += t->step) {
            const int64_t p = *at;
            V v[TSR_PANEL_WIDE];
            UNROLL
            for (int j = 0; j < nv; j++) v[j] = LOAD(w + j * VL);
            UNROLL
            for (int i = 0; i < mr; i++) {
                UNROLL
                for (int j = 0; j < nv; j++) {
                    V x = whole || j < nv - 1 ? LOAD(row[i] + p + j * VL) : LOAD_LAST(row[i] + p + j * VL, t->last);
                    sum[i][j] = FMA(x, v[j], sum[i][j]);
                }
            }
        }
        finish(mr, nv, sum, t->y, t->to + done, 0, t->last, false, t->end, 0);
    }
}

#define PANEL(mr, nv)                                                                        \
    TARGET static void panel_##mr##_##nv(const struct tsr_panel_tile *t) { panel(mr, nv, t); } \
    TARGET static void filter_##mr##_##nv(const struct tsr_filter_tile *t)                     \
    {                                                                                        \
        if (t->last == VL) filter(true, mr, nv, t);                                          \
        else filter(false, mr, nv, t);                                                       \
    }
#define PANELS_2(nv) PANEL(1, nv) PANEL(2, nv)
#define PANELS_3(nv) PANELS_2(nv) PANEL(3, nv)
#define PANELS_4(nv) PANELS_3(nv) PANEL(4, nv)
#define PANELS_6(nv) PANELS_4(nv) PANEL(5, nv) PANEL(6, nv)
#define PANELS_8(nv) PANELS_6(nv) PANEL(7, nv) PANEL(8, nv)
#define PANELS_12(nv) PANELS_8(nv) PANEL(9, nv) PANEL(10, nv) PANEL(11, nv) PANEL(12, nv)
#define PANEL_LIST_2(kind, nv) kind##_1_##nv, kind##_2_##nv
#define PANEL_LIST_3(kind, nv) PANEL_LIST_2(kind, nv), kind##_3_##nv
#define PANEL_LIST_4(kind, nv) PANEL_LIST_3(kind, nv), kind##_4_##nv
#define PANEL_LIST_6(kind, nv) PANEL_LIST_4(kind, nv), kind##_5_##nv, kind##_6_##nv
#define PANEL_LIST_8(kind, nv) PANEL_LIST_6(kind, nv), kind##_7_##nv, kind##_8_##nv
#define PANEL_LIST_12(kind, nv) PANEL_LIST_8(kind, nv), kind##_9_##nv, kind##_10_##nv, kind##_11_##nv, kind##_12_##nv

GLUE(PANELS_, PANEL1)(1)
GLUE(PANELS_, PANEL2)(2)
GLUE(PANELS_, PANEL3)(3)
GLUE(PANELS_, PANEL4)(4)

#define PANEL_LISTS(kind)                                                                       \
    {                                                                                           \
        {GLUE(PANEL_LIST_, PANEL1)(kind, 1)}, {GLUE(PANEL_LIST_, PANEL2)(kind, 2)},             \
            {GLUE(PANEL_LIST_, PANEL3)(kind, 3)}, {GLUE(PANEL_LIST_, PANEL4)(kind, 4)}          \
    }
#define PANEL_TILES {PANEL1, PANEL2, PANEL3, PANEL4}, PANEL_LISTS(panel), PANEL_LISTS(filter)
