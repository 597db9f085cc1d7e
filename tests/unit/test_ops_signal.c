/* Transforms, windows, running products; losses; gated activations and recurrences; draws; and what finds
 * or moves elements. */
#include "optest.h"

static struct optest t;

static void x(struct tsr_shape s) { ot_in_random(&t, TSR_F32, s, -1, 1); }

static void done(void)
{
    ot_check_all(&t, 1e-5);
    ot_memory_torture(&t);
    ot_free(&t);
}

START_TEST(transforms)
{
    static const struct {
        int inverse, half, parts;
        int64_t length; /* 0: as it is */
    } c[] = {{0, 0, 1, 0}, {0, 0, 2, 0}, {0, 1, 1, 0}, {1, 0, 2, 0}, {1, 1, 2, 0}, {1, 1, 2, 9}, {0, 0, 2, 4}, {0, 1, 1, 12}};
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        ot_init(&t, "DFT", 20);
        ot_int(&t, "inverse", c[k].inverse), ot_int(&t, "onesided", c[k].half);
        x(OT_S(2, 6, 2, c[k].parts));
        if (c[k].length) ot_in_i64(&t, OT_SCALAR, &c[k].length);
        else ot_in_absent(&t);
        ot_in_i64(&t, OT_SCALAR, OT_I(1));
        done();
    }
    ot_init(&t, "DFT", 17); /* of 5 numbers: a prime; the axis is an attribute */
    ot_int(&t, "axis", 1);
    ot_in(&t, TSR_F32, OT_S(1, 5, 1), OT_V(1, 0, 0, 0, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 5, 2), OT_V(1, 0, 1, 0, 1, 0, 1, 0, 1, 0), 1e-12);
    ot_free(&t);
    ot_init(&t, "DFT", 20); /* cos(pi n / 2) */
    ot_int(&t, "onesided", 1);
    ot_in(&t, TSR_F32, OT_S(4, 1), OT_V(1, 0, -1, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(3, 2), OT_V(0, 0, 2, 0, 0, 0), 1e-12);
    ot_free(&t);
    ot_init(&t, "DFT", 20);
    ot_int(&t, "onesided", 1);
    x(OT_S(4, 2));
    ot_fails(&t, TSR_E_MISMATCH, "real signal");
    ot_free(&t);
    for (int window = 0; window < 2; window++) {
        ot_init(&t, "STFT", 17);
        ot_int(&t, "onesided", window);
        x(OT_S(2, 11, 1)), ot_in_i64(&t, OT_SCALAR, OT_I(3));
        if (window) x(OT_S(6));
        else ot_in_absent(&t), ot_in_i64(&t, OT_SCALAR, OT_I(5));
        done();
    }
    ot_init(&t, "STFT", 17);
    x(OT_S(1, 4, 1)), ot_in_i64(&t, OT_SCALAR, OT_I(1)), ot_in_absent(&t), ot_in_i64(&t, OT_SCALAR, OT_I(5));
    ot_fails(&t, TSR_E_MISMATCH, "frames of 5");
    ot_free(&t);
}
END_TEST

START_TEST(windows)
{
    static const struct {
        const char *op;
        double v[4];
    } c[] = {{"HannWindow", {0, 0.75, 0.75, 0}}, {"HammingWindow", {4.0 / 46, 35.5 / 46, 35.5 / 46, 4.0 / 46}}, {"BlackmanWindow", {0, 0.63, 0.63, 0}}};
    for (int k = 0; k < 3; k++) {
        ot_init(&t, c[k].op, 17);
        ot_int(&t, "periodic", 0), ot_int(&t, "output_datatype", TSR_F64);
        ot_in_i64(&t, OT_SCALAR, OT_I(4));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(4), c[k].v, 1e-12);
        ot_free(&t);
    }
    ot_init(&t, "HannWindow", 17);
    ot_in_i64(&t, OT_SCALAR, OT_I(4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(4), OT_V(0, 0.5, 1, 0.5), 1e-7);
    ot_free(&t);
    ot_init(&t, "HannWindow", 17);
    ot_in_i64(&t, OT_SCALAR, OT_I(-4));
    ot_fails(&t, TSR_E_CORRUPT, "-4");
    ot_free(&t);
    ot_init(&t, "MelWeightMatrix", 17); /* every column is a triangle with the peak 1 */
    for (int i = 0; i < 3; i++) ot_in_i64(&t, OT_SCALAR, &(const int64_t[]){8, 64, 8192}[i]);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0)), ot_in(&t, TSR_F32, OT_SCALAR, OT_V(4096));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(33, 8));
    for (int column = 0; column < 8; column++) {
        double top = 0;
        for (int row = 0; row < 33; row++) top = fmax(top, tsr_load_f64(TSR_F32, t.out[0].data, row * 8 + column));
        ck_assert(top == 1);
    }
    ot_free(&t);
}
END_TEST

