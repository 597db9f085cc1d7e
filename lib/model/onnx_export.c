/* onnx_export.c - graphs to ModelProto messages. The messages point into the graph; only the
 * skeleton around them is allocated, and freed as one list. */
#include "base/bytes.h"
#include "base/mem.h"
#include "model/onnx.h"
#include "model/onnx_parts.h"

#include <stdio.h>
#include <string.h>

#define MAX_MESSAGE ((size_t)INT32_MAX)
#define PAGE 4096 /* where elements in a file of their own begin, so that they can be mapped */
#define MIN_IR_VERSION 4 /* the first in which initialisers need not be inputs as well */

struct arena {
    void **block;
    size_t n, cap;
    struct tsr_error *err;
    bool failed;
    struct tsr_sink *data; /* where large initialisers go; NULL: into the message */
    const char *location;  /* what the message calls it */
};

/* Zeroed memory that lives as long as the arena; NULL (and failed set) when short. */
static void *take(struct arena *a, size_t n, size_t size)
{
    void *p = NULL;
    if (!a->failed && tsr_grow(&a->block, &a->cap, a->n + 1, sizeof *a->block, a->err) == TSR_OK) {
        p = tsr_calloc(n, size);
        if (p != NULL) a->block[a->n++] = p;
        else (void)tsr_nomem(a->err, n * size);
    }
    if (p == NULL) a->failed = true;
    return p;
}

static void release(struct arena *a)
{
    for (size_t i = 0; i < a->n; i++) tsr_free(a->block[i]);
    tsr_free(a->block);
}

static Tsr__Onnx__StringPair *pair(struct arena *a, const char *key, const char *text, uint64_t number)
{
    enum { DIGITS = 24 };
    Tsr__Onnx__StringPair *p = take(a, 1, sizeof *p);
    char *value = text == NULL ? take(a, DIGITS, 1) : (char *)(uintptr_t)text;
    if (p == NULL || value == NULL) return NULL;
    if (text == NULL) (void)snprintf(value, DIGITS, "%llu", (unsigned long long)number);
    tsr__onnx__string_pair__init(p);
    p->key = (char *)(uintptr_t)key;
    p->value = value;
    return p;
}

/* Writes the elements into the data file, from the next page on, and says where they are. */
static void put_outside(struct arena *a, Tsr__Onnx__Tensor *m, const struct tsr_tensor *t)
{
    static const uint8_t zero[PAGE];
    size_t fill = (PAGE - tsr_sink_offset(a->data) % PAGE) % PAGE, bytes = tsr_tensor_bytes(t);
    uint64_t at = tsr_sink_offset(a->data) + fill;
    m->external_data = take(a, 3, sizeof *m->external_data);
    if (m->external_data == NULL) return;
    m->external_data[0] = pair(a, "location", a->location, 0);
    m->external_data[1] = pair(a, "offset", NULL, at);
    m->external_data[2] = pair(a, "length", NULL, bytes);
    m->n_external_data = 3;
    m->has_data_location = 1;
    m->data_location = 1;
    if (a->failed) return;
    enum tsr_status status = tsr_sink_write(a->data, zero, fill, a->err);
    if (status == TSR_OK) status = tsr_sink_write(a->data, t->data, bytes, a->err);
    if (status != TSR_OK) a->failed = true;
}

static Tsr__Onnx__Tensor *tensor(struct arena *a, const char *name, const struct tsr_tensor *t)
{
    Tsr__Onnx__Tensor *m = take(a, 1, sizeof *m);
    if (m == NULL) return NULL;
    tsr__onnx__tensor__init(m);
    m->dims = take(a, TSR_MAX_RANK, sizeof *m->dims);
    if (m->dims == NULL) return NULL;
    m->n_dims = (size_t)t->shape.rank;
    memcpy(m->dims, t->shape.dim, m->n_dims * sizeof *m->dims);
    m->has_data_type = 1;
    m->data_type = (int32_t)t->dtype;
    m->name = (char *)(uintptr_t)name;
    if (a->data != NULL && name != NULL && tsr_tensor_bytes(t) >= PAGE) {
        put_outside(a, m, t);
        return m;
    }
    m->has_raw_data = 1;
    m->raw_data.len = tsr_tensor_bytes(t);
    m->raw_data.data = t->data;
    return m;
}

static void fill_graph(struct arena *a, const struct tsr_graph *g, size_t captured, Tsr__Onnx__Graph *m);

