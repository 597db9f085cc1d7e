/* Quantised models run in integers: what is fused, that it is the same to one step, and what is left alone. */
#include "quanttest.h"

static struct tsr_graph *quantised(const char *text, enum tsr_quant_target target)
{
    struct tsr_graph *g = zoo(text), *made;
    struct tsr_quantiser *q;
    struct tsr_quantise_report report;
    struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_INT8);
    struct tsr_tensor x;
    o.target = target;
    OK(tsr_quantiser_new(g, &o, &q, &err));
    white_samples(g, 24, &x);
    OK(tsr_quantiser_block(q, &x, 1, &err));
    OK(tsr_quantiser_finish(q, &made, &report, &err));
    tsr_tensor_release(&x);
    tsr_quantiser_free(q);
    tsr_graph_free(g);
    return made;
}

static const char *const families[] = {"mlp width=16 depth=2 classes=4 input=24", "conv1d width=16 depth=2 classes=4 input=6x32",
                                       "dscnn width=16 depth=2 classes=4 input=1x16x16", "resnet width=16 depth=2 classes=4 input=3x11x7",
                                       "resnet18 width=8 depth=1 classes=4 input=3x24x24",
                                       "mobilenetv2 width=8 depth=3 classes=4 input=3x32x32", "cct width=16 depth=2 classes=4 input=1x16x16",
                                       "transformer width=16 depth=2 classes=4 input=6x32", "bert width=16 depth=2 classes=4 vocab=40 length=16"};

/* The outputs of g, and of `kept` values where there are some, as copies. */
static void run(const struct tsr_graph *g, const struct tsr_tensor *x, const int32_t *want, size_t n, struct tsr_pool *pool,
                struct tsr_tensor *y)
{
    struct tsr_session_options o = {.pool = pool};
    struct tsr_session *s;
    OK(tsr_session_new(g, &o, &s, &err));
    for (int turn = 0; turn < 2; turn++) { /* what is packed in the first run serves the second */
        OK(tsr_session_set_input(s, g->input[0], x, &err));
        OK(tsr_session_run(s, want, n, &err));
    }
    for (size_t i = 0; i < n; i++) OK(tsr_tensor_copy(&y[i], tsr_session_value(s, want[i]), &err));
    tsr_session_free(s);
}

START_TEST(products_are_integer)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (int target = 0; target < 4; target++) {
            struct tsr_graph *g = quantised(families[i], (enum tsr_quant_target)target), *fused;
            OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
            ck_assert_msg(count(g, "Conv") + count(g, "Gemm") + count(g, "MatMul") > 0, "%s", families[i]);
            ck_assert_msg(count(fused, "Conv") == 0 && count(fused, "Gemm") == 0 && count(fused, "MatMul") == 0, "%s for %s: a float product is left",
                          families[i], tsr_quant_target_names[target]);
            tsr_graph_free(fused);
            OK(tsr_graph_fuse(g, NULL, 0, TSR_FUSE_TRAINING, &fused, &err)); /* gradients need floats */
            ck_assert_int_eq(count(fused, "QLinearConv") + count(fused, "QGemm"), 0);
            tsr_graph_free(fused);
            tsr_graph_free(g);
        }
}
END_TEST

/* Each quantised tensor from the fused graph against the unfused one that is given the fused one's inputs: the
 * difference is one step at most. */
