/* How many samples run at once, and models that take a fixed number of them. */
#include "iotest.h"

#include <math.h>
#include <string.h>

static struct tsr_graph *model(const char *text)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse(text, &spec, &err));
    OK(tsr_zoo_build(&spec, &g, &err));
    return g;
}

static void samples(const struct tsr_graph *g, int64_t n, struct tsr_tensor *x)
{
    struct tsr_shape shape = g->value[g->input[0]].shape;
    struct tsr_rng r;
    shape.dim[0] = n;
    OK(tsr_tensor_zeros(x, TSR_F32, shape.rank, shape.dim, &err));
    tsr_rng_init(&r, 8, 0);
    for (int64_t i = 0; i < tsr_tensor_count(x); i++) ((float *)x->data)[i] = tsr_rng_normal(&r);
}

static int64_t chosen(const struct tsr_graph *g, struct tsr_pool *pool)
{
    struct tsr_session_options o = {.pool = pool};
    struct tsr_session *s;
    struct tsr_tensor x;
    int64_t rows;
    OK(tsr_session_new(g, &o, &s, &err));
    samples(g, 2, &x);
    OK(tsr_batch_choose(s, g, &x, 1, g->output, 1, &rows, &err));
    tsr_session_free(s);
    tsr_tensor_release(&x);
    return rows;
}

/* Small samples: as many as is good; larger ones: as many as stay near; large ones: a few; huge ones: one. Threads do not matter. */
START_TEST(by_memory)
{
    struct tsr_graph *g = model("mlp width=16 depth=1 input=8 classes=3");
    struct tsr_pool *pool;
    OK(tsr_pool_new(3, &pool, &err));
    ck_assert_int_eq(chosen(g, NULL), TSR_BATCH_ROWS);
    tsr_graph_free(g);
    g = model("conv1d width=64 depth=1 input=4x4096 classes=3"); /* a value has 1 MiB */
    int64_t n = chosen(g, NULL);
    ck_assert_int_eq(n, TSR_BATCH_FEW);
    ck_assert_int_eq(n, chosen(g, pool));
    tsr_graph_free(g);
    g = model("conv1d width=64 depth=1 input=4x128 classes=3"); /* 32 KiB */
    n = chosen(g, NULL);
    ck_assert_msg(n > TSR_BATCH_FEW && n <= 128, "%lld", (long long)n);
    tsr_graph_free(g);
    g = model("conv1d width=16 depth=1 input=1x600000 classes=3"); /* 37 MiB, two of them at once */
    ck_assert_int_eq(chosen(g, NULL), 1);
    tsr_graph_free(g);
    tsr_pool_free(pool);
}
END_TEST

/* A model whose input says 4 answers 1, 4, 6 and 9 samples as the free one does. */
START_TEST(fixed_batch)
{
    struct tsr_graph *g = model("conv1d width=8 depth=1 input=3x9 classes=5"), *fixed = model("conv1d width=8 depth=1 input=3x9 classes=5");
    struct tsr_tensor x;
    float free_answer[9 * 5], answer[9 * 5];
    fixed->value[fixed->input[0]].shape.dim[0] = 4;
    ck_assert_int_eq(tsr_batch_fixed(g), 0);
    ck_assert_int_eq(tsr_batch_fixed(fixed), 4);
    static const int64_t counts[] = {1, 4, 6, 9};
    for (size_t i = 0; i < 4; i++) {
        samples(g, counts[i], &x);
        OK(tsr_predict(g, g->output[0], &x, 5, NULL, free_answer, &err));
        OK(tsr_predict(fixed, fixed->output[0], &x, 5, NULL, answer, &err));
        ck_assert_mem_eq(answer, free_answer, (size_t)counts[i] * 5 * sizeof *answer);
        tsr_tensor_release(&x);
    }
    tsr_graph_free(g);
    tsr_graph_free(fixed);
}
END_TEST

