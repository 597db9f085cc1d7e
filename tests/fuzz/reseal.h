/* reseal.h - makes the checksums of a changed token stream right again, since hardly any change survives them. */
#ifndef TSR_FUZZ_RESEAL_H
#define TSR_FUZZ_RESEAL_H

#include "tessera.h"

/* Walks the records by their lengths and puts marker, magic and checksums right. */
static void reseal(uint8_t *data, size_t size)
{
    size_t at = TSR_MAGIC_LEN;
    if (size < at) return;
    tsr_magic_put(data);
    while (size - at >= TSR_HEADER_LEN) {
        uint8_t *p = data + at;
        size_t meta = tsr_get_le32(p + 24), rest;
        uint64_t stored = tsr_get_le64(p + 40);
        if (meta > TSR_MAX_META || stored > size) return;
        rest = meta + (size_t)stored;
        if (rest > size - at - TSR_HEADER_LEN) return;
        memcpy(p, tsr_record_sync, TSR_SYNC_LEN);
        tsr_put_le32(p + 48, tsr_crc32c(0, p + TSR_HEADER_LEN, rest));
        tsr_put_le32(p + 60, tsr_crc32c(0, p, 60));
        at += TSR_HEADER_LEN + rest;
    }
}

#endif
