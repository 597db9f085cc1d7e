#include "model/zoo_builder.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_PARAMS 1000000000

struct tsr_zoo_name tsr_zoo_name(const char *format, ...)
{
    struct tsr_zoo_name n;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(n.s, sizeof n.s, format, args);
    va_end(args);
    return n;
}

void tsr_zoo_node(struct tsr_zoo_builder *b, const char *op, const char *out, const char *in0, const char *in1,
                  const char *in2)
{
    const char *in[3] = {in0, in1, in2};
    int n = 0;
    while (n < 3 && in[n] != NULL) n++;
    if (b->status == TSR_OK) b->status = tsr_graph_add_node(b->g, op, "", out, n, in, 1, &out, b->err);
}

void tsr_zoo_int(struct tsr_zoo_builder *b, const char *name, int64_t v)
{
    if (b->status == TSR_OK) b->status = tsr_graph_attr_int(b->g, name, v, b->err);
}

void tsr_zoo_ints(struct tsr_zoo_builder *b, const char *name, int n, const int64_t *v)
{
    if (b->status == TSR_OK) b->status = tsr_graph_attr_ints(b->g, name, v, (size_t)n, b->err);
}

static float *new_init(struct tsr_zoo_builder *b, int rank, const int64_t *dim, struct tsr_tensor *t)
{
    struct tsr_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) shape.dim[i] = dim[i];
    const int64_t n = tsr_shape_count(&shape);
    if (b->status == TSR_OK && (n < 0 || n > MAX_PARAMS - b->params))
        b->status = tsr_fail(b->err, TSR_E_LIMIT, "the network would have more than %d million parameters",
                             MAX_PARAMS / 1000000);
    b->params += b->status == TSR_OK ? n : 0;
    if (b->status == TSR_OK) b->status = tsr_tensor_zeros(t, TSR_F32, rank, dim, b->err);
    return b->status == TSR_OK ? t->data : NULL;
}

static void add_init(struct tsr_zoo_builder *b, const char *name, struct tsr_tensor *t)
{
    if (b->status == TSR_OK) b->status = tsr_graph_add_init(b->g, name, t, b->err);
}

void tsr_zoo_uniform(struct tsr_zoo_builder *b, const char *name, int rank, const int64_t *dim, double limit)
{
    struct tsr_tensor t;
    float *w = new_init(b, rank, dim, &t);
    int64_t n = w != NULL ? tsr_tensor_count(&t) : 0;
    for (int64_t i = 0; i < n; i++) w[i] = (float)limit * (2 * tsr_rng_float(&b->rng) - 1);
    add_init(b, name, &t);
}

void tsr_zoo_fill(struct tsr_zoo_builder *b, const char *name, int rank, const int64_t *dim, float v)
{
    struct tsr_tensor t;
    float *w = new_init(b, rank, dim, &t);
    int64_t n = w != NULL ? tsr_tensor_count(&t) : 0;
    for (int64_t i = 0; i < n; i++) w[i] = v;
    add_init(b, name, &t);
}

void tsr_zoo_list(struct tsr_zoo_builder *b, const char *name, int n, const int64_t *v)
{
    struct tsr_tensor t;
    int64_t dim = n;
    if (b->status == TSR_OK && tsr_graph_find(b->g, name) >= 0) return; /* shared by several nodes */
    if (b->status == TSR_OK) b->status = tsr_tensor_zeros(&t, TSR_I64, 1, &dim, b->err);
    if (b->status == TSR_OK) memcpy(t.data, v, (size_t)n * sizeof *v);
    add_init(b, name, &t);
}

/* Glorot and Bengio (2010). */
static double glorot(int64_t d_in, int64_t d_out) { return sqrt(6.0 / (double)(d_in + d_out)); }

void tsr_zoo_linear(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int64_t d_in,
                    int64_t d_out, bool sequence)
{
    struct tsr_zoo_name w = tsr_zoo_name("%s.weight", name), bias = tsr_zoo_name("%s.bias", name),
                        product = tsr_zoo_name("%s.product", name);
    int64_t shape[2] = {sequence ? d_in : d_out, sequence ? d_out : d_in};
    tsr_zoo_uniform(b, w.s, 2, shape, glorot(d_in, d_out));
    tsr_zoo_fill(b, bias.s, 1, &d_out, 0);
    if (sequence) {
        tsr_zoo_node(b, "MatMul", product.s, in, w.s, NULL);
        tsr_zoo_node(b, "Add", out, product.s, bias.s, NULL);
    } else {
        tsr_zoo_node(b, "Gemm", out, in, w.s, bias.s);
        tsr_zoo_int(b, "transB", 1);
    }
}

