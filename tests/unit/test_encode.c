/* test_encode.c - from a model's answers to a stream, and from activations to hub tokens. */
#include "base/mem.h"
#include "stream/head.h"
#include "stream/keys.h"
#include "stream/rows.h"
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 30, D = 6, E = 4 };

#define OK(call) ck_assert_int_eq((call), TSR_OK)

static float sample[N * D];

static void setup(void)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 2, 0);
    for (int i = 0; i < N * D; i++) sample[i] = tsr_rng_normal(&r);
}

static struct tsr_graph *model(void)
{
    struct tsr_zoo_spec spec;
    struct tsr_graph *g;
    OK(tsr_zoo_parse("mlp input=6 classes=3 width=4 depth=1", &spec, NULL));
    OK(tsr_zoo_build(&spec, &g, NULL));
    return g;
}

/* The stream of the model's answers in blocks of `block` samples, appended to *to. */
static enum tsr_status transmit(const struct tsr_graph *g, int block, struct tsr_buf *to)
{
    struct tsr_transmit_options o = {.producer = "test", .outputs = true, .n_layers = 1, .layer = {"features"},
                                     .views = 3, .view_activations = true, .with_inputs = true, .dtype = TSR_F32, .seed = 1};
    struct tsr_sink *sink = NULL;
    struct tsr_stream_writer *w = NULL;
    struct tsr_transmitter *t = NULL;
    enum tsr_status status = tsr_sink_from_memory(to, "test", &sink, NULL);
    if (status == TSR_OK) status = tsr_writer_new(sink, 0, &w, NULL);
    if (status == TSR_OK) status = tsr_transmitter_new(g, &o, w, &t, NULL);
    for (int at = 0; at < N && status == TSR_OK; at += block) {
        struct tsr_tensor x = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {N - at < block ? N - at : block, D}},
                               .data = sample + at * D};
        status = tsr_transmitter_block(t, &x, 1, block >= N, NULL);
    }
    if (status == TSR_OK) status = tsr_transmitter_finish(t, NULL);
    tsr_transmitter_free(t);
    tsr_writer_free(w);
    tsr_sink_abandon(sink);
    return status;
}

static enum tsr_status encode(const struct tsr_buf *from, struct tsr_buf *to)
{
    struct tsr_encode_options o = {.producer = "test", .anchors = TSR_HUB_DIM, .rank = 64, .dtype = TSR_F32};
    struct tsr_encode_report report;
    struct tsr_source *source = NULL;
    struct tsr_stream *s = NULL;
    struct tsr_sink *sink = NULL;
    struct tsr_stream_writer *w = NULL;
    enum tsr_status status = tsr_source_from_memory(from->data, from->len, "test", &source, NULL);
    if (status == TSR_OK) status = tsr_stream_open(source, NULL, &s, NULL);
    if (status == TSR_OK) status = tsr_sink_from_memory(to, "test", &sink, NULL);
    if (status == TSR_OK) status = tsr_writer_new(sink, 0, &w, NULL);
    if (status == TSR_OK) status = tsr_encode(s, w, &o, &report, NULL);
    tsr_writer_free(w);
    tsr_sink_abandon(sink);
    tsr_stream_close(s);
    tsr_source_close(source);
    return status;
}

static enum tsr_status load(const struct tsr_buf *from, struct tsr_tokens *t)
{
    struct tsr_source *s;
    OK(tsr_source_from_memory(from->data, from->len, "test", &s, NULL));
    enum tsr_status status = tsr_tokens_load(s, NULL, t, NULL);
    tsr_source_close(s);
    return status;
}

