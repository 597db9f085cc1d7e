/* Operators that write or pick by index or value. */
#include "optest.h"

START_TEST(scatter)
{
    struct optest t;
    static const char *const how[] = {"none", "add", "mul", "max", "min"};
    static const double want[5][4] = {{1, 7, 0.5, 4}, {1, 2 + 7, 3.5, 4}, {1, 14, 1.5, 4}, {1, 7, 3, 4}, {1, 2, 0.5, 4}};
    for (int k = 0; k < 5; k++) {
        ot_init(&t, "ScatterElements", 18);
        ot_string(&t, "reduction", how[k]);
        ot_in(&t, TSR_F32, OT_S(4), OT_V(1, 2, 3, 4));
        ot_in_i64(&t, OT_S(2), OT_I(1, -2));
        ot_in(&t, TSR_F32, OT_S(2), OT_V(7, 0.5));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(4), want[k], 0);
        if (k < 2) ot_check_all(&t, 1e-6);
        ot_free(&t);
        ot_init(&t, "ScatterND", 18);
        ot_string(&t, "reduction", how[k]);
        ot_in(&t, TSR_U64, OT_S(2, 2), OT_V(1, 2, 0x1p63, 4));
        ot_in_i64(&t, OT_S(1, 1), OT_I(1));
        ot_in(&t, TSR_U64, OT_S(1, 2), OT_V(1, 3));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(2, 2), k == 0 || k == 4 ? OT_V(1, 2, 1, 3) : k == 1 ? OT_V(1, 2, 0x1p63, 7) : k == 2 ? OT_V(1, 2, 0x1p63, 12) : OT_V(1, 2, 0x1p63, 4), 0);
        ot_free(&t);
    }
    for (int k = 0; k < 2; k++) {
        ot_init(&t, "ScatterElements", 18);
        ot_int(&t, "axis", 1);
        ot_string(&t, "reduction", how[k]);
        ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
        ot_in_i64(&t, OT_S(2, 2), OT_I(0, 3, -1, 1));
        ot_in_random(&t, TSR_F32, OT_S(2, 2), -1, 1);
        ot_check_all(&t, 1e-6);
        ot_free(&t);
        ot_init(&t, "ScatterND", 18);
        ot_string(&t, "reduction", how[k]);
        ot_in_random(&t, TSR_F32, OT_S(3, 4, 2), -1, 1);
        ot_in_i64(&t, OT_S(2, 2), OT_I(0, 3, -1, 1));
        ot_in_random(&t, TSR_F32, OT_S(2, 2), -1, 1);
        ot_check_all(&t, 1e-6);
        ot_free(&t);
    }
    ot_init(&t, "ScatterElements", 18);
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(3));
    ot_in_random(&t, TSR_F32, OT_S(1), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "index 3");
    ot_free(&t);
    ot_init(&t, "ScatterND", 18);
    ot_in_random(&t, TSR_F32, OT_S(3, 2), -1, 1);
    ot_in_i64(&t, OT_S(1, 1), OT_I(2));
    ot_in_random(&t, TSR_F32, OT_S(1, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[1,3]");
    ot_free(&t);
}
END_TEST

START_TEST(one_hot)
{
    struct optest t;
    ot_init(&t, "OneHot", 11);
    ot_int(&t, "axis", 0);
    ot_in_i64(&t, OT_S(4), OT_I(0, 2, -1, 5));
    ot_in_i64(&t, OT_SCALAR, OT_I(3));
    ot_in(&t, TSR_F32, OT_S(2), OT_V(-1, 1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3, 4), OT_V(1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 1, -1), 0);
    ot_free(&t);
    ot_init(&t, "OneHot", 11);
    ot_in_i64(&t, OT_S(1), OT_I(0));
    ot_in_i64(&t, OT_SCALAR, OT_I(-3));
    ot_in(&t, TSR_F32, OT_S(2), OT_V(-1, 1));
    ot_fails(&t, TSR_E_CORRUPT, "-3");
    ot_free(&t);
}
END_TEST

START_TEST(non_zero)
{
    struct optest t;
    ot_init(&t, "NonZero", 13);
    ot_in(&t, TSR_F32, OT_S(2, 3), OT_V(0, 1, 0, -0.5, 0, 2));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(2, 3), OT_I(0, 1, 1, 1, 0, 2));
    ot_free(&t);
    ot_init(&t, "NonZero", 13);
    ot_in(&t, TSR_BOOL, OT_SCALAR, OT_V(1));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(1, 1), OT_I(0));
    ot_free(&t);
}
END_TEST

