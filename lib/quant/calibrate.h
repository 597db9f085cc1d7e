/* calibrate.h - from the distribution of a tensor to the range that its integers cover. */
#ifndef TSR_QUANT_CALIBRATE_H
#define TSR_QUANT_CALIBRATE_H

#include "quant/bins.h"

enum tsr_calibrator {
    TSR_CALIBRATE_MINMAX,     /* all that was seen */
    TSR_CALIBRATE_PERCENTILE, /* all but the outermost 1 - p of both tails together */
    TSR_CALIBRATE_MSE,        /* the range with the least expected squared error */
    TSR_CALIBRATE_ENTROPY     /* the range whose quantised distribution is nearest in Kullback-Leibler divergence
                                 (Migacz, "8-bit inference with TensorRT", GTC 2017) */
};
extern const char *const tsr_calibrator_names[]; /* NULL-terminated */

/* The range [*lo, *hi] for `bits` bits; it holds 0. symmetric: *lo = -*hi. percentile: p in (0, 1]. */
void tsr_calibrate(const struct tsr_bins *h, enum tsr_calibrator how, double percentile, int bits, bool symmetric,
                   float *lo, float *hi);

#endif