static Tsr__Onnx__Attribute *attribute(struct arena *a, const struct tsr_attr *from)
{
    static const int type[] = {[TSR_ATTR_INT] = 2, [TSR_ATTR_FLOAT] = 1, [TSR_ATTR_STRING] = 3, [TSR_ATTR_INTS] = 7,
                               [TSR_ATTR_FLOATS] = 6, [TSR_ATTR_STRINGS] = 8, [TSR_ATTR_TENSOR] = 4, [TSR_ATTR_GRAPH] = 5};
    Tsr__Onnx__Attribute *m = take(a, 1, sizeof *m);
    if (m == NULL) return NULL;
    tsr__onnx__attribute__init(m);
    m->name = from->name;
    m->has_type = 1;
    m->type = type[from->type];
    switch (from->type) {
    case TSR_ATTR_INT:
        m->has_i = 1;
        m->i = from->i;
        break;
    case TSR_ATTR_FLOAT:
        m->has_f = 1;
        m->f = from->f;
        break;
    case TSR_ATTR_STRING:
        m->has_s = 1;
        m->s = (ProtobufCBinaryData){strlen(from->s), (uint8_t *)from->s};
        break;
    case TSR_ATTR_INTS:
        m->n_ints = from->n;
        m->ints = from->ints;
        break;
    case TSR_ATTR_FLOATS:
        m->n_floats = from->n;
        m->floats = from->floats;
        break;
    case TSR_ATTR_STRINGS:
        m->n_strings = from->n;
        m->strings = take(a, from->n, sizeof *m->strings);
        if (m->strings == NULL) return NULL;
        for (size_t i = 0; i < from->n; i++)
            m->strings[i] = (ProtobufCBinaryData){strlen(from->strings[i]), (uint8_t *)from->strings[i]};
        break;
    case TSR_ATTR_TENSOR:
        m->t = tensor(a, NULL, &from->t);
        break;
    case TSR_ATTR_GRAPH:
        m->g = take(a, 1, sizeof *m->g);
        if (m->g == NULL) return NULL;
        fill_graph(a, from->g, from->n, m->g);
        break;
    }
    return m;
}

static char **names(struct arena *a, const struct tsr_graph *g, const int32_t *id, int n)
{
    static char empty[] = "";
    char **list = take(a, (size_t)n, sizeof *list);
    for (int i = 0; list != NULL && i < n; i++) list[i] = id[i] < 0 ? empty : g->value[id[i]].name;
    return list;
}

static Tsr__Onnx__Node *node(struct arena *a, const struct tsr_graph *g, const struct tsr_node *from)
{
    Tsr__Onnx__Node *m = take(a, 1, sizeof *m);
    if (m == NULL) return NULL;
    tsr__onnx__node__init(m);
    m->n_input = (size_t)(from->n_in - from->n_captured);
    m->input = names(a, g, from->in, from->n_in);
    m->n_output = (size_t)from->n_out;
    m->output = names(a, g, from->out, from->n_out);
    m->name = from->name;
    m->op_type = from->op_type;
    m->domain = from->domain[0] ? from->domain : NULL;
    m->n_attribute = from->n_attr;
    m->attribute = take(a, from->n_attr, sizeof *m->attribute);
    for (size_t i = 0; m->attribute != NULL && i < from->n_attr; i++) m->attribute[i] = attribute(a, &from->attr[i]);
    return m;
}

static Tsr__Onnx__ValueInfo *value_info(struct arena *a, const struct tsr_value *v)
{
    Tsr__Onnx__ValueInfo *m = take(a, 1, sizeof *m);
    Tsr__Onnx__Type *type = take(a, 1, sizeof *type);
    Tsr__Onnx__Type__Dense *dense = take(a, 1, sizeof *dense);
    if (m == NULL || type == NULL || dense == NULL) return NULL;
    tsr__onnx__value_info__init(m);
    m->name = v->name;
    if (v->dtype == TSR_NONE) return m;
    tsr__onnx__type__init(type);
    tsr__onnx__type__dense__init(dense);
    m->type = type;
    type->tensor_type = dense;
    dense->has_elem_type = 1;
    dense->elem_type = (int32_t)v->dtype;
    if (v->shape.rank < 0) return m;
    Tsr__Onnx__Shape *shape = take(a, 1, sizeof *shape);
    Tsr__Onnx__Dimension **list = take(a, (size_t)v->shape.rank, sizeof *list);
    if (shape == NULL || list == NULL) return NULL;
    tsr__onnx__shape__init(shape);
    shape->n_dim = (size_t)v->shape.rank;
    shape->dim = list;
    dense->shape = shape;
    for (int i = 0; i < v->shape.rank; i++) {
        list[i] = take(a, 1, sizeof **list);
        if (list[i] == NULL) return NULL;
        tsr__onnx__dimension__init(list[i]);
        list[i]->has_dim_value = v->shape.dim[i] >= 0;
        list[i]->dim_value = v->shape.dim[i];
        if (v->shape.dim[i] < 0) list[i]->dim_param = v->dim_name[i];
    }
    return m;
}

static void value_list(struct arena *a, const struct tsr_graph *g, bool output, Tsr__Onnx__ValueInfo ***list,
                       size_t *count)
{
    size_t n = output ? g->n_output : g->n_input;
    *list = take(a, n, sizeof **list);
    *count = n;
    for (size_t i = 0; *list != NULL && i < n; i++)
        (*list)[i] = value_info(a, &g->value[output ? g->output[i] : g->input[i]]);
}

