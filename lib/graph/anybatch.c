#include "graph/anybatch.h"

#include "base/mem.h"
#include "base/rng.h"
#include "graph/batch.h"
#include "graph/copy.h"

#include <math.h>

static void declare(struct tsr_graph *g, int64_t rows)
{
    for (size_t k = 0; k < g->n_input; k++) g->value[g->input[k]].shape.dim[0] = rows;
    for (size_t k = 0; k < g->n_output; k++)
        if (g->value[g->output[k]].shape.rank > 0) g->value[g->output[k]].shape.dim[0] = rows;
}

/* The constant that gives v its elements, if nothing but Reshape reads it, as a shape; else NULL. */
static struct tsr_tensor *shape_of(struct tsr_graph *g, int32_t v)
{
    const struct tsr_tensor *t = tsr_graph_constant(g, v);
    if (t == NULL || t->dtype != TSR_I64 || t->shape.rank != 1 || t->shape.dim[0] < 1) return NULL;
    for (size_t i = 0; i < g->n_node; i++)
        for (int k = 0; k < g->node[i].n_in; k++)
            if (g->node[i].in[k] == v && (k != 1 || !tsr_node_is(&g->node[i], "Reshape"))) return NULL;
    return (struct tsr_tensor *)(uintptr_t)t; /* of this graph, which the caller may change */
}

/* [n, a, b] becomes [-1, a, b], and [n, -1] becomes [0, -1]: the first dimension of what is reshaped. */
static enum tsr_status follow(struct tsr_tensor *shape, int64_t fixed, bool zero_copies, struct tsr_error *err)
{
    bool inferred = false;
    for (int64_t i = 1; i < shape->shape.dim[0]; i++) inferred = inferred || ((const int64_t *)shape->data)[i] == -1;
    if (((const int64_t *)shape->data)[0] != fixed || (inferred && !zero_copies)) return TSR_OK;
    struct tsr_tensor own;
    TSR_TRY(tsr_tensor_copy(&own, shape, err));
    ((int64_t *)own.data)[0] = inferred ? 0 : -1;
    tsr_tensor_release(shape);
    *shape = own;
    return TSR_OK;
}

/* Lets the shapes follow that are given to what changes with the input. */
static enum tsr_status loosen(struct tsr_graph *g, int64_t fixed, struct tsr_error *err)
{
    bool *varies = tsr_calloc(g->n_value + 1, sizeof *varies);
    enum tsr_status status = varies != NULL ? TSR_OK : tsr_nomem(err, g->n_value);
    if (varies != NULL) varies[g->input[0]] = true;
    for (size_t i = 0; i < g->n_node && status == TSR_OK; i++) { /* in order: what is read was seen before */
        const struct tsr_node *node = &g->node[i];
        bool any = false;
        for (int k = 0; k < node->n_in; k++) any = any || (node->in[k] >= 0 && varies[node->in[k]]);
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0) varies[node->out[k]] = any;
        struct tsr_tensor *shape = any && tsr_node_is(node, "Reshape") && node->n_in > 1 ? shape_of(g, node->in[1]) : NULL;
        if (shape != NULL) status = follow(shape, fixed, tsr_node_int(node, "allowzero", 0) == 0, err);
    }
    tsr_free(varies);
    if (status == TSR_OK) declare(g, -1);
    return status;
}

/* ---- trying it out -------------------------------------------------------------------------- */

static enum tsr_status run(const struct tsr_graph *g, const struct tsr_tensor *x, struct tsr_tensor *out, struct tsr_error *err)
{
    struct tsr_session *s;
    TSR_TRY(tsr_session_new(g, NULL, &s, err));
    enum tsr_status status = tsr_session_set_input(s, g->input[0], x, err);
    if (status == TSR_OK) status = tsr_session_run(s, g->output, g->n_output, err);
    for (size_t k = 0; k < g->n_output && status == TSR_OK; k++) status = tsr_tensor_copy(&out[k], tsr_session_value(s, g->output[k]), err);
    tsr_session_free(s);
    return status;
}

/* Is `part` what `whole` has from its sample `at` on? To a thousandth of the largest number: kernels differ in rounding. */
static bool is_part(const struct tsr_tensor *whole, const struct tsr_tensor *part, int64_t at, int64_t rows)
{
    struct tsr_shape want = part->shape;
    if (want.rank < 1 || want.dim[0] != rows || whole->dtype != part->dtype) return false;
    want.dim[0] *= 2;
    if (!tsr_shape_equal(&want, &whole->shape)) return false;
    const int64_t n = tsr_tensor_count(part), from = n / rows * at;
    double most = 1e-30;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(tsr_load_f64(part->dtype, part->data, i)));
    for (int64_t i = 0; i < n; i++)
        if (fabs(tsr_load_f64(part->dtype, part->data, i) - tsr_load_f64(whole->dtype, whole->data, from + i)) > 1e-3 * most) return false;
    return true;
}

