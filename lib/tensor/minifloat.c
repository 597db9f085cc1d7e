#include "tensor/minifloat.h"

#include <math.h>

/* max: the code of the largest number; nan, inf: theirs, 0 where there is none. */
struct format {
    int exponent, mantissa, bias; /* bits, bits, and what is subtracted from the exponent */
    uint8_t sign, max, nan, inf;
    bool fnuz; /* no negative zero: its code is NaN */
};

static const struct format *format_of(enum tsr_dtype t)
{
    static const struct format e4m3fn = {4, 3, 7, 0x80, 0x7e, 0x7f, 0, false}, e4m3fnuz = {4, 3, 8, 0x80, 0x7f, 0x80, 0, true},
                               e5m2 = {5, 2, 15, 0x80, 0x7b, 0x7e, 0x7c, false}, e5m2fnuz = {5, 2, 16, 0x80, 0x7f, 0x80, 0, true},
                               e2m1 = {2, 1, 1, 0x08, 0x07, 0x08, 0, false};
    switch (t) {
    case TSR_F8E4M3FN: return &e4m3fn;
    case TSR_F8E4M3FNUZ: return &e4m3fnuz;
    case TSR_F8E5M2: return &e5m2;
    case TSR_F8E5M2FNUZ: return &e5m2fnuz;
    case TSR_F4E2M1: return &e2m1;
    default: return NULL;
    }
}

bool tsr_dtype_is_mini(enum tsr_dtype t) { return format_of(t) != NULL || t == TSR_F8E8M0; }

static double magnitude(const struct format *f, uint8_t code)
{
    const int e = code >> f->mantissa, m = code & ((1 << f->mantissa) - 1);
    return e == 0 ? ldexp(m, 1 - f->bias - f->mantissa) : ldexp(m + (1 << f->mantissa), e - f->bias - f->mantissa);
}

double tsr_mini_decode(enum tsr_dtype t, uint8_t code)
{
    const struct format *f = format_of(t);
    if (t == TSR_F8E8M0) return code == 0xff ? (double)NAN : ldexp(1, code - 127);
    if (f == NULL) return 0;
    const uint8_t a = code & (uint8_t)(f->sign - 1);
    const bool negative = (code & f->sign) != 0;
    if (f->fnuz ? code == f->nan : t != TSR_F4E2M1 && a > f->max && a != f->inf) return (double)NAN;
    const double v = f->inf != 0 && a == f->inf ? (double)INFINITY : magnitude(f, a);
    return negative ? -v : v;
}

static uint8_t encode_power(double v, bool saturate, enum tsr_mini_round round)
{
    int e;
    if (isnan(v)) return 0xff;
    v = fabs(v);
    if (isinf(v)) return saturate ? 0xfe : 0xff;
    if (v == 0) return saturate ? 0 : 0xff;
    const double m = frexp(v, &e); /* v = m 2^e, 0.5 <= m < 1 */
    e += 126;                      /* the code of the power of two at or below v */
    if (m > 0.5 && (round == TSR_MINI_UP || (round == TSR_MINI_NEAREST && m >= 0.75))) e++;
    if (e > 0xfe) return saturate ? 0xfe : 0xff;
    return e >= 0 ? (uint8_t)e : saturate ? 0 : 0xff;
}

uint8_t tsr_mini_encode(enum tsr_dtype t, double v, bool saturate, enum tsr_mini_round round)
{
    const struct format *f = format_of(t);
    if (t == TSR_F8E8M0) return encode_power(v, saturate, round);
    if (f == NULL) return 0;
    const uint8_t sign = signbit(v) ? f->sign : 0;
    if (isnan(v)) return f->nan | (f->fnuz || t == TSR_F4E2M1 ? 0 : sign);
    int e;
    const double a = fabs(v), most = magnitude(f, f->max);
    (void)frexp(a, &e); /* a < 2^e */
    if (e < 2 - f->bias) e = 2 - f->bias; /* below, numbers lie as close as there */
    const double step = ldexp(1, e - 1 - f->mantissa), near = isinf(a) ? a : rint(a / step) * step; /* half to even */
    if (near > most) {
        if (saturate || t == TSR_F4E2M1) return sign | f->max;
        return f->fnuz ? f->nan : sign | (f->inf != 0 ? f->inf : f->nan);
    }
    if (near == 0) return f->fnuz ? 0 : sign;
    (void)frexp(near, &e);
    if (e - 1 < 1 - f->bias) return sign | (uint8_t)(int)ldexp(near, f->bias - 1 + f->mantissa);
    const int fraction = (int)ldexp(near, f->mantissa - (e - 1)) - (1 << f->mantissa);
    return sign | (uint8_t)((e - 1 + f->bias) << f->mantissa | fraction);
}
