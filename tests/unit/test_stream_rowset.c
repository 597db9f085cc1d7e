/* Matrices as bytes: round trips of every type, layout and code, and what is refused. */
#include "base/mem.h"
#include "base/rng.h"
#include "stream/levels.h"
#include "stream/rowset.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>

static struct tsr_error err;

/* Answers of a network: one class stands out, more or less. */
static float *peaked(size_t rows, size_t cols, float height)
{
    struct tsr_rng g;
    tsr_rng_init(&g, 5, 0);
    float *x = tsr_malloc(rows * cols, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t r = 0; r < rows; r++) {
        size_t top = (size_t)tsr_rng_below(&g, cols);
        float h = height * tsr_rng_float(&g);
        for (size_t c = 0; c < cols; c++) x[r * cols + c] = 2.0f * tsr_rng_normal(&g) + (c == top ? h : 0.0f);
    }
    return x;
}

static void code(const struct tsr_rowset *s, const float *x, float *y, struct tsr_buf *b)
{
    tsr_buf_clear(b);
    ck_assert_msg(tsr_rowset_encode(s, x, b, &err) == TSR_OK, "%s", err.message);
    ck_assert_uint_eq(b->len, tsr_rowset_bytes(s));
    ck_assert_msg(tsr_rowset_decode(s, b->data, b->len, y, &err) == TSR_OK, "%s", err.message);
}

