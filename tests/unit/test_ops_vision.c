/* Sampling, regions, deformable convolutions, boxes, cropping and the inverses of pooling and windows. */
#include "optest.h"

static struct optest t;

static void x(struct tsr_shape s) { ot_in_random(&t, TSR_F32, s, -1, 1); }

static void done(void)
{
    ot_check_all(&t, 1e-5);
    ot_memory_torture(&t);
    ot_free(&t);
}

START_TEST(grid_sample)
{
    static const char *const mode[] = {"linear", "cubic", "nearest"}, *const padding[] = {"zeros", "border", "reflection"};
    for (int m = 0; m < 3; m++)
        for (int p = 0; p < 3; p++)
            for (int align = 0; align < 2; align++) {
                ot_init(&t, "GridSample", 20);
                ot_string(&t, "mode", mode[m]), ot_string(&t, "padding_mode", padding[p]), ot_int(&t, "align_corners", align);
                x(OT_S(2, 2, 3, 4));
                ot_in_random(&t, TSR_F32, OT_S(2, 2, 2, 2), -1.9, 1.9); /* outside, too */
                t.step = 1.0 / 16384; /* the places lie apart from the kinks */
                done();
            }
    ot_init(&t, "GridSample", 20); /* volumes */
    x(OT_S(1, 2, 2, 3, 2)), ot_in_random(&t, TSR_F32, OT_S(1, 1, 2, 2, 3), -0.9, 0.9);
    t.step = 1.0 / 16384;
    done();
    ot_init(&t, "GridSample", 16); /* between four pixels, on one, and far away */
    ot_string(&t, "mode", "bilinear"), ot_int(&t, "align_corners", 1);
    ot_in(&t, TSR_F32, OT_S(1, 1, 2, 2), OT_V(1, 2, 3, 4)), ot_in(&t, TSR_F32, OT_S(1, 1, 3, 2), OT_V(0, 0, 1, -1, 9, NAN));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 1, 3), OT_V(2.5, 2, 0), 1e-6);
    ot_free(&t);
    for (int p = 0; p < 3; p++) { /* near the border: what PyTorch's grid_sample gives */
        static const double want[][2] = {{-0.04087976738810539, -0.6922151446342468},
                                         {-0.45037364959716797, 10.234375953674316},
                                         {-0.7499988675117493, 10.159126281738281}};
        ot_init(&t, "GridSample", 16);
        ot_string(&t, "mode", "bicubic"), ot_string(&t, "padding_mode", padding[p]);
        ot_in(&t, TSR_F32, OT_S(1, 1, 3, 4), OT_V(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
        ot_in(&t, TSR_F32, OT_S(1, 1, 2, 2), OT_V(-1.2, -0.9, 1.3, 0.5));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(1, 1, 1, 2), want[p], 1e-5);
        ot_free(&t);
    }
    ot_init(&t, "GridSample", 20);
    x(OT_S(1, 1, 2, 2)), x(OT_S(1, 1, 2, 3));
    ot_fails(&t, TSR_E_MISMATCH, "grid");
    ot_free(&t);
}
END_TEST

START_TEST(affine_grid)
{
    for (int align = 0; align < 2; align++) {
        ot_init(&t, "AffineGrid", 20);
        ot_int(&t, "align_corners", align);
        x(OT_S(2, 3, 4)), ot_in_i64(&t, OT_S(5), OT_I(2, 1, 2, 3, 2));
        done();
        ot_init(&t, "AffineGrid", 20); /* x + 1, 2 y */
        ot_int(&t, "align_corners", align);
        ot_in(&t, TSR_F32, OT_S(1, 2, 3), OT_V(1, 0, 1, 0, 2, 0)), ot_in_i64(&t, OT_S(4), OT_I(1, 1, 2, 2));
        ot_run(&t);
        const double e = align ? 1 : 0.5;
        ot_expect(&t, 0, OT_S(1, 2, 2, 2), OT_V(1 - e, -2 * e, 1 + e, -2 * e, 1 - e, 2 * e, 1 + e, 2 * e), 1e-6);
        ot_free(&t);
    }
}
END_TEST

