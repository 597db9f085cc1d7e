/* make-ort-models DIR - writes models of one node each, with operators of the domain com.microsoft, for
 * scripts/check-ort.sh to show to ONNX Runtime. The model's input is the node's first, the others are
 * initialisers. */
#include "tessera.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* OPERATOR OUTPUT | input | initialisers | attributes
 * OUTPUT: which of the node's outputs the model gives; /N: of how many that the node lists. An input is f or i, colon, dimensions; "-": absent;
 * i:2,3=1,0 lists elements (repeated as needed). An attribute is an integer, a float where it has a
 * point, a list of either where it has commas, otherwise a string. */
static const char *const models[] = {
    "Gelu 0|f:2,3,8||",
    "FastGelu 0|f:2,3,8|f:8|",
    "FastGelu 0|f:2,3,8||",
    "QuickGelu 0|f:2,3,8||alpha=1.5",
    "BiasGelu 0|f:2,3,8|f:8|",
    "FusedMatMul 0|f:2,3,4|f:2,4,5|alpha=0.5",
    "FusedMatMul 0|f:2,4,3|f:2,5,4|transA=1 transB=1 alpha=2.0",
    "FusedMatMul 0|f:3,2,4|f:4,2,5|transBatchA=1 transBatchB=1",
    "FusedMatMul 0|f:4,2,3|f:5,2,4|transBatchA=1 transBatchB=1 transA=1 transB=1",
    "TransposeMatMul 0|f:2,4,3|f:2,4,5|transA=1",
    "FusedGemm 0|f:3,4|f:5,4 f:5|transB=1 alpha=0.5 beta=2.0 activation=Relu",
    "FusedGemm 0|f:3,4|f:5,4 f:5|transB=1 alpha=0.5 beta=2.0 activation=LeakyRelu activation_alpha=0.25",
    "FusedGemm 0|f:3,4|f:4,5|activation=Tanh",
    "FusedConv 0|f:2,3,6,6|f:4,3,3,3 f:4|pads=1,1,1,1 activation=Relu",
    "FusedConv 0|f:2,3,6,6|f:4,3,3,3 f:4 f:2,4,6,6|pads=1,1,1,1 activation=Relu",
    "FusedConv 0|f:2,4,6,6|f:4,2,3,3|group=2 strides=2,2 activation=LeakyRelu activation_params=0.25,",
    "FusedConv 0|f:2,3,6,6|f:4,3,1,1 f:4|activation=Clip activation_params=-0.5,0.75",
    "FusedConv 0|f:2,3,6,6|f:4,3,1,1 f:4|activation=HardSigmoid activation_params=0.25,0.5",
    "SkipLayerNormalization 0|f:2,3,8|f:2,3,8 f:8 f:8 f:8|epsilon=0.001",
    "SkipLayerNormalization 0|f:2,3,8|f:2,3,8 f:8|",
    "SkipLayerNormalization 3|f:2,3,8|f:3,8 f:8 f:8 f:8|",
    "SkipSimplifiedLayerNormalization 0|f:2,3,8|f:2,3,8 f:8 f:8|epsilon=0.001",
    "SkipSimplifiedLayerNormalization 3|f:2,3,8|f:2,3,8 f:8|",
    "ai.onnx.SimplifiedLayerNormalization 0|f:2,3,8|f:8|epsilon=0.001 axis=-1",
    "ai.onnx.SimplifiedLayerNormalization 1|f:2,3,8|f:8|epsilon=0.001 axis=-1",
    "EmbedLayerNormalization 0/2|i:2,3|i:2,3=0,1 f:3,8 f:4,8 f:2,8 f:8 f:8 i:2,3=1,1,0|epsilon=0.001",
    "EmbedLayerNormalization 0/2|i:2,3|- f:3,8 f:4,8 - f:8 f:8|",
    "EmbedLayerNormalization 2|i:2,3|i:2,3=0,1 f:3,8 f:4,8 f:2,8 f:8 f:8 - i:2,3=2,0,1|",
    "Attention 0|f:2,3,8|f:8,24 f:24|num_heads=2",
    "Attention 0|f:2,3,8|f:8,24 f:24 i:2,3=1,1,0|num_heads=2",
    "Attention 0|f:2,3,8|f:8,24 f:24 i:2=3,2|num_heads=2",
    "Attention 0|f:2,3,8|f:8,24 f:24 i:4=3,2,1,0|num_heads=2",
    "Attention 0|f:2,3,8|f:8,24 f:24 i:2,3,3=1,0,1,1,1|num_heads=2 mask_filter_value=-50.0",
    "Attention 0/2|f:2,3,8|f:8,24 f:24 - f:2,2,2,4,4|num_heads=2 unidirectional=1",
    "Attention 1|f:2,3,8|f:8,24 f:24 - f:2,2,2,4,4|num_heads=2 unidirectional=1",
    "Attention 0/2|f:2,3,8|f:8,24 f:24 i:2,7=1,1,1,0 f:2,2,2,4,4|num_heads=2 scale=0.25",
    "Attention 0|f:2,3,8|f:8,20 f:20|num_heads=2 qkv_hidden_sizes=8,8,4",
    "MultiHeadAttention 0|f:2,3,8|f:2,5,8 f:2,5,8 f:24|num_heads=2",
    "MultiHeadAttention 0|f:2,3,8|f:2,5,8 f:2,5,4|num_heads=2 scale=0.25",
    "MultiHeadAttention 0|f:2,3,8|f:2,5,8 f:2,5,8 - i:2,5=1,1,1,0|num_heads=2",
    "MultiHeadAttention 0|f:2,3,8|f:2,3,8 f:2,3,8 - - f:1,2,3,3|num_heads=2 unidirectional=1",
    "MultiHeadAttention 0|f:2,3,8|f:2,2,5,4 f:2,2,5,4|num_heads=2",
    "MultiHeadAttention 0/3|f:2,3,8|f:2,3,8 f:2,3,8 - - - f:2,2,4,4 f:2,2,4,4|num_heads=2",
    "MultiHeadAttention 1/3|f:2,3,8|f:2,3,8 f:2,3,8 f:24 - - f:2,2,4,4 f:2,2,4,4|num_heads=2",
    "GroupQueryAttention 0/3|f:2,3,32|f:2,3,16 f:2,3,16 - - i:2=2,2 i:=3|num_heads=4 kv_num_heads=2",
    "GroupQueryAttention 0/3|f:2,3,64|- - - - i:2=2,2 i:=3|num_heads=4 kv_num_heads=2",
    "GroupQueryAttention 0/3|f:2,4,64|f:2,4,32 f:2,4,32 - - i:2=3,3 i:=4 f:8,8 f:8,8|num_heads=4 kv_num_heads=2 do_rotary=1",
    "GroupQueryAttention 0/3|f:2,1,64|f:2,1,32 f:2,1,32 f:2,2,8,16 f:2,2,8,16 i:2=4,6 i:=7 f:8,8 f:8,8|num_heads=4 kv_num_heads=2 do_rotary=1 "
    "rotary_interleaved=1",
    "GroupQueryAttention 0/3|f:1,1,32|f:1,1,16 f:1,1,16 f:1,2,8,8 f:1,2,8,8 i:1=6 i:=7|num_heads=4 kv_num_heads=2 local_window_size=3 softcap=2.0",
    "RotaryEmbedding 0|f:2,3,8|l:1=2 f:6,2 f:6,2|num_heads=2 rotary_embedding_dim=4",
    "RotaryEmbedding 0|f:2,2,3,4|l:2,3=0,2,1 f:6,2 f:6,2|interleaved=1",
    "RotaryEmbedding 0|f:2,3,8|l:1=0 f:6,2 f:6,2|",
};

