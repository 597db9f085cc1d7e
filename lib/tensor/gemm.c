#include "tensor/gemm_isa.h"
#include "tensor/vmath.h"

#include <stdatomic.h>
#include <string.h>

enum {
    PANEL = 64,      /* columns of the largest packed panel of B */
    LANE = 16,       /* stride of packed rows of A: at least the tallest tile */
    FEW = 12,        /* columns that are better made rows */
    TALL = 16        /* packed tiles of A: they stay in the second-level cache */
};

const struct tsr_gemm_isa *const tsr_gemm_isas[] = {
#if defined(__x86_64__)
    &tsr_gemm_avx512,
    &tsr_gemm_avx2,
#elif defined(__aarch64__)
    &tsr_gemm_neon,
#endif
    &tsr_gemm_portable,
    NULL,
};

static _Atomic(const struct tsr_gemm_isa *) chosen;

const struct tsr_gemm_isa *tsr_gemm_chosen(void)
{
    const struct tsr_gemm_isa *isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (isa != NULL) return isa;
    int i = 0;
    while (!tsr_gemm_isas[i]->runs()) i++; /* the portable one always does */
    atomic_store_explicit(&chosen, tsr_gemm_isas[i], memory_order_relaxed);
    return tsr_gemm_isas[i];
}

const char *tsr_gemm_kernel_name(int i) { return tsr_gemm_isas[i] != NULL ? tsr_gemm_isas[i]->name : NULL; }
bool tsr_gemm_kernel_runs(int i) { return tsr_gemm_isas[i]->runs(); }
const char *tsr_gemm_kernel(void) { return tsr_gemm_chosen()->name; }

enum tsr_status tsr_gemm_use(const char *name, struct tsr_error *err)
{
    for (int i = 0; tsr_gemm_isas[i] != NULL; i++)
        if (strcmp(tsr_gemm_isas[i]->name, name) == 0 && tsr_gemm_isas[i]->runs()) {
            atomic_store_explicit(&chosen, tsr_gemm_isas[i], memory_order_relaxed);
            return TSR_OK;
        }
    return tsr_fail(err, TSR_E_USAGE, "there is no matrix kernel '%s' for this machine", name);
}

/* The panel of B with rows [p, p + k) and columns [j, j + n), filled up to whole
 * vectors with numbers that do not matter. */
static const float *pack(const struct tsr_gemm_isa *isa, const struct tsr_gemm *g, const float *b, int64_t p, int64_t k,
                         int64_t j, int64_t n, int64_t width, float *to)
{
    if (g->tb) {
        isa->transpose(k, n, b + j * g->ldb + p, g->ldb, to, width);
        return to;
    }
    for (int64_t q = 0; q < k; q++) {
        const float *from = b + (p + q) * g->ldb + j;
        for (int64_t i = 0; i < n; i++) to[q * width + i] = from[i];
        for (int64_t i = n; i < width; i++) to[q * width + i] = 0;
    }
    return to;
}

/* Rows [i0, i1) of the panel: tiles of nearly equal height. */
static void tiles(const struct tsr_gemm_isa *isa, const struct tsr_gemm *g, int log_nv, int64_t k, const float *a,
                  const float *b, int64_t bs, float *c, int64_t i0, int64_t i1, int64_t last, bool final,
                  struct tsr_tile_end *end)
{
    int64_t rows = i1 - i0, n = (rows + isa->rows[log_nv] - 1) / isa->rows[log_nv], each = rows / n, more = rows % n;
    int64_t step_a = g->ta ? 1 : g->lda;
    tsr_tile_fn *const *fn = isa->tile[g->ta][log_nv];
    for (int64_t t = 0, i = i0; t < n; t++) {
        int64_t mr = each + (t < more);
        end->bias_m = final && g->bias_m != NULL ? g->bias_m + i : NULL;
        fn[mr - 1](k, a + i * step_a, g->lda, b, bs, c + i * g->ldc, g->ldc, last, end);
        i += mr;
    }
}

