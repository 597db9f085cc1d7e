/* zoo.c - specifications, and the frame around every network of the zoo. */
#include "model/zoo.h"

#include "base/mem.h"
#include "model/zoo_builder.h"

#include <stdio.h>
#include <string.h>

#define OPSET 20      /* the first with Gelu */
#define IR_VERSION 9

/* What a family takes besides the keys that all take. */
enum { KEY_HEADS = 1, KEY_FF = 2, KEY_KERNEL = 4 };

static const struct tsr_zoo_family families[] = {
    {"mlp", "residual blocks of linear layers over the flattened input", 128, 2, 2, KEY_FF, tsr_zoo_mlp},
    {"conv1d", "residual convolutions along the last axis", 64, 2, 0, KEY_KERNEL, tsr_zoo_conv1d},
    {"dscnn", "depthwise-separable 2-D convolutions", 64, 4, 0, KEY_KERNEL, tsr_zoo_dscnn},
    {"resnet", "basic residual blocks of 2-D convolutions", 16, 4, 0, KEY_KERNEL, tsr_zoo_resnet},
    {"resnet18", "ResNet-18: four stages of depth basic blocks", 64, 2, 0, KEY_KERNEL, tsr_zoo_resnet18},
    {"mobilenetv2", "MobileNetV2: the first depth inverted residual blocks", 32, 17, 0, 0, tsr_zoo_mobilenetv2},
    {"lstm", "bidirectional LSTM, width/2 units a direction", 64, 2, 0, 0, tsr_zoo_lstm},
    {"bilstm", "bidirectional LSTM, width units a direction", 64, 2, 0, 0, tsr_zoo_bilstm},
    {"gru", "bidirectional GRU, width/2 units a direction", 64, 2, 0, 0, tsr_zoo_gru},
    {"transformer", "pre-norm transformer over the steps of the last axis", 64, 2, 2, KEY_HEADS | KEY_FF,
     tsr_zoo_transformer_net},
    {"bert", "post-norm transformer whose first step is pooled", 256, 4, 4, KEY_HEADS | KEY_FF, tsr_zoo_bert},
    {"cct", "compact convolutional transformer over 2-D maps", 64, 2, 2, KEY_HEADS | KEY_FF | KEY_KERNEL, tsr_zoo_cct},
};

const struct tsr_zoo_family *tsr_zoo_families(size_t *n)
{
    *n = sizeof families / sizeof *families;
    return families;
}

struct key {
    const char *name;
    size_t offset;
    int64_t lo, hi;
    unsigned bit; /* 0: every family takes it */
    const char *help;
};

#define KEY(field, lo, hi, bit, help) {#field, offsetof(struct tsr_zoo_spec, field), lo, hi, bit, help}
static const struct key keys[] = {
    KEY(width, 1, 65536, 0, "features of a layer"),
    KEY(depth, 1, 1024, 0, "number of blocks or layers"),
    KEY(vocab, 2, 1 << 24, 0, "the input is tokens from 0 to vocab-1, not input="),
    KEY(length, 1, 65536, 0, "tokens of one sample, with vocab"),
    KEY(classes, 1, 1 << 20, 0, "number of outputs; required"),
    KEY(seed, 0, INT64_C(1) << 53, 0, "of the weights (default: 1)"),
    KEY(heads, 1, 1024, KEY_HEADS, "attention heads, a divisor of width (default: width/32, at least 1)"),
    KEY(ff, 1, 262144, KEY_FF, "hidden features inside a block"),
    KEY(kernel, 1, 31, KEY_KERNEL, "size of the convolutions, odd (default: 3)"),
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static bool takes(const struct tsr_zoo_family *family, const struct key *key)
{
    return key->bit == 0 || (family->keys & key->bit) != 0;
}

const char *tsr_zoo_key(const struct tsr_zoo_family *family, size_t i, char *buf, size_t size)
{
    if (i == 0) {
        (void)snprintf(buf, size, "input=D|CxT|CxHxW  one sample: a vector, a series, an image");
        return buf;
    }
    for (size_t k = 0; k < N_KEYS; k++) {
        if (!takes(family, &keys[k]) || --i > 0) continue;
        bool ff = keys[k].bit == KEY_FF;
        int64_t own = k == 0 ? family->width : k == 1 ? family->depth : ff ? family->ff : 0;
        int n = snprintf(buf, size, "%s=%lld..%lld  %s", keys[k].name, (long long)keys[k].lo, (long long)keys[k].hi,
                         keys[k].help);
        if (own > 0 && n > 0 && (size_t)n < size)
            (void)snprintf(buf + n, size - (size_t)n, " (default: %lld%s)", (long long)own, ff ? " width" : "");
        return buf;
    }
    return NULL;
}

static bool parse_number(const char *s, size_t n, int64_t *out)
{
    int64_t v = 0;
    if (n == 0 || n > 16) return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        v = v * 10 + (s[i] - '0');
    }
    *out = v;
    return true;
}

/* input=16, 6x32 or 1x40x64 */
static enum tsr_status parse_input(const char *s, size_t n, struct tsr_zoo_spec *spec, struct tsr_error *err)
{
    spec->rank = 0;
    for (size_t at = 0; at <= n;) {
        size_t end = at;
        int64_t v;
        while (end < n && s[end] != 'x') end++;
        if (spec->rank == 3 || !parse_number(s + at, end - at, &v) || v < 1 || v > 1 << 20)
            return tsr_fail(err, TSR_E_USAGE, "input= wants the shape of one sample, such as 16, 6x32 or 1x40x64, not '%.*s'",
                            (int)n, s);
        spec->dim[spec->rank++] = v;
        at = end + 1;
    }
    return TSR_OK;
}

