/* fake.c - the network for teaching on the grid, and what was learnt back into the plan. */
#include "base/mem.h"
#include "quant/rewrite_impl.h"

#include <math.h>
#include <string.h>

/* FakeQuantize of `in`, whose scale is in the initialiser of that name; the gain is made here where learnt. */
static enum tsr_status put_fake(struct tsr_rewriter *r, const char *base, const char *in, const char *scale, const char *zero,
                                int64_t n, int bits, bool whole, int axis, int64_t block, char gain[TSR_QUANT_NAME], const char *out)
{
    struct tsr_tensor t;
    const int32_t most = (1 << (bits - 1)) - 1;
    if (gain != NULL) {
        TSR_TRY(tsr_tensor_zeros(&t, TSR_F32, 1, &n, r->err));
        TSR_TRY(tsr_rw_init(r, base, "gain", &t, gain));
    }
    const char *inputs[4] = {in, scale, zero != NULL ? zero : "", gain != NULL ? gain : ""};
    TSR_TRY(tsr_graph_add_node(r->to, "FakeQuantize", "tessera", out, gain != NULL ? 4 : 3, inputs, 1, &out, r->err));
    TSR_TRY(tsr_graph_attr_int(r->to, "lo", whole ? -most - 1 : -most, r->err));
    TSR_TRY(tsr_graph_attr_int(r->to, "hi", most, r->err));
    if (axis >= 0) TSR_TRY(tsr_graph_attr_int(r->to, "axis", axis, r->err));
    return block > 0 ? tsr_graph_attr_int(r->to, "block_size", block, r->err) : TSR_OK;
}

/* Weights on the grid while they are learnt; `learnt`: their steps, too. */
enum tsr_status tsr_rw_fake_weight(struct tsr_rewriter *r, struct tsr_quant_layer *l, int32_t v, bool learnt, char name[TSR_QUANT_NAME])
{
    const struct tsr_tensor *w = &r->from->value[v].init;
    const char *base = r->from->value[v].name;
    struct tsr_weight_grid grid = l->grid;
    struct tsr_tensor t, row = *w;
    char scale[TSR_QUANT_NAME], gain[TSR_QUANT_NAME];
    if (grid.axis < 0) row.shape = (struct tsr_shape){.rank = 2, .dim = {1, tsr_tensor_count(w)}}, grid.axis = 0;
    const struct tsr_shape shape = tsr_weight_scale_shape(&row.shape, &grid);
    TSR_TRY(tsr_tensor_new(&t, TSR_F32, &shape, NULL, r->err));
    enum tsr_status status = TSR_OK;
    if (l->scale != NULL && learnt) memcpy(t.data, l->scale, tsr_tensor_bytes(&t));
    else status = tsr_weight_scales(&row, &grid, grid.bits == 4, t.data, r->err);
    if (status != TSR_OK) {
        tsr_tensor_release(&t);
        tsr_error_prefix(r->err, "weights '%s'", base);
        return status;
    }
    TSR_TRY(tsr_rw_init(r, base, "scale", &t, scale));
    TSR_TRY(tsr_rw_bring(r, v));
    tsr_rw_fresh(r, base, "dq", name);
    TSR_TRY(put_fake(r, base, base, scale, NULL, tsr_shape_count(&shape), grid.bits, false, l->grid.axis, grid.block,
                     learnt ? gain : NULL, name));
    if (!learnt) return TSR_OK;
    l->fake_scale = tsr_graph_find(r->to, scale);
    l->fake_gain = tsr_graph_find(r->to, gain);
    return TSR_OK;
}

/* The first value of those that share a step learns it; the others read its initialisers. */
enum tsr_status tsr_rw_fake_point(struct tsr_rewriter *r, int32_t v, const char *as, const char *dq)
{
    struct tsr_quant_point *p = &r->plan->point[r->plan->point[v].same];
    const char *root = r->from->value[r->plan->point[v].same].name;
    char scale[TSR_QUANT_NAME], zero[TSR_QUANT_NAME], gain[TSR_QUANT_NAME];
    const int32_t most = (1 << (p->step.bits - 1)) - 1;
    if (p->fake_gain >= 0) { /* a copy of the node with the same step */
        const char *in[4] = {as, r->to->value[p->fake_scale].name, r->zero[r->plan->point[v].same], r->to->value[p->fake_gain].name};
        TSR_TRY(tsr_graph_add_node(r->to, "FakeQuantize", "tessera", dq, 4, in, 1, &dq, r->err));
        TSR_TRY(tsr_graph_attr_int(r->to, "lo", -most - 1, r->err));
        return tsr_graph_attr_int(r->to, "hi", most, r->err);
    }
    TSR_TRY(tsr_rw_float(r, root, "scale", p->step.scale, scale));
    TSR_TRY(tsr_rw_zero(r, root, TSR_I32, p->step.zero, zero));
    TSR_TRY(put_fake(r, root, as, scale, zero, 1, p->step.bits, true, -1, 0, gain, dq));
    p->fake_scale = tsr_graph_find(r->to, scale);
    p->fake_gain = tsr_graph_find(r->to, gain);
    r->zero[r->plan->point[v].same] = tsr_strdup(zero);
    return r->zero[r->plan->point[v].same] ? TSR_OK : tsr_nomem(r->err, TSR_QUANT_NAME);
}

/* scale * e^gain, of n elements. */
static void learnt_scales(const struct tsr_graph *fake, int32_t scale, int32_t gain, int64_t n, float *to)
{
    const float *s = fake->value[scale].init.data, *g = fake->value[gain].init.data;
    for (int64_t i = 0; i < n; i++) to[i] = fmaxf(s[i] * expf(g[i]), 1e-30f);
}

enum tsr_status tsr_quant_take(struct tsr_quant_plan *plan, struct tsr_graph *g, const struct tsr_graph *fake, struct tsr_error *err)
{
    for (size_t v = 0; v < g->n_value; v++) {
        if (!g->value[v].is_init || g->value[v].init.dtype != TSR_F32) continue;
        const int32_t id = tsr_graph_find(fake, g->value[v].name);
        if (id < 0 || !fake->value[id].is_init || !tsr_shape_equal(&fake->value[id].init.shape, &g->value[v].init.shape)) continue;
        struct tsr_tensor own;
        TSR_TRY(tsr_tensor_copy(&own, &fake->value[id].init, err));
        tsr_tensor_release(&g->value[v].init);
        g->value[v].init = own;
    }
    for (size_t i = 0; i < g->n_node; i++) {
        struct tsr_quant_layer *l = &plan->layer[i];
        if (l->fake_gain < 0) continue;
        const int64_t n = tsr_tensor_count(&fake->value[l->fake_scale].init);
        tsr_free(l->rounded);
        tsr_free(l->scale);
        l->rounded = NULL;
        l->scale = tsr_malloc((size_t)n, sizeof *l->scale);
        if (l->scale == NULL) return tsr_nomem(err, (size_t)n * sizeof *l->scale);
        learnt_scales(fake, l->fake_scale, l->fake_gain, n, l->scale);
    }
    for (size_t v = 0; v < g->n_value; v++)
        if (plan->point[v].fake_gain >= 0) learnt_scales(fake, plan->point[v].fake_scale, plan->point[v].fake_gain, 1, &plan->point[v].step.scale);
    return TSR_OK;
}
