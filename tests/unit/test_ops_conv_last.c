/* tessera.Conv: the fast kernels of every instruction set against the plain loops in double, those against
 * Conv, gradients, what follows the sums, threads, shapes that do not fit. */
#include "optest.h"
#include "tensor/gemm.h"

struct conv_case {
    int n, c, m, group, rank;
    int in[2], kernel[2], stride[2], dilation[2], pad[4];
};

static const struct conv_case cases[] = {
    {2, 3, 4, 1, 2, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {2, 1, 48, 1, 2, {13, 12}, {5, 5}, {2, 2}, {1, 1}, {2, 2, 2, 2}},   /* a stem */
    {3, 48, 50, 1, 2, {5, 8}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},    /* pointwise */
    {2, 40, 17, 1, 2, {7, 6}, {1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}},
    {2, 5, 130, 1, 2, {4, 4}, {2, 3}, {1, 1}, {1, 1}, {0, 0, 0, 0}},    /* in place, taps */
    {1, 120, 33, 1, 2, {5, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},   /* a sum in two blocks */
    {2, 6, 9, 3, 2, {7, 8}, {3, 2}, {2, 3}, {1, 2}, {0, 1, 2, 0}},      /* groups */
    {2, 64, 64, 1, 1, {64}, {3}, {1}, {8}, {8, 8}},                     /* dilated, one dimension */
    {9, 3, 5, 1, 1, {11}, {3}, {1}, {1}, {1, 1}},
    {1, 3, 8, 1, 2, {40, 37}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
    {1, 7, 7, 7, 2, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},      /* depthwise */
    {3, 50, 50, 50, 2, {9, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
    {2, 16, 16, 16, 2, {70, 40}, {5, 3}, {1, 1}, {1, 2}, {2, 2, 2, 2}}, /* in bands */
    {2, 33, 33, 33, 1, {13}, {5}, {2}, {1}, {2, 2}},
    {2, 4, 8, 4, 2, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},      /* two outputs a channel */
    {1, 2, 3, 1, 1, {3}, {5}, {1}, {1}, {4, 4}},                        /* wider than the input */
    {1, 2, 2, 2, 2, {9, 9}, {1, 2}, {4, 3}, {1, 1}, {0, 0, 0, 0}},      /* leaves inputs out */
    {1, 32, 40, 1, 2, {60, 30}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},  /* dense, in bands */
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

static void ints(struct optest *t, const char *name, const int *v, int n)
{
    struct tsr_attr *a = ot_attr(t, name, TSR_ATTR_INTS, (size_t)n);
    a->ints = ot_have(tsr_calloc((size_t)n, sizeof(int64_t)));
    for (int i = 0; i < n; i++) a->ints[i] = v[i];
}

static int extent(const struct conv_case *k, int d)
{
    return (k->in[d] + k->pad[d] + k->pad[d + k->rank] - (k->kernel[d] - 1) * k->dilation[d] - 1) / k->stride[d] + 1;
}

static struct tsr_shape laid_out(const struct conv_case *k, int channels, bool output, bool first)
{
    struct tsr_shape s = {.rank = k->rank + 2, .dim = {k->n}};
    s.dim[first ? 1 : k->rank + 1] = channels;
    for (int d = 0; d < k->rank; d++) s.dim[d + (first ? 2 : 1)] = output ? extent(k, d) : k->in[d];
    return s;
}

/* The operator; where `domain` is empty, Conv of the same numbers, channels first. */
static void build(struct optest *t, const struct conv_case *k, const char *domain, bool first, bool bias, bool residual)
{
    int64_t w[4] = {k->m, k->c / k->group, k->kernel[0], k->kernel[1]};
    ot_init_domain(t, "Conv", domain, 11);
    ot_int(t, "group", k->group);
    ints(t, "kernel_shape", k->kernel, k->rank);
    ints(t, "strides", k->stride, k->rank);
    ints(t, "dilations", k->dilation, k->rank);
    ints(t, "pads", k->pad, 2 * k->rank);
    if (domain[0] && first) ot_int(t, "first", 1);
    ot_in_random(t, TSR_F32, laid_out(k, k->c, false, first), -1, 1);
    ot_in_random(t, TSR_F32, ot_shape(k->rank + 2, w), -1, 1);
    if (bias) ot_in_random(t, TSR_F32, OT_S(k->m), -1, 1);
    else if (residual) ot_in_absent(t);
    if (residual) ot_in_random(t, TSR_F32, laid_out(k, k->m, true, false), -1, 1);
}

/* Zeros around the output: 2 in front, 1 behind, or the other way round. */
static void margin(struct optest *t, const struct conv_case *k)
{
    const int two[4] = {2, 1, 1, 2}, one[2] = {1, 2};
    ints(t, "margin", k->rank == 2 ? two : one, 2 * k->rank);
}

static void for_every_kernel(void (*fn)(void))
{
    struct tsr_error err;
    for (int i = 0; tsr_gemm_kernel_name(i) != NULL; i++) {
        if (!tsr_gemm_kernel_runs(i)) continue;
        ck_assert(tsr_gemm_use(tsr_gemm_kernel_name(i), &err) == TSR_OK);
        fn();
    }
}

/* Channels last and channels first agree with Conv, whose kernels are others. */
START_TEST(like_conv)
{
    for (int i = 0; i < N_CASES; i++) {
        const struct conv_case *k = &cases[i];
        struct optest conv, t;
        build(&conv, k, "", true, true, false);
        ot_load(&conv, TSR_F64);
        ot_forward(&conv, false);
        for (int first = 0; first < 2; first++) {
            build(&t, k, "tessera", first, true, false);
            const int space = k->rank == 2 ? k->in[0] * k->in[1] : k->in[0];
            const int out = k->rank == 2 ? extent(k, 0) * extent(k, 1) : extent(k, 0);
            for (int n = 0; n < k->n; n++)
                for (int c = 0; c < k->c; c++)
                    for (int s = 0; s < space; s++)
                        ((float *)t.in[0].data)[first ? (n * k->c + c) * space + s : (n * space + s) * k->c + c] =
                            ((const float *)conv.in[0].data)[(n * k->c + c) * space + s];
            ot_load(&t, TSR_F64);
            ot_forward(&t, false);
            ot_expect_shape(&t, 0, TSR_F64, laid_out(k, k->m, true, false));
            for (int n = 0; n < k->n; n++)
                for (int m = 0; m < k->m; m++)
                    for (int s = 0; s < out; s++) {
                        double want = ((const double *)conv.out[0].data)[(n * k->m + m) * out + s];
                        double have = ((const double *)t.out[0].data)[(n * out + s) * k->m + m];
                        ck_assert_msg(fabs(want - have) <= 1e-12 * fmax(1, fabs(want)), "case %d: %g, not %g", i, have, want);
                    }
            ot_free(&t);
        }
        ot_free(&conv);
    }
}
END_TEST

static const char *const activations[] = {NULL, "Relu", "Clip", "HardSwish", "Gelu"};

static void fast(void)
{
    for (int i = 0; i < N_CASES; i++)
        for (int form = 0; form < 10; form++) {
            struct optest t;
            build(&t, &cases[i], "tessera", form & 1, form & 2, form & 4);
            if (!(form & 4)) margin(&t, &cases[i]);
            const char *act = activations[(i + form) % 5];
            if (act != NULL) ot_string(&t, "activation", act);
            ot_float(&t, "low", -0.5);
            ot_float(&t, "high", 0.75);
            for (int in = 0; in < t.n_in; in++) t.no_grad[in] = act != NULL; /* kinks fall differently */
            ot_float_agrees(&t, 4e-5); /* sums of a thousand products, then cut to 1 */
            ot_free(&t);
        }
}
START_TEST(kernels) { for_every_kernel(fast); }
END_TEST

static void threads_each(void)
{
    static const int some[] = {1, 2, 7, 9, 11, 12, 17};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        struct optest t;
        build(&t, &cases[some[i]], "tessera", i & 1, true, true);
        ot_string(&t, "activation", "Relu");
        ot_threads_agree(&t);
        ot_free(&t);
    }
}
START_TEST(threads) { for_every_kernel(threads_each); }
END_TEST

/* What an image gives does not depend on those beside it. */
static void alone_each(void)
{
    static const int some[] = {1, 2, 7, 8, 10, 11, 13};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        struct conv_case k = cases[some[i]];
        struct optest all, one;
        k.n = 9;
        build(&all, &k, "tessera", false, true, false);
        ot_run(&all);
        k.n = 1;
        build(&one, &k, "tessera", false, true, false);
        const size_t in = tsr_tensor_bytes(&one.in[0]);
        memcpy(one.in[0].data, (const char *)all.in[0].data + 5 * in, in);
        memcpy(one.in[1].data, all.in[1].data, tsr_tensor_bytes(&one.in[1]));
        memcpy(one.in[2].data, all.in[2].data, tsr_tensor_bytes(&one.in[2]));
        ot_run(&one);
        const size_t out = tsr_tensor_bytes(&one.out[0]);
        ck_assert_msg(memcmp(one.out[0].data, (const char *)all.out[0].data + 5 * out, out) == 0, "case %d", some[i]);
        ot_free(&all);
        ot_free(&one);
    }
}
START_TEST(alone) { for_every_kernel(alone_each); }
END_TEST

START_TEST(gradients)
{
    static const struct conv_case small[] = {
        {2, 2, 3, 1, 2, {4, 3}, {3, 2}, {2, 1}, {1, 1}, {1, 0, 1, 1}},
        {2, 4, 4, 2, 1, {6}, {3}, {1}, {2}, {2, 2}},
        {1, 3, 3, 3, 2, {4, 4}, {3, 3}, {1, 2}, {1, 1}, {1, 1, 1, 1}},
    };
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        for (int a = 0; a < 5; a++) {
            struct optest t;
            build(&t, &small[i], "tessera", a & 1, true, a != 1);
            if (activations[a] != NULL) ot_string(&t, "activation", activations[a]);
            if (a == 1) margin(&t, &small[i]);
            ot_float(&t, "low", -0.5);
            ot_float(&t, "high", 2.5);
            t.step = 1e-5; /* far from the kinks of Relu and Clip */
            t.grad_tol = 2e-6;
            ot_gradcheck(&t);
            ot_free(&t);
        }
}
END_TEST

START_TEST(nothing)
{
    struct optest t;
    const struct conv_case k = {0, 3, 4, 1, 2, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
    build(&t, &k, "tessera", false, true, false);
    ot_run(&t);
    ot_expect_shape(&t, 0, TSR_F32, OT_S(0, 6, 5, 4));
    ot_load(&t, TSR_F32);
    ck_assert_int_eq(ot_forward(&t, true), TSR_OK);
    ck_assert_int_eq(ot_backward(&t), TSR_OK);
    for (int64_t i = 0; i < tsr_tensor_count(&t.gin[1]); i++) ck_assert(((const float *)t.gin[1].data)[i] == 0);
    ot_free(&t);
}
END_TEST

START_TEST(misfits)
{
    static const struct conv_case k = {2, 4, 6, 2, 2, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
    struct optest t;
    build(&t, &k, "tessera", false, true, true);
    t.in[3].shape.dim[1] = 25, t.in[3].shape.dim[2] = 1;
    ot_fails(&t, TSR_E_MISMATCH, "residual");
    ot_free(&t);
    build(&t, &k, "tessera", false, true, false);
    t.in[2].shape.dim[0] = 3, t.in[2].shape.rank = 1;
    ot_fails(&t, TSR_E_MISMATCH, "bias");
    ot_free(&t);
    build(&t, &k, "tessera", false, false, false);
    t.in[0].shape = OT_S(2, 5, 4, 5);
    ot_fails(&t, TSR_E_MISMATCH, "groups");
    ot_free(&t);
    build(&t, &k, "tessera", false, true, true);
    margin(&t, &k);
    ot_fails(&t, TSR_E_MISMATCH, "margin");
    ot_free(&t);
    build(&t, &k, "tessera", false, false, false);
    ints(&t, "margin", k.kernel, 2);
    ot_fails(&t, TSR_E_CORRUPT, "margin");
    ot_free(&t);
    build(&t, &k, "tessera", false, false, false);
    ot_string(&t, "activation", "Softplus");
    ot_fails(&t, TSR_E_UNSUPPORTED, "Softplus");
    ot_free(&t);
}
END_TEST

START_TEST(memory)
{
    static const int some[] = {0, 11, 6};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        struct optest t;
        build(&t, &cases[some[i]], "tessera", false, true, false);
        ot_string(&t, "activation", "Gelu");
        ot_memory_torture(&t);
        ot_free(&t);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/conv_last");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, like_conv);
    tcase_add_test(c, kernels);
    tcase_add_test(c, threads);
    tcase_add_test(c, alone);
    tcase_add_test(c, gradients);
    tcase_add_test(c, nothing);
    tcase_add_test(c, misfits);
    tcase_add_test(c, memory);
    suite_add_tcase(s, c);
    return ot_main(s);
}
