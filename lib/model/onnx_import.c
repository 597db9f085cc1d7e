/* onnx_import.c - ModelProto messages to graphs. */
#include "base/bytes.h"
#include "base/mem.h"
#include "io/source.h"
#include "model/onnx.h"
#include "model/onnx_parts.h"

#include <string.h>

enum proto_attr { PA_FLOAT = 1, PA_INT, PA_STRING, PA_TENSOR, PA_GRAPH, PA_FLOATS, PA_INTS, PA_STRINGS, PA_TENSORS, PA_GRAPHS, PA_SPARSE };

/* Files of the first IR versions leave the type out; the field that is there tells. */
static int attr_type(const Tsr__Onnx__Attribute *m)
{
    if (m->has_type && m->type != 0) return m->type;
    if (m->has_f) return PA_FLOAT;
    if (m->has_i) return PA_INT;
    if (m->has_s) return PA_STRING;
    if (m->t != NULL) return PA_TENSOR;
    if (m->g != NULL) return PA_GRAPH;
    if (m->sparse_tensor != NULL) return PA_SPARSE;
    if (m->n_floats > 0) return PA_FLOATS;
    if (m->n_strings > 0) return PA_STRINGS;
    return PA_INTS;
}

static enum tsr_status text_of(const ProtobufCBinaryData *b, char **out, struct tsr_error *err)
{
    *out = tsr_malloc(b->len + 1, 1);
    if (*out == NULL) return tsr_nomem(err, b->len + 1);
    if (b->len != 0) memcpy(*out, b->data, b->len);
    (*out)[b->len] = '\0';
    return TSR_OK;
}

static enum tsr_status add_string(struct tsr_graph *g, const char *name, const ProtobufCBinaryData *b,
                                  struct tsr_error *err)
{
    char *s;
    TSR_TRY(text_of(b, &s, err));
    enum tsr_status status = tsr_graph_attr_string(g, name, s, err);
    tsr_free(s);
    return status;
}

static enum tsr_status add_strings(struct tsr_graph *g, const char *name, const Tsr__Onnx__Attribute *m,
                                   struct tsr_error *err)
{
    char **list = tsr_calloc(m->n_strings, sizeof *list);
    if (list == NULL) return tsr_nomem(err, m->n_strings * sizeof *list);
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < m->n_strings && status == TSR_OK; i++) status = text_of(&m->strings[i], &list[i], err);
    if (status == TSR_OK)
        status = tsr_graph_attr_strings(g, name, (const char *const *)list, m->n_strings, err);
    for (size_t i = 0; i < m->n_strings; i++) tsr_free(list[i]);
    tsr_free(list);
    return status;
}

static enum tsr_status add_attr(struct tsr_graph *g, Tsr__Onnx__Attribute *m, const struct tsr_onnx_scope *scope,
                                struct tsr_error *err)
{
    struct tsr_tensor t;
    const char *name = m->name != NULL ? m->name : "";
    switch (attr_type(m)) {
    case PA_FLOAT: return tsr_graph_attr_float(g, name, m->f, err);
    case PA_INT: return tsr_graph_attr_int(g, name, m->i, err);
    case PA_STRING: return add_string(g, name, &m->s, err);
    case PA_FLOATS: return tsr_graph_attr_floats(g, name, m->floats, m->n_floats, err);
    case PA_INTS: return tsr_graph_attr_ints(g, name, m->ints, m->n_ints, err);
    case PA_STRINGS: return add_strings(g, name, m, err);
    case PA_TENSOR:
        if (m->t == NULL) return tsr_fail(err, TSR_E_CORRUPT, "attribute '%s' is a tensor without one", name);
        TSR_TRY(tsr_onnx_tensor(m->t, false, scope->files, &t, err));
        return tsr_graph_attr_tensor(g, name, &t, err);
    case PA_SPARSE:
        if (m->sparse_tensor == NULL) return tsr_fail(err, TSR_E_CORRUPT, "attribute '%s' is a sparse tensor without one", name);
        const char *own;
        TSR_TRY(tsr_onnx_sparse(g, m->sparse_tensor, scope->files, &own, &t, err));
        return tsr_graph_attr_tensor(g, strcmp(name, "sparse_value") == 0 ? "value" : name, &t, err); /* of Constant */
    case PA_GRAPH:
        if (m->g == NULL) return tsr_fail(err, TSR_E_CORRUPT, "attribute '%s' is a graph without one", name);
        return tsr_onnx_add_body(g, name, m->g, scope, err);
    default: return tsr_fail(err, TSR_E_UNSUPPORTED, "attribute '%s' has the unsupported type %d", name, attr_type(m));
    }
}

