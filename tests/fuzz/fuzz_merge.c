/* Merging: answers, contributions, partial aggregates and states, as they are and with their checksums made
 * right, alone and twice, before and after a step. */
#include "reseal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum tsr_status give(struct tsr_merge *m, const uint8_t *data, size_t size, bool from)
{
    struct tsr_source *src;
    struct tsr_error err;
    if (tsr_source_from_memory(data, size, "input", &src, &err) != TSR_OK) abort();
    enum tsr_status status = from ? tsr_merge_from(m, src, &err) : tsr_merge_take(m, src, &err);
    tsr_source_close(src);
    return status;
}

static void write_out(struct tsr_merge *m, bool partial)
{
    struct tsr_buf to = {0};
    struct tsr_sink *sink;
    struct tsr_stream_writer *w;
    struct tsr_merge_report report;
    struct tsr_error err;
    if (tsr_sink_from_memory(&to, "memory", &sink, &err) != TSR_OK) abort();
    if (tsr_writer_new(sink, 1, &w, &err) != TSR_OK) abort();
    if (partial) (void)!tsr_merge_partial(m, w, &err);
    else if (tsr_merge_last(m)) (void)!tsr_merge_finish(m, w, &report, &err);
    else if (tsr_merge_step(m, &err) == TSR_OK) (void)!tsr_merge_state(m, w, &err);
    tsr_writer_free(w);
    tsr_sink_abandon(sink);
    tsr_buf_release(&to);
}

/* The input as a state or an aggregate to begin with, then as an input. */
static void try_it(const uint8_t *data, size_t size, bool from, bool adopt)
{
    struct tsr_merge *m;
    struct tsr_error err;
    struct tsr_merge_options o = tsr_merge_defaults();
    o.producer = "fuzz";
    o.adopt = adopt;
    if (tsr_merge_new(&o, &m, &err) != TSR_OK) abort();
    if (!from || give(m, data, size, true) == TSR_OK)
        if (give(m, data, size, false) == TSR_OK || give(m, data, size, false) == TSR_OK) {
            write_out(m, true);
            write_out(m, false);
        }
    tsr_merge_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL) abort();
    if (size != 0) memcpy(copy, data, size);
    for (int sealed = 0; sealed < 2; sealed++) {
        for (int from = 0; from < 2; from++) try_it(copy, size, from, true);
        try_it(copy, size, false, false);
        reseal(copy, size);
    }
    free(copy);
    return 0;
}
