#include "quant/rewrite.h"

#include "base/mem.h"
#include "graph/copy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 512 };

struct rewriter {
    const struct tsr_quant_plan *plan;
    const struct tsr_graph *from;
    struct tsr_graph *to;
    char **read_as;     /* per value: what quantised and other readers read instead of it, or NULL */
    char **scale, **zero; /* per value: the initialisers of its step, once they are there */
    struct tsr_error *err;
};

int64_t tsr_quant_opset(enum tsr_grid grid)
{
    return tsr_grid_weight_bits(grid) == 4 ? 21 : grid == TSR_GRID_F32 ? 7 : 13;
}

/* BASE followed by the suffix, and a number where that is taken. */
static const char *fresh(const struct rewriter *r, const char *base, const char *suffix, char name[NAME])
{
    int n = 0;
    (void)snprintf(name, NAME, "%.400s_%s", base, suffix);
    while (tsr_graph_find(r->to, name) >= 0 || tsr_graph_find(r->from, name) >= 0)
        (void)snprintf(name, NAME, "%.400s_%s%d", base, suffix, ++n);
    return name;
}

static enum tsr_status put_init(struct rewriter *r, const char *base, const char *suffix, struct tsr_tensor *t, char name[NAME])
{
    return tsr_graph_add_init(r->to, fresh(r, base, suffix, name), t, r->err);
}

static enum tsr_status put_float(struct rewriter *r, const char *base, const char *suffix, float v, char name[NAME])
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_F32, 0, NULL, r->err));
    *(float *)t.data = v;
    return put_init(r, base, suffix, &t, name);
}

static enum tsr_status put_zero(struct rewriter *r, const char *base, enum tsr_dtype type, int32_t v, char name[NAME])
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, type, 0, NULL, r->err));
    tsr_store_i64(type, t.data, 0, v);
    return put_init(r, base, "zero", &t, name);
}

/* The value's own elements, brought along on first use. */
static enum tsr_status bring_init(struct rewriter *r, int32_t v)
{
    const struct tsr_value *from = &r->from->value[v];
    int32_t have = tsr_graph_find(r->to, from->name);
    if (!from->is_init || (have >= 0 && r->to->value[have].is_init)) return TSR_OK;
    struct tsr_tensor t = tsr_tensor_share(&from->init);
    return tsr_graph_add_init(r->to, from->name, &t, r->err);
}

static enum tsr_status dequantize(struct rewriter *r, const char *q, const char *scale, const char *zero, int axis,
                                  int64_t block, const char *out)
{
    TSR_TRY(tsr_graph_add_node(r->to, "DequantizeLinear", "", out, zero ? 3 : 2, (const char *[]){q, scale, zero}, 1, &out, r->err));
    if (axis >= 0) TSR_TRY(tsr_graph_attr_int(r->to, "axis", axis, r->err));
    if (block > 0) TSR_TRY(tsr_graph_attr_int(r->to, "block_size", block, r->err));
    return TSR_OK;
}

/* Activations of 8 bits are unsigned for ONNX Runtime: it fuses signed ones on x86 only where a single node
 * reads them. The numbers they stand for are the same. */
static enum tsr_dtype activation_type(const struct rewriter *r, int bits)
{
    return bits == 4 ? TSR_I4 : r->plan->target == TSR_TARGET_ORT ? TSR_U8 : TSR_I8;
}

static int32_t offset_of(enum tsr_dtype type) { return type == TSR_U8 ? 128 : 0; }

/* ---- weights -------------------------------------------------------------------------------- */

/* 8-bit integers to a tensor of the grid's type; transposed: [n, k] to [k, n]. */
static enum tsr_status pack(struct rewriter *r, const int8_t *q, const struct tsr_shape *shape, int bits, bool transposed,
                            struct tsr_tensor *t)
{
    struct tsr_shape s = *shape;
    if (transposed) s.dim[0] = shape->dim[1], s.dim[1] = shape->dim[0];
    TSR_TRY(tsr_tensor_new(t, bits == 4 ? TSR_I4 : TSR_I8, &s, NULL, r->err));
    int64_t n = tsr_shape_count(shape), columns = transposed ? shape->dim[1] : 1;
    memset(t->data, 0, tsr_tensor_bytes(t));
    for (int64_t i = 0; i < n; i++)
        tsr_store_i64(t->dtype, t->data, transposed ? i % columns * shape->dim[0] + i / columns : i, q[i]);
    return TSR_OK;
}

