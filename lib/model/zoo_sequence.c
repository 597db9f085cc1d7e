/* zoo_sequence.c - the recurrent and attention families of the zoo. */
#include "model/zoo_builder.h"

#include <math.h>

/* One bidirectional recurrent layer over [T,N,in] into `out` [T,N,2h]. ONNX orders the gates
 * i o f c (LSTM) and z r h (GRU). */
static void recurrent(struct tsr_zoo_builder *b, const char *op, int64_t gates, const char *name, const char *in,
                      const char *out, int64_t d_in, int64_t h)
{
    struct tsr_zoo_name w = tsr_zoo_name("%s.w", name), r = tsr_zoo_name("%s.r", name),
                        bias = tsr_zoo_name("%s.b", name), y = tsr_zoo_name("%s.y", name),
                        t = tsr_zoo_name("%s.t", name);
    const char *inputs[4] = {in, w.s, r.s, bias.s}, *outputs[1] = {y.s};
    double limit = 1 / sqrt((double)h);
    tsr_zoo_uniform(b, w.s, 3, (const int64_t[]){2, gates * h, d_in}, sqrt(6.0 / (double)(d_in + h)));
    tsr_zoo_uniform(b, r.s, 3, (const int64_t[]){2, gates * h, h}, limit);
    tsr_zoo_fill(b, bias.s, 2, (const int64_t[]){2, 2 * gates * h}, 0);
    int32_t id = tsr_graph_find(b->g, bias.s);
    if (b->status == TSR_OK && gates == 4 && id >= 0) { /* remember at first (Gers et al. 2000) */
        float *v = b->g->value[id].init.data;
        for (int64_t dir = 0; dir < 2; dir++)
            for (int64_t i = 0; i < h; i++) v[dir * 8 * h + 2 * h + i] = 1;
    }
    if (b->status == TSR_OK) b->status = tsr_graph_add_node(b->g, op, "", y.s, 4, inputs, 1, outputs, b->err);
    tsr_zoo_int(b, "hidden_size", h);
    if (b->status == TSR_OK) b->status = tsr_graph_attr_string(b->g, "direction", "bidirectional", b->err);
    if (gates == 3) tsr_zoo_int(b, "linear_before_reset", 1);
    tsr_zoo_transpose(b, y.s, t.s, 4, (const int64_t[]){0, 2, 1, 3});
    tsr_zoo_reshape(b, t.s, out, 3, (const int64_t[]){0, 0, 2 * h});
}

static void recurrent_net(struct tsr_zoo_builder *b, const char *op, int64_t gates, int64_t h)
{
    struct tsr_zoo_form f = tsr_zoo_sequence(b, "sequence");
    tsr_zoo_transpose(b, "sequence", "block0", 3, (const int64_t[]){1, 0, 2});
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1),
                            to = tsr_zoo_name("block%lld", (long long)i), name = tsr_zoo_name("layer%lld", (long long)i);
        recurrent(b, op, gates, name.s, from.s, to.s, i == 1 ? f.width : 2 * h, h);
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)b->spec->depth);
    tsr_zoo_mean(b, last.s, "features", 0);
    tsr_zoo_head(b, 2 * h);
}

static int64_t half(int64_t width) { return width / 2 > 0 ? width / 2 : 1; }

/* width is that of both directions together (lstm, gru) or of each (bilstm). */
void tsr_zoo_lstm(struct tsr_zoo_builder *b) { recurrent_net(b, "LSTM", 4, half(b->spec->width)); }
void tsr_zoo_bilstm(struct tsr_zoo_builder *b) { recurrent_net(b, "LSTM", 4, b->spec->width); }
void tsr_zoo_gru(struct tsr_zoo_builder *b) { recurrent_net(b, "GRU", 3, half(b->spec->width)); }

static int64_t head_count(const struct tsr_zoo_spec *s)
{
    if (s->heads > 0) return s->heads;
    int64_t h = s->width / 32 > 0 ? s->width / 32 : 1;
    while (s->width % h != 0) h--;
    return h;
}

