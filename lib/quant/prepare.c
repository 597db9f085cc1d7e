#include "quant/prepare.h"

#include "base/mem.h"
#include "graph/copy.h"
#include "graph/fuse.h"
#include "model/upgrade.h"

#include <string.h>

/* Removes the nodes that are marked; nobody reads what they give. */
static void drop_nodes(struct tsr_graph *g, const bool *drop)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_node; i++) {
        if (drop[i]) tsr_node_release(&g->node[i]);
        else g->node[n++] = g->node[i];
    }
    g->n_node = n;
}

enum { CAPTURED = -1 }; /* a body reads it by its name */

/* Readers of the output of an Identity or a Dropout read its input instead; `same` has room for a value each. */
static void skip_identities(struct tsr_graph *g, bool *drop, int32_t *same)
{
    for (size_t v = 0; v < g->n_value; v++) same[v] = (int32_t)v;
    for (size_t i = 0; i < g->n_node; i++)
        for (int k = g->node[i].n_in - g->node[i].n_captured; k < g->node[i].n_in; k++) same[g->node[i].in[k]] = CAPTURED;
    for (size_t i = 0; i < g->n_node; i++) { /* in order: what is read was seen before */
        struct tsr_node *node = &g->node[i];
        drop[i] = false;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0 && same[node->in[k]] != CAPTURED) node->in[k] = same[node->in[k]];
        if (!tsr_node_is(node, "Identity") && !tsr_node_is(node, "Dropout")) continue;
        bool mask = node->n_out > 1 && node->out[1] >= 0;
        if (mask || node->out[0] < 0 || node->in[0] < 0 || g->value[node->out[0]].is_output || same[node->out[0]] == CAPTURED) continue;
        if (tsr_node_is(node, "Dropout") && node->n_in > 2 && node->in[2] >= 0) continue; /* training_mode */
        same[node->out[0]] = node->in[0];
        drop[i] = true;
    }
}

static enum tsr_status simplify(struct tsr_graph *g, struct tsr_error *err)
{
    bool *drop = tsr_calloc(g->n_node + 1, sizeof *drop);
    int32_t *same = tsr_calloc(g->n_value + 1, sizeof *same);
    enum tsr_status status = drop && same ? TSR_OK : tsr_nomem(err, g->n_value * sizeof *same);
    if (status == TSR_OK) {
        skip_identities(g, drop, same);
        drop_nodes(g, drop);
        status = tsr_graph_finish(g, err);
    }
    tsr_free(same);
    tsr_free(drop);
    return status;
}

enum tsr_status tsr_quant_prepare(const struct tsr_graph *g, int64_t opset, struct tsr_graph **out, struct tsr_error *err)
{
    struct tsr_graph *own, *folded = NULL;
    *out = NULL;
    for (size_t i = 0; i < g->n_node; i++)
        if (strcmp(g->node[i].op_type, "QuantizeLinear") == 0 || strcmp(g->node[i].op_type, "DequantizeLinear") == 0 ||
            strncmp(g->node[i].op_type, "QLinear", 7) == 0 || strcmp(g->node[i].op_type, "MatMulNBits") == 0)
            return tsr_fail(err, TSR_E_UNSUPPORTED, "the model is quantised already: node '%s' is a %s; give the float model",
                            g->node[i].name, g->node[i].op_type);
    TSR_TRY(tsr_graph_copy(g, &own, err));
    for (size_t v = 0; v < own->n_value; v++)
        if (own->value[v].is_init) own->value[v].is_input = false; /* weights, in files of IR version 3: nobody replaces them */
    enum tsr_status status = tsr_graph_fuse(own, NULL, 0, TSR_FUSE_EXPORT, &folded, err);
    tsr_graph_free(own);
    if (status == TSR_OK) status = simplify(folded, err);
    if (status == TSR_OK) status = tsr_graph_upgrade(folded, opset, err);
    if (status == TSR_OK) *out = folded;
    else tsr_graph_free(folded);
    return status;
}