/* A value that does not begin with the batch can be had for whole batches only. */
START_TEST(filled_up_within)
{
    struct tsr_graph *g = model("lstm width=8 depth=1 input=3x6 classes=5");
    struct tsr_session *s;
    struct tsr_tensor x, z;
    int64_t rows;
    int32_t block = tsr_graph_find(g, "block1");
    g->value[g->input[0]].shape.dim[0] = 4;
    samples(g, 4, &x);
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(tsr_batch_choose(s, g, &x, 1, &block, 1, &rows, &err));
    ck_assert_int_eq(rows, 4);
    OK(tsr_batch_value(s, g, block, 4, &z, &err));
    FAILS(TSR_E_MISMATCH, "multiple of 4", tsr_batch_value(s, g, block, 3, &z, &err));
    tsr_session_free(s);
    tsr_tensor_release(&x);
    tsr_graph_free(g);
}
END_TEST

/* x[4, 2, 3] -> Reshape by `shape`, an initialiser or a Constant -> MatMul with w[width, 2]: y. */
static struct tsr_graph *reshaped(const int64_t *shape, int64_t rank, int64_t width, bool node)
{
    static const int64_t in[] = {4, 2, 3}, out[] = {4, 2};
    struct tsr_graph *g;
    struct tsr_tensor s, w;
    OK(tsr_graph_new(&g, &err));
    g->ir_version = 8;
    OK(tsr_graph_opset(g, "", 17, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 3, in, NULL, &err));
    OK(tsr_tensor_zeros(&s, TSR_I64, 1, &rank, &err));
    memcpy(s.data, shape, (size_t)rank * sizeof *shape);
    if (node) {
        OK(tsr_graph_add_node(g, "Constant", "", NULL, 0, NULL, 1, (const char *[]){"s"}, &err));
        OK(tsr_graph_attr_tensor(g, "value", &s, &err));
    } else {
        OK(tsr_graph_add_init(g, "s", &s, &err));
    }
    OK(tsr_tensor_zeros(&w, TSR_F32, 2, (const int64_t[]){width, 2}, &err));
    for (int64_t i = 0; i < 2 * width; i++) ((float *)w.data)[i] = 0.25f * (float)(i % 5) - 0.4f;
    OK(tsr_graph_add_init(g, "w", &w, &err));
    OK(tsr_graph_add_node(g, "Reshape", "", NULL, 2, (const char *[]){"x", "s"}, 1, (const char *[]){"f"}, &err));
    OK(tsr_graph_add_node(g, "MatMul", "", NULL, 2, (const char *[]){"f", "w"}, 1, (const char *[]){"y"}, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, 2, out, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    return g;
}

/* What is declared, and what Reshape was given, follow any batch and are declared again. */
START_TEST(freed)
{
    static const struct {
        int64_t shape[3], rank, width;
        bool node;
    } cases[] = {{{4, 6}, 2, 6, false}, {{4, 6}, 2, 6, true}, {{4, -1}, 2, 6, false}, {{4, -1}, 2, 6, true}, {{-1, 6}, 2, 6, false}, {{0, -1}, 2, 6, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tsr_graph *g = reshaped(cases[i].shape, cases[i].rank, cases[i].width, cases[i].node);
        struct tsr_tensor x;
        float want[8 * 2], answer[8 * 2];
        int64_t fixed;
        samples(g, 8, &x);
        OK(tsr_predict(g, g->output[0], &x, 2, NULL, want, &err)); /* four at a time */
        OK(tsr_anybatch_begin(g, &fixed, &err));
        ck_assert_int_eq(fixed, 4);
        ck_assert_int_eq(tsr_batch_fixed(g), 0);
        ck_assert_int_eq(g->value[g->output[0]].shape.dim[0], -1);
        for (int k = 0; k < 2; k++) {
            OK(tsr_predict(g, g->output[0], &x, 2, NULL, answer, &err));
            for (int j = 0; j < 16; j++) ck_assert(fabsf(want[j] - answer[j]) < 1e-5f);
            tsr_anybatch_end(g, fixed);
            ck_assert_int_eq(tsr_batch_fixed(g), 4);
            ck_assert_int_eq(g->value[g->output[0]].shape.dim[0], 4);
        }
        tsr_tensor_release(&x);
        tsr_graph_free(g);
    }
}
END_TEST

/* A batch that goes into the features, or a model that has none, stays; a graph that was refused is as it was. */
START_TEST(not_freed)
{
    struct tsr_graph *g = reshaped((const int64_t[]){2, 12}, 2, 12, false); /* samples meet */
    int64_t fixed;
    g->value[g->output[0]].shape.dim[0] = 2;
    FAILS(TSR_E_UNSUPPORTED, "dynamic_axes={'x': {0: 'n'}}", tsr_anybatch_begin(g, &fixed, &err));
    g->value[g->output[0]].shape.dim[0] = 4;
    FAILS(TSR_E_UNSUPPORTED, "exactly 4 samples", tsr_anybatch_begin(g, &fixed, &err));
    ck_assert_int_eq(fixed, 0);
    ck_assert_int_eq(tsr_batch_fixed(g), 4);
    ck_assert_int_eq(((const int64_t *)g->value[tsr_graph_find(g, "s")].init.data)[0], 2);
    tsr_graph_free(g);
    g = model("mlp width=8 depth=1 input=6 classes=3");
    OK(tsr_anybatch_begin(g, &fixed, &err));
    ck_assert_int_eq(fixed, 0);
    tsr_graph_free(g);
}
END_TEST

START_TEST(freed_short_of_memory)
{
    struct tsr_graph *g = reshaped((const int64_t[]){4, 6}, 2, 6, true);
    struct tsr_error err;
    int64_t fixed;
    for (long n = 1;; n++) {
        tsr_mem_fail_after(n);
        enum tsr_status s = tsr_anybatch_begin(g, &fixed, &err);
        tsr_mem_fail_after(0);
        if (s == TSR_OK) break;
        ck_assert_msg(s == TSR_E_NOMEM, "%s: %s", tsr_status_name(s), err.message);
        ck_assert_int_eq(tsr_batch_fixed(g), 4);
        ck_assert(n < 20000);
    }
    tsr_graph_free(g);
}
END_TEST

/* y = x * scale, with a number of its own for every sample: they run one at a time. */
START_TEST(number_a_sample)
{
    struct tsr_graph *g;
    struct tsr_session *s;
    struct tsr_tensor in[2], y;
    int64_t rows;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 13, &err));
    OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, 2}, NULL, &err));
    OK(tsr_graph_add_input(g, "scale", TSR_F32, 0, NULL, NULL, &err));
    OK(tsr_graph_add_node(g, "Mul", "", NULL, 2, (const char *const[]){"x", "scale"}, 1, (const char *const[]){"y"}, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    OK(tsr_session_new(g, NULL, &s, &err));
    for (int k = 0; k < 2; k++) {
        OK(tsr_tensor_zeros(&in[k], TSR_F32, 2 - k, (const int64_t[]){3, 2}, &err));
        for (int64_t i = 0; i < tsr_tensor_count(&in[k]); i++) ((float *)in[k].data)[i] = (float)(i + 1);
    }
    OK(tsr_batch_choose(s, g, in, 2, g->output, 1, &rows, &err));
    ck_assert_int_eq(rows, 1);
    for (int64_t at = 0; at < 3; at++) {
        for (int k = 0; k < 2; k++) OK(tsr_batch_input(s, g, g->input[k], &in[k], at, 1, &err));
        OK(tsr_session_run(s, g->output, 1, &err));
        OK(tsr_batch_value(s, g, g->output[0], 1, &y, &err));
        ck_assert(((const float *)y.data)[1] == (float)((2 * at + 2) * (at + 1)));
    }
    for (int k = 0; k < 2; k++) tsr_tensor_release(&in[k]);
    tsr_session_free(s);
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {by_memory, fixed_batch, number_a_sample, filled_up_within, freed, not_freed, freed_short_of_memory};
    return run_tests("batch", tests, sizeof tests / sizeof *tests);
}
