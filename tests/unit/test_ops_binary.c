/* Arithmetic, comparison and logic with broadcasting. */
#include "optest.h"

/* Pairs of shapes that take every path: same, scalar, row, channel, column, both ways, zero. */
static const struct {
    int ra;
    int64_t a[4];
    int rb;
    int64_t b[4];
} shapes[] = {
    {2, {4, 5}, 2, {4, 5}},       {2, {4, 5}, 0, {0}},          {0, {0}, 2, {4, 5}},
    {2, {11, 5}, 1, {5}},         {1, {5}, 3, {3, 11, 5}},      {4, {2, 3, 2, 4}, 3, {3, 1, 1}},
    {2, {4, 1}, 2, {1, 5}},       {3, {3, 1, 2}, 3, {1, 4, 2}}, {4, {2, 1, 3, 1}, 4, {1, 4, 1, 3}},
    {2, {1, 1}, 1, {1}},          {2, {0, 3}, 1, {3}},          {2, {23, 2}, 2, {1, 2}},
    {3, {2, 3, 37}, 1, {1}},      {1, {1}, 1, {40}},
};

static void two(struct optest *t, const char *op, int opset, int k, double lo, double hi)
{
    ot_init(t, op, opset);
    ot_in_random(t, TSR_F32, ot_shape(shapes[k].ra, shapes[k].a), lo, hi);
    ot_in_random(t, TSR_F32, ot_shape(shapes[k].rb, shapes[k].b), lo, hi);
}

static double f_add(double a, double b) { return a + b; }
static double f_sub(double a, double b) { return a - b; }
static double f_mul(double a, double b) { return a * b; }
static double f_div(double a, double b) { return a / b; }
static double f_max(double a, double b) { return fmax(a, b); }
static double f_min(double a, double b) { return fmin(a, b); }
static double f_mean(double a, double b) { return (a + b) / 2; }
static double f_less(double a, double b) { return a < b; }
static double f_ge(double a, double b) { return a >= b; }

static const struct {
    const char *op;
    double (*f)(double, double);
    bool grad;
    double tol;
} arith[] = {
    {"Add", f_add, true, 1e-6}, {"Sub", f_sub, true, 1e-6}, {"Mul", f_mul, true, 1e-6},   {"Div", f_div, true, 1e-6},
    {"Pow", pow, true, 1e-6},   {"Max", f_max, true, 1e-6}, {"Min", f_min, true, 1e-6},   {"Sum", f_add, true, 1e-6},
    {"Mean", f_mean, true, 1e-6}, {"Less", f_less, false, 0}, {"GreaterOrEqual", f_ge, false, 0},
};