void tsr_zoo_layernorm(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int64_t d)
{
    struct tsr_zoo_name w = tsr_zoo_name("%s.weight", name), bias = tsr_zoo_name("%s.bias", name);
    tsr_zoo_fill(b, w.s, 1, &d, 1);
    tsr_zoo_fill(b, bias.s, 1, &d, 0);
    tsr_zoo_node(b, "LayerNormalization", out, in, w.s, bias.s);
    tsr_zoo_int(b, "axis", -1);
}

void tsr_zoo_batchnorm(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int64_t c)
{
    struct tsr_zoo_name w = tsr_zoo_name("%s.weight", name), bias = tsr_zoo_name("%s.bias", name),
                        mean = tsr_zoo_name("%s.mean", name), var = tsr_zoo_name("%s.var", name);
    const char *inputs[5] = {in, w.s, bias.s, mean.s, var.s};
    tsr_zoo_fill(b, w.s, 1, &c, 1);
    tsr_zoo_fill(b, bias.s, 1, &c, 0);
    tsr_zoo_fill(b, mean.s, 1, &c, 0);
    tsr_zoo_fill(b, var.s, 1, &c, 1);
    if (b->status == TSR_OK)
        b->status = tsr_graph_add_node(b->g, "BatchNormalization", "", out, 5, inputs, 1, &out, b->err);
}

void tsr_zoo_reshape(struct tsr_zoo_builder *b, const char *in, const char *out, int n, const int64_t *shape)
{
    struct tsr_zoo_name list = tsr_zoo_name("shape");
    for (int i = 0; i < n; i++) {
        struct tsr_zoo_name longer = tsr_zoo_name("%s.%lld", list.s, (long long)shape[i]);
        list = longer;
    }
    tsr_zoo_list(b, list.s, n, shape);
    tsr_zoo_node(b, "Reshape", out, in, list.s, NULL);
}

void tsr_zoo_transpose(struct tsr_zoo_builder *b, const char *in, const char *out, int n, const int64_t *perm)
{
    tsr_zoo_node(b, "Transpose", out, in, NULL, NULL);
    tsr_zoo_ints(b, "perm", n, perm);
}

void tsr_zoo_conv(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int spatial,
                  int64_t c_in, int64_t c_out, const int64_t *k, const int64_t *stride, int64_t group, bool bias)
{
    struct tsr_zoo_name w = tsr_zoo_name("%s.weight", name), bn = tsr_zoo_name("%s.bias", name);
    int64_t dim[4] = {c_out, c_in / group, k[0], spatial == 2 ? k[1] : 0}, pads[4], fan = c_in / group;
    for (int i = 0; i < spatial; i++) {
        fan *= k[i];
        pads[i] = pads[spatial + i] = k[i] / 2;
    }
    tsr_zoo_uniform(b, w.s, 2 + spatial, dim, sqrt(6.0 / (double)fan)); /* He et al. (2015) */
    if (bias) tsr_zoo_fill(b, bn.s, 1, &c_out, 0);
    tsr_zoo_node(b, "Conv", out, in, w.s, bias ? bn.s : NULL);
    tsr_zoo_ints(b, "kernel_shape", spatial, k);
    tsr_zoo_ints(b, "strides", spatial, stride);
    tsr_zoo_ints(b, "pads", 2 * spatial, pads);
    tsr_zoo_int(b, "group", group);
}

void tsr_zoo_relu6(struct tsr_zoo_builder *b, const char *in, const char *out)
{
    if (b->status == TSR_OK && tsr_graph_find(b->g, "six") < 0) { /* shared by all */
        tsr_zoo_fill(b, "zero", 0, NULL, 0);
        tsr_zoo_fill(b, "six", 0, NULL, 6);
    }
    tsr_zoo_node(b, "Clip", out, in, "zero", "six");
}

void tsr_zoo_mean(struct tsr_zoo_builder *b, const char *in, const char *out, int64_t axis)
{
    struct tsr_zoo_name axes = tsr_zoo_name("axes.%lld", (long long)axis);
    tsr_zoo_list(b, axes.s, 1, &axis);
    tsr_zoo_node(b, "ReduceMean", out, in, axes.s, NULL);
    tsr_zoo_int(b, "keepdims", 0);
}

