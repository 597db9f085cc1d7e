/* Softmax, reductions, ArgMax, CumSum. */
#include "optest.h"

static void reduce(const char *op, int opset, const int64_t *axes, int n_axes, int keep, struct tsr_shape in,
                   struct tsr_shape out, const double *x, const double *want)
{
    struct optest t;
    ot_init(&t, op, opset);
    bool attr = opset < (strcmp(op, "ReduceSum") ? 18 : 13);
    ot_in(&t, TSR_F32, in, x);
    if (n_axes >= 0 && attr) {
        struct tsr_attr *a = ot_attr(&t, "axes", TSR_ATTR_INTS, (size_t)n_axes);
        a->ints = ot_have(tsr_calloc(8, sizeof(int64_t)));
        memcpy(a->ints, axes, (size_t)n_axes * sizeof *axes);
    } else if (n_axes >= 0) ot_in_i64(&t, OT_S(n_axes), axes);
    ot_int(&t, "keepdims", keep);
    ot_run(&t);
    ot_expect(&t, 0, out, want, 1e-6);
    ot_free(&t);
}

START_TEST(known_sums)
{
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    for (int opset = 11; opset <= 18; opset += 7) {
        reduce("ReduceSum", opset, OT_I(1), 1, 0, OT_S(3, 2, 2), OT_S(3, 2), x, OT_V(4, 6, 12, 14, 20, 22));
        reduce("ReduceSum", opset, OT_I(-1), 1, 1, OT_S(3, 2, 2), OT_S(3, 2, 1), x, OT_V(3, 7, 11, 15, 19, 23));
        reduce("ReduceSum", opset, NULL, -1, 1, OT_S(3, 2, 2), OT_S(1, 1, 1), x, OT_V(78));
        reduce("ReduceMean", opset, OT_I(0, 2), 2, 0, OT_S(3, 2, 2), OT_S(2), x, OT_V(5.5, 7.5));
        reduce("ReduceMax", opset, OT_I(0), 1, 0, OT_S(3, 2, 2), OT_S(2, 2), x, OT_V(9, 10, 11, 12));
        reduce("ReduceMin", opset, OT_I(2, 1), 2, 0, OT_S(3, 2, 2), OT_S(3), x, OT_V(1, 5, 9));
        reduce("ReduceProd", opset, OT_I(2), 1, 0, OT_S(3, 2, 2), OT_S(3, 2), x, OT_V(2, 12, 30, 56, 90, 132));
        reduce("ReduceL1", opset, OT_I(0), 1, 0, OT_S(2, 2), OT_S(2), OT_V(1, -2, -3, 4), OT_V(4, 6));
        reduce("ReduceL2", opset, OT_I(1), 1, 0, OT_S(2, 2), OT_S(2), OT_V(3, -4, 5, 12), OT_V(5, 13));
        reduce("ReduceSumSquare", opset, OT_I(0), 1, 0, OT_S(2, 2), OT_S(2), OT_V(1, -2, 3, 4), OT_V(10, 20));
        reduce("ReduceLogSum", opset, OT_I(1), 1, 0, OT_S(2, 2), OT_S(2), OT_V(1, 1, 2, 3), OT_V(M_LN2, 1.6094379124));
        reduce("ReduceLogSumExp", opset, OT_I(1), 1, 0, OT_S(2, 2), OT_S(2), OT_V(1000, 1000, -INFINITY, -INFINITY),
               OT_V(1000 + M_LN2, -INFINITY));
    }
}
END_TEST

static const char *const reductions[] = {"ReduceSum", "ReduceMean",      "ReduceMax",    "ReduceMin",       "ReduceProd",
                                         "ReduceL1",  "ReduceL2",        "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"};

START_TEST(gradients)
{
    static const int axes[][3] = {{0, -1, -1}, {1, -1, -1}, {3, -1, -1}, {0, 2, -1}, {1, 3, -1}, {2, 3, -1}, {0, 1, 2}, {-1, -1, -1}};
    for (size_t k = 0; k < sizeof axes / sizeof *axes; k++)
        for (int keep = 0; keep < 2; keep++) {
            struct optest t;
            int64_t v[3];
            int n = 0;
            for (int i = 0; i < 3; i++)
                if (axes[k][i] >= 0) v[n++] = axes[k][i];
            ot_init(&t, reductions[_i], 18);
            if (!strcmp(reductions[_i], "ReduceMax") || !strcmp(reductions[_i], "ReduceMin")) ot_in_apart(&t, TSR_F32, OT_S(3, 2, 4, 3), -2, 2);
            else ot_in_random(&t, TSR_F32, OT_S(3, 2, 4, 3), 0.5, 1.5);
            if (n) ot_in_i64(&t, OT_S(n), v);
            ot_int(&t, "keepdims", keep);
            ot_check_all(&t, 3e-6);
            ot_free(&t);
        }
}
END_TEST

