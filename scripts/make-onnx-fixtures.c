/* make-onnx-fixtures DIR - writes the models of testdata/onnx: what the importer must accept
 * (good-*), refuse (bad-*) or call unsupported (unsupported-*). Each damaged one is sound in every
 * respect but one. The bytes are put together here, field by field, so that any damage can be made. */
#include "tessera.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tsr_buf B; /* a message under construction */

static struct tsr_error err;
static const char *directory;

static void must(enum tsr_status status)
{
    if (status == TSR_OK) return;
    fprintf(stderr, "make-onnx-fixtures: %s\n", err.message);
    exit(EXIT_FAILURE);
}

/* ---- the wire format ---- */

static void put(B *b, const void *p, size_t n) { must(tsr_buf_append(b, p, n, &err)); }

static void varint(B *b, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
        put(b, &byte, 1);
        v >>= 7;
    } while (v != 0);
}

static void number(B *b, unsigned field, int64_t v)
{
    varint(b, field << 3);
    varint(b, (uint64_t)v);
}

static void bytes(B *b, unsigned field, const void *p, size_t n)
{
    varint(b, field << 3 | 2);
    varint(b, n);
    put(b, p, n);
}

static void text(B *b, unsigned field, const char *s) { bytes(b, field, s, strlen(s)); }

/* Takes the child over. */
static void message(B *b, unsigned field, B child)
{
    bytes(b, field, child.data, child.len);
    tsr_buf_release(&child);
}

/* "a,b,,c" as one field a word; NULL: none. */
static void words(B *b, unsigned field, const char *list)
{
    char word[64];
    for (const char *p = list; p != NULL;) {
        size_t n = strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        text(b, field, word);
        p = p[n] == ',' ? p + n + 1 : NULL;
    }
}

static void save(const char *name, B b)
{
    char path[4096];
    struct tsr_sink *sink;
    snprintf(path, sizeof path, "%s/%s.onnx", directory, name);
    must(tsr_sink_open(path, &sink, &err));
    must(tsr_sink_write(sink, b.data, b.len, &err));
    must(tsr_sink_close(sink, &err));
    tsr_buf_release(&b);
}

/* ---- ONNX messages ---- */

enum { F32 = 1, U8 = 2, I8 = 3, I32 = 6, I64 = 7, STRING = 8, COMPLEX = 14, FLOAT_ATTR = 1, INT_ATTR = 2, TENSOR_ATTR = 4, GRAPH_ATTR = 5 };

/* Sizes of a tensor: n numbers, then name and type. */
static B tensor_head(const char *name, int dtype, int rank, ...)
{
    B t = {0};
    va_list ap;
    va_start(ap, rank);
    for (int i = 0; i < rank; i++) number(&t, 1, va_arg(ap, int64_t));
    va_end(ap);
    number(&t, 2, dtype);
    text(&t, 8, name);
    return t;
}

#define D(n) ((int64_t)(n))

static const float six[6] = {1, -2, 3.5F, 0, 1e-30F, -0.0F};

static B weight(size_t n_bytes) /* "w": [2,3], and as many bytes as one likes */
{
    B t = tensor_head("w", F32, 2, D(2), D(3));
    bytes(&t, 9, six, n_bytes);
    return t;
}

static B node(const char *op, const char *in, const char *out)
{
    B n = {0};
    words(&n, 1, in);
    words(&n, 2, out);
    if (op != NULL) text(&n, 4, op);
    return n;
}

static B attribute(const char *name, int type)
{
    B a = {0};
    text(&a, 1, name);
    number(&a, 20, type);
    return a;
}

/* A dimension is a number, or a word for a symbol. NULL: no shape. */
static B value(const char *name, int dtype, const char *shape)
{
    B v = {0}, type = {0}, dense = {0}, dims = {0};
    number(&dense, 1, dtype);
    for (const char *p = shape; p != NULL && *p;) {
        size_t n = strcspn(p, ",");
        char word[32];
        B d = {0};
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        if (word[0] >= '0' && word[0] <= '9') number(&d, 1, atoll(word));
        else text(&d, 2, word);
        message(&dims, 1, d);
        p += n + (p[n] == ',');
    }
    if (shape != NULL) message(&dense, 2, dims);
    message(&type, 1, dense);
    text(&v, 1, name);
    message(&v, 2, type);
    return v;
}