/* Rows [i0, i1) and columns [j0, j1) of one product, A and, where it can be, B in place. */
static void direct(const struct tsr_gemm_isa *isa, const struct tsr_gemm *g, const float *a, const float *b, float *c,
                   int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    _Alignas(64) float packed[TSR_GEMM_KC * PANEL];
    int64_t vl = isa->vl, step_a = g->ta ? g->lda : 1, p = 0;
    /* Few rows: wider panels, so that enough sums are under way. */
    int widest = isa->wide == 1 ? 0 : isa->wide == 2 ? 1 : 2;
    if (widest < 2 && i1 - i0 <= isa->rows[2]) widest = 2;
    if (widest < 3 && i1 - i0 <= isa->rows[3] && !g->tb) widest = 3;
    do {
        int64_t k = g->k - p < TSR_GEMM_KC ? g->k - p : TSR_GEMM_KC;
        bool final = p + k == g->k;
        struct tsr_tile_end end = {.alpha = g->alpha, .beta = p == 0 ? g->beta : 1, .relu = g->relu && final};
        for (int64_t j = j0; j < j1;) {
            int64_t vectors = (j1 - j + vl - 1) / vl, log_nv = widest;
            while ((1 << log_nv) > vectors) log_nv--;
            int64_t width = (INT64_C(1) << log_nv) * vl, n = width < j1 - j ? width : j1 - j, bs = g->ldb;
            const float *panel = b + p * g->ldb + j;
            if (g->tb || (n < width && !isa->masks)) {
                panel = pack(isa, g, b, p, k, j, n, width, packed);
                bs = width;
            }
            end.bias_n = final && g->bias_n != NULL ? g->bias_n + j : NULL;
            tiles(isa, g, (int)log_nv, k, a + p * step_a, panel, bs, c + j, i0, i1, n - (width - vl), final, &end);
            j += n;
        }
        p += k;
    } while (p < g->k);
}

/* to[q * LANE + x] = from[q * fs + x] for x < m. */
static void pack_columns(int64_t k, int64_t m, const float *from, int64_t fs, float *to)
{
    if (m == 14) /* sizes known to the compiler are a few moves */
        for (int64_t q = 0; q < k; q++) memcpy(to + q * LANE, from + q * fs, 14 * sizeof *to);
    else if (m == 6)
        for (int64_t q = 0; q < k; q++) memcpy(to + q * LANE, from + q * fs, 6 * sizeof *to);
    else
        for (int64_t q = 0; q < k; q++)
            for (int64_t x = 0; x < m; x++) to[q * LANE + x] = from[q * fs + x];
}

/* The same for large operands: A and B are packed, block by block, so that every line of memory
 * is read once and in order. Sums as in direct(). */
static void blocked(const struct tsr_gemm_isa *isa, const struct tsr_gemm *g, const float *a, const float *b, float *c,
                    int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    _Alignas(64) float packed[TSR_GEMM_KC * PANEL], rows[TALL * TSR_GEMM_KC * LANE];
    int widest = isa->wide == 1 ? 0 : isa->wide == 2 ? 1 : 2;
    int64_t vl = isa->vl, mr = isa->rows[widest], tall = mr * TALL;
    for (int64_t p = 0; p < g->k; p += TSR_GEMM_KC) {
        int64_t k = g->k - p < TSR_GEMM_KC ? g->k - p : TSR_GEMM_KC;
        bool final = p + k == g->k;
        struct tsr_tile_end end = {.alpha = g->alpha, .beta = p == 0 ? g->beta : 1, .relu = g->relu && final};
        for (int64_t i = i0; i < i1; i += tall) {
            int64_t end_i = i + tall < i1 ? i + tall : i1;
            for (int64_t r = i, t = 0; r < end_i; r += mr, t++) {
                float *to = rows + t * TSR_GEMM_KC * LANE;
                int64_t m = end_i - r < mr ? end_i - r : mr;
                if (!g->ta) isa->transpose(k, m, a + r * g->lda + p, g->lda, to, LANE);
                else pack_columns(k, m, a + p * g->lda + r, g->lda, to);
            }
            for (int64_t j = j0; j < j1;) {
                int64_t vectors = (j1 - j + vl - 1) / vl, log_nv = widest;
                while ((1 << log_nv) > vectors) log_nv--;
                int64_t width = (INT64_C(1) << log_nv) * vl, n = width < j1 - j ? width : j1 - j;
                pack(isa, g, b, p, k, j, n, width, packed);
                end.bias_n = final && g->bias_n != NULL ? g->bias_n + j : NULL;
                for (int64_t r = i, t = 0; r < end_i; r += mr, t++) {
                    int64_t m = end_i - r < mr ? end_i - r : mr;
                    end.bias_m = final && g->bias_m != NULL ? g->bias_m + r : NULL;
                    isa->tile[1][log_nv][m - 1](k, rows + t * TSR_GEMM_KC * LANE, LANE, packed, width, c + r * g->ldc + j,
                                                g->ldc, n - (width - vl), &end);
                }
                j += n;
            }
        }
    }
}

/* Few columns, A transposed: C' = B' A' has long rows, where C would leave vectors empty. The sums
 * are the same, the result is turned. Where beta is 0 and the bias is one of the two. */