START_TEST(wide)
{
    struct optest t;
    const int64_t axes[][2] = {{0, 0}, {1, 1}, {0, 1}};
    for (int k = 0; k < 3; k++) {
        ot_init(&t, reductions[_i], 18);
        ot_in_random(&t, TSR_F32, OT_S(211, 603), 0.9, 1.1);
        ot_in_i64(&t, OT_S(k == 2 ? 2 : 1), axes[k]);
        if (strcmp(reductions[_i], "ReduceProd")) ot_float_agrees(&t, 2e-6); /* a product of many float32 is not close */
        ot_threads_agree(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(corner_cases)
{
    struct optest t;
    ot_init(&t, "ReduceSum", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_i64(&t, OT_S(0), OT_I(0));
    ot_int(&t, "noop_with_empty_axes", 1);
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(2, 3));
    ot_gradcheck(&t);
    ot_free(&t);

    ot_init(&t, "ReduceProd", 13); /* zeros among the factors */
    ot_in(&t, TSR_F32, OT_S(3, 3), OT_V(0, 2, 3, 0, 0, 5, 1, 2, 3));
    ot_ints(&t, "axes", 1, 1);
    ot_check_all(&t, 1e-6);
    ot_free(&t);

    ot_init(&t, "ReduceMax", 18);
    ot_in(&t, TSR_I8, OT_S(0, 2), NULL);
    ot_in_i64(&t, OT_S(1), OT_I(0));
    ot_int(&t, "keepdims", 0);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(-128, -128), 0);
    ot_free(&t);

    ot_init(&t, "ReduceMax", 20);
    ot_in(&t, TSR_BOOL, OT_S(2, 2), OT_V(0, 1, 0, 0));
    ot_in_i64(&t, OT_S(1), OT_I(1));
    ot_int(&t, "keepdims", 0);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(1, 0), 0);
    ot_free(&t);

    ot_init(&t, "ReduceSum", 13);
    ot_in(&t, TSR_F32, OT_S(2, 0), NULL);
    ot_in_i64(&t, OT_S(1), OT_I(1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 1), OT_V(0, 0), 0);
    ot_free(&t);

    ot_init(&t, "ReduceSum", 13);
    ot_in(&t, TSR_U32, OT_S(2), OT_V(4294967295.0, 2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1), OT_V(1), 0);
    ot_free(&t);

    ot_init(&t, "ReduceMax", 13);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(1, NAN, 2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1), OT_V(NAN), 0);
    ot_free(&t);

    ot_init(&t, "ReduceSum", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_fails(&t, TSR_E_CORRUPT, "axis 2");
    ot_free(&t);
    ot_init(&t, "ReduceSum", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_i64(&t, OT_S(2), OT_I(1, -1));
    ot_fails(&t, TSR_E_CORRUPT, "twice");
    ot_free(&t);
}
END_TEST

START_TEST(softmax)
{
    static const char *const op[] = {"Softmax", "LogSoftmax"};
    static const struct {
        int rank;
        int64_t dim[4];
        int axis;
    } s[] = {{2, {5, 7}, 1}, {2, {5, 7}, 0}, {3, {2, 3, 70}, 2}, {3, {2, 50, 3}, 1}, {4, {2, 3, 2, 5}, -2}, {1, {9}, 0}, {2, {90, 48}, -1}};
    for (int opset = 11; opset <= 13; opset += 2)
        for (size_t k = 0; k < sizeof s / sizeof *s; k++) {
            struct optest t;
            ot_init(&t, op[_i], opset);
            ot_int(&t, "axis", s[k].axis);
            ot_in_random(&t, TSR_F32, ot_shape(s[k].rank, s[k].dim), -4, 4);
            if (k < 6) ot_gradcheck(&t);
            ot_float_agrees(&t, 3e-6);
            ot_threads_agree(&t);
            ot_free(&t);
        }
}
END_TEST

START_TEST(softmax_values)
{
    struct optest t;
    ot_init(&t, "Softmax", 13);
    ot_in(&t, TSR_F32, OT_S(2, 3), OT_V(0, 1, 2, 1e4, 1e4, -1e4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 3), OT_V(0.0900305732, 0.2447284711, 0.6652409558, 0.5, 0.5, 0), 1e-6);
    ot_free(&t);
    ot_init(&t, "LogSoftmax", 13);
    ot_in(&t, TSR_F32, OT_S(1, 3), OT_V(0, 1, 1e4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 3), OT_V(-1e4, -9999, 0), 1e-6);
    ot_free(&t);
    ot_init(&t, "Softmax", 11); /* all dimensions from the axis on are one row */
    ot_in(&t, TSR_F32, OT_S(1, 2, 2), OT_V(0, 0, 0, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 2, 2), OT_V(0.25, 0.25, 0.25, 0.25), 1e-7);
    ot_free(&t);
    ot_init(&t, "Hardmax", 13);
    ot_int(&t, "axis", 0);
    ot_in(&t, TSR_F32, OT_S(3, 2), OT_V(1, 5, 3, 5, 3, 2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3, 2), OT_V(0, 1, 1, 0, 0, 0), 0);
    ot_free(&t);
    ot_init(&t, "Softmax", 13);
    ot_int(&t, "axis", 2);
    ot_in_random(&t, TSR_F32, OT_S(3, 2), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "axis 2");
    ot_free(&t);
}
END_TEST

START_TEST(argmax)
{
    struct optest t;
    const double x[] = {1, 5, 5, 2, NAN, 7, -1, -1, -1};
    ot_init(&t, "ArgMax", 13);
    ot_int(&t, "axis", 1);
    ot_int(&t, "keepdims", 0);
    ot_in(&t, TSR_F32, OT_S(3, 3), x);
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(3), OT_I(1, 1, 0));
    ot_free(&t);
    ot_init(&t, "ArgMax", 13);
    ot_int(&t, "axis", 1);
    ot_int(&t, "select_last_index", 1);
    ot_in(&t, TSR_F64, OT_S(3, 3), x);
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(3, 1), OT_I(2, 1, 2));
    ot_free(&t);
    ot_init(&t, "ArgMin", 13);
    ot_in(&t, TSR_U64, OT_S(3, 2), OT_V(0x1p63, 3, 5, 2, 7, 2));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(1, 2), OT_I(1, 1));
    ot_free(&t);
    ot_init(&t, "ArgMax", 13);
    ot_in(&t, TSR_F32, OT_S(0, 2), NULL);
    ot_fails(&t, TSR_E_MISMATCH, "empty");
    ot_free(&t);
}
END_TEST