static B opset(const char *domain, int version)
{
    B o = {0};
    if (domain[0]) text(&o, 1, domain);
    number(&o, 2, version);
    return o;
}

static B model_at(B graph, int version)
{
    B m = {0};
    number(&m, 1, 8);
    text(&m, 2, "make-onnx-fixtures");
    message(&m, 7, graph);
    message(&m, 8, opset("", version));
    return m;
}

static B model_of(B graph) { return model_at(graph, 17); }

/* x [batch,3] -> y [batch,3], with the nodes given. */
static B graph_of(int n, ...)
{
    B g = {0};
    va_list ap;
    va_start(ap, n);
    for (int i = 0; i < n; i++) message(&g, 1, va_arg(ap, B));
    va_end(ap);
    text(&g, 2, "g");
    message(&g, 11, value("x", F32, "batch,3"));
    message(&g, 12, value("y", F32, "batch,3"));
    return g;
}

static B with_init(B graph, B tensor)
{
    message(&graph, 5, tensor);
    return graph;
}

static B relu(const char *in, const char *out) { return node("Relu", in, out); }

/* ---- fixtures ---- */

/* y = x; the tensor is only there to be read. */
static void save_tensor(const char *name, B tensor)
{
    save(name, model_of(with_init(graph_of(1, relu("x", "y")), tensor)));
}

static void save_external(const char *name, const char *location, const char *offset, const char *length)
{
    B t = tensor_head("w", F32, 2, D(2), D(3));
    const char *const pair[3][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    for (int i = 0; i < 3; i++) {
        B p = {0};
        if (pair[i][1] == NULL) continue;
        text(&p, 1, pair[i][0]);
        text(&p, 2, pair[i][1]);
        message(&t, 13, p);
    }
    number(&t, 14, 1);
    save_tensor(name, t);
}

static void typed_fields(void)
{
    static const struct {
        int dtype;
        unsigned field;
    } integer[] = {{2, 5}, {3, 5}, {4, 5}, {5, 5}, {6, 5}, {9, 5}, {10, 5}, {16, 5}, {7, 7}, {12, 11}, {13, 11}};
    static const double f64[2] = {1.5, -2};
    B g = graph_of(1, relu("x", "y")), t;
    for (size_t i = 0; i < sizeof integer / sizeof *integer; i++) {
        char name[8];
        B packed = {0};
        snprintf(name, sizeof name, "t%d", integer[i].dtype);
        t = tensor_head(name, integer[i].dtype, 1, D(2));
        varint(&packed, 1);
        varint(&packed, 0);
        message(&t, integer[i].field, packed);
        message(&g, 5, t);
    }
    t = tensor_head("t1", F32, 2, D(2), D(3));
    bytes(&t, 4, six, sizeof six);
    message(&g, 5, t);
    t = tensor_head("t11", 11, 1, D(2));
    bytes(&t, 10, f64, sizeof f64);
    message(&g, 5, t);
    t = tensor_head("t22", 22, 1, D(3)); /* int4: two a number */
    bytes(&t, 5, "\x21\x07", 2);
    message(&g, 5, t);
    t = tensor_head("t25", 25, 1, D(3)); /* uint2: four a number */
    bytes(&t, 5, "\x39", 1);
    message(&g, 5, t);
    t = tensor_head("t17", 17, 1, D(2)); /* float8e4m3fn: one */
    bytes(&t, 5, "\x38\x40", 2);
    message(&g, 5, t);
    save("good-typed-fields", model_of(g));
}

static void raw_fields(void)
{
    static const int dtype[] = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26};
    static const uint8_t zero[32];
    B g = graph_of(1, relu("x", "y"));
    for (size_t i = 0; i < sizeof dtype / sizeof *dtype; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", dtype[i]);
        B t = tensor_head(name, dtype[i], 1, D(3));
        bytes(&t, 9, zero, tsr_dtype_bytes((enum tsr_dtype)dtype[i], 3));
        message(&g, 5, t);
    }
    B t = tensor_head("empty", F32, 2, D(0), D(5)), s = tensor_head("scalar", I64, 0);
    bytes(&t, 9, zero, 0);
    bytes(&s, 9, zero, 8);
    message(&g, 5, t);
    message(&g, 5, s);
    save("good-raw-fields", model_of(g));
}

