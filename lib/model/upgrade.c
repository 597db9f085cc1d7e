/* upgrade.c - what changed between opsets 7 and 21, operator by operator. Operators that are not
 * listed mean the same in all of them, or were not there before. */
#include "model/upgrade.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct upgrade {
    struct tsr_graph *g;
    struct tsr_node *node;
    int64_t to;
    struct tsr_error *err;
};

static enum tsr_status cannot(const struct upgrade *u, const char *why)
{
    return tsr_fail(u->err, TSR_E_UNSUPPORTED, "node '%s' (%s) of opset %d cannot be brought to opset %lld: %s", u->node->name,
                    u->node->op_type, u->node->opset, (long long)u->to, why);
}

/* Makes initialiser `t` input `at` of the node; takes over *t. */
static enum tsr_status give_input(const struct upgrade *u, int at, const char *suffix, struct tsr_tensor *t)
{
    char name[512];
    int k = 0;
    do (void)snprintf(name, sizeof name, "%.400s.%s%d", u->node->name, suffix, k++);
    while (tsr_graph_find(u->g, name) >= 0);
    TSR_TRY(tsr_graph_add_init(u->g, name, t, u->err));
    struct tsr_node *node = u->node;
    if (at >= node->n_in) {
        int32_t *in = tsr_realloc(node->in, (size_t)at + 1, sizeof *in);
        if (in == NULL) return tsr_nomem(u->err, (size_t)at * sizeof *in);
        for (int i = node->n_in; i < at; i++) in[i] = -1;
        node->in = in;
        node->n_in = at + 1;
    }
    node->in[at] = tsr_graph_find(u->g, name);
    return TSR_OK;
}

static void drop_attribute(struct tsr_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_attr; i++)
        if (strcmp(node->attr[i].name, name) == 0) {
            tsr_attr_release(&node->attr[i]);
            memmove(&node->attr[i], &node->attr[i + 1], (node->n_attr - i - 1) * sizeof *node->attr);
            node->n_attr--;
            return;
        }
}

static enum tsr_status add_int(const struct upgrade *u, const char *name, int64_t v)
{
    struct tsr_attr *a = tsr_realloc(u->node->attr, u->node->n_attr + 1, sizeof *a);
    if (a == NULL) return tsr_nomem(u->err, sizeof *a);
    u->node->attr = a;
    a[u->node->n_attr] = (struct tsr_attr){.type = TSR_ATTR_INT, .i = v, .name = tsr_strdup(name)};
    if (a[u->node->n_attr].name == NULL) return tsr_nomem(u->err, strlen(name) + 1);
    u->node->n_attr++;
    return TSR_OK;
}

/* A list of integers becomes an input; nothing where the attribute is absent. */
static enum tsr_status ints_to_input(const struct upgrade *u, const char *name, int at)
{
    size_t n;
    struct tsr_tensor t;
    const int64_t *v = tsr_node_ints(u->node, name, &n);
    if (v == NULL) return TSR_OK;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){(int64_t)n}, u->err));
    if (n > 0) memcpy(t.data, v, n * sizeof *v);
    drop_attribute(u->node, name);
    return give_input(u, at, name, &t);
}

static enum tsr_status float_to_input(const struct upgrade *u, const char *name, int at)
{
    struct tsr_tensor t;
    const struct tsr_attr *a = tsr_node_attr(u->node, name);
    if (a == NULL || a->type != TSR_ATTR_FLOAT) return TSR_OK;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_F32, 0, NULL, u->err));
    *(float *)t.data = a->f;
    drop_attribute(u->node, name);
    return give_input(u, at, name, &t);
}

static enum tsr_status axes(const struct upgrade *u) { return ints_to_input(u, "axes", 1); }

static enum tsr_status slice(const struct upgrade *u)
{
    static const char *const names[] = {"starts", "ends", "axes"};
    for (int i = 0; i < 3; i++) TSR_TRY(ints_to_input(u, names[i], i + 1));
    return TSR_OK;
}

static enum tsr_status clip(const struct upgrade *u)
{
    TSR_TRY(float_to_input(u, "min", 1));
    return float_to_input(u, "max", 2);
}