/* Against plain index arithmetic. */
START_TEST(broadcasting)
{
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        struct optest t;
        two(&t, arith[_i].op, 16, (int)k, 0.5, 2);
        if (!strcmp(arith[_i].op, "Max") || !strcmp(arith[_i].op, "Min")) t.step = 1e-6, t.grad_tol = 1e-5;
        ot_run(&t);
        const struct tsr_shape *o = &t.out[0].shape;
        for (int64_t i = 0; i < tsr_shape_count(o); i++) {
            int64_t rest = i, at[2] = {0, 0}, step[2] = {1, 1};
            for (int d = 0; d < o->rank; d++) {
                int64_t x = rest % o->dim[o->rank - 1 - d];
                rest /= o->dim[o->rank - 1 - d];
                for (int j = 0; j < 2; j++) {
                    int q = t.in[j].shape.rank - 1 - d;
                    if (q < 0) continue;
                    if (t.in[j].shape.dim[q] > 1) at[j] += x * step[j];
                    step[j] *= t.in[j].shape.dim[q];
                }
            }
            double want = arith[_i].f((double)((float *)t.in[0].data)[at[0]], (double)((float *)t.in[1].data)[at[1]]);
            double got = tsr_load_f64(t.out[0].dtype, t.out[0].data, i);
            ck_assert_msg(ot_close(got, want, 1e-6), "%s, shapes %zu: [%d] is %g, not %g", arith[_i].op, k, (int)i, got, want);
        }
        if (arith[_i].grad) ot_gradcheck(&t), ot_float_agrees(&t, 2e-6);
        ot_threads_agree(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(wide_threads)
{
    struct optest t;
    ot_init(&t, "Mul", 14);
    ot_in_random(&t, TSR_F32, OT_S(300, 700), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(700), -1, 1);
    ot_threads_agree(&t);
    ot_float_agrees(&t, 1e-5);
    ot_free(&t);
    ot_init(&t, "Add", 14);
    ot_in_random(&t, TSR_F32, OT_S(16, 30, 11, 13), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(30, 1, 1), -1, 1);
    ot_threads_agree(&t);
    ot_float_agrees(&t, 1e-5);
    ot_free(&t);
}
END_TEST

static void ints(const char *op, enum tsr_dtype d, const double *a, const double *b, const double *want, int n)
{
    struct optest t;
    ot_init(&t, op, 18);
    ot_in(&t, d, OT_S(n), a);
    ot_in(&t, d, OT_S(n), b);
    if (!strcmp(op, "BitShift")) ot_string(&t, "direction", "LEFT");
    ot_run(&t);
    ot_expect_shape(&t, 0, d, OT_S(n));
    ot_expect(&t, 0, OT_S(n), want, 0);
    ot_free(&t);
}

START_TEST(integers)
{
    ints("Add", TSR_I8, OT_V(127, -3), OT_V(1, 1), OT_V(-128, -2), 2);
    ints("Sub", TSR_U8, OT_V(3, 9), OT_V(4, 1), OT_V(255, 8), 2);
    ints("Mul", TSR_U16, OT_V(256, 3), OT_V(256, 5), OT_V(0, 15), 2);
    ints("Div", TSR_I32, OT_V(-7, 7, 5, -2147483648.0), OT_V(2, -2, 0, -1), OT_V(-3, -3, 0, -2147483648.0), 4);
    ints("Div", TSR_U64, OT_V(0x1p63, 7), OT_V(2, 2), OT_V(0x1p62, 3), 2);
    ints("Mod", TSR_I64, OT_V(-4, 7, 5, 4), OT_V(2, -3, 8, 0), OT_V(0, -2, 5, 0), 4);
    ints("Mod", TSR_U8, OT_V(200, 7), OT_V(9, 3), OT_V(2, 1), 2);
    ints("Pow", TSR_I32, OT_V(-3, 2, 5, 2), OT_V(3, 10, 0, -1), OT_V(-27, 1024, 1, 0), 4);
    ints("Max", TSR_I8, OT_V(-3, 2), OT_V(3, -10), OT_V(3, 2), 2);
    ints("Min", TSR_U32, OT_V(4e9, 2), OT_V(3, 10), OT_V(3, 2), 2);
    ints("BitwiseAnd", TSR_U8, OT_V(12, 255), OT_V(10, 7), OT_V(8, 7), 2);
    ints("BitwiseOr", TSR_I16, OT_V(12, -1), OT_V(3, 7), OT_V(15, -1), 2);
    ints("BitwiseXor", TSR_I64, OT_V(12, -1), OT_V(10, 0), OT_V(6, -1), 2);
    ints("BitShift", TSR_U8, OT_V(129, 1), OT_V(1, 9), OT_V(2, 0), 2);
    ints("PRelu", TSR_I32, OT_V(-3, 2), OT_V(2, 2), OT_V(-6, 2), 2);
}
END_TEST

START_TEST(pow_types)
{
    struct optest t;
    ot_init(&t, "Pow", 15);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(1, 2, 3));
    ot_in(&t, TSR_I64, OT_S(3), OT_V(4, 5, 6));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(1, 32, 729), 0);
    ot_free(&t);
    ot_init(&t, "Pow", 15);
    ot_in(&t, TSR_I32, OT_S(3), OT_V(1, 4, 9));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0.5));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_I32, OT_S(3));
    ot_expect(&t, 0, OT_S(3), OT_V(1, 2, 3), 0);
    ot_free(&t);
    const double e[] = {2, 0.5, 3, -1, 1, 0};
    for (int i = 0; i < 6; i++) {
        ot_init(&t, "Pow", 15);
        ot_in_random(&t, TSR_F32, OT_S(37), 0.5, 2);
        ot_in(&t, TSR_F32, OT_SCALAR, &e[i]);
        ot_check_all(&t, 1e-5);
        ot_free(&t);
    }
    ot_init(&t, "Pow", 15); /* a negative base with the square */
    ot_in_random(&t, TSR_F32, OT_S(37), -2, 2);
    ot_in(&t, TSR_F32, OT_S(1), OT_V(2));
    t.no_grad[1] = true;
    ot_check_all(&t, 1e-6);
    ot_free(&t);
}
END_TEST

START_TEST(mod_and_prelu)
{
    struct optest t;
    ot_init(&t, "Mod", 13);
    ot_int(&t, "fmod", 1);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(-4.3, 7.2, 5));
    ot_in(&t, TSR_F32, OT_S(3), OT_V(2.1, -3.4, 8));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(-0.1, 0.4, 5), 1e-5);
    ot_gradcheck(&t);
    ot_free(&t);
    ot_init(&t, "Mod", 13);
    ot_in(&t, TSR_F32, OT_S(1), OT_V(1));
    ot_in(&t, TSR_F32, OT_S(1), OT_V(1));
    ot_fails(&t, TSR_E_CORRUPT, "fmod");
    ot_free(&t);

    ot_init(&t, "PRelu", 16);
    ot_in_apart(&t, TSR_F32, OT_S(2, 3, 4, 2), -2, 2);
    ot_in_random(&t, TSR_F32, OT_S(3, 1, 1), 0.1, 0.5);
    ot_check_all(&t, 1e-6);
    ot_free(&t);
    ot_init(&t, "PRelu", 16);
    ot_in_random(&t, TSR_F32, OT_S(3), 0.1, 0.5);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), 0.1, 0.5);
    ot_fails(&t, TSR_E_MISMATCH, "slopes");
    ot_free(&t);
}
END_TEST