/* softmax(q k' / sqrt(d)) v over [N,T,width] (Vaswani et al. 2017). */
static void attention(struct tsr_zoo_builder *b, const char *p, const char *in, const char *out, int64_t steps)
{
    int64_t d = b->spec->width, heads = head_count(b->spec), each = d / heads;
    const char *part[3] = {"q", "k", "v"};
    const int64_t by_head[4] = {0, 2, 1, 3}, key_last[4] = {0, 2, 3, 1};
    struct tsr_zoo_name v[3];
    for (int i = 0; i < 3; i++) {
        struct tsr_zoo_name name = tsr_zoo_name("%s.%s", p, part[i]), flat = tsr_zoo_name("%s.%s.flat", p, part[i]),
                            split = tsr_zoo_name("%s.%s.split", p, part[i]);
        v[i] = tsr_zoo_name("%s.%s.heads", p, part[i]);
        tsr_zoo_linear(b, name.s, in, flat.s, d, d, true);
        tsr_zoo_reshape(b, flat.s, split.s, 4, (const int64_t[]){0, steps, heads, each});
        tsr_zoo_transpose(b, split.s, v[i].s, 4, i == 1 ? key_last : by_head);
    }
    struct tsr_zoo_name scale = tsr_zoo_name("attention.scale"), s1 = tsr_zoo_name("%s.scores", p),
                        s2 = tsr_zoo_name("%s.scaled", p), s3 = tsr_zoo_name("%s.weights", p),
                        s4 = tsr_zoo_name("%s.mixed", p), s5 = tsr_zoo_name("%s.merged", p),
                        s6 = tsr_zoo_name("%s.joined", p), o = tsr_zoo_name("%s.o", p);
    if (b->status == TSR_OK && tsr_graph_find(b->g, scale.s) < 0)
        tsr_zoo_fill(b, scale.s, 0, NULL, (float)(1 / sqrt((double)each)));
    tsr_zoo_node(b, "MatMul", s1.s, v[0].s, v[1].s, NULL);
    tsr_zoo_node(b, "Mul", s2.s, s1.s, scale.s, NULL);
    tsr_zoo_node(b, "Softmax", s3.s, s2.s, NULL, NULL);
    tsr_zoo_int(b, "axis", -1);
    tsr_zoo_node(b, "MatMul", s4.s, s3.s, v[2].s, NULL);
    tsr_zoo_transpose(b, s4.s, s5.s, 4, by_head);
    tsr_zoo_reshape(b, s5.s, s6.s, 3, (const int64_t[]){0, steps, d});
    tsr_zoo_linear(b, o.s, s6.s, out, d, d, true);
}

/* block0 = in + learnt positions. */
static void add_positions(struct tsr_zoo_builder *b, const char *in, const char *out, int64_t steps)
{
    int64_t d = b->spec->width;
    if (b->status == TSR_OK && d % head_count(b->spec) != 0)
        b->status = tsr_fail(b->err, TSR_E_USAGE, "width=%lld is not a multiple of heads=%lld", (long long)d,
                             (long long)head_count(b->spec));
    tsr_zoo_uniform(b, "position", 3, (const int64_t[]){1, steps, d}, 0.05);
    tsr_zoo_node(b, "Add", out, in, "position", NULL);
}

/* Linear, GELU, linear within block `p`. */
static void feed_forward(struct tsr_zoo_builder *b, const char *p, const char *in, const char *out)
{
    int64_t d = b->spec->width, wide = b->spec->ff;
    struct tsr_zoo_name hidden = tsr_zoo_name("%s.hidden", p), act = tsr_zoo_name("%s.act", p),
                        fc1 = tsr_zoo_name("%s.fc1", p), fc2 = tsr_zoo_name("%s.fc2", p);
    tsr_zoo_linear(b, fc1.s, in, hidden.s, d, wide, true);
    tsr_zoo_node(b, "Gelu", act.s, hidden.s, NULL, NULL);
    tsr_zoo_linear(b, fc2.s, act.s, out, wide, d, true);
}

void tsr_zoo_transformer(struct tsr_zoo_builder *b, const char *in, const char *out, int64_t steps)
{
    int64_t d = b->spec->width;
    add_positions(b, in, "block0", steps);
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1),
                            to = tsr_zoo_name("block%lld", (long long)i), n1 = tsr_zoo_name("%s.norm1", to.s),
                            n2 = tsr_zoo_name("%s.norm2", to.s), h1 = tsr_zoo_name("%s.normed1", to.s),
                            h2 = tsr_zoo_name("%s.attended", to.s), h3 = tsr_zoo_name("%s.middle", to.s),
                            h4 = tsr_zoo_name("%s.normed2", to.s), h5 = tsr_zoo_name("%s.out", to.s);
        tsr_zoo_layernorm(b, n1.s, from.s, h1.s, d);
        attention(b, to.s, h1.s, h2.s, steps);
        tsr_zoo_node(b, "Add", h3.s, from.s, h2.s, NULL);
        tsr_zoo_layernorm(b, n2.s, h3.s, h4.s, d);
        feed_forward(b, to.s, h4.s, h5.s);
        tsr_zoo_node(b, "Add", to.s, h3.s, h5.s, NULL);
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)b->spec->depth);
    tsr_zoo_layernorm(b, "norm", last.s, out, d);
}

/* The input as [N,steps,width]. */
static struct tsr_zoo_form embedded(struct tsr_zoo_builder *b, const char *out)
{
    bool tokens = b->spec->vocab > 0;
    struct tsr_zoo_form f = tsr_zoo_sequence(b, tokens ? out : "sequence");
    if (!tokens) tsr_zoo_linear(b, "project", "sequence", out, f.width, b->spec->width, true);
    return f;
}

