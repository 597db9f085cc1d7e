#include "drift/distribution.h"

#include <math.h>

#define STEPS 100000

/* The continued fraction of I_x(a, b), for x < (a + 1) / (a + b + 2), where it converges fast. */
static double fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    if (fabs(d) < tiny) d = tiny;
    d = 1 / d;
    double h = d;
    for (int m = 1; m < STEPS; m++) {
        for (int odd = 0; odd < 2; odd++) {
            double k = m, u = odd ? -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
                                  : k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
            d = 1 + u * d;
            if (fabs(d) < tiny) d = tiny;
            c = 1 + u / c;
            if (fabs(c) < tiny) c = tiny;
            d = 1 / d;
            h *= c * d;
        }
        if (fabs(c * d - 1) < 1e-15) break;
    }
    return h;
}

double tsr_beta_cdf(double x, double a, double b)
{
    int sign;
    if (!(x > 0)) return 0;
    if (x >= 1) return 1;
    double front = exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2)) return front * fraction(x, a, b) / a;
    return 1 - front * fraction(1 - x, b, a) / b;
}

double tsr_beta_quantile(double p, double a, double b)
{
    double lo = 0, hi = 1;
    if (!(p > 0)) return 0;
    if (p >= 1) return 1;
    for (int i = 0; i < 200 && hi - lo > 1e-15 * hi; i++) {
        double mid = lo + (hi - lo) / 2;
        if (tsr_beta_cdf(mid, a, b) < p) lo = mid;
        else hi = mid;
    }
    return lo + (hi - lo) / 2;
}

double tsr_binomial_cdf(double k, double n, double p)
{
    if (k < 0) return 0;
    if (k >= n) return 1;
    return tsr_beta_cdf(1 - p, n - k, k + 1);
}

static double t_cdf(double t, double df)
{
    double tail = tsr_beta_cdf(df / (df + t * t), df / 2, 0.5) / 2;
    return t > 0 ? 1 - tail : tail;
}

double tsr_t_quantile(double p, double df)
{
    double q = p < 0.5 ? p : 1 - p, lo = 0, hi = 1; /* of the lower tail, as a positive number */
    if (q == 0.5) return 0;
    while (t_cdf(-hi, df) > q && hi < 1e300) hi *= 2;
    for (int i = 0; i < 200 && hi - lo > 1e-14 * hi; i++) {
        double mid = lo + (hi - lo) / 2;
        if (t_cdf(-mid, df) > q) lo = mid;
        else hi = mid;
    }
    double t = lo + (hi - lo) / 2;
    return p < 0.5 ? -t : t;
}

void tsr_rate_interval(double k, double n, double alpha, double *low, double *high)
{
    *low = k > 0 ? tsr_beta_quantile(alpha / 2, k, n - k + 1) : 0;
    *high = k < n ? tsr_beta_quantile(1 - alpha / 2, k + 1, n - k) : 1;
}
