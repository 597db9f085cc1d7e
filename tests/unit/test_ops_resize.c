/* Resize and Upsample: gradients of every mode, mistakes. Values: make check-onnx PART=resize. */
#include "optest.h"

START_TEST(modes)
{
    static const char *const mode[] = {"nearest", "linear", "cubic"};
    static const char *const coord[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"};
    static const double scale[][2] = {{2, 1.5}, {0.6, 0.5}, {1, 3}};
    for (int c = 0; c < 6; c++)
        for (int s = 0; s < 3; s++)
            for (int anti = 0; anti < 2; anti++) {
                struct optest t;
                ot_init(&t, "Resize", 19);
                ot_string(&t, "mode", mode[_i]);
                ot_string(&t, "coordinate_transformation_mode", coord[c]);
                ot_int(&t, "antialias", anti && _i > 0);
                ot_int(&t, "exclude_outside", anti && _i == 2);
                ot_ints(&t, "axes", 2, 1, -1);
                ot_in_random(&t, TSR_F32, OT_S(2, 4, 5), -1, 1);
                if (c == 5) ot_in(&t, TSR_F32, OT_S(4), OT_V(0.1, -0.2, 0.8, 1.1));
                else ot_in_absent(&t);
                ot_in(&t, TSR_F32, OT_S(2), scale[s]);
                t.no_grad[1] = t.no_grad[2] = true;
                ot_check_all(&t, 1e-5);
                ot_free(&t);
            }
}
END_TEST

START_TEST(values)
{
    struct optest t;
    ot_init(&t, "Upsample", 7);
    ot_floats(&t, "scales", 2, 2.0, 1.0);
    ot_in(&t, TSR_I8, OT_S(2, 2), OT_V(1, 2, 3, 4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(4, 2), OT_V(1, 2, 1, 2, 3, 4, 3, 4), 0);
    ot_free(&t);
    ot_init(&t, "Resize", 13);
    ot_string(&t, "mode", "linear");
    ot_in(&t, TSR_F32, OT_S(2), OT_V(0, 4));
    ot_in_absent(&t);
    ot_in_absent(&t);
    ot_in_i64(&t, OT_S(1), OT_I(4));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(4), OT_V(0, 1, 3, 4), 0);
    ot_free(&t);
}
END_TEST

/* Scales are single precision, and so are places: as PyTorch and ONNX Runtime have them. */
START_TEST(single_precision)
{
    static const struct {
        double scale;
        int64_t in, out;
        struct { int64_t at; double from; } some[2];
    } c[] = {{1.7, 16, 27, {{17, 10}, {16, 9}}}, {0.7, 10, 7, {{6, 8}, {1, 1}}}, {1.1, 21, 23, {{11, 10}, {22, 20}}}};
    for (int k = 0; k < 3; k++) {
        struct optest t;
        double x[32], scale = (double)(float)c[k].scale;
        for (int i = 0; i < 32; i++) x[i] = i;
        ot_init(&t, "Resize", 13);
        ot_string(&t, "coordinate_transformation_mode", "asymmetric");
        ot_string(&t, "nearest_mode", "floor");
        ot_in(&t, TSR_F32, OT_S(c[k].in), x);
        ot_in_absent(&t);
        ot_in(&t, TSR_F32, OT_S(1), &scale);
        ot_run(&t);
        ck_assert_int_eq(t.out[0].shape.dim[0], c[k].out);
        for (int i = 0; i < 2; i++)
            ck_assert(tsr_load_f64(TSR_F32, t.out[0].data, c[k].some[i].at) == c[k].some[i].from);
        ot_free(&t);
    }
}
END_TEST

START_TEST(mistakes)
{
    struct optest t;
    ot_init(&t, "Resize", 13);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "either scales or sizes");
    ot_free(&t);
    ot_init(&t, "Resize", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 2), -1, 1);
    ot_in_absent(&t);
    ot_in(&t, TSR_F32, OT_S(1), OT_V(2));
    ot_fails(&t, TSR_E_MISMATCH, "1 scales");
    ot_free(&t);
    ot_init(&t, "Resize", 13);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_in_absent(&t);
    ot_in(&t, TSR_F32, OT_S(1), OT_V(-2));
    ot_fails(&t, TSR_E_CORRUPT, "-2");
    ot_free(&t);
    ot_init(&t, "Resize", 13);
    ot_string(&t, "mode", "magic");
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_fails(&t, TSR_E_UNSUPPORTED, "magic");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops_resize");
    TCase *c = tcase_create("resize");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, modes, 0, 3);
    tcase_add_test(c, values);
    tcase_add_test(c, single_precision);
    tcase_add_test(c, mistakes);
    suite_add_tcase(s, c);
    return ot_main(s);
}
