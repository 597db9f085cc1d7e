/* The fusion passes: what they make of the patterns, and that outputs, kept activations and
 * gradients stay what they were. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(expression)                                                                                                 \
    do {                                                                                                               \
        struct tsr_error err = {0};                                                                                    \
        enum tsr_status status = (expression);                                                                         \
        ck_assert_msg(status == TSR_OK, "%s", err.message);                                                            \
    } while (0)

/* ---- small graphs by hand ------------------------------------------------------------------- */

struct net {
    struct tsr_graph *g;
    uint64_t seed;
};

static struct net net_new(int opset)
{
    struct net n = {0};
    OK(tsr_graph_new(&n.g, &err));
    OK(tsr_graph_opset(n.g, "", opset, &err));
    return n;
}

static void input(struct net *n, const char *name, int rank, const int64_t *dim)
{
    OK(tsr_graph_add_input(n->g, name, TSR_F32, rank, dim, NULL, &err));
}

/* op(in ...) -> out; the list of inputs ends with NULL. */
static void node(struct net *n, const char *op, const char *out, ...)
{
    const char *in[8];
    int k = 0;
    va_list ap;
    va_start(ap, out);
    for (const char *s; k < 8 && (s = va_arg(ap, const char *)) != NULL;) in[k++] = s;
    va_end(ap);
    OK(tsr_graph_add_node(n->g, op, "", out, k, in, 1, &out, &err));
}

static void ints(struct net *n, const char *name, size_t k, const int64_t *v) { OK(tsr_graph_attr_ints(n->g, name, v, k, &err)); }

static void random_init(struct net *n, const char *name, int rank, const int64_t *dim)
{
    struct tsr_tensor t;
    struct tsr_rng r;
    tsr_rng_init(&r, 7, ++n->seed);
    OK(tsr_tensor_zeros(&t, TSR_F32, rank, dim, &err));
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) ((float *)t.data)[i] = tsr_rng_float(&r) + 0.25f;
    OK(tsr_graph_add_init(n->g, name, &t, &err));
}

/* A single number, as initialiser (even seeds) or Constant node (odd ones). */
static void scalar(struct net *n, const char *name, double v)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, TSR_F32, 0, NULL, &err));
    ((float *)t.data)[0] = (float)v;
    if (n->seed++ % 2 == 0) {
        OK(tsr_graph_add_init(n->g, name, &t, &err));
        return;
    }
    node(n, "Constant", name, NULL);
    OK(tsr_graph_attr_tensor(n->g, "value", &t, &err));
}

static void list(struct net *n, const char *name, int64_t k, const int64_t *v, bool single)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, TSR_I64, single ? 0 : 1, &k, &err));
    memcpy(t.data, v, (size_t)k * sizeof *v);
    OK(tsr_graph_add_init(n->g, name, &t, &err));
}

static void finish(struct net *n, const char *out)
{
    OK(tsr_graph_add_output(n->g, out, TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(n->g, &err));
}

/* ---- before and after ----------------------------------------------------------------------- */

static int count(const struct tsr_graph *g, const char *op_type, const char *domain)
{
    int n = 0;
    for (size_t i = 0; i < g->n_node; i++)
        n += strcmp(g->node[i].op_type, op_type) == 0 && strcmp(g->node[i].domain, domain) == 0;
    return n;
}

static struct tsr_tensor random_input(const struct tsr_value *v, uint64_t seed)
{
    struct tsr_tensor t;
    struct tsr_rng r;
    int64_t dim[TSR_MAX_RANK];
    tsr_rng_init(&r, seed, 99);
    for (int i = 0; i < v->shape.rank; i++) dim[i] = v->shape.dim[i] < 0 ? 3 : v->shape.dim[i];
    OK(tsr_tensor_zeros(&t, v->dtype, v->shape.rank, dim, &err));
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) {
        if (v->dtype == TSR_F32) ((float *)t.data)[i] = tsr_rng_float(&r) * 2 - 1;
        else tsr_store_i64(v->dtype, t.data, i, (int64_t)tsr_rng_below(&r, 8));
    }
    return t;
}

