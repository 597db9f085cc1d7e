/* Products with packed matrices and filters: every instruction set this machine has against sums in
 * double; the bits depend on neither the other rows, the packing, tables, threads, nor on which kernel
 * with FMA ran. */
#include "suite.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/filter.h"
#include "tensor/panels.h"

static float *numbers(int64_t n, uint64_t stream)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 78, stream);
    float *p = tsr_malloc((size_t)n, sizeof *p); /* no slack: a sanitizer sees a read beyond the end */
    ck_assert(p != NULL);
    for (int64_t i = 0; i < n; i++) p[i] = tsr_rng_float(&r) * 2 - 1;
    return p;
}

static void for_every_kernel(void (*fn)(void))
{
    struct tsr_error err;
    for (int i = 0; tsr_gemm_kernel_name(i) != NULL; i++) {
        if (!tsr_gemm_kernel_runs(i)) {
            printf("skipped: kernel %s does not run on this machine\n", tsr_gemm_kernel_name(i));
            continue;
        }
        ck_assert(tsr_gemm_use(tsr_gemm_kernel_name(i), &err) == TSR_OK);
        fn();
    }
}

static double ended(const struct tsr_panel_end *end, double x, int64_t j, int64_t at)
{
    if (end->bias != NULL) x += (double)end->bias[j];
    if (end->add != NULL) x += (double)end->add[at];
    switch (end->kind) {
    case TSR_END_RELU: return x < 0 ? 0 : x;
    case TSR_END_CLAMP: return fmin((double)end->high, fmax((double)end->low, x));
    case TSR_END_HARDSWISH: return x * fmax(0, fmin(1, x / 6 + 0.5));
    case TSR_END_GELU: return x / 2 * erfc(-x * sqrt(0.5));
    default: return x;
    }
}

static const int sizes[][3] = {{1, 1, 1},   {3, 16, 9},   {13, 48, 25},  {8, 64, 48},   {100, 80, 7}, {97, 10, 64}, {5, 130, 300},
                               {30, 33, 0}, {26, 24, 70}, {12, 40, 2100}, {200, 20, 600}, {7, 5, 1024}, {2, 100, 1025}};

static void values(void)
{
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int form = 0; form < 10; form++) {
            const int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2], lda = k + form % 3, ldc = n + form % 2;
            const bool tb = form & 1;
            float *a = numbers(m * lda, 1), *b = numbers(k * n, 2), *bias = numbers(n, 3), *add = numbers(m * ldc, 4);
            float *c = numbers(m * ldc, 5), *packed = tsr_aligned((size_t)tsr_panels_size(k, n) * sizeof *packed);
            const struct tsr_panel_end end = {.bias = form & 2 ? bias : NULL, .add = form & 4 ? add : NULL,
                                              .kind = (enum tsr_end)(form % 5), .low = -0.5F, .high = 0.75F};
            struct tsr_panels p;
            tsr_panels_pack(&p, tb, k, n, b, tb ? k : n, form < 5 ? m : TSR_PANELS_MANY, packed);
            tsr_panels_run(&p, m, a, lda, c, ldc, &end, NULL);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++) {
                    double sum = 0, size = 1;
                    for (int64_t q = 0; q < k; q++) {
                        double v = (double)a[i * lda + q] * (double)b[tb ? j * k + q : q * n + j];
                        sum += v, size += fabs(v);
                    }
                    double want = ended(&end, sum, j, i * ldc + j), have = (double)c[i * ldc + j];
                    ck_assert_msg(fabs(have - want) <= 2e-6 * size + 1e-6, "%s %dx%dx%d form %d [%d,%d]: %g, not %g", tsr_gemm_kernel(),
                                  (int)m, (int)n, (int)k, form, (int)i, (int)j, have, want);
                }
            tsr_free(a), tsr_free(b), tsr_free(bias), tsr_free(add), tsr_free(c), tsr_free(packed);
        }
}
START_TEST(test_values) { for_every_kernel(values); }
END_TEST

/* The same rows by stride, by table, one by one, over a pool, with columns in several runs, and packed for few
 * rows: the same bits. */
static void ways(void)
{
    enum { M = 230, N = 75, K = 2100 };
    float *a = numbers(M * K, 1), *b = numbers(K * N, 2), *bias = numbers(N, 3), *add = numbers(M * N, 4);
    float *want = numbers(M * N, 5), *c = numbers(M * N, 6);
    float *packed = tsr_aligned((size_t)tsr_panels_size(K, N) * sizeof *packed);
    static int64_t row[M], to[M];
    struct tsr_run some[5] = {{0, 100}, {100, 1000}, {1100, 1}, {1101, 0}, {1101, K - 1101}}, run[8];
    const struct tsr_panel_end end = {.bias = bias, .add = add, .kind = TSR_END_GELU};
    struct tsr_panels p;
    struct tsr_pool *pool;
    const size_t bytes = M * N * sizeof *c;
    tsr_panels_pack(&p, false, K, N, b, N, TSR_PANELS_MANY, packed);
    tsr_panels_run(&p, M, a, K, want, N, &end, NULL);
    for (int threads = 2; threads <= 3; threads++) {
        ck_assert(tsr_pool_new(threads, &pool, NULL) == TSR_OK);
        tsr_panels_run(&p, M, a, K, c, N, &end, pool);
        ck_assert_msg(memcmp(c, want, bytes) == 0, "%s: the threads show", tsr_gemm_kernel());
        tsr_pool_free(pool);
    }
    ck_assert_int_le(tsr_runs_split(some, 5, run), tsr_runs_room(5, K));
    for (int64_t i = 0; i < M; i++) row[i] = i * K, to[i] = i * N;
    struct tsr_panel_rows r = {.a = a, .c = c, .row = row, .to = to, .rows = M, .run = run, .runs = tsr_runs_split(some, 5, run)};
    memset(c, 0, bytes);
    tsr_panels_rows(&p, &r, &end);
    ck_assert_msg(memcmp(c, want, bytes) == 0, "%s: the runs show", tsr_gemm_kernel());
    memset(c, 0, bytes);
    r.run = NULL;
    for (int64_t i = 0, n = 1; i < M; i += n, n = n * 2 + 1) {
        struct tsr_panel_rows part = r;
        part.row += i, part.to += i, part.rows = i + n < M ? n : M - i;
        tsr_panels_rows(&p, &part, &end);
    }
    ck_assert_msg(memcmp(c, want, bytes) == 0, "%s: the cut shows", tsr_gemm_kernel());
    tsr_panels_pack(&p, false, K, N, b, N, 64, packed);
    memset(c, 0, bytes);
    tsr_panels_run(&p, M, a, K, c, N, &end, NULL);
    ck_assert_msg(memcmp(c, want, bytes) == 0, "%s: the packing shows", tsr_gemm_kernel());
    tsr_free(a), tsr_free(b), tsr_free(bias), tsr_free(add), tsr_free(want), tsr_free(c), tsr_free(packed);
}
START_TEST(test_ways) { for_every_kernel(ways); }
END_TEST