START_TEST(plain_and_affine_round_trips)
{
    static const enum tsr_dtype types[] = {TSR_F32, TSR_F16, TSR_BF16, TSR_I8, TSR_I4};
    static const double bound[] = {0, 1.0 / 2048, 1.0 / 256, 0, 0};
    static const size_t shapes[][2] = {{1, 1}, {3, 5}, {7, 1}, {1, 9}, {33, 17}, {400, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (int layout = 0; layout < 2; layout++) {
                size_t rows = shapes[i][0], cols = shapes[i][1];
                struct tsr_rowset s = tsr_rowset_choose(types[t], TSR_KIND_NONE, rows, cols, 0);
                s.layout = (enum tsr_row_layout)layout;
                float *x = peaked(rows, cols, 5), *y = tsr_malloc(rows * cols, sizeof *y);
                struct tsr_buf b = {0};
                code(&s, x, y, &b);
                for (size_t c = 0; c < cols; c++) {
                    double low = INFINITY, high = -INFINITY;
                    for (size_t r = 0; r < rows; r++) {
                        double v = x[r * cols + c];
                        low = v < low ? v : low, high = v > high ? v : high;
                    }
                    for (size_t r = 0; r < rows; r++) {
                        double a = x[r * cols + c], d = fabs(a - (double)y[r * cols + c]);
                        double most = t < 3 ? bound[t] * fabs(a) : (high - low) / (t == 3 ? 255 : 15) * 0.5001 + 1e-6 * fabs(a);
                        ck_assert_msg(d <= most, "%s row %zu column %zu: %g off", tsr_dtype_name(types[t]), r, c, d);
                    }
                }
                /* What was decoded is on the grid: coding it again changes nothing. */
                float *z = tsr_malloc(rows * cols, sizeof *z);
                code(&s, y, z, &b);
                for (size_t k = 0; k < rows * cols; k++)
                    ck_assert_msg(t < 3 ? z[k] == y[k] : fabsf(z[k] - y[k]) <= 1e-5f * (1 + fabsf(y[k])), "not stable");
                tsr_free(x), tsr_free(y), tsr_free(z);
                tsr_buf_release(&b);
            }
}
END_TEST

START_TEST(layout_bytes)
{
    /* The example of tessera-stream(5). */
    static const float x[6] = {1, 2, 3, -1, -2, -3};
    struct tsr_rowset s = {.dtype = TSR_F16, .layout = TSR_LAYOUT_ROWS, .rows = 2, .cols = 3};
    struct tsr_buf b = {0};
    ck_assert_int_eq(tsr_rowset_encode(&s, x, &b, &err), TSR_OK);
    ck_assert_mem_eq(b.data, "\x00\x3c\x00\x40\x00\x42\x00\xbc\x00\xc0\x00\xc2", 12);
    tsr_buf_clear(&b);
    s.layout = TSR_LAYOUT_COLUMNS;
    ck_assert_int_eq(tsr_rowset_encode(&s, x, &b, &err), TSR_OK);
    ck_assert_mem_eq(b.data, "\x00\x00\x00\x00\x00\x00\x3c\xbc\x40\xc0\x42\xc2", 12);
    tsr_buf_clear(&b);
    static const float v[3] = {0, 0.5f, 1.5f};
    s = (struct tsr_rowset){.dtype = TSR_I4, .code = TSR_CODE_AFFINE, .layout = TSR_LAYOUT_COLUMNS, .rows = 3, .cols = 1};
    ck_assert_int_eq(tsr_rowset_encode(&s, v, &b, &err), TSR_OK);
    ck_assert_uint_eq(b.len, 10);
    ck_assert_mem_eq(b.data, "\xcd\xcc\xcc\x3d\x00\x00\x00\x00\x50\x0f", 10);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(labels)
{
    static const float x[5] = {0, 9, 65535, 3, 3};
    float y[5];
    struct tsr_buf b = {0};
    struct tsr_rowset s = tsr_rowset_choose(TSR_I4, TSR_KIND_ARGMAX, 5, 1, 10);
    ck_assert_int_eq(s.dtype, TSR_U16);
    code(&s, x, y, &b);
    ck_assert_mem_eq(x, y, sizeof x);
    static const float wide[5] = {0, 65536, 16777216, 1, 2};
    tsr_buf_clear(&b);
    ck_assert_int_eq(tsr_rowset_encode(&s, wide, &b, &err), TSR_E_NUMERIC);
    s = tsr_rowset_choose(TSR_F32, TSR_KIND_ARGMAX, 5, 1, 100000);
    ck_assert_int_eq(s.dtype, TSR_I32);
    code(&s, wide, y, &b);
    ck_assert_mem_eq(wide, y, sizeof wide);
    static const float odd[5] = {0, 0.5f, 1, 1, 1};
    ck_assert_int_eq(tsr_rowset_encode(&s, odd, &b, &err), TSR_E_NUMERIC);
    static const float less[5] = {0, -1, 1, 1, 1};
    ck_assert_int_eq(tsr_rowset_encode(&s, less, &b, &err), TSR_E_NUMERIC);
    s.cols = 2;
    ck_assert_int_eq(tsr_rowset_check(&s, &err), TSR_E_CORRUPT);
    tsr_buf_release(&b);
}
END_TEST

/* Mean Kullback-Leibler divergence of softmax(y) from softmax(x), nats a row. */
static double divergence(const float *x, const float *y, size_t rows, size_t cols)
{
    double total = 0;
    for (size_t r = 0; r < rows; r++) {
        const float *a = x + r * cols, *b = y + r * cols;
        double sa = 0, sb = 0;
        for (size_t c = 0; c < cols; c++) sa += exp((double)a[c]), sb += exp((double)b[c]);
        for (size_t c = 0; c < cols; c++) {
            double la = (double)a[c] - log(sa), lb = (double)b[c] - log(sb);
            total += exp(la) * (la - lb);
        }
    }
    return total / (double)rows;
}

static size_t argmax(const float *x, size_t n)
{
    size_t top = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[top]) top = i;
    return top;
}

START_TEST(softmax_code_keeps_the_answer)
{
    static const enum tsr_dtype types[] = {TSR_I8, TSR_I4};
    static const double most[] = {5e-5, 2e-2};
    for (int t = 0; t < 2; t++)
        for (size_t cols = 2; cols < 40; cols += 9)
            for (float height = 0; height < 30; height += 9) {
                size_t rows = 777;
                float *x = peaked(rows, cols, height), *y = tsr_malloc(rows * cols, sizeof *y);
                struct tsr_rowset s = tsr_rowset_choose(types[t], TSR_KIND_LOGITS, rows, cols, cols);
                struct tsr_buf b = {0};
                ck_assert_int_eq(s.code, TSR_CODE_SOFTMAX);
                code(&s, x, y, &b);
                for (size_t r = 0; r < rows; r++) {
                    ck_assert_uint_eq(argmax(x + r * cols, cols), argmax(y + r * cols, cols));
                    ck_assert(y[r * cols + argmax(y + r * cols, cols)] == 0.0f);
                }
                double kl = divergence(x, y, rows, cols);
                ck_assert_msg(kl <= most[t], "%s, %zu classes, height %g: KL %g", tsr_dtype_name(types[t]), cols,
                              (double)height, kl);
                tsr_free(x), tsr_free(y);
                tsr_buf_release(&b);
            }
}
END_TEST

START_TEST(softmax_code_of_probabilities)
{
    size_t rows = 500, cols = 10;
    float *x = peaked(rows, cols, 12), *p = tsr_malloc(rows * cols, sizeof *p), *q = tsr_malloc(rows * cols, sizeof *q);
    struct tsr_buf b = {0};
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t c = 0; c < cols; c++) sum += exp((double)x[r * cols + c]);
        for (size_t c = 0; c < cols; c++) p[r * cols + c] = (float)(exp((double)x[r * cols + c]) / sum);
    }
    size_t least = 0;
    for (size_t c = 1; c < cols; c++)
        if (p[c] < p[least]) least = c;
    p[least] = 0; /* an exact zero is at the floor, not at minus infinity */
    struct tsr_rowset s = tsr_rowset_choose(TSR_I8, TSR_KIND_PROBABILITIES, rows, cols, cols);
    code(&s, p, q, &b);
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t c = 0; c < cols; c++) {
            ck_assert(fabsf(p[r * cols + c] - q[r * cols + c]) < 0.01f);
            sum += (double)q[r * cols + c];
        }
        ck_assert(fabs(sum - 1) < 1e-5);
    }
    for (size_t i = 0; i < cols; i++) p[i] = 0; /* all zero: no probabilities, but finite numbers */
    code(&s, p, q, &b);
    tsr_free(x), tsr_free(p), tsr_free(q);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(extremes)
{
    static const float x[8] = {-3.4e38f, 3.4e38f, 3.4e38f, -3.4e38f, 0, 0, 1e-45f, -1e-45f};
    static const enum tsr_dtype types[] = {TSR_F32, TSR_BF16, TSR_I8, TSR_I4};
    float y[8];
    struct tsr_buf b = {0};
    for (int t = 0; t < 4; t++)
        for (int kind = 0; kind < 2; kind++) {
            struct tsr_rowset s = tsr_rowset_choose(types[t], kind ? TSR_KIND_LOGITS : TSR_KIND_NONE, 4, 2, 2);
            tsr_buf_clear(&b);
            enum tsr_status status = tsr_rowset_encode(&s, x, &b, &err);
            if (types[t] == TSR_BF16) {
                ck_assert(status == TSR_OK || status == TSR_E_NUMERIC);
                continue;
            }
            ck_assert_int_eq(status, TSR_OK);
            ck_assert_msg(tsr_rowset_decode(&s, b.data, b.len, y, &err) == TSR_OK, "%s", err.message);
        }
    struct tsr_rowset s = tsr_rowset_choose(TSR_F16, TSR_KIND_NONE, 4, 2, 0);
    ck_assert_int_eq(tsr_rowset_encode(&s, x, &b, &err), TSR_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(err.message, "row 0, column 0"));
    tsr_buf_release(&b);
}
END_TEST

