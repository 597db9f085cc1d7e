/* Pooling: values, indices, gradients, shapes that do not fit. */
#include "optest.h"

START_TEST(max_values)
{
    struct optest t;
    ot_init(&t, "MaxPool", 12);
    ot_ints(&t, "kernel_shape", 2, 2, 2);
    ot_ints(&t, "strides", 2, 2, 2);
    ot_int(&t, "ceil_mode", 1);
    ot_in(&t, TSR_F32, OT_S(1, 2, 3, 3), OT_V(1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3, -4, -5, -6, -7, -8, -9));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 2, 2, 2), OT_V(5, 6, 8, 9, -1, -3, -7, -9), 0);
    ot_expect_i64(&t, 1, OT_S(1, 2, 2, 2), OT_I(4, 5, 7, 8, 9, 11, 15, 17));
    ot_int(&t, "storage_order", 1);
    ot_run(&t);
    ot_expect_i64(&t, 1, OT_S(1, 2, 2, 2), OT_I(4, 7, 5, 8, 9, 15, 11, 17));
    ot_free(&t);
}
END_TEST

START_TEST(max_nan_and_bytes)
{
    struct optest t;
    ot_init(&t, "MaxPool", 12);
    t.skip_out[1] = true;
    ot_ints(&t, "kernel_shape", 1, 2);
    ot_in(&t, TSR_F32, OT_S(1, 1, 4), OT_V(1, NAN, 3, 4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 3), OT_V(NAN, NAN, 4), 0);
    ot_free(&t);
    for (int i = 0; i < 2; i++) {
        ot_init(&t, "MaxPool", 12);
        ot_ints(&t, "kernel_shape", 1, 2);
        ot_ints(&t, "pads", 2, 1, 0);
        ot_in(&t, i ? TSR_I8 : TSR_U8, OT_S(1, 1, 4), i ? OT_V(-100, -3, -4, 7) : OT_V(200, 3, 4, 0));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(1, 1, 4), i ? OT_V(-100, -3, -3, 7) : OT_V(200, 200, 4, 4), 0);
        ot_free(&t);
    }
}
END_TEST

/* The fast path against the plain one, which bytes take: values and places, ties among them. */
START_TEST(max_paths_agree)
{
    static const int setting[][10] = {/* kernel, stride, dilation, pad in front, behind */
                                      {2, 2, 2, 2, 1, 1, 0, 0, 0, 0}, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1},
                                      {3, 2, 1, 3, 2, 1, 2, 1, 1, 0}, {1, 5, 1, 1, 1, 3, 0, 4, 0, 4}};
    for (int k = 0; k < 4; k++) {
        double first[600];
        int64_t places[600], n = 0;
        for (int f = 0; f < 2; f++) {
            const int *v = setting[k];
            struct optest t;
            ot_init(&t, "MaxPool", 12);
            ot_ints(&t, "kernel_shape", 2, v[0], v[1]);
            ot_ints(&t, "strides", 2, v[2], v[3]);
            ot_ints(&t, "dilations", 2, v[4], v[5]);
            ot_ints(&t, "pads", 4, v[6], v[7], v[8], v[9]);
            struct tsr_tensor *x = ot_in_new(&t, f ? TSR_F32 : TSR_U8, OT_S(2, 2, 9, 13));
            for (int64_t i = 0; i < tsr_tensor_count(x); i++) tsr_store_f64(x->dtype, x->data, i, (double)(i * 7919 % 23));
            ot_run(&t);
            n = tsr_tensor_count(&t.out[0]);
            ck_assert(n <= 600);
            for (int64_t i = 0; i < n; i++) {
                double got = tsr_load_f64(t.out[0].dtype, t.out[0].data, i);
                int64_t place = ((const int64_t *)t.out[1].data)[i];
                if (f) ck_assert(got == first[i] && place == places[i]);
                first[i] = got, places[i] = place;
            }
            ot_free(&t);
        }
    }
}
END_TEST

START_TEST(max_of_nothing)
{
    struct optest t;
    ot_init(&t, "MaxPool", 12);
    ot_ints(&t, "kernel_shape", 1, 2);
    ot_ints(&t, "pads", 2, 1, 1);
    ot_in(&t, TSR_F32, OT_S(1, 1, 3), OT_V(-INFINITY, -INFINITY, -INFINITY));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 4), OT_V(-INFINITY, -INFINITY, -INFINITY, -INFINITY), 0);
    ot_expect_i64(&t, 1, OT_S(1, 1, 4), OT_I(0, 0, 1, 2));
    ot_free(&t);
}
END_TEST

