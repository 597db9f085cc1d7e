#include "quant/plan.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

const char *const tsr_quant_target_names[] = {"ort", "xnnpack", "tflm", "ncnn", NULL};

static bool is_any(const struct tsr_node *node, const char *const *names)
{
    if (node->domain[0] != '\0') return false;
    for (; *names != NULL; names++)
        if (strcmp(node->op_type, *names) == 0) return true;
    return false;
}

static const char *const element_ops[] = {"Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", NULL};
static const char *const pass_ops[] = {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Slice", "Split",
                                       "DepthToSpace", "SpaceToDepth", "Expand", "Pad", NULL};
static const char *const stored_ops[] = {"LSTM", "GRU", "RNN", "ConvTranspose", NULL};

/* A matrix or kernel of float32 that is known before any run; else NULL. */
static const struct tsr_tensor *weight_of(const struct tsr_graph *g, int32_t v)
{
    if (v < 0 || !g->value[v].is_init) return NULL;
    const struct tsr_tensor *t = &g->value[v].init;
    return t->dtype == TSR_F32 && t->shape.rank >= 2 && tsr_tensor_count(t) > 0 ? t : NULL;
}

static bool is_constant(const struct tsr_graph *g, int32_t v) { return v >= 0 && g->value[v].is_init; }

/* ---- roles ---------------------------------------------------------------------------------- */

static void describe_product(const struct tsr_quant_plan *plan, const struct tsr_node *node, struct tsr_quant_layer *l)
{
    const struct tsr_graph *g = plan->g;
    bool conv = tsr_node_is(node, "Conv"), gemm = tsr_node_is(node, "Gemm");
    const struct tsr_tensor *w = weight_of(g, node->in[1]);
    if (w == NULL && (conv || gemm || is_constant(g, node->in[1]) || is_constant(g, node->in[0]))) {
        l->why = is_constant(g, node->in[1]) || is_constant(g, node->in[0]) ? "its weights are not a float32 matrix"
                                                                            : "its weights are computed";
        return;
    }
    if (gemm && (w->shape.rank != 2 || tsr_node_int(node, "transA", 0) != 0 || tsr_node_float(node, "alpha", 1) != 1.0f ||
                 tsr_node_float(node, "beta", 1) != 1.0f)) {
        l->why = "it scales or transposes its input";
        return;
    }
    if (!conv && !gemm && w != NULL && w->shape.rank != 2) {
        l->why = "its weights are more than one matrix";
        return;
    }
    /* A product of activations: in 8 bits or not at all. Where attention has a float kernel of its own, bringing
     * its operands to the grid and back costs more time than integers save, and accuracy besides. */
    if (!conv && w == NULL && (plan->grid != TSR_GRID_INT8 || plan->target == TSR_TARGET_ORT)) return;
    l->role = TSR_ROLE_PRODUCT;
    l->weight = w != NULL ? 1 : -1;
    l->bias = (conv || gemm) && node->n_in > 2 && node->in[2] >= 0 ? 2 : -1;
    if (l->bias >= 0) {
        const struct tsr_tensor *b = &g->value[node->in[2]].init;
        int64_t n = w->shape.dim[conv || tsr_node_int(node, "transB", 0) != 0 ? 0 : 1];
        if (!is_constant(g, node->in[2]) || b->dtype != TSR_F32 || b->shape.rank != 1 || b->shape.dim[0] != n) {
            l->role = TSR_ROLE_FLOAT;
            l->why = "its bias is no known row";
        }
    }
}

/* A Pad whose filling is not known to be 0, which every grid has. */
static bool pads_with_numbers(const struct tsr_graph *g, const struct tsr_node *node)
{
    if (!tsr_node_is(node, "Pad") || node->n_in < 3 || node->in[2] < 0) return false;
    const struct tsr_tensor *t = &g->value[node->in[2]].init;
    return !is_constant(g, node->in[2]) || tsr_tensor_count(t) != 1 || tsr_load_f64(t->dtype, t->data, 0) != 0;
}

