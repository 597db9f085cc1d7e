/* emit.c - samples and views as a file, for a transmitter that is not ours to run. */
#include "base/mem.h"
#include "transfer/transmit.h"

#include <string.h>

enum tsr_status tsr_emit_block(struct tsr_views *v, const struct tsr_tensor *x, struct tsr_npy_writer *to,
                               struct tsr_error *err)
{
    int64_t m = x->shape.dim[0];
    size_t each = tsr_tensor_bytes(x) / (size_t)m;
    struct tsr_shape one = {.rank = x->shape.rank - 1};
    memcpy(one.dim, x->shape.dim + 1, (size_t)one.rank * sizeof *one.dim);
    if (v->count > 0 && v->noise < 0) TSR_TRY(tsr_views_default(v, x, v->count, v->seed, err));
    struct tsr_key *key = tsr_malloc((size_t)m, sizeof *key);
    char *out = tsr_malloc((size_t)m, each);
    enum tsr_status status = key == NULL || out == NULL ? tsr_nomem(err, (size_t)m * each) : TSR_OK;
    if (status == TSR_OK) {
        tsr_sample_keys(x, 1, key);
        status = tsr_npy_write(to, x->data, m, err);
    }
    for (uint32_t number = 1; status == TSR_OK && number <= v->count; number++) {
        for (int64_t i = 0; i < m; i++) {
            struct tsr_view_plan plan;
            const char *from = x->data;
            tsr_view_plan(v, &key[i], number, (uint32_t)m, &plan);
            tsr_view_make(v, &plan, x->dtype, &one, from + each * (size_t)i, from + each * plan.partner,
                          out + each * (size_t)i);
        }
        status = tsr_npy_write(to, out, m, err);
    }
    tsr_free(key);
    tsr_free(out);
    return status;
}
