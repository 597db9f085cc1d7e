/* Bringing models to later operator sets: they compute the same. */
#include "quanttest.h"

/* A graph with the old forms of operators against itself in opset 21. */
START_TEST(upgrade)
{
    struct tsr_graph *g, *copy;
    const int64_t dim[] = {-1, 3, 8}, axis[] = {1}, last[] = {-1}, starts[] = {1}, ends[] = {7}, pads[] = {0, 0, 1, 0, 0, 2}, halves[] = {4, 5};
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 9, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 3, dim, NULL, &err));
#define NODE(op, n, ...) OK(tsr_graph_add_node(g, op, "", NULL, 1, (const char *[]){__VA_ARGS__}, n, (const char *[]){__VA_ARGS__} + 1, &err))
    NODE("Clip", 1, "x", "a");
    OK(tsr_graph_attr_float(g, "min", -1, &err));
    OK(tsr_graph_attr_float(g, "max", 1.5f, &err));
    NODE("Slice", 1, "a", "b"); /* [n, 3, 6] */
    OK(tsr_graph_attr_ints(g, "starts", starts, 1, &err));
    OK(tsr_graph_attr_ints(g, "ends", ends, 1, &err));
    OK(tsr_graph_attr_ints(g, "axes", (const int64_t[]){2}, 1, &err));
    NODE("Pad", 1, "b", "c"); /* [n, 3, 9] */
    OK(tsr_graph_attr_ints(g, "pads", pads, 6, &err));
    OK(tsr_graph_attr_float(g, "value", 0.25f, &err));
    NODE("Split", 2, "c", "d", "e"); /* [n, 3, 4], [n, 3, 5] */
    OK(tsr_graph_attr_int(g, "axis", 2, &err));
    OK(tsr_graph_attr_ints(g, "split", halves, 2, &err));
    NODE("ReduceMean", 1, "d", "f"); /* [n, 3, 1] */
    OK(tsr_graph_attr_ints(g, "axes", last, 1, &err));
    NODE("Squeeze", 1, "f", "h"); /* [n, 3] */
    OK(tsr_graph_attr_ints(g, "axes", (const int64_t[]){2}, 1, &err));
    NODE("Unsqueeze", 1, "h", "i"); /* [n, 1, 3] */
    OK(tsr_graph_attr_ints(g, "axes", axis, 1, &err));
    NODE("ReduceSum", 1, "i", "j"); /* [n, 3] */
    OK(tsr_graph_attr_ints(g, "axes", axis, 1, &err));
    OK(tsr_graph_attr_int(g, "keepdims", 0, &err));
    NODE("Softmax", 1, "j", "k");
    OK(tsr_graph_attr_int(g, "axis", -1, &err));
    NODE("Dropout", 1, "k", "y");
    OK(tsr_graph_attr_float(g, "ratio", 0.5f, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, 2, (const int64_t[]){-1, 3}, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    for (int64_t to = 13; to <= 21; to += 4) {
        OK(tsr_graph_copy(g, &copy, &err));
        OK(tsr_graph_upgrade(copy, to, &err));
        ck_assert(run_difference(g, copy, 4) == 0);
        tsr_graph_free(copy);
    }
    NODE("DFT", 1, "c", "z");
    OK(tsr_graph_finish(g, &err));
    ck_assert_int_eq(tsr_graph_upgrade(g, 21, &err), TSR_E_UNSUPPORTED);
    ck_assert(strstr(err.message, "DFT") != NULL);
    tsr_graph_free(g);
}
END_TEST


static void add_floats(struct tsr_graph *g, const char *name, int64_t n, const float *v)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, TSR_F32, 1, &n, &err));
    memcpy(t.data, v, (size_t)n * sizeof *v);
    OK(tsr_graph_add_init(g, name, &t, &err));
}

/* Softmax of old, over all dimensions from an axis on, where the rank is known and where it is not. */
START_TEST(softmax)
{
    for (int form = 0; form < 12; form++) {
        static const char *const op[] = {"Softmax", "LogSoftmax", "Hardmax"};
        struct tsr_graph *g, *copy;
        const int64_t axis = form / 3, shape[] = {-1, 2, 3, 4};
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 11, &err));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 24}, NULL, &err));
        if (axis < 3) { /* a shape that nothing tells before the run */
            struct tsr_tensor t;
            OK(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){4}, &err));
            memcpy(t.data, shape, sizeof shape);
            OK(tsr_graph_add_init(g, "four", &t, &err));
            NODE("Abs", 1, "four", "sizes"); /* 1: so many samples there are */
            OK(tsr_graph_add_node(g, "Reshape", "", NULL, 2, (const char *const[]){"x", "sizes"}, 1, (const char *const[]){"a"}, &err));
        } else {
            OK(tsr_graph_add_node(g, "Constant", "", NULL, 0, NULL, 1, (const char *const[]){"sizes"}, &err));
            struct tsr_tensor t;
            OK(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){4}, &err));
            memcpy(t.data, shape, sizeof shape);
            OK(tsr_graph_attr_tensor(g, "value", &t, &err));
            OK(tsr_graph_add_node(g, "Reshape", "", NULL, 2, (const char *const[]){"x", "sizes"}, 1, (const char *const[]){"a"}, &err));
        }
        NODE(op[form % 3], 1, "a", "b");
        OK(tsr_graph_attr_int(g, "axis", axis, &err));
        NODE("Neg", 1, "b", "y");
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_graph_copy(g, &copy, &err));
        OK(tsr_graph_upgrade(copy, 13, &err));
        ck_assert_uint_eq(copy->n_warning, 0);
        ck_assert_int_eq(count(copy, "Flatten"), axis < 3);
        ck_assert(run_difference(g, copy, axis < 3 ? 1 : 4) == 0);
        tsr_graph_free(copy);
        tsr_graph_free(g);
    }
}
END_TEST

