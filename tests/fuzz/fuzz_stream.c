/* The token stream's reader, strict and salvaging, with every body decoded. Since hardly any
 * change survives the checksums, the input is also tried with its checksums made right. */
#include "reseal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const uint8_t *data, size_t size, bool salvage)
{
    struct tsr_source *src;
    struct tsr_stream *s;
    struct tsr_stream_check *c;
    struct tsr_error err;
    struct tsr_stream_options opt = {.salvage = salvage, .allow_unknown = salvage};
    const struct tsr_record *rec;
    if (tsr_source_from_memory(data, size, "input", &src, &err) != TSR_OK) abort();
    if (tsr_stream_open(src, &opt, &s, &err) != TSR_OK) abort();
    if (tsr_stream_check_new(&c, &err) != TSR_OK) abort();
    while (tsr_stream_next(s, &rec, &err) == TSR_OK && rec != NULL)
        if (tsr_stream_check_record(c, s, rec, &err) != TSR_OK && !salvage) break;
    tsr_stream_check_free(c);
    tsr_stream_close(s);
    tsr_source_close(src);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(data, size, false);
    read_all(data, size, true);
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL) abort();
    if (size != 0) memcpy(copy, data, size);
    reseal(copy, size);
    read_all(copy, size, false);
    free(copy);
    return 0;
}
