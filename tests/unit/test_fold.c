/* Constants: what follows from them is computed once, whatever is too large is not kept, and nobody
 * who asks for a value gets another one. */
#include "iotest.h"

#include <math.h>
#include <string.h>

static struct tsr_graph *new_graph(void)
{
    struct tsr_graph *g;
    const int64_t dim[2] = {-1, 4};
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 2, dim, NULL, &err));
    return g;
}

static void add_floats(struct tsr_graph *g, const char *name, int64_t n, float first)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, TSR_F32, 1, &n, &err));
    for (int64_t i = 0; i < n; i++) ((float *)t.data)[i] = first + (float)i;
    OK(tsr_graph_add_init(g, name, &t, &err));
}

static void add_size(struct tsr_graph *g, const char *name, int64_t size)
{
    struct tsr_tensor t;
    const int64_t one = 1;
    OK(tsr_tensor_zeros(&t, TSR_I64, 1, &one, &err));
    ((int64_t *)t.data)[0] = size;
    OK(tsr_graph_add_init(g, name, &t, &err));
}

static void node(struct tsr_graph *g, const char *op, const char *a, const char *b, const char *out)
{
    const char *const in[2] = {a, b};
    OK(tsr_graph_add_node(g, op, "", NULL, b != NULL ? 2 : 1, in, 1, &out, &err));
}

static void finish(struct tsr_graph *g, const char *out)
{
    OK(tsr_graph_add_output(g, out, TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
}

/* y = x + sqrt(a * b), the second term in steps */
static struct tsr_graph *sums(void)
{
    struct tsr_graph *g = new_graph();
    add_floats(g, "a", 4, 1);
    add_floats(g, "b", 4, 2);
    node(g, "Mul", "a", "b", "ab");
    node(g, "Sqrt", "ab", NULL, "root");
    node(g, "Add", "x", "root", "y");
    finish(g, "y");
    return g;
}

static size_t count_op(const struct tsr_graph *g, const char *op)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_node; i++) n += strcmp(g->node[i].op_type, op) == 0;
    return n;
}

static float run(struct tsr_session *s, const struct tsr_graph *g, const char *want, int64_t i)
{
    struct tsr_tensor x;
    int32_t id = tsr_graph_find(g, want);
    OK(tsr_tensor_zeros(&x, TSR_F32, 2, (int64_t[]){1, 4}, &err));
    OK(tsr_session_set_input(s, tsr_graph_find(g, "x"), &x, &err));
    tsr_tensor_release(&x);
    OK(tsr_session_run(s, &id, 1, &err));
    return ((const float *)tsr_session_value(s, id)->data)[i];
}