static struct tsr_error err;

static void must(enum tsr_status status)
{
    if (status == TSR_OK) return;
    fprintf(stderr, "make-ort-models: %s\n", err.message);
    exit(EXIT_FAILURE);
}

struct description {
    enum tsr_dtype dtype;
    struct tsr_shape shape;
    const char *elements; /* NULL: random */
};

static struct description describe(const char *p)
{
    struct description d = {.dtype = *p == 'f' ? TSR_F32 : *p == 'i' ? TSR_I32 : TSR_I64};
    char *end;
    for (p += 2; *p && *p != '='; p = *end == ',' ? end + 1 : end) d.shape.dim[d.shape.rank++] = strtoll(p, &end, 10);
    if (*p == '=') d.elements = p + 1;
    return d;
}

static void make_tensor(const struct description *d, uint64_t seed, struct tsr_tensor *t)
{
    struct tsr_rng r;
    tsr_rng_init(&r, 7, seed);
    must(tsr_tensor_zeros(t, d->dtype, d->shape.rank, d->shape.dim, &err));
    const char *p = d->elements;
    for (int64_t i = 0; i < tsr_tensor_count(t); i++) {
        if (!d->elements) {
            tsr_store_f64(d->dtype, t->data, i, (double)tsr_rng_normal(&r));
            continue;
        }
        char *end;
        tsr_store_f64(d->dtype, t->data, i, strtod(p, &end));
        p = *end == ',' ? end + 1 : d->elements;
    }
}

