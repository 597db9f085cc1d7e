#include "base/crc32c.h"

#include "base/bytes.h"

#include <stdbool.h>

#define POLYNOMIAL 0x82F63B78u

/* One step of eight zero bits for every byte value, and the same followed by 1..7 zero bytes
 * ("slicing by eight", Kounavis and Berry 2005). Filled at compile time by this macro pyramid
 * would be unreadable; 8 KiB are computed once per process instead. */
struct tables {
    uint32_t t[8][256];
};

static void fill(struct tables *s)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ POLYNOMIAL : c >> 1;
        s->t[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t i = 0; i < 256; i++)
            s->t[k][i] = s->t[0][s->t[k - 1][i] & 255] ^ (s->t[k - 1][i] >> 8);
}

static uint32_t crc_portable(uint32_t crc, const uint8_t *p, size_t n)
{
    static _Thread_local struct tables s;
    static _Thread_local bool ready;
    if (!ready) {
        fill(&s);
        ready = true;
    }
    for (; n >= 8; p += 8, n -= 8) {
        uint32_t a = crc ^ tsr_get_le32(p), b = tsr_get_le32(p + 4);
        crc = s.t[7][a & 255] ^ s.t[6][(a >> 8) & 255] ^ s.t[5][(a >> 16) & 255] ^ s.t[4][a >> 24] ^
              s.t[3][b & 255] ^ s.t[2][(b >> 8) & 255] ^ s.t[1][(b >> 16) & 255] ^ s.t[0][b >> 24];
    }
    for (; n != 0; p++, n--) crc = s.t[0][(crc ^ *p) & 255] ^ (crc >> 8);
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_native(uint32_t crc, const uint8_t *p, size_t n)
{
    uint64_t c = crc;
    for (; n >= 8; p += 8, n -= 8) c = __builtin_ia32_crc32di(c, tsr_get_le64(p));
    for (; n != 0; p++, n--) c = __builtin_ia32_crc32qi((uint32_t)c, *p);
    return (uint32_t)c;
}
static bool have_native(void) { return __builtin_cpu_supports("sse4.2"); }
#else
static uint32_t crc_native(uint32_t crc, const uint8_t *p, size_t n) { return crc_portable(crc, p, n); }
static bool have_native(void) { return false; }
#endif

uint32_t tsr_crc32c(uint32_t crc, const void *data, size_t n)
{
    crc = ~crc;
    crc = have_native() ? crc_native(crc, data, n) : crc_portable(crc, data, n);
    return ~crc;
}
