/* upgrade.c - what changed between opsets 7 and 21, operator by operator. Operators that are not
 * listed mean the same in all of them, or were not there before. */
#include "model/upgrade.h"

#include "base/mem.h"
#include "graph/copy.h"
#include "graph/rank.h"

#include <stdio.h>
#include <string.h>

/* A graph and those around it: a name that is new in one must be new in all. */
struct scope {
    struct tsr_graph *g;
    const struct scope *outer;
};

struct upgrade {
    struct tsr_graph *g;
    const struct scope *scope;
    struct tsr_node *node;
    const int *rank; /* per value that was there before */
    int64_t to;
    struct tsr_error *err;
};

enum { NAME = 512 };

static const char *fresh(const struct upgrade *u, const char *suffix, char name[NAME])
{
    int k = 0;
    const struct scope *s;
    do {
        (void)snprintf(name, NAME, "%.400s.%s%d", u->node->name, suffix, k++);
        for (s = u->scope; s != NULL && tsr_graph_find(s->g, name) < 0; s = s->outer) {}
    } while (s != NULL);
    return name;
}

static enum tsr_status cannot(const struct upgrade *u, const char *why)
{
    return tsr_fail(u->err, TSR_E_UNSUPPORTED, "node '%s' (%s) of opset %d cannot be brought to opset %lld: %s", u->node->name,
                    u->node->op_type, u->node->opset, (long long)u->to, why);
}

/* Makes initialiser `t` input `at` of the node; takes over *t. */
static enum tsr_status give_input(const struct upgrade *u, int at, const char *suffix, struct tsr_tensor *t)
{
    char name[NAME];
    TSR_TRY(tsr_graph_add_init(u->g, fresh(u, suffix, name), t, u->err));
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

static enum tsr_status axes(struct upgrade *u) { return ints_to_input(u, "axes", 1); }

static enum tsr_status slice(struct upgrade *u)
{
    static const char *const names[] = {"starts", "ends", "axes"};
    for (int i = 0; i < 3; i++) TSR_TRY(ints_to_input(u, names[i], i + 1));
    return TSR_OK;
}

static enum tsr_status clip(struct upgrade *u)
{
    TSR_TRY(float_to_input(u, "min", 1));
    return float_to_input(u, "max", 2);
}

static enum tsr_status pad(struct upgrade *u)
{
    TSR_TRY(ints_to_input(u, "pads", 1));
    return float_to_input(u, "value", 2);
}

static enum tsr_status topk(struct upgrade *u)
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_I64, 1, (const int64_t[]){1}, u->err));
    *(int64_t *)t.data = tsr_node_int(u->node, "k", 0);
    drop_attribute(u->node, "k");
    return give_input(u, 1, "k", &t);
}

/* Moves the last `n` nodes of the graph to place `at`. */
static enum tsr_status move_nodes(const struct upgrade *u, size_t n, size_t at)
{
    struct tsr_graph *g = u->g;
    const size_t rest = g->n_node - n - at;
    struct tsr_node *moved = tsr_memdup(g->node + g->n_node - n, n * sizeof *moved);
    if (moved == NULL) return tsr_nomem(u->err, n * sizeof *moved);
    memmove(g->node + at + n, g->node + at, rest * sizeof *moved);
    memcpy(g->node + at, moved, n * sizeof *moved);
    tsr_free(moved);
    return TSR_OK;
}

/* y = Reshape(Op(Flatten(x, axis)), Shape(x)): what Softmax before opset 13 means of any x. */
static enum tsr_status by_rows(struct upgrade *u, int64_t axis)
{
    struct tsr_graph *g = u->g;
    const size_t at = (size_t)(u->node - g->node);
    char shape[NAME], rows[NAME], soft[NAME];
    const char *x = g->value[u->node->in[0]].name, *y = g->value[u->node->out[0]].name;
    TSR_TRY(tsr_graph_add_node(g, "Shape", "", fresh(u, "shape", shape), 1, &x, 1, (const char *const[]){shape}, u->err));
    u->node = &g->node[at]; /* nodes move when one is added */
    TSR_TRY(tsr_graph_add_node(g, "Flatten", "", fresh(u, "rows", rows), 1, &x, 1, (const char *const[]){rows}, u->err));
    TSR_TRY(tsr_graph_attr_int(g, "axis", axis, u->err));
    u->node = &g->node[at];
    u->node->in[0] = tsr_graph_find(g, rows);
    TSR_TRY(tsr_graph_value(g, fresh(u, "result", soft), &u->node->out[0], u->err));
    TSR_TRY(move_nodes(u, 2, at));
    TSR_TRY(tsr_graph_add_node(g, "Reshape", "", soft, 2, (const char *const[]){soft, shape}, 1, &y, u->err));
    TSR_TRY(move_nodes(u, 1, at + 3));
    u->node = &g->node[at + 2];
    return TSR_OK;
}

