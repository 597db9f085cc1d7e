/* Models that are large in one respect: loading them takes time and memory in proportion. */
#include "iotest.h"

#include <sys/resource.h>

typedef struct tsr_buf B;

/* The buffer has room: chain() sees to it. */
static void varint(B *b, uint64_t v)
{
    for (; v > 127; v >>= 7) b->data[b->len++] = (uint8_t)(v | 128);
    b->data[b->len++] = (uint8_t)v;
}

static void bytes(B *b, unsigned field, const void *p, size_t n)
{
    varint(b, field << 3 | 2);
    varint(b, n);
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

static void text(B *b, unsigned field, const char *s) { bytes(b, field, s, strlen(s)); }

static void node(B *graph, const char *op, const char *in, const char *out)
{
    uint8_t room[128];
    B n = {.data = room};
    text(&n, 1, in);
    text(&n, 2, out);
    text(&n, 4, op);
    bytes(graph, 1, n.data, n.len);
}

static void named(B *graph, unsigned field, const char *name)
{
    uint8_t room[128];
    B v = {.data = room};
    text(&v, 1, name);
    bytes(graph, field, v.data, v.len);
}

/* The graph, which is released, as a model of opset 17. */
static B model(B *graph)
{
    B m = {0};
    OK(tsr_buf_reserve(&m, graph->len + 64, &err));
    varint(&m, 8), varint(&m, 8);
    bytes(&m, 7, graph->data, graph->len);
    bytes(&m, 8, "\x10\x11", 2);
    tsr_buf_release(graph);
    return m;
}

/* x -> Relu -> v1 -> Relu ... -> vn, as nodes 0, 1, 2, ... or the other way round. */
static B chain(int n, bool backwards)
{
    B g = {0};
    char in[16], out[16];
    OK(tsr_buf_reserve(&g, (size_t)n * 40 + 64, &err));
    named(&g, 11, "v0");
    for (int i = 0; i < n; i++) {
        int k = backwards ? n - 1 - i : i;
        (void)snprintf(in, sizeof in, "v%d", k);
        (void)snprintf(out, sizeof out, "v%d", k + 1);
        node(&g, "Relu", in, out);
    }
    (void)snprintf(out, sizeof out, "v%d", n);
    named(&g, 12, out);
    return model(&g);
}

static double seconds(void)
{
    struct rusage r;
    (void)getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec * 1e-6;
}

/* A million nodes, in order and in the worst order. */
START_TEST(a_million_nodes)
{
    enum { N = 1000000 };
    struct tsr_graph *g;
    B m = chain(N, _i == 1);
    double before = seconds();
    OK(tsr_onnx_load_memory(m.data, m.len, "m", NULL, &g, &err));
    ck_assert_uint_eq(g->n_node, N);
    ck_assert_msg(seconds() - before < 60, "%g s", seconds() - before);
    ck_assert_uint_eq(g->n_warning, _i == 1);
    struct rusage r;
    (void)getrusage(RUSAGE_SELF, &r);
    if (getenv("VERBOSE")) printf("%g s, %ld MiB, file %zu MiB\n", seconds() - before, r.ru_maxrss / 1024, m.len >> 20);
    tsr_graph_free(g);
    tsr_buf_release(&m);
}
END_TEST

/* A node of many names: "Sum" of a0 .. an, or a call of the function F with them. */
static void wide(B *to, unsigned field, const char *op, const char *domain, int n)
{
    B m = {0};
    char name[16];
    OK(tsr_buf_reserve(&m, (size_t)n * 12 + 64, &err));
    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "a%d", i);
        text(&m, 1, name);
    }
    text(&m, 2, "y");
    text(&m, 4, op);
    if (*domain) text(&m, 7, domain);
    bytes(to, field, m.data, m.len);
    tsr_buf_release(&m);
}

/* A function of many inputs is called with as many: names are found without looking at all of them. */
START_TEST(a_wide_function)
{
    enum { N = 30000 };
    B g = {0}, f = {0}, m;
    struct tsr_graph *graph;
    char name[16];
    OK(tsr_buf_reserve(&g, (size_t)N * 40 + 256, &err));
    OK(tsr_buf_reserve(&f, (size_t)N * 40 + 256, &err));
    text(&f, 1, "F");
    text(&f, 10, "own");
    text(&f, 5, "y");
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof name, "a%d", i);
        named(&g, 11, name);
        text(&f, 4, name);
    }
    wide(&f, 7, "Sum", "", N);
    wide(&g, 1, "F", "own", N);
    named(&g, 12, "y");
    m = model(&g);
    OK(tsr_buf_reserve(&m, f.len + 64, &err));
    bytes(&m, 25, f.data, f.len);
    const double before = seconds();
    OK(tsr_onnx_load_memory(m.data, m.len, "m", NULL, &graph, &err));
    ck_assert_uint_eq(graph->n_node, 1);
    ck_assert_int_eq(graph->node[0].n_in, N);
    ck_assert_msg(seconds() - before < 10, "%g s", seconds() - before);
    tsr_graph_free(graph);
    tsr_buf_release(&f);
    tsr_buf_release(&m);
}
END_TEST

/* 1000 nodes in a function that is called 1000 times from a file of some kilobytes. */
START_TEST(an_expanding_function)
{
    B g = {0}, f = {0}, m;
    struct tsr_graph *graph;
    OK(tsr_buf_reserve(&g, 65536, &err));
    OK(tsr_buf_reserve(&f, 65536, &err));
    text(&f, 1, "F");
    text(&f, 4, "a");
    for (int i = 0; i < 1000; i++) {
        B n = {.data = (uint8_t[64]){0}};
        text(&n, 1, "a");
        text(&n, 4, "Relu");
        bytes(&f, 7, n.data, n.len);
        node(&g, "F", "x", "y");
    }
    named(&g, 11, "x");
    named(&g, 12, "y");
    m = model(&g);
    OK(tsr_buf_reserve(&m, f.len + 64, &err));
    bytes(&m, 25, f.data, f.len);
    FAILS(TSR_E_LIMIT, "200000 nodes", tsr_onnx_load_memory(m.data, m.len, "m", NULL, &graph, &err));
    tsr_buf_release(&f);
    tsr_buf_release(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx_limits");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, a_million_nodes, 0, 2);
    tcase_add_test(c, a_wide_function);
    tcase_add_test(c, an_expanding_function);
    suite_add_tcase(s, c);
    return run_suite(s);
}
