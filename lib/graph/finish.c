/* finish.c - turns a graph as it was read into one that can run. */
#include "base/mem.h"
#include "graph/control.h"
#include "graph/opset.h"

#include <stdio.h>
#include <string.h>

/* All unknown operators are named at once: a user wants the whole list, not the first. */
static enum tsr_status resolve(struct tsr_graph *g, struct tsr_error *err)
{
    char unknown[300] = "";
    size_t used = 0;
    for (size_t i = 0; i < g->n_node; i++) {
        struct tsr_node *node = &g->node[i];
        node->op = tsr_op_find(node->domain, node->op_type);
        if (node->op == NULL && node->domain[0] == '\0') node->op = tsr_control_find(node->op_type);
        if (node->op != NULL) continue;
        char name[120];
        (void)snprintf(name, sizeof name, "%.40s%s%.60s", node->domain, node->domain[0] ? "." : "", node->op_type);
        if (strstr(unknown, name) != NULL) continue;
        int n = snprintf(unknown + used, sizeof unknown - used, "%s%s", used ? ", " : "", name);
        if (n > 0 && (size_t)n < sizeof unknown - used) used += (size_t)n;
        else unknown[used] = '\0';
    }
    if (used == 0) return TSR_OK;
    return tsr_fail(err, TSR_E_UNSUPPORTED, "the model uses operators that this program does not have: %s", unknown);
}

static enum tsr_status check_arity(const struct tsr_node *node, struct tsr_error *err)
{
    const struct tsr_op *op = node->op;
    if (node->n_in < op->min_in || (op->max_in >= 0 && node->n_in > op->max_in))
        return tsr_fail(err, TSR_E_CORRUPT, "node '%s' (%s) has %d inputs; the operator takes %d to %d", node->name,
                        node->op_type, node->n_in, op->min_in, op->max_in < 0 ? INT32_MAX : op->max_in);
    if (node->n_out > op->max_out || node->n_out < 1)
        return tsr_fail(err, TSR_E_CORRUPT, "node '%s' (%s) has %d outputs; the operator gives 1 to %d", node->name,
                        node->op_type, node->n_out, op->max_out);
    return TSR_OK;
}

static enum tsr_status link_producers(struct tsr_graph *g, struct tsr_error *err)
{
    for (size_t i = 0; i < g->n_value; i++) g->value[i].producer = -1;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        TSR_TRY(check_arity(node, err));
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] < 0) continue;
            struct tsr_value *v = &g->value[node->out[k]];
            if (v->producer >= 0 || v->is_init || v->is_input)
                return tsr_fail(err, TSR_E_CORRUPT,
                                "the value '%s' is given twice: by node '%s' (%s) and by %s", v->name, node->name,
                                node->op_type,
                                v->is_init    ? "an initialiser"
                                : v->is_input ? "a graph input"
                                              : g->node[v->producer].name);
            v->producer = (int32_t)i;
        }
    }
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] < 0) continue;
            const struct tsr_value *v = &g->value[node->in[k]];
            if (v->producer < 0 && !v->is_init && !v->is_input)
                return tsr_fail(err, TSR_E_CORRUPT, "node '%s' (%s) reads '%s', which nothing in the model gives",
                                node->name, node->op_type, v->name);
        }
    }
    for (size_t i = 0; i < g->n_output; i++) {
        const struct tsr_value *v = &g->value[g->output[i]];
        if (v->producer < 0 && !v->is_init && !v->is_input)
            return tsr_fail(err, TSR_E_CORRUPT, "the graph output '%s' is given by no node", v->name);
    }
    return TSR_OK;
}

/* Kahn's algorithm, taking the lowest file position first where there is a choice: a file in
 * order stays in order. The ready set is a binary heap of node numbers. */
struct heap {
    int32_t *at;
    size_t n;
};

static void heap_push(struct heap *h, int32_t v)
{
    size_t i = h->n++;
    while (i > 0 && h->at[(i - 1) / 2] > v) {
        h->at[i] = h->at[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->at[i] = v;
}

static int32_t heap_pop(struct heap *h)
{
    int32_t top = h->at[0], v = h->at[--h->n];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= h->n) break;
        if (c + 1 < h->n && h->at[c + 1] < h->at[c]) c++;
        if (h->at[c] >= v) break;
        h->at[i] = h->at[c];
        i = c;
    }
    h->at[i] = v;
    return top;
}