/* A row of 9 positions of c channels, three taps, the middle one twice as far away. */
static void filters(void)
{
    static const int64_t channels[] = {1, 4, 7, 16, 33, 48, 63, 64, 100};
    for (size_t s = 0; s < sizeof channels / sizeof channels[0]; s++)
        for (int form = 0; form < 10; form++) {
            const int64_t c = channels[s], room = tsr_filter_room(c), n = 29, at[3] = {0, 4 * c, c};
            float *x = numbers((n + 4) * c, 1), *w = numbers(3 * room, 2), *bias = numbers(c, 3), *add = numbers(n * c, 4), *y = numbers(n * c, 5);
            int64_t row[29], to[29];
            for (int64_t i = 0; i < n; i++) row[i] = i * c, to[i] = (n - 1 - i) * c;
            const struct tsr_panel_end end = {.bias = form & 2 ? bias : NULL, .add = form & 4 ? add : NULL,
                                              .kind = (enum tsr_end)(form % 5), .low = -0.5F, .high = 0.75F};
            const struct tsr_filter f = {.x = x, .w = w, .at = at, .row = row, .to = to, .taps = 3, .channels = c, .y = y};
            tsr_filter_run(&f, n, &end);
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j < c; j++) {
                    double sum = 0;
                    for (int t = 0; t < 3; t++) sum += (double)w[t * room + j] * (double)x[row[i] + at[t] + j];
                    double want = ended(&end, sum, j, to[i] + j), have = (double)y[to[i] + j];
                    ck_assert_msg(fabs(have - want) <= 1e-5, "%s: %d channels, form %d: %g, not %g", tsr_gemm_kernel(), (int)c, form,
                                  have, want);
                }
            tsr_free(x), tsr_free(w), tsr_free(bias), tsr_free(add), tsr_free(y);
        }
}
START_TEST(test_filters) { for_every_kernel(filters); }
END_TEST

START_TEST(test_kernels_agree)
{
    enum { M = 45, N = 70, K = 400 };
    float *a = numbers(M * K, 1), *b = numbers(K * N, 2), *c = numbers(M * N, 3), *first = NULL;
    const struct tsr_panel_end end = {.kind = TSR_END_HARDSWISH};
    for (int i = 0; tsr_gemm_kernel_name(i) != NULL; i++) {
        if (!tsr_gemm_kernel_runs(i) || strcmp(tsr_gemm_kernel_name(i), "portable") == 0) continue;
        ck_assert(tsr_gemm_use(tsr_gemm_kernel_name(i), NULL) == TSR_OK);
        float *packed = tsr_aligned((size_t)tsr_panels_size(K, N) * sizeof *packed);
        struct tsr_panels p;
        tsr_panels_pack(&p, false, K, N, b, N, M, packed);
        tsr_panels_run(&p, M, a, K, c, N, &end, NULL);
        if (first == NULL) first = tsr_memdup(c, M * N * sizeof *c);
        ck_assert_msg(memcmp(first, c, M * N * sizeof *c) == 0, "kernel %s has other bits", tsr_gemm_kernel());
        tsr_free(packed);
    }
    tsr_free(a), tsr_free(b), tsr_free(c), tsr_free(first);
}
END_TEST

static void special(void)
{
    float a[2] = {NAN, -3}, b[1] = {2}, c[2], packed[16];
    static const enum tsr_end kinds[] = {TSR_END_RELU, TSR_END_CLAMP};
    struct tsr_panels p;
    ck_assert_int_le(tsr_panels_size(1, 1), 16);
    tsr_panels_pack(&p, false, 1, 1, b, 1, 2, packed);
    for (int i = 0; i < 2; i++) {
        const struct tsr_panel_end end = {.kind = kinds[i], .low = -1, .high = 6};
        tsr_panels_run(&p, 2, a, 1, c, 1, &end, NULL);
        ck_assert_msg(isnan(c[0]) && c[1] == (i == 0 ? 0 : -1), "%s: %g %g", tsr_gemm_kernel(), (double)c[0], (double)c[1]);
    }
}
START_TEST(test_special_values) { for_every_kernel(special); }
END_TEST

int main(void)
{
    Suite *s = suite_create("tensor/panels");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, test_values);
    tcase_add_test(c, test_ways);
    tcase_add_test(c, test_filters);
    tcase_add_test(c, test_kernels_agree);
    tcase_add_test(c, test_special_values);
    suite_add_tcase(s, c);
    return run_suite(s);
}
