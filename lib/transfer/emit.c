/* emit.c - samples and views as a file, for a transmitter that is not ours to run. */
#include "base/mem.h"
#include "transfer/transmit.h"

enum tsr_status tsr_emit_block(struct tsr_views *v, const struct tsr_tensor *x, struct tsr_npy_writer *to,
                               struct tsr_error *err)
{
    int64_t m = x->shape.dim[0];
    size_t each = tsr_tensor_bytes(x) / (size_t)m;
    if (v->count > 0 && v->noise < 0) TSR_TRY(tsr_views_default(v, x, v->count, v->seed, err));
    struct tsr_key *key = tsr_malloc((size_t)m, sizeof *key);
    char *out = tsr_malloc((size_t)m, each);
    const struct tsr_view_block block = tsr_view_block(x, key);
    enum tsr_status status = key == NULL || out == NULL ? tsr_nomem(err, (size_t)m * each) : TSR_OK;
    if (status == TSR_OK) {
        tsr_sample_keys(x, 1, key);
        status = tsr_npy_write(to, x->data, m, err);
    }
    for (uint32_t number = 1; status == TSR_OK && number <= v->count; number++) {
        for (uint32_t i = 0; i < block.n; i++) tsr_view_row(v, &block, i, number, out + each * i);
        status = tsr_npy_write(to, out, m, err);
    }
    tsr_free(key);
    tsr_free(out);
    return status;
}
