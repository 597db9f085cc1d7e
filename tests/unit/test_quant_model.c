/* Models on the grid: what is placed where, that it still computes the same, and what is refused. */
#include "quanttest.h"

static enum tsr_status quantise(const struct tsr_graph *g, const struct tsr_quantise_options *o, int64_t n, struct tsr_graph **out,
                                struct tsr_quantise_report *report)
{
    struct tsr_quantiser *q;
    struct tsr_tensor x = {0};
    *out = NULL;
    enum tsr_status status = tsr_quantiser_new(g, o, &q, &err);
    if (status != TSR_OK) return status;
    if (n > 0) white_samples(g, n, &x);
    if (n > 0 && tsr_quantiser_wants_samples(q)) status = tsr_quantiser_block(q, &x, 1, &err);
    if (status == TSR_OK) status = tsr_quantiser_finish(q, out, report, &err);
    tsr_tensor_release(&x);
    tsr_quantiser_free(q);
    return status;
}

static const struct tsr_node *producer(const struct tsr_graph *g, int32_t v)
{
    return v >= 0 && g->value[v].producer >= 0 ? &g->node[g->value[v].producer] : NULL;
}

/* As ONNX Runtime wants it: whatever a convolution or product reads comes out of DequantizeLinear, and
 * what a convolution gives goes into QuantizeLinear, over an activation at most. `any`: products of two
 * activations too; else these stay float. */
static void check_placement(const struct tsr_graph *g, bool any)
{
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        bool conv = strcmp(node->op_type, "Conv") == 0;
        if (!conv && strcmp(node->op_type, "Gemm") != 0 && strcmp(node->op_type, "MatMul") != 0) continue;
        const struct tsr_node *second = producer(g, node->in[1]);
        if (!any && (second == NULL || strcmp(second->op_type, "DequantizeLinear") != 0 || !g->value[second->in[0]].is_init)) {
            ck_assert_str_eq(node->op_type, "MatMul");
            for (int k = 0; k < 2; k++)
                ck_assert(producer(g, node->in[k]) == NULL || strcmp(producer(g, node->in[k])->op_type, "DequantizeLinear") != 0);
            continue;
        }
        for (int k = 0; k < node->n_in; k++) {
            const struct tsr_node *p = producer(g, node->in[k]);
            ck_assert_msg(p && strcmp(p->op_type, "DequantizeLinear") == 0, "input %d of %s is not quantised", k, node->name);
            if (k == 2) ck_assert_int_eq(g->value[p->in[0]].init.dtype, TSR_I32);
        }
        int32_t v = node->out[0];
        for (size_t j = 0; conv && j < g->n_node; j++)
            for (int k = 0; k < g->node[j].n_in; k++) {
                if (g->node[j].in[k] != v) continue;
                const char *op = g->node[j].op_type;
                ck_assert_msg(strcmp(op, "QuantizeLinear") == 0 || strcmp(op, "Relu") == 0 || strcmp(op, "Clip") == 0,
                              "%s reads %s unquantised", g->node[j].name, node->name);
            }
    }
}

/* ONNX Runtime refuses two nodes of one name. */
static void check_names(const struct tsr_graph *g)
{
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < i && g->node[i].name[0] != '\0'; k++)
            ck_assert_msg(strcmp(g->node[i].name, g->node[k].name) != 0, "two nodes are called %s", g->node[i].name);
}

static const char *const families[] = {"mlp width=16 depth=2 classes=4 input=24", "conv1d width=16 depth=2 classes=4 input=6x32",
                                       "dscnn width=16 depth=2 classes=4 input=1x16x16", "resnet width=16 depth=2 classes=4 input=3x11x7",
                                       "mobilenetv2 width=8 depth=3 classes=4 input=3x32x32", "cct width=16 depth=2 classes=4 input=1x16x16",
                                       "transformer width=16 depth=2 classes=4 input=6x32", "bert width=16 depth=2 classes=4 vocab=40 length=16"};

