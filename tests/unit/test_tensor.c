/* Element types, conversions, shapes and counted tensors. */
#include "tessera.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* The value of a binary16 by its definition. */
static double f16_value(unsigned h)
{
    unsigned e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024.0 + m, (int)e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

START_TEST(f16_round_trip)
{
    for (unsigned h = 0; h < 65536; h++) {
        float f = tsr_f16_to_f32((uint16_t)h);
        double v = f16_value(h);
        if (isnan(v)) {
            ck_assert(isnan(f));
            ck_assert(isnan(tsr_f16_to_f32(tsr_f32_to_f16(f))));
            continue;
        }
        ck_assert(f == v && !signbit(f) == !signbit(v));
        ck_assert_uint_eq(tsr_f32_to_f16(f), h);
        ck_assert_uint_eq(tsr_f64_to_f16(v), h);
    }
}
END_TEST

/* Around every midpoint between neighbours: below, at and above. */
START_TEST(f16_rounds_half_even)
{
    for (unsigned h = 0; h < 0x7c00; h++) {
        double lo = f16_value(h), hi = h == 0x7bff ? 65536.0 : f16_value(h + 1), mid = (lo + hi) / 2;
        unsigned even = h & 1 ? h + 1 : h;
        ck_assert_uint_eq(tsr_f32_to_f16((float)mid), even);
        ck_assert_uint_eq(tsr_f64_to_f16(mid), even);
        ck_assert_uint_eq(tsr_f32_to_f16(nextafterf((float)mid, 0)), h);
        ck_assert_uint_eq(tsr_f32_to_f16(nextafterf((float)mid, INFINITY)), h + 1);
        ck_assert_uint_eq(tsr_f64_to_f16(nextafter(mid, 0)), h);
        ck_assert_uint_eq(tsr_f64_to_f16(nextafter(mid, INFINITY)), h + 1);
        ck_assert_uint_eq(tsr_f64_to_f16(-nextafter(mid, INFINITY)), (h + 1) | 0x8000);
    }
    ck_assert_uint_eq(tsr_f32_to_f16(1e9f), 0x7c00);
    ck_assert_uint_eq(tsr_f64_to_f16(-1e300), 0xfc00);
    ck_assert_uint_eq(tsr_f64_to_f16(1e-300), 0);
}
END_TEST

START_TEST(bf16_rounds_half_even)
{
    for (unsigned h = 0; h < 0x7f80; h++) {
        uint32_t mid = h << 16 | 0x8000;
        ck_assert_uint_eq(tsr_f32_to_bf16(of_bits(mid)), h & 1 ? h + 1 : h);
        ck_assert_uint_eq(tsr_f32_to_bf16(of_bits(mid - 1)), h);
        ck_assert_uint_eq(tsr_f32_to_bf16(of_bits(mid + 1)), h + 1);
        double m = (double)of_bits(mid);
        ck_assert_uint_eq(tsr_f64_to_bf16(nextafter(m, 0)), h);
        ck_assert_uint_eq(tsr_f64_to_bf16(nextafter(m, INFINITY)), h + 1);
        ck_assert_uint_eq(bits_of(tsr_bf16_to_f32((uint16_t)h)), h << 16);
    }
    ck_assert(isnan(tsr_bf16_to_f32(tsr_f32_to_bf16(NAN))));
    ck_assert(isnan(tsr_bf16_to_f32(tsr_f32_to_bf16(of_bits(0x7f800001)))));
}
END_TEST

START_TEST(arrays_agree_with_single_values)
{
    enum { N = 1003 };
    static float f[N], back[N];
    static uint16_t h[N];
    srand(5);
    for (int i = 0; i < N; i++) f[i] = of_bits((uint32_t)rand() << 1 ^ (uint32_t)rand());
    tsr_convert(TSR_F16, h, TSR_F32, f, N);
    for (int i = 0; i < N; i++) ck_assert_uint_eq(h[i], tsr_f32_to_f16(f[i]));
    tsr_convert(TSR_F32, back, TSR_F16, h, N);
    for (int i = 0; i < N; i++) ck_assert_uint_eq(bits_of(back[i]), bits_of(tsr_f16_to_f32(h[i])));
    tsr_convert(TSR_BF16, h, TSR_F32, f, N);
    for (int i = 0; i < N; i++) ck_assert_uint_eq(h[i], tsr_f32_to_bf16(f[i]));
}
END_TEST

/* A value that every type holds goes from every type to every type. */
START_TEST(all_pairs)
{
    static const enum tsr_dtype all[] = {TSR_F32, TSR_U8, TSR_I8, TSR_U16, TSR_I16, TSR_I32, TSR_I64, TSR_F16,
                                         TSR_F64, TSR_U32, TSR_U64, TSR_BF16, TSR_U4, TSR_I4};
    enum { N = 1025 };
    static double src[N], from[N], to[N], last[N];
    for (int i = 0; i < N; i++) src[i] = i * 7 % 8;
    for (size_t a = 0; a < sizeof all / sizeof *all; a++)
        for (size_t b = 0; b < sizeof all / sizeof *all; b++) {
            tsr_convert(all[a], from, TSR_F64, src, N);
            tsr_convert(all[b], to, all[a], from, N);
            tsr_convert(TSR_F64, last, all[b], to, N);
            ck_assert(memcmp(src, last, sizeof src) == 0);
            for (int i = 0; i < N; i += 101) {
                ck_assert(tsr_load_f64(all[b], to, i) == src[i]);
                ck_assert_int_eq(tsr_load_i64(all[b], to, i), (int64_t)src[i]);
            }
        }
}
END_TEST

START_TEST(integers_wrap_and_truncate)
{
    int8_t i8;
    uint8_t u8[2] = {0, 0};
    uint64_t u64;
    tsr_store_f64(TSR_I8, &i8, 0, 200.9);
    ck_assert_int_eq(i8, -56);
    tsr_store_f64(TSR_I8, &i8, 0, -1.9);
    ck_assert_int_eq(i8, -1);
    tsr_store_f64(TSR_U64, &u64, 0, 0x1.8p63);
    ck_assert(u64 == (uint64_t)3 << 62);
    tsr_store_f64(TSR_U64, &u64, 0, NAN);
    ck_assert(u64 == 0);
    int64_t big = INT64_MIN;
    float f;
    tsr_convert(TSR_F32, &f, TSR_I64, &big, 1);
    ck_assert(f == -0x1p63f);
    u64 = UINT64_MAX;
    tsr_convert(TSR_F32, &f, TSR_U64, &u64, 1);
    ck_assert(f == 0x1p64f);
    /* 2^60 + 2^52 + 1 lies just above a bfloat16 midpoint: rounding twice would lose the 1 */
    int64_t tie = ((int64_t)1 << 60) + ((int64_t)1 << 52) + 1;
    uint16_t h;
    tsr_convert(TSR_BF16, &h, TSR_I64, &tie, 1);
    ck_assert(tsr_bf16_to_f32(h) == 0x1.02p60f);
    for (int i = 0; i < 4; i++) tsr_store_i64(TSR_I4, u8, i, i - 2);
    ck_assert_uint_eq(u8[0], 0xfe);
    ck_assert_uint_eq(u8[1], 0x10);
    ck_assert_int_eq(tsr_load_i64(TSR_I4, u8, 0), -2);
    ck_assert_int_eq(tsr_load_i64(TSR_U4, u8, 0), 14);
    tsr_store_f64(TSR_BOOL, u8, 0, 0.5);
    ck_assert_uint_eq(u8[0], 1);
}
END_TEST

START_TEST(names_and_sizes)
{
    ck_assert_str_eq(tsr_dtype_name(TSR_BF16), "bfloat16");
    ck_assert_str_eq(tsr_dtype_name((enum tsr_dtype)99), "unknown");
    ck_assert_str_eq(tsr_dtype_name(TSR_STRING), "string");
    ck_assert_int_eq(tsr_dtype_bits(TSR_STRING), 0);
    ck_assert_int_eq(tsr_dtype_bits((enum tsr_dtype)15), 0);
    ck_assert(tsr_dtype_is_int(TSR_U4) && !tsr_dtype_is_int(TSR_BOOL) && !tsr_dtype_is_signed(TSR_U64));
    ck_assert(tsr_dtype_bytes(TSR_I4, 3) == 2 && tsr_dtype_bytes(TSR_F64, 3) == 24);
    ck_assert(tsr_dtype_bytes(TSR_F64, INT64_MAX) == SIZE_MAX);
    ck_assert(tsr_dtype_bytes(TSR_U8, INT64_MAX) == INT64_MAX);
}
END_TEST

START_TEST(shapes)
{
    char text[TSR_SHAPE_TEXT];
    struct tsr_shape a = {3, {2, 1, 4}}, b = {2, {3, 1}}, c;
    ck_assert_int_eq(tsr_shape_count(&a), 8);
    ck_assert_str_eq(tsr_shape_text(&a, text, sizeof text), "[2,1,4]");
    ck_assert(tsr_shape_broadcast(&a, &b, &c));
    ck_assert_str_eq(tsr_shape_text(&c, text, sizeof text), "[2,3,4]");
    struct tsr_shape d = {1, {3}}, scalar = {0, {0}}, zero = {1, {0}}, one = {1, {1}};
    ck_assert(!tsr_shape_broadcast(&a, &d, &c));
    ck_assert(tsr_shape_broadcast(&a, &scalar, &c) && tsr_shape_equal(&a, &c));
    ck_assert(tsr_shape_broadcast(&zero, &one, &c) && c.dim[0] == 0);
    ck_assert_str_eq(tsr_shape_text(&scalar, text, sizeof text), "[]");
    ck_assert_int_eq(tsr_shape_count(&scalar), 1);
    struct tsr_shape big = {3, {INT64_MAX, 2, 0}}, neg = {2, {0, -1}};
    ck_assert_int_eq(tsr_shape_count(&big), -1);
    ck_assert_int_eq(tsr_shape_count(&neg), -1);
    big.dim[2] = 2;
    ck_assert_int_eq(tsr_shape_count(&big), -1);
    struct tsr_shape widest = {8, {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN}};
    ck_assert_uint_eq(strlen(tsr_shape_text(&widest, text, sizeof text)), 8 * 20 + 9);
}
END_TEST

static int released;
static void release(void *arg)
{
    released++;
    free(arg);
}

START_TEST(tensors)
{
    struct tsr_error err;
    struct tsr_tensor t, u, v;
    int64_t dim[] = {2, 3};
    ck_assert_int_eq(tsr_tensor_zeros(&t, TSR_F32, 2, dim, &err), TSR_OK);
    ck_assert(tsr_tensor_unique(&t) && (uintptr_t)t.data % 64 == 0 && tsr_tensor_bytes(&t) == 24);
    u = tsr_tensor_share(&t);
    ck_assert(!tsr_tensor_unique(&t));
    tsr_tensor_release(&t);
    ck_assert(t.data == NULL && tsr_tensor_unique(&u));
    ((float *)u.data)[4] = -INFINITY;
    ck_assert_int_eq(tsr_tensor_nonfinite(&u), 4);
    ck_assert_int_eq(tsr_tensor_cast(&v, TSR_F16, &u, &err), TSR_OK);
    ck_assert_int_eq(tsr_tensor_nonfinite(&v), 4);
    tsr_tensor_release(&v);
    ((float *)u.data)[4] = 1;
    ck_assert_int_eq(tsr_tensor_nonfinite(&u), -1);
    ck_assert_int_eq(tsr_tensor_copy(&v, &u, &err), TSR_OK);
    ck_assert(v.data != u.data && memcmp(v.data, u.data, 24) == 0);
    tsr_tensor_release(&v);
    tsr_tensor_release(&u);

    struct tsr_shape s = {1, {4}};
    ck_assert_int_eq(tsr_tensor_wrap(&t, TSR_U8, &s, calloc(4, 1), NULL, NULL, &err), TSR_OK);
    ck_assert(!tsr_tensor_unique(&t));
    void *p = t.data;
    tsr_tensor_release(&t);
    ck_assert_int_eq(tsr_tensor_wrap(&t, TSR_U8, &s, p, release, p, &err), TSR_OK);
    u = tsr_tensor_share(&t);
    tsr_tensor_release(&t);
    ck_assert_int_eq(released, 0);
    tsr_tensor_release(&u);
    ck_assert_int_eq(released, 1);
}
END_TEST

START_TEST(tensor_limits)
{
    struct tsr_error err;
    struct tsr_tensor t;
    struct tsr_shape s = {2, {INT64_MAX, 4}};
    ck_assert_int_eq(tsr_tensor_new(&t, TSR_F32, &s, NULL, &err), TSR_E_LIMIT);
    s.dim[1] = -1;
    ck_assert_int_eq(tsr_tensor_new(&t, TSR_F32, &s, NULL, &err), TSR_E_LIMIT);
    s = (struct tsr_shape){1, {3}};
    ck_assert_int_eq(tsr_tensor_new(&t, TSR_STRING, &s, NULL, &err), TSR_E_UNSUPPORTED);
    ck_assert(t.data == NULL);
    for (long n = 1; n <= 2; n++) {
        tsr_mem_fail_after(n);
        ck_assert_int_eq(tsr_tensor_new(&t, TSR_F32, &s, NULL, &err), TSR_E_NOMEM);
    }
    tsr_mem_fail_after(0);
    s.dim[0] = 0;
    ck_assert_int_eq(tsr_tensor_new(&t, TSR_F32, &s, NULL, &err), TSR_OK);
    ck_assert(t.data != NULL);
    tsr_tensor_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tensor");
    TCase *c = tcase_create("tensor");
    tcase_add_test(c, f16_round_trip);
    tcase_add_test(c, f16_rounds_half_even);
    tcase_add_test(c, bf16_rounds_half_even);
    tcase_add_test(c, arrays_agree_with_single_values);
    tcase_add_test(c, all_pairs);
    tcase_add_test(c, integers_wrap_and_truncate);
    tcase_add_test(c, names_and_sizes);
    tcase_add_test(c, shapes);
    tcase_add_test(c, tensors);
    tcase_add_test(c, tensor_limits);
    suite_add_tcase(s, c);
    return run_suite(s);
}