static enum tsr_status parse_key(const char *s, size_t n, struct tsr_zoo_spec *spec, struct tsr_error *err)
{
    const char *eq = memchr(s, '=', n);
    size_t name = eq != NULL ? (size_t)(eq - s) : n;
    if (eq != NULL && name == 5 && memcmp(s, "input", 5) == 0) return parse_input(eq + 1, n - 6, spec, err);
    for (size_t i = 0; eq != NULL && i < N_KEYS; i++) {
        int64_t v;
        if (strlen(keys[i].name) != name || memcmp(keys[i].name, s, name) != 0) continue;
        if (!takes(spec->family, &keys[i])) break;
        if (!parse_number(eq + 1, n - name - 1, &v) || v < keys[i].lo || v > keys[i].hi)
            return tsr_fail(err, TSR_E_USAGE, "%s= wants a whole number from %lld to %lld, not '%.*s'", keys[i].name,
                            (long long)keys[i].lo, (long long)keys[i].hi, (int)(n - name - 1), eq + 1);
        memcpy((char *)spec + keys[i].offset, &v, sizeof v);
        return TSR_OK;
    }
    char all[120] = "input";
    for (size_t i = 0; i < N_KEYS; i++) {
        size_t used = strlen(all);
        if (takes(spec->family, &keys[i])) (void)snprintf(all + used, sizeof all - used, ", %s", keys[i].name);
    }
    return tsr_fail(err, TSR_E_USAGE, "'%.*s' is no KEY=VALUE of %s; its keys are %s", (int)(n < 60 ? n : 60), s,
                    spec->family->name, all);
}

static enum tsr_status find_family(const char *s, size_t n, struct tsr_zoo_spec *spec, struct tsr_error *err)
{
    enum { COUNT = sizeof families / sizeof *families };
    char all[200] = "";
    for (size_t i = 0; i < COUNT; i++) {
        size_t used = strlen(all);
        if (strlen(families[i].name) == n && memcmp(families[i].name, s, n) == 0) spec->family = &families[i];
        (void)snprintf(all + used, sizeof all - used, "%s%s", i == 0 ? "" : i + 1 < COUNT ? ", " : " and ", families[i].name);
    }
    if (spec->family != NULL) return TSR_OK;
    return tsr_fail(err, TSR_E_USAGE, "'%.*s' is no family of models; they are %s", (int)n, s, all);
}

enum tsr_status tsr_zoo_parse(const char *text, struct tsr_zoo_spec *spec, struct tsr_error *err)
{
    *spec = (struct tsr_zoo_spec){.kernel = 3, .seed = 1};
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " \t,");
        if (n > 0 && spec->family == NULL) TSR_TRY(find_family(p, n, spec, err));
        else if (n > 0) TSR_TRY(parse_key(p, n, spec, err));
        p += n + (p[n] != '\0');
    }
    if (spec->family == NULL) return tsr_fail(err, TSR_E_USAGE, "the specification is empty; it starts with a family");
    if (spec->width == 0) spec->width = spec->family->width;
    if (spec->depth == 0) spec->depth = spec->family->depth;
    if (spec->ff == 0) spec->ff = spec->family->ff * spec->width;
    if (spec->kernel % 2 == 0) return tsr_fail(err, TSR_E_USAGE, "kernel= wants an odd number");
    bool tokens = spec->vocab > 0 || spec->length > 0;
    if (tokens ? spec->rank > 0 || spec->vocab == 0 || spec->length == 0 : spec->rank == 0)
        return tsr_fail(err, TSR_E_USAGE, "a model wants either input=SHAPE, or vocab=N and length=N for tokens");
    if (spec->classes == 0) return tsr_fail(err, TSR_E_USAGE, "a model wants classes=N");
    return TSR_OK;
}

static enum tsr_status frame(struct tsr_zoo_builder *b)
{
    const struct tsr_zoo_spec *s = b->spec;
    int64_t dim[4] = {-1, s->length, 0, 0}, out[2] = {-1, s->classes};
    const char *dim_name[4] = {"batch", NULL, NULL, NULL};
    for (int i = 0; i < s->rank; i++) dim[i + 1] = s->dim[i];
    b->g->ir_version = IR_VERSION;
    b->g->name = tsr_strdup(s->family->name);
    b->g->producer = tsr_strdup("tessera-model");
    if (b->g->name == NULL || b->g->producer == NULL) return tsr_nomem(b->err, 16);
    TSR_TRY(tsr_graph_opset(b->g, "", OPSET, b->err));
    TSR_TRY(tsr_graph_add_input(b->g, "input", s->vocab > 0 ? TSR_I64 : TSR_F32, s->vocab > 0 ? 2 : s->rank + 1, dim,
                                dim_name, b->err));
    s->family->build(b);
    TSR_TRY(b->status);
    TSR_TRY(tsr_graph_add_output(b->g, "logits", TSR_F32, 2, out, dim_name, b->err));
    return tsr_graph_finish(b->g, b->err);
}

enum tsr_status tsr_zoo_build(const struct tsr_zoo_spec *spec, struct tsr_graph **out, struct tsr_error *err)
{
    struct tsr_zoo_builder b = {.spec = spec, .err = err};
    *out = NULL;
    TSR_TRY(tsr_graph_new(&b.g, err));
    tsr_rng_init(&b.rng, (uint64_t)spec->seed, 0x7a6f6f);
    enum tsr_status status = frame(&b);
    if (status == TSR_OK) *out = b.g;
    else tsr_graph_free(b.g);
    return status;
}
