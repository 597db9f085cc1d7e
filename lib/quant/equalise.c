#include "quant/equalise.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { SWEEPS = 6 };

/* Channels of a layer: weight (channel i, element j of the rest) is w[i * step + j / inner * outer + j % inner]. */
struct side {
    float *w;
    int64_t n, each;             /* channels; elements of one */
    int64_t step, outer, inner;
};

static bool has_weights(const struct tsr_graph *g, const struct tsr_node *node)
{
    const struct tsr_value *w = node->in[1] >= 0 ? &g->value[node->in[1]] : NULL;
    return w != NULL && w->is_init && w->init.dtype == TSR_F32 && w->init.shape.rank >= 2;
}

/* Output channels of a layer whose bias, where it has one, is a known row. */
static bool outputs(struct tsr_graph *g, const struct tsr_node *node, struct side *s, float **bias)
{
    if (!(tsr_node_is(node, "Conv") || tsr_node_is(node, "Gemm")) || !has_weights(g, node)) return false;
    struct tsr_tensor *w = &g->value[node->in[1]].init;
    const bool columns = tsr_node_is(node, "Gemm") && tsr_node_int(node, "transB", 0) == 0;
    if (tsr_node_is(node, "Gemm") && (w->shape.rank != 2 || tsr_node_float(node, "alpha", 1) != 1.0f || tsr_node_float(node, "beta", 1) != 1.0f))
        return false;
    const int64_t n = w->shape.dim[columns ? 1 : 0], all = tsr_tensor_count(w);
    if (n == 0 || all == 0) return false;
    *s = columns ? (struct side){w->data, n, all / n, 1, n, 1} : (struct side){w->data, n, all / n, all / n, 1, all / n};
    if (!columns) s->outer = 0;
    *bias = NULL;
    if (node->n_in < 3 || node->in[2] < 0) return true;
    struct tsr_value *b = &g->value[node->in[2]];
    if (!b->is_init || b->init.dtype != TSR_F32 || b->init.shape.rank != 1 || b->init.shape.dim[0] != n) return false;
    *bias = b->init.data;
    return true;
}

/* Input channels of a layer: all groups in one, or each channel for itself. */
static bool inputs(struct tsr_graph *g, const struct tsr_node *node, struct side *s)
{
    if (!(tsr_node_is(node, "Conv") || tsr_node_is(node, "Gemm")) || !has_weights(g, node)) return false;
    struct tsr_tensor *w = &g->value[node->in[1]].init;
    const int64_t all = tsr_tensor_count(w), group = tsr_node_int(node, "group", 1);
    if (all == 0) return false;
    if (tsr_node_is(node, "Gemm")) {
        const bool rows = tsr_node_int(node, "transB", 0) != 0; /* channels are its columns */
        if (w->shape.rank != 2 || tsr_node_int(node, "transA", 0) != 0) return false;
        const int64_t n = w->shape.dim[rows ? 1 : 0], m = w->shape.dim[rows ? 0 : 1];
        *s = rows ? (struct side){w->data, n, m, 1, n, 1} : (struct side){w->data, n, m, m, 0, m};
        return true;
    }
    const int64_t taps = all / w->shape.dim[0] / w->shape.dim[1];
    if (group == 1) {
        const int64_t n = w->shape.dim[1], m = w->shape.dim[0];
        *s = (struct side){w->data, n, m * taps, taps, n * taps, taps};
        return true;
    }
    if (w->shape.dim[1] != 1 || w->shape.dim[0] != group) return false;
    *s = (struct side){w->data, group, taps, taps, 0, taps};
    return true;
}

static float *element(const struct side *s, int64_t i, int64_t j) { return s->w + i * s->step + j / s->inner * s->outer + j % s->inner; }

static float largest(const struct side *s, int64_t i)
{
    float top = 0;
    for (int64_t j = 0; j < s->each; j++) top = fmaxf(top, fabsf(*element(s, i, j)));
    return top;
}