/* Leaky(x; alpha = 0.1) = LeakyRelu; a function with a default and one that passes it on. */
static B leaky(const char *name, const char *inner)
{
    B f = {0}, n = node(inner, "a", "b"), a = {0};
    text(&a, 1, "alpha");
    number(&a, 20, FLOAT_ATTR);
    text(&a, 21, "alpha");
    message(&n, 5, a);
    if (strcmp(inner, "LeakyRelu") != 0) text(&n, 7, "own");
    text(&f, 1, name);
    text(&f, 4, "a");
    text(&f, 5, "b");
    text(&f, 6, "alpha");
    message(&f, 7, n);
    message(&f, 9, opset("", 17));
    text(&f, 10, "own");
    return f;
}

static B call(const char *name, const char *in, const char *out)
{
    static const float alpha = 0.25F;
    B n = node(name, in, out), a = attribute("alpha", FLOAT_ATTR);
    varint(&a, 2 << 3 | 5);
    put(&a, &alpha, 4);
    message(&n, 5, a);
    text(&n, 7, "own");
    return n;
}

static void functions(void)
{
    B m = model_of(graph_of(2, call("Outer", "x", "h"), call("Outer", "h", "y")));
    message(&m, 8, opset("own", 1));
    message(&m, 25, leaky("Inner", "LeakyRelu"));
    message(&m, 25, leaky("Outer", "Inner"));
    save("good-functions", m);

    m = model_of(graph_of(1, call("Outer", "x", "y")));
    message(&m, 25, leaky("Inner", "Outer"));
    message(&m, 25, leaky("Outer", "Inner"));
    save("bad-function-calls-itself", m);

    /* 26 functions without a node of their own, each calling the next one twice */
    m = model_of(graph_of(1, call("f0", "x", "y")));
    for (int i = 0; i < 26; i++) {
        char name[8], next[8];
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", i + 1);
        B f = leaky(name, next);
        message(&f, 7, call(next, "b", "c"));
        message(&m, 25, f);
    }
    B last = {0};
    text(&last, 1, "f26");
    text(&last, 4, "a");
    text(&last, 5, "a");
    text(&last, 10, "own");
    message(&m, 25, last);
    save("bad-function-bomb", m);
}

static B raw(B tensor, const void *p, size_t n)
{
    bytes(&tensor, 9, p, n);
    return tensor;
}

/* A product of integers between QuantizeLinear and DequantizeLinear, whose sums are 3 * 127 * 255 and the bias at
 * most, and whose scales are sx, 0.3 and sy. */
static void save_product(const char *name, int32_t bias, float sx, float sy)
{
    static const int8_t w[9] = {127, -127, 1, 127, -127, 2, 127, -127, 3};
    const int32_t b[3] = {bias, 0, 0};
    const float sw = 0.3F, sb = sx * sw;
    const uint8_t zero[4] = {0};
    B g = graph_of(6, node("QuantizeLinear", "x,sx,zu", "xq"), node("DequantizeLinear", "xq,sx,zu", "xf"),
                   node("DequantizeLinear", "w,sw,zi", "wf"), node("DequantizeLinear", "b,sb", "bf"),
                   node("Gemm", "xf,wf,bf", "yf"), node("QuantizeLinear", "yf,sy,zu", "yq"));
    message(&g, 1, node("DequantizeLinear", "yq,sy,zu", "y"));
    message(&g, 5, raw(tensor_head("w", I8, 2, D(3), D(3)), w, sizeof w));
    message(&g, 5, raw(tensor_head("b", I32, 1, D(3)), b, sizeof b));
    message(&g, 5, raw(tensor_head("sx", F32, 0), &sx, 4));
    message(&g, 5, raw(tensor_head("sy", F32, 0), &sy, 4));
    message(&g, 5, raw(tensor_head("sb", F32, 0), &sb, 4));
    message(&g, 5, raw(tensor_head("sw", F32, 0), &sw, 4));
    message(&g, 5, raw(tensor_head("zu", U8, 0), zero, 1));
    message(&g, 5, raw(tensor_head("zi", I8, 0), zero, 1));
    save(name, model_of(g));
}

