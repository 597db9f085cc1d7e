/* JSON: what is read prints canonically, and the canonical text reads as the same document. */
#include "tessera.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tsr_json *a, *b = NULL;
    struct tsr_buf one = {0}, two = {0};
    if (tsr_json_parse(data, size, (size_t)1 << 20, "input", &a, NULL) != TSR_OK) return 0;
    if (tsr_json_print(a, &one, NULL) != TSR_OK ||
        tsr_json_parse(one.data, one.len, SIZE_MAX, "canonical", &b, NULL) != TSR_OK ||
        tsr_json_print(b, &two, NULL) != TSR_OK)
        abort();
    if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0 || !tsr_json_equal(a, b)) abort();
    tsr_json_free(a);
    tsr_json_free(b);
    tsr_buf_release(&one);
    tsr_buf_release(&two);
    return 0;
}