static enum tsr_status float_tensor(struct rewriter *r, const float *x, const struct tsr_shape *shape, bool transposed,
                                    struct tsr_tensor *t)
{
    struct tsr_shape s = *shape;
    if (transposed) s.dim[0] = shape->dim[1], s.dim[1] = shape->dim[0];
    TSR_TRY(tsr_tensor_new(t, TSR_F32, &s, NULL, r->err));
    int64_t n = tsr_shape_count(shape), columns = transposed ? shape->dim[1] : 1;
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[transposed ? i % columns * shape->dim[0] + i / columns : i] = x[i];
    return TSR_OK;
}

/* Integers and scales of the weights w of a layer: what the plan holds, or to nearest. scale_least: no
 * scale is below that of its channel (NULL: none), so that biases fit 32 bits. */
struct integers {
    int8_t *q;
    float *scale;
    struct tsr_shape scale_shape;
};

static void integers_release(struct integers *n)
{
    tsr_free(n->q);
    tsr_free(n->scale);
}

static enum tsr_status integers_of(const struct tsr_tensor *w, const struct tsr_weight_grid *grid, const int8_t *rounded,
                                   const float *scale, const float *scale_least, struct integers *out, struct tsr_error *err)
{
    out->scale_shape = tsr_weight_scale_shape(&w->shape, grid);
    int64_t n = tsr_tensor_count(w), ns = tsr_shape_count(&out->scale_shape);
    out->q = tsr_malloc((size_t)n, sizeof *out->q);
    out->scale = tsr_malloc((size_t)ns, sizeof *out->scale);
    if (out->q == NULL || out->scale == NULL) return tsr_nomem(err, (size_t)(n + ns));
    if (scale != NULL) memcpy(out->scale, scale, (size_t)ns * sizeof *scale);
    else TSR_TRY(tsr_weight_scales(w, grid, grid->bits == 4, out->scale, err));
    bool raised = false;
    for (int64_t i = 0; scale_least != NULL && i < ns; i++)
        if (out->scale[i] < scale_least[i]) out->scale[i] = scale_least[i], raised = true;
    if (rounded != NULL && !raised) memcpy(out->q, rounded, (size_t)n);
    else tsr_weight_round(w, grid, out->scale, out->q);
    return TSR_OK;
}

/* Initialisers and the node that gives the weights back as floats; its output is `name`. */
static enum tsr_status put_integers(struct rewriter *r, const char *base, const struct integers *n, const struct tsr_shape *shape,
                                    const struct tsr_weight_grid *grid, bool transposed, char name[NAME])
{
    char q[NAME], scale[NAME], zero[NAME];
    struct tsr_tensor t;
    TSR_TRY(pack(r, n->q, shape, grid->bits, transposed, &t));
    TSR_TRY(put_init(r, base, "q", &t, q));
    TSR_TRY(float_tensor(r, n->scale, &n->scale_shape, transposed, &t));
    TSR_TRY(put_init(r, base, "scale", &t, scale));
    bool plain = grid->block == 0;
    if (plain) {
        TSR_TRY(tsr_tensor_zeros(&t, grid->bits == 4 ? TSR_I4 : TSR_I8, n->scale_shape.rank, n->scale_shape.dim, r->err));
        TSR_TRY(put_init(r, base, "zero", &t, zero));
    }
    return dequantize(r, q, scale, plain ? zero : NULL, transposed ? 0 : grid->axis, grid->block, fresh(r, base, "dq", name));
}

static enum tsr_status put_weight(struct rewriter *r, const struct tsr_quant_layer *l, int32_t v, const float *least,
                                  struct integers *n, char name[NAME])
{
    const struct tsr_tensor *w = &r->from->value[v].init;
    enum tsr_status status = integers_of(w, &l->grid, l->rounded, l->scale, least, n, r->err);
    if (status != TSR_OK) {
        tsr_error_prefix(r->err, "weights '%s'", r->from->value[v].name);
        return status;
    }
    return put_integers(r, r->from->value[v].name, n, &w->shape, &l->grid, l->transposed, name);
}