static void describe(const struct tsr_quant_plan *plan, const struct tsr_node *node, struct tsr_quant_layer *l)
{
    const struct tsr_graph *g = plan->g;
    *l = (struct tsr_quant_layer){.weight = -1, .bias = -1, .activation_bits = 32, .sensitivity = NAN, .fake_scale = -1, .fake_gain = -1};
    if (tsr_node_is(node, "Conv") || tsr_node_is(node, "Gemm") || tsr_node_is(node, "MatMul")) {
        describe_product(plan, node, l);
    } else if (is_any(node, element_ops)) {
        l->role = TSR_ROLE_ELEMENT;
        for (int k = 0; k < 2 && tsr_node_is(node, "Add"); k++) /* a bias, where it is added in float */
            if (is_constant(g, node->in[k]) && g->value[node->in[k]].init.dtype == TSR_F32 &&
                g->value[node->in[k]].init.shape.rank == 1)
                l->bias = k;
    } else if (is_any(node, pass_ops) && !pads_with_numbers(g, node)) {
        l->role = TSR_ROLE_PASS;
    } else if (tsr_node_is(node, "Gather") && weight_of(g, node->in[0]) != NULL && weight_of(g, node->in[0])->shape.rank == 2) {
        l->role = TSR_ROLE_LOOKUP;
        l->weight = 0;
    } else if (is_any(node, stored_ops) && weight_of(g, node->in[1]) != NULL) {
        l->role = TSR_ROLE_STORED;
        l->weight = 1;
    }
}

/* Which scales the weights get. 4 bits go in blocks along what is summed, where there is enough of it. */
static void choose_grid(const struct tsr_quant_plan *plan, const struct tsr_node *node, struct tsr_quant_layer *l, int bits)
{
    bool conv = tsr_node_is(node, "Conv"), gemm = tsr_node_is(node, "Gemm"), turned = gemm && tsr_node_int(node, "transB", 0) != 0;
    l->transposed = false;
    l->grid = (struct tsr_weight_grid){.bits = bits, .axis = conv || turned ? 0 : 1};
    if (l->role == TSR_ROLE_STORED) l->grid = (struct tsr_weight_grid){.bits = 8, .axis = 1};
    if (l->role == TSR_ROLE_LOOKUP) l->grid = (struct tsr_weight_grid){.bits = 8, .axis = -1};
    if (l->role != TSR_ROLE_PRODUCT || bits != 4) return;
    const struct tsr_shape *w = &plan->g->value[node->in[l->weight]].init.shape;
    int along = conv || turned ? 1 : 0;
    if (w->dim[along] >= 16) {
        l->grid.axis = along;
        l->grid.block = plan->block;
        l->transposed = turned && plan->target == TSR_TARGET_ORT;
    } else if (tsr_grid_activation_bits(plan->grid) != 4) {
        l->grid.bits = 8; /* too few inputs a channel for blocks of 4 bits */
    }
}

int tsr_quant_layer_bits(const struct tsr_quant_layer *l) { return l->on && l->weight >= 0 ? l->grid.bits : 32; }

void tsr_quant_plan_set(struct tsr_quant_plan *plan, size_t node, int weight_bits, int activation_bits)
{
    struct tsr_quant_layer *l = &plan->layer[node];
    if (l->role != TSR_ROLE_PRODUCT && l->role != TSR_ROLE_STORED && l->role != TSR_ROLE_LOOKUP) return;
    l->on = weight_bits <= 8;
    l->activation_bits = l->role == TSR_ROLE_PRODUCT && l->on ? activation_bits : 32;
    if (l->weight >= 0) choose_grid(plan, &plan->g->node[node], l, weight_bits);
    else if (activation_bits > 8) l->on = false;
    tsr_free(l->rounded);
    tsr_free(l->scale);
    l->rounded = NULL;
    l->scale = NULL;
    l = tsr_quant_bias_layer(plan, node); /* a shift makes up for the error of the bits before */
    if (l == NULL) return;
    tsr_free(l->bias_shift);
    l->bias_shift = NULL;
}

struct tsr_quant_layer *tsr_quant_bias_layer(const struct tsr_quant_plan *plan, size_t node)
{
    const struct tsr_graph *g = plan->g;
    if (strcmp(g->node[node].op_type, "MatMul") != 0) return &plan->layer[node];
    const int32_t v = g->node[node].out[0], reader = plan->reader[v];
    if (plan->reads[v] != 1 || strcmp(g->node[reader].op_type, "Add") != 0 || g->node[reader].domain[0] != '\0') return NULL;
    return plan->layer[reader].bias >= 0 ? &plan->layer[reader] : NULL;
}

