/* If, Loop and Scan: what they compute, what they take from the graph around them, the gradient through a
 * branch, and that no loop runs for ever. */
#include "iotest.h"

#include <math.h>

#define IN(...) (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)), (const char *[]){__VA_ARGS__}

static struct tsr_graph *graph(void)
{
    struct tsr_graph *g;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    return g;
}

static void input(struct tsr_graph *g, const char *name) { OK(tsr_graph_add_input(g, name, TSR_NONE, -1, NULL, NULL, &err)); }
static void output(struct tsr_graph *g, const char *name) { OK(tsr_graph_add_output(g, name, TSR_F32, -1, NULL, NULL, &err)); }
static void node(struct tsr_graph *g, const char *op, int n_in, const char *const *in, int n_out, const char *const *out)
{
    OK(tsr_graph_add_node(g, op, "", NULL, n_in, in, n_out, out, &err));
}

static void constant(struct tsr_graph *g, const char *name, enum tsr_dtype type, double v)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, type, 0, NULL, &err));
    tsr_store_f64(type, t.data, 0, v);
    OK(tsr_graph_add_init(g, name, &t, &err));
}

/* y = op(x, w), both from around. */
static struct tsr_graph *branch(const char *op)
{
    struct tsr_graph *g = graph();
    node(g, op, IN("x", "w"), IN("y"));
    output(g, "y");
    input(g, "x"), input(g, "w");
    OK(tsr_graph_finish(g, &err));
    return g;
}

/* z = 2 (c ? x * w : x - w) */
static struct tsr_graph *choice(void)
{
    struct tsr_graph *g = graph();
    input(g, "c"), input(g, "x"), input(g, "w");
    node(g, "If", IN("c"), IN("h"));
    OK(tsr_graph_attr_graph(g, "then_branch", branch("Mul"), 2, &err));
    OK(tsr_graph_attr_graph(g, "else_branch", branch("Sub"), 2, &err));
    node(g, "Add", IN("h", "h"), IN("z"));
    output(g, "z");
    OK(tsr_graph_finish(g, &err));
    return g;
}

static void give(struct tsr_session *s, const struct tsr_graph *g, const char *name, enum tsr_dtype type, int rank, int64_t n, const double *v)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, type, rank, &n, &err));
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) tsr_store_f64(type, t.data, i, v[i]);
    OK(tsr_session_set_input(s, tsr_graph_find(g, name), &t, &err));
    tsr_tensor_release(&t);
}

static void expect(const struct tsr_tensor *t, int64_t n, const double *v)
{
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(tsr_tensor_count(t), n);
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabs(tsr_load_f64(t->dtype, t->data, i) - v[i]) < 1e-6, "element %d is %g, not %g", (int)i,
                      tsr_load_f64(t->dtype, t->data, i), v[i]);
}

#define V(...) ((const double[]){__VA_ARGS__})

START_TEST(branches)
{
    struct tsr_graph *g = choice(), *fused;
    ck_assert_int_eq(g->node[0].n_in, 3); /* the condition, x and w once */
    OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
    for (int copy = 0; copy < 2; copy++) {
        struct tsr_session *s;
        const struct tsr_graph *which = copy ? fused : g;
        OK(tsr_session_new(which, &(struct tsr_session_options){.training = !copy}, &s, &err));
        for (int truth = 0; truth < 2; truth++) {
            give(s, which, "c", TSR_BOOL, 0, 0, V(truth));
            give(s, which, "x", TSR_F32, 1, 2, V(1, 2));
            give(s, which, "w", TSR_F32, 1, 2, V(3, 5));
            OK(tsr_session_run(s, which->output, 1, &err));
            expect(tsr_session_value(s, which->output[0]), 2, truth ? V(6, 20) : V(-4, -6));
            if (copy) continue;
            struct tsr_tensor seed;
            const int32_t of[2] = {tsr_graph_find(g, "x"), tsr_graph_find(g, "w")};
            OK(tsr_tensor_copy(&seed, tsr_session_value(s, g->output[0]), &err));
            for (int i = 0; i < 2; i++) ((float *)seed.data)[i] = 1;
            OK(tsr_session_backward(s, g->output, (const struct tsr_tensor *const[]){&seed}, 1, of, 2, &err));
            expect(tsr_session_grad(s, of[0]), 2, truth ? V(6, 10) : V(2, 2));
            expect(tsr_session_grad(s, of[1]), 2, truth ? V(2, 4) : V(-2, -2));
            tsr_tensor_release(&seed);
        }
        tsr_session_free(s);
    }
    tsr_graph_free(g); /* the copy still holds the branches */
    tsr_graph_free(fused);
}
END_TEST

