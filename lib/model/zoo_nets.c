/* zoo_nets.c - the dense and convolutional families of the zoo. */
#include "model/zoo_builder.h"

#include <stdio.h>
#include <string.h>

/* The name of the last block is "features" where the head reads it directly. */
static struct tsr_zoo_name block_name(const struct tsr_zoo_builder *b, int64_t i, bool last_is_features)
{
    return i == b->spec->depth && last_is_features ? tsr_zoo_name("features") : tsr_zoo_name("block%lld", (long long)i);
}

/* Residual blocks Linear - LayerNorm - GELU - Linear. */
void tsr_zoo_mlp(struct tsr_zoo_builder *b)
{
    int64_t d = b->spec->width, wide = b->spec->ff;
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
    if (act != NULL && strcmp(act, "Clip") == 0) tsr_zoo_relu6(b, normed.s, out);
    else if (act != NULL) tsr_zoo_node(b, act, out, normed.s, NULL, NULL);
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

/* Two convolutions and a shortcut, which is one of 1x1 where the shape changes (He et al. 2016). */
static void basic_block(struct tsr_zoo_builder *b, int64_t i, int64_t c_in, int64_t c_out, int64_t stride)
{
    struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1), to = tsr_zoo_name("block%lld", (long long)i),
                        u1 = tsr_zoo_name("%s.unit1", to.s), u2 = tsr_zoo_name("%s.unit2", to.s),
                        sum = tsr_zoo_name("%s.sum", to.s), cut = tsr_zoo_name("%s.shortcut", to.s);
    int64_t k = b->spec->kernel;
    bool changes = stride != 1 || c_in != c_out;
    conv_unit(b, u1.s, from.s, u1.s, 2, c_in, c_out, k, stride, 1, "Relu");
    conv_unit(b, u2.s, u1.s, u2.s, 2, c_out, c_out, k, 1, 1, NULL);
    if (changes) conv_unit(b, cut.s, from.s, cut.s, 2, c_in, c_out, 1, stride, 1, NULL);
    tsr_zoo_node(b, "Add", sum.s, u2.s, changes ? cut.s : from.s, NULL);
    tsr_zoo_node(b, "Relu", to.s, sum.s, NULL, NULL);
}

/* 2 where the map is large enough to be halved, which is then noted, else 1. */
static int64_t halve(struct tsr_zoo_form *f)
{
    if (f->h < 4 || f->w < 4) return 1;
    f->h = (f->h + 1) / 2;
    f->w = (f->w + 1) / 2;
    return 2;
}

/* From the second block on every other one halves the map and doubles the channels, while the map is
 * large enough. */
void tsr_zoo_resnet(struct tsr_zoo_builder *b)
{
    int64_t c = b->spec->width, k = b->spec->kernel;
    struct tsr_zoo_form f = tsr_zoo_image(b, "image");
    conv_unit(b, "stem", "image", "block0", 2, f.c, c, k, 1, 1, "Relu");
    for (int64_t i = 1; i <= b->spec->depth; i++) {
        int64_t stride = i % 2 == 0 ? halve(&f) : 1, next = stride * c;
        basic_block(b, i, c, next, stride);
        c = next;
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)b->spec->depth);
    pooled_head(b, last.s, c);
}

/* As for ImageNet: a stem that halves the map twice, four stages, of which three begin by halving it.
 * Depth 2 is ResNet-18 (He et al. 2016, table 1). */
void tsr_zoo_resnet18(struct tsr_zoo_builder *b)
{
    int64_t c = b->spec->width;
    struct tsr_zoo_form f = tsr_zoo_image(b, "image");
    conv_unit(b, "stem", "image", "stem", 2, f.c, c, 7, halve(&f), 1, "Relu");
    int64_t stride = halve(&f);
    tsr_zoo_node(b, "MaxPool", "block0", "stem", NULL, NULL);
    tsr_zoo_ints(b, "kernel_shape", 2, (const int64_t[]){3, 3});
    tsr_zoo_ints(b, "strides", 2, (const int64_t[]){stride, stride});
    tsr_zoo_ints(b, "pads", 4, (const int64_t[]){1, 1, 1, 1});
    for (int64_t i = 0; i < 4 * b->spec->depth; i++) {
        bool widens = i > 0 && i % b->spec->depth == 0;
        int64_t next = widens ? 2 * c : c;
        basic_block(b, i + 1, c, next, widens ? halve(&f) : 1);
        c = next;
    }
    struct tsr_zoo_name last = tsr_zoo_name("block%lld", (long long)(4 * b->spec->depth));
    pooled_head(b, last.s, c);
}

/* A linear 1x1 expansion, a depthwise filter and a 1x1 projection without activation; Relu6 is Clip. */
static void inverted_residual(struct tsr_zoo_builder *b, int64_t i, int64_t c_in, int64_t c_out, int64_t expand, int64_t stride)
{
    struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)i - 1), to = tsr_zoo_name("block%lld", (long long)i),
                        e = tsr_zoo_name("%s.expand", to.s), d = tsr_zoo_name("%s.depthwise", to.s),
                        p = tsr_zoo_name("%s.project", to.s);
    int64_t c = c_in * expand;
    bool same = stride == 1 && c_in == c_out;
    if (expand > 1) conv_unit(b, e.s, from.s, e.s, 2, c_in, c, 1, 1, 1, "Clip");
    conv_unit(b, d.s, expand > 1 ? e.s : from.s, d.s, 2, c, c, 3, stride, c, "Clip");
    conv_unit(b, p.s, d.s, same ? p.s : to.s, 2, c, c_out, 1, 1, 1, NULL);
    if (same) tsr_zoo_node(b, "Add", to.s, from.s, p.s, NULL);
}

/* `c` of the published network, scaled to our width, in multiples of 8 and at least 90 % of that. */
static int64_t scaled(const struct tsr_zoo_builder *b, int64_t c)
{
    int64_t exact = c * b->spec->width, n = (exact + 128) / 256 * 8;
    if (n < 8) n = 8;
    return n * 32 * 10 < exact * 9 ? n + 8 : n;
}

/* Sandler et al. (2018), table 2; width 32 is the published network, others its multiples. */
void tsr_zoo_mobilenetv2(struct tsr_zoo_builder *b)
{
    static const struct {
        int expand, c, n, stride;
    } stage[] = {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    struct tsr_zoo_form f = tsr_zoo_image(b, "image");
    int64_t c = scaled(b, 32), block = 0, last = b->spec->width > 32 ? scaled(b, 1280) : 1280;
    if (b->status == TSR_OK && b->spec->depth > 17)
        b->status = tsr_fail(b->err, TSR_E_USAGE, "depth=%lld: mobilenetv2 has 17 blocks", (long long)b->spec->depth);
    conv_unit(b, "stem", "image", "block0", 2, f.c, c, 3, halve(&f), 1, "Clip");
    for (size_t s = 0; s < sizeof stage / sizeof *stage; s++)
        for (int i = 0; i < stage[s].n && block < b->spec->depth; i++) {
            int64_t next = scaled(b, stage[s].c), stride = i == 0 && stage[s].stride == 2 ? halve(&f) : 1;
            inverted_residual(b, ++block, c, next, stage[s].expand, stride);
            c = next;
        }
    struct tsr_zoo_name from = tsr_zoo_name("block%lld", (long long)block);
    conv_unit(b, "last", from.s, "last", 2, c, last, 1, 1, 1, "Clip");
    pooled_head(b, "last", last);
}