/* Twice as many samples as g takes, all at once in `loose` and half by half in g: are the outputs the same? */
static enum tsr_status try_out(const struct tsr_graph *g, const struct tsr_graph *loose, int64_t fixed, bool *same, struct tsr_error *err)
{
    const struct tsr_value *v = &g->value[g->input[0]];
    struct tsr_tensor x = {0}, *all = tsr_calloc(g->n_output, sizeof *all), *one = tsr_calloc(g->n_output, sizeof *one);
    struct tsr_shape shape = v->shape;
    struct tsr_rng r;
    enum tsr_status status = all != NULL && one != NULL ? TSR_OK : tsr_nomem(err, g->n_output * sizeof *all);
    *same = false;
    if (status != TSR_OK) goto done;
    shape.dim[0] = 2 * fixed;
    TSR_GO(status, done, tsr_tensor_zeros(&x, v->dtype, shape.rank, shape.dim, err));
    tsr_rng_init(&r, 1, 0);
    for (int64_t i = 0; i < tsr_tensor_count(&x); i++)
        tsr_store_f64(v->dtype, x.data, i, tsr_dtype_is_float(v->dtype) ? (double)tsr_rng_normal(&r) : (double)tsr_rng_below(&r, 2));
    status = run(loose, &x, all, err);
    *same = status == TSR_OK;
    for (int64_t at = 0; at < 2 * fixed && *same && status == TSR_OK; at += fixed) {
        struct tsr_tensor half = {.dtype = x.dtype, .shape = v->shape, .data = (char *)x.data + tsr_tensor_bytes(&x) / 2 * (size_t)(at / fixed)};
        status = run(g, &half, one, err);
        for (size_t k = 0; k < g->n_output && status == TSR_OK; k++) *same = *same && is_part(&all[k], &one[k], at, fixed);
        for (size_t k = 0; k < g->n_output; k++) tsr_tensor_release(&one[k]);
    }
    if (status != TSR_E_NOMEM) status = TSR_OK; /* whatever else it meets, it cannot be had so */
    for (size_t k = 0; k < g->n_output; k++) tsr_tensor_release(&all[k]);
done:
    tsr_tensor_release(&x);
    tsr_free(all);
    tsr_free(one);
    return status;
}

/* Can it be tried? All dimensions but the first of the input are known, and every output has the batch first. */
static bool is_pinned(const struct tsr_graph *g, int64_t fixed)
{
    const struct tsr_value *x = &g->value[g->input[0]];
    bool ok = x->dtype != TSR_NONE;
    for (int i = 1; i < x->shape.rank; i++) ok = ok && x->shape.dim[i] > 0;
    for (size_t k = 0; k < g->n_output; k++) {
        const struct tsr_shape *y = &g->value[g->output[k]].shape;
        ok = ok && (y->rank < 0 || (y->rank > 0 && (y->dim[0] == fixed || y->dim[0] < 0)));
    }
    return ok;
}

enum tsr_status tsr_anybatch_begin(struct tsr_graph *g, int64_t *fixed, struct tsr_error *err)
{
    const int64_t rows = g->n_input == 1 && g->value[g->input[0]].shape.rank > 0 ? tsr_batch_fixed(g) : 0;
    struct tsr_graph *loose = NULL;
    bool same = false;
    *fixed = 0;
    if (rows == 0) return TSR_OK;
    TSR_TRY(tsr_graph_copy(g, &loose, err));
    enum tsr_status status = loosen(loose, rows, err);
    if (status == TSR_OK && is_pinned(g, rows)) status = try_out(g, loose, rows, &same, err);
    tsr_graph_free(loose);
    TSR_TRY(status);
    if (!same)
        return tsr_fail(err, TSR_E_UNSUPPORTED,
                        "the model takes exactly %lld sample%s at once, and training needs more; export it with a batch of any "
                        "size (torch.onnx.export: dynamic_axes={'%s': {0: 'n'}})",
                        (long long)rows, rows == 1 ? "" : "s", g->value[g->input[0]].name);
    TSR_TRY(loosen(g, rows, err));
    *fixed = rows;
    return TSR_OK;
}

void tsr_anybatch_end(struct tsr_graph *g, int64_t fixed)
{
    if (fixed > 0) declare(g, fixed);
}