/* Body: a = a + x; collects a; goes on while a < limit. */
static struct tsr_graph *counting(bool limited)
{
    struct tsr_graph *b = graph(), *g = graph();
    input(b, "i"), input(b, "go"), input(b, "a");
    node(b, "Add", IN("a", "x"), IN("a2"));
    node(b, "Less", IN("a2", "limit"), IN("more"));
    node(b, "Identity", IN("a2"), IN("seen"));
    output(b, "more"), output(b, "a2"), output(b, "seen");
    input(b, "x"), input(b, "limit");
    OK(tsr_graph_finish(b, &err));
    input(g, "n"), input(g, "x"), input(g, "limit");
    constant(g, "start", TSR_F32, 0);
    node(g, "Loop", IN(limited ? "n" : "", "", "start"), IN("last", "all"));
    OK(tsr_graph_attr_graph(g, "body", b, 2, &err));
    output(g, "last"), output(g, "all");
    OK(tsr_graph_finish(g, &err));
    return g;
}

static enum tsr_status run_count(struct tsr_session *s, const struct tsr_graph *g, double n, double x, double limit, struct tsr_error *e)
{
    give(s, g, "n", TSR_I64, 0, 0, V(n));
    give(s, g, "x", TSR_F32, 0, 0, V(x));
    give(s, g, "limit", TSR_F32, 0, 0, V(limit));
    return tsr_session_run(s, g->output, 2, e);
}

