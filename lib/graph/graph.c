#include "graph/graph.h"

#include "base/mem.h"
#include "graph/index.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum tsr_status tsr_graph_new(struct tsr_graph **out, struct tsr_error *err)
{
    *out = NULL;
    struct tsr_graph *g = tsr_calloc(1, sizeof *g);
    if (g == NULL) return tsr_nomem(err, sizeof *g);
    enum tsr_status status = tsr_index_new(&g->index, err);
    if (status != TSR_OK) {
        tsr_free(g);
        return status;
    }
    *out = g;
    return TSR_OK;
}

void tsr_graph_free(struct tsr_graph *g)
{
    if (g == NULL || atomic_fetch_sub(&g->shares, 1) > 0) return;
    for (size_t i = 0; i < g->n_value; i++) {
        struct tsr_value *v = &g->value[i];
        tsr_free(v->name);
        tsr_tensor_release(&v->init);
        for (int k = 0; k < TSR_MAX_RANK; k++) tsr_free(v->dim_name[k]);
    }
    for (size_t i = 0; i < g->n_node; i++) tsr_node_release(&g->node[i]);
    for (size_t i = 0; i < g->n_opset; i++) tsr_free(g->opset[i].domain);
    for (size_t i = 0; i < g->n_meta; i++) {
        tsr_free(g->meta_key[i]);
        tsr_free(g->meta_value[i]);
    }
    for (size_t i = 0; i < g->n_warning; i++) tsr_free(g->warning[i]);
    tsr_index_free(g->index);
    tsr_free(g->value);
    tsr_free(g->node);
    tsr_free(g->input);
    tsr_free(g->output);
    tsr_free(g->opset);
    tsr_free(g->meta_key);
    tsr_free(g->meta_value);
    tsr_free(g->warning);
    tsr_free(g->name);
    tsr_free(g->producer);
    tsr_free(g);
}

static enum tsr_status copy_string(char **to, const char *from, struct tsr_error *err)
{
    *to = tsr_strdup(from);
    return *to == NULL ? tsr_nomem(err, strlen(from) + 1) : TSR_OK;
}

enum tsr_status tsr_graph_opset(struct tsr_graph *g, const char *domain, int64_t version, struct tsr_error *err)
{
    if (strcmp(domain, "ai.onnx") == 0) domain = "";
    for (size_t i = 0; i < g->n_opset; i++)
        if (strcmp(g->opset[i].domain, domain) == 0) {
            g->opset[i].version = version;
            return TSR_OK;
        }
    TSR_TRY(tsr_grow(&g->opset, &g->cap_opset, g->n_opset + 1, sizeof *g->opset, err));
    TSR_TRY(copy_string(&g->opset[g->n_opset].domain, domain, err));
    g->opset[g->n_opset++].version = version;
    return TSR_OK;
}

enum tsr_status tsr_graph_meta(struct tsr_graph *g, const char *key, const char *value, struct tsr_error *err)
{
    TSR_TRY(tsr_grow(&g->meta_key, &g->cap_meta_key, g->n_meta + 1, sizeof *g->meta_key, err));
    TSR_TRY(tsr_grow(&g->meta_value, &g->cap_meta_value, g->n_meta + 1, sizeof *g->meta_value, err));
    char *k = tsr_strdup(key), *v = tsr_strdup(value);
    if (k == NULL || v == NULL) {
        tsr_free(k);
        tsr_free(v);
        return tsr_nomem(err, strlen(key) + strlen(value));
    }
    g->meta_key[g->n_meta] = k;
    g->meta_value[g->n_meta++] = v;
    return TSR_OK;
}

enum tsr_status tsr_graph_warn(struct tsr_graph *g, struct tsr_error *err, const char *format, ...)
{
    struct tsr_error text; /* the same length, and control characters removed alike */
    char line[sizeof text.message];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    (void)tsr_fail(&text, TSR_OK, "%s", line);
    for (size_t i = 0; i < g->n_warning; i++)
        if (strcmp(g->warning[i], text.message) == 0) return TSR_OK;
    if (g->n_warning >= TSR_GRAPH_WARNINGS) return TSR_OK;
    TSR_TRY(tsr_grow(&g->warning, &g->cap_warning, g->n_warning + 1, sizeof *g->warning, err));
    TSR_TRY(copy_string(&g->warning[g->n_warning], text.message, err));
    g->n_warning++;
    return TSR_OK;
}

int32_t tsr_graph_find(const struct tsr_graph *g, const char *name) { return tsr_index_find(g->index, name); }

