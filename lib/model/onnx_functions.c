/* onnx_functions.c - functions that a model brings along are replaced by their bodies, whose operators must
 * mean the same in the version that the model declares, as the format demands. */
#include "base/mem.h"
#include "model/onnx_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CALL_DEPTH 32
#define MAX_EXPANDED 200000 /* nodes: a small file can ask for very many */
#define MAX_CALLS 20000
#define MAX_COPIED ((size_t)1 << 30) /* bytes of tensors in attributes: each call has its own */

/* The inputs and outputs of a function by name; of several of one name the first comes first, inputs before
 * outputs. */
struct formal {
    const char *name;
    size_t place; /* inputs, then outputs */
};

struct tsr_onnx_inliner {
    const Tsr__Onnx__Function **sorted; /* the model's functions, by name */
    struct formal **formal;             /* of each; NULL until it is called */
    size_t n_sorted;
    struct tsr_graph *g;
    struct tsr_onnx_files *files;
    size_t calls; /* numbers the copies of local names */
    size_t nodes, copied;
};

/* The call being expanded. Its own names and attributes are already those of the graph. */
struct tsr_onnx_frame {
    const Tsr__Onnx__Function *f;
    const struct formal *formal;
    const Tsr__Onnx__Node *call;
    size_t number; /* makes local names unique */
    int depth;
    const struct names *kept; /* what the graphs around make, within the function: no inputs of it, even if named so */
};