/* Before opset 13 all dimensions from the axis on are one. */
static enum tsr_status softmax(struct upgrade *u)
{
    int64_t axis = tsr_node_int(u->node, "axis", 1);
    if (u->node->in[0] < 0 || u->node->out[0] < 0) return cannot(u, "it lacks its input or its output");
    const int rank = u->rank[u->node->in[0]];
    if (axis != -1 && (rank < 0 || axis != rank - 1)) TSR_TRY(by_rows(u, axis));
    drop_attribute(u->node, "axis");
    return add_int(u, "axis", -1);
}

static enum tsr_status split(struct upgrade *u)
{
    TSR_TRY(ints_to_input(u, "split", 1));
    bool sizes = u->node->n_in > 1 && u->node->in[1] >= 0;
    if (u->to < 18 || sizes || tsr_node_attr(u->node, "num_outputs") != NULL) return TSR_OK;
    return add_int(u, "num_outputs", u->node->n_out);
}

static enum tsr_status batch_norm(struct upgrade *u)
{
    if (tsr_node_int(u->node, "spatial", 1) == 0) return cannot(u, "it is not spatial");
    if (u->node->n_out > 1) return cannot(u, "it gives statistics");
    drop_attribute(u->node, "spatial");
    return TSR_OK;
}

static enum tsr_status dropout(struct upgrade *u)
{
    drop_attribute(u->node, "ratio"); /* it drops nothing in inference; the default is as good */
    return TSR_OK;
}

static enum tsr_status rename_op(const struct upgrade *u, const char *op_type)
{
    char *own = tsr_strdup(op_type);
    if (own == NULL) return tsr_nomem(u->err, strlen(op_type));
    tsr_free(u->node->op_type);
    u->node->op_type = own;
    return TSR_OK;
}

static enum tsr_status scatter(struct upgrade *u) { return rename_op(u, "ScatterElements"); }

static enum tsr_status add_string(const struct upgrade *u, const char *name, const char *v)
{
    TSR_TRY(add_int(u, name, 0));
    struct tsr_attr *a = &u->node->attr[u->node->n_attr - 1];
    a->type = TSR_ATTR_STRING;
    a->s = tsr_strdup(v);
    return a->s != NULL ? TSR_OK : tsr_nomem(u->err, strlen(v));
}

/* The modes have other names. */
static enum tsr_status grid_sample(struct upgrade *u)
{
    static const char *const name[][2] = {{"bilinear", "linear"}, {"bicubic", "cubic"}, {"nearest", "nearest"}};
    const char *mode = tsr_node_string(u->node, "mode", "bilinear");
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (strcmp(mode, name[i][0]) == 0) {
            drop_attribute(u->node, "mode");
            return add_string(u, "mode", name[i][1]);
        }
    return TSR_OK;
}

/* Resize of opset 10 and Upsample look at x / scale, and nearest below; scales become the third input. */
static enum tsr_status resize(struct upgrade *u)
{
    struct tsr_node *node = u->node;
    size_t n;
    const float *scales = tsr_node_floats(node, "scales", &n);
    if (scales != NULL) {
        struct tsr_tensor t;
        TSR_TRY(tsr_tensor_zeros(&t, TSR_F32, 1, (const int64_t[]){(int64_t)n}, u->err));
        if (n > 0) memcpy(t.data, scales, n * sizeof *scales);
        TSR_TRY(give_input(u, 2, "scales", &t));
        drop_attribute(node, "scales");
    } else {
        if (node->n_in != 2) return cannot(u, "it has no scales");
        int32_t *in = tsr_realloc(node->in, 3, sizeof *in);
        if (in == NULL) return tsr_nomem(u->err, 3 * sizeof *in);
        node->in = in;
        node->in[2] = node->in[1];
        node->in[1] = -1;
        node->n_in = 3;
    }
    TSR_TRY(add_string(u, "coordinate_transformation_mode", "asymmetric"));
    TSR_TRY(add_string(u, "nearest_mode", "floor"));
    return strcmp(node->op_type, "Resize") == 0 ? TSR_OK : rename_op(u, "Resize");
}

