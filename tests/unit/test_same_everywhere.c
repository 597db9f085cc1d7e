/* What is promised to be the same on every machine, pinned: whoever changes a digest here changes what
 * streams and models hold. `make check-aarch64` and `make check-baseline` compare other processors. */
#include "iotest.h"

#include "tensor/gemm.h"
#include "tensor/vmath.h"

#include <string.h>

struct pin {
    const char *what, *sha256;
};

static void compare(const struct pin *pin, const void *data, size_t n)
{
    uint8_t digest[TSR_SHA256_LEN];
    char hex[2 * TSR_SHA256_LEN + 1];
    tsr_sha256(data, n, digest);
    tsr_hex(digest, sizeof digest, hex);
    ck_assert_msg(strcmp(hex, pin->sha256) == 0, "%s: %s", pin->what, hex);
}

enum { N = 5003 };

/* Numbers of many sizes, both zeros among them. */
static float *numbers(uint64_t stream)
{
    struct tsr_rng r;
    float *x = tsr_malloc(N, sizeof *x);
    tsr_rng_init(&r, 20, stream);
    for (int i = 0; i < N; i++) {
        int shift = (int)tsr_rng_below(&r, 12);
        x[i] = tsr_rng_normal(&r) * (float)(1 << shift) / 64;
        if (i % 97 == 0) x[i] = i % 2 ? -0.0f : 0.0f;
    }
    return x;
}

START_TEST(random_numbers)
{
    static const struct pin pins[] = {
        {"integers", "e5c45af24d42512e398abd6f7b5ac628d6d39e2f0405e3d6d3164e9276ef8ff5"},
        {"floats", "80b47039b853b9a494c64da8a48cfa072cd53a9c1813ea7d7a120fcfea5c1e9b"},
        {"doubles", "706cb4e3d6eb88b480747b014809659d21c8c80a0d6f499c45c007a947c880c9"},
        {"normal", "4eb7f8fca5c2e1a5ff80465a3e9e9184495c6080e7b1290ff51a5aeeac207657"},
        {"shuffle", "ac3148072ea59cf9a8f66cf0deef11e5290c8de1c521b4622045ea7a77e6c750"},
    };
    struct tsr_rng r;
    uint64_t u[64];
    float f[64], g[64];
    double d[64];
    uint32_t order[64];
    tsr_rng_init(&r, 1, 2);
    for (int i = 0; i < 64; i++) u[i] = tsr_rng_below(&r, UINT64_MAX - 5), f[i] = tsr_rng_float(&r), d[i] = tsr_rng_double(&r), g[i] = tsr_rng_normal(&r), order[i] = (uint32_t)i;
    tsr_rng_shuffle(&r, order, 64);
    compare(&pins[0], u, sizeof u);
    compare(&pins[1], f, sizeof f);
    compare(&pins[2], d, sizeof d);
    compare(&pins[3], g, sizeof g);
    compare(&pins[4], order, sizeof order);
}
END_TEST

START_TEST(keys)
{
    static const struct pin pin = {"keys", "91ad718df4cf60de24c5c59ce849634c8de9009ac7a73057ec4670895e9d5388"};
    float *x = numbers(1);
    int64_t tokens[10 * 4];
    for (int i = 0; i < 40; i++) tokens[i] = i * i - 300;
    const struct tsr_tensor in[2] = {{.dtype = TSR_F32, .shape = {3, {10, 5, 7}}, .data = x},
                                     {.dtype = TSR_I64, .shape = {2, {10, 4}}, .data = tokens}};
    struct tsr_key key[10];
    tsr_sample_keys(in, 2, key);
    compare(&pin, key, sizeof key);
    tsr_free(x);
}
END_TEST