START_TEST(within_one_step)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct tsr_graph *g = quantised(families[i], TSR_TARGET_ORT), *fused;
        struct tsr_tensor x, *y, *z;
        size_t n = 0, far = 0, all = 0;
        int32_t *want = calloc(g->n_node, sizeof *want);
        for (size_t k = 0; k < g->n_node; k++)
            if (strcmp(g->node[k].op_type, "QuantizeLinear") == 0) want[n++] = g->node[k].out[0];
        OK(tsr_graph_fuse(g, want, n, 0, &fused, &err));
        white_samples(g, 5, &x);
        y = calloc(n, sizeof *y), z = calloc(n, sizeof *z);
        run(g, &x, want, n, NULL, y);
        run(fused, &x, want, n, NULL, z);
        for (size_t k = 0; k < n; k++) {
            for (int64_t e = 0; e < tsr_tensor_count(&y[k]); e++, all++) {
                int d = ((uint8_t *)y[k].data)[e] - ((uint8_t *)z[k].data)[e];
                ck_assert_msg(abs(d) <= 2, "%s: '%s' differs by %d steps", families[i], g->value[want[k]].name, d);
                far += d != 0;
            }
            tsr_tensor_release(&y[k]), tsr_tensor_release(&z[k]);
        }
        ck_assert_msg(far * 100 <= all, "%s: %zu of %zu integers differ", families[i], far, all);
        free(y), free(z), free(want);
        tsr_tensor_release(&x);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
}
END_TEST

START_TEST(the_same_bytes_from_all_kernels_and_threads)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (strstr(families[i], "former") || strstr(families[i], "bert") || strstr(families[i], "cct") || strstr(families[i], "mlp"))
            continue; /* layers between are float, and those have kernels of their own */
        struct tsr_graph *g = quantised(families[i], TSR_TARGET_ORT), *fused;
        struct tsr_tensor x, first = {0}, y;
        OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
        white_samples(g, 5, &x);
        for (int k = 0; tsr_qgemm_kernel_name(k) != NULL; k++) {
            if (!tsr_qgemm_kernel_runs(k)) continue;
            OK(tsr_qgemm_use(tsr_qgemm_kernel_name(k), &err));
            for (int threads = 1; threads <= 3; threads += 2) {
                struct tsr_pool *pool;
                OK(tsr_pool_new(threads, &pool, &err));
                run(fused, &x, g->output, 1, pool, &y);
                tsr_pool_free(pool);
                if (first.data == NULL) first = tsr_tensor_share(&y);
                ck_assert_msg(memcmp(first.data, y.data, tsr_tensor_bytes(&y)) == 0, "%s: %s with %d threads", families[i],
                              tsr_qgemm_kernel_name(k), threads);
                tsr_tensor_release(&y);
            }
        }
        tsr_tensor_release(&first);
        tsr_tensor_release(&x);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
}
END_TEST

/* Images stay channels-last from the first convolution of a chain to the last. */
START_TEST(layout)
{
    struct tsr_graph *g = quantised(families[5], TSR_TARGET_ORT), *fused;
    int turned = 0, convolutions = 0;
    OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
    for (size_t i = 0; i < fused->n_node; i++) {
        const struct tsr_node *node = &fused->node[i];
        if (strcmp(node->op_type, "QLinearConv") != 0) continue;
        convolutions++;
        turned += tsr_node_int(node, "x_last", 0) != 1;
        ck_assert_int_eq(tsr_node_int(node, "y_last", 0), 1);
    }
    ck_assert_int_gt(convolutions, 5);
    ck_assert_int_eq(turned, 1);
    ck_assert_int_gt(count(fused, "QLinearAdd"), 0);
    ck_assert_int_eq(count(fused, "QLinearGlobalAveragePool"), 1);
    ck_assert_int_eq(count(fused, "Clip") + count(fused, "Relu"), 0);
    tsr_graph_free(fused);
    tsr_graph_free(g);
}
END_TEST

#define NODE(g, op, n_in, ...) OK(tsr_graph_add_node(g, op, "", NULL, n_in, (const char *[]){__VA_ARGS__}, 1, (const char *[]){__VA_ARGS__} + n_in, &err))

static void put(struct tsr_graph *g, const char *name, enum tsr_dtype type, double v)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, type, 0, NULL, &err));
    tsr_store_f64(type, t.data, 0, v);
    OK(tsr_graph_add_init(g, name, &t, &err));
}