void tsr_zoo_transformer_net(struct tsr_zoo_builder *b)
{
    struct tsr_zoo_form f = embedded(b, "projected");
    tsr_zoo_transformer(b, "projected", "final", f.steps);
    tsr_zoo_mean(b, "final", "features", 1);
    tsr_zoo_head(b, b->spec->width);
}

/* Post-norm blocks; the first step goes through a linear layer and tanh (Devlin et al. 2019). Width
 * 256 and depth 4 are BERT-mini (Turc et al. 2019), without the embedding of segments. */
void tsr_zoo_bert(struct tsr_zoo_builder *b)
{
    int64_t d = b->spec->width;
    struct tsr_zoo_form f = embedded(b, "embedded");
    add_positions(b, "embedded", "placed", f.steps);
    tsr_zoo_layernorm(b, "norm", "placed", "block0", d);
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1),
                            to = tsr_zoo_name("block%lld", (long long)i), n1 = tsr_zoo_name("%s.norm1", to.s),
                            n2 = tsr_zoo_name("%s.norm2", to.s), h1 = tsr_zoo_name("%s.attended", to.s),
                            h2 = tsr_zoo_name("%s.sum1", to.s), h3 = tsr_zoo_name("%s.middle", to.s),
                            h4 = tsr_zoo_name("%s.out", to.s), h5 = tsr_zoo_name("%s.sum2", to.s);
        attention(b, to.s, from.s, h1.s, f.steps);
        tsr_zoo_node(b, "Add", h2.s, from.s, h1.s, NULL);
        tsr_zoo_layernorm(b, n1.s, h2.s, h3.s, d);
        feed_forward(b, to.s, h3.s, h4.s);
        tsr_zoo_node(b, "Add", h5.s, h3.s, h4.s, NULL);
        tsr_zoo_layernorm(b, n2.s, h5.s, to.s, d);
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)b->spec->depth);
    tsr_zoo_list(b, "first", 1, (const int64_t[]){0});
    tsr_zoo_node(b, "Gather", "first.kept", last.s, "first", NULL);
    tsr_zoo_int(b, "axis", 1);
    tsr_zoo_reshape(b, "first.kept", "first.step", 2, (const int64_t[]){0, d});
    tsr_zoo_linear(b, "pooler", "first.step", "pooler.sum", d, d, false);
    tsr_zoo_node(b, "Tanh", "features", "pooler.sum", NULL, NULL);
    tsr_zoo_head(b, d);
}

/* Compact convolutional transformer (Hassani et al. 2021): convolutional tokens, attention,
 * and a learnt weighted mean over the tokens. */
void tsr_zoo_cct(struct tsr_zoo_builder *b)
{
    int64_t d = b->spec->width, k = b->spec->kernel;
    struct tsr_zoo_form f = tsr_zoo_image(b, "image");
    int64_t stride[2] = {f.h >= 8 ? 2 : 1, f.w >= 8 ? 2 : 1}, size[2] = {k, k};
    tsr_zoo_conv(b, "tokens1", "image", "tokens1.raw", 2, f.c, d / 2 > 0 ? d / 2 : 1, size, stride, 1, true);
    tsr_zoo_node(b, "Relu", "tokens1.act", "tokens1.raw", NULL, NULL);
    f.h = (f.h + stride[0] - 1) / stride[0];
    f.w = (f.w + stride[1] - 1) / stride[1];
    int64_t stride2[2] = {f.h >= 8 ? 2 : 1, f.w >= 8 ? 2 : 1};
    tsr_zoo_conv(b, "tokens2", "tokens1.act", "tokens2.raw", 2, d / 2 > 0 ? d / 2 : 1, d, size, stride2, 1, true);
    f.h = (f.h + stride2[0] - 1) / stride2[0];
    f.w = (f.w + stride2[1] - 1) / stride2[1];
    tsr_zoo_reshape(b, "tokens2.raw", "tokens.flat", 3, (const int64_t[]){0, d, f.h * f.w});
    tsr_zoo_transpose(b, "tokens.flat", "tokens", 3, (const int64_t[]){0, 2, 1});
    tsr_zoo_transformer(b, "tokens", "final", f.h * f.w);
    tsr_zoo_linear(b, "pool", "final", "pool.scores", d, 1, true);
    tsr_zoo_node(b, "Softmax", "pool.weights", "pool.scores", NULL, NULL);
    tsr_zoo_int(b, "axis", 1);
    tsr_zoo_node(b, "Mul", "pool.weighted", "final", "pool.weights", NULL);
    tsr_zoo_list(b, "axes.1", 1, (const int64_t[]){1});
    tsr_zoo_node(b, "ReduceSum", "features", "pool.weighted", "axes.1", NULL);
    tsr_zoo_int(b, "keepdims", 0);
    tsr_zoo_head(b, d);
}