START_TEST(rows_are_the_models_answers)
{
    struct tsr_graph *g = model();
    int32_t features = tsr_graph_find(g, "features");
    for (int block = 8; block <= N; block += N - 8) {
        struct tsr_buf acts = {0}, coded = {0};
        struct tsr_tokens t;
        OK(transmit(g, block, &acts));
        OK(encode(&acts, &coded));
        OK(load(&coded, &t));
        ck_assert(t.refs == N && t.rows == N * 4 && t.hub_rows == t.rows && t.anchors == block);
        float z[3], f[4], first[N * 4], c[4];
        struct tsr_hub_encoder e;
        for (int i = 0; i < N; i++) {
            struct tsr_tensor x = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {1, D}}, .data = sample + i * D};
            OK(tsr_predict(g, g->output[0], &x, 3, NULL, z, NULL));
            OK(tsr_predict(g, features, &x, 4, NULL, first + i * 4, NULL));
            for (int j = 0; j < 3; j++) ck_assert(fabsf(z[j] - t.out[i * 3 + j]) <= 1e-5f);
        }
        OK(tsr_hub_calibrate(&e, first, block, 4, 64, NULL));
        ck_assert_int_eq(e.rank, t.rank);
        /* views, too: row r is what the model says of the view that row r names */
        for (size_t r = 0; r < t.rows; r++) {
            struct tsr_token_row row = tsr_tokens_row(&t, r);
            struct tsr_view_plan plan;
            struct tsr_shape one = {.rank = 1, .dim = {D}};
            float v[D];
            memcpy(v, sample + row.ref * D, sizeof v);
            tsr_view_plan(&t.views, &t.key[row.ref], row.view, row.block->count, &plan);
            if (row.view > 0)
                tsr_view_make(&t.views, &plan, TSR_F32, &one, sample + row.ref * D,
                              sample + (row.block->first + plan.partner) * D, v);
            struct tsr_tensor x = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {1, D}}, .data = v};
            OK(tsr_predict(g, g->output[0], &x, 3, NULL, z, NULL));
            OK(tsr_predict(g, features, &x, 4, NULL, f, NULL));
            OK(tsr_hub_encode(&e, f, 1, c, NULL));
            for (int j = 0; j < 3; j++) ck_assert_msg(fabsf(z[j] - t.out[r * 3 + (size_t)j]) <= 1e-5f, "row %zu", r);
            for (int64_t j = 0; j < t.rank; j++)
                ck_assert_msg(fabsf(c[j] - t.hub[r * (size_t)t.rank + (size_t)j]) <= 1e-4f, "row %zu", r);
        }
        tsr_hub_encoder_release(&e);
        tsr_tokens_release(&t);
        tsr_buf_release(&acts);
        tsr_buf_release(&coded);
    }
    tsr_graph_free(g);
}
END_TEST

/* Outputs of several dimensions a sample are values; they are no class and no distribution. */
START_TEST(answers_of_many_positions_are_values)
{
    static const enum tsr_row_kind kind[] = {TSR_KIND_NONE, TSR_KIND_LOGITS, TSR_KIND_PROBABILITIES, TSR_KIND_ARGMAX};
    static const int64_t shape[][3] = {{0, 3, 2}, {0, 1, 6}};
    for (int k = 0; k < 8; k++) {
        const bool apart = k < 4;
        struct tsr_transmit_options o = {.producer = "test", .outputs = true, .kind = kind[k % 4], .dtype = TSR_F32};
        struct tsr_tensor x = {.dtype = TSR_F32, .shape = {.rank = 2, .dim = {N, D}}, .data = sample}, t;
        struct tsr_transmitter *to;
        struct tsr_stream_writer *w;
        struct tsr_sink *sink;
        struct tsr_buf b = {0};
        struct tsr_graph *g;
        OK(tsr_graph_new(&g, NULL));
        OK(tsr_graph_opset(g, "", 13, NULL));
        OK(tsr_graph_add_input(g, "x", TSR_F32, 2, (const int64_t[]){-1, D}, NULL, NULL));
        OK(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){3}, NULL));
        memcpy(t.data, shape[!apart], sizeof shape[0]);
        OK(tsr_graph_add_init(g, "shape", &t, NULL));
        OK(tsr_graph_add_node(g, "Reshape", "", NULL, 2, (const char *const[]){"x", "shape"}, 1, (const char *const[]){"z"}, NULL));
        OK(tsr_graph_add_node(g, "Softmax", "", NULL, 1, (const char *const[]){"z"}, 1, (const char *const[]){"y"}, NULL));
        OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, NULL));
        OK(tsr_graph_finish(g, NULL));
        OK(tsr_sink_from_memory(&b, "test", &sink, NULL));
        OK(tsr_writer_new(sink, 0, &w, NULL));
        OK(tsr_transmitter_new(g, &o, w, &to, NULL));
        const enum tsr_status status = tsr_transmitter_block(to, &x, 1, true, NULL);
        ck_assert_int_eq(status, apart && k > 1 ? TSR_E_MISMATCH : TSR_OK);
        ck_assert_int_eq(tsr_transmitter_answers_apart(to), apart);
        if (status == TSR_OK)
            ck_assert_int_eq(tsr_transmitter_kind(to), kind[k % 4] != TSR_KIND_NONE ? kind[k % 4] : apart ? TSR_KIND_REGRESSION : TSR_KIND_LOGITS);
        tsr_transmitter_free(to);
        tsr_writer_free(w);
        tsr_sink_abandon(sink);
        tsr_buf_release(&b);
        tsr_graph_free(g);
    }
}
END_TEST

