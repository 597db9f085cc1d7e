/* Elementwise functions of one input: known answers, gradients, float32 against float64. */
#include "optest.h"

/* Ranges that keep clear of kinks and poles; domain errors are tested below. */
static const struct {
    const char *op;
    int opset;
    double lo, hi, tol;
} smooth[] = {
    {"Acos", 22, -0.9, 0.9, 1e-6},   {"Acosh", 22, 1.2, 4, 1e-6},     {"Asin", 22, -0.9, 0.9, 1e-6},
    {"Asinh", 22, -3, 3, 1e-6},      {"Atan", 22, -3, 3, 1e-6},       {"Atanh", 22, -0.8, 0.8, 1e-6},
    {"Cos", 22, -3, 3, 1e-6},        {"Cosh", 22, -2, 2, 1e-6},       {"Erf", 13, -3, 3, 1e-6},
    {"Exp", 13, -3, 3, 1e-6},        {"Log", 13, 0.2, 4, 1e-6},       {"Reciprocal", 13, 0.3, 3, 1e-6},
    {"Sin", 22, -3, 3, 1e-6},        {"Sinh", 22, -2, 2, 1e-6},       {"Sqrt", 13, 0.2, 4, 1e-6},
    {"Tan", 22, -1, 1, 1e-6},        {"Sigmoid", 13, -6, 6, 1e-6},    {"Tanh", 13, -4, 4, 1e-6},
    {"Softplus", 22, -6, 6, 1e-6},   {"Softsign", 22, 0.1, 4, 1e-6},  {"Mish", 22, -6, 6, 2e-6},
    {"Gelu", 20, -5, 5, 2e-6},       {"Swish", 24, -6, 6, 1e-6},
};

START_TEST(smooth_ones)
{
    struct optest t;
    ot_init(&t, smooth[_i].op, smooth[_i].opset);
    ot_in_random(&t, TSR_F32, OT_S(3, 37), smooth[_i].lo, smooth[_i].hi);
    ot_check_all(&t, smooth[_i].tol);
    ot_free(&t);
}
END_TEST

static const char *const kinked[] = {"Abs", "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid",
                                     "HardSwish", "Neg", "Sign", "Floor", "Ceil", "Round", "Shrink"};

START_TEST(kinked_ones)
{
    struct optest t;
    ot_init(&t, kinked[_i], 16);
    /* 66 points over [-3.3, 3.3]: 0.05 away from every multiple of 0.1 */
    ot_in_apart(&t, TSR_F32, OT_S(2, 33), -3.3, 3.3);
    if (!strcmp(kinked[_i], "LeakyRelu")) ot_float(&t, "alpha", 0.2);
    if (!strcmp(kinked[_i], "ThresholdedRelu")) ot_float(&t, "alpha", 0.5);
    if (!strcmp(kinked[_i], "Celu")) ot_float(&t, "alpha", 1.7);
    if (!strcmp(kinked[_i], "Elu")) ot_float(&t, "alpha", 0.6);
    t.step = 1.0 / 4096;
    ot_check_all(&t, 1e-6);
    ot_free(&t);
}
END_TEST

static const struct {
    const char *op;
    double in[6], out[6];
} known[] = {
    {"Abs", {-1, 0, 2, -INFINITY, NAN, -0.5}, {1, 0, 2, INFINITY, NAN, 0.5}},
    {"Ceil", {-1.5, 1.2, 2, -0.2, INFINITY, NAN}, {-1, 2, 2, 0, INFINITY, NAN}},
    {"Floor", {-1.5, 1.2, 2, -0.2, -INFINITY, NAN}, {-2, 1, 2, -1, -INFINITY, NAN}},
    {"Round", {-1.5, 0.5, 1.5, 2.5, -2.6, NAN}, {-2, 0, 2, 2, -3, NAN}},
    {"Sign", {-7, 0, 2, -INFINITY, INFINITY, NAN}, {-1, 0, 1, -1, 1, NAN}},
    {"Neg", {-1, 0, 2, INFINITY, NAN, 3}, {1, 0, -2, -INFINITY, NAN, -3}},
    {"Relu", {-1, 0, 2, -INFINITY, INFINITY, NAN}, {0, 0, 2, 0, INFINITY, NAN}},
    {"Sqrt", {4, 0, 2.25, INFINITY, -1, NAN}, {2, 0, 1.5, INFINITY, NAN, NAN}},
    {"Reciprocal", {4, 0, -2, INFINITY, 1, NAN}, {0.25, INFINITY, -0.5, 0, 1, NAN}},
    {"Exp", {0, 1, -1, -INFINITY, INFINITY, NAN}, {1, M_E, 1 / M_E, 0, INFINITY, NAN}},
    {"Log", {1, M_E, 0, -1, INFINITY, NAN}, {0, 1, -INFINITY, NAN, INFINITY, NAN}},
    {"Sigmoid", {0, 1, -1, -INFINITY, INFINITY, NAN}, {0.5, 0.7310585786, 0.2689414214, 0, 1, NAN}},
    {"Tanh", {0, 1, -1, -INFINITY, INFINITY, NAN}, {0, 0.7615941560, -0.7615941560, -1, 1, NAN}},
    {"Gelu", {0, 1, -1, -INFINITY, INFINITY, NAN}, {0, 0.8413447461, -0.1586552539, 0, INFINITY, NAN}},
    {"HardSigmoid", {0, 1, -1, -INFINITY, INFINITY, NAN}, {0.5, 0.7, 0.3, 0, 1, NAN}},
    {"HardSwish", {0, 1, -4, 4, INFINITY, NAN}, {0, 4.0 / 6, 0, 4, INFINITY, NAN}},
    {"Elu", {0, 1, -1, -INFINITY, INFINITY, NAN}, {0, 1, 1 / M_E - 1, -1, INFINITY, NAN}},
    {"Selu", {0, 1, -1, -INFINITY, INFINITY, NAN}, {0, 1.0507009873, -1.1113307, -1.7580993, INFINITY, NAN}},
    {"Softplus", {0, 1, -1, -INFINITY, INFINITY, NAN}, {M_LN2, 1.3132616875, 0.3132616875, 0, INFINITY, NAN}},
    {"Softsign", {0, 1, -3, -INFINITY, INFINITY, NAN}, {0, 0.5, -0.75, -1, 1, NAN}},
    {"Mish", {0, 1, -1, 30, INFINITY, NAN}, {0, 0.8650983883, -0.3034014613, 30, INFINITY, NAN}},
    {"Swish", {0, 1, -1, -INFINITY, INFINITY, NAN}, {0, 0.7310585786, -0.2689414214, 0, INFINITY, NAN}},
    {"Shrink", {0, 1, -1, 0.3, -0.5, 2}, {0, 1, -1, 0, 0, 2}},
};

