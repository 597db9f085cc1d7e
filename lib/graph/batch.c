#include "graph/batch.h"

#include "graph/session_impl.h"

#include <string.h>

int64_t tsr_batch_fixed(const struct tsr_graph *g)
{
    const struct tsr_value *v = g->n_input > 0 ? &g->value[g->input[0]] : NULL;
    for (size_t k = 0; k < g->n_input; k++)
        if (g->value[g->input[k]].shape.rank == 0) return 1; /* a number for all samples of a run: for one */
    return v != NULL && v->shape.rank > 0 && v->shape.dim[0] > 0 ? v->shape.dim[0] : 0;
}

enum tsr_status tsr_batch_choose(struct tsr_session *s, const struct tsr_graph *g, const struct tsr_tensor *x,
                                 size_t n_inputs, const int32_t *want, size_t n_want, int64_t *rows,
                                 struct tsr_error *err)
{
    for (size_t k = 0; k < n_inputs; k++) TSR_TRY(tsr_batch_input(s, g, g->input[k], &x[k], 0, 1, err));
    TSR_TRY(tsr_session_run(s, want, n_want, err));
    *rows = tsr_batch_fixed(g);
    if (*rows > 0) return TSR_OK;
    size_t each = s->peak > 0 ? s->peak : 1, fit = TSR_BATCH_BYTES / each, near = TSR_BATCH_NEAR_BYTES / each;
    if (fit > TSR_BATCH_FEW) fit = near > TSR_BATCH_FEW ? near : TSR_BATCH_FEW;
    *rows = fit < 1 ? 1 : fit < TSR_BATCH_ROWS ? (int64_t)fit : TSR_BATCH_ROWS;
    return TSR_OK;
}

enum tsr_status tsr_batch_input(struct tsr_session *s, const struct tsr_graph *g, int32_t id,
                                const struct tsr_tensor *x, int64_t at, int64_t m, struct tsr_error *err)
{
    int64_t fixed = tsr_batch_fixed(g);
    size_t each = tsr_tensor_bytes(x) / (size_t)x->shape.dim[0];
    char *from = (char *)x->data + each * (size_t)at;
    struct tsr_tensor part = {.dtype = x->dtype, .shape = x->shape, .data = from};
    part.shape.dim[0] = m;
    if (g->value[id].shape.rank == 0 && part.shape.rank == 1) part.shape.rank = 0;
    if (m >= fixed) return tsr_session_set_input(s, id, &part, err);
    part.shape.dim[0] = fixed;
    TSR_TRY(tsr_tensor_new(&part, x->dtype, &part.shape, NULL, err));
    memcpy(part.data, from, each * (size_t)m);
    for (int64_t i = m; i < fixed; i++) memcpy((char *)part.data + each * (size_t)i, from + each * (size_t)(m - 1), each);
    enum tsr_status status = tsr_session_set_input(s, id, &part, err);
    tsr_tensor_release(&part);
    return status;
}

enum tsr_status tsr_batch_value(const struct tsr_session *s, const struct tsr_graph *g, int32_t id, int64_t m,
                                struct tsr_tensor *out, struct tsr_error *err)
{
    int64_t fixed = tsr_batch_fixed(g);
    *out = *tsr_session_value(s, id);
    if (m >= fixed) return TSR_OK;
    if (out->shape.rank < 1 || out->shape.dim[0] != fixed)
        return tsr_fail(err, TSR_E_MISMATCH,
                        "'%s' does not begin with the %lld samples that the model takes at once; give a multiple of "
                        "%lld samples",
                        g->value[id].name, (long long)fixed, (long long)fixed);
    out->shape.dim[0] = m;
    return TSR_OK;
}
