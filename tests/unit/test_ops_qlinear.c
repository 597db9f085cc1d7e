/* The operators on 8-bit tensors against plain loops: products, convolutions, sums, means, tables. */
#include "optest.h"

static int64_t at8(const struct optest *t, int i, int64_t k) { return tsr_load_i64(t->in[i].dtype, t->in[i].data, k); }
static double scale_of(const struct optest *t, int i, int64_t k)
{
    const struct tsr_tensor *s = &t->in[i];
    return tsr_load_f64(s->dtype, s->data, tsr_tensor_count(s) > 1 ? k : 0);
}
static int64_t zero_of(const struct optest *t, int i, int64_t k)
{
    const struct tsr_tensor *z = &t->in[i];
    if (i >= t->n_in || z->dtype == TSR_NONE) return 0;
    return tsr_load_i64(z->dtype, z->data, tsr_tensor_count(z) > 1 ? k : 0);
}
/* The number that the grid of type has for v. */
static int64_t on_grid(enum tsr_dtype type, float v, int64_t zero)
{
    int64_t lo = type == TSR_I8 ? -128 : 0, r = (int64_t)rintf(fminf(fmaxf(v, -1e6f), 1e6f)) + zero;
    return r < lo ? lo : r > lo + 255 ? lo + 255 : r;
}
static void scalar(struct optest *t, enum tsr_dtype type, double v) { ot_in(t, type, OT_SCALAR, &v); }

static const enum tsr_dtype kinds[] = {TSR_I8, TSR_U8};