START_TEST(variadic)
{
    static const char *const op[] = {"Max", "Min", "Sum", "Mean"};
    for (int k = 0; k < 4; k++)
        for (int n = 1; n <= 4; n++) {
            struct optest t;
            ot_init(&t, op[k], 13);
            for (int i = 0; i < n; i++) ot_in_random(&t, TSR_F32, i == 1 ? OT_S(5) : i == 2 ? OT_S(2, 3, 1) : OT_S(3, 5), -2, 2);
            t.step = 1e-6, t.grad_tol = 1e-5;
            ot_gradcheck(&t);
            ot_float_agrees(&t, 1e-6);
            ot_free(&t);
        }
    struct optest t;
    ot_init(&t, "Max", 13);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(NAN, 1, 3));
    ot_in(&t, TSR_F32, OT_S(3), OT_V(1, NAN, 2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(NAN, NAN, 3), 0);
    ot_free(&t);
}
END_TEST

START_TEST(logic)
{
    static const struct {
        const char *op;
        double want[4];
    } l[] = {{"And", {0, 0, 0, 1}}, {"Or", {0, 1, 1, 1}}, {"Xor", {0, 1, 1, 0}}, {"Equal", {1, 0, 0, 1}}};
    struct optest t;
    for (int k = 0; k < 4; k++) {
        ot_init(&t, l[k].op, 13);
        ot_in(&t, TSR_BOOL, OT_S(2, 1), OT_V(0, 1));
        ot_in(&t, TSR_BOOL, OT_S(2), OT_V(0, 1));
        ot_run(&t);
        ot_expect_shape(&t, 0, TSR_BOOL, OT_S(2, 2));
        ot_expect(&t, 0, OT_S(2, 2), l[k].want, 0);
        ot_free(&t);
    }
    ot_init(&t, "Greater", 13);
    ot_in(&t, TSR_U64, OT_S(3), OT_V(0x1p63, 1, 2));
    ot_in(&t, TSR_U64, OT_S(3), OT_V(1, 1, 3));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(1, 0, 0), 0);
    ot_free(&t);
    ot_init(&t, "LessOrEqual", 16);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(1, 2, NAN));
    ot_in(&t, TSR_F32, OT_S(3), OT_V(1, 1, 3));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3), OT_V(1, 0, 0), 0);
    ot_free(&t);
}
END_TEST

START_TEST(where)
{
    struct optest t;
    ot_init(&t, "Where", 16);
    ot_in(&t, TSR_BOOL, OT_S(2, 1), OT_V(1, 0));
    ot_in(&t, TSR_I8, OT_S(3), OT_V(1, 2, 3));
    ot_in(&t, TSR_I8, OT_SCALAR, OT_V(-1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 3), OT_V(1, 2, 3, -1, -1, -1), 0);
    ot_free(&t);
    ot_init(&t, "Where", 16);
    ot_in(&t, TSR_BOOL, OT_S(2, 3), OT_V(1, 0, 1, 0, 0, 1));
    ot_in_random(&t, TSR_F32, OT_S(4, 1, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_check_all(&t, 1e-6);
    ot_free(&t);
}
END_TEST

START_TEST(mistakes)
{
    struct optest t;
    ot_init(&t, "Add", 14);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[2,3]");
    ot_free(&t);
    ot_init(&t, "Add", 14);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_in_random(&t, TSR_F64, OT_S(2), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "float64");
    ot_free(&t);
    ot_init(&t, "Add", 14);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "missing");
    ot_free(&t);
    ot_init(&t, "And", 14);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_fails(&t, TSR_E_UNSUPPORTED, "bool");
    ot_free(&t);
    ot_init(&t, "BitShift", 14);
    ot_in(&t, TSR_U8, OT_S(1), OT_V(1));
    ot_in(&t, TSR_U8, OT_S(1), OT_V(1));
    ot_fails(&t, TSR_E_CORRUPT, "LEFT");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops_binary");
    TCase *c = tcase_create("binary");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, broadcasting, 0, (int)(sizeof arith / sizeof *arith));
    tcase_add_test(c, wide_threads);
    tcase_add_test(c, integers);
    tcase_add_test(c, pow_types);
    tcase_add_test(c, mod_and_prelu);
    tcase_add_test(c, variadic);
    tcase_add_test(c, logic);
    tcase_add_test(c, where);
    tcase_add_test(c, mistakes);
    suite_add_tcase(s, c);
    return ot_main(s);
}
