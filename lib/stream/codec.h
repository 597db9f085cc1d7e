/* codec.h - one body frame: a 4-byte length and a zstd frame (RFC 8878) of at most 1 MiB of
 * plain text, decodable on its own. A codec belongs to one thread. */
#ifndef TSR_STREAM_CODEC_H
#define TSR_STREAM_CODEC_H

#include "base/bytes.h"

#define TSR_FRAME_PREFIX 4

/* zstd's bound on the compressed size of n plain bytes, n <= 1 MiB: n + n/256 + 64. */
size_t tsr_frame_max(size_t n);

struct tsr_codec; /* both directions; contexts are made when first needed */

enum tsr_status tsr_codec_new(struct tsr_codec **out, struct tsr_error *err) TSR_MUST_USE;
void tsr_codec_free(struct tsr_codec *c);

/* zstd levels a writer may ask for; 0 lets the size of the frame decide, see codec.c. */
#define TSR_LEVEL_AUTO 0
#define TSR_LEVEL_MAX 19

/* Appends length and frame for n plain bytes, 1 <= n <= 1 MiB. The same bytes and level give
 * the same frame on every run of one zstd version. */
enum tsr_status tsr_frame_pack(struct tsr_codec *c, int level, const void *plain, size_t n, struct tsr_buf *out,
                               struct tsr_error *err) TSR_MUST_USE;

/* Decodes the frame at the start of n stored bytes into exactly `plain` bytes at dst; *used is
 * the number of stored bytes it took. TSR_E_CORRUPT where anything is not as it must be. */
enum tsr_status tsr_frame_unpack(struct tsr_codec *c, const uint8_t *stored, size_t n, void *dst, size_t plain,
                                 size_t *used, struct tsr_error *err) TSR_MUST_USE;

/* "1.5.4": the zstd in use. */
const char *tsr_codec_version(void);

#endif
