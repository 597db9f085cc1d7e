/* test_session.c - whole networks of the zoo in double precision: gradients against central
 * differences, and runs that must not depend on what ran before. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const specs[] = {
    "mlp width=8 depth=2 input=2x5 classes=3 seed=1",
    "conv1d width=6 depth=1 input=3x9 classes=3 seed=2",
    "dscnn width=6 depth=1 input=1x9x8 classes=3 seed=3",
    "resnet width=4 depth=2 input=1x8x8 classes=3 seed=4",
    "lstm width=8 depth=2 input=3x6 classes=3 seed=5",
    "gru width=8 depth=1 input=3x6 classes=3 seed=6",
    "transformer width=8 depth=1 heads=2 input=1x4x6 classes=3 seed=7",
    "cct width=8 depth=1 heads=2 input=1x8x8 classes=3 seed=8",
    "transformer width=8 depth=1 vocab=11 length=5 classes=3 seed=9",
    "mlp width=6 depth=1 vocab=11 length=5 classes=3 seed=10",
};

static struct tsr_error err;

#define OK(x) ck_assert_msg((x) == TSR_OK, "%s", err.message)

/* The same network with every float in double. */
static struct tsr_graph *widened(const char *text)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse(text, &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    struct tsr_rng r;
    tsr_rng_init(&r, 5, 0);
    for (size_t v = 0; v < g->n_value; v++) {
        struct tsr_value *value = &g->value[v];
        if (value->dtype == TSR_F32) value->dtype = TSR_F64;
        if (!value->is_init || value->init.dtype != TSR_F32) continue;
        struct tsr_tensor wide;
        OK(tsr_tensor_cast(&wide, TSR_F64, &value->init, &err));
        tsr_tensor_release(&value->init);
        value->init = wide;
        /* Zero biases behind dead inputs would sit exactly on the kink of a Relu. */
        for (int64_t i = 0; value->trainable && i < tsr_tensor_count(&wide); i++)
            ((double *)wide.data)[i] += 0.1 * (double)tsr_rng_normal(&r);
    }
    return g;
}

static void make_input(const struct tsr_graph *g, int64_t n, struct tsr_tensor *x)
{
    const struct tsr_value *in = &g->value[g->input[0]];
    struct tsr_shape shape = in->shape;
    shape.dim[0] = n;
    OK(tsr_tensor_zeros(x, in->dtype, shape.rank, shape.dim, &err));
    struct tsr_rng r;
    tsr_rng_init(&r, 99, 0);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++)
        tsr_store_f64(x->dtype, x->data, i, x->dtype == TSR_I64 ? (double)tsr_rng_below(&r, 11) : (double)tsr_rng_normal(&r));
}

/* A fixed weighting of the outputs makes a loss whose gradient is the weighting. */
static double loss_of(struct tsr_session *s, int32_t out, const struct tsr_tensor *w)
{
    OK(tsr_session_run(s, &out, 1, &err));
    const struct tsr_tensor *z = tsr_session_value(s, out);
    double sum = 0;
    for (int64_t i = 0; i < tsr_tensor_count(z); i++) sum += ((double *)z->data)[i] * ((double *)w->data)[i];
    return sum;
}

START_TEST(gradients_of_whole_networks)
{
    struct tsr_graph *g = widened(specs[_i]);
    struct tsr_session_options opt = {.training = true};
    struct tsr_session *s;
    struct tsr_tensor x, w;
    OK(tsr_session_new(g, &opt, &s, &err));
    make_input(g, 4, &x);
    OK(tsr_session_set_input(s, g->input[0], &x, &err));
    int32_t out = g->output[0], of[256];
    OK(tsr_tensor_zeros(&w, TSR_F64, 2, (int64_t[]){4, 3}, &err));
    for (int i = 0; i < 12; i++) ((double *)w.data)[i] = 0.3 + 0.1 * i - 0.02 * i * i;
    size_t n_of = 0;
    for (size_t v = 0; v < g->n_value; v++)
        if (g->value[v].trainable) of[n_of++] = (int32_t)v;
    (void)loss_of(s, out, &w);
    const struct tsr_tensor *seed = &w;
    OK(tsr_session_backward(s, &out, &seed, 1, of, n_of, &err));
    double *grad[256];
    for (size_t k = 0; k < n_of; k++) {
        const struct tsr_tensor *d = tsr_session_grad(s, of[k]);
        ck_assert_msg(d != NULL, "%s has no gradient", g->value[of[k]].name);
        grad[k] = tsr_memdup(d->data, tsr_tensor_bytes(d));
    }
    for (size_t k = 0; k < n_of; k++) {
        struct tsr_tensor *p = &g->value[of[k]].init;
        double *v = p->data;
        int64_t n = tsr_tensor_count(p);
        for (int64_t i = 0; i < n; i += 1 + n / 5) {
            const double h = 1e-6, keep = v[i];
            v[i] = keep + h;
            double more = loss_of(s, out, &w);
            v[i] = keep - h;
            double numeric = (more - loss_of(s, out, &w)) / (2 * h);
            v[i] = keep;
            double error = fabs(numeric - grad[k][i]) / fmax(1, fabs(numeric));
            ck_assert_msg(error <= 1e-6, "%s: %s[%lld]: %.9g, differences give %.9g", specs[_i],
                          g->value[of[k]].name, (long long)i, grad[k][i], numeric);
        }
        tsr_free(grad[k]);
    }
    tsr_session_free(s);
    tsr_tensor_release(&x);
    tsr_tensor_release(&w);
    tsr_graph_free(g);
}
END_TEST

