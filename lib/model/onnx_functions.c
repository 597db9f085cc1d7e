/* onnx_functions.c - functions that a model brings along are replaced by their bodies. */
#include "base/mem.h"
#include "model/onnx_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CALL_DEPTH 32
#define MAX_NODES 4000000
#define MAX_CALLS 100000
#define MAX_COPIED ((size_t)1 << 30) /* bytes of tensors in attributes: each call has its own */

struct inliner {
    const Tsr__Onnx__Function **sorted; /* the model's functions, by name */
    size_t n_sorted;
    struct tsr_graph *g;
    struct tsr_onnx_files *files;
    size_t calls; /* numbers the copies of local names */
    size_t copied;
};

/* The call being expanded. Its own names and attributes are already those of the graph. */
struct frame {
    const Tsr__Onnx__Function *f;
    const Tsr__Onnx__Node *call;
    size_t number; /* makes local names unique */
    int depth;
};

static int compare(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

static int by_name(const void *a, const void *b)
{
    const Tsr__Onnx__Function *x = *(const Tsr__Onnx__Function *const *)a, *y = *(const Tsr__Onnx__Function *const *)b;
    int c = compare(x->name, y->name);
    if (c == 0) c = compare(x->domain, y->domain);
    return c != 0 ? c : compare(x->overload, y->overload);
}

static const Tsr__Onnx__Function *find(const struct inliner *in, const Tsr__Onnx__Node *node)
{
    const Tsr__Onnx__Function key = {.name = node->op_type, .domain = node->domain, .overload = node->overload},
                              *wanted = &key;
    const Tsr__Onnx__Function **hit = bsearch(&wanted, in->sorted, in->n_sorted, sizeof *in->sorted, by_name);
    return hit != NULL ? *hit : NULL;
}

/* The graph's name for a name used inside the function; a new string. Outside (at NULL) names
 * stay as they are. */
static enum tsr_status rename_value(const struct frame *at, const char *name, char **out, struct tsr_error *err)
{
    bool local = at != NULL && name[0] != '\0';
    for (size_t i = 0; local && i < at->f->n_input; i++)
        if (strcmp(at->f->input[i], name) == 0) {
            name = i < at->call->n_input ? at->call->input[i] : "";
            local = false;
        }
    for (size_t i = 0; local && i < at->f->n_output; i++)
        if (strcmp(at->f->output[i], name) == 0 && i < at->call->n_output && at->call->output[i][0] != '\0') {
            name = at->call->output[i];
            local = false;
        }
    size_t n = strlen(name) + 32;
    *out = tsr_malloc(n, 1);
    if (*out == NULL) return tsr_nomem(err, n);
    if (local) (void)snprintf(*out, n, "%s@%zu", name, at->number);
    else (void)snprintf(*out, n, "%s", name);
    return TSR_OK;
}

static enum tsr_status rename_all(const struct frame *at, size_t n, char **names, char ***out, struct tsr_error *err)
{
    *out = tsr_calloc(n, sizeof **out);
    if (*out == NULL) return tsr_nomem(err, n * sizeof **out);
    for (size_t i = 0; i < n; i++) TSR_TRY(rename_value(at, names[i], &(*out)[i], err));
    return TSR_OK;
}

static void free_all(char **names, size_t n)
{
    for (size_t i = 0; names != NULL && i < n; i++) tsr_free(names[i]);
    tsr_free(names);
}

/* The attribute that a reference inside the function means: the call's, else the function's
 * default, else NULL (the attribute is then left out). */
static const Tsr__Onnx__Attribute *resolve(const struct frame *at, const char *ref)
{
    for (size_t i = 0; at != NULL && i < at->call->n_attribute; i++)
        if (compare(at->call->attribute[i]->name, ref) == 0) return at->call->attribute[i];
    for (size_t i = 0; at != NULL && i < at->f->n_attribute_proto; i++)
        if (compare(at->f->attribute_proto[i]->name, ref) == 0) return at->f->attribute_proto[i];
    return NULL;
}

/* The version of the domain that the function was written for; 0: as the model says. */
static int opset_of(const struct frame *at, const char *domain)
{
    if (domain == NULL || strcmp(domain, "ai.onnx") == 0) domain = "";
    for (size_t i = 0; at != NULL && i < at->f->n_opset_import; i++) {
        const Tsr__Onnx__OperatorSet *o = at->f->opset_import[i];
        const char *has = o->domain != NULL && strcmp(o->domain, "ai.onnx") != 0 ? o->domain : "";
        if (strcmp(has, domain) == 0 && o->version > 0 && o->version < 1000) return (int)o->version;
    }
    return 0;
}

static enum tsr_status walk(struct inliner *in, Tsr__Onnx__Node **nodes, size_t n, const struct frame *at,
                            struct tsr_error *err);

/* A copy of the node with graph names and resolved attributes, added to the graph or, where it
 * is itself a call, expanded. */
static enum tsr_status add_copy(struct inliner *in, const Tsr__Onnx__Node *node, const struct frame *at,
                                struct tsr_error *err)
{
    Tsr__Onnx__Node copy = *node;
    char **input = NULL, **output = NULL;
    Tsr__Onnx__Attribute *attr = tsr_calloc(node->n_attribute, sizeof *attr),
                         **list = tsr_calloc(node->n_attribute, sizeof *list);
    enum tsr_status status = TSR_OK;
    if (attr == NULL || list == NULL) {
        status = tsr_nomem(err, node->n_attribute * sizeof *attr);
        goto done;
    }
    copy.n_attribute = 0;
    copy.attribute = list;
    for (size_t i = 0; i < node->n_attribute; i++) {
        const char *ref = node->attribute[i]->ref_attr_name;
        const Tsr__Onnx__Attribute *from = node->attribute[i];
        if (ref != NULL && ref[0] != '\0') from = resolve(at, ref);
        if (from == NULL) continue;
        attr[copy.n_attribute] = *from;
        attr[copy.n_attribute].name = node->attribute[i]->name;
        list[copy.n_attribute] = &attr[copy.n_attribute];
        in->copied += at != NULL && from->t != NULL ? protobuf_c_message_get_packed_size(&from->t->base) : 0;
        copy.n_attribute++;
    }
    TSR_GO(status, done, rename_all(at, node->n_input, node->input, &input, err));
    TSR_GO(status, done, rename_all(at, node->n_output, node->output, &output, err));
    copy.input = input;
    copy.output = output;
    const Tsr__Onnx__Function *f = find(in, node);
    if (f != NULL) {
        struct frame inner = {f, &copy, ++in->calls, at != NULL ? at->depth + 1 : 1};
        if (inner.depth > MAX_CALL_DEPTH)
            status = tsr_fail(err, TSR_E_CORRUPT, "the function '%s' calls itself, or calls nest more than %d deep",
                              f->name != NULL ? f->name : "", MAX_CALL_DEPTH);
        else if (in->calls > MAX_CALLS)
            status = tsr_fail(err, TSR_E_LIMIT, "the model's functions call each other more than %d times", MAX_CALLS);
        else status = walk(in, f->node, f->n_node, &inner, err);
    } else if (in->g->n_node >= MAX_NODES) {
        status = tsr_fail(err, TSR_E_LIMIT, "the model has more than %d nodes once its functions are expanded",
                          MAX_NODES);
    } else if (in->copied > MAX_COPIED) {
        status = tsr_fail(err, TSR_E_LIMIT, "the constants in the model's functions take more than %zu MiB once they are expanded",
                          MAX_COPIED >> 20);
    } else {
        status = tsr_onnx_add_node(in->g, &copy, in->files, err);
        if (status == TSR_OK) in->g->node[in->g->n_node - 1].opset = opset_of(at, node->domain);
    }
done:
    free_all(input, node->n_input);
    free_all(output, node->n_output);
    tsr_free(attr);
    tsr_free(list);
    return status;
}

static enum tsr_status walk(struct inliner *in, Tsr__Onnx__Node **nodes, size_t n, const struct frame *at,
                            struct tsr_error *err)
{
    for (size_t i = 0; i < n; i++) TSR_TRY(add_copy(in, nodes[i], at, err));
    return TSR_OK;
}

enum tsr_status tsr_onnx_inline(Tsr__Onnx__Model *m, struct tsr_graph *g, struct tsr_onnx_files *files, struct tsr_error *err)
{
    struct inliner in = {.n_sorted = m->n_functions, .g = g, .files = files};
    for (size_t i = 0; i < m->n_functions; i++)
        for (size_t k = 0; k < m->functions[i]->n_opset_import; k++) {
            const Tsr__Onnx__OperatorSet *o = m->functions[i]->opset_import[k];
            const char *domain = o->domain != NULL ? o->domain : "";
            bool known = false;
            for (size_t j = 0; j < g->n_opset; j++) known = known || strcmp(g->opset[j].domain, domain) == 0;
            if (!known) TSR_TRY(tsr_graph_opset(g, domain, o->version, err));
        }
    in.sorted = tsr_memdup(m->functions, m->n_functions * sizeof *in.sorted);
    if (in.sorted == NULL) return tsr_nomem(err, m->n_functions * sizeof *in.sorted);
    qsort(in.sorted, in.n_sorted, sizeof *in.sorted, by_name);
    enum tsr_status status = walk(&in, m->graph->node, m->graph->n_node, NULL, err);
    tsr_free(in.sorted);
    return status;
}