/* A small head: the first answers are close to "all classes alike" instead of confident noise. */
void tsr_zoo_head(struct tsr_zoo_builder *b, int64_t d)
{
    tsr_zoo_linear(b, "head", "features", "logits", d, b->spec->classes, false);
    int32_t id = tsr_graph_find(b->g, "head.weight");
    float *w = b->status == TSR_OK && id >= 0 ? b->g->value[id].init.data : NULL;
    for (int64_t i = 0; w != NULL && i < d * b->spec->classes; i++) w[i] *= 0.1f;
}

/* Tokens become rows of a table, [N, length, width]. The rows start small: what is learnt of a
 * token then outweighs where it started, which with few samples decides how well it generalises. */
static void embed(struct tsr_zoo_builder *b, const char *out, int64_t width)
{
    int64_t dim[2] = {b->spec->vocab, width};
    tsr_zoo_uniform(b, "embedding.weight", 2, dim, 0.02);
    tsr_zoo_node(b, "Gather", out, "embedding.weight", "input", NULL);
    tsr_zoo_int(b, "axis", 0);
}

struct tsr_zoo_form tsr_zoo_sequence(struct tsr_zoo_builder *b, const char *out)
{
    const struct tsr_zoo_spec *s = b->spec;
    const int64_t swap[3] = {0, 2, 1}, last_first[4] = {0, 3, 1, 2};
    if (s->vocab > 0) {
        embed(b, out, s->width);
        return (struct tsr_zoo_form){.steps = s->length, .width = s->width};
    }
    if (s->rank == 1) { /* one step */
        tsr_zoo_reshape(b, "input", out, 3, (const int64_t[]){0, 1, s->dim[0]});
        return (struct tsr_zoo_form){.steps = 1, .width = s->dim[0]};
    }
    if (s->rank == 2) { /* channels x time */
        tsr_zoo_transpose(b, "input", out, 3, swap);
        return (struct tsr_zoo_form){.steps = s->dim[1], .width = s->dim[0]};
    }
    /* The last axis is time (spectrograms) or the columns of a picture. */
    tsr_zoo_transpose(b, "input", "columns", 4, last_first);
    tsr_zoo_reshape(b, "columns", out, 3, (const int64_t[]){0, s->dim[2], s->dim[0] * s->dim[1]});
    return (struct tsr_zoo_form){.steps = s->dim[2], .width = s->dim[0] * s->dim[1]};
}

struct tsr_zoo_form tsr_zoo_channels(struct tsr_zoo_builder *b, const char *out)
{
    const struct tsr_zoo_spec *s = b->spec;
    if (s->vocab > 0) {
        embed(b, "embedded", s->width);
        tsr_zoo_transpose(b, "embedded", out, 3, (const int64_t[]){0, 2, 1});
        return (struct tsr_zoo_form){.steps = s->length, .width = s->width};
    }
    int64_t c = s->rank == 1 ? 1 : s->rank == 2 ? s->dim[0] : s->dim[0] * s->dim[1], t = s->dim[s->rank - 1];
    tsr_zoo_reshape(b, "input", out, 3, (const int64_t[]){0, c, t});
    return (struct tsr_zoo_form){.steps = t, .width = c};
}

struct tsr_zoo_form tsr_zoo_image(struct tsr_zoo_builder *b, const char *out)
{
    const struct tsr_zoo_spec *s = b->spec;
    struct tsr_zoo_form f = {.c = 1, .h = 1, .w = s->dim[s->rank > 0 ? s->rank - 1 : 0]};
    const char *in = "input";
    if (s->vocab > 0) { /* the embedded sequence is a map of length x width */
        embed(b, "embedded", s->width);
        in = "embedded";
        f.h = s->length;
        f.w = s->width;
    } else if (s->rank == 2) {
        f.h = s->dim[0];
    } else if (s->rank == 3) {
        f.c = s->dim[0];
        f.h = s->dim[1];
    }
    tsr_zoo_reshape(b, in, out, 4, (const int64_t[]){0, f.c, f.h, f.w});
    return f;
}

int64_t tsr_zoo_flat(struct tsr_zoo_builder *b, const char *out)
{
    const struct tsr_zoo_spec *s = b->spec;
    const char *in = "input";
    int64_t d = 1;
    if (s->vocab > 0) { /* narrow: every position has weights of its own */
        int64_t width = s->width / 16 > 0 ? s->width / 16 : 1;
        embed(b, "embedded", width);
        in = "embedded";
        d = s->length * width;
    }
    for (int i = 0; i < s->rank; i++) d *= s->dim[i];
    tsr_zoo_node(b, "Flatten", out, in, NULL, NULL);
    tsr_zoo_int(b, "axis", 1);
    return d;
}