/* x (uint8) over a chain of functions to y (int8), with x going elsewhere, too. */
START_TEST(table)
{
    for (int form = 0; form < 3; form++) {
        struct tsr_graph *g, *fused;
        const int64_t dim[] = {-1, 40};
        struct tsr_tensor x, y[2][2];
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 17, &err));
        OK(tsr_graph_add_input(g, "x", TSR_U8, 2, dim, NULL, &err));
        put(g, "s", TSR_F32, 0.03), put(g, "z", TSR_U8, 120), put(g, "s2", TSR_F32, 0.02), put(g, "z2", TSR_I8, -100);
        put(g, "two", TSR_F32, 1.4142135), put(g, "one", TSR_F32, 1), put(g, "half", TSR_F32, 0.5);
        NODE(g, "DequantizeLinear", 3, "x", "s", "z", "a");
        NODE(g, "Div", 2, "a", "two", "b"); /* Gelu spelt out */
        NODE(g, "Erf", 1, "b", "c");
        NODE(g, "Add", 2, "c", "one", "d");
        NODE(g, "Mul", 2, "a", "d", "e");
        NODE(g, "Mul", 2, "e", "half", "f");
        if (form == 1) NODE(g, "Sigmoid", 1, "d", "other"); /* something inside is read outside */
        if (form == 2) NODE(g, "Softmax", 1, "a", "other"); /* the beginning is */
        NODE(g, "QuantizeLinear", 3, "f", "s2", "z2", "y");
        OK(tsr_graph_add_output(g, "y", TSR_I8, 2, dim, NULL, &err));
        if (form > 0) OK(tsr_graph_add_output(g, "other", TSR_F32, 2, dim, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
        ck_assert_int_eq(count(fused, "QTable"), form != 1);
        OK(tsr_tensor_zeros(&x, TSR_U8, 2, (const int64_t[]){7, 40}, &err));
        for (int i = 0; i < 280; i++) ((uint8_t *)x.data)[i] = (uint8_t)i;
        run(g, &x, g->output, g->n_output, NULL, y[0]);
        run(fused, &x, g->output, g->n_output, NULL, y[1]);
        for (size_t i = 0; i < g->n_output; i++)
            ck_assert_int_eq(memcmp(y[0][i].data, y[1][i].data, tsr_tensor_bytes(&y[0][i])), 0);
        for (size_t i = 0; i < g->n_output; i++) tsr_tensor_release(&y[0][i]), tsr_tensor_release(&y[1][i]);
        tsr_tensor_release(&x);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
}
END_TEST

static double negative(double x) { return -x; }
static double inverse(double x) { return 1 / x; }
static double logistic(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double hard_swish(double x) { return x * fmin(fmax(x / 6 + 0.5, 0), 1); }
static double elu(double x) { return x < 0 ? expm1(x) : x; }

/* x (int8) over one function to y (uint8): what doubles say, whatever kernels of floats there are. */
START_TEST(tables_are_exact)
{
    static const struct {
        const char *op;
        double (*f)(double x);
    } functions[] = {{"Abs", fabs}, {"Erf", erf}, {"Exp", exp}, {"Log", log}, {"Neg", negative}, {"Reciprocal", inverse}, {"Sigmoid", logistic},
                     {"Softplus", softplus}, {"Sqrt", sqrt}, {"Tanh", tanh}, {"HardSwish", hard_swish}, {"Elu", elu}};
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        struct tsr_graph *g, *fused;
        const int64_t dim = 256;
        struct tsr_tensor x, y;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 17, &err));
        OK(tsr_graph_add_input(g, "x", TSR_I8, 1, &dim, NULL, &err));
        put(g, "s", TSR_F32, 0.021), put(g, "z", TSR_I8, -3), put(g, "s2", TSR_F32, 0.017), put(g, "z2", TSR_U8, 90);
        NODE(g, "DequantizeLinear", 3, "x", "s", "z", "a");
        NODE(g, functions[k].op, 1, "a", "b");
        NODE(g, "QuantizeLinear", 3, "b", "s2", "z2", "y");
        OK(tsr_graph_add_output(g, "y", TSR_U8, 1, &dim, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
        ck_assert_msg(count(fused, "QTable") == 1, "%s", functions[k].op);
        OK(tsr_tensor_zeros(&x, TSR_I8, 1, &dim, &err));
        for (int i = 0; i < 256; i++) ((int8_t *)x.data)[i] = (int8_t)(i - 128);
        run(fused, &x, g->output, 1, NULL, &y);
        for (int i = 0; i < 256; i++) {
            const float v = (float)functions[k].f((double)((float)(i - 128 + 3) * 0.021f)) / 0.017f;
            const float r = rintf(v > -90 ? v < 165 ? v : 165 : -90) + 90; /* NaN: the least */
            ck_assert_msg(((uint8_t *)y.data)[i] == (int)r, "%s of %d: %d, not %g", functions[k].op, i - 128, ((uint8_t *)y.data)[i], (double)r);
        }
        tsr_tensor_release(&x), tsr_tensor_release(&y);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
}
END_TEST

/* x W + b of integers, over Relu, to integers: one operator, the bias in whole steps, unless it is too large for that. */
START_TEST(products_with_bias)
{
    for (int form = 0; form < 4; form++) { /* 1: with Relu; 2: a huge bias; 3: many inputs */
        enum { WIDE = 1 << 15, N = 20 };
        const int64_t k = form == 3 ? WIDE : 48, shape[] = {k, N}, row = N, dim[] = {-1, 5, k}, whole[] = {3, 5, k};
        struct tsr_graph *g, *fused;
        struct tsr_tensor w, b, x, y[2];
        struct tsr_rng r;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 17, &err));
        OK(tsr_graph_add_input(g, "x", TSR_U8, 3, dim, NULL, &err));
        put(g, "s", TSR_F32, 0.03), put(g, "z", TSR_U8, 120), put(g, "sw", TSR_F32, 0.004), put(g, "zw", TSR_I8, 0);
        put(g, "s2", TSR_F32, 0.3), put(g, "z2", TSR_U8, 100);
        OK(tsr_tensor_zeros(&w, TSR_I8, 2, shape, &err));
        OK(tsr_tensor_zeros(&b, TSR_F32, 1, &row, &err));
        OK(tsr_tensor_zeros(&x, TSR_U8, 3, whole, &err));
        tsr_rng_init(&r, 3, 0);
        for (int64_t i = 0; i < k * N; i++) ((int8_t *)w.data)[i] = (int8_t)((int)tsr_rng_below(&r, 255) - 127);
        for (int64_t i = 0; i < N; i++) ((float *)b.data)[i] = tsr_rng_normal(&r) * (form == 2 ? 1e6f : 5);
        for (int64_t i = 0; i < 15 * k; i++) ((uint8_t *)x.data)[i] = (uint8_t)tsr_rng_below(&r, 256);
        OK(tsr_graph_add_init(g, "w", &w, &err));
        OK(tsr_graph_add_init(g, "b", &b, &err));
        NODE(g, "DequantizeLinear", 3, "x", "s", "z", "a");
        NODE(g, "DequantizeLinear", 3, "w", "sw", "zw", "v");
        NODE(g, "MatMul", 2, "a", "v", "c");
        NODE(g, "Add", 2, "b", "c", "d");
        if (form == 1) NODE(g, "Relu", 1, "d", "e");
        NODE(g, "QuantizeLinear", 3, form == 1 ? "e" : "d", "s2", "z2", "y");
        OK(tsr_graph_add_output(g, "y", TSR_U8, 3, (const int64_t[]){-1, 5, N}, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
        ck_assert_int_eq(count(fused, "QLinearMatMul"), form < 2);
        ck_assert_int_eq(count(fused, "MatMulIntegerToFloat"), form >= 2);
        ck_assert_int_eq(count(fused, "Relu") + count(fused, "Add"), 0);
        run(g, &x, g->output, 1, NULL, &y[0]);
        run(fused, &x, g->output, 1, NULL, &y[1]);
        for (int64_t i = 0; i < 15 * N; i++)
            ck_assert_int_le(abs(((uint8_t *)y[0].data)[i] - ((uint8_t *)y[1].data)[i]), 1);
        tsr_tensor_release(&y[0]), tsr_tensor_release(&y[1]), tsr_tensor_release(&x);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
}
END_TEST

static int count_of(const struct tsr_graph *g, const char *domain, const char *op_type)
{
    int n = 0;
    for (size_t i = 0; i < g->n_node; i++) n += tsr_node_is_of(&g->node[i], domain, op_type);
    return n;
}

/* Recurrent layers take integers where the kernels can: of four inputs or a multiple, from the target that is ours. */
START_TEST(recurrent)
{
    static const struct {
        const char *text;
        enum tsr_quant_target target;
        int integers;
    } cases[] = {{"bilstm width=12 depth=2 classes=4 input=8x20", TSR_TARGET_ORT, 2},
                 {"bilstm width=12 depth=2 classes=4 input=7x20", TSR_TARGET_ORT, 1},
                 {"bilstm width=12 depth=2 classes=4 input=8x20", TSR_TARGET_NCNN, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tsr_graph *g = quantised(cases[i].text, cases[i].target), *fused;
        struct tsr_tensor x, y[2];
        OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
        ck_assert_int_eq(count(g, "LSTM"), 2);
        ck_assert_int_eq(count_of(fused, "tessera", "LSTM"), cases[i].integers);
        ck_assert_int_eq(count_of(fused, "", "LSTM"), 2 - cases[i].integers);
        white_samples(g, 40, &x);
        run(g, &x, g->output, 1, NULL, &y[0]);
        run(fused, &x, g->output, 1, NULL, &y[1]);
        for (int64_t k = 0; k < tsr_tensor_count(&y[0]); k++)
            ck_assert_float_le(fabsf(((float *)y[0].data)[k] - ((float *)y[1].data)[k]), 0.01f);
        tsr_tensor_release(&x), tsr_tensor_release(&y[0]), tsr_tensor_release(&y[1]);
        tsr_graph_free(fused);
        OK(tsr_graph_fuse(g, NULL, 0, TSR_FUSE_TRAINING, &fused, &err)); /* gradients need floats */
        ck_assert_int_eq(count_of(fused, "tessera", "LSTM"), 0);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
}
END_TEST

/* Between the two products of a feed-forward block there are no floats. */
START_TEST(gelu_is_looked_up)
{
    for (size_t i = 6; i < 9; i++) {
        struct tsr_graph *g = quantised(families[i], TSR_TARGET_ORT), *fused;
        OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
        ck_assert_msg(count(g, "Gelu") + count(g, "Erf") > 0, "%s", families[i]);
        ck_assert_msg(count(fused, "Gelu") + count(fused, "Erf") == 0, "%s", families[i]);
        ck_assert_msg(count(fused, "QTable") == 2 + count(g, "Tanh") && count(fused, "QLinearMatMul") == 2, "%s", families[i]);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
}
END_TEST

START_TEST(short_of_memory)
{
    static const char *const networks[] = {"dscnn width=4 depth=1 classes=3 input=1x8x8", "transformer width=8 depth=1 classes=3 input=4x8",
                                           "bilstm width=4 depth=1 classes=3 input=4x8"};
    struct tsr_graph *g = quantised(networks[_i], TSR_TARGET_ORT), *fused;
    for (long n = 1;; n += 1 + n / 20) {
        tsr_mem_fail_after(n);
        enum tsr_status s = tsr_graph_fuse(g, NULL, 0, 0, &fused, &err);
        tsr_mem_fail_after(0);
        if (s == TSR_OK) break;
        ck_assert_msg(s == TSR_E_NOMEM, "%s: %s", tsr_status_name(s), err.message);
    }
    tsr_graph_free(fused);
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph/fuse_integer");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, products_are_integer);
    tcase_add_test(c, within_one_step);
    tcase_add_test(c, the_same_bytes_from_all_kernels_and_threads);
    tcase_add_test(c, layout);
    tcase_add_test(c, table);
    tcase_add_test(c, tables_are_exact);
    tcase_add_test(c, products_with_bias);
    tcase_add_test(c, gelu_is_looked_up);
    tcase_add_test(c, recurrent);
    tcase_add_loop_test(c, short_of_memory, 0, 3);
    suite_add_tcase(s, c);
    return run_suite(s);
}
