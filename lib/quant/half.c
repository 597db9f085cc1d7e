#include "quant/half.h"

#include "base/mem.h"
#include "graph/copy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 512, SMALL = 16 /* elements that are not worth a Cast */ };

/* Nothing that is learnt is so large: it stands for infinity, as what masks take from scores, or the end of Clip. The
 * largest number that there is does the same. */
static const double ENDLESS = 1e9;

struct narrower {
    const struct tsr_graph *from;
    struct tsr_graph *to;
    enum tsr_dtype type;
    char **read_as; /* per value: what readers read instead, or NULL */
    bool *whole;    /* per node: computed in float32 */
    const struct narrower *outer; /* of a body: the graph that its node is in */
    struct tsr_error *err;
};

/* Inputs that the operator wants in float32 whatever it computes in. */
static bool keeps_float(const struct tsr_node *node, int k)
{
    if (strcmp(node->op_type, "Resize") == 0) return k == 1 || k == 2;
    return strcmp(node->op_type, "Upsample") == 0 && k == 1;
}

static bool has_fixed_type(const struct tsr_node *node)
{
    if (strcmp(node->op_type, "EyeLike") == 0) return true;
    for (size_t i = 0; i < node->n_attr; i++)
        if (node->attr[i].type == TSR_ATTR_GRAPH) return false; /* random if its body is */
    return (node->op->flags & TSR_OP_RANDOM) != 0;
}

/* Scales of Resize that are computed stay in float32 from the Cast on that begins them: a size in half precision is off
 * by one soon. A node is whole where all that read it are, or want float32, and what it reads is whole, stored or
 * becomes a float in it. */
static bool may_be_whole(const struct narrower *h, const struct tsr_node *node)
{
    static const char *const ops[] = {"Add", "Cast", "Concat", "Constant", "Div", "Floor", "Gather", "Mul", "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze"};
    bool known = false;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) known = known || tsr_node_is(node, ops[i]);
    if (!known) return false;
    for (int k = 0; k < node->n_in && !tsr_node_is(node, "Cast"); k++) {
        const struct tsr_value *v = node->in[k] >= 0 ? &h->from->value[node->in[k]] : NULL;
        if (v != NULL && !v->is_init && (v->producer < 0 || !h->whole[v->producer])) return false;
    }
    return true;
}

static enum tsr_status find_whole(struct narrower *h)
{
    const struct tsr_graph *g = h->from;
    bool *narrow = tsr_calloc(g->n_value + 1, sizeof *narrow), changed = true; /* somebody wants it in half precision */
    if (narrow == NULL) return tsr_nomem(h->err, g->n_value);
    for (size_t i = 0; i < g->n_node; i++) h->whole[i] = true;
    while (changed) {
        changed = false;
        memset(narrow, 0, g->n_value);
        for (size_t i = 0; i < g->n_output; i++) narrow[g->output[i]] = true;
        for (size_t i = 0; i < g->n_node; i++)
            for (int k = 0; k < g->node[i].n_in; k++)
                if (g->node[i].in[k] >= 0 && !h->whole[i] && !keeps_float(&g->node[i], k)) narrow[g->node[i].in[k]] = true;
        for (size_t i = 0; i < g->n_node; i++) {
            bool whole = h->whole[i] && may_be_whole(h, &g->node[i]);
            for (int k = 0; k < g->node[i].n_out; k++) whole = whole && (g->node[i].out[k] < 0 || !narrow[g->node[i].out[k]]);
            changed = changed || whole != h->whole[i];
            h->whole[i] = whole;
        }
    }
    tsr_free(narrow);
    return TSR_OK;
}

static bool taken(const struct narrower *h, const char *name)
{
    for (; h != NULL; h = h->outer)
        if (tsr_graph_find(h->to, name) >= 0 || tsr_graph_find(h->from, name) >= 0) return true;
    return false;
}

static const char *fresh(const struct narrower *h, const char *base, const char *suffix, char name[NAME])
{
    int n = 0;
    (void)snprintf(name, NAME, "%.400s_%s", base, suffix);
    while (taken(h, name)) (void)snprintf(name, NAME, "%.400s_%s%d", base, suffix, ++n);
    return name;
}

static const char *name_of(const struct narrower *h, int32_t v)
{
    return v < 0 ? "" : h->read_as[v] != NULL ? h->read_as[v] : h->from->value[v].name;
}