enum tsr_status tsr_onnx_add_node(struct tsr_graph *g, Tsr__Onnx__Node *m, const struct tsr_onnx_scope *scope,
                                  struct tsr_error *err)
{
    if (m->op_type == NULL || m->op_type[0] == '\0')
        return tsr_fail(err, TSR_E_CORRUPT, "node '%s' names no operator", m->name != NULL ? m->name : "");
    if (m->n_input > 65535 || m->n_output > 65535)
        return tsr_fail(err, TSR_E_LIMIT, "node '%s' has too many inputs or outputs", m->name != NULL ? m->name : "");
    if (m->n_attribute > 1024)
        return tsr_fail(err, TSR_E_LIMIT, "node '%s' (%s) has %zu attributes", m->name != NULL ? m->name : "",
                        m->op_type, m->n_attribute);
    TSR_TRY(tsr_graph_add_node(g, m->op_type, m->domain != NULL ? m->domain : "", m->name, (int)m->n_input,
                               (const char *const *)m->input, (int)m->n_output, (const char *const *)m->output, err));
    for (size_t i = 0; i < m->n_attribute; i++) {
        enum tsr_status status = add_attr(g, m->attribute[i], scope, err);
        if (status == TSR_OK) continue;
        tsr_error_prefix(err, "node '%s' (%s)", g->node[g->n_node - 1].name, m->op_type);
        return status;
    }
    return TSR_OK;
}

/* An input's or output's declared type: NULL dims and rank -1 where the file does not say. */
enum tsr_status tsr_onnx_declare(struct tsr_graph *g, const Tsr__Onnx__ValueInfo *m, const char *name, bool input,
                                 struct tsr_error *err)
{
    const Tsr__Onnx__Type *type = m->type;
    int64_t dim[TSR_MAX_RANK];
    const char *dim_name[TSR_MAX_RANK] = {0};
    int rank = -1;
    enum tsr_dtype dtype = TSR_NONE;
    if (type != NULL && (type->sequence_type != NULL || type->map_type != NULL || type->optional_type != NULL))
        return tsr_fail(err, TSR_E_UNSUPPORTED, "'%s' is a sequence, map or optional value; only tensors are handled",
                        name);
    if (type != NULL && type->tensor_type != NULL) {
        dtype = (enum tsr_dtype)type->tensor_type->elem_type;
        const Tsr__Onnx__Shape *shape = type->tensor_type->shape;
        if (shape != NULL && shape->n_dim > TSR_MAX_RANK)
            return tsr_fail(err, TSR_E_UNSUPPORTED, "'%s' has rank %zu, and %d is the most this program handles", name,
                            shape->n_dim, TSR_MAX_RANK);
        if (shape != NULL) rank = (int)shape->n_dim;
        for (int i = 0; i < rank; i++) {
            const Tsr__Onnx__Dimension *d = shape->dim[i];
            dim[i] = d->has_dim_value && d->dim_value >= 0 ? d->dim_value : -1;
            /* 0 in place of a size is how some exporters write "any". */
            if (input && d->has_dim_value && d->dim_value == 0 && i == 0) dim[i] = -1;
            dim_name[i] = d->dim_param != NULL && d->dim_param[0] ? d->dim_param : NULL;
        }
    }
    return input ? tsr_graph_add_input(g, name, dtype, rank, dim, dim_name, err)
                 : tsr_graph_add_output(g, name, dtype, rank, dim, dim_name, err);
}

static enum tsr_status declare(struct tsr_graph *g, const Tsr__Onnx__ValueInfo *m, bool input, struct tsr_error *err)
{
    return tsr_onnx_declare(g, m, m->name != NULL ? m->name : "", input, err);
}

static enum tsr_status fill_graph(struct tsr_graph *g, Tsr__Onnx__Model *m, struct tsr_onnx_files *files, struct tsr_error *err)
{
    Tsr__Onnx__Graph *mg = m->graph;
    g->ir_version = m->ir_version;
    if (!m->has_ir_version) TSR_TRY(tsr_graph_warn(g, err, "the model does not say which version of the format it has"));
    g->name = tsr_strdup(mg->name != NULL ? mg->name : "");
    g->producer = tsr_strdup(m->producer_name != NULL ? m->producer_name : "");
    if (g->name == NULL || g->producer == NULL) return tsr_nomem(err, 64);
    for (size_t i = 0; i < m->n_opset_import; i++)
        TSR_TRY(tsr_graph_opset(g, m->opset_import[i]->domain != NULL ? m->opset_import[i]->domain : "",
                                m->opset_import[i]->version, err));
    for (size_t i = 0; i < m->n_metadata_props; i++)
        if (m->metadata_props[i]->key != NULL)
            TSR_TRY(tsr_graph_meta(g, m->metadata_props[i]->key,
                                   m->metadata_props[i]->value != NULL ? m->metadata_props[i]->value : "", err));
    for (size_t i = 0; i < mg->n_initializer; i++) {
        struct tsr_tensor t;
        TSR_TRY(tsr_onnx_tensor(mg->initializer[i], true, files, &t, err));
        TSR_TRY(tsr_graph_add_init(g, mg->initializer[i]->name != NULL ? mg->initializer[i]->name : "", &t, err));
    }
    for (size_t i = 0; i < mg->n_sparse_initializer; i++) {
        struct tsr_tensor t;
        const char *name;
        TSR_TRY(tsr_onnx_sparse(g, mg->sparse_initializer[i], files, &name, &t, err));
        TSR_TRY(tsr_graph_add_init(g, name, &t, err));
    }
    for (size_t i = 0; i < mg->n_input; i++) TSR_TRY(declare(g, mg->input[i], true, err));
    if (m->n_functions > 0) {
        TSR_TRY(tsr_onnx_inline(m, g, files, err));
    } else {
        const struct tsr_onnx_scope scope = {.files = files};
        TSR_TRY(tsr_onnx_add_nodes(g, mg, &scope, err));
    }
    for (size_t i = 0; i < mg->n_output; i++) TSR_TRY(declare(g, mg->output[i], false, err));
    return tsr_graph_finish(g, err);
}

