/* fuse_conv.c - a channels-last convolution takes in the residual that is added to it, the activation that
 * follows, and the padding of the convolution that alone reads it. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "graph/fuse_impl.h"

/* The convolution that gives v to one reader alone and has no activation yet, or NULL. */
static const struct tsr_node *open_convolution(const struct tsr_fuse *f, int32_t v)
{
    if (!tsr_fuse_inner(f, v) || f->g->value[v].producer < 0) return NULL;
    const struct tsr_node *conv = &f->g->node[f->g->value[v].producer];
    return tsr_node_is_of(conv, "tessera", "Conv") && tsr_node_attr(conv, "activation") == NULL ? conv : NULL;
}

/* `conv` again, giving what `last` gives; its attributes move. `residual`: -1 keeps what it has. */
static enum tsr_status extend(struct tsr_fuse *f, const struct tsr_node *conv, int32_t residual, const struct tsr_node *last)
{
    int32_t in[4] = {-1, -1, -1, -1};
    int n = conv->n_in;
    for (int k = 0; k < n; k++) in[k] = conv->in[k];
    if (residual >= 0) in[3] = residual, n = 4;
    const size_t at = (size_t)(conv - f->g->node);
    TSR_TRY(tsr_fuse_begin(f, "Conv", "tessera", n, in, last->out[0]));
    struct tsr_node *made = &f->g->node[f->g->n_node - 1], *from = &f->g->node[at];
    made->attr = from->attr, made->n_attr = from->n_attr;
    from->attr = NULL, from->n_attr = 0;
    return TSR_OK;
}

/* Anchored at the Add of a convolution and something of the same shape. */
enum tsr_status tsr_fuse_residual(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    if (!tsr_node_is(node, "Add") || node->n_in != 2 || node->in[0] == node->in[1]) return TSR_OK;
    const size_t slot = (size_t)(node - f->g->node);
    for (int k = 1; k >= 0; k--) {
        const struct tsr_node *conv = open_convolution(f, node->in[k]);
        if (conv == NULL || conv->n_in > 3 || !tsr_fuse_alike(f, node->in[0], node->in[1])) continue;
        TSR_TRY(extend(f, conv, node->in[1 - k], node));
        *done = true;
        return tsr_fuse_commit(f, &f->g->node[slot]);
    }
    return TSR_OK;
}

/* The bounds of Clip as numbers; false where they are not known. */
static bool bounds(const struct tsr_fuse *f, const struct tsr_node *node, double *low, double *high)
{
    *low = -INFINITY, *high = INFINITY;
    if (node->opset < 11) {
        *low = (double)tsr_node_float(node, "min", -INFINITY);
        *high = (double)tsr_node_float(node, "max", INFINITY);
        return true;
    }
    return (node->n_in < 2 || node->in[1] < 0 || tsr_fuse_scalar(f, node->in[1], low)) &&
           (node->n_in < 3 || node->in[2] < 0 || tsr_fuse_scalar(f, node->in[2], high));
}

/* Anchored at the activation. In training only those whose slope the output tells. */
enum tsr_status tsr_fuse_conv_activation(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    static const char *const names[] = {"Relu", "Clip", "HardSwish", "Gelu"};
    double low = 0, high = 0;
    size_t k = 0;
    while (k < 4 && !tsr_node_is(node, names[k])) k++;
    if (k == 4 || (f->training && k > 1)) return TSR_OK;
    if (k == 1 && !bounds(f, node, &low, &high)) return TSR_OK;
    if (k == 3 && strcmp(tsr_node_string(node, "approximate", "none"), "none") != 0) return TSR_OK;
    const struct tsr_node *conv = open_convolution(f, node->in[0]);
    if (conv == NULL) return TSR_OK;
    const size_t slot = (size_t)(node - f->g->node);
    TSR_TRY(extend(f, conv, -1, node));
    TSR_TRY(tsr_graph_attr_string(f->g, "activation", names[k], f->err));
    if (k == 1) {
        TSR_TRY(tsr_graph_attr_float(f->g, "low", (float)low, f->err));
        TSR_TRY(tsr_graph_attr_float(f->g, "high", (float)high, f->err));
    }
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[slot]);
}

static struct tsr_attr *attribute(struct tsr_graph *g, size_t i, const char *name)
{
    for (size_t k = 0; k < g->node[i].n_attr; k++)
        if (strcmp(g->node[i].attr[k].name, name) == 0) return &g->node[i].attr[k];
    return NULL;
}

/* Anchored at a convolution with padding: where its input is another's output and nobody else reads it, that
 * one leaves room around it, and this one needs no copy. */
enum tsr_status tsr_fuse_margin(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_graph *g = f->g;
    if (!tsr_node_is_of(node, "tessera", "Conv") || tsr_node_int(node, "first", 0) != 0 || !tsr_fuse_inner(f, node->in[0])) return TSR_OK;
    if (strcmp(tsr_node_string(node, "auto_pad", "NOTSET"), "NOTSET") != 0 || g->value[node->in[0]].producer < 0) return TSR_OK;
    const size_t at = (size_t)(node - g->node), from = (size_t)g->value[node->in[0]].producer;
    const struct tsr_attr *pads = tsr_node_attr(node, "pads");
    if (!tsr_node_is_of(&g->node[from], "tessera", "Conv") || g->node[from].n_in > 3 || pads == NULL || pads->type != TSR_ATTR_INTS) return TSR_OK;
    bool any = false;
    for (size_t k = 0; k < pads->n; k++) {
        if (pads->ints[k] < 0 || pads->ints[k] > 64) return TSR_OK;
        any = any || pads->ints[k] > 0;
    }
    if (!any || attribute(g, from, "margin") != NULL) return TSR_OK;
    struct tsr_attr *grown = tsr_realloc(g->node[from].attr, g->node[from].n_attr + 1, sizeof *grown);
    if (grown == NULL) return tsr_nomem(f->err, sizeof *grown);
    g->node[from].attr = grown;
    struct tsr_attr *moved = attribute(g, at, "pads"), *margin = &grown[g->node[from].n_attr];
    char *name = tsr_strdup("margin");
    if (name == NULL) return tsr_nomem(f->err, sizeof "margin");
    *margin = *moved;
    margin->name = name;
    g->node[from].n_attr++;
    tsr_free(moved->name);
    *moved = g->node[at].attr[--g->node[at].n_attr];
    *done = true;
    return TSR_OK;
}