/* Training keeps every activation, inference recycles and works in place: same numbers. */
START_TEST(recycling_changes_nothing)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse(specs[_i], &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    struct tsr_session_options keep = {.training = true};
    struct tsr_session *a, *b;
    struct tsr_tensor x, y;
    OK(tsr_session_new(g, &keep, &a, &err));
    OK(tsr_session_new(g, NULL, &b, &err));
    int32_t out = g->output[0], features = tsr_graph_find(g, "features");
    for (int64_t n = 1; n <= 5; n += 2) {
        make_input(g, n, &x);
        OK(tsr_session_set_input(a, g->input[0], &x, &err));
        OK(tsr_session_run(a, &out, 1, &err));
        OK(tsr_session_call(b, &x, 1, &out, 1, &y, &err));
        const struct tsr_tensor *z = tsr_session_value(a, out);
        ck_assert(tsr_shape_equal(&z->shape, &y.shape));
        ck_assert_mem_eq(z->data, y.data, tsr_tensor_bytes(&y));
        int32_t both[2] = {features, out};
        struct tsr_tensor two[2];
        OK(tsr_session_call(b, &x, 1, both, 2, two, &err));
        ck_assert_mem_eq(two[1].data, y.data, tsr_tensor_bytes(&y));
        tsr_tensor_release(&two[0]);
        tsr_tensor_release(&two[1]);
        tsr_tensor_release(&y);
        tsr_tensor_release(&x);
    }
    tsr_session_free(a);
    tsr_session_free(b);
    tsr_graph_free(g);
}
END_TEST