static void same(const struct tsr_tensor *a, const struct tsr_tensor *b, const char *what, const char *name, double tol)
{
    ck_assert_msg((a == NULL) == (b == NULL), "%s of '%s' is there only once", what, name);
    if (!a) return;
    ck_assert(tsr_shape_equal(&a->shape, &b->shape) && a->dtype == b->dtype);
    double top = 1;
    for (int64_t i = 0; i < tsr_tensor_count(a); i++) top = fmax(top, fabs(tsr_load_f64(a->dtype, a->data, i)));
    for (int64_t i = 0; i < tsr_tensor_count(a); i++) {
        double x = tsr_load_f64(a->dtype, a->data, i), y = tsr_load_f64(b->dtype, b->data, i);
        ck_assert_msg(fabs(x - y) <= tol * top, "%s of '%s' [%lld]: %.9g before, %.9g after", what, name, (long long)i, x, y);
    }
}

static struct tsr_session *start(const struct tsr_graph *g, bool training, const int32_t *want, size_t n)
{
    struct tsr_session *s;
    const struct tsr_session_options opt = {.training = training};
    OK(tsr_session_new(g, &opt, &s, &err));
    for (size_t i = 0; i < g->n_input; i++) {
        struct tsr_tensor t = random_input(&g->value[g->input[i]], i);
        OK(tsr_session_set_input(s, g->input[i], &t, &err));
        tsr_tensor_release(&t);
    }
    OK(tsr_session_run(s, want, n, &err));
    return s;
}

static void backward(struct tsr_session *s, const int32_t *want, size_t n, const int32_t *of, size_t n_of)
{
    struct tsr_tensor seed[8];
    const struct tsr_tensor *at[8];
    for (size_t i = 0; i < n; i++) {
        OK(tsr_tensor_copy(&seed[i], tsr_session_value(s, want[i]), &err));
        for (int64_t k = 0; k < tsr_tensor_count(&seed[i]); k++)
            ((float *)seed[i].data)[k] = (float)((k * 37 + (int64_t)i * 11) % 19 - 9) / 9;
        at[i] = &seed[i];
    }
    OK(tsr_session_backward(s, want, at, n, of, n_of, &err));
    for (size_t i = 0; i < n; i++) tsr_tensor_release(&seed[i]);
}

/* Fuses g, compares, and returns the fused graph. `kept` (NULL: none) is also compared. */
static struct tsr_graph *fused(const struct tsr_graph *g, bool training, const char *kept)
{
    struct tsr_graph *h;
    int32_t want[2] = {g->output[0], -1}, of[512];
    size_t n = 1, n_of = 0;
    if (kept) want[n++] = tsr_graph_find(g, kept);
    if (kept) ck_assert(want[1] >= 0);
    OK(tsr_graph_fuse(g, want + 1, n - 1, training ? TSR_FUSE_TRAINING : 0, &h, &err));
    for (size_t v = 0; v < g->n_value && n_of < 512; v++) {
        ck_assert_int_eq(g->value[v].trainable, h->value[v].trainable);
        if (g->value[v].trainable || (g->value[v].is_input && g->value[v].dtype == TSR_F32)) of[n_of++] = (int32_t)v;
    }
    struct tsr_session *a = start(g, training, want, n), *b = start(h, training, want, n);
    for (size_t i = 0; i < n; i++)
        same(tsr_session_value(a, want[i]), tsr_session_value(b, want[i]), "value", g->value[want[i]].name, 1e-5);
    if (training) {
        backward(a, want, n, of, n_of);
        backward(b, want, n, of, n_of);
        for (size_t i = 0; i < n_of; i++)
            same(tsr_session_grad(a, of[i]), tsr_session_grad(b, of[i]), "gradient", g->value[of[i]].name, 1e-5);
    }
    tsr_session_free(a);
    tsr_session_free(b);
    return h;
}

/* Fuses in training mode and expects `n` nodes of that operator and `rest` nodes in all. */
static void expect(struct net *net, const char *op, const char *domain, int n, size_t rest)
{
    struct tsr_graph *h = fused(net->g, true, NULL);
    ck_assert_msg(count(h, op, domain) == n, "%d nodes %s instead of %d", count(h, op, domain), op, n);
    ck_assert_msg(h->n_node == rest, "%zu nodes are left instead of %zu", h->n_node, rest);
    tsr_graph_free(h);
    tsr_graph_free(net->g);
}

/* ---- patterns ------------------------------------------------------------------------------- */

