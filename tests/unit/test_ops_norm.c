/* Normalisations: values, gradients (also through the statistics), running statistics, errors. */
#include "optest.h"

START_TEST(layer_values)
{
    struct optest t;
    ot_init(&t, "LayerNormalization", 17);
    ot_float(&t, "epsilon", 0);
    ot_in(&t, TSR_F32, OT_S(2, 2), OT_V(1, 3, -2, 2));
    ot_in(&t, TSR_F32, OT_S(2), OT_V(1, 2));
    ot_in(&t, TSR_F32, OT_S(2), OT_V(0.5, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(2, 2), OT_V(-0.5, 2, -0.5, 2), 1e-6);
    ot_expect(&t, 1, OT_S(2, 1), OT_V(2, 0), 1e-6);
    ot_expect(&t, 2, OT_S(2, 1), OT_V(1, 0.5), 1e-6);
    ot_free(&t);
}
END_TEST

START_TEST(layer_gradients)
{
    for (int axis = -3; axis < 0; axis++)
        for (int variant = 0; variant < 4; variant++) {
            struct optest t;
            struct tsr_shape p = ot_shape(-axis, (const int64_t[]){3, 4, 21} + (3 + axis));
            ot_init(&t, "LayerNormalization", 17);
            ot_int(&t, "axis", axis);
            ot_float(&t, "epsilon", 1e-3);
            ot_in_random(&t, TSR_F32, OT_S(3, 4, 21), -1, 1);
            ot_in_random(&t, TSR_F32, p, 0.5, 1.5);
            if (variant & 1) ot_in_random(&t, TSR_F32, p, -1, 1);
            if (variant & 2) t.skip_out[1] = t.skip_out[2] = true;
            ot_check_all(&t, 2e-5);
            ot_memory_torture(&t);
            t.zero_gout[0] = variant == 0;
            if (t.zero_gout[0]) ot_gradcheck(&t);
            ot_free(&t);
        }
}
END_TEST

START_TEST(rms_gradients)
{
    for (int axis = -2; axis < 0; axis++) {
        struct optest t;
        struct tsr_shape p = ot_shape(-axis, (const int64_t[]){4, 19} + (2 + axis));
        ot_init(&t, "RMSNormalization", 23);
        ot_int(&t, "axis", axis);
        ot_in_random(&t, TSR_F32, OT_S(3, 4, 19), -1, 1);
        ot_in_random(&t, TSR_F32, p, 0.5, 1.5);
        ot_check_all(&t, 2e-5);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(instance_and_group_gradients)
{
    for (int kind = 0; kind < 3; kind++) {
        struct optest t;
        ot_init(&t, kind == 0 ? "InstanceNormalization" : "GroupNormalization", kind == 2 ? 18 : 21);
        if (kind > 0) ot_int(&t, "num_groups", 2);
        ot_in_random(&t, TSR_F32, OT_S(3, 4, 5, 7), -1, 1);
        ot_in_random(&t, TSR_F32, OT_S(kind == 2 ? 2 : 4), 0.5, 1.5);
        ot_in_random(&t, TSR_F32, OT_S(kind == 2 ? 2 : 4), -1, 1);
        ot_check_all(&t, 2e-5);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

static void batch(struct optest *t, struct tsr_shape x, int opset)
{
    ot_init(t, "BatchNormalization", opset);
    t->n_out = 1;
    ot_in_random(t, TSR_F32, x, -1, 2);
    ot_in_random(t, TSR_F32, OT_S(x.dim[1]), 0.5, 1.5);
    ot_in_random(t, TSR_F32, OT_S(x.dim[1]), -1, 1);
    ot_in_random(t, TSR_F32, OT_S(x.dim[1]), -1, 1);
    ot_in_random(t, TSR_F32, OT_S(x.dim[1]), 0.5, 2);
}

START_TEST(batch_gradients)
{
    const struct tsr_shape shapes[] = {OT_S(5, 3), OT_S(70, 67), OT_S(3, 2, 19), OT_S(2, 3, 4, 5), OT_S(2, 9, 2, 2, 3)};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int train = 0; train < 2; train++) {
            struct optest t;
            batch(&t, shapes[i], 15);
            if (train) ot_int(&t, "training_mode", 1), t.no_grad[3] = t.no_grad[4] = true;
            if (i == 1) ot_float_agrees(&t, 2e-5), ot_threads_agree(&t);
            else ot_check_all(&t, 2e-5);
            ot_memory_torture(&t);
            ot_free(&t);
        }
}
END_TEST

START_TEST(batch_running)
{
    struct optest t;
    for (int opset = 7; opset <= 15; opset += opset == 7 ? 2 : opset == 9 ? 5 : 1) {
        ot_init(&t, "BatchNormalization", opset);
        t.n_out = 3;
        t.train_stats = true;
        ot_float(&t, "momentum", 0.75);
        ot_float(&t, "epsilon", 0);
        ot_in(&t, TSR_F32, OT_S(2, 1, 2), OT_V(1, 3, 1, 3));
        for (int i = 0; i < 4; i++) ot_in(&t, TSR_F32, OT_S(1), OT_V(i == 0 ? 2 : i == 1 ? 1 : i == 2 ? 4 : 5));
        ot_run(&t);
        ot_expect(&t, 0, OT_S(2, 1, 2), OT_V(-1, 3, -1, 3), 1e-6);
        ot_expect(&t, 1, OT_S(1), OT_V(3.5), 1e-6);
        ot_expect(&t, 2, OT_S(1), OT_V(4), 1e-6);
        ck_assert(((const float *)t.now[3].data)[0] == 3.5F);
        ck_assert(((const float *)t.now[4].data)[0] == 4.0F);
        ot_free(&t);
    }
}
END_TEST

/* Outputs for statistics ask for those of the batch before opset 14; then training_mode does. */
START_TEST(batch_of_the_file)
{
    for (int form = 0; form < 4; form++) {
        struct optest t;
        ot_init(&t, "BatchNormalization", form < 2 ? 13 : 14);
        t.n_out = form == 0 ? 5 : form == 2 ? 3 : 1;
        ot_float(&t, "epsilon", 0);
        if (form == 3) ot_int(&t, "training_mode", 1);
        ot_in(&t, TSR_F32, OT_S(2, 1, 2), OT_V(1, 3, 1, 3));
        for (int i = 0; i < 4; i++) ot_in(&t, TSR_F32, OT_S(1), OT_V(i == 0 ? 2 : i == 1 ? 1 : i == 2 ? 1 : 4));
        ot_run(&t);
        if (form % 3 == 0) ot_expect(&t, 0, OT_S(2, 1, 2), OT_V(-1, 3, -1, 3), 1e-6);
        else ot_expect(&t, 0, OT_S(2, 1, 2), OT_V(1, 3, 1, 3), 1e-6);
        ot_free(&t);
    }
}
END_TEST

START_TEST(lrn_and_lp_gradients)
{
    for (int size = 1; size <= 4; size++) {
        struct optest t;
        ot_init(&t, "LRN", 13);
        ot_int(&t, "size", size);
        ot_float(&t, "alpha", 0.5);
        ot_in_random(&t, TSR_F32, OT_S(3, 6, 2, 3), -1, 1);
        ot_check_all(&t, 1e-5);
        ot_memory_torture(&t);
        ot_free(&t);
    }
    for (int p = 1; p <= 2; p++)
        for (int axis = 0; axis < 3; axis++) {
            struct optest t;
            ot_init(&t, "LpNormalization", 22);
            ot_int(&t, "axis", axis);
            ot_int(&t, "p", p);
            ot_in_apart(&t, TSR_F32, OT_S(4, 3, 5), -1, 1);
            ot_check_all(&t, 1e-5);
            ot_memory_torture(&t);
            ot_free(&t);
        }
}
END_TEST

START_TEST(mean_variance)
{
    struct optest t;
    ot_init(&t, "MeanVarianceNormalization", 13);
    ot_in(&t, TSR_F32, OT_S(2, 2, 1, 2), OT_V(1, 3, 10, 10, 5, 7, 10, 30));
    ot_run(&t); /* axes 0, 2 and 3: a row for every channel */
    ot_expect(&t, 0, OT_S(2, 2, 1, 2), OT_V(-1.34164079, -0.4472136, -0.57735027, -0.57735027, 0.4472136, 1.34164079, -0.57735027, 1.73205081), 1e-6);
    ot_check_all(&t, 1e-5);
    ot_memory_torture(&t);
    ot_free(&t);
    ot_init(&t, "MeanVarianceNormalization", 9);
    ot_ints(&t, "axes", 2, 1, -1);
    ot_in_random(&t, TSR_F32, OT_S(2, 3, 2, 4), -1, 1);
    ot_check_all(&t, 1e-5);
    ot_free(&t);
    ot_init(&t, "MeanVarianceNormalization", 13); /* a constant row gives zeros and a finite gradient */
    ot_ints(&t, "axes", 1, 1);
    ot_in(&t, TSR_F32, OT_S(1, 3), OT_V(2, 2, 2));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 3), OT_V(0, 0, 0), 0);
    ot_free(&t);
    ot_init(&t, "MeanVarianceNormalization", 13);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "axes");
    ot_free(&t);
}
END_TEST

START_TEST(bad)
{
    struct optest t;
    ot_init(&t, "LayerNormalization", 17);
    ot_in_random(&t, TSR_F32, OT_S(2, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(2), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[2]");
    ot_free(&t);
    ot_init(&t, "GroupNormalization", 21);
    ot_int(&t, "num_groups", 3);
    ot_in_random(&t, TSR_F32, OT_S(2, 4, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "groups");
    ot_free(&t);
    batch(&t, OT_S(2, 3, 4), 15);
    t.in[3].shape.dim[0] = 2;
    ot_fails(&t, TSR_E_MISMATCH, "parameter 3");
    ot_free(&t);
    batch(&t, OT_S(2, 3, 4), 7);
    ot_int(&t, "spatial", 0);
    ot_fails(&t, TSR_E_UNSUPPORTED, "spatial");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/norm");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, layer_values);
    tcase_add_test(c, layer_gradients);
    tcase_add_test(c, rms_gradients);
    tcase_add_test(c, instance_and_group_gradients);
    tcase_add_test(c, batch_gradients);
    tcase_add_test(c, batch_running);
    tcase_add_test(c, batch_of_the_file);
    tcase_add_test(c, lrn_and_lp_gradients);
    tcase_add_test(c, mean_variance);
    tcase_add_test(c, bad);
    suite_add_tcase(s, c);
    return ot_main(s);
}