START_TEST(known_answers)
{
    for (int d = 0; d < 2; d++) {
        struct optest t;
        ot_init(&t, known[_i].op, 24);
        ot_in(&t, d ? TSR_F64 : TSR_F32, OT_S(6), known[_i].in);
        ot_run(&t);
        ot_expect(&t, 0, OT_S(6), known[_i].out, 1e-6);
        ot_free(&t);
    }
}
END_TEST

START_TEST(integers)
{
    struct optest t;
    ot_init(&t, "Abs", 13);
    ot_in(&t, TSR_I8, OT_S(3), OT_V(-128, -3, 4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(-128, 3, 4), 0);
    ot_free(&t);
    ot_init(&t, "Sign", 13);
    ot_in(&t, TSR_U64, OT_S(2), OT_V(0, 0x1p63));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(0, 1), 0);
    ot_free(&t);
    ot_init(&t, "Relu", 14);
    ot_in(&t, TSR_I32, OT_S(2), OT_V(-5, 5));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(0, 5), 0);
    ot_free(&t);
    ot_init(&t, "Sigmoid", 13);
    ot_in(&t, TSR_I32, OT_S(1), OT_V(1));
    ot_fails(&t, TSR_E_UNSUPPORTED, "int32");
    ot_free(&t);
    ot_init(&t, "BitwiseNot", 18);
    ot_in(&t, TSR_U16, OT_S(1), OT_V(5));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1), OT_V(65530), 0);
    ot_free(&t);
}
END_TEST

START_TEST(to_bool)
{
    struct optest t;
    const double x[] = {NAN, INFINITY, -INFINITY, 1};
    ot_init(&t, "IsNaN", 20);
    ot_in(&t, TSR_F16, OT_S(4), x);
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_BOOL, OT_S(4));
    ot_expect(&t, 0, OT_S(4), OT_V(1, 0, 0, 0), 0);
    ot_free(&t);
    ot_init(&t, "IsInf", 20);
    ot_in(&t, TSR_F32, OT_S(4), x);
    ot_int(&t, "detect_negative", 0);
    ot_run(&t);
    ot_expect(&t, 0, OT_S(4), OT_V(0, 1, 0, 0), 0);
    ot_free(&t);
    ot_init(&t, "Not", 1);
    ot_in(&t, TSR_BOOL, OT_S(2), OT_V(1, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(0, 1), 0);
    ot_free(&t);
}
END_TEST

START_TEST(gelu_tanh)
{
    struct optest t;
    ot_init(&t, "Gelu", 20);
    ot_string(&t, "approximate", "tanh");
    ot_in_random(&t, TSR_F32, OT_S(50), -5, 5);
    ot_check_all(&t, 2e-6);
    ot_free(&t);
    ot_init(&t, "Gelu", 20);
    ot_string(&t, "approximate", "guess");
    ot_in_random(&t, TSR_F32, OT_S(5), -5, 5);
    ot_fails(&t, TSR_E_UNSUPPORTED, "guess");
    ot_free(&t);
}
END_TEST