const struct tsr_node *tsr_graph_producer(const struct tsr_graph *g, int32_t v)
{
    return v >= 0 && g->value[v].producer >= 0 ? &g->node[g->value[v].producer] : NULL;
}

const struct tsr_tensor *tsr_graph_constant(const struct tsr_graph *g, int32_t v)
{
    if (v < 0) return NULL;
    if (g->value[v].is_init) return &g->value[v].init;
    const struct tsr_node *from = tsr_graph_producer(g, v);
    const struct tsr_attr *a = from != NULL && tsr_node_is(from, "Constant") ? tsr_node_attr(from, "value") : NULL;
    return a != NULL && a->type == TSR_ATTR_TENSOR && a->t.data != NULL ? &a->t : NULL;
}

void tsr_graph_readers(const struct tsr_graph *g, int32_t *reads, int32_t *reader)
{
    for (size_t i = 0; i < g->n_node; i++)
        for (int k = 0; k < g->node[i].n_in; k++) {
            const int32_t v = g->node[i].in[k];
            if (v < 0) continue;
            reads[v]++;
            reader[v] = (int32_t)i;
        }
}

enum tsr_status tsr_graph_value(struct tsr_graph *g, const char *name, int32_t *id, struct tsr_error *err)
{
    *id = -1;
    if (name[0] == '\0') return TSR_OK;
    *id = tsr_index_find(g->index, name);
    if (*id >= 0) return TSR_OK;
    if (g->n_value >= INT32_MAX) return tsr_fail(err, TSR_E_LIMIT, "the graph has too many values");
    TSR_TRY(tsr_grow(&g->value, &g->cap_value, g->n_value + 1, sizeof *g->value, err));
    struct tsr_value v = {.producer = -1, .shape.rank = -1};
    TSR_TRY(copy_string(&v.name, name, err));
    enum tsr_status status = tsr_index_add(g->index, v.name, (int32_t)g->n_value, err);
    if (status != TSR_OK) {
        tsr_free(v.name);
        return status;
    }
    *id = (int32_t)g->n_value;
    g->value[g->n_value++] = v;
    return TSR_OK;
}

static enum tsr_status declare(struct tsr_graph *g, const char *name, enum tsr_dtype dtype, int rank,
                               const int64_t *dim, const char *const *dim_name, int32_t *id, struct tsr_error *err)
{
    TSR_TRY(tsr_graph_value(g, name, id, err));
    if (*id < 0) return tsr_fail(err, TSR_E_CORRUPT, "a graph input or output has no name");
    if (rank > TSR_MAX_RANK)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "'%s' has rank %d, and %d is the most this program handles", name,
                        rank, TSR_MAX_RANK);
    struct tsr_value *v = &g->value[*id];
    v->dtype = dtype;
    v->shape.rank = rank;
    for (int i = 0; i < rank; i++) {
        v->shape.dim[i] = dim[i] < 0 ? -1 : dim[i];
        tsr_free(v->dim_name[i]);
        v->dim_name[i] = NULL;
        if (dim[i] < 0 && dim_name != NULL && dim_name[i] != NULL)
            TSR_TRY(copy_string(&v->dim_name[i], dim_name[i], err));
    }
    return TSR_OK;
}

enum tsr_status tsr_graph_add_input(struct tsr_graph *g, const char *name, enum tsr_dtype dtype, int rank,
                                    const int64_t *dim, const char *const *dim_name, struct tsr_error *err)
{
    int32_t id;
    TSR_TRY(declare(g, name, dtype, rank, dim, dim_name, &id, err));
    if (g->value[id].is_input) return tsr_fail(err, TSR_E_CORRUPT, "the graph input '%s' is declared twice", name);
    TSR_TRY(tsr_grow(&g->input, &g->cap_input, g->n_input + 1, sizeof *g->input, err));
    g->value[id].is_input = true;
    if (!g->value[id].is_init) g->input[g->n_input++] = id;
    return TSR_OK;
}

enum tsr_status tsr_graph_add_output(struct tsr_graph *g, const char *name, enum tsr_dtype dtype, int rank,
                                     const int64_t *dim, const char *const *dim_name, struct tsr_error *err)
{
    int32_t id;
    TSR_TRY(declare(g, name, dtype, rank, dim, dim_name, &id, err));
    if (g->value[id].is_output) return tsr_fail(err, TSR_E_CORRUPT, "the graph output '%s' is declared twice", name);
    TSR_TRY(tsr_grow(&g->output, &g->cap_output, g->n_output + 1, sizeof *g->output, err));
    g->value[id].is_output = true;
    g->output[g->n_output++] = id;
    return TSR_OK;
}