/* For tessera-inspect --prove. */
static void products(void)
{
    save_product("good-product", 1000, 0.01F, 4);
    save_product("good-product-wraps", INT32_MAX - 3 * 127 * 255 + 1, 0.01F, 4);
    save_product("good-product-underflows", 1000, 1e-44F, 2.5e-44F);
}

/* y = softmax(2 x w): no linear layer stands right before the softmax. */
static void save_softmax(void)
{
    static const float w[9] = {1.5F, -1, 0, 0.5F, 2, -1.5F, -2, 0.25F, 1}, two = 2;
    B t = tensor_head("w", F32, 2, D(3), D(3)), scale = tensor_head("two", F32, 0);
    bytes(&t, 9, w, sizeof w);
    bytes(&scale, 9, &two, sizeof two);
    save("good-softmax", model_of(with_init(with_init(graph_of(3, node("MatMul", "x,w", "xw"), node("Mul", "xw,two", "logits"),
                                                                   node("Softmax", "logits", "y")), t), scale)));
}

static void good(void)
{
    save_softmax();
    B g;
    save("good-smallest", model_of(graph_of(1, relu("x", "y"))));
    save_tensor("good-weight", weight(24));
    g = with_init(graph_of(1, node("Relu", "w", "y")), weight(24));
    message(&g, 11, value("w", F32, "2,3"));
    save("good-initialiser-is-input", model_of(g));
    g = (B){0};
    message(&g, 1, relu("x", "y"));
    message(&g, 11, value("x", F32, NULL));
    message(&g, 12, value("y", 0, NULL));
    save("good-no-shapes", model_of(g));
    B limit = tensor_head("top", F32, 0);
    bytes(&limit, 9, six, 4);
    save("good-absent-input", model_of(with_init(graph_of(1, node("Clip", "x,,top", "y")), limit)));
    save_external("good-external", "weights.bin", "8", "24");
    save_external("good-external-unaligned", "./weights.bin", "3", "24");
    save_external("good-external-to-the-end", "weights.bin", "16", NULL);
    typed_fields();
    raw_fields();
    products();
}

static B with(B message_, unsigned field, B child)
{
    message(&message_, field, child);
    return message_;
}

static B int_attribute(const char *name, int64_t v)
{
    B a = attribute(name, INT_ATTR);
    number(&a, 3, v);
    return a;
}

static B float_attribute(const char *name, float v)
{
    B a = attribute(name, FLOAT_ATTR);
    varint(&a, 2 << 3 | 5);
    put(&a, &v, 4);
    return a;
}

/* A sparse [2,3] with as many of the values as one likes, at the indices. */
static B sparse(const char *name, size_t n, int rank, const int64_t *index)
{
    B s = {0}, values = tensor_head(name, F32, 1, D(n)),
      indices = rank == 1 ? tensor_head("", I64, 1, D(n)) : tensor_head("", I64, 2, D(n), D(rank));
    bytes(&values, 9, six, n * sizeof *six);
    bytes(&indices, 9, index, n * (size_t)rank * sizeof *index);
    message(&s, 1, values);
    message(&s, 2, indices);
    number(&s, 3, 2);
    number(&s, 3, 3);
    return s;
}

static void sparse_tensors(void)
{
    static const int64_t places[] = {5, 0, 2}, pairs[] = {1, 2, 0, 0}, outside[] = {0, 6, 1}, huge[] = {D(1) << 20, D(1) << 20, D(8)};
    save("good-sparse-initialiser", model_of(with(with(graph_of(1, node("Add", "x,w", "y")), 15, sparse("w", 3, 1, places)), 15,
                                                  sparse("v", 2, 2, pairs))));
    B a = attribute("sparse_value", 11);
    message(&a, 22, sparse("", 2, 2, pairs));
    save("good-sparse-constant", model_of(graph_of(2, with(node("Constant", NULL, "w"), 5, a), node("Add", "x,w", "y"))));
    save("bad-sparse-outside", model_of(with(graph_of(1, relu("x", "y")), 15, sparse("w", 3, 1, outside))));
    save("bad-sparse-empty", model_of(with(graph_of(1, relu("x", "y")), 15, (B){0})));
    B s = sparse("w", 1, 1, places);
    for (int i = 0; i < 3; i++) number(&s, 3, huge[i]);
    save("bad-sparse-huge", model_of(with(graph_of(1, relu("x", "y")), 15, s)));
    s = sparse("w", 1, 1, places); /* 540 MiB for one number */
    number(&s, 3, D(45) << 19);
    save("bad-sparse-claimed", model_of(with(graph_of(1, relu("x", "y")), 15, s)));
}