START_TEST(layernorm)
{
    for (int form = 0; form < 4; form++) {
        struct net n = net_new(form & 1 ? 13 : 17);
        n.seed = (uint64_t)form;
        input(&n, "x", 3, (const int64_t[]){-1, 4, 6});
        random_init(&n, "gamma", 1, (const int64_t[]){6});
        random_init(&n, "beta", 1, (const int64_t[]){6});
        node(&n, "ReduceMean", "mean", "x", NULL);
        ints(&n, "axes", 1, (const int64_t[]){-1});
        node(&n, "Sub", "d", "x", "mean", NULL);
        if (form < 2) {
            scalar(&n, "two", 2);
            node(&n, "Pow", "sq", "d", "two", NULL);
        } else {
            node(&n, "Mul", "sq", "d", "d", NULL);
        }
        node(&n, "ReduceMean", "var", "sq", NULL);
        ints(&n, "axes", 1, (const int64_t[]){form == 2 ? 2 : -1});
        scalar(&n, "eps", 1e-5);
        node(&n, "Add", "shifted", form & 1 ? "eps" : "var", form & 1 ? "var" : "eps", NULL);
        node(&n, "Sqrt", "dev", "shifted", NULL);
        node(&n, "Div", "normed", "d", "dev", NULL);
        node(&n, "Mul", "scaled", "normed", "gamma", NULL);
        node(&n, "Add", "y", form & 1 ? "beta" : "scaled", form & 1 ? "scaled" : "beta", NULL);
        finish(&n, "y");
        expect(&n, "LayerNormalization", "", 1, 1);
    }
}
END_TEST

START_TEST(gelu)
{
    for (int form = 0; form < 5; form++) {
        struct net n = net_new(13);
        n.seed = (uint64_t)form;
        input(&n, "x", 2, (const int64_t[]){-1, 40});
        scalar(&n, "half", 0.5), scalar(&n, "one", 1), scalar(&n, "root2", sqrt(2.0)), scalar(&n, "iroot2", sqrt(0.5));
        scalar(&n, "three", 3), scalar(&n, "c", 0.044715), scalar(&n, "k", 0.7978845608028654), scalar(&n, "two", 2);
        if (form < 3) {
            if (form == 1) node(&n, "Mul", "z", "iroot2", "x", NULL);
            else node(&n, "Div", "z", "x", "root2", NULL);
            node(&n, "Erf", "e", "z", NULL);
        } else {
            if (form == 3) node(&n, "Pow", "cube", "x", "three", NULL);
            else node(&n, "Mul", "square", "x", "x", NULL), node(&n, "Mul", "cube", "square", "x", NULL);
            node(&n, "Mul", "cc", "c", "cube", NULL);
            node(&n, "Add", "arg", "x", "cc", NULL);
            node(&n, "Mul", "z", "arg", "k", NULL);
            node(&n, "Tanh", "e", "z", NULL);
        }
        node(&n, "Add", "a", "e", "one", NULL);
        if (form % 3 == 0) node(&n, "Mul", "m", "x", "a", NULL), node(&n, "Mul", "y", "m", "half", NULL);
        if (form % 3 == 1) node(&n, "Mul", "m", "x", "half", NULL), node(&n, "Mul", "y", "m", "a", NULL);
        if (form % 3 == 2) node(&n, "Div", "m", "a", "two", NULL), node(&n, "Mul", "y", "x", "m", NULL);
        finish(&n, "y");
        expect(&n, "Gelu", "", 1, 1);
    }
}
END_TEST

enum { T = 5, H = 2, D = 3 };

static void projected(struct net *n, const char *name, const char *from, const char *raw)
{
    char w[32];
    (void)snprintf(w, sizeof w, "w%s", name);
    random_init(n, w, 2, (const int64_t[]){H * D, H * D});
    node(n, "MatMul", raw, from, w, NULL);
}