/* A stream whose first activations are of `count` samples under `keys` keys. */
static void contradict(struct tsr_buf *to, size_t keys, int64_t count, int64_t block, float fill)
{
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_key key[N] = {{{0}}};
    float x[N * E];
    struct tsr_stream_head h = {.outputs = TSR_KIND_NONE};
    for (int i = 0; i < N * E; i++) x[i] = fill == 0 ? sample[i] : fill;
    OK(tsr_sink_from_memory(to, "test", &sink, NULL));
    OK(tsr_writer_new(sink, 0, &w, NULL));
    OK(tsr_stream_head_set(&h.producer, "test", NULL));
    OK(tsr_stream_head_put(w, &h, NULL));
    tsr_stream_head_release(&h);
    OK(tsr_keys_put(w, &(struct tsr_block_keys){.count = keys, .key = key}, NULL));
    struct tsr_rows r = {.type = TSR_ACTS, .layer = "fc", .block = block, .count = count,
                         .set = tsr_rowset_choose(TSR_F32, TSR_KIND_NONE, (size_t)count, E, 0)};
    OK(tsr_rows_put(w, &r, x, NULL));
    OK(tsr_writer_finish(w, NULL));
    tsr_writer_free(w);
    OK(tsr_sink_close(sink, NULL));
}

START_TEST(activations_that_contradict_their_keys_are_refused)
{
    static const struct {
        size_t keys;
        int64_t count, block;
        float fill;
        enum tsr_status status;
    } test[] = {
        {N, N, 0, 0, TSR_OK},
        {3, N, 0, 0, TSR_E_CORRUPT}, /* keys would be read past their end */
        {N, 3, 0, 0, TSR_E_CORRUPT},
        {N, N, 1, 0, TSR_E_CORRUPT},
        {1, 1, 0, 0, TSR_E_MISMATCH},
        {N, N, 0, 2, TSR_E_NUMERIC}, /* the same for all */
    };
    for (size_t i = 0; i < sizeof test / sizeof *test; i++) {
        struct tsr_buf from = {0}, to = {0};
        contradict(&from, test[i].keys, test[i].count, test[i].block, test[i].fill);
        enum tsr_status status = encode(&from, &to);
        ck_assert_msg(status == test[i].status, "%zu: %s", i, tsr_status_name(status));
        tsr_buf_release(&from);
        tsr_buf_release(&to);
    }
}
END_TEST

START_TEST(no_allocation_failure_leaks)
{
    struct tsr_graph *g = model();
    struct tsr_buf acts = {0}, to = {0};
    enum tsr_status status = TSR_E_NOMEM;
    for (long n = 1; n < 100000 && status != TSR_OK; n += 1 + n / 30) {
        tsr_buf_release(&acts);
        tsr_mem_fail_after(n);
        status = transmit(g, N, &acts);
        tsr_mem_fail_after(0);
        ck_assert_msg(status == TSR_OK || status == TSR_E_NOMEM, "extract, allocation %ld: %s", n, tsr_status_name(status));
    }
    OK(status);
    status = TSR_E_NOMEM;
    for (long n = 1; n < 100000 && status != TSR_OK; n += 1 + n / 30) {
        tsr_buf_release(&to);
        tsr_mem_fail_after(n);
        status = encode(&acts, &to);
        tsr_mem_fail_after(0);
        ck_assert_msg(status == TSR_OK || status == TSR_E_NOMEM, "encode, allocation %ld: %s", n, tsr_status_name(status));
    }
    OK(status);
    tsr_buf_release(&acts);
    tsr_buf_release(&to);
    tsr_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encode");
    TCase *t = tcase_create("encode");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, rows_are_the_models_answers);
    tcase_add_test(t, answers_of_many_positions_are_values);
    tcase_add_test(t, activations_that_contradict_their_keys_are_refused);
    tcase_add_test(t, no_allocation_failure_leaks);
    suite_add_tcase(s, t);
    return run_suite(s);
}
