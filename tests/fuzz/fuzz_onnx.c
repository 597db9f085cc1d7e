/* The ONNX importer. A model that is accepted must survive being written and read again. */
#include "tessera.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(enum tsr_status status, const struct tsr_error *err)
{
    if (status == TSR_OK || status == TSR_E_NOMEM) return;
    (void)fprintf(stderr, "fuzz_onnx: a model that was read cannot be read again: %s\n", err->message);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsr_error err = {0};
    struct tsr_graph *g = NULL, *again = NULL;
    struct tsr_sink *sink;
    struct tsr_buf b = {0};
    struct tsr_tensor t;
    uint8_t first[32], second[32];
    if (tsr_onnx_load_tensor(data, size, "input", &t, &err) == TSR_OK) tsr_tensor_release(&t);
    if (tsr_onnx_load_memory(data, size, "input", "testdata/onnx", &g, &err) != TSR_OK) return 0;
    must(tsr_sink_from_memory(&b, "memory", &sink, &err), &err);
    must(tsr_onnx_save(g, sink, &err), &err);
    must(tsr_sink_close(sink, &err), &err);
    must(tsr_onnx_load_memory(b.data, b.len, "memory", NULL, &again, &err), &err);
    tsr_onnx_digest(g, first);
    tsr_onnx_digest(again, second);
    if (memcmp(first, second, sizeof first) != 0) abort();
    tsr_graph_free(g);
    tsr_graph_free(again);
    tsr_buf_release(&b);
    return 0;
}
