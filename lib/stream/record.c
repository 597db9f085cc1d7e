#include "stream/record.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "stream/codec.h"

/* The first 8 bytes of SHA-256("tessera-stream record"). */
const uint8_t tsr_record_sync[TSR_SYNC_LEN] = {0x54, 0x48, 0x82, 0x01, 0xe1, 0x01, 0x6f, 0x75};

static const uint8_t magic[TSR_MAGIC_LEN] = {0x89, 'T', 'S', 'R', 0x0d, 0x0a, TSR_STREAM_MAJOR, TSR_STREAM_MINOR};

void tsr_magic_put(uint8_t out[TSR_MAGIC_LEN]) { memcpy(out, magic, TSR_MAGIC_LEN); }

enum tsr_status tsr_magic_get(const uint8_t *p, size_t n, int *minor, struct tsr_error *err)
{
    size_t name = n < 4 ? n : 4, ends = n < 6 ? n : 6;
    if (memcmp(p, magic, name) != 0) return tsr_fail(err, TSR_E_FORMAT, "this is not a token stream");
    if (memcmp(p, magic, ends) != 0)
        return tsr_fail(err, TSR_E_CORRUPT,
                        "the stream's line ends were converted by a text-mode transfer; transfer it as binary");
    if (n >= 7 && p[6] != TSR_STREAM_MAJOR)
        return tsr_fail(err, TSR_E_UNSUPPORTED,
                        "this stream is of format version %d, this program reads version %d; use a newer program",
                        p[6], TSR_STREAM_MAJOR);
    if (n < TSR_MAGIC_LEN) return tsr_fail(err, TSR_E_TRUNCATED, "the stream ends within its first %d bytes", TSR_MAGIC_LEN);
    if (minor != NULL) *minor = p[7];
    return TSR_OK;
}

bool tsr_type_valid(uint32_t type)
{
    for (int i = 0; i < 4; i++) {
        uint8_t c = (uint8_t)(type >> 8 * i | 0x20);
        if (c < 'a' || c > 'z') return false;
    }
    return true;
}

bool tsr_type_critical(uint32_t type) { return (type & 0x20) == 0; }

const char *tsr_type_text(uint32_t type, char out[5])
{
    for (int i = 0; i < 4; i++) {
        uint8_t c = (uint8_t)(type >> 8 * i);
        out[i] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
    }
    out[4] = '\0';
    return out;
}

uint64_t tsr_frames(uint64_t plain) { return plain / TSR_FRAME_PLAIN + (plain % TSR_FRAME_PLAIN != 0); }

uint64_t tsr_stored_max(uint64_t plain)
{
    uint64_t whole = plain / TSR_FRAME_PLAIN, rest = plain % TSR_FRAME_PLAIN;
    return whole * (TSR_FRAME_PREFIX + tsr_frame_max(TSR_FRAME_PLAIN)) +
           (rest ? TSR_FRAME_PREFIX + tsr_frame_max((size_t)rest) : 0);
}

void tsr_record_header_put(const struct tsr_record_header *h, uint8_t out[TSR_HEADER_LEN])
{
    memset(out, 0, TSR_HEADER_LEN);
    memcpy(out, tsr_record_sync, TSR_SYNC_LEN);
    tsr_put_le32(out + 8, h->type);
    tsr_put_le32(out + 12, h->flags);
    tsr_put_le64(out + 16, h->sequence);
    tsr_put_le32(out + 24, h->meta_len);
    tsr_put_le64(out + 32, h->plain_len);
    tsr_put_le64(out + 40, h->stored_len);
    tsr_put_le32(out + 48, h->crc);
    tsr_put_le32(out + 60, tsr_crc32c(0, out, 60));
}

enum tsr_status tsr_record_header_get(const uint8_t in[TSR_HEADER_LEN], struct tsr_record_header *h,
                                      struct tsr_error *err)
{
    char type[5];
    if (memcmp(in, tsr_record_sync, TSR_SYNC_LEN) != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "no record starts where one must");
    if (tsr_get_le32(in + 60) != tsr_crc32c(0, in, 60))
        return tsr_fail(err, TSR_E_CORRUPT, "the checksum of a record's header is wrong");
    *h = (struct tsr_record_header){
        .type = tsr_get_le32(in + 8),
        .flags = tsr_get_le32(in + 12),
        .sequence = tsr_get_le64(in + 16),
        .meta_len = tsr_get_le32(in + 24),
        .plain_len = tsr_get_le64(in + 32),
        .stored_len = tsr_get_le64(in + 40),
        .crc = tsr_get_le32(in + 48),
    };
    if (!tsr_type_valid(h->type))
        return tsr_fail(err, TSR_E_CORRUPT, "the record type '%s' is not four letters", tsr_type_text(h->type, type));
    (void)tsr_type_text(h->type, type);
    if (h->flags & TSR_FLAGS_CRITICAL)
        return tsr_fail(err, TSR_E_UNSUPPORTED, "record %s carries the flags %#x, which this program does not know",
                        type, h->flags & TSR_FLAGS_CRITICAL);
    if (tsr_get_le32(in + 28) != 0 || tsr_get_le64(in + 52) != 0)
        return tsr_fail(err, TSR_E_CORRUPT, "reserved bytes in the header of record %s are not zero", type);
    if (h->meta_len < 2 || h->meta_len > TSR_MAX_META)
        return tsr_fail(err, TSR_E_CORRUPT, "record %s claims %u bytes of JSON; 2 to %u are allowed", type,
                        h->meta_len, TSR_MAX_META);
    if (h->plain_len > TSR_MAX_BODY)
        return tsr_fail(err, TSR_E_CORRUPT, "record %s claims a body of %llu bytes; %llu are allowed", type,
                        (unsigned long long)h->plain_len, (unsigned long long)TSR_MAX_BODY);
    if (h->stored_len < tsr_frames(h->plain_len) * TSR_FRAME_PREFIX || h->stored_len > tsr_stored_max(h->plain_len))
        return tsr_fail(err, TSR_E_CORRUPT, "record %s claims %llu stored bytes for a body of %llu", type,
                        (unsigned long long)h->stored_len, (unsigned long long)h->plain_len);
    return TSR_OK;
}