enum tsr_status tsr_graph_add_init(struct tsr_graph *g, const char *name, struct tsr_tensor *t, struct tsr_error *err)
{
    int32_t id;
    enum tsr_status status = tsr_graph_value(g, name, &id, err);
    if (status == TSR_OK && id < 0) status = tsr_fail(err, TSR_E_CORRUPT, "an initialiser has no name");
    if (status == TSR_OK && g->value[id].is_init)
        status = tsr_fail(err, TSR_E_CORRUPT, "the initialiser '%s' is given twice", name);
    if (status != TSR_OK) {
        tsr_tensor_release(t);
        return status;
    }
    struct tsr_value *v = &g->value[id];
    v->is_init = true;
    v->init = *t;
    *t = (struct tsr_tensor){0};
    for (size_t i = 0; i < g->n_input; i++) /* a default value: the input need not be given */
        if (g->input[i] == id) {
            memmove(&g->input[i], &g->input[i + 1], (g->n_input - i - 1) * sizeof *g->input);
            g->n_input--;
            break;
        }
    return TSR_OK;
}

static enum tsr_status node_values(struct tsr_graph *g, int n, const char *const *names, int32_t **out,
                                   struct tsr_error *err)
{
    *out = tsr_malloc((size_t)n, sizeof **out);
    if (*out == NULL) return tsr_nomem(err, (size_t)n * sizeof **out);
    for (int i = 0; i < n; i++) TSR_TRY(tsr_graph_value(g, names[i], &(*out)[i], err));
    return TSR_OK;
}

enum tsr_status tsr_graph_add_node(struct tsr_graph *g, const char *op_type, const char *domain, const char *name,
                                   int n_in, const char *const *in, int n_out, const char *const *out,
                                   struct tsr_error *err)
{
    TSR_TRY(tsr_grow(&g->node, &g->cap_node, g->n_node + 1, sizeof *g->node, err));
    struct tsr_node node = {.n_in = n_in, .n_out = n_out};
    char made_up[64];
    if (name == NULL || name[0] == '\0') {
        (void)snprintf(made_up, sizeof made_up, "%.40s_%zu", op_type, g->n_node);
        name = made_up;
    }
    if (strcmp(domain, "ai.onnx") == 0) domain = "";
    enum tsr_status status;
    TSR_GO(status, fail, copy_string(&node.name, name, err));
    TSR_GO(status, fail, copy_string(&node.op_type, op_type, err));
    TSR_GO(status, fail, copy_string(&node.domain, domain, err));
    TSR_GO(status, fail, node_values(g, n_in, in, &node.in, err));
    TSR_GO(status, fail, node_values(g, n_out, out, &node.out, err));
    g->node[g->n_node++] = node;
    return TSR_OK;
fail:
    tsr_node_release(&node);
    return status;
}

/* A new attribute of the node added last; its name is set, the rest is the caller's. */
static enum tsr_status new_attr(struct tsr_graph *g, const char *name, enum tsr_attr_type type, struct tsr_attr **out,
                                struct tsr_error *err)
{
    *out = NULL;
    if (g->n_node == 0) return tsr_fail(err, TSR_E_USAGE, "the graph has no node to give attribute '%s' to", name);
    struct tsr_node *node = &g->node[g->n_node - 1];
    if (tsr_node_attr(node, name) != NULL)
        return tsr_fail(err, TSR_E_CORRUPT, "the attribute '%s' is given twice", name);
    struct tsr_attr *grown = tsr_realloc(node->attr, node->n_attr + 1, sizeof *grown);
    if (grown == NULL) return tsr_nomem(err, sizeof *grown);
    node->attr = grown;
    struct tsr_attr *a = &grown[node->n_attr];
    *a = (struct tsr_attr){.type = type};
    TSR_TRY(copy_string(&a->name, name, err));
    node->n_attr++;
    *out = a;
    return TSR_OK;
}

enum tsr_status tsr_graph_attr_int(struct tsr_graph *g, const char *name, int64_t v, struct tsr_error *err)
{
    struct tsr_attr *a;
    TSR_TRY(new_attr(g, name, TSR_ATTR_INT, &a, err));
    a->i = v;
    return TSR_OK;
}

