/* QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: rounding, saturation, axes, blocks,
 * narrow types, the gradient of a scale, and what does not fit. */
#include "optest.h"

START_TEST(quantize_rounds_and_saturates)
{
    struct optest t;
    ot_init(&t, "QuantizeLinear", 13);
    ot_in(&t, TSR_F32, OT_S(9), OT_V(0, 1, 3, -1, 5, 1000, -1000, NAN, INFINITY)); /* 0.5, 1.5, -0.5, 2.5 */
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(2));
    ot_in(&t, TSR_U8, OT_SCALAR, OT_V(10));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_U8, OT_S(9));
    ot_expect_i64(&t, 0, OT_S(9), OT_I(10, 10, 12, 10, 12, 255, 0, 0, 255));
    ot_free(&t);
    ot_init(&t, "QuantizeLinear", 10); /* no zero point: uint8 */
    ot_in(&t, TSR_I32, OT_S(3), OT_V(-3, 7, 1 << 20));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(2));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_U8, OT_S(3));
    ot_expect_i64(&t, 0, OT_S(3), OT_I(0, 4, 255));
    ot_free(&t);
    static const struct { enum tsr_dtype type; int64_t lo, hi; } types[] = {
        {TSR_I8, -128, 127}, {TSR_U8, 0, 255}, {TSR_I16, -32768, 32767}, {TSR_U16, 0, 65535}, {TSR_I4, -8, 7}, {TSR_U4, 0, 15}};
    for (size_t i = 0; i < 6; i++) {
        ot_init(&t, "QuantizeLinear", 21);
        ot_int(&t, "output_dtype", types[i].type);
        ot_in(&t, TSR_F32, OT_S(5), OT_V(-1e9, 1e9, 2.5, 3.5, 0));
        ot_in(&t, TSR_F32, OT_S(1), OT_V(1));
        ot_run(&t);
        ot_expect_shape(&t, 0, types[i].type, OT_S(5));
        ot_expect_i64(&t, 0, OT_S(5), OT_I(types[i].lo, types[i].hi, 2, 4, 0));
        ot_free(&t);
    }
}
END_TEST

START_TEST(quantize_divides) /* 0.15 / 0.1 is 1.5000001 in float, and 0.15 * (1 / 0.1f) is 1.5 */
{
    struct optest t;
    ot_init(&t, "QuantizeLinear", 13);
    ot_in(&t, TSR_F32, OT_S(1), OT_V(0.25));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0.1f));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(1), OT_I(2)); /* 0.25f / 0.1f = 2.5 exactly in float: to even */
    ot_free(&t);
    ot_init(&t, "QuantizeLinear", 23); /* the same quotient in double is below 2.5; in half precision 2.5 */
    ot_int(&t, "precision", TSR_F16);
    ot_in(&t, TSR_F32, OT_S(2), OT_V(3.5004, 2.4996));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(1));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(2), OT_I(4, 2));
    ot_free(&t);
    ot_init(&t, "QuantizeLinear", 21);
    ot_in(&t, TSR_BF16, OT_S(2), OT_V(1.5, -7));
    ot_in(&t, TSR_BF16, OT_SCALAR, OT_V(0.5));
    ot_in(&t, TSR_I8, OT_SCALAR, OT_V(1));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(2), OT_I(4, -13));
    ot_free(&t);
}
END_TEST

