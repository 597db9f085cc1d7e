/* Conv and ConvTranspose: values against a plain loop, gradients, shapes that do not fit. */
#include "optest.h"

struct conv_case {
    int rank; /* spatial */
    int n, c, m, group;
    int in[3], kernel[3], stride[3], dilation[3], pad[6];
    bool bias;
    const char *auto_pad;
};

static const struct conv_case cases[] = {
    {2, 2, 3, 4, 1, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, true, NULL},
    {2, 1, 4, 6, 2, {7, 8}, {3, 2}, {2, 3}, {1, 2}, {0, 1, 2, 0}, true, NULL},
    {2, 3, 4, 4, 4, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, true, NULL},
    {2, 2, 3, 6, 3, {9, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, NULL},
    {2, 2, 5, 3, 1, {4, 5}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, true, NULL},
    {2, 2, 5, 3, 1, {5, 5}, {1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}, false, NULL},
    {1, 2, 3, 4, 1, {11}, {3}, {1}, {1}, {1, 1}, true, NULL},
    {1, 2, 4, 4, 1, {12}, {3}, {1}, {4}, {8, 0}, true, NULL},
    {1, 2, 4, 4, 4, {13}, {5}, {2}, {1}, {2, 2}, true, NULL},
    {3, 1, 2, 3, 1, {4, 3, 5}, {2, 3, 2}, {1, 2, 1}, {2, 1, 1}, {1, 1, 0, 0, 1, 1}, true, NULL},
    {2, 1, 2, 3, 1, {7, 6}, {3, 4}, {2, 2}, {1, 1}, {0}, true, "SAME_UPPER"},
    {2, 1, 2, 3, 1, {7, 6}, {4, 3}, {2, 3}, {1, 1}, {0}, false, "SAME_LOWER"},
    {2, 1, 2, 3, 1, {7, 6}, {3, 3}, {1, 1}, {1, 1}, {0}, false, "VALID"},
    {1, 1, 1, 1, 1, {3}, {5}, {1}, {1}, {4, 4}, false, NULL}, /* wider than the input */
    {1, 2, 3, 6, 3, {21}, {3}, {1}, {4}, {8, 0}, true, NULL},
    {2, 2, 2, 4, 2, {8, 9}, {3, 4}, {2, 3}, {2, 1}, {2, 0, 1, 3}, true, NULL},
    {3, 2, 2, 2, 2, {4, 3, 5}, {2, 3, 2}, {1, 2, 1}, {2, 1, 1}, {1, 1, 0, 0, 1, 1}, true, NULL},
    {2, 1, 2, 2, 2, {9, 9}, {1, 2}, {4, 3}, {1, 1}, {0, 0, 0, 0}, false, NULL}, /* leaves inputs out */
    {2, 3, 2, 2, 1, {9, 9}, {1, 1}, {4, 3}, {1, 1}, {0, 0, 0, 0}, false, NULL},
    {2, 2, 13, 3, 1, {5, 6}, {3, 2}, {1, 1}, {1, 2}, {0, 1, 3, 4}, true, NULL}, /* flipped; crops */
    {1, 1, 24, 24, 2, {6}, {3}, {1}, {1}, {0, 0}, true, NULL},
    {2, 2, 3, 3, 3, {4, 70}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, NULL},
};

static void attributes(struct optest *t, const struct conv_case *k)
{
    const char *const names[] = {"kernel_shape", "strides", "dilations"};
    const int *const values[] = {k->kernel, k->stride, k->dilation};
    for (int i = 0; i < 3; i++) {
        struct tsr_attr *a = ot_attr(t, names[i], TSR_ATTR_INTS, (size_t)k->rank);
        a->ints = ot_have(tsr_calloc((size_t)k->rank, sizeof(int64_t)));
        for (int d = 0; d < k->rank; d++) a->ints[d] = values[i][d];
    }
    if (k->auto_pad != NULL) {
        ot_string(t, "auto_pad", k->auto_pad);
        return;
    }
    struct tsr_attr *a = ot_attr(t, "pads", TSR_ATTR_INTS, (size_t)k->rank * 2);
    a->ints = ot_have(tsr_calloc((size_t)k->rank * 2, sizeof(int64_t)));
    for (int d = 0; d < k->rank * 2; d++) a->ints[d] = k->pad[d];
}

static void build(struct optest *t, const struct conv_case *k)
{
    int64_t x[5] = {k->n, k->c}, w[5] = {k->m, k->c / k->group};
    for (int d = 0; d < k->rank; d++) x[2 + d] = k->in[d], w[2 + d] = k->kernel[d];
    ot_init(t, "Conv", 11);
    ot_int(t, "group", k->group);
    attributes(t, k);
    ot_in_random(t, TSR_F32, ot_shape(k->rank + 2, x), -1, 1);
    ot_in_random(t, TSR_F32, ot_shape(k->rank + 2, w), -1, 1);
    if (k->bias) ot_in_random(t, TSR_F32, OT_S(k->m), -1, 1);
}

/* One output by the definition. at[] is the output position, lead[] the padding in front. */
static double plain(const struct optest *t, const struct conv_case *k, const int *lead, int n, int m, const int *at)
{
    const float *x = t->in[0].data, *w = t->in[1].data;
    int cg = k->c / k->group, g = m / (k->m / k->group), in[3], ker[3], st[3], di[3], ld[3], o[3];
    for (int d = 0; d < 3; d++) {
        int i = d - (3 - k->rank);
        in[d] = i < 0 ? 1 : k->in[i], ker[d] = i < 0 ? 1 : k->kernel[i], st[d] = i < 0 ? 1 : k->stride[i];
        di[d] = i < 0 ? 1 : k->dilation[i], ld[d] = i < 0 ? 0 : lead[i], o[d] = i < 0 ? 0 : at[i];
    }
    double sum = k->bias ? (double)((const float *)t->in[2].data)[m] : 0;
    for (int c = 0; c < cg; c++)
        for (int a = 0; a < ker[0]; a++)
            for (int b = 0; b < ker[1]; b++)
                for (int e = 0; e < ker[2]; e++) {
                    int i = o[0] * st[0] - ld[0] + a * di[0], j = o[1] * st[1] - ld[1] + b * di[1];
                    int l = o[2] * st[2] - ld[2] + e * di[2];
                    if (i < 0 || j < 0 || l < 0 || i >= in[0] || j >= in[1] || l >= in[2]) continue;
                    sum += (double)x[(((n * k->c + g * cg + c) * in[0] + i) * in[1] + j) * in[2] + l] *
                           (double)w[(((m * cg + c) * ker[0] + a) * ker[1] + b) * ker[2] + e];
                }
    return sum;
}

static void check_values(struct optest *t, const struct conv_case *k, double tol)
{
    int lead[3] = {0}, out[3] = {1, 1, 1};
    int64_t shape[5] = {k->n, k->m};
    for (int d = 0; d < k->rank; d++) {
        int reach = (k->kernel[d] - 1) * k->dilation[d] + 1, total;
        if (k->auto_pad != NULL && k->auto_pad[0] == 'S') {
            out[d] = (k->in[d] + k->stride[d] - 1) / k->stride[d];
            total = (out[d] - 1) * k->stride[d] + reach - k->in[d];
            if (total < 0) total = 0;
            lead[d] = k->auto_pad[5] == 'U' ? total / 2 : (total + 1) / 2;
        } else {
            lead[d] = k->auto_pad ? 0 : k->pad[d];
            total = k->auto_pad ? 0 : k->pad[d] + k->pad[d + k->rank];
            out[d] = (k->in[d] + total - reach) / k->stride[d] + 1;
        }
        shape[2 + d] = out[d];
    }
    ot_expect_shape(t, 0, TSR_F32, ot_shape(k->rank + 2, shape));
    const float *y = t->out[0].data;
    for (int n = 0; n < k->n; n++)
        for (int m = 0; m < k->m; m++)
            for (int a = 0; a < out[0]; a++)
                for (int b = 0; b < out[1]; b++)
                    for (int c = 0; c < out[2]; c++) {
                        double want = plain(t, k, lead, n, m, (const int[]){a, b, c});
                        double got = (double)*y++;
                        ck_assert_msg(fabs(got - want) <= tol, "[%d,%d,%d,%d,%d] is %g, not %g", n, m, a, b, c, got, want);
                    }
}

START_TEST(conv_cases)
{
    struct optest t;
    build(&t, &cases[_i]);
    ot_run(&t);
    check_values(&t, &cases[_i], 1e-5);
    ot_check_all(&t, 2e-5);
    ot_memory_torture(&t);
    ot_free(&t);
}
END_TEST

/* Larger than one gathered block, many images: the cut must not show. */
START_TEST(conv_blocks)
{
    const struct conv_case k = {2, 11, 8, 9, 1, {23, 31}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, true, NULL};
    struct optest t;
    build(&t, &k);
    ot_run(&t);
    check_values(&t, &k, 1e-5);
    ot_float_agrees(&t, 1e-5);
    ot_threads_agree(&t);
    ot_free(&t);
    for (int direct = 0; direct < 2; direct++) { /* small images share a block */
        const struct conv_case small = {2, 50, 6, 5, 1, {5, 5}, {direct ? 1 : 3, direct ? 1 : 3}, {1, 1}, {1, 1},
                                        {!direct, !direct, !direct, !direct}, true, NULL};
        build(&t, &small);
        ot_run(&t);
        check_values(&t, &small, 1e-5);
        ot_float_agrees(&t, 1e-5);
        ot_threads_agree(&t);
        ot_free(&t);
    }
}
END_TEST

/* Three taps along one dimension and many channels take half the multiplications; in float64 they do not. */
START_TEST(conv_winograd)
{
    static const struct conv_case three[] = {
        {1, 5, 37, 33, 1, {18}, {3}, {1}, {1}, {1, 1}, true, NULL},
        {1, 9, 32, 48, 1, {64}, {3}, {1}, {8}, {8, 8}, true, NULL},
        {1, 3, 48, 32, 1, {61}, {3}, {1}, {3}, {6, 0}, false, NULL},     /* causal */
        {1, 2, 32, 32, 1, {66}, {3}, {1}, {1}, {0, 0}, true, NULL},
        {1, 2, 32, 40, 1, {23}, {3}, {1}, {2}, {5, 4}, true, NULL},      /* longer than its input */
        {1, 70, 32, 32, 1, {16}, {3}, {1}, {1}, {1, 1}, true, NULL},     /* blocks of images, the last one short */
        {1, 1, 33, 32, 1, {1100}, {3}, {1}, {5}, {5, 5}, true, NULL},
    };
    struct optest t;
    build(&t, &three[_i]);
    ot_run(&t);
    check_values(&t, &three[_i], 5e-5);
    ot_float_agrees(&t, 2e-5);
    ot_threads_agree(&t);
    ot_memory_torture(&t);
    ot_free(&t);
}
END_TEST

START_TEST(transpose_values)
{
    struct optest t;
    ot_init(&t, "ConvTranspose", 11);
    ot_ints(&t, "strides", 1, 2);
    ot_ints(&t, "output_padding", 1, 1);
    ot_in(&t, TSR_F32, OT_S(1, 1, 3), OT_V(1, 2, 3));
    ot_in(&t, TSR_F32, OT_S(1, 2, 3), OT_V(1, 10, 100, -1, 0, 1));
    ot_in(&t, TSR_F32, OT_S(2), OT_V(0.5, 0));
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 2, 8), OT_V(1.5, 10.5, 102.5, 20.5, 203.5, 30.5, 300.5, 0.5, -1, 0, -1, 0, -1, 0, 3, 0), 1e-6);
    ot_free(&t);
    ot_init(&t, "ConvTranspose", 11);
    ot_ints(&t, "output_shape", 1, 3);
    ot_in(&t, TSR_F32, OT_S(1, 1, 3), OT_V(1, 2, 3));
    ot_in(&t, TSR_F32, OT_S(1, 1, 2), OT_V(1, 10));
    ot_run(&t); /* one too many: cut in front unless SAME_UPPER */
    ot_expect(&t, 0, OT_S(1, 1, 3), OT_V(12, 23, 30), 1e-6);
    ot_string(&t, "auto_pad", "SAME_UPPER");
    ot_run(&t);
    ot_expect(&t, 0, OT_S(1, 1, 3), OT_V(1, 12, 23), 1e-6);
    ot_free(&t);
}
END_TEST

