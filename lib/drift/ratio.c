#include "drift/ratio.h"

#include "drift/distribution.h"

#include <math.h>

#define MORE 3.0 /* times the extreme sample: the rule of three */

void tsr_ratio_add_row(struct tsr_ratio *r, double a, double b)
{
    r->total_a += a;
    r->total_b += b;
}

void tsr_ratio_add_sample(struct tsr_ratio *r, double a, double b)
{
    if (a == 0 && b == 0) return;
    if (r->n == 0) {
        r->a0 = r->max_a = r->min_a = a;
        r->b0 = r->max_b = r->min_b = b;
    }
    /* b >= 0 throughout, so a / b compares without dividing. */
    if (a * r->max_b > r->max_a * b) {
        r->max_a = a;
        r->max_b = b;
    }
    if (a * r->min_b < r->min_a * b) {
        r->min_a = a;
        r->min_b = b;
    }
    r->n++;
    double x = a - r->a0, y = b - r->b0, px = 1;
    for (int i = 0; i <= 3; i++, px *= x) {
        double p = px;
        for (int j = 0; i + j <= 3; j++, p *= y) r->s[i][j] += p;
    }
}

void tsr_ratio_add(struct tsr_ratio *r, double a, double b)
{
    tsr_ratio_add_row(r, a, b);
    tsr_ratio_add_sample(r, a, b);
}

struct tsr_ratio tsr_ratio_scaled(const struct tsr_ratio *r, double f)
{
    struct tsr_ratio q = *r;
    q.n *= f;
    q.total_a *= f;
    q.total_b *= f;
    for (int i = 0; i <= 3; i++)
        for (int j = 0; i + j <= 3; j++) q.s[i][j] *= f;
    return q;
}

double tsr_ratio_value(const struct tsr_ratio *r) { return r->total_a / r->total_b; }

/* Sums of u, u^2, u^3 over samples with u = (a - a0) - R (b - b0). */
static void power_sums(const struct tsr_ratio *r, double ratio, double u[4])
{
    double q = ratio;
    u[0] = r->n;
    u[1] = r->s[1][0] - q * r->s[0][1];
    u[2] = r->s[2][0] - 2 * q * r->s[1][1] + q * q * r->s[0][2];
    u[3] = r->s[3][0] - 3 * q * r->s[2][1] + 3 * q * q * r->s[1][2] - q * q * q * r->s[0][3];
}

double tsr_ratio_variance(const struct tsr_ratio *r)
{
    double u[4];
    if (!(r->n >= 2)) return NAN;
    power_sums(r, tsr_ratio_value(r), u);
    double v = (u[2] - u[1] * u[1] / u[0]) / (u[0] - 1);
    return v > 0 ? v : 0;
}

double tsr_ratio_error(const struct tsr_ratio *r) { return sqrt(r->n * tsr_ratio_variance(r)) / r->total_b; }

/* The end of the interval for the mean of a - ratio b: side 1 upper, -1 lower. */
static double mean_bound(const struct tsr_ratio *r, double ratio, double t, int side)
{
    double u[4], xa = side > 0 ? r->max_a : r->min_a, xb = side > 0 ? r->max_b : r->min_b;
    double x = (xa - r->a0) - ratio * (xb - r->b0), n = r->n + MORE;
    power_sums(r, ratio, u);
    u[1] += MORE * x;
    u[2] += MORE * x * x;
    u[3] += MORE * x * x * x;
    double m = u[1] / n, m2 = u[2] / n - m * m;
    if (!(m2 > 0)) m2 = 0;
    double m3 = u[3] / n - 3 * m * u[2] / n + 2 * m * m * m;
    double mean = (r->total_a - ratio * r->total_b + MORE * (xa - ratio * xb)) / n;
    double se = sqrt(m2 / (n - 1)), bound = mean + side * t * se;
    double skew = m2 > 0 ? m3 / (m2 * sqrt(m2) * sqrt(n)) : 0; /* of the mean */
    if (fabs(skew) > 1e-9) {
        double w = 3 / skew * (cbrt(1 + skew * (-side * t - skew / 6)) - 1);
        double hall = mean - se * w;
        if (side * hall > side * bound) bound = hall;
    }
    return bound;
}

/* The last ratio on this side whose bound has not yet crossed 0. */
static double search(const struct tsr_ratio *r, double t, int side)
{
    double at = tsr_ratio_value(r), step = tsr_ratio_error(r), in = at, out;
    if (!(step > 0)) step = fabs(at) > 0 ? fabs(at) * 1e-6 : 1e-12;
    for (int i = 0;; i++, step *= 2) {
        out = at + side * step;
        if (i == 400 || !isfinite(out)) return side > 0 ? INFINITY : -INFINITY;
        if (side * mean_bound(r, out, t, side) < 0) break;
        in = out;
    }
    for (int i = 0; i < 100 && fabs(out - in) > 1e-12 * fabs(out); i++) {
        double mid = in + (out - in) / 2;
        if (side * mean_bound(r, mid, t, side) < 0) out = mid;
        else in = mid;
    }
    return in;
}

bool tsr_ratio_interval(const struct tsr_ratio *r, double alpha, double *low, double *high)
{
    if (!(r->n >= TSR_RATIO_MIN)) return false;
    double t = tsr_t_quantile(1 - alpha / 2, r->n - 1);
    *high = search(r, t, 1);
    *low = search(r, t, -1);
    return true;
}

void tsr_ratio_rate_interval(const struct tsr_ratio *r, double alpha, double *low, double *high)
{
    double rows = r->total_b, p = r->total_b > 0 ? tsr_ratio_value(r) : 0;
    if (r->n < rows) { /* several rows a sample */
        double between = r->n >= 2 ? r->n * tsr_ratio_variance(r) / (rows * rows) : 0;
        double effective = between > 0 ? p * (1 - p) / between : r->n;
        if (effective < rows) rows = effective;
    }
    tsr_rate_interval(p * rows, rows, alpha, low, high);
}