/* A constant operand of an element-wise node: one symmetric scale. */
static enum tsr_status put_constant(struct rewriter *r, int32_t v, char name[NAME])
{
    const struct tsr_tensor *w = &r->from->value[v].init;
    struct tsr_tensor row = *w;
    struct tsr_weight_grid grid = {.bits = 8, .axis = 0};
    struct integers n = {0};
    char q[NAME], scale[NAME], zero[NAME];
    const char *base = r->from->value[v].name;
    row.shape = (struct tsr_shape){.rank = 2, .dim = {1, tsr_tensor_count(w)}};
    struct tsr_tensor t;
    const enum tsr_dtype type = activation_type(r, 8); /* that of the other operand */
    enum tsr_status status = integers_of(&row, &grid, NULL, NULL, NULL, &n, r->err);
    if (status == TSR_OK) status = pack(r, n.q, &w->shape, 8, false, &t);
    for (int64_t i = 0; status == TSR_OK && type == TSR_U8 && i < tsr_tensor_count(w); i++)
        ((uint8_t *)t.data)[i] = (uint8_t)(((const int8_t *)t.data)[i] + 128);
    if (status == TSR_OK) {
        t.dtype = type;
        status = put_init(r, base, "q", &t, q);
    }
    if (status == TSR_OK) status = put_float(r, base, "scale", n.scale[0], scale);
    if (status == TSR_OK) status = put_zero(r, base, type, offset_of(type), zero);
    if (status == TSR_OK) status = dequantize(r, q, scale, zero, -1, 0, fresh(r, base, "dq", name));
    integers_release(&n);
    return status;
}

/* ---- biases --------------------------------------------------------------------------------- */

static float bias_at(const struct rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l, int64_t i)
{
    float b = l->bias >= 0 ? ((const float *)r->from->value[node->in[l->bias]].init.data)[i] : 0;
    return l->bias_shift != NULL ? b + l->bias_shift[i] : b;
}

/* Its channel's scale may not be smaller, or the bias in units of input and weight scale leaves +-2^30. */
static enum tsr_status least_scales(struct rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                    float input_scale, float **least)
{
    int64_t n = r->from->value[node->in[l->weight]].init.shape.dim[l->grid.axis];
    *least = tsr_calloc((size_t)n, sizeof **least);
    if (*least == NULL) return tsr_nomem(r->err, (size_t)n * sizeof **least);
    for (int64_t i = 0; i < n; i++) {
        float b = fabsf(bias_at(r, node, l, i));
        if (!isfinite(b)) {
            tsr_free(*least);
            *least = NULL;
            return tsr_fail(r->err, TSR_E_NUMERIC, "node '%s': a bias is not a finite number", node->name);
        }
        (*least)[i] = b / 0x1p30f / input_scale;
    }
    return TSR_OK;
}

static enum tsr_status put_bias_integers(struct rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                         const struct integers *n, float input_scale, char name[NAME])
{
    const int64_t count = n->scale_shape.dim[0];
    char q[NAME], scale[NAME], zero[NAME];
    struct tsr_tensor tq, ts, tz;
    TSR_TRY(tsr_tensor_zeros(&tq, TSR_I32, 1, &count, r->err));
    enum tsr_status status = tsr_tensor_zeros(&ts, TSR_F32, 1, &count, r->err);
    if (status == TSR_OK) {
        for (int64_t i = 0; i < count; i++) {
            float s = input_scale * n->scale[i];
            ((float *)ts.data)[i] = s;
            ((int32_t *)tq.data)[i] = (int32_t)nearbyint((double)bias_at(r, node, l, i) / (double)s);
        }
        status = put_init(r, node->name, "bias_scale", &ts, scale);
    }
    if (status != TSR_OK) {
        tsr_tensor_release(&tq);
        return status;
    }
    TSR_TRY(put_init(r, node->name, "bias_q", &tq, q));
    TSR_TRY(tsr_tensor_zeros(&tz, TSR_I32, 1, &count, r->err));
    TSR_TRY(put_init(r, node->name, "bias_zero", &tz, zero));
    return dequantize(r, q, scale, zero, 0, 0, fresh(r, node->name, "bias_dq", name));
}

