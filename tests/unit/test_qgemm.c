/* Integer products and depthwise convolutions: every kernel of this machine against plain loops. */
#include "suite.h"
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/qgemm.h"
#include "tensor/qround.h"
#include <math.h>

static struct tsr_error err;
#define OK(e) ck_assert_msg((e) == TSR_OK, "%s", err.message)

static void fill(void *p, size_t n, uint64_t seed)
{
    struct tsr_rng r;
    tsr_rng_init(&r, seed, 0);
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)tsr_rng_below(&r, 256);
}

static int32_t on_grid(float v, int32_t zero, int32_t lo, int32_t hi)
{
    v = v > (float)(lo - zero) ? v : (float)(lo - zero);
    v = v < (float)(hi - zero) ? v : (float)(hi - zero);
    return (int32_t)rintf(v) + zero;
}

/* What the end makes of sum s in row i, column j. */
static void expect(const struct tsr_qend *e, int64_t i, int64_t j, int32_t s, const char *what)
{
    s = (int32_t)((uint32_t)s + (uint32_t)e->base[j] + (uint32_t)(e->row ? e->row[i] : 0));
    int64_t at = i * e->ldc + j;
    if (e->out == TSR_I32) ck_assert_msg(((int32_t *)e->c)[at] == s, "%s [%d,%d]: %d, not %d", what, (int)i, (int)j, ((int32_t *)e->c)[at], s);
    else if (e->out == TSR_F32) {
        float y = (float)s * e->factor[j];
        if (e->bias) y += e->bias[j];
        ck_assert_msg(((float *)e->c)[at] == y, "%s [%d,%d]", what, (int)i, (int)j);
    } else {
        int32_t y = on_grid((float)s * e->factor[j], e->zero, e->lo, e->hi);
        int32_t got = e->out == TSR_U8 ? ((uint8_t *)e->c)[at] : ((int8_t *)e->c)[at];
        ck_assert_msg(got == y, "%s [%d,%d]: %d, not %d", what, (int)i, (int)j, got, y);
    }
}

/* An end for rows of n columns, in one of the forms that there are. */
static void make_end(struct tsr_qend *e, int form, int64_t m, int64_t n)
{
    static const enum tsr_dtype types[] = {TSR_I32, TSR_F32, TSR_U8, TSR_I8};
    int32_t *base = malloc((size_t)n * 4 + 4), *row = malloc((size_t)m * 4 + 4);
    float *factor = malloc((size_t)n * 4 + 4), *bias = malloc((size_t)n * 4 + 4);
    for (int64_t j = 0; j < n; j++) {
        base[j] = (int32_t)(j * 977 % 4001) - 2000;
        factor[j] = 0.0004f + 0.00001f * (float)(j % 13);
        bias[j] = (float)j - 3.5f;
    }
    for (int64_t i = 0; i < m; i++) row[i] = (int32_t)(i * 31 % 501) - 250;
    *e = (struct tsr_qend){.out = types[form % 4], .base = base, .row = form & 4 ? row : NULL, .factor = factor,
                           .bias = form == 1 ? bias : NULL, .zero = types[form % 4] == TSR_U8 ? 77 : -5,
                           .lo = types[form % 4] == TSR_U8 ? 0 : -128, .hi = types[form % 4] == TSR_U8 ? 255 : 127, .ldc = n + 3};
    e->c = malloc((size_t)(m * e->ldc) * 4 + 4);
    memset(e->c, 0x5a, (size_t)(m * e->ldc) * 4 + 4);
    if (!(form & 4)) free(row);
    if (form != 1) free(bias);
}

static void free_end(struct tsr_qend *e)
{
    free((void *)(uintptr_t)e->base), free((void *)(uintptr_t)e->row), free((void *)(uintptr_t)e->factor);
    free((void *)(uintptr_t)e->bias), free(e->c);
}

static void between_rows(const struct tsr_qend *e, int64_t m, int64_t n)
{
    size_t size = e->out == TSR_I32 || e->out == TSR_F32 ? 4 : 1;
    for (int64_t i = 0; i < m; i++)
        for (size_t k = (size_t)(i * e->ldc + n) * size; k < (size_t)((i + 1) * e->ldc) * size; k++)
            ck_assert_msg(((uint8_t *)e->c)[k] == 0x5a, "written behind row %d", (int)i);
}