static void add_attribute(struct tsr_graph *g, const char *name, const char *value)
{
    int64_t ints[16];
    float floats[16];
    size_t n = 0;
    char *end;
    if (isalpha((unsigned char)*value)) {
        must(tsr_graph_attr_string(g, name, value, &err));
        return;
    }
    const bool point = strchr(value, '.') != NULL, list = strchr(value, ',') != NULL;
    for (const char *p = value; *p; p = *end == ',' ? end + 1 : end) {
        ints[n] = strtoll(p, &end, 10);
        floats[n++] = strtof(p, &end);
    }
    if (point && list) must(tsr_graph_attr_floats(g, name, floats, n, &err));
    else if (point) must(tsr_graph_attr_float(g, name, floats[0], &err));
    else if (list) must(tsr_graph_attr_ints(g, name, ints, n, &err));
    else must(tsr_graph_attr_int(g, name, ints[0], &err));
}

/* Splits text at a character; "" where there is no more. */
static char *cut(char **text, char at)
{
    char *word = *text, *end = strchr(word, at);
    *text = end ? end + 1 : word + strlen(word);
    if (end) *end = '\0';
    return word;
}

static struct tsr_graph *build(char *line)
{
    static char name[16][4];
    static const char *in[16] = {"x"}, *out[4] = {"y0", "y1", "y2", "y3"};
    char *op = cut(&line, ' '), *which = cut(&line, '|'), *input = cut(&line, '|'), *inits = cut(&line, '|');
    const char *domain = "com.microsoft";
    struct tsr_graph *g;
    int n_in = 1, wanted = atoi(which), n_out = strchr(which, '/') ? atoi(strchr(which, '/') + 1) : wanted + 1;
    if (strncmp(op, "ai.onnx.", 8) == 0) op += 8, domain = "";
    must(tsr_graph_new(&g, &err));
    must(tsr_graph_opset(g, "", 17, &err));
    must(tsr_graph_opset(g, "com.microsoft", 1, &err));
    struct description x = describe(input);
    must(tsr_graph_add_input(g, "x", x.dtype, x.shape.rank, x.shape.dim, NULL, &err));
    while (*inits) {
        const char *text = cut(&inits, ' ');
        snprintf(name[n_in], sizeof name[n_in], "i%d", n_in);
        in[n_in] = *text == '-' ? "" : name[n_in];
        if (*text != '-') {
            struct description d = describe(text);
            struct tsr_tensor t;
            make_tensor(&d, (uint64_t)n_in, &t);
            must(tsr_graph_add_init(g, name[n_in], &t, &err));
        }
        n_in++;
    }
    must(tsr_graph_add_node(g, op, domain, "node", n_in, in, n_out, out, &err));
    while (*line) {
        char *text = cut(&line, ' '), *key = cut(&text, '=');
        add_attribute(g, key, text);
    }
    must(tsr_graph_add_output(g, out[wanted], TSR_F32, -1, NULL, NULL, &err));
    must(tsr_graph_finish(g, &err));
    return g;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make-ort-models DIR\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[4096], line[512];
        struct tsr_sink *sink;
        snprintf(line, sizeof line, "%s", models[i]);
        struct tsr_graph *g = build(line);
        snprintf(path, sizeof path, "%s/%02zu-%s.onnx", argv[1], i, g->node[0].op_type);
        must(tsr_sink_open(path, &sink, &err));
        must(tsr_onnx_save(g, sink, &err));
        must(tsr_sink_close(sink, &err));
        tsr_graph_free(g);
    }
    return 0;
}
