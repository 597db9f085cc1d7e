/* Numbers of 8 and 4 bits: every code of every format, known values, the ends of the ranges; 2-bit integers. */
#include "tessera.h"
#include "suite.h"

#include <math.h>

static const enum tsr_dtype format[] = {TSR_F8E4M3FN, TSR_F8E4M3FNUZ, TSR_F8E5M2, TSR_F8E5M2FNUZ, TSR_F8E8M0, TSR_F4E2M1};
enum { FORMATS = sizeof format / sizeof *format };

static int codes(enum tsr_dtype t) { return t == TSR_F4E2M1 ? 16 : 256; }
static uint8_t encode(enum tsr_dtype t, double v) { return tsr_mini_encode(t, v, true, TSR_MINI_UP); }

/* decode then encode gives the code back; a number between two neighbours goes to the nearer. */
START_TEST(every_code)
{
    const enum tsr_dtype t = format[_i];
    for (int c = 0; c < codes(t); c++) {
        const double v = tsr_mini_decode(t, (uint8_t)c);
        if (isnan(v)) {
            ck_assert(isnan(tsr_mini_decode(t, encode(t, v))));
            continue;
        }
        const uint8_t back = tsr_mini_encode(t, v, false, TSR_MINI_UP);
        ck_assert_msg(back == c || (t == TSR_F4E2M1 && isinf(v)), "%s: code %d is %g, which is code %d", tsr_dtype_name(t), c, v, back);
        if (t == TSR_F8E8M0 || c + 1 == codes(t)) continue;
        const double w = tsr_mini_decode(t, (uint8_t)(c + 1));
        if (!isfinite(v) || !isfinite(w) || signbit(v) != signbit(w)) continue;
        ck_assert_int_eq(encode(t, 0.75 * v + 0.25 * w), c);
        ck_assert_int_eq(encode(t, 0.25 * v + 0.75 * w), c + 1);
        ck_assert_uint_eq(encode(t, 0.5 * v + 0.5 * w) % 2, 0); /* ties to even */
    }
}
END_TEST

START_TEST(known_values)
{
    static const struct {
        enum tsr_dtype t;
        uint8_t code;
        double v;
    } c[] = {{TSR_F8E4M3FN, 0x38, 1}, {TSR_F8E4M3FN, 0x7e, 448}, {TSR_F8E4M3FN, 0x01, 0x1p-9}, {TSR_F8E4M3FN, 0xc0, -2},
             {TSR_F8E4M3FNUZ, 0x7f, 240}, {TSR_F8E4M3FNUZ, 0x40, 1}, {TSR_F8E5M2, 0x7b, 57344}, {TSR_F8E5M2, 0x3c, 1},
             {TSR_F8E5M2, 0x01, 0x1p-16}, {TSR_F8E5M2FNUZ, 0x7f, 57344}, {TSR_F8E5M2FNUZ, 0x40, 1}, {TSR_F4E2M1, 1, 0.5},
             {TSR_F4E2M1, 7, 6}, {TSR_F4E2M1, 10, -1}, {TSR_F8E8M0, 127, 1}, {TSR_F8E8M0, 0, 0x1p-127}, {TSR_F8E8M0, 254, 0x1p127}};
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        ck_assert_msg(tsr_mini_decode(c[i].t, c[i].code) == c[i].v, "%s: code %d", tsr_dtype_name(c[i].t), c[i].code);
        ck_assert_uint_eq(encode(c[i].t, c[i].v), c[i].code);
    }
    ck_assert(tsr_mini_decode(TSR_F8E5M2, 0x7c) == (double)INFINITY);
    ck_assert(isnan(tsr_mini_decode(TSR_F8E4M3FN, 0xff)) && isnan(tsr_mini_decode(TSR_F8E5M2FNUZ, 0x80)));
}
END_TEST

START_TEST(ends)
{
    for (int i = 0; i < FORMATS; i++) {
        const enum tsr_dtype t = format[i];
        const double most = t == TSR_F8E4M3FN ? 448 : t == TSR_F8E4M3FNUZ ? 240 : t == TSR_F4E2M1 ? 6 : t == TSR_F8E8M0 ? 0x1p127 : 57344;
        ck_assert(tsr_mini_decode(t, encode(t, 1e60)) == most && tsr_mini_decode(t, encode(t, (double)INFINITY)) == most);
        const double over = tsr_mini_decode(t, tsr_mini_encode(t, 1e60, false, TSR_MINI_UP));
        ck_assert(t == TSR_F4E2M1 ? over == 6 : t == TSR_F8E5M2 ? isinf(over) : isnan(over));
        if (t == TSR_F8E8M0) continue;
        ck_assert(tsr_mini_decode(t, encode(t, -1e60)) == -most);
        ck_assert_int_eq(signbit(tsr_mini_decode(t, encode(t, -0.0))) != 0, t != TSR_F8E4M3FNUZ && t != TSR_F8E5M2FNUZ);
    }
    ck_assert_uint_eq(encode(TSR_F8E8M0, 3), 129); /* up to 4, down to 2, the nearer of both */
    ck_assert_uint_eq(tsr_mini_encode(TSR_F8E8M0, 3, true, TSR_MINI_DOWN), 128);
    ck_assert_uint_eq(tsr_mini_encode(TSR_F8E8M0, 2.9, true, TSR_MINI_NEAREST), 128);
    ck_assert_uint_eq(tsr_mini_encode(TSR_F8E8M0, 0, false, TSR_MINI_NEAREST), 0xff);
}
END_TEST

START_TEST(arrays)
{
    const float x[5] = {0.5F, -6, 1e9F, 0, 3};
    uint8_t packed[3] = {0xff, 0xff, 0xff};
    float y[5];
    tsr_convert(TSR_F4E2M1, packed, TSR_F32, x, 5);
    ck_assert_uint_eq(packed[0], 0xf1);
    ck_assert_uint_eq(packed[2], 0x05); /* what is left of the last byte is zero */
    tsr_convert(TSR_F32, y, TSR_F4E2M1, packed, 5);
    for (int i = 0; i < 5; i++) ck_assert(y[i] == (i == 2 ? 6 : x[i]));
    const int8_t small[6] = {-2, -1, 0, 1, 2, -3};
    int8_t back[6];
    tsr_convert(TSR_I2, packed, TSR_I8, small, 6);
    ck_assert_uint_eq(packed[0], 0x4e);
    tsr_convert(TSR_I8, back, TSR_I2, packed, 6);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(back[i], small[i]);
    ck_assert_int_eq(back[4], -2); /* higher bits are dropped */
    ck_assert_int_eq(back[5], 1);
    ck_assert_uint_eq(tsr_dtype_bytes(TSR_U2, 5), 2);
    ck_assert(!tsr_dtype_is_int(TSR_F8E5M2) && !tsr_dtype_is_float(TSR_F8E5M2) && tsr_dtype_is_int(TSR_U2));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("minifloat");
    TCase *c = tcase_create("all");
    tcase_add_loop_test(c, every_code, 0, FORMATS);
    tcase_add_test(c, known_values);
    tcase_add_test(c, ends);
    tcase_add_test(c, arrays);
    suite_add_tcase(s, c);
    return run_suite(s);
}