/* Files that are wrong about something, though it is clear what they mean: read, with a warning. */
static void warned(void)
{
    B m = {0}, n;
    number(&m, 1, 8);
    message(&m, 7, graph_of(1, relu("x", "y")));
    save("good-warned-no-opset", m);
    m = (B){0};
    message(&m, 7, graph_of(1, relu("x", "y")));
    message(&m, 8, opset("", 17));
    save("good-warned-no-version", m);
    save("good-warned-newer-operators", model_at(graph_of(2, node("Gelu", "x", "h"), node("HardSwish", "h", "y")), 11));
    B top = tensor_head("top", F32, 0);
    bytes(&top, 9, six, 4);
    save("good-warned-newer-form", model_at(with_init(graph_of(1, node("Clip", "x,,top", "y")), top), 9));
    n = with(node("Clip", "x", "y"), 5, float_attribute("max", 1));
    save("good-warned-older-form", model_at(graph_of(1, n), 13));
    save("good-warned-newest", model_at(graph_of(1, relu("x", "y")), 900));
    save("good-warned-order", model_of(graph_of(3, relu("b", "y"), relu("x", "a"), relu("a", "b"))));
    B on = tensor_head("on", 9, 0);
    bytes(&on, 9, "\1", 1);
    save("good-warned-training", model_of(with_init(graph_of(1, node("Dropout", "x,,on", "y")), on)));
    /* nothing to warn of */
    save("good-integer-for-float", model_of(graph_of(1, with(node("LeakyRelu", "x", "y"), 5, int_attribute("alpha", 2)))));
    B one = relu("x", "h"), two = relu("h", "y");
    text(&one, 3, "same");
    text(&two, 3, "same");
    save("good-same-node-names", model_of(graph_of(2, one, two)));
}

/* y = op(x), with x from around. */
static B branch(const char *op)
{
    B g = {0};
    message(&g, 1, node(op, "x", "h"));
    message(&g, 1, relu("h", "y"));
    text(&g, 2, "branch");
    message(&g, 12, value("y", F32, NULL));
    return g;
}

static B choose(B yes, B no)
{
    B n = node("If", "c", "y"), a = attribute("then_branch", GRAPH_ATTR), b = attribute("else_branch", GRAPH_ATTR);
    message(&a, 6, yes);
    message(&b, 6, no);
    message(&n, 5, a);
    message(&n, 5, b);
    return n;
}

/* y = relu(relu(x)), in two turns; what is carried on is collected as well, so the body names an output twice. */
static B collecting(void)
{
    B body = {0}, loop = node("Loop", "trips,c,x", "y,all"), a = attribute("body", GRAPH_ATTR), trips = tensor_head("trips", 7, 0);
    B truth = tensor_head("c", 9, 0);
    message(&body, 1, node("Identity", "go", "on"));
    message(&body, 1, relu("h", "r"));
    text(&body, 2, "turn");
    message(&body, 11, value("i", 7, ""));
    message(&body, 11, value("go", 9, ""));
    message(&body, 11, value("h", F32, NULL));
    message(&body, 12, value("on", 9, ""));
    message(&body, 12, value("r", F32, NULL));
    message(&body, 12, value("r", F32, NULL));
    message(&a, 6, body);
    message(&loop, 5, a);
    bytes(&trips, 9, "\2\0\0\0\0\0\0\0", 8);
    bytes(&truth, 9, "\1", 1);
    return with_init(with_init(graph_of(1, loop), trips), truth);
}

