/* real.h - exponential and logarithm of doubles by sums and products in a fixed order, so that every
 * machine gives the same bits (the C libraries' differ in the last one). Errors stay below 4 ulp.
 * Thread-safe. */
#ifndef TSR_MERGE_REAL_H
#define TSR_MERGE_REAL_H

#include "base/status.h"

/* e^x; 0 below -700, infinity above 700; NaN gives NaN. */
double tsr_real_exp(double x);
/* The natural logarithm of a positive normal number. */
double tsr_real_log(double x);

#endif