/* An operator that reads nothing: an empty name is allowed in files. */
START_TEST(softmax_of_nothing)
{
    struct tsr_graph *g;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 11, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 2}, NULL, &err));
    NODE("Softmax", 1, "", "y");
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    ck_assert_int_eq(tsr_graph_upgrade(g, 13, &err), TSR_E_UNSUPPORTED);
    ck_assert(strstr(err.message, "lacks its input") != NULL);
    tsr_graph_free(g);
}
END_TEST

/* Upsample of opset 7 and 9 and Resize of opset 10. */
START_TEST(resize)
{
    static const float scales[] = {1, 1, 2, 1.5f};
    static const int opset[] = {7, 9, 10};
    for (int form = 0; form < 6; form++) {
        struct tsr_graph *g, *copy;
        const char *op = form / 2 < 2 ? "Upsample" : "Resize";
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", opset[form / 2], &err));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 4, (const int64_t[]){-1, 2, 3, 6}, NULL, &err));
        if (form / 2 > 0) add_floats(g, "scales", 4, scales);
        OK(tsr_graph_add_node(g, op, "", NULL, form / 2 > 0 ? 2 : 1, (const char *const[]){"x", "scales"}, 1, (const char *const[]){"y"}, &err));
        if (form / 2 == 0) OK(tsr_graph_attr_floats(g, "scales", scales, 4, &err));
        OK(tsr_graph_attr_string(g, "mode", form % 2 ? "linear" : "nearest", &err));
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_graph_copy(g, &copy, &err));
        OK(tsr_graph_upgrade(copy, 21, &err));
        ck_assert_int_eq(count(copy, "Resize"), 1);
        ck_assert(run_difference(g, copy, 2) == 0);
        tsr_graph_free(copy);
        tsr_graph_free(g);
    }
}
END_TEST

START_TEST(grid_sample)
{
    static const char *const old[] = {"bilinear", "bicubic", "nearest"}, *const now[] = {"linear", "cubic", "nearest"};
    for (int form = 0; form < 3; form++) {
        struct tsr_graph *g, *copy;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 16, &err));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 4, (const int64_t[]){-1, 2, 4, 2}, NULL, &err));
        OK(tsr_graph_add_node(g, "GridSample", "", NULL, 2, (const char *const[]){"x", "x"}, 1, (const char *const[]){"y"}, &err));
        OK(tsr_graph_attr_string(g, "mode", old[form], &err));
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_graph_copy(g, &copy, &err));
        OK(tsr_graph_upgrade(copy, 21, &err));
        ck_assert_str_eq(tsr_node_string(&copy->node[0], "mode", ""), now[form]);
        ck_assert(run_difference(g, copy, 2) == 0);
        tsr_graph_free(copy);
        tsr_graph_free(g);
    }
}
END_TEST

/* Operators inside a branch change with those around it, and only in the copy. */
START_TEST(bodies)
{
    struct tsr_graph *g = branching(), *copy;
    OK(tsr_graph_copy(g, &copy, &err));
    OK(tsr_graph_upgrade(copy, 13, &err));
    for (int branch = 0; branch < 2; branch++) {
        const struct tsr_graph *was = g->node[g->n_node - 2].attr[branch].g, *is = copy->node[copy->n_node - 2].attr[branch].g;
        ck_assert_int_eq(was->opset[0].version, 11);
        ck_assert_int_eq(is->opset[0].version, 13);
        ck_assert_ptr_nonnull(tsr_node_attr(&was->node[0], "axes"));
        ck_assert_ptr_null(tsr_node_attr(&is->node[0], "axes"));
        ck_assert_int_eq(is->node[0].n_in, 2);
        ck_assert_int_lt(tsr_graph_find(copy, is->value[is->node[0].in[1]].name), 0); /* no name twice */
    }
    ck_assert(run_difference(g, copy, 4) == 0);
    tsr_graph_free(g);
    ck_assert_uint_gt(copy->n_node, 0);
    tsr_graph_free(copy);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {upgrade, softmax, softmax_of_nothing, resize, grid_sample, bodies};
    return run_tests("model/upgrade", tests, sizeof tests / sizeof *tests);
}