START_TEST(quantize_axes_and_blocks)
{
    static const int axes[] = {0, 1, 2, -1, -2};
    static const int64_t dims[] = {3, 5, 4};
    for (size_t a = 0; a < 5; a++)
        for (int block = 0; block <= 3; block++)
            for (int four = 0; four < 2; four++) {
                struct optest t;
                int axis = axes[a] < 0 ? axes[a] + 3 : axes[a];
                int64_t d = dims[axis], nb = block ? (d + block - 1) / block : d;
                struct tsr_shape s = OT_S(3, 5, 4), q = block ? s : OT_S(d);
                if (block) q.dim[axis] = nb;
                enum tsr_dtype type = four ? TSR_I4 : TSR_I8;
                ot_init(&t, "QuantizeLinear", 21);
                ot_int(&t, "axis", axes[a]);
                if (block) ot_int(&t, "block_size", block);
                ot_in_random(&t, TSR_F32, s, -10, 10);
                ot_in_random(&t, TSR_F32, q, 0.5, 2);
                ot_in_random(&t, type, q, -2, 3);
                ot_run(&t);
                const float *x = t.in[0].data, *scale = t.in[1].data;
                int64_t inner = axis == 2 ? 1 : axis == 1 ? 4 : 20;
                for (int64_t i = 0; i < 60; i++) {
                    int64_t at = i / inner % d, o = i / inner / d;
                    int64_t p = block ? (o * nb + at / block) * inner + i % inner : at;
                    double v = rint((double)(x[i] / scale[p])) + (double)tsr_load_i64(type, t.in[2].data, p);
                    double lo = four ? -8 : -128, hi = four ? 7 : 127;
                    v = v < lo ? lo : v > hi ? hi : v;
                    ck_assert_int_eq(tsr_load_i64(type, t.out[0].data, i), (int64_t)v);
                }
                ot_threads_agree(&t);
                struct optest back; /* and back */
                ot_init(&back, "DequantizeLinear", 21);
                ot_int(&back, "axis", axes[a]);
                if (block) ot_int(&back, "block_size", block);
                back.in[0] = tsr_tensor_share(&t.out[0]);
                back.in[1] = tsr_tensor_share(&t.in[1]);
                back.in[2] = tsr_tensor_share(&t.in[2]);
                back.n_in = 3;
                ot_run(&back);
                for (int64_t i = 0; i < 60; i++) {
                    int64_t at = i / inner % d, o = i / inner / d;
                    int64_t p = block ? (o * nb + at / block) * inner + i % inner : at;
                    float want = (float)(tsr_load_i64(type, t.out[0].data, i) - tsr_load_i64(type, t.in[2].data, p)) * scale[p];
                    ck_assert(((const float *)back.out[0].data)[i] == want);
                }
                double slope[60] = {0}; /* linear in the scale: the sum of dY (x - zero) */
                ot_load(&back, TSR_NONE);
                OT_DONE(&back, ot_forward(&back, true));
                OT_DONE(&back, ot_backward(&back));
                for (int64_t i = 0; i < 60; i++) {
                    int64_t at = i / inner % d, o = i / inner / d;
                    int64_t p = block ? (o * nb + at / block) * inner + i % inner : at;
                    slope[p] += (double)(float)ot_weight(0, i) *
                                (double)(tsr_load_i64(type, t.out[0].data, i) - tsr_load_i64(type, t.in[2].data, p));
                }
                ot_expect_tensor(&back, "gradient", 1, &back.gin[1], slope, 1e-6);
                ot_threads_agree(&back);
                ot_memory_torture(&back);
                ot_free(&back);
                ot_memory_torture(&t);
                ot_free(&t);
            }
}
END_TEST

START_TEST(dequantize_types)
{
    struct optest t;
    ot_init(&t, "DequantizeLinear", 10);
    ot_in(&t, TSR_I32, OT_S(2), OT_V(-2147483648.0, 5));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0.5));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2), OT_V(-1073741824.0, 2.5), 0);
    ot_free(&t);
    ot_init(&t, "DequantizeLinear", 23);
    ot_int(&t, "output_dtype", TSR_F16);
    ot_in(&t, TSR_U16, OT_S(2), OT_V(65535, 0));
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0.5));
    ot_in(&t, TSR_U16, OT_SCALAR, OT_V(65533));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F16, OT_S(2));
    ot_expect(&t, 0, OT_S(2), OT_V(1, -32768), 0); /* rounded to half precision */
    ot_free(&t);
    ot_init_domain(&t, "DequantizeLinear", "com.microsoft", 1);
    ot_in(&t, TSR_U4, OT_S(3), OT_V(15, 0, 7));
    ot_in(&t, TSR_F16, OT_SCALAR, OT_V(2));
    ot_in(&t, TSR_U4, OT_SCALAR, OT_V(8));
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F16, OT_S(3));
    ot_expect(&t, 0, OT_S(3), OT_V(14, -16, -2), 0);
    ot_free(&t);
}
END_TEST

