#include "ops/packed.h"

#include "base/mem.h"

enum {
    MOST = 1 << 24,  /* elements of B: a packed copy of more would show in the memory that a run takes */
    LEFT = 48 << 20  /* bytes for what nodes keep that are left to convolutions: packing theirs takes longer */
};

struct packed {
    struct tsr_panels panels;
    _Alignas(64) float data[];
};

bool tsr_packed_suits(const struct tsr_op_ctx *ctx, const struct tsr_packed *p)
{
    return ctx->constant != NULL && ctx->constant[p->input] && p->m > 0 && p->n > 0 && p->k > 0 && p->k <= MOST / p->n;
}

enum tsr_status tsr_packed_run(struct tsr_op_ctx *ctx, const struct tsr_packed *p)
{
    struct packed *kept = *ctx->state;
    struct tsr_panels panels;
    if (kept != NULL && tsr_panels_current(&kept->panels)) {
        tsr_panels_run(&kept->panels, p->m, p->a, p->k, p->c, p->n, &p->end, ctx->pool);
        return TSR_OK;
    }
    const size_t bytes = (size_t)tsr_panels_size(p->k, p->n) * sizeof(float);
    float *own = NULL, *to;
    kept = ctx->spare != NULL && *ctx->spare >= LEFT + bytes ? tsr_op_keep(ctx, p->input, sizeof *kept + bytes) : NULL;
    to = kept != NULL ? kept->data : (own = tsr_op_scratch(ctx, bytes));
    if (to == NULL) return tsr_nomem(ctx->err, bytes);
    tsr_panels_pack(&panels, p->tb, p->k, p->n, p->b, p->tb ? p->k : p->n, p->m, to);
    if (kept != NULL) kept->panels = panels;
    tsr_panels_run(&panels, p->m, p->a, p->k, p->c, p->n, &p->end, ctx->pool);
    tsr_op_scratch_free(ctx, own, bytes);
    return TSR_OK;
}
