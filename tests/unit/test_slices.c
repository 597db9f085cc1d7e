/* Rows of nodes run a few samples at a time: the bits are those of the samples run one by one, whatever the
 * number of threads, also of values in the middle of a row. */
#include "suite.h"
#include <stdlib.h>
#include <string.h>

#include "graph/session_impl.h"
#include "tessera.h"

#define OK(expression)                                                                                                 \
    do {                                                                                                               \
        struct tsr_error err = {0};                                                                                    \
        enum tsr_status status = (expression);                                                                         \
        ck_assert_msg(status == TSR_OK, "%s", err.message);                                                            \
    } while (0)

static const struct {
    const char *spec;
    int64_t samples;
} zoo[] = {
    {"dscnn width=48 depth=3 input=1x40x40 classes=5", 45},
    {"mobilenetv2 width=16 depth=5 input=3x40x40 classes=5", 45},
    {"transformer width=96 depth=2 heads=2 input=70x20 classes=5", 61},
    {"resnet18 width=16 depth=2 input=3x96x96 classes=5", 13},
};

static struct tsr_graph *network(const char *spec)
{
    struct tsr_zoo_spec parsed;
    struct tsr_graph *g, *fused;
    OK(tsr_zoo_parse(spec, &parsed, &err));
    OK(tsr_zoo_build(&parsed, &g, &err));
    OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
    tsr_graph_free(g);
    return fused;
}

static struct tsr_tensor random_input(const struct tsr_graph *g, int64_t samples)
{
    struct tsr_tensor t;
    struct tsr_rng r;
    struct tsr_shape shape = g->value[g->input[0]].shape;
    shape.dim[0] = samples;
    tsr_rng_init(&r, 3, 0);
    OK(tsr_tensor_zeros(&t, TSR_F32, shape.rank, shape.dim, &err));
    for (int64_t i = 0; i < tsr_tensor_count(&t); i++) ((float *)t.data)[i] = tsr_rng_float(&r) - 0.5f;
    return t;
}

/* Sample i of t, borrowed. */
static struct tsr_tensor sample(const struct tsr_tensor *t, int64_t i)
{
    struct tsr_tensor one = {.dtype = t->dtype, .shape = t->shape};
    one.data = (float *)t->data + i * (tsr_tensor_count(t) / t->shape.dim[0]);
    one.shape.dim[0] = 1;
    return one;
}

/* The output, and what the second convolution or product gives. */
static void wanted(const struct tsr_graph *g, int32_t want[2])
{
    int seen = 0;
    want[0] = g->output[0], want[1] = -1;
    for (size_t i = 0; i < g->n_node && want[1] < 0; i++)
        if ((strcmp(g->node[i].op_type, "Conv") == 0 || strcmp(g->node[i].op_type, "Linear") == 0) && seen++ == 1) want[1] = g->node[i].out[0];
    ck_assert_int_ge(want[1], 0);
}

static size_t sliced(const struct tsr_session *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->g->n_node; i++) n += s->node[i].warm;
    return n;
}

static void same_samples(const struct tsr_tensor *all, const struct tsr_tensor *one, int64_t i, const char *what)
{
    struct tsr_tensor part = sample(all, i);
    ck_assert_msg(tsr_shape_equal(&part.shape, &one->shape) && memcmp(part.data, one->data, tsr_tensor_bytes(one)) == 0,
                  "sample %d of %s is not what it is alone", (int)i, what);
}

START_TEST(same_bits)
{
    struct tsr_graph *g = network(zoo[_i].spec);
    struct tsr_tensor x = random_input(g, zoo[_i].samples), one[2];
    struct tsr_session *alone, *s[3];
    struct tsr_pool *pool[3];
    int32_t want[2];
    wanted(g, want);
    OK(tsr_session_new(g, NULL, &alone, &err));
    for (int t = 0; t < 3; t++) {
        OK(tsr_pool_new(1 + t, &pool[t], &err));
        const struct tsr_session_options options = {.pool = pool[t]};
        OK(tsr_session_new(g, &options, &s[t], &err));
    }
    for (int again = 0; again < 2; again++) { /* cold and warm */
        for (int t = 0; t < 3; t++) {
            OK(tsr_session_set_input(s[t], g->input[0], &x, &err));
            OK(tsr_session_run(s[t], want, 2, &err));
            ck_assert_uint_gt(sliced(s[t]), 2);
        }
        for (int64_t i = 0; i < zoo[_i].samples; i += 4) {
            struct tsr_tensor part = sample(&x, i);
            OK(tsr_session_call(alone, &part, 1, want, 2, one, &err));
            for (int t = 0; t < 3; t++)
                for (int k = 0; k < 2; k++) same_samples(tsr_session_value(s[t], want[k]), &one[k], i, zoo[_i].spec);
            for (int k = 0; k < 2; k++) tsr_tensor_release(&one[k]);
        }
    }
    ck_assert_uint_eq(sliced(alone), 0);
    tsr_session_free(alone);
    for (int t = 0; t < 3; t++) {
        tsr_session_free(s[t]);
        tsr_pool_free(pool[t]);
    }
    tsr_tensor_release(&x);
    tsr_graph_free(g);
}
END_TEST

