#include "graph/copy.h"

#include <string.h>

#include "base/mem.h"

static char *copy_text(const char *s, bool *ok)
{
    char *p = s ? tsr_strdup(s) : NULL;
    if (s && !p) *ok = false;
    return p;
}

static void *copy_block(const void *p, size_t n, size_t size, bool *ok)
{
    void *q = p ? tsr_memdup(p, n * size) : NULL;
    if (p && !q) *ok = false;
    return q;
}

static bool copy_attr(const struct tsr_attr *a, struct tsr_attr *to)
{
    bool ok = true;
    *to = (struct tsr_attr){.type = a->type, .n = a->n, .i = a->i, .f = a->f};
    to->name = copy_text(a->name, &ok);
    to->s = copy_text(a->s, &ok);
    to->ints = copy_block(a->ints, a->n, sizeof *a->ints, &ok);
    to->floats = copy_block(a->floats, a->n, sizeof *a->floats, &ok);
    if (a->strings) {
        to->strings = tsr_calloc(a->n, sizeof *to->strings);
        ok = ok && to->strings;
        for (size_t i = 0; to->strings && i < a->n; i++) to->strings[i] = copy_text(a->strings[i], &ok);
    }
    if (a->type == TSR_ATTR_TENSOR) to->t = tsr_tensor_share(&a->t);
    if (a->g) {
        to->g = a->g;
        to->g_free = a->g_free;
        atomic_fetch_add(&a->g->shares, 1);
    }
    return ok;
}

static bool copy_node(const struct tsr_node *node, struct tsr_node *to)
{
    bool ok = true;
    *to = (struct tsr_node){.opset = node->opset, .op = node->op, .n_in = node->n_in, .n_out = node->n_out,
                            .n_captured = node->n_captured};
    to->name = copy_text(node->name, &ok);
    to->op_type = copy_text(node->op_type, &ok);
    to->domain = copy_text(node->domain, &ok);
    to->in = copy_block(node->in, (size_t)node->n_in, sizeof *node->in, &ok);
    to->out = copy_block(node->out, (size_t)node->n_out, sizeof *node->out, &ok);
    to->attr = node->n_attr ? tsr_calloc(node->n_attr, sizeof *to->attr) : NULL;
    if (node->n_attr && !to->attr) return false;
    for (; ok && to->n_attr < node->n_attr; to->n_attr++) ok = copy_attr(&node->attr[to->n_attr], &to->attr[to->n_attr]);
    return ok;
}

static enum tsr_status copy_values(const struct tsr_graph *g, struct tsr_graph *to, struct tsr_error *err)
{
    for (size_t i = 0; i < g->n_value; i++) {
        const struct tsr_value *v = &g->value[i];
        int32_t id;
        bool ok = true;
        TSR_TRY(tsr_graph_value(to, v->name, &id, err));
        if ((size_t)id != i) return tsr_fail(err, TSR_E_INTERNAL, "the value '%s' is in the graph twice", v->name);
        struct tsr_value *w = &to->value[i];
        w->producer = v->producer;
        w->is_input = v->is_input;
        w->is_output = v->is_output;
        w->is_init = v->is_init;
        w->trainable = v->trainable;
        w->dtype = v->dtype;
        w->shape = v->shape;
        if (v->is_init) w->init = tsr_tensor_share(&v->init);
        for (int k = 0; k < TSR_MAX_RANK; k++) w->dim_name[k] = copy_text(v->dim_name[k], &ok);
        if (!ok) return tsr_nomem(err, sizeof *w);
    }
    return TSR_OK;
}

enum tsr_status tsr_graph_copy(const struct tsr_graph *g, struct tsr_graph **out, struct tsr_error *err)
{
    enum tsr_status status;
    bool ok = true;
    TSR_TRY(tsr_graph_new(out, err));
    struct tsr_graph *to = *out;
    to->name = copy_text(g->name, &ok);
    to->producer = copy_text(g->producer, &ok);
    to->ir_version = g->ir_version;
    for (size_t i = 0; i < g->n_opset; i++)
        TSR_GO(status, fail, tsr_graph_opset(to, g->opset[i].domain, g->opset[i].version, err));
    for (size_t i = 0; i < g->n_meta; i++)
        TSR_GO(status, fail, tsr_graph_meta(to, g->meta_key[i], g->meta_value[i], err));
    TSR_GO(status, fail, copy_values(g, to, err));
    to->input = copy_block(g->input, g->n_input, sizeof *g->input, &ok);
    to->output = copy_block(g->output, g->n_output, sizeof *g->output, &ok);
    to->n_input = to->cap_input = g->n_input;
    to->n_output = to->cap_output = g->n_output;
    TSR_GO(status, fail, tsr_grow(&to->node, &to->cap_node, g->n_node + 1, sizeof *to->node, err));
    for (size_t i = 0; ok && i < g->n_node; i++) ok = copy_node(&g->node[i], &to->node[to->n_node++]);
    if (ok) return TSR_OK;
    status = tsr_nomem(err, g->n_node * sizeof *g->node);
fail:
    tsr_graph_free(to);
    *out = NULL;
    return status;
}

enum tsr_status tsr_graph_copy_attrs(struct tsr_graph *to, const struct tsr_node *from, struct tsr_error *err)
{
    struct tsr_node *node = &to->node[to->n_node - 1];
    node->n_captured = from->n_captured;
    if (from->n_attr == 0) return TSR_OK;
    node->attr = tsr_calloc(from->n_attr, sizeof *node->attr);
    if (node->attr == NULL) return tsr_nomem(err, from->n_attr * sizeof *node->attr);
    for (; node->n_attr < from->n_attr; node->n_attr++)
        if (!copy_attr(&from->attr[node->n_attr], &node->attr[node->n_attr])) {
            node->n_attr++; /* what there is of it is released with the node */
            return tsr_nomem(err, sizeof *node->attr);
        }
    return TSR_OK;
}
