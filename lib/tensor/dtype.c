/* dtype.c - element types and conversions between them.
 *
 * tsr_convert has direct loops for the pairs that are hot (float32 against float16, bfloat16,
 * float64, bytes) and goes through blocks of double or int64 for all others, so that there is
 * one loader and one storer for each type instead of one loop for each pair. */
#include "tensor/dtype.h"
#include "tensor/minifloat.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define TSR_X86 1
#include <cpuid.h>
#include <immintrin.h>
#endif

static const struct {
    const char *name;
    int bits;
} dtype_info[] = {
    [TSR_F32] = {"float32", 32},   [TSR_U8] = {"uint8", 8},      [TSR_I8] = {"int8", 8},
    [TSR_U16] = {"uint16", 16},    [TSR_I16] = {"int16", 16},    [TSR_I32] = {"int32", 32},
    [TSR_I64] = {"int64", 64},     [TSR_STRING] = {"string", 0}, [TSR_BOOL] = {"bool", 8},
    [TSR_F16] = {"float16", 16},   [TSR_F64] = {"float64", 64},  [TSR_U32] = {"uint32", 32},
    [TSR_U64] = {"uint64", 64},    [TSR_BF16] = {"bfloat16", 16}, [TSR_U4] = {"uint4", 4},
    [TSR_I4] = {"int4", 4},        [TSR_U2] = {"uint2", 2},      [TSR_I2] = {"int2", 2},
    [TSR_F8E4M3FN] = {"float8e4m3fn", 8}, [TSR_F8E4M3FNUZ] = {"float8e4m3fnuz", 8}, [TSR_F8E5M2] = {"float8e5m2", 8},
    [TSR_F8E5M2FNUZ] = {"float8e5m2fnuz", 8}, [TSR_F8E8M0] = {"float8e8m0", 8}, [TSR_F4E2M1] = {"float4e2m1", 4},
};

static bool known(enum tsr_dtype t)
{
    return (int)t >= 0 && (size_t)t < sizeof dtype_info / sizeof dtype_info[0] && dtype_info[t].name;
}

const char *tsr_dtype_name(enum tsr_dtype t)
{
    return known(t) ? dtype_info[t].name : "unknown";
}

enum tsr_dtype tsr_dtype_of(const char *name)
{
    for (size_t t = 0; t < sizeof dtype_info / sizeof dtype_info[0]; t++)
        if (dtype_info[t].name && strcmp(dtype_info[t].name, name) == 0) return (enum tsr_dtype)t;
    return TSR_NONE;
}

int tsr_dtype_bits(enum tsr_dtype t)
{
    return known(t) ? dtype_info[t].bits : 0;
}

bool tsr_dtype_is_float(enum tsr_dtype t)
{
    return t == TSR_F32 || t == TSR_F64 || t == TSR_F16 || t == TSR_BF16;
}

bool tsr_dtype_is_int(enum tsr_dtype t)
{
    return known(t) && !tsr_dtype_is_float(t) && !tsr_dtype_is_mini(t) && t != TSR_STRING && t != TSR_BOOL;
}

bool tsr_dtype_is_signed(enum tsr_dtype t)
{
    return tsr_dtype_is_float(t) || (tsr_dtype_is_mini(t) && t != TSR_F8E8M0) || t == TSR_I2 || t == TSR_I4 || t == TSR_I8 || t == TSR_I16 || t == TSR_I32 || t == TSR_I64;
}

/* ---- single values ---- */

static uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float f32_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float tsr_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 0x3ff;
    if (exp == 31) return f32_of(sign | 0x7f800000 | man << 13 | (man ? 0x400000u : 0));
    if (exp == 0) { /* zero or subnormal: man * 2^-24, exact */
        float v = (float)man * 0x1p-24f;
        return sign ? -v : v;
    }
    return f32_of(sign | (exp + 112) << 23 | man << 13);
}

uint16_t tsr_f32_to_f16(float f)
{
    uint32_t u = f32_bits(f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | ((a >> 13) & 0x1ff));
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above round to infinity */
    if (a < 0x38800000) { /* below 2^-14: the result is a multiple of 2^-24 */
        if (a < 0x33000000) return (uint16_t)sign;
        uint32_t e = a >> 23, man = (a & 0x7fffff) | 0x800000, shift = 126 - e; /* 14 .. 24 */
        uint32_t q = man >> shift, rest = man & ((1u << shift) - 1), half = 1u << (shift - 1);
        q += rest > half || (rest == half && (q & 1));
        return (uint16_t)(sign | q);
    }
    a += 0xfff + ((a >> 13) & 1);
    return (uint16_t)(sign | ((a - 0x38000000) >> 13));
}

