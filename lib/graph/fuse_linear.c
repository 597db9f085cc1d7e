/* fuse_linear.c - MatMul + Add, a following Relu; BatchNormalization after Conv or before an activation. */
#include <math.h>
#include <string.h>

#include "graph/fuse_impl.h"

static bool is_bias(const struct tsr_fuse *f, int32_t v, const struct tsr_tensor *w, int64_t n)
{
    const struct tsr_tensor *b = tsr_fuse_weight(f, v);
    return b && b->dtype == w->dtype && b->shape.rank == 1 && b->shape.dim[0] == n;
}

/* Anchored at the MatMul of a value with a matrix of weights. */
enum tsr_status tsr_fuse_linear(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    if (!tsr_node_is(node, "MatMul")) return TSR_OK;
    const struct tsr_tensor *w = tsr_fuse_weight(f, node->in[1]);
    const struct tsr_node *add = tsr_fuse_reader(f, node->out[0], "Add");
    if (!w || w->shape.rank != 2 || !add) return TSR_OK;
    int32_t in[3] = {node->in[0], node->in[1], tsr_fuse_other(add, node->out[0])};
    if (!is_bias(f, in[2], w, w->shape.dim[1])) return TSR_OK;
    TSR_TRY(tsr_fuse_begin(f, "Linear", "tessera", 3, in, add->out[0]));
    *done = true;
    return tsr_fuse_commit(f, add);
}

/* Anchored at the Relu after Linear or Gemm. */
enum tsr_status tsr_fuse_relu(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    if (!tsr_node_is(node, "Relu") || !tsr_fuse_inner(f, node->in[0]) || f->g->value[node->in[0]].producer < 0) return TSR_OK;
    const struct tsr_node *from = &f->g->node[f->g->value[node->in[0]].producer];
    int64_t trans = 0;
    if (tsr_node_is(from, "Gemm")) {
        const struct tsr_tensor *w = tsr_fuse_weight(f, from->in[1]);
        trans = tsr_node_int(from, "transB", 0) != 0;
        if (!w || w->shape.rank != 2 || from->n_in != 3 || tsr_node_int(from, "transA", 0) != 0 ||
            tsr_node_float(from, "alpha", 1) != 1.0f || tsr_node_float(from, "beta", 1) != 1.0f ||
            !is_bias(f, from->in[2], w, w->shape.dim[trans ? 0 : 1]))
            return TSR_OK;
    } else if (!tsr_node_is_of(from, "tessera", "Linear") || tsr_node_attr(from, "activation")) {
        return TSR_OK;
    }
    TSR_TRY(tsr_fuse_begin(f, "Linear", "tessera", 3, from->in, node->out[0]));
    TSR_TRY(tsr_graph_attr_int(f->g, "transB", trans, f->err));
    TSR_TRY(tsr_graph_attr_string(f->g, "activation", "Relu", f->err));
    *done = true;
    return tsr_fuse_commit(f, node);
}

static double element(const struct tsr_tensor *t, int64_t i) { return tsr_load_f64(t->dtype, t->data, i); }

/* to[k] = w[k] g for `from` <= k < `end`, rounded once. */
static void scale(const struct tsr_tensor *w, struct tsr_tensor *to, int64_t from, int64_t end, double g)
{
    if (w->dtype == TSR_F32) {
        const float *a = w->data;
        float *b = to->data;
        for (int64_t k = from; k < end; k++) b[k] = (float)((double)a[k] * g);
        return;
    }
    for (int64_t k = from; k < end; k++) tsr_store_f64(w->dtype, to->data, k, element(w, k) * g);
}

/* Anchored at the BatchNormalization after a Conv with known weights; inference only:
 * W' = W g, b' = (b - mean) g + beta with g = gamma / sqrt(var + epsilon). */
