/* fuse_integer_layout.c - between quantised convolutions images keep their channels last, which is how the
 * kernels work: nothing is turned on the way.
 *
 * A value may be channels-last where all that give and read it can have it so. Element-wise operators tie
 * their values together: all or none of them are. */
#include <string.h>

#include "base/mem.h"
#include "graph/fuse_integer.h"

struct layout {
    struct tsr_fuse *f;
    int32_t *parent; /* union-find over values */
    bool *fixed;     /* per root: some reader or maker wants channels first */
    int *rank;       /* per value that these operators give; 0: not known */
};

static int32_t root(struct layout *l, int32_t v)
{
    while (l->parent[v] != v) v = l->parent[v] = l->parent[l->parent[v]];
    return v;
}

static void tie(struct layout *l, int32_t a, int32_t b)
{
    a = root(l, a), b = root(l, b);
    if (a == b) return;
    l->parent[a] = b;
    l->fixed[b] = l->fixed[b] || l->fixed[a];
}

static void fix(struct layout *l, int32_t v)
{
    if (v >= 0) l->fixed[root(l, v)] = true;
}

enum kind { OTHER, CONV, TABLE, BINARY, POOL, GLOBAL };

static enum kind kind_of(const struct tsr_node *node)
{
    if (strcmp(node->op_type, "QLinearConv") == 0) return CONV;
    if (tsr_node_is_of(node, "tessera", "QTable")) return TABLE;
    if (tsr_node_is_of(node, "tessera", "QMaxPool")) return POOL;
    if (strcmp(node->domain, "com.microsoft") != 0) return OTHER;
    if (tsr_node_int(node, "channels_last", 0) != 0) return OTHER; /* the file has its own idea */
    if (strcmp(node->op_type, "QLinearAdd") == 0 || strcmp(node->op_type, "QLinearMul") == 0) return BINARY;
    if (strcmp(node->op_type, "QLinearAveragePool") == 0) return POOL;
    if (strcmp(node->op_type, "QLinearGlobalAveragePool") == 0) return GLOBAL;
    return OTHER;
}

/* Convolutions of one or two dimensions; of three they work channels-first. */
static bool flat(const struct tsr_fuse *f, const struct tsr_node *node)
{
    const struct tsr_tensor *w = node->n_in > 3 ? tsr_fuse_constant(f, node->in[3]) : NULL;
    return w != NULL && (w->shape.rank == 3 || w->shape.rank == 4) && tsr_node_int(node, "channels_last", 0) == 0;
}

static void constrain(struct layout *l, const struct tsr_node *node)
{
    struct tsr_fuse *f = l->f;
    switch (kind_of(node)) {
    case CONV:
        if (!flat(f, node)) break;
        l->rank[node->out[0]] = tsr_fuse_constant(f, node->in[3])->shape.rank;
        return;
    case TABLE:
    case POOL:
        l->rank[node->out[0]] = l->rank[node->in[0]];
        tie(l, node->in[0], node->out[0]);
        return;
    case BINARY: /* broadcasting goes by the last dimensions: they must be the same ones in both */
        if (l->rank[node->in[0]] == 0 || l->rank[node->in[0]] != l->rank[node->in[3]]) break;
        l->rank[node->out[0]] = l->rank[node->in[0]];
        tie(l, node->in[0], node->out[0]);
        tie(l, node->in[3], node->out[0]);
        return;
    case GLOBAL:
        fix(l, node->out[0]);
        return;
    case OTHER:
        break;
    }
    for (int k = 0; k < node->n_in; k++) fix(l, node->in[k]);
    for (int k = 0; k < node->n_out; k++) fix(l, node->out[k]);
}

static enum tsr_status mark(struct tsr_fuse *f, struct tsr_node *node, const char *name)
{
    struct tsr_attr *a = tsr_realloc(node->attr, node->n_attr + 1, sizeof *a);
    if (a == NULL) return tsr_nomem(f->err, sizeof *a);
    node->attr = a;
    a[node->n_attr] = (struct tsr_attr){.type = TSR_ATTR_INT, .i = 1, .name = tsr_strdup(name)};
    if (a[node->n_attr].name == NULL) return tsr_nomem(f->err, strlen(name));
    node->n_attr++;
    return TSR_OK;
}

static bool last(struct layout *l, int32_t v) { return v >= 0 && !l->fixed[root(l, v)]; }

static enum tsr_status apply(struct layout *l)
{
    struct tsr_fuse *f = l->f;
    for (size_t i = 0; i < f->g->n_node; i++) {
        struct tsr_node *node = &f->g->node[i];
        const enum kind kind = f->live[i] ? kind_of(node) : OTHER;
        if (kind == OTHER) continue;
        if (kind == CONV && last(l, node->out[0])) TSR_TRY(mark(f, node, "y_last"));
        if (kind != BINARY && kind != TABLE && last(l, node->in[0])) TSR_TRY(mark(f, node, kind == CONV || kind == GLOBAL ? "x_last" : "channels_last"));
    }
    return TSR_OK;
}

enum tsr_status tsr_fuse_integer_layout(struct tsr_fuse *f)
{
    struct tsr_graph *g = f->g;
    bool any = false;
    for (size_t i = 0; i < g->n_node && !any; i++) any = f->live[i] && kind_of(&g->node[i]) == CONV;
    if (!any || f->training) return TSR_OK;
    struct layout l = {f, tsr_malloc(g->n_value, sizeof *l.parent), tsr_calloc(g->n_value, sizeof *l.fixed),
                       tsr_calloc(g->n_value, sizeof *l.rank)};
    enum tsr_status status = l.parent && l.fixed && l.rank ? TSR_OK : tsr_nomem(f->err, g->n_value * sizeof *l.parent);
    if (status == TSR_OK) {
        for (size_t v = 0; v < g->n_value; v++) l.parent[v] = (int32_t)v;
        for (size_t v = 0; v < g->n_value; v++)
            l.fixed[v] = f->keep[v] || g->value[v].is_input || g->value[v].is_output || g->value[v].is_init;
        for (size_t i = 0; i < g->n_node; i++)
            if (f->live[i]) constrain(&l, &g->node[i]);
        status = apply(&l);
    }
    tsr_free(l.parent);
    tsr_free(l.fixed);
    tsr_free(l.rank);
    return status;
}