START_TEST(products)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {3, 5, 2}, {12, 16, 64}, {13, 17, 65}, {25, 33, 30}, {7, 64, 128}, {5, 100, 257}, {200, 10, 36}, {19, 48, 20}, {30, 77, 12}, {11, 96, 16}, {97, 128, 8}};
    for (int k = 0; tsr_qgemm_kernel_name(k) != NULL; k++) {
        const char *name = tsr_qgemm_kernel_name(k);
        if (!tsr_qgemm_kernel_runs(k)) continue;
        OK(tsr_qgemm_use(name, &err));
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int form = 0; form < 8; form++) {
                const int64_t m = sizes[s][0], n = sizes[s][1], depth = sizes[s][2], lda = (depth + 3) / 4 * 4;
                bool is_unsigned = form & 1, by_columns = form & 2;
                uint8_t *a = malloc((size_t)(m * lda)), *b = malloc((size_t)(n * depth));
                struct tsr_qpack p;
                struct tsr_qend e;
                struct tsr_pool *pool = NULL;
                fill(a, (size_t)(m * lda), 1), fill(b, (size_t)(n * depth), 2);
                OK(tsr_qpack_init(&p, 1, depth, n, b, is_unsigned, 0, by_columns ? 1 : n, by_columns ? depth : 1, &err));
                make_end(&e, form, m, n);
                if (form & 1) OK(tsr_pool_new(3, &pool, &err));
                tsr_qgemm_run(&p, m, a, lda, &e, pool);
                tsr_pool_free(pool);
                for (int64_t i = 0; i < m; i++)
                    for (int64_t j = 0; j < n; j++) {
                        uint32_t sum = 0;
                        for (int64_t d = 0; d < depth; d++) {
                            int64_t at = by_columns ? j * depth + d : d * n + j;
                            sum += (uint32_t)(a[i * lda + d] * (is_unsigned ? b[at] - 128 : (int8_t)b[at]));
                        }
                        expect(&e, i, j, (int32_t)sum, name);
                    }
                between_rows(&e, m, n);
                for (int64_t j = 0; j < n; j++) {
                    int32_t sum = 0;
                    for (int64_t d = 0; d < depth; d++) {
                        int64_t at = by_columns ? j * depth + d : d * n + j;
                        sum += is_unsigned ? b[at] - 128 : (int8_t)b[at];
                    }
                    ck_assert_int_eq(p.sum[j], sum);
                }
                free_end(&e), tsr_qpack_release(&p), free(a), free(b);
            }
    }
}
END_TEST

START_TEST(rows_in_pieces)
{
    enum { TAPS = 6, DEPTH = 12, N = 40, M = 31, X = 500 };
    uint8_t x[X];
    int8_t w[TAPS * DEPTH * N];
    const int64_t offset[TAPS] = {0, 91, 17, 250, 3, 3};
    fill(x, X, 3), fill(w, sizeof w, 4);
    for (int k = 0; tsr_qgemm_kernel_name(k) != NULL; k++) {
        const char *name = tsr_qgemm_kernel_name(k);
        struct tsr_qpack p;
        struct tsr_qend e;
        if (!tsr_qgemm_kernel_runs(k)) continue;
        OK(tsr_qgemm_use(name, &err));
        OK(tsr_qpack_init(&p, TAPS, DEPTH, N, w, false, DEPTH * N, N, 1, &err));
        const uint8_t *at[M];
        for (int r = 0; r < M; r++) at[r] = x + r * 7;
        make_end(&e, 2, M, N);
        tsr_qgemm_block(&p, M, at, offset, &e);
        for (int r = 0; r < M; r++)
            for (int j = 0; j < N; j++) {
                int32_t sum = 0;
                for (int t = 0; t < TAPS; t++)
                    for (int d = 0; d < DEPTH; d++) sum += x[r * 7 + offset[t] + d] * w[(t * DEPTH + d) * N + j];
                expect(&e, r, j, sum, name);
            }
        free_end(&e), tsr_qpack_release(&p);
    }
}
END_TEST

START_TEST(wraps)
{
    enum { K = 70000 };
    uint8_t *a = malloc(K);
    int8_t *b = malloc(K);
    memset(a, 255, K), memset(b, 127, K); /* the sum is 2266950000: one kernel may not saturate where another wraps */
    for (int k = 0; tsr_qgemm_kernel_name(k) != NULL; k++) {
        struct tsr_qpack p;
        struct tsr_qend e;
        if (!tsr_qgemm_kernel_runs(k)) continue;
        OK(tsr_qgemm_use(tsr_qgemm_kernel_name(k), &err));
        OK(tsr_qpack_init(&p, 1, K, 1, b, false, 0, 1, 1, &err));
        make_end(&e, 0, 1, 1);
        tsr_qgemm_run(&p, 1, a, K, &e, NULL);
        expect(&e, 0, 0, (int32_t)(uint32_t)(255u * 127u * K), tsr_qgemm_kernel_name(k));
        free_end(&e), tsr_qpack_release(&p);
    }
    free(a), free(b);
}
END_TEST