START_TEST(regions)
{
    static const char *const mode[] = {"avg", "max"};
    for (int k = 0; k < 4; k++) {
        ot_init(&t, "RoiAlign", k < 2 ? 16 : 10);
        ot_string(&t, "mode", mode[k % 2]), ot_int(&t, "output_height", 2), ot_int(&t, "output_width", 3);
        ot_int(&t, "sampling_ratio", k < 2 ? 2 : 0), ot_float(&t, "spatial_scale", 0.5F);
        ot_in_apart(&t, TSR_F32, OT_S(2, 2, 5, 6), 1, 2), ot_in(&t, TSR_F32, OT_S(2, 4), OT_V(1.3, 0.4, 8.9, 7.7, 3, 2, 4.5, 9.1));
        ot_in_i64(&t, OT_S(2), OT_I(1, 0));
        t.no_grad[1] = true, t.step = 1.0 / 8192;
        done();
    }
    ot_init(&t, "RoiAlign", 16); /* the one pixel that the region is */
    ot_in(&t, TSR_F32, OT_S(1, 1, 2, 2), OT_V(1, 2, 3, 4)), ot_in(&t, TSR_F32, OT_S(1, 4), OT_V(1, 0, 2, 1)), ot_in_i64(&t, OT_S(1), OT_I(0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 1, 1), OT_V(2), 1e-6);
    ot_free(&t);
    ot_init(&t, "RoiAlign", 16);
    x(OT_S(1, 1, 2, 2)), x(OT_S(1, 4)), ot_in_i64(&t, OT_S(1), OT_I(1));
    ot_fails(&t, TSR_E_MISMATCH, "sample 1 of 1");
    ot_free(&t);
    ot_init(&t, "MaxRoiPool", 1);
    ot_ints(&t, "pooled_shape", 2, 2, 2), ot_float(&t, "spatial_scale", 0.5F);
    ot_in_apart(&t, TSR_F32, OT_S(2, 2, 5, 6), -1, 1), ot_in(&t, TSR_F32, OT_S(2, 5), OT_V(1, 2, 0, 8, 7, 0, 4, 4, 4, 4));
    t.no_grad[1] = true;
    done();
    ot_init(&t, "MaxRoiPool", 1);
    ot_ints(&t, "pooled_shape", 2, 1, 2);
    ot_in(&t, TSR_F32, OT_S(1, 1, 2, 4), OT_V(1, 5, 3, 4, 2, 0, 9, 8)), ot_in(&t, TSR_F32, OT_S(1, 5), OT_V(0, 0, 0, 3, 1));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 1, 2), OT_V(5, 9), 0);
    ot_free(&t);
}
END_TEST

START_TEST(deformable)
{
    for (int mask = 0; mask < 2; mask++) {
        ot_init(&t, "DeformConv", 19);
        ot_int(&t, "group", 2), ot_int(&t, "offset_group", 2), ot_ints(&t, "pads", 4, 1, 0, 1, 0), ot_ints(&t, "strides", 2, 1, 2);
        x(OT_S(1, 4, 3, 4)), x(OT_S(2, 2, 2, 2)), ot_in_random(&t, TSR_F32, OT_S(1, 16, 4, 2), -0.9, 0.9), x(OT_S(2));
        if (mask) x(OT_S(1, 8, 4, 2));
        t.step = 1.0 / 16384;
        done();
    }
    ot_init(&t, "DeformConv", 19); /* no offset: a convolution; half a pixel: the mean of two */
    ot_in(&t, TSR_F32, OT_S(1, 1, 1, 3), OT_V(1, 2, 4)), ot_in(&t, TSR_F32, OT_S(1, 1, 1, 1), OT_V(10));
    ot_in(&t, TSR_F32, OT_S(1, 2, 1, 3), OT_V(0, 0, 0, 0, 0.5, 5));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 1, 3), OT_V(10, 30, 0), 1e-6);
    ot_free(&t);
    ot_init(&t, "DeformConv", 19);
    x(OT_S(1, 1, 3, 3)), x(OT_S(1, 1, 2, 2)), x(OT_S(1, 8, 3, 3));
    ot_fails(&t, TSR_E_MISMATCH, "offsets");
    ot_free(&t);
}
END_TEST

static void boxes(double most, double iou, double least)
{
    ot_init(&t, "NonMaxSuppression", 11);
    ot_in(&t, TSR_F32, OT_S(1, 4, 4), OT_V(0, 0, 1, 1, 0, 0.1, 1, 1.1, 1, 1, 0, -0.1, 0, 10, 1, 11));
    ot_in(&t, TSR_F32, OT_S(1, 1, 4), OT_V(0.9, 0.75, 0.95, 0.5));
    ot_in_i64(&t, OT_S(1), (const int64_t[]){(int64_t)most});
    ot_in(&t, TSR_F32, OT_S(1), &iou), ot_in(&t, TSR_F32, OT_S(1), &least);
}

