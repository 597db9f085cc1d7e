/* zoo_nets.c - the dense and convolutional families of the zoo. */
#include "model/zoo_builder.h"

#include <stdio.h>

/* The name of the last block is "features" where the head reads it directly. */
static struct tsr_zoo_name block_name(const struct tsr_zoo_builder *b, int64_t i, bool last_is_features)
{
    return i == b->spec->depth && last_is_features ? tsr_zoo_name("features") : tsr_zoo_name("block%lld", (long long)i);
}

/* Residual blocks Linear - LayerNorm - GELU - Linear. */
void tsr_zoo_mlp(struct tsr_zoo_builder *b)
{
    int64_t d = b->spec->width, wide = b->spec->ff > 0 ? b->spec->ff : 2 * d;
    int64_t in = tsr_zoo_flat(b, "flat");
    tsr_zoo_linear(b, "project", "flat", "block0", in, d, false);
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1), to = block_name(b, i, true),
                            p = tsr_zoo_name("block%lld", (long long)i), fc1 = tsr_zoo_name("%s.fc1", p.s),
                            norm = tsr_zoo_name("%s.norm", p.s), act = tsr_zoo_name("%s.act", p.s),
                            fc2 = tsr_zoo_name("%s.fc2", p.s), h1 = tsr_zoo_name("%s.hidden", p.s),
                            h2 = tsr_zoo_name("%s.normed", p.s), h3 = tsr_zoo_name("%s.out", p.s);
        tsr_zoo_linear(b, fc1.s, from.s, h1.s, d, wide, false);
        tsr_zoo_layernorm(b, norm.s, h1.s, h2.s, wide);
        tsr_zoo_node(b, "Gelu", act.s, h2.s, NULL, NULL);
        tsr_zoo_linear(b, fc2.s, act.s, h3.s, wide, d, false);
        tsr_zoo_node(b, "Add", to.s, from.s, h3.s, NULL);
    }
    tsr_zoo_head(b, d);
}

/* Convolution, batch normalisation, activation. */
static void conv_unit(struct tsr_zoo_builder *b, const char *name, const char *in, const char *out, int spatial,
                      int64_t c_in, int64_t c_out, int64_t k, int64_t stride, int64_t group, const char *act)
{
    struct tsr_zoo_name conv = tsr_zoo_name("%s.conv", name), bn = tsr_zoo_name("%s.bn", name),
                        raw = tsr_zoo_name("%s.raw", name), normed = tsr_zoo_name("%s.normed", name);
    int64_t size[2] = {k, k}, step[2] = {stride, stride};
    tsr_zoo_conv(b, conv.s, in, raw.s, spatial, c_in, c_out, size, step, group, false);
    tsr_zoo_batchnorm(b, bn.s, raw.s, act != NULL ? normed.s : out, c_out);
    if (act != NULL) tsr_zoo_node(b, act, out, normed.s, NULL, NULL);
}

static void pooled_head(struct tsr_zoo_builder *b, const char *in, int64_t c)
{
    tsr_zoo_node(b, "GlobalAveragePool", "pooled", in, NULL, NULL);
    tsr_zoo_node(b, "Flatten", "features", "pooled", NULL, NULL);
    tsr_zoo_int(b, "axis", 1);
    tsr_zoo_head(b, c);
}

/* Residual units of kernel k over channels x time. */
void tsr_zoo_conv1d(struct tsr_zoo_builder *b)
{
    int64_t d = b->spec->width, k = b->spec->kernel;
    struct tsr_zoo_form f = tsr_zoo_channels(b, "channels");
    conv_unit(b, "stem", "channels", "block0", 1, f.width, d, k, 1, 1, "Gelu");
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1),
                            to = tsr_zoo_name("block%lld", (long long)i), unit = tsr_zoo_name("block%lld.unit", (long long)i);
        conv_unit(b, to.s, from.s, unit.s, 1, d, d, k, 1, 1, "Gelu");
        tsr_zoo_node(b, "Add", to.s, from.s, unit.s, NULL);
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)b->spec->depth);
    pooled_head(b, last.s, d);
}

/* Depthwise-separable convolutions (Zhang et al. 2017, "Hello Edge"). */
void tsr_zoo_dscnn(struct tsr_zoo_builder *b)
{
    int64_t d = b->spec->width, k = b->spec->kernel;
    struct tsr_zoo_form f = tsr_zoo_image(b, "image");
    conv_unit(b, "stem", "image", "block0", 2, f.c, d, k, f.h >= 8 && f.w >= 8 ? 2 : 1, 1, "Relu");
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1),
                            to = tsr_zoo_name("block%lld", (long long)i), dw = tsr_zoo_name("%s.depthwise", to.s),
                            pw = tsr_zoo_name("%s.pointwise", to.s);
        conv_unit(b, dw.s, from.s, dw.s, 2, d, d, k, 1, d, "Relu");
        conv_unit(b, pw.s, dw.s, to.s, 2, d, d, 1, 1, 1, "Relu");
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)b->spec->depth);
    pooled_head(b, last.s, d);
}

/* Basic residual blocks (He et al. 2016); from the second on, every other one halves the map and
 * doubles the channels while the map is large enough. */
void tsr_zoo_resnet(struct tsr_zoo_builder *b)
{
    int64_t c = b->spec->width, k = b->spec->kernel;
    struct tsr_zoo_form f = tsr_zoo_image(b, "image");
    conv_unit(b, "stem", "image", "block0", 2, f.c, c, k, 1, 1, "Relu");
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1),
                            to = tsr_zoo_name("block%lld", (long long)i), u1 = tsr_zoo_name("%s.unit1", to.s),
                            u2 = tsr_zoo_name("%s.unit2", to.s), sum = tsr_zoo_name("%s.sum", to.s),
                            cut = tsr_zoo_name("%s.shortcut", to.s);
        bool down = i % 2 == 0 && f.h >= 4 && f.w >= 4;
        int64_t next = down ? 2 * c : c, stride = down ? 2 : 1;
        conv_unit(b, u1.s, from.s, u1.s, 2, c, next, k, stride, 1, "Relu");
        conv_unit(b, u2.s, u1.s, u2.s, 2, next, next, k, 1, 1, NULL);
        if (down) conv_unit(b, cut.s, from.s, cut.s, 2, c, next, 1, stride, 1, NULL);
        tsr_zoo_node(b, "Add", sum.s, u2.s, down ? cut.s : from.s, NULL);
        tsr_zoo_node(b, "Relu", to.s, sum.s, NULL, NULL);
        c = next;
        if (down) {
            f.h = (f.h + 1) / 2;
            f.w = (f.w + 1) / 2;
        }
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)b->spec->depth);
    pooled_head(b, last.s, c);
}