/* Separate projections; scales and masks in several places. */
START_TEST(attention)
{
    for (int form = 0; form < 6; form++) {
        struct net n = net_new(13);
        n.seed = (uint64_t)form;
        input(&n, "x", 3, (const int64_t[]){-1, T, H * D});
        list(&n, "split", 4, (const int64_t[]){0, T, H, D}, false);
        list(&n, "join", 3, (const int64_t[]){0, T, H * D}, false);
        scalar(&n, "s", 0.577), scalar(&n, "r", 1.732);
        random_init(&n, "mask", 4, (const int64_t[]){1, H, T, T});
        projected(&n, "q", "x", "q0"), projected(&n, "k", "x", "k0"), projected(&n, "v", "x", "v0");
        node(&n, "Reshape", "q1", "q0", "split", NULL);
        node(&n, "Reshape", "k1", "k0", "split", NULL);
        node(&n, "Reshape", "v1", "v0", "split", NULL);
        node(&n, "Transpose", "q2", "q1", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 2, 1, 3});
        node(&n, "Transpose", "v2", "v1", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 2, 1, 3});
        if (form < 3) {
            node(&n, "Transpose", "k3", "k1", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 2, 3, 1});
        } else {
            node(&n, "Transpose", "k2", "k1", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 2, 1, 3});
            node(&n, "Transpose", "k3", "k2", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 1, 3, 2});
        }
        const char *q = "q2", *k = "k3", *p = "p0";
        if (form == 1) node(&n, "Mul", "q3", "q2", "s", NULL), q = "q3";
        if (form == 4) node(&n, "Mul", "q3", "s", "q2", NULL), node(&n, "Div", "k4", "k3", "r", NULL), q = "q3", k = "k4";
        node(&n, "MatMul", "p0", q, k, NULL);
        if (form == 0 || form == 3) node(&n, "Div", "p1", "p0", "r", NULL), p = "p1";
        if (form == 2 || form == 3) node(&n, "Add", "p2", p, "mask", NULL), p = "p2";
        node(&n, "Softmax", "p", p, NULL);
        OK(tsr_graph_attr_int(n.g, "axis", form & 1 ? 3 : -1, &err));
        node(&n, "MatMul", "o", "p", "v2", NULL);
        node(&n, "Transpose", "o1", "o", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 2, 1, 3});
        node(&n, "Reshape", "o2", "o1", "join", NULL);
        finish(&n, "o2");
        expect(&n, "Attention", "tessera", 1, 3 + 3 + 1 + 1);
    }
}
END_TEST

/* One projection for all three, cut by Split + Squeeze or by Gather. */
START_TEST(packed_attention)
{
    for (int form = 0; form < 2; form++) {
        struct net n = net_new(13);
        const int64_t part[3] = {0, 1, 2};
        input(&n, "x", 3, (const int64_t[]){-1, T, 3 * H * D});
        list(&n, "split", 5, (const int64_t[]){0, T, 3, H, D}, false);
        list(&n, "zero", 1, part, false);
        list(&n, "i0", 1, &part[0], true), list(&n, "i1", 1, &part[1], true), list(&n, "i2", 1, &part[2], true);
        node(&n, "Reshape", "x1", "x", "split", NULL);
        node(&n, "Transpose", "x2", "x1", NULL), ints(&n, "perm", 5, (const int64_t[]){2, 0, 3, 1, 4});
        if (form == 0) {
            const char *in = "x2", *out[3] = {"q0", "k0", "v0"};
            OK(tsr_graph_add_node(n.g, "Split", "", "cut", 1, &in, 3, out, &err));
            OK(tsr_graph_attr_int(n.g, "axis", 0, &err));
            node(&n, "Squeeze", "q", "q0", "zero", NULL);
            node(&n, "Squeeze", "k", "k0", "zero", NULL);
            node(&n, "Squeeze", "v", "v0", "zero", NULL);
        } else {
            node(&n, "Gather", "q", "x2", "i2", NULL);
            node(&n, "Gather", "k", "x2", "i0", NULL);
            node(&n, "Gather", "v", "x2", "i1", NULL);
        }
        node(&n, "Transpose", "kt", "k", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 1, 3, 2});
        node(&n, "MatMul", "p0", "q", "kt", NULL);
        node(&n, "Softmax", "p", "p0", NULL);
        node(&n, "MatMul", "o", "p", "v", NULL);
        finish(&n, "o");
        expect(&n, "Attention", "tessera", 1, 2);
    }
}
END_TEST