START_TEST(transpose_gradients)
{
    for (int variant = 0; variant < 6; variant++) {
        struct optest t;
        ot_init(&t, "ConvTranspose", 11);
        if (variant == 0) {
            ot_ints(&t, "strides", 2, 2, 3), ot_ints(&t, "pads", 4, 1, 0, 0, 1), ot_ints(&t, "output_padding", 2, 1, 2);
        } else if (variant == 1) {
            ot_int(&t, "group", 2), ot_ints(&t, "dilations", 2, 2, 1);
        } else if (variant == 2) {
            ot_int(&t, "group", 4), ot_ints(&t, "strides", 2, 2, 2); /* depthwise */
        } else if (variant == 3) {
            ot_ints(&t, "output_shape", 2, 12, 9), ot_ints(&t, "strides", 2, 2, 2); /* larger than it fills */
        } else if (variant == 4) {
            ot_string(&t, "auto_pad", "SAME_LOWER"), ot_ints(&t, "strides", 2, 2, 2);
        }
        ot_in_random(&t, TSR_F32, OT_S(2, 4, 3, 4), -1, 1);
        if (variant == 2) ot_in_random(&t, TSR_F32, OT_S(4, 1, 3, 2), -1, 1);
        else if (variant == 5) ot_in_random(&t, TSR_F32, OT_S(4, 3, 1, 1), -1, 1);
        else ot_in_random(&t, TSR_F32, OT_S(4, 3, 3, 2), -1, 1);
        if (variant != 3) ot_in_random(&t, TSR_F32, OT_S(variant == 1 ? 6 : variant == 2 ? 4 : 3), -1, 1);
        ot_check_all(&t, 2e-5);
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

START_TEST(transpose_bad)
{
    struct optest t;
    ot_init(&t, "ConvTranspose", 11);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4, 3, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[4,3,3]");
    ot_free(&t);
    ot_init(&t, "ConvTranspose", 11);
    ot_ints(&t, "pads", 2, 9, 9);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3, 3, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "size");
    ot_free(&t);
}
END_TEST

START_TEST(conv_bad)
{
    struct optest t;
    ot_init(&t, "Conv", 11);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 5, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4, 2, 3, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "[4,2,3,3]");
    ot_free(&t);
    ot_init(&t, "Conv", 11);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 2, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4, 3, 3, 3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "window");
    ot_free(&t);
    ot_init(&t, "Conv", 11);
    ot_ints(&t, "pads", 2, 1, 1);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 5, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4, 3, 3, 3), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "pads");
    ot_free(&t);
    ot_init(&t, "Conv", 11);
    ot_ints(&t, "strides", 2, 0, 1);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 5, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4, 3, 3, 3), -1, 1);
    ot_fails(&t, TSR_E_CORRUPT, "strides");
    ot_free(&t);
    ot_init(&t, "Conv", 11);
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 5, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4, 3, 3, 3), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(3), -1, 1);
    ot_fails(&t, TSR_E_MISMATCH, "bias");
    ot_free(&t);
    ot_init(&t, "Conv", 11);
    ot_string(&t, "auto_pad", "SAME");
    ot_in_random(&t, TSR_F32, OT_S(1, 3, 5, 5), -1, 1);
    ot_in_random(&t, TSR_F32, OT_S(4, 3, 3, 3), -1, 1);
    ot_fails(&t, TSR_E_UNSUPPORTED, "auto_pad");
    ot_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/conv");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, conv_cases, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(c, conv_blocks);
    tcase_add_loop_test(c, conv_winograd, 0, 7);
    tcase_add_test(c, conv_bad);
    tcase_add_test(c, transpose_values);
    tcase_add_test(c, transpose_gradients);
    tcase_add_test(c, transpose_bad);
    suite_add_tcase(s, c);
    return ot_main(s);
}