/* The sorted names that a graph in an attribute makes, and those of the graph around it. */
struct names {
    const char **name;
    size_t n;
    const struct names *outer;
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

/* The function that a node calls, and its place; NULL where it calls none. */
static const Tsr__Onnx__Function *find(const struct tsr_onnx_inliner *in, const Tsr__Onnx__Node *node, size_t *place)
{
    const Tsr__Onnx__Function key = {.name = node->op_type, .domain = node->domain, .overload = node->overload},
                              *wanted = &key;
    const Tsr__Onnx__Function **hit = bsearch(&wanted, in->sorted, in->n_sorted, sizeof *in->sorted, by_name);
    *place = hit != NULL ? (size_t)(hit - in->sorted) : 0;
    return hit != NULL ? *hit : NULL;
}

static int by_formal(const void *a, const void *b)
{
    const struct formal *x = a, *y = b;
    const int c = strcmp(x->name, y->name);
    return c != 0 ? c : (x->place > y->place) - (x->place < y->place);
}

static enum tsr_status know_formals(struct tsr_onnx_inliner *in, size_t place, struct tsr_error *err)
{
    const Tsr__Onnx__Function *f = in->sorted[place];
    const size_t n = f->n_input + f->n_output;
    if (in->formal[place] != NULL) return TSR_OK;
    struct formal *list = tsr_malloc(n, sizeof *list);
    if (list == NULL) return tsr_nomem(err, n * sizeof *list);
    for (size_t i = 0; i < n; i++) list[i] = (struct formal){i < f->n_input ? f->input[i] : f->output[i - f->n_input], i};
    qsort(list, n, sizeof *list, by_formal);
    in->formal[place] = list;
    return TSR_OK;
}

/* What the function calls `name` is called outside; NULL: it is its own. */
static const char *actual(const struct tsr_onnx_frame *at, const char *name)
{
    const size_t n_in = at->f->n_input, n = n_in + at->f->n_output;
    size_t lo = 0, hi = n; /* the first of the name */
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (strcmp(at->formal[mid].name, name) < 0) lo = mid + 1;
        else hi = mid;
    }
    for (; lo < n && strcmp(at->formal[lo].name, name) == 0; lo++) {
        const size_t k = at->formal[lo].place;
        if (k < n_in) return k < at->call->n_input ? at->call->input[k] : "";
        if (k - n_in < at->call->n_output && at->call->output[k - n_in][0] != '\0') return at->call->output[k - n_in];
    }
    return NULL;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Inside the function. Outside (at NULL) names stay as they are. */
enum tsr_status tsr_onnx_rename(const struct tsr_onnx_frame *at, const char *name, char **out, struct tsr_error *err)
{
    bool local = at != NULL && name[0] != '\0', own = false; /* own: made by a graph of an attribute */
    for (const struct names *k = at != NULL ? at->kept : NULL; local && k != NULL; k = k->outer)
        own = own || bsearch(&name, k->name, k->n, sizeof *k->name, by_text) != NULL;
    const char *outside = local && !own ? actual(at, name) : NULL;
    if (outside != NULL) {
        name = outside;
        local = false;
    }
    size_t n = strlen(name) + 32;
    *out = tsr_malloc(n, 1);
    if (*out == NULL) return tsr_nomem(err, n);
    if (local) (void)snprintf(*out, n, "%s@%zu", name, at->number);
    else (void)snprintf(*out, n, "%s", name);
    return TSR_OK;
}

static enum tsr_status rename_all(const struct tsr_onnx_frame *at, size_t n, char **names, char ***out, struct tsr_error *err)
{
    *out = tsr_calloc(n, sizeof **out);
    if (*out == NULL) return tsr_nomem(err, n * sizeof **out);
    for (size_t i = 0; i < n; i++) TSR_TRY(tsr_onnx_rename(at, names[i], &(*out)[i], err));
    return TSR_OK;
}

static void free_all(char **names, size_t n)
{
    for (size_t i = 0; names != NULL && i < n; i++) tsr_free(names[i]);
    tsr_free(names);
}

/* The attribute that a reference inside the function means: the call's, else the function's
 * default, else NULL (the attribute is then left out). */
static const Tsr__Onnx__Attribute *resolve(const struct tsr_onnx_frame *at, const char *ref)
{
    for (size_t i = 0; at != NULL && i < at->call->n_attribute; i++)
        if (compare(at->call->attribute[i]->name, ref) == 0) return at->call->attribute[i];
    for (size_t i = 0; at != NULL && i < at->f->n_attribute_proto; i++)
        if (compare(at->f->attribute_proto[i]->name, ref) == 0) return at->f->attribute_proto[i];
    return NULL;
}

static enum tsr_status walk(struct tsr_onnx_inliner *in, Tsr__Onnx__Node **nodes, size_t n, const struct tsr_onnx_frame *at,
                            struct tsr_error *err);

/* A copy of the node with graph names and resolved attributes, added to the graph or, where it
 * is itself a call, expanded. */
static enum tsr_status add_copy(struct tsr_onnx_inliner *in, const Tsr__Onnx__Node *node, const struct tsr_onnx_frame *at,
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
        if (from != node->attribute[i] && from->g != NULL) {
            status = tsr_fail(err, TSR_E_UNSUPPORTED, "a graph is handed to a function as its attribute '%.80s'", ref);
            goto done;
        }
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
    size_t place;
    const Tsr__Onnx__Function *f = find(in, node, &place);
    if (f != NULL) {
        TSR_GO(status, done, know_formals(in, place, err));
        struct tsr_onnx_frame inner = {f, in->formal[place], &copy, ++in->calls, at != NULL ? at->depth + 1 : 1, NULL};
        if (inner.depth > MAX_CALL_DEPTH)
            status = tsr_fail(err, TSR_E_CORRUPT, "the function '%s' calls itself, or calls nest more than %d deep",
                              f->name != NULL ? f->name : "", MAX_CALL_DEPTH);
        else if (in->calls > MAX_CALLS)
            status = tsr_fail(err, TSR_E_LIMIT, "the model's functions call each other more than %d times", MAX_CALLS);
        else status = walk(in, f->node, f->n_node, &inner, err);
    } else if (at != NULL && in->nodes++ >= MAX_EXPANDED) {
        status = tsr_fail(err, TSR_E_LIMIT, "the model's functions have more than %d nodes once they are expanded", MAX_EXPANDED);
    } else if (in->copied > MAX_COPIED) {
        status = tsr_fail(err, TSR_E_LIMIT, "the constants in the model's functions take more than %zu MiB once they are expanded",
                          MAX_COPIED >> 20);
    } else {
        const struct tsr_onnx_scope scope = {in->files, in, at};
        status = tsr_onnx_add_node(in->g, &copy, &scope, err);
    }
done:
    free_all(input, node->n_input);
    free_all(output, node->n_output);
    tsr_free(attr);
    tsr_free(list);
    return status;
}

static enum tsr_status walk(struct tsr_onnx_inliner *in, Tsr__Onnx__Node **nodes, size_t n, const struct tsr_onnx_frame *at,
                            struct tsr_error *err)
{
    for (size_t i = 0; i < n; i++) TSR_TRY(add_copy(in, nodes[i], at, err));
    return TSR_OK;
}

enum tsr_status tsr_onnx_inline(Tsr__Onnx__Model *m, struct tsr_graph *g, struct tsr_onnx_files *files, struct tsr_error *err)
{
    struct tsr_onnx_inliner in = {.n_sorted = m->n_functions, .g = g, .files = files};
    for (size_t i = 0; i < m->n_functions; i++)
        for (size_t k = 0; k < m->functions[i]->n_opset_import; k++) {
            const Tsr__Onnx__OperatorSet *o = m->functions[i]->opset_import[k];
            const char *domain = o->domain != NULL ? o->domain : "";
            bool known = false;
            for (size_t j = 0; j < g->n_opset; j++) known = known || strcmp(g->opset[j].domain, domain) == 0;
            if (!known) TSR_TRY(tsr_graph_opset(g, domain, o->version, err));
        }
    in.sorted = tsr_memdup(m->functions, m->n_functions * sizeof *in.sorted);
    in.formal = tsr_calloc(m->n_functions, sizeof *in.formal);
    enum tsr_status status = in.sorted != NULL && in.formal != NULL ? TSR_OK : tsr_nomem(err, m->n_functions * sizeof *in.sorted);
    if (status == TSR_OK) {
        qsort(in.sorted, in.n_sorted, sizeof *in.sorted, by_name);
        status = walk(&in, m->graph->node, m->graph->n_node, NULL, err);
    }
    for (size_t i = 0; in.formal != NULL && i < in.n_sorted; i++) tsr_free(in.formal[i]);
    tsr_free(in.formal);
    tsr_free(in.sorted);
    return status;
}

enum tsr_status tsr_onnx_add_nodes(struct tsr_graph *g, Tsr__Onnx__Graph *m, const struct tsr_onnx_scope *scope,
                                   struct tsr_error *err)
{
    struct tsr_onnx_inliner *in = scope->inliner;
    if (in == NULL) {
        for (size_t i = 0; i < m->n_node; i++) TSR_TRY(tsr_onnx_add_node(g, m->node[i], scope, err));
        return TSR_OK;
    }
    struct tsr_graph *before = in->g;
    in->g = g;
    enum tsr_status status = walk(in, m->node, m->n_node, scope->at, err);
    in->g = before;
    return status;
}

static size_t count_names(const Tsr__Onnx__Graph *m)
{
    size_t n = m->n_input + m->n_initializer + m->n_sparse_initializer;
    for (size_t i = 0; i < m->n_node; i++) n += m->node[i]->n_output;
    return n;
}

static void collect(struct names *k, const char *name)
{
    if (name != NULL) k->name[k->n++] = name;
}

enum tsr_status tsr_onnx_enter(const struct tsr_onnx_scope *scope, Tsr__Onnx__Graph *m, struct tsr_onnx_frame **inner,
                               struct tsr_error *err)
{
    *inner = NULL;
    if (scope->at == NULL) return TSR_OK;
    const size_t n = count_names(m);
    struct tsr_onnx_frame *f = tsr_memdup(scope->at, sizeof *f);
    struct names *k = tsr_calloc(1, sizeof *k);
    if (k != NULL) k->name = tsr_calloc(n, sizeof *k->name);
    if (f == NULL || k == NULL || k->name == NULL) {
        if (k != NULL) tsr_free(k->name);
        tsr_free(k);
        tsr_free(f);
        return tsr_nomem(err, n * sizeof *k->name);
    }
    for (size_t i = 0; i < m->n_input; i++) collect(k, m->input[i]->name);
    for (size_t i = 0; i < m->n_initializer; i++) collect(k, m->initializer[i]->name);
    for (size_t i = 0; i < m->n_sparse_initializer; i++)
        collect(k, m->sparse_initializer[i]->values != NULL ? m->sparse_initializer[i]->values->name : NULL);
    for (size_t i = 0; i < m->n_node; i++)
        for (size_t j = 0; j < m->node[i]->n_output; j++) collect(k, m->node[i]->output[j]);
    qsort(k->name, k->n, sizeof *k->name, by_text);
    k->outer = f->kept;
    f->kept = k;
    *inner = f;
    return TSR_OK;
}

void tsr_onnx_leave(struct tsr_onnx_frame *inner)
{
    if (inner == NULL) return;
    struct names *k = (struct names *)(uintptr_t)inner->kept;
    tsr_free(k->name);
    tsr_free(k);
    tsr_free(inner);
}