START_TEST(running_products)
{
    for (int form = 0; form < 4; form++) {
        static const double want[4][3] = {{2, 6, 24}, {1, 2, 6}, {24, 12, 4}, {12, 4, 1}};
        ot_init(&t, "CumProd", 26);
        ot_int(&t, "exclusive", form % 2), ot_int(&t, "reverse", form / 2);
        ot_in(&t, TSR_I64, OT_S(3), OT_V(2, 3, 4)), ot_in_i64(&t, OT_SCALAR, OT_I(0));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(3), want[form], 0);
        ot_free(&t);
        ot_init(&t, "CumProd", 26);
        ot_int(&t, "exclusive", form % 2), ot_int(&t, "reverse", form / 2);
        ot_in(&t, TSR_F32, OT_S(2, 3, 2), OT_V(1, 2, 0, 3, 2, -1, 0.5, 2, 1.5, 0, 0, 3)), ot_in_i64(&t, OT_SCALAR, OT_I(-2));
        done(); /* zeros have a gradient like others */
    }
}
END_TEST

START_TEST(losses)
{
    static const char *const reduction[] = {"none", "sum", "mean"};
    for (int op = 0; op < 2; op++)
        for (int k = 0; k < 6; k++) {
            ot_init(&t, op ? "SoftmaxCrossEntropyLoss" : "NegativeLogLikelihoodLoss", 13);
            ot_string(&t, "reduction", reduction[k % 3]), ot_int(&t, "ignore_index", -1);
            x(OT_S(2, 3, 2)), ot_in_i64(&t, OT_S(2, 2), OT_I(0, 2, -1, 1));
            if (k >= 3) ot_in_random(&t, TSR_F32, OT_S(3), 0.5, 1.5);
            done();
        }
    ot_init(&t, "NegativeLogLikelihoodLoss", 13);
    ot_in(&t, TSR_F32, OT_S(2, 2), OT_V(-1, -2, -3, -4)), ot_in_i64(&t, OT_S(2), OT_I(1, 0)), ot_in(&t, TSR_F32, OT_S(2), OT_V(1, 3));
    ot_run(&t); /* (3 * 2 + 1 * 3) / 4 */
    ot_expect(&t, 0, OT_SCALAR, OT_V(2.25), 1e-7);
    ot_free(&t);
    ot_init(&t, "NegativeLogLikelihoodLoss", 13);
    x(OT_S(2, 2)), ot_in_i64(&t, OT_S(2), OT_I(1, 2));
    ot_fails(&t, TSR_E_MISMATCH, "target 2");
    ot_free(&t);
}
END_TEST