static enum tsr_status put_bias_float(struct rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                      int64_t count, char name[NAME])
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_F32, 1, &count, r->err));
    for (int64_t i = 0; i < count; i++) ((float *)t.data)[i] = bias_at(r, node, l, i);
    return put_init(r, node->name, "bias", &t, name);
}

/* ---- points --------------------------------------------------------------------------------- */

static enum tsr_status put_point(struct rewriter *r, int32_t v, const char *as, const char *dq)
{
    const struct tsr_quant_point *p = &r->plan->point[v];
    const char *base = r->from->value[v].name;
    char q[NAME], scale[NAME], zero[NAME];
    if (r->zero[p->same] == NULL) {
        const struct tsr_step *s = &r->plan->point[p->same].step;
        const char *root = r->from->value[p->same].name;
        TSR_TRY(put_float(r, root, "scale", s->scale, scale));
        const enum tsr_dtype type = activation_type(r, s->bits);
        TSR_TRY(put_zero(r, root, type, s->zero + offset_of(type), zero));
        r->scale[p->same] = tsr_strdup(scale);
        r->zero[p->same] = tsr_strdup(zero);
        if (r->scale[p->same] == NULL || r->zero[p->same] == NULL) return tsr_nomem(r->err, NAME);
    }
    (void)snprintf(scale, sizeof scale, "%s", r->scale[p->same]);
    (void)snprintf(zero, sizeof zero, "%s", r->zero[p->same]);
    fresh(r, base, "q", q);
    TSR_TRY(tsr_graph_add_node(r->to, "QuantizeLinear", "", q, 3, (const char *[]){as, scale, zero}, 1, (const char *[]){q}, r->err));
    return dequantize(r, q, scale, zero, -1, 0, dq);
}

/* Behind the producer of v, which calls it `as`. */
static enum tsr_status finish_value(struct rewriter *r, int32_t v, const char *as)
{
    char name[NAME];
    if (!r->plan->point[v].on) return TSR_OK;
    const char *dq = r->from->value[v].is_output ? r->from->value[v].name : fresh(r, r->from->value[v].name, "dq", name);
    TSR_TRY(put_point(r, v, as, dq));
    r->read_as[v] = tsr_strdup(dq);
    return r->read_as[v] ? TSR_OK : tsr_nomem(r->err, strlen(dq));
}

/* ---- nodes ---------------------------------------------------------------------------------- */

struct names {
    char own[8][NAME]; /* of inputs made for this node */
    const char **in, **out;
    int n_in;
};

static enum tsr_status product_inputs(struct rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                      struct names *a)
{
    const struct tsr_quant_plan *plan = r->plan;
    struct integers n = {0};
    float *least = NULL;
    if (l->weight < 0) return TSR_OK;
    const struct tsr_quant_point *x = &plan->point[plan->point[node->in[0]].same];
    bool has_bias = l->bias >= 0 || (l->bias_shift != NULL && strcmp(node->op_type, "MatMul") != 0);
    bool whole = has_bias && tsr_quant_integers(l) && l->grid.block == 0 && x->step.bits == 8 && l->grid.bits == 8;
    enum tsr_status status = TSR_OK;
    if (whole) status = least_scales(r, node, l, x->step.scale, &least);
    if (status == TSR_OK) status = put_weight(r, l, node->in[l->weight], least, &n, a->own[0]);
    a->in[l->weight] = a->own[0];
    if (status == TSR_OK && has_bias) {
        const struct tsr_shape *w = &r->from->value[node->in[l->weight]].init.shape;
        int out_axis = strcmp(node->op_type, "Gemm") == 0 && tsr_node_int(node, "transB", 0) == 0 ? 1 : 0;
        if (whole) status = put_bias_integers(r, node, l, &n, x->step.scale, a->own[1]);
        else status = put_bias_float(r, node, l, w->dim[out_axis], a->own[1]);
        a->in[2] = a->own[1];
        if (a->n_in < 3) a->n_in = 3;
    }
    tsr_free(least);
    integers_release(&n);
    return status;
}