START_TEST(nonfinite_is_named)
{
    float x[6] = {0, 1, 2, 3, NAN, 5};
    static const enum tsr_dtype types[] = {TSR_F32, TSR_F16, TSR_BF16, TSR_I8, TSR_I4};
    struct tsr_buf b = {0};
    for (int t = 0; t < 5; t++) {
        struct tsr_rowset s = tsr_rowset_choose(types[t], TSR_KIND_NONE, 3, 2, 0);
        x[4] = NAN;
        ck_assert_int_eq(tsr_rowset_encode(&s, x, &b, &err), TSR_E_NUMERIC);
        ck_assert_ptr_nonnull(strstr(err.message, "row 2, column 0 is NaN"));
        x[4] = -INFINITY;
        ck_assert_int_eq(tsr_rowset_encode(&s, x, &b, &err), TSR_E_NUMERIC);
        ck_assert_ptr_nonnull(strstr(err.message, "row 2, column 0 is infinite"));
        ck_assert_uint_eq(b.len, 0);
    }
    tsr_buf_release(&b);
}
END_TEST

START_TEST(damaged_bodies)
{
    static const float x[6] = {0, 1, 2, 3, 4, 5};
    float y[6];
    struct tsr_buf b = {0};
    struct tsr_rowset s = tsr_rowset_choose(TSR_F32, TSR_KIND_NONE, 3, 2, 0);
    s.layout = TSR_LAYOUT_ROWS;
    code(&s, x, y, &b);
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len - 1, y, &err), TSR_E_CORRUPT);
    tsr_put_le32(b.data + 4, 0x7f800000u);
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);

    s = tsr_rowset_choose(TSR_I4, TSR_KIND_NONE, 3, 1, 0);
    code(&s, x, y, &b);
    b.data[b.len - 1] |= 0x10; /* padding */
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);
    code(&s, x, y, &b);
    tsr_put_le32(b.data, 0xbf800000u); /* scale -1 */
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);
    tsr_put_le32(b.data, 0x7fc00000u); /* scale NaN */
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);

    s = tsr_rowset_choose(TSR_I4, TSR_KIND_LOGITS, 3, 2, 2);
    code(&s, x, y, &b);
    b.data[64] = 0xff; /* two maxima in a row */
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);
    b.data[64] = 0x00; /* none */
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);
    code(&s, x, y, &b);
    tsr_put_le32(b.data + 60, 0x3f800000u); /* the last level is 1 */
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);
    code(&s, x, y, &b);
    tsr_put_le32(b.data, 0x3f800000u); /* out of order */
    ck_assert_int_eq(tsr_rowset_decode(&s, b.data, b.len, y, &err), TSR_E_CORRUPT);

    s = tsr_rowset_choose(TSR_F64, TSR_KIND_NONE, 3, 2, 0);
    ck_assert_int_eq(tsr_rowset_check(&s, &err), TSR_E_UNSUPPORTED);
    s = tsr_rowset_choose(TSR_F32, TSR_KIND_NONE, SIZE_MAX / 2, 4, 0);
    ck_assert_int_eq(tsr_rowset_check(&s, &err), TSR_E_LIMIT);
    s = tsr_rowset_choose(TSR_F32, TSR_KIND_NONE, 0, 4, 0);
    ck_assert_int_eq(tsr_rowset_check(&s, &err), TSR_E_CORRUPT);
    s = tsr_rowset_choose(TSR_F32, TSR_KIND_NONE, 2, 2, 0);
    s.code = TSR_CODE_AFFINE;
    ck_assert_int_eq(tsr_rowset_check(&s, &err), TSR_E_CORRUPT);
    tsr_buf_release(&b);
}
END_TEST

