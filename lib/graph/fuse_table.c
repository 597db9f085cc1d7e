/* fuse_table.c - a chain of element-wise operators from one dequantised tensor to QuantizeLinear becomes a
 * table of 256 integers. The operators themselves make it, in double, and the results are rounded to floats before
 * they are quantised: unlike those of the float kernels the bytes are the same on every machine. */
#include <string.h>

#include "base/mem.h"
#include "graph/copy.h"
#include "graph/fuse_integer.h"
#include "graph/session.h"
#include "tensor/qround.h"

enum { LONGEST = 32 };

/* The nodes of the chain, the last first, and where it begins. */
struct chain {
    size_t node[LONGEST];
    size_t n;
    struct tsr_fuse_grid from;
    int32_t begin; /* the value that DequantizeLinear gives; -1: not found yet */
};

/* Follows v back to the beginning; false where anything else comes in. */
static bool follow(const struct tsr_fuse *f, int32_t v, struct chain *c, int depth)
{
    struct tsr_fuse_grid g;
    double x;
    if (v < 0 || depth > LONGEST) return false;
    if (tsr_fuse_scalar(f, v, &x)) return true;
    if (tsr_fuse_dequantised(f, v, &g)) {
        if (c->begin >= 0 && (c->from.q != g.q || !tsr_fuse_same_grid(&c->from, &g))) return false;
        c->begin = v;
        c->from = g;
        return true;
    }
    const int32_t p = f->g->value[v].producer;
    if (p < 0 || !tsr_fuse_hidden(f, v) || !tsr_node_elementwise(&f->g->node[p])) return false;
    for (size_t i = 0; i < c->n; i++)
        if (c->node[i] == (size_t)p) return true;
    if (c->n == LONGEST) return false;
    c->node[c->n++] = (size_t)p;
    for (int k = 0; k < f->g->node[p].n_in; k++)
        if (f->g->node[p].in[k] >= 0 && !follow(f, f->g->node[p].in[k], c, depth + 1)) return false;
    return true;
}

/* Nothing but the chain and QuantizeLinear reads what the chain computes. */
static bool closed(const struct tsr_fuse *f, const struct chain *c, int32_t end)
{
    for (size_t i = 0; i < c->n; i++) {
        const int32_t v = f->g->node[c->node[i]].out[0];
        int32_t reads = v == end;
        for (size_t k = 0; k < c->n; k++)
            for (int j = 0; j < f->g->node[c->node[k]].n_in; j++) reads += f->g->node[c->node[k]].in[j] == v;
        if (reads != f->uses[v]) return false;
    }
    return true;
}

/* ---- making the table ----------------------------------------------------------------------- */

/* A constant, in double. */
static enum tsr_status bring(const struct tsr_fuse *f, struct tsr_graph *g, int32_t v)
{
    const struct tsr_tensor *t = tsr_fuse_constant(f, v);
    struct tsr_tensor own;
    if (t == NULL || tsr_graph_find(g, f->g->value[v].name) >= 0) return TSR_OK;
    TSR_TRY(tsr_tensor_zeros(&own, TSR_F64, t->shape.rank, t->shape.dim, f->err));
    tsr_convert(TSR_F64, own.data, t->dtype, t->data, tsr_tensor_count(t));
    return tsr_graph_add_init(g, f->g->value[v].name, &own, f->err);
}

static enum tsr_status add_node(const struct tsr_fuse *f, struct tsr_graph *g, const struct tsr_node *node)
{
    const char *in[8];
    if (node->n_in > 8) return tsr_fail(f->err, TSR_E_INTERNAL, "an element-wise node with %d inputs", node->n_in);
    for (int k = 0; k < node->n_in; k++) {
        in[k] = node->in[k] < 0 ? "" : f->g->value[node->in[k]].name;
        if (node->in[k] >= 0) TSR_TRY(bring(f, g, node->in[k]));
    }
    TSR_TRY(tsr_graph_add_node(g, node->op_type, node->domain, NULL, node->n_in, in, 1,
                               (const char *[]){f->g->value[node->out[0]].name}, f->err));
    g->node[g->n_node - 1].opset = node->opset;
    return tsr_graph_copy_attrs(g, node, f->err);
}

