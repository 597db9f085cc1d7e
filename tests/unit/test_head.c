/* Where a network's logits are: what stands before a softmax, however it is wrapped. */
#include "base/mem.h"
#include "tessera.h"
#include "suite.h"

#include <string.h>

static struct tsr_error err;
#define OK(e) ck_assert_msg((e) == TSR_OK, "%s", err.message)

/* x [n,4] times w [4,3], and what `build` puts behind the product "xw"; its last value is "y". */
static struct tsr_graph *made(void (*build)(struct tsr_graph *g))
{
    struct tsr_graph *g;
    struct tsr_tensor w;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 4}, NULL, &err));
    OK(tsr_tensor_zeros(&w, TSR_F32, 2, (const int64_t[]){4, 3}, &err));
    for (int i = 0; i < 12; i++) ((float *)w.data)[i] = (float)(i * 5 % 7) / 4;
    OK(tsr_graph_add_init(g, "w", &w, &err));
    OK(tsr_graph_add_node(g, "MatMul", "", NULL, 2, (const char *[]){"x", "w"}, 1, (const char *[]){"xw"}, &err));
    build(g);
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    return g;
}

static void node(struct tsr_graph *g, const char *op, const char *in, const char *out)
{
    OK(tsr_graph_add_node(g, op, "", NULL, 1, &in, 1, &out, &err));
}

/* With the integers as second input, from an initialiser or a Constant. */
static void listed(struct tsr_graph *g, const char *op, const char *in, const char *out, int64_t a, int64_t b, bool constant)
{
    struct tsr_tensor t;
    const char *name = "list";
    OK(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){2}, &err));
    ((int64_t *)t.data)[0] = a;
    ((int64_t *)t.data)[1] = b;
    if (constant) {
        OK(tsr_graph_add_node(g, "Constant", "", NULL, 0, NULL, 1, &name, &err));
        OK(tsr_graph_attr_tensor(g, "value", &t, &err));
    } else {
        OK(tsr_graph_add_init(g, name, &t, &err));
    }
    OK(tsr_graph_add_node(g, op, "", NULL, 2, (const char *[]){in, name}, 1, &out, &err));
}

static void to_f32(struct tsr_graph *g, const char *in, const char *out)
{
    node(g, "Cast", in, out);
    OK(tsr_graph_attr_int(g, "to", 1, &err));
}

static void alone(struct tsr_graph *g) { node(g, "Identity", "xw", "y"); }
static void soft(struct tsr_graph *g) { node(g, "Softmax", "xw", "y"); }
static void log_soft(struct tsr_graph *g) { node(g, "LogSoftmax", "xw", "y"); }

static void behind_a_layer(struct tsr_graph *g)
{
    node(g, "Relu", "xw", "r");
    node(g, "Softmax", "r", "p");
    to_f32(g, "p", "q");
    node(g, "Identity", "q", "y");
}

static void flattened(struct tsr_graph *g)
{
    node(g, "Relu", "xw", "r");
    node(g, "Softmax", "r", "p");
    node(g, "Flatten", "p", "y");
}

static void reshaped(struct tsr_graph *g)
{
    node(g, "Relu", "xw", "r");
    node(g, "Softmax", "r", "p");
    listed(g, "Reshape", "p", "y", 0, -1, true);
}

static void mixed_up(struct tsr_graph *g) /* rows that are no longer a sample's */
{
    node(g, "Softmax", "xw", "p");
    listed(g, "Reshape", "p", "y", -1, 6, false);
}

static void squeezed(struct tsr_graph *g)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){2}, &err));
    ((int64_t *)t.data)[0] = 2;
    ((int64_t *)t.data)[1] = 3;
    OK(tsr_graph_add_init(g, "axes", &t, &err));
    OK(tsr_graph_add_node(g, "Unsqueeze", "", NULL, 2, (const char *[]){"xw", "axes"}, 1, (const char *[]){"r"}, &err));
    node(g, "Softmax", "r", "p");
    OK(tsr_graph_attr_int(g, "axis", 1, &err));
    OK(tsr_graph_add_node(g, "Squeeze", "", NULL, 2, (const char *[]){"p", "axes"}, 1, (const char *[]){"y"}, &err));
}

static void without_a_sample_axis(struct tsr_graph *g)
{
    node(g, "Softmax", "xw", "p");
    listed(g, "Squeeze", "p", "y", 0, 1, false);
}

static void told(struct tsr_graph *g) { node(g, "ArgMax", "xw", "y"); }

static void told_of_probabilities(struct tsr_graph *g)
{
    node(g, "Softmax", "xw", "p");
    node(g, "ArgMax", "p", "a");
    to_f32(g, "a", "y");
}

