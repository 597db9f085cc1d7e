/* Models with large initialisers: their elements are read into memory of their own, from a file as
 * from a pipe, cut short or not; or they are written to, and mapped from, a file beside the model. */
#include "iotest.h"

#include <string.h>
#include <sys/stat.h>

enum { ROWS = 300, COLUMNS = 111 }; /* 133200 bytes: above what is parsed with the rest */

/* y = x W1 W2, in float and in double, and a small bias. */
static struct tsr_graph *two_layers(void)
{
    struct tsr_graph *g;
    struct tsr_tensor t;
    OK(tsr_graph_new(&g, &err));
    OK(tsr_graph_opset(g, "", 17, &err));
    const int64_t in[2] = {-1, ROWS};
    OK(tsr_graph_add_input(g, "x", TSR_F32, 2, in, NULL, &err));
    const char *const name[3] = {"w1", "w2", "b"};
    const int64_t dim[3][2] = {{ROWS, COLUMNS}, {COLUMNS, ROWS}, {1, ROWS}};
    for (int k = 0; k < 3; k++) {
        OK(tsr_tensor_zeros(&t, TSR_F32, 2, dim[k], &err));
        for (int64_t i = 0; i < tsr_tensor_count(&t); i++) ((float *)t.data)[i] = (float)(i % 1013 + k);
        OK(tsr_graph_add_init(g, name[k], &t, &err));
    }
    OK(tsr_graph_add_node(g, "MatMul", "", NULL, 2, (const char *const[]){"x", "w1"}, 1, (const char *const[]){"h"}, &err));
    OK(tsr_graph_add_node(g, "MatMul", "", NULL, 2, (const char *const[]){"h", "w2"}, 1, (const char *const[]){"z"}, &err));
    OK(tsr_graph_add_node(g, "Add", "", NULL, 2, (const char *const[]){"z", "b"}, 1, (const char *const[]){"y"}, &err));
    OK(tsr_graph_add_output(g, "y", TSR_F32, -1, NULL, NULL, &err));
    OK(tsr_graph_finish(g, &err));
    g->name = tsr_strdup("two");
    g->producer = tsr_strdup("test");
    return g;
}

static struct tsr_buf written(const struct tsr_graph *g)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink;
    OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
    OK(tsr_onnx_save(g, sink, &err));
    OK(tsr_sink_close(sink, &err));
    return b;
}

static void expect_same(const struct tsr_graph *a, const struct tsr_graph *b)
{
    uint8_t first[32], second[32];
    tsr_onnx_digest(a, first);
    tsr_onnx_digest(b, second);
    ck_assert_mem_eq(first, second, sizeof first);
}

START_TEST(memory_file_and_pipe)
{
    struct tsr_graph *g = two_layers(), *again;
    struct tsr_buf b = written(g);
    char path[300];
    OK(tsr_onnx_load_memory(b.data, b.len, "m", NULL, &again, &err));
    expect_same(g, again);
    tsr_graph_free(again);
    scratch_path(path, sizeof path, "large.onnx");
    spill(path, b.data, b.len);
    OK(tsr_onnx_load(path, &again, &err));
    expect_same(g, again);
    tsr_graph_free(again);
    char command[400];
    (void)snprintf(command, sizeof command, "cat '%s'", path);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    int keep = dup(STDIN_FILENO);
    ck_assert_int_ge(dup2(fileno(pipe), STDIN_FILENO), 0);
    OK(tsr_onnx_load("-", &again, &err));
    (void)dup2(keep, STDIN_FILENO);
    (void)close(keep);
    ck_assert_int_eq(pclose(pipe), 0);
    expect_same(g, again);
    tsr_graph_free(again);
    (void)unlink(path);
    tsr_graph_free(g);
    tsr_buf_release(&b);
}
END_TEST

/* Wherever it is cut, the model is refused; nothing leaks. */
START_TEST(cut_short)
{
    struct tsr_graph *g = two_layers(), *again;
    struct tsr_buf b = written(g);
    for (size_t n = 0; n < b.len; n += n < 200 || n > b.len - 400 ? 1 : 997) {
        enum tsr_status status = tsr_onnx_load_memory(b.data, n, "m", NULL, &again, NULL);
        ck_assert_msg(status == TSR_E_TRUNCATED || status == TSR_E_FORMAT || status == TSR_E_CORRUPT,
                      "%zu of %zu bytes: %s", n, b.len, tsr_status_name(status));
        ck_assert_ptr_null(again);
    }
    tsr_graph_free(g);
    tsr_buf_release(&b);
}
END_TEST

static size_t find_bytes(const struct tsr_buf *b, const void *what, size_t n)
{
    uint8_t *p = memmem(b->data, b->len, what, n);
    ck_assert_ptr_nonnull(p);
    return (size_t)(p - b->data);
}

