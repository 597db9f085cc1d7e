#include "quant/prune.h"

#include "base/mem.h"
#include "io/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum tsr_status tsr_prune_parse(const char *text, struct tsr_prune *p, struct tsr_error *err)
{
    const char *colon = strchr(text, ':');
    char *end = NULL;
    *p = (struct tsr_prune){0};
    if (colon != NULL && text[0] >= '0' && text[0] <= '9' && colon[1] >= '0' && colon[1] <= '9') {
        p->n = strtol(text, &end, 10);
        bool first = end == colon;
        p->m = strtol(colon + 1, &end, 10);
        if (first && *end == '\0' && p->n >= 1 && p->m > p->n && p->m <= 64) return TSR_OK;
    } else if (colon == NULL && tsr_number_parse(text, strlen(text), &p->fraction) && p->fraction > 0 && p->fraction < 1) {
        return TSR_OK;
    }
    return tsr_fail(err, TSR_E_USAGE, "'%.40s' is neither a fraction between 0 and 1 nor n:m with 1 <= n < m <= 64", text);
}

/* The axis that is summed over for input k of the node, or -1 where that holds no weights. */
static int summed_axis(const struct tsr_graph *g, const struct tsr_node *node, int k)
{
    const struct tsr_value *v = node->in[k] < 0 ? NULL : &g->value[node->in[k]];
    if (v == NULL || !v->is_init || v->init.dtype != TSR_F32 || v->init.shape.rank < 2) return -1;
    if (tsr_node_is(node, "Conv") || tsr_node_is(node, "Gemm") || tsr_node_is(node, "MatMul")) {
        if (k != 1) return -1;
        if (tsr_node_is(node, "Conv")) return 1;
        return tsr_node_is(node, "Gemm") && tsr_node_int(node, "transB", 0) != 0 ? 1 : v->init.shape.rank - 2;
    }
    bool recurrent = tsr_node_is(node, "LSTM") || tsr_node_is(node, "GRU") || tsr_node_is(node, "RNN");
    return recurrent && (k == 1 || k == 2) ? 2 : -1;
}

struct ranked {
    float size;
    int64_t at;
};

/* The smallest first; of equals the last first, so that the first stay. */
static int by_size(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->at > y->at ? -1 : x->at < y->at;
}

static enum tsr_status prune_fraction(struct tsr_tensor *w, double fraction, struct tsr_error *err)
{
    int64_t n = tsr_tensor_count(w), drop = (int64_t)floor(fraction * (double)n + 0.5);
    float *x = w->data;
    struct ranked *r = tsr_malloc((size_t)n, sizeof *r);
    if (r == NULL) return tsr_nomem(err, (size_t)n * sizeof *r);
    for (int64_t i = 0; i < n; i++) r[i] = (struct ranked){fabsf(x[i]), i};
    qsort(r, (size_t)n, sizeof *r, by_size);
    for (int64_t i = 0; i < drop; i++) x[r[i].at] = 0;
    tsr_free(r);
    return TSR_OK;
}

static void prune_rows(struct tsr_tensor *w, int axis, int64_t n, int64_t m)
{
    const struct tsr_shape *s = &w->shape;
    int64_t outer = 1, inner = 1, dim = s->dim[axis];
    float *x = w->data;
    for (int i = 0; i < axis; i++) outer *= s->dim[i];
    for (int i = axis + 1; i < s->rank; i++) inner *= s->dim[i];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            for (int64_t d = 0; d < dim; d += m) {
                struct ranked r[64];
                int64_t count = dim - d < m ? dim - d : m;
                for (int64_t k = 0; k < count; k++) {
                    int64_t at = (o * dim + d + k) * inner + i;
                    r[k] = (struct ranked){fabsf(x[at]), at};
                }
                qsort(r, (size_t)count, sizeof *r, by_size);
                for (int64_t k = 0; k < count - n; k++) x[r[k].at] = 0;
            }
}

enum tsr_status tsr_prune(struct tsr_graph *g, const struct tsr_prune *p, int64_t *zeros, int64_t *weights,
                          struct tsr_error *err)
{
    bool *done = tsr_calloc(g->n_value + 1, sizeof *done);
    int64_t zero = 0, all = 0;
    if (done == NULL) return tsr_nomem(err, g->n_value);
    enum tsr_status status = TSR_OK;
    for (size_t i = 0; i < g->n_node && status == TSR_OK; i++)
        for (int k = 0; k < g->node[i].n_in && status == TSR_OK; k++) {
            int axis = summed_axis(g, &g->node[i], k);
            if (axis < 0 || done[g->node[i].in[k]]) continue;
            done[g->node[i].in[k]] = true;
            struct tsr_tensor *w = &g->value[g->node[i].in[k]].init, own;
            status = tsr_tensor_copy(&own, w, err);
            if (status != TSR_OK) break;
            tsr_tensor_release(w);
            *w = own;
            if (p->m > 0) prune_rows(w, axis, p->n, p->m);
            else status = prune_fraction(w, p->fraction, err);
            for (int64_t j = 0, n = tsr_tensor_count(w); j < n; j++, all++) zero += ((const float *)w->data)[j] == 0;
        }
    tsr_free(done);
    if (zeros != NULL) *zeros = zero;
    if (weights != NULL) *weights = all;
    return status;
}