START_TEST(mean_values)
{
    struct optest t;
    ot_init(&t, "AveragePool", 11);
    ot_ints(&t, "kernel_shape", 1, 3);
    ot_ints(&t, "strides", 1, 2);
    ot_ints(&t, "pads", 2, 1, 1);
    ot_in(&t, TSR_F32, OT_S(1, 1, 6), OT_V(1, 2, 3, 4, 5, 6));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 3), OT_V(1.5, 3, 5), 1e-6);
    ot_int(&t, "ceil_mode", 1);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 4), OT_V(1.5, 3, 5, 6), 1e-6);
    ot_int(&t, "count_include_pad", 1);
    ot_run(&t); /* the last window: one input, one padding, one beyond */
    ot_expect(&t, 0, OT_S(1, 1, 4), OT_V(1, 3, 5, 3), 1e-6);
    ot_free(&t);
}
END_TEST

static void pool2d(struct optest *t, const char *op, int variant)
{
    ot_init(t, op, 19);
    if (variant == 0) {
        ot_ints(t, "kernel_shape", 2, 3, 2), ot_ints(t, "strides", 2, 2, 1), ot_ints(t, "pads", 4, 1, 0, 1, 1);
    } else if (variant == 1) {
        ot_ints(t, "kernel_shape", 2, 2, 3), ot_ints(t, "strides", 2, 1, 2), ot_int(t, "ceil_mode", 1);
        ot_int(t, "count_include_pad", 1);
    } else if (variant == 2) {
        ot_ints(t, "kernel_shape", 2, 2, 2), ot_ints(t, "dilations", 2, 2, 3), ot_ints(t, "pads", 4, 1, 1, 1, 1);
    } else {
        ot_ints(t, "kernel_shape", 2, 3, 3), ot_ints(t, "strides", 2, 2, 2), ot_string(t, "auto_pad", "SAME_LOWER");
    }
    ot_in_apart(t, TSR_F32, OT_S(2, 3, 6, 7), -1, 1);
}

START_TEST(gradients)
{
    static const char *const ops[] = {"MaxPool", "AveragePool", "LpPool"};
    for (int o = 0; o < 3; o++)
        for (int variant = 0; variant < 4; variant++) {
            struct optest t;
            pool2d(&t, ops[o], variant);
            ot_check_all(&t, 1e-5);
            ot_memory_torture(&t);
            ot_free(&t);
        }
}
END_TEST

