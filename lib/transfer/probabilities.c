#include "transfer/probabilities.h"

#include "train/loss.h"

#include <math.h>

static const double tolerance = 1e-3; /* what float16 and printed numbers lose */

void tsr_probabilities_make(float *z, int64_t n, int64_t c)
{
    if (c > 1) tsr_softmax_rows(z, n, c, 1, z);
    else for (int64_t i = 0; i < n; i++) z[i] = (float)(1 / (1 + exp(-(double)z[i])));
}

enum tsr_status tsr_probabilities_check(const float *p, int64_t n, int64_t c, int64_t first, const char *name,
                                        struct tsr_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < c; j++) {
            double x = (double)p[i * c + j];
            if (x < 0)
                return tsr_fail(err, TSR_E_CORRUPT, "%s: row %lld has %g, which is no probability; say what the "
                                "outputs are with --kind", name, (long long)(first + i), x);
            sum += x;
        }
        if (c > 1 ? fabs(sum - 1) > tolerance : sum > 1 + tolerance)
            return tsr_fail(err, TSR_E_CORRUPT, "%s: the probabilities of row %lld add up to %g, not 1; say what the "
                            "outputs are with --kind", name, (long long)(first + i), sum);
    }
    return TSR_OK;
}
