/* Models with large initialisers: their elements are read into memory of their own, from a file as
 * from a pipe, cut short or not. */
#include "iotest.h"

#include <fcntl.h>
#include <string.h>

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
    const TTest *const tests[] = {memory_file_and_pipe, cut_short, claims, short_of_memory};
    return run_tests("onnx_read", tests, sizeof tests / sizeof *tests);
}
