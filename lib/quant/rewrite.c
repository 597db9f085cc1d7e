#include "quant/rewrite_impl.h"

#include "base/mem.h"
#include "graph/copy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t tsr_quant_opset(enum tsr_grid grid)
{
    return tsr_grid_weight_bits(grid) == 4 ? 21 : grid == TSR_GRID_F32 ? 7 : 13;
}

const char *tsr_rw_fresh(const struct tsr_rewriter *r, const char *base, const char *suffix, char name[TSR_QUANT_NAME])
{
    int n = 0;
    (void)snprintf(name, TSR_QUANT_NAME, "%.400s_%s", base, suffix);
    while (tsr_graph_find(r->to, name) >= 0 || tsr_graph_find(r->from, name) >= 0)
        (void)snprintf(name, TSR_QUANT_NAME, "%.400s_%s%d", base, suffix, ++n);
    return name;
}

enum tsr_status tsr_rw_init(struct tsr_rewriter *r, const char *base, const char *suffix, struct tsr_tensor *t, char name[TSR_QUANT_NAME])
{
    return tsr_graph_add_init(r->to, tsr_rw_fresh(r, base, suffix, name), t, r->err);
}

enum tsr_status tsr_rw_float(struct tsr_rewriter *r, const char *base, const char *suffix, float v, char name[TSR_QUANT_NAME])
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_F32, 0, NULL, r->err));
    *(float *)t.data = v;
    return tsr_rw_init(r, base, suffix, &t, name);
}

enum tsr_status tsr_rw_zero(struct tsr_rewriter *r, const char *base, enum tsr_dtype type, int32_t v, char name[TSR_QUANT_NAME])
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, type, 0, NULL, r->err));
    tsr_store_i64(type, t.data, 0, v);
    return tsr_rw_init(r, base, "zero", &t, name);
}

enum tsr_status tsr_rw_bring(struct tsr_rewriter *r, int32_t v)
{
    const struct tsr_value *from = &r->from->value[v];
    int32_t have = tsr_graph_find(r->to, from->name);
    if (!from->is_init || (have >= 0 && r->to->value[have].is_init)) return TSR_OK;
    struct tsr_tensor t = tsr_tensor_share(&from->init);
    return tsr_graph_add_init(r->to, from->name, &t, r->err);
}

enum tsr_status tsr_rw_dequantize(struct tsr_rewriter *r, const char *q, const char *scale, const char *zero, int axis,
                                  int64_t block, const char *out)
{
    char own[TSR_QUANT_NAME + 16]; /* its output may be called as another node is */
    (void)snprintf(own, sizeof own, "%.*s_dequantize", TSR_QUANT_NAME - 1, q);
    TSR_TRY(tsr_graph_add_node(r->to, "DequantizeLinear", "", own, zero ? 3 : 2, (const char *[]){q, scale, zero}, 1, &out, r->err));
    if (axis >= 0) TSR_TRY(tsr_graph_attr_int(r->to, "axis", axis, r->err));
    if (block > 0) TSR_TRY(tsr_graph_attr_int(r->to, "block_size", block, r->err));
    return TSR_OK;
}

/* Activations of 8 bits are unsigned for ONNX Runtime: it fuses signed ones on x86 only where a single node
 * reads them. The numbers they stand for are the same. */
enum tsr_dtype tsr_rw_activation_type(const struct tsr_rewriter *r, int bits)
{
    return bits == 4 ? TSR_I4 : r->plan->target == TSR_TARGET_ORT ? TSR_U8 : TSR_I8;
}

int32_t tsr_rw_offset(enum tsr_dtype type) { return type == TSR_U8 ? 128 : 0; }

/* ---- points --------------------------------------------------------------------------------- */

static enum tsr_status put_point(struct tsr_rewriter *r, int32_t v, const char *as, const char *dq)
{
    const struct tsr_quant_point *p = &r->plan->point[v];
    const struct tsr_step *s = &r->plan->point[p->same].step;
    const char *base = r->from->value[v].name;
    char q[TSR_QUANT_NAME], scale[TSR_QUANT_NAME], zero[TSR_QUANT_NAME];
    if (r->fake) return tsr_rw_fake_point(r, v, as, dq);
    if (r->zero[p->same] == NULL) {
        const char *root = r->from->value[p->same].name;
        TSR_TRY(tsr_rw_float(r, root, "scale", s->scale, scale));
        const enum tsr_dtype type = tsr_rw_activation_type(r, s->bits);
        TSR_TRY(tsr_rw_zero(r, root, type, s->zero + tsr_rw_offset(type), zero));
        r->scale[p->same] = tsr_strdup(scale);
        r->zero[p->same] = tsr_strdup(zero);
        if (r->scale[p->same] == NULL || r->zero[p->same] == NULL) return tsr_nomem(r->err, TSR_QUANT_NAME);
    }
    (void)snprintf(scale, sizeof scale, "%s", r->scale[p->same]);
    (void)snprintf(zero, sizeof zero, "%s", r->zero[p->same]);
    tsr_rw_fresh(r, base, "q", q);
    TSR_TRY(tsr_graph_add_node(r->to, "QuantizeLinear", "", q, 3, (const char *[]){as, scale, zero}, 1, (const char *[]){q}, r->err));
    return tsr_rw_dequantize(r, q, scale, zero, -1, 0, dq);
}

