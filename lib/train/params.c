#include "train/params.h"

#include "base/clones.h"
#include "base/mem.h"

#include <string.h>

/* Inputs 3 and 4 of BatchNormalization are its running mean and variance. */
static void find_buffers(const struct tsr_graph *g, bool *buffer)
{
    for (size_t i = 0; i < g->n_node; i++) {
        const struct tsr_node *node = &g->node[i];
        if (strcmp(node->op_type, "BatchNormalization") != 0 || node->domain[0] != '\0') continue;
        for (int k = 3; k < 5 && k < node->n_in; k++)
            if (node->in[k] >= 0 && g->value[node->in[k]].is_init) buffer[node->in[k]] = true;
    }
}

static enum tsr_status add(struct tsr_params *ps, struct tsr_graph *g, size_t v, bool buffer, struct tsr_error *err)
{
    struct tsr_tensor *t = &g->value[v].init;
    if (t->dtype != TSR_F32)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "the parameter '%s' is %s; only float32 models can be trained",
                        g->value[v].name, tsr_dtype_name(t->dtype));
    struct tsr_tensor own;
    TSR_TRY(tsr_tensor_copy(&own, t, err));
    tsr_tensor_release(t);
    *t = own;
    int64_t n = tsr_tensor_count(t);
    bool decay = t->shape.rank >= 2 && !buffer;
    ps->p[ps->n++] = (struct tsr_param){.id = (int32_t)v, .w = t->data, .n = n, .decay = decay, .buffer = buffer};
    ps->total += n;
    return TSR_OK;
}

enum tsr_status tsr_params_init(struct tsr_params *ps, struct tsr_graph *g, struct tsr_error *err)
{
    *ps = (struct tsr_params){0};
    bool *buffer = tsr_calloc(g->n_value, sizeof *buffer);
    ps->p = tsr_calloc(g->n_value, sizeof *ps->p);
    enum tsr_status status = TSR_OK;
    if (buffer == NULL || ps->p == NULL) {
        status = tsr_nomem(err, g->n_value * sizeof *ps->p);
        goto done;
    }
    find_buffers(g, buffer);
    bool any = false;
    for (size_t v = 0; v < g->n_value; v++) {
        if (!g->value[v].trainable && !buffer[v]) continue;
        any = any || g->value[v].trainable;
        TSR_GO(status, done, add(ps, g, v, buffer[v], err));
    }
    if (!any) status = tsr_fail(err, TSR_E_MISMATCH, "the model has no parameters that can be trained");
done:
    tsr_free(buffer);
    if (status != TSR_OK) tsr_params_release(ps);
    return status;
}

void tsr_params_release(struct tsr_params *ps)
{
    tsr_free(ps->p);
    *ps = (struct tsr_params){0};
}

void tsr_params_save(const struct tsr_params *ps, float *flat)
{
    for (size_t i = 0; i < ps->n; flat += ps->p[i++].n) memcpy(flat, ps->p[i].w, (size_t)ps->p[i].n * sizeof *flat);
}

void tsr_params_load(const struct tsr_params *ps, const float *flat)
{
    for (size_t i = 0; i < ps->n; flat += ps->p[i++].n) memcpy(ps->p[i].w, flat, (size_t)ps->p[i].n * sizeof *flat);
}

TSR_CLONES static void blend(float *restrict to, const float *restrict from, float part, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] += part * (from[i] - to[i]);
}

void tsr_params_average(const struct tsr_params *ps, float decay, float *flat)
{
    for (size_t i = 0; i < ps->n; flat += ps->p[i++].n) blend(flat, ps->p[i].w, 1.0f - decay, ps->p[i].n);
}