START_TEST(int8)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (int target = 0; target < 4; target++) {
            struct tsr_graph *g = zoo(families[i]), *made;
            struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_INT8);
            struct tsr_quantise_report r;
            o.target = (enum tsr_quant_target)target;
            OK(quantise(g, &o, 40, &made, &r));
            check_names(made);
            check_placement(made, target != TSR_TARGET_ORT);
            ck_assert_int_eq(r.samples, 40);
            ck_assert_msg(r.quantised > 0 && r.left == 0, "%s: %d nodes left", families[i], r.left);
            ck_assert_msg(r.kl < 1e-3, "%s for %s: divergence %g", families[i], tsr_quant_target_names[target], r.kl);
            tsr_graph_free(made);
            tsr_graph_free(g);
        }
}
END_TEST

START_TEST(four_bits)
{
    static const enum tsr_grid grids[] = {TSR_GRID_INT4, TSR_GRID_W4A8, TSR_GRID_W4A4};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (int k = 0; k < 3; k++) {
            struct tsr_graph *g = zoo(families[i]), *made;
            struct tsr_quantise_options o = tsr_quantise_defaults(grids[k]);
            struct tsr_quantise_report r;
            o.block = 16;
            OK(quantise(g, &o, 40, &made, &r));
            ck_assert(r.quantised > 0);
            bool narrow = false;
            for (size_t v = 0; v < made->n_value; v++) narrow = narrow || (made->value[v].is_init && made->value[v].init.dtype == TSR_I4);
            ck_assert_msg(narrow, "%s on %s has no 4-bit weights", families[i], tsr_grid_names[grids[k]]);
            for (size_t v = 0; v < made->n_opset; v++)
                if (made->opset[v].domain[0] == '\0') ck_assert_int_ge(made->opset[v].version, 21);
            ck_assert_int_eq(count(made, "QuantizeLinear") == 0, grids[k] == TSR_GRID_INT4);
            if (grids[k] != TSR_GRID_INT4) ck_assert_msg(r.kl < 0.2, "%s: divergence %g", families[i], r.kl);
            tsr_graph_free(made);
            tsr_graph_free(g);
        }
}
END_TEST

/* Files of IR version 3 list their weights among the inputs, as defaults. */
START_TEST(weights_listed_as_inputs)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (int grid = TSR_GRID_F16; grid <= TSR_GRID_W4A4; grid++) {
            struct tsr_graph *g = zoo(families[i]), *plain, *made;
            struct tsr_quantise_options o = tsr_quantise_defaults((enum tsr_grid)grid);
            struct tsr_quantise_report was, is;
            o.rounding = TSR_ROUND_NEAREST;
            o.prune.n = 2, o.prune.m = 4;
            OK(quantise(g, &o, 12, &plain, &was));
            for (size_t v = 0; v < g->n_value; v++) g->value[v].is_input = g->value[v].is_input || g->value[v].is_init;
            OK(quantise(g, &o, 12, &made, &is));
            ck_assert_int_eq(is.quantised, was.quantised);
            ck_assert_int_eq(is.left, was.left);
            ck_assert_int_eq(is.zeros, was.zeros);
            ck_assert(made->n_input == plain->n_input);
            for (size_t v = 0; v < made->n_value; v++) ck_assert(!made->value[v].is_init || !made->value[v].is_input);
            ck_assert(run_difference(plain, made, 8) == 0);
            tsr_graph_free(plain);
            tsr_graph_free(made);
            tsr_graph_free(g);
        }
}
END_TEST