/* From here on readers of v read that. */
static enum tsr_status read_instead(struct narrower *h, int32_t v, const char *name)
{
    h->read_as[v] = tsr_strdup(name);
    return h->read_as[v] != NULL ? TSR_OK : tsr_nomem(h->err, NAME);
}

static enum tsr_status cast(struct narrower *h, const char *in, const char *out, enum tsr_dtype type)
{
    char own[NAME + 8]; /* its output may be called as another node is */
    (void)snprintf(own, sizeof own, "%.*s_cast", NAME - 1, out);
    TSR_TRY(tsr_graph_add_node(h->to, "Cast", "", own, 1, &in, 1, &out, h->err));
    return tsr_graph_attr_int(h->to, "to", type, h->err);
}

static enum tsr_status narrow(struct narrower *h, const struct tsr_tensor *from, const char *name, struct tsr_tensor *t)
{
    TSR_TRY(tsr_tensor_cast(t, h->type, from, h->err));
    for (int64_t i = 0, n = tsr_tensor_count(t); i < n; i++) {
        double v = tsr_load_f64(from->dtype, from->data, i);
        if (isfinite(tsr_load_f64(h->type, t->data, i)) || !isfinite(v)) continue;
        if (fabs(v) >= ENDLESS) {
            tsr_store_f64(h->type, t->data, i, copysign(h->type == TSR_F16 ? 65504 : 0x1.fep127, v));
            continue;
        }
        tsr_tensor_release(t);
        return tsr_fail(h->err, TSR_E_NUMERIC, "'%s' holds %g, which %s cannot; take bf16", name, v, tsr_dtype_name(h->type));
    }
    return TSR_OK;
}

/* The initialiser v under its own name, or the name it is read by. */
static enum tsr_status bring(struct narrower *h, int32_t v, bool keep)
{
    const struct tsr_value *from = &h->from->value[v];
    char name[NAME];
    struct tsr_tensor t;
    if (!from->is_init) return TSR_OK;
    bool whole = from->init.dtype != TSR_F32 || keep || (h->type == TSR_BF16 && tsr_tensor_count(&from->init) < SMALL);
    int32_t have = tsr_graph_find(h->to, from->name);
    if (whole) {
        if (have >= 0 && h->to->value[have].is_init) return TSR_OK;
        t = tsr_tensor_share(&from->init);
        return tsr_graph_add_init(h->to, from->name, &t, h->err);
    }
    if (h->read_as[v] != NULL) return TSR_OK;
    TSR_TRY(narrow(h, &from->init, from->name, &t));
    TSR_TRY(tsr_graph_add_init(h->to, fresh(h, from->name, tsr_dtype_name(h->type), name), &t, h->err));
    if (h->type == TSR_BF16) {
        char wide[NAME];
        TSR_TRY(cast(h, name, fresh(h, from->name, "float32", wide), TSR_F32));
        memcpy(name, wide, sizeof name);
    }
    return read_instead(h, v, name);
}

/* float32 results that attributes ask for become half precision. */
static enum tsr_status fix_attributes(struct narrower *h)
{
    struct tsr_node *node = &h->to->node[h->to->n_node - 1];
    for (size_t i = 0; i < node->n_attr; i++) {
        struct tsr_attr *a = &node->attr[i];
        bool type = strcmp(node->op_type, "Cast") == 0 && strcmp(a->name, "to") == 0;
        if (type && a->i == TSR_F32) a->i = h->type;
        if (a->type == TSR_ATTR_TENSOR && a->t.dtype == TSR_F32) {
            struct tsr_tensor t;
            TSR_TRY(narrow(h, &a->t, node->name, &t));
            tsr_tensor_release(&a->t);
            a->t = t;
        }
    }
    return TSR_OK;
}

static enum tsr_status convert_bodies(struct narrower *h, const struct tsr_node *node, const char *const *name);

/* How input k of `node`, which computes in float32 where `whole`, is read: *name, in `room` where a Cast makes it wide. */
static enum tsr_status read_input(struct narrower *h, const struct tsr_node *node, int k, bool whole, const char **name, char room[NAME])
{
    const int32_t v = node->in[k];
    const bool keep = whole || keeps_float(node, k);
    *name = "";
    if (v < 0) return TSR_OK;
    TSR_TRY(bring(h, v, keep));
    const struct tsr_value *from = &h->from->value[v];
    const bool wide = from->is_init || (from->is_input && h->outer == NULL); /* under its own name */
    *name = keep && wide ? from->name : name_of(h, v);
    if (!keep || wide || whole || h->type != TSR_F16 || (from->producer >= 0 && h->whole[from->producer])) return TSR_OK;
    const char *half = *name;
    *name = fresh(h, from->name, "wide", room);
    return cast(h, half, *name, TSR_F32);
}