static enum tsr_status element_inputs(struct rewriter *r, const struct tsr_node *node, struct names *a)
{
    int made = 0;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] < 0 || !r->from->value[node->in[k]].is_init) continue;
        if (made == 8) return tsr_fail(r->err, TSR_E_INTERNAL, "node '%s' has too many constant inputs", node->name);
        TSR_TRY(put_constant(r, node->in[k], a->own[made]));
        a->in[k] = a->own[made++];
    }
    return TSR_OK;
}

static enum tsr_status stored_inputs(struct rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                     struct names *a)
{
    int last = strcmp(node->op_type, "ConvTranspose") == 0 ? 1 : 2; /* recurrent: W and R */
    for (int k = 1; k <= last && k < node->n_in; k++) {
        struct integers n = {0};
        int32_t v = node->in[k];
        if (v < 0 || !r->from->value[v].is_init || r->from->value[v].init.dtype != TSR_F32) continue;
        enum tsr_status status = put_weight(r, l, v, NULL, &n, a->own[k]);
        integers_release(&n);
        TSR_TRY(status);
        a->in[k] = a->own[k];
    }
    return TSR_OK;
}

/* Gather from integers, then the floats they stand for. */
static enum tsr_status put_lookup(struct rewriter *r, const struct tsr_node *node, struct names *a)
{
    const struct tsr_tensor *w = &r->from->value[node->in[0]].init;
    const char *base = r->from->value[node->in[0]].name;
    struct tsr_tensor row = *w, t;
    struct tsr_weight_grid grid = {.bits = 8, .axis = 0};
    struct integers n = {0};
    char q[NAME], scale[NAME], zero[NAME], part[NAME];
    row.shape = (struct tsr_shape){.rank = 2, .dim = {1, tsr_tensor_count(w)}};
    enum tsr_status status = integers_of(&row, &grid, NULL, NULL, NULL, &n, r->err);
    if (status == TSR_OK) status = pack(r, n.q, &w->shape, 8, false, &t);
    if (status == TSR_OK) status = put_init(r, base, "q", &t, q);
    if (status == TSR_OK) status = put_float(r, base, "scale", n.scale[0], scale);
    if (status == TSR_OK) status = put_zero(r, base, TSR_I8, 0, zero);
    integers_release(&n);
    TSR_TRY(status);
    fresh(r, r->from->value[node->out[0]].name, "q", part);
    a->in[0] = q;
    TSR_TRY(tsr_graph_add_node(r->to, "Gather", "", node->name, a->n_in, a->in, 1, (const char *[]){part}, r->err));
    TSR_TRY(tsr_graph_copy_attrs(r->to, node, r->err));
    return dequantize(r, part, scale, zero, -1, 0, a->out[0]);
}

/* A Gemm whose weights were turned around has no transB any more. */
static void forget_transpose(struct tsr_graph *g)
{
    struct tsr_node *node = &g->node[g->n_node - 1];
    for (size_t i = 0; i < node->n_attr; i++)
        if (strcmp(node->attr[i].name, "transB") == 0) node->attr[i].i = 0;
}

static enum tsr_status put_node(struct rewriter *r, size_t i, struct names *a)
{
    const struct tsr_node *node = &r->from->node[i];
    const struct tsr_quant_layer *l = &r->plan->layer[i];
    if (l->on && l->role == TSR_ROLE_LOOKUP) return put_lookup(r, node, a);
    if (l->on && l->role == TSR_ROLE_PRODUCT) TSR_TRY(product_inputs(r, node, l, a));
    else if (l->on && l->role == TSR_ROLE_ELEMENT) TSR_TRY(element_inputs(r, node, a));
    else if (l->on && l->role == TSR_ROLE_STORED) TSR_TRY(stored_inputs(r, node, l, a));
    else if (l->bias_shift != NULL && l->bias >= 0) {
        TSR_TRY(put_bias_float(r, node, l, tsr_tensor_count(&r->from->value[node->in[l->bias]].init), a->own[0]));
        a->in[l->bias] = a->own[0];
    }
    TSR_TRY(tsr_graph_add_node(r->to, node->op_type, node->domain, node->name, a->n_in, a->in, node->n_out, a->out, r->err));
    TSR_TRY(tsr_graph_copy_attrs(r->to, node, r->err));
    if (l->on && l->transposed) forget_transpose(r->to);
    return TSR_OK;
}