static enum tsr_status exclude_nodes(struct tsr_quant_plan *plan, const char *const *exclude, size_t n, struct tsr_error *err)
{
    const struct tsr_graph *g = plan->g;
    for (size_t k = 0; k < n; k++) {
        bool found = false;
        for (size_t i = 0; i < g->n_node; i++) {
            const struct tsr_node *node = &g->node[i];
            bool hit = strcmp(node->name, exclude[k]) == 0 ||
                       (node->out[0] >= 0 && strcmp(g->value[node->out[0]].name, exclude[k]) == 0);
            if (!hit) continue;
            plan->layer[i].role = TSR_ROLE_FLOAT;
            plan->layer[i].on = false;
            plan->layer[i].why = "it was asked to stay";
            found = true;
        }
        if (!found)
            return tsr_fail(err, TSR_E_NOT_FOUND, "the model has no node '%s' to leave out; tessera-inspect lists the names it has",
                            exclude[k]);
    }
    return TSR_OK;
}

enum tsr_status tsr_quant_plan_init(struct tsr_quant_plan *plan, const struct tsr_graph *g, enum tsr_grid grid,
                                    enum tsr_quant_target target, int64_t block, const char *const *exclude, size_t n_exclude,
                                    struct tsr_error *err)
{
    *plan = (struct tsr_quant_plan){.g = g, .grid = grid, .target = target, .block = block};
    plan->layer = tsr_calloc(g->n_node + 1, sizeof *plan->layer);
    plan->point = tsr_calloc(g->n_value + 1, sizeof *plan->point);
    plan->reads = tsr_calloc(g->n_value + 1, sizeof *plan->reads);
    plan->reader = tsr_calloc(g->n_value + 1, sizeof *plan->reader);
    enum tsr_status status = TSR_OK;
    if (!plan->layer || !plan->point || !plan->reads || !plan->reader)
        status = tsr_nomem(err, g->n_value * sizeof *plan->point);
    for (size_t i = 0; i < g->n_node && status == TSR_OK; i++) describe(plan, &g->node[i], &plan->layer[i]);
    if (status == TSR_OK) tsr_graph_readers(g, plan->reads, plan->reader);
    if (status == TSR_OK) status = exclude_nodes(plan, exclude, n_exclude, err);
    if (status != TSR_OK) {
        tsr_quant_plan_release(plan);
        return status;
    }
    int bits = tsr_grid_weight_bits(grid), act = tsr_grid_activation_bits(grid);
    for (size_t i = 0; i < g->n_node; i++) tsr_quant_plan_set(plan, i, bits, act);
    tsr_quant_plan_points(plan);
    return TSR_OK;
}

void tsr_quant_plan_release(struct tsr_quant_plan *plan)
{
    for (size_t i = 0; plan->layer != NULL && i < plan->g->n_node; i++) {
        tsr_free(plan->layer[i].rounded);
        tsr_free(plan->layer[i].scale);
        tsr_free(plan->layer[i].bias_shift);
    }
    tsr_free(plan->layer);
    tsr_free(plan->point);
    tsr_free(plan->reads);
    tsr_free(plan->reader);
    memset(plan, 0, sizeof *plan);
}

/* n elements of `from`, where it is not NULL. */
static void *duplicate(const void *from, size_t n, size_t size, bool *ok)
{
    void *p = from != NULL ? tsr_memdup(from, n * size) : NULL;
    if (from != NULL && p == NULL) *ok = false;
    return p;
}

static void copy_layer(const struct tsr_graph *g, size_t node, struct tsr_quant_layer *to, const struct tsr_quant_layer *from, bool *ok)
{
    *to = *from;
    to->rounded = NULL;
    to->scale = to->bias_shift = NULL;
    if (from->weight >= 0) {
        const struct tsr_tensor *w = &g->value[g->node[node].in[from->weight]].init;
        if (from->rounded != NULL) to->rounded = duplicate(from->rounded, (size_t)tsr_tensor_count(w), 1, ok);
        if (from->scale != NULL) {
            const struct tsr_shape s = tsr_weight_scale_shape(&w->shape, &from->grid);
            to->scale = duplicate(from->scale, (size_t)tsr_shape_count(&s), sizeof *to->scale, ok);
        }
    }
    if (from->bias_shift != NULL) to->bias_shift = duplicate(from->bias_shift, (size_t)from->n_shift, sizeof *to->bias_shift, ok);
}