static void scale(const struct side *s, int64_t i, float f)
{
    for (int64_t j = 0; j < s->each; j++) *element(s, i, j) *= f;
}

/* The layer that alone reads v, over operators that leave channels apart and follow a positive factor; or NULL. */
static const struct tsr_node *next_layer(const struct tsr_graph *g, int32_t v, const int32_t *reads, const int32_t *reader)
{
    static const char *const between[] = {"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool"};
    for (int steps = 0; steps < 8; steps++) {
        if (v < 0 || reads[v] != 1 || g->value[v].is_output) return NULL;
        const struct tsr_node *node = &g->node[reader[v]];
        if (node->in[0] != v) return NULL;
        if (tsr_node_is(node, "Conv") || tsr_node_is(node, "Gemm")) return node;
        bool passes = false;
        for (size_t i = 0; i < sizeof between / sizeof *between; i++) passes = passes || tsr_node_is(node, between[i]);
        if (!passes || node->n_out != 1) return NULL;
        v = node->out[0];
    }
    return NULL;
}

/* Elements of its own for the initialiser v; false where another node reads it, too. */
static enum tsr_status own(struct tsr_graph *g, int32_t v, const int32_t *reads, bool *done, bool *ok, struct tsr_error *err)
{
    *ok = v < 0 || reads[v] == 1;
    if (v < 0 || !*ok || done[v] || !g->value[v].is_init) return TSR_OK;
    struct tsr_tensor t;
    TSR_TRY(tsr_tensor_copy(&t, &g->value[v].init, err));
    tsr_tensor_release(&g->value[v].init);
    g->value[v].init = t;
    done[v] = true;
    return TSR_OK;
}

static enum tsr_status sweep(struct tsr_graph *g, const int32_t *reads, const int32_t *reader, bool *done, int *pairs, struct tsr_error *err)
{
    *pairs = 0;
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *a = &g->node[i];
        const struct tsr_node *b = tsr_node_is(a, "Conv") || tsr_node_is(a, "Gemm") ? next_layer(g, a->out[0], reads, reader) : NULL;
        struct side x, y;
        float *bias;
        if (b == NULL || !outputs(g, a, &x, &bias) || !inputs(g, b, &y) || x.n != y.n) continue;
        const int32_t bias_id = a->n_in > 2 ? a->in[2] : -1, mine[3] = {a->in[1], bias_id, b->in[1]};
        bool all = true, ok;
        for (int k = 0; k < 3; k++) {
            TSR_TRY(own(g, mine[k], reads, done, &ok, err));
            all = all && ok;
        }
        if (!all || !outputs(g, a, &x, &bias) || !inputs(g, b, &y)) continue;
        for (int64_t c = 0; c < x.n; c++) {
            const float ra = largest(&x, c), rb = largest(&y, c), s = sqrtf(ra / rb);
            if (!(s > 1e-3f && s < 1e3f)) continue;
            scale(&x, c, 1 / s);
            scale(&y, c, s);
            if (bias != NULL) bias[c] /= s;
        }
        (*pairs)++;
    }
    return TSR_OK;
}

enum tsr_status tsr_quant_equalise(struct tsr_graph *g, int *pairs, struct tsr_error *err)
{
    int32_t *reads = tsr_calloc(g->n_value + 1, sizeof *reads), *reader = tsr_calloc(g->n_value + 1, sizeof *reader);
    bool *done = tsr_calloc(g->n_value + 1, sizeof *done);
    enum tsr_status status = reads && reader && done ? TSR_OK : tsr_nomem(err, g->n_value * sizeof *reads);
    *pairs = 0;
    if (status == TSR_OK) tsr_graph_readers(g, reads, reader);
    for (int turn = 0; turn < SWEEPS && status == TSR_OK; turn++) status = sweep(g, reads, reader, done, pairs, err);
    tsr_free(reads);
    tsr_free(reader);
    tsr_free(done);
    return status;
}