static enum tsr_status copy_node(struct narrower *h, const struct tsr_node *node)
{
    const bool half = h->type == TSR_F16, whole = half && h->whole[node - h->from->node];
    const char **name = tsr_calloc((size_t)(node->n_in + node->n_out) + 1, sizeof *name);
    char own[NAME], room[2][NAME]; /* Resize may want inputs 1 and 2 wide */
    enum tsr_status status = name ? TSR_OK : tsr_nomem(h->err, sizeof *name);
    for (int k = 0; k < node->n_in && status == TSR_OK; k++) status = read_input(h, node, k, whole, &name[k], room[k & 1]);
    bool fixed = half && !whole && has_fixed_type(node) && node->n_out > 0 && node->out[0] >= 0;
    for (int k = 0; k < node->n_out && status == TSR_OK; k++) name[node->n_in + k] = name_of(h, node->out[k]);
    const char *out = status == TSR_OK && node->n_out > 0 ? name[node->n_in] : NULL;
    if (fixed) name[node->n_in] = fresh(h, out, "float32", own);
    if (status == TSR_OK)
        status = tsr_graph_add_node(h->to, node->op_type, node->domain, node->name, node->n_in, name, node->n_out,
                                    name + node->n_in, h->err);
    if (status == TSR_OK) status = tsr_graph_copy_attrs(h->to, node, h->err);
    if (status == TSR_OK) status = convert_bodies(h, node, name);
    if (status == TSR_OK && half && !fixed && !whole) status = fix_attributes(h);
    if (status == TSR_OK && fixed) status = cast(h, own, out, TSR_F16);
    tsr_free(name);
    return status;
}

static enum tsr_status put_ends(struct narrower *h, bool outputs)
{
    const struct tsr_graph *g = h->from;
    for (size_t i = 0; i < (outputs ? g->n_output : g->n_input); i++) {
        int32_t id = outputs ? g->output[i] : g->input[i];
        const struct tsr_value *v = &g->value[id];
        const char *dim_name[TSR_MAX_RANK];
        char name[NAME];
        for (int k = 0; k < TSR_MAX_RANK; k++) dim_name[k] = v->dim_name[k];
        TSR_TRY((outputs ? tsr_graph_add_output : tsr_graph_add_input)(h->to, v->name, v->dtype, v->shape.rank, v->shape.dim,
                                                                       dim_name, h->err));
        if (h->type != TSR_F16 || v->dtype != TSR_F32) {
            if (outputs) TSR_TRY(bring(h, id, true));
            continue;
        }
        if (outputs) {
            TSR_TRY(bring(h, id, false));
            TSR_TRY(cast(h, h->read_as[id] ? h->read_as[id] : v->name, v->name, TSR_F32));
            continue;
        }
        TSR_TRY(cast(h, v->name, fresh(h, v->name, "float16", name), TSR_F16));
        TSR_TRY(read_instead(h, id, name));
    }
    return TSR_OK;
}

static enum tsr_status put_head(struct narrower *h)
{
    const struct tsr_graph *g = h->from;
    for (size_t i = 0; i < g->n_opset; i++) TSR_TRY(tsr_graph_opset(h->to, g->opset[i].domain, g->opset[i].version, h->err));
    for (size_t i = 0; i < g->n_meta; i++) TSR_TRY(tsr_graph_meta(h->to, g->meta_key[i], g->meta_value[i], h->err));
    h->to->ir_version = g->ir_version > 7 ? g->ir_version : 7;
    h->to->name = tsr_strdup(g->name ? g->name : "graph");
    h->to->producer = tsr_strdup("tessera");
    return h->to->name != NULL && h->to->producer != NULL ? TSR_OK : tsr_nomem(h->err, 16);
}

/* An input or output of a body: float32 ones are of half precision there, for so is what goes in and out. */
static enum tsr_status put_end(struct narrower *h, int32_t v, bool output)
{
    const struct tsr_value *from = &h->from->value[v];
    const char *dim_name[TSR_MAX_RANK];
    const enum tsr_dtype type = h->type == TSR_F16 && from->dtype == TSR_F32 ? TSR_F16 : from->dtype;
    for (int k = 0; k < TSR_MAX_RANK; k++) dim_name[k] = from->dim_name[k];
    if (output) TSR_TRY(bring(h, v, false));
    return (output ? tsr_graph_add_output : tsr_graph_add_input)(h->to, name_of(h, v), type, from->shape.rank, from->shape.dim,
                                                                 dim_name, h->err);
}