/* What the caller wants to see is not swallowed. */
START_TEST(kept_values_stay)
{
    struct net n = net_new(13);
    input(&n, "x", 4, (const int64_t[]){-1, H, T, D});
    node(&n, "Transpose", "xt", "x", NULL), ints(&n, "perm", 4, (const int64_t[]){0, 1, 3, 2});
    node(&n, "MatMul", "scores", "x", "xt", NULL);
    node(&n, "Softmax", "weights", "scores", NULL);
    node(&n, "MatMul", "y", "weights", "x", NULL);
    finish(&n, "y");
    struct tsr_graph *h = fused(n.g, true, "weights");
    ck_assert_int_eq(count(h, "Attention", "tessera"), 0);
    tsr_graph_free(h);
    expect(&n, "Attention", "tessera", 1, 1);
}
END_TEST

START_TEST(linear_and_relu)
{
    struct net n = net_new(13);
    input(&n, "x", 3, (const int64_t[]){-1, 4, 6});
    random_init(&n, "w", 2, (const int64_t[]){6, 5});
    random_init(&n, "b", 1, (const int64_t[]){5});
    random_init(&n, "w2", 2, (const int64_t[]){7, 5});
    random_init(&n, "b2", 1, (const int64_t[]){7});
    node(&n, "MatMul", "h", "x", "w", NULL);
    node(&n, "Add", "h1", "b", "h", NULL);
    node(&n, "Relu", "h2", "h1", NULL);
    list(&n, "flat", 2, (const int64_t[]){-1, 5}, false);
    node(&n, "Reshape", "h3", "h2", "flat", NULL);
    node(&n, "Gemm", "h4", "h3", "w2", "b2", NULL);
    OK(tsr_graph_attr_int(n.g, "transB", 1, &err));
    node(&n, "Relu", "y", "h4", NULL);
    finish(&n, "y");
    struct tsr_graph *h = fused(n.g, true, "h1");
    ck_assert_int_eq(count(h, "Relu", ""), 1);
    tsr_graph_free(h);
    expect(&n, "Linear", "tessera", 2, 3);
}
END_TEST

START_TEST(batchnorm)
{
    for (int bias = 0; bias < 2; bias++) {
        struct net n = net_new(13);
        input(&n, "x", 4, (const int64_t[]){-1, 2, 6, 5});
        random_init(&n, "w", 4, (const int64_t[]){3, 2, 3, 3});
        static const char *const names[] = {"b", "gamma", "beta", "mean", "var"};
        for (int i = 0; i < 5; i++) random_init(&n, names[i], 1, (const int64_t[]){3});
        node(&n, "Conv", "c", "x", "w", bias ? "b" : NULL, NULL);
        ints(&n, "pads", 4, (const int64_t[]){1, 1, 1, 1});
        node(&n, "BatchNormalization", "y", "c", "gamma", "beta", "mean", "var", NULL);
        finish(&n, "y");
        struct tsr_graph *h = fused(n.g, false, NULL);
        ck_assert_uint_eq(h->n_node, 2); /* the output is channels first */
        ck_assert_int_eq(count(h, "Conv", "tessera") + count(h, "Transpose", ""), 2);
        tsr_graph_free(h);
        h = fused(n.g, true, NULL);
        ck_assert_uint_eq(h->n_node, 2);
        tsr_graph_free(h);
        tsr_graph_free(n.g);
    }
}
END_TEST

/* Convolution, batch normalisation and activation stay three in training, but become two nodes. */
START_TEST(batchnorm_activation)
{
    for (int form = 0; form < 4; form++) {
        struct net n = net_new(20);
        static const char *const names[] = {"gamma", "beta", "mean", "var"};
        bool plane = form & 1;
        input(&n, "x", plane ? 3 : 2, (const int64_t[]){-1, 70, 300});
        for (int i = 0; i < 4; i++) random_init(&n, names[i], 1, (const int64_t[]){70});
        node(&n, "BatchNormalization", "c", "x", "gamma", "beta", "mean", "var", NULL);
        OK(tsr_graph_attr_float(n.g, "epsilon", 0.125f, &err));
        node(&n, form & 2 ? "Gelu" : "Relu", "y", "c", NULL);
        finish(&n, "y");
        struct tsr_graph *h = fused(n.g, false, "c");
        ck_assert_uint_eq(h->n_node, 2);
        tsr_graph_free(h);
        expect(&n, "BatchNormalization", "tessera", 1, 1);
    }
}
END_TEST