START_TEST(half_precision)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (int k = 0; k < 3; k++) {
            static const enum tsr_grid grids[] = {TSR_GRID_F32, TSR_GRID_F16, TSR_GRID_BF16};
            static const double tolerance[] = {1e-5, 0.02, 0.1};
            struct tsr_graph *g = zoo(families[i]), *made;
            struct tsr_quantise_options o = tsr_quantise_defaults(grids[k]);
            struct tsr_quantise_report r;
            OK(quantise(g, &o, 0, &made, &r));
            check_names(made);
            double d = run_difference(g, made, 5);
            ck_assert_msg(d <= tolerance[k], "%s as %s: %g", families[i], tsr_grid_names[grids[k]], d);
            if (k > 0) ck_assert(d > 0);
            tsr_graph_free(made);
            tsr_graph_free(g);
        }
    struct tsr_graph *g = zoo(families[0]), *made;
    struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_F16);
    struct tsr_quantise_report r;
    for (size_t v = 0; v < g->n_value; v++)
        if (g->value[v].trainable && g->value[v].init.shape.rank == 2) ((float *)g->value[v].init.data)[0] = 1e5f;
    ck_assert_int_eq(quantise(g, &o, 0, &made, &r), TSR_E_NUMERIC);
    ck_assert(strstr(err.message, "take bf16") != NULL);
    tsr_graph_free(g);
}
END_TEST

/* Embeddings are read as integers; their scale stands alone, see tsr_rw_lookup. */
START_TEST(embeddings)
{
    static const enum tsr_grid grids[] = {TSR_GRID_INT8, TSR_GRID_INT4, TSR_GRID_W4A8};
    for (size_t k = 0; k < sizeof grids / sizeof *grids; k++) {
        struct tsr_graph *g = zoo("transformer vocab=12 length=6 width=16 depth=1 classes=3"), *made;
        struct tsr_quantise_options o = tsr_quantise_defaults(grids[k]);
        struct tsr_quantise_report r;
        int seen = 0;
        OK(quantise(g, &o, 20, &made, &r));
        for (size_t i = 0; i < made->n_node; i++) {
            const struct tsr_node *from = producer(made, made->node[i].n_in > 0 ? made->node[i].in[0] : -1);
            if (strcmp(made->node[i].op_type, "DequantizeLinear") != 0 || from == NULL || strcmp(from->op_type, "Gather") != 0) continue;
            ck_assert_int_eq(made->node[i].n_in, 2);
            seen++;
        }
        ck_assert_int_gt(seen, 0);
        ck_assert(run_difference(g, made, 20) < 0.5);
        tsr_graph_free(made);
        tsr_graph_free(g);
    }
}
END_TEST

#define NODE(op, out, ...) OK(tsr_graph_add_node(g, op, "", NULL, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
                                                 (const char *const[]){__VA_ARGS__}, 1, (const char *const[]){out}, &err))

static void put(struct tsr_graph *g, const char *name, enum tsr_dtype type, int rank, int64_t n, const double *v)
{
    struct tsr_tensor t;
    OK(tsr_tensor_zeros(&t, type, rank, &n, &err));
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) tsr_store_f64(type, t.data, i, v[i]);
    OK(tsr_graph_add_init(g, name, &t, &err));
}