/* A body, the last of whose inputs are what it takes from around it, under the names that those have there now. */
static enum tsr_status convert_body(struct narrower *h, size_t n_captured, const int64_t *place, const char *const *name)
{
    const struct tsr_graph *g = h->from;
    const size_t own = g->n_input - n_captured;
    TSR_TRY(put_head(h));
    for (size_t i = 0; i < n_captured; i++) TSR_TRY(read_instead(h, g->input[own + i], name[place[i]]));
    for (size_t i = 0; i < own; i++) TSR_TRY(put_end(h, g->input[i], false));
    for (size_t i = 0; i < g->n_node; i++) TSR_TRY(copy_node(h, &g->node[i]));
    for (size_t i = 0; i < g->n_output; i++) TSR_TRY(put_end(h, g->output[i], true));
    for (size_t i = 0; i < n_captured; i++)
        TSR_TRY(tsr_graph_add_input(h->to, name[place[i]], TSR_NONE, -1, NULL, NULL, h->err));
    return tsr_graph_finish(h->to, h->err);
}

/* The graph g, or, with `a`, the body that this attribute of a node holds, in half precision, as *out. */
static enum tsr_status narrow_graph(const struct narrower *outer, const struct tsr_graph *g, enum tsr_dtype type, const struct tsr_attr *a,
                                    const char *const *name, struct tsr_graph **out, struct tsr_error *err);

/* The graphs in the attributes of the node added last, a copy of `node`, which reads what `name` says. */
static enum tsr_status convert_bodies(struct narrower *h, const struct tsr_node *node, const char *const *name)
{
    for (size_t i = 0; i < node->n_attr; i++) {
        struct tsr_graph *body;
        if (node->attr[i].type != TSR_ATTR_GRAPH) continue;
        TSR_TRY(narrow_graph(h, node->attr[i].g, h->type, &node->attr[i], name, &body, h->err));
        struct tsr_attr *to = &h->to->node[h->to->n_node - 1].attr[i];
        tsr_graph_free(to->g);
        to->g = body;
    }
    return TSR_OK;
}

static enum tsr_status convert(struct narrower *h)
{
    const struct tsr_graph *g = h->from;
    char name[NAME];
    TSR_TRY(put_head(h));
    TSR_TRY(put_ends(h, false));
    for (size_t i = 0; i < g->n_output; i++) { /* the output's own name is that of the Cast at the end */
        int32_t v = g->output[i];
        if (h->type != TSR_F16 || g->value[v].dtype != TSR_F32 || g->value[v].is_init || g->value[v].is_input) continue;
        TSR_TRY(read_instead(h, v, fresh(h, g->value[v].name, "float16", name)));
    }
    for (size_t i = 0; i < g->n_node; i++) TSR_TRY(copy_node(h, &g->node[i]));
    TSR_TRY(put_ends(h, true));
    return tsr_graph_finish(h->to, h->err);
}

static enum tsr_status narrow_graph(const struct narrower *outer, const struct tsr_graph *g, enum tsr_dtype type, const struct tsr_attr *a,
                                    const char *const *name, struct tsr_graph **out, struct tsr_error *err)
{
    struct narrower h = {.from = g, .type = type, .outer = outer, .err = err};
    *out = NULL;
    TSR_TRY(tsr_graph_new(&h.to, err));
    h.read_as = tsr_calloc(g->n_value + 1, sizeof *h.read_as);
    h.whole = tsr_calloc(g->n_node + 1, sizeof *h.whole);
    enum tsr_status status = h.read_as != NULL && h.whole != NULL ? find_whole(&h) : tsr_nomem(err, g->n_value * sizeof *h.read_as);
    if (status == TSR_OK) status = a != NULL ? convert_body(&h, a->n, a->ints, name) : convert(&h);
    tsr_free(h.whole);
    for (size_t v = 0; h.read_as != NULL && v < g->n_value; v++) tsr_free(h.read_as[v]);
    tsr_free(h.read_as);
    if (status == TSR_OK) *out = h.to;
    else tsr_graph_free(h.to);
    return status;
}

enum tsr_status tsr_quant_half(const struct tsr_graph *g, enum tsr_dtype type, struct tsr_graph **out, struct tsr_error *err)
{
    return narrow_graph(NULL, g, type, NULL, NULL, out, err);
}