START_TEST(clip)
{
    struct optest t;
    ot_init(&t, "Clip", 6);
    ot_float(&t, "min", -1);
    ot_float(&t, "max", 1.6);
    ot_in_apart(&t, TSR_F32, OT_S(40), -4, 4);
    ot_check_all(&t, 0);
    ot_free(&t);

    ot_init(&t, "Clip", 13);
    ot_in(&t, TSR_F32, OT_S(4), OT_V(-3, 0.25, 3, NAN));
    ot_in_absent(&t);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(4), OT_V(-3, 0.25, 1, NAN), 0);
    ot_free(&t);

    ot_init(&t, "Clip", 13);
    ot_in_apart(&t, TSR_F32, OT_S(40), -4, 4);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(-1.51));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(1.21));
    t.n_out = 1;
    ot_check_all(&t, 1e-6);
    ot_free(&t);

    ot_init(&t, "Clip", 13);
    ot_in(&t, TSR_U64, OT_S(3), OT_V(1, 5, 0x1p63));
    ot_in(&t, TSR_U64, OT_SCALAR, OT_V(2));
    ot_in(&t, TSR_U64, OT_SCALAR, OT_V(0x1p62));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(2, 5, 0x1p62), 0);
    ot_free(&t);

    ot_init(&t, "Clip", 13);
    ot_in(&t, TSR_F32, OT_S(2), OT_V(1, 5));
    ot_in(&t, TSR_F32, OT_S(2), OT_V(1, 5));
    ot_fails(&t, TSR_E_CORRUPT, "one number");
    ot_free(&t);
}
END_TEST

START_TEST(cast)
{
    struct optest t;
    ot_init(&t, "Cast", 13);
    ot_int(&t, "to", TSR_I32);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(-1.9, 2.9, 0));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_I32, OT_S(3));
    ot_expect(&t, 0, OT_S(3), OT_V(-1, 2, 0), 0);
    ot_free(&t);
    ot_init(&t, "Cast", 13);
    ot_int(&t, "to", TSR_F64);
    ot_in_random(&t, TSR_F64, OT_S(3), -1, 1);
    ot_gradcheck(&t);
    ot_free(&t);
    ot_init(&t, "Cast", 13);
    ot_int(&t, "to", TSR_STRING);
    ot_in_random(&t, TSR_F64, OT_S(3), -1, 1);
    ot_fails(&t, TSR_E_UNSUPPORTED, "string");
    ot_free(&t);
    ot_init(&t, "CastLike", 15);
    ot_in(&t, TSR_U8, OT_S(2), OT_V(3, 200));
    ot_in(&t, TSR_BF16, OT_S(1), OT_V(0));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_BF16, OT_S(2));
    ot_expect(&t, 0, OT_S(2), OT_V(3, 200), 0);
    ot_free(&t);
}
END_TEST

START_TEST(dropout)
{
    struct optest t;
    ot_init(&t, "Dropout", 13);
    ot_in_random(&t, TSR_F32, OT_S(64, 100), 1, 2);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0.25));
    t.no_grad[1] = true;
    ot_run(&t);
    for (int i = 0; i < 6400; i++) {
        ck_assert(((float *)t.out[0].data)[i] == ((float *)t.in[0].data)[i]);
        ck_assert_uint_eq(((uint8_t *)t.out[1].data)[i], 1);
    }
    t.train_stats = true;
    ot_run(&t);
    int kept = 0;
    for (int i = 0; i < 6400; i++) {
        uint8_t m = ((uint8_t *)t.out[1].data)[i];
        float want = m ? ((float *)t.in[0].data)[i] / 0.75f : 0;
        kept += m;
        ck_assert(fabsf(((float *)t.out[0].data)[i] - want) < 1e-6f);
    }
    ck_assert(kept > 4600 && kept < 5000);
    ot_threads_agree(&t);
    ot_free(&t);

    ot_init(&t, "Dropout", 7); /* the mask has the type of the data, the ratio is an attribute */
    ot_float(&t, "ratio", 0.5);
    ot_in_random(&t, TSR_F64, OT_S(30), 1, 2);
    t.train_stats = true;
    ot_run(&t);
    ot_expect_shape(&t, 1, TSR_F64, OT_S(30));
    t.skip_out[1] = true;
    ot_gradcheck(&t);
    ot_free(&t);

    ot_init(&t, "Dropout", 13);
    ot_in_random(&t, TSR_F32, OT_S(3), 1, 2);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(1.5));
    ot_fails(&t, TSR_E_CORRUPT, "1.5");
    ot_free(&t);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

int main(void)
{
    Suite *s = suite_create("ops_unary");
    TCase *c = tcase_create("unary");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, smooth_ones, 0, COUNT(smooth));
    tcase_add_loop_test(c, kinked_ones, 0, COUNT(kinked));
    tcase_add_loop_test(c, known_answers, 0, COUNT(known));
    tcase_add_test(c, integers);
    tcase_add_test(c, to_bool);
    tcase_add_test(c, gelu_tanh);
    tcase_add_test(c, clip);
    tcase_add_test(c, cast);
    tcase_add_test(c, dropout);
    suite_add_tcase(s, c);
    return ot_main(s);
}