/* A scale that is computed, wanted in float32, and from the samples, which are in half precision. */
START_TEST(half_precision_keeps_scales)
{
    for (int form = 0; form < 2; form++) {
        struct tsr_graph *g, *made;
        struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_F16);
        struct tsr_quantise_report r;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 13, &err));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 4, (const int64_t[]){-1, 2, 3, 1}, NULL, &err));
        put(g, "height", TSR_I64, 1, 1, (const double[]){2});
        put(g, "size", TSR_F32, 1, 1, (const double[]){2051}); /* 2051 / 3 in half precision makes 2050 of 3 */
        put(g, "one", TSR_F32, 1, 1, (const double[]){1});
        if (form == 0) {
            NODE("Shape", "shape", "x");
            NODE("Gather", "h", "shape", "height");
            NODE("Cast", "f", "h");
            OK(tsr_graph_attr_int(g, "to", TSR_F32, &err));
            NODE("Div", "scale", "size", "f");
        } else {
            NODE("ReduceMax", "m", "x");
            OK(tsr_graph_attr_int(g, "keepdims", 0, &err));
            NODE("Sub", "z", "m", "m");
            NODE("Add", "scale", "z", "one");
        }
        NODE("Concat", "scales", "one", "one", "scale", "one");
        OK(tsr_graph_attr_int(g, "axis", 0, &err));
        NODE("Relu", "a", "x");
        NODE("Resize", "y", "a", "", "scales");
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(quantise(g, &o, 0, &made, &r));
        const struct tsr_node *resize = NULL;
        for (size_t i = 0; i < made->n_node; i++) resize = tsr_node_is(&made->node[i], "Resize") ? &made->node[i] : resize;
        ck_assert_ptr_nonnull(resize);
        ck_assert_str_eq(producer(made, resize->in[2])->op_type, form ? "Cast" : "Concat");
        ck_assert(run_difference(g, made, 2) < 0.01); /* and shapes are equal */
        tsr_graph_free(made);
        tsr_graph_free(g);
    }
}
END_TEST

/* What masks take from scores, and where Clip ends, is endless in half precision, too; a weight that large is refused. */
START_TEST(half_precision_of_masks)
{
    for (int form = 0; form < 3; form++) {
        struct tsr_graph *g, *made;
        struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_F16);
        struct tsr_quantise_report r;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 13, &err));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 3}, NULL, &err));
        put(g, "far", TSR_F32, 1, 3, (const double[]){0, form == 2 ? -70000 : form ? -1e9 : -3.4e38, 0});
        put(g, "most", TSR_F32, 0, 0, (const double[]){3.4028235e38});
        NODE("Clip", "c", "x", "", "most");
        NODE("Add", "z", "c", "far");
        NODE("Softmax", "y", "z");
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        ck_assert_int_eq(quantise(g, &o, 0, &made, &r), form == 2 ? TSR_E_NUMERIC : TSR_OK);
        if (form < 2) ck_assert(run_difference(g, made, 5) < 0.01);
        tsr_graph_free(made);
        tsr_graph_free(g);
    }
}
END_TEST

/* What branches take from around them has another name, another type or is gone in the model on the grid. */
START_TEST(bodies)
{
    for (int k = 0; k < 4; k++) {
        static const enum tsr_grid grids[] = {TSR_GRID_F16, TSR_GRID_BF16, TSR_GRID_INT8, TSR_GRID_INT4};
        struct tsr_graph *g = branching(), *made, *again;
        struct tsr_quantise_options o = tsr_quantise_defaults(grids[k]);
        struct tsr_quantise_report r;
        struct tsr_buf b = {0};
        struct tsr_sink *sink;
        OK(quantise(g, &o, 8, &made, &r));
        OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
        OK(tsr_onnx_save(made, sink, &err));
        OK(tsr_sink_close(sink, &err));
        OK(tsr_onnx_load_memory(b.data, b.len, "made", NULL, &again, &err)); /* names tell what is captured */
        ck_assert(run_difference(g, again, 8) < 0.05);
        tsr_buf_release(&b);
        tsr_graph_free(again);
        tsr_graph_free(made);
        tsr_graph_free(g);
    }
}
END_TEST

START_TEST(the_same_with_any_number_of_threads)
{
    struct tsr_graph *g = zoo(families[2]), *made[3];
    uint8_t digest[3][32];
    for (int i = 0; i < 3; i++) {
        struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_INT8);
        struct tsr_quantise_report r;
        OK(tsr_pool_new(i + 1, &o.pool, &err));
        OK(quantise(g, &o, 40, &made[i], &r));
        tsr_pool_free(o.pool);
        tsr_onnx_digest(made[i], digest[i]);
        ck_assert_int_eq(memcmp(digest[0], digest[i], 32), 0);
        tsr_graph_free(made[i]);
    }
    tsr_graph_free(g);
}
END_TEST

