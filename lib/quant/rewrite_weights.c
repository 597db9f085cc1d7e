/* rewrite_weights.c - weights, constants and biases as integers with their scales. */
#include "base/mem.h"
#include "graph/copy.h"
#include "quant/rewrite_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* 8-bit integers to a tensor of the grid's type; transposed: [n, k] to [k, n]. */
static enum tsr_status pack(struct tsr_rewriter *r, const int8_t *q, const struct tsr_shape *shape, int bits, bool transposed,
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

static enum tsr_status float_tensor(struct tsr_rewriter *r, const float *x, const struct tsr_shape *shape, bool transposed,
                                    struct tsr_tensor *t)
{
    struct tsr_shape s = *shape;
    if (transposed) s.dim[0] = shape->dim[1], s.dim[1] = shape->dim[0];
    TSR_TRY(tsr_tensor_new(t, TSR_F32, &s, NULL, r->err));
    int64_t n = tsr_shape_count(shape), columns = transposed ? shape->dim[1] : 1;
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[transposed ? i % columns * shape->dim[0] + i / columns : i] = x[i];
    return TSR_OK;
}

void tsr_rw_integers_release(struct tsr_rw_integers *n)
{
    tsr_free(n->q);
    tsr_free(n->scale);
}

static enum tsr_status integers_of(const struct tsr_tensor *w, const struct tsr_weight_grid *grid, const int8_t *rounded,
                                   const float *scale, const float *scale_least, struct tsr_rw_integers *out, struct tsr_error *err)
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
static enum tsr_status put_integers(struct tsr_rewriter *r, const char *base, const struct tsr_rw_integers *n, const struct tsr_shape *shape,
                                    const struct tsr_weight_grid *grid, bool transposed, char name[TSR_QUANT_NAME])
{
    char q[TSR_QUANT_NAME], scale[TSR_QUANT_NAME], zero[TSR_QUANT_NAME];
    struct tsr_tensor t;
    TSR_TRY(pack(r, n->q, shape, grid->bits, transposed, &t));
    TSR_TRY(tsr_rw_init(r, base, "q", &t, q));
    TSR_TRY(float_tensor(r, n->scale, &n->scale_shape, transposed, &t));
    TSR_TRY(tsr_rw_init(r, base, "scale", &t, scale));
    bool plain = grid->block == 0;
    if (plain) {
        TSR_TRY(tsr_tensor_zeros(&t, grid->bits == 4 ? TSR_I4 : TSR_I8, n->scale_shape.rank, n->scale_shape.dim, r->err));
        TSR_TRY(tsr_rw_init(r, base, "zero", &t, zero));
    }
    return tsr_rw_dequantize(r, q, scale, plain ? zero : NULL, transposed ? 0 : grid->axis, grid->block, tsr_rw_fresh(r, base, "dq", name));
}

enum tsr_status tsr_rw_weight(struct tsr_rewriter *r, struct tsr_quant_layer *l, int32_t v, const float *least,
                                  struct tsr_rw_integers *n, char name[TSR_QUANT_NAME])
{
    const struct tsr_tensor *w = &r->from->value[v].init;
    if (r->fake) return tsr_rw_fake_weight(r, l, v, l->role == TSR_ROLE_PRODUCT, name);
    enum tsr_status status = integers_of(w, &l->grid, l->rounded, l->scale, least, n, r->err);
    if (status != TSR_OK) {
        tsr_error_prefix(r->err, "weights '%s'", r->from->value[v].name);
        return status;
    }
    return put_integers(r, r->from->value[v].name, n, &w->shape, &l->grid, l->transposed, name);
}

/* A constant operand of an element-wise node: one symmetric scale. */
enum tsr_status tsr_rw_constant(struct tsr_rewriter *r, int32_t v, char name[TSR_QUANT_NAME])
{
    const struct tsr_tensor *w = &r->from->value[v].init;
    struct tsr_tensor row = *w;
    struct tsr_weight_grid grid = {.bits = 8, .axis = 0};
    struct tsr_rw_integers n = {0};
    char q[TSR_QUANT_NAME], scale[TSR_QUANT_NAME], zero[TSR_QUANT_NAME];
    const char *base = r->from->value[v].name;
    row.shape = (struct tsr_shape){.rank = 2, .dim = {1, tsr_tensor_count(w)}};
    struct tsr_tensor t;
    const enum tsr_dtype type = tsr_rw_activation_type(r, 8); /* that of the other operand */
    enum tsr_status status = integers_of(&row, &grid, NULL, NULL, NULL, &n, r->err);
    if (status == TSR_OK) status = pack(r, n.q, &w->shape, 8, false, &t);
    for (int64_t i = 0; status == TSR_OK && type == TSR_U8 && i < tsr_tensor_count(w); i++)
        ((uint8_t *)t.data)[i] = (uint8_t)(((const int8_t *)t.data)[i] + 128);
    if (status == TSR_OK) {
        t.dtype = type;
        status = tsr_rw_init(r, base, "q", &t, q);
    }
    if (status == TSR_OK) status = tsr_rw_float(r, base, "scale", n.scale[0], scale);
    if (status == TSR_OK) status = tsr_rw_zero(r, base, type, tsr_rw_offset(type), zero);
    if (status == TSR_OK) status = tsr_rw_dequantize(r, q, scale, zero, -1, 0, tsr_rw_fresh(r, base, "dq", name));
    tsr_rw_integers_release(&n);
    return status;
}

enum tsr_status tsr_rw_lookup(struct tsr_rewriter *r, const struct tsr_node *node, int n_in, const char **in, const char *out)
{
    const struct tsr_tensor *w = &r->from->value[node->in[0]].init;
    const char *base = r->from->value[node->in[0]].name;
    struct tsr_tensor row = *w, t;
    struct tsr_weight_grid grid = {.bits = 8, .axis = 0};
    struct tsr_rw_integers n = {0};
    char q[TSR_QUANT_NAME], scale[TSR_QUANT_NAME], part[TSR_QUANT_NAME];
    row.shape = (struct tsr_shape){.rank = 2, .dim = {1, tsr_tensor_count(w)}};
    enum tsr_status status = integers_of(&row, &grid, NULL, NULL, NULL, &n, r->err);
    if (status == TSR_OK) status = pack(r, n.q, &w->shape, 8, false, &t);
    if (status == TSR_OK) status = tsr_rw_init(r, base, "q", &t, q);
    if (status == TSR_OK) status = tsr_rw_float(r, base, "scale", n.scale[0], scale);
    tsr_rw_integers_release(&n);
    TSR_TRY(status);
    tsr_rw_fresh(r, r->from->value[node->out[0]].name, "q", part);
    in[0] = q;
    TSR_TRY(tsr_graph_add_node(r->to, "Gather", "", part, n_in, in, 1, (const char *[]){part}, r->err));
    TSR_TRY(tsr_graph_copy_attrs(r->to, node, r->err));
    /* The zero point is 0 anyway. ONNX Runtime 1.30 carries the pair past a Transpose (the bias of relative positions) and
     * gives it a wrong type there from opset 21 on where it is said. */
    return tsr_rw_dequantize(r, part, scale, NULL, -1, 0, out);
}

/* ---- biases --------------------------------------------------------------------------------- */

static float bias_at(const struct tsr_rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l, int64_t i)
{
    float b = l->bias >= 0 ? ((const float *)r->from->value[node->in[l->bias]].init.data)[i] : 0;
    return l->bias_shift != NULL ? b + l->bias_shift[i] : b;
}

/* Its channel's scale may not be smaller, or the bias in units of input and weight scale leaves +-2^30. */
enum tsr_status tsr_rw_least_scales(struct tsr_rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
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

enum tsr_status tsr_rw_bias_integers(struct tsr_rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                         const struct tsr_rw_integers *n, float input_scale, char name[TSR_QUANT_NAME])
{
    const int64_t count = n->scale_shape.dim[0];
    char q[TSR_QUANT_NAME], scale[TSR_QUANT_NAME], zero[TSR_QUANT_NAME];
    struct tsr_tensor tq, ts, tz;
    TSR_TRY(tsr_tensor_zeros(&tq, TSR_I32, 1, &count, r->err));
    enum tsr_status status = tsr_tensor_zeros(&ts, TSR_F32, 1, &count, r->err);
    if (status == TSR_OK) {
        for (int64_t i = 0; i < count; i++) {
            float s = input_scale * n->scale[i];
            ((float *)ts.data)[i] = s;
            ((int32_t *)tq.data)[i] = (int32_t)nearbyint((double)bias_at(r, node, l, i) / (double)s);
        }
        status = tsr_rw_init(r, node->name, "bias_scale", &ts, scale);
    }
    if (status != TSR_OK) {
        tsr_tensor_release(&tq);
        return status;
    }
    TSR_TRY(tsr_rw_init(r, node->name, "bias_q", &tq, q));
    TSR_TRY(tsr_tensor_zeros(&tz, TSR_I32, 1, &count, r->err));
    TSR_TRY(tsr_rw_init(r, node->name, "bias_zero", &tz, zero));
    return tsr_rw_dequantize(r, q, scale, zero, 0, 0, tsr_rw_fresh(r, node->name, "bias_dq", name));
}

enum tsr_status tsr_rw_bias_float(struct tsr_rewriter *r, const struct tsr_node *node, const struct tsr_quant_layer *l,
                                      int64_t count, char name[TSR_QUANT_NAME])
{
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_zeros(&t, TSR_F32, 1, &count, r->err));
    for (int64_t i = 0; i < count; i++) ((float *)t.data)[i] = bias_at(r, node, l, i);
    return tsr_rw_init(r, node->name, "bias", &t, name);
}
