/* The .npy reader. What it takes, the writer must give back with the same elements. */
#include "tessera.h"

#include <stdlib.h>

static void write_and_compare(const struct tsr_tensor *t)
{
    struct tsr_buf b = {0};
    struct tsr_sink *sink = NULL;
    struct tsr_source *source = NULL;
    struct tsr_tensor back = {0};
    if (tsr_sink_from_memory(&b, "memory", &sink, NULL) != TSR_OK || tsr_npy_save(sink, t, NULL) != TSR_OK ||
        tsr_sink_close(sink, NULL) != TSR_OK)
        abort();
    if (tsr_source_from_memory(b.data, b.len, "memory", &source, NULL) != TSR_OK ||
        tsr_npy_load(source, &back, NULL) != TSR_OK)
        abort();
    if (back.dtype != t->dtype || !tsr_shape_equal(&back.shape, &t->shape) ||
        (tsr_tensor_bytes(t) != 0 && memcmp(back.data, t->data, tsr_tensor_bytes(t)) != 0))
        abort();
    tsr_source_close(source);
    tsr_tensor_release(&back);
    tsr_buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsr_source *source;
    struct tsr_tensor t;
    struct tsr_error err = {0};
    if (tsr_source_from_memory(data, size, "input", &source, &err) != TSR_OK) abort();
    enum tsr_status status = tsr_npy_load(source, &t, &err);
    if (status == TSR_OK) write_and_compare(&t);
    else if (err.status != status || err.message[0] == '\0' || status == TSR_E_INTERNAL) abort();
    tsr_tensor_release(&t);
    tsr_source_close(source);
    return 0;
}