/* A convolution with all that a region takes in; what is asked for stays channels first. */
START_TEST(channels_last)
{
    struct net n = net_new(20);
    input(&n, "x", 4, (const int64_t[]){-1, 3, 10, 9});
    random_init(&n, "w", 4, (const int64_t[]){6, 3, 3, 3});
    random_init(&n, "dw", 4, (const int64_t[]){6, 1, 3, 3});
    random_init(&n, "pw", 4, (const int64_t[]){6, 6, 1, 1});
    random_init(&n, "b", 1, (const int64_t[]){6});
    random_init(&n, "row", 3, (const int64_t[]){6, 1, 1});
    scalar(&n, "low", 0), scalar(&n, "two", 2), scalar(&n, "high", 0.75);
    node(&n, "Conv", "c1", "x", "w", "b", NULL);
    node(&n, "Clip", "a1", "c1", "low", "high", NULL);
    node(&n, "Conv", "c2", "a1", "dw", NULL); /* its padding becomes a margin of the first */
    ints(&n, "pads", 4, (const int64_t[]){1, 1, 1, 1});
    OK(tsr_graph_attr_int(n.g, "group", 6, &err));
    node(&n, "HardSwish", "a2", "c2", NULL);
    node(&n, "Conv", "c3", "a2", "pw", NULL);
    node(&n, "Add", "s", "a2", "c3", NULL); /* a residual */
    node(&n, "Relu", "a3", "s", NULL);
    node(&n, "Mul", "m", "a3", "row", NULL);
    node(&n, "Sub", "d", "two", "m", NULL);
    node(&n, "Concat", "cat", "d", "a3", NULL);
    OK(tsr_graph_attr_int(n.g, "axis", 1, &err));
    node(&n, "MaxPool", "p", "cat", NULL);
    ints(&n, "kernel_shape", 2, (const int64_t[]){2, 2});
    node(&n, "GlobalAveragePool", "g", "p", NULL);
    node(&n, "Flatten", "y", "g", NULL);
    finish(&n, "y");
    struct tsr_graph *h = fused(n.g, false, NULL);
    ck_assert_int_eq(count(h, "Conv", "tessera"), 3);
    ck_assert_int_eq(count(h, "MaxPool", "tessera") + count(h, "GlobalAveragePool", "tessera"), 2);
    ck_assert_int_eq(count(h, "Clip", "") + count(h, "HardSwish", "") + count(h, "Add", "") + count(h, "Relu", ""), 0);
    ck_assert_int_eq(count(h, "Transpose", ""), 0);
    int margins = 0;
    for (size_t i = 0; i < h->n_node; i++) margins += tsr_node_attr(&h->node[i], "margin") != NULL;
    ck_assert_int_eq(margins, 1);
    tsr_graph_free(h);
    static const char *const kept[] = {"a1", "c2", "a2", "s", "m", "cat"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        h = fused(n.g, false, kept[i]);
        ck_assert_int_eq(count(h, "Transpose", ""), 1);
        tsr_graph_free(h);
    }
    tsr_graph_free(n.g);
}
END_TEST

/* What is added has the convolution's shape for one batch only, or broadcasts: no residual. */
START_TEST(no_residual)
{
    for (int form = 0; form < 3; form++) {
        struct net n = net_new(13);
        input(&n, "x", 3, (const int64_t[]){-1, 4, form == 2 ? -1 : 6});
        input(&n, "z", 3, (const int64_t[]){-1, 4, form == 0 ? 1 : 6});
        random_init(&n, "w", 3, (const int64_t[]){4, 4, 1});
        random_init(&n, "v", 3, (const int64_t[]){4, 4, 1});
        node(&n, "Conv", "a", "x", "w", NULL);
        node(&n, "Conv", "b", "z", "v", NULL);
        node(&n, "Add", "y", "a", "b", NULL);
        finish(&n, "y");
        struct tsr_graph *h;
        OK(tsr_graph_fuse(n.g, NULL, 0, 0, &h, &err));
        ck_assert_int_eq(count(h, "Add", ""), form == 1 ? 0 : 1);
        tsr_graph_free(h);
        tsr_graph_free(n.g);
    }
}
END_TEST

/* ---- whole networks ------------------------------------------------------------------------- */