/* Hands the elements that were read apart to their initialisers. */
static void join(struct tsr_onnx_message *m, Tsr__Onnx__Graph *g)
{
    for (size_t i = 0; i < m->n_block; i++) {
        Tsr__Onnx__Tensor *t = g->initializer[m->block[i].initialiser];
        tsr_free(t->raw_data.data);
        t->has_raw_data = 1;
        t->raw_data = (ProtobufCBinaryData){m->block[i].bytes, m->block[i].data};
        m->block[i].data = NULL;
    }
}

/* The message's bytes are released as soon as they are parsed. */
static enum tsr_status parse(struct tsr_onnx_message *bytes, ProtobufCAllocator *allocator, bool *failed,
                             const char *name, Tsr__Onnx__Model **out, struct tsr_error *err)
{
    size_t n = bytes->model.len + bytes->graph.len;
    Tsr__Onnx__Graph *g = NULL;
    Tsr__Onnx__Model *m = tsr__onnx__model__unpack(allocator, bytes->model.len, bytes->model.data);
    if (m != NULL && bytes->has_graph) g = tsr__onnx__graph__unpack(allocator, bytes->graph.len, bytes->graph.data);
    tsr_buf_release(&bytes->model);
    tsr_buf_release(&bytes->graph);
    *out = m;
    if (g != NULL) {
        join(bytes, g);
        m->graph = g;
    }
    if (m != NULL && m->graph != NULL) return TSR_OK;
    if (*failed) return tsr_nomem(err, n);
    if (m == NULL || (g == NULL && bytes->has_graph))
        return tsr_fail(err, TSR_E_FORMAT, "'%s' is not an ONNX model", name);
    return tsr_fail(err, TSR_E_FORMAT, "'%s' is not an ONNX model: it has no graph", name);
}

static enum tsr_status load(struct tsr_source *src, const char *name, const char *folder, struct tsr_graph **out,
                            struct tsr_error *err)
{
    bool failed;
    ProtobufCAllocator allocator = tsr_onnx_allocator(&failed);
    struct tsr_onnx_message bytes;
    struct tsr_onnx_files files = {.folder = folder};
    Tsr__Onnx__Model *m = NULL;
    struct tsr_graph *g = NULL;
    enum tsr_status status;
    *out = NULL;
    TSR_TRY(tsr_onnx_read(src, name, &bytes, err));
    TSR_GO(status, done, tsr_onnx_scan(&bytes, name, err));
    TSR_GO(status, done, parse(&bytes, &allocator, &failed, name, &m, err));
    TSR_GO(status, done, tsr_graph_new(&g, err));
    status = fill_graph(g, m, &files, err);
    if (status != TSR_OK) tsr_error_prefix(err, "'%s'", name);
done:
    if (m != NULL) tsr__onnx__model__free_unpacked(m, &allocator);
    tsr_onnx_message_release(&bytes);
    tsr_onnx_files_release(&files);
    if (status == TSR_OK) *out = g;
    else tsr_graph_free(g);
    return status;
}

enum tsr_status tsr_onnx_load_memory(const void *data, size_t n, const char *name, const char *folder,
                                     struct tsr_graph **out, struct tsr_error *err)
{
    struct tsr_source *src;
    *out = NULL;
    TSR_TRY(tsr_source_from_memory(data, n, name, &src, err));
    enum tsr_status status = load(src, name, folder, out, err);
    tsr_source_close(src);
    return status;
}

/* The path's folder, "." where it has none. NULL when memory is short. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return tsr_strdup(".");
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    char *folder = tsr_malloc(n + 1, 1);
    if (folder == NULL) return NULL;
    memcpy(folder, path, n);
    folder[n] = '\0';
    return folder;
}

enum tsr_status tsr_onnx_load(const char *path, struct tsr_graph **out, struct tsr_error *err)
{
    *out = NULL;
    struct tsr_source *src;
    char *folder = NULL;
    enum tsr_status status = TSR_OK;
    TSR_TRY(tsr_source_open(path, &src, err));
    if (strcmp(path, "-") != 0) {
        folder = folder_of(path);
        if (folder == NULL) status = tsr_nomem(err, strlen(path));
    }
    if (status == TSR_OK) status = load(src, tsr_source_name(src), folder, out, err);
    tsr_source_close(src);
    tsr_free(folder);
    return status;
}
