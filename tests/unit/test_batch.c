/* How many samples run at once, and models that take a fixed number of them. */
#include "iotest.h"

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

int main(void)
{
    const TTest *const tests[] = {by_memory, fixed_batch, filled_up_within};
    return run_tests("batch", tests, sizeof tests / sizeof *tests);
}