START_TEST(compress)
{
    struct optest t;
    for (int axis = -1; axis < 2; axis++) {
        ot_init(&t, "Compress", 11);
        if (axis >= 0) ot_int(&t, "axis", axis);
        ot_in_random(&t, TSR_F32, OT_S(3, 4, 2), -1, 1);
        ot_in(&t, TSR_BOOL, OT_S(3), OT_V(1, 0, 1));
        ot_check_all(&t, 0);
        ot_free(&t);
    }
    ot_init(&t, "Compress", 11);
    ot_in(&t, TSR_I4, OT_S(2, 2), OT_V(1, 2, 3, 4));
    ot_in(&t, TSR_BOOL, OT_S(4), OT_V(0, 1, 0, 1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(2, 4), 0);
    ot_free(&t);
    ot_init(&t, "Compress", 11);
    ot_int(&t, "axis", 0);
    ot_in_random(&t, TSR_F32, OT_S(2, 2), -1, 1);
    ot_in(&t, TSR_BOOL, OT_S(3), OT_V(0, 1, 1));
    ot_fails(&t, TSR_E_MISMATCH, "element 2");
    ot_free(&t);
}
END_TEST

START_TEST(reverse_sequence)
{
    struct optest t;
    for (int batch = 0; batch < 2; batch++) {
        ot_init(&t, "ReverseSequence", 10);
        ot_int(&t, "batch_axis", batch);
        ot_int(&t, "time_axis", 1 - batch);
        ot_in_random(&t, TSR_F32, OT_S(4, 4, 2), -1, 1);
        ot_in_i64(&t, OT_S(4), OT_I(0, 1, 3, 4));
        ot_check_all(&t, 0);
        ot_free(&t);
    }
    ot_init(&t, "ReverseSequence", 10);
    ot_int(&t, "batch_axis", 0);
    ot_int(&t, "time_axis", 1);
    ot_in(&t, TSR_U8, OT_S(2, 3), OT_V(1, 2, 3, 4, 5, 6));
    ot_in_i64(&t, OT_S(2), OT_I(2, 3));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 3), OT_V(2, 1, 3, 6, 5, 4), 0);
    ot_free(&t);
    ot_init(&t, "ReverseSequence", 10);
    ot_in_random(&t, TSR_F32, OT_S(2, 1), -1, 1);
    ot_in_i64(&t, OT_S(1), OT_I(3));
    ot_fails(&t, TSR_E_MISMATCH, "length 3");
    ot_free(&t);
}
END_TEST

START_TEST(top_k)
{
    struct optest t;
    ot_init(&t, "TopK", 11);
    ot_in(&t, TSR_F32, OT_S(2, 5), OT_V(3, 9, NAN, 9, -1, 0, -0.0, -5, 0, -INFINITY));
    ot_in_i64(&t, OT_S(1), OT_I(3));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 3), OT_V(NAN, 9, 9, 0, 0, 0), 0);
    ot_expect_i64(&t, 1, OT_S(2, 3), OT_I(2, 1, 3, 0, 1, 3));
    ot_free(&t);
    ot_init(&t, "TopK", 11);
    ot_int(&t, "largest", 0);
    ot_int(&t, "axis", 0);
    ot_in(&t, TSR_U64, OT_S(3, 1), OT_V(0x1p63, 2, 5));
    ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 1), OT_V(2, 5), 0);
    ot_free(&t);
    for (int axis = 0; axis < 3; axis++) {
        ot_init(&t, "TopK", 11);
        ot_int(&t, "axis", axis);
        ot_in_apart(&t, TSR_F32, OT_S(4, 3, 5), -3, 3);
        ot_in_i64(&t, OT_S(1), OT_I(2));
        ot_check_all(&t, 0);
        ot_free(&t);
    }
    for (int k = 0; k <= 40; k++) { /* against a full sort */
        ot_init(&t, "TopK", 11);
        ot_in_random(&t, TSR_F64, OT_S(40), -3, 3);
        ot_in_i64(&t, OT_S(1), OT_I(k));
        ot_run(&t);
        const double *x = t.in[0].data, *y = t.out[0].data;
        for (int i = 0; i < k; i++) {
            int larger = 0;
            for (int j = 0; j < 40; j++) larger += x[j] > y[i];
            ck_assert_int_eq(larger, i);
        }
        ot_free(&t);
    }
    ot_init(&t, "TopK", 11);
    ot_in_random(&t, TSR_F64, OT_S(4), -3, 3);
    ot_in_i64(&t, OT_S(1), OT_I(5));
    ot_fails(&t, TSR_E_MISMATCH, "top 5");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops_select");
    TCase *c = tcase_create("select");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, scatter);
    tcase_add_test(c, one_hot);
    tcase_add_test(c, non_zero);
    tcase_add_test(c, compress);
    tcase_add_test(c, reverse_sequence);
    tcase_add_test(c, top_k);
    suite_add_tcase(s, c);
    return ot_main(s);
}