enum tsr_status tsr_graph_attr_float(struct tsr_graph *g, const char *name, float v, struct tsr_error *err)
{
    struct tsr_attr *a;
    TSR_TRY(new_attr(g, name, TSR_ATTR_FLOAT, &a, err));
    a->f = v;
    return TSR_OK;
}

enum tsr_status tsr_graph_attr_string(struct tsr_graph *g, const char *name, const char *v, struct tsr_error *err)
{
    struct tsr_attr *a;
    TSR_TRY(new_attr(g, name, TSR_ATTR_STRING, &a, err));
    return copy_string(&a->s, v, err);
}

enum tsr_status tsr_graph_attr_ints(struct tsr_graph *g, const char *name, const int64_t *v, size_t n,
                                    struct tsr_error *err)
{
    struct tsr_attr *a;
    TSR_TRY(new_attr(g, name, TSR_ATTR_INTS, &a, err));
    a->ints = tsr_memdup(v, n * sizeof *v);
    if (a->ints == NULL) return tsr_nomem(err, n * sizeof *v);
    a->n = n;
    return TSR_OK;
}

enum tsr_status tsr_graph_attr_floats(struct tsr_graph *g, const char *name, const float *v, size_t n,
                                      struct tsr_error *err)
{
    struct tsr_attr *a;
    TSR_TRY(new_attr(g, name, TSR_ATTR_FLOATS, &a, err));
    a->floats = tsr_memdup(v, n * sizeof *v);
    if (a->floats == NULL) return tsr_nomem(err, n * sizeof *v);
    a->n = n;
    return TSR_OK;
}

enum tsr_status tsr_graph_attr_strings(struct tsr_graph *g, const char *name, const char *const *v, size_t n,
                                       struct tsr_error *err)
{
    struct tsr_attr *a;
    TSR_TRY(new_attr(g, name, TSR_ATTR_STRINGS, &a, err));
    a->strings = tsr_calloc(n, sizeof *a->strings);
    if (a->strings == NULL) return tsr_nomem(err, n * sizeof *a->strings);
    for (; a->n < n; a->n++) TSR_TRY(copy_string(&a->strings[a->n], v[a->n], err));
    return TSR_OK;
}

enum tsr_status tsr_graph_attr_tensor(struct tsr_graph *g, const char *name, struct tsr_tensor *t,
                                      struct tsr_error *err)
{
    struct tsr_attr *a;
    enum tsr_status status = new_attr(g, name, TSR_ATTR_TENSOR, &a, err);
    if (status == TSR_OK) a->t = *t;
    else tsr_tensor_release(t);
    *t = (struct tsr_tensor){0};
    return status;
}

int64_t tsr_graph_params(const struct tsr_graph *g)
{
    int64_t n = 0;
    for (size_t i = 0; i < g->n_value; i++)
        if (g->value[i].trainable) n += tsr_tensor_count(&g->value[i].init);
    return n;
}

/* The captured input of the node added last that has the name, made where there is none. */
static enum tsr_status capture(struct tsr_graph *g, const char *name, int64_t *place, struct tsr_error *err)
{
    struct tsr_node *node = &g->node[g->n_node - 1];
    int32_t id;
    TSR_TRY(tsr_graph_value(g, name, &id, err));
    for (int k = node->n_in - node->n_captured; k < node->n_in; k++)
        if (node->in[k] == id) {
            *place = k;
            return TSR_OK;
        }
    int32_t *grown = tsr_realloc(node->in, (size_t)node->n_in + 1, sizeof *grown);
    if (grown == NULL) return tsr_nomem(err, ((size_t)node->n_in + 1) * sizeof *grown);
    node->in = grown;
    node->in[node->n_in] = id;
    *place = node->n_in++;
    node->n_captured++;
    return TSR_OK;
}

enum tsr_status tsr_graph_attr_graph(struct tsr_graph *g, const char *name, struct tsr_graph *body, size_t n,
                                     struct tsr_error *err)
{
    struct tsr_attr *a;
    enum tsr_status status = new_attr(g, name, TSR_ATTR_GRAPH, &a, err);
    if (status != TSR_OK) {
        tsr_graph_free(body);
        return status;
    }
    a->g = body;
    a->g_free = tsr_graph_free;
    a->ints = tsr_calloc(n, sizeof *a->ints);
    if (a->ints == NULL) return tsr_nomem(err, n * sizeof *a->ints);
    a->n = n;
    for (size_t i = 0; i < n; i++)
        TSR_TRY(capture(g, body->value[body->input[body->n_input - n + i]].name, &a->ints[i], err));
    return TSR_OK;
}