/* The node with its inputs as they are read now; what nobody made for it is brought along. */
static enum tsr_status copy_node(struct rewriter *r, size_t i)
{
    const struct tsr_node *node = &r->from->node[i];
    const struct tsr_quant_layer *l = &r->plan->layer[i];
    struct names a = {.n_in = node->n_in};
    char (*out)[NAME] = tsr_calloc((size_t)node->n_out, sizeof *out);
    a.in = tsr_calloc((size_t)node->n_in + 3, sizeof *a.in);
    a.out = tsr_calloc((size_t)node->n_out, sizeof *a.out);
    enum tsr_status status = out && a.in && a.out ? TSR_OK : tsr_nomem(r->err, (size_t)node->n_in * sizeof *a.in);
    for (int k = 0; k < node->n_in + 3 && status == TSR_OK; k++) a.in[k] = "";
    for (int k = 0; k < node->n_in && status == TSR_OK; k++) {
        int32_t v = node->in[k];
        if (v < 0) continue;
        a.in[k] = r->read_as[v] ? r->read_as[v] : r->from->value[v].name;
        bool replaced = l->on && (k == l->weight || k == l->bias || l->role == TSR_ROLE_ELEMENT ||
                                  (l->role == TSR_ROLE_STORED && k == 2 && strcmp(node->op_type, "ConvTranspose") != 0));
        replaced = replaced || (l->bias_shift != NULL && k == l->bias);
        if (!replaced) status = bring_init(r, v);
    }
    for (int k = 0; k < node->n_out && status == TSR_OK; k++) {
        int32_t v = node->out[k];
        if (v < 0) a.out[k] = "";
        else if (r->plan->point[v].on && r->from->value[v].is_output) a.out[k] = fresh(r, r->from->value[v].name, "float", out[k]);
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

static enum tsr_status put_ends(struct rewriter *r, bool outputs)
{
    const struct tsr_graph *g = r->from;
    for (size_t i = 0; i < (outputs ? g->n_output : g->n_input); i++) {
        const struct tsr_value *v = &g->value[outputs ? g->output[i] : g->input[i]];
        const char *dim_name[TSR_MAX_RANK];
        for (int k = 0; k < TSR_MAX_RANK; k++) dim_name[k] = v->dim_name[k];
        if (outputs) TSR_TRY(bring_init(r, g->output[i]));
        TSR_TRY((outputs ? tsr_graph_add_output : tsr_graph_add_input)(r->to, v->name, v->dtype, v->shape.rank, v->shape.dim,
                                                                       dim_name, r->err));
    }
    return TSR_OK;
}

static enum tsr_status put_frame(struct rewriter *r)
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

static enum tsr_status rewrite(struct rewriter *r)
{
    const struct tsr_graph *g = r->from;
    TSR_TRY(put_frame(r));
    TSR_TRY(put_ends(r, false));
    for (size_t i = 0; i < g->n_input; i++) {
        int32_t v = g->input[i];
        char name[NAME];
        if (!r->plan->point[v].on) continue;
        fresh(r, g->value[v].name, "dq", name);
        TSR_TRY(put_point(r, v, g->value[v].name, name));
        r->read_as[v] = tsr_strdup(name);
        if (r->read_as[v] == NULL) return tsr_nomem(r->err, NAME);
    }
    for (size_t i = 0; i < g->n_node; i++) TSR_TRY(copy_node(r, i));
    TSR_TRY(put_ends(r, true));
    return tsr_graph_finish(r->to, r->err);
}

enum tsr_status tsr_quant_rewrite(const struct tsr_quant_plan *plan, struct tsr_graph **out, struct tsr_error *err)
{
    struct rewriter r = {.plan = plan, .from = plan->g, .err = err};
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