START_TEST(recurrences)
{
    static const char *const rule[] = {"linear", "gated", "delta", "gated_delta"};
    ot_init(&t, "SwiGLU", 28);
    ot_float(&t, "alpha", 0.5F);
    x(OT_S(2, 3)), x(OT_S(2, 3));
    done();
    for (int k = 0; k < 4; k++) {
        ot_init(&t, "LinearAttention", 27);
        ot_string(&t, "update_rule", rule[k]), ot_int(&t, "q_num_heads", 4), ot_int(&t, "kv_num_heads", 2);
        x(OT_S(2, 3, 8)), x(OT_S(2, 3, 4)), x(OT_S(2, 3, 6)), x(OT_S(2, 2, 2, 3)), x(OT_S(2, 3, k == 1 ? 4 : 2)), x(OT_S(2, 3, k == 2 ? 1 : 2));
        done();
    }
    ot_init(&t, "LinearAttention", 27); /* one head of one number: running sums of k v, times q */
    ot_string(&t, "update_rule", "linear"), ot_int(&t, "q_num_heads", 1), ot_int(&t, "kv_num_heads", 1);
    ot_in(&t, TSR_F32, OT_S(1, 3, 1), OT_V(1, 1, 2)), ot_in(&t, TSR_F32, OT_S(1, 3, 1), OT_V(1, 2, 3)), ot_in(&t, TSR_F32, OT_S(1, 3, 1), OT_V(1, 1, 1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 3, 1), OT_V(1, 3, 12), 1e-6);
    ot_free(&t);
    for (int past = 0; past < 2; past++) {
        ot_init(&t, "CausalConvWithState", 27);
        ot_string(&t, "activation", past ? "silu" : "none");
        x(OT_S(2, 3, 4)), x(OT_S(3, 1, 3)), x(OT_S(3));
        if (past) x(OT_S(2, 3, 2));
        done();
    }
    ot_init(&t, "CausalConvWithState", 27);
    x(OT_S(2, 3, 4)), x(OT_S(2, 1, 3));
    ot_fails(&t, TSR_E_MISMATCH, "channels");
    ot_free(&t);
}
END_TEST

START_TEST(determinants)
{
    ot_init(&t, "Det", 11);
    x(OT_S(2, 3, 3));
    done();
    ot_init(&t, "Det", 11); /* rows exchanged; none */
    ot_in(&t, TSR_F32, OT_S(2, 2, 2), OT_V(0, 2, 3, 4, 1, 2, 2, 4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(-6, 0), 1e-6);
    ot_gradcheck(&t); /* also where there is no inverse */
    ot_free(&t);
    ot_init(&t, "Det", 11);
    x(OT_S(2, 3));
    ot_fails(&t, TSR_E_MISMATCH, "[2,3]");
    ot_free(&t);
}
END_TEST

START_TEST(different_ones)
{
    for (int sorted = 0; sorted < 2; sorted++) {
        ot_init(&t, "Unique", 11);
        ot_int(&t, "sorted", sorted);
        ot_in(&t, TSR_F32, OT_S(2, 3), OT_V(2, 1, 1, 3, 4, 3));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(4), sorted ? OT_V(1, 2, 3, 4) : OT_V(2, 1, 3, 4), 0);
        ot_expect_i64(&t, 1, OT_S(4), sorted ? OT_I(1, 0, 3, 4) : OT_I(0, 1, 3, 4));
        ot_expect_i64(&t, 2, OT_S(6), sorted ? OT_I(1, 0, 0, 2, 3, 2) : OT_I(0, 1, 1, 2, 3, 2));
        ot_expect_i64(&t, 3, OT_S(4), sorted ? OT_I(2, 1, 2, 1) : OT_I(1, 2, 2, 1));
        ot_memory_torture(&t);
        ot_free(&t);
    }
    ot_init(&t, "Unique", 11);
    ot_int(&t, "axis", 1);
    ot_in(&t, TSR_U64, OT_S(2, 3), OT_V(5, 4, 5, 1, 9, 1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(4, 5, 9, 1), 0);
    ot_expect_i64(&t, 2, OT_S(3), OT_I(1, 0, 1));
    ot_free(&t);
    ot_init(&t, "Unique", 11);
    ot_in(&t, TSR_F32, OT_S(0), OT_V(0));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(0));
    ot_free(&t);
}
END_TEST