START_TEST(excluded_and_refused)
{
    struct tsr_graph *g = zoo(families[2]), *made, *again;
    struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_INT8);
    struct tsr_quantise_report r, all;
    OK(quantise(g, &o, 8, &made, &all));
    ck_assert_int_eq(quantise(made, &o, 8, &again, &r), TSR_E_UNSUPPORTED);
    ck_assert(strstr(err.message, "quantised already") != NULL);
    tsr_graph_free(made);
    const char *conv = NULL;
    for (size_t i = 0; i < g->n_node && conv == NULL; i++)
        if (strcmp(g->node[i].op_type, "Conv") == 0) conv = g->node[i].name;
    const char *exclude[] = {"nothing of the kind"};
    o.exclude = exclude, o.n_exclude = 1;
    ck_assert_int_eq(quantise(g, &o, 8, &made, &r), TSR_E_NOT_FOUND);
    ck_assert_int_eq(quantise(g, &(struct tsr_quantise_options){.grid = TSR_GRID_INT8, .calibrator = TSR_CALIBRATE_MSE}, 0, &made, &r),
                     TSR_E_MISMATCH);
    ck_assert(strstr(err.message, "empty") != NULL);
    tsr_graph_free(g);
    g = zoo(families[0]); /* the name of a node that folding leaves alone */
    for (size_t i = 0; i < g->n_node; i++)
        if (strcmp(g->node[i].op_type, "Gemm") == 0 || strcmp(g->node[i].op_type, "MatMul") == 0) exclude[0] = g->node[i].name;
    OK(quantise(g, &o, 8, &made, &r));
    ck_assert_int_eq(r.left, 1);
    tsr_graph_free(made);
    tsr_graph_free(g);
}
END_TEST

START_TEST(strange_numbers)
{
    struct tsr_graph *g = zoo(families[2]), *made;
    struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_INT8);
    struct tsr_quantise_report r;
    struct tsr_tensor *w = NULL;
    for (size_t v = 0; v < g->n_value && w == NULL; v++)
        if (g->value[v].trainable && g->value[v].init.shape.rank == 4 && g->value[v].init.shape.dim[1] > 1) w = &g->value[v].init;
    ck_assert(w != NULL);
    float *x = w->data;
    int64_t each = tsr_tensor_count(w) / w->shape.dim[0];
    for (int64_t i = 0; i < each; i++) x[i] = 0; /* a channel of zeros has a scale, too */
    OK(quantise(g, &o, 40, &made, &r));
    for (size_t v = 0; v < made->n_value; v++) {
        const struct tsr_tensor *t = &made->value[v].init;
        bool scale = made->value[v].is_init && t->dtype == TSR_F32 && strstr(made->value[v].name, "_scale") != NULL;
        for (int64_t i = 0; scale && i < tsr_tensor_count(t); i++) ck_assert(((const float *)t->data)[i] > 0);
    }
    ck_assert(r.kl < 1e-3);
    tsr_graph_free(made);
    x[0] = NAN; /* reaches the activations */
    ck_assert_int_eq(quantise(g, &o, 8, &made, &r), TSR_E_NUMERIC);
    ck_assert(strstr(err.message, "NaN") != NULL);
    tsr_graph_free(g);
    g = zoo(families[7]); /* a weight that no sample reaches: an embedding */
    for (size_t v = 0; v < g->n_value; v++)
        if (g->value[v].trainable && g->value[v].init.shape.rank == 2 && g->value[v].init.shape.dim[0] == 40)
            ((float *)g->value[v].init.data)[39 * 16] = INFINITY;
    ck_assert_int_eq(quantise(g, &o, 8, &made, &r), TSR_E_NUMERIC);
    tsr_graph_free(g);
}
END_TEST