static void bodies(void)
{
    B truth = tensor_head("c", 9, 0), f = {0}, g, m, outer, empty = {0};
    bytes(&truth, 9, "\1", 1);
    save("good-if", model_of(with_init(graph_of(1, choose(branch("Neg"), branch("Abs"))), truth)));
    /* an If in an If, in a function: all names are made different */
    outer = (B){0};
    message(&outer, 1, choose(branch("Neg"), branch("Abs")));
    text(&outer, 2, "outer");
    message(&outer, 12, value("y", F32, NULL));
    text(&f, 1, "Choice");
    text(&f, 4, "c");
    text(&f, 4, "in");
    text(&f, 5, "y");
    message(&f, 7, node("Exp", "in", "x"));
    message(&f, 7, choose(outer, branch("Sign")));
    message(&f, 9, opset("", 17));
    text(&f, 10, "own");
    B call_ = node("Choice", "c,x", "h"), again = node("Choice", "c,h", "y");
    text(&call_, 7, "own");
    text(&again, 7, "own");
    truth = tensor_head("c", 9, 0);
    bytes(&truth, 9, "\1", 1);
    m = model_of(with_init(graph_of(2, call_, again), truth));
    message(&m, 8, opset("own", 1));
    message(&m, 25, f);
    save("good-function-if", m);
    save("good-loop-collects", model_of(collecting()));
    text(&empty, 2, "nothing");
    message(&empty, 12, value("nowhere", F32, NULL));
    truth = tensor_head("c", 9, 0);
    bytes(&truth, 9, "\1", 1);
    g = with_init(graph_of(1, choose(branch("Neg"), empty)), truth);
    save("bad-body-dangling", model_of(g));
}

