/* zoo_builder.h - what the families of the zoo are written with; private to model/. The builder
 * remembers the first failure, after which its functions do nothing. Values are passed by name. */
#ifndef TSR_MODEL_ZOO_BUILDER_H
#define TSR_MODEL_ZOO_BUILDER_H

#include "base/rng.h"
#include "model/zoo.h"

#define TSR_ZOO_NAME 64

struct tsr_zoo_builder {
    const struct tsr_zoo_spec *spec;
    struct tsr_graph *g;
    struct tsr_rng rng;
    int64_t params; /* elements of all parameters so far */
    enum tsr_status status;
    struct tsr_error *err;
};

/* Names are kept in the caller's buffer: tsr_zoo_name(buf, "block%d.fc1", i). */
struct tsr_zoo_name {
    char s[TSR_ZOO_NAME];
};
struct tsr_zoo_name tsr_zoo_name(const char *format, ...) TSR_PRINTF(1, 2);

/* A node with up to three inputs (NULL ends the list) and one output. */
void tsr_zoo_node(struct tsr_zoo_builder *b, const char *op, const char *out, const char *in0, const char *in1,
                  const char *in2);
/* Attributes of the node added last. */
void tsr_zoo_int(struct tsr_zoo_builder *b, const char *name, int64_t v);
void tsr_zoo_ints(struct tsr_zoo_builder *b, const char *name, int n, const int64_t *v);

/* Initialisers: uniform in +-limit, or constant; int64 lists. */
void tsr_zoo_uniform(struct tsr_zoo_builder *b, const char *name, int rank, const int64_t *dim, double limit);
void tsr_zoo_fill(struct tsr_zoo_builder *b, const char *name, int rank, const int64_t *dim, float v);
void tsr_zoo_list(struct tsr_zoo_builder *b, const char *name, int n, const int64_t *v);

/* Layers. `name` prefixes the weights; `out` is the value they give. */
void tsr_zoo_linear(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int64_t d_in,
                    int64_t d_out, bool sequence); /* [N,d] as Gemm, [N,T,d] as MatMul + Add */
void tsr_zoo_layernorm(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int64_t d);
void tsr_zoo_batchnorm(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int64_t c);
void tsr_zoo_reshape(struct tsr_zoo_builder *b, const char *in, const char *out, int n, const int64_t *shape);
void tsr_zoo_transpose(struct tsr_zoo_builder *b, const char *in, const char *out, int n, const int64_t *perm);
/* spatial 1 or 2; weight [c_out, c_in / group, k...], "same" padding for odd k, He-uniform. */
void tsr_zoo_conv(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int spatial,
                  int64_t c_in, int64_t c_out, const int64_t *k, const int64_t *stride, int64_t group, bool bias);
/* Clip to [0, 6]. */
void tsr_zoo_relu6(struct tsr_zoo_builder *b, const char *in, const char *out);
/* Mean over one axis, without keeping it. */
void tsr_zoo_mean(struct tsr_zoo_builder *b, const char *in, const char *out, int64_t axis);
/* "features" -> "logits". */
void tsr_zoo_head(struct tsr_zoo_builder *b, int64_t d);

/* The input in the form a family wants, into `out`. */
struct tsr_zoo_form {
    int64_t steps, width; /* sequence [N,steps,width]; channels [N,width,steps] */
    int64_t c, h, w;      /* image */
};
struct tsr_zoo_form tsr_zoo_sequence(struct tsr_zoo_builder *b, const char *out);
struct tsr_zoo_form tsr_zoo_channels(struct tsr_zoo_builder *b, const char *out);
struct tsr_zoo_form tsr_zoo_image(struct tsr_zoo_builder *b, const char *out);
int64_t tsr_zoo_flat(struct tsr_zoo_builder *b, const char *out);

/* Pre-norm transformer blocks over [N,T,width], then a final norm into `out`. */
void tsr_zoo_transformer(struct tsr_zoo_builder *b, const char *in, const char *out, int64_t steps);

void tsr_zoo_mlp(struct tsr_zoo_builder *b);
void tsr_zoo_conv1d(struct tsr_zoo_builder *b);
void tsr_zoo_dscnn(struct tsr_zoo_builder *b);
void tsr_zoo_resnet(struct tsr_zoo_builder *b);
void tsr_zoo_resnet18(struct tsr_zoo_builder *b);
void tsr_zoo_mobilenetv2(struct tsr_zoo_builder *b);
void tsr_zoo_lstm(struct tsr_zoo_builder *b);
void tsr_zoo_bilstm(struct tsr_zoo_builder *b);
void tsr_zoo_gru(struct tsr_zoo_builder *b);
void tsr_zoo_transformer_net(struct tsr_zoo_builder *b);
void tsr_zoo_bert(struct tsr_zoo_builder *b);
void tsr_zoo_cct(struct tsr_zoo_builder *b);

#endif