START_TEST(cumsum)
{
    static const double want[4][6] = {{1, 3, 6, 4, 9, 15}, {6, 5, 3, 15, 11, 6}, {0, 1, 3, 0, 4, 9}, {5, 3, 0, 11, 6, 0}};
    for (int k = 0; k < 4; k++)
        for (int d = 0; d < 2; d++) {
            struct optest t;
            ot_init(&t, "CumSum", 14);
            ot_int(&t, "reverse", k & 1);
            ot_int(&t, "exclusive", k >> 1);
            ot_in(&t, d ? TSR_I32 : TSR_F32, OT_S(2, 3), OT_V(1, 2, 3, 4, 5, 6));
            ot_in_i64(&t, OT_SCALAR, OT_I(-1));
            ot_run(&t);
            ot_expect(&t, 0, OT_S(2, 3), want[k], 0);
            if (!d) ot_check_all(&t, 1e-6);
            ot_free(&t);
        }
    struct optest t;
    ot_init(&t, "CumSum", 14);
    ot_in_random(&t, TSR_F32, OT_S(3, 4, 2), -1, 1);
    ot_in_i64(&t, OT_SCALAR, OT_I(1));
    ot_check_all(&t, 1e-6);
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops_reduce");
    TCase *c = tcase_create("reduce");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, known_sums);
    tcase_add_loop_test(c, gradients, 0, 10);
    tcase_add_loop_test(c, wide, 0, 10);
    tcase_add_test(c, corner_cases);
    tcase_add_loop_test(c, softmax, 0, 2);
    tcase_add_test(c, softmax_values);
    tcase_add_test(c, argmax);
    tcase_add_test(c, cumsum);
    suite_add_tcase(s, c);
    return ot_main(s);
}
