/* The record header, the magic, the frame codec and the Merkle tree. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "stream/codec.h"
#include "stream/merkle.h"
#include "stream/record.h"
#include "suite.h"

#include <stdlib.h>

static struct tsr_error err;

static const struct tsr_record_header sample = {
    .type = TSR_TYPE('O', 'U', 'T', 'S'), .flags = 0x30000, .sequence = 7, .meta_len = 33,
    .plain_len = 1234567, .stored_len = 98765, .crc = 0xdeadbeef,
};

START_TEST(header_round_trip)
{
    uint8_t b[TSR_HEADER_LEN];
    struct tsr_record_header h;
    tsr_record_header_put(&sample, b);
    ck_assert_int_eq(tsr_record_header_get(b, &h, &err), TSR_OK);
    ck_assert_uint_eq(h.type, sample.type);
    ck_assert_uint_eq(h.flags, sample.flags);
    ck_assert_uint_eq(h.sequence, 7);
    ck_assert_uint_eq(h.meta_len, 33);
    ck_assert_uint_eq(h.plain_len, 1234567);
    ck_assert_uint_eq(h.stored_len, 98765);
    ck_assert_uint_eq(h.crc, 0xdeadbeef);
    ck_assert_mem_eq(b + 8, "OUTS", 4);
}
END_TEST

START_TEST(header_every_bit_is_guarded)
{
    uint8_t b[TSR_HEADER_LEN];
    struct tsr_record_header h;
    tsr_record_header_put(&sample, b);
    for (int bit = 0; bit < 8 * TSR_HEADER_LEN; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_eq(tsr_record_header_get(b, &h, &err), TSR_E_CORRUPT);
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}
END_TEST

/* Headers whose checksum is right and whose content is not. */
static enum tsr_status get_forged(struct tsr_record_header h, int reserved_at)
{
    uint8_t b[TSR_HEADER_LEN];
    struct tsr_record_header out;
    tsr_record_header_put(&h, b);
    if (reserved_at >= 0) b[reserved_at] = 1;
    tsr_put_le32(b + 60, tsr_crc32c(0, b, 60));
    return tsr_record_header_get(b, &out, &err);
}

START_TEST(header_refuses_what_cannot_be)
{
    struct tsr_record_header h = sample;
    ck_assert_int_eq(get_forged(h, -1), TSR_OK);
    for (int at = 28; at < 32; at++) ck_assert_int_eq(get_forged(h, at), TSR_E_CORRUPT);
    for (int at = 52; at < 60; at++) ck_assert_int_eq(get_forged(h, at), TSR_E_CORRUPT);
    h.type = TSR_TYPE('A', 'B', '1', 'C');
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
    h = sample, h.flags = 1;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_UNSUPPORTED);
    h = sample, h.meta_len = 1;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
    h = sample, h.meta_len = TSR_MAX_META + 1;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
    h = sample, h.plain_len = TSR_MAX_BODY + 1;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
    h = sample, h.plain_len = UINT64_MAX, h.stored_len = UINT64_MAX;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
    h = sample, h.stored_len = tsr_stored_max(h.plain_len);
    ck_assert_int_eq(get_forged(h, -1), TSR_OK);
    h.stored_len++;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
    h = sample, h.plain_len = 0, h.stored_len = 1;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
    h = sample, h.stored_len = 0;
    ck_assert_int_eq(get_forged(h, -1), TSR_E_CORRUPT);
}
END_TEST

START_TEST(magic_tells_its_troubles_apart)
{
    uint8_t m[TSR_MAGIC_LEN];
    int minor = -1;
    tsr_magic_put(m);
    ck_assert_mem_eq(m, "\x89TSR\r\n\x01\x00", 8);
    ck_assert_int_eq(tsr_magic_get(m, 8, &minor, &err), TSR_OK);
    ck_assert_int_eq(minor, 0);
    m[7] = 9;
    ck_assert_int_eq(tsr_magic_get(m, 8, &minor, &err), TSR_OK);
    ck_assert_int_eq(minor, 9);
    m[6] = 2;
    ck_assert_int_eq(tsr_magic_get(m, 8, &minor, &err), TSR_E_UNSUPPORTED);
    m[4] = '\n';
    ck_assert_int_eq(tsr_magic_get(m, 8, &minor, &err), TSR_E_CORRUPT);
    m[0] = 'x';
    ck_assert_int_eq(tsr_magic_get(m, 8, &minor, &err), TSR_E_FORMAT);
    ck_assert_int_eq(tsr_magic_get((const uint8_t *)"x", 1, &minor, &err), TSR_E_FORMAT);
    tsr_magic_put(m);
    for (size_t n = 0; n < 8; n++) ck_assert_int_eq(tsr_magic_get(m, n, &minor, &err), TSR_E_TRUNCATED);
}
END_TEST

START_TEST(types)
{
    char text[5];
    ck_assert(tsr_type_valid(TSR_TYPE('H', 'E', 'A', 'D')));
    ck_assert(tsr_type_critical(TSR_TYPE('H', 'e', 'a', 'd')));
    ck_assert(!tsr_type_critical(TSR_TYPE('a', 'U', 'D', 'T')));
    ck_assert(!tsr_type_valid(TSR_TYPE('E', 'N', 'D', ' ')));
    ck_assert(!tsr_type_valid(TSR_TYPE('E', 'N', '[', 'D')));
    ck_assert_str_eq(tsr_type_text(TSR_TYPE('E', 0, 'D', 200), text), "E?D?");
}
END_TEST