/* Behind the producer of v, which calls it `as`. */
static enum tsr_status finish_value(struct tsr_rewriter *r, int32_t v, const char *as)
{
    char name[TSR_QUANT_NAME];
    if (!r->plan->point[v].on) return TSR_OK;
    const char *dq = r->from->value[v].is_output ? r->from->value[v].name : tsr_rw_fresh(r, r->from->value[v].name, "dq", name);
    TSR_TRY(put_point(r, v, as, dq));
    r->read_as[v] = tsr_strdup(dq);
    return r->read_as[v] ? TSR_OK : tsr_nomem(r->err, strlen(dq));
}

/* ---- nodes ---------------------------------------------------------------------------------- */

struct names {
    char own[8][TSR_QUANT_NAME]; /* of inputs made for this node */
    const char **in, **out;
    int n_in;
};

static enum tsr_status product_inputs(struct tsr_rewriter *r, const struct tsr_node *node, struct tsr_quant_layer *l,
                                      struct names *a)
{
    const struct tsr_quant_plan *plan = r->plan;
    struct tsr_rw_integers n = {0};
    float *least = NULL;
    if (l->weight < 0) return TSR_OK;
    if (r->fake) {
        a->in[l->weight] = a->own[0];
        return tsr_rw_weight(r, l, node->in[l->weight], NULL, &n, a->own[0]);
    }
    const struct tsr_quant_point *x = &plan->point[plan->point[node->in[0]].same];
    bool has_bias = l->bias >= 0 || (l->bias_shift != NULL && strcmp(node->op_type, "MatMul") != 0);
    bool whole = has_bias && tsr_quant_integers(l) && l->grid.block == 0 && x->step.bits == 8 && l->grid.bits == 8;
    enum tsr_status status = TSR_OK;
    if (whole) status = tsr_rw_least_scales(r, node, l, x->step.scale, &least);
    if (status == TSR_OK) status = tsr_rw_weight(r, l, node->in[l->weight], least, &n, a->own[0]);
    a->in[l->weight] = a->own[0];
    if (status == TSR_OK && has_bias) {
        const struct tsr_shape *w = &r->from->value[node->in[l->weight]].init.shape;
        int out_axis = strcmp(node->op_type, "Gemm") == 0 && tsr_node_int(node, "transB", 0) == 0 ? 1 : 0;
        if (whole) status = tsr_rw_bias_integers(r, node, l, &n, x->step.scale, a->own[1]);
        else status = tsr_rw_bias_float(r, node, l, w->dim[out_axis], a->own[1]);
        a->in[2] = a->own[1];
        if (a->n_in < 3) a->n_in = 3;
    }
    tsr_free(least);
    tsr_rw_integers_release(&n);
    return status;
}

static enum tsr_status element_inputs(struct tsr_rewriter *r, const struct tsr_node *node, struct names *a)
{
    int made = 0;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] < 0 || !r->from->value[node->in[k]].is_init) continue;
        if (made == 8) return tsr_fail(r->err, TSR_E_INTERNAL, "node '%s' has too many constant inputs", node->name);
        TSR_TRY(tsr_rw_constant(r, node->in[k], a->own[made]));
        a->in[k] = a->own[made++];
    }
    return TSR_OK;
}

static enum tsr_status stored_inputs(struct tsr_rewriter *r, const struct tsr_node *node, struct tsr_quant_layer *l,
                                     struct names *a)
{
    int last = strcmp(node->op_type, "ConvTranspose") == 0 ? 1 : 2; /* recurrent: W and R */
    for (int k = 1; k <= last && k < node->n_in; k++) {
        struct tsr_rw_integers n = {0};
        int32_t v = node->in[k];
        if (v < 0 || !r->from->value[v].is_init || r->from->value[v].init.dtype != TSR_F32) continue;
        enum tsr_status status = tsr_rw_weight(r, l, v, NULL, &n, a->own[k]);
        tsr_rw_integers_release(&n);
        TSR_TRY(status);
        a->in[k] = a->own[k];
    }
    return TSR_OK;
}

