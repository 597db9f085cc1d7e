#include "tensor/panels.h"
#include "tensor/gemm_isa.h"
#include "tensor/vmath.h"

#include <string.h>

enum {
    BLOCK = 96,          /* rows that go through all panels together: whole tiles of any width */
    DEEP = 512, FEW = 128, /* few rows of many columns want narrow, tall tiles, which read less of B */
    TASK = 1 << 18,      /* multiplications worth a task */
    ENOUGH = 16          /* tasks for any number of threads */
};

/* Vectors of the next panel where `left` are left. Single vectors are slow: none where it can be avoided. */
static int64_t panel_vectors(int64_t left, int64_t widest)
{
    return left == 3 || (left == 5 && widest == 4) ? 3 : left < widest ? left : widest;
}

void tsr_panels_given(struct tsr_panels *p, int64_t k, int64_t n, const float *packed)
{
    *p = (struct tsr_panels){.isa = tsr_gemm_chosen(), .k = k, .n = n, .widest = TSR_PANEL_WIDE, .data = packed};
}

bool tsr_panels_current(const struct tsr_panels *p) { return p->isa == tsr_gemm_chosen(); }

int64_t tsr_panels_size(int64_t k, int64_t n)
{
    const int64_t vl = tsr_gemm_chosen()->vl;
    return (n + vl - 1) / vl * vl * k;
}

void tsr_panels_pack(struct tsr_panels *p, bool tb, int64_t k, int64_t n, const float *b, int64_t ldb, int64_t rows, float *to)
{
    const struct tsr_gemm_isa *isa = tsr_gemm_chosen();
    tsr_panels_given(p, k, n, to);
    if (k >= DEEP && rows <= FEW) p->widest = 2;
    for (int64_t j = 0, left = (n + isa->vl - 1) / isa->vl; left > 0;) {
        const int64_t nv = panel_vectors(left, p->widest), width = nv * isa->vl, real = n - j < width ? n - j : width;
        if (tb) {
            isa->transpose(k, real, b + j * ldb, ldb, to, width);
            for (int64_t q = 0; real < width && q < k; q++) /* numbers beyond the end are not stored, but may be slow */
                for (int64_t i = real; i < width; i++) to[q * width + i] = 0;
        } else {
            for (int64_t q = 0; q < k; q++) {
                memcpy(to + q * width, b + q * ldb + j, (size_t)real * sizeof *to);
                for (int64_t i = real; i < width; i++) to[q * width + i] = 0;
            }
        }
        to += k * width, j += real, left -= nv;
    }
}

int64_t tsr_runs_split(const struct tsr_run *run, int64_t n, struct tsr_run *to)
{
    int64_t made = 0, column = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t at = run[i].at, left = run[i].n; left > 0;) {
            const int64_t room = TSR_PANEL_KC - column % TSR_PANEL_KC, some = left < room ? left : room;
            to[made++] = (struct tsr_run){at, some};
            at += some, left -= some, column += some;
        }
    return made;
}

/* One panel of B: columns [j, j + nv vectors) of C. */
struct panel {
    const float *b;
    int64_t j, nv, last;
};

/* `tiles` times `mr` rows from row i of the block on, over columns of A that t describes. */
static void run_tiles(const struct tsr_gemm_isa *isa, struct tsr_panel_tile *t, const struct tsr_panel_rows *r, const struct panel *p,
                      int64_t i, int64_t mr, int64_t tiles, const struct tsr_panel_end *end)
{
    struct tsr_panel_end here;
    const int64_t c = p->j + (r->to == NULL ? i * r->ldc : 0);
    if (tiles == 0) return;
    if (end != NULL) {
        here = *end;
        if (here.add != NULL) here.add += c;
    }
    t->tiles = tiles, t->end = end != NULL ? &here : NULL;
    t->a = r->a + (r->row == NULL ? i * r->lda : 0), t->row = r->row != NULL ? r->row + i : NULL;
    t->c = r->c + c, t->to = r->to != NULL ? r->to + i : NULL;
    isa->panel[p->nv - 1][mr - 1](t);
}

/* Rows of one block through one panel, TSR_PANEL_KC columns at a time, in tiles of nearly equal height. */
static void through(const struct tsr_panels *b, const struct tsr_panel_rows *r, const struct panel *p, const struct tsr_panel_end *end)
{
    const struct tsr_gemm_isa *isa = b->isa;
    const int64_t tallest = isa->panel_rows[p->nv - 1], tiles = (r->rows + tallest - 1) / tallest;
    const int64_t each = r->rows / tiles, more = r->rows % tiles;
    const struct tsr_run *run = r->run;
    int64_t done = 0;
    do {
        const struct tsr_run one = {done, b->k - done < TSR_PANEL_KC ? b->k - done : TSR_PANEL_KC};
        int64_t depth = 0, runs = 0;
        for (; run != NULL && depth < one.n; runs++) depth += run[runs].n;
        struct tsr_panel_tile t = {.as = r->lda, .cs = r->ldc, .b = p->b + done * p->nv * isa->vl, .more = done > 0, .last = p->last,
                                   .run = run != NULL ? run : &one, .runs = run != NULL ? runs : 1,
                                   .bias = done == 0 && end->bias != NULL ? end->bias + p->j : NULL};
        const struct tsr_panel_end *then = done + one.n == b->k ? end : NULL;
        run_tiles(isa, &t, r, p, 0, each + 1, more, then);
        run_tiles(isa, &t, r, p, (each + 1) * more, each, tiles - more, then);
        if (run != NULL) run += runs;
        done += one.n;
    } while (done < b->k);
}