static void frame_round_trip(size_t n, int level, unsigned noise)
{
    struct tsr_codec *c;
    struct tsr_buf b = {0};
    uint8_t *plain = tsr_malloc(n, 1), *back = tsr_malloc(n, 1);
    size_t used = 0;
    unsigned x = 1;
    for (size_t i = 0; i < n; i++) x = x * 1664525u + 1013904223u, plain[i] = (uint8_t)(x >> 24 & noise);
    ck_assert_int_eq(tsr_codec_new(&c, &err), TSR_OK);
    ck_assert_int_eq(tsr_frame_pack(c, level, plain, n, &b, &err), TSR_OK);
    ck_assert_uint_le(b.len, TSR_FRAME_PREFIX + tsr_frame_max(n));
    ck_assert_int_eq(tsr_frame_unpack(c, b.data, b.len, back, n, &used, &err), TSR_OK);
    ck_assert_uint_eq(used, b.len);
    ck_assert_mem_eq(plain, back, n);
    if (n > 1) ck_assert_int_eq(tsr_frame_unpack(c, b.data, b.len, back, n - 1, &used, &err), TSR_E_CORRUPT);
    for (size_t cut = 0; cut < b.len && cut < 40; cut++)
        ck_assert_int_eq(tsr_frame_unpack(c, b.data, cut, back, n, &used, &err), TSR_E_CORRUPT);
    tsr_codec_free(c);
    tsr_buf_release(&b);
    tsr_free(plain);
    tsr_free(back);
}

START_TEST(frames)
{
    static const size_t sizes[] = {1, 2, 100, 4095, 70000, 300000, TSR_FRAME_PLAIN};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        frame_round_trip(sizes[i], TSR_LEVEL_AUTO, 0xff);
        frame_round_trip(sizes[i], 1, 0x0f);
        frame_round_trip(sizes[i], 3, 0);
    }
}
END_TEST

START_TEST(frames_refuse_other_zstd)
{
    struct tsr_codec *c;
    struct tsr_buf b = {0};
    uint8_t back[64];
    size_t used;
    ck_assert_int_eq(tsr_codec_new(&c, &err), TSR_OK);
    ck_assert_int_eq(tsr_frame_pack(c, 3, "hello, hello", 12, &b, &err), TSR_OK);
    tsr_put_le32(b.data + 4, 0x184D2A50u); /* a skippable frame */
    ck_assert_int_eq(tsr_frame_unpack(c, b.data, b.len, back, 12, &used, &err), TSR_E_CORRUPT);
    tsr_buf_clear(&b);
    /* two frames where one is announced */
    ck_assert_int_eq(tsr_frame_pack(c, 3, "hello,", 6, &b, &err), TSR_OK);
    size_t one = b.len - TSR_FRAME_PREFIX;
    ck_assert_int_eq(tsr_buf_append(&b, b.data, 0, &err), TSR_OK);
    uint8_t copy[64];
    memcpy(copy, b.data + TSR_FRAME_PREFIX, one);
    ck_assert_int_eq(tsr_buf_append(&b, copy, one, &err), TSR_OK);
    tsr_put_le32(b.data, (uint32_t)(2 * one));
    ck_assert_int_eq(tsr_frame_unpack(c, b.data, b.len, back, 6, &used, &err), TSR_E_CORRUPT);
    ck_assert_int_eq(tsr_frame_pack(c, 3, "", 0, &b, &err), TSR_E_USAGE);
    ck_assert_int_eq(tsr_frame_pack(c, 99, "x", 1, &b, &err), TSR_E_USAGE);
    tsr_codec_free(c);
    tsr_buf_release(&b);
}
END_TEST

/* RFC 6962 roots over the inputs that Certificate Transparency's own tests use. */
START_TEST(merkle_known_roots)
{
    static const struct {
        const char *data;
        size_t n;
    } leaf[] = {{"", 0}, {"\x00", 1}, {"\x10", 1}, {"\x20\x21", 2}, {"\x30\x31", 2}, {"\x40\x41\x42\x43", 4},
                {"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
                {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16}};
    static const char *const root[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct tsr_merkle m;
    tsr_merkle_init(&m);
    for (size_t n = 0; n <= 8; n++) {
        uint8_t out[TSR_SHA256_LEN];
        char hex[2 * TSR_SHA256_LEN + 1];
        tsr_merkle_root(&m, out);
        tsr_hex(out, sizeof out, hex);
        ck_assert_str_eq(hex, root[n]);
        if (n < 8) tsr_merkle_add(&m, leaf[n].data, leaf[n].n / 2, leaf[n].data + leaf[n].n / 2, leaf[n].n - leaf[n].n / 2);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream_record");
    TCase *t = tcase_create("record");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, header_round_trip);
    tcase_add_test(t, header_every_bit_is_guarded);
    tcase_add_test(t, header_refuses_what_cannot_be);
    tcase_add_test(t, magic_tells_its_troubles_apart);
    tcase_add_test(t, types);
    tcase_add_test(t, frames);
    tcase_add_test(t, frames_refuse_other_zstd);
    tcase_add_test(t, merkle_known_roots);
    suite_add_tcase(s, t);
    return run_suite(s);
}