/* A length that no bytes back allocates nothing. */
START_TEST(claims)
{
    struct tsr_graph *g = two_layers(), *again;
    struct tsr_buf b = written(g);
    const uint8_t head[] = {0x4a, 0xd0, 0x90, 0x08}; /* raw_data of 133200 bytes */
    size_t at = find_bytes(&b, head, sizeof head);
    b.data[at + 3] = 0x7f; /* 266 MB */
    FAILS(TSR_E_CORRUPT, "'m'", tsr_onnx_load_memory(b.data, b.len, "m", NULL, &again, &err));
    b.data[at + 3] = 0x07; /* too few for the shape; what follows is no field of a tensor */
    enum tsr_status status = tsr_onnx_load_memory(b.data, b.len, "m", NULL, &again, NULL);
    ck_assert_int_ne(status, TSR_OK);
    ck_assert_ptr_null(again);
    tsr_graph_free(g);
    tsr_buf_release(&b);
}
END_TEST

static enum tsr_status load(const struct tsr_buf *b, struct tsr_error *e)
{
    struct tsr_graph *g;
    enum tsr_status status = tsr_onnx_load_memory(b->data, b->len, "m", NULL, &g, e);
    tsr_graph_free(g);
    return status;
}

static enum tsr_status save_apart(const struct tsr_graph *g, struct tsr_buf *message, struct tsr_buf *data,
                                  struct tsr_error *e)
{
    struct tsr_sink *a = NULL, *b = NULL;
    tsr_buf_release(message);
    tsr_buf_release(data);
    enum tsr_status status = tsr_sink_from_memory(message, "message", &a, e);
    if (status == TSR_OK) status = tsr_sink_from_memory(data, "data", &b, e);
    if (status == TSR_OK) status = tsr_onnx_save_external(g, a, b, "w.bin", e);
    if (status == TSR_OK) status = tsr_sink_close(a, e), a = NULL;
    if (status == TSR_OK) status = tsr_sink_close(b, e), b = NULL;
    tsr_sink_abandon(a);
    tsr_sink_abandon(b);
    return status;
}

/* The data file holds w1 and w2 from whole pages on; the bias stays in the message. */
START_TEST(apart)
{
    struct tsr_graph *g = two_layers(), *again;
    struct tsr_buf message = {0}, data = {0};
    char folder[300], path[400];
    OK(save_apart(g, &message, &data, &err));
    const size_t bytes = ROWS * COLUMNS * sizeof(float), second = (bytes + 4095) / 4096 * 4096;
    ck_assert_uint_eq(data.len, second + bytes);
    ck_assert_uint_lt(message.len, 2048);
    ck_assert_mem_eq(data.data + second, g->value[tsr_graph_find(g, "w2")].init.data, bytes);
    scratch_path(folder, sizeof folder, "apart");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/w.bin", folder);
    spill(path, data.data, data.len);
    OK(tsr_onnx_load_memory(message.data, message.len, "m", folder, &again, &err));
    expect_same(g, again);
    const char *w1 = again->value[tsr_graph_find(again, "w1")].init.data;
    const char *w2 = again->value[tsr_graph_find(again, "w2")].init.data;
    ck_assert_msg(w2 - w1 == (ptrdiff_t)second, "the file is not mapped once");
    ck_assert(!tsr_tensor_unique(&again->value[tsr_graph_find(again, "w1")].init)); /* nobody may write there */
    /* Two tensors may lie in the same bytes. */
    struct tsr_graph *both;
    char *offset = memmem(message.data, message.len, "135168", 6);
    ck_assert_ptr_nonnull(offset);
    memcpy(offset, "000000", 6);
    OK(tsr_onnx_load_memory(message.data, message.len, "m", folder, &both, &err));
    ck_assert_ptr_eq(both->value[tsr_graph_find(both, "w1")].init.data, both->value[tsr_graph_find(both, "w2")].init.data);
    tsr_graph_free(both);
    memcpy(offset, "135172", 6); /* the last element lies behind the end */
    FAILS(TSR_E_TRUNCATED, "w.bin", tsr_onnx_load_memory(message.data, message.len, "m", folder, &both, &err));
    TORTURE(save_apart(g, &message, &data, &err));
    (void)unlink(path);
    (void)rmdir(folder);
    /* The mapping outlives the file's name. */
    expect_same(g, again);
    tsr_graph_free(again);
    tsr_graph_free(g);
    tsr_buf_release(&message);
    tsr_buf_release(&data);
}
END_TEST

START_TEST(short_of_memory)
{
    struct tsr_graph *g = two_layers();
    struct tsr_buf b = written(g);
    TORTURE(load(&b, &err));
    tsr_graph_free(g);
    tsr_buf_release(&b);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {memory_file_and_pipe, cut_short, claims, apart, short_of_memory};
    return run_tests("onnx_read", tests, sizeof tests / sizeof *tests);
}
