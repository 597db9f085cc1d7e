#include "merge/real.h"

#include <math.h>
#include <string.h>

/* ln 2 in two parts: the product of the first with a whole number below 2^11 is exact. */
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33

static double power_of_two(int k)
{
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

double tsr_real_exp(double x)
{
    static const double inverse[] = {/* 1/13! .. 1/0! */
        1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0,
        1.0 / 5040.0,       1.0 / 720.0,       1.0 / 120.0,      1.0 / 24.0,      1.0 / 6.0,      0.5,
        1.0,                1.0};
    if (!(x >= -700)) return x < -700 ? 0 : x;
    if (x > 700) return INFINITY;
    double k = floor(x * 0x1.71547652b82fep0 + 0.5);
    double r = (x - k * LN2_HIGH) - k * LN2_LOW, sum = inverse[0];
    for (size_t i = 1; i < sizeof inverse / sizeof *inverse; i++) sum = sum * r + inverse[i];
    return sum * power_of_two((int)k);
}

/* With x = 2^k m and m in [1/sqrt 2, sqrt 2): ln m = 2 artanh((m - 1)/(m + 1)). */
double tsr_real_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int k = (int)(bits >> 52 & 0x7ff) - 1023;
    bits = (bits & 0xfffffffffffffu) | (uint64_t)1023 << 52;
    double m, sum = 0;
    memcpy(&m, &bits, sizeof m);
    if (m > 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        k++;
    }
    double t = (m - 1) / (m + 1), t2 = t * t;
    for (int i = 23; i >= 1; i -= 2) sum = sum * t2 + 1.0 / i;
    return 2 * t * sum + k * LN2_LOW + k * LN2_HIGH;
}