/* The chain alone, from the values of 256 integers to the value `end`. */
static enum tsr_status build(const struct tsr_fuse *f, const struct chain *c, int32_t end, struct tsr_graph **out)
{
    struct tsr_graph *g;
    const int64_t dim = 256;
    TSR_TRY(tsr_graph_new(&g, f->err));
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < f->g->n_opset && status == TSR_OK; i++)
        status = tsr_graph_opset(g, f->g->opset[i].domain, f->g->opset[i].version, f->err);
    if (status == TSR_OK) status = tsr_graph_add_input(g, f->g->value[c->begin].name, TSR_F64, 1, &dim, NULL, f->err);
    for (size_t i = c->n; i-- > 0 && status == TSR_OK;) status = add_node(f, g, &f->g->node[c->node[i]]);
    if (status == TSR_OK) status = tsr_graph_add_output(g, f->g->value[end].name, TSR_NONE, -1, NULL, NULL, f->err);
    if (status == TSR_OK) status = tsr_graph_finish(g, f->err);
    if (status == TSR_OK) *out = g;
    else tsr_graph_free(g);
    return status;
}

/* What becomes of all integers, in the order of their bytes; *fits is false where that is not a number each. */
static enum tsr_status run(const struct tsr_fuse *f, const struct tsr_graph *g, const struct tsr_fuse_grid *from, float y[256], bool *fits)
{
    struct tsr_session *s;
    struct tsr_tensor all, out;
    const int64_t dim = 256;
    TSR_TRY(tsr_tensor_zeros(&all, TSR_F64, 1, &dim, f->err));
    for (int b = 0; b < 256; b++)
        ((double *)all.data)[b] = (double)((float)((from->type == TSR_I8 ? (int8_t)b : b) - from->offset) * from->step);
    enum tsr_status status = tsr_session_new(g, NULL, &s, f->err);
    if (status == TSR_OK) status = tsr_session_call(s, &all, 1, g->output, 1, &out, f->err);
    if (status == TSR_OK) {
        *fits = out.dtype == TSR_F64 && tsr_tensor_count(&out) == 256;
        if (*fits) tsr_convert(TSR_F32, y, TSR_F64, out.data, 256);
        tsr_tensor_release(&out);
    }
    tsr_session_free(s);
    tsr_tensor_release(&all);
    return status;
}

/* Anchored at QuantizeLinear. */
enum tsr_status tsr_fuse_table(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct chain c = {.begin = -1};
    struct tsr_fuse_tail t;
    struct tsr_graph *g;
    struct tsr_tensor table;
    float y[256];
    bool fits = false;
    if (f->training || !tsr_fuse_named(node, "QuantizeLinear")) return TSR_OK;
    const int32_t end = node->in[0];
    if (!follow(f, end, &c, 0) || c.begin < 0 || c.n == 0 || !closed(f, &c, end)) return TSR_OK;
    if (!tsr_fuse_quantised(f, end, false, &t) || t.node != node) return TSR_OK;
    TSR_TRY(build(f, &c, end, &g));
    enum tsr_status status = run(f, g, &c.from, y, &fits);
    tsr_graph_free(g);
    TSR_TRY(status);
    if (!fits) return TSR_OK;
    TSR_TRY(tsr_tensor_zeros(&table, t.grid.type, 1, &(const int64_t){256}, f->err));
    tsr_qround(256, y, t.grid.step, t.grid.offset, t.lo, t.hi, table.data);
    int32_t in[2] = {c.from.q, -1};
    const int32_t out = node->out[0];
    const size_t at = (size_t)(node - f->g->node);
    TSR_TRY(tsr_fuse_add(f, out, "table", &table, &in[1]));
    TSR_TRY(tsr_fuse_begin(f, "QTable", "tessera", 2, in, out));
    *done = true;
    return tsr_fuse_commit(f, &f->g->node[at]);
}