START_TEST(names)
{
    for (int i = 0; i <= TSR_CODE_SOFTMAX; i++) ck_assert_int_eq(tsr_row_code_of(tsr_row_code_name((enum tsr_row_code)i)), i);
    for (int i = 0; i <= TSR_LAYOUT_COLUMNS; i++)
        ck_assert_int_eq(tsr_row_layout_of(tsr_row_layout_name((enum tsr_row_layout)i)), i);
    for (int i = 0; i <= TSR_KIND_REGRESSION; i++) ck_assert_int_eq(tsr_row_kind_of(tsr_row_kind_name((enum tsr_row_kind)i)), i);
    ck_assert_int_eq(tsr_row_kind_of("softmax"), -1);
}
END_TEST

START_TEST(no_memory)
{
    float *x = peaked(20, 6, 3), *y = tsr_malloc(120, sizeof *y);
    struct tsr_rowset s = tsr_rowset_choose(TSR_I4, TSR_KIND_LOGITS, 20, 6, 6);
    bool done = false;
    for (long n = 1; !done; n++) {
        struct tsr_buf b = {0};
        tsr_mem_fail_after(n);
        enum tsr_status status = tsr_rowset_encode(&s, x, &b, &err);
        if (status == TSR_OK) status = tsr_rowset_decode(&s, b.data, b.len, y, &err);
        tsr_mem_fail_after(0);
        ck_assert(status == TSR_OK || status == TSR_E_NOMEM);
        done = status == TSR_OK;
        tsr_buf_release(&b);
        ck_assert_int_lt(n, 20);
    }
    tsr_free(x), tsr_free(y);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream_rowset");
    TCase *t = tcase_create("rowset");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, plain_and_affine_round_trips);
    tcase_add_test(t, layout_bytes);
    tcase_add_test(t, labels);
    tcase_add_test(t, softmax_code_keeps_the_answer);
    tcase_add_test(t, softmax_code_of_probabilities);
    tcase_add_test(t, extremes);
    tcase_add_test(t, nonfinite_is_named);
    tcase_add_test(t, damaged_bodies);
    tcase_add_test(t, names);
    tcase_add_test(t, no_memory);
    suite_add_tcase(s, t);
    return run_suite(s);
}