/* A chain of many nodes, half of them over constants: nothing grows faster than their number. */
START_TEST(long_graphs)
{
    enum { N = 200000 };
    struct tsr_graph *g, *h;
    struct tsr_session *s;
    struct tsr_tensor x, c;
    char from[32], to[32];
    const int64_t one = 1;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 1, &one, NULL, &err));
    OK(tsr_tensor_zeros(&c, TSR_F32, 1, &one, &err));
    OK(tsr_graph_add_init(g, "c", &c, &err));
    for (int chain = 0; chain < 2; chain++)
        for (int i = 0; i < N; i++) {
            (void)snprintf(from, sizeof from, "v%d.%d", chain, i);
            (void)snprintf(to, sizeof to, "v%d.%d", chain, i + 1);
            const char *in = i > 0 ? from : chain ? "c" : "x", *out = to;
            OK(tsr_graph_add_node(g, i % 2 ? "Neg" : "Relu", "", NULL, 1, &in, 1, &out, &err));
        }
    (void)snprintf(from, sizeof from, "v0.%d", N);
    const char *ends[2] = {from, to}, *y = "y";
    OK(tsr_graph_add_node(g, "Add", "", NULL, 2, ends, 1, &y, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    OK(tsr_graph_fuse(g, NULL, 0, 0, &h, &err));
    ck_assert_uint_eq(h->n_node, N + 1);
    OK(tsr_session_new(h, NULL, &s, &err));
    OK(tsr_tensor_zeros(&x, TSR_F32, 1, &one, &err));
    OK(tsr_session_set_input(s, h->input[0], &x, &err));
    OK(tsr_session_run(s, h->output, 1, &err));
    ck_assert(((const float *)tsr_session_value(s, h->output[0])->data)[0] == 0);
    tsr_tensor_release(&x);
    tsr_session_free(s);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

START_TEST(inputs_are_checked)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse(specs[0], &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    struct tsr_session *s;
    OK(tsr_session_new(g, NULL, &s, &err));
    int32_t out = g->output[0];
    ck_assert_int_eq(tsr_session_run(s, &out, 1, &err), TSR_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.message, "'input'"));
    struct tsr_tensor x;
    OK(tsr_tensor_zeros(&x, TSR_F32, 3, (int64_t[]){4, 2, 6}, &err));
    ck_assert_int_eq(tsr_session_set_input(s, g->input[0], &x, &err), TSR_E_MISMATCH);
    ck_assert_ptr_nonnull(strstr(err.message, "[4,2,6]"));
    tsr_tensor_release(&x);
    OK(tsr_tensor_zeros(&x, TSR_I64, 3, (int64_t[]){4, 2, 5}, &err));
    ck_assert_int_eq(tsr_session_set_input(s, g->input[0], &x, &err), TSR_E_MISMATCH);
    tsr_tensor_release(&x);
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

/* x [N,N,K] and w [K]: y = x + w. */
static struct tsr_graph *square(void)
{
    struct tsr_graph *g;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 13, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 3, (int64_t[]){-1, -1, -1}, (const char *[]){"N", "N", "K"}, &err));
    OK(tsr_graph_add_input(g, "w", TSR_F32, 1, (int64_t[]){-1}, (const char *[]){"K"}, &err));
    OK(tsr_graph_add_node(g, "Add", "", "sum", 2, (const char *[]){"x", "w"}, 1, (const char *[]){"y"}, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    return g;
}

static enum tsr_status give(struct tsr_session *s, int32_t id, int rank, const int64_t *dim)
{
    struct tsr_tensor x;
    OK(tsr_tensor_zeros(&x, TSR_F32, rank, dim, &err));
    enum tsr_status status = tsr_session_set_input(s, id, &x, &err);
    tsr_tensor_release(&x);
    return status;
}

START_TEST(symbols_have_one_size)
{
    struct tsr_graph *g = square();
    struct tsr_session *s;
    OK(tsr_session_new(g, NULL, &s, &err));
    ck_assert_int_eq(give(s, g->input[0], 3, (int64_t[]){2, 3, 4}), TSR_E_MISMATCH);
    ck_assert_str_eq(err.message, "input 'x' has both 2 and 3 for the dimension 'N'");
    OK(give(s, g->input[0], 3, (int64_t[]){2, 2, 4}));
    OK(give(s, g->input[1], 1, (int64_t[]){3}));
    ck_assert_int_eq(tsr_session_run(s, g->output, 1, &err), TSR_E_MISMATCH);
    ck_assert_str_eq(err.message, "input 'w' has 3 for the dimension 'K', but input 'x' has 4");
    OK(give(s, g->input[1], 1, (int64_t[]){4}));
    OK(tsr_session_run(s, g->output, 1, &err));
    /* the next run has another size: nothing is compared with an input that is about to change */
    OK(give(s, g->input[0], 3, (int64_t[]){2, 2, 3}));
    OK(give(s, g->input[1], 1, (int64_t[]){3}));
    OK(tsr_session_run(s, g->output, 1, &err));
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

START_TEST(errors_name_what_was_given)
{
    struct tsr_graph *g;
    struct tsr_session *s;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 13, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_add_input(g, "w", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_add_node(g, "MatMul", "", "product", 2, (const char *[]){"x", "w"}, 1, (const char *[]){"y"}, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(give(s, g->input[0], 2, (int64_t[]){2, 3}));
    OK(give(s, g->input[1], 2, (int64_t[]){4, 5}));
    ck_assert_int_eq(tsr_session_run(s, g->output, 1, &err), TSR_E_MISMATCH);
    ck_assert_str_eq(err.message,
                     "node 'product' (MatMul): [2,3] and [4,5] do not fit together (given 'x' float32[2,3], 'w' float32[4,5])");
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    int n = (int)(sizeof specs / sizeof *specs);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, gradients_of_whole_networks, 0, n);
    tcase_add_loop_test(t, recycling_changes_nothing, 0, n);
    tcase_add_test(t, long_graphs);
    tcase_add_test(t, inputs_are_checked);
    tcase_add_test(t, symbols_have_one_size);
    tcase_add_test(t, errors_name_what_was_given);
    suite_add_tcase(s, t);
    return run_suite(s);
}
