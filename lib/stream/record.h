/* record.h - the fixed 64-byte header in front of every record, and the segment's magic.
 * The byte layout is tessera-stream(5), sections SEGMENTS and RECORD HEADER. Thread-safe. */
#ifndef TSR_STREAM_RECORD_H
#define TSR_STREAM_RECORD_H

#include "base/status.h"

#define TSR_MAGIC_LEN 8
#define TSR_STREAM_MAJOR 1
#define TSR_STREAM_MINOR 0

#define TSR_SYNC_LEN 8
#define TSR_HEADER_LEN 64

/* Hard caps of the format: no reader takes more, no writer makes more. */
#define TSR_MAX_META ((uint32_t)1 << 20)  /* bytes of a record's JSON */
#define TSR_MAX_BODY ((uint64_t)1 << 28)  /* plain bytes of a record's body */
#define TSR_FRAME_PLAIN ((size_t)1 << 20) /* plain bytes of every frame but a body's last */

/* A record's type: four ASCII letters, the first one in the low byte. */
#define TSR_TYPE(a, b, c, d)                                                                       \
    ((uint32_t)(uint8_t)(a) | (uint32_t)(uint8_t)(b) << 8 | (uint32_t)(uint8_t)(c) << 16 |         \
     (uint32_t)(uint8_t)(d) << 24)

/* Flags 0 to 15 change how a record must be read: a reader refuses those it does not know.
 * Flags 16 to 31 may be ignored. Version 1.0 defines none. */
#define TSR_FLAGS_CRITICAL 0x0000ffffu

struct tsr_record_header {
    uint32_t type;
    uint32_t flags;
    uint64_t sequence; /* 0 for a segment's HEAD, then one more each */
    uint32_t meta_len; /* bytes of JSON, 2 .. TSR_MAX_META */
    uint64_t plain_len;
    uint64_t stored_len; /* bytes of body as stored */
    uint32_t crc;        /* CRC-32C of JSON and stored body */
};

/* The eight bytes every record starts with. */
extern const uint8_t tsr_record_sync[TSR_SYNC_LEN];

void tsr_magic_put(uint8_t out[TSR_MAGIC_LEN]);
/* Checks n <= 8 bytes at the start of a segment; *minor (may be NULL) is set when all 8 are there.
 * TSR_E_FORMAT (no token stream), TSR_E_CORRUPT (its line ends were converted on the way),
 * TSR_E_UNSUPPORTED (another major version), TSR_E_TRUNCATED (right so far, n < 8). */
enum tsr_status tsr_magic_get(const uint8_t *p, size_t n, int *minor, struct tsr_error *err) TSR_MUST_USE;

void tsr_record_header_put(const struct tsr_record_header *h, uint8_t out[TSR_HEADER_LEN]);
/* TSR_E_CORRUPT where marker, checksum, type letters, reserved bytes or lengths are wrong;
 * TSR_E_UNSUPPORTED for an unknown critical flag. All lengths are within the caps afterwards. */
enum tsr_status tsr_record_header_get(const uint8_t in[TSR_HEADER_LEN], struct tsr_record_header *h,
                                      struct tsr_error *err) TSR_MUST_USE;

/* Four letters A-Z a-z? */
bool tsr_type_valid(uint32_t type);
/* True where the first letter is upper case: a reader that does not know the type must stop. */
bool tsr_type_critical(uint32_t type);
/* The four letters, NUL-terminated; other bytes become '?'. Returns out. */
const char *tsr_type_text(uint32_t type, char out[5]);

/* Frames that a body of `plain` bytes is cut into, and the most bytes they may take stored. */
uint64_t tsr_frames(uint64_t plain);
uint64_t tsr_stored_max(uint64_t plain);

#endif
