#include "ops/batches.h"

#include <string.h>

enum tsr_status tsr_batches_init(struct tsr_op_ctx *ctx, int ia, int ib, struct tsr_batches *s, struct tsr_shape *out)
{
    char ta[TSR_SHAPE_TEXT], tb[TSR_SHAPE_TEXT];
    struct tsr_shape a = ctx->in[ia]->shape, b = ctx->in[ib]->shape, both;
    bool va = a.rank == 1, vb = b.rank == 1;
    if (a.rank == 0 || b.rank == 0) return tsr_op_fail(ctx, TSR_E_MISMATCH, "a scalar has no matrix product; use Mul");
    if (va) a = (struct tsr_shape){.rank = 2, .dim = {1, a.dim[0]}};
    if (vb) b = (struct tsr_shape){.rank = 2, .dim = {b.dim[0], 1}};
    memset(s, 0, sizeof *s);
    s->m = a.dim[a.rank - 2], s->k = a.dim[a.rank - 1], s->n = b.dim[b.rank - 1];
    int64_t kb = b.dim[b.rank - 2];
    a.rank -= 2, b.rank -= 2;
    if (kb != s->k || !tsr_shape_broadcast(&a, &b, &both))
        return tsr_op_fail(ctx, TSR_E_MISMATCH, "%s and %s do not fit together",
                           tsr_shape_text(&ctx->in[ia]->shape, ta, sizeof ta),
                           tsr_shape_text(&ctx->in[ib]->shape, tb, sizeof tb));
    s->rank = both.rank;
    s->count = s->count_a = s->count_b = 1;
    for (int i = both.rank - 1; i >= 0; i--) {
        int at = i - (both.rank - a.rank), bt = i - (both.rank - b.rank);
        int64_t da = at >= 0 ? a.dim[at] : 1, db = bt >= 0 ? b.dim[bt] : 1;
        s->dim[i] = both.dim[i];
        s->step_a[i] = da == 1 ? 0 : s->count_a;
        s->step_b[i] = db == 1 ? 0 : s->count_b;
        s->count_a *= da, s->count_b *= db, s->count *= both.dim[i];
    }
    *out = both;
    if (!va) out->dim[out->rank++] = s->m;
    if (!vb) out->dim[out->rank++] = s->n;
    return TSR_OK;
}

int64_t tsr_batches_place(const struct tsr_batches *s, const int64_t *step, int64_t at)
{
    int64_t place = 0;
    for (int i = s->rank - 1; i >= 0; i--) {
        place += at % s->dim[i] * step[i];
        at /= s->dim[i];
    }
    return place;
}

bool tsr_batches_regular(const struct tsr_batches *s, const int64_t *step, int64_t *stride)
{
    int64_t n = 1;
    bool fixed = true, running = true;
    for (int i = s->rank - 1; i >= 0; i--) {
        if (s->dim[i] == 1) continue;
        fixed = fixed && step[i] == 0;
        running = running && step[i] == n;
        n *= s->dim[i];
    }
    *stride = fixed ? 0 : 1;
    return fixed || running;
}