/* Matrices as a stream holds them, and as they come back. */
START_TEST(matrices)
{
    static const struct {
        enum tsr_dtype dtype;
        enum tsr_row_kind kind;
        struct pin body, back;
    } cases[] = {
        {TSR_F32, TSR_KIND_NONE, {"float32", "ecf50797fc95abe9232110b6a8d9ab119c971627f6db8d178c2a9ab6510c21bc"}, {"float32 back", "a0f1012ea97f7be65a918d8cab06f7bc899e870f6f65a70175b46296f6d45adb"}},
        {TSR_F16, TSR_KIND_NONE, {"float16", "525e3d28b420ebcdf3d91695ba9d43d74dc6aa8fcc95bb07d01737b1e634a2f3"}, {"float16 back", "f9e89c17ee6aee3a21726b73d4138d41edb48922b63a9569258ba7d9af4ac8ad"}},
        {TSR_BF16, TSR_KIND_NONE, {"bfloat16", "739dcb70da378f8b8f4c2ff9c6871e4427a6d2b1706a8fb2416599f267a790d9"}, {"bfloat16 back", "571648782b5bd3fd4649cb0f42ff616ba6b5c1841069366af49c104868286b22"}},
        {TSR_I8, TSR_KIND_NONE, {"int8", "a89eae464a4262ca2d47a8ff726bb7f65d445c20d7e2b03b83a49e756feabeaf"}, {"int8 back", "a4b537cbdbe5580e02ead5ce14ab4292ad7d7af4ad49a4198adae74d5039a0ef"}},
        {TSR_I4, TSR_KIND_NONE, {"int4", "48a479c622877975f487db8d2c86ab228718d46dc9b9caf9bc18cd8e8f44cb0b"}, {"int4 back", "d82d60a87c074a504b31231e3b97c10a18b441c1d27e35358df4650dbfa03eaa"}},
        {TSR_I8, TSR_KIND_LOGITS, {"int8 logits", "c5fbd7992ac6a734847111244b274e1f5c0fce7e3729262ef7ed1f23cc02468b"}, {"int8 logits back", "6d4f06ea23f102464a6ed8ff28ba6cc7539cdc61ad9af6f6e5a630a7bf570eed"}},
        {TSR_I4, TSR_KIND_LOGITS, {"int4 logits", "2545c5e6f6e1b24d0c06da47bbffc050311de91156ade5a4f4a1565d19b7bef9"}, {"int4 logits back", "0a24b7b0d3f6ff3b03117098e23ef0471e8955ff093804b7165520e22fde4a13"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *x = numbers(2), *y = tsr_malloc(N, sizeof *y);
        struct tsr_buf b = {0};
        struct tsr_rowset s = tsr_rowset_choose(cases[i].dtype, cases[i].kind, 500, 10, 10);
        OK(tsr_rowset_encode(&s, x, &b, &err));
        OK(tsr_rowset_decode(&s, b.data, b.len, y, &err));
        compare(&cases[i].body, b.data, b.len);
        compare(&cases[i].back, y, 500 * 10 * sizeof *y);
        tsr_buf_release(&b);
        tsr_free(x), tsr_free(y);
    }
}
END_TEST

START_TEST(conversions)
{
    static const struct {
        enum tsr_dtype dtype;
        struct pin pin;
    } cases[] = {
        {TSR_F16, {"to float16", "0b7cb7f05dad076f4860074475062f6517208a0845fc870d8a9317146e15acd6"}}, {TSR_BF16, {"to bfloat16", "3049c56653330f2a642297bfe14d40d46907e1fca51f8e4d0b93485e3e2e2b70"}}, {TSR_F64, {"to float64", "ba179d653cf1d9533aed679e02ebeae31bbf91769995032ef3d0c420d7d06dac"}},
        {TSR_I32, {"to int32", "be22484c8ad05e62b0e94f1066a3c0c674a77a1cac864ea28d2dd07127b57b1a"}},   {TSR_I8, {"to int8", "d156a9c2c69dd2606cf92f4c66e18d640c23cedb6b0b7830febbedf717ee79ff"}},       {TSR_U8, {"to uint8", "d156a9c2c69dd2606cf92f4c66e18d640c23cedb6b0b7830febbedf717ee79ff"}},
    };
    float *x = numbers(3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bytes = tsr_dtype_bytes(cases[i].dtype, N);
        void *y = tsr_malloc(bytes, 1);
        tsr_convert(cases[i].dtype, y, TSR_F32, x, N);
        compare(&cases[i].pin, y, bytes);
        tsr_free(y);
    }
    tsr_free(x);
}
END_TEST

/* Sums whose order is fixed, for every width of vectors that this machine has. */
START_TEST(sums)
{
    static const struct pin pin = {"sum and dot", "84fa57815c1ab007402577ff9ae54a2f7ecbc4cf8b0b2b525b79917d35bc1ef4"};
    float *x = numbers(4), *y = numbers(5);
    for (int level = 0; level <= 2; level++) {
        (void)tsr_vmath_limit(level);
        double s[4] = {tsr_vsum(N, x), tsr_vdot(N, x, y), tsr_vsum(17, x), tsr_vdot(31, x, y)};
        compare(&pin, s, sizeof s);
    }
    (void)tsr_vmath_limit(2);
    tsr_free(x), tsr_free(y);
}
END_TEST

/* Models from a specification, as files. */
START_TEST(models)
{
    static const struct {
        const char *text;
        struct pin pin;
    } cases[] = {
        {"mlp width=16 depth=2 input=2x5 classes=3 seed=1", {"mlp", "edc285621b166d158ecf265bf894bce3b8251ccbf415cb04aa9dc247ca3bb97d"}},
        {"conv1d width=8 depth=1 input=3x9 classes=3 seed=2", {"conv1d", "fb7d7c71cc608b56adb5f0253df0db1a42bec50caa498221dd8fc66e02d15c8f"}},
        {"dscnn width=8 depth=1 input=1x9x8 classes=3 seed=3", {"dscnn", "5a0e82707b66f3d48def2c05d9393bbb4e987a6039bc0a8fcca56bdb6e0d0611"}},
        {"resnet width=4 depth=2 input=1x8x8 classes=3 seed=4", {"resnet", "42c2bb893878903ffac811072cbb627e84fae8fcf0fae7556f068fdd3b3800d5"}},
        {"bilstm width=8 depth=2 input=3x6 classes=3 seed=5", {"bilstm", "2221aaf881d7ca73a61a038ae169d6b56a8f7ca99e4f55da9ec7fc92282b7b2e"}},
        {"gru width=8 depth=1 input=3x6 classes=3 seed=6", {"gru", "9a24fdeae88a319e680b81c8d99ca34afe4816f5be54e45e87a145b982df1e28"}},
        {"transformer width=8 depth=1 heads=2 vocab=11 length=5 classes=3 seed=9", {"transformer", "0047bffa8a4b010b97d039f414e009d565855523a5a47517ea3d0ab265737eb3"}},
        {"cct width=8 depth=1 heads=2 input=1x8x8 classes=3 seed=8", {"cct", "ff7f7ed42e16f70224233b2470114b1431d51906b63d86c82911f78582fd7b2b"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tsr_zoo_spec spec;
        struct tsr_graph *g;
        struct tsr_buf b = {0};
        struct tsr_sink *sink;
        uint8_t digest[TSR_SHA256_LEN];
        OK(tsr_zoo_parse(cases[i].text, &spec, &err));
        OK(tsr_zoo_build(&spec, &g, &err));
        OK(tsr_sink_from_memory(&b, "memory", &sink, &err));
        OK(tsr_onnx_save(g, sink, &err));
        OK(tsr_sink_close(sink, &err));
        tsr_onnx_digest(g, digest); /* of what it computes: no version of ours is in it */
        compare(&cases[i].pin, digest, sizeof digest);
        struct tsr_graph *again;
        OK(tsr_onnx_load_memory(b.data, b.len, "m", NULL, &again, &err));
        tsr_onnx_digest(again, digest);
        compare(&cases[i].pin, digest, sizeof digest);
        tsr_graph_free(again);
        tsr_graph_free(g);
        tsr_buf_release(&b);
    }
}
END_TEST

/* Products of matrices by kernels that fuse multiplication and addition: vectors of any width give the
 * same bits. The portable kernel need not. */
START_TEST(products)
{
    static const struct pin pin = {"product", "b86bae6f2e7afba110a84ae3a6150c7a4b6423056a840fe9e64ed422eb39242b"};
    float *a = numbers(6), *b = numbers(7), c[37 * 41];
    const char *used = tsr_gemm_kernel();
    for (int i = 0; tsr_gemm_kernel_name(i) != NULL; i++) {
        if (!tsr_gemm_kernel_runs(i) || strcmp(tsr_gemm_kernel_name(i), "portable") == 0) continue;
        OK(tsr_gemm_use(tsr_gemm_kernel_name(i), &err));
        tsr_sgemm(false, false, 37, 41, 53, 1, a, 53, b, 41, 0, c, 41);
        compare(&pin, c, sizeof c);
    }
    OK(tsr_gemm_use(used, &err));
    tsr_free(a), tsr_free(b);
}
END_TEST

/* What quantised models look up, and rows that are normalised. */
START_TEST(tables)
{
    static const struct pin pins[] = {{"table", "3ec79b551927657d66a8ce53035043eb809b314c89cc3516254fc604e745e06b"}, {"normalised", "7ef10f8772ff64e1fffc35df861282c35b0e4bd4f33209ead105bd19a92b395f"}};
    static const char *const functions[] = {"Erf", "Exp", "Gelu", "Sigmoid", "Softplus", "Tanh"};
    const int64_t dim = 256;
    uint8_t bytes[256], all[sizeof functions / sizeof *functions][256];
    for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)i;
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        struct tsr_graph *g, *fused;
        struct tsr_session *s;
        struct tsr_tensor t, x = {.dtype = TSR_U8, .shape = {1, {256}}, .data = bytes}, y;
        OK(tsr_graph_new(&g, &err));
        OK(tsr_graph_opset(g, "", 20, &err));
        OK(tsr_graph_add_input(g, "x", TSR_U8, 1, &dim, NULL, &err));
        OK(tsr_tensor_zeros(&t, TSR_F32, 0, NULL, &err));
        *(float *)t.data = 0.0173f;
        OK(tsr_graph_add_init(g, "s", &t, &err));
        OK(tsr_tensor_zeros(&t, TSR_U8, 0, NULL, &err));
        *(uint8_t *)t.data = 101;
        OK(tsr_graph_add_init(g, "z", &t, &err));
        OK(tsr_graph_add_node(g, "DequantizeLinear", "", NULL, 3, (const char *[]){"x", "s", "z"}, 1, (const char *[]){"a"}, &err));
        OK(tsr_graph_add_node(g, functions[k], "", NULL, 1, (const char *[]){"a"}, 1, (const char *[]){"b"}, &err));
        OK(tsr_graph_add_node(g, "QuantizeLinear", "", NULL, 3, (const char *[]){"b", "s", "z"}, 1, (const char *[]){"y"}, &err));
        OK(tsr_graph_add_output(g, "y", TSR_U8, 1, &dim, NULL, &err));
        OK(tsr_graph_finish(g, &err));
        OK(tsr_graph_fuse(g, NULL, 0, 0, &fused, &err));
        OK(tsr_session_new(fused, NULL, &s, &err));
        OK(tsr_session_call(s, &x, 1, fused->output, 1, &y, &err));
        memcpy(all[k], y.data, 256);
        tsr_tensor_release(&y);
        tsr_session_free(s);
        tsr_graph_free(fused);
        tsr_graph_free(g);
    }
    compare(&pins[0], all, sizeof all);
    float *x = numbers(8);
    const struct tsr_vnorm v = {.x = x, .scale = x + 100, .bias = x + 200, .y = x, .epsilon = 1e-5f, .centre = true};
    tsr_vnormalise(1, 100, &v); /* its parameters stand behind it */
    compare(&pins[1], x, 100 * sizeof *x);
    tsr_free(x);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {random_numbers, keys, matrices, conversions, sums, models, products, tables};
    return run_tests("same everywhere", tests, sizeof tests / sizeof *tests);
}