enum tsr_status tsr_quant_plan_copy(struct tsr_quant_plan *to, const struct tsr_quant_plan *from, struct tsr_error *err)
{
    const struct tsr_graph *g = from->g;
    bool ok = true;
    *to = *from;
    to->layer = tsr_calloc(g->n_node + 1, sizeof *to->layer);
    to->point = duplicate(from->point, g->n_value + 1, sizeof *to->point, &ok);
    to->reads = duplicate(from->reads, g->n_value + 1, sizeof *to->reads, &ok);
    to->reader = duplicate(from->reader, g->n_value + 1, sizeof *to->reader, &ok);
    for (size_t i = 0; to->layer != NULL && i < g->n_node; i++) copy_layer(g, i, &to->layer[i], &from->layer[i], &ok);
    if (to->layer != NULL && ok) return TSR_OK;
    tsr_quant_plan_release(to);
    return tsr_nomem(err, g->n_node * sizeof *to->layer);
}

/* ---- points --------------------------------------------------------------------------------- */

/* Relu, or a Clip that begins at 0: the range of what follows can do its work. */
static bool is_clamp(const struct tsr_quant_plan *plan, const struct tsr_node *node)
{
    if (tsr_node_is(node, "Relu")) return true;
    if (!tsr_node_is(node, "Clip")) return false;
    if (node->n_in < 2) return (double)tsr_node_float(node, "min", -1) == 0;
    if (!is_constant(plan->g, node->in[1])) return false;
    const struct tsr_tensor *lo = &plan->g->value[node->in[1]].init;
    return lo->dtype == TSR_F32 && tsr_tensor_count(lo) == 1 && tsr_load_f64(TSR_F32, lo->data, 0) == 0;
}

bool tsr_quant_before_activation(const struct tsr_quant_plan *plan, int32_t v)
{
    return plan->reads[v] == 1 && !plan->g->value[v].is_output && is_clamp(plan, &plan->g->node[plan->reader[v]]) &&
           plan->g->node[plan->reader[v]].in[0] == v;
}

/* Marks v, or the output of the activation behind it. */
static void mark_output(struct tsr_quant_plan *plan, int32_t v)
{
    if (tsr_quant_before_activation(plan, v)) v = plan->g->node[plan->reader[v]].out[0];
    plan->point[v].on = true;
}

bool tsr_quant_integers(const struct tsr_quant_layer *l) { return l->role == TSR_ROLE_PRODUCT && l->on && l->activation_bits <= 8; }

/* What a quantised node reads of activations: inputs that are no weights, biases or constants. */
bool tsr_quant_reads(const struct tsr_quant_plan *plan, size_t i, int k)
{
    const struct tsr_node *node = &plan->g->node[i];
    const struct tsr_quant_layer *l = &plan->layer[i];
    if (node->in[k] < 0 || k == l->weight || k == l->bias) return false;
    return l->role != TSR_ROLE_PASS || k == 0;
}

/* A recurrent operator whose inputs our kernels multiply with its weights in integers, where they come in 8 bits. */
static bool takes_integers(const struct tsr_quant_plan *plan, const struct tsr_node *node)
{
    const struct tsr_tensor *w = weight_of(plan->g, node->in[1]);
    if (plan->grid != TSR_GRID_INT8 || plan->target != TSR_TARGET_ORT || tsr_node_is(node, "ConvTranspose")) return false;
    if (is_constant(plan->g, node->in[0]) || tsr_node_int(node, "layout", 0) != 0 || (node->n_in > 4 && node->in[4] >= 0)) return false;
    return w != NULL && w->shape.rank == 3 && w->shape.dim[2] % 4 == 0;
}

static void mark_products(struct tsr_quant_plan *plan)
{
    const struct tsr_graph *g = plan->g;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        const struct tsr_quant_layer *l = &plan->layer[i];
        if (l->role == TSR_ROLE_STORED && l->on && takes_integers(plan, node)) plan->point[node->in[0]].on = true;
        if (!tsr_quant_integers(l)) continue;
        for (int k = 0; k < node->n_in; k++)
            if (tsr_quant_reads(plan, i, k)) plan->point[node->in[k]].on = true;
        if (tsr_node_is(node, "Conv") || plan->target == TSR_TARGET_TFLM || plan->target == TSR_TARGET_XNNPACK)
            mark_output(plan, node->out[0]);
    }
}