static enum tsr_status sort_nodes(struct tsr_graph *g, struct tsr_error *err)
{
    size_t n = g->n_node, uses = 0;
    for (size_t i = 0; i < n; i++) uses += (size_t)g->node[i].n_in;
    /* first[v] .. first[v + 1]: the nodes that read value v */
    size_t *first = tsr_calloc(g->n_value + 2, sizeof *first);
    int32_t *reader = tsr_malloc(uses, sizeof *reader), *wait = tsr_calloc(n, sizeof *wait);
    struct heap ready = {tsr_malloc(n, sizeof *ready.at), 0};
    struct tsr_node *sorted = tsr_malloc(n, sizeof *sorted);
    enum tsr_status status = TSR_OK;
    if (first == NULL || reader == NULL || wait == NULL || ready.at == NULL || sorted == NULL) {
        status = tsr_nomem(err, n * sizeof *sorted);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < g->node[i].n_in; k++)
            if (g->node[i].in[k] >= 0) first[g->node[i].in[k] + 2]++;
    for (size_t v = 1; v < g->n_value + 2; v++) first[v] += first[v - 1];
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < g->node[i].n_in; k++) {
            int32_t v = g->node[i].in[k];
            if (v < 0) continue;
            reader[first[v + 1]++] = (int32_t)i;
            if (g->value[v].producer >= 0) wait[i]++;
        }
    for (size_t i = 0; i < n; i++)
        if (wait[i] == 0) heap_push(&ready, (int32_t)i);
    size_t m = 0;
    bool moved = false;
    while (ready.n > 0) {
        int32_t i = heap_pop(&ready);
        moved = moved || (size_t)i != m;
        sorted[m++] = g->node[i];
        for (int k = 0; k < g->node[i].n_out; k++) {
            int32_t v = g->node[i].out[k];
            if (v < 0) continue;
            for (size_t r = first[v]; r < first[v + 1]; r++)
                if (--wait[reader[r]] == 0) heap_push(&ready, reader[r]);
        }
    }
    if (m < n) {
        size_t stuck = 0;
        while (wait[stuck] == 0) stuck++;
        status = tsr_fail(err, TSR_E_CORRUPT, "the graph has a cycle through node '%s' (%s)", g->node[stuck].name,
                          g->node[stuck].op_type);
        goto done;
    }
    if (moved)
        TSR_GO(status, done, tsr_graph_warn(g, err, "the model's nodes are not in an order in which they can run; they were sorted"));
    if (n != 0) memcpy(g->node, sorted, n * sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < g->node[i].n_out; k++)
            if (g->node[i].out[k] >= 0) g->value[g->node[i].out[k]].producer = (int32_t)i;
done:
    tsr_free(first);
    tsr_free(reader);
    tsr_free(wait);
    tsr_free(ready.at);
    tsr_free(sorted);
    return status;
}

static void mark_trainable(struct tsr_graph *g)
{
    for (size_t i = 0; i < g->n_value; i++) g->value[i].trainable = false;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        for (int k = 0; k < node->n_in && k < 32; k++) {
            if (node->in[k] < 0 || !(node->op->params >> k & 1)) continue;
            struct tsr_value *v = &g->value[node->in[k]];
            if (v->is_init && (v->init.dtype == TSR_F32 || v->init.dtype == TSR_F64) && v->init.shape.rank >= 1)
                v->trainable = true;
        }
    }
}

/* Models that were exported as they are trained. */
static enum tsr_status note_training(struct tsr_graph *g, struct tsr_error *err)
{
    const struct tsr_node *first = NULL;
    int n = 0;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        const struct tsr_tensor *on = tsr_node_is(node, "Dropout") && node->n_in > 2 ? tsr_graph_constant(g, node->in[2]) : NULL;
        const bool drops = on != NULL && on->dtype == TSR_BOOL && tsr_tensor_count(on) == 1 && tsr_load_i64(TSR_BOOL, on->data, 0) != 0;
        if (!drops && !tsr_node_takes_batch(node)) continue;
        if (n++ == 0) first = node;
    }
    if (n == 0) return TSR_OK;
    return tsr_graph_warn(g, err, "the model was exported for training: %d of its nodes, the first '%.80s' (%s), take the statistics of the "
                          "samples that are run together, or drop numbers at random; export it for inference", n, first->name, first->op_type);
}

enum tsr_status tsr_graph_finish(struct tsr_graph *g, struct tsr_error *err)
{
    if (g->n_output == 0) return tsr_fail(err, TSR_E_CORRUPT, "the model has no outputs");
    TSR_TRY(tsr_opset_settle(g, err));
    TSR_TRY(resolve(g, err));
    TSR_TRY(link_producers(g, err));
    TSR_TRY(sort_nodes(g, err));
    mark_trainable(g);
    return note_training(g, err);
}
