/* bytes.h - little-endian loads and stores, and a growable byte buffer. */
#ifndef TSR_BASE_BYTES_H
#define TSR_BASE_BYTES_H

#include "base/status.h"

#include <string.h>

static inline uint16_t tsr_get_le16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | (b[1] << 8));
}
static inline uint32_t tsr_get_le32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t tsr_get_le64(const void *p)
{
    return (uint64_t)tsr_get_le32(p) | (uint64_t)tsr_get_le32((const uint8_t *)p + 4) << 32;
}
static inline void tsr_put_le16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}
static inline void tsr_put_le32(void *p, uint32_t v)
{
    tsr_put_le16(p, (uint16_t)v);
    tsr_put_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}
static inline void tsr_put_le64(void *p, uint64_t v)
{
    tsr_put_le32(p, (uint32_t)v);
    tsr_put_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

/* A growable buffer. Zero-initialised is valid and empty. */
struct tsr_buf {
    uint8_t *data;
    size_t len, cap;
};
enum tsr_status tsr_buf_reserve(struct tsr_buf *b, size_t more, struct tsr_error *err) TSR_MUST_USE;
enum tsr_status tsr_buf_append(struct tsr_buf *b, const void *p, size_t n, struct tsr_error *err) TSR_MUST_USE;
void tsr_buf_clear(struct tsr_buf *b);   /* length to zero, memory kept */
void tsr_buf_release(struct tsr_buf *b); /* memory freed, empty again */

#endif
