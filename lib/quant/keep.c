#include "quant/keep.h"

#include "base/mem.h"

#include <string.h>

void tsr_quant_keep_init(struct tsr_quant_keep *k, uint64_t seed)
{
    memset(k, 0, sizeof *k);
    tsr_rng_init(&k->rng, seed, 0x6b656570);
}

void tsr_quant_keep_release(struct tsr_quant_keep *k)
{
    for (size_t i = 0; i < k->samples.n_inputs; i++) tsr_tensor_release(&k->samples.x[i]);
    memset(&k->samples, 0, sizeof k->samples);
}

static enum tsr_status make_room(struct tsr_quant_keep *k, const struct tsr_tensor *x, size_t n_inputs, struct tsr_error *err)
{
    size_t each = 0;
    if (n_inputs > TSR_QUANT_INPUTS)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "a model with %zu inputs; at most %d are supported", n_inputs, TSR_QUANT_INPUTS);
    for (size_t i = 0; i < n_inputs; i++) each += tsr_tensor_bytes(&x[i]) / (size_t)x[i].shape.dim[0];
    size_t fit = TSR_QUANT_KEEP_BYTES / (each + 1);
    k->room = fit < 1 ? 1 : fit > TSR_QUANT_KEEP_ROWS ? TSR_QUANT_KEEP_ROWS : (int64_t)fit;
    for (size_t i = 0; i < n_inputs; i++) {
        struct tsr_shape s = x[i].shape;
        s.dim[0] = k->room;
        TSR_TRY(tsr_tensor_new(&k->samples.x[i], x[i].dtype, &s, NULL, err));
        k->samples.x[i].shape.dim[0] = 0;
        k->samples.n_inputs = i + 1;
    }
    return TSR_OK;
}

static void place(struct tsr_quant_keep *k, const struct tsr_tensor *x, int64_t row, int64_t at)
{
    for (size_t i = 0; i < k->samples.n_inputs; i++) {
        size_t each = tsr_tensor_bytes(&x[i]) / (size_t)x[i].shape.dim[0];
        memcpy((char *)k->samples.x[i].data + each * (size_t)at, (const char *)x[i].data + each * (size_t)row, each);
    }
}

enum tsr_status tsr_quant_keep_add(struct tsr_quant_keep *k, const struct tsr_tensor *x, size_t n_inputs, struct tsr_error *err)
{
    if (x[0].shape.dim[0] < 1) return TSR_OK;
    if (k->room == 0) TSR_TRY(make_room(k, x, n_inputs, err));
    for (size_t i = 0; i < n_inputs; i++) {
        struct tsr_shape a = k->samples.x[i].shape, b = x[i].shape;
        a.dim[0] = b.dim[0] = 1;
        if (!tsr_shape_equal(&a, &b) || k->samples.x[i].dtype != x[i].dtype)
            return tsr_fail(err, TSR_E_MISMATCH, "the samples do not all have the same shape and type");
    }
    for (int64_t r = 0; r < x[0].shape.dim[0]; r++, k->seen++) {
        if (k->samples.rows < k->room) {
            place(k, x, r, k->samples.rows++);
            for (size_t i = 0; i < n_inputs; i++) k->samples.x[i].shape.dim[0] = k->samples.rows;
        } else {
            uint64_t at = tsr_rng_below(&k->rng, (uint64_t)k->seen + 1);
            if (at < (uint64_t)k->room) place(k, x, r, (int64_t)at);
        }
    }
    return TSR_OK;
}