static enum tsr_status pad(const struct upgrade *u)
{
    TSR_TRY(ints_to_input(u, "pads", 1));
    return float_to_input(u, "value", 2);
}

static enum tsr_status topk(const struct upgrade *u)
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){1}, u->err));
    *(int64_t *)t.data = tsr_node_int(u->node, "k", 0);
    drop_attribute(u->node, "k");
    return give_input(u, 1, "k", &t);
}

/* Before opset 13 all dimensions from the axis on are one. */
static enum tsr_status softmax(const struct upgrade *u)
{
    int64_t axis = tsr_node_int(u->node, "axis", 1);
    int rank = u->g->value[u->node->in[0]].shape.rank;
    if (axis != -1 && (rank < 0 || axis != rank - 1)) return cannot(u, "its axis is not known to be the last");
    drop_attribute(u->node, "axis");
    return add_int(u, "axis", -1);
}

static enum tsr_status split(const struct upgrade *u)
{
    TSR_TRY(ints_to_input(u, "split", 1));
    bool sizes = u->node->n_in > 1 && u->node->in[1] >= 0;
    if (u->to < 18 || sizes || tsr_node_attr(u->node, "num_outputs") != NULL) return TSR_OK;
    return add_int(u, "num_outputs", u->node->n_out);
}

static enum tsr_status batch_norm(const struct upgrade *u)
{
    if (tsr_node_int(u->node, "spatial", 1) == 0) return cannot(u, "it is not spatial");
    if (u->node->n_out > 1) return cannot(u, "it gives statistics");
    drop_attribute(u->node, "spatial");
    return TSR_OK;
}

static enum tsr_status dropout(const struct upgrade *u)
{
    drop_attribute(u->node, "ratio"); /* it drops nothing in inference; the default is as good */
    return TSR_OK;
}

static enum tsr_status never(const struct upgrade *u) { return cannot(u, "the operator changed its meaning"); }

/* From opset `since` on the operator is written otherwise. */
static const struct change {
    const char *op_type;
    int since;
    enum tsr_status (*apply)(const struct upgrade *u);
} changes[] = {
    {"BatchNormalization", 14, batch_norm},
    {"Clip", 11, clip},
    {"DFT", 20, never},
    {"Dropout", 12, dropout},
    {"GridSample", 20, never},
    {"GroupNormalization", 21, never},
    {"Hardmax", 13, softmax},
    {"LogSoftmax", 13, softmax},
    {"Pad", 11, pad},
    {"ReduceL1", 18, axes},
    {"ReduceL2", 18, axes},
    {"ReduceLogSum", 18, axes},
    {"ReduceLogSumExp", 18, axes},
    {"ReduceMax", 18, axes},
    {"ReduceMean", 18, axes},
    {"ReduceMin", 18, axes},
    {"ReduceProd", 18, axes},
    {"ReduceSum", 13, axes},
    {"ReduceSumSquare", 18, axes},
    {"Resize", 11, never},
    {"Scatter", 11, never},
    {"Slice", 10, slice},
    {"Softmax", 13, softmax},
    {"Split", 18, split},
    {"Squeeze", 13, axes},
    {"TopK", 10, topk},
    {"Unsqueeze", 13, axes},
    {"Upsample", 10, never},
};

enum tsr_status tsr_graph_upgrade(struct tsr_graph *g, int64_t version, struct tsr_error *err)
{
    int64_t have = 0;
    for (size_t i = 0; i < g->n_opset; i++)
        if (g->opset[i].domain[0] == '\0') have = g->opset[i].version;
    if (have >= version) return TSR_OK;
    for (size_t i = 0; i < g->n_node; i++) {
        struct upgrade u = {g, &g->node[i], version, err};
        if (u.node->domain[0] != '\0') continue;
        for (size_t k = 0; k < sizeof changes / sizeof *changes; k++)
            if (strcmp(u.node->op_type, changes[k].op_type) == 0 && u.node->opset < changes[k].since &&
                (version >= changes[k].since || changes[k].apply == split))
                TSR_TRY(changes[k].apply(&u));
        u.node->opset = 0; /* it means now what the graph declares */
    }
    TSR_TRY(tsr_graph_opset(g, "", version, err));
    return tsr_graph_finish(g, err);
}
