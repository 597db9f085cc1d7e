/* The matrix kernels: every instruction set this machine has against sums in double; the bits do
 * not depend on how a product is cut, transposed or threaded, nor on which kernel with FMA ran. */
#include "suite.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/gemm.h"

struct product {
    struct tsr_gemm g;
    float *a, *b, *c, *start, *bias_n, *bias_m;
    size_t na, nb, nc;
};

static float *numbers(size_t n, uint64_t stream)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 77, stream);
    float *p = tsr_malloc(n, sizeof *p); /* no slack: a sanitizer sees a read beyond the end */
    ck_assert(p != NULL);
    for (size_t i = 0; i < n; i++) p[i] = tsr_rng_float(&r) * 2 - 1;
    return p;
}

/* Rows `pad` longer than they need be; the batch one matrix after the other. */
static void make(struct product *t, int m, int n, int k, bool ta, bool tb, int pad, int batch)
{
    memset(t, 0, sizeof *t);
    t->g = (struct tsr_gemm){.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .alpha = 1, .batch = batch};
    t->g.lda = (ta ? m : k) + pad, t->g.ldb = (tb ? k : n) + pad, t->g.ldc = n + pad;
    t->g.stride_a = t->g.lda * (ta ? k : m), t->g.stride_b = t->g.ldb * (tb ? n : k), t->g.stride_c = t->g.ldc * m;
    t->na = (size_t)(t->g.stride_a * batch), t->nb = (size_t)(t->g.stride_b * batch), t->nc = (size_t)(t->g.stride_c * batch);
    t->a = numbers(t->na, 1), t->b = numbers(t->nb, 2), t->start = numbers(t->nc, 3), t->c = numbers(t->nc, 3);
    t->bias_n = numbers((size_t)n, 4), t->bias_m = numbers((size_t)m, 5);
    t->g.a = t->a, t->g.b = t->b, t->g.c = t->c;
}

static void drop(struct product *t)
{
    tsr_free(t->a), tsr_free(t->b), tsr_free(t->c), tsr_free(t->start), tsr_free(t->bias_n), tsr_free(t->bias_m);
}

static void run(struct product *t, struct tsr_pool *pool)
{
    memcpy(t->c, t->start, t->nc * sizeof *t->c);
    tsr_gemm_run(&t->g, pool);
}

static void check(struct product *t)
{
    const struct tsr_gemm *g = &t->g;
    run(t, NULL);
    for (int64_t x = 0; x < (g->batch > 1 ? g->batch : 1); x++)
        for (int64_t i = 0; i < g->m; i++)
            for (int64_t j = 0; j < g->ldc; j++) {
                int64_t at = x * g->stride_c + i * g->ldc + j;
                double sum = 0, size = 1, got = (double)t->c[at];
                if (j >= g->n) {
                    ck_assert_msg(t->c[at] == t->start[at], "wrote beyond a row");
                    continue;
                }
                for (int64_t p = 0; p < g->k; p++) {
                    double v = (double)t->a[x * g->stride_a + (g->ta ? p * g->lda + i : i * g->lda + p)] *
                               (double)t->b[x * g->stride_b + (g->tb ? j * g->ldb + p : p * g->ldb + j)];
                    sum += v, size += fabs(v);
                }
                sum *= (double)g->alpha;
                if (g->beta != 0) sum += (double)g->beta * (double)t->start[at];
                if (g->bias_n) sum += (double)t->bias_n[j];
                if (g->bias_m) sum += (double)t->bias_m[i];
                if (g->relu && sum < 0) sum = 0;
                if (g->gelu) sum = sum / 2 * (1 + erf(sum / sqrt(2)));
                ck_assert_msg(fabs(got - sum) <= 2e-6 * size + 1e-6, "%s %lldx%lldx%lld ta %d tb %d [%lld,%lld] is %g, not %g",
                              tsr_gemm_kernel(), (long long)g->m, (long long)g->n, (long long)g->k, g->ta, g->tb,
                              (long long)i, (long long)j, got, sum);
            }
}

static const int sizes[][3] = {{1, 1, 1},    {1, 17, 3},   {2, 130, 5},  {3, 256, 7},   {4, 64, 16},   {5, 15, 33},
                               {6, 65, 8},   {7, 31, 2},   {13, 10, 40}, {14, 32, 64},  {15, 33, 9},   {16, 16, 16},
                               {29, 48, 31}, {64, 10, 28}, {43, 7, 300}, {1, 40, 520},  {17, 64, 257}, {2, 2, 0},
                               {8, 8, 8},    {12, 20, 1},  {30, 96, 4},  {70, 200, 70}, {3, 129, 11}, {77, 12, 30}, {64, 1, 270}};

static void for_every_kernel(void (*fn)(void))
{
    struct tsr_error err;
    for (int i = 0; tsr_gemm_kernel_name(i) != NULL; i++) {
        if (!tsr_gemm_kernel_runs(i)) {
            printf("skipped: kernel %s does not run on this machine\n", tsr_gemm_kernel_name(i));
            continue;
        }
        ck_assert(tsr_gemm_use(tsr_gemm_kernel_name(i), &err) == TSR_OK);
        ck_assert_str_eq(tsr_gemm_kernel(), tsr_gemm_kernel_name(i));
        fn();
    }
    ck_assert(tsr_gemm_use("abacus", &err) == TSR_E_USAGE);
}

