#include "stream/codec.h"

#include "base/mem.h"
#include "stream/record.h"

#include <zstd.h>

#define WINDOW_LOG 20 /* no frame is longer than 1 MiB, none needs a larger window */

struct tsr_codec {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
};

size_t tsr_frame_max(size_t n) { return n + n / 256 + 64; }

enum tsr_status tsr_codec_new(struct tsr_codec **out, struct tsr_error *err)
{
    *out = tsr_calloc(1, sizeof **out);
    return *out == NULL ? tsr_nomem(err, sizeof **out) : TSR_OK;
}

void tsr_codec_free(struct tsr_codec *c)
{
    if (c == NULL) return;
    ZSTD_freeCCtx(c->pack);
    ZSTD_freeDCtx(c->unpack);
    tsr_free(c);
}

const char *tsr_codec_version(void) { return ZSTD_versionString(); }

/* Small frames are what most streams consist of, and there the best level costs little; large
 * ones are mantissas, of which no level makes much: 19 takes 150 ms a MiB and saves 2 % on 9. */
static int level_for(int level, size_t n)
{
    if (level != TSR_LEVEL_AUTO) return level;
    return n <= 256 * 1024 ? 19 : 9;
}

enum tsr_status tsr_frame_pack(struct tsr_codec *c, int level, const void *plain, size_t n, struct tsr_buf *out,
                               struct tsr_error *err)
{
    if (n == 0 || n > TSR_FRAME_PLAIN || level < 0 || level > TSR_LEVEL_MAX)
        return tsr_fail(err, TSR_E_USAGE, "a frame holds 1 to %zu bytes at level 0 to %d, not %zu at %d",
                        TSR_FRAME_PLAIN, TSR_LEVEL_MAX, n, level);
    if (c->pack == NULL && (c->pack = ZSTD_createCCtx()) == NULL) return tsr_nomem(err, n);
    size_t room = ZSTD_compressBound(n);
    if (room < tsr_frame_max(n)) room = tsr_frame_max(n);
    TSR_TRY(tsr_buf_reserve(out, TSR_FRAME_PREFIX + room, err));
    uint8_t *at = out->data + out->len;
    size_t got = ZSTD_CCtx_setParameter(c->pack, ZSTD_c_compressionLevel, level_for(level, n));
    if (!ZSTD_isError(got)) got = ZSTD_CCtx_setParameter(c->pack, ZSTD_c_windowLog, WINDOW_LOG);
    if (!ZSTD_isError(got)) got = ZSTD_compress2(c->pack, at + TSR_FRAME_PREFIX, room, plain, n);
    if (ZSTD_isError(got)) return tsr_fail(err, TSR_E_NOMEM, "zstd cannot compress: %s", ZSTD_getErrorName(got));
    if (got > tsr_frame_max(n))
        return tsr_fail(err, TSR_E_INTERNAL, "zstd made %zu bytes of %zu, more than the format allows", got, n);
    tsr_put_le32(at, (uint32_t)got);
    out->len += TSR_FRAME_PREFIX + got;
    return TSR_OK;
}

enum tsr_status tsr_frame_unpack(struct tsr_codec *c, const uint8_t *stored, size_t n, void *dst, size_t plain,
                                 size_t *used, struct tsr_error *err)
{
    if (n < TSR_FRAME_PREFIX) return tsr_fail(err, TSR_E_CORRUPT, "a body ends within the length of a frame");
    size_t len = tsr_get_le32(stored);
    const uint8_t *frame = stored + TSR_FRAME_PREFIX;
    if (len > n - TSR_FRAME_PREFIX || len > tsr_frame_max(plain))
        return tsr_fail(err, TSR_E_CORRUPT, "a frame claims %zu stored bytes where at most %zu can be", len,
                        n - TSR_FRAME_PREFIX < tsr_frame_max(plain) ? n - TSR_FRAME_PREFIX : tsr_frame_max(plain));
    /* One zstd frame and nothing beside it (ZSTD_decompressDCtx would also take several, or skippable ones). */
    if (len < 4 || tsr_get_le32(frame) != 0xFD2FB528u || ZSTD_getFrameContentSize(frame, len) != plain ||
        ZSTD_findFrameCompressedSize(frame, len) != len)
        return tsr_fail(err, TSR_E_CORRUPT, "a frame is not one zstd frame of %zu bytes of plain text", plain);
    if (c->unpack == NULL) {
        c->unpack = ZSTD_createDCtx();
        if (c->unpack == NULL) return tsr_nomem(err, plain);
        size_t set = ZSTD_DCtx_setParameter(c->unpack, ZSTD_d_windowLogMax, WINDOW_LOG);
        if (ZSTD_isError(set)) return tsr_fail(err, TSR_E_INTERNAL, "zstd: %s", ZSTD_getErrorName(set));
    }
    size_t got = ZSTD_decompressDCtx(c->unpack, dst, plain, frame, len);
    if (ZSTD_isError(got)) return tsr_fail(err, TSR_E_CORRUPT, "a frame cannot be decompressed: %s", ZSTD_getErrorName(got));
    if (got != plain) return tsr_fail(err, TSR_E_CORRUPT, "a frame holds %zu bytes instead of %zu", got, plain);
    *used = TSR_FRAME_PREFIX + len;
    return TSR_OK;
}