static const struct {
    const char *spec, *kept;
    int attention, linear;
} zoo[] = {
    {"mlp width=24 depth=3 input=20 classes=5", "block2", 0, 0},
    {"conv1d width=12 depth=2 input=4x20 classes=5", "features", 0, 0},
    {"dscnn width=12 depth=2 input=1x12x10 classes=5", "features", 0, 0},
    {"resnet width=8 depth=2 input=3x12x12 classes=5", "features", 0, 0},
    {"lstm width=16 depth=2 input=7x6 classes=5", "block1", 0, 0},
    {"bilstm width=9 depth=1 input=7x6 classes=5", "features", 0, 0},
    {"gru width=16 depth=2 vocab=8 length=7 classes=5", "features", 0, 0},
    {"transformer width=32 depth=2 heads=2 vocab=8 length=9 classes=5", "block1", 2, 12},
    {"resnet18 width=8 depth=1 input=3x20x20 classes=5", "block2", 0, 0},
    {"mobilenetv2 width=8 depth=3 input=3x16x16 classes=5", "features", 0, 0},
    {"bert width=32 depth=2 heads=2 vocab=8 length=9 classes=5", "block1", 2, 12},
    {"cct width=32 depth=2 heads=4 input=1x12x12 classes=5", "features", 2, 13},
};

START_TEST(families)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse(zoo[_i].spec, &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    struct tsr_graph *h = fused(g, true, zoo[_i].kept);
    ck_assert_int_eq(count(h, "Attention", "tessera"), zoo[_i].attention);
    ck_assert_int_eq(count(h, "Linear", "tessera"), zoo[_i].linear);
    tsr_graph_free(h);
    h = fused(g, false, zoo[_i].kept);
    ck_assert_int_eq(count(h, "BatchNormalization", ""), 0);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

/* Every allocation fails once: a clean error, the original untouched. */
START_TEST(memory)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g, *h = NULL;
    enum tsr_status s = TSR_E_NOMEM;
    OK(tsr_zoo_parse("cct width=8 depth=1 input=1x8x8 classes=3", &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    for (long n = 1; s == TSR_E_NOMEM; n += 1 + n / 40) {
        tsr_mem_fail_after(n);
        s = tsr_graph_fuse(g, NULL, 0, 0, &h, NULL);
        tsr_mem_fail_after(0);
        ck_assert((s == TSR_OK) == (h != NULL));
    }
    ck_assert_int_eq(s, TSR_OK);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

/* Networks as PyTorch exports them. */
START_TEST(exported)
{
    static const struct {
        const char *name;
        int attention, gelu; /* nodes in the end; -1: any number */
    } models[] = {{"kwt", 3, 3}, {"tcn", 0, -1}, {"mlp", 0, -1}, {"bilstm", 0, -1}, {"dscnn", 0, -1}};
    const char *shared = getenv("TESSERA_SHARED");
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[512];
        struct tsr_graph *g;
        (void)snprintf(path, sizeof path, "%s/models/%s/model.onnx", shared ? shared : "../shared", models[i].name);
        FILE *file = fopen(path, "rb");
        if (!file) {
            printf("skipped: %s is not there\n", path);
            continue;
        }
        (void)fclose(file);
        OK(tsr_onnx_load(path, &g, &err));
        for (int training = 0; training < 2; training++) {
            struct tsr_graph *h = fused(g, training, NULL);
            ck_assert_int_eq(count(h, "Attention", "tessera"), models[i].attention);
            if (models[i].gelu >= 0) ck_assert_int_eq(count(h, "Gelu", ""), models[i].gelu);
            ck_assert_int_eq(count(h, "Erf", ""), 0);
            ck_assert_int_eq(count(h, "Softmax", ""), 0);
            if (!training) ck_assert_int_eq(count(h, "BatchNormalization", ""), 0);
            tsr_graph_free(h);
        }
        tsr_graph_free(g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph/fuse");
    TCase *c = tcase_create("fuse");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, layernorm);
    tcase_add_test(c, gelu);
    tcase_add_test(c, attention);
    tcase_add_test(c, packed_attention);
    tcase_add_test(c, kept_values_stay);
    tcase_add_test(c, linear_and_relu);
    tcase_add_test(c, batchnorm);
    tcase_add_test(c, batchnorm_activation);
    tcase_add_test(c, channels_last);
    tcase_add_test(c, no_residual);
    tcase_add_loop_test(c, families, 0, (int)(sizeof zoo / sizeof *zoo));
    tcase_add_test(c, memory);
    tcase_add_test(c, exported);
    suite_add_tcase(s, c);
    return run_suite(s);
}
