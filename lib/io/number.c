#include "io/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

static locale_t c_locale;
static void make_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static double slow_parse(const char *text)
{
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, make_locale);
    return strtod_l(text, NULL, c_locale);
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

bool tsr_number_parse_int(const char *text, size_t n, int64_t *out)
{
    size_t i = 0;
    bool minus = false;
    if (i < n && (text[i] == '-' || text[i] == '+')) minus = text[i++] == '-';
    if (i == n) return false;
    int64_t v = 0;
    for (; i < n; i++) {
        if (!digit(text[i])) return false;
        int64_t d = text[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, d, &v)) return false;
    }
    if (!minus && v == INT64_MIN) return false;
    *out = minus ? v : -v;
    return true;
}

bool tsr_number_parse(const char *text, size_t n, double *out)
{
    /* powers of ten that a double holds exactly */
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (n == 0 || n > TSR_NUMBER_MAX) return false;
    size_t i = 0, digits = 0;
    bool minus = false, exact = true;
    if (text[i] == '-' || text[i] == '+') minus = text[i++] == '-';
    uint64_t m = 0;
    int scale = 0, power = 0;
    for (bool point = false; i < n; i++) {
        if (text[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (!digit(text[i])) break;
        digits++;
        if (m >= (uint64_t)1 << 53) exact = false;
        else m = m * 10 + (uint64_t)(text[i] - '0');
        if (point) scale--;
    }
    if (digits == 0) return false;
    if (i < n && (text[i] == 'e' || text[i] == 'E')) {
        bool down = false;
        if (++i < n && (text[i] == '-' || text[i] == '+')) down = text[i++] == '-';
        if (i == n) return false;
        for (; i < n && digit(text[i]); i++)
            if (power < 100000) power = power * 10 + (text[i] - '0');
        if (down) power = -power;
    }
    if (i != n) return false;
    power += scale;
    /* Both factors are exact, so the one rounding of the product is the right one (Clinger 1990). */
    if (exact && m <= (uint64_t)1 << 53 && power >= -22 && power <= 22) {
        double v = power < 0 ? (double)m / ten[-power] : (double)m * ten[power];
        *out = minus ? -v : v;
        return true;
    }
    char copy[TSR_NUMBER_MAX + 1];
    memcpy(copy, text, n);
    copy[n] = '\0';
    *out = slow_parse(copy);
    return true;
}

/* The value of 0.d1d2d3... * 10^point. */
static double value_of(const char *digits, int n, int point)
{
    char text[48];
    int len = snprintf(text, sizeof text, "%.*se%d", n, digits, point - n);
    double v = 0;
    return tsr_number_parse(text, (size_t)len, &v) ? v : NAN;
}

/* v > 0 to `want` significant digits, rounded to nearest. */
static void round_to(double v, int want, char *digits, int *point)
{
    char text[64]; /* d<decimal point of the locale>ddd...e[+-]dd */
    (void)snprintf(text, sizeof text, "%.*e", want - 1, v);
    int n = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (digit(*p)) digits[n++] = *p;
    *point = 1 + (int)strtol(p + 1, NULL, 10);
}

/* Adds +1 or -1 to the last digit; false where that would change the number of digits. */
static bool nudge(char *digits, int n, int by)
{
    int i = n - 1;
    char limit = by > 0 ? '9' : '0', wrapped = by > 0 ? '0' : '9';
    while (i >= 0 && digits[i] == limit) digits[i--] = wrapped;
    if (i < 0) return false;
    digits[i] = (char)(digits[i] + by);
    return digits[0] != '0';
}

/* Shortest digits of v > 0. Fifteen digits survive the way through a normal double, so a text of
 * up to fifteen shows as trailing zeros there; seventeen always suffice. Where v is a power of
 * two, the gap below is half as wide as that above, and a neighbour of the nearest text may read
 * back although the nearest does not. */
static int shortest(double v, char digits[20], int *point)
{
    int n = v < 2.2250738585072014e-308 ? 1 : 15;
    for (; n < 17; n++) {
        round_to(v, n, digits, point);
        if (value_of(digits, n, *point) == v) break;
        char up[20], down[20];
        memcpy(up, digits, 20);
        memcpy(down, digits, 20);
        bool up_fits = nudge(up, n, 1) && value_of(up, n, *point) == v;
        bool down_fits = nudge(down, n, -1) && value_of(down, n, *point) == v;
        if (!up_fits && !down_fits) continue;
        memcpy(digits, up_fits ? up : down, 20);
        break;
    }
    if (n == 17) round_to(v, n, digits, point);
    while (n > 1 && digits[n - 1] == '0') n--;
    return n;
}

size_t tsr_number_print(double v, char out[TSR_NUMBER_TEXT])
{
    char digits[20] = {0};
    int point = 0, len = 0;
    if (v == 0) return (size_t)snprintf(out, TSR_NUMBER_TEXT, "0");
    if (v < 0) out[len++] = '-';
    int n = shortest(fabs(v), digits, &point);
    char *to = out + len;
    size_t room = TSR_NUMBER_TEXT - (size_t)len;
    if (n <= point && point <= 21)
        len += snprintf(to, room, "%.*s%.*s", n, digits, point - n, "000000000000000000000");
    else if (0 < point && point <= 21)
        len += snprintf(to, room, "%.*s.%.*s", point, digits, n - point, digits + point);
    else if (-6 < point && point <= 0)
        len += snprintf(to, room, "0.%.*s%.*s", -point, "000000", n, digits);
    else
        len += snprintf(to, room, "%c%s%.*se%+d", digits[0], n > 1 ? "." : "", n - 1, digits + 1, point - 1);
    return (size_t)len;
}