START_TEST(depthwise)
{
    static const int64_t taps[] = {1, 3, 4, 9, 25}, channels[] = {1, 15, 64, 65, 200, 300};
    enum { X = 9000, PIXELS = 7 };
    uint8_t *x = malloc(X);
    fill(x, X, 5);
    for (int k = 0; tsr_qgemm_kernel_name(k) != NULL; k++) {
        const char *name = tsr_qgemm_kernel_name(k);
        if (!tsr_qgemm_kernel_runs(k)) continue;
        OK(tsr_qgemm_use(name, &err));
        for (int i = 0; i < 5; i++)
            for (int q = 0; q < 6; q++)
                for (int form = 0; form < 4; form++) {
                    int64_t t = taps[i], c = channels[q];
                    int8_t *w = malloc((size_t)(t * c));
                    const uint8_t *at[PIXELS];
                    int64_t offset[25];
                    struct tsr_qdepth d;
                    struct tsr_qend e;
                    fill(w, (size_t)(t * c), 6);
                    for (int64_t p = 0; p < PIXELS; p++) at[p] = x + p * 131;
                    for (int64_t r = 0; r < t; r++) offset[r] = r * 313 % 7000;
                    OK(tsr_qdepth_init(&d, t, c, w, 1, t, &err)); /* W[c, taps], as ONNX has it */
                    make_end(&e, form, PIXELS, c);
                    tsr_qdepth_block(&d, PIXELS, at, offset, &e);
                    for (int64_t p = 0; p < PIXELS; p++)
                        for (int64_t j = 0; j < c; j++) {
                            int32_t sum = 0;
                            for (int64_t r = 0; r < t; r++) sum += at[p][offset[r] + j] * w[j * t + r];
                            expect(&e, p, j, sum, name);
                        }
                    between_rows(&e, PIXELS, c);
                    free_end(&e), tsr_qdepth_release(&d), free(w);
                }
    }
    free(x);
}
END_TEST

/* Quotients on and beside the halves, where a product with the inverse may fall to the other side. */
START_TEST(rounding)
{
    static const float scales[] = {0.1f, 1.0f / 3, 0.0078431377f, 1, 3.7e-5f, 1e-38f, 3e38f, 1e-45f};
    enum { N = 60000 };
    float *x = malloc(N * sizeof *x);
    uint8_t *y = malloc(N);
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
        for (int zero = 0; zero < 256; zero += 85) {
            struct tsr_rng r;
            tsr_rng_init(&r, s, 0);
            for (int i = 0; i < N; i++) {
                float v = ((float)(int)tsr_rng_below(&r, 700) - 350 + 0.5f) * scales[s]; /* a half, or its neighbours */
                x[i] = i % 3 == 0 ? v : i % 3 == 1 ? nextafterf(v, INFINITY) : nextafterf(v, -INFINITY);
            }
            x[5] = NAN, x[6] = INFINITY, x[7] = -INFINITY, x[8] = 0;
            tsr_qround(N, x, scales[s], zero, 0, 255, y);
            for (int i = 0; i < N; i++)
                ck_assert_msg(y[i] == on_grid(x[i] / scales[s], zero, 0, 255), "%g / %g is %d", (double)x[i], (double)scales[s], y[i]);
            tsr_qround(N, x, scales[s], zero - 128, -128, 100, y);
            for (int i = 0; i < N; i++) ck_assert_int_eq((int8_t)y[i], on_grid(x[i] / scales[s], zero - 128, -128, 100));
            for (int n = 0; n < 150; n++) { /* nothing is written beyond them */
                y[n] = 0xa5;
                tsr_qround(n, x + 100, scales[s], zero, 3, 250, y);
                for (int i = 0; i < n; i++) ck_assert_int_eq(y[i], on_grid(x[100 + i] / scales[s], zero, 3, 250));
                ck_assert_int_eq(y[n], 0xa5);
            }
        }
    free(x), free(y);
}
END_TEST

START_TEST(names)
{
    ck_assert_int_eq(tsr_qgemm_use("abacus", &err), TSR_E_USAGE);
    ck_assert(strstr(err.message, "abacus") != NULL);
    int n = 0;
    while (tsr_qgemm_kernel_name(n) != NULL) n++;
    OK(tsr_qgemm_use("portable", &err)); /* always there, always last */
    ck_assert_str_eq(tsr_qgemm_kernel(), tsr_qgemm_kernel_name(n - 1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tensor/qgemm");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, products);
    tcase_add_test(c, rows_in_pieces);
    tcase_add_test(c, wraps);
    tcase_add_test(c, depthwise);
    tcase_add_test(c, rounding);
    tcase_add_test(c, names);
    suite_add_tcase(s, c);
    return run_suite(s);
}