/* What no tile does, for n columns from column j on: row by row or, where the rows of C touch, at once. */
static void apply_gelu(const struct tsr_panel_rows *r, int64_t j, int64_t n)
{
    for (int64_t i = 0, some = 1; i < r->rows; i += some, some = 1) {
        float *c = r->c + j + (r->to != NULL ? r->to[i] : i * r->ldc);
        if (r->to == NULL && r->ldc == n) some = r->rows - i;
        while (r->to != NULL && i + some < r->rows && r->to[i + some] == r->to[i] + some * n) some++;
        tsr_vgelu(some * n, c, c);
    }
}

/* Panels [from, to) of B. */
static void block(const struct tsr_panels *b, const struct tsr_panel_rows *r, const struct tsr_panel_end *end, int64_t from, int64_t to)
{
    const int64_t vl = b->isa->vl;
    struct panel p = {.b = b->data};
    int64_t first = -1, i = 0;
    for (int64_t left = (b->n + vl - 1) / vl; left > 0 && i < to; left -= p.nv, i++) {
        p.nv = panel_vectors(left, b->widest);
        const int64_t width = p.nv * vl, real = b->n - p.j < width ? b->n - p.j : width;
        p.last = real - (width - vl);
        if (i >= from) through(b, r, &p, end);
        if (i == from) first = p.j;
        p.b += b->k * width, p.j += real;
    }
    if (end->kind == TSR_END_GELU && first >= 0) apply_gelu(r, first, p.j - first);
}

static void blocks(const struct tsr_panels *b, const struct tsr_panel_rows *r, const struct tsr_panel_end *end, int64_t from, int64_t to)
{
    struct tsr_panel_rows some = *r;
    struct tsr_panel_end here = *end;
    if (b->n == 0) return;
    for (int64_t left = r->rows; left > 0; left -= BLOCK) {
        some.rows = left < BLOCK ? left : BLOCK;
        block(b, &some, &here, from, to);
        if (some.row != NULL) some.row += BLOCK;
        else some.a += BLOCK * some.lda;
        if (some.to != NULL) some.to += BLOCK;
        else some.c += BLOCK * some.ldc;
        if (some.to == NULL && here.add != NULL) here.add += BLOCK * some.ldc;
    }
}

void tsr_panels_rows(const struct tsr_panels *b, const struct tsr_panel_rows *r, const struct tsr_panel_end *end)
{
    blocks(b, r, end, 0, INT64_MAX);
}

struct job {
    const struct tsr_panels *b;
    const struct tsr_panel_rows *all;
    const struct tsr_panel_end *end;
    int64_t rows, panels; /* of a task */
    int64_t across;       /* tasks side by side */
};

static void task(void *arg, int64_t i, int worker)
{
    const struct job *job = arg;
    const int64_t first = i / job->across * job->rows, panel = i % job->across * job->panels;
    struct tsr_panel_rows r = *job->all;
    struct tsr_panel_end end = *job->end;
    (void)worker;
    r.rows = r.rows - first < job->rows ? r.rows - first : job->rows;
    r.a += first * r.lda, r.c += first * r.ldc;
    if (end.add != NULL) end.add += first * r.ldc;
    blocks(job->b, &r, &end, panel, panel + job->panels);
}

static int64_t count_panels(const struct tsr_panels *b)
{
    int64_t n = 0;
    for (int64_t left = (b->n + b->isa->vl - 1) / b->isa->vl; left > 0; n++) left -= panel_vectors(left, b->widest);
    return n;
}

void tsr_panels_run(const struct tsr_panels *b, int64_t m, const float *a, int64_t lda, float *c, int64_t ldc,
                    const struct tsr_panel_end *end, struct tsr_pool *pool)
{
    const struct tsr_panel_rows all = {.a = a, .c = c, .lda = lda, .ldc = ldc, .rows = m};
    struct job job = {.b = b, .all = &all, .end = end, .across = 1, .panels = INT64_MAX};
    if (m <= 0 || b->n <= 0) return;
    const double work = (double)m * (double)b->n * (double)b->k;
    const int64_t tasks = pool != NULL ? (int64_t)(work / TASK) + 1 : 1;
    job.rows = ((m + tasks - 1) / tasks + BLOCK - 1) / BLOCK * BLOCK;
    const int64_t down = (m + job.rows - 1) / job.rows;
    if (down < ENOUGH && tasks > down) { /* too few rows to share out: columns too */
        const int64_t panels = count_panels(b), across = tasks / down < ENOUGH ? tasks / down : ENOUGH;
        job.panels = (panels + across - 1) / across;
        job.across = (panels + job.panels - 1) / job.panels;
    }
    tsr_pool_run(pool, down * job.across, task, &job);
}
