#include "model/describe.h"

#include "base/hash.h"
#include "base/mem.h"
#include "model/onnx.h"

static enum tsr_status set_values(const struct tsr_graph *g, const int32_t *id, size_t n, struct tsr_json *list,
                                  struct tsr_error *err)
{
    struct tsr_json *item, *shape;
    for (size_t i = 0; i < n; i++) {
        const struct tsr_value *v = &g->value[id[i]];
        TSR_TRY(tsr_json_set_object(list, NULL, &item, err));
        TSR_TRY(tsr_json_set_string(item, "name", v->name, err));
        TSR_TRY(tsr_json_set_string(item, "dtype", v->dtype == TSR_NONE ? "unknown" : tsr_dtype_name(v->dtype), err));
        if (v->shape.rank < 0) continue;
        TSR_TRY(tsr_json_set_array(item, "shape", &shape, err));
        for (int k = 0; k < v->shape.rank; k++) {
            if (v->shape.dim[k] >= 0)
                TSR_TRY(tsr_json_set_int(shape, NULL, v->shape.dim[k], err));
            else if (v->dim_name[k] != NULL)
                TSR_TRY(tsr_json_set_string(shape, NULL, v->dim_name[k], err));
            else
                TSR_TRY(tsr_json_set_null(shape, NULL, err));
        }
    }
    return TSR_OK;
}

static bool depends_on_input(const struct tsr_graph *g, const struct tsr_node *node, const bool *varies)
{
    for (int i = 0; i < node->n_in; i++) {
        int32_t id = node->in[i];
        if (id >= 0 && (varies[id] || (g->value[id].is_input && !g->value[id].is_init))) return true;
    }
    return false;
}

/* The tensors that activations can be taken of, and how often each operator occurs. */
static enum tsr_status set_layers(const struct tsr_graph *g, bool *varies, struct tsr_json *layers,
                                  struct tsr_json *operators, struct tsr_error *err)
{
    struct tsr_json *item;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        int64_t seen = 0;
        if (tsr_json_get(operators, node->op_type) != NULL)
            TSR_TRY(tsr_json_need_int(operators, node->op_type, 0, TSR_JSON_INT_MAX, &seen, err));
        TSR_TRY(tsr_json_set_int(operators, node->op_type, seen + 1, err));
        if (!depends_on_input(g, node, varies)) continue;
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] < 0) continue;
            varies[node->out[k]] = true;
            TSR_TRY(tsr_json_set_object(layers, NULL, &item, err));
            TSR_TRY(tsr_json_set_string(item, "name", g->value[node->out[k]].name, err));
            TSR_TRY(tsr_json_set_string(item, "op", node->op_type, err));
        }
    }
    return TSR_OK;
}

static enum tsr_status fill(const struct tsr_graph *g, bool *varies, struct tsr_json *j, struct tsr_error *err)
{
    struct tsr_json *part, *operators;
    uint8_t digest[TSR_SHA256_LEN];
    char text[2 * TSR_SHA256_LEN + 1];
    tsr_onnx_digest(g, digest);
    tsr_hex(digest, sizeof digest, text);
    TSR_TRY(tsr_json_set_string(j, "schema", "tessera-inspect.model/1", err));
    TSR_TRY(tsr_json_set_string(j, "name", g->name ? g->name : "", err));
    TSR_TRY(tsr_json_set_string(j, "producer", g->producer ? g->producer : "", err));
    TSR_TRY(tsr_json_set_int(j, "ir", g->ir_version, err));
    TSR_TRY(tsr_json_set_string(j, "digest", text, err));
    TSR_TRY(tsr_json_set_int(j, "nodes", (int64_t)g->n_node, err));
    TSR_TRY(tsr_json_set_int(j, "parameters", tsr_graph_params(g), err));
    TSR_TRY(tsr_json_set_object(j, "opset", &part, err));
    for (size_t i = 0; i < g->n_opset; i++)
        TSR_TRY(tsr_json_set_int(part, g->opset[i].domain[0] ? g->opset[i].domain : "ai.onnx", g->opset[i].version, err));
    TSR_TRY(tsr_json_set_array(j, "inputs", &part, err));
    TSR_TRY(set_values(g, g->input, g->n_input, part, err));
    TSR_TRY(tsr_json_set_array(j, "outputs", &part, err));
    TSR_TRY(set_values(g, g->output, g->n_output, part, err));
    TSR_TRY(tsr_json_set_object(j, "operators", &operators, err));
    TSR_TRY(tsr_json_set_array(j, "warnings", &part, err));
    for (size_t i = 0; i < g->n_warning; i++) TSR_TRY(tsr_json_set_string(part, NULL, g->warning[i], err));
    TSR_TRY(tsr_json_set_array(j, "layers", &part, err));
    return set_layers(g, varies, part, operators, err);
}

enum tsr_status tsr_graph_describe(const struct tsr_graph *g, struct tsr_json **out, struct tsr_error *err)
{
    bool *varies = tsr_calloc(g->n_value, sizeof *varies);
    *out = NULL;
    if (varies == NULL) return tsr_nomem(err, g->n_value);
    struct tsr_json *j = NULL;
    enum tsr_status status = tsr_json_object(&j, err);
    if (status == TSR_OK) status = fill(g, varies, j, err);
    tsr_free(varies);
    if (status == TSR_OK)
        *out = j;
    else
        tsr_json_free(j);
    return status;
}