static void values(void)
{
    struct product t;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int mode = 0; mode < 8; mode++) {
            make(&t, sizes[s][0], sizes[s][1], sizes[s][2], mode & 1, mode & 2, mode & 4 ? 3 : 0, 1);
            check(&t);
            t.g.alpha = 0.75F, t.g.beta = mode & 1 ? 1 : -0.5F, t.g.relu = mode & 2;
            if (mode & 4) t.g.bias_n = t.bias_n;
            if (mode != 4) t.g.bias_m = t.bias_m;
            check(&t);
            drop(&t);
        }
    for (int mode = 0; mode < 4; mode++) { /* the path for large operands; a batch */
        make(&t, 261, 217, 270, mode & 1, mode & 2, 1, 1);
        t.g.bias_n = t.bias_n, t.g.bias_m = t.bias_m, t.g.relu = true, t.g.beta = 1;
        check(&t);
        t.g.relu = false, t.g.gelu = true;
        check(&t);
        drop(&t);
        make(&t, 13, 18, 21, mode & 1, mode & 2, 2, 5);
        check(&t);
        t.g.stride_b = 0, t.g.bias_n = t.bias_n;
        check(&t);
        drop(&t);
    }
}
START_TEST(test_values) { for_every_kernel(values); }
END_TEST

/* Bits of the whole product against those of its pieces, one by one. */
static void cuts(void)
{
    static const int shape[][3] = {{150, 230, 300}, {33, 70, 40}, {270, 200, 600}, {149, 11, 300}};
    struct product t;
    for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++)
        for (int mode = 0; mode < 4; mode++) {
            make(&t, shape[s][0], shape[s][1], shape[s][2], mode & 1, mode & 2, 0, 1);
            t.g.beta = s == 3 ? 0 : 0.5F;
            t.g.bias_n = t.bias_n, t.g.bias_m = s == 3 ? NULL : t.bias_m, t.g.gelu = mode == 2;
            run(&t, NULL);
            float *all = tsr_memdup(t.c, t.nc * sizeof *all);
            ck_assert(all != NULL);
            memcpy(t.c, t.start, t.nc * sizeof *t.c);
            struct tsr_gemm g = t.g;
            for (int64_t i = 0, mi = 1; i < t.g.m; i += mi, mi = mi * 2 + 1)
                for (int64_t j = 0, nj = 3; j < t.g.n; j += nj, nj = nj * 2 + 1) {
                    g.m = i + mi < t.g.m ? mi : t.g.m - i, g.n = j + nj < t.g.n ? nj : t.g.n - j;
                    g.a = t.g.a + (g.ta ? i : i * g.lda), g.b = t.g.b + (g.tb ? j * g.ldb : j);
                    g.c = t.c + i * g.ldc + j;
                    g.bias_n = t.bias_n + j, g.bias_m = s == 3 ? NULL : t.bias_m + i;
                    tsr_gemm_run(&g, NULL);
                }
            ck_assert_msg(memcmp(all, t.c, t.nc * sizeof *all) == 0, "%s: the cut shows (mode %d)", tsr_gemm_kernel(), mode);
            for (int threads = 2; threads <= 3; threads++) {
                struct tsr_pool *pool;
                ck_assert(tsr_pool_new(threads, &pool, NULL) == TSR_OK);
                run(&t, pool);
                ck_assert_msg(memcmp(all, t.c, t.nc * sizeof *all) == 0, "%s: the threads show", tsr_gemm_kernel());
                tsr_pool_free(pool);
            }
            tsr_free(all);
            drop(&t);
        }
}
START_TEST(test_cuts) { for_every_kernel(cuts); }
END_TEST

static bool fused(const char *name) { return strcmp(name, "portable") != 0; }

START_TEST(test_kernels_agree)
{
    struct product t;
    make(&t, 75, 90, 400, false, true, 0, 3);
    float *first = NULL;
    for (int i = 0; tsr_gemm_kernel_name(i) != NULL; i++) {
        if (!tsr_gemm_kernel_runs(i) || !fused(tsr_gemm_kernel_name(i))) continue;
        ck_assert(tsr_gemm_use(tsr_gemm_kernel_name(i), NULL) == TSR_OK);
        struct tsr_pool *pool;
        ck_assert(tsr_pool_new(2, &pool, NULL) == TSR_OK);
        run(&t, pool);
        tsr_pool_free(pool);
        if (first == NULL) first = tsr_memdup(t.c, t.nc * sizeof *first);
        ck_assert_msg(memcmp(first, t.c, t.nc * sizeof *first) == 0, "kernel %s has other bits", tsr_gemm_kernel());
    }
    tsr_free(first);
    drop(&t);
}
END_TEST

START_TEST(test_special_values)
{
    const float nan = NAN;
    for (int i = 0; tsr_gemm_kernel_name(i) != NULL; i++) {
        if (!tsr_gemm_kernel_runs(i)) continue;
        ck_assert(tsr_gemm_use(tsr_gemm_kernel_name(i), NULL) == TSR_OK);
        float a[2] = {nan, 1}, b[1] = {2}, c[2] = {nan, nan};
        struct tsr_gemm g = {.m = 2, .n = 1, .k = 1, .alpha = 1, .relu = true, .a = a, .b = b, .c = c, .lda = 1, .ldb = 1, .ldc = 1};
        tsr_gemm_run(&g, NULL); /* beta 0: the NaN in C is not read; relu keeps that of A */
        ck_assert(isnan(c[0]) && c[1] == 2);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tensor/gemm");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, test_values);
    tcase_add_test(c, test_cuts);
    tcase_add_test(c, test_kernels_agree);
    tcase_add_test(c, test_special_values);
    suite_add_tcase(s, c);
    return run_suite(s);
}