static enum tsr_status never(struct upgrade *u) { return cannot(u, "the operator changed its meaning"); }

/* From opset `since` on the operator is written otherwise. */
static const struct change {
    const char *op_type;
    int since;
    enum tsr_status (*apply)(struct upgrade *u);
} changes[] = {
    {"BatchNormalization", 14, batch_norm},
    {"Clip", 11, clip},
    {"DFT", 20, never},
    {"Dropout", 12, dropout},
    {"GridSample", 20, grid_sample},
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
    {"Resize", 11, resize},
    {"Scatter", 11, scatter},
    {"Slice", 10, slice},
    {"Softmax", 13, softmax},
    {"Split", 18, split},
    {"Squeeze", 13, axes},
    {"TopK", 10, topk},
    {"Unsqueeze", 13, axes},
    {"Upsample", 10, resize},
};

static enum tsr_status upgrade_graph(struct tsr_graph *g, const struct scope *outer, int64_t version, struct tsr_error *err);

/* The graphs in attributes are of the same operator set; other nodes may hold them too. */
static enum tsr_status upgrade_bodies(struct tsr_node *node, const struct scope *scope, int64_t version, struct tsr_error *err)
{
    for (size_t i = 0; i < node->n_attr; i++) {
        struct tsr_attr *a = &node->attr[i];
        struct tsr_graph *own;
        if (a->type != TSR_ATTR_GRAPH) continue;
        TSR_TRY(tsr_graph_copy(a->g, &own, err));
        tsr_graph_free(a->g);
        a->g = own;
        TSR_TRY(upgrade_graph(own, scope, version, err));
    }
    return TSR_OK;
}

static enum tsr_status upgrade_node(struct upgrade *u)
{
    TSR_TRY(upgrade_bodies(u->node, u->scope, u->to, u->err));
    if (u->node->domain[0] != '\0') return TSR_OK;
    for (size_t k = 0; k < sizeof changes / sizeof *changes; k++)
        if (strcmp(u->node->op_type, changes[k].op_type) == 0 && u->node->opset < changes[k].since &&
            (u->to >= changes[k].since || changes[k].apply == split)) {
            TSR_TRY(changes[k].apply(u));
            break; /* it may be called otherwise now */
        }
    u->node->opset = 0; /* it means now what the graph declares */
    return TSR_OK;
}

static enum tsr_status upgrade_graph(struct tsr_graph *g, const struct scope *outer, int64_t version, struct tsr_error *err)
{
    const struct scope scope = {g, outer};
    int *rank = tsr_calloc(g->n_value + 1, sizeof *rank);
    enum tsr_status status = TSR_OK;
    if (rank == NULL) return tsr_nomem(err, g->n_value * sizeof *rank);
    tsr_graph_ranks(g, rank);
    for (size_t i = 0; i < g->n_node && status == TSR_OK; i++) {
        if (g->node[i].opset == 0) continue; /* made here */
        struct upgrade u = {g, &scope, &g->node[i], rank, version, err};
        status = upgrade_node(&u);
    }
    tsr_free(rank);
    TSR_TRY(status);
    TSR_TRY(tsr_graph_opset(g, "", version, err));
    return tsr_graph_finish(g, err);
}

enum tsr_status tsr_graph_upgrade(struct tsr_graph *g, int64_t version, struct tsr_error *err)
{
    int64_t have = 0;
    for (size_t i = 0; i < g->n_opset; i++)
        if (g->opset[i].domain[0] == '\0') have = g->opset[i].version;
    return have >= version ? TSR_OK : upgrade_graph(g, NULL, version, err);
}