/* A Gemm whose weights were turned around has no transB any more. */
static void forget_transpose(struct tsr_graph *g)
{
    struct tsr_node *node = &g->node[g->n_node - 1];
    for (size_t i = 0; i < node->n_attr; i++)
        if (strcmp(node->attr[i].name, "transB") == 0) node->attr[i].i = 0;
}

static enum tsr_status put_node(struct tsr_rewriter *r, size_t i, struct names *a)
{
    const struct tsr_node *node = &r->from->node[i];
    struct tsr_quant_layer *l = &r->plan->layer[i];
    if (l->on && l->role == TSR_ROLE_LOOKUP && !r->fake) return tsr_rw_lookup(r, node, a->n_in, a->in, a->out[0]);
    if (l->on && l->role == TSR_ROLE_LOOKUP) {
        TSR_TRY(tsr_rw_weight(r, l, node->in[0], NULL, &(struct tsr_rw_integers){0}, a->own[0]));
        a->in[0] = a->own[0];
    } else if (l->on && l->role == TSR_ROLE_PRODUCT) TSR_TRY(product_inputs(r, node, l, a));
    else if (l->on && l->role == TSR_ROLE_ELEMENT && !r->fake) TSR_TRY(element_inputs(r, node, a));
    else if (l->on && l->role == TSR_ROLE_STORED) TSR_TRY(stored_inputs(r, node, l, a));
    else if (l->bias_shift != NULL && l->bias >= 0) {
        TSR_TRY(tsr_rw_bias_float(r, node, l, tsr_tensor_count(&r->from->value[node->in[l->bias]].init), a->own[0]));
        a->in[l->bias] = a->own[0];
    }
    TSR_TRY(tsr_graph_add_node(r->to, node->op_type, node->domain, node->name, a->n_in, a->in, node->n_out, a->out, r->err));
    TSR_TRY(tsr_graph_copy_attrs(r->to, node, r->err));
    if (l->on && l->transposed && !r->fake) forget_transpose(r->to);
    return TSR_OK;
}

/* The node with its inputs as they are read now; what nobody made for it is brought along. */
static enum tsr_status copy_node(struct tsr_rewriter *r, size_t i)
{
    const struct tsr_node *node = &r->from->node[i];
    const struct tsr_quant_layer *l = &r->plan->layer[i];
    struct names a = {.n_in = node->n_in};
    char (*out)[TSR_QUANT_NAME] = tsr_calloc((size_t)node->n_out, sizeof *out);
    a.in = tsr_calloc((size_t)node->n_in + 3, sizeof *a.in);
    a.out = tsr_calloc((size_t)node->n_out, sizeof *a.out);
    enum tsr_status status = out && a.in && a.out ? TSR_OK : tsr_nomem(r->err, (size_t)node->n_in * sizeof *a.in);
    for (int k = 0; k < node->n_in + 3 && status == TSR_OK; k++) a.in[k] = "";
    for (int k = 0; k < node->n_in && status == TSR_OK; k++) {
        int32_t v = node->in[k];
        if (v < 0) continue;
        a.in[k] = r->read_as[v] ? r->read_as[v] : r->from->value[v].name;
        bool replaced = l->on && !r->fake && (k == l->weight || k == l->bias || l->role == TSR_ROLE_ELEMENT ||
                                  (l->role == TSR_ROLE_STORED && k == 2 && strcmp(node->op_type, "ConvTranspose") != 0));
        replaced = replaced || (l->bias_shift != NULL && k == l->bias);
        if (!replaced) status = tsr_rw_bring(r, v);
    }
    for (int k = 0; k < node->n_out && status == TSR_OK; k++) {
        int32_t v = node->out[k];
        if (v < 0) a.out[k] = "";
        else if (r->plan->point[v].on && r->from->value[v].is_output) a.out[k] = tsr_rw_fresh(r, r->from->value[v].name, "float", out[k]);
        else a.out[k] = r->from->value[v].name;
    }
    if (status == TSR_OK) status = put_node(r, i, &a);
    for (int k = 0; k < node->n_out && status == TSR_OK; k++)
        if (node->out[k] >= 0) status = finish_value(r, node->out[k], a.out[k]);
    tsr_free(out);
    tsr_free(a.in);
    tsr_free(a.out);
    return status;
}