/* captured: how many of the last inputs come from the graph around it and are not declared. */
static void fill_graph(struct arena *a, const struct tsr_graph *g, size_t captured, Tsr__Onnx__Graph *m)
{
    size_t inits = 0;
    tsr__onnx__graph__init(m);
    m->name = g->name;
    m->n_node = g->n_node;
    m->node = take(a, g->n_node, sizeof *m->node);
    for (size_t i = 0; m->node != NULL && i < g->n_node; i++) m->node[i] = node(a, g, &g->node[i]);
    for (size_t v = 0; v < g->n_value; v++) inits += g->value[v].is_init;
    m->initializer = take(a, inits, sizeof *m->initializer);
    for (size_t v = 0; m->initializer != NULL && v < g->n_value; v++)
        if (g->value[v].is_init)
            m->initializer[m->n_initializer++] = tensor(a, g->value[v].name, &g->value[v].init);
    value_list(a, g, false, &m->input, &m->n_input);
    m->n_input -= captured;
    value_list(a, g, true, &m->output, &m->n_output);
}

static void fill_lists(struct arena *a, const struct tsr_graph *g, Tsr__Onnx__Model *m)
{
    m->opset_import = take(a, g->n_opset, sizeof *m->opset_import);
    m->metadata_props = take(a, g->n_meta, sizeof *m->metadata_props);
    for (size_t i = 0; m->opset_import != NULL && i < g->n_opset; i++) {
        Tsr__Onnx__OperatorSet *o = take(a, 1, sizeof *o);
        if (o == NULL) return;
        tsr__onnx__operator_set__init(o);
        o->domain = g->opset[i].domain;
        o->has_version = 1;
        o->version = g->opset[i].version;
        m->opset_import[m->n_opset_import++] = o;
    }
    for (size_t i = 0; m->metadata_props != NULL && i < g->n_meta; i++) {
        Tsr__Onnx__StringPair *p = take(a, 1, sizeof *p);
        if (p == NULL) return;
        tsr__onnx__string_pair__init(p);
        p->key = g->meta_key[i];
        p->value = g->meta_value[i];
        m->metadata_props[m->n_metadata_props++] = p;
    }
}

/* Hands what the packer produces to a sink, and keeps its first error. */
struct out_buffer {
    ProtobufCBuffer base;
    struct tsr_sink *sink;
    enum tsr_status status;
    struct tsr_error *err;
};

static void append(ProtobufCBuffer *base, size_t n, const uint8_t *data)
{
    struct out_buffer *b = (struct out_buffer *)base;
    if (b->status == TSR_OK) b->status = tsr_sink_write(b->sink, data, n, b->err);
}

static enum tsr_status save(const struct tsr_graph *g, struct tsr_sink *sink, struct tsr_sink *data,
                            const char *location, struct tsr_error *err)
{
    struct tsr_error own = {0}; /* the arena remembers a failure by its message's status */
    struct arena a = {.err = err != NULL ? err : &own, .data = data, .location = location};
    Tsr__Onnx__Model m;
    Tsr__Onnx__Graph mg;
    static char version[] = TSR_VERSION;
    tsr__onnx__model__init(&m);
    m.has_ir_version = 1;
    m.ir_version = g->ir_version > MIN_IR_VERSION ? g->ir_version : MIN_IR_VERSION;
    m.producer_name = g->producer;
    m.producer_version = version;
    m.graph = &mg;
    fill_graph(&a, g, 0, &mg);
    fill_lists(&a, g, &m);
    enum tsr_status status = TSR_OK;
    if (a.failed) {
        status = a.err->status;
    } else if (tsr__onnx__model__get_packed_size(&m) > MAX_MESSAGE) {
        status = tsr_fail(err, TSR_E_LIMIT, "the model is larger than 2 GiB, which an ONNX file cannot hold; its weights have to go "
                          "into a file of their own");
    } else {
        struct out_buffer out = {{append}, sink, TSR_OK, err};
        (void)tsr__onnx__model__pack_to_buffer(&m, &out.base);
        status = out.status;
    }
    release(&a);
    return status;
}

enum tsr_status tsr_onnx_save(const struct tsr_graph *g, struct tsr_sink *sink, struct tsr_error *err)
{
    return save(g, sink, NULL, NULL, err);
}

enum tsr_status tsr_onnx_save_external(const struct tsr_graph *g, struct tsr_sink *sink, struct tsr_sink *data,
                                       const char *location, struct tsr_error *err)
{
    return save(g, sink, data, location, err);
}

uint64_t tsr_onnx_weight_bytes(const struct tsr_graph *g)
{
    uint64_t sum = 0;
    for (size_t v = 0; v < g->n_value; v++)
        if (g->value[v].is_init) sum += tsr_tensor_bytes(&g->value[v].init);
    return sum;
}