START_TEST(pruning)
{
    struct tsr_prune p;
    static const char *const bad[] = {"", "0", "1", "1.5", "-0.5", "2:2", "0:4", "4:2", "2:", ":4", "2:4x", "1:65", "x", "2 : 4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_int_eq(tsr_prune_parse(bad[i], &p, &err), TSR_E_USAGE);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct tsr_graph *g = zoo(families[i]);
        int64_t zeros, weights;
        OK(tsr_prune_parse("0.5", &p, &err));
        OK(tsr_prune(g, &p, &zeros, &weights, &err));
        ck_assert_msg(llabs(2 * zeros - weights) <= 200, "%s: %lld of %lld", families[i], (long long)zeros, (long long)weights);
        tsr_graph_free(g);
        g = zoo(families[i]);
        OK(tsr_prune_parse("1:4", &p, &err));
        OK(tsr_prune(g, &p, &zeros, &weights, &err));
        ck_assert(zeros > weights / 8 && zeros <= weights * 3 / 4); /* kernels of one channel keep all */
        struct tsr_quantise_options o = tsr_quantise_defaults(TSR_GRID_INT8);
        struct tsr_quantise_report r;
        struct tsr_graph *made;
        o.prune = p; /* nothing more to prune: zeros stay zeros */
        OK(quantise(g, &o, 8, &made, &r));
        ck_assert_int_eq(r.zeros, zeros);
        int64_t kept = 0;
        for (size_t v = 0; v < made->n_value; v++) {
            const struct tsr_tensor *t = &made->value[v].init;
            if (!made->value[v].is_init || t->dtype != TSR_I8 || t->shape.rank < 2) continue;
            for (int64_t k = 0; k < tsr_tensor_count(t); k++) kept += ((const int8_t *)t->data)[k] == 0;
        }
        ck_assert_int_ge(kept, zeros);
        tsr_graph_free(made);
        tsr_graph_free(g);
    }
}
END_TEST

START_TEST(short_of_memory)
{
    struct tsr_graph *g = zoo("dscnn width=4 depth=1 classes=3 input=1x8x8");
    for (int k = 0; k < 3; k++) {
        static const enum tsr_grid grids[] = {TSR_GRID_INT8, TSR_GRID_W4A4, TSR_GRID_F16};
        struct tsr_quantise_options o = tsr_quantise_defaults(grids[k]);
        struct tsr_quantise_report r;
        struct tsr_graph *made;
        struct tsr_tensor x;
        white_samples(g, 3, &x);
        for (long n = 1;; n += 1 + n / 16) {
            struct tsr_quantiser *q;
            made = NULL;
            tsr_mem_fail_after(n);
            enum tsr_status s = tsr_quantiser_new(g, &o, &q, &err);
            if (s == TSR_OK && tsr_quantiser_wants_samples(q)) s = tsr_quantiser_block(q, &x, 1, &err);
            if (s == TSR_OK) s = tsr_quantiser_finish(q, &made, &r, &err);
            tsr_mem_fail_after(0);
            tsr_quantiser_free(q);
            tsr_graph_free(made);
            if (s == TSR_OK) break;
            ck_assert_msg(s == TSR_E_NOMEM, "%s: %s", tsr_status_name(s), err.message);
            ck_assert(n < 200000);
        }
        tsr_tensor_release(&x);
    }
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/model");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, int8);
    tcase_add_test(c, weights_listed_as_inputs);
    tcase_add_test(c, four_bits);
    tcase_add_test(c, half_precision);
    tcase_add_test(c, half_precision_keeps_scales);
    tcase_add_test(c, half_precision_of_masks);
    tcase_add_test(c, bodies);
    tcase_add_test(c, embeddings);
    tcase_add_test(c, the_same_with_any_number_of_threads);
    tcase_add_test(c, excluded_and_refused);
    tcase_add_test(c, strange_numbers);
    tcase_add_test(c, pruning);
    tcase_add_test(c, short_of_memory);
    suite_add_tcase(s, c);
    return run_suite(s);
}
