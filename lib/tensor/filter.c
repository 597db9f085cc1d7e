#include "tensor/filter.h"
#include "tensor/gemm_isa.h"
#include "tensor/vmath.h"

int64_t tsr_filter_room(int64_t channels)
{
    const int64_t vl = tsr_gemm_chosen()->vl;
    return (channels + vl - 1) / vl * vl;
}

/* A few channels of all positions, then the next: what the taps share stays in the first-level cache. */
void tsr_filter_run(const struct tsr_filter *f, int64_t n, const struct tsr_panel_end *end)
{
    const struct tsr_gemm_isa *isa = tsr_gemm_chosen();
    struct tsr_panel_end here = *end;
    struct tsr_filter_tile t = {.at = f->at, .taps = f->taps, .step = tsr_filter_room(f->channels), .end = &here};
    for (int64_t c = 0; c < f->channels;) {
        int64_t nv = (f->channels - c + isa->vl - 1) / isa->vl;
        nv = nv == 4 ? 2 : nv < 3 ? nv : 3; /* no single vector where it can be avoided */
        const int64_t width = nv * isa->vl, real = f->channels - c < width ? f->channels - c : width, tallest = isa->panel_rows[nv - 1];
        t.x = f->x + c, t.w = f->w + c, t.y = f->y + c, t.last = real - (width - isa->vl);
        t.bias = end->bias != NULL ? end->bias + c : NULL;
        here.add = end->add != NULL ? end->add + c : NULL;
        for (int64_t i = 0; i < n;) {
            const int64_t mr = n - i < tallest ? n - i : tallest;
            t.tiles = (n - i) / mr, t.row = f->row + i, t.to = f->to + i;
            isa->filter[nv - 1][mr - 1](&t);
            i += mr * t.tiles;
        }
        c += real;
    }
    for (int64_t i = 0; end->kind == TSR_END_GELU && i < n; i++) tsr_vgelu(f->channels, f->y + f->to[i], f->y + f->to[i]);
}