static void bad_bytes(void)
{
    B m = {0};
    save("bad-empty", (B){0});
    put(&m, "{\"not\": \"a model\"}", 18);
    save("bad-text", m);
    m = model_of(with_init(graph_of(1, relu("x", "y")), weight(24)));
    m.len -= 20;
    save("bad-cut", m);
    m = model_of(graph_of(1, relu("x", "y")));
    varint(&m, 9 << 3 | 2);
    varint(&m, UINT64_MAX);
    save("bad-length", m);
    m = model_of(graph_of(1, relu("x", "y")));
    put(&m, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    save("bad-varint", m);
    m = (B){0};
    number(&m, 1, 8);
    message(&m, 8, opset("", 17));
    save("bad-no-graph", m);
    /* graph in attribute in node in graph ... */
    B g = graph_of(1, relu("x", "y"));
    for (int i = 0; i < 400; i++) {
        B a = attribute("body", GRAPH_ATTR), n = node("If", "x", "y"), outer = {0};
        message(&a, 6, g);
        message(&n, 5, a);
        message(&outer, 1, n);
        g = outer;
    }
    save("bad-nested-graphs", model_of(g));
}

static void bad_graphs(void)
{
    B g, n, a;
    save("bad-no-operator", model_of(graph_of(1, node(NULL, "x", "y"))));
    save("bad-dangling-input", model_of(graph_of(1, relu("nowhere", "y"))));
    save("bad-dangling-output", model_of(graph_of(1, relu("x", "z"))));
    save("bad-output-twice", model_of(graph_of(2, relu("x", "y"), relu("x", "y"))));
    save("bad-output-is-input", model_of(graph_of(2, relu("x", "y"), relu("y", "x"))));
    save("bad-cycle", model_of(graph_of(3, relu("b", "a"), relu("a", "b"), relu("x", "y"))));
    save("bad-arity", model_of(graph_of(1, relu("x,x,x", "y"))));
    save("bad-no-outputs", model_of((B){0}));
    save("bad-initialiser-twice",
         model_of(with_init(with_init(graph_of(1, relu("x", "y")), weight(24)), weight(24))));
    g = graph_of(1, relu("x", "y"));
    message(&g, 11, value("x", F32, NULL));
    save("bad-input-twice", model_of(g));
    g = graph_of(1, relu("x", "y"));
    message(&g, 12, value("y", F32, NULL));
    save("bad-output-declared-twice", model_of(g));
    n = relu("x", "y");
    a = attribute("t", TENSOR_ATTR);
    message(&n, 5, a);
    save("bad-attribute-without-value", model_of(graph_of(1, n)));
    n = relu("x", "y");
    for (int i = 0; i < 2; i++) {
        a = attribute("alpha", INT_ATTR);
        number(&a, 3, i);
        message(&n, 5, a);
    }
    save("bad-attribute-twice", model_of(graph_of(1, n)));
}

static void bad_tensors(void)
{
    B t;
    save_tensor("bad-tensor-short", weight(20));
    t = tensor_head("w", F32, 1, D(2));
    bytes(&t, 9, six, 12);
    save_tensor("bad-tensor-long", t);
    t = tensor_head("w", F32, 1, D(4));
    bytes(&t, 4, six, 12);
    save_tensor("bad-tensor-numbers", t);
    save_tensor("bad-tensor-no-data", tensor_head("w", F32, 1, D(4)));
    t = tensor_head("w", F32, 2, D(-2), D(3));
    bytes(&t, 9, six, 24);
    save_tensor("bad-tensor-negative", t);
    t = tensor_head("w", F32, 3, D(1) << 32, D(1) << 31, D(4));
    bytes(&t, 9, six, 0);
    save_tensor("bad-tensor-overflow", t);
    save_tensor("bad-tensor-huge", tensor_head("w", F32, 1, D(1) << 50));
    t = tensor_head("", F32, 1, D(1));
    bytes(&t, 9, six, 4);
    save_tensor("bad-tensor-nameless", t);
    save_external("bad-external-missing", "nothing.bin", NULL, NULL);
    save_external("bad-external-nameless", NULL, "0", "24");
    save_external("bad-external-absolute", "/etc/hostname", NULL, NULL);
    save_external("bad-external-parent", "../onnx/weights.bin", "8", "24");
    save_external("bad-external-inner-parent", "x/../../onnx/weights.bin", "8", "24");
    save_external("bad-external-short", "weights.bin", "20", "24");
    save_external("bad-external-wrong-length", "weights.bin", "0", "28");
    save_external("bad-external-offset", "weights.bin", "-8", "24");
    save_external("bad-external-far", "weights.bin", "9223372036854775807", "24");
    save_external("bad-external-no-number", "weights.bin", "0x8", "24");
    save_external("bad-external-folder", ".", NULL, NULL);
}

static void unsupported(void)
{
    B g, n, t, v, type;
    n = node("Frobnicate", "x", "h");
    text(&n, 7, "com.example");
    save("unsupported-operators", model_of(graph_of(2, n, node("NoSuchOperator", "h", "y"))));
    g = graph_of(1, relu("x", "y"));
    v = (B){0};
    type = (B){0};
    message(&type, 4, (B){0});
    text(&v, 1, "s");
    message(&v, 2, type);
    message(&g, 11, v);
    save("unsupported-sequence", model_of(g));
    t = tensor_head("w", STRING, 1, D(1));
    text(&t, 6, "word");
    save_tensor("unsupported-strings", t);
    t = tensor_head("w", COMPLEX, 1, D(1));
    bytes(&t, 9, six, 8);
    save_tensor("unsupported-complex", t);
    t = tensor_head("w", F32, 9, D(1), D(1), D(1), D(1), D(1), D(1), D(1), D(1), D(1));
    bytes(&t, 9, six, 4);
    save_tensor("unsupported-rank", t);
    t = weight(24);
    message(&t, 3, (B){0});
    save_tensor("unsupported-segment", t);
}

int main(int argc, char **argv)
{
    char path[4096];
    struct tsr_sink *sink;
    if (argc != 2) {
        fprintf(stderr, "usage: make-onnx-fixtures DIR\n");
        return 2;
    }
    directory = argv[1];
    good();
    sparse_tensors();
    bodies();
    warned();
    functions();
    bad_bytes();
    bad_graphs();
    bad_tensors();
    unsupported();
    snprintf(path, sizeof path, "%s/weights.bin", directory);
    must(tsr_sink_open(path, &sink, &err));
    for (uint8_t i = 0; i < 40; i++) must(tsr_sink_write(sink, &i, 1, &err));
    must(tsr_sink_close(sink, &err));
    return 0;
}