/* double to float, rounded to odd: a later rounding to fewer bits then rounds only once
 * (Boldo and Melquiond, 2008). */
static float f64_to_f32_odd(double d)
{
    float f = (float)d;
    if (isnan(d) || (double)f == d) return f;
    uint32_t u = f32_bits(f);
    if (fabs((double)f) > fabs(d)) u--;
    return f32_of(u | 1);
}

uint16_t tsr_f64_to_f16(double d)
{
    return tsr_f32_to_f16(f64_to_f32_odd(d));
}

float tsr_bf16_to_f32(uint16_t h)
{
    return f32_of((uint32_t)h << 16);
}

uint16_t tsr_f32_to_bf16(float f)
{
    uint32_t u = f32_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

uint16_t tsr_f64_to_bf16(double d)
{
    return tsr_f32_to_bf16(f64_to_f32_odd(d));
}

/* Truncates towards zero, modulo 2^64; NaN and infinities give 0. */
static int64_t f64_to_i64(double v)
{
    if (v >= -0x1p63 && v < 0x1p63) return (int64_t)v;
    if (!isfinite(v)) return 0;
    double m = fmod(trunc(v), 0x1p64); /* |m| < 2^64 */
    return m < 0 ? (int64_t)(0 - (uint64_t)-m) : (int64_t)(uint64_t)m;
}

static int64_t sign4(unsigned nibble)
{
    return (int64_t)(nibble & 15) - ((nibble & 8) ? 16 : 0);
}

static unsigned nibble_at(const uint8_t *p, int64_t i)
{
    return (i & 1 ? p[i >> 1] >> 4 : p[i >> 1]) & 15u;
}

static void set_nibble(uint8_t *p, int64_t i, unsigned v)
{
    uint8_t *b = p + (i >> 1);
    *b = (uint8_t)(i & 1 ? (*b & 0x0f) | (v & 15) << 4 : (*b & 0xf0) | (v & 15));
}

static unsigned pair_at(const uint8_t *p, int64_t i) { return p[i >> 2] >> 2 * (i & 3) & 3u; }

static int64_t sign2(unsigned pair) { return (int64_t)(pair & 3) - ((pair & 2) ? 4 : 0); }

static void set_pair(uint8_t *p, int64_t i, unsigned v)
{
    const int shift = 2 * (int)(i & 3);
    p[i >> 2] = (uint8_t)((p[i >> 2] & ~(3u << shift)) | (v & 3) << shift);
}

static double load_mini(enum tsr_dtype t, const uint8_t *p, int64_t i)
{
    return tsr_mini_decode(t, t == TSR_F4E2M1 ? (uint8_t)nibble_at(p, i) : p[i]);
}

static void store_mini(enum tsr_dtype t, uint8_t *p, int64_t i, double v)
{
    const uint8_t code = tsr_mini_encode(t, v, true, TSR_MINI_UP);
    if (t == TSR_F4E2M1) set_nibble(p, i, code);
    else p[i] = code;
}

#define MINI                                                                                       \
    case TSR_F8E4M3FN:                                                                             \
    case TSR_F8E4M3FNUZ:                                                                           \
    case TSR_F8E5M2:                                                                               \
    case TSR_F8E5M2FNUZ:                                                                           \
    case TSR_F8E8M0:                                                                               \
    case TSR_F4E2M1

/* ---- blocks: [at, at + n) of an array, from and to double or int64 ---- */

#define LOAD(TYPE, EXPR)                                                                           \
    for (int64_t i = 0; i < n; i++) {                                                              \
        TYPE x = ((const TYPE *)src)[at + i];                                                      \
        dst[i] = EXPR;                                                                             \
    }                                                                                              \
    break
#define STORE(TYPE, EXPR)                                                                          \
    for (int64_t i = 0; i < n; i++) ((TYPE *)dst)[at + i] = (TYPE)(EXPR);                          \
    break

static void load_block_f64(enum tsr_dtype t, const void *src, int64_t at, int64_t n, double *dst)
{
    switch (t) {
    case TSR_F32: LOAD(float, (double)x);
    case TSR_F64: LOAD(double, x);
    case TSR_F16: LOAD(uint16_t, (double)tsr_f16_to_f32(x));
    case TSR_BF16: LOAD(uint16_t, (double)tsr_bf16_to_f32(x));
    case TSR_BOOL: LOAD(uint8_t, x ? 1.0 : 0.0);
    case TSR_U8: LOAD(uint8_t, (double)x);
    case TSR_I8: LOAD(int8_t, (double)x);
    case TSR_U16: LOAD(uint16_t, (double)x);
    case TSR_I16: LOAD(int16_t, (double)x);
    case TSR_U32: LOAD(uint32_t, (double)x);
    case TSR_I32: LOAD(int32_t, (double)x);
    case TSR_U64: LOAD(uint64_t, (double)x);
    case TSR_I64: LOAD(int64_t, (double)x);
    case TSR_U4:
        for (int64_t i = 0; i < n; i++) dst[i] = nibble_at(src, at + i);
        break;
    case TSR_I4:
        for (int64_t i = 0; i < n; i++) dst[i] = (double)sign4(nibble_at(src, at + i));
        break;
    case TSR_U2:
        for (int64_t i = 0; i < n; i++) dst[i] = pair_at(src, at + i);
        break;
    case TSR_I2:
        for (int64_t i = 0; i < n; i++) dst[i] = (double)sign2(pair_at(src, at + i));
        break;
    MINI:
        for (int64_t i = 0; i < n; i++) dst[i] = load_mini(t, src, at + i);
        break;
    case TSR_NONE:
    case TSR_STRING:
    default: memset(dst, 0, (size_t)n * sizeof *dst);
    }
}

static void load_block_i64(enum tsr_dtype t, const void *src, int64_t at, int64_t n, int64_t *dst)
{
    switch (t) {
    case TSR_F32: LOAD(float, f64_to_i64((double)x));
    case TSR_F64: LOAD(double, f64_to_i64(x));
    case TSR_F16: LOAD(uint16_t, f64_to_i64((double)tsr_f16_to_f32(x)));
    case TSR_BF16: LOAD(uint16_t, f64_to_i64((double)tsr_bf16_to_f32(x)));
    case TSR_BOOL: LOAD(uint8_t, x != 0);
    case TSR_U8: LOAD(uint8_t, x);
    case TSR_I8: LOAD(int8_t, x);
    case TSR_U16: LOAD(uint16_t, x);
    case TSR_I16: LOAD(int16_t, x);
    case TSR_U32: LOAD(uint32_t, (int64_t)x);
    case TSR_I32: LOAD(int32_t, x);
    case TSR_U64: LOAD(uint64_t, (int64_t)x);
    case TSR_I64: LOAD(int64_t, x);
    case TSR_U4:
        for (int64_t i = 0; i < n; i++) dst[i] = nibble_at(src, at + i);
        break;
    case TSR_I4:
        for (int64_t i = 0; i < n; i++) dst[i] = sign4(nibble_at(src, at + i));
        break;
    case TSR_U2:
        for (int64_t i = 0; i < n; i++) dst[i] = pair_at(src, at + i);
        break;
    case TSR_I2:
        for (int64_t i = 0; i < n; i++) dst[i] = sign2(pair_at(src, at + i));
        break;
    MINI:
        for (int64_t i = 0; i < n; i++) dst[i] = f64_to_i64(load_mini(t, src, at + i));
        break;
    case TSR_NONE:
    case TSR_STRING:
    default: memset(dst, 0, (size_t)n * sizeof *dst);
    }
}

static void store_block_f64(enum tsr_dtype t, void *dst, int64_t at, int64_t n, const double *v)
{
    switch (t) {
    case TSR_F32: STORE(float, v[i]);
    case TSR_F64: STORE(double, v[i]);
    case TSR_F16: STORE(uint16_t, tsr_f64_to_f16(v[i]));
    case TSR_BF16: STORE(uint16_t, tsr_f64_to_bf16(v[i]));
    case TSR_BOOL: STORE(uint8_t, v[i] != 0);
    case TSR_U8: STORE(uint8_t, f64_to_i64(v[i]));
    case TSR_I8: STORE(int8_t, f64_to_i64(v[i]));
    case TSR_U16: STORE(uint16_t, f64_to_i64(v[i]));
    case TSR_I16: STORE(int16_t, f64_to_i64(v[i]));
    case TSR_U32: STORE(uint32_t, f64_to_i64(v[i]));
    case TSR_I32: STORE(int32_t, f64_to_i64(v[i]));
    case TSR_U64: STORE(uint64_t, f64_to_i64(v[i]));
    case TSR_I64: STORE(int64_t, f64_to_i64(v[i]));
    case TSR_U4:
    case TSR_I4:
        for (int64_t i = 0; i < n; i++) set_nibble(dst, at + i, (unsigned)(f64_to_i64(v[i]) & 15));
        break;
    case TSR_U2:
    case TSR_I2:
        for (int64_t i = 0; i < n; i++) set_pair(dst, at + i, (unsigned)(f64_to_i64(v[i]) & 3));
        break;
    MINI:
        for (int64_t i = 0; i < n; i++) store_mini(t, dst, at + i, v[i]);
        break;
    case TSR_NONE:
    case TSR_STRING:
    default: break;
    }
}

/* An int64 as a double that keeps a sticky bit, so that a later rounding to at most 24 bits is
 * the only one that counts. */
static double i64_sticky(int64_t v, bool is_unsigned)
{
    uint64_t u = (uint64_t)v;
    bool neg = !is_unsigned && v < 0;
    if (neg) u = 0 - u;
    if (u >> 53) u = (u & ~(uint64_t)0x7ff) | ((u & 0x7ff) ? 0x800u : 0);
    return neg ? -(double)u : (double)u;
}

static void store_block_i64(enum tsr_dtype t, void *dst, int64_t at, int64_t n, const int64_t *v, bool is_unsigned)
{
    switch (t) {
    case TSR_F32: STORE(float, is_unsigned ? (float)(uint64_t)v[i] : (float)v[i]);
    case TSR_F64: STORE(double, is_unsigned ? (double)(uint64_t)v[i] : (double)v[i]);
    case TSR_F16: STORE(uint16_t, tsr_f64_to_f16(i64_sticky(v[i], is_unsigned)));
    case TSR_BF16: STORE(uint16_t, tsr_f64_to_bf16(i64_sticky(v[i], is_unsigned)));
    case TSR_BOOL: STORE(uint8_t, v[i] != 0);
    case TSR_U8: STORE(uint8_t, v[i]);
    case TSR_I8: STORE(int8_t, v[i]);
    case TSR_U16: STORE(uint16_t, v[i]);
    case TSR_I16: STORE(int16_t, v[i]);
    case TSR_U32: STORE(uint32_t, v[i]);
    case TSR_I32: STORE(int32_t, v[i]);
    case TSR_U64: STORE(uint64_t, v[i]);
    case TSR_I64: STORE(int64_t, v[i]);
    case TSR_U4:
    case TSR_I4:
        for (int64_t i = 0; i < n; i++) set_nibble(dst, at + i, (unsigned)(v[i] & 15));
        break;
    case TSR_U2:
    case TSR_I2:
        for (int64_t i = 0; i < n; i++) set_pair(dst, at + i, (unsigned)(v[i] & 3));
        break;
    MINI:
        for (int64_t i = 0; i < n; i++) store_mini(t, dst, at + i, i64_sticky(v[i], is_unsigned));
        break;
    case TSR_NONE:
    case TSR_STRING:
    default: break;
    }
}
#undef LOAD
#undef STORE
#undef MINI

double tsr_load_f64(enum tsr_dtype t, const void *data, int64_t i)
{
    double v;
    load_block_f64(t, data, i, 1, &v);
    return v;
}

void tsr_store_f64(enum tsr_dtype t, void *data, int64_t i, double v)
{
    store_block_f64(t, data, i, 1, &v);
}

int64_t tsr_load_i64(enum tsr_dtype t, const void *data, int64_t i)
{
    int64_t v;
    load_block_i64(t, data, i, 1, &v);
    return v;
}

void tsr_store_i64(enum tsr_dtype t, void *data, int64_t i, int64_t v)
{
    store_block_i64(t, data, i, 1, &v, false);
}

/* ---- arrays ---- */

#ifdef TSR_X86
__attribute__((target("avx2,f16c"))) static int64_t widen_f16(const uint16_t *s, float *d, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(s + i))));
    return i;
}