START_TEST(loops)
{
    struct tsr_graph *g = counting(true);
    struct tsr_session *s;
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(run_count(s, g, 3, 2, 100, &err)); /* ended by the count */
    expect(tsr_session_value(s, g->output[0]), 1, V(6));
    expect(tsr_session_value(s, g->output[1]), 3, V(2, 4, 6));
    OK(run_count(s, g, 9, 2, 3, &err)); /* by the condition */
    expect(tsr_session_value(s, g->output[1]), 2, V(2, 4));
    OK(run_count(s, g, 0, 2, 3, &err)); /* no turn at all */
    expect(tsr_session_value(s, g->output[0]), 1, V(0));
    expect(tsr_session_value(s, g->output[1]), 0, V(0));
    tsr_session_free(s);
    tsr_graph_free(g);
    g = counting(false);
    OK(tsr_session_new(g, &(struct tsr_session_options){.max_turns = 1000}, &s, &err));
    FAILS(TSR_E_LIMIT, "1000 turns", run_count(s, g, 0, 0, 1, &err));
    OK(run_count(s, g, 0, 0.5, 2, &err)); /* the count begins anew */
    expect(tsr_session_value(s, g->output[1]), 4, V(0.5, 1, 1.5, 2));
    tsr_session_free(s);
    OK(tsr_session_new(g, &(struct tsr_session_options){.max_bytes = 1 << 16}, &s, &err));
    ck_assert_int_ne(run_count(s, g, 0, 0, 1, NULL), TSR_OK); /* what is collected has a limit, too */
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

/* Running sums of x [2,3] along axis 1, from the end, collected from the end along axis 1. */
START_TEST(scans)
{
    struct tsr_graph *b = graph(), *g = graph();
    struct tsr_session *s;
    struct tsr_tensor x, zero;
    input(b, "a"), input(b, "piece");
    node(b, "Add", IN("a", "piece"), IN("sum"));
    node(b, "Identity", IN("sum"), IN("seen"));
    output(b, "sum"), output(b, "seen");
    OK(tsr_graph_finish(b, &err));
    input(g, "start"), input(g, "x");
    node(g, "Scan", IN("start", "x"), IN("last", "all"));
    OK(tsr_graph_attr_graph(g, "body", b, 0, &err));
    OK(tsr_graph_attr_int(g, "num_scan_inputs", 1, &err));
    OK(tsr_graph_attr_ints(g, "scan_input_axes", (int64_t[]){1}, 1, &err));
    OK(tsr_graph_attr_ints(g, "scan_input_directions", (int64_t[]){1}, 1, &err));
    OK(tsr_graph_attr_ints(g, "scan_output_axes", (int64_t[]){-1}, 1, &err));
    OK(tsr_graph_attr_ints(g, "scan_output_directions", (int64_t[]){1}, 1, &err));
    output(g, "last"), output(g, "all");
    OK(tsr_graph_finish(g, &err));
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(tsr_tensor_zeros(&x, TSR_F32, 2, (int64_t[]){2, 3}, &err));
    OK(tsr_tensor_zeros(&zero, TSR_F32, 1, (int64_t[]){2}, &err));
    for (int i = 0; i < 6; i++) ((float *)x.data)[i] = (float)(i + 1);
    OK(tsr_session_set_input(s, g->input[0], &zero, &err));
    OK(tsr_session_set_input(s, g->input[1], &x, &err));
    OK(tsr_session_run(s, g->output, 2, &err));
    expect(tsr_session_value(s, g->output[0]), 2, V(6, 15));
    expect(tsr_session_value(s, g->output[1]), 6, V(6, 5, 3, 15, 11, 6));
    tsr_session_free(s);
    tsr_tensor_release(&x);
    tsr_tensor_release(&zero);
    tsr_graph_free(g);
}
END_TEST

START_TEST(bad)
{
    struct tsr_graph *g = choice();
    struct tsr_session *s;
    OK(tsr_session_new(g, NULL, &s, &err));
    give(s, g, "c", TSR_F32, 0, 0, V(1));
    give(s, g, "x", TSR_F32, 1, 2, V(1, 2));
    give(s, g, "w", TSR_F32, 1, 2, V(3, 5));
    FAILS(TSR_E_MISMATCH, "truth value", tsr_session_run(s, g->output, 1, &err));
    give(s, g, "c", TSR_BOOL, 0, 0, V(1));
    give(s, g, "w", TSR_F32, 1, 3, V(3, 5, 6));
    FAILS(TSR_E_MISMATCH, "in 'then_branch' of node 'If_0' (If): node 'Mul_0' (Mul)", tsr_session_run(s, g->output, 1, &err));
    tsr_session_free(s);
    tsr_graph_free(g);
    g = graph();
    input(g, "c");
    node(g, "If", IN("c"), IN("y"));
    output(g, "y");
    OK(tsr_graph_finish(g, &err));
    OK(tsr_session_new(g, NULL, &s, &err));
    give(s, g, "c", TSR_BOOL, 0, 0, V(1));
    FAILS(TSR_E_CORRUPT, "'then_branch' is missing", tsr_session_run(s, g->output, 1, &err));
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

static enum tsr_status whole(const struct tsr_graph *g, struct tsr_error *err)
{
    struct tsr_session *s;
    TSR_TRY(tsr_session_new(g, NULL, &s, err));
    struct tsr_tensor t;
    enum tsr_status status = TSR_OK;
    static const enum tsr_dtype type[3] = {TSR_I64, TSR_F32, TSR_F32};
    for (size_t i = 0; i < 3 && status == TSR_OK; i++) {
        status = tsr_tensor_zeros(&t, type[i], 0, NULL, err);
        if (status != TSR_OK) break;
        tsr_store_f64(type[i], t.data, 0, 2);
        status = tsr_session_set_input(s, g->input[i], &t, err);
        tsr_tensor_release(&t);
    }
    if (status == TSR_OK) status = tsr_session_run(s, g->output, 2, err);
    tsr_session_free(s);
    return status;
}

START_TEST(short_of_memory)
{
    struct tsr_graph *g = counting(true);
    TORTURE(whole(g, &err));
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {branches, loops, scans, bad, short_of_memory};
    return run_tests("control", tests, sizeof tests / sizeof *tests);
}
