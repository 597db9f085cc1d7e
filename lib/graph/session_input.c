/* session_input.c - what a session is given, against what the graph declares. */
#include <string.h>

#include "graph/session_impl.h"

static bool same_symbol(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }

/* A symbolic dimension has one size in a tensor. */
static enum tsr_status check_symbols(const struct tsr_session *s, int32_t id, const struct tsr_tensor *t,
                                     struct tsr_error *err)
{
    const struct tsr_value *v = &s->g->value[id];
    for (int a = 0; a < v->shape.rank; a++)
        for (int b = 0; b < a; b++)
            if (same_symbol(v->dim_name[a], v->dim_name[b]) && t->shape.dim[a] != t->shape.dim[b])
                return tsr_fail(err, TSR_E_MISMATCH, "input '%s' has both %lld and %lld for the dimension '%s'", v->name,
                                (long long)t->shape.dim[b], (long long)t->shape.dim[a], v->dim_name[a]);
    return TSR_OK;
}

static enum tsr_status check_pair(const struct tsr_session *s, int32_t id, int32_t other, struct tsr_error *err)
{
    const struct tsr_value *v = &s->g->value[id], *w = &s->g->value[other];
    for (int a = 0; a < v->shape.rank; a++)
        for (int b = 0; b < w->shape.rank; b++) {
            const int64_t have = s->value[id].shape.dim[a], before = s->value[other].shape.dim[b];
            if (same_symbol(v->dim_name[a], w->dim_name[b]) && have != before)
                return tsr_fail(err, TSR_E_MISMATCH, "input '%s' has %lld for the dimension '%s', but input '%s' has %lld", v->name,
                                (long long)have, v->dim_name[a], w->name, (long long)before);
        }
    return TSR_OK;
}

enum tsr_status tsr_session_check_inputs(const struct tsr_session *s, struct tsr_error *err)
{
    for (size_t i = 0; i < s->g->n_input; i++) {
        const int32_t v = s->g->input[i];
        if (!s->given[v]) continue; /* initialisers may be listed by the hundred */
        for (size_t k = 0; k < i; k++)
            if (s->given[s->g->input[k]]) TSR_TRY(check_pair(s, v, s->g->input[k], err));
    }
    return TSR_OK;
}

enum tsr_status tsr_session_set_input(struct tsr_session *s, int32_t id, const struct tsr_tensor *t,
                                      struct tsr_error *err)
{
    const struct tsr_value *v = &s->g->value[id];
    char have[TSR_SHAPE_TEXT], need[TSR_SHAPE_TEXT];
    if (v->dtype != TSR_NONE && v->dtype != t->dtype)
        return tsr_fail(err, TSR_E_MISMATCH, "input '%s' wants elements of type %s, not %s", v->name,
                        tsr_dtype_name(v->dtype), tsr_dtype_name(t->dtype));
    bool fits = v->shape.rank < 0 || v->shape.rank == t->shape.rank;
    for (int i = 0; fits && v->shape.rank >= 0 && i < v->shape.rank; i++)
        fits = v->shape.dim[i] < 0 || v->shape.dim[i] == t->shape.dim[i];
    if (!fits)
        return tsr_fail(err, TSR_E_MISMATCH, "input '%s' wants the shape %s (-1 is any size), not %s", v->name,
                        tsr_shape_text(&v->shape, need, sizeof need), tsr_shape_text(&t->shape, have, sizeof have));
    TSR_TRY(check_symbols(s, id, t, err));
    tsr_session_give(s, id, t);
    return TSR_OK;
}
