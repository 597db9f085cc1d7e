/* Gemm and MatMul: values, gradients, shapes that do not fit. */
#include "optest.h"

START_TEST(gemm_values)
{
    struct optest t;
    ot_init(&t, "Gemm", 13);
    ot_float(&t, "alpha", 0.5);
    ot_float(&t, "beta", 2);
    ot_int(&t, "transB", 1);
    ot_in(&t, TSR_F32, OT_S(2, 3), OT_V(1, 2, 3, 4, 5, 6));
    ot_in(&t, TSR_F32, OT_S(2, 3), OT_V(1, 0, 2, 0, 1, 1));
    ot_in(&t, TSR_F32, OT_S(2, 1), OT_V(10, 20));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(23.5, 22.5, 48, 45.5), 1e-6);
    ot_free(&t);
}
END_TEST

START_TEST(gemm_gradients)
{
    const struct tsr_shape bias[] = {OT_SCALAR, OT_S(1), OT_S(5), OT_S(1, 5), OT_S(7, 1), OT_S(7, 5), OT_S(1, 1)};
    for (int mode = 0; mode < 4; mode++)
        for (int c = -1; c < 7; c++) {
            struct optest t;
            bool ta = mode & 1, tb = mode & 2;
            ot_init(&t, "Gemm", 11);
            if (ta) ot_int(&t, "transA", 1);
            if (tb) ot_int(&t, "transB", 1);
            if (c != 2) ot_float(&t, "alpha", 0.75), ot_float(&t, "beta", -1.5);
            ot_in_random(&t, TSR_F32, ta ? OT_S(6, 7) : OT_S(7, 6), -1, 1);
            ot_in_random(&t, TSR_F32, tb ? OT_S(5, 6) : OT_S(6, 5), -1, 1);
            if (c >= 0) ot_in_random(&t, TSR_F32, bias[c], -1, 1);
            ot_check_all(&t, 1e-5);
            ot_memory_torture(&t);
            ot_free(&t);
        }
}
END_TEST

START_TEST(gemm_bad)
{
    struct optest t;
    ot_init(&t, "Gemm", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[2,3]");
    ot_free(&t);
    ot_init(&t, "Gemm", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "broadcast");
    ot_free(&t);
    ot_init(&t, "Gemm", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_random(&t, TSR_F64, OT_S(3, 4), -1, 1);
    ot_fails(&t, TSR_E_UNSUPPORTED, "float64");
    ot_free(&t);
    ot_init(&t, "Gemm", 13);
    ot_in_random(&t, TSR_F32, OT_S(1, 2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "matrices");
    ot_free(&t);
}
END_TEST

static struct tsr_shape cut(int rank, const int64_t *d) { return ot_shape(rank, d); }

START_TEST(matmul_gradients)
{
    static const struct { int ra; int64_t a[5]; int rb; int64_t b[5]; int rc; int64_t c[5]; } cases[] = {
        {2, {3, 4}, 2, {4, 5}, 2, {3, 5}},
        {1, {4}, 1, {4}, 0, {0}},
        {1, {4}, 2, {4, 5}, 1, {5}},
        {2, {3, 4}, 1, {4}, 1, {3}},
        {3, {2, 3, 4}, 2, {4, 5}, 3, {2, 3, 5}},
        {3, {2, 3, 4}, 3, {2, 4, 5}, 3, {2, 3, 5}},
        {4, {2, 3, 4, 2}, 4, {2, 3, 2, 5}, 4, {2, 3, 4, 5}},
        {4, {2, 1, 4, 2}, 4, {1, 3, 2, 5}, 4, {2, 3, 4, 5}},
        {2, {4, 2}, 4, {2, 3, 2, 5}, 4, {2, 3, 4, 5}},
        {3, {3, 4, 2}, 4, {2, 1, 2, 5}, 4, {2, 3, 4, 5}},
        {1, {2}, 4, {2, 3, 2, 5}, 3, {2, 3, 5}},
        {4, {2, 3, 4, 2}, 1, {2}, 3, {2, 3, 4}},
        {4, {1, 1, 4, 2}, 3, {3, 2, 5}, 4, {1, 3, 4, 5}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct optest t;
        ot_init(&t, "MatMul", 13);
        ot_in_random(&t, TSR_F32, cut(cases[i].ra, cases[i].a), -1, 1);
        ot_in_random(&t, TSR_F32, cut(cases[i].rb, cases[i].b), -1, 1);
        ot_run(&t);
        ot_expect_shape(&t, 0, TSR_F32, cut(cases[i].rc, cases[i].c));
        ot_check_all(&t, 1e-5);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(matmul_integers)
{
    struct optest t;
    ot_init(&t, "MatMul", 13);
    ot_in(&t, TSR_I32, OT_S(2, 2), OT_V(1, -2, 3, 4));
    ot_in(&t, TSR_I32, OT_S(2, 1), OT_V(5, 6));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 1), OT_V(-7, 39), 0);
    ot_free(&t);
}
END_TEST

START_TEST(matmul_empty)
{
    struct optest t;
    ot_init(&t, "MatMul", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 0), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(0, 3), -1, 1);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 3), OT_V(0, 0, 0, 0, 0, 0), 0);
    ot_free(&t);
}
END_TEST

START_TEST(matmul_bad)
{
    struct optest t;
    ot_init(&t, "MatMul", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[2,3] and [2,3]");
    ot_free(&t);
    ot_init(&t, "MatMul", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 3, 4), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "fit");
    ot_free(&t);
    ot_init(&t, "MatMul", 13);
    ot_in_random(&t, TSR_F32, OT_SCALAR, -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "scalar");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/matmul");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, gemm_values);
    tcase_add_test(c, gemm_gradients);
    tcase_add_test(c, gemm_bad);
    tcase_add_test(c, matmul_gradients);
    tcase_add_test(c, matmul_integers);
    tcase_add_test(c, matmul_empty);
    tcase_add_test(c, matmul_bad);
    suite_add_tcase(s, c);
    return ot_main(s);
}