static const struct {
    void (*build)(struct tsr_graph *g);
    const char *logits, *softmax; /* NULL: the output is none */
    bool log, head;
} ends[] = {
    {told, "xw", NULL, false, true},
    {told_of_probabilities, "xw", "p", false, true},
    {alone, "y", NULL, false, true},
    {soft, "xw", "y", false, true},
    {log_soft, "xw", "y", true, true},
    {behind_a_layer, "r", "p", false, false},
    {flattened, "r", "p", false, false},
    {reshaped, "r", "p", false, false},
    {squeezed, "r", "p", false, false},
    {mixed_up, "y", NULL, false, false},
    {without_a_sample_axis, "y", NULL, false, false},
};

START_TEST(logits)
{
    struct tsr_graph *g = made(ends[_i].build);
    struct tsr_logits l = tsr_graph_logits(g);
    struct tsr_head head;
    ck_assert_str_eq(g->value[l.value].name, ends[_i].logits);
    ck_assert_int_eq(l.softmax >= 0, ends[_i].softmax != NULL);
    if (l.softmax >= 0) ck_assert_str_eq(g->value[l.softmax].name, ends[_i].softmax);
    ck_assert_int_eq(l.log, ends[_i].log);
    enum tsr_status status = tsr_graph_head(g, &head, NULL);
    ck_assert_int_eq(status, ends[_i].head ? TSR_OK : TSR_E_NOT_FOUND);
    if (status == TSR_OK) ck_assert_str_eq(g->value[head.logits].name, "xw");
    tsr_graph_free(g);
}
END_TEST

static void soft_and_cast(struct tsr_graph *g)
{
    node(g, "Softmax", "xw", "p");
    to_f32(g, "p", "y");
}

/* What a rewritten model is measured by: the logarithms of the probabilities, wrapped or not. */
START_TEST(measured_alike)
{
    static void (*const same[])(struct tsr_graph *g) = {soft, soft_and_cast, log_soft, told_of_probabilities};
    struct tsr_quant_samples s = {.rows = 5, .n_inputs = 1};
    struct tsr_quant_outputs first = {0}, z;
    OK(tsr_tensor_zeros(&s.x[0], TSR_F32, 2, (const int64_t[]){5, 4}, &err));
    for (int i = 0; i < 20; i++) ((float *)s.x[0].data)[i] = (float)(i * 3 % 11) / 5 - 1;
    for (size_t k = 0; k < sizeof same / sizeof *same; k++) {
        struct tsr_graph *g = made(same[k]);
        OK(tsr_quant_run(g, &s, 0, 5, NULL, &z, &err));
        if (k == 0) first = z;
        ck_assert(z.rows == 5 && z.columns == 3);
        for (int i = 0; i < 15; i++) ck_assert_float_eq_tol(z.z[i], first.z[i], 1e-5f);
        if (k > 0) tsr_free(z.z);
        tsr_graph_free(g);
    }
    tsr_free(first.z);
    tsr_tensor_release(&s.x[0]);
}
END_TEST

/* --to bf16 stores what it narrows behind casts; the head is still found. */
START_TEST(stored_narrow)
{
    static const enum tsr_grid grids[] = {TSR_GRID_F16, TSR_GRID_BF16};
    static const char *const ends_with[] = {"Gemm", "MatMul"};
    for (size_t k = 0; k < 4; k++) {
        struct tsr_quantise_options o = tsr_quantise_defaults(grids[k % 2]);
        struct tsr_quantise_report report;
        struct tsr_quantiser *q;
        struct tsr_graph *g, *made;
        struct tsr_tensor w, b;
        struct tsr_head head;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 17, &err));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 4}, NULL, &err));
        OK(tsr_tensor_zeros(&w, TSR_F32, 2, (const int64_t[]){4, 20}, &err));
        OK(tsr_tensor_zeros(&b, TSR_F32, 1, (const int64_t[]){20}, &err));
        OK(tsr_graph_add_init(g, "w", &w, &err));
        OK(tsr_graph_add_init(g, "b", &b, &err));
        bool gemm = strcmp(ends_with[k / 2], "Gemm") == 0;
        OK(tsr_graph_add_node(g, ends_with[k / 2], "", NULL, gemm ? 3 : 2, (const char *[]){"x", "w", "b"}, 1,
                              (const char *[]){gemm ? "y" : "xw"}, &err));
        if (!gemm)
            OK(tsr_graph_add_node(g, "Add", "", NULL, 2, (const char *[]){"b", "xw"}, 1, (const char *[]){"y"}, &err));
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_quantiser_new(g, &o, &q, &err));
        OK(tsr_quantiser_finish(q, &made, &report, &err));
        OK(tsr_graph_head(made, &head, &err));
        ck_assert(head.classes == 20 && head.d == 4 && head.bias >= 0 && !head.plain);
        tsr_quantiser_free(q);
        tsr_graph_free(made);
        tsr_graph_free(g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph/head");
    TCase *c = tcase_create("head");
    tcase_add_loop_test(c, logits, 0, (int)(sizeof ends / sizeof *ends));
    tcase_add_test(c, measured_alike);
    tcase_add_test(c, stored_narrow);
    suite_add_tcase(s, c);
    return run_suite(s);
}