START_TEST(few_bits)
{
    static const struct {
        enum tsr_dtype t;
        double code[5]; /* of 1, -1.3, 0.2, 100, 1e9 over 0.5 */
    } c[] = {{TSR_I2, {1, -2, 0, 1, 1}}, {TSR_U2, {2, 0, 0, 3, 3}}, {TSR_F4E2M1, {2, -3, 0.5, 6, 6}},
             {TSR_F8E4M3FN, {2, -2.5, 0.40625, 192, 448}}, {TSR_F8E5M2, {2, -2.5, 0.375, 192, 57344}}};
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        struct optest t;
        double y[5];
        ot_init(&t, "QuantizeLinear", 25);
        ot_in(&t, TSR_F32, OT_S(5), OT_V(1, -1.3, 0.2, 100, 1e9));
        ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0.5)), ot_in(&t, c[k].t, OT_SCALAR, OT_V(0));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(5), c[k].code, 0);
        ot_threads_agree(&t);
        ot_free(&t);
        ot_init(&t, "DequantizeLinear", 25);
        ot_in(&t, c[k].t, OT_S(5), c[k].code), ot_in(&t, TSR_F32, OT_SCALAR, OT_V(0.5));
        for (int i = 0; i < 5; i++) y[i] = 0.5 * c[k].code[i];
        ot_run(&t);
        ot_expect(&t, 0, OT_S(5), y, 0);
        ot_free(&t);
    }
}
END_TEST

START_TEST(dynamic)
{
    struct optest t;
    ot_init(&t, "DynamicQuantizeLinear", 11);
    ot_in(&t, TSR_F32, OT_S(6), OT_V(0, 2, -3, -2.5, 1.34, 0.5));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(6), OT_I(153, 255, 0, 26, 221, 179));
    ot_expect(&t, 1, OT_SCALAR, OT_V(0.0196078438), 1e-7);
    ot_expect_i64(&t, 2, OT_SCALAR, OT_I(153));
    ot_threads_agree(&t);
    ot_free(&t);
    ot_init(&t, "DynamicQuantizeLinear", 11); /* nothing but zeros: no division by zero */
    ot_in(&t, TSR_F32, OT_S(2), OT_V(0, 0));
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(2), OT_I(0, 0));
    ot_expect(&t, 1, OT_SCALAR, OT_V(1), 0);
    ot_free(&t);
}
END_TEST

START_TEST(bad)
{
    struct optest t;
    ot_init(&t, "QuantizeLinear", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in(&t, TSR_F32, OT_S(2), OT_V(1, 1));
    ot_fails(&t, TSR_E_MISMATCH, "scales of shape [2]");
    ot_free(&t);
    ot_init(&t, "QuantizeLinear", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(1, 1, 1));
    ot_in(&t, TSR_I8, OT_S(1), OT_V(0));
    ot_fails(&t, TSR_E_MISMATCH, "zero points");
    ot_free(&t);
    ot_init(&t, "QuantizeLinear", 21);
    ot_int(&t, "output_dtype", TSR_U8);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in(&t, TSR_F32, OT_S(3), OT_V(1, 1, 1));
    ot_in(&t, TSR_I8, OT_S(3), OT_V(0, 0, 0));
    ot_fails(&t, TSR_E_CORRUPT, "output_dtype");
    ot_free(&t);
    ot_init(&t, "QuantizeLinear", 23);
    ot_int(&t, "output_dtype", 24); /* float8e8m0 */
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(1));
    ot_fails(&t, TSR_E_UNSUPPORTED, "output_dtype");
    ot_free(&t);
    ot_init(&t, "DequantizeLinear", 21);
    ot_int(&t, "block_size", 2);
    ot_in_random(&t, TSR_I8, OT_S(2, 5), -9, 9);
    ot_in(&t, TSR_F32, OT_S(2, 2), OT_V(1, 1, 1, 1));
    ot_fails(&t, TSR_E_MISMATCH, "[2,2]");
    ot_free(&t);
    ot_init(&t, "DequantizeLinear", 21);
    ot_int(&t, "block_size", -2);
    ot_in_random(&t, TSR_I8, OT_S(2, 5), -9, 9);
    ot_in(&t, TSR_F32, OT_SCALAR, OT_V(1));
    ot_fails(&t, TSR_E_CORRUPT, "block_size");
    ot_free(&t);
    ot_init(&t, "DequantizeLinear", 13);
    ot_int(&t, "axis", 2);
    ot_in_random(&t, TSR_I8, OT_S(2, 5), -9, 9);
    ot_in(&t, TSR_F32, OT_S(5), OT_V(1, 1, 1, 1, 1));
    ot_fails(&t, TSR_E_CORRUPT, NULL);
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/quantize");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, quantize_rounds_and_saturates);
    tcase_add_test(c, quantize_divides);
    tcase_add_test(c, quantize_axes_and_blocks);
    tcase_add_test(c, dequantize_types);
    tcase_add_test(c, few_bits);
    tcase_add_test(c, dynamic);
    tcase_add_test(c, bad);
    suite_add_tcase(s, c);
    return ot_main(s);
}