START_TEST(global_gradients)
{
    static const char *const ops[] = {"GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"};
    for (int o = 0; o < 3; o++) {
        struct optest t;
        ot_init(&t, ops[o], 7);
        if (o == 2) ot_int(&t, "p", 3);
        ot_in_apart(&t, TSR_F32, OT_S(2, 3, 5, 7), -1, 1);
        ot_run(&t);
        ot_expect_shape(&t, 0, TSR_F32, OT_S(2, 3, 1, 1));
        ot_check_all(&t, 1e-5);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(three_dimensions)
{
    static const char *const ops[] = {"MaxPool", "AveragePool"};
    for (int o = 0; o < 2; o++) {
        struct optest t;
        ot_init(&t, ops[o], 19);
        ot_ints(&t, "kernel_shape", 3, 2, 3, 2);
        ot_ints(&t, "strides", 3, 2, 1, 2);
        ot_ints(&t, "pads", 6, 0, 1, 1, 1, 1, 0);
        ot_in_apart(&t, TSR_F32, OT_S(1, 2, 3, 4, 5), -1, 1);
        ot_check_all(&t, 1e-5);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(bad)
{
    struct optest t;
    ot_init(&t, "MaxPool", 12);
    ot_in_random(&t, TSR_F32, OT_S(1, 1, 4, 4), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "kernel_shape");
    ot_free(&t);
    ot_init(&t, "AveragePool", 11);
    ot_ints(&t, "kernel_shape", 2, 5, 5);
    ot_in_random(&t, TSR_F32, OT_S(1, 1, 4, 4), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "window");
    ot_free(&t);
    ot_init(&t, "MaxPool", 12);
    ot_ints(&t, "kernel_shape", 1, 2);
    ot_in_random(&t, TSR_F32, OT_S(4, 4), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "batch");
    ot_free(&t);
}
END_TEST

/* [n, c, a, b] to [n, a, b, c], or back. */
static void turn(const double *from, double *to, int n, int c, int size, bool last)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c; k++)
            for (int s = 0; s < size; s++) {
                if (last) to[(i * size + s) * c + k] = from[(i * c + k) * size + s];
                else to[(i * c + k) * size + s] = from[(i * size + s) * c + k];
            }
}

/* The operators over channels-last tensors against those over planes: values and gradients. */
START_TEST(channels_last)
{
    static const struct {
        const char *op;
        int kernel[2], stride[2], dilation[2], pad[4], ceiling, include;
    } k[] = {
        {"MaxPool", {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 0, 0},     {"MaxPool", {2, 3}, {1, 2}, {2, 1}, {1, 0, 0, 1}, 1, 0},
        {"AveragePool", {3, 2}, {2, 1}, {1, 1}, {1, 1, 0, 0}, 0, 0}, {"AveragePool", {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1, 1},
        {"GlobalAveragePool", {0}, {0}, {0}, {0}, 0, 0},
    };
    enum { N = 2, C = 19, H = 9, W = 7 };
    static double x[N * C * H * W], y[N * C * H * W];
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++)
        for (int last = 0; last < 2; last++) {
            struct optest t;
            ot_init_domain(&t, k[i].op, last ? "tessera" : "", 19);
            t.n_out = 1;
            if (k[i].kernel[0] > 0) {
                ot_ints(&t, "kernel_shape", 2, k[i].kernel[0], k[i].kernel[1]);
                ot_ints(&t, "strides", 2, k[i].stride[0], k[i].stride[1]);
                ot_ints(&t, "dilations", 2, k[i].dilation[0], k[i].dilation[1]);
                ot_ints(&t, "pads", 4, k[i].pad[0], k[i].pad[1], k[i].pad[2], k[i].pad[3]);
                ot_int(&t, "ceil_mode", k[i].ceiling);
                ot_int(&t, "count_include_pad", k[i].include);
            }
            if (!last) ot_in_apart(&t, TSR_F64, OT_S(N, C, H, W), -1, 1);
            else ot_in(&t, TSR_F64, OT_S(N, H, W, C), x);
            ot_load(&t, TSR_NONE);
            OT_DONE(&t, ot_forward(&t, true));
            OT_DONE(&t, ot_backward(&t));
            const struct tsr_shape *s = &t.out[0].shape;
            const int out = k[i].kernel[0] == 0 ? 1 : (int)(last ? s->dim[1] * s->dim[2] : s->dim[2] * s->dim[3]);
            if (!last) {
                turn(t.now[0].data, x, N, C, H * W, true);
                turn(t.out[0].data, y, N, C, out, true);
            } else {
                ot_expect_tensor(&t, "output", 0, &t.out[0], y, 1e-14);
                t.step = 1e-5; /* the elements are no further apart */
                ot_gradcheck(&t);
                ot_float_agrees(&t, 1e-6);
                ot_threads_agree(&t);
                ot_memory_torture(&t);
            }
            ot_free(&t);
        }
}
END_TEST

START_TEST(channels_last_apart)
{
    struct optest t;
    ot_init_domain(&t, "MaxPool", "tessera", 19); /* padding alone; NaN; one dimension */
    ot_ints(&t, "kernel_shape", 1, 1);
    ot_ints(&t, "pads", 2, 1, 0);
    ot_in(&t, TSR_F32, OT_S(1, 3, 2), OT_V(1, 2, NAN, -5, 3, 4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 4, 2), OT_V(-INFINITY, -INFINITY, 1, 2, NAN, -5, 3, 4), 0);
    ot_free(&t);
    ot_init_domain(&t, "GlobalAveragePool", "tessera", 19);
    ot_int(&t, "keepdims", 0);
    ot_in(&t, TSR_F32, OT_S(2, 2, 2), OT_V(1, 2, 3, 6, 5, 6, 5, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(2, 4, 5, 3), 0);
    ot_free(&t);
    ot_init_domain(&t, "AveragePool", "tessera", 19);
    ot_ints(&t, "kernel_shape", 2, 2, 2);
    ot_in_random(&t, TSR_F32, OT_S(2, 5), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "3 or 4");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/pool");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, max_values);
    tcase_add_test(c, max_nan_and_bytes);
    tcase_add_test(c, max_paths_agree);
    tcase_add_test(c, max_of_nothing);
    tcase_add_test(c, mean_values);
    tcase_add_test(c, gradients);
    tcase_add_test(c, global_gradients);
    tcase_add_test(c, three_dimensions);
    tcase_add_test(c, bad);
    tcase_add_test(c, channels_last);
    tcase_add_test(c, channels_last_apart);
    suite_add_tcase(s, c);
    return ot_main(s);
}