/* ---- functions of single integers ------------------------------------------------------------ */

enum { LONGEST = 24 };

/* The element-wise nodes that v is computed by, and from what value alone. */
struct source {
    int32_t v;
    size_t node[LONGEST];
    int n;
    bool curved; /* some node is no Relu or Clip */
};

/* An element-wise node over values of one shape: what is constant is a single number. */
static bool is_step(const struct tsr_quant_plan *plan, const struct tsr_node *node)
{
    if (!tsr_node_elementwise(node)) return false;
    for (int k = 0; k < node->n_in; k++)
        if (is_constant(plan->g, node->in[k]) && tsr_tensor_count(&plan->g->value[node->in[k]].init) != 1) return false;
    return true;
}

/* Follows v back; false where it has several sources. */
static bool find_source(const struct tsr_quant_plan *plan, int32_t v, struct source *s)
{
    const struct tsr_graph *g = plan->g;
    const int32_t p = v >= 0 ? g->value[v].producer : -1;
    if (v < 0 || is_constant(g, v)) return v >= 0;
    if (p < 0 || !is_step(plan, &g->node[p])) {
        const bool same = s->v < 0 || s->v == v;
        s->v = v;
        return same;
    }
    for (int i = 0; i < s->n; i++)
        if (s->node[i] == (size_t)p) return true;
    if (s->n == LONGEST) return false;
    s->node[s->n++] = (size_t)p;
    if (!is_clamp(plan, &g->node[p])) s->curved = true;
    for (int k = 0; k < g->node[p].n_in; k++)
        if (g->node[p].in[k] >= 0 && !find_source(plan, g->node[p].in[k], s)) return false;
    return true;
}

/* Nobody else reads what leads from the source to `end`. */
static bool is_closed(const struct tsr_quant_plan *plan, const struct source *s, int32_t end)
{
    for (int i = 0; i < s->n; i++) {
        const int32_t v = plan->g->node[s->node[i]].out[0];
        int reads = 0;
        for (int k = 0; k < s->n; k++)
            for (int j = 0; j < plan->g->node[s->node[k]].n_in; j++) reads += plan->g->node[s->node[k]].in[j] == v;
        if (v != end && (plan->g->value[v].is_output || plan->reads[v] != reads)) return false;
    }
    return true;
}

/* An integer product, with or without its bias, gives v: what stands behind it can be looked up where v is on a
 * grid, and need not come back to floats. */
static void mark_source(struct tsr_quant_plan *plan, int32_t v)
{
    struct source s = {.v = -1};
    if (!find_source(plan, v, &s) || s.v < 0 || s.v == v || !s.curved || !is_closed(plan, &s, v)) return;
    int32_t p = plan->g->value[s.v].producer;
    if (p < 0) return;
    if (tsr_node_is(&plan->g->node[p], "Add") && plan->layer[p].bias >= 0) p = plan->g->value[plan->g->node[p].in[1 - plan->layer[p].bias]].producer;
    if (p >= 0 && tsr_quant_integers(&plan->layer[p])) plan->point[s.v].on = true;
}

/* An element-wise node joins in where all it reads is quantised, or a constant, and its output is to be. */
static bool joins(struct tsr_quant_plan *plan, size_t i)
{
    const struct tsr_node *node = &plan->g->node[i];
    bool any = false;
    for (int k = 0; k < node->n_in; k++) {
        int32_t v = node->in[k];
        if (v < 0) continue;
        bool row = is_constant(plan->g, v);
        if (row && (tsr_node_is(node, "Concat") || plan->g->value[v].init.dtype != TSR_F32)) return false;
        if (!row && !plan->point[v].on) return false;
        any = any || !row;
    }
    int32_t out = node->out[0];
    if (tsr_quant_before_activation(plan, out)) out = plan->g->node[plan->reader[out]].out[0];
    return any && plan->point[out].on;
}

/* The value that holds what node i gives: its output, or that of the activation behind it. */
static int32_t held_in(const struct tsr_quant_plan *plan, size_t i)
{
    const int32_t v = plan->g->node[i].out[0];
    return tsr_quant_before_activation(plan, v) ? plan->g->node[plan->reader[v]].out[0] : v;
}