/* Other numbers of samples, then other values, in one session. */
START_TEST(changing)
{
    struct tsr_graph *g = network(zoo[0].spec);
    struct tsr_tensor x = random_input(g, zoo[0].samples), y[2], z[2];
    struct tsr_session *s;
    int32_t want[2];
    wanted(g, want);
    OK(tsr_session_new(g, NULL, &s, &err));
    OK(tsr_session_call(s, &x, 1, want, 2, y, &err));
    for (int64_t n = zoo[0].samples - 7; n >= 0; n -= 19) {
        struct tsr_tensor part = x;
        part.storage = NULL, part.shape.dim[0] = n;
        OK(tsr_session_call(s, &part, 1, want, n % 2 ? 1 : 2, z, &err));
        for (int k = 0; k < (n % 2 ? 1 : 2); k++) {
            ck_assert_int_eq(memcmp(y[k].data, z[k].data, tsr_tensor_bytes(&z[k])), 0);
            tsr_tensor_release(&z[k]);
        }
    }
    for (int k = 0; k < 2; k++) tsr_tensor_release(&y[k]);
    tsr_session_free(s);
    tsr_tensor_release(&x);
    tsr_graph_free(g);
}
END_TEST

/* Every allocation fails once: a clean error, and the next run is right. */
START_TEST(memory)
{
    struct tsr_graph *g = network(zoo[0].spec);
    struct tsr_tensor x = random_input(g, zoo[0].samples), y, z;
    struct tsr_pool *pool;
    enum tsr_status result = TSR_E_NOMEM;
    OK(tsr_pool_new(2, &pool, &err));
    const struct tsr_session_options options = {.pool = pool};
    for (long n = 1; n < 2000 && result != TSR_OK; n += 1 + n / 10) {
        struct tsr_session *s;
        OK(tsr_session_new(g, &options, &s, &err));
        tsr_mem_fail_after(n);
        result = tsr_session_call(s, &x, 1, g->output, 1, &y, NULL);
        tsr_mem_fail_after(0);
        ck_assert_msg(result == TSR_OK || result == TSR_E_NOMEM, "allocation %ld: %s", n, tsr_status_name(result));
        OK(tsr_session_call(s, &x, 1, g->output, 1, &z, &err));
        if (result == TSR_OK) {
            ck_assert_int_eq(memcmp(y.data, z.data, tsr_tensor_bytes(&y)), 0);
            tsr_tensor_release(&y);
        }
        tsr_tensor_release(&z);
        tsr_session_free(s);
    }
    ck_assert_int_eq(result, TSR_OK);
    tsr_pool_free(pool);
    tsr_tensor_release(&x);
    tsr_graph_free(g);
}
END_TEST

/* A limit that the whole batch would pass holds for slices too. */
START_TEST(limit)
{
    struct tsr_graph *g = network(zoo[0].spec);
    struct tsr_tensor x = random_input(g, zoo[0].samples), y;
    const struct tsr_session_options options = {.max_bytes = 100000};
    struct tsr_session *s;
    struct tsr_error why = {0};
    OK(tsr_session_new(g, &options, &s, &err));
    ck_assert_int_eq(tsr_session_call(s, &x, 1, g->output, 1, &y, &why), TSR_E_NOMEM);
    ck_assert_str_ne(why.message, "");
    tsr_session_free(s);
    tsr_tensor_release(&x);
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("slices");
    TCase *c = tcase_create("slices");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, same_bits, 0, (int)(sizeof zoo / sizeof *zoo));
    tcase_add_test(c, changing);
    tcase_add_test(c, memory);
    tcase_add_test(c, limit);
    suite_add_tcase(s, c);
    return run_suite(s);
}