START_TEST(suppression)
{
    boxes(9, 0.5, 0);
    ot_run(&t); /* the best of the three that overlap, and the one apart */
    ot_expect_i64(&t, 0, OT_S(2, 3), OT_I(0, 0, 2, 0, 0, 3));
    ot_memory_torture(&t);
    ot_free(&t);
    boxes(9, 0.5, 0.6);
    ot_run(&t);
    ot_expect_i64(&t, 0, OT_S(1, 3), OT_I(0, 0, 2));
    ot_free(&t);
    boxes(3, 0.95, 0);
    ot_run(&t); /* at most three, by score */
    ot_expect_i64(&t, 0, OT_S(3, 3), OT_I(0, 0, 2, 0, 0, 0, 0, 0, 1));
    ot_free(&t);
    boxes(0, 0.5, 0);
    ot_run(&t);
    ck_assert_int_eq(t.out[0].shape.dim[0], 0);
    ot_free(&t);
    ot_init(&t, "NonMaxSuppression", 11);
    x(OT_S(1, 4, 3)), x(OT_S(1, 1, 4));
    ot_fails(&t, TSR_E_MISMATCH, "boxes");
    ot_free(&t);
}
END_TEST

START_TEST(crop)
{
    ot_init(&t, "CenterCropPad", 18);
    x(OT_S(5, 3, 2)), ot_in_i64(&t, OT_S(3), OT_I(2, 6, 2));
    done();
    ot_init(&t, "CenterCropPad", 18);
    ot_ints(&t, "axes", 1, -1);
    ot_in(&t, TSR_I32, OT_S(1, 4), OT_V(1, 2, 3, 4)), ot_in_i64(&t, OT_S(1), OT_I(7));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 7), OT_V(0, 1, 2, 3, 4, 0, 0), 0);
    ot_free(&t);
    ot_init(&t, "CenterCropPad", 18);
    x(OT_S(5, 3)), ot_in_i64(&t, OT_S(1), OT_I(7));
    ot_fails(&t, TSR_E_MISMATCH, "each axis");
    ot_free(&t);
}
END_TEST

START_TEST(unpool)
{
    ot_init(&t, "MaxUnpool", 11);
    ot_ints(&t, "kernel_shape", 2, 2, 2), ot_ints(&t, "strides", 2, 2, 2);
    x(OT_S(1, 1, 2, 2)), ot_in_i64(&t, OT_S(1, 1, 2, 2), OT_I(5, 7, 13, 15));
    done();
    ot_init(&t, "MaxUnpool", 11); /* in a larger output the indices still count as pooling did */
    ot_ints(&t, "kernel_shape", 1, 2), ot_ints(&t, "strides", 1, 2);
    ot_in(&t, TSR_F32, OT_S(1, 1, 2), OT_V(3, 4)), ot_in_i64(&t, OT_S(1, 1, 2), OT_I(1, 2)), ot_in_i64(&t, OT_S(3), OT_I(1, 1, 5));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 5), OT_V(0, 3, 4, 0, 0), 0);
    ot_free(&t);
    ot_init(&t, "MaxUnpool", 11);
    ot_ints(&t, "kernel_shape", 1, 2);
    x(OT_S(1, 1, 2)), ot_in_i64(&t, OT_S(1, 1, 2), OT_I(1, 3));
    ot_fails(&t, TSR_E_MISMATCH, "index 3");
    ot_free(&t);
    ot_init(&t, "Col2Im", 18);
    ot_ints(&t, "pads", 4, 1, 0, 1, 0), ot_ints(&t, "dilations", 2, 2, 1);
    x(OT_S(2, 8, 12)), ot_in_i64(&t, OT_S(2), OT_I(4, 4)), ot_in_i64(&t, OT_S(2), OT_I(2, 2));
    done();
    ot_init(&t, "Col2Im", 18); /* windows of 2 over 3 overlap in the middle */
    ot_in(&t, TSR_F32, OT_S(1, 2, 2), OT_V(1, 2, 10, 20)), ot_in_i64(&t, OT_S(1), OT_I(3)), ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 3), OT_V(1, 12, 20), 0);
    ot_free(&t);
    ot_init(&t, "Col2Im", 18);
    x(OT_S(1, 2, 3)), ot_in_i64(&t, OT_S(1), OT_I(3)), ot_in_i64(&t, OT_S(1), OT_I(2));
    ot_fails(&t, TSR_E_MISMATCH, "3 columns");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/vision");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 240);
    tcase_add_test(c, grid_sample);
    tcase_add_test(c, affine_grid);
    tcase_add_test(c, regions);
    tcase_add_test(c, deformable);
    tcase_add_test(c, suppression);
    tcase_add_test(c, crop);
    tcase_add_test(c, unpool);
    suite_add_tcase(s, c);
    return ot_main(s);
}