static struct tsr_quant_point *root_of(struct tsr_quant_plan *plan, int32_t v) { return &plan->point[plan->point[v].same]; }

/* Roots get the most bits that anybody who reads one of their values asks for: products for themselves, element-wise
 * nodes as many as their output has. What neither reads has the bits of the product that gives it. */
static void find_bits(struct tsr_quant_plan *plan)
{
    const struct tsr_graph *g = plan->g;
    const int least = tsr_grid_activation_bits(plan->grid) > 8 ? 8 : tsr_grid_activation_bits(plan->grid);
    for (size_t v = 0; v < g->n_value; v++) plan->point[v].bits = 0;
    for (size_t i = g->n_node; i-- > 0;) { /* whoever reads an output has asked before */
        const struct tsr_quant_layer *l = &plan->layer[i];
        int wish = tsr_quant_integers(l) ? l->activation_bits : 0;
        if (l->role == TSR_ROLE_ELEMENT && l->on) wish = root_of(plan, held_in(plan, i))->bits;
        for (int k = 0; wish > 0 && k < g->node[i].n_in; k++) {
            if (!tsr_quant_reads(plan, i, k)) continue;
            struct tsr_quant_point *root = root_of(plan, g->node[i].in[k]);
            if (root->bits < wish) root->bits = wish;
        }
    }
    for (size_t i = 0; i < g->n_node; i++) {
        if (!tsr_quant_integers(&plan->layer[i])) continue;
        struct tsr_quant_point *root = root_of(plan, held_in(plan, i));
        if (root->bits == 0) root->bits = plan->layer[i].activation_bits;
    }
    for (size_t v = 0; v < g->n_value; v++) /* roots first: bits 0 is nobody's wish */
        if (plan->point[v].same == (int32_t)v && plan->point[v].bits == 0) plan->point[v].bits = least;
    for (size_t v = 0; v < g->n_value; v++) plan->point[v].bits = plan->point[plan->point[v].same].bits;
}

void tsr_quant_plan_points(struct tsr_quant_plan *plan)
{
    const struct tsr_graph *g = plan->g;
    for (size_t v = 0; v < g->n_value; v++) {
        struct tsr_quant_point *p = &plan->point[v];
        p->on = false;
        p->same = (int32_t)v;
        p->fake_scale = p->fake_gain = -1;
    }
    mark_products(plan);
    for (size_t i = g->n_node; i-- > 0;) { /* what moves elements, or means, to a quantised reader */
        const struct tsr_node *node = &g->node[i];
        struct tsr_quant_layer *l = &plan->layer[i];
        bool mean = tsr_node_is(node, "AveragePool") || tsr_node_is(node, "GlobalAveragePool");
        if (mean && l->role == TSR_ROLE_ELEMENT && plan->point[node->out[0]].on) plan->point[node->in[0]].on = true;
        if (l->role != TSR_ROLE_PASS) continue;
        bool needed = false;
        for (int k = 0; k < node->n_out; k++) needed = needed || (node->out[k] >= 0 && plan->point[node->out[k]].on);
        l->on = needed && !is_constant(g, node->in[0]);
        if (l->on) plan->point[node->in[0]].on = true;
    }
    for (size_t v = 0; v < g->n_value && plan->grid == TSR_GRID_INT8; v++) /* weights of 4 bits are computed with in float */
        if (plan->point[v].on) mark_source(plan, (int32_t)v);
    for (size_t i = 0; i < g->n_node; i++) { /* in order: what feeds a node is settled before it */
        const struct tsr_node *node = &g->node[i];
        struct tsr_quant_layer *l = &plan->layer[i];
        if (l->role == TSR_ROLE_ELEMENT) l->on = joins(plan, i);
        if (l->role == TSR_ROLE_ELEMENT && l->on && tsr_node_is(node, "Concat") && plan->target == TSR_TARGET_TFLM)
            for (int k = 1; k < node->n_in; k++) plan->point[node->in[k]].same = plan->point[node->in[0]].same;
        if (l->role == TSR_ROLE_PASS && l->on)
            for (int k = 0; k < node->n_out; k++)
                if (node->out[k] >= 0) plan->point[node->out[k]].same = plan->point[node->in[0]].same;
    }
    find_bits(plan);
}