static void turned(const struct tsr_gemm_isa *isa, const struct tsr_gemm *g, const float *a, const float *b, float *c,
                   int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    _Alignas(64) float sums[FEW * PANEL], rows[PANEL * LANE];
    struct tsr_gemm t = *g;
    int64_t n = j1 - j0;
    t.ta = !g->tb, t.tb = false, t.lda = g->ldb, t.ldb = g->lda, t.ldc = PANEL, t.m = n;
    t.bias_m = g->bias_n != NULL ? g->bias_n + j0 : NULL;
    for (int64_t i = i0; i < i1; i += PANEL) {
        int64_t m = i1 - i < PANEL ? i1 - i : PANEL;
        t.bias_n = g->bias_m != NULL ? g->bias_m + i : NULL;
        direct(isa, &t, b + (g->tb ? j0 * g->ldb : j0), a + i, sums, 0, n, 0, m);
        isa->transpose(m, n, sums, PANEL, rows, LANE);
        for (int64_t r = 0; r < m; r++)
            for (int64_t j = 0; j < n; j++) c[(i + r) * g->ldc + j0 + j] = rows[r * LANE + j];
    }
}

static void block(const struct tsr_gemm *g, const float *a, const float *b, float *c, int64_t i0, int64_t i1, int64_t j0,
                  int64_t j1)
{
    const struct tsr_gemm_isa *isa = tsr_gemm_chosen();
    /* Packing pays once A is used often and no longer stays in the cache. */
    if (j1 - j0 >= 192 && i1 - i0 >= 64 && g->k >= 64 && (i1 - i0) * g->k > 65536) blocked(isa, g, a, b, c, i0, i1, j0, j1);
    else if (g->ta && j1 - j0 <= FEW && i1 - i0 >= 48 && g->beta == 0 && (g->bias_n == NULL || g->bias_m == NULL))
        turned(isa, g, a, b, c, i0, i1, j0, j1);
    else direct(isa, g, a, b, c, i0, i1, j0, j1);
    for (int64_t i = i0; g->gelu && i < i1; i++) tsr_vgelu(j1 - j0, c + i * g->ldc + j0, c + i * g->ldc + j0);
}

static void whole(const struct tsr_gemm *g, int64_t x)
{
    block(g, g->a + x * g->stride_a, g->b + x * g->stride_b, g->c + x * g->stride_c, 0, g->m, 0, g->n);
}

/* How a product is cut for the pool; the bits do not depend on it. */
struct cut {
    const struct tsr_gemm *g;
    int64_t rows, columns, down, right; /* of a chunk; chunks of one product */
    int64_t products, groups;           /* products of the batch in a task, and such tasks */
};

static void task(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct cut *t = arg;
    const struct tsr_gemm *g = t->g;
    if (t->groups > 1) {
        int64_t last = (i + 1) * t->products < g->batch ? (i + 1) * t->products : g->batch;
        for (int64_t x = i * t->products; x < last; x++) whole(g, x);
        return;
    }
    int64_t i0 = i / t->right * t->rows, j0 = i % t->right * t->columns;
    int64_t i1 = i0 + t->rows < g->m ? i0 + t->rows : g->m, j1 = j0 + t->columns < g->n ? j0 + t->columns : g->n;
    block(g, g->a, g->b, g->c, i0, i1, j0, j1);
}

void tsr_gemm_run(const struct tsr_gemm *g, struct tsr_pool *pool)
{
    const double least = 1 << 18; /* multiplications worth a task */
    int64_t batch = g->batch > 1 ? g->batch : 1;
    double work = (double)g->m * (double)g->n * (double)g->k;
    if (g->m <= 0 || g->n <= 0) return;
    if (pool == NULL || work * (double)batch < 2 * least) {
        for (int64_t x = 0; x < batch; x++) whole(g, x);
        return;
    }
    struct cut t = {.g = g, .rows = g->m, .columns = g->n, .down = 1, .right = 1, .products = 1, .groups = 1};
    if (batch > 1) {
        t.products = work < least ? (int64_t)(least / (work + 1)) + 1 : 1;
        t.groups = (batch + t.products - 1) / t.products;
        if (t.groups == 1) t.groups = 2, t.products = batch; /* one task takes all */
        tsr_pool_run(pool, (batch + t.products - 1) / t.products, task, &t);
        return;
    }
    /* Tall products in bands of rows, wide ones in bands of columns: whole tiles of any kernel. */
    int64_t bands = (int64_t)(work / least);
    if (bands > 64) bands = 64;
    if (g->m >= g->n || g->m >= 336) t.rows = ((g->m + bands - 1) / bands + 83) / 84 * 84;
    else t.columns = ((g->n + bands - 1) / bands + 63) / 64 * 64;
    t.down = (g->m + t.rows - 1) / t.rows;
    t.right = (g->n + t.columns - 1) / t.columns;
    tsr_pool_run(pool, t.down * t.right, task, &t);
}

void tsr_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    const struct tsr_gemm g = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta, .a = a,
                               .b = b, .c = c, .lda = lda, .ldb = ldb, .ldc = ldc};
    if (m > 0 && n > 0) block(&g, a, b, c, 0, m, 0, n);
}

void tsr_gemm_transpose(int64_t k, int64_t n, const float *from, int64_t fs, float *to, int64_t ts)
{
    tsr_gemm_chosen()->transpose(k, n, from, fs, to, ts);
}
