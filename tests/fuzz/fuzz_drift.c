/* Two streams compared: the input with itself, and with what it becomes when its checksums are made
 * right; and every report of what comes out. */
#include "tessera.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(const struct tsr_drift *d)
{
    static const char *const text[] = {"kl<=0.1", "top1>=0.9", "sqnr>=10"};
    struct tsr_gate gate[3];
    struct tsr_judgement j[3];
    struct tsr_error err;
    struct tsr_buf page = {0};
    size_t judged = 0;
    for (int i = 0; i < 3; i++)
        if (tsr_gate_parse(text[i], &gate[i], &err) != TSR_OK) abort();
    if (tsr_gates_judge(d, gate, 3, 0.99, j, &err) == TSR_OK) judged = 3;
    struct tsr_report r = {.drift = d, .confidence = 0.9, .views = true, .judgement = j, .judgements = judged};
    for (int f = TSR_REPORT_TEXT; f <= TSR_REPORT_HTML; f++) (void)!tsr_report_write(&r, (enum tsr_report_format)f, &page, &err);
    for (int i = 0; i < 3; i++) tsr_gate_release(&gate[i]);
    tsr_buf_release(&page);
}

static void compare(const uint8_t *a, const uint8_t *b, size_t size)
{
    struct tsr_drift_options o = {.views = true, .common = true, .top_k = 2, .memory = 1 << 24};
    struct tsr_source *x, *y;
    struct tsr_drift *d;
    struct tsr_error err;
    if (tsr_source_from_memory(a, size, "a", &x, &err) != TSR_OK) abort();
    if (tsr_source_from_memory(b, size, "b", &y, &err) != TSR_OK) abort();
    struct tsr_drift_input ref = {.source = x, .name = "a"}, candidate = {.source = y, .name = "b<int4>"};
    if (tsr_drift_compare(&ref, &candidate, 1, &o, &d, &err) == TSR_OK) report(d);
    tsr_drift_free(d);
    tsr_source_close(x);
    tsr_source_close(y);
}

/* Walks the records by their lengths and puts the checksums right. */
static void reseal(uint8_t *data, size_t size)
{
    for (size_t at = TSR_MAGIC_LEN; size >= at && size - at >= TSR_HEADER_LEN;) {
        uint8_t *p = data + at;
        size_t meta = tsr_get_le32(p + 24);
        uint64_t stored = tsr_get_le64(p + 40);
        if (meta > TSR_MAX_META || stored > size || meta + (size_t)stored > size - at - TSR_HEADER_LEN) return;
        tsr_put_le32(p + 48, tsr_crc32c(0, p + TSR_HEADER_LEN, meta + (size_t)stored));
        tsr_put_le32(p + 60, tsr_crc32c(0, p, 60));
        at += TSR_HEADER_LEN + meta + (size_t)stored;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    compare(data, data, size);
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL) abort();
    if (size != 0) memcpy(copy, data, size);
    reseal(copy, size);
    compare(copy, copy, size);
    compare(data, copy, size);
    free(copy);
    return 0;
}
