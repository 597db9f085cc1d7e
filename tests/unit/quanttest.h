/* quanttest.h - what the tests of quantised models share: networks of the zoo, inputs for them, a look at
 * their nodes and at what they compute. */
#ifndef TSR_TESTS_QUANTTEST_H
#define TSR_TESTS_QUANTTEST_H

#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct tsr_error err;
#define OK(e) ck_assert_msg((e) == TSR_OK, "%s", err.message)

static inline struct tsr_graph *zoo(const char *text)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse(text, &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    return g;
}

/* n samples for the model's first input: normal numbers, or small whole ones. */
static inline void white_samples(const struct tsr_graph *g, int64_t n, struct tsr_tensor *x)
{
    const struct tsr_value *v = &g->value[g->input[0]];
    struct tsr_shape s = v->shape;
    struct tsr_rng r;
    s.dim[0] = n;
    OK(tsr_tensor_zeros(x, v->dtype, s.rank, s.dim, &err));
    tsr_rng_init(&r, 5, 0);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++)
        tsr_store_f64(v->dtype, x->data, i, v->dtype == TSR_F32 ? (double)(float)tsr_rng_normal(&r) : (double)tsr_rng_below(&r, 10));
}

static inline int count(const struct tsr_graph *g, const char *op_type)
{
    int n = 0;
    for (size_t i = 0; i < g->n_node; i++) n += strcmp(g->node[i].op_type, op_type) == 0;
    return n;
}

/* The greatest difference between the first outputs of two networks on n samples. */
static inline double run_difference(const struct tsr_graph *a, const struct tsr_graph *b, int64_t n)
{
    struct tsr_tensor x, y[2], out;
    double worst = 0;
    white_samples(a, n, &x);
    for (int i = 0; i < 2; i++) {
        const struct tsr_graph *g = i ? b : a;
        struct tsr_session *s;
        OK(tsr_session_new(g, NULL, &s, &err));
        OK(tsr_session_call(s, &x, 1, g->output, 1, &out, &err));
        OK(tsr_tensor_copy(&y[i], &out, &err));
        tsr_tensor_release(&out);
        tsr_session_free(s);
    }
    ck_assert(tsr_shape_equal(&y[0].shape, &y[1].shape));
    for (int64_t i = 0; i < tsr_tensor_count(&y[0]); i++)
        worst = fmax(worst, fabs(tsr_load_f64(y[0].dtype, y[0].data, i) - tsr_load_f64(y[1].dtype, y[1].data, i)));
    tsr_tensor_release(&x);
    tsr_tensor_release(&y[0]);
    tsr_tensor_release(&y[1]);
    return worst;
}

/* z = 2 (sum(x) > 0 ? relu(x w) : x w - x), x [n, 4], in opset 11; the branches take x and w from around, and
 * insert and remove a dimension on the way. */
static inline struct tsr_graph *branching(void)
{
    static const char *const name[] = {"then_branch", "else_branch"};
    struct tsr_graph *g;
    struct tsr_tensor t;
    struct tsr_rng r;
    const int64_t one = 1;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 11, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 4}, NULL, &err));
    OK(tsr_tensor_zeros(&t, TSR_F32, 2, (const int64_t[]){4, 4}, &err));
    tsr_rng_init(&r, 3, 0);
    for (int i = 0; i < 16; i++) ((float *)t.data)[i] = (float)tsr_rng_normal(&r);
    OK(tsr_graph_add_init(g, "w", &t, &err));
    OK(tsr_tensor_zeros(&t, TSR_F32, 0, NULL, &err));
    OK(tsr_graph_add_init(g, "zero", &t, &err));
#define NODE(op, n_in, in, out) OK(tsr_graph_add_node(to, op, "", NULL, n_in, in, 1, (const char *const[]){out}, &err))
#define IN(...) (const char *const[]){__VA_ARGS__}
    struct tsr_graph *to = g;
    NODE("ReduceSum", 1, IN("x"), "sum");
    OK(tsr_graph_attr_int(g, "keepdims", 0, &err));
    NODE("Greater", 2, IN("sum", "zero"), "c");
    NODE("Identity", 1, IN("x"), "same");
    struct tsr_graph *body[2];
    for (int k = 0; k < 2; k++) {
        const char *a = k ? "a1" : "a0", *b = k ? "b1" : "b0", *m = k ? "m1" : "m0", *y = k ? "y1" : "y0";
        OK(tsr_graph_new(&body[k], &err));
        to = body[k];
        OK(tsr_graph_opset(to, "", 11, &err));
        NODE("Unsqueeze", 1, IN("same"), a);
        OK(tsr_graph_attr_ints(to, "axes", &one, 1, &err));
        NODE("MatMul", 2, IN(a, "w"), m);
        NODE("Squeeze", 1, IN(m), b);
        OK(tsr_graph_attr_ints(to, "axes", &one, 1, &err));
        if (k == 0) NODE("Relu", 1, IN(b), y);
        else NODE("Sub", 2, IN(b, "same"), y);
        OK(tsr_graph_add_output(to, y, TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_add_input(to, "same", TSR_NONE, -1, NULL, NULL, &err));
        OK(tsr_graph_add_input(to, "w", TSR_NONE, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(to, &err));
    }
    to = g;
    NODE("If", 1, IN("c"), "h");
    for (int k = 0; k < 2; k++) OK(tsr_graph_attr_graph(g, name[k], body[k], 2, &err));
    NODE("Add", 2, IN("h", "h"), "z");
#undef NODE
#undef IN
    OK(tsr_graph_add_output(g, "z", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    return g;
}

#endif