START_TEST(computed_before_the_run)
{
    struct tsr_graph *g = sums(), *h;
    struct tsr_session *s;
    OK(tsr_graph_fuse(g, NULL, 0, 0, &h, &err));
    ck_assert_uint_eq(h->n_node, 1);
    OK(tsr_session_new(h, NULL, &s, &err));
    ck_assert(run(s, h, "y", 3) == sqrtf(20));
    tsr_session_free(s);
    tsr_graph_free(h);
    /* An inner value that is asked for is there, with the same ids. */
    int32_t keep = tsr_graph_find(g, "ab");
    OK(tsr_graph_fuse(g, &keep, 1, 0, &h, &err));
    OK(tsr_session_new(h, NULL, &s, &err));
    ck_assert(run(s, h, "ab", 3) == 20);
    ck_assert(run(s, h, "y", 0) == sqrtf(2));
    tsr_session_free(s);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

/* A default value of an input may be replaced: nothing is made of it beforehand, and what a run made
 * of it is void once another value is given. */
START_TEST(defaults_may_change)
{
    struct tsr_graph *g = new_graph(), *h;
    struct tsr_session *s;
    const int64_t four = 4;
    OK(tsr_graph_add_input(g, "a", TSR_F32, 1, &four, NULL, &err));
    add_floats(g, "a", 4, 1);
    node(g, "Neg", "a", NULL, "minus");
    node(g, "Add", "x", "minus", "y");
    finish(g, "y");
    OK(tsr_graph_fuse(g, NULL, 0, 0, &h, &err));
    ck_assert_uint_eq(h->n_node, 2);
    OK(tsr_session_new(h, NULL, &s, &err));
    ck_assert(run(s, h, "y", 0) == -1);
    struct tsr_tensor other;
    OK(tsr_tensor_zeros(&other, TSR_F32, 1, &four, &err));
    ((float *)other.data)[0] = 7;
    OK(tsr_session_set_input(s, tsr_graph_find(h, "a"), &other, &err));
    ck_assert(run(s, h, "y", 0) == -7);
    ck_assert(run(s, h, "y", 0) == -7);
    tsr_tensor_release(&other);
    tsr_session_free(s);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

/* 100 MB made of eight bytes: computed in a run that needs it, never kept. A further, small step from it
 * gives the right number all the same. */
START_TEST(large_constants_are_not_kept)
{
    struct tsr_graph *g = new_graph(), *h;
    struct tsr_session *s;
    add_size(g, "size", 25 << 20);
    node(g, "ConstantOfShape", "size", NULL, "zeros");
    node(g, "Cos", "zeros", NULL, "ones");
    node(g, "ReduceSum", "ones", NULL, "sum");
    node(g, "Add", "x", "sum", "y");
    finish(g, "y");
    OK(tsr_graph_fuse(g, NULL, 0, 0, &h, &err));
    ck_assert_uint_eq(h->n_node, 4);
    OK(tsr_session_new(h, NULL, &s, &err));
    for (int i = 0; i < 2; i++) ck_assert(run(s, h, "y", 0) == (float)(25 << 20));
    ck_assert_ptr_null(tsr_session_value(s, tsr_graph_find(h, "zeros")));
    ck_assert_ptr_null(tsr_session_value(s, tsr_graph_find(h, "ones")));
    tsr_session_free(s);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

/* Without the passes a session folds for itself, and lets go of what only led to a constant. */
START_TEST(sessions_fold)
{
    struct tsr_graph *g = sums();
    struct tsr_session *s;
    OK(tsr_session_new(g, NULL, &s, &err));
    for (int i = 0; i < 3; i++) ck_assert(run(s, g, "y", 3) == sqrtf(20));
    ck_assert_ptr_null(tsr_session_value(s, tsr_graph_find(g, "ab")));
    ck_assert(run(s, g, "ab", 1) == 6);
    ck_assert(run(s, g, "y", 1) == sqrtf(6));
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

/* Parameters are no constants while they train. */
START_TEST(training)
{
    struct tsr_graph *g = new_graph(), *h;
    struct tsr_tensor w;
    OK(tsr_tensor_zeros(&w, TSR_F32, 2, (int64_t[]){4, 4}, &err));
    OK(tsr_graph_add_init(g, "w", &w, &err));
    OK(tsr_tensor_zeros(&w, TSR_F32, 2, (int64_t[]){4, 4}, &err));
    OK(tsr_graph_add_init(g, "fixed", &w, &err));
    node(g, "MatMul", "x", "w", "h");
    node(g, "MatMul", "fixed", "w", "v");
    node(g, "MatMul", "h", "v", "y");
    finish(g, "y");
    OK(tsr_graph_fuse(g, NULL, 0, TSR_FUSE_TRAINING, &h, &err));
    ck_assert_uint_eq(count_op(h, "MatMul"), 3);
    tsr_graph_free(h);
    OK(tsr_graph_fuse(g, NULL, 0, 0, &h, &err));
    ck_assert_uint_eq(count_op(h, "MatMul"), 2);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

/* A constant part that cannot be computed is an error of the run that needs it, not of others. */
START_TEST(failures_wait)
{
    struct tsr_graph *g = new_graph(), *h;
    struct tsr_session *s;
    add_size(g, "size", -5);
    node(g, "ConstantOfShape", "size", NULL, "zeros");
    node(g, "Add", "x", "zeros", "z");
    node(g, "Neg", "x", NULL, "y");
    OK(tsr_graph_add_output(g, "z", TSR_F32, -1, NULL, NULL, &err));
    finish(g, "y");
    OK(tsr_graph_fuse(g, NULL, 0, 0, &h, &err));
    OK(tsr_session_new(h, NULL, &s, &err));
    ck_assert(run(s, h, "y", 0) == 0);
    int32_t z = tsr_graph_find(h, "z");
    ck_assert_int_ne(tsr_session_run(s, &z, 1, NULL), TSR_OK);
    tsr_session_free(s);
    tsr_graph_free(h);
    tsr_graph_free(g);
}
END_TEST

static enum tsr_status fuse(const struct tsr_graph *g, struct tsr_error *err)
{
    struct tsr_graph *h;
    enum tsr_status status = tsr_graph_fuse(g, NULL, 0, 0, &h, err);
    tsr_graph_free(h);
    return status;
}

START_TEST(short_of_memory)
{
    struct tsr_graph *g = sums();
    TORTURE(fuse(g, &err));
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {computed_before_the_run, defaults_may_change, large_constants_are_not_kept, sessions_fold,
                                  training, failures_wait, short_of_memory};
    return run_tests("fold", tests, sizeof tests / sizeof *tests);
}