enum tsr_status tsr_fuse_batchnorm(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    struct tsr_tensor w2, b2;
    if (f->training || !tsr_node_is(node, "BatchNormalization") || node->n_out != 1 || tsr_node_int(node, "training_mode", 0))
        return TSR_OK;
    const struct tsr_node *conv = tsr_fuse_producer(f, node->in[0], "Conv");
    if (!conv || !tsr_fuse_inner(f, node->in[0])) return TSR_OK;
    const struct tsr_tensor *w = tsr_fuse_weight(f, conv->in[1]), *b = NULL, *p[4];
    if (!w || w->shape.rank < 3) return TSR_OK;
    const int64_t n = w->shape.dim[0];
    if (conv->n_in > 2 && conv->in[2] >= 0 && !(b = tsr_fuse_weight(f, conv->in[2]))) return TSR_OK;
    for (int i = 0; i < 4; i++) {
        p[i] = tsr_fuse_weight(f, node->in[i + 1]);
        if (!p[i] || p[i]->shape.rank != 1 || p[i]->shape.dim[0] != n) return TSR_OK;
    }
    if (b && (b->shape.rank != 1 || b->shape.dim[0] != n)) return TSR_OK;
    const double epsilon = (double)tsr_node_float(node, "epsilon", 1e-5f);
    TSR_TRY(tsr_tensor_new(&w2, w->dtype, &w->shape, NULL, f->err));
    enum tsr_status status = tsr_tensor_zeros(&b2, w->dtype, 1, &n, f->err);
    if (status != TSR_OK) {
        tsr_tensor_release(&w2);
        return status;
    }
    const int64_t each = n > 0 ? tsr_tensor_count(w) / n : 0;
    for (int64_t i = 0; i < n; i++) {
        const double g = element(p[0], i) / sqrt(element(p[3], i) + epsilon);
        scale(w, &w2, i * each, (i + 1) * each, g);
        tsr_store_f64(w->dtype, b2.data, i, ((b ? element(b, i) : 0) - element(p[2], i)) * g + element(p[1], i));
    }
    int32_t in[3] = {conv->in[0], -1, -1};
    const int32_t like = node->out[0];
    status = tsr_fuse_add(f, like, "weight", &w2, &in[1]);
    if (status == TSR_OK) status = tsr_fuse_add(f, like, "bias", &b2, &in[2]);
    tsr_tensor_release(&b2);
    TSR_TRY(status);
    TSR_TRY(tsr_fuse_begin(f, "Conv", "", 3, in, like));
    struct tsr_node *made = &f->g->node[f->g->n_node - 1]; /* the convolution's attributes, moved */
    struct tsr_node *from = &f->g->node[conv - f->g->node];
    made->attr = from->attr, made->n_attr = from->n_attr;
    from->attr = NULL, from->n_attr = 0;
    *done = true;
    return tsr_fuse_commit(f, node);
}

/* Anchored at the Relu or Gelu after BatchNormalization. */
enum tsr_status tsr_fuse_activation(struct tsr_fuse *f, const struct tsr_node *node, bool *done)
{
    bool relu = tsr_node_is(node, "Relu");
    if (!relu && !(tsr_node_is(node, "Gelu") && strcmp(tsr_node_string(node, "approximate", "none"), "none") == 0)) return TSR_OK;
    const struct tsr_node *norm = tsr_fuse_producer(f, node->in[0], "BatchNormalization");
    if (!norm || !tsr_fuse_inner(f, node->in[0]) || norm->n_out != 1 || norm->n_in != 5) return TSR_OK;
    if (tsr_node_int(norm, "training_mode", 0) != 0 || (norm->opset < 9 && tsr_node_int(norm, "spatial", 1) == 0)) return TSR_OK;
    const float epsilon = tsr_node_float(norm, "epsilon", 1e-5f), momentum = tsr_node_float(norm, "momentum", 0.9f);
    TSR_TRY(tsr_fuse_begin(f, "BatchNormalization", "tessera", 5, norm->in, node->out[0]));
    TSR_TRY(tsr_graph_attr_float(f->g, "epsilon", epsilon, f->err));
    TSR_TRY(tsr_graph_attr_float(f->g, "momentum", momentum, f->err));
    TSR_TRY(tsr_graph_attr_string(f->g, "activation", relu ? "Relu" : "Gelu", f->err));
    *done = true;
    return tsr_fuse_commit(f, node);
}