START_TEST(caches)
{
    ot_init(&t, "TensorScatter", 24);
    ot_string(&t, "mode", "circular");
    x(OT_S(2, 2, 4, 3)), x(OT_S(2, 2, 2, 3)), ot_in_i64(&t, OT_S(2), OT_I(1, 7));
    done();
    ot_init(&t, "TensorScatter", 24);
    ot_int(&t, "axis", 1);
    ot_in(&t, TSR_F32, OT_S(1, 4), OT_V(1, 2, 3, 4)), ot_in(&t, TSR_F32, OT_S(1, 2), OT_V(8, 9)), ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 4), OT_V(1, 2, 8, 9), 0);
    ot_free(&t);
    ot_init(&t, "TensorScatter", 24);
    ot_int(&t, "axis", 1);
    x(OT_S(1, 4)), x(OT_S(1, 2)), ot_in_i64(&t, OT_S(1), OT_I(3));
    ot_fails(&t, TSR_E_MISMATCH, "from 3 on");
    ot_free(&t);
    ot_init(&t, "BitCast", 26);
    ot_int(&t, "to", TSR_I32);
    ot_in(&t, TSR_F32, OT_S(2), OT_V(1, -0.0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(0x3f800000, INT32_MIN), 0);
    ot_free(&t);
    ot_init(&t, "BitCast", 26);
    ot_int(&t, "to", TSR_I64);
    x(OT_S(2));
    ot_fails(&t, TSR_E_UNSUPPORTED, "float32");
    ot_free(&t);
}
END_TEST

/* The mean of n draws. */
static double mean(void)
{
    double sum = 0;
    ot_run(&t);
    const int64_t n = tsr_tensor_count(&t.out[0]);
    for (int64_t i = 0; i < n; i++) sum += tsr_load_f64(t.out[0].dtype, t.out[0].data, i);
    ot_free(&t);
    return sum / (double)n;
}

START_TEST(draws)
{
    ot_init(&t, "RandomNormal", 1);
    ot_ints(&t, "shape", 2, 100, 50), ot_float(&t, "mean", 3), ot_float(&t, "scale", 0.5F), ot_float(&t, "seed", 1);
    ck_assert(fabs(mean() - 3) < 0.03);
    ot_init(&t, "RandomUniformLike", 1);
    ot_float(&t, "low", 2), ot_float(&t, "high", 4), ot_int(&t, "dtype", TSR_F64);
    ot_in(&t, TSR_I32, OT_S(100, 50), (double[5000]){0});
    ck_assert(fabs(mean() - 3) < 0.03);
    ot_init(&t, "Bernoulli", 15);
    double p[5000];
    for (int i = 0; i < 5000; i++) p[i] = 0.25;
    ot_in(&t, TSR_F32, OT_S(5000), p);
    ck_assert(fabs(mean() - 0.25) < 0.03);
    ot_init(&t, "Multinomial", 7);
    ot_int(&t, "sample_size", 5000);
    ot_in(&t, TSR_F32, OT_S(1, 3), OT_V(log(1), log(2), log(1) - 90));
    ck_assert(fabs(mean() - 2.0 / 3) < 0.03);
    for (int k = 0; k < 2; k++) { /* the seed decides */
        static double first;
        ot_init(&t, "RandomUniform", 1);
        ot_ints(&t, "shape", 1, 4), ot_float(&t, "seed", 5);
        const double m = mean();
        if (k == 0) first = m;
        ck_assert(m == first);
    }
    for (int k = 0; k < 2; k++) { /* what lies before them learns nothing, and may learn from elsewhere */
        ot_init(&t, k ? "RandomNormalLike" : "RandomUniformLike", 1);
        ot_in_random(&t, TSR_F32, OT_S(3, 4), -1, 1);
        ot_gradcheck(&t);
        ot_free(&t);
    }
    ot_init(&t, "RandomUniform", 1);
    ot_int(&t, "dtype", TSR_I32), ot_ints(&t, "shape", 1, 4);
    ot_fails(&t, TSR_E_UNSUPPORTED, "int32");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/signal");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 240);
    tcase_add_test(c, transforms);
    tcase_add_test(c, windows);
    tcase_add_test(c, running_products);
    tcase_add_test(c, losses);
    tcase_add_test(c, recurrences);
    tcase_add_test(c, determinants);
    tcase_add_test(c, different_ones);
    tcase_add_test(c, caches);
    tcase_add_test(c, draws);
    suite_add_tcase(s, c);
    return ot_main(s);
}