START_TEST(matmul_integer)
{
    for (int mode = 0; mode < 12; mode++) {
        struct optest t;
        enum tsr_dtype a = kinds[mode & 1], b = kinds[mode >> 1 & 1];
        int form = mode / 4; /* zero points: none, single, by row and column */
        ot_init(&t, "MatMulInteger", 10);
        ot_in_random(&t, a, OT_S(2, 3, 70), a == TSR_I8 ? -128 : 0, a == TSR_I8 ? 128 : 256);
        ot_in_random(&t, b, OT_S(2, 70, 5), b == TSR_I8 ? -128 : 0, b == TSR_I8 ? 128 : 256);
        if (form == 1) scalar(&t, a, 7), scalar(&t, b, 100);
        if (form == 2) ot_in_random(&t, a, OT_S(2, 3, 1), 0, 120), ot_in_random(&t, b, OT_S(5), 0, 120);
        ot_run(&t);
        ot_expect_shape(&t, 0, TSR_I32, OT_S(2, 3, 5));
        for (int64_t i = 0; i < 30; i++) {
            int64_t sum = 0, row = i / 5;
            for (int64_t k = 0; k < 70; k++)
                sum += (at8(&t, 0, row * 70 + k) - zero_of(&t, 2, row)) * (at8(&t, 1, (i / 15 * 70 + k) * 5 + i % 5) - zero_of(&t, 3, i % 5));
            ck_assert_int_eq(tsr_load_i64(TSR_I32, t.out[0].data, i), sum);
        }
        ot_threads_agree(&t);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(qlinear_matmul)
{
    for (int mode = 0; mode < 16; mode++) {
        struct optest t;
        enum tsr_dtype a = kinds[mode & 1], y = kinds[mode >> 1 & 1];
        bool many = mode & 4, bias = mode & 8; /* ours adds a row to the sums */
        if (bias) ot_init_domain(&t, "QLinearMatMul", "tessera", 1);
        else ot_init(&t, "QLinearMatMul", 21);
        ot_in_random(&t, a, OT_S(9, 33), 0, 128);
        if (many) ot_in_random(&t, TSR_F32, OT_S(9), 0.01, 0.02), ot_in_random(&t, a, OT_S(9), 0, 20);
        else scalar(&t, TSR_F32, 0.013), scalar(&t, a, 5);
        ot_in_random(&t, TSR_I8, OT_S(33, 18), -128, 128);
        if (many) ot_in_random(&t, TSR_F32, OT_S(18), 0.01, 0.02), ot_in_random(&t, TSR_I8, OT_S(18), -9, 9);
        else scalar(&t, TSR_F32, 0.013), scalar(&t, TSR_I8, 0);
        scalar(&t, TSR_F32, 0.07);
        scalar(&t, y, 11);
        if (bias) ot_in_random(&t, TSR_I32, OT_S(18), -9000, 9000);
        ot_run(&t);
        ot_expect_shape(&t, 0, y, OT_S(9, 18));
        for (int64_t i = 0; i < 9 * 18; i++) {
            int64_t r = i / 18, c = i % 18, sum = bias ? tsr_load_i64(TSR_I32, t.in[8].data, c) : 0;
            for (int64_t k = 0; k < 33; k++) sum += (at8(&t, 0, r * 33 + k) - zero_of(&t, 2, r)) * (at8(&t, 3, k * 18 + c) - zero_of(&t, 5, c));
            float f = (float)scale_of(&t, 1, r) * (float)scale_of(&t, 4, c) / (float)scale_of(&t, 6, 0);
            ck_assert_int_eq(tsr_load_i64(y, t.out[0].data, i), on_grid(y, (float)sum * f, 11));
        }
        ot_threads_agree(&t);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(qgemm)
{
    for (int mode = 0; mode < 8; mode++) {
        struct optest t;
        bool ta = mode & 1, tb = mode & 2, floats = mode & 4;
        ot_init_domain(&t, "QGemm", "com.microsoft", 1);
        ot_int(&t, "transA", ta);
        ot_int(&t, "transB", tb);
        ot_float(&t, "alpha", 0.5);
        ot_in_random(&t, TSR_U8, ta ? OT_S(20, 6) : OT_S(6, 20), 0, 256);
        scalar(&t, TSR_F32, 0.02), scalar(&t, TSR_U8, 99);
        ot_in_random(&t, TSR_I8, tb ? OT_S(7, 20) : OT_S(20, 7), -127, 128);
        ot_in_random(&t, TSR_F32, OT_S(7), 0.01, 0.02), ot_in(&t, TSR_I8, OT_S(7), OT_V(0, 0, 0, 0, 0, 0, 0));
        ot_in_random(&t, TSR_I32, OT_S(7), -500, 500);
        if (!floats) scalar(&t, TSR_F32, 0.1), scalar(&t, TSR_U8, 128);
        ot_run(&t);
        for (int64_t i = 0; i < 42; i++) {
            int64_t r = i / 7, c = i % 7, sum = tsr_load_i64(TSR_I32, t.in[6].data, c);
            for (int64_t k = 0; k < 20; k++)
                sum += (at8(&t, 0, ta ? k * 6 + r : r * 20 + k) - 99) * at8(&t, 3, tb ? c * 20 + k : k * 7 + c);
            float f = 0.5f * (float)scale_of(&t, 1, 0) * (float)scale_of(&t, 4, c);
            if (floats) ck_assert(((const float *)t.out[0].data)[i] == (float)sum * f);
            else ck_assert_int_eq(((const uint8_t *)t.out[0].data)[i], on_grid(TSR_U8, (float)sum * (f / 0.1f), 128));
        }
        ot_threads_agree(&t);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(to_float)
{
    struct optest t;
    ot_init_domain(&t, "MatMulIntegerToFloat", "com.microsoft", 1);
    ot_in(&t, TSR_U8, OT_S(1, 2), OT_V(3, 5));
    ot_in(&t, TSR_I8, OT_S(2, 2), OT_V(1, -2, 3, 4));
    scalar(&t, TSR_F32, 0.5);
    ot_in(&t, TSR_F32, OT_S(2), OT_V(2, 4));
    scalar(&t, TSR_U8, 1);
    ot_in_absent(&t);
    ot_in(&t, TSR_F32, OT_S(2), OT_V(100, 200));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 2), OT_V(114, 224), 0); /* 2, 4 times the columns: 14, 12 */
    ot_memory_torture(&t);
    ot_free(&t);
    ot_init_domain(&t, "DynamicQuantizeMatMul", "com.microsoft", 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 40), -1, 2);
    ot_in_random(&t, TSR_I8, OT_S(40, 4), -127, 128);
    scalar(&t, TSR_F32, 0.01);
    ot_run(&t);
    for (int64_t i = 0; i < 12; i++) {
        double sum = 0;
        for (int64_t k = 0; k < 40; k++) sum += tsr_load_f64(TSR_F32, t.in[0].data, i / 4 * 40 + k) * 0.01 * (double)at8(&t, 1, k * 4 + i % 4);
        ck_assert_double_le(fabs(sum - (double)((const float *)t.out[0].data)[i]), 0.05);
    }
    ot_threads_agree(&t);
    ot_memory_torture(&t);
    ot_free(&t);
}
END_TEST

/* One output of a convolution of X[2,4,7,6] with W[6,4/g,3,2], pads 1, strides (2,1), dilations (1,2). */
static int64_t convolve(const struct optest *t, int iw, int64_t g, int64_t zx, const int64_t *zw, int64_t at, int64_t oh, int64_t ow)
{
    int64_t w = at % ow, h = at / ow % oh, m = at / ow / oh % 6, n = at / ow / oh / 6, sum = 0, cg = 4 / g;
    for (int64_t c = 0; c < cg; c++)
        for (int64_t i = 0; i < 3; i++)
            for (int64_t j = 0; j < 2; j++) {
                int64_t y = h * 2 + i - 1, x = w + j * 2 - 1;
                if (y < 0 || y >= 7 || x < 0 || x >= 6) continue;
                int64_t ch = m / (6 / g) * cg + c;
                sum += (at8(t, 0, ((n * 4 + ch) * 7 + y) * 6 + x) - zx) * (at8(t, iw, ((m * cg + c) * 3 + i) * 2 + j) - zw[m]);
            }
    return sum;
}

static void conv_attributes(struct optest *t, int g)
{
    ot_int(t, "group", g);
    ot_ints(t, "pads", 4, 1, 1, 1, 1);
    ot_ints(t, "strides", 2, 2, 1);
    ot_ints(t, "dilations", 2, 1, 2);
}

START_TEST(qlinear_conv)
{
    for (int mode = 0; mode < 8; mode++) {
        struct optest t;
        enum tsr_dtype x = kinds[mode & 1], w = kinds[mode >> 1 & 1];
        int g = mode & 4 ? 2 : 1;
        int64_t zw[6];
        ot_init(&t, "QLinearConv", 10);
        conv_attributes(&t, g);
        ot_in_random(&t, x, OT_S(2, 4, 7, 6), 0, 128);
        scalar(&t, TSR_F32, 0.03), scalar(&t, x, 9);
        ot_in_random(&t, w, OT_S(6, 4 / g, 3, 2), 0, 128);
        ot_in_random(&t, TSR_F32, OT_S(6), 0.01, 0.02), ot_in_random(&t, w, OT_S(6), 0, 100);
        scalar(&t, TSR_F32, 0.5), scalar(&t, x, 30);
        if (mode & 1) ot_in_random(&t, TSR_I32, OT_S(6), -4000, 4000);
        ot_run(&t);
        ot_expect_shape(&t, 0, x, OT_S(2, 6, 4, 6));
        for (int64_t m = 0; m < 6; m++) zw[m] = zero_of(&t, 5, m);
        for (int64_t i = 0; i < 288; i++) {
            int64_t m = i / 24 % 6, sum = convolve(&t, 3, g, 9, zw, i, 4, 6);
            if (mode & 1) sum += tsr_load_i64(TSR_I32, t.in[8].data, m);
            float f = (float)scale_of(&t, 1, 0) * (float)scale_of(&t, 4, m) / 0.5f;
            ck_assert_int_eq(tsr_load_i64(x, t.out[0].data, i), on_grid(x, (float)sum * f, 30));
        }
        ot_threads_agree(&t);
        ot_memory_torture(&t);
        ot_free(&t);
        ot_init(&t, "ConvInteger", 10);
        conv_attributes(&t, g);
        ot_in_random(&t, x, OT_S(2, 4, 7, 6), 0, 128);
        ot_in_random(&t, w, OT_S(6, 4 / g, 3, 2), 0, 128);
        scalar(&t, x, 3);
        scalar(&t, w, 5);
        ot_run(&t);
        for (int64_t m = 0; m < 6; m++) zw[m] = 5;
        for (int64_t i = 0; i < 288; i++)
            ck_assert_int_eq(tsr_load_i64(TSR_I32, t.out[0].data, i), convolve(&t, 1, g, 3, zw, i, 4, 6));
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(binary)
{
    for (int mode = 0; mode < 4; mode++) {
        struct optest t;
        enum tsr_dtype type = kinds[mode & 1];
        bool mul = mode & 2;
        ot_init_domain(&t, mul ? "QLinearMul" : "QLinearAdd", "com.microsoft", 1);
        ot_in_random(&t, type, OT_S(3, 1, 50), 0, 128);
        scalar(&t, TSR_F32, 0.03), scalar(&t, type, 9);
        ot_in_random(&t, type, OT_S(4, 1), 0, 128);
        scalar(&t, TSR_F32, 0.02), scalar(&t, type, 100);
        scalar(&t, TSR_F32, 0.04), scalar(&t, type, 60);
        ot_run(&t);
        ot_expect_shape(&t, 0, type, OT_S(3, 4, 50));
        for (int64_t i = 0; i < 600; i++) {
            int64_t a = at8(&t, 0, i / 200 * 50 + i % 50), b = at8(&t, 3, i / 50 % 4);
            double v = mul ? (double)((a - 9) * (b - 100)) * 0.03 * 0.02 : (double)(a - 9) * 0.03 + (double)(b - 100) * 0.02;
            double lo = type == TSR_I8 ? -128 : 0, want = fmin(fmax(v / 0.04 + 60, lo), lo + 255);
            ck_assert_double_le(fabs((double)tsr_load_i64(type, t.out[0].data, i) - want), 0.5001);
        }
        ot_threads_agree(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(pools)
{
    for (int mode = 0; mode < 8; mode++) {
        struct optest t;
        enum tsr_dtype type = kinds[mode & 1];
        bool last = mode & 2, pad = mode & 4;
        ot_init_domain(&t, "QLinearAveragePool", "com.microsoft", 1);
        ot_ints(&t, "kernel_shape", 2, 3, 2);
        ot_ints(&t, "strides", 2, 2, 1);
        ot_ints(&t, "pads", 4, 1, 1, 1, 0);
        ot_int(&t, "channels_last", last);
        ot_int(&t, "count_include_pad", pad);
        ot_in_random(&t, type, last ? OT_S(2, 5, 6, 3) : OT_S(2, 3, 5, 6), 0, 128);
        scalar(&t, TSR_F32, 0.03), scalar(&t, type, 9);
        scalar(&t, TSR_F32, 0.02), scalar(&t, type, 10);
        ot_run(&t);
        ot_expect_shape(&t, 0, type, last ? OT_S(2, 3, 6, 3) : OT_S(2, 3, 3, 6));
        for (int64_t n = 0; n < 2; n++)
            for (int64_t c = 0; c < 3; c++)
                for (int64_t o = 0; o < 18; o++) {
                    int64_t sum = 0, count = 0;
                    for (int64_t k = 0; k < 6; k++) {
                        int64_t y = o / 6 * 2 + k / 2 - 1, x = o % 6 + k % 2 - 1;
                        if (y < 0 || y >= 5 || x < 0 || x >= 6) continue;
                        sum += at8(&t, 0, last ? ((n * 5 + y) * 6 + x) * 3 + c : ((n * 3 + c) * 5 + y) * 6 + x) - 9;
                        count++;
                    }
                    float f = 0.03f / (0.02f * (float)(pad ? 6 : count));
                    int64_t at = last ? (n * 18 + o) * 3 + c : (n * 3 + c) * 18 + o;
                    ck_assert_int_eq(tsr_load_i64(type, t.out[0].data, at), on_grid(type, (float)sum * f, 10));
                }
        ot_threads_agree(&t);
        ot_free(&t);
        ot_init_domain(&t, "QLinearGlobalAveragePool", "com.microsoft", 1);
        ot_int(&t, "channels_last", last);
        ot_in(&t, type, last ? OT_S(1, 3, 2) : OT_S(1, 2, 3), OT_V(10, 11, 12, 30, 31, 32));
        scalar(&t, TSR_F32, 1), scalar(&t, type, 10);
        scalar(&t, TSR_F32, 1), scalar(&t, type, 0);
        ot_run(&t);
        ot_expect_i64(&t, 0, last ? OT_S(1, 1, 2) : OT_S(1, 2, 1), last ? OT_I(8, 14) : OT_I(1, 21));
        ot_free(&t);
    }
}
END_TEST

START_TEST(max_pool)
{
    for (int mode = 0; mode < 4; mode++) {
        struct optest t;
        enum tsr_dtype type = kinds[mode & 1];
        bool last = mode & 2;
        ot_init_domain(&t, "QMaxPool", "tessera", 1);
        ot_ints(&t, "kernel_shape", 2, 2, 3);
        ot_ints(&t, "strides", 2, 1, 2);
        ot_ints(&t, "pads", 4, 1, 0, 0, 1);
        ot_int(&t, "channels_last", last);
        ot_in_random(&t, type, last ? OT_S(2, 4, 6, 3) : OT_S(2, 3, 4, 6), type == TSR_I8 ? -128 : 0, 128);
        ot_run(&t);
        ot_expect_shape(&t, 0, type, last ? OT_S(2, 4, 3, 3) : OT_S(2, 3, 4, 3));
        for (int64_t i = 0; i < 72; i++) {
            int64_t n = i / 36, c = i / 12 % 3, oh = i / 3 % 4, ow = i % 3, most = -999;
            for (int64_t k = 0; k < 6; k++) {
                int64_t y = oh + k / 3 - 1, x = ow * 2 + k % 3;
                if (y < 0 || y >= 4 || x >= 6) continue;
                int64_t v = at8(&t, 0, last ? ((n * 4 + y) * 6 + x) * 3 + c : ((n * 3 + c) * 4 + y) * 6 + x);
                most = v > most ? v : most;
            }
            int64_t at = last ? ((n * 4 + oh) * 3 + ow) * 3 + c : i;
            ck_assert_int_eq(tsr_load_i64(type, t.out[0].data, at), most);
        }
        ot_threads_agree(&t);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

/* Convolutions in every layout of X and Y, wide and narrow, with and without what kernels like: the same
 * numbers as channels-first, and bounds that Relu leaves. */
START_TEST(layouts)
{
    static const int64_t sizes[][4] = {{3, 20, 1, 3}, {8, 16, 1, 3}, {16, 5, 1, 1}, {6, 6, 6, 3}, {70, 70, 70, 5}, {4, 8, 2, 3}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int mode = 1; mode < 16; mode++) {
            struct optest t[2];
            const int64_t c = sizes[s][0], m = sizes[s][1], g = sizes[s][2], k = sizes[s][3];
            const enum tsr_dtype x = kinds[mode >> 2 & 1];
            for (int i = 0; i < 2; i++) {
                const bool x_last = i && mode & 1, y_last = i && mode & 2;
                ot_init(&t[i], "QLinearConv", 10);
                ot_int(&t[i], "group", g);
                ot_ints(&t[i], "pads", 4, 1, 0, 2, 1);
                ot_ints(&t[i], "strides", 2, 1 + (mode >> 3), 1);
                ot_int(&t[i], "x_last", x_last);
                ot_int(&t[i], "y_last", y_last);
                if (i && mode & 8) ot_int(&t[i], "lo", 40), ot_int(&t[i], "hi", 70);
                ot_in_random(&t[i], x, OT_S(2, c, 9, 13), 0, 128);
                struct tsr_tensor *in = &t[i].in[0], turned;
                if (x_last) {
                    ck_assert(tsr_tensor_copy(&turned, in, &t[i].err) == TSR_OK);
                    for (int64_t q = 0; q < 2 * c * 117; q++)
                        ((uint8_t *)in->data)[(q / 117 / c * 117 + q % 117) * c + q / 117 % c] = ((uint8_t *)turned.data)[q];
                    in->shape = OT_S(2, 9, 13, c);
                    tsr_tensor_release(&turned);
                }
                scalar(&t[i], TSR_F32, 0.03), scalar(&t[i], x, 9);
                ot_in_random(&t[i], TSR_I8, OT_S(m, c / g, k, k), -128, 128);
                double zeros[70] = {0};
                ot_in_random(&t[i], TSR_F32, OT_S(m), 0.001, 0.002), ot_in(&t[i], TSR_I8, OT_S(m), zeros);
                scalar(&t[i], TSR_F32, 0.02), scalar(&t[i], x, 60);
                ot_in_random(&t[i], TSR_I32, OT_S(m), -4000, 4000);
                ot_run(&t[i]);
            }
            const int64_t h = t[0].out[0].shape.dim[2], w = t[0].out[0].shape.dim[3];
            ot_expect_shape(&t[1], 0, x, mode & 2 ? OT_S(2, h, w, m) : OT_S(2, m, h, w));
            for (int64_t i = 0; i < 2 * m * h * w; i++) {
                const int64_t at = mode & 2 ? (i / (h * w) / m * h * w + i % (h * w)) * m + i / (h * w) % m : i;
                int64_t want = tsr_load_i64(x, t[0].out[0].data, i);
                if (mode & 8) want = want < 40 ? 40 : want > 70 ? 70 : want;
                ck_assert_int_eq(tsr_load_i64(x, t[1].out[0].data, at), want);
            }
            ot_threads_agree(&t[1]);
            ot_free(&t[0]), ot_free(&t[1]);
        }
}
END_TEST

START_TEST(tables)
{
    for (int mode = 0; mode < 2; mode++) {
        struct optest t;
        enum tsr_dtype type = kinds[mode];
        double lo = mode ? 0 : -128;
        double all[256];
        for (int i = 0; i < 256; i++) all[i] = lo + i;
        ot_init_domain(&t, "QLinearSigmoid", "com.microsoft", 1);
        ot_in(&t, type, OT_S(256), all);
        scalar(&t, TSR_F32, 0.05), scalar(&t, type, 3);
        scalar(&t, TSR_F32, 1.0 / 256), scalar(&t, type, lo);
        ot_run(&t);
        for (int64_t i = 0; i < 256; i++) {
            float v = (float)(1 / (1 + exp(-(double)((float)(all[i] - 3) * 0.05f))));
            ck_assert_int_eq(tsr_load_i64(type, t.out[0].data, i), on_grid(type, v * 256, (int64_t)lo));
        }
        ot_free(&t);
        ot_init_domain(&t, "QLinearLeakyRelu", "com.microsoft", 1);
        ot_float(&t, "alpha", 0.25);
        ot_in(&t, type, OT_S(3), OT_V(100, 20, 50));
        scalar(&t, TSR_F32, 1), scalar(&t, type, 50);
        scalar(&t, TSR_F32, 0.5), scalar(&t, type, 20);
        ot_run(&t);
        ot_expect_i64(&t, 0, OT_S(3), OT_I(100 + 20, 20 - 15, 20)); /* -30 * 0.25 / 0.5 */
        ot_free(&t);
        ot_init_domain(&t, "QLinearConcat", "com.microsoft", 1);
        ot_int(&t, "axis", -1);
        scalar(&t, TSR_F32, 1), scalar(&t, type, 10);
        ot_in(&t, type, OT_S(2, 1), OT_V(3, 4)), scalar(&t, TSR_F32, 2), scalar(&t, type, 1);
        ot_in(&t, type, OT_S(2, 2), OT_V(10, 11, 12, 13)), scalar(&t, TSR_F32, 0.5), scalar(&t, type, 10);
        ot_run(&t);
        ot_expect_i64(&t, 0, OT_S(2, 3), OT_I(14, 10, 10, 16, 11, 12)); /* 0.5 goes to 0, 1.5 to 2 */
        ot_free(&t);
        for (int axis = -2; axis < 0; axis++)
            for (int opset = 12; opset <= 13; opset++) {
                ot_init_domain(&t, "QLinearSoftmax", "com.microsoft", 1);
                ot_int(&t, "axis", axis);
                ot_int(&t, "opset", opset);
                ot_in_random(&t, type, OT_S(3, 5, 4), 0, 128);
                scalar(&t, TSR_F32, 0.1), scalar(&t, type, 5);
                scalar(&t, TSR_F32, 1.0 / 256), scalar(&t, type, lo);
                ot_run(&t);
                for (int64_t i = 0; i < 60; i++) {
                    double sum = 0, mine = 0.1 * (double)at8(&t, 0, i);
                    for (int64_t k = 0; k < 60; k++) {
                        bool same = axis == -1 ? k / 4 == i / 4 : k / 20 == i / 20 && (opset < 13 || k % 4 == i % 4);
                        if (same) sum += exp(0.1 * (double)at8(&t, 0, k) - mine);
                    }
                    int64_t d = on_grid(type, (float)(256 / sum), (int64_t)lo) - tsr_load_i64(type, t.out[0].data, i);
                    ck_assert(d >= -1 && d <= 1);
                }
                ot_threads_agree(&t);
                ot_free(&t);
            }
    }
}
END_TEST

START_TEST(nbits)
{
    static const int bits[] = {2, 4, 8};
    for (int mode = 0; mode < 12; mode++) {
        struct optest t;
        int b = bits[mode % 3], form = mode / 3; /* no zero points, packed ones, floats, blocks by g_idx */
        int64_t K = 70, N = 5, block = 16, blocks = 5, blob = block * b / 8;
        ot_init_domain(&t, "MatMulNBits", "com.microsoft", 1);
        ot_int(&t, "K", K), ot_int(&t, "N", N), ot_int(&t, "bits", b), ot_int(&t, "block_size", block);
        ot_in_random(&t, TSR_F32, OT_S(3, 70), -1, 1);
        ot_in_random(&t, TSR_U8, OT_S(N, blocks, blob), 0, 256);
        ot_in_random(&t, TSR_F32, OT_S(N * blocks), 0.1, 1);
        int64_t row = (blocks * b + 7) / 8;
        if (form == 1) ot_in_random(&t, TSR_U8, OT_S(N * row), 0, 256);
        else if (form == 2) ot_in_random(&t, TSR_F32, OT_S(N, blocks), 0, 4);
        else ot_in_absent(&t);
        if (form == 3) ot_in_random(&t, TSR_I32, OT_S(K), 0, (double)blocks);
        else ot_in_absent(&t);
        ot_in_random(&t, TSR_F32, OT_S(N), -1, 1);
        ot_run(&t);
        ot_expect_shape(&t, 0, TSR_F32, OT_S(3, 5));
        for (int64_t i = 0; i < 15; i++) {
            int64_t n = i % N;
            double sum = tsr_load_f64(TSR_F32, t.in[5].data, n), size = fabs(sum);
            for (int64_t k = 0; k < K; k++) {
                int64_t g = form == 3 ? ((const int32_t *)t.in[4].data)[k] : k / block, mask = (1 << b) - 1;
                int64_t q = at8(&t, 1, n * blocks * blob + k * b / 8) >> (k * b % 8) & mask;
                double z = 1 << (b - 1);
                if (form == 1) z = (double)(at8(&t, 3, n * row + g * b / 8) >> (g * b % 8) & mask);
                if (form == 2) z = tsr_load_f64(TSR_F32, t.in[3].data, n * blocks + g);
                double term = tsr_load_f64(TSR_F32, t.in[0].data, i / N * K + k) * ((double)q - z) *
                              tsr_load_f64(TSR_F32, t.in[2].data, n * blocks + g);
                sum += term, size += fabs(term);
            }
            const double error = fabs((double)((const float *)t.out[0].data)[i] - sum);
            ck_assert(error <= 1e-6 * size); /* terms are rounded, not what is left of them when they cancel */
        }
        ot_threads_agree(&t);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(bad)
{
    struct optest t;
    ot_init(&t, "QLinearMatMul", 21);
    ot_in_random(&t, TSR_I8, OT_S(2, 3), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_in_random(&t, TSR_I8, OT_S(3, 4), -9, 9), ot_in_random(&t, TSR_F32, OT_S(3), 1, 2), scalar(&t, TSR_I8, 0);
    scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_fails(&t, TSR_E_MISMATCH, "3 scales");
    ot_free(&t);
    ot_init_domain(&t, "QLinearMatMul", "tessera", 1);
    ot_in_random(&t, TSR_I8, OT_S(2, 3), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_in_random(&t, TSR_I8, OT_S(3, 4), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0), ot_in_random(&t, TSR_I32, OT_S(3), -9, 9);
    ot_fails(&t, TSR_E_MISMATCH, "3 biases for 4 columns");
    ot_free(&t);
    ot_init(&t, "QLinearConv", 10);
    ot_in_random(&t, TSR_I8, OT_S(1, 2, 5), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_in_random(&t, TSR_I8, OT_S(4, 3, 3), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_fails(&t, TSR_E_MISMATCH, "[4,3,3]");
    ot_free(&t);
    ot_init(&t, "ConvInteger", 10);
    ot_in_random(&t, TSR_I8, OT_S(1, 2, 5), -9, 9);
    ot_in_random(&t, TSR_I8, OT_S(4, 2, 3), -9, 9);
    scalar(&t, TSR_I8, 0);
    ot_in_random(&t, TSR_I8, OT_S(3), 0, 1);
    ot_fails(&t, TSR_E_MISMATCH, "zero points");
    ot_free(&t);
    ot_init_domain(&t, "QLinearAdd", "com.microsoft", 1);
    ot_in_random(&t, TSR_I8, OT_S(5), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_in_random(&t, TSR_I8, OT_S(4), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    scalar(&t, TSR_F32, 1);
    ot_fails(&t, TSR_E_MISMATCH, "broadcast");
    ot_free(&t);
    ot_init_domain(&t, "QLinearConcat", "com.microsoft", 1);
    scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_in_random(&t, TSR_I8, OT_S(5), -9, 9), scalar(&t, TSR_F32, 1), scalar(&t, TSR_I8, 0);
    ot_in_random(&t, TSR_I8, OT_S(5), -9, 9);
    ot_fails(&t, TSR_E_CORRUPT, "threes");
    ot_free(&t);
    ot_init_domain(&t, "MatMulNBits", "com.microsoft", 1);
    ot_int(&t, "K", 16), ot_int(&t, "N", 2), ot_int(&t, "block_size", 16);
    ot_in_random(&t, TSR_F32, OT_S(1, 16), -1, 1);
    ot_in_random(&t, TSR_U8, OT_S(2, 1, 7), 0, 9);
    ot_in_random(&t, TSR_F32, OT_S(2), 1, 2);
    ot_fails(&t, TSR_E_MISMATCH, "B has 14 elements instead of 16");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/qlinear");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, matmul_integer);
    tcase_add_test(c, qlinear_matmul);
    tcase_add_test(c, qgemm);
    tcase_add_test(c, to_float);
    tcase_add_test(c, qlinear_conv);
    tcase_add_test(c, binary);
    tcase_add_test(c, pools);
    tcase_add_test(c, max_pool);
    tcase_add_test(c, layouts);
    tcase_add_test(c, tables);
    tcase_add_test(c, nbits);
    tcase_add_test(c, bad);
    suite_add_tcase(s, c);
    return ot_main(s);
}
