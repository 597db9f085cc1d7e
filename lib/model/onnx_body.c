/* onnx_body.c - graphs in attributes: the bodies of If, Loop and Scan. */
#include "base/mem.h"
#include "model/onnx_parts.h"

#include <stdio.h>

static enum tsr_status add_init(struct tsr_graph *body, const char *name, struct tsr_tensor *t, const struct tsr_onnx_scope *scope,
                                struct tsr_error *err)
{
    char *own;
    enum tsr_status status = tsr_onnx_rename(scope->at, name != NULL ? name : "", &own, err);
    if (status != TSR_OK) {
        tsr_tensor_release(t);
        return status;
    }
    status = tsr_graph_add_init(body, own, t, err);
    tsr_free(own);
    return status;
}

static enum tsr_status add_inits(struct tsr_graph *body, Tsr__Onnx__Graph *m, const struct tsr_onnx_scope *scope,
                                 struct tsr_error *err)
{
    struct tsr_tensor t;
    const char *name;
    for (size_t i = 0; i < m->n_initializer; i++) { /* copied in a function, whose body may be needed again */
        TSR_TRY(tsr_onnx_tensor(m->initializer[i], scope->at == NULL, scope->files, &t, err));
        TSR_TRY(add_init(body, m->initializer[i]->name, &t, scope, err));
    }
    for (size_t i = 0; i < m->n_sparse_initializer; i++) {
        TSR_TRY(tsr_onnx_sparse(body, m->sparse_initializer[i], scope->files, &name, &t, err));
        TSR_TRY(add_init(body, name, &t, scope, err));
    }
    return TSR_OK;
}

static enum tsr_status declare_input(struct tsr_graph *body, const Tsr__Onnx__ValueInfo *m, const struct tsr_onnx_scope *scope,
                                     struct tsr_error *err)
{
    char *own;
    TSR_TRY(tsr_onnx_rename(scope->at, m->name != NULL ? m->name : "", &own, err));
    enum tsr_status status = tsr_onnx_declare(body, m, own, true, err);
    tsr_free(own);
    return status;
}

/* Output i of the body. A loop may carry a value on and collect it, too: the second time it is a copy. */
static enum tsr_status declare_output(struct tsr_graph *body, Tsr__Onnx__Graph *m, size_t i, const struct tsr_onnx_scope *scope,
                                      struct tsr_error *err)
{
    char *own, copy[512];
    const Tsr__Onnx__ValueInfo *v = m->output[i];
    TSR_TRY(tsr_onnx_rename(scope->at, v->name != NULL ? v->name : "", &own, err));
    const int32_t id = tsr_graph_find(body, own);
    const char *name = own;
    enum tsr_status status = TSR_OK;
    if (id >= 0 && body->value[id].is_output) {
        int k = (int)i;
        do (void)snprintf(copy, sizeof copy, "%.400s_again%d", own, k++);
        while (tsr_graph_find(body, copy) >= 0);
        name = copy;
        status = tsr_graph_add_node(body, "Identity", "", copy, 1, (const char *const[]){own}, 1, &name, err);
    }
    if (status == TSR_OK) status = tsr_onnx_declare(body, v, name, false, err);
    tsr_free(own);
    return status;
}

/* What the body does not make comes from around it: *n more inputs. */
static enum tsr_status capture(struct tsr_graph *body, size_t *n, struct tsr_error *err)
{
    bool *made = tsr_calloc(body->n_value, sizeof *made);
    if (made == NULL) return tsr_nomem(err, body->n_value);
    for (size_t i = 0; i < body->n_node; i++)
        for (int k = 0; k < body->node[i].n_out; k++)
            if (body->node[i].out[k] >= 0) made[body->node[i].out[k]] = true;
    enum tsr_status status = TSR_OK;
    *n = 0;
    for (size_t v = 0; v < body->n_value && status == TSR_OK; v++) {
        if (made[v] || body->value[v].is_init || body->value[v].is_input) continue;
        status = tsr_graph_add_input(body, body->value[v].name, TSR_NONE, -1, NULL, NULL, err);
        ++*n;
    }
    tsr_free(made);
    return status;
}

static enum tsr_status fill(struct tsr_graph *body, Tsr__Onnx__Graph *m, const struct tsr_onnx_scope *scope, size_t *n,
                            struct tsr_error *err)
{
    TSR_TRY(add_inits(body, m, scope, err));
    for (size_t i = 0; i < m->n_input; i++) TSR_TRY(declare_input(body, m->input[i], scope, err));
    TSR_TRY(tsr_onnx_add_nodes(body, m, scope, err));
    for (size_t i = 0; i < m->n_output; i++) TSR_TRY(declare_output(body, m, i, scope, err));
    TSR_TRY(capture(body, n, err));
    return tsr_graph_finish(body, err);
}

/* The operator sets are those of the model. */
static enum tsr_status begin(const struct tsr_graph *g, Tsr__Onnx__Graph *m, struct tsr_graph **out, struct tsr_error *err)
{
    TSR_TRY(tsr_graph_new(out, err));
    struct tsr_graph *body = *out;
    body->ir_version = g->ir_version;
    body->dense_bytes = g->dense_bytes;
    body->claimed_bytes = g->claimed_bytes;
    body->name = tsr_strdup(m->name != NULL ? m->name : "");
    body->producer = tsr_strdup("");
    enum tsr_status status = body->name != NULL && body->producer != NULL ? TSR_OK : tsr_nomem(err, 64);
    for (size_t i = 0; i < g->n_opset && status == TSR_OK; i++)
        status = tsr_graph_opset(body, g->opset[i].domain, g->opset[i].version, err);
    if (status != TSR_OK) tsr_graph_free(body);
    return status;
}

enum tsr_status tsr_onnx_add_body(struct tsr_graph *g, const char *name, Tsr__Onnx__Graph *m, const struct tsr_onnx_scope *scope,
                                  struct tsr_error *err)
{
    struct tsr_graph *body;
    struct tsr_onnx_frame *frame;
    size_t n = 0;
    TSR_TRY(begin(g, m, &body, err));
    enum tsr_status status = tsr_onnx_enter(scope, m, &frame, err);
    if (status == TSR_OK) {
        const struct tsr_onnx_scope inner = {scope->files, scope->inliner, frame};
        status = fill(body, m, &inner, &n, err);
        tsr_onnx_leave(frame);
    }
    g->dense_bytes = body->dense_bytes;
    g->claimed_bytes = body->claimed_bytes;
    for (size_t i = 0; i < body->n_warning && status == TSR_OK; i++) status = tsr_graph_warn(g, err, "%s", body->warning[i]);
    if (status == TSR_OK) return tsr_graph_attr_graph(g, name, body, n, err);
    (void)tsr_error_prefix(err, "in the graph '%.80s'", name);
    tsr_graph_free(body);
    return status;
}