/* ---- the graph ------------------------------------------------------------------------------ */

static enum tsr_status put_ends(struct tsr_rewriter *r, bool outputs)
{
    const struct tsr_graph *g = r->from;
    for (size_t i = 0; i < (outputs ? g->n_output : g->n_input); i++) {
        const struct tsr_value *v = &g->value[outputs ? g->output[i] : g->input[i]];
        const char *dim_name[TSR_MAX_RANK];
        for (int k = 0; k < TSR_MAX_RANK; k++) dim_name[k] = v->dim_name[k];
        if (outputs) TSR_TRY(tsr_rw_bring(r, g->output[i]));
        TSR_TRY((outputs ? tsr_graph_add_output : tsr_graph_add_input)(r->to, v->name, v->dtype, v->shape.rank, v->shape.dim,
                                                                       dim_name, r->err));
    }
    return TSR_OK;
}

static enum tsr_status put_frame(struct tsr_rewriter *r)
{
    const struct tsr_graph *g = r->from;
    struct tsr_graph *to = r->to;
    int64_t opset = tsr_quant_opset(r->plan->grid), ir = opset >= 21 ? 10 : 7;
    for (size_t i = 0; i < g->n_opset; i++)
        TSR_TRY(tsr_graph_opset(to, g->opset[i].domain, g->opset[i].version, r->err));
    for (size_t i = 0; i < g->n_meta; i++) TSR_TRY(tsr_graph_meta(to, g->meta_key[i], g->meta_value[i], r->err));
    to->ir_version = g->ir_version > ir ? g->ir_version : ir;
    to->name = tsr_strdup(g->name ? g->name : "graph");
    to->producer = tsr_strdup("tessera");
    return to->name && to->producer ? TSR_OK : tsr_nomem(r->err, 16);
}

static enum tsr_status rewrite(struct tsr_rewriter *r)
{
    const struct tsr_graph *g = r->from;
    TSR_TRY(put_frame(r));
    TSR_TRY(put_ends(r, false));
    for (size_t i = 0; i < g->n_input; i++) {
        int32_t v = g->input[i];
        char name[TSR_QUANT_NAME];
        if (!r->plan->point[v].on) continue;
        tsr_rw_fresh(r, g->value[v].name, "dq", name);
        TSR_TRY(put_point(r, v, g->value[v].name, name));
        r->read_as[v] = tsr_strdup(name);
        if (r->read_as[v] == NULL) return tsr_nomem(r->err, TSR_QUANT_NAME);
    }
    for (size_t i = 0; i < g->n_node; i++) TSR_TRY(copy_node(r, i));
    TSR_TRY(put_ends(r, true));
    return tsr_graph_finish(r->to, r->err);
}

static enum tsr_status make(struct tsr_quant_plan *plan, bool fake, struct tsr_graph **out, struct tsr_error *err)
{
    struct tsr_rewriter r = {.plan = plan, .fake = fake, .from = plan->g, .err = err};
    size_t n = plan->g->n_value + 1;
    *out = NULL;
    TSR_TRY(tsr_graph_new(&r.to, err));
    r.read_as = tsr_calloc(n, sizeof *r.read_as);
    r.scale = tsr_calloc(n, sizeof *r.scale);
    r.zero = tsr_calloc(n, sizeof *r.zero);
    enum tsr_status status = r.read_as && r.scale && r.zero ? rewrite(&r) : tsr_nomem(err, n * sizeof *r.scale);
    for (size_t v = 0; v < n; v++) {
        if (r.read_as != NULL) tsr_free(r.read_as[v]);
        if (r.scale != NULL) tsr_free(r.scale[v]);
        if (r.zero != NULL) tsr_free(r.zero[v]);
    }
    tsr_free(r.read_as);
    tsr_free(r.scale);
    tsr_free(r.zero);
    if (status == TSR_OK) *out = r.to;
    else tsr_graph_free(r.to);
    return status;
}

enum tsr_status tsr_quant_rewrite(struct tsr_quant_plan *plan, struct tsr_graph **out, struct tsr_error *err)
{
    return make(plan, false, out, err);
}

enum tsr_status tsr_quant_fake(struct tsr_quant_plan *plan, struct tsr_graph **out, struct tsr_error *err)
{
    for (size_t i = 0; i < plan->g->n_node; i++) plan->layer[i].fake_scale = plan->layer[i].fake_gain = -1;
    for (size_t v = 0; v < plan->g->n_value; v++) plan->point[v].fake_scale = plan->point[v].fake_gain = -1;
    return make(plan, true, out, err);
}