__attribute__((target("avx2,f16c"))) static int64_t narrow_f16(const float *s, uint16_t *d, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}

/* Older clangs do not know the name "f16c"; "avx2" includes that the system keeps the registers. */
static bool have_f16c(void)
{
    static _Atomic int known; /* 0 not asked yet, 1 no, 2 yes: the instruction is slow under a hypervisor */
    if (known == 0) {
        unsigned a, b, c = 0, d;
        known = 1 + (__builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C));
    }
    return known == 2;
}
#endif

static void f16_to_f32_array(const uint16_t *s, float *d, int64_t n)
{
    int64_t i = 0;
#ifdef TSR_X86
    if (have_f16c()) i = widen_f16(s, d, n);
#endif
    for (; i < n; i++) d[i] = tsr_f16_to_f32(s[i]);
}

static void f32_to_f16_array(const float *s, uint16_t *d, int64_t n)
{
    int64_t i = 0;
#ifdef TSR_X86
    if (have_f16c()) i = narrow_f16(s, d, n);
#endif
    for (; i < n; i++) d[i] = tsr_f32_to_f16(s[i]);
}

/* The pairs that are worth a loop of their own; false where there is none. */
static bool convert_direct(enum tsr_dtype to, void *dst, enum tsr_dtype from, const void *src, int64_t n)
{
#define PAIR(F, T, FT, TT, EXPR)                                                                   \
    if (from == (F) && to == (T)) {                                                                \
        const FT *s = src;                                                                         \
        TT *d = dst;                                                                               \
        for (int64_t i = 0; i < n; i++) d[i] = EXPR;                                               \
        return true;                                                                               \
    }
    if (from == TSR_F16 && to == TSR_F32) return f16_to_f32_array(src, dst, n), true;
    if (from == TSR_F32 && to == TSR_F16) return f32_to_f16_array(src, dst, n), true;
    PAIR(TSR_BF16, TSR_F32, uint16_t, float, tsr_bf16_to_f32(s[i]))
    PAIR(TSR_F32, TSR_BF16, float, uint16_t, tsr_f32_to_bf16(s[i]))
    PAIR(TSR_F32, TSR_F64, float, double, (double)s[i])
    PAIR(TSR_F64, TSR_F32, double, float, (float)s[i])
    PAIR(TSR_U8, TSR_F32, uint8_t, float, (float)s[i])
    PAIR(TSR_I8, TSR_F32, int8_t, float, (float)s[i])
    PAIR(TSR_I32, TSR_F32, int32_t, float, (float)s[i])
    PAIR(TSR_BOOL, TSR_F32, uint8_t, float, s[i] ? 1.0f : 0.0f)
    PAIR(TSR_I32, TSR_I64, int32_t, int64_t, (int64_t)s[i])
    PAIR(TSR_I64, TSR_I32, int64_t, int32_t, (int32_t)s[i])
#undef PAIR
    return false;
}

static size_t packed_bytes(enum tsr_dtype t, int64_t n) { return ((size_t)n * (size_t)tsr_dtype_bits(t) + 7) / 8; }

void tsr_convert(enum tsr_dtype to, void *dst, enum tsr_dtype from, const void *src, int64_t n)
{
    enum { BLOCK = 512 }; /* a multiple of 4, so that blocks of few bits begin on a byte */
    if (n <= 0 || tsr_dtype_bits(to) == 0 || tsr_dtype_bits(from) == 0) return;
    if (to == from) {
        memcpy(dst, src, packed_bytes(to, n));
        return;
    }
    if (convert_direct(to, dst, from, src, n)) return;
    if (tsr_dtype_bits(to) < 8) memset(dst, 0, packed_bytes(to, n));
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t m = n - at < BLOCK ? n - at : BLOCK;
        if (tsr_dtype_is_float(from) || tsr_dtype_is_mini(from)) {
            double v[BLOCK];
            load_block_f64(from, src, at, m, v);
            store_block_f64(to, dst, at, m, v);
        } else {
            int64_t v[BLOCK];
            load_block_i64(from, src, at, m, v);
            store_block_i64(to, dst, at, m, v, from == TSR_U64);
        }
    }
}
